"""The columns in which records travel: one element per record, then one per task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]


class FlatFile(msgspec.Struct, frozen=True, gc=False):
    """A file as a table names it: one URL with whatever facts the row states."""

    url: str
    output: str | None
    """Path or name of the output in the catalog, if the table says."""
    media: str | None
    """None where the row does not say, like the two below; OUTSIDE where it says what the fact cannot be."""
    role: str | None
    watermarked: str | None


class Outputs(list[Any]):
    """Several outputs of one task, the preferred record's first."""


@dataclass
class Batch:
    """
    Records (or, after merging, tasks) as parallel columns of n elements.

    Lists hold text or None; arrays hold int64 nanoseconds with NAT for "not recorded".
    """

    file: list[int]
    """Place of the source in the run's list of sources."""
    line: list[int]
    """Line of the file from 1, or 0 for a document that is not line by line."""
    item: list[int]
    """Record within the line or document from 1, or 0 when the line is the record."""
    task_id: list[str]
    service: list[str | None]
    model: list[str | None]
    task_type: list[str | None]
    floating: list[bool]
    is_object: list[bool]
    """True for a task object, False for a row of the task history."""
    status: list[str | None]
    state: list[int]
    created: Int64
    ended: Int64
    bound: Int64
    """Least upper bound of the completion: webhook timestamp, `updated_at` of a completed record."""
    newest: Int64
    """Latest instant that the record mentions."""
    pool: list[bool | None]
    mode: list[str | None]
    account: list[str | None]
    """Account that a table states outright."""
    consume: list[int | None]
    share: list[int | None]
    """Points that a table gives for this row alone; added over the rows of a task."""
    unit: list[str | None]
    account_id: list[str | None]
    api_key_id: list[str | None]
    output: list[Any]
    """
    The output as bytes of JSON (of a plain record), as decoded, Outputs after merging, a FlatFile, or None when the
    record carries none.
    """
    also: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    """Row -> further sources (file, line, item) that were merged into it."""

    def __len__(self) -> int:
        return len(self.task_id)

    def part(self, start: int, end: int) -> Batch:
        """The rows from one place to another, of records that have not been merged."""
        columns = {one.name: getattr(self, one.name)[start:end] for one in fields(self) if one.name != "also"}
        return Batch(**columns)

    def take(self, rows: Sequence[int]) -> Batch:
        """A batch of some rows, in the order given."""
        columns: dict[str, Any] = {}
        for one in fields(self):
            column = getattr(self, one.name)
            if one.name == "also":
                columns["also"] = {new: column[old] for new, old in enumerate(rows) if old in column}
            elif isinstance(column, np.ndarray):
                columns[one.name] = column[np.asarray(rows, np.intp)]
            else:
                columns[one.name] = list(map(column.__getitem__, rows))
        return Batch(**columns)


def join(batches: Sequence[Batch]) -> Batch:
    """All rows of several batches, in order."""
    columns: dict[str, Any] = {}
    for one in fields(Batch):
        if one.name == "also":
            also, base = {}, 0
            for batch in batches:
                also.update({base + row: sources for row, sources in batch.also.items()})
                base += len(batch)
            columns["also"] = also
        elif one.type == "Int64":
            columns[one.name] = np.concatenate(
                [getattr(batch, one.name) for batch in batches] or [np.empty(0, np.int64)]
            )
        else:
            columns[one.name] = [value for batch in batches for value in getattr(batch, one.name)]
    return Batch(**columns)
