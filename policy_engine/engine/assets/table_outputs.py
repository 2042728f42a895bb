"""Finds the files of many tasks of tables at once, where each row names one address and nothing about it is unusual."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np

from policy_engine.core.frames import taken
from policy_engine.core.urls.address_column import UrlColumn
from policy_engine.engine.assets.output_paths import FILE, UNLISTED, FileKinds
from policy_engine.engine.assets.settled_files import FoundFiles, OutputRoles, settle
from policy_engine.history import FlatFile, Outputs

# Why this way is exact: `settle` is, of addresses at places that the catalog or the row knows, and leaves the rest. A
# task with a single address at no known place has that file and no other; with several, the general way decides.
# tests/engine/assets/test_table_outputs.py compares both.

_FACTS = attrgetter("output", "media", "role", "watermarked")
MAYBE_FLAT = frozenset((FlatFile, Outputs))
"""Types for which `is_flat` may be true."""


def is_flat(output: Any) -> bool:
    """True for what rows of tables that name one address each amount to."""
    kind = type(output)
    return kind is FlatFile or (kind is Outputs and set(map(type, output)) == {FlatFile})


def find_flat(kinds: FileKinds, services: Sequence[str | None], outputs: Sequence[FlatFile | Outputs]) -> FoundFiles:
    """The files of outputs for which `is_flat` is true, each of a task of a service."""
    parts: list[Sequence[FlatFile]] = [(one,) if type(one) is FlatFile else one for one in outputs]  # type: ignore[misc]
    sizes = np.fromiter(map(len, parts), np.int64, len(parts))
    rows = np.repeat(np.arange(len(parts)), sizes)
    files = list(chain.from_iterable(parts))
    # Asked once for all rows that state the same; asked each time where every row of a table may state facts of its own.
    stated = list(zip(taken(services, rows), map(_FACTS, files), strict=True))
    leaves = OutputRoles(kinds)
    unlisted = leaves.add((FILE, UNLISTED, ""))
    known: dict[Any, int] = {}
    for key, file in dict(zip(stated, files, strict=True)).items():
        found = kinds.leaf_of(key[0], file)
        known[key] = unlisted if found is None else leaves.add(found)
    leaf = np.fromiter(map(known.__getitem__, stated), np.int64, len(files))
    odd = np.zeros(len(parts), bool)
    odd[rows[(leaf == unlisted) & (sizes[rows] > 1)]] = True
    return settle(leaves, rows, leaf, UrlColumn([file.url for file in files]), odd)
