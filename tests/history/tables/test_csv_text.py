"""Promises of the text of a table: whole lines, within a bound, of a part and no more."""

from __future__ import annotations

import io

import pytest

from policy_engine.core.problems import InputUnusable
from policy_engine.history.tables import csv_text as table_text
from policy_engine.history.tables.csv_text import TableText


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
@pytest.mark.parametrize("block", [1, 7, 50])
def test_longest_line(monkeypatch: pytest.MonkeyPatch, end: bytes, block: int) -> None:
    """Lines up to the longest are served, longer ones are refused, whatever ends them and wherever a block does."""
    monkeypatch.setattr(table_text, "_LONGEST_LINE", 50)
    monkeypatch.setattr(table_text, "_BLOCK", block)
    lines = [b"x" * length + end for length in (3, 20, 50 - len(end), 1, 30)]
    text = TableText(io.BytesIO(b"".join(lines)))
    served = list(iter(text.readline, ""))
    assert "".join(served) == b"".join(lines).decode()
    assert served == list(io.StringIO("".join(served), newline=""))
    text = TableText(io.BytesIO(b"".join([*lines, b"x" * 51 + end])))
    with pytest.raises(InputUnusable):
        list(iter(text.readline, ""))


def test_part_without_a_line_reads_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a text in which no line begins is not read beyond its end: a file of such parts is read once."""
    monkeypatch.setattr(table_text, "_BLOCK", 100)
    stream = io.BytesIO(b"a\r" * 50_000)
    assert TableText(stream, 1_000, 2_000).readline() == ""
    assert stream.tell() <= 2_100
