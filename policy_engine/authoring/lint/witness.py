"""Words of a witness, the smallest example that shows a problem: a kind of file, an instant, and what a rule states."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from policy_engine.core.periods import DAY, SECOND, describe_duration, format_instant
from policy_engine.core.rule_model import RuleVersion
from policy_engine.core.vocabulary import FACTS
from policy_engine.packs.bitemporal import FOR_EVER, SINCE_EVER


def example_instant(since: int, until: int, day: date) -> int:
    """An instant in a range of creation: its start, else a second before its end, else the start of the day."""
    if since != SINCE_EVER:
        return since
    if until != FOR_EVER:
        return until - SECOND
    return (day - date(1970, 1, 1)).days * DAY


def first_instant(version: RuleVersion) -> str:
    """The instant at which a version takes effect; the day it was recorded when it has no such instant."""
    start = SINCE_EVER if version.effective_from is None else version.effective_from
    return format_instant(example_instant(start, FOR_EVER, version.recorded_on))


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
    """What a version states about a subject: `storage` or the name of an operation."""
    if subject != "storage":
        window = version.operation_window
        return f"`{subject}` for {describe_duration(window.period)}" if window is not None else "nothing"
    if version.storage is None:
        return "nothing"
    kept = "on the vendor's terms" if version.retention is None else f"for {describe_duration(version.retention)}"
    return f"{version.storage} {kept}"
