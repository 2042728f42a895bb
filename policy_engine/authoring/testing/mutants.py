"""Makes mutants of a rule: copies with one mistake that a person could make, each described in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from policy_engine.core.fact_domain import listed_values
from policy_engine.core.periods import (
    DAY,
    HOUR,
    MAX_INSTANT,
    MAX_PERIOD,
    MIN_INSTANT,
    MINUTE,
    SECOND,
    format_duration,
    format_instant,
)
from policy_engine.core.rule_model import Catalog, Rule, RuleVersion, Selector
from policy_engine.core.safe_text import plain
from policy_engine.core.vocabulary import StorageLocation

KINDS = {
    "duration": "A period twice or half as long, or one unit longer or shorter.",
    "unit": "A period in the next unit: days for hours, hours for days or minutes, minutes for seconds.",
    "comparison": "A period one nanosecond longer or shorter, the effect of `>` instead of `>=`.",
    "date": "`effective_from` one day or one nanosecond earlier or later, or omitted; `recorded_on` by one day.",
    "selector": "A condition or one of its values removed, inverted, or replaced by another value.",
    "storage": "The other storage location; vendor's terms for a period; no statement on storage, or on operations.",
    "clock": "A period counted only from submission, or only from completion.",
    "operations": "One follow-up operation removed from a window.",
    "withdrawn": "A version that now ends its rule, or no longer ends it.",
}
"""Kind of mutant -> what is changed."""

SUBMITTED, COMPLETED = "submitted", "completed"
"""The instants that mutants of the kind `clock` count from."""

_UNITS = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second"))
_NEXT_UNIT = {DAY: HOUR, HOUR: DAY, MINUTE: HOUR, SECOND: MINUTE}
_OTHER_STORAGE = {
    StorageLocation.PLATFORM: StorageLocation.VENDOR_CDN,
    StorageLocation.VENDOR_CDN: StorageLocation.PLATFORM,
}


@dataclass(frozen=True)
class Mutant:
    """A rule with one thing changed in one of its versions."""

    rule: Rule
    """The original rule."""
    version: RuleVersion
    """The changed version, as it is in the original."""
    kind: str
    """One of KINDS."""
    change: str
    """What is changed, in words (`retention P3D becomes P6D`)."""
    after: Rule
    """The rule with the change; the original rule if only the clock changes."""
    clock: str | None = None
    """SUBMITTED or COMPLETED for a mutant of the clock."""


def make_mutants(rule: Rule, catalog: Catalog, is_replayed: bool = False) -> Iterator[Mutant]:
    """
    Yield every mutant of every version of a rule; those of one version are distinct.

    The day a version was recorded matters only to replays of past days, so it is changed only for rules that some case
    replays.
    """
    for index, version in enumerate(rule.versions):
        seen = {_content(version)}
        recorded = _recorded(version) if is_replayed else ()
        for kind, change, changed in (*_changes(version, catalog), *recorded):
            if _content(changed) in seen:
                continue
            seen.add(_content(changed))
            versions = (*rule.versions[:index], changed, *rule.versions[index + 1 :])
            yield Mutant(rule, version, kind, change, replace(rule, versions=versions))
        if version.withdrawn:
            rest = (*rule.versions[:index], *rule.versions[index + 1 :])
            yield Mutant(rule, version, "withdrawn", "the rule does not end here", replace(rule, versions=rest))
        elif version.retention is not None or version.operation_window is not None:
            yield Mutant(rule, version, "clock", "the period is counted only from submission", rule, SUBMITTED)
            yield Mutant(rule, version, "clock", "the period is counted only from completion", rule, COMPLETED)


def _changes(version: RuleVersion, catalog: Catalog) -> Iterator[tuple[str, str, RuleVersion]]:
    """Kind, words and the changed version."""
    if version.retention is not None:
        for kind, length in _periods(version.retention):
            words = f"retention {format_duration(version.retention)} becomes {_period_words(version.retention, length)}"
            yield kind, words, replace(version, retention=length)
    window = version.operation_window
    if window is not None:
        for kind, length in _periods(window.period):
            words = f"operation window {format_duration(window.period)} becomes {_period_words(window.period, length)}"
            yield kind, words, replace(version, operation_window=replace(window, period=length))
    yield from _dates(version)
    if version.withdrawn:
        return
    for words, conditions in _selectors(version, catalog):
        yield "selector", words, replace(version, selector=Selector(conditions))
    yield from _storages(version)
    if window is not None and len(window.operations) > 1:
        for name in window.operations:
            rest = tuple(other for other in window.operations if other != name)
            changed = replace(version, operation_window=replace(window, operations=rest))
            yield "operations", f"`{plain(name, 60)}` is removed from the operations", changed
    ended = replace(
        version, withdrawn=True, selector=Selector(), storage=None, retention=None, operation_window=None
    )  # fmt: skip
    yield "withdrawn", "the version ends the rule", ended


def _periods(length: int) -> Iterator[tuple[str, int]]:
    unit = next((unit for unit, _ in _UNITS if length % unit == 0), SECOND)
    candidates = (
        ("duration", 2 * length),
        ("duration", length // 2),
        ("duration", length + unit),
        ("duration", length - unit),
        ("unit", length // unit * _NEXT_UNIT[unit]),
        ("comparison", length + 1),
        ("comparison", length - 1),
    )
    for kind, candidate in candidates:
        if 0 < candidate <= MAX_PERIOD:
            yield kind, candidate


def _period_words(before: int, after: int) -> str:
    if abs(after - before) == 1:
        return f"{'longer' if after > before else 'shorter'} by one nanosecond"
    return format_duration(after)


def _dates(version: RuleVersion) -> Iterator[tuple[str, str, RuleVersion]]:
    start = version.effective_from
    if start is None:
        return
    shifts = {DAY: "one day", -DAY: "one day", 1: "one nanosecond", -1: "one nanosecond"}
    for shift, length in shifts.items():
        if MIN_INSTANT <= start + shift <= MAX_INSTANT:
            change = f"effective_from {format_instant(start)} becomes {length} {'later' if shift > 0 else 'earlier'}"
            yield "date", change, replace(version, effective_from=start + shift)
    yield "date", f"effective_from {format_instant(start)} is removed", replace(version, effective_from=None)


def _recorded(version: RuleVersion) -> Iterator[tuple[str, str, RuleVersion]]:
    for days, words in ((1, "one day later"), (-1, "one day earlier")):
        changed = replace(version, recorded_on=version.recorded_on + timedelta(days=days))
        yield "date", f"recorded_on {version.recorded_on} becomes {words}", changed


def _selectors(version: RuleVersion, catalog: Catalog) -> Iterator[tuple[str, dict[str, frozenset[str]]]]:
    conditions = dict(version.selector.conditions)
    for fact, values in conditions.items():
        others = {name: allowed for name, allowed in conditions.items() if name != fact}
        yield f"the condition on {fact} is removed", others
        outside = [value for value in _listed(fact, conditions, catalog) if value not in values]
        ordered = sorted(values)
        if len(ordered) > 1:
            for value in ordered:
                yield f"{fact} `{plain(value, 60)}` is removed", {**conditions, fact: values - {value}}
        if outside and fact != "service":
            yield f"the condition on {fact} is inverted", {**conditions, fact: frozenset(outside)}
        if outside:
            for value in ordered:
                swapped = values - {value} | {outside[0]}
                words = f"{fact} `{plain(value, 60)}` becomes `{plain(outside[0], 60)}`"
                yield words, {**conditions, fact: swapped}


def _listed(fact: str, conditions: dict[str, frozenset[str]], catalog: Catalog) -> list[str]:
    """The values that a selector about the same services can name, in the order of the catalog."""
    named = None if fact == "service" else conditions.get("service")
    meant = [service for service in catalog.services if named is None or service.id in named]
    return list(dict.fromkeys(value for service in meant for value in listed_values(service, fact)))


def _storages(version: RuleVersion) -> Iterator[tuple[str, str, RuleVersion]]:
    if version.storage is not None:
        other = _OTHER_STORAGE[version.storage]
        yield "storage", f"storage {version.storage} becomes {other}", replace(version, storage=other)
        if version.retention is not None:
            yield "storage", "the period becomes the vendor's terms", replace(version, retention=None)
        else:
            yield "storage", "the vendor's terms become P3D", replace(version, retention=3 * DAY)
        if version.operation_window is not None:
            silent = replace(version, storage=None, retention=None)
            yield "storage", "the version states nothing about storage", silent
            yield "storage", "the version states nothing about operations", replace(version, operation_window=None)


def _content(version: RuleVersion) -> tuple[object, ...]:
    """The part of a version that decides answers."""
    return (
        version.effective_from,
        version.recorded_on,
        version.withdrawn,
        tuple(sorted((fact, tuple(sorted(values))) for fact, values in version.selector.conditions.items())),
        version.storage,
        version.retention,
        version.operation_window,
    )
