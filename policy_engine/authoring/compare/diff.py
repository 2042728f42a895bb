"""
Finds what changed in meaning between two rule packs: which answers change, and for which files, exactly.

No solver and no sampling: the statements of both packs are boxes, and the changes are their differences. If no box is
reported, every file of a listed service has the same answer under both packs, whatever is unknown about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain

from policy_engine.authoring.compare.answers import (
    OTHER_FACTS,
    STORAGE,
    Absent,
    Accepted,
    Answer,
    Domain,
    Kept,
    PackSide,
    cuts,
    differences,
    domain_of,
    partition,
    recorded_days,
)
from policy_engine.authoring.compare.parameters import Named, catalog_changes, parameter_changes, rule_changes
from policy_engine.authoring.compare.regions import Labels, Region, merged
from policy_engine.core.fact_domain import values_of
from policy_engine.core.periods import DAY, SECOND, Interval
from policy_engine.core.rule_model import RulePack, Service
from policy_engine.core.vocabulary import FACTS
from policy_engine.packs.bitemporal import FOR_EVER, SINCE_EVER, BitemporalBox

LOOSENED, TIGHTENED, OTHER = "loosened", "tightened", "other"
DIRECTIONS = (LOOSENED, TIGHTENED, OTHER)
"""Longer, or newly governed; shorter, or no longer governed; anything else."""

_PLAIN = ("false",)
"""Values that a witness prefers for a fact that does not matter."""


@dataclass(frozen=True)
class Values:
    """The values of one fact that a change covers."""

    names: tuple[str, ...]
    is_excluded: bool
    """False: these values. True: every value except these."""


@dataclass(frozen=True)
class Witness:
    """One file for which the two packs differ."""

    facts: Mapping[str, str]
    """Every fact, the service first."""
    created: int
    """Instant of creation, ns."""
    known_on: date | None
    """They differ as known on this day; None = by everything that is recorded."""


@dataclass(frozen=True)
class Change:
    """One answer that becomes another, for all profiles, creations and days of knowledge of a box."""

    direction: str
    """One of DIRECTIONS."""
    operations: tuple[str, ...]
    """Follow-up operations that the answer is about; empty = the storage of the file."""
    services: tuple[str, ...]
    facts: Mapping[str, Values]
    """Fact -> values; an absent fact means any."""
    created: Interval
    known: tuple[date | None, date | None]
    """Days of knowledge `[first, end)`; None = no bound."""
    before: Answer
    after: Answer
    before_rules: tuple[tuple[str, int], ...]
    """(rule id, version) of those that give the answer before."""
    after_rules: tuple[tuple[str, int], ...]
    witness: Witness

    @property
    def is_replay_only(self) -> bool:
        """True if only a replay of what was known on past days finds the change."""
        return self.known[1] is not None


@dataclass(frozen=True)
class Space:
    """The finite space that was compared in full."""

    services: int
    profiles: int
    """Distinct combinations of facts; values that no rule names count as one."""
    instants: int
    """Instants at which some version takes effect."""
    days: int
    """Days on which some version was recorded."""


@dataclass(frozen=True)
class PackDiff:
    """What changed between two packs."""

    old: RulePack
    new: RulePack
    space: Space
    changes: tuple[Change, ...]
    parameters: tuple[Named, ...]
    """Settings of pack.yaml for all rules."""
    catalog: tuple[Named, ...]
    rules: tuple[Named, ...]
    """Rules and versions that were added, removed or edited, whether or not an answer changed."""

    @property
    def is_same_meaning(self) -> bool:
        """True if no file can have another answer, and no export is read differently."""
        return not (self.changes or self.parameters or self.catalog)

    def count(self, direction: str) -> int:
        """Number of changes of one direction; parameters and catalog count as `other`."""
        named = len(self.parameters) + len(self.catalog) if direction == OTHER else 0
        return named + sum(change.direction == direction for change in self.changes)

    @property
    def touched_services(self) -> frozenset[str] | None:
        """Services whose files may be judged differently; None = all, since a parameter changed."""
        if self.parameters or any(edit.service is None for edit in self.catalog):
            return None
        named = {edit.service for edit in self.catalog if edit.service is not None}
        return frozenset(named.union(*(change.services for change in self.changes)))


def compare_packs(old: RulePack, new: RulePack) -> PackDiff:
    """Compare two packs, neither of which contradicts itself."""
    sides = PackSide(old), PackSide(new)
    services = sorted({*sides[0].services, *sides[1].services})
    profiles = 0
    first, latest = recorded_days((old, new))
    found: dict[_Shape, _Group] = {}
    for service in services:
        domain = domain_of(service, sides)
        profiles += domain.profiles
        is_absent = service not in sides[0].services, service not in sides[1].services
        said = [{} if absent else side.entries(service, domain) for side, absent in zip(sides, is_absent, strict=True)]
        everything = Region(domain.full, BitemporalBox(SINCE_EVER, FOR_EVER, first.toordinal(), FOR_EVER))
        by_region: dict[tuple[Region, Answer, Answer], tuple[set[str], Labels]] = {}
        for aspect in sorted({STORAGE, *said[0], *said[1]}):
            before, after = (partition(one.get(aspect, ())) for one in said)
            changed = differences(before, after, everything if aspect == STORAGE else None, is_absent)
            for (was, becomes), pieces in changed.items():
                for region, labels in merged(pieces).items():
                    aspects, known = by_region.setdefault((region, was, becomes), (set(), frozenset()))
                    aspects.add(aspect)
                    by_region[region, was, becomes] = aspects, known | labels
        for (region, was, becomes), (aspects, labels) in by_region.items():
            for about in ((),) if STORAGE in aspects else (tuple(sorted(aspects)),):
                shape = _Shape(about, _values(region, domain), region.times, was, becomes)
                group = found.setdefault(shape, _Group({}, set()))
                group.services[service] = region, domain
                group.labels |= labels
    instants, days = cuts((old, new))
    changes = [_change(shape, group, sides, latest) for shape, group in found.items()]
    return PackDiff(
        old=old,
        new=new,
        space=Space(len(services), profiles, instants, days),
        changes=tuple(sorted(changes, key=_order)),
        parameters=parameter_changes(old, new),
        catalog=catalog_changes(old.catalog, new.catalog),
        rules=rule_changes(old.rules, new.rules),
    )


@dataclass(frozen=True)
class _Shape:
    """What changes of several services must share to be reported as one."""

    operations: tuple[str, ...]
    facts: tuple[tuple[str, Values], ...]
    times: BitemporalBox
    before: Answer
    after: Answer


@dataclass
class _Group:
    services: dict[str, tuple[Region, Domain]]
    labels: set[tuple[str, str, int]]


def _values(region: Region, domain: Domain) -> tuple[tuple[str, Values], ...]:
    """The facts of a region in words; a fact that allows everything is omitted."""
    found = []
    for index, fact in enumerate(OTHER_FACTS):
        mask, full, names = region.facts[index], domain.full[index], domain.listed[index]
        if mask == full:
            continue
        is_open = domain.has_others[index] and bool(mask >> len(names) & 1)
        shown = tuple(name for bit, name in enumerate(names) if bool(mask >> bit & 1) is not is_open)
        found.append((fact, Values(shown, is_open)))
    return tuple(found)


def _change(shape: _Shape, group: _Group, sides: tuple[PackSide, PackSide], latest: date) -> Change:
    services = tuple(sorted(group.services))
    start, end, first_day, last_day = (None if at in (SINCE_EVER, FOR_EVER) else at for at in shape.times)
    first, last = (None if day is None else date.fromordinal(day) for day in (first_day, last_day))
    before, after = (
        tuple(sorted((rule, number) for side, rule, number in group.labels if side == wanted))
        for wanted in ("before", "after")
    )
    about = [side.services[services[0]] for side in reversed(sides) if services[0] in side.services]
    region, domain = group.services[services[0]]
    return Change(
        direction=direction_of(shape.before, shape.after),
        operations=shape.operations,
        services=services,
        facts=dict(shape.facts),
        created=Interval(start, end),
        known=(first, last),
        before=shape.before,
        after=shape.after,
        before_rules=before,
        after_rules=after,
        witness=Witness(
            _witness_facts(about, region, domain), _witness_instant(shape, latest), first if last else None
        ),
    )


def direction_of(before: Answer, after: Answer) -> str:
    """Whether files are kept longer, for a shorter time, or neither."""
    ours, theirs = ([said for said in answer if not isinstance(said, Absent)] for answer in (before, after))
    if len(ours) > 1 or len(theirs) > 1:
        return OTHER
    if not ours or not theirs:
        return OTHER if len(ours) == len(theirs) else TIGHTENED if ours else LOOSENED
    was, becomes = ours[0], theirs[0]
    if isinstance(was, Kept) and isinstance(becomes, Kept) and -1 in (was.period, becomes.period):
        return OTHER
    if isinstance(was, (Kept, Accepted)) and isinstance(becomes, (Kept, Accepted)) and was.period != becomes.period:
        return LOOSENED if becomes.period > was.period else TIGHTENED
    return OTHER


def _witness_facts(services: Sequence[Service], region: Region, domain: Domain) -> Mapping[str, str]:
    """Facts of one file of a service (as either pack lists it) in a region: those of an output where one fits."""

    def allows(fact: str, value: str) -> bool:
        place = OTHER_FACTS.index(fact)
        names = domain.listed[place]
        bit = names.index(value) if value in names else len(names)
        return bool(region.facts[place] >> bit & 1)

    def pick(fact: str) -> str:
        place = OTHER_FACTS.index(fact)
        names, mask = domain.listed[place], region.facts[place]
        if not mask >> len(names) & 1:
            allowed = {names[bit] for bit in range(len(names)) if mask >> bit & 1}
            return "false" if fact == "watermarked" and "false" in allowed else min(allowed)
        excluded = {name for bit, name in enumerate(names) if not mask >> bit & 1}
        listed = [values_of(service, fact) for service in services]
        values = [value for value in dict.fromkeys(chain(*listed)) if value not in excluded]
        # A value that both packs know says more than one that is unknown to the other.
        return min(values, key=lambda value: (not all(value in known for known in listed), value not in _PLAIN))

    chosen: dict[str, str] = {}
    for output in services[0].outputs:
        if output.kind != "file":
            continue
        marked = None if output.watermarked is None else str(output.watermarked).lower()
        said = {"media": output.media, "role": output.role, "watermarked": marked}
        if all(value is None or allows(fact, value) for fact, value in said.items()):
            chosen = {fact: value for fact, value in said.items() if value is not None}
            break
    facts = {fact: chosen.get(fact) or pick(fact) for fact in OTHER_FACTS}
    return {FACTS[0]: services[0].id, **facts}


def _witness_instant(shape: _Shape, latest: date) -> int:
    """The first instant of the change; if it has no start, the day recorded last, or just before its end."""
    start, end, _, _ = shape.times
    if start != SINCE_EVER:
        return start
    plain = (latest - date(1970, 1, 1)).days * DAY
    return plain if plain < end else end - (SECOND if end - SECOND > start else 1)


def _order(change: Change) -> tuple[object, ...]:
    """What holds by everything recorded comes before what only a replay finds; then by service, facts and time."""
    return (
        change.is_replay_only,
        change.services,
        change.operations,
        tuple((fact, values.is_excluded, values.names) for fact, values in change.facts.items()),
        SINCE_EVER if change.created.start is None else change.created.start,
        (change.known[0] or date.min),
        repr(change.before),
        repr(change.after),
    )
