"""
Turns the versions of a rule into the boxes of both times in which each is in force.

The two times are that of creation and the day on which something is known. Boxes are exact: nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.packs.timeline import in_force

SINCE_EVER = -(2**63)
"""Beginning of what has none, in both times."""
FOR_EVER = 2**63
"""End of what has none, in both times."""

VersionKey = tuple[str, int]
"""Rule id and version number."""


class BitemporalBox(NamedTuple):
    """A range of creation and a range of knowledge; both contain their beginning and not their end."""

    created_from: int
    """First instant of creation, in ns, or SINCE_EVER."""
    created_until: int
    """First instant of creation no longer inside, or FOR_EVER."""
    known_from: int
    """First day on which this is known, as its ordinal."""
    known_until: int
    """First day on which something else is known, or FOR_EVER."""

    @property
    def is_current(self) -> bool:
        """True for what holds with everything known that is recorded."""
        return self.known_until == FOR_EVER

    def meet(self, other: BitemporalBox) -> BitemporalBox | None:
        """What lies in both."""
        created_from, known_from = max(self.created_from, other.created_from), max(self.known_from, other.known_from)
        created_until = min(self.created_until, other.created_until)
        known_until = min(self.known_until, other.known_until)
        if created_from >= created_until or known_from >= known_until:
            return None
        return BitemporalBox(created_from, created_until, known_from, known_until)

    def around(self, inside: BitemporalBox) -> Iterator[BitemporalBox]:
        """What of this box lies outside a box within it, as boxes that do not meet."""
        for start, end in ((self.known_from, inside.known_from), (inside.known_until, self.known_until)):
            if start < end:
                yield self._replace(known_from=start, known_until=end)
        for start, end in ((self.created_from, inside.created_from), (inside.created_until, self.created_until)):
            if start < end:
                yield inside._replace(created_from=start, created_until=end)


class VersionBox(NamedTuple):
    """A box in which a version of a rule is in force."""

    rule: Rule
    version: RuleVersion
    times: BitemporalBox

    @property
    def key(self) -> VersionKey:
        """Rule and version number."""
        return self.rule.id, self.version.number

    @property
    def is_current(self) -> bool:
        """True for what holds with everything known that is recorded."""
        return self.times.is_current

    @property
    def name(self) -> str:
        """The version as a baseline names it."""
        return version_name(self.rule, self.version)

    @property
    def shown(self) -> str:
        """The version as sentences name it."""
        return f"`{self.rule.id}` v{self.version.number}"


@dataclass(frozen=True)
class RuleHistory:
    """The result of replaying the versions of one rule."""

    boxes: tuple[VersionBox, ...]
    """Where each version is in force, withdrawn ones too; they share no point and cover all that is ever in force."""
    replaced: Mapping[int, tuple[RuleVersion | None, ...]]
    """Version number -> what was in force before, where it is (None = nothing); empty when it never is."""


def version_name(rule: Rule, version: RuleVersion) -> str:
    """`flux v2`."""
    return f"{rule.id} v{version.number}"


def replay(rule: Rule) -> RuleHistory:
    """Replay the versions of a rule over both times, in a time that grows with their number and no faster."""
    versions = sorted(rule.versions, key=lambda version: version.number)
    if any(later.recorded_on < earlier.recorded_on for earlier, later in pairwise(versions)):
        return _replay_by_day(rule)
    done: list[VersionBox] = []
    replaced: dict[int, list[tuple[int, int, RuleVersion | None]]] = {}
    # What is in force: (start, version, known from), each until the next starts.
    current: list[tuple[int, RuleVersion | None, int]] = [(SINCE_EVER, None, SINCE_EVER)]
    for version in versions:
        day = version.recorded_on.toordinal()
        start = SINCE_EVER if version.effective_from is None else version.effective_from
        end = FOR_EVER
        taken = replaced.setdefault(version.number, [])
        while current and end > start:
            begin, before, known = current.pop()
            if before is not None and known < day:
                done.append(VersionBox(rule, before, BitemporalBox(begin, end, known, day)))
            taken.append((max(begin, start), end, before))
            if begin < start:
                current.append((begin, before, day if known < day else known))
            end = begin
        current.append((start, version, day))
    ends = [start for start, _, _ in current[1:]]
    for (start, last, known), end in zip(current, [*ends, FOR_EVER], strict=True):
        if last is not None:
            done.append(VersionBox(rule, last, BitemporalBox(start, end, known, FOR_EVER)))
    reached: dict[int, int] = {}
    for box in done:
        number = box.version.number
        reached[number] = max(reached.get(number, SINCE_EVER), box.times.created_until)
    before_it = {
        number: tuple(before for begin, _, before in taken if number in reached and begin < reached[number])
        for number, taken in replaced.items()
    }
    return RuleHistory(tuple(sorted(done, key=_order)), before_it)


def _order(box: VersionBox) -> tuple[int, int, int]:
    return box.version.number, box.times.known_from, box.times.created_from


def _replay_by_day(rule: Rule) -> RuleHistory:
    """The same for versions whose days are out of order, which no file may hold: day by day, and without `replaced`."""
    days = sorted({version.recorded_on for version in rule.versions})
    ends_of_days = [*(day.toordinal() for day in days[1:]), FOR_EVER]
    done = []
    for day, known_until in zip(days, ends_of_days, strict=True):
        segments = in_force(rule, day)
        ends = [start for start, _ in segments[1:]]
        for (start, version), end in zip(segments, [*ends, None], strict=True):
            if version is not None:
                since, until = SINCE_EVER if start is None else start, FOR_EVER if end is None else end
                times = BitemporalBox(since, until, day.toordinal(), known_until)
                done.append(VersionBox(rule, version, times))
    return RuleHistory(tuple(sorted(done, key=_order)), {})
