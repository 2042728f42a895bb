"""Counts what the cases of a pack exercise: rules, versions, and boundaries, at which an answer changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from policy_engine.authoring.testing.cases import CaseBench, Row, matched
from policy_engine.core.frames import instants_of
from policy_engine.core.periods import NAT, SECOND, format_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RulePack, RuleVersion
from policy_engine.core.vocabulary import FACTS
from policy_engine.packs.cases import Case, Expectation
from policy_engine.packs.timeline import in_force

JUST_BEFORE = SECOND
"""A case is just before an instant if it is at most this far away, in ns: one step of most exports' clocks."""

BOUNDARIES = {
    "horizon_start": "The file becomes at risk: `as_of` reaches the earliest deadline less the horizon.",
    "earliest_deadline": "The file is possibly past its deadline: `as_of` reaches the earliest deadline.",
    "latest_deadline": "The file is past its deadline: `as_of` reaches the latest deadline.",
    "window_closing": "Operations are closing: `as_of` reaches the earliest end less the operation horizon.",
    "window_close": "Operations are closed: `as_of` reaches the latest end of the window.",
    "effective_from": "The version takes over: a file is created at `effective_from`.",
}
"""Kind of boundary -> what changes there."""
_OF_RETENTION = ("horizon_start", "earliest_deadline", "latest_deadline")
_OF_WINDOW = ("window_closing", "window_close")

Key = tuple[str, int]
"""A rule and the number of a version."""


@dataclass(frozen=True)
class Boundary:
    """An instant at which the answer of a version changes, and the sides of it that cases exercise."""

    rule: str
    version: RuleVersion
    kind: str
    """One of BOUNDARIES."""
    at: bool
    """True if a case asks at the exact instant (for `effective_from`: has a file created at it)."""
    before: bool
    """True if a case asks just before."""

    @property
    def is_exercised(self) -> bool:
        """True if there are cases on both sides."""
        return self.at and self.before


@dataclass(frozen=True)
class Fraction:
    """An exact fraction of a count."""

    done: int
    of: int

    def __str__(self) -> str:
        return f"{self.done} of {self.of}"

    @property
    def percent(self) -> int:
        """Whole per cent, rounded down, so that 100 means all; 100 if there is nothing to count."""
        return 100 if self.of == 0 else self.done * 100 // self.of

    def reaches(self, percent: float) -> bool:
        """True if the exact fraction is at least `percent`."""
        return self.done * 100 >= percent * self.of


@dataclass(frozen=True)
class CoverageReport:
    """What the cases of a pack exercise."""

    rules: Fraction
    versions: Fraction
    boundaries: Fraction
    idle_rules: tuple[Rule, ...]
    """Rules without an exercised version."""
    idle_versions: tuple[tuple[Rule, RuleVersion], ...]
    """Versions that no case exercises, including those of idle rules."""
    open_boundaries: tuple[Boundary, ...]
    """Boundaries without a case on both sides."""

    @property
    def fractions(self) -> tuple[tuple[str, Fraction], ...]:
        """The three fractions with their names."""
        return ("rules", self.rules), ("versions", self.versions), ("boundaries", self.boundaries)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """A warning for each version and boundary that is not exercised, at the location of the version."""
        return (*(_idle(rule, version) for rule, version in self.idle_versions), *map(_open, self.open_boundaries))


def measure(bench: CaseBench) -> CoverageReport:
    """
    Count what the cases of a bench exercise in its own pack.

    A version is exercised if an answer of a case names it; a version that ends its rule, if a file that the version
    before covered was created after that end. A boundary is exercised if one case asks at the exact instant and one
    just before, about files whose deadline depends on this version alone, and both state the field that changes.
    """
    pack = bench.pack
    facts = _Facts(bench)
    versions = [(rule, version) for rule in pack.rules for version in rule.versions]
    boundaries = [
        Boundary(
            rule.id,
            version,
            kind,
            at=_Side(rule.id, version.number, kind, "at") in facts.sides,
            before=_Side(rule.id, version.number, kind, "before") in facts.sides,
        )
        for rule, version in versions
        for kind in _kinds(version)
    ]
    idle = tuple((rule, version) for rule, version in versions if (rule.id, version.number) not in facts.versions)
    used_rules = {rule for rule, _ in facts.versions}
    idle_rules = tuple(rule for rule in pack.rules if rule.id not in used_rules)
    still_open = tuple(boundary for boundary in boundaries if not boundary.is_exercised)
    return CoverageReport(
        rules=Fraction(len(pack.rules) - len(idle_rules), len(pack.rules)),
        versions=Fraction(len(versions) - len(idle), len(versions)),
        boundaries=Fraction(len(boundaries) - len(still_open), len(boundaries)),
        idle_rules=idle_rules,
        idle_versions=idle,
        open_boundaries=still_open,
    )


