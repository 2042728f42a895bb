"""The commands that judge a history: report, evaluate, explain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from policy_engine.cli.option_groups import GroupedCommand, output_option
from policy_engine.cli.output import check_file, show, tell, whole_file
from policy_engine.cli.progress import progress_of
from policy_engine.cli.run_request import (
    HISTORY,
    RunRequest,
    annotation_options,
    fail_on_option,
    pack_option,
    period_options,
    reading_options,
    takes_request,
)
from policy_engine.cli.run_setup import make_run, quarantine_failure, refuse_unusable
from policy_engine.cli.values import ZONE
from policy_engine.core.safe_text import plain
from policy_engine.core.text.wording import count_of
from policy_engine.core.vocabulary import VERDICTS
from policy_engine.report.formats import DOWNLOADERS, OPTIONS, check_available

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any
    from zoneinfo import ZoneInfo

    from policy_engine.engine.run import EvaluationRun


def _format_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One option per format that a report folder has only when asked for it."""
    for name, text in reversed(OPTIONS.items()):
        command = output_option(f"--{name}", "formats", flag_value=name, multiple=True, help=text)(command)
    return command


@click.command(cls=GroupedCommand)
@HISTORY
@pack_option
@period_options
@annotation_options
@reading_options
@output_option("-o", "--output", default="report", show_default=True, metavar="DIR", help="Folder to write.")
@output_option("--show-urls", is_flag=True, help="Show full URLs in the HTML. Anyone with a URL can open the file.")
@_format_options
@output_option("--rescue", type=click.Choice(list(DOWNLOADERS)), help="Also write save_now for this downloader.")
@output_option("--tz", type=ZONE, metavar="ZONE", help="Also show times in this time zone (Europe/Berlin).")
@output_option(
    "--embed",
    type=click.IntRange(0, 1_000_000),
    default=20_000,
    show_default=True,
    metavar="N",
    help="Number of rows in the HTML page, most urgent first. The CSV files hold all rows.",
)
@fail_on_option
@takes_request
def report(
    request: RunRequest,
    output: str,
    embed: int,
    show_urls: bool,
    formats: tuple[str, ...],
    rescue: str | None,
    tz: ZoneInfo | None,
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
    with make_run(request) as run:
        with progress_of(run):
            written = write_report(
                run,
                Path(output),
                __version__,
                wanted=ReportOptions(show_urls, formats, rescue, tz, embed),
                before_publishing=lambda done: refuse_unusable(done, request.max_age),
            )
        show(render(written.model, str(written.folder / "report.html")))
        return _conclude(run, request)


@click.command(cls=GroupedCommand)
@HISTORY
@pack_option
@period_options
@annotation_options
@reading_options
@output_option(
    "-o", "--output", required=True, metavar="FILE", help="A .csv, .parquet or .jsonl file; - is CSV on stdout."
)
@fail_on_option
@takes_request
def evaluate(request: RunRequest, output: str) -> int:
    """
    Write the findings table alone.

    HISTORY: files, folders or globs of exports (JSON, JSON Lines, CSV, Parquet; .gz and .zst), or - for standard input.
    """
    from policy_engine.history.read_errors import reading
    from policy_engine.report.formats.findings import writer_for
    from policy_engine.report.notices import collect_warnings, page_totals

    make_writer = writer_for(output)
    check_file(output)
    with make_run(request) as run:
        with whole_file(output) as stream, progress_of(run, output):
            writer = make_writer(stream)
            for made in reading(run.sources, run.made(writer.make)):
                writer.write(made)
            writer.close()
            refuse_unusable(run, request.max_age)
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
        return _conclude(run, request)


@click.command(cls=GroupedCommand)
@click.argument("task_id")
@HISTORY
@pack_option
@period_options
@output_option("--show-urls", is_flag=True, help="Show full URLs. Anyone with a URL can open the file.")
@takes_request
def explain(request: RunRequest, task_id: str, show_urls: bool) -> int:
    """Explain in plain words why a task's files have the verdicts they have."""
    from policy_engine.explain import explain_task, render_explanation
    from policy_engine.history import unchanged
    from policy_engine.history.read_errors import while_reading

    with make_run(request) as run:
        with unchanged(run.sources), while_reading(run.sources):
            found = explain_task(run.sources, run.pack, run.options, task_id)
        show(render_explanation(found, show_urls=show_urls))
    return 0


COMMANDS = (report, evaluate, explain)


def _conclude(run: EvaluationRun, request: RunRequest) -> int:
    """The exit code; unless it is 0, the totals and every failure are printed last."""
    totals, code, failures = run.totals, 0, []
    for verdict in dict.fromkeys(request.fail_on):
        standing, all_of_them = totals.marks.standing.get(verdict, (0, 0))[0], totals.findings.verdict(verdict)[0]
        if standing:
            code = 1
            others = all_of_them - standing
            beside = f" (and {others:,} archived or exempted)" if others else ""
            failures.append(f"--fail-on {verdict}: {count_of(standing, 'asset')}{beside}")
    too_many = quarantine_failure(run, request.max_quarantine)
    if too_many is not None:
        code = 4
        failures.append(too_many)
    if failures:
        counts = ", ".join(f"{totals.findings.verdict(str(verdict))[0]:,} {verdict}" for verdict in VERDICTS)
        lines = [f"total {count_of(totals.findings.assets, 'asset')}: {counts}"]
        tell("\n".join([*lines, *(f"failed {failure}" for failure in failures)]))
    return code
