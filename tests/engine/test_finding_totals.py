"""Totals: sums over parts are the sums of the whole, and a count that does not tie never passes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_engine.api import evaluate_history
from policy_engine.core.periods import HOUR, parse_instant
from policy_engine.core.problems import TotalsMismatch
from policy_engine.core.vocabulary import OPERATION_VERDICTS, VERDICTS
from policy_engine.engine.control_totals import Totals
from policy_engine.engine.finding_totals import FindingTotals, count_findings
from policy_engine.history.records.record_reader import QuarantinedRecord
from tests.support.commands import AS_OF, EXAMPLE
from tests.support.exports import pack

AS_OF_NS = parse_instant(AS_OF)


@pytest.fixture(scope="module")
def judged() -> tuple[pd.DataFrame, Totals]:
    """All findings of the example history in one frame, and the totals of the run, which are known after them."""
    history = evaluate_history(EXAMPLE, pack=pack(), as_of=AS_OF)
    return pd.concat(list(history), ignore_index=True), history.totals


@pytest.fixture(scope="module")
def findings(judged: tuple[pd.DataFrame, Totals]) -> pd.DataFrame:
    """The findings."""
    return judged[0]


@pytest.fixture
def totals(judged: tuple[pd.DataFrame, Totals]) -> Totals:
    """The totals, to be changed at will."""
    return copy.deepcopy(judged[1])


@settings(max_examples=30)  # each one counts a frame several times; the seed leaves nothing to search for
@given(seed=st.integers(0, 2**32 - 1), parts=st.integers(1, 8))
def test_parts_add_up_to_the_whole(seed: int, parts: int, findings: pd.DataFrame) -> None:
    """
    However findings are split, and in whatever order the parts are added, the totals are those of the whole.
    """
    random = np.random.default_rng(seed)
    part_of = random.integers(0, parts, len(findings))
    order = random.permutation(len(findings))
    together = FindingTotals()
    for part in random.permutation(parts):
        rows = order[part_of[order] == part]
        together.add(count_findings(findings.iloc[rows], AS_OF_NS))
    assert together == count_findings(findings, AS_OF_NS)


def test_chunks_of_a_run_add_up_to_its_totals(totals: Totals, findings: pd.DataFrame) -> None:
    """
    The totals of a run are the sums over its findings.
    """
    assert totals.findings == count_findings(findings, AS_OF_NS)


def test_adding_nothing_changes_nothing(findings: pd.DataFrame) -> None:
    """
    A part without findings is neutral on either side.
    """
    whole = count_findings(findings, AS_OF_NS)
    empty = count_findings(findings.head(0), AS_OF_NS)
    assert empty == FindingTotals()
    one, other = copy.deepcopy(whole), copy.deepcopy(empty)
    one.add(empty)
    other.add(whole)
    assert one == other == whole


def test_adding_does_not_change_what_is_added(findings: pd.DataFrame) -> None:
    """
    Sums do not share anything with their parts.
    """
    part = count_findings(findings.head(50), AS_OF_NS)
    before = copy.deepcopy(part)
    total = FindingTotals()
    total.add(part)
    total.add(count_findings(findings.tail(50), AS_OF_NS))
    total.add(part)
    assert part == before


def test_sums_are_those_of_the_rows(findings: pd.DataFrame) -> None:
    """
    Each sum counts what its name says, counted here row by row.
    """
    totals = count_findings(findings, AS_OF_NS)
    rows: list[dict[str, Any]] = findings.astype(object).where(findings.notna(), None).to_dict("records")
    for verdict in map(str, VERDICTS):
        mine = [row for row in rows if row["verdict"] == verdict]
        assert totals.verdict(verdict) == (len(mine), sum(row["points"] or 0 for row in mine))
    assert totals.windows == {
        str(word): count
        for word in OPERATION_VERDICTS
        if (count := sum(row["operation_verdict"] == word for row in rows))
    }
    for (rule, version), count in totals.rules.items():
        mine = [row for row in rows if (row["rule_id"], row["rule_version"]) == (rule, version)]
        assert count == len(mine)
        either = [
            row
            for row in rows
            if (rule, version)
            in ((row["rule_id"], row["rule_version"]), (row["operation_rule_id"], row["operation_rule_version"]))
        ]
        assert totals.answered_by((rule, version)) == len(either)
    for hour, (count, points) in totals.deadlines.items():
        mine = [
            row
            for row in rows
            if row["verdict"] in ("active", "at_risk")
            and row["expires_earliest"].as_unit("ns").value > AS_OF_NS
            and (row["expires_earliest"].as_unit("ns").value - AS_OF_NS) // HOUR == hour
        ]
        assert (count, points) == (len(mine), sum(row["points"] or 0 for row in mine))


def test_large_amounts_are_exact() -> None:
    """
    Points beyond what a floating-point number can hold are summed exactly.
    """
    (chunk,) = list(evaluate_history(EXAMPLE, pack=pack(), as_of=AS_OF))[:1]
    frame = chunk.head(3).copy()
    frame["points"] = pd.array([2**53, 1, 1], dtype="Int64")
    totals = count_findings(frame, AS_OF_NS)
    assert totals.points == 2**53 + 2
    assert sum(points for _, points in totals.by_service.values()) == 2**53 + 2


def test_categories_in_any_order_count_the_same(findings: pd.DataFrame) -> None:
    """
    Neither the order of a column's categories nor plain text instead of categories changes a count.
    """
    expected = count_findings(findings, AS_OF_NS)
    for change in ("reversed", "text"):
        frame = findings.copy()
        for name in ("service", "verdict", "reason", "rule_id", "operation_rule_id", "operation_verdict", "evidence"):
            words = frame[name].astype("category")
            frame[name] = (
                words.cat.reorder_categories(words.cat.categories[::-1])
                if change == "reversed"
                else words.astype("str")
            )
        assert count_findings(frame, AS_OF_NS) == expected


# --- laws ---------------------------------------------------------------------------------------------------------


def bump(counts: dict[Any, Any], place: int) -> None:
    """Add one to a part of the first pair of some counts."""
    key = next(iter(counts))
    pair = list(counts[key])
    pair[place] += 1
    counts[key] = tuple(pair)


READ = "records read = tasks + merged + quarantined"
TASKS = "tasks = with assets + without"
ASSETS = "assets = the six verdicts"
WINDOWS = "assets = operation verdicts"
POINTS = "points of assets = the six verdicts"
MONEY = "points = verdicts + tasks without assets"
MARKS = "assets = archived + exempted + the rest"
MARK_POINTS = "points of assets = archived + exempted + the rest"

CHANGES: dict[str, tuple[Callable[[Totals], object], set[str]]] = {
    "a record more": (lambda t: setattr(t.seen, "records", t.seen.records + 1), {READ}),
    "a merge less": (lambda t: setattr(t, "merged", t.merged - 1), {READ}),
    "a quarantine more": (lambda t: t.seen.quarantine.append(QuarantinedRecord(0, 1, 0, "x", "x", "x")), {READ}),
    "a task more": (lambda t: setattr(t.tasks, "tasks", t.tasks.tasks + 1), {READ, TASKS}),
    "a task with assets more": (lambda t: setattr(t.tasks, "with_assets", t.tasks.with_assets + 1), {TASKS}),
    "a task without more": (lambda t: bump(t.tasks.without_assets, 0), {TASKS}),
    "an asset more": (lambda t: setattr(t.findings, "assets", t.findings.assets + 1), {ASSETS, WINDOWS, MARKS}),
    "a verdict more": (lambda t: bump(t.findings.by_service, 0), {ASSETS}),
    "a window less": (lambda t: t.findings.windows.popitem(), {WINDOWS}),
    "a point in a verdict": (lambda t: bump(t.findings.by_service, 1), {POINTS}),
    "a point in the findings": (
        lambda t: setattr(t.findings, "points", t.findings.points + 1),
        {POINTS, MONEY, MARK_POINTS},
    ),
    "a standing finding more": (lambda t: bump(t.marks.standing, 0), {MARKS}),
    "a standing point more": (lambda t: bump(t.marks.standing, 1), {MARK_POINTS}),
    "a point in the tasks": (lambda t: setattr(t.tasks, "points", t.tasks.points + 1), {MONEY}),
    "a point without assets": (lambda t: bump(t.tasks.without_assets, 1), {MONEY}),
}


def test_totals_of_a_run_tie(totals: Totals) -> None:
    """
    The totals of a run that went well tie.
    """
    totals.check()


@pytest.mark.parametrize("name", CHANGES)
def test_every_law_is_kept(name: str, totals: Totals) -> None:
    """
    One unit more or less anywhere breaks exactly the laws it belongs to, and each says both of its sides.
    """
    change, laws = CHANGES[name]
    change(totals)
    with pytest.raises(TotalsMismatch) as broken:
        totals.check()
    assert {problem.message.partition(":")[0] for problem in broken.value.problems} == laws
    assert all(problem.code == "totals-mismatch" for problem in broken.value.problems)


def test_all_laws_are_tried(totals: Totals) -> None:
    """
    No law is left untried: a run of nothing but ones breaks every one that the changes above name.
    """
    totals.seen.records += 1
    totals.tasks.tasks += 2
    totals.tasks.points += 10
    totals.findings.assets += 1
    totals.findings.points += 1
    with pytest.raises(TotalsMismatch) as broken:
        totals.check()
    named = {law for _, laws in CHANGES.values() for law in laws}
    assert {problem.message.partition(":")[0] for problem in broken.value.problems} == named


def test_totals_add_up(totals: Totals) -> None:
    """
    Totals of two runs that tie, tie together.
    """
    twice = copy.deepcopy(totals)
    twice.add(totals)
    twice.check()
    assert twice.seen.records == 2 * totals.seen.records
    assert twice.findings.points == 2 * totals.findings.points