def _kinds(version: RuleVersion) -> Iterator[str]:
    """The boundaries that a version has."""
    if version.effective_from is not None:
        yield "effective_from"
    if version.retention is not None:
        yield from _OF_RETENTION
    if version.operation_window is not None:
        yield from _OF_WINDOW


class _Side(NamedTuple):
    """One side of a boundary."""

    rule: str
    version: int
    kind: str
    side: str
    """`at` or `before`."""


class _Facts:
    """The versions and boundaries that the cases exercise."""

    def __init__(self, bench: CaseBench) -> None:
        self.versions: set[Key] = set()
        self.sides: set[_Side] = set()
        self._bench = bench
        self._starts: dict[tuple[str, date | None], set[int | None]] = {}
        self._by_key = {(rule.id, version.number): version for rule in bench.pack.rules for version in rule.versions}
        self._readings = [instants_of(bench.assets, name) for name in ("created_at", "completed_at")]
        asset = 0
        for case, rows in zip(bench.files.cases, bench.answers, strict=True):
            stated = {id(row): expectation for expectation, row in matched(case, rows) if row is not None}
            for row in rows:
                self._take(case, asset, row, stated.get(id(row)))
                asset += 1
        self._take_effective_dates()

    def _take(self, case: Case, asset: int, row: Row, stated: Expectation | None) -> None:
        """Note what the finding about one asset exercises."""
        fields = stated.fields.keys() if stated is not None else ()
        readings = [int(column[asset]) for column in self._readings if column[asset] != NAT]
        key = _key(row, "rule_id", "rule_version")
        if key is not None:
            self.versions.add(key)
            ends = _ends(row, "expires_earliest", "expires_latest")
            if ends is not None and _rests_on(ends, readings, self._by_key[key].retention):
                self._side(key, "horizon_start", case.as_of, ends[0] - case.horizon)
                if "possibly_past" in fields or ends[0] == ends[1]:
                    self._side(key, "earliest_deadline", case.as_of, ends[0])
                self._side(key, "latest_deadline", case.as_of, ends[1])
        key = _key(row, "operation_rule_id", "operation_rule_version")
        if key is not None:
            self.versions.add(key)
            window = self._by_key[key].operation_window
            ends = _ends(row, "operation_closes_earliest", "operation_closes_latest")
            if window is not None and ends is not None and _rests_on(ends, readings, window.period):
                if "operation_verdict" in fields:
                    self._side(key, "window_closing", case.as_of, ends[0] - case.operation_horizon)
                    self._side(key, "window_close", case.as_of, ends[1])

    def _side(self, key: Key, kind: str, instant: int, boundary: int) -> None:
        if instant == boundary:
            self.sides.add(_Side(*key, kind, "at"))
        elif boundary - JUST_BEFORE <= instant < boundary:
            self.sides.add(_Side(*key, kind, "before"))

    def _take_effective_dates(self) -> None:
        """
        Note the files created at the start of a version, or just before, among those it covers.

        A version that ends its rule covers what the version before it covered.
        """
        bench = self._bench
        dated = _versions_with_a_start(bench.pack)
        if not dated:
            return
        columns = [bench.assets[fact].astype(object).where(bench.assets[fact].notna(), None) for fact in FACTS]
        for asset, values in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            facts = dict(zip(FACTS, values, strict=True))
            known_on = bench.files.cases[int(bench.case_of[asset])].known_on
            readings = {int(column[asset]) for column in self._readings if column[asset] != NAT}
            for item in (*dated.get(facts["service"], ()), *dated.get(None, ())):
                near = {
                    reading
                    for reading in readings
                    if item.start - JUST_BEFORE <= reading and (reading <= item.start or item.version.withdrawn)
                }
                if near and self._begins(item.rule, item.start, known_on) and _covers(item.covering, facts):
                    self._take_start(item, near, known_on)

    def _take_start(self, item: _Dated, readings: set[int], known_on: date | None) -> None:
        key = (item.rule.id, item.version.number)
        for reading in readings:
            self._side(key, "effective_from", reading, item.start)
            is_after_end = item.version.withdrawn and reading >= item.start
            if is_after_end and _has_ended(item.rule, item.version, reading, known_on):
                self.versions.add(key)

    def _begins(self, rule: Rule, start: int, known_on: date | None) -> bool:
        """True when the rule's answer changes at an instant, by what was known on a day."""
        key = (rule.id, known_on)
        if key not in self._starts:
            self._starts[key] = {segment[0] for segment in in_force(rule, known_on)}
        return start in self._starts[key]


