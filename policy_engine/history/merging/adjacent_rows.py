"""Merges adjacent rows of a table that belong to one task, with the result that merging all records has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from policy_engine.core.urls.addresses import file_identity
from policy_engine.history.merging.merge import merge_records
from policy_engine.history.records.batch import Batch, FlatFile, Outputs, join
from policy_engine.history.records.names import ServiceNames

MOST = 1_000
"""Rows of one task that are merged at once; where more are adjacent, all records of the task wait for each other."""
_SAME = (
    "service", "model", "task_type", "floating", "status", "state", "pool", "mode", "account", "consume", "unit",
    "account_id", "api_key_id",
)  # fmt: skip


def starts(ids: Sequence[str], lines: Sequence[int] | None = None) -> npt.NDArray[np.bool_]:
    """
    True for each of n rows that does not continue the task of the row above it.

    Rows whose lines, if given, are not successive do not continue each other.
    """
    first = np.ones(len(ids), bool)
    first[1:] = [above != below for above, below in pairwise(ids)]
    if lines is not None and len(lines):
        first[1:] |= np.diff(np.array(lines, np.int64)) != 1
    return first


class RepeatedIdFeed:
    """
    The task ids among which repeated ones are sought: each run of adjacent rows gives its id once.

    A run longer than is merged at once gives its id twice, so that it counts as repeated.
    """

    def __init__(self) -> None:
        self._last = ""
        """Id of the last row."""
        self._length = 0
        """Rows of its run so far."""

    def take(self, ids: Sequence[str]) -> list[str]:
        """The ids to report for the next rows; "" is a row without a task."""
        if not any(ids):
            self._last = "" if ids else self._last
            return []
        first = starts(ids)
        first[0] = ids[0] != self._last
        rows = np.flatnonzero(first)
        reported = [ids[row] for row in rows.tolist()]
        edges = rows if first[0] else np.concatenate([[0], rows])
        lengths = np.diff(edges, append=len(ids))
        before = 0 if first[0] else self._length
        lengths[0] += before
        too_long = lengths > MOST
        # A run that was too long before has been reported twice already.
        too_long[0] &= before <= MOST
        reported += [ids[row] for row in edges[too_long].tolist()]
        self._length = int(lengths[-1])
        self._last = ids[-1]
        return [task_id for task_id in reported if task_id]


def open_end(batch: Batch) -> int:
    """The first row of the run that may continue in the next batch; the length of the batch where it is too long."""
    count = len(batch)
    start = count
    ids, lines = batch.task_id, batch.line
    while start and count - start < MOST and ids[start - 1] == ids[-1]:
        if start < count and lines[start - 1] + 1 != lines[start]:
            break
        start -= 1
    return start if count - start < MOST else count


def merge_neighbours(records: Batch, names: ServiceNames) -> tuple[Batch, int]:
    """
    Merge rows of tables that continue the task above them; the rest stays as it is, in order.

    Returns one row per task and how many records were merged away. The answer is that of `merge_records`.
    """
    first = starts(records.task_id, records.line)
    if first.all():
        return records, 0
    heads = np.flatnonzero(first)
    group = np.cumsum(first) - 1
    lengths = np.diff(heads, append=len(first))
    is_plain = np.ones(len(heads), bool)
    is_plain[group[~first & ~_continues(records)]] = False
    # Only addresses have an order that does not need the whole record.
    is_plain[group[[type(output) is not FlatFile for output in records.output]]] = False
    is_plain |= lengths == 1
    odd = np.flatnonzero(~is_plain[group])
    merged = records.take(heads[is_plain].tolist())
    indices = np.flatnonzero(lengths[is_plain] > 1)
    for index, start, length in zip(
        indices.tolist(), heads[is_plain][indices].tolist(), lengths[is_plain][indices].tolist(), strict=True
    ):
        _unite(merged, index, records, start, start + length)
    if len(odd):
        others, _ = merge_records([records.take(odd.tolist())], names)
        together = join([merged, others])
        merged = together.take(sorted(range(len(together)), key=together.line.__getitem__))
    return merged, len(records) - len(merged)


def _continues(records: Batch) -> npt.NDArray[np.bool_]:
    """True for each row that describes its task as the row above does."""
    same = np.zeros(len(records), bool)
    rows: Any = zip(*(getattr(records, name) for name in _SAME), strict=True)
    same[1:] = [above == below for above, below in pairwise(rows)]
    for times in (records.created, records.ended, records.bound, records.newest):
        same[1:] &= times[1:] == times[:-1]
    return same


def _unite(merged: Batch, index: int, records: Batch, start: int, end: int) -> None:
    """Add to a task what its equal rows have of their own: their files, their shares of the price, their sources."""
    # The order in which merging takes records that are equal otherwise: by how their share and file are written.
    rows = sorted(range(start, end), key=lambda row: _written(records.share[row], records.output[row]))
    merged.output[index] = Outputs(records.output[row] for row in rows)
    if any(records.share[row] is not None for row in rows):
        shares: dict[str, int] = {}
        for row in rows:
            share = records.share[row]
            if share is not None:
                shares.setdefault(file_identity(records.output[row].url), share)
        merged.share[index] = sum(shares.values())
    merged.floating[index] = merged.service[index] is None and merged.model[index] is None
    merged.also[index] = [(records.file[row], records.line[row], records.item[row]) for row in range(start + 1, end)]


def _written(share: int | None, file: FlatFile) -> bytes:
    return msgspec.json.encode(([share], file))
