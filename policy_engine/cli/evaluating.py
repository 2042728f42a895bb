"""The commands that judge a history: report, evaluate, explain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from policy_engine.cli.marking import mark_options
from policy_engine.cli.output import check_file, show, tell, whole_file
from policy_engine.cli.progress import progress_of
from policy_engine.cli.run_setup import make_run, refuse_unusable
from policy_engine.cli.values import (
    ALLOWANCE,
    DURATION,
    INSTANT,
    MEMORY,
    SCHEDULER,
    ZONE,
    Allowance,
)
from policy_engine.core.safe_text import plain
from policy_engine.core.text.wording import count_of
from policy_engine.core.vocabulary import VERDICTS
from policy_engine.report.formats import DOWNLOADERS, OPTIONS, check_available

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from policy_engine.engine.run import EvaluationRun

HISTORY = click.argument("history", nargs=-1, required=True, metavar="HISTORY...")
_PACK = click.option(
    "--pack", default="piapi", show_default=True, metavar="PACK", help="Bundled rule pack, or a folder."
)


def _question_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options shared by all commands that judge a history by one pack."""
    return _PACK(period_options(command))


def period_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say which instant is asked about, and which part of a history."""
    for option in reversed((
        click.option("--as-of", type=INSTANT, help="Instant to answer for, RFC 3339 with a zone. Default: the clock."),
        click.option("--horizon", type=DURATION, help="How far ahead `at risk` looks (P1D). Default: the pack's."),
        click.option("--operation-horizon", type=DURATION, help="How far ahead `closing` looks (PT1H)."),
        click.option("--columns", metavar="FILE", help="YAML: documented column name: name in your tables."),
        click.option("--created-from", type=INSTANT, help="Judge only tasks submitted at or after this instant."),
        click.option("--created-until", type=INSTANT, help="Judge only tasks submitted before this instant."),
    )):  # fmt: skip
        command = option(command)
    return command


def _gate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that decide whether a run counts as good."""
    return click.option(
        "--fail-on",
        multiple=True,
        type=click.Choice([str(one) for one in VERDICTS]),
        help="Exit with 1 when assets of this verdict are neither archived nor exempted (repeatable).",
    )(reading_options(command))


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say how a history is read, and when it is refused."""
    for option in reversed((
        click.option("--max-quarantine", type=ALLOWANCE, metavar="N|N%",
                     help="Exit with 4 when more records than this had to be set aside."),
        click.option("--max-age", type=DURATION, help="Refuse a history whose newest record is older (PT26H)."),
        click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, metavar="N",
                     help="Processes to read and judge with; the answers do not depend on it."),
        click.option("--memory-limit", type=MEMORY, metavar="SIZE",
                     help="Memory for all processes together (512MiB); the answers do not depend on it."),
        click.option("--scheduler", type=SCHEDULER, metavar="local|ADDRESS",
                     help="Work on Dask: with --jobs processes of this machine, or on the cluster at tcp://HOST:PORT."),
    )):  # fmt: skip
        command = option(command)
    return command


def _format_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One option per format that a report folder has only when asked for it."""
    for name, text in reversed(OPTIONS.items()):
        command = click.option(f"--{name}", "formats", flag_value=name, multiple=True, help=text)(command)
    return command


@click.command()
@HISTORY
@_question_options
@mark_options
@_gate_options
@click.option("-o", "--output", default="report", show_default=True, metavar="DIR", help="Folder to write.")
@click.option("--show-urls", is_flag=True, help="Show full URLs in the HTML; whoever has one can open the file.")
@_format_options
@click.option(
    "--rescue", type=click.Choice(list(DOWNLOADERS)), help="Write save_now as an input file for this downloader."
)
@click.option("--tz", type=ZONE, metavar="ZONE", help="Say times in this zone as well (Europe/Berlin).")
@click.option(
    "--embed",
    type=click.IntRange(0, 1_000_000),
    default=20_000,
    show_default=True,
    metavar="N",
    help="How many rows the HTML page itself holds, the most urgent ones; the CSV files hold all.",
)
def report(
    history: tuple[str, ...],
    output: str,
    show_urls: bool,
    formats: tuple[str, ...],
    rescue: str | None,
    tz: ZoneInfo | None,
    embed: int,
    **given: Any,
) -> int:
    """
    Write the state of all assets as a folder of HTML and CSV files, and print the totals.

    HISTORY: files, folders or globs of exports (JSON, JSON Lines, CSV, Parquet; .gz and .zst), or - for standard input.
    """
    from policy_engine.core.version import __version__
    from policy_engine.report.folder import ReportOptions, write_report
    from policy_engine.report.formats.text import render
    from policy_engine.report.publishing import check_folder

    check_folder(Path(output))
    for name in formats:
        check_available(name)
    with make_run(history, given | {"embed": embed}, output) as run:
        with progress_of(run):
            written = write_report(
                run,
                Path(output),
                __version__,
                wanted=ReportOptions(show_urls, formats, rescue, tz, embed),
                before_publishing=lambda done: refuse_unusable(done, given["max_age"]),
            )
        show(render(written.model, str(written.folder / "report.html")))
        return _conclude(run, given["fail_on"], given["max_quarantine"])


