"""Runs the cases of a rule pack and turns what differs from the expected answers into problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from policy_engine.assets import AssetMaker
from policy_engine.evaluation import Evaluator, Question
from policy_engine.history import ServiceNames, Source, merge_records
from policy_engine.history.records import RecordReader
from policy_engine.model import RulePack
from policy_engine.packs.case_reading import Case, Expectation, read_cases
from policy_engine.packs.loading import BUNDLED
from policy_engine.periods import format_instant
from policy_engine.problems import NothingToEvaluate, Problem, SourceSpan, plain

_COLUMNS = {
    "rule": "rule_id", "version": "rule_version", "reasons": "reason", "operation_rule": "operation_rule_id",
}  # fmt: skip
"""Field of a case -> column of findings, where the two differ."""


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
    files = read_cases(pack, location or (pack.id if pack.location == BUNDLED else pack.location))
    if not files.cases:
        raise NothingToEvaluate(
            Problem(
                "no-cases",
                f"the rule pack `{pack.id}` holds no case",
                help="add a file to its folder `cases`; every rule deserves one case on each side of its deadline",
            )
        )
    names = ServiceNames(pack.catalog)
    failures = []
    for case in files.cases:
        problems = tuple(_differences(case, pack, names))
        if problems:
            failures.append(CaseFailure(case.name, case.span, problems))
    return CaseReport(len(files.cases), tuple(failures), files.texts)


def _differences(case: Case, pack: RulePack, names: ServiceNames) -> Iterator[Problem]:
    """What differs between the answer and the expectation of a case, in the order in which the case says it."""
    batches = []
    for record in case.records:
        reader = RecordReader(names, pack.catalog.legacy_outputs, 0)
        reader.read(record.value, record.span.line)
        batches.append(reader.finish())
        for away in reader.seen.quarantine:
            message = f"a record is set aside ({away.reason}): found {away.found}, expected {away.expected}"
            yield _failure(case, message, record.span)
    tasks, _ = merge_records(batches, names)
    source = Source(case.span.file, case.span.file, "json", "", 0)
    assets, totals = AssetMaker(pack, (source,), case.as_of).make(tasks)
    question = Question(case.as_of, case.horizon, case.operation_horizon)
    findings = Evaluator(pack, question, case.known_on).judge_chunk(assets)
    needed = ["asset_id", *{_COLUMNS.get(stated, stated) for one in case.assets for stated in one.fields}]
    columns = [findings[name].tolist() for name in needed]
    rows = [dict(zip(needed, values, strict=True)) for values in zip(*columns, strict=True)]
    if case.no_asset is not None:
        if rows:
            found = ", ".join(f"`{_name_of(row)}`" for row in rows)
            yield _failure(case, f"expected no asset (`{case.no_asset}`), found {found}", case.expect_span)
        for reason in sorted(totals.without_assets):
            if reason != case.no_asset:
                message = f"no_asset: expected `{case.no_asset}`, found `{reason}`"
                yield _failure(case, message, case.expect_span)
        return
    yield from _compare(case, rows, sorted(totals.without_assets))


def _compare(case: Case, rows: list[dict[str, Any]], without: list[str]) -> Iterator[Problem]:
    """Match expectations with assets by name; assets of one name in several tasks match in the order of the tasks."""
    waiting: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        waiting.setdefault(_name_of(row), []).append(row)
    for one in case.assets:
        name = one.name if one.ordinal == 1 else f"{one.name}/{one.ordinal}"
        if not waiting.get(name):
            why = f" ({', '.join(without)})" if without else ""
            found = ", ".join(f"`{_name_of(row)}`" for row in rows) or f"no asset{why}"
            yield _failure(case, f"expected an asset `{name}`, found {found}", one.span)
            continue
        yield from _compare_fields(case, one, name, waiting[name].pop(0))
    for name, left in waiting.items():
        for _ in left:
            yield _failure(case, f"found an asset `{name}` that the case does not expect", case.expect_span)


def _compare_fields(case: Case, one: Expectation, name: str, row: Mapping[str, Any]) -> Iterator[Problem]:
    for stated, expected in one.fields.items():
        found = _plain_value(row[_COLUMNS.get(stated, stated)])
        if stated == "reasons":
            found, expected = sorted(word for word in found.split(";") if word), sorted(expected)
        elif found == "" and expected is None:
            found = None
        if found != expected:
            message = f"`{name}` {stated}: expected {_shown(stated, expected)}, found {_shown(stated, found)}"
            yield _failure(case, message, one.spans[stated])


def _failure(case: Case, message: str, span: SourceSpan) -> Problem:
    return Problem("case-failed", f"{plain(case.name, 200)}: {message}", span)


def _name_of(row: Mapping[str, Any]) -> str:
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
