"""
Turns two rule packs into what each says about one service: disjoint regions with an answer each.

Every fact has the values of its domain under either pack; those that no rule of the service names are alike to the
rules and folded into one. An unknown fact stands for any of its values, so packs
that agree on all complete profiles agree on it, too. Time is cut where versions take effect, and knowledge where they
were recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from policy_engine.authoring.compare.regions import Labels, Region, meet, subtract
from policy_engine.core.fact_domain import listed_values, values_of
from policy_engine.core.rule_model import RulePack, RuleVersion, Service
from policy_engine.core.vocabulary import FACTS
from policy_engine.packs.bitemporal import VersionBox, replay

OTHER_FACTS = FACTS[1:]
"""The facts of a profile beside its service, in the order of the masks of a region."""


@dataclass(frozen=True, order=True)
class Kept:
    """Where a file is kept, and how long."""

    storage: str
    period: int
    """Nanoseconds from creation; -1 = the vendor's own terms."""
    basis: str


@dataclass(frozen=True, order=True)
class Accepted:
    """For how long a follow-up operation is accepted."""

    period: int


@dataclass(frozen=True, order=True)
class Absent:
    """The catalog does not list the service."""


Said = Kept | Accepted | Absent
Answer = tuple[Said, ...]
"""What the rules in force say: nothing, or one thing; several only where rules contradict each other, which can only
be in what was known on a past day."""

_NO_DAY = date(2000, 1, 1)
"""Stands for the days of packs in which nothing was ever recorded."""

STORAGE = ""
"""Aspect of an answer: storage; every other aspect is the name of an operation."""


@dataclass(frozen=True)
class Domain:
    """The values of each fact that are told apart for one service."""

    listed: tuple[tuple[str, ...], ...]
    """Values that rules name, per fact in the order of OTHER_FACTS; the bits of a mask."""
    has_others: tuple[bool, ...]
    """True where there are more values: they share the bit after the listed ones."""

    @cached_property
    def full(self) -> tuple[int, ...]:
        """The masks that allow everything."""
        return tuple(
            (1 << len(values) + others) - 1 for values, others in zip(self.listed, self.has_others, strict=True)
        )

    @property
    def profiles(self) -> int:
        """How many profiles there are: counted, never built."""
        count = 1
        for values, others in zip(self.listed, self.has_others, strict=True):
            count *= len(values) + others
        return count


class PackSide:
    """One of the two packs, by service."""

    def __init__(self, pack: RulePack) -> None:
        """Find for each service of the catalog the versions that may be about it, and when each is in force."""
        self.services: dict[str, Service] = {service.id: service for service in pack.catalog.services}
        self.boxes: dict[str, list[VersionBox]] = {service: [] for service in self.services}
        for box in (box for rule in pack.rules for box in replay(rule).boxes if not box.version.withdrawn):
            named = box.version.selector.conditions.get("service")
            for service in self.services if named is None else sorted(named & self.services.keys()):
                self.boxes[service].append(box)

    def entries(self, service: str, domain: Domain) -> dict[str, list[tuple[Region, Said, Labels]]]:
        """Per aspect the regions of a service with what a rule says there; not yet disjoint."""
        found: dict[str, list[tuple[Region, Said, Labels]]] = {STORAGE: []}
        about = self.services[service]
        for box in self.boxes[service]:
            version = box.version
            facts = _masks(version, about, domain)
            if facts is None:
                continue
            region = Region(facts, box.times)
            labels: Labels = frozenset({("", *box.key)})
            if version.storage is not None:
                period = -1 if version.retention is None else version.retention
                basis = version.citation.basis if version.citation is not None else ""
                found[STORAGE].append((region, Kept(str(version.storage), period, basis), labels))
            if version.operation_window is not None and about.operations:
                for operation in version.operation_window.operations:
                    found.setdefault(operation, []).append((region, Accepted(version.operation_window.period), labels))
        return found


def domain_of(service: str, sides: Iterable[PackSide]) -> Domain:
    """The values told apart for a service: those that a rule of either pack names and either catalog lists."""
    present = [side for side in sides if service in side.services]
    named: dict[str, set[str]] = {}
    for side in present:
        for box in side.boxes[service]:
            for fact, values in box.version.selector.conditions.items():
                named.setdefault(fact, set()).update(values)
    listed, others = [], []
    for fact in OTHER_FACTS:
        known = {value for side in present for value in values_of(side.services[service], fact)}
        listed.append(tuple(sorted(known & named.get(fact, set()))))
        others.append(len(known) > len(listed[-1]))
    return Domain(tuple(listed), tuple(others))


def _masks(version: RuleVersion, service: Service, domain: Domain) -> tuple[int, ...] | None:
    """The selector of a version as masks, or None when nothing of the service can match."""
    masks = []
    for fact, values, full in zip(OTHER_FACTS, domain.listed, domain.full, strict=True):
        allowed = version.selector.conditions.get(fact)
        if allowed is None:
            masks.append(full)
            continue
        # No file has on this side what it does not list for the service, so its rules say nothing of that value.
        allowed = allowed & set(listed_values(service, fact))
        mask = sum(1 << place for place, value in enumerate(values) if value in allowed)
        if not mask:
            return None
        masks.append(mask)
    return tuple(masks)


Partition = dict[tuple[int, ...], list[tuple[Region, Answer, Labels]]]
"""Disjoint regions by their facts, each with its answer."""


