"""Promises of the columnar reading of tables: what it reads is what row by row gives, or it leaves the block alone."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.history.records.batch import Batch, FlatFile
from policy_engine.history.records.names import ServiceNames
from policy_engine.history.records.record_reader import RecordReader
from policy_engine.history.tables.row_blocks import FlatPath
from policy_engine.history.tables.table_reader import TABLE_COLUMNS
from policy_engine.packs import read_pack

CATALOG = read_pack("piapi").catalog
NAMES = ServiceNames(CATALOG)
FLAT = FlatPath(NAMES)
URL = "https://img.theapi.app/a.png"

PLAIN: dict[str, Any] = {
    "task_id": "t-1", "service": "", "model": "kling", "task_type": "video_generation", "status": "completed",
    "created_at": "2026-01-01T00:00:00.123456789Z", "ended_at": "2026-01-01T00:01:00Z", "updated_at": "",
    "service_mode": "public", "is_using_private_pool": "false", "account": "pay_as_you_go", "consume": "1900000",
    "points": "", "usage_type": "point", "account_id": "7", "api_key_id": "", "url": URL, "output": "video",
    "media": "", "role": "", "watermarked": "",
}  # fmt: skip
TIMES = ("", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1767225600", "2026-01-01", "soon", "0")
CELLS = {
    "task_id": ["a", "b", " a ", "", " ", "007"],
    "service": ["", "kling", "Kling ", "unheard-of", "luma"],
    "model": ["", " ", "kling", "Qubico/flux1-dev", "midjourney", "new"],
    "task_type": ["", "imagine", "video_generation", "VIDEO_generation", "odd"],
    "status": ["", "completed", "Completed", "failed", "pending", "odd"],
    "is_using_private_pool": ["", "true", "F", "1", "maybe"],
    "account": ["", "pay_as_you_go", "Host-your-account", "other"],
    "consume": ["", "0", "7", "7.0", "7.5", "-1", "1e3", "9" * 30],
    "points": ["", "0", "12", "x"],
    "url": [
        "",
        URL,
        f" {URL}",
        f"{URL} {URL}?b=1",
        "no address",
        "ftp://x/y",
        '["https://x.example/y"]',
        "HTTPS://x/y",
    ],
    "output": ["", "video", "image_url", URL, '{"video":"https://x.example/y.mp4"}', "{", "[]", " name "],
    "watermarked": ["", "true", "FALSE", "perhaps"],
    "media": ["", "Video", "hologram"],
    "role": ["", "Main", "unlisted", "poster"],
    **{name: list(TIMES) for name in ("created_at", "ended_at", "updated_at")},
}
ODD = [None, "", 7, 7.0, 7.5, float("nan"), True, False, Decimal("7.5"), "text", ["https://x.example/y"], {"a": 1}]


def row_by_row(table: dict[str, list[Any]], first_line: int) -> RecordReader:
    """The general way."""
    reader = RecordReader(NAMES, CATALOG.legacy_outputs, 0)
    for line, values in enumerate(zip(*table.values(), strict=True), first_line):
        reader.read_flat(dict(zip(table, values, strict=True)), line)
    return reader


def by_the_column(table: dict[str, list[Any]], first_line: int) -> RecordReader | None:
    """The columnar way, if it takes the table."""
    columns = FLAT.columns(table, first_line)
    if columns is None:
        return None
    reader = RecordReader(NAMES, CATALOG.legacy_outputs, 0)
    reader.take_columns(columns)
    return reader


def same(one: Batch, other: Batch) -> None:
    """Fail where two batches differ, in value or in type."""
    for field in dataclasses.fields(Batch):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if isinstance(first, np.ndarray):
            assert np.array_equal(first, second), field.name
        else:
            assert repr(first) == repr(second), field.name


def compare(table: dict[str, list[Any]]) -> bool:
    """Compare both ways; False where the columnar one leaves the table."""
    general, columnar = row_by_row(table, 5), by_the_column(table, 5)
    if columnar is None:
        return False
    assert not general.seen.quarantine
    assert columnar.seen.records == general.seen.records
    same(columnar.finish(), general.finish())
    # Times are looked at when a batch is finished, in both ways.
    assert columnar.seen.problem_counts == general.seen.problem_counts
    assert columnar.seen.problem_examples == general.seen.problem_examples
    return True


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[str]]:
    """Some columns of a CSV file, most of their cells in order."""
    count = draw(st.integers(1, 6))
    names = draw(st.sets(st.sampled_from(list(TABLE_COLUMNS)))) | {"task_id"}
    cells = {
        name: st.one_of(st.just(PLAIN[name]), st.just(PLAIN[name]), st.sampled_from(CELLS.get(name, ["", "x", " "])))
        for name in TABLE_COLUMNS
    }
    return {
        name: draw(st.lists(cells[name], min_size=count, max_size=count)) for name in TABLE_COLUMNS if name in names
    }


@given(tables())
def test_columns_read_what_rows_give(table: dict[str, list[str]]) -> None:
    """Whatever a CSV file holds, the columnar way gives the records of the general one, or leaves the block."""
    compare(table)


@given(st.sampled_from(list(TABLE_COLUMNS)), st.lists(st.sampled_from(ODD), min_size=1, max_size=4))
def test_columns_read_what_rows_give_for_values_of_any_type(name: str, values: list[Any]) -> None:
    """Numbers, flags, lists and objects in a column of Parquet are read as row by row, or left."""
    table = {one: [cell] * len(values) for one, cell in PLAIN.items()}
    compare({**table, name: values})


@pytest.mark.parametrize("name", [name for name in TABLE_COLUMNS if name != "task_id"])
def test_usual_tables_are_taken(name: str) -> None:
    """A table in order is read by the column, with each of its columns or without it."""
    assert compare({one: [cell] * 3 for one, cell in PLAIN.items()})
    assert compare({one: [cell] * 3 for one, cell in PLAIN.items() if one != name})


@pytest.mark.parametrize(("name", "cell"), [
    ("task_id", ""), ("task_id", 7), ("model", 7), ("is_using_private_pool", "maybe"), ("account", "other"),
    ("consume", "x"), ("points", "-1"), ("url", "no address"), ("output", "{"), ("watermarked", "perhaps"),
    ("media", "hologram"), ("role", "poster"),
])  # fmt: skip
def test_what_must_be_told_is_left(name: str, cell: Any) -> None:
    """A block with a cell that the general way sets aside or reports is left to it."""
    assert by_the_column({**{one: [value] for one, value in PLAIN.items()}, name: [cell]}, 1) is None


def test_files_of_rows() -> None:
    """A row with an address gives a file with the facts it states; one without gives none."""
    table = {"task_id": ["a", "b"], "url": [URL, ""], "output": ["video", ""], "watermarked": ["yes", ""]}
    reader = by_the_column(table, 1)
    assert reader is not None
    assert reader.finish().output == [FlatFile(URL, "video", None, None, "true"), None]
