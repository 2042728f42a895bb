"""Runs the cases of a rule pack and turns what differs from the expected answers into problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
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
from policy_engine.engine.evaluation import Evaluator
from policy_engine.engine.question import Question, RowQuestions
from policy_engine.history import Batch, ServiceNames, Source, merge_records
from policy_engine.history.records.batch import join
from policy_engine.history.records.record_reader import RecordReader
from policy_engine.packs.cases import Case, CaseFiles, Expectation, Record, is_table_row, read_cases
from policy_engine.packs.loading import BUNDLED

_COLUMNS = {
    "rule": "rule_id", "version": "rule_version", "reasons": "reason", "operation_rule": "operation_rule_id",
}  # fmt: skip
"""Field of a case -> column of findings, where the two differ."""
_LISTS = ("reasons", "operations")
"""Fields of a case that are lists, in any order; their columns hold text joined by `;`."""
_READ = (
    "asset_id", "verdict", "possibly_past", "reason", "rule_id", "rule_version", "basis", "storage", "account",
    "evidence", "expires_earliest", "expires_latest", "operations", "operation_verdict", "operation_rule_id",
    "operation_rule_version", "operation_closes_earliest", "operation_closes_latest",
)  # fmt: skip


@dataclass(frozen=True)
class CaseFailure:
    """A case whose answer is not the expected one."""

    case: str
    """Name of the case."""
    span: SourceSpan
    """Place of the name."""
    problems: tuple[Problem, ...]
    """One for each thing that differs, at the place of the expectation."""


@dataclass(frozen=True)
class CaseReport:
    """What running the cases of a pack gave."""

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
        """Cases whose every expectation holds."""
        return self.total - self.failed

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All differences of all cases."""
        return tuple(problem for failure in self.failures for problem in failure.problems)


def run_cases(pack: RulePack, location: str | Path | None = None) -> CaseReport:
    """
    Run every case of a pack; `location` is where the pack was read from, where the pack does not tell.

    Of the assets of a case only the fields it states are compared, but every asset must be named. Raises PackInvalid
    when a case file is wrong, NothingToEvaluate when there is no case.
    """
    return report_cases(CaseBench(pack, load_cases(pack, location)))


def load_cases(pack: RulePack, location: str | Path | None = None) -> CaseFiles:
    """Read the cases of a pack; raises PackInvalid when a case file is wrong, NothingToEvaluate when there is none."""
    files = read_cases(pack, location or (pack.id if pack.location == BUNDLED else pack.location))
    if not files.cases:
        raise NothingToEvaluate(
            Problem(
                "no-cases",
                f"the rule pack `{pack.id}` holds no case",
                help="add a file to its folder `cases`; every rule deserves one case on each side of its deadline",
            )
        )
    return files


def report_cases(bench: CaseBench) -> CaseReport:
    """Run every case of a bench by the pack it was made with."""
    every = range(len(bench.files.cases))
    failures = []
    for place, rows in zip(every, bench.answers, strict=True):
        problems = tuple(bench.differences(place, rows))
        if problems:
            case = bench.files.cases[place]
            failures.append(CaseFailure(case.name, case.span, problems))
    return CaseReport(len(every), tuple(failures), bench.files.texts)


Row = Mapping[str, Any]
"""A finding about an asset of a case: column -> value, of the columns that cases can state and that coverage reads."""


