"""Promises of CSV rows: every way of writing a row is read, and a damaged row costs no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.exports import (
    CLEAN,
    IMAGE,
    read,
    task,
    write,
    write_lines,
)


def test_csv_with_quoted_line_breaks(tmp_path: Path) -> None:
    """A field may hold line breaks and delimiters; rows are known by their first line."""
    rows = ["task_id,model,status,prompt", 'a,flux,completed,"two', 'lines, ""quoted"""', "b,flux,completed,short", ""]
    text = "\r\n".join([*rows, "c,flux,completed,", ""])
    reading = read(write(tmp_path / "t.csv", text))
    assert [row["source"] for row in reading.rows] == ["t.csv:2", "t.csv:4", "t.csv:6"]


def test_csv_with_spaces_and_empty_rows(tmp_path: Path) -> None:
    """Spaces around cells are no part of them, and rows of empty cells are no records."""
    text = "\n task_id , model, status \n a , flux, completed \n,,\n\n"
    reading = read(write(tmp_path / "t.csv", text), write_lines(tmp_path / "t.jsonl", [task("a"), task("b")]))
    assert reading.totals.seen.records == 3
    assert sorted(row["task_id"] for row in reading.rows) == ["a", "b"]


def test_delimiter_that_the_table_names(tmp_path: Path) -> None:
    """A first line `sep=;`, as spreadsheets write it, names the delimiter and is no header."""
    path = write(tmp_path / "t.csv", "\nsep=;\r\ntask_id;model;status\r\na,1;flux;completed\r\n")
    assert [(row["task_id"], row["source"]) for row in read(path).rows] == [("a,1", "t.csv:4")]


def test_table_of_one_column(tmp_path: Path) -> None:
    """A table may be a list of ids, under any name."""
    assert read(write(tmp_path / "a.txt", "task_id\na\nb\n")).totals.tasks.tasks == 2
    assert read(write(tmp_path / "b.csv", "Job\na\nb\n"), columns={"task_id": "Job"}).totals.tasks.tasks == 2


def test_rows_with_too_many_or_too_few_fields(tmp_path: Path) -> None:
    """A row that does not fit the header is set aside: which field is which cannot be told."""
    text = f"task_id,model,url\na,flux,{IMAGE}\nb,flux\nc,flux,{IMAGE},x\n\nd,flux,{CLEAN}\n"
    reading = read(write(tmp_path / "a.csv", text))
    assert [row["task_id"] for row in reading.rows] == ["a", "d"]
    assert reading.quarantine.values.tolist() == [
        ["a.csv:3", "wrong_field_count", "2 fields", "3 fields as in the header"],
        ["a.csv:4", "wrong_field_count", "4 fields", "3 fields as in the header"],
    ]


def test_stray_quotation_mark_costs_its_row_only(tmp_path: Path) -> None:
    """A quotation mark that nobody closes swallows no row below it."""
    rows = [f"{number},flux,completed,a prompt\n" for number in range(50)]
    rows[10] = '10,flux,completed,"never closed\n'
    rows[30] = '30,flux,completed,"closed, with\na line break"\n'
    for text in ("".join(rows), "".join(rows[:30]), "".join(rows[:12])):
        reading = read(write(tmp_path / "a.csv", "task_id,model,status,prompt\n" + text))
        assert reading.quarantine["source"].tolist() == ["a.csv:12"]
        assert reading.totals.tasks.tasks == text.count(",flux,") - 1


def test_lines_within_a_broken_row_are_no_rows(tmp_path: Path) -> None:
    """Of a row that is set aside, lines of its text do not become tasks."""
    broken = '1,flux,completed,"a list:\nred, green, blue, yellow\n2,x,y,z\n",too,many\n'
    reading = read(write(tmp_path / "a.csv", f"task_id,model,status,prompt\n{broken}3,flux,completed,p\n"))
    assert [row["task_id"] for row in reading.rows] == ["3"]
    assert reading.reasons == ["wrong_field_count"]


def test_quotation_marks_within_a_field(tmp_path: Path) -> None:
    """Quotation marks that a careless program left within a field are read as a spreadsheet reads them."""
    text = 'task_id,model,status,prompt\na,flux,completed,"12" disc\nb,flux,completed,a 12" disc\n'
    reading = read(write(tmp_path / "a.csv", text))
    assert [row["task_id"] for row in reading.rows] == ["a", "b"]


def test_field_beyond_all_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field larger than any real one is set aside with its row."""
    monkeypatch.setattr("policy_engine.history.tables.table_reader._LONGEST_FIELD", 1_000)
    text = f"task_id,model,prompt\na,flux,x\nb,flux,{'x' * 2_000}\nc,flux,x\n"
    reading = read(write(tmp_path / "a.csv", text))
    assert reading.reasons == ["not_csv"]
    assert reading.totals.tasks.tasks == 2
