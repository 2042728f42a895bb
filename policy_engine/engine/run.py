"""Turns sources and a rule pack into chunks of findings and totals that tie: each record is read, merged, judged."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import pandas as pd

from policy_engine.annotations import Annotator
from policy_engine.core.files.scratch import Scratch
from policy_engine.core.frames import Bool, UInt64
from policy_engine.core.rule_model import RulePack
from policy_engine.core.vocabulary import QUARANTINE_COLUMNS
from policy_engine.engine.assets.maker import AssetMaker, Period, location
from policy_engine.engine.control_totals import Totals
from policy_engine.engine.evaluation import Evaluator
from policy_engine.engine.finding_totals import count_findings
from policy_engine.engine.parallel.memory import Sizes
from policy_engine.engine.parallel.workers import start_workers
from policy_engine.engine.question import Question
from policy_engine.history import Batch, HistoryReader, Partition, ReadTotals, Source, merge_records, unchanged
from policy_engine.history.merging.adjacent_rows import merge_neighbours
from policy_engine.history.merging.repeated_keys import RepeatedKeys
from policy_engine.history.merging.spill import SpillBuffer
from policy_engine.history.partitions import plan_units
from policy_engine.history.reader import checksums

T = TypeVar("T")
PartitionKeys = tuple[UInt64, int]
"""Checksums of the task ids of a unit, and the number of its lines."""


@dataclass(frozen=True)
class RunOptions:
    """What is asked of a run, beside its inputs and rules."""

    question: Question
    period: Period = field(default_factory=Period)
    columns: Mapping[str, str] = field(default_factory=dict)
    """Documented column name -> the table's own."""
    known_on: date | None = None
    annotator: Annotator = field(default_factory=Annotator)
    """What the user brings beside the history: inventory, exemptions, house rules."""
    every: int | None = None
    """Interval between runs, ns; the horizon of the question includes it already."""
    jobs: int = 1
    """Processes that read and judge; the results do not depend on it."""
    sizes: Sizes = field(default_factory=Sizes)
    """How much is held in memory at a time; the results do not depend on it."""
    scratch: Path | None = None
    """Folder for what does not fit into memory; None: the system's folder for temporary files."""


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    stage: Literal["looking", "judging", "merging"]
    """Searching task ids that occur more than once, judging records, merging those that waited for others."""
    done: int
    """Bytes of the input; records while merging."""
    total: int
    records: int
    """Records done in this stage."""


class Mapper(Protocol):
    """Runs a step for each unit somewhere else: in other processes, or on other machines."""

    def map(
        self, step: Callable[[_Work, Partition], Iterator[Any]], work: _Work, units: Sequence[Partition], /
    ) -> Iterator[Iterator[Any]]:
        """The results of `step(work, unit)` for each unit, in order; read them one by one, since few exist at once."""
        ...


