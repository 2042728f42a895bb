"""
Exact regions: sets of values of facts, times a box of creation and knowledge.

A set of values is a mask of bits, one per value that some rule names and one for all others together. All laws here
are those of sets, so nothing is sampled and no product of domains is ever built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from policy_engine.packs.bitemporal import BitemporalBox


class Region(NamedTuple):
    """Profiles of one service, with the creations and the days of knowledge it is about."""

    facts: tuple[int, ...]
    """Mask of allowed values per fact, in the order of FACTS without the service; a mask is never 0."""
    times: BitemporalBox


def meet(one: Region, two: Region) -> Region | None:
    """What both contain."""
    times = one.times.meet(two.times)
    if times is None:
        return None
    facts = shared(one.facts, two.facts)
    return None if facts is None else Region(facts, times)


def shared(one: tuple[int, ...], two: tuple[int, ...]) -> tuple[int, ...] | None:
    """The values that both allow, or None when some fact has none."""
    if one == two:
        return one
    facts = []
    for mine, theirs in zip(one, two, strict=True):
        both = mine & theirs
        if not both:
            return None
        facts.append(both)
    return tuple(facts)


def subtract(region: Region, hole: Region) -> list[Region]:
    """What of a region lies outside a hole, as regions that do not meet."""
    inside = meet(region, hole)
    if inside is None:
        return [region]
    pieces = [Region(region.facts, times) for times in region.times.around(inside.times)]
    facts = list(region.facts)
    for position, (mine, theirs) in enumerate(zip(region.facts, inside.facts, strict=True)):
        if mine != theirs:
            facts[position] = mine & ~theirs
            pieces.append(Region(tuple(facts), inside.times))
            facts[position] = theirs
    return pieces


Labels = frozenset[tuple[str, str, int]]
"""What is behind a region: (`before` or `after`, rule id, version number)."""


def merged(pieces: Mapping[Region, Labels]) -> dict[Region, Labels]:
    """Join disjoint regions that differ in one respect only, until none can be joined; labels are united."""
    regions = dict(pieces)
    while len(regions) > 1:
        before = len(regions)
        regions = _joined_times(regions, "known_from", "known_until")
        regions = _joined_times(regions, "created_from", "created_until")
        for position in range(len(next(iter(regions)).facts)):
            regions = _joined_values(regions, position)
        if len(regions) == before:
            break
    return regions


def _joined_values(regions: Mapping[Region, Labels], position: int) -> dict[Region, Labels]:
    """Regions that differ in one fact only become one that allows the values of all."""
    groups: dict[Region, tuple[int, Labels]] = {}
    for region, labels in regions.items():
        key = _with_mask(region, position, 0)
        mask, known = groups.get(key, (0, frozenset()))
        groups[key] = mask | region.facts[position], known | labels
    return {_with_mask(key, position, mask): labels for key, (mask, labels) in groups.items()}


def _with_mask(region: Region, position: int, mask: int) -> Region:
    return Region((*region.facts[:position], mask, *region.facts[position + 1 :]), region.times)


def _joined_times(regions: Mapping[Region, Labels], first: str, last: str) -> dict[Region, Labels]:
    """Regions that differ in one range only become one where the ranges touch; `first`, `last`: its fields."""
    groups: dict[Region, list[tuple[int, int, Labels]]] = {}
    for region, labels in regions.items():
        start, end = getattr(region.times, first), getattr(region.times, last)
        groups.setdefault(_with_range(region, first, last, 0, 0), []).append((start, end, labels))
    joined: dict[Region, Labels] = {}
    for key, members in groups.items():
        members.sort(key=lambda member: member[:2])
        start, end, labels = members[0]
        for begin, until, more in members[1:]:
            if begin == end:
                end, labels = until, labels | more
            else:
                joined[_with_range(key, first, last, start, end)] = labels
                start, end, labels = begin, until, more
        joined[_with_range(key, first, last, start, end)] = labels
    return joined


def _with_range(region: Region, first: str, last: str, start: int, end: int) -> Region:
    return Region(region.facts, region.times._replace(**{first: start, last: end}))
