"""Turns a request into a run, and refuses histories and files that cannot carry an answer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from policy_engine.cli.output import tell
from policy_engine.cli.values import Allowance, clock, read_column_mapping
from policy_engine.core.files.drafts import scratch_folder
from policy_engine.core.periods import NAT, describe_duration, format_instant
from policy_engine.core.problems import InputUnusable, NothingToEvaluate, Problem, SourceSpan, UsageProblem
from policy_engine.core.safe_text import plain
from policy_engine.core.text.wording import count_of

if TYPE_CHECKING:
    from policy_engine.cli.run_request import RunRequest
    from policy_engine.core.rule_model import RulePack
    from policy_engine.engine.run import EvaluationRun
    from policy_engine.history import Source


@contextmanager
def make_run(request: RunRequest, pack: RulePack | None = None) -> Iterator[EvaluationRun]:
    """Find the sources, load the pack unless it is given, and prepare a run; nothing is read yet."""
    from policy_engine.annotations import read_annotator
    from policy_engine.authoring.loading import load_pack
    from policy_engine.engine.assets.maker import Period
    from policy_engine.engine.parallel.memory import Sizes, sizes_within
    from policy_engine.engine.run import EvaluationRun, RunOptions
    from policy_engine.history import find_sources

    limit, jobs = request.memory_limit, request.jobs
    sizes = Sizes() if limit is None else sizes_within(limit, jobs, request.embed)
    _check_scheduler(request)
    start, end = request.created_from, request.created_until
    if start is not None and end is not None and start >= end:
        raise UsageProblem(Problem(
            "empty-period", "--created-from is not before --created-until",
            help="the period starts at --created-from and ends before --created-until",
        ))  # fmt: skip
    mapping = read_column_mapping(request.columns)
    pack = pack or load_pack(request.pack)
    as_of = request.as_of if request.as_of is not None else clock()
    annotator = read_annotator(pack.catalog, as_of, request.archived, request.exemptions, request.house_rules)
    question = request.question(pack, as_of)
    with scratch_folder() as spool:
        found = find_sources(request.history, spool)
        for why in dict.fromkeys(why for _, why in found.skipped):
            _tell_skipped([name for name, reason in found.skipped if reason == why], why)
        sources = _without_own_output(found.sources, request)
        _warn_table_mapping(sources, mapping)
        options = RunOptions(
            question,
            Period(start, end),
            mapping,
            annotator=annotator,
            every=request.every,
            jobs=jobs,
            sizes=sizes,
            scratch=spool,
        )
        if request.scheduler is None:
            yield EvaluationRun(sources, pack, options)
        else:
            from policy_engine.engine.parallel.dask import open_cluster

            with open_cluster(request.scheduler, sources, jobs=jobs, folder=spool) as mapper:
                yield EvaluationRun(sources, pack, options, mapper)


def _check_scheduler(request: RunRequest) -> None:
    """Refuse what a cluster elsewhere cannot do; raises UsageProblem."""
    if request.scheduler in (None, "local"):
        return
    if "-" in request.history:
        raise UsageProblem(Problem(
            "no-shared-input", "the workers of a cluster cannot read the standard input of this command",
            help="save it as a file that all workers can read, and name that file",
        ))  # fmt: skip
    if request.jobs != 1:
        raise UsageProblem(Problem(
            "jobs-of-a-cluster", "--jobs counts processes of this machine, and the cluster has its own workers",
            help="remove --jobs, or use --scheduler local",
        ))  # fmt: skip


def _warn_table_mapping(sources: tuple[Source, ...], mapping: Mapping[str, str]) -> None:
    if mapping and not any(source.kind in ("csv", "parquet") for source in sources):
        tell("warning: --columns applies to tables, and the history has none")


def _without_own_output(sources: tuple[Source, ...], request: RunRequest) -> tuple[Source, ...]:
    """
    Leave out what this program wrote, since a second run over a folder must not judge the answers of the first, and
    the user's own files.

    Raises UsageProblem where the output was named as history, InputUnusable where nothing else is left.
    """
    from policy_engine.report.publishing import is_report

    output = None if request.output == "-" else request.output
    written = None if output is None else os.path.realpath(output)
    own_files = {os.path.realpath(file) for file in request.own_files}
    named = {os.path.realpath(argument) for argument in request.history}
    kept, skipped = [], []
    in_report = cache(is_report)
    for source in sources:
        path = os.path.realpath(source.path)
        is_output = written is not None and (path == written or path.startswith(written + os.sep))
        if is_output and path in named:
            raise UsageProblem(Problem(
                "output-is-input", f"`{plain(source.name)}` is part of the history and of the output `{plain(output)}`",
                help="name another output with -o",
            ))  # fmt: skip
        if path in own_files and path not in named:
            _tell_skipped([source.name], "given as an inventory, exemptions or house rules")
        elif is_output or (path not in named and in_report(Path(path).parent)):
            skipped.append(source.name)
        else:
            kept.append(source)
    _tell_skipped(skipped, "written by this program, so not part of the history")
    if sources and not kept:
        raise InputUnusable(Problem(
            "only-reports", "all files found belong to reports of this program", help="name the exports themselves"
        ))  # fmt: skip
    return tuple(kept)


def _tell_skipped(names: list[str], why: str) -> None:
    if names:
        shown = ", ".join(plain(name) for name in names[:3]) + (", \u2026" if len(names) > 3 else "")
        tell(f"skipped {count_of(len(names), 'file')} ({shown}): {why}")


def refuse_unusable(run: EvaluationRun, max_age: int | None) -> None:
    """Refuse to publish a result for a history that cannot support one."""
    totals, as_of = run.totals, run.options.question.as_of
    if not totals.seen.records:
        raise NothingToEvaluate(Problem(
            "no-records", "the history holds no record", help="is the export complete? an empty page has no tasks",
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
            f"of {totals.tasks.tasks:,} tasks {excluded[0]:,} are outside the period and {excluded[1]:,} were created "
            f"after as_of ({format_instant(as_of)}): none is left",
            help="check --as-of, --created-from and --created-until; is the year right?",
        ))  # fmt: skip
    _refuse_useless_inventory(run)
    if max_age is not None:
        newest = totals.tasks.newest
        if newest == NAT:
            raise InputUnusable(Problem("stale-history", "no record has a time, so --max-age cannot be checked"))
        if as_of - newest > max_age:
            raise InputUnusable(Problem(
                "stale-history",
                f"the newest record is of {format_instant(newest)}, {describe_duration(as_of - newest)} before as_of; "
                f"--max-age allows {describe_duration(max_age)}",
                help="is the export job still running?",
            ))  # fmt: skip


def _refuse_useless_inventory(run: EvaluationRun) -> None:
    """Refuse an inventory that marks nothing: it is the wrong file, or names its copies in an unknown way."""
    inventory, totals = run.options.annotator.inventory, run.totals
    if inventory is None or totals.marks.archived[0] or not totals.findings.assets:
        return
    left_out = inventory.empty + inventory.later + inventory.unreadable
    if left_out == inventory.entries:
        counts = (
            f"{inventory.empty:,} empty, {inventory.later:,} made after as_of, {inventory.unreadable:,} not readable"
        )
        first = f"; the first: {inventory.first_unreadable}" if inventory.first_unreadable else ""
        message, help_ = f"no entry of the inventory counts: {counts}{first}", "is this the right file?"
    else:
        message = (
            f"no entry of the inventory matches any of the {totals.findings.assets:,} files of the history; "
            f"an entry reads `{plain(inventory.example, 100)}`"
        )
        help_ = (
            "entries match by URL, by asset_id, by a name of 16 letters and digits or more, or by task_id if the task "
            "has one file; omit --archived as long as nothing is archived"
        )
    raise InputUnusable(Problem("inventory-fits-nothing", message, SourceSpan(inventory.name, 1), help=help_))


def quarantine_failure(run: EvaluationRun, allowance: Allowance | None) -> str | None:
    """What to print when more records are quarantined than allowed; None otherwise."""
    quarantined, records = len(run.totals.seen.quarantine), run.totals.seen.records
    if allowance is None or not allowance.is_exceeded(quarantined, records):
        return None
    return f"{quarantined:,} of {records:,} records were set aside; --max-quarantine allows {allowance.text}"
