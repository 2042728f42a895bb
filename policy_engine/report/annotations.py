"""Turns annotations and a time zone into the parts of the report model that show them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import PurePath
from zoneinfo import ZoneInfo

from policy_engine.annotations import AnnotationTotals, Annotator, total
from policy_engine.core.periods import SECOND, describe_duration, format_instant
from policy_engine.core.text.wording import MONTHS
from policy_engine.core.vocabulary import VERDICT_WORDS
from policy_engine.packs.wording import selector_words
from policy_engine.report.model import (
    Amount,
    CountLine,
    ExemptionLine,
    HouseRuleLine,
    InventoryLine,
    LocalTimes,
    MarksReport,
)


def make_marks(
    annotator: Annotator, totals: AnnotationTotals, as_of: int, amount: Callable[[int, int], Amount]
) -> MarksReport:
    """What the user's own files say; `amount` makes (assets, points) an Amount."""
    inventory, exemptions = annotator.inventory, annotator.exemptions
    return MarksReport(
        inventory=None
        if inventory is None
        else InventoryLine(
            # Its folder says something about the machine and nothing about the inventory.
            PurePath(inventory.name).name, inventory.entries, inventory.empty, inventory.later, inventory.unreadable
        ),
        archived=amount(*totals.archived),
        exempted=amount(*totals.all_exempted),
        archived_and_exempted=amount(*totals.archived_and_exempted),
        standing=amount(*total(totals.standing.values())),
        exemptions=tuple(
            ExemptionLine(
                item.id, item.owner, item.reason, item.until.isoformat(), item.is_over(as_of),
                amount(totals.over.get(item.id, 0), 0) if item.is_over(as_of)
                else amount(*totals.exempted.get(item.id, (0, 0))),
            )
            for item in (() if exemptions is None else exemptions.items)
        ),
        house_rules=_house_rules(annotator),
        save_now=amount(*total(totals.save_now.values())),
        save_now_by_verdict=tuple(
            CountLine(verdict, words, *totals.save_now[verdict])
            for verdict, (words, _) in VERDICT_WORDS.items()
            if verdict in totals.save_now
        ),
        save_now_without_url=totals.save_now_without_url,
    )  # fmt: skip


def _house_rules(annotator: Annotator) -> tuple[HouseRuleLine, ...]:
    lines = []
    for house in () if annotator.house_rules is None else annotator.house_rules.rules:
        for version in house.rule.versions:
            if version.withdrawn:
                continue
            lead = house.lead_times.get(version.number)
            says = [] if version.retention is None else [f"save within {describe_duration(version.retention)}"]
            says += [] if lead is None else [f"{describe_duration(lead)} before the provider's deadline"]
            start, citation = version.effective_from, version.citation
            lines.append(
                HouseRuleLine(
                    rule_id=house.rule.id,
                    version=version.number,
                    title=house.rule.title,
                    applies_to=selector_words(version),
                    says="; ".join(says),
                    in_force_from="not stated" if start is None else format_instant(start),
                    source=citation.source if citation else "",
                    section=citation.section if citation else "",
                    retrieved_on=citation.retrieved_on.isoformat() if citation else "",
                )
            )
    return tuple(lines)


def make_local(zone: ZoneInfo, as_of: int, next_deadline: int | None, next_window: int | None) -> LocalTimes:
    """The instants that a person acts on in another zone, and the month of as_of there."""
    first = _at(as_of, zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    following = (first + timedelta(days=31)).replace(day=1, fold=0)
    return LocalTimes(
        zone=zone.key,
        as_of=local_words(as_of, zone),
        next_deadline="" if next_deadline is None else local_words(next_deadline, zone),
        next_window="" if next_window is None else local_words(next_window, zone),
        month=f"{MONTHS[first.month - 1]} {first.year}",
        month_start=format_instant(int(first.timestamp()) * SECOND),
        month_end=format_instant(int(following.timestamp()) * SECOND),
    )


def local_words(instant: int, zone: ZoneInfo) -> str:
    """`8 January 2026, 01:00 (UTC+01:00)`; seconds only where there are some."""
    local = _at(instant, zone)
    seconds = f":{local.second:02d}" if local.second else ""
    return f"{local.day} {MONTHS[local.month - 1]} {local.year}, {local:%H:%M}{seconds} (UTC{_offset(local)})"


def _at(instant: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(instant // SECOND, zone)


def _offset(local: datetime) -> str:
    text = local.strftime("%z")
    return f"{text[:3]}:{text[3:5]}"
