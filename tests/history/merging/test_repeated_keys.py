"""Promises of the search for repeated task ids: memory and disk find the same ones."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.files.scratch import Scratch
from policy_engine.history.merging.repeated_keys import RepeatedKeys


@given(st.lists(st.lists(st.integers(0, 9) | st.integers(0, 2**64 - 1), max_size=9), max_size=9), st.integers(0, 9))
def test_repeated_checksums_are_found_on_disk_too(pieces: list[list[int]], most: int) -> None:
    """Whatever part of the checksums fits into memory, those that occur more than once are found, in order."""
    together = [key for piece in pieces for key in piece]
    expected = sorted({key for key in together if together.count(key) > 1})
    with Scratch() as scratch:
        store = RepeatedKeys(scratch, most)
        for piece in pieces:
            store.add(np.array(piece, np.uint64))
        assert store.repeated().tolist() == expected


def test_many_checksums_on_disk() -> None:
    """Parts that are read one by one give what one sort gives."""
    chance = random.Random(3)
    keys = np.array([chance.randrange(2**32) for _ in range(5_000)] * 2 + list(range(1_000)), np.uint64)
    found = []
    for most in (len(keys), 700):
        with Scratch() as scratch:
            store = RepeatedKeys(scratch, most)
            for piece in np.array_split(keys, 13):
                store.add(piece)
            found.append(store.repeated().tolist())
    assert found[0] == found[1]
    assert len(found[0]) >= 4_990
