"""The commands that judge a history: report, evaluate, explain."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from policy_engine.cli.marking import mark_options, marker_files, refuse_useless_inventory
from policy_engine.cli.output import check_file, show, tell, whole_file
from policy_engine.cli.progress import progress_of
from policy_engine.cli.values import (
    ALLOWANCE,
    DURATION,
    INSTANT,
    MEMORY,
    SCHEDULER,
    ZONE,
    Allowance,
    clock,
    read_column_mapping,
)
from policy_engine.core.files.drafts import scratch_folder
from policy_engine.core.files.system_errors import reading, while_reading
from policy_engine.core.periods import NAT, describe_duration, format_instant
from policy_engine.core.problems import (
    InputUnusable,
    NothingToEvaluate,
    Problem,
    UsageProblem,
    plain,
)
from policy_engine.core.text.wording import count_of
from policy_engine.core.vocabulary import VERDICTS

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from policy_engine.core.rule_model import RulePack
    from policy_engine.engine.run import EvaluationRun
    from policy_engine.history import Source

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


@click.command()
@HISTORY
@_question_options
@mark_options
@_gate_options
@click.option("-o", "--output", default="report", show_default=True, metavar="DIR", help="Folder to write.")
@click.option("--show-urls", is_flag=True, help="Show full URLs in the HTML; whoever has one can open the file.")
@click.option("--xlsx", is_flag=True, help="Write report.xlsx as well (needs the extra `xlsx`).")
@click.option("--markdown", is_flag=True, help="Write report.md as well, for chats, tickets and CI pages.")
@click.option("--rescue", type=click.Choice(["aria2"]), help="Write save_now as an input file for this downloader.")
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
    xlsx: bool,
    markdown: bool,
    rescue: str | None,
    tz: ZoneInfo | None,
    embed: int,
    **given: Any,
) -> int:
    """
    Write the state of all assets as a folder of HTML and CSV files, and print the totals.

    HISTORY: files, folders or globs of exports (JSON, JSON Lines, CSV, Parquet; .gz and .zst), or - for standard input.
    """
    from policy_engine import __version__
    from policy_engine.report.folder import Wanted, check_folder, write_report
    from policy_engine.report.formats.text import render_text
    from policy_engine.report.formats.workbook import check_workbook

    check_folder(Path(output))
    if xlsx:
        check_workbook()
    with make_run(history, given | {"embed": embed}, output) as run:
        with progress_of(run):
            written = write_report(
                run,
                Path(output),
                __version__,
                wanted=Wanted(show_urls, xlsx, markdown, rescue, tz, embed),
                before_publishing=lambda done: refuse_unusable(done, given["max_age"]),
            )
        show(render_text(written.model, str(written.folder / "report.html")))
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

    given |= {"jobs": 1, "memory_limit": None, "scheduler": None}
    with make_run(history, given) as run:
        with unchanged(run.sources), while_reading(run.sources):
            found = explain_task(run.sources, run.pack, run.options, task_id)
        show(render_explanation(found, show_urls=show_urls))
    return 0


COMMANDS = (report, evaluate, explain)


@contextmanager
def make_run(
    history: tuple[str, ...], given: dict[str, Any], output: str | None = None, pack: RulePack | None = None
) -> Iterator[EvaluationRun]:
    """
    Find the sources, load the pack unless it is given, and prepare a run; nothing is read yet.

    `output` is never read, even if it lies among the sources.
    """
    from policy_engine.annotations import read_marker
    from policy_engine.api import load_pack
    from policy_engine.engine.assets.maker import Period
    from policy_engine.engine.evaluation import Question
    from policy_engine.engine.parallel.memory import Sizes, sizes_within
    from policy_engine.engine.run import EvaluationRun, RunOptions
    from policy_engine.history import find_sources

    jobs, limit = given["jobs"], given["memory_limit"]
    sizes = Sizes() if limit is None else sizes_within(limit, jobs, given.get("embed"))
    _check_scheduler(given.get("scheduler"), history, given["jobs"])
    created_from, created_until = given["created_from"], given["created_until"]
    if created_from is not None and created_until is not None and created_from >= created_until:
        raise UsageProblem(Problem(
            "empty-period", "--created-from is not before --created-until",
            help="the period starts at the first and ends before the second",
        ))  # fmt: skip
    mapping = read_column_mapping(given["columns"])
    pack = pack or load_pack(given["pack"])
    as_of = given["as_of"] if given["as_of"] is not None else clock()
    horizon, operation_horizon, every = given["horizon"], given["operation_horizon"], given.get("every")
    marker = read_marker(
        pack.catalog, as_of, given.get("archived"), given.get("exemptions"), given.get("house_rules")
    )  # fmt: skip
    question = Question(
        as_of,
        # What falls due before the next run has to be seen by this one, with the lead time that saving takes.
        (pack.horizon if horizon is None else horizon) + (every or 0),
        pack.operation_horizon if operation_horizon is None else operation_horizon,
    )
    with scratch_folder() as spool:
        found = find_sources(history, spool)
        for why in dict.fromkeys(why for _, why in found.skipped):
            _tell_skipped([name for name, reason in found.skipped if reason == why], why)
        sources = _without_own_output(found.sources, history, output, marker_files(given))
        _warn_table_mapping(sources, mapping)
        options = RunOptions(
            question,
            Period(created_from, created_until),
            mapping,
            marker=marker,
            every=every,
            jobs=jobs,
            sizes=sizes,
            scratch=spool,
        )
        if given.get("scheduler") is None:
            yield EvaluationRun(sources, pack, options)
        else:
            from policy_engine.engine.parallel.dask import open_cluster

            with open_cluster(given["scheduler"], sources, jobs=jobs, folder=spool) as mapper:
                yield EvaluationRun(sources, pack, options, mapper)


def _check_scheduler(scheduler: str | None, history: tuple[str, ...], jobs: int) -> None:
    """Refuse what a cluster elsewhere cannot do; raises UsageProblem."""
    if scheduler in (None, "local"):
        return
    if "-" in history:
        raise UsageProblem(Problem(
            "no-shared-input", "the workers of a cluster cannot read the standard input of this command",
            help="save it as a file where all workers see it, and name that file",
        ))  # fmt: skip
    if jobs != 1:
        raise UsageProblem(Problem(
            "jobs-of-a-cluster", "--jobs counts processes of this machine, and the cluster has its own workers",
            help="leave --jobs out, or use --scheduler local",
        ))  # fmt: skip


def _warn_table_mapping(sources: tuple[Source, ...], mapping: Any) -> None:
    if mapping and not any(source.kind in ("csv", "parquet") for source in sources):
        tell("warning: --columns is about tables, and none was given")


def _without_own_output(
    sources: tuple[Source, ...], history: tuple[str, ...], output: str | None, beside: set[str]
) -> tuple[Source, ...]:
    """
    Leave out what this program wrote, since a second run over a folder must not judge the answers of the first, and
    the files that were named to be something else (`beside`).

    Raises UsageProblem where such a file was named itself, InputUnusable where nothing else is left.
    """
    from policy_engine.report.folder import is_report

    written = os.path.realpath(output) if output not in (None, "-") else None
    named = {os.path.realpath(argument) for argument in history}
    kept, skipped = [], []
    in_report = cache(is_report)
    for source in sources:
        path = os.path.realpath(source.path)
        is_output = written is not None and (path == written or path.startswith(written + os.sep))
        if is_output and path in named:
            raise UsageProblem(Problem(
                "output-is-input", f"`{plain(source.name)}` is part of the history and of the output `{plain(output)}`",
                help="name another place with -o",
            ))  # fmt: skip
        if path in beside and path not in named:
            _tell_skipped([source.name], "named as something else than history")
        elif is_output or (path not in named and in_report(Path(path).parent)):
            skipped.append(source.name)
        else:
            kept.append(source)
    _tell_skipped(skipped, "written by this program, and no part of the history")
    if sources and not kept:
        raise InputUnusable(Problem(
            "only-reports", "all that was found belongs to reports of this program", help="name the exports themselves"
        ))  # fmt: skip
    return tuple(kept)


def _tell_skipped(names: list[str], why: str) -> None:
    if names:
        shown = ", ".join(plain(name) for name in names[:3]) + (", \u2026" if len(names) > 3 else "")
        tell(f"skipped {count_of(len(names), 'file')} ({shown}): {why}")


def refuse_unusable(run: EvaluationRun, max_age: int | None) -> None:
    """Refuse to publish an answer to a history that cannot carry one."""
    totals, as_of = run.totals, run.options.question.as_of
    if not totals.seen.records:
        raise NothingToEvaluate(Problem(
            "no-records", "the history holds no record", help="is the export complete? an empty page is no answer",
        ))  # fmt: skip
    if not totals.tasks.tasks:
        first = run.quarantine().iloc[0]
        raise InputUnusable(Problem(
            "no-usable-record",
            f"none of the {totals.seen.records:,} records could be used; the first, {plain(first.source)}: "
            f"found {plain(first.found)}, expected {plain(first.expected)}",
            help="is this an export of tasks?",
        ))  # fmt: skip
    excluded = [totals.tasks.without_assets.get(reason, (0, 0))[0] for reason in ("outside_period", "not_yet_created")]
    if sum(excluded) == totals.tasks.tasks:
        raise NothingToEvaluate(Problem(
            "no-task-asked-about",
            f"of {totals.tasks.tasks:,} tasks {excluded[0]:,} lie outside the period and {excluded[1]:,} were created "
            f"after as_of ({format_instant(as_of)}): none is left",
            help="look at --as-of, --created-from and --created-until; is the year right?",
        ))  # fmt: skip
    refuse_useless_inventory(run)
    if max_age is not None:
        newest = totals.tasks.newest
        if newest == NAT:
            raise InputUnusable(Problem("stale-history", "no record carries a time, so --max-age cannot be checked"))
        if as_of - newest > max_age:
            raise InputUnusable(Problem(
                "stale-history",
                f"the newest record is of {format_instant(newest)}, {describe_duration(as_of - newest)} before as_of; "
                f"--max-age allows {describe_duration(max_age)}",
                help="is the export job still running?",
            ))  # fmt: skip


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
