"""Counts what the cases of a pack exercise: rules, versions, and the instants at which an answer changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from policy_engine.authoring.testing.cases import CaseBench, Row, matched
from policy_engine.core.frames import instants_of
from policy_engine.core.periods import NAT, SECOND, format_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.packs.cases import Expectation
from policy_engine.packs.timeline import in_force

JUST_BEFORE = SECOND
"""A case lies just before an instant when it is no more than this (ns) away: one step of most exports' clocks."""

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
    """An instant at which the answer of a version changes, and how far the cases go."""

    rule: str
    version: RuleVersion
    kind: str
    """One of BOUNDARIES."""
    at: bool
    """True when a case asks at the very instant (for `effective_from`: has a file created at it)."""
    before: bool
    """True when a case asks just before."""

    @property
    def is_exercised(self) -> bool:
        """True when there are cases on both sides."""
        return self.at and self.before


@dataclass(frozen=True)
class Fraction:
    """So many of so many; never rounded."""

    done: int
    of: int

    def __str__(self) -> str:
        return f"{self.done} of {self.of}"

    @property
    def percent(self) -> int:
        """Whole per cent, rounded down, so that 100 means all; 100 when there is nothing."""
        return 100 if self.of == 0 else self.done * 100 // self.of

    def reaches(self, percent: float) -> bool:
        """True when the exact fraction is at least so many per cent."""
        return self.done * 100 >= percent * self.of


@dataclass(frozen=True)
class CoverageReport:
    """What the cases of a pack exercise."""

    rules: Fraction
    versions: Fraction
    boundaries: Fraction
    idle_rules: tuple[Rule, ...]
    """Rules of which no version is exercised."""
    idle_versions: tuple[tuple[Rule, RuleVersion], ...]
    """Versions that no case exercises, those of idle rules among them."""
    open_boundaries: tuple[Boundary, ...]
    """Boundaries without a case on both sides."""

    @property
    def fractions(self) -> tuple[tuple[str, Fraction], ...]:
        """The three fractions with their names."""
        return ("rules", self.rules), ("versions", self.versions), ("boundaries", self.boundaries)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """A warning for each version and boundary that is not exercised, at the place of the version."""
        return (*(_idle(rule, version) for rule, version in self.idle_versions), *map(_open, self.open_boundaries))


def measure(bench: CaseBench) -> CoverageReport:
    """
    Count what the cases of a bench exercise by its own pack.

    A version is exercised when the answer about a file of a case names it; one that ends its rule, when a file was
    created under it that the version before was about. A boundary is exercised when one case asks at the very instant
    and one just before, of files whose deadline rests on this version alone, and both state the field that changes.
    """
    pack = bench.pack
    facts = _Facts(bench)
    seen = facts.versions
    versions = [(rule, version) for rule in pack.rules for version in rule.versions]
    boundaries = [
        Boundary(rule.id, version, kind, *(
            (rule.id, version.number, kind, side) in facts.sides for side in ("at", "before")
        ))
        for rule, version in versions
        for kind in _kinds(version)
    ]  # fmt: skip
    idle = tuple((rule, version) for rule, version in versions if (rule.id, version.number) not in seen)
    idle_rules = tuple(rule for rule in pack.rules if not any((rule.id, one.number) in seen for one in rule.versions))
    still_open = tuple(one for one in boundaries if not one.is_exercised)
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


