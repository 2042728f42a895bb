"""Promises of the fast path: it reads the same as the general reader, or it does not read at all."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.history.records.batch import Batch
from policy_engine.history.records.names import ServiceNames
from policy_engine.history.records.outputs import decode_output
from policy_engine.history.records.record_reader import RecordReader
from policy_engine.history.records.task_blocks import FastPath
from policy_engine.packs import read_pack

CATALOG = read_pack("piapi").catalog
NAMES = ServiceNames(CATALOG)
FAST = FastPath(NAMES, CATALOG.legacy_outputs)

PLAIN: dict[str, Any] = {
    "task_id": "t-1",
    "model": "kling",
    "task_type": "video_generation",
    "status": "completed",
    "config": {"service_mode": "public", "webhook_config": {"endpoint": "", "secret": "s"}},
    "input": {"prompt": "x", "image_url": "https://in.example/a.png"},
    "output": {"video": "https://storage.theapi.app/a.mp4"},
    "meta": {
        "created_at": "2026-01-01T00:00:00.123456789Z",
        "started_at": "2026-01-01T00:00:01Z",
        "ended_at": "2026-01-01T00:01:00Z",
        "usage": {"type": "point", "frozen": 5, "consume": 5},
        "is_using_private_pool": False,
    },
    "detail": None,
    "logs": [],
    "error": {"code": 0, "message": ""},
}

odd = st.sampled_from([
    None, "", " ", 0, 1, -1, 1.0, 1.5, True, False, [], {}, ["https://a.example/b.png"], {"a": {"b": "https://a.example/c"}},
    "https://a.example/b.png", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00", 1767225600, "1767225600", "007",
    {"created_at": "2026-01-01T00:00:00Z"}, {"service_mode": "private"}, {"usage": {"type": 7, "consume": "9"}},
    {"is_using_private_pool": "true"}, {"usage": 3, "quota_used": 2}, 12345678901234567890123, "[\"https://a.example/d\"]",
])  # fmt: skip
PLACES = [
    ("task_id",), ("model",), ("task_type",), ("status",), ("config",), ("output",), ("meta",), ("detail",), ("data",),
    ("url",), ("task_model",), ("action",), ("service_mode",), ("created_at",), ("updated_at",), ("timestamp",),
    ("account_id",), ("api_key_id",), ("usage",), ("usage_type",), ("clips",), ("metadata",), ("consume",),
    ("unheard_of",), ("is_using_private_pool",), ("ended_at",), ("completed_at",),
    ("meta", "created_at"), ("meta", "ended_at"), ("meta", "completed_at"), ("meta", "usage"), ("meta", "quota_used"),
    ("meta", "usage", "consume"), ("meta", "usage", "type"), ("meta", "is_using_private_pool"),
    ("config", "service_mode"), ("output", "video"),
]  # fmt: skip


def changed(record: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The record with one place set, or left out where the value is `absent`."""
    copy = json.loads(json.dumps(record))
    inner = copy
    for step in place[:-1]:
        if not isinstance(inner.get(step), dict):
            return copy
        inner = inner[step]
    if value == "absent":
        inner.pop(place[-1], None)
    else:
        inner[place[-1]] = value
    return copy


def check(lines: list[dict[str, Any]]) -> bool:
    """Compare both ways; returns whether the fast path took the block."""
    block = "\n".join(json.dumps(line) for line in lines).encode()
    columns = FAST.columns(block, 1)
    if columns is None:
        return False
    general, fast = (RecordReader(NAMES, CATALOG.legacy_outputs, 0) for _ in range(2))
    for number, record in enumerate(lines, 1):
        general.read(record, number)
    columns.output[:] = [
        decode_output(output) or None if type(output) is bytes else output for output in columns.output
    ]
    fast.take_columns(columns)
    read, expected = fast.finish(), general.finish()
    for column in fields(Batch):
        assert list(getattr(read, column.name)) == list(getattr(expected, column.name)), column.name
    assert fast.seen == general.seen
    return True


def test_plain_tasks_take_the_fast_path() -> None:
    """
    A block of unified task objects is read by the fast path, with the same result.
    """
    assert check([PLAIN, PLAIN | {"task_id": "t-2"}])


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_one_odd_field_changes_nothing(place: tuple[str, ...]) -> None:
    """
    Whatever stands in a field, the fast path reads what the general reader reads, or leaves the block to it.
    """
    for value in ["absent", *odd.elements]:  # type: ignore[attr-defined]
        check([PLAIN, changed(PLAIN, place, value)])


@given(st.lists(st.tuples(st.sampled_from(PLACES), st.one_of(odd, st.just("absent"))), max_size=4))
def test_several_odd_fields_change_nothing(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    """
    Any mixture of odd fields is read alike by both ways.
    """
    record = PLAIN
    for place, value in changes:
        record = changed(record, place, value)
    check([record])


@pytest.mark.parametrize(
    "block", [b"", b"\n", b"{}\n\n{}", b'{"task_id": "a"}\n\n{"task_id": "b"}\n', b"[1]\n", b"\xff\n"]
)
def test_blocks_that_are_not_plain_are_left(block: bytes) -> None:
    """
    Blank lines, other values and bytes that are no JSON are left to the general reader, which numbers lines exactly.
    """
    assert not FAST.columns(block, 1)


@pytest.mark.parametrize("mark", [b"\n", b"\r\n", b" \n "])
@pytest.mark.parametrize("last", [b"\n", b""])
def test_values_over_several_lines_are_left(mark: bytes, last: bytes) -> None:
    """
    A value of two lines is no record of JSON Lines, even where two in one line make up the number of lines.
    """
    for second in (b'{"task_id": "b"} {"task_id": "c"}', b'{"task_id": "b"}{"task_id": "c"}'):
        for first in (
            b'{"task_id":%s"a"}',
            b'{"task_id": "a", "input": {"x": {}%s}}',
            b'{"input":%s{}, "task_id": "a"}',
        ):
            assert FAST.columns((first % mark) + b"\n" + second + last, 1) is None


def test_columns_of_unequal_length_are_not_a_batch() -> None:
    """A reader that forgets a column of some records is noticed where the records become a batch."""
    columns = FAST.columns(json.dumps(PLAIN).encode(), 1)
    assert columns is not None
    columns.mode = []
    reader = RecordReader(NAMES, CATALOG.legacy_outputs, 0)
    reader.take_columns(columns)
    with pytest.raises(ValueError, match="differ in length"):
        reader.finish()
