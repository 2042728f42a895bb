"""Turns sources and a rule pack into chunks of findings and totals that tie: every record is read, merged, judged."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Protocol

import numpy as np
import pandas as pd

from policy_engine.assets import AssetMaker, Period, TaskTotals, place
from policy_engine.columns import QUARANTINE_COLUMNS, VERDICTS
from policy_engine.evaluation import Evaluator, Question
from policy_engine.history import (
    Batch,
    HistoryReader,
    Seen,
    Source,
    Unit,
    checksums,
    find_duplicates,
    merge_records,
    plan_units,
)
from policy_engine.model import RulePack
from policy_engine.problems import Problem, TotalsMismatch
from policy_engine.totals import FindingTotals, count_findings

_MERGED_CHUNK = 20_000


@dataclass
class Totals:
    """All control totals of a run; `add` makes those of two parts, `check` refuses what does not tie."""

    seen: Seen = field(default_factory=Seen)
    tasks: TaskTotals = field(default_factory=TaskTotals)
    findings: FindingTotals = field(default_factory=FindingTotals)
    merged: int = 0
    """Records that were merged into another record of their task."""

    def add(self, other: Totals) -> None:
        """Add the totals of another part."""
        self.seen.add(other.seen)
        self.tasks.add(other.tasks)
        self.findings.add(other.findings)
        self.merged += other.merged

    def check(self) -> None:
        """Raise TotalsMismatch when any control total does not tie."""
        seen, tasks, findings = self.seen, self.tasks, self.findings
        without = sum(count for count, _ in tasks.without_assets.values())
        without_points = sum(points for _, points in tasks.without_assets.values())
        verdicts = [findings.verdict(str(verdict)) for verdict in VERDICTS]
        ties = (
            (
                "records read = tasks + merged + quarantined",
                seen.records,
                tasks.tasks + self.merged + len(seen.quarantine),
            ),
            ("tasks = with assets + without", tasks.tasks, tasks.with_assets + without),
            ("assets = the six verdicts", findings.assets, sum(assets for assets, _ in verdicts)),
            ("assets = operation verdicts", findings.assets, sum(findings.windows.values())),
            ("points of assets = the six verdicts", findings.points, sum(points for _, points in verdicts)),
            ("points = verdicts + tasks without assets", tasks.points, findings.points + without_points),
        )
        broken = [f"{law}: {left} is not {right}" for law, left, right in ties if left != right]
        if broken:
            raise TotalsMismatch([
                Problem("totals-mismatch", text, help="this is a defect of the program: report it with the input")
                for text in broken
            ])  # fmt: skip


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked, beside its inputs and rules."""

    question: Question
    period: Period = field(default_factory=Period)
    columns: Mapping[str, str] = field(default_factory=dict)
    """Documented column name -> the table's own."""
    known_on: date | None = None
    jobs: int = 1
    """Processes that read and judge; the results do not depend on it."""


class Mapper(Protocol):
    """Carries out a step of a run for each unit, wherever that may be: in other processes, on other machines."""

    def map(self, step: Callable[[_Work, Unit], Any], work: _Work, units: Sequence[Unit], /) -> Iterator[Any]:
        """Yield `step(work, unit)` in the order of the units; few results may exist at a time."""
        ...


