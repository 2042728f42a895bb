"""Turns what a command was given into a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_engine.cli.marking import marker_files, refuse_useless_inventory
from policy_engine.cli.output import tell
from policy_engine.cli.values import clock, read_column_mapping
from policy_engine.core.files.drafts import scratch_folder
from policy_engine.core.periods import NAT, describe_duration, format_instant
from policy_engine.core.problems import InputUnusable, NothingToEvaluate, Problem, UsageProblem
from policy_engine.core.safe_text import plain
from policy_engine.core.text.wording import count_of

if TYPE_CHECKING:
    from policy_engine.core.rule_model import RulePack
    from policy_engine.engine.run import EvaluationRun
    from policy_engine.history import Source


@contextmanager
def make_run(
    history: tuple[str, ...], given: dict[str, Any], output: str | None = None, pack: RulePack | None = None
) -> Iterator[EvaluationRun]:
    """
    Find the sources, load the pack unless it is given, and prepare a run; nothing is read yet.

    `output` is never read, even if it lies among the sources.
    """
    from policy_engine.annotations import read_marker
    from policy_engine.authoring.loading import load_pack
    from policy_engine.engine.assets.maker import Period
    from policy_engine.engine.parallel.memory import Sizes, sizes_within
    from policy_engine.engine.question import Question
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
    from policy_engine.report.publishing import is_report

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