class EvaluationRun:
    """
    The findings of a history: iterate `chunks` once, then read `totals`.

    Tasks with one record, or with adjacent rows of one table, come in the order of the input; tasks merged from
    several records come last, ordered by task id and service. Memory is bounded by the sizes of the options, whatever
    the history holds: records that must wait for others and do not fit wait on disk.
    """

    def __init__(
        self, sources: Iterable[Source], pack: RulePack, options: RunOptions, mapper: Mapper | None = None
    ) -> None:
        """Nothing is read before `chunks` is; a `mapper` decides where work is done, and `options.jobs` is ignored."""
        self.sources = tuple(sources)
        self.pack = pack
        self.options = options
        self.mapper = mapper
        self.totals = Totals()
        self.watch: Callable[[Progress], None] | None = None
        """Receives the progress, if anybody wants it."""
        self._reader = HistoryReader(self.sources, pack.catalog, options.columns, options.sizes.records)

    def chunks(self) -> Iterator[pd.DataFrame]:
        """Yield frames of findings; after the last one `totals` is complete and has been checked."""
        return self.made(_as_it_is)

    def made(self, make: Callable[[pd.DataFrame], T]) -> Iterator[T]:
        """
        Yield what `make` makes of each frame of findings, instead of the frame; frames without rows are left out.

        The process that has judged a frame calls it: a copy of `make` sees only some of the frames, in order.
        """
        with _patient_collector():
            yield from self._results(self._work(make))
        self.totals.check()

    def asset_chunks(self) -> Iterator[pd.DataFrame]:
        """Yield frames of assets that are not judged; the totals then hold no findings."""
        yield from self._results(self._work(None))

    def _work(self, make: Callable[[pd.DataFrame], Any] | None) -> _Work:
        pack, options, question = self.pack, self.options, self.options.question
        return _Work(
            self._reader,
            AssetMaker(pack, self.sources, question.as_of, options.period),
            Evaluator(pack, question, options.known_on),
            options.annotator.at(question.as_of, question.horizon, pack.longest_task, options.known_on),
            make,
        )

    def _results(self, work: _Work) -> Iterator[Any]:
        with unchanged(self.sources), Scratch(self.options.scratch) as scratch:
            units = plan_units(self.sources, self.options.sizes.unit)
            if self.mapper is not None:
                read = self._read_elsewhere
            else:
                read = self._read_in_workers if self.options.jobs > 1 and len(units) > 1 else self._read_here
            with closing(read(units, work, scratch)) as parts:
                yield from self._collect(parts, work, scratch)

    def _read_here(self, units: list[Partition], work: _Work, scratch: Scratch) -> Generator[_Part, None, None]:
        plan = self._plan(units, (work.keys(unit) for unit in units), work, scratch)
        work = work.with_duplicates(plan.duplicates)
        yield from self._watched(plan, (work.parts(unit) for unit in plan.units))

    def _read_in_workers(self, units: list[Partition], work: _Work, scratch: Scratch) -> Generator[_Part, None, None]:
        with start_workers(self.options.jobs, work, scratch) as workers:
            keys = (next(found)[0] for found in workers.map(_keys_of, units))
            plan = self._plan(units, keys, work, scratch)
        # New processes, since the first ones do not know which task ids repeat.
        with start_workers(self.options.jobs, work.with_duplicates(plan.duplicates), scratch) as workers:
            yield from self._watched(plan, workers.map(_parts_of, plan.units))

    def _read_elsewhere(self, units: list[Partition], work: _Work, scratch: Scratch) -> Generator[_Part, None, None]:
        assert self.mapper is not None
        keys = (next(found)[0] for found in self.mapper.map(_keys_of, work, units))
        plan = self._plan(units, keys, work, scratch)
        work = work.with_duplicates(plan.duplicates)
        yield from self._watched(plan, self.mapper.map(_parts_of, work, plan.units))

    def _plan(
        self, units: list[Partition], keys: Iterable[PartitionKeys | None], work: _Work, scratch: Scratch
    ) -> _Plan:
        """Read the keys of all units, and plan how the units are judged."""

        def watched() -> Iterator[PartitionKeys | None]:
            done, records, total = 0, 0, sum(unit.size for unit in units)
            self._report("looking", done, total, records)
            for unit, found in zip(units, keys, strict=True):
                done += unit.size
                records += _records_of(found) if found is not None else 0
                self._report("looking", done, total, records)
                yield found

        return _prepare(units, watched(), RepeatedKeys(scratch, self.options.sizes.keys), work.keys)

    def _watched(self, plan: _Plan, results: Iterable[Iterable[_Part]]) -> Iterator[_Part]:
        done, records, total = 0, 0, sum(unit.size for unit in plan.units)
        for unit, count, parts in zip(plan.units, plan.records, results, strict=True):
            of_unit = 0
            for part in parts:
                yield part
                of_unit += part.totals.seen.records
                share = min(1.0, of_unit / count) if count else 0.0
                self._report("judging", done + int(share * unit.size), total, records + of_unit)
            done, records = done + unit.size, records + of_unit
            self._report("judging", done, total, records)

    def _report(self, stage: Literal["looking", "judging", "merging"], done: int, total: int, records: int) -> None:
        if self.watch is not None:
            self.watch(Progress(stage, done, total, records))

    def _collect(self, parts: Iterable[_Part], work: _Work, scratch: Scratch) -> Iterator[Any]:
        with closing(SpillBuffer(scratch, self.options.sizes.waiting)) as waiting:
            for part in parts:
                self.totals.add(part.totals)
                if part.waiting is not None:
                    waiting.add(part.waiting)
                if part.made is not None:
                    yield part.made
            done = 0
            for records in waiting.groups(self.options.sizes.merged):
                merged, away = merge_records([records], self._reader.names)
                part = work.judge(merged, ReadTotals())
                self.totals.add(part.totals)
                self.totals.merged += away
                if part.made is not None:
                    yield part.made
                done += len(records)
                self._report("merging", done, len(waiting), done)

    def quarantine(self) -> pd.DataFrame:
        """Quarantined records, one row each, in the order of the input; its columns are QUARANTINE_COLUMNS."""
        ordered = sorted(self.totals.seen.quarantine, key=lambda row: (row.file, row.line, row.item, row.reason))
        rows = [
            (location(self.sources[row.file].name, row.line, row.item), row.reason, row.found, row.expected)
            for row in ordered
        ]
        return pd.DataFrame(rows, columns=list(QUARANTINE_COLUMNS), dtype="str")


