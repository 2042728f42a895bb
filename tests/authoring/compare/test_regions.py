"""The laws of regions: what is subtracted, met and joined covers the same points as before, and none of them twice."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from policy_engine.authoring.compare.answers import Accepted, Neighbours, partition
from policy_engine.authoring.compare.regions import Region, meet, merged, shared, subtract
from policy_engine.packs.bitemporal import BitemporalBox

SPANS = st.tuples(st.integers(0, 3), st.integers(1, 3)).map(lambda pair: (pair[0], pair[0] + pair[1]))
MASKS = st.tuples(*[st.integers(1, 7)] * 2, *[st.just(1)] * 3)
REGIONS = st.builds(lambda facts, created, known: Region(facts, BitemporalBox(*created, *known)), MASKS, SPANS, SPANS)


def points(region: Region) -> set[tuple[int, ...]]:
    """Every point of a small region."""
    bits = [[bit for bit in range(3) if mask >> bit & 1] for mask in region.facts]
    return set(product(*bits, range(*region.times[:2]), range(*region.times[2:])))


def disjoint_union(regions: list[Region]) -> set[tuple[int, ...]]:
    """The points of regions, of which no two may share one."""
    found: set[tuple[int, ...]] = set()
    for region in regions:
        assert not found & points(region)
        found |= points(region)
    return found


@given(REGIONS, REGIONS)
def test_meeting_and_subtracting_split_a_box(one: Region, two: Region) -> None:
    """
    A region is what it shares with another and what it does not, and the pieces are apart.
    """
    inside = meet(one, two)
    assert (points(inside) if inside else set()) == points(one) & points(two)
    assert disjoint_union(subtract(one, two)) == points(one) - points(two)


@given(st.lists(REGIONS, max_size=6))
def test_joining_keeps_the_points(regions: list[Region]) -> None:
    """
    Joined regions cover the same points, none twice, are no more than before, and keep the labels of every point.
    """
    pieces: dict[Region, frozenset[tuple[str, str, int]]] = {}
    for number, region in enumerate(regions):
        rest = [region]
        for known in list(pieces):
            rest = [piece for one in rest for piece in subtract(one, known)]
        pieces |= {piece: frozenset({("before", "rule", number)}) for piece in rest}
    found = merged(pieces)
    assert disjoint_union(list(found)) == disjoint_union(list(pieces))
    assert len(found) <= len(pieces)
    for piece, labels in pieces.items():
        assert all(labels <= held for region, held in found.items() if meet(region, piece))


def test_regions_with_a_gap_between_stay_two() -> None:
    """
    Two stretches of time are joined only where they touch.
    """
    one, two, three = (Region((1,) * 5, BitemporalBox(*span, 0, 1)) for span in ((0, 1), (2, 3), (1, 2)))
    nothing: frozenset[tuple[str, str, int]] = frozenset()
    assert len(merged({one: nothing, two: nothing})) == 2
    assert list(merged({one: nothing, two: nothing, three: nothing})) == [Region((1,) * 5, BitemporalBox(0, 3, 0, 1))]


@given(st.lists(REGIONS, max_size=5))
def test_a_partition_is_disjoint_and_keeps_every_answer(regions: list[Region]) -> None:
    """
    Where several regions speak, the partition answers with all of them, and with none it forgets a point.
    """
    done = partition((region, Accepted(number), frozenset()) for number, region in enumerate(regions))
    entries = [entry for held in done.values() for entry in held]
    disjoint_union([region for region, _, _ in entries])
    for point in set().union(*map(points, regions)):
        (answer,) = [answer for region, answer, _ in entries if point in points(region)]
        assert answer == tuple(Accepted(number) for number, region in enumerate(regions) if point in points(region))


@given(st.lists(MASKS, max_size=8, unique=True), MASKS)
def test_neighbours_are_those_that_share_a_profile(groups: list[tuple[int, ...]], facts: tuple[int, ...]) -> None:
    """
    The index finds exactly the masks that trying each would find, in their order.
    """
    assert Neighbours(groups).of(facts) == [group for group in groups if shared(group, facts) is not None]
