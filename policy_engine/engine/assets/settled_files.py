"""Decides at once which of many addresses are files, previews or repetitions, where nothing is unusual."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from policy_engine.core.frames import Bool, Int64, taken
from policy_engine.core.urls.address_column import UrlColumn
from policy_engine.engine.assets.output_paths import FILE, PREVIEW, SAME_FILE, OutputPaths, OutputRole


@dataclass
class SettledFiles:
    """Files of many outputs, ordered by output and within it like TaskFiles; parallel columns of n files."""

    rows: Int64
    """Position of the output among those asked about."""
    kinds: Int64
    ordinals: Int64
    urls: list[str]
    previews: int = 0
    same_file: int = 0
    left: list[int] = field(default_factory=list)
    """Outputs that OutputPaths.files_of must decide; they have no row above."""


class RoleNumbers:
    """Numbers roles from 0, so that arrays can hold them."""

    def __init__(self, paths: OutputPaths) -> None:
        """`paths` knows the order of files."""
        self._paths = paths
        self._numbers: dict[OutputRole, int] = {}
        self._names: dict[str, int] = {}
        self._rows: list[tuple[int, int, int, int]] = []

    def add(self, role: OutputRole) -> int:
        """The number of a role; a new role gets the next one."""
        number = self._numbers.get(role)
        if number is None:
            number = self._numbers[role] = len(self._rows)
            name = self._names.setdefault(role.name, len(self._names))
            self._rows.append((role.use, role.kind, name, self._paths.kinds[role.kind].rank))
        return number

    def __len__(self) -> int:
        return len(self._rows)

    def columns(self, numbers: Int64) -> tuple[Int64, Int64, Int64, Int64]:
        """Use, kind, number of the name (less than the number of roles) and rank of each of n roles."""
        table = np.array(self._rows, np.int64).reshape(-1, 4)
        use, kind, name, rank = table[numbers].T
        return use, kind, name, rank


def settle(known: RoleNumbers, rows: Int64, roles: Int64, column: UrlColumn, odd: Bool) -> SettledFiles:
    """
    The files of n addresses, each of the output in `rows` and with the role of a number, in the order met there.

    `odd` marks the outputs that are left to OutputPaths.files_of; this marks more of them: those in which a file or
    preview may repeat another one, and those without a file.
    """
    use, kind, name, rank = known.columns(roles)
    again = use == SAME_FILE
    named = rows * len(known) + name
    if again.any():
        # Another address of a file that is present counts nothing; of a file that is absent, it is the file itself.
        missing = again & ~np.isin(named, named[use == FILE])
        odd[rows[missing]] = True
    several = np.bincount(rows, minlength=len(odd)) > 1
    compared = np.flatnonzero(several[rows] & ~again & ~odd[rows])
    urls = column.urls
    tails = column.tails(compared)
    if tails is not None:
        # Addresses that differ in their tails cannot be the same.
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
    files = np.flatnonzero(used & (use == FILE))
    files = files[np.lexsort((files, rank[files], rows[files]))]
    with_files = np.zeros(len(odd), bool)
    with_files[rows[files]] = True
    # An output without a file needs decisions that are not made here.
    shown = used & with_files[rows]
    return SettledFiles(
        rows[files],
        kind[files],
        _ordinals(named[files]),
        taken(urls, files),
        int((shown & (use == PREVIEW)).sum()),
        int((shown & again).sum()),
        np.flatnonzero(~with_files).tolist(),
    )


def _bases(urls: list[str]) -> Int64:
    """A number per address, equal for addresses of one file: they differ at most in queries and capitals."""
    together = "\n".join(urls)
    if "#" in together:
        urls = [url.partition("#")[0] for url in urls]
    if "?" in together:
        urls = [url.partition("?")[0] for url in urls]
    return np.fromiter(map(hash, "\n".join(urls).lower().split("\n")), np.int64, len(urls))


def _of_output(rows: Int64) -> Int64:
    """A number per output that makes keys of different outputs differ, nearly always."""
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
