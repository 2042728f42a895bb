"""The numbers of the report model: they tie with each other and with the tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from policy_engine.core.periods import parse_instant
from policy_engine.core.vocabulary import VERDICTS
from tests.support.commands import AS_OF, Done
from tests.support.folders import read_csv, read_json

POINTS_PER_USD = 10_000_000


def amount(rows: Iterable[dict[str, str]]) -> dict[str, Any]:
    """Files, points and dollars of some findings; dollars exact, from their own column."""
    chosen = list(rows)
    points = sum(int(row["points"] or 0) for row in chosen)
    dollars = sum((Decimal(row["cost_usd"] or 0) for row in chosen), Decimal(0))
    assert dollars == Decimal(points) / POINTS_PER_USD
    return {"assets": len(chosen), "points": points, "cost_usd": dollars}


def stated(value: dict[str, Any]) -> dict[str, Any]:
    """An amount of summary.json in the same form."""
    return {"assets": value["assets"], "points": value["points"], "cost_usd": Decimal(value["cost_usd"])}


def numbers(text: str) -> set[Decimal]:
    """Every number in a text, whatever its thousands separators and trailing zeros."""
    return {Decimal(found.replace(",", "")) for found in re.findall(r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?", text)}


def test_control_totals_tie(report: Path, summary: dict[str, Any], rows: list[dict[str, str]]) -> None:
    """
    The control totals of the manifest are those of the summary and of the tables.
    """
    manifest = read_json(report / "manifest.json")
    totals, reading = manifest["control_totals"], summary["reading"]
    assert totals["records"] == totals["tasks"] + totals["merged"] + totals["quarantined"]
    assert totals["tasks"] == totals["tasks_with_assets"] + totals["tasks_without_assets"]
    assert totals["records"] == sum(entry["records"] for entry in manifest["inputs"])
    assert totals["quarantined"] == len(read_csv(report / "quarantine.csv"))
    assert totals["assets"] == len(rows)
    assert totals["tasks_with_assets"] == len({(row["service"], row["model"], row["task_id"]) for row in rows})
    assert totals["points"] == summary["totals"]["history"]["points"]
    assert {name: reading[name] for name in totals if name in reading} == {
        name: totals[name] for name in totals if name in reading
    }


def test_counts_and_money_are_those_of_the_table(summary: dict[str, Any], rows: list[dict[str, str]]) -> None:
    """
    Every count and amount of the summary can be made again from findings.csv, to the last point.
    """
    for line in summary["verdicts"]:
        assert stated(line) == amount(row for row in rows if row["verdict"] == line["verdict"])
    totals = summary["totals"]
    assert stated(totals["with_assets"]) == amount(rows)
    assert stated(totals["possibly_past"]) == amount(row for row in rows if row["possibly_past"] == "true")
    assert totals["history"]["points"] == totals["with_assets"]["points"] + totals["without_assets"]["points"]
    without = sum(line["points"] for line in summary["reading"]["without_assets"])
    assert totals["without_assets"]["points"] == without
    for line in summary["services"]:
        mine = [row for row in rows if (row["service"] or "unknown") == line["service"]]
        assert stated(line) == amount(mine)
        for verdict in VERDICTS:
            assert stated(line["verdicts"][verdict]) == amount(row for row in mine if row["verdict"] == verdict)
    assert sum(line["assets"] for line in summary["services"]) == len(rows)
    assert stated(summary["closing"]) == amount(row for row in rows if row["operation_verdict"] == "closing")
    assert summary["page_rows"]["count"] == len(rows)
    assert summary["page_rows"]["verdicts"] == {line["verdict"]: line["assets"] for line in summary["verdicts"]}


def test_further_counts_are_those_of_the_table(summary: dict[str, Any], rows: list[dict[str, str]]) -> None:
    """
    Windows, reasons, basis, evidence, deadlines and rules of the summary are counted as in findings.csv.
    """

    def counts(name: str) -> dict[str, int]:
        return {line["code"]: line["count"] for line in summary[name] if line["count"]}

    assert counts("operation_windows") == Counter(row["operation_verdict"] for row in rows)
    assert counts("not_known") == Counter(code for row in rows for code in row["reason"].split(";") if code)
    for name in ("basis", "evidence"):
        found = {line["code"]: line["count"] for line in summary["rests_on"][name] if line["count"]}
        assert found == Counter(row[name] for row in rows if row[name])
    deadlines = summary["deadlines"]
    dated = [row for row in rows if row["verdict"] in ("active", "at_risk", "expired")]
    coming = [row for row in dated if parse_instant(row["expires_earliest"]) > parse_instant(AS_OF)]
    assert sum(bucket["assets"] for bucket in deadlines["buckets"]) + deadlines["later"]["assets"] == len(coming)
    assert sum(bucket["assets"] for bucket in deadlines["past"]) + deadlines["earlier"]["assets"] == len(dated) - len(
        coming
    )
    for bucket in (*deadlines["buckets"], *deadlines["past"]):
        start, end = parse_instant(bucket["start"]), parse_instant(bucket["end"])
        inside = [row for row in dated if start <= parse_instant(row["expires_earliest"]) < end]
        # At as_of itself a deadline has passed: it belongs to the day before and not to the hour after.
        assert abs(len(inside) - bucket["assets"]) <= sum(row["expires_earliest"] == AS_OF for row in dated)
    for line in summary["rules"]:
        key = (line["rule_id"], str(line["version"]))
        assert line["assets"] == sum(
            key in ((row["rule_id"], row["rule_version"]), (row["operation_rule_id"], row["operation_rule_version"]))
            for row in rows
        )


def test_next_deadline_is_the_nearest(summary: dict[str, Any], rows: list[dict[str, str]]) -> None:
    """
    The next deadline, and the next window to close, are the nearest ones after as_of among those that still run.
    """

    def nearest(column: str, verdicts: tuple[str, str], of: str) -> str:
        texts = [row[column] for row in rows if row[of] in verdicts]
        return min((text for text in texts if text.removesuffix("Z") > AS_OF.removesuffix("Z")), key=lambda t: t[:-1])

    assert summary["next"]["deadline"]["at"] == nearest("expires_earliest", ("active", "at_risk"), "verdict")
    assert summary["next"]["window"]["at"] == nearest(
        "operation_closes_earliest", ("open", "closing"), "operation_verdict"
    )


def test_every_number_on_the_terminal_is_in_the_summary(made: tuple[Path, Done], report: Path) -> None:
    """
    The terminal shows no number that summary.json does not hold.
    """
    text = made[1].text
    shown = "\n".join(line for line in text.splitlines() if not line.startswith("report "))
    known = numbers((report / "summary.json").read_text(encoding="utf-8"))
    assert numbers(shown) - known == set()
    assert len(numbers(shown)) > 30
