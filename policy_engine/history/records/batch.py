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


@dataclass(kw_only=True)
class RecordFields:
    """What a record says, as parallel columns of n elements: the part that needs no further reading."""

    line: list[int] = field(default_factory=list)
    """Line of the file from 1, or 0 for a document that is not line by line."""
    item: list[int] = field(default_factory=list)
    """Record within the line or document from 1, or 0 when the line is the record."""
    task_id: list[str] = field(default_factory=list)
    """Never empty."""
    service: list[str | None] = field(default_factory=list)
    """Catalog id, or None when the names do not determine a service."""
    model: list[str | None] = field(default_factory=list)
    """Model as written."""
    task_type: list[str | None] = field(default_factory=list)
    """Task type in the catalog's spelling where it lists it, else as written."""
    floating: list[bool] = field(default_factory=list)
    """True when the names leave the service open, so that the record may join a task with the same id."""
    is_object: list[bool] = field(default_factory=list)
    """True for a task object, False for a row of the task history."""
    status: list[str | None] = field(default_factory=list)
    """Status word as written."""
    state: list[int] = field(default_factory=list)
    """Index of the status in STATES."""
    pool: list[bool | None] = field(default_factory=list)
    """True when the task ran on the user's own account."""
    mode: list[str | None] = field(default_factory=list)
    """Service mode as written."""
    account: list[str | None] = field(default_factory=list)
    """Account that a table states outright."""
    consume: list[int | None] = field(default_factory=list)
    """Units that the task cost."""
    share: list[int | None] = field(default_factory=list)
    """Points that a table gives for this row alone; added over the rows of a task."""
    unit: list[str | None] = field(default_factory=list)
    """Unit of `consume` as written."""
    account_id: list[str | None] = field(default_factory=list)
    """Passed through."""
    api_key_id: list[str | None] = field(default_factory=list)
    """Passed through."""
    output: list[Any] = field(default_factory=list)
    """
    The output as bytes of JSON (of a plain record), as decoded, Outputs after merging, a FlatFile, or None when the
    record carries none.
    """


@dataclass(kw_only=True)
class RecordColumns(RecordFields):
    """Records of one file as its readers give them, times still as written."""

    created_at: list[Any] = field(default_factory=list)
    """Submission."""
    ended_at: list[Any] = field(default_factory=list)
    """Completion."""
    updated_at: list[Any] = field(default_factory=list)
    """Last change of the record."""
    webhook: list[Any] = field(default_factory=list)
    """`timestamp` of the nearest envelope around the record."""

    def __len__(self) -> int:
        return len(self.task_id)

    def extend(self, other: RecordColumns) -> None:
        """Add the records of `other` below these."""
        for name in _RECORD_COLUMNS:
            getattr(self, name).extend(getattr(other, name))

    def shared(self) -> dict[str, Any]:
        """The columns that a batch takes as they are; raises ValueError unless all columns are of one length."""
        if {len(getattr(self, name)) for name in _RECORD_COLUMNS} != {len(self)}:
            raise ValueError("the columns of records differ in length")
        return {name: getattr(self, name) for name in _SHARED_COLUMNS}


_SHARED_COLUMNS = tuple(column.name for column in fields(RecordFields))
_RECORD_COLUMNS = tuple(column.name for column in fields(RecordColumns))


@dataclass(kw_only=True)
class Batch(RecordFields):
    """
    Records (or, after merging, tasks) as parallel columns of n elements.

    Lists hold text or None; arrays hold int64 nanoseconds with NAT for "not recorded".
    """

    file: list[int]
    """Index of the source in the run's list of sources."""
    created: Int64
    """Submission."""
    ended: Int64
    """Completion."""
    bound: Int64
    """Least upper bound of the completion: webhook timestamp, `updated_at` of a completed record."""
    newest: Int64
    """Latest instant that the record mentions."""
    also: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    """Row -> further sources (file, line, item) that were merged into it."""

    def __len__(self) -> int:
        return len(self.task_id)

    def part(self, start: int, end: int) -> Batch:
        """The rows from `start` to `end`, of records that have not been merged."""
        names = [column.name for column in fields(self) if column.name != "also"]
        columns = {name: getattr(self, name)[start:end] for name in names}
        return Batch(**columns)

    def take(self, rows: Sequence[int]) -> Batch:
        """A batch of some rows, in the order given."""
        columns: dict[str, Any] = {}
        for column in fields(self):
            values = getattr(self, column.name)
            if column.name == "also":
                columns["also"] = {new: values[old] for new, old in enumerate(rows) if old in values}
            elif isinstance(values, np.ndarray):
                columns[column.name] = values[np.asarray(rows, np.intp)]
            else:
                columns[column.name] = list(map(values.__getitem__, rows))
        return Batch(**columns)


def join(batches: Sequence[Batch]) -> Batch:
    """All rows of several batches, in order."""
    columns: dict[str, Any] = {}
    for column in fields(Batch):
        if column.name == "also":
            also, base = {}, 0
            for batch in batches:
                also.update({base + row: sources for row, sources in batch.also.items()})
                base += len(batch)
            columns["also"] = also
        elif column.type == "Int64":
            columns[column.name] = np.concatenate(
                [getattr(batch, column.name) for batch in batches] or [np.empty(0, np.int64)]
            )
        else:
            columns[column.name] = [value for batch in batches for value in getattr(batch, column.name)]
    return Batch(**columns)