class CaseBench:
    """
    The cases of a pack with their records read and their assets made, once; rules may then change under them.

    INVARIANT: nothing kept here depends on the rules, only on the catalog, the host owners and the cases.
    """

    def __init__(self, pack: RulePack, files: CaseFiles) -> None:
        """Read the records of all cases and make their assets, in one go."""
        self.pack = pack
        self.files = files
        tasks_of, every = self._read(ServiceNames(pack.catalog))
        # Whether a task exists yet is a question of the case's `as_of`; what does is then asked for no instant.
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
        """Place of the case of each asset."""
        with_assets = np.bincount(task_of, minlength=len(tasks)) > 0
        without = set(owner[~with_assets].tolist())
        self._without: list[set[str]] = [
            ({"not_yet_created"} if len(some) < len(tasks_of[place]) else set())
            | (set(maker.make(every.take(some))[1].without_assets) if place in without else set())
            for place, some in enumerate(existing)
        ]
        self._rows: dict[int, npt.NDArray[np.intp]] = {}
        ends = np.searchsorted(self.case_of, np.arange(len(files.cases) + 1))
        for place in range(len(files.cases)):
            self._rows[place] = np.arange(ends[place], ends[place + 1])
        self._questions = [
            np.array([getattr(case, name) for case in files.cases], np.int64)
            for name in ("as_of", "horizon", "operation_horizon")
        ]

    def judge(self, pack: RulePack, places: Sequence[int], assets: pd.DataFrame | None = None) -> list[list[Row]]:
        """
        Return the findings of some cases by a pack, which may differ from the bench's in its rules: a list per case.

        `assets` stands in for the bench's own, row for row.
        Raises PackInvalid when two rules of the pack are in force for one asset.
        """
        found: dict[int, list[Row]] = {place: [] for place in places}
        by_day: dict[date | None, list[int]] = {}
        for place in places:
            by_day.setdefault(self.files.cases[place].known_on, []).append(place)
        for day, group in by_day.items():
            rows = np.concatenate([self._rows[place] for place in group])
            owner = self.case_of[rows]
            frame = (self.assets if assets is None else assets).iloc[rows]
            questions = RowQuestions(*(column[owner] for column in self._questions))
            findings = Evaluator(pack, Question(0, 0, 0), day).judge_chunk(frame, questions)
            columns = [findings[name].tolist() for name in _READ]
            for place, values in zip(owner.tolist(), zip(*columns, strict=True), strict=True):
                found[place].append(dict(zip(_READ, values, strict=True)))
        return [found[place] for place in places]

    def differences(self, place: int, rows: Sequence[Row]) -> Iterator[Problem]:
        """What differs between findings and the expectation of a case, in the order in which the case says it."""
        case = self.files.cases[place]
        without = sorted(self._without[place])
        yield from self._set_aside[place]
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
        """The findings of every case by the bench's own pack."""
        return self.judge(self.pack, range(len(self.files.cases)))

    def _read(self, names: ServiceNames) -> tuple[list[list[int]], Batch]:
        """
        The tasks of every case, as places in one batch; records that cannot be used are noted.

        A record is read once however many cases share it, and merged only where a case has several.
        """
        reader = RecordReader(names, self.pack.catalog.legacy_outputs, 0)
        number: dict[int, int] = {}
        records: list[Record] = []
        for case in self.files.cases:
            for record in case.records:
                if id(record.value) not in number:
                    number[id(record.value)] = len(records)
                    records.append(record)
                    if is_table_row(record.value):
                        reader.read_flat(record.value, len(records))
                    else:
                        reader.read(record.value, len(records))
        every = reader.finish()
        rows_of: list[list[int]] = [[] for _ in records]
        for row, line in enumerate(every.line):
            rows_of[line - 1].append(row)
        away: dict[int, list[str]] = {}
        for one in reader.seen.quarantine:
            message = f"a record is set aside ({one.reason}): found {one.found}, expected {one.expected}"
            away.setdefault(one.line - 1, []).append(message)
        batches = [every]
        count = len(every)
        tasks_of: list[list[int]] = []
        self._set_aside: list[tuple[Problem, ...]] = []
        for case in self.files.cases:
            places = [number[id(record.value)] for record in case.records]
            rows = [row for place in places for row in rows_of[place]]
            if len(rows) > 1:
                merged, _ = merge_records([every.take(rows)], names)
                batches.append(merged)
                rows = list(range(count, count + len(merged)))
                count += len(merged)
            tasks_of.append(rows)
            problems = [
                _failure(case, message, record.span)
                for place, record in zip(places, case.records, strict=True)
                for message in away.get(place, ())
            ]
            self._set_aside.append(tuple(problems))
        return tasks_of, join(batches)


def matched(case: Case, rows: Sequence[Row]) -> Iterator[tuple[Expectation, Row | None]]:
    """Expectations with their rows, by name; assets of one name in several tasks match in the order of the tasks."""
    waiting: dict[str, list[Row]] = {}
    for row in rows:
        waiting.setdefault(name_of(row), []).append(row)
    for one in case.assets:
        found = waiting.get(one.label)
        yield one, found.pop(0) if found else None


def _compare(case: Case, rows: Sequence[Row], without: Sequence[str]) -> Iterator[Problem]:
    left = [id(row) for row in rows]
    for one, row in matched(case, rows):
        if row is None:
            why = f" ({', '.join(without)})" if without else ""
            found = ", ".join(f"`{name_of(row)}`" for row in rows) or f"no asset{why}"
            yield _failure(case, f"expected an asset `{one.label}`, found {found}", one.span)
            continue
        left.remove(id(row))
        yield from _compare_fields(case, one, row)
    for row in rows:
        if id(row) in left:
            yield _failure(case, f"found an asset `{name_of(row)}` that the case does not expect", case.expect_span)


def _compare_fields(case: Case, one: Expectation, row: Row) -> Iterator[Problem]:
    for stated, expected in one.fields.items():
        found = _plain_value(row[_COLUMNS.get(stated, stated)])
        if stated in _LISTS:
            found, expected = sorted(word for word in found.split(";") if word), sorted(expected)
        elif found == "" and expected is None:
            found = None
        if found != expected:
            message = f"`{one.label}` {stated}: expected {_shown(stated, expected)}, found {_shown(stated, found)}"
            yield _failure(case, message, one.spans[stated])


def _failure(case: Case, message: str, span: SourceSpan) -> Problem:
    return Problem("case-failed", f"{plain(case.name, 200)}: {message}", span)


def name_of(row: Mapping[str, Any]) -> str:
    """Output name and ordinal of an asset as cases write them; the end of its id."""
    return "/".join(str(row["asset_id"]).rsplit("/", 2)[1:]).removesuffix("/1")


def _plain_value(value: Any) -> Any:
    """A cell of the findings as a case would write it: nanoseconds for instants, empty text for what is missing."""
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
