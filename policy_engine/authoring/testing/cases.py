"""Runs the cases of a rule pack, and reports answers that differ from the expected ones as problems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from policy_engine.core.periods import MAX_INSTANT, format_instant
from policy_engine.core.problems import NothingToEvaluate, Problem, SourceSpan
from policy_engine.core.rule_model import RulePack
from policy_engine.core.safe_text import plain
from policy_engine.engine.assets.maker import AssetMaker
from policy_engine.engine.evaluation import Evaluator, RowQuestions
from policy_engine.engine.question import Question
from policy_engine.history import Batch, ServiceNames, Source, merge_records
from policy_engine.history.records.batch import join
from policy_engine.history.records.record_reader import QuarantinedRecord, RecordReader
from policy_engine.packs.cases import Case, CaseFiles, Expectation, is_table_row, read_cases
from policy_engine.packs.loading import BUNDLED

_COLUMNS = {
    "rule": "rule_id",
    "version": "rule_version",
    "reasons": "reason",
    "operation_rule": "operation_rule_id",
}
"""Field of a case -> column of findings, if the names differ."""
_LISTS = ("reasons", "operations")
"""Fields of a case that are lists in any order; their columns are text joined by `;`."""
_READ = (
    "asset_id", "verdict", "possibly_past", "reason", "rule_id", "rule_version", "basis", "storage", "account",
    "evidence", "expires_earliest", "expires_latest", "operations", "operation_verdict", "operation_rule_id",
    "operation_rule_version", "operation_closes_earliest", "operation_closes_latest",
)  # fmt: skip
"""Columns of findings that cases can state and that coverage reads."""


@dataclass(frozen=True)
class CaseFailure:
    """A case whose answer is not the expected one."""

    case: str
    """Name of the case."""
    span: SourceSpan
    """Location of the name."""
    problems: tuple[Problem, ...]
    """One per difference, at the location of the expectation."""


@dataclass(frozen=True)
class CaseReport:
    """The result of running the cases of a pack."""

    total: int
    """Cases run."""
    failures: tuple[CaseFailure, ...]
    """In the order of the files."""
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Case file -> text, for source frames in problems."""

    @property
    def failed(self) -> int:
        """Cases with at least one difference."""
        return len(self.failures)

    @property
    def passed(self) -> int:
        """Cases without a difference."""
        return self.total - self.failed

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All differences of all cases."""
        return tuple(problem for failure in self.failures for problem in failure.problems)


def run_cases(pack: RulePack, location: str | Path | None = None) -> CaseReport:
    """
    Run every case of a pack; `location` is its folder or bundled name, needed only if the pack does not have it.

    Only the fields that a case states are compared, but it must name every asset. Raises PackInvalid if a case file is
    wrong, NothingToEvaluate if there is no case.
    """
    return report_cases(CaseBench(pack, load_cases(pack, location)))


def load_cases(pack: RulePack, location: str | Path | None = None) -> CaseFiles:
    """Read the cases of a pack; raises PackInvalid if a case file is wrong, NothingToEvaluate if there is no case."""
    files = read_cases(pack, location or (pack.id if pack.location == BUNDLED else pack.location))
    if not files.cases:
        raise NothingToEvaluate(
            Problem(
                "no-cases",
                f"the rule pack `{pack.id}` has no cases",
                help="add a file to its folder `cases`; every rule needs one case on each side of its deadline",
            )
        )
    return files


def report_cases(bench: CaseBench) -> CaseReport:
    """Run every case of a bench with the bench's own pack."""
    failures = []
    for index, (case, rows) in enumerate(zip(bench.files.cases, bench.answers, strict=True)):
        problems = tuple(bench.differences(index, rows))
        if problems:
            failures.append(CaseFailure(case.name, case.span, problems))
    return CaseReport(len(bench.files.cases), tuple(failures), bench.files.texts)


Row = Mapping[str, Any]
"""A finding about an asset of a case: column -> value, for the columns in `_READ`."""


