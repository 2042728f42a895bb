"""The commands that judge a history: report, evaluate, explain."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from policy_engine.cli.output import check_file, show, whole_file
from policy_engine.cli.values import ALLOWANCE, DURATION, INSTANT, SCHEDULER, Allowance, clock, read_column_mapping
from policy_engine.columns import VERDICTS
from policy_engine.periods import NAT, describe_duration, format_instant
from policy_engine.problems import (
    InputUnusable,
    NothingToEvaluate,
    Problem,
    UsageProblem,
    plain,
)
from policy_engine.words import count_of

if TYPE_CHECKING:
    from policy_engine.history import Source
    from policy_engine.runs import EvaluationRun, Totals

_HISTORY = click.argument("history", nargs=-1, required=True, metavar="HISTORY...")
_PACK = click.option(
    "--pack", default="piapi", show_default=True, metavar="PACK", help="Bundled rule pack, or a folder."
)


def _question_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options shared by all commands that judge a history."""
    for option in reversed((
        _PACK,
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
    for option in reversed((
        click.option("--fail-on", multiple=True, type=click.Choice([str(one) for one in VERDICTS]),
                     help="Exit with 1 when there are assets of this verdict (repeatable)."),
        click.option("--max-quarantine", type=ALLOWANCE, metavar="N|N%",
                     help="Exit with 4 when more records than this had to be set aside."),
        click.option("--max-age", type=DURATION, help="Refuse a history whose newest record is older (PT26H)."),
        click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, metavar="N",
                     help="Processes to read and judge with; the answers do not depend on it."),
        click.option("--scheduler", type=SCHEDULER, metavar="local|ADDRESS",
                     help="Work on Dask: with --jobs processes of this machine, or on the cluster at tcp://HOST:PORT."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.command()
@_HISTORY
@_question_options
@_gate_options
@click.option("-o", "--output", default="report", show_default=True, metavar="DIR", help="Folder to write.")
@click.option("--show-urls", is_flag=True, help="Show full URLs in the HTML; whoever has one can open the file.")
def report(history: tuple[str, ...], output: str, show_urls: bool, **given: Any) -> int:
    """
    Write the state of all assets as a folder of HTML and CSV files, and print the totals.

    HISTORY: files, folders or globs of exports (JSON, JSON Lines, CSV, Parquet; .gz and .zst), or - for standard input.
    """
    from policy_engine import __version__
    from policy_engine.render.text import render_text
    from policy_engine.report_folder import check_folder, write_report

    check_folder(Path(output))
    with _make_run(history, given, output) as run:
        written = write_report(
            run,
            Path(output),
            __version__,
            show_urls=show_urls,
            before_publishing=lambda done: _refuse_unusable(done, given["max_age"]),
        )
        show(render_text(written.model, str(written.folder / "report.html")))
        return _exit_code(run.totals, given["fail_on"], given["max_quarantine"])


@click.command()
@_HISTORY
@_question_options
@_gate_options
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="findings.csv, .parquet or .jsonl; - is CSV on stdout."
)
def evaluate(history: tuple[str, ...], output: str, **given: Any) -> int:
    """
    Write the findings table alone.

    HISTORY: files, folders or globs of exports (JSON, JSON Lines, CSV, Parquet; .gz and .zst), or - for standard input.
    """
    from policy_engine.notices import collect_warnings, page_totals
    from policy_engine.render.tables import writer_for

    make_writer = writer_for(output)
    check_file(output)
    with _make_run(history, given, output) as run:
        with whole_file(output) as stream:
            writer = make_writer(stream)
            for findings in run.chunks():
                writer.write(findings)
            writer.close()
            _refuse_unusable(run, given["max_age"])
        totals = run.totals
        counts = ", ".join(f"{totals.findings.verdict(str(verdict))[0]:,} {verdict}" for verdict in VERDICTS)
        click.echo(
            f"{totals.seen.records:,} records = {totals.tasks.tasks:,} tasks + {totals.merged:,} merged"
            f" + {len(totals.seen.quarantine):,} quarantined; {totals.findings.assets:,} assets: {counts}",
            err=True,
        )
        for notice in collect_warnings(run.pack, run.options, totals, page_totals(totals.seen.pages, run.sources)):
            click.echo(f"warning: {plain(notice.text, 1000)}", err=True)
        for row in run.quarantine().head(3).itertuples(index=False):
            found = f"found {plain(row.found)}, expected {plain(row.expected)}"
            click.echo(f"{plain(row.source)}: quarantined [{row.reason}]: {found}", err=True)
        return _exit_code(totals, given["fail_on"], given["max_quarantine"])


@click.command()
@click.argument("task_id")
@_HISTORY
@_question_options
@click.option("--show-urls", is_flag=True, help="Show full URLs; whoever has one can open the file.")
def explain(task_id: str, history: tuple[str, ...], show_urls: bool, **given: Any) -> int:
    """Say in plain words why a task's files have the verdict they have."""
    from policy_engine.explain import explain_task, render_explanation

    given |= {"jobs": 1, "scheduler": None}
    with _make_run(history, given) as run:
        found = explain_task(run.sources, run.pack, run.options, task_id)
        show(render_explanation(found, show_urls=show_urls))
    return 0


COMMANDS = (report, evaluate, explain)


@contextmanager
def _make_run(history: tuple[str, ...], given: dict[str, Any], output: str | None = None) -> Iterator[EvaluationRun]:
    """Load the pack, find the sources, and prepare a run; nothing is read yet, and `output` never will be."""
    from policy_engine.api import load_pack
    from policy_engine.assets import Period
    from policy_engine.evaluation import Question
    from policy_engine.history import find_sources
    from policy_engine.runs import EvaluationRun, RunOptions

    _check_scheduler(given["scheduler"], history, given["jobs"])
    created_from, created_until = given["created_from"], given["created_until"]
    if created_from is not None and created_until is not None and created_from >= created_until:
        raise UsageProblem(Problem(
            "empty-period", "--created-from is not before --created-until",
            help="the period starts at the first and ends before the second",
        ))  # fmt: skip
    mapping = read_column_mapping(given["columns"])
    pack = load_pack(given["pack"])
    as_of = given["as_of"] if given["as_of"] is not None else clock()
    horizon, operation_horizon = given["horizon"], given["operation_horizon"]
    question = Question(
        as_of,
        pack.horizon if horizon is None else horizon,
        pack.operation_horizon if operation_horizon is None else operation_horizon,
    )
    with tempfile.TemporaryDirectory(prefix="policy-engine-") as spool:
        found = find_sources(history, Path(spool))
        for why in dict.fromkeys(why for _, why in found.skipped):
            _tell_skipped([name for name, reason in found.skipped if reason == why], why)
        sources = _without_own_output(found.sources, history, output)
        _warn_table_mapping(sources, mapping)
        options = RunOptions(question, Period(created_from, created_until), mapping, jobs=given["jobs"])
        if given["scheduler"] is None:
            yield EvaluationRun(sources, pack, options)
        else:
            from policy_engine.distributed import open_cluster

            with open_cluster(given["scheduler"], sources, jobs=given["jobs"], folder=spool) as mapper:
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
        click.echo("warning: --columns is about tables, and none was given", err=True)


def _without_own_output(
    sources: tuple[Source, ...], history: tuple[str, ...], output: str | None
) -> tuple[Source, ...]:
    """
    Leave out what this program wrote: a second run over a folder must not judge the answers of the first.

    Raises UsageProblem where such a file was named itself, InputUnusable where nothing else is left.
    """
    from policy_engine.report_folder import is_report

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
        if is_output or (path not in named and in_report(Path(path).parent)):
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
        click.echo(f"skipped {count_of(len(names), 'file')} ({shown}): {why}", err=True)


def _refuse_unusable(run: EvaluationRun, max_age: int | None) -> None:
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


def _exit_code(totals: Totals, fail_on: tuple[str, ...], allowance: Allowance | None) -> int:
    set_aside, records = len(totals.seen.quarantine), totals.seen.records
    if allowance is not None and allowance.is_exceeded(set_aside, records):
        click.echo(
            f"{set_aside:,} of {records:,} records were set aside; --max-quarantine allows {allowance.text}", err=True
        )
        return 4
    named = [verdict for verdict in dict.fromkeys(fail_on) if totals.findings.verdict(verdict)[0]]
    for verdict in named:
        click.echo(f"--fail-on {verdict}: {count_of(totals.findings.verdict(verdict)[0], 'asset')}", err=True)
    return 1 if named else 0
