"""Waiting: records and checksums come back the same from disk as from memory, and a full disk is said in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.files.scratch import Scratch
from policy_engine.core.problems import UsageProblem
from policy_engine.history import Batch, ServiceNames
from policy_engine.history.merging.repeated_keys import RepeatedKeys
from policy_engine.history.merging.spill import SpillBuffer
from policy_engine.history.records.record_reader import RecordReader
from tests.support.exports import pack, task


def batch_of(ids: list[str], first_line: int = 1) -> Batch:
    """A batch of task objects with these ids."""
    reader = RecordReader(ServiceNames(pack().catalog), (), 0)
    for line, task_id in enumerate(ids, first_line):
        reader.read(task(task_id), line)
    return reader.finish()


def groups(batches: list[Batch], most: int, size: int) -> list[list[tuple[str, int]]]:
    """Ids and lines of the batches that come back, when `most` records stay in memory."""
    with Scratch() as scratch:
        waiting = SpillBuffer(scratch, most)
        for batch in batches:
            waiting.add(batch)
        assert waiting.is_spilled == (sum(map(len, batches)) > most)
        found = [list(zip(batch.task_id, batch.line, strict=True)) for batch in waiting.groups(size)]
        waiting.close()
    return found


# U+FFFF stands before U+10000 in Python and in UTF-8, but not in UTF-16.
IDS = st.lists(st.sampled_from(["a", "b", "B", "ab", "10", "9", "a\0b", "\u00e9", "\uffff", "\U00010000"]), max_size=20)


@given(IDS, st.integers(1, 6), st.integers(0, 20))
def test_disk_and_memory_give_the_same_groups(ids: list[str], size: int, cut: int) -> None:
    """From disk come the same batches in the same order: by id, then as added, and no id in two of them."""
    batches = [batch_of(ids[:cut]), batch_of(ids[cut:], 1 + len(ids[:cut]))]
    in_memory = groups(batches, len(ids), size)
    assert groups(batches, -1, size) == in_memory
    assert [pair for group in in_memory for pair in group] == sorted(zip(ids, range(1, 1 + len(ids)), strict=True))
    assert sum(len({task_id for task_id, _ in group}) for group in in_memory) == len(set(ids))
    assert all(len(group) >= size for group in in_memory[:-1])


def test_few_records_need_no_folder(tmp_path: Path) -> None:
    """While all fits into memory nothing is written; what was written is removed at the end."""
    with Scratch(tmp_path) as scratch:
        waiting = SpillBuffer(scratch, 2)
        waiting.add(batch_of(["a", "b"]))
        assert list(tmp_path.iterdir()) == []
        waiting.add(batch_of(["c"]))
        assert [one.stat().st_mode & 0o777 for one in tmp_path.iterdir()] == [0o700]
        waiting.close()
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """Where nothing can be written, the error names the folder and what to do."""
    waiting = SpillBuffer(Scratch(tmp_path / "nowhere"), 0)
    with pytest.raises(UsageProblem) as caught:
        waiting.add(batch_of(["a"]))
    (problem,) = caught.value.problems
    assert problem.code == "no-room"
    assert "nowhere" in problem.message
    assert "TMPDIR" in str(problem.help)
    store = RepeatedKeys(Scratch(tmp_path / "nowhere"), 0)
    with pytest.raises(UsageProblem, match="nowhere"):
        store.add(np.array([1], np.uint64))