class CaseBench:
    """
    The cases of a pack, with their records read and their assets made once; then many variants of the rules can judge
    them.

    INVARIANT: nothing kept here depends on the rules, only on the catalog, the host owners and the cases.
    """

    def __init__(self, pack: RulePack, files: CaseFiles) -> None:
        """Read the records of all cases and make their assets, in one batch."""
        self.pack = pack
        self.files = files
        tasks_of, every = self._read(ServiceNames(pack.catalog))
        # The `as_of` of the case decides which tasks exist; the maker then gets them all, whatever their instant.
        latest = np.maximum(every.created, every.ended).tolist()
        existing = [
            [task for task in tasks if latest[task] <= case.as_of]
            for tasks, case in zip(tasks_of, files.cases, strict=True)
        ]
        maker = AssetMaker(pack, (Source("", "", "json", "", 0),), MAX_INSTANT)
        tasks = every.take([task for some in existing for task in some])
        owner = np.repeat(np.arange(len(existing)), [len(some) for some in existing])
        tasks = replace(tasks, line=list(range(1, len(tasks) + 1)), item=[0] * len(tasks), also={})
        self.assets, _ = maker.make(tasks)
        """One row per asset of all cases, in the order of the cases."""
        task_of = np.array([int(text[1:]) - 1 for text in self.assets["source"]], np.intp)
        self.case_of: npt.NDArray[np.intp] = owner[task_of].astype(np.intp)
        """Index of the case of each asset."""
        with_assets = np.bincount(task_of, minlength=len(tasks)) > 0
        without = set(owner[~with_assets].tolist())
        self._without: list[set[str]] = [
            ({"not_yet_created"} if len(some) < len(tasks_of[index]) else set())
            | (set(maker.make(every.take(some))[1].without_assets) if index in without else set())
            for index, some in enumerate(existing)
        ]
        bounds = np.searchsorted(self.case_of, np.arange(len(files.cases) + 1))
        self._rows = [np.arange(start, end, dtype=np.intp) for start, end in pairwise(bounds.tolist())]
        self._questions = [
            np.array([getattr(case, name) for case in files.cases], np.int64)
            for name in ("as_of", "horizon", "operation_horizon")
        ]

    def judge(self, pack: RulePack, indexes: Sequence[int], assets: pd.DataFrame | None = None) -> list[list[Row]]:
        """
        Return the findings of some cases, a list per case, judged by a pack whose rules may differ from the bench's.

        `assets` replaces the bench's own assets, row for row. Raises PackInvalid if two rules contradict each other.
        """
        found: dict[int, list[Row]] = {index: [] for index in indexes}
        by_day: dict[date | None, list[int]] = {}
        for index in indexes:
            by_day.setdefault(self.files.cases[index].known_on, []).append(index)
        for day, group in by_day.items():
            rows = np.concatenate([self._rows[index] for index in group])
            owner = self.case_of[rows]
            frame = (self.assets if assets is None else assets).iloc[rows]
            questions = RowQuestions(*(column[owner] for column in self._questions))
            findings = Evaluator(pack, Question(0, 0, 0), day).judge_chunk(frame, questions)
            columns = [findings[name].tolist() for name in _READ]
            for index, values in zip(owner.tolist(), zip(*columns, strict=True), strict=True):
                found[index].append(dict(zip(_READ, values, strict=True)))
        return [found[index] for index in indexes]

    def differences(self, index: int, rows: Sequence[Row]) -> Iterator[Problem]:
        """The differences between findings and the expectation of a case, in the order of the case."""
        case = self.files.cases[index]
        without = sorted(self._without[index])
        yield from self._unusable[index]
        if case.no_asset is None:
            yield from _compare(case, rows, without)
            return
        if rows:
            found = ", ".join(f"`{name_of(row)}`" for row in rows)
            yield _failure(case, f"expected no asset (`{case.no_asset}`), found {found}", case.expect_span)
        for reason in without:
            if reason != case.no_asset:
                message = f"no_asset: expected `{case.no_asset}`, found `{reason}`"
                yield _failure(case, message, case.expect_span)

    @cached_property
    def answers(self) -> list[list[Row]]:
        """The findings of every case, judged by the bench's own pack."""
        return self.judge(self.pack, range(len(self.files.cases)))

    def _read(self, names: ServiceNames) -> tuple[list[list[int]], Batch]:
        """
        The tasks of every case as row numbers in one batch; sets `_unusable`.

        A record is read once, however many cases share it, and merged only if a case has several.
        """
        reader = RecordReader(names, self.pack.catalog.legacy_outputs, 0)
        numbers: dict[int, int] = {}
        for case in self.files.cases:
            for record in case.records:
                if id(record.value) not in numbers:
                    numbers[id(record.value)] = len(numbers)
                    read = reader.read_flat if is_table_row(record.value) else reader.read
                    read(record.value, len(numbers))
        every = reader.finish()
        rows_of: list[list[int]] = [[] for _ in numbers]
        for row, line in enumerate(every.line):
            rows_of[line - 1].append(row)
        self._unusable = self._quarantined(numbers, reader.seen.quarantine)
        batches, count = [every], len(every)
        tasks_of: list[list[int]] = []
        for case in self.files.cases:
            rows = [row for record in case.records for row in rows_of[numbers[id(record.value)]]]
            if len(rows) > 1:
                merged, _ = merge_records([every.take(rows)], names)
                batches.append(merged)
                rows = list(range(count, count + len(merged)))
                count += len(merged)
            tasks_of.append(rows)
        return tasks_of, join(batches)

    def _quarantined(
        self, numbers: Mapping[int, int], quarantine: Iterable[QuarantinedRecord]
    ) -> list[tuple[Problem, ...]]:
        """The problems of each case whose records cannot be used."""
        messages: dict[int, list[str]] = {}
        for item in quarantine:
            message = f"a record is quarantined ({item.reason}): found {item.found}, expected {item.expected}"
            messages.setdefault(item.line - 1, []).append(message)
        return [
            tuple(
                _failure(case, message, record.span)
                for record in case.records
                for message in messages.get(numbers[id(record.value)], ())
            )
            for case in self.files.cases
        ]