@dataclass(frozen=True)
class _Part:
    made: Any
    """What was made of the findings; None where there are none."""
    totals: Totals
    waiting: Batch | None
    """Records whose task id occurs again, to be merged when all is read."""


@dataclass(frozen=True)
class _Plan:
    """How the units of a run are judged."""

    units: list[Partition]
    """Each with the number of its first line."""
    records: list[int]
    """About how many records each unit holds."""
    duplicates: UInt64
    """Checksums of task ids that occur more than once, ascending."""


@dataclass(frozen=True, eq=False)
class _Work:
    """What one process needs to read and judge units; the same object serves one process and many."""

    reader: HistoryReader
    maker: AssetMaker
    evaluator: Evaluator
    annotator: Annotator
    make: Callable[[pd.DataFrame], Any] | None = None
    """What is made of a frame of findings; None: nothing is judged, and frames of assets are the result."""
    duplicates: UInt64 = field(default_factory=lambda: np.empty(0, np.uint64))
    """Checksums of task ids that occur more than once, ascending."""

    def with_duplicates(self, keys: UInt64) -> _Work:
        """The same work, which sets records of these task ids aside until all are read."""
        return replace(self, duplicates=keys)

    def keys(self, unit: Partition) -> PartitionKeys | None:
        return self.reader.keys(unit)

    def parts(self, unit: Partition) -> Iterator[_Part]:
        for batch, seen in self.reader.batches(unit):
            waiting = None
            if len(self.duplicates) and len(batch):
                again = _are_in(checksums(batch), self.duplicates)
                if again.any():
                    waiting = batch.take(np.flatnonzero(again).tolist())
                    batch = batch.take(np.flatnonzero(~again).tolist())
            away = 0
            if self.reader.is_table(unit):
                batch, away = merge_neighbours(batch, self.reader.names)
            part = self.judge(batch, seen)
            part.totals.merged = away
            yield replace(part, waiting=waiting)

    def judge(self, tasks: Batch, seen: ReadTotals) -> _Part:
        assets, task_totals = self.maker.make(tasks)
        if self.make is None:
            return _Part(assets if len(assets) else None, Totals(seen, task_totals), None)
        findings, marks = self.annotator.mark(self.evaluator.judge_chunk(assets))
        totals = Totals(seen, task_totals, count_findings(findings, self.annotator.as_of), marks)
        return _Part(self.make(findings) if len(findings) else None, totals, None)


def _as_it_is(findings: pd.DataFrame) -> pd.DataFrame:
    return findings


@contextmanager
def _patient_collector() -> Iterator[None]:
    """
    Make Python search for reference cycles less often while a run lasts; the caller's setting is restored.

    Decoded outputs are many small containers without cycles, and searching them costs as much as reading.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], 200_000) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _prepare(
    units: Sequence[Partition],
    keys: Iterable[PartitionKeys | None],
    store: RepeatedKeys,
    again: Callable[[Partition], PartitionKeys | None],
) -> _Plan:
    """
    Give each unit the number of its first line, count its records, and find the task ids that occur more than once.

    A file with a unit that cannot be read on its own becomes one unit; `again` gives its keys.
    """
    numbered: list[Partition] = []
    counts: list[int] = []
    for file, group in itertools.groupby(zip(units, keys, strict=True), key=lambda pair: pair[0].file):
        mark, size, line = store.count, 0, 1
        of_file: list[tuple[Partition, int]] | None = []
        for unit, found in group:
            size += unit.size
            if found is None:
                of_file = None
            elif of_file is not None:
                store.add(found[0])
                of_file.append((replace(unit, first_line=line), _records_of(found)))
                line += found[1]
        if of_file is None:
            store.forget_from(mark)
            whole = Partition(file, size=size)
            found = again(whole)
            assert found is not None, "a whole file can be read on its own"
            store.add(found[0])
            of_file = [(whole, _records_of(found))]
        numbered += [unit for unit, _ in of_file]
        counts += [count for _, count in of_file]
    return _Plan(numbered, counts, store.repeated())


def _records_of(found: PartitionKeys) -> int:
    """About how many records a unit holds: a JSON line may hold many, and rows of a table may share a checksum."""
    keys, lines = found
    return max(len(keys), lines)


def _are_in(keys: UInt64, known: UInt64) -> Bool:
    """Which keys are among the known ones, which are sorted: cheap for a batch however many are known."""
    positions = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(known[positions] == keys)


def _keys_of(work: _Work, unit: Partition) -> Iterator[tuple[PartitionKeys | None]]:
    # In a tuple, since None on its own ends the results of a worker.
    yield (work.keys(unit),)


def _parts_of(work: _Work, unit: Partition) -> Iterator[_Part]:
    # Set again, since a process of a cluster does not have the setting.
    with _patient_collector():
        yield from work.parts(unit)
