"""Promises of merging rows that stand one below the other: the answer is that of merging in general, only sooner."""

from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.history import Batch, ServiceNames, merge_records
from policy_engine.history.merging import adjacent_rows as neighbours
from policy_engine.history.merging.adjacent_rows import RepeatedIdFeed, merge_neighbours, open_end, starts
from policy_engine.history.records.record_reader import RecordReader
from policy_engine.packs import read_pack

CATALOG = read_pack("piapi").catalog
NAMES = ServiceNames(CATALOG)


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, str]]:
    """Rows of a table in which those of a task stand together; most tell the same of their task."""
    found = []
    for task_id in draw(st.permutations(["a", "b", "c", "d"])):
        usual = {
            "model": draw(st.sampled_from(["kling", "midjourney", "new", ""])),
            "status": draw(st.sampled_from(["completed", "pending"])),
            "created_at": "2026-01-01T00:00:00Z",
            "consume": draw(st.sampled_from(["", "100"])),
            "points": draw(st.sampled_from(["", "7"])),
        }
        for _ in range(draw(st.integers(0, 4))):
            row = {
                "task_id": task_id,
                **usual,
                "url": f"https://x.example/{draw(st.integers(1, 3))}.png{draw(st.sampled_from(['', '?Expires=1']))}",
                "output": draw(st.sampled_from(["", "image_url", "video", '{"a":"https://x.example/in.png"}'])),
            }
            row["points"] = draw(st.sampled_from([usual["points"], usual["points"], "12", "1"]))
            if draw(st.integers(0, 5)) == 0:
                row |= draw(st.sampled_from([
                    {"model": "flux"}, {"model": ""}, {"status": "failed"}, {"consume": "5"}, {"url": ""},
                    {"created_at": "2026-01-02T00:00:00Z"}, {"watermarked": "true"},
                ]))  # fmt: skip
            found.append(row)
    return found


def batch_of(table: list[dict[str, str]], gap_after: int | None = None) -> Batch:
    """The records of some rows; a line stands between two of them."""
    reader = RecordReader(NAMES, CATALOG.legacy_outputs, 0)
    for place, row in enumerate(table):
        reader.read_flat(row, place + 2 + (gap_after is not None and place > gap_after))
    return reader.finish()


def cells(batch: Batch) -> list[Any]:
    """What a batch says, in the order of its tasks, in terms that can be compared."""
    columns = [
        getattr(batch, field.name).tolist() if isinstance(getattr(batch, field.name), np.ndarray)
        else [batch.also.get(row) for row in range(len(batch))] if field.name == "also"
        else list(map(repr, getattr(batch, field.name)))
        for field in dataclasses.fields(Batch)
    ]  # fmt: skip
    return sorted(map(repr, zip(*columns, strict=True)))


@given(rows())
def test_neighbours_merge_as_records_do(table: list[dict[str, str]]) -> None:
    """Rows that stand together give the tasks of the general merging, whatever they disagree on, in input order."""
    batch = batch_of(table)
    tasks, away = merge_neighbours(batch, NAMES)
    general, general_away = merge_records([batch], NAMES)
    assert away == general_away
    assert cells(tasks) == cells(general)
    assert tasks.line == sorted(tasks.line)


def test_rows_apart_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with something between them are not put together here, since how a table is cut must not matter."""
    table = [{"task_id": "a", "url": f"https://x.example/{number}.png"} for number in range(3)]
    tasks, away = merge_neighbours(batch_of(table, gap_after=0), NAMES)
    assert (tasks.line, away) == ([2, 4], 1)


@given(st.lists(st.sampled_from(["", "a", "a", "b", "c"]), max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_ids_are_told_once_for_rows_together(ids: list[str], cuts: list[int]) -> None:
    """An id is told once for rows together and twice where they are too many, however the rows are cut in pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "MOST", 3)
        told, answer = RepeatedIdFeed(), []
        edges = sorted({0, len(ids), *(cut for cut in cuts if cut < len(ids))})
        for start, end in pairwise(edges):
            answer += told.take(ids[start:end])
    expected: Counter[str] = Counter()
    for one, group in groupby(ids):
        expected[one] += 1 + (len(list(group)) > 3)
    del expected[""]
    assert Counter(answer) == expected


@given(st.lists(st.sampled_from(["a", "b"]), max_size=12), st.integers(0, 11))
def test_open_end_is_where_the_last_task_begins(ids: list[str], gap: int) -> None:
    """What may go on below a batch is the rows of its last task, unless they are too many."""
    batch = batch_of([{"task_id": one} for one in ids], gap_after=gap)
    first = starts(batch.task_id, batch.line)
    expected = int(np.flatnonzero(first)[-1]) if len(ids) else 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "MOST", 4)
        assert open_end(batch) == (expected if len(ids) - expected < 4 else len(ids))
