"""
Sums over findings: each one counted again row by row, and sums over parts are the sums of the whole.
"""

from __future__ import annotations

import copy
import random
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_engine.api import evaluate_history
from policy_engine.core.periods import DAY, HOUR, parse_instant
from policy_engine.engine.control_totals import Totals
from policy_engine.engine.finding_totals import FindingTotals, count_findings
from tests.support.agreement import ask, frame_of, plain
from tests.support.commands import AS_OF, EXAMPLE
from tests.support.exports import pack
from tests.support.strategies import ASSET_BYTES, BASE, PACK_BYTES, WORLD_BYTES, World, asset, make_world, ten_rules

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


def rows_of(findings: pd.DataFrame) -> list[dict[str, Any]]:
    """Findings as plain rows."""
    columns = {name: [plain(value) for value in findings[name].tolist()] for name in findings.columns}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def next_up(rows: list[dict[str, Any]], column: str, as_of: int) -> tuple[int | None, dict[str, int]]:
    """The nearest instant after `as_of`, and the assets that have it by service."""
    coming = [row for row in rows if row[column] > as_of]
    nearest = min((row[column] for row in coming), default=None)
    return nearest, dict(Counter(row["service"] or "" for row in coming if row[column] == nearest))


def recount(rows: list[dict[str, Any]], as_of: int) -> dict[str, Any]:
    """The sums, each as its description says."""
    by_service: defaultdict[Any, list[int]] = defaultdict(lambda: [0, 0])
    coming: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    past: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        row["points"] = row["points"] or 0
        places = [by_service[row["service"] or "", row["verdict"]]]
        due = row["expires_earliest"]
        if row["verdict"] in ("active", "at_risk") and due > as_of:
            places.append(coming[(due - as_of) // HOUR])
        if row["verdict"] in ("at_risk", "expired") and due <= as_of:
            places.append(past[(as_of - due) // DAY])
        for place in places:
            place[0] += 1
            place[1] += row["points"]

    def counted(*names: str, where: Any = lambda row: True) -> dict[Any, int]:
        keys = [tuple(row[name] for name in names) for row in rows if where(row)]
        return dict(Counter(key if len(key) > 1 else key[0] for key in keys if None not in key))

    def same(row: dict[str, Any]) -> bool:
        return all(row[name] == row[f"operation_{name}"] for name in ("rule_id", "rule_version"))

    living = [row for row in rows if row["verdict"] in ("active", "at_risk")]
    open_ones = [row for row in rows if row["operation_verdict"] in ("open", "closing")]
    possibly = [row["points"] for row in rows if row["possibly_past"]]
    return {
        "assets": len(rows),
        "points": sum(row["points"] for row in rows),
        "by_service": {key: tuple(pair) for key, pair in by_service.items()},
        "possibly_past": (len(possibly), sum(possibly)),
        "windows": counted("operation_verdict"),
        "closing_points": sum(row["points"] for row in rows if row["operation_verdict"] == "closing"),
        "reasons": dict(Counter(code for row in rows if row["reason"] for code in row["reason"].split(";"))),
        "basis": counted("basis"),
        "evidence": counted("evidence"),
        "conflicts": counted("service", "url_host", where=lambda row: row["evidence"] == "conflicts"),
        "rules": counted("rule_id", "rule_version"),
        "window_rules": counted("operation_rule_id", "operation_rule_version"),
        "both_rules": counted("rule_id", "rule_version", where=same),
        "deadlines": {key: tuple(pair) for key, pair in coming.items()},
        "past_deadlines": {key: tuple(pair) for key, pair in past.items()},
        "next_deadline": next_up(living, "expires_earliest", as_of),
        "next_window": next_up(open_ones, "operation_closes_earliest", as_of),
    }


def shown(totals: FindingTotals) -> dict[str, Any]:
    """The sums in the form of `recount`."""
    nearest = {name: (each.instant, each.services) for name in ("next_deadline", "next_window")
               for each in [getattr(totals, name)]}  # fmt: skip
    return {**vars(totals), **nearest}


def with_points(findings: pd.DataFrame, chance: random.Random) -> pd.DataFrame:
    """The findings with amounts, some of them missing."""
    amounts = [chance.choice([None, 0, 1, 7, 10**12 + 1]) for _ in range(len(findings))]
    return findings.assign(points=pd.array(amounts, dtype="Int64"))


@pytest.mark.parametrize("seed", range(8))
def test_every_sum_is_that_of_the_rows(seed: int) -> None:
    """
    On any findings, with unknown services and missing amounts, each sum is what counting row by row gives.
    """
    chance = random.Random(seed)
    assets = [chance.randbytes(ASSET_BYTES) for _ in range(80)]
    world = make_world(chance.randbytes(PACK_BYTES), chance.randbytes(WORLD_BYTES), assets)
    findings = with_points(ask(frame_of(world.assets), world), chance)
    assert shown(count_findings(findings, world.as_of)) == recount(rows_of(findings), world.as_of)


def test_every_sum_of_the_example_history(findings: pd.DataFrame) -> None:
    """
    Each sum over the example history is what counting row by row gives.
    """
    assert shown(count_findings(findings, AS_OF_NS)) == recount(rows_of(findings.drop(columns="cost_usd")), AS_OF_NS)


def known() -> pd.DataFrame:
    """Findings that hold a case of every sum."""
    subjects = [
        *(asset("flux", BASE - each, BASE - each)
          for each in (0, 1, HOUR, DAY, 3 * DAY - 1, 3 * DAY, 4 * DAY, 9 * DAY)),
        *(asset("flux", BASE - 3 * DAY - each, BASE - 3 * DAY + HOUR) for each in (0, 1)),
        *(asset("midjourney", BASE - each, BASE - each, account="pay_as_you_go")
          for each in (0, HOUR, 2 * HOUR, 3 * HOUR)),
        *(asset("flux", BASE, BASE, url=url, host_owner="vendor") for url in ["https://cdn.vendor.example/a"] * 3),
        asset("suno", BASE, BASE, url="https://files.platform.example/a"), asset("udio"), asset(None),
        asset("kling", BASE),
    ]  # fmt: skip
    findings = ask(frame_of(subjects), World(ten_rules(), subjects, BASE, DAY, HOUR, None))
    return findings.assign(points=pd.array(range(1, len(findings) + 1), dtype="Int64"))


def test_the_sums_of_known_findings() -> None:
    """
    At the very deadline, an hour and days around it, for conflicts, closing windows and reasons: each sum is right.
    """
    findings = known()
    totals = count_findings(findings, BASE)
    assert shown(totals) == recount(rows_of(findings), BASE)
    assert totals.conflicts == {("flux", "cdn.vendor.example"): 3, ("suno", "files.platform.example"): 1}
    assert set(totals.past_deadlines) == {0, 1, 6}
    assert totals.closing_points > 0
    assert len(totals.reasons) > 2
    assert totals.next_deadline.instant == BASE + 1
    assert totals.next_window.services == {"midjourney": 1}


def test_large_amounts_are_exact_in_every_sum() -> None:
    """
    Amounts that a floating-point number would round are exact by service, by deadline and for closing windows.
    """
    findings = known()
    findings["points"] = pd.array([2**53 + 1 if place % 2 else 1 for place in range(len(findings))], dtype="Int64")
    assert shown(count_findings(findings, BASE)) == recount(rows_of(findings), BASE)


@pytest.mark.parametrize("version", [1, 2])
def test_both_answers_of_one_rule(version: int) -> None:
    """
    A rule that gives both answers is told from one that gives the same number of another rule, or another version.
    """
    findings = pd.concat([known().head(4)], ignore_index=True)
    findings["rule_id"] = pd.Categorical(["a", "b", "c", None], ["a", "b", "c"])
    findings["operation_rule_id"] = pd.Categorical(["z", "b", None, None], ["z", "b"])
    findings["rule_version"] = pd.array([1, 1, 1, None], dtype="Int64")
    findings["operation_rule_version"] = pd.array([1, version, None, None], dtype="Int64")
    totals = count_findings(findings, BASE)
    assert shown(totals) == recount(rows_of(findings), BASE)
    assert totals.both_rules == ({("b", 1): 1} if version == 1 else {})


def test_a_rule_that_gives_one_answer_is_not_counted_as_giving_both() -> None:
    """
    A window by a rule that answers nothing else in the chunk is of no rule of the other answers, whichever they are.
    """
    findings = pd.concat([known().head(3)], ignore_index=True)
    findings["rule_id"] = pd.Categorical(["a", "b", "c"], ["a", "b", "c"])
    findings["operation_rule_id"] = pd.Categorical(["z", "z", "z"], ["z"])
    findings["rule_version"] = findings["operation_rule_version"] = pd.array([1, 1, 1], dtype="Int64")
    assert count_findings(findings, BASE).both_rules == {}


def test_coming_instants_are_united() -> None:
    """
    Of two parts the nearer instant stands; where both have the same one their services are added up.
    """
    findings = known()
    whole, part = count_findings(findings, BASE), count_findings(findings, BASE)
    other = copy.deepcopy(part)
    other.next_window.services = {"suno": 5}
    whole.add(other)
    assert whole.next_window.services == {"midjourney": 1, "suno": 5}
    assert whole.next_deadline.services == {name: 2 * count for name, count in part.next_deadline.services.items()}


def test_a_rule_is_counted_once_for_an_asset() -> None:
    """
    An asset whose two answers come from one version counts once for it, and a version without an asset counts nothing.
    """
    totals = count_findings(known(), BASE)
    assert totals.answered_by(("midjourney-payg", 1)) == 4
    assert totals.answered_by(("suno", 1)) == 1
    assert totals.answered_by(("nobody", 1)) == 0
    assert FindingTotals(window_rules={("w", 1): 2}).answered_by(("w", 1)) == 2


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
