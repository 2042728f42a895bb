"""Finds the files of many tasks of tables at once, where each row names one address and nothing about it is unusual."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from policy_engine.found_files import FoundFiles, Leaves, settle
from policy_engine.history import FlatFile, Outputs
from policy_engine.outputs import FILE, UNLISTED, FileKinds
from policy_engine.url_columns import UrlColumn

# Why this way is exact: `settle` is, of addresses at places that the catalog or the row knows, and leaves the rest. A
# task with a single address at no known place has that file and no other; with several, the general way decides.
# tests/test_flat_files.py compares both.


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
    # Numbered anew each time, since every row of a table may state facts of its own.
    leaves = Leaves(kinds)
    add, leaf_of, unlisted = leaves.add, kinds.leaf_of, leaves.add((FILE, UNLISTED, ""))
    found = (leaf_of(services[row], file) for row, file in zip(rows.tolist(), files, strict=True))
    leaf = np.fromiter((unlisted if one is None else add(one) for one in found), np.int64, len(files))
    odd = np.zeros(len(parts), bool)
    odd[rows[(leaf == unlisted) & (sizes[rows] > 1)]] = True
    return settle(leaves, rows, leaf, UrlColumn([file.url for file in files]), odd)
