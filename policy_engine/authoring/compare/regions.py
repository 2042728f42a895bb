"""
Exact boxes: sets of values of facts, times an interval of creation, times an interval of days of knowledge.

A set of values is a bit mask: one bit per value that some rule names, and one for all others together. Intervals are
half-open. All operations are those of sets, so nothing is sampled and no product of domains is ever built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

SINCE_EVER = -(2**63)
FOR_EVER = 2**63
"""Ends of intervals that have none, on both axes."""

Span = tuple[int, int]
"""`[start, end)`: nanoseconds since 1970 of a creation, or ordinals of days."""


class Box(NamedTuple):
    """Profiles of one service, with the creations and the days of knowledge it is about."""

    facts: tuple[int, ...]
    """Mask of allowed values per fact, in the order of FACTS without the service; none is 0."""
    created: Span
    known: Span


def meet(one: Box, two: Box) -> Box | None:
    """The intersection of two boxes; None if it is empty."""
    created = max(one.created[0], two.created[0]), min(one.created[1], two.created[1])
    if created[0] >= created[1]:
        return None
    known = max(one.known[0], two.known[0]), min(one.known[1], two.known[1])
    if known[0] >= known[1]:
        return None
    facts = shared(one.facts, two.facts)
    return None if facts is None else Box(facts, created, known)


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


def subtract(box: Box, hole: Box) -> list[Box]:
    """The part of a box outside a hole, as disjoint boxes."""
    inside = meet(box, hole)
    if inside is None:
        return [box]
    pieces = []
    for span in _around(box.known, inside.known):
        pieces.append(box._replace(known=span))
    for span in _around(box.created, inside.created):
        pieces.append(Box(box.facts, span, inside.known))
    facts = list(box.facts)
    for place, (mine, theirs) in enumerate(zip(box.facts, inside.facts, strict=True)):
        if mine != theirs:
            facts[place] = mine & ~theirs
            pieces.append(Box(tuple(facts), inside.created, inside.known))
            facts[place] = theirs
    return pieces


def _around(span: Span, hole: Span) -> Iterable[Span]:
    if span[0] < hole[0]:
        yield span[0], hole[0]
    if hole[1] < span[1]:
        yield hole[1], span[1]


Labels = frozenset[tuple[str, str, int]]
"""The versions that make a box: (`before` or `after`, rule id, version number)."""


def merged(pieces: Mapping[Box, Labels]) -> dict[Box, Labels]:
    """Join disjoint boxes that differ in one respect only, as long as possible; labels are united."""
    boxes = dict(pieces)
    while len(boxes) > 1:
        before = len(boxes)
        boxes = _joined_spans(boxes, "known")
        boxes = _joined_spans(boxes, "created")
        for place in range(len(next(iter(boxes)).facts)):
            boxes = _joined_values(boxes, place)
        if len(boxes) == before:
            break
    return boxes


def _joined_values(boxes: Mapping[Box, Labels], place: int) -> dict[Box, Labels]:
    """Boxes that differ only in one fact become one that allows the values of all."""
    groups: dict[Box, tuple[int, Labels]] = {}
    for box, labels in boxes.items():
        facts = box.facts
        key = Box((*facts[:place], 0, *facts[place + 1 :]), box.created, box.known)
        mask, known = groups.get(key, (0, frozenset()))
        groups[key] = mask | facts[place], known | labels
    return {
        key._replace(facts=(*key.facts[:place], mask, *key.facts[place + 1 :])): labels
        for key, (mask, labels) in groups.items()
    }


def _joined_spans(boxes: Mapping[Box, Labels], axis: str) -> dict[Box, Labels]:
    """Boxes that differ only in one interval become one if the intervals touch."""
    groups: dict[Box, list[tuple[Span, Labels]]] = {}
    for box, labels in boxes.items():
        groups.setdefault(box._replace(**{axis: (0, 0)}), []).append((getattr(box, axis), labels))
    joined: dict[Box, Labels] = {}
    for key, members in groups.items():
        members.sort(key=lambda member: member[0])
        (start, end), labels = members[0]
        for span, more in members[1:]:
            if span[0] == end:
                end, labels = span[1], labels | more
            else:
                joined[key._replace(**{axis: (start, end)})] = labels
                (start, end), labels = span, more
        joined[key._replace(**{axis: (start, end)})] = labels
    return joined