def partition(entries: Iterable[tuple[Region, Said, Labels]]) -> Partition:
    """Make the regions of one aspect disjoint: where several speak, their answers stand together."""
    done: Partition = {}
    for region, said, labels in entries:
        _put(done, region, (said,), labels)
    near = Neighbours(done)
    meeting: list[tuple[Region, Answer, Labels]] = []
    for held in done.values():
        # Rules that contradict each other are an error, so there is next to nothing in here.
        alone = [entry for entry in held if not _meets_another(entry[0], done, near)]
        meeting += [entry for entry in held if entry not in alone]
        held[:] = alone
    return _split(meeting, {facts: held for facts, held in done.items() if held})


def _meets_another(region: Region, done: Partition, near: Neighbours) -> bool:
    count = 0
    for facts in near.of(region.facts):
        count += sum(meet(region, other) is not None for other, _, _ in done[facts])
    return count > 1


def _split(entries: Iterable[tuple[Region, Answer, Labels]], done: Partition) -> Partition:
    """Enter regions that may meet each other, those that meet being cut to pieces."""
    for region, answer, labels in entries:
        rest = [region]
        # Found before anything is cut: what is put back must not be met again.
        for held in [held for known in done.values() for held in known if meet(held[0], region) is not None]:
            inside = meet(held[0], region)
            assert inside is not None
            done[held[0].facts].remove(held)
            for piece in subtract(held[0], region):
                _put(done, piece, held[1], held[2])
            _put(done, inside, tuple(sorted((*held[1], *answer))), held[2] | labels)
            rest = [piece for one in rest for piece in subtract(one, inside)]
        for piece in rest:
            _put(done, piece, answer, labels)
    return {facts: held for facts, held in done.items() if held}


def _put(done: Partition, region: Region, answer: Answer, labels: Labels) -> None:
    done.setdefault(region.facts, []).append((region, answer, labels))


def cuts(packs: Iterable[RulePack]) -> tuple[int, int]:
    """How many instants cut the time of creation, and how many days cut what was known."""
    versions = [version for pack in packs for rule in pack.rules for version in rule.versions]
    instants = {version.effective_from for version in versions} - {None}
    return len(instants), len({version.recorded_on for version in versions})


def recorded_days(packs: Iterable[RulePack]) -> tuple[date, date]:
    """The first and the last day on which something was recorded."""
    days = [version.recorded_on for pack in packs for rule in pack.rules for version in rule.versions]
    return min(days, default=_NO_DAY), max(days, default=_NO_DAY)


class Neighbours:
    """Finds, among many masks of facts, those that share a profile with given ones, without trying each."""

    def __init__(self, groups: Iterable[tuple[int, ...]]) -> None:
        """Note for every value of every fact which groups allow it; a set of groups is a mask of bits, too."""
        self._groups = list(groups)
        self._allowing: list[dict[int, int]] = [{} for _ in OTHER_FACTS]
        for place, facts in enumerate(self._groups):
            for allowing, mask in zip(self._allowing, facts, strict=True):
                allowing[mask] = allowing.get(mask, 0) | 1 << place

    def of(self, facts: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The groups that share a profile with these masks, in their order."""
        found = (1 << len(self._groups)) - 1
        for allowing, mask in zip(self._allowing, facts, strict=True):
            fitting = 0
            for other, groups in allowing.items():
                if other & mask:
                    fitting |= groups
            found &= fitting
            if not found:
                return []
        near = []
        while found:
            lowest = found & -found
            near.append(self._groups[lowest.bit_length() - 1])
            found ^= lowest
        return near


def differences(
    before: Partition, after: Partition, full: Region | None, absent: tuple[bool, bool]
) -> Mapping[tuple[Answer, Answer], dict[Region, Labels]]:
    """
    The regions in which two partitions answer differently, by (answer before, answer after).

    `full` and `absent` say of a service that only one catalog lists that the other side answers so everywhere.
    """
    if full is not None and True in absent:
        side = before if absent[0] else after
        side.clear()
        _put(side, full, (Absent(),), frozenset())
    found: dict[tuple[Answer, Answer], dict[Region, Labels]] = {}

    def emit(region: Region, old: Answer, new: Answer, labels: Labels) -> None:
        found.setdefault((old, new), {})[region] = labels

    _cancel(before, after)
    ours, theirs_near = Neighbours(before), Neighbours(after)
    for facts, held in before.items():
        near = [entry for other in theirs_near.of(facts) for entry in after[other]]
        for region, answer, labels in held:
            rest = [region]
            for theirs, other_answer, other_labels in near:
                inside = meet(region, theirs)
                if inside is None:
                    continue
                if answer != other_answer:
                    emit(inside, answer, other_answer, _said("before", labels) | _said("after", other_labels))
                rest = [piece for one in rest for piece in subtract(one, inside)]
            for piece in rest:
                emit(piece, answer, (), _said("before", labels))
    for facts, held in after.items():
        near = [entry for other in ours.of(facts) for entry in before[other]]
        for region, answer, labels in held:
            rest = [region]
            for theirs, _, _ in near:
                rest = [piece for one in rest for piece in subtract(one, theirs)]
            for piece in rest:
                emit(piece, (), answer, _said("after", labels))
    return found


def _cancel(before: Partition, after: Partition) -> None:
    """Take away what both say alike: the regions of a side are disjoint, so nothing else can be affected."""
    for facts in before.keys() & after.keys():
        ours = {(region, answer) for region, answer, _ in before[facts]}
        same = ours & {(region, answer) for region, answer, _ in after[facts]}
        for side in (before, after):
            side[facts] = [entry for entry in side[facts] if (entry[0], entry[1]) not in same]
            if not side[facts]:
                del side[facts]


def _said(side: str, labels: Labels) -> Labels:
    return frozenset((side, rule, number) for _, rule, number in labels)