class _Facts:
    """What the cases touch."""

    def __init__(self, bench: CaseBench) -> None:
        self.versions: set[Key] = set()
        self.sides: set[tuple[str, int, str, str]] = set()
        """(rule, version, kind of boundary, `at` or `before`)"""
        self._bench = bench
        self._starts: dict[tuple[str, date | None], set[int | None]] = {}
        self._by_key = {(rule.id, version.number): version for rule in bench.pack.rules for version in rule.versions}
        self._readings = [instants_of(bench.assets, name) for name in ("created_at", "completed_at")]
        row = 0
        for place, rows in enumerate(bench.answers):
            stated = {id(found): one for one, found in matched(bench.files.cases[place], rows) if found is not None}
            for found in rows:
                self._take(place, row, found, stated.get(id(found)))
                row += 1
        self._take_effective_dates()

    def _take(self, place: int, at: int, row: Row, stated: Expectation | None) -> None:
        """Note what the finding about one asset touches."""
        case = self._bench.files.cases[place]
        fields = stated.fields.keys() if stated is not None else ()
        readings = [int(one[at]) for one in self._readings if one[at] != NAT]
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
            self.sides.add((*key, kind, "at"))
        elif boundary - JUST_BEFORE <= instant < boundary:
            self.sides.add((*key, kind, "before"))

    def _take_effective_dates(self) -> None:
        """
        Which files were created at the beginning of a version, or just before, among those it is about.

        A version that ends its rule is about what the version before it was about.
        """
        bench = self._bench
        dated: dict[str | None, list[tuple[Rule, RuleVersion, RuleVersion]]] = {}
        for rule in bench.pack.rules:
            for place, version in enumerate(rule.versions):
                about = version if not version.withdrawn else rule.versions[place - 1] if place else None
                if version.effective_from is not None and about is not None:
                    named = about.selector.conditions.get("service")
                    for service in (None,) if named is None else sorted(named):
                        dated.setdefault(service, []).append((rule, version, about))
        if not dated:
            return
        facts = ("service", "task_type", "account", "media", "role", "watermarked")
        columns = [bench.assets[fact].astype(object).where(bench.assets[fact].notna(), None) for fact in facts]
        profiles = list(zip(*(column.tolist() for column in columns), strict=True))
        for at, profile in enumerate(profiles):
            known_on = bench.files.cases[int(bench.case_of[at])].known_on
            readings = {int(one[at]) for one in self._readings if one[at] != NAT}
            for rule, version, about in (*dated.get(profile[0], ()), *dated.get(None, ())):
                start = version.effective_from
                near = {
                    one for one in readings
                    if start is not None and start - JUST_BEFORE <= one and (one <= start or version.withdrawn)
                }  # fmt: skip
                if start is None or not near or not self._begins(rule, start, known_on):
                    continue
                if not _is_about(about, dict(zip(facts, profile, strict=True))):
                    continue
                for reading in near:
                    self._side((rule.id, version.number), "effective_from", reading, start)
                    if version.withdrawn and reading >= start and _silent_at(rule, version, reading, known_on):
                        self.versions.add((rule.id, version.number))

    def _begins(self, rule: Rule, start: int, known_on: date | None) -> bool:
        """True when the rule's answer changes at an instant, by what was known on a day."""
        key = (rule.id, known_on)
        if key not in self._starts:
            self._starts[key] = {segment[0] for segment in in_force(rule, known_on)}
        return start in self._starts[key]


def _is_about(version: RuleVersion, facts: dict[str, str | None]) -> bool:
    return all(facts[fact] in values for fact, values in version.selector.conditions.items())


def _silent_at(rule: Rule, version: RuleVersion, instant: int, known_on: date | None) -> bool:
    """True when it is this version that has ended the rule at an instant: no later one has taken over."""
    return not any(
        other.number > version.number
        and (known_on is None or other.recorded_on <= known_on)
        and (other.effective_from is None or other.effective_from <= instant)
        for other in rule.versions
    )


def _key(row: Row, rule: str, version: str) -> Key | None:
    return (row[rule], int(row[version])) if isinstance(row[rule], str) and row[rule] else None


def _ends(row: Row, earliest: str, latest: str) -> tuple[int, int] | None:
    """Both deadlines in ns; None unless both are dated."""
    ends = [row[earliest], row[latest]]
    if any(end is None or end != end for end in ends):
        return None
    return ends[0].as_unit("ns").value, ends[1].as_unit("ns").value


def _rests_on(ends: tuple[int, int], readings: list[int], period: int | None) -> bool:
    """True when both deadlines are recorded instants plus one period, so that no other version takes part."""
    if period is None or not readings:
        return False
    first, last = ends[0] - period, ends[1] - period
    return first == min(readings) and last == max(readings) if len(readings) == 2 else first in readings


def _idle(rule: Rule, version: RuleVersion) -> Problem:
    what = "ends its rule, and no case has a file created since" if version.withdrawn else "answers in no case"
    return Problem(
        "not-exercised",
        f"`{rule.id}` v{version.number} {what}",
        version.span,
        severity="warning",
        help="add a case for it; `policy-engine test --generate` writes cases to choose from",
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
        help=f"add it, and state what changes there; {changes[:1].lower()}{changes[1:]}",
    )
