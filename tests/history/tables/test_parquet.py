"""Promises of Parquet: every type of column is read as the value that it holds."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from policy_engine.core.periods import parse_instant
from tests.support.exports import (
    CLEAN,
    IMAGE,
    only_problem,
    problems_of,
    read,
    write_parquet,
)


def test_parquet_types(tmp_path: Path) -> None:
    """Integers, decimals, dictionaries, times, bytes, nested outputs and nulls are read for what they are."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    from datetime import UTC, datetime
    from decimal import Decimal

    created = datetime(2026, 1, 6, 10, 0, 0, 123456, tzinfo=UTC)
    columns = {
        "task_id": pa.array([1, 2, None], pa.int64()),
        "model": pa.array(["flux", "flux", "flux"]).dictionary_encode(),
        "status": pa.array([b"completed", b"completed", b"completed"], pa.binary()),
        "created_at": pa.array([created, None, created], pa.timestamp("us", "UTC")),
        "ended_at": pa.array([created] * 3, pa.timestamp("us", "UTC")).cast(pa.timestamp("ms", "Asia/Shanghai"), False),
        "consume": pa.array([Decimal(700_000), Decimal(1), None], pa.decimal128(20, 0)),
        "usage_type": pa.array(["point"] * 3).dictionary_encode(),
        "is_using_private_pool": pa.array([False, None, True]),
        "account_id": pa.array([12.0, None, 3.0]),
        "output": pa.array([{"image_url": IMAGE}, {"image_url": None}, {"image_url": CLEAN}]),
    }
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path)
    reading = read(path)
    first = reading.rows[0]
    assert first["created_at"].value == parse_instant("2026-01-06T10:00:00.123456Z")
    assert (first["task_id"], first["account_id"], first["url"], first["points"]) == ("1", "12", IMAGE, 700_000)
    assert reading.reasons == ["no_task_id"]
    assert reading.quarantine["source"].tolist() == ["t.parquet:3"]


def test_parquet_times_without_a_zone(tmp_path: Path) -> None:
    """A zoneless timestamp column is a problem like zoneless text, not a guess."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    from datetime import UTC, datetime

    naive = datetime(2026, 1, 6, tzinfo=UTC).replace(tzinfo=None)
    columns = {"task_id": ["a"], "model": ["flux"], "status": ["completed"], "created_at": [naive]}
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path)
    reading = read(path)
    assert reading.one["created_at"] is None
    assert reading.totals.seen.problem_counts == {"unreadable_time": 1}


def test_parquet_time_far_away_spoils_nothing(tmp_path: Path) -> None:
    """One time beyond what nanoseconds can hold is a problem of its row, not of the file."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")

    seconds = pa.array([1_767_693_600, 253_402_300_800, -(10**15), 0], pa.timestamp("s", "UTC"))
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"task_id": ["a", "b", "c", "d"], "model": ["flux"] * 4, "status": ["completed"] * 4,
                             "created_at": seconds}), path)  # fmt: skip
    reading = read(path)
    assert reading.rows[0]["created_at"].value == parse_instant("2026-01-06T10:00:00Z")
    assert reading.totals.seen.problem_counts == {"unreadable_time": 2}


def test_text_of_parquet_that_is_not_utf8(tmp_path: Path) -> None:
    """A byte that is no text costs its place in a text of Parquet; within a list the file is refused in words."""
    offsets = pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0")
    odd = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"\xffa")])
    path = tmp_path / "a.parquet"
    for column in (odd, odd.dictionary_encode()):
        pq.write_table(pa.table({"task_id": column}), path)
        assert read(path).totals.tasks.tasks == 2
    pq.write_table(pa.table({"task_id": ["a"], "url": pa.ListArray.from_arrays([0, 2], odd)}), path)
    assert [problem.code for problem in problems_of(path)] == ["damaged-file"]


def test_damaged_parquet(tmp_path: Path) -> None:
    """A Parquet file that is cut short is refused."""
    path = write_parquet(tmp_path / "a.parquet", [{"task_id": "a"}])
    path.write_bytes(path.read_bytes()[:-9])
    assert only_problem(path).code == "damaged-file"