@click.command()
@HISTORY
@_question_options
@mark_options
@_gate_options
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="findings.csv, .parquet or .jsonl; - is CSV on stdout."
)
def evaluate(history: tuple[str, ...], output: str, **given: Any) -> int:
    """
    Write the findings table alone.

    HISTORY: files, folders or globs of exports (JSON, JSON Lines, CSV, Parquet; .gz and .zst), or - for standard input.
    """
    from policy_engine.history.read_errors import reading
    from policy_engine.report.formats.findings import writer_for
    from policy_engine.report.notices import collect_warnings, page_totals

    make_writer = writer_for(output)
    check_file(output)
    with make_run(history, given, output) as run:
        with whole_file(output) as stream, progress_of(run, output):
            writer = make_writer(stream)
            for made in reading(run.sources, run.made(writer.make)):
                writer.write(made)
            writer.close()
            refuse_unusable(run, given["max_age"])
        totals = run.totals
        counts = ", ".join(f"{totals.findings.verdict(str(verdict))[0]:,} {verdict}" for verdict in VERDICTS)
        tell(
            f"{totals.seen.records:,} records = {totals.tasks.tasks:,} tasks + {totals.merged:,} merged"
            f" + {len(totals.seen.quarantine):,} quarantined; {totals.findings.assets:,} assets: {counts}"
        )
        for notice in collect_warnings(run.pack, run.options, totals, page_totals(totals.seen.pages, run.sources)):
            tell(f"warning: {plain(notice.text, 1000)}")
        for row in run.quarantine().head(3).itertuples(index=False):
            found = f"found {plain(row.found)}, expected {plain(row.expected)}"
            tell(f"{plain(row.source)}: quarantined [{row.reason}]: {found}")
        return _conclude(run, given["fail_on"], given["max_quarantine"])


@click.command()
@click.argument("task_id")
@HISTORY
@_question_options
@click.option("--show-urls", is_flag=True, help="Show full URLs; whoever has one can open the file.")
def explain(task_id: str, history: tuple[str, ...], show_urls: bool, **given: Any) -> int:
    """Say in plain words why a task's files have the verdict they have."""
    from policy_engine.explain import explain_task, render_explanation
    from policy_engine.history import unchanged
    from policy_engine.history.read_errors import while_reading

    given |= {"jobs": 1, "memory_limit": None, "scheduler": None}
    with make_run(history, given) as run:
        with unchanged(run.sources), while_reading(run.sources):
            found = explain_task(run.sources, run.pack, run.options, task_id)
        show(render_explanation(found, show_urls=show_urls))
    return 0


COMMANDS = (report, evaluate, explain)


def _conclude(run: EvaluationRun, fail_on: tuple[str, ...], allowance: Allowance | None) -> int:
    """The exit code; where it is a bad one, the totals once more and every failure end what is printed."""
    totals, code, failures = run.totals, 0, []
    set_aside, records = len(totals.seen.quarantine), totals.seen.records
    for verdict in dict.fromkeys(fail_on):
        standing, all_of_them = totals.marks.standing.get(verdict, (0, 0))[0], totals.findings.verdict(verdict)[0]
        if standing:
            code = 1
            others = all_of_them - standing
            beside = f" (and {others:,} archived or exempted)" if others else ""
            failures.append(f"--fail-on {verdict}: {count_of(standing, 'asset')}{beside}")
    if allowance is not None and allowance.is_exceeded(set_aside, records):
        code = 4
        failures.append(
            f"{set_aside:,} of {records:,} records were set aside; --max-quarantine allows {allowance.text}"
        )
    if failures:
        counts = ", ".join(f"{totals.findings.verdict(str(verdict))[0]:,} {verdict}" for verdict in VERDICTS)
        lines = [f"total {count_of(totals.findings.assets, 'asset')}: {counts}"]
        tell("\n".join([*lines, *(f"failed {one}" for one in failures)]))
    return code
