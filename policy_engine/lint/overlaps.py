"""
`overlap`: two rules are in force for one and the same asset at one instant.

There are no priorities between rules: two answers for one asset are a contradiction, and the pack cannot be
used. Both rules must say something of storage, or both must give a window for the same operation. Narrow one of
the selectors, or let one rule begin where the other ends. A contradiction that stood only in what was known on a
past day is a warning, since versions are append-only; a replay of that day still meets it.

The check is exact and does not try profiles out: two selectors meet at a service when, for each fact, some value
of the service's domain satisfies both, and two timelines meet where stretches of time in force intersect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import combinations, product

from policy_engine.columns import ACCOUNTS, FACTS, MEDIA, UNLISTED_ROLE
from policy_engine.model import Rule, RulePack, RuleVersion, Service
from policy_engine.periods import Interval, format_instant
from policy_engine.problems import Problem, Severity
from policy_engine.timelines import in_force

_OTHER = "(any other)"
"""Stands for every value that a service's domain does not list; no condition names it."""


@dataclass(frozen=True, eq=False)
class _Stretch:
    """A rule version that is in force for some time."""

    rule: Rule
    version: RuleVersion
    time: Interval

    @property
    def key(self) -> tuple[str, int]:
        """Rule and version number."""
        return self.rule.id, self.version.number


def check(pack: RulePack) -> tuple[Problem, ...]:
    """Return one problem for each pair of rule versions that contradict each other."""
    found: dict[frozenset[tuple[str, int]], Problem] = {}
    domains = {service.id: _domains(service) for service in pack.catalog.services}
    for known_on, first, second in _pairs(pack):
        pair = frozenset((first.key, second.key))
        if pair in found or _is_apart(first, second):
            continue
        problem = _compare(first, second, domains, known_on)
        if problem is not None:
            found[pair] = problem
    return tuple(sorted(found.values(), key=Problem.sort_key))


def _pairs(pack: RulePack) -> Iterator[tuple[date | None, _Stretch, _Stretch]]:
    """
    Pairs of stretches of different rules that share a service: all of them at full knowledge (None), then for each
    past day those in which a rule learned something on that day; the others were met on a day before.
    """
    index = _ServiceIndex(service.id for service in pack.catalog.services)
    for rule in pack.rules:
        index.put(rule, None)
    for held in index.services.values():
        for first, second in combinations(held, 2):
            yield from ((None, a, b) for a, b in product(held[first], held[second]))
    learned: dict[date, list[Rule]] = {}
    for rule in pack.rules:
        for day in {version.recorded_on for version in rule.versions}:
            learned.setdefault(day, []).append(rule)
    index = _ServiceIndex(index.services)
    for day in sorted(learned)[:-1]:
        for rule in learned[day]:
            index.put(rule, day)
        for rule in learned[day]:
            for held in index.services.values():
                for other in held.keys() - {rule.id} if rule.id in held else ():
                    yield from ((day, a, b) for a, b in product(held[rule.id], held[other]))


class _ServiceIndex:
    """For each service, the rules that select it and their stretches."""

    def __init__(self, services: Iterable[str]) -> None:
        self.services: dict[str, dict[str, list[_Stretch]]] = {service: {} for service in services}

    def put(self, rule: Rule, known_on: date | None) -> None:
        """Enter a rule as it was known on a day, in place of what stood there."""
        for held in self.services.values():
            held.pop(rule.id, None)
        segments = in_force(rule, known_on)
        ends = [start for start, _ in segments[1:]]
        for (start, version), end in zip(segments, [*ends, None], strict=True):
            if version is None:
                continue
            named = version.selector.conditions.get("service")
            stretch = _Stretch(rule, version, Interval(start, end))
            for service in self.services if named is None else named & self.services.keys():
                self.services[service].setdefault(rule.id, []).append(stretch)


