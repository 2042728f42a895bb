"""Packing: a record that has waited as bytes is the record that was read."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.periods import NAT
from policy_engine.history import Batch, FlatFile, Outputs, ServiceNames
from policy_engine.history.merging.packing import pack_records, unpack_records
from policy_engine.history.records.record_reader import RecordReader
from tests.support.exports import pack, task, webhook

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TEXT = st.none() | st.text(max_size=5)
FILES = st.builds(FlatFile, st.text(max_size=9), TEXT, TEXT, TEXT, TEXT)
OUTPUTS = (
    st.none()
    | st.binary(min_size=1, max_size=20)
    | JSON
    | FILES
    | st.lists(JSON | FILES | st.binary(min_size=1, max_size=9), max_size=3).map(Outputs)
)
TIMES = st.sampled_from([NAT, 0, 1_767_694_000_123_456_789, -(2**62)])
COUNTS = st.none() | st.integers(0, 10**12)


def column(name: str) -> st.SearchStrategy[Any]:
    """Values that a column of a batch may hold."""
    if name in ("created", "ended", "bound", "newest"):
        return TIMES
    if name in ("file", "line", "item", "state"):
        return st.integers(0, 10**9)
    if name in ("floating", "is_object"):
        return st.booleans()
    if name == "pool":
        return st.none() | st.booleans()
    if name in ("consume", "share"):
        return COUNTS
    if name == "output":
        return OUTPUTS
    return st.text(min_size=1, max_size=5) if name == "task_id" else TEXT


NAMES = [one.name for one in fields(Batch) if one.name != "also"]
RECORDS = st.lists(st.tuples(*(column(name) for name in NAMES)), max_size=4)


def batch_of(rows: list[tuple[Any, ...]]) -> Batch:
    """A batch with these rows."""
    columns: dict[str, Any] = {name: [row[place] for row in rows] for place, name in enumerate(NAMES)}
    for name in ("created", "ended", "bound", "newest"):
        columns[name] = np.array(columns[name], np.int64)
    return Batch(**columns)


def cells(batch: Batch) -> list[tuple[Any, ...]]:
    """All cells with their kinds, so that 1, 1.0 and True are three things."""
    return [tuple(f"{type(one).__name__} {one!r}" for one in getattr(batch, name)) for name in NAMES]


@given(RECORDS)
def test_records_come_back_as_they_were(rows: list[tuple[Any, ...]]) -> None:
    """Every kind of value comes back exactly, integers of any length and outputs in several parts among them."""
    batch = batch_of(rows)
    back = unpack_records(pack_records(batch))
    assert cells(back) == cells(batch)
    assert back.created.dtype == np.int64
    assert back.also == {}


def test_records_of_an_export_come_back_as_they_were() -> None:
    """What the reader makes of a task object and a webhook survives."""
    reader = RecordReader(ServiceNames(pack().catalog), pack().catalog.legacy_outputs, 0)
    for line, value in enumerate([task("a"), webhook(task("b")), task("c", output=None)], 1):
        reader.read(value, line)
    batch = reader.finish()
    assert len(batch) == 3
    assert cells(unpack_records(pack_records(batch))) == cells(batch)


@pytest.mark.parametrize(
    "value", [Decimal("1.50"), datetime(2026, 1, 2, tzinfo=UTC), date(2026, 1, 2), b"bytes", (1, "two"), {3: "x"}]
)
def test_values_of_tables_read_the_same_afterwards(value: object) -> None:
    """A value that only a table brings comes back as one that JSON writes in the same way."""
    reader = RecordReader(ServiceNames(pack().catalog), (), 0)
    reader.read(task("a"), 1)
    batch = reader.finish()
    batch.output = [{"here": [value]}]
    (back,) = unpack_records(pack_records(batch)).output
    as_json = [msgspec.json.encode(one, enc_hook=str) for one in (back, batch.output[0])]
    assert as_json[0] == as_json[1]


def test_merged_tasks_are_no_records() -> None:
    """A row that stands for several records is refused, since its sources would not come back."""
    reader = RecordReader(ServiceNames(pack().catalog), (), 0)
    reader.read(task("a"), 1)
    batch = reader.finish()
    batch.also[0] = [(0, 2, 0)]
    with pytest.raises(ValueError, match="merged"):
        pack_records(batch)
