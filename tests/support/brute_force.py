"""Walks all profiles, instants and days of a small pack one by one, for tests of what is decided on sets and boxes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from policy_engine.core.rule_model import Rule, RulePack, RuleVersion
from policy_engine.packs.bitemporal import FOR_EVER, SINCE_EVER
from tests.support.oracle import Facts, complete_profiles, cuts, in_force, matches, pieces_of_all_time


def stretches(made: RulePack) -> list[tuple[int, int, int]]:
    """Every stretch of creation in which no rule changes: an instant of it, its start and its end."""
    dates = cuts(made)
    starts, ends = [SINCE_EVER, *dates], [*dates, FOR_EVER]
    return [
        (instant, start, end) for (instant, _), start, end in zip(pieces_of_all_time(dates), starts, ends, strict=True)
    ]


def matching(made: RulePack, instant: int) -> Iterator[tuple[Facts, list[tuple[Rule, RuleVersion]]]]:
    """Every complete profile with the versions that are in force for it at an instant, everything known."""
    versions = [(rule, in_force(rule, instant, None)) for rule in made.rules]
    present = [(rule, version) for rule, version in versions if version is not None]
    for facts in complete_profiles(made):
        yield facts, [(rule, version) for rule, version in present if matches(version.selector, facts)]


def days(made: RulePack) -> list[date]:
    """A day before anything is known, and every day on which something is learned."""
    known = sorted({version.recorded_on for rule in made.rules for version in rule.versions})
    return [known[0] - timedelta(days=1), *known] if known else []


def standing(rule: Rule, instant: int, day: date | None) -> RuleVersion | None:
    """The latest version that is effective at an instant, even a withdrawn one."""
    reached = [
        version
        for version in rule.versions
        if (day is None or version.recorded_on <= day)
        and (version.effective_from is None or version.effective_from <= instant)
    ]
    return max(reached, key=lambda version: version.number, default=None)
