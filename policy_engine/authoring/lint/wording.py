"""Says profiles and instants of the rule space in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from policy_engine.core.periods import DAY, SECOND, describe_duration, format_instant, parse_instant
from policy_engine.core.rule_model import RuleVersion
from policy_engine.core.vocabulary import FACTS
from policy_engine.packs.bitemporal import FOR_EVER, SINCE_EVER


def some_instant(since: int, until: int, day: date) -> int:
    """An instant within a range of creation: its first, else a second before its end, else the beginning of the day."""
    if since != SINCE_EVER:
        return since
    if until != FOR_EVER:
        return until - SECOND
    return parse_instant("1970-01-01T00:00:00Z") + (day.toordinal() - date(1970, 1, 1).toordinal()) * DAY


def when(since: int, until: int) -> str:
    """A range of creation in words."""
    if since == SINCE_EVER and until == FOR_EVER:
        return "at every instant"
    if since == SINCE_EVER:
        return f"until {format_instant(until)}"
    if until == FOR_EVER:
        return f"from {format_instant(since)}"
    return f"from {format_instant(since)} until {format_instant(until)}"


def kind_of_file(profile: Mapping[str, str]) -> str:
    """A profile in words: the facts it names, in their order."""
    return ", ".join(f"{fact} `{profile[fact]}`" for fact in FACTS if fact in profile)


def says(version: RuleVersion, subject: str = "storage") -> str:
    """What a version says of a subject: `storage` or the name of an operation."""
    if subject != "storage":
        window = version.operation_window
        return f"`{subject}` for {describe_duration(window.period)}" if window is not None else "nothing"
    if version.storage is None:
        return "nothing"
    kept = "on the vendor's terms" if version.retention is None else f"for {describe_duration(version.retention)}"
    return f"{version.storage} {kept}"
