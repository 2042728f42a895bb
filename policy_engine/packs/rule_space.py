"""
Turns a rule pack into the space in which its rules can be compared exactly: profiles of files times two times.

A profile is a service and a value for each other fact; the values are those that the catalog and the schemas list,
and "any other" where the provider may add some. The two times are that of creation and the day on which something
is known. A rule version holds in boxes of these times, and its selector is a product of sets, so every question is
decided on sets and boxes: profiles are split by one fact at a time, by the values that rules name, and the product
of all facts is never made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations

from policy_engine.core.fact_domain import domain_of, listed_values
from policy_engine.core.rule_model import RulePack, RuleVersion
from policy_engine.core.vocabulary import FACTS
from policy_engine.packs.bitemporal import RuleHistory, VersionBox, replay


def says_the_same(first: RuleVersion | None, second: RuleVersion | None) -> bool:
    """True when two versions give every file the same answer; None and a withdrawn version say nothing."""
    return _statement(first) == _statement(second)


def _statement(version: RuleVersion | None) -> object:
    if version is None or version.withdrawn:
        return None
    return version.selector.conditions, version.storage, version.retention, version.operation_window


class RuleSpace:
    """A pack's rules as boxes, and the profiles they may be about."""

    def __init__(self, pack: RulePack) -> None:
        self.pack = pack
        self.histories: Mapping[str, RuleHistory] = {rule.id: replay(rule) for rule in pack.rules}
        self.boxes: tuple[VersionBox, ...] = tuple(
            box for history in self.histories.values() for box in history.boxes if not box.version.withdrawn
        )

    @cached_property
    def domains(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """Service -> fact -> every value that the fact of a file of the service can have."""
        return {service.id: domain_of(service) for service in self.pack.catalog.services}

    @cached_property
    def versions(self) -> int:
        """Number of all versions of all rules."""
        return sum(len(rule.versions) for rule in self.pack.rules)

    @cached_property
    def dates(self) -> int:
        """Number of instants of creation at which some rule changes."""
        return len({v.effective_from for rule in self.pack.rules for v in rule.versions} - {None})

    @cached_property
    def days(self) -> int:
        """Number of days on which something was learned."""
        return len({version.recorded_on for rule in self.pack.rules for version in rule.versions})

    @property
    def extent(self) -> str:
        """The space in words: which values each fact can have, and where the two times are cut."""
        services = self.pack.catalog.services
        types = sum(len(listed_values(service, "task_type")) for service in services)
        account, media, role, watermarked = (
            len({value for service in services for value in listed_values(service, fact)}) for fact in FACTS[2:]
        )
        return (
            f"{len(services)} services; task_type: {types} listed, and any other; account: {account}; "
            f"media: {media}; role: {role} listed; watermarked: {watermarked}; dates of effect: {self.dates}; "
            f"days of recording: {self.days}"
        )

    @cached_property
    def by_service(self) -> Mapping[str, tuple[VersionBox, ...]]:
        """Service -> the boxes that some file of it can fall under."""
        index: dict[str, list[VersionBox]] = {service: [] for service in self.domains}
        for box in self.boxes:
            conditions = box.version.selector.conditions
            named = conditions.get("service")
            for service in self.domains if named is None else named & self.domains.keys():
                if matches_some(conditions, self.domains[service]):
                    index[service].append(box)
        return {service: tuple(held) for service, held in index.items()}

    def meetings(
        self, first: Callable[[VersionBox], bool], second: Callable[[VersionBox], bool]
    ) -> Iterator[tuple[VersionBox, VersionBox]]:
        """
        Every pair of boxes of different rules, one of each kind, that share a profile and a point of both times.

        A pair may come more than once. Selectors are looked up by the values of the fact that distinguishes most of
        them, and only boxes of selectors that can agree are compared in time.
        """
        for service, facts in self.domains.items():
            held = [box for box in self.by_service[service] if first(box) or second(box)]
            for box, other in _sharing_profiles(held, facts):
                if first(box) and second(other):
                    yield box, other
                elif first(other) and second(box):
                    yield other, box

    def profile(self, *versions: RuleVersion, services: Collection[str] | None = None) -> dict[str, str] | None:
        """
        The first profile, in the catalog's order, to which all versions apply, of one of the services (None = any).

        Only facts that one of the versions names are given; the others may have any value.
        """
        named = {"service", *(fact for version in versions for fact in version.selector.conditions)}
        for service, facts in self.domains.items():
            if services is not None and service not in services:
                continue
            found = {}
            for fact in FACTS:
                values = facts[fact]
                for version in versions:
                    allowed = version.selector.conditions.get(fact)
                    if allowed is not None:
                        values = tuple(value for value in values if value in allowed)
                if not values:
                    break
                if fact in named:
                    found[fact] = values[0]
            else:
                return found
        return None


def matches_some(conditions: Mapping[str, frozenset[str]], facts: Mapping[str, tuple[str, ...]]) -> bool:
    """True when every condition accepts some value of its fact."""
    return all(not allowed.isdisjoint(facts.get(fact, ())) for fact, allowed in conditions.items())


def leaves(
    boxes: Sequence[VersionBox],
    facts: Mapping[str, tuple[str, ...]],
    settles: Callable[[Sequence[VersionBox]], bool],
) -> Iterator[tuple[dict[str, str], tuple[VersionBox, ...]]]:
    """
    Split the profiles of a service until, within a part, all boxes left are about every profile.

    Gives for each part the values it was split by, the first listed ones first, and its boxes; parts that hold the
    same boxes come once where one split makes them, and a part may hold none. A part whose boxes about every profile
    of it already settle the question is not given.
    """
    yield from _split(tuple(boxes), facts, tuple(fact for fact in FACTS if fact != "service"), settles)


def _split(
    boxes: tuple[VersionBox, ...],
    facts: Mapping[str, tuple[str, ...]],
    left: tuple[str, ...],
    settles: Callable[[Sequence[VersionBox]], bool],
) -> Iterator[tuple[dict[str, str], tuple[VersionBox, ...]]]:
    if settles([box for box in boxes if all(fact not in box.version.selector.conditions for fact in left)]):
        return
    counts = {fact: sum(fact in box.version.selector.conditions for box in boxes) for fact in left}
    fact = max(left, key=lambda each: counts[each], default=None)
    if fact is None or not counts[fact]:
        yield {}, boxes
        return
    rest = tuple(each for each in left if counts[each] and each != fact)
    named: dict[str, list[int]] = {}
    free = []
    for at, box in enumerate(boxes):
        allowed = box.version.selector.conditions.get(fact)
        if allowed is None:
            free.append(at)
        else:
            for value in allowed:
                named.setdefault(value, []).append(at)
    seen = set()
    for value in facts[fact]:
        part = tuple(sorted((*named[value], *free))) if value in named else tuple(free)
        if part not in seen:
            seen.add(part)
            for path, group in _split(tuple(boxes[at] for at in part), facts, rest, settles):
                yield {fact: value, **path}, group


def _sharing_profiles(
    boxes: Sequence[VersionBox], facts: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[VersionBox, VersionBox]]:
    """Pairs of boxes of different rules whose selectors agree on some profile of a service, and whose times meet."""
    groups: dict[tuple[tuple[str, frozenset[str]], ...], list[VersionBox]] = {}
    for box in boxes:
        conditions = box.version.selector.conditions
        named = tuple(
            (fact, conditions[fact].intersection(facts[fact]))
            for fact in FACTS
            if fact != "service" and fact in conditions
        )
        groups.setdefault(named, []).append(box)
    parts = [(dict(named), held) for named, held in groups.items()]
    hulls = [
        (min(box.times.created_from for box in held), max(box.times.created_until for box in held)) for _, held in parts
    ]
    for _, held in parts:
        yield from _sharing_time(held)
    for first, second in _candidates([named for named, _ in parts], FACTS):
        if hulls[first][0] < hulls[second][1] and hulls[second][0] < hulls[first][1]:
            ours, theirs = parts[first][0], parts[second][0]
            if all(fact not in theirs or not values.isdisjoint(theirs[fact]) for fact, values in ours.items()):
                yield from _sharing_time(parts[first][1], parts[second][1])


def _candidates(selectors: Sequence[Mapping[str, frozenset[str]]], left: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of positions, each once, of selectors that at least one fact does not distinguish."""
    positions = list(range(len(selectors)))
    while positions:
        fact = max(left, key=lambda each: sum(each in selectors[at] for at in positions))
        holders: dict[str, list[int]] = {}
        free = [at for at in positions if fact not in selectors[at]]
        if len(free) == len(positions):
            yield from combinations(positions, 2)
            return
        for at in positions:
            if fact in selectors[at]:
                near = {other for value in selectors[at][fact] for other in holders.get(value, ())}
                yield from ((other, at) for other in sorted(near))
                yield from ((other, at) for other in free)
                for value in selectors[at][fact]:
                    holders.setdefault(value, []).append(at)
        positions, left = free, [each for each in left if each != fact]


def _sharing_time(
    boxes: Sequence[VersionBox], others: Sequence[VersionBox] = ()
) -> Iterator[tuple[VersionBox, VersionBox]]:
    """
    Pairs of boxes of different rules that share a point of both times, swept along creation.

    With `others`, one of each kind; without, any two.
    """
    if all(box.rule is boxes[0].rule for box in (*boxes, *others)):
        return
    open_boxes: tuple[list[VersionBox], list[VersionBox]] = ([], [])
    tagged = [*((box, 0) for box in boxes), *((box, 1) for box in others)]
    for box, kind in sorted(
        tagged, key=lambda each: (each[0].times.created_from, *each[0].key, each[0].times.known_from)
    ):
        facing = (1 - kind) if others else 0
        still = [other for other in open_boxes[facing] if other.times.created_until > box.times.created_from]
        open_boxes[facing][:] = still
        for other in still:
            if other.rule is not box.rule and other.times.meet(box.times) is not None:
                yield other, box
        open_boxes[kind].append(box)