class EvaluationRun:
    """
    The findings of a history: iterate `chunks` once, then read `totals`.

    Tasks whose records stand in one place come in the order of the input; those merged from several records
    follow, ordered by service and task id. Memory is bounded by the chunk and by the records that need merging.
    """

    def __init__(
        self, sources: Iterable[Source], pack: RulePack, options: RunOptions, mapper: Mapper | None = None
    ) -> None:
        """Nothing is read before `chunks` is; with a `mapper`, it decides where, and `options.jobs` does not count."""
        self.sources = tuple(sources)
        self.pack = pack
        self.options = options
        self.mapper = mapper
        self.totals = Totals()
        self._reader = HistoryReader(self.sources, pack.catalog, options.columns)

    def chunks(self) -> Iterator[pd.DataFrame]:
        """Yield frames of findings; after the last one `totals` is complete and has been checked."""
        with _patient_collector():
            yield from self._frames(_Work(self._reader, self.pack, self.sources, self.options))
        self.totals.check()

    def asset_chunks(self) -> Iterator[pd.DataFrame]:
        """Yield frames of assets that nobody has judged yet; the totals then hold no findings."""
        work = _Work(self._reader, self.pack, self.sources, self.options)
        work.assets_only = True
        yield from self._frames(work)

    def _frames(self, work: _Work) -> Iterator[pd.DataFrame]:
        units = plan_units(self.sources)
        if self.mapper is not None:
            units, work.duplicates = _prepare(units, list(self.mapper.map(_read_keys, work, units)))
            results = self.mapper.map(_read_parts, work, units)
            yield from self._collect((part for result in results for part in result), work)
        elif self.options.jobs > 1 and len(units) > 1:
            yield from self._parallel(units, work)
        else:
            units, work.duplicates = _prepare(units, [self._reader.keys(unit) for unit in units])
            yield from self._collect((part for unit in units for part in work.parts(unit)), work)

    def _parallel(self, units: list[Unit], work: _Work) -> Iterator[pd.DataFrame]:
        context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
        with context.Pool(self.options.jobs, _start_worker, (work,)) as pool:
            units, work.duplicates = _prepare(units, list(pool.imap(_worker_keys, units)))
        with context.Pool(self.options.jobs, _start_worker, (work,)) as pool:
            parts = (part for result in pool.imap(_worker_parts, units) for part in result)
            yield from self._collect(parts, work)

    def _collect(self, parts: Iterable[_Part], work: _Work) -> Iterator[pd.DataFrame]:
        waiting: list[Batch] = []
        for part in parts:
            self.totals.add(part.totals)
            if part.waiting is not None:
                waiting.append(part.waiting)
            if len(part.findings):
                yield part.findings
        if waiting:
            merged, away = merge_records(waiting, self._reader.names)
            self.totals.merged += away
            for start in range(0, len(merged), _MERGED_CHUNK):
                part = work.judge(merged.take(range(start, min(start + _MERGED_CHUNK, len(merged)))), Seen())
                self.totals.add(part.totals)
                if len(part.findings):
                    yield part.findings

    def quarantine(self) -> pd.DataFrame:
        """Records set aside, one row each, in the order of the input; columns as in columns.QUARANTINE_COLUMNS."""
        ordered = sorted(self.totals.seen.quarantine, key=lambda one: (one.file, one.line, one.item, one.reason))
        rows = [
            (place(self.sources[one.file].name, one.line, one.item), one.reason, one.found, one.expected)
            for one in ordered
        ]
        return pd.DataFrame(rows, columns=list(QUARANTINE_COLUMNS), dtype="str")


@dataclass(frozen=True)
class _Part:
    findings: pd.DataFrame
    totals: Totals
    waiting: Batch | None
    """Records whose task id occurs again somewhere, to be merged when all is read."""


class _Work:
    """What one process needs to read and judge units; the same object serves one process and many."""

    def __init__(self, reader: HistoryReader, pack: RulePack, sources: tuple[Source, ...], options: RunOptions) -> None:
        self.reader = reader
        self.duplicates: np.ndarray[Any, np.dtype[np.uint64]] = np.empty(0, np.uint64)
        self.assets_only = False
        self._evaluator = Evaluator(pack, options.question, options.known_on)
        self._maker = AssetMaker(pack, sources, options.question.as_of, options.period)
        self._as_of = options.question.as_of

    def parts(self, unit: Unit) -> Iterator[_Part]:
        for batch, seen in self.reader.batches(unit):
            waiting = None
            if len(self.duplicates) and len(batch):
                again = np.isin(checksums(batch), self.duplicates)
                if again.any():
                    waiting = batch.take(np.flatnonzero(again).tolist())
                    batch = batch.take(np.flatnonzero(~again).tolist())
            yield replace(self.judge(batch, seen), waiting=waiting)

    def judge(self, tasks: Batch, seen: Seen) -> _Part:
        assets, task_totals = self._maker.make(tasks)
        if self.assets_only:
            return _Part(assets, Totals(seen, task_totals), None)
        findings = self._evaluator.judge_chunk(assets)
        return _Part(findings, Totals(seen, task_totals, count_findings(findings, self._as_of)), None)


@contextmanager
def _patient_collector() -> Iterator[None]:
    """
    Let Python look for reference cycles more rarely while a run lasts; the caller's setting comes back.

    Decoded outputs are many small containers without cycles, and looking through them costs as much as reading.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], 200_000) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _prepare(units: list[Unit], keys: list[tuple[Any, int]]) -> tuple[list[Unit], Any]:
    """Give each unit the number of its first line, and find the task ids that occur more than once."""
    numbered = []
    line = 1
    for unit, (_, lines) in zip(units, keys, strict=True):
        line = line if unit.start else 1
        numbered.append(replace(unit, first_line=line))
        line += lines
    return numbered, find_duplicates([found for found, _ in keys])


def _read_keys(work: _Work, unit: Unit) -> tuple[Any, int]:
    return work.reader.keys(unit)


def _read_parts(work: _Work, unit: Unit) -> list[_Part]:
    with _patient_collector():
        return list(work.parts(unit))


_WORK: _Work | None = None


def _start_worker(work: _Work) -> None:
    global _WORK
    _WORK = work


def _worker_keys(unit: Unit) -> tuple[Any, int]:
    if _WORK is None:
        raise RuntimeError("the worker was not started")
    return _WORK.reader.keys(unit)


def _worker_parts(unit: Unit) -> list[_Part]:
    if _WORK is None:
        raise RuntimeError("the worker was not started")
    return list(_WORK.parts(unit))
