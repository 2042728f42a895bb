"""Every sum over findings, counted again one row at a time."""

from __future__ import annotations

import copy
import random
from collections import Counter, defaultdict
from typing import Any

import pandas as pd
import pytest

from policy_engine.core.periods import DAY, HOUR
from policy_engine.engine.finding_totals import FindingTotals, count_findings
from tests.support.agreement import ask, frame_of, plain
from tests.support.strategies import ASSET_BYTES, BASE, PACK_BYTES, WORLD_BYTES, World, asset, make_world, ten_rules


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
