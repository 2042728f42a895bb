"""Settles many addresses at known places in outputs as files, previews and repetitions, where nothing is unusual."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from policy_engine.core.frames import Bool, Int64, taken
from policy_engine.core.urls.address_column import UrlColumn
from policy_engine.engine.assets.output_paths import FILE, PREVIEW, SAME_FILE, FileKinds, OutputRole


@dataclass
class FoundFiles:
    """Files of many outputs, ordered by output and within it like TaskFiles; parallel columns of n files."""

    rows: Int64
    """Place of the output among those asked about."""
    kinds: Int64
    ordinals: Int64
    urls: list[str]
    previews: int = 0
    same_file: int = 0
    left: list[int] = field(default_factory=list)
    """Outputs that the general way must look at; they have no row above."""


class OutputRoles:
    """What addresses can be, each with a number from 0."""

    def __init__(self, kinds: FileKinds) -> None:
        """`kinds` tell the order of files."""
        self._kinds = kinds
        self._places: dict[OutputRole, int] = {}
        self._names: dict[str, int] = {}
        self._rows: list[tuple[int, int, int, int]] = []

    def add(self, leaf: OutputRole) -> int:
        """The number of a leaf, which is known from then on."""
        place = self._places.get(leaf)
        if place is None:
            place = self._places[leaf] = len(self._rows)
            what, kind, name = leaf
            number = self._names.setdefault(name, len(self._names))
            self._rows.append((what, kind, number, self._kinds.kinds[kind].rank))
        return place

    def __len__(self) -> int:
        return len(self._rows)

    def columns(self, leaf: Int64) -> tuple[Int64, Int64, Int64, Int64]:
        """What, kind, number of the name (less than the number of leaves) and rank of each of n leaves."""
        table = np.array(self._rows, np.int64).reshape(-1, 4)
        what, kind, name, rank = table[leaf].T
        return what, kind, name, rank


def settle(leaves: OutputRoles, rows: Int64, leaf: Int64, column: UrlColumn, odd: Bool) -> FoundFiles:
    """
    The files of n addresses, each at a place of the output in `rows`, and in the order in which they are met there.

    `odd` marks the outputs that are left to the general way, and more of them are marked here: so those in which a file
    or preview may be another's repetition, and those without a file.
    """
    what, kind, name, rank = leaves.columns(leaf)
    again = what == SAME_FILE
    named = rows * len(leaves) + name
    if again.any():
        # Another address of a file that is there needs no look; of one that is not, it is the file itself.
        missing = again & ~np.isin(named, named[what == FILE])
        odd[rows[missing]] = True
    several = np.bincount(rows, minlength=len(odd)) > 1
    compared = np.flatnonzero(several[rows] & ~again & ~odd[rows])
    urls = column.urls
    tails = column.tails(compared)
    if tails is not None:
        # What differs in them needs no closer look.
        compared = compared[
            pd.Series(tails.view(np.int64) ^ _of_output(rows[compared])).duplicated(keep=False).to_numpy()
        ]
    if compared.size:
        keys = _bases(taken(urls, compared))
        keys ^= _of_output(rows[compared])
        order = np.argsort(keys, kind="stable")
        equal = np.flatnonzero(keys[order][1:] == keys[order][:-1])
        odd[rows[compared[order[equal]]]] = True
    used = ~odd[rows]
    files = np.flatnonzero(used & (what == FILE))
    files = files[np.lexsort((files, rank[files], rows[files]))]
    with_files = np.zeros(len(odd), bool)
    with_files[rows[files]] = True
    # Without a file there is more to decide than this way knows.
    shown = used & with_files[rows]
    return FoundFiles(
        rows[files],
        kind[files],
        _ordinals(named[files]),
        taken(urls, files),
        int((shown & (what == PREVIEW)).sum()),
        int((shown & again).sum()),
        np.flatnonzero(~with_files).tolist(),
    )


def _bases(urls: list[str]) -> Int64:
    """A number per address, equal for addresses of one file, which differ in their queries and in capitals at most."""
    together = "\n".join(urls)
    if "#" in together:
        urls = [url.partition("#")[0] for url in urls]
    if "?" in together:
        urls = [url.partition("?")[0] for url in urls]
    return np.fromiter(map(hash, "\n".join(urls).lower().split("\n")), np.int64, len(urls))


def _of_output(rows: Int64) -> Int64:
    """A number per output that keeps keys of different outputs apart, as a rule."""
    return rows * np.int64(0x1F3D5B79)


def _ordinals(named: Int64) -> Int64:
    """Number the files of one output and name from 1, in the order given."""
    order = np.argsort(named, kind="stable")
    ordered = named[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    ordinals = np.empty(len(named), np.int64)
    counts = np.diff(np.append(starts, len(named)))
    ordinals[order] = np.arange(1, len(named) + 1) - np.repeat(starts, counts)
    return ordinals
