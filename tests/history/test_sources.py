"""Promises of sources: arguments are resolved to files, and what is not an export is refused in words."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.exports import (
    only_problem,
    problems_of,
    task,
    write,
    write_lines,
)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named as it was given."""
    problem = only_problem(tmp_path / "nowhere.json")
    assert (problem.code, "nowhere.json`" in problem.message) == ("missing-file", True)


def test_pattern_that_matches_nothing(tmp_path: Path) -> None:
    """A pattern without a match is said to be one."""
    assert "no file matches" in only_problem(tmp_path / "*.json").message


def test_every_bad_argument_is_reported_at_once(tmp_path: Path) -> None:
    """One run reports all files that cannot be used, not only the first."""
    write(tmp_path / "empty.json", "")
    write(tmp_path / "page.json", "<html>")
    problems = problems_of(tmp_path / "nowhere", tmp_path / "empty.json", tmp_path / "page.json")
    assert sorted(problem.code for problem in problems) == ["empty-file", "missing-file", "not-an-export"]


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "", "*" * 300, "\udce9"])
def test_arguments_that_are_no_paths(name: str) -> None:
    """Text that cannot be a path is a problem like a missing file."""
    assert only_problem(name).code in ("missing-file", "empty-folder")


def test_empty_folder(tmp_path: Path) -> None:
    """A folder without an export is a mistake of the caller, not an empty history."""
    (tmp_path / "in").mkdir()
    assert only_problem(tmp_path / "in").code == "empty-folder"
    write(tmp_path / "in" / "picture.png", b"\x89PNG\r\n")
    write(tmp_path / "in" / ".hidden.json", "{}")
    assert only_problem(tmp_path / "in").code == "empty-folder"


@pytest.mark.parametrize("content", ["", " ", "\n\n\n", "\ufeff", "\ufeff \n", " " * 70_000, " " * 70_000 + "{}"])
def test_empty_files(tmp_path: Path, content: str) -> None:
    """A file without content is a problem: a failed export must not look like no tasks."""
    assert only_problem(write(tmp_path / "a.json", content)).code == "empty-file"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 64, "binary-file"),
        (b"PK\x03\x04\x14\0\x06\0" + b"\0" * 64, "binary-file"),
        (b"SQLite format 3\0" + b"\0" * 64, "binary-file"),
        (b"\0\0\0\x20ftypisom\0\0\x02\0", "binary-file"),
        (b"PAR1 but not really", "damaged-file"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "not-an-export"),
        (b"just some words", "not-an-export"),
        (b"null", "not-an-export"),
        (b'"text"', "not-an-export"),
        (b"42", "not-an-export"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes, code: str) -> None:
    """Pictures, workbooks, databases and prose are told apart from exports."""
    assert only_problem(write(tmp_path / "a.json", content)).code == code


def test_workbook_is_told_how_to_be_saved(tmp_path: Path) -> None:
    """A spreadsheet in its own format is answered with what to do."""
    problem = only_problem(write(tmp_path / "a.xlsx", b"PK\x03\x04\x14\0\x06\0" + b"\0" * 64))
    assert "workbook" in problem.message
    assert "CSV UTF-8" in str(problem.help)


@pytest.mark.parametrize(
    "text", ["<!DOCTYPE html><html><body>Sign in</body></html>", "\n <html>", '<?xml version="1.0"?>']
)
def test_web_page_saved_as_json(tmp_path: Path, text: str) -> None:
    """A sign-in page saved in place of the answer is called what it is."""
    problem = only_problem(write(tmp_path / "a.json", text))
    assert (problem.code, "web page" in problem.message) == ("not-an-export", True)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("table", [True, False])
def test_utf_16(tmp_path: Path, encoding: str, table: bool) -> None:
    """UTF-16, which spreadsheets like to write, is named, for JSON as for tables."""
    text = "task_id,model\na,flux\n" if table else json.dumps(task())
    problem = only_problem(write(tmp_path / "a.csv", text.encode(encoding)))
    assert (problem.code, "UTF-16" in problem.message) == ("encoding", True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_special_files(tmp_path: Path) -> None:
    """A pipe, a device or a link that leads nowhere is refused before anything waits for it."""
    os.mkfifo(tmp_path / "pipe.json")
    assert only_problem(tmp_path / "pipe.json").code == "not-a-file"
    assert only_problem(tmp_path).code == "not-a-file"
    assert only_problem(tmp_path / "*.json").code == "not-a-file"
    (tmp_path / "pipe.json").unlink()
    assert only_problem("/dev/null").code == "not-a-file"
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere")
    for way in (tmp_path / "link.json", tmp_path, tmp_path / "*.json"):
        assert only_problem(way).code == "unreadable-file"
    (tmp_path / "link.json").unlink()
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    assert only_problem(tmp_path / "loop.json").code == "unreadable-file"


def test_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder inside a folder that cannot be listed is a problem: its files would be missing unseen."""
    write_lines(tmp_path / "in" / "a.jsonl", [task("a"), task("b")])
    (tmp_path / "in" / "locked").mkdir()
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert only_problem(tmp_path / "in").code == "unreadable-folder"