class _Dated(NamedTuple):
    """A version with an `effective_from`."""

    rule: Rule
    version: RuleVersion
    start: int
    covering: RuleVersion
    """The version whose selector counts: of a version that ends its rule, the one before."""


def _versions_with_a_start(pack: RulePack) -> dict[str | None, list[_Dated]]:
    """The versions with an `effective_from` by service; None for those about all services."""
    dated: dict[str | None, list[_Dated]] = {}
    for rule in pack.rules:
        for before, version in zip([None, *rule.versions], rule.versions, strict=False):
            covering = before if version.withdrawn else version
            if version.effective_from is not None and covering is not None:
                named = covering.selector.conditions.get("service")
                for service in (None,) if named is None else sorted(named):
                    item = _Dated(rule, version, version.effective_from, covering)
                    dated.setdefault(service, []).append(item)
    return dated


def _covers(version: RuleVersion, facts: Mapping[str, str | None]) -> bool:
    return all(facts[fact] in values for fact, values in version.selector.conditions.items())


def _has_ended(rule: Rule, version: RuleVersion, instant: int, known_on: date | None) -> bool:
    """True if it is this version that has ended the rule at an instant: no later version replaces it."""
    return not any(
        other.number > version.number
        and (known_on is None or other.recorded_on <= known_on)
        and (other.effective_from is None or other.effective_from <= instant)
        for other in rule.versions
    )


def _key(row: Row, rule: str, version: str) -> Key | None:
    return (row[rule], int(row[version])) if isinstance(row[rule], str) and row[rule] else None


def _ends(row: Row, earliest: str, latest: str) -> tuple[int, int] | None:
    """Both deadlines in ns; None unless both have a date."""
    ends = [row[earliest], row[latest]]
    if any(end is None or end != end for end in ends):
        return None
    return ends[0].as_unit("ns").value, ends[1].as_unit("ns").value


def _rests_on(ends: tuple[int, int], readings: list[int], period: int | None) -> bool:
    """True if both deadlines are recorded instants plus one period, so that no other version is involved."""
    if period is None or not readings:
        return False
    first, last = ends[0] - period, ends[1] - period
    return first == min(readings) and last == max(readings) if len(readings) == 2 else first in readings


def _idle(rule: Rule, version: RuleVersion) -> Problem:
    what = "ends its rule, and no case has a file created after that" if version.withdrawn else "is used by no case"
    return Problem(
        "not-exercised",
        f"`{rule.id}` v{version.number} {what}",
        version.span,
        severity="warning",
        help="add a case for it; `policy-engine test --generate` drafts cases",
    )


def _open(boundary: Boundary) -> Problem:
    version = boundary.version
    name = boundary.kind.replace("_", " ")
    if boundary.kind == "effective_from" and version.effective_from is not None:
        sides = ("a file created at it", "a file created in the second before")
        name = f"effective_from {format_instant(version.effective_from)}"
    else:
        sides = ("a case at the instant", "a case in the second before")
    changes = BOUNDARIES[boundary.kind].rstrip(".")
    missing = [side for side, is_there in zip(sides, (boundary.at, boundary.before), strict=True) if not is_there]
    return Problem(
        "boundary-not-exercised",
        f"`{boundary.rule}` v{version.number}: {name} lacks {' and '.join(missing)}",
        version.span,
        severity="warning",
        help=f"add it, and state the field that changes: {changes[:1].lower()}{changes[1:]}",
    )