def matched(case: Case, rows: Sequence[Row]) -> Iterator[tuple[Expectation, Row | None]]:
    """Expectations with their rows, by name; assets with one name in several tasks match in the order of the tasks."""
    waiting: dict[str, list[Row]] = {}
    for row in rows:
        waiting.setdefault(name_of(row), []).append(row)
    for expectation in case.assets:
        found = waiting.get(expectation.label)
        yield expectation, found.pop(0) if found else None


def _compare(case: Case, rows: Sequence[Row], without: Sequence[str]) -> Iterator[Problem]:
    unexpected = [id(row) for row in rows]
    for expectation, row in matched(case, rows):
        if row is None:
            why = f" ({', '.join(without)})" if without else ""
            found = ", ".join(f"`{name_of(row)}`" for row in rows) or f"no asset{why}"
            yield _failure(case, f"expected an asset `{expectation.label}`, found {found}", expectation.span)
            continue
        unexpected.remove(id(row))
        yield from _compare_fields(case, expectation, row)
    for row in rows:
        if id(row) in unexpected:
            yield _failure(case, f"found an asset `{name_of(row)}` that the case does not expect", case.expect_span)


def _compare_fields(case: Case, expectation: Expectation, row: Row) -> Iterator[Problem]:
    for stated, expected in expectation.fields.items():
        found = _plain_value(row[_COLUMNS.get(stated, stated)])
        if stated in _LISTS:
            found, expected = sorted(word for word in found.split(";") if word), sorted(expected)
        elif found == "" and expected is None:
            found = None
        if found != expected:
            message = (
                f"`{expectation.label}` {stated}: expected {_shown(stated, expected)}, found {_shown(stated, found)}"
            )
            yield _failure(case, message, expectation.spans[stated])


def _failure(case: Case, message: str, span: SourceSpan) -> Problem:
    return Problem("case-failed", f"{plain(case.name, 200)}: {message}", span)


def name_of(row: Mapping[str, Any]) -> str:
    """Output name and ordinal of an asset as cases write them; the end of its id."""
    return "/".join(str(row["asset_id"]).rsplit("/", 2)[1:]).removesuffix("/1")


def _plain_value(value: Any) -> Any:
    """A cell of the findings as a case would state it: nanoseconds for instants, empty text for missing values."""
    if isinstance(value, pd.Timestamp):
        return value.as_unit("ns").value
    if pd.isna(value):
        return ""
    return value


def _shown(stated: str, value: Any) -> str:
    if value is None or value == "" or value == []:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return ", ".join(f"`{word}`" for word in value)
    is_instant = isinstance(value, int) and stated != "version"
    return f"`{format_instant(value) if is_instant else value}`"
