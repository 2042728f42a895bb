"""Cuts the sources of a history into partitions that are read independently."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from policy_engine.core.problems import InputUnusable
from policy_engine.history.sources import Partition, Source
from policy_engine.history.tables.parquet import open_parquet, row_groups

UNIT = 1 << 25
"""Bytes of JSON Lines that are handed to a process at a time by default."""
TABLE_UNIT = 1 << 24
"""Bytes of CSV."""
TABLE_ROWS = 100_000
"""Rows from which on some row groups of a Parquet file are a partition."""


def plan_units(sources: Sequence[Source], size: int | None = None) -> list[Partition]:
    """
    Cut plain JSON Lines into blocks of `size` bytes, and tables too; every other source is one partition.

    Rows of a table that belong to one task are put together within a partition, so how tables are cut depends on the
    file alone: no result depends on `size`. Whether a CSV file can be cut is only known when it has been read once.
    """
    units: list[Partition] = []
    for index, source in enumerate(sources):
        if source.kind == "parquet":
            units += _row_groups_of(index, source)
            continue
        step = TABLE_UNIT if source.kind == "csv" else size or UNIT
        if source.kind in ("json-lines", "csv") and not source.compression and source.size > step:
            edges = [*range(0, source.size, step), source.size]
            units += [Partition(index, start, end, size=end - start) for start, end in itertools.pairwise(edges)]
        else:
            units.append(Partition(index, size=source.size))
    return units


def _row_groups_of(index: int, source: Source) -> Iterator[Partition]:
    try:
        with open_parquet(source) as file:
            sizes = row_groups(file)
    except InputUnusable:
        # Reading it reports why.
        yield Partition(index, size=source.size)
        return
    start = rows = 0
    for group, size in enumerate(sizes):
        rows += size
        if rows >= TABLE_ROWS or group == len(sizes) - 1:
            yield Partition(index, start, group + 1, size=source.size * rows // max(sum(sizes), 1))
            start, rows = group + 1, 0
    if not sizes:
        yield Partition(index, size=source.size)