def _is_apart(first: _Stretch, second: _Stretch) -> bool:
    """A quick test that settles most pairs: some fact has no value in common, or the times do not meet."""
    ours, theirs = first.version.selector.conditions, second.version.selector.conditions
    for fact, values in ours.items():
        others = theirs.get(fact)
        if others is not None and values.isdisjoint(others):
            return True
    return _meeting(first.time, second.time) is None


def _compare(
    first: _Stretch,
    second: _Stretch,
    domains: Mapping[str, Mapping[str, tuple[str, ...]]],
    known_on: date | None,
) -> Problem | None:
    """The problem of two stretches, or None when they get along."""
    what = _contradiction(first.version, second.version)
    time = _meeting(first.time, second.time)
    if what is None or time is None:
        return None
    if second.key < first.key:
        first, second = second, first
    for domain in domains.values():
        profile = _witness(domain, first.version, second.version)
        if profile is not None:
            return _problem(first, second, what, time, profile, known_on)
    return None


def _contradiction(first: RuleVersion, second: RuleVersion) -> str | None:
    """What both versions speak about, in words."""
    if first.storage is not None and second.storage is not None:
        return "storage"
    if first.operation_window is not None and second.operation_window is not None:
        for operation in first.operation_window.operations:
            if operation in second.operation_window.operations:
                return f"the operation `{operation}`"
    return None


def _meeting(first: Interval, second: Interval) -> Interval | None:
    """The stretch of time that lies in both."""
    starts = [start for start in (first.start, second.start) if start is not None]
    ends = [end for end in (first.end, second.end) if end is not None]
    start, end = max(starts, default=None), min(ends, default=None)
    if start is not None and end is not None and start >= end:
        return None
    return Interval(start, end)


def _witness(domain: Mapping[str, tuple[str, ...]], first: RuleVersion, second: RuleVersion) -> dict[str, str] | None:
    """A complete profile of one service to which both versions apply, or None when there is none."""
    profile = {}
    for fact, values in domain.items():
        for version in (first, second):
            allowed = version.selector.conditions.get(fact)
            if allowed is not None:
                values = tuple(value for value in values if value in allowed)
        if not values:
            return None
        profile[fact] = values[0]
    return profile


def _domains(service: Service) -> Mapping[str, tuple[str, ...]]:
    """The values that each fact of an asset of this service can have."""
    roles = dict.fromkeys(output.role for output in service.outputs if output.role is not None)
    return {
        "service": (service.id,),
        "task_type": (*service.task_types, _OTHER),
        "account": ACCOUNTS,
        "media": MEDIA,
        "role": (*roles, UNLISTED_ROLE, _OTHER),
        "watermarked": ("true", "false"),
    }


def _problem(
    first: _Stretch,
    second: _Stretch,
    what: str,
    time: Interval,
    profile: Mapping[str, str],
    known_on: date | None,
) -> Problem:
    """Say which two versions meet, when, and for which asset."""
    names = [f"`{stretch.rule.id}` v{stretch.version.number}" for stretch in (first, second)]
    if time.start is not None:
        when = f"from {format_instant(time.start)}"
    elif time.end is not None:
        when = f"until {format_instant(time.end)}"
    else:
        when = "at every instant"
    named = {"service", *first.version.selector.conditions, *second.version.selector.conditions}
    asset = ", ".join(f"{fact} `{profile[fact]}`" for fact in FACTS if fact in named)
    message = f"{names[0]} and {names[1]} both speak about {what} {when}, for instance of {asset}"
    help_text = "narrow one of the selectors, or end one rule where the other begins"
    severity: Severity = "error"
    if known_on is not None:
        severity = "warning"
        message = f"as known on {known_on}, {message}"
        help_text = "only a replay of what was known then meets it; later versions have settled it"
    related = (second.version.span,) if second.version.span is not None else ()
    return Problem("overlap", message, first.version.span, severity=severity, help=help_text, related=related)
