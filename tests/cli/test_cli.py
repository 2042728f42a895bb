"""The command line: every way a command can end, what it then says and where, and what it leaves behind."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policy_engine.authoring.problem_formats import FORMATS
from policy_engine.cli import EXIT_CODES, values
from policy_engine.core.problems import PackInvalid
from policy_engine.report.formats.text import LINES
from policy_engine.report.formats.text import render as render_text
from policy_engine.report.model import Notice
from tests.support.commands import AS_OF, EXAMPLE, environment, in_own_process, policy_engine
from tests.support.exports import history_row, kling, page, task, write, write_csv, write_json, write_lines
from tests.support.paths import PACKS, ROOT
from tests.support.sample_model import rich_model


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a history, a rule pack, and one of each thing that goes wrong."""
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "good.jsonl", [task("t-1"), kling("k-1")])
    (tmp_path / "empty").mkdir()
    write(tmp_path / "binary.json", bytes(range(256)) * 4)
    write(tmp_path / "page.json", "<!DOCTYPE html>\n<html><body>Please sign in</body></html>\n")
    packed = gzip.compress((tmp_path / "good.jsonl").read_bytes() * 50)
    write(tmp_path / "cut.jsonl", packed[: len(packed) // 2])
    write_csv(tmp_path / "wrong.csv", [{"Task ID": "1", "Kind": "flux"}])
    write_json(tmp_path / "nothing.json", [])
    write_json(tmp_path / "no-tasks.json", [{"hello": "world"}, 7])
    write_lines(tmp_path / "mixed.jsonl", [*(task(f"t-{number}") for number in range(71)), *["no record"] * 29])
    write(tmp_path / "file.txt", "mine\n")
    write(tmp_path / "occupied" / "notes.txt", "mine\n")
    write(tmp_path / "alike" / "findings.csv", "mine\n")
    write(tmp_path / "unknown-column.yaml", "taskid: Task ID\nkind: Kind\n")
    write(tmp_path / "double-column.yaml", "task_id: Task ID\naccount_id: Task ID\n")
    write(tmp_path / "other-column.yaml", "task_id: Task Id.\n")
    write(tmp_path / "list.yaml", "- task_id\n")
    (tmp_path / "folder.csv").mkdir()
    lay_pack(tmp_path / "failing")
    cases = tmp_path / "failing" / "cases" / "film.yaml"
    cases.write_text(cases.read_text(encoding="utf-8").replace("verdict: active", "verdict: expired"), encoding="utf-8")
    lay_pack(tmp_path / "broken", "many-at-once")
    lay_pack(tmp_path / "conflict", "overlap-storage")
    lay_pack(tmp_path / "caseless")
    (tmp_path / "caseless" / "cases" / "film.yaml").unlink()
    return tmp_path


def lay_pack(folder: Path, defect: str | None = None) -> None:
    """Copy the small valid pack, and over it the files of a defect."""
    for layer in (PACKS / "valid" / "minimal", *([PACKS / "invalid" / defect] if defect else [])):
        for path in sorted(layer.rglob("*.yaml")):
            write(folder / path.relative_to(layer), path.read_bytes())


def everything_in(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below a folder, with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


# --- what goes wrong ----------------------------------------------------------------------------------------------

# Arguments, exit code, the sentence that says what is wrong, and what is said of what to do.
WRONG: dict[str, tuple[str, int, str, str]] = {
    "missing file": ("report nosuch.json", 4, "there is no file or folder `nosuch.json`", "check the spelling"),
    "no match": ("report exports/*.json", 4, "no file matches `exports/*.json`", "check the spelling"),
    "empty folder": ("report empty", 4, "the folder `empty` holds no export", "give a folder with .json"),
    "binary file": ("report binary.json", 4, "the file is binary", "give JSON, JSON Lines, CSV or Parquet"),
    "truncated gzip": ("report cut.jsonl", 4, "the packed file is damaged or cut short", "fetch or pack it again"),
    "web page": ("report page.json", 4, "the file is a web page", "fetch it again with the API key"),
    "wrong columns": (
        "report wrong.csv", 4, "the table has no column `task_id`", "the nearest is `Task ID`; it has `Task ID`, `Kind`"
    ),
    "mapped column missing": (
        "report wrong.csv --columns other-column.yaml", 4,
        "the column `Task Id.` named by --columns is not in the table",
        "did you mean `Task ID`? the table has `Task ID`, `Kind`",
    ),
    "no usable record": (
        "report no-tasks.json", 4,
        "none of the 2 records could be used", "is this an export of tasks?",
    ),
    "older than allowed": (
        "report good.jsonl --as-of 2026-01-09T10:05:01Z --max-age P3D -o new", 4,
        "the newest record is of 2026-01-06T10:05:00Z, 3 days 1 second before as_of; --max-age allows 3 days",
        "is the export job still running?",
    ),
    "nothing in it": ("report nothing.json", 7, "the history holds no record", "is the export complete?"),
    "period without tasks": (
        "report good.jsonl --created-from 2027-01-01T00:00:00Z", 7,
        "of 2 tasks 2 lie outside the period and 0 were created after as_of", "is the year right?",
    ),
    "before everything": (
        "evaluate good.jsonl -o new.csv --as-of 2016-01-08T00:00:00Z", 7,
        "of 2 tasks 0 lie outside the period and 2 were created after as_of (2016-01-08T00:00:00Z)", "look at --as-of",
    ),
    "naive time": ("report good.jsonl --as-of 2026-01-08T00:00:00", 2, "a time without a zone", "add Z for UTC"),
    "date only": (
        "report good.jsonl --as-of 2026-01-08", 2, "a date without a time of day",
        "did you mean 2026-01-08T00:00:00Z?",
    ),
    "no time": ("report good.jsonl --as-of yesterday", 2, "`yesterday` is not an RFC 3339 time", "such as 2026-01-08T"),
    "far time": ("report good.jsonl --as-of 9999-01-08T00:00:00Z", 2, "lies outside the years", "1824 to 2116"),
    "short duration": ("report good.jsonl --horizon 3d", 2, "`3d` is not an ISO 8601 duration", "did you mean P3D?"),
    "hours": ("report good.jsonl --horizon 26hours", 2, "is not an ISO 8601 duration", "did you mean PT26H?"),
    "weeks": ("report good.jsonl --operation-horizon 2w", 2, "is not an ISO 8601 duration", "did you mean P14D?"),
    "small letters": ("report good.jsonl --max-age pt26h", 2, "is not an ISO 8601 duration", "did you mean PT26H?"),
    "months": ("report good.jsonl --horizon P3M", 2, "`P3M` is not an ISO 8601 duration", "such as P3D or PT3H"),
    "empty period": (
        "report good.jsonl --created-from 2026-01-02T00:00:00Z --created-until 2026-01-02T00:00:00Z", 2,
        "--created-from is not before --created-until", "the period starts at the first",
    ),
    "allowance": ("report good.jsonl --max-quarantine few", 2, "`few` is neither a number of records", "such as 1%"),
    "allowance above all": ("report good.jsonl --max-quarantine 101%", 2, "`101%` is neither a number", "such as 1%"),
    "unknown verdict": ("report good.jsonl --fail-on lost", 2, "'lost' is not one of", "'expired'"),
    "no history": ("report", 2, "Missing argument 'HISTORY...'", "policy-engine report --help"),
    "unknown command": ("reprot good.jsonl", 2, "No such command 'reprot'", "report"),
    "unknown option": ("report good.jsonl --asof x", 2, "No such option", "--as-of"),
    "mapping: no such name": (
        "report wrong.csv --columns unknown-column.yaml", 2, "unknown-column.yaml:1:1: error[column-mapping]: `taskid`",
        "did you mean `task_id`?",
    ),
    "mapping: one column twice": (
        "report wrong.csv --columns double-column.yaml", 2,
        "double-column.yaml:2:13: error[column-mapping]: the column `Task ID` is given two meanings",
        "one column of the",
    ),
    "mapping: a list": ("report wrong.csv --columns list.yaml", 2, "must hold lines", "for instance a line `task_id:"),
    "mapping: no file": (
        "report wrong.csv --columns nosuch.yaml", 2,
        "nosuch.yaml:1:1: error[", "given with --columns",
    ),
    "output is a file": ("report good.jsonl -o file.txt", 2, "`file.txt` is a file", "name a folder with -o"),
    "output below a file": (
        "report good.jsonl -o file.txt/x", 2,
        "`file.txt/x` cannot be written", "name another folder",
    ),
    "output unwritable": ("report good.jsonl -o /proc/x", 2, "`/proc/x` cannot be written", "name another folder"),
    "somebody else's files": (
        "report good.jsonl -o occupied", 2, "the folder `occupied` holds other files, for instance `notes.txt`",
        "nothing was written",
    ),
    "somebody else's files of our names": (
        "report good.jsonl -o alike", 2, "the folder `alike` holds `findings.csv` and no manifest.json",
        "nothing was written",
    ),
    "table: folder": (
        "evaluate good.jsonl -o folder.csv", 2,
        "`folder.csv` cannot be written: it is a folder", "name a file",
    ),
    "table: no folder": (
        "evaluate good.jsonl -o there/x.csv", 2,
        "cannot be written: there is no folder `there`", "make the folder first"
    ),
    "table: ending": (
        "evaluate good.jsonl -o x.xls", 2,
        "`x.xls` does not end in .csv, .parquet or .jsonl", "findings.csv",
    ),
    "table: the input": (
        "evaluate good.jsonl -o good.jsonl", 2, "`good.jsonl` is part of the history and of the output", "name another"
    ),
    "example: no folder": ("example -o there/x.jsonl", 2, "there is no folder `there`", "make the folder first"),
    "unknown pack": (
        "report good.jsonl --pack piapy", 3,
        "no rule pack and no folder called `piapy`", "did you mean `piapi`?",
    ),
    "no pack there": (
        "report good.jsonl --pack ./there", 3,
        "there is no folder `there`", "a pack is a folder with pack.yaml",
    ),
    "conflict": ("report good.jsonl --pack conflict", 3, "both cover storage", "narrow"),
    "unknown schema": ("schema findigs", 2, "there is no schema `findigs`", "did you mean `findings.v1`?"),
    "failing cases": ("test failing", 5, "expired", ""),
    "no cases": ("test caseless", 7, "has no cases", "add a file to its folder `cases`"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_goes_wrong_is_said_once_and_clearly(name: str, desk: Path) -> None:
    """
    A wrong input gives one sentence that names it, what to do, the exit code and its meaning, and leaves nothing.
    """
    arguments, code, sentence, advice = WRONG[name]
    before = everything_in(desk)
    done = policy_engine(*arguments.split(" "))
    assert done.code == code, done.err
    assert sentence in done.err
    assert advice in done.err
    assert "Traceback" not in done.err
    assert "internal error" not in done.err
    assert done.last == f"exit {code}: {EXIT_CODES[code]}"
    assert not done.out or arguments.startswith("test")
    assert everything_in(desk) == before
    if not arguments.startswith("test"):
        told = [line for line in done.err.splitlines() if "error[" in line or line.startswith("Error: ")]
        assert len(told) == 1 or name in ("mapping: no such name", "conflict")


def test_missing_argument_of_everything_shows_the_help() -> None:
    """
    The bare command shows what there is, and ends as a usage problem.
    """
    done = policy_engine()
    assert done.code == 2
    assert "Commands:" in done.err + done.text
    assert done.last == f"exit 2: {EXIT_CODES[2]}"


def test_broken_pack_shows_all_problems(desk: Path) -> None:
    """
    Every problem of a broken pack is shown with file, line, column and the line itself, before any history is read;
    validate names the page about each kind of problem once, too.
    """
    done = policy_engine("report", "good.jsonl", "--pack", "broken")
    assert done.code == 3
    expected = (PACKS / "invalid" / "many-at-once" / "expected.txt").read_text(encoding="utf-8")
    assert done.err == expected.replace("minimal/", "broken/") + f"exit 3: {EXIT_CODES[3]}\n"
    judged = policy_engine("validate", "broken").err.splitlines(keepends=True)
    assert "".join(line for line in judged if not line.startswith("  docs: ")) == done.err
    assert judged.count("  docs: docs/problems.md#shape\n") == 1


def test_all_unusable_files_are_named(desk: Path) -> None:
    """
    Several files that cannot be used are all named in one run.
    """
    done = policy_engine("evaluate", "nosuch.json", "binary.json", "page.json", "good.jsonl", "-o", "new.csv")
    assert done.code == 4
    assert re.findall(r"error\[([a-z-]+)\]", done.err) == ["missing-file", "binary-file", "not-an-export"]


def test_totals_that_do_not_tie_end_the_run(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Totals that do not tie are exit 6, name the law, and nothing is published.
    """
    from policy_engine.engine import run as runs

    count = runs.count_findings
    monkeypatch.setattr(runs, "count_findings", lambda frame, as_of: count(frame.iloc[1:], as_of))
    done = policy_engine("report", "good.jsonl", "--as-of", AS_OF)
    assert done.code == 6
    assert "error[totals-mismatch]: points = verdicts + tasks without assets: " in done.err
    assert done.last == f"exit 6: {EXIT_CODES[6]}"
    assert not (desk / "report").exists()


def test_defects_are_not_blamed_on_the_user(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A defect of the program is exit 70 in one sentence without a traceback, which POLICY_ENGINE_DEBUG shows.
    """
    from policy_engine.engine import run as runs

    def fail(*_: object) -> None:
        raise KeyError("\x1b[31mno such thing")

    monkeypatch.setattr(runs, "count_findings", fail)
    done = policy_engine("report", "good.jsonl", "--as-of", AS_OF)
    assert done.code == 70
    assert done.err.startswith("internal error: KeyError: ")
    assert "this is a defect" in done.err
    assert "Traceback" not in done.err
    assert "\x1b" not in done.err
    assert done.last == f"exit 70: {EXIT_CODES[70]}"
    assert not (desk / "report").exists()
    monkeypatch.setenv("POLICY_ENGINE_DEBUG", "1")
    done = policy_engine("report", "good.jsonl", "--as-of", AS_OF)
    assert done.code == 70
    assert done.err.startswith("Traceback")
    assert done.last == f"exit 70: {EXIT_CODES[70]}"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 2, "error[no-room]: the disk is full; what was there"),
        (OSError(errno.EDQUOT, "x", "y"), 2, "error[no-room]: the disk is full: nothing is left of the quota (`y`)"),
        (OSError(errno.EFBIG, "File too large"), 2, "larger than the system or its limit (`ulimit -f`) allows"),
        (OSError(errno.EMFILE, "Too many open files", "x"), 2, "error[too-many-files]: "),
        (PermissionError(13, "Permission denied", "x"), 2, "`x` cannot be used: Permission denied"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 70, "error[no-memory]: there is not enough memory"),
        (MemoryError(), 70, "error[no-memory]: there is not enough memory"),
        (RuntimeError("can't start new thread"), 70, "error[no-memory]: there is not enough memory"),
        (ImportError("x.so: failed to map segment from shared object"), 70, "error[no-memory]: "),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)  # fmt: skip
def test_what_the_system_refuses_is_no_defect(
    error: Exception, code: int, said: str, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A full disk, too little memory or a missing permission while writing is said as such, and leaves nothing.
    """
    from policy_engine.report import folder as report_folder

    def fail(*_: object) -> None:
        raise error

    before = everything_in(desk)
    monkeypatch.setattr(report_folder, "to_csv_lines", fail)
    done = policy_engine("report", "good.jsonl", "--as-of", AS_OF)
    assert done.code == code
    assert said in done.err
    assert "\n  help: " in done.err
    assert "defect" not in done.err
    assert everything_in(desk) == before


def test_unexpected_end_of_file_is_no_interruption(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An EOFError inside the program is a defect, not somebody pressing keys.
    """
    from policy_engine.engine import run as runs

    def fail(*_: object) -> None:
        raise EOFError("cut")

    monkeypatch.setattr(runs, "count_findings", fail)
    assert policy_engine("report", "good.jsonl", "--as-of", AS_OF).code == 70


# --- gates --------------------------------------------------------------------------------------------------------


def test_fail_on_names_what_was_found(desk: Path) -> None:
    """
    --fail-on may be repeated; it ends with 1 when there are such assets, names each verdict with its count, and the
    report is there.
    """
    arguments = ("report", "good.jsonl", "--as-of", AS_OF)
    assert policy_engine(*arguments, "--fail-on", "expired", "--fail-on", "ungoverned").code == 0
    done = policy_engine(*arguments, "--fail-on", "vendor_cdn", "--fail-on", "expired", "--fail-on", "active")
    assert done.code == 1
    total, *rest = done.err.splitlines()
    assert total.startswith("total 3 assets: 2 active, ")
    assert rest == [
        "failed --fail-on vendor_cdn: 1 asset",
        "failed --fail-on active: 2 assets",
        f"exit 1: {EXIT_CODES[1]}",
    ]
    assert done.out
    assert (desk / "report" / "report.html").exists()
    assert policy_engine("evaluate", *arguments[1:], "--fail-on", "active", "-o", "x.jsonl").code == 1


@pytest.mark.parametrize(
    ("allowed", "code"), [("29", 0), ("28", 4), ("29%", 0), ("28.9%", 4), ("0", 4), ("0%", 4), ("100%", 0)]
)
def test_quarantine_gate(allowed: str, code: int, desk: Path) -> None:
    """
    --max-quarantine is a count or a share of the records read; exactly so many are allowed, one more is exit 4. The
    report is written all the same, since quarantine.csv says what to mend.
    """
    done = policy_engine("report", "mixed.jsonl", "--as-of", AS_OF, "--max-quarantine", allowed)
    assert done.code == code
    said = f"\nfailed 29 of 100 records were set aside; --max-quarantine allows {allowed}\nexit 4: {EXIT_CODES[4]}\n"
    assert done.err.endswith(said) if code else not done.err
    assert (desk / "report" / "quarantine.csv").read_text().count("\n") == 30


def test_share_of_the_quarantine_is_exact() -> None:
    """
    A share is compared exactly: k of 100 records are never more than k percent of them.
    """
    for percent in range(101):
        allowance = values.ALLOWANCE.convert(f"{percent}%", None, None)
        assert not allowance.is_exceeded(percent, 100)
        assert allowance.is_exceeded(percent + 1, 100)


def test_max_age_is_exact(desk: Path) -> None:
    """
    A history exactly as old as --max-age allows is used.
    """
    arguments = ("--as-of", "2026-01-09T10:05:00Z", "--max-age", "P3D")
    assert policy_engine("report", "good.jsonl", *arguments).code == 0


def test_max_age_needs_a_time(desk: Path) -> None:
    """
    A history without any time cannot pass --max-age.
    """
    write_lines(desk / "timeless.jsonl", [task("t", created_at=..., ended_at=..., started_at=...)])
    done = policy_engine("evaluate", "timeless.jsonl", "--max-age", "P3D", "-o", "-")
    assert done.code == 4
    assert "no record carries a time" in done.err
    assert done.out == b""


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_refused_table_leaves_nothing(ending: str, desk: Path) -> None:
    """
    A table that must not be published leaves an earlier one of that name as it was, and no half file.
    """
    write(desk / f"findings.{ending}", "earlier\n")
    before = everything_in(desk)
    arguments = ("good.jsonl", "--max-age", "PT1S", "--as-of", AS_OF)
    assert policy_engine("evaluate", *arguments, "-o", f"findings.{ending}").code == 4
    assert everything_in(desk) == before
    done = policy_engine("evaluate", *arguments, "-o", "-")
    assert (done.code, done.out) == (4, b"")


# --- where things are printed -------------------------------------------------------------------------------------


def test_results_and_diagnostics_are_apart(desk: Path) -> None:
    """
    The findings go to stdout and nothing else does; what a person should know goes to stderr.
    """
    done = policy_engine("evaluate", "mixed.jsonl", "-o", "-", "--as-of", AS_OF)
    lines = done.text.splitlines()
    assert (done.code, len(lines)) == (0, 72)
    assert lines[0].startswith("asset_id,task_id,")
    assert all(line.startswith("flux/t-") for line in lines[1:])
    head, *rest = done.err.splitlines()
    assert head.startswith("100 records = 71 tasks + 0 merged + 29 quarantined; 71 assets: 71 active, 0 at_risk, ")
    assert [line.partition(":")[0] for line in rest] == ["warning", "warning", *["mixed.jsonl"] * 3]
    assert rest[2] == "mixed.jsonl:72: quarantined [not_json]: found " + rest[2].partition("found ")[2]
    assert "29 records of 100 (29.0%) could not be used" in rest[0]


def test_report_prints_the_totals_and_where_it_is(desk: Path) -> None:
    """
    `report` prints its totals to stdout, the last line naming the page as the user named the folder.
    """
    done = policy_engine("report", "good.jsonl", "--as-of", AS_OF, "-o", "out/january")
    assert done.code == 0
    assert done.err == ""
    assert done.text.splitlines()[-1] == "report    out/january/report.html"
    assert "read      2 records in 1 file = 2 tasks + 0 merged + 0 quarantined" in done.text


def test_standard_input_and_output(desk: Path) -> None:
    """
    `-` reads the history from stdin and writes CSV to stdout, the same as with files but for the source's name.
    """
    assert policy_engine("evaluate", "good.jsonl", "-o", "table.csv", "--as-of", AS_OF).code == 0
    done = policy_engine("evaluate", "-", "-o", "-", "--as-of", AS_OF, stdin=(desk / "good.jsonl").read_bytes())
    assert done.code == 0
    assert done.out == (desk / "table.csv").read_bytes().replace(b"good.jsonl:", b"stdin:")


def test_empty_standard_input_is_refused() -> None:
    """
    Nothing on stdin is an unusable input, not an empty answer.
    """
    done = policy_engine("evaluate", "-", "-o", "-")
    assert done.code == 4
    assert "stdin:1:1: error[empty-file]" in done.err


def test_example_to_standard_output() -> None:
    """
    `example -o -` prints the history alone, fit to be read again.
    """
    done = policy_engine("example", "--tasks", "20", "-o", "-")
    assert done.code == 0
    assert done.err == ""
    again = policy_engine("evaluate", "-", "-o", "-", "--as-of", AS_OF, stdin=done.out)
    assert again.code == 0
    assert "= 20 tasks + " in again.err


def test_table_is_written_through_a_link(desk: Path) -> None:
    """
    A link given with -o stays a link, and the table lies where it points to.
    """
    (desk / "there").mkdir()
    (desk / "link.csv").symlink_to(desk / "there" / "table.csv")
    assert policy_engine("evaluate", "good.jsonl", "-o", "link.csv", "--as-of", AS_OF).code == 0
    assert (desk / "link.csv").is_symlink()
    assert (desk / "there" / "table.csv").read_bytes().startswith(b"asset_id,")
    assert [path.name for path in (desk / "there").iterdir()] == ["table.csv"]


def test_own_output_is_no_history(desk: Path) -> None:
    """
    A second run over a folder that holds the report of the first says that it leaves it out, and answers the same.
    """
    folder = desk / "exports"
    write_lines(folder / "good.jsonl", [task("t-1"), kling("k-1")])
    first = policy_engine("report", folder, "--as-of", AS_OF, "-o", folder / "report")
    content = everything_in(folder)
    second = policy_engine("report", folder, "--as-of", AS_OF, "-o", folder / "report")
    third = policy_engine("report", folder, "--as-of", AS_OF, "-o", folder / "elsewhere")
    assert (first.code, second.code, third.code) == (0, 0, 0)
    assert second.out == first.out
    assert "skipped 10 files (report/at_risk.csv, " in second.err
    assert "written by this program, and no part of the history" in third.err
    now = everything_in(folder)
    assert {name: data for name, data in now.items() if not name.startswith("elsewhere")} == content
    assert now["elsewhere/findings.csv"] == content["report/findings.csv"]


def test_own_output_alone_is_refused(desk: Path) -> None:
    """
    A folder that holds nothing but a report is no history; a findings table named by itself is.
    """
    assert policy_engine("report", "good.jsonl", "--as-of", AS_OF).code == 0
    done = policy_engine("evaluate", "report", "-o", "-", "--as-of", AS_OF)
    assert done.code == 4
    assert "error[only-reports]" in done.err
    done = policy_engine("report", "report/findings.csv", "--as-of", AS_OF)
    assert done.code == 2
    assert "error[output-is-input]" in done.err
    assert policy_engine("evaluate", "report/findings.csv", "-o", "-", "--as-of", AS_OF).code == 0


@pytest.mark.slow
def test_usage_names_the_command_as_installed() -> None:
    """
    Help and usage call the program `policy-engine`, however it was started.
    """
    done = in_own_process("report")
    assert done.code == 2
    assert done.err.startswith("Usage: policy-engine report ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", ["--help", "--version", "validate", "report --help", "schema findings", "report x --horizon 3d"]
)
def test_light_commands_stay_light(arguments: str) -> None:
    """
    What needs no table imports neither pandas nor pyarrow, so that it answers at once.
    """
    program = (
        "import sys; from policy_engine.cli import run; run(sys.argv[1:]);"
        "print('heavy:', sorted({'pandas', 'pyarrow', 'jinja2'} & set(sys.modules)))"
    )
    done = in_own_process(*arguments.split(), code=program)
    assert done.text.splitlines()[-1] == "heavy: []"


def test_version_is_printed() -> None:
    """
    `--version` names the program and its version.
    """
    from policy_engine.core.version import __version__

    assert policy_engine("--version").text == f"policy-engine, version {__version__}\n"


def test_help_lists_all_exit_codes() -> None:
    """
    `--help` lists every exit code with its meaning.
    """
    done = policy_engine("--help")
    assert done.code == 0
    assert all(f"{code:>3}  {meaning}" in done.text for code, meaning in EXIT_CODES.items())


@pytest.mark.parametrize("shape", FORMATS)
@pytest.mark.parametrize("pack", ["failing", "broken", "conflict", "caseless", "nosuch", "fine"])
@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_format_changes_no_exit_code(command: str, pack: str, shape: str, desk: Path) -> None:
    """
    Whatever the format, a command ends as it does without one; what it found is on stdout, and stderr says the ending.
    """
    lay_pack(desk / "fine")
    plain_end, done = policy_engine(command, pack), policy_engine(command, pack, "--format", shape)
    assert done.code == plain_end.code
    assert done.last == plain_end.last
    if shape != "text":
        assert done.text
        assert done.err.splitlines() == ([done.last] if done.code else [])


@pytest.mark.parametrize("command", ["validate", "test"])
def test_json_format_has_every_problem(command: str, desk: Path) -> None:
    """
    `--format json` prints the problems of all packs as one JSON document on stdout.
    """
    lay_pack(desk / "fine")
    document = json.loads(policy_engine(command, "broken", "fine", "--format", "json").text)
    assert len(document["problems"]) == document["errors"] == 5
    assert {problem["place"]["file"].partition("/")[0] for problem in document["problems"]} == {"broken"}
    assert [line.partition(":")[0] for line in document["covered"]] == ["broken", "fine"]


# --- terminals ----------------------------------------------------------------------------------------------------


def hostile_history(folder: Path) -> Path:
    """A history with everything to warn of, and names that would move the cursor."""
    evil = "\x1b[2J\x1b]0;owned\x07\u202emodel\nsecond line"
    return write_lines(folder / "hostile.jsonl", [
        "no record at all",
        page([history_row("r-1", created_at="2025-12-01T00:00:00Z")], total=250),
        *(task(f"u-{number}", f"{evil}{number}") for number in range(9)),
        task("c-1", output={"image_url": "https://v15-kling.klingai.com/x.png"}),
        task("m-1", "midjourney", task_type="imagine", service_mode="", is_using_private_pool=...,
             output={"image_url": "https://img.theapi.app/mj/1.png"}),
        task("h-1", "Qubico/hug-video", task_type="image_to_video", output={"video_url": "https://img.theapi.app/1.mp4"}),
        task("b-1", started_at=..., ended_at="yesterday"),
    ])  # fmt: skip


def test_totals_fit_on_a_terminal(desk: Path) -> None:
    """
    Whatever there is to warn of, `report` prints at most 25 lines of at most 110 characters, and no control character.
    """
    path = hostile_history(desk)
    done = policy_engine("report", path, "--as-of", "2026-01-20T00:00:00Z")
    assert done.code == 0, done.err
    lines = done.text.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= 110
    assert all(char.isprintable() for line in lines for char in line)
    assert done.text.count("\nwarning   ") == 8
    told = policy_engine("evaluate", path, "-o", "-", "--as-of", "2026-01-20T00:00:00Z").err
    assert told.count("warning: ") == 8
    assert all(char.isprintable() for line in told.splitlines() for char in line)


@pytest.mark.parametrize("count", [0, 1, 3, 7, 20])
def test_warnings_use_the_room_there_is(count: int) -> None:
    """
    The first warnings are told as fully as 25 lines allow; where some are left out, that is said.
    """
    long = "word " * 60
    model = replace(rich_model(), warnings=tuple(Notice("code", f"{place} {long}") for place in range(count)))
    lines = render_text(model, "report/report.html").splitlines()
    assert len(lines) <= LINES
    told = [line for line in lines if line.startswith("warning   ")]
    assert len(told) == count or "further warnings are in the report" in lines[-2]
    if count == 1:
        assert sum("word" in line for line in lines) == 3


def test_hostile_file_names_are_shown_as_text(desk: Path) -> None:
    """
    A file name with control characters reaches the terminal as visible escapes, in errors and in reports.
    """
    name = "e\x1b[31mvil.jsonl"
    write(desk / name, "<html>")
    done = policy_engine("report", name)
    assert "e\\x1b[31mvil.jsonl:1:1: error[not-an-export]" in done.err
    write(desk / name, "x\n{}\n")
    done = policy_engine("report", name)
    assert done.code == 4
    assert "\x1b" not in done.err
    write_lines(desk / name, [task(), "nothing"])
    done = policy_engine("evaluate", name, "-o", "-", "--as-of", AS_OF)
    assert done.code == 0
    assert "\x1b" not in done.err
    write(desk / "folder\x1b" / "notes.txt", "")
    assert "\x1b" not in policy_engine("report", "good.jsonl", "-o", "folder\x1b").err


@pytest.mark.slow
def test_poor_terminals_are_served(desk: Path) -> None:
    """
    A terminal that cannot show a name shows its escape, and the run ends well.
    """
    write_lines(desk / "names.jsonl", [task("t-1", "モデル"), task("t-2", "\U0001f600")])
    done = in_own_process("report", "names.jsonl", "--as-of", AS_OF, cwd=desk, PYTHONIOENCODING="latin-1")
    assert done.code == 0
    assert "\\u30e2\\u30c7\\u30eb (1)" in done.text


def test_file_name_that_is_no_text(desk: Path) -> None:
    """
    A file whose name is not UTF-8 is read, and its name can be written to every output.
    """
    name = os.fsdecode(b"bad\xff.jsonl")
    try:
        write_lines(desk / name, [task(), "nothing"])
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    for output in ("report", "x.csv", "x.jsonl", "x.parquet"):
        command = "report" if output == "report" else "evaluate"
        done = policy_engine(command, name, "-o", output, "--as-of", AS_OF)
        assert done.code == 0, done.err
    for path in (desk / "report" / "manifest.json", desk / "x.csv", desk / "x.jsonl"):
        assert "bad\ufffd.jsonl" in path.read_text(encoding="utf-8")


# --- closed pipes and interruptions -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [f"evaluate {EXAMPLE} -o - --as-of {AS_OF}", "example --tasks 500 -o -", "rules", "schema findings"]
)
def test_reader_who_stops_early(arguments: str) -> None:
    """
    `| head -1` ends a command quietly and well.
    """
    program = [sys.executable, "-m", "policy_engine", *arguments.split()]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read().decode()
        assert process.wait() == 0
    assert not re.search("Error|Exception|Broken", told)


@pytest.mark.slow
@pytest.mark.parametrize("is_closed", [True, False])
def test_report_outlives_its_reader(is_closed: bool, desk: Path) -> None:
    """
    A report whose totals nobody reads is written, and --fail-on still decides the exit code.
    """
    command = [sys.executable, "-m", "policy_engine", "report", "good.jsonl", "--as-of", AS_OF, "--fail-on", "active"]
    reading, writing = os.pipe()
    os.close(reading)
    done: Any = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command] if is_closed else command,
        stdout=writing, stderr=subprocess.PIPE, text=True, env=environment(), check=False,
    )  # fmt: skip
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr.endswith(f"\nfailed --fail-on active: 2 assets\nexit 1: {EXIT_CODES[1]}\n")
    assert (desk / "report" / "manifest.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [f"evaluate {EXAMPLE} -o - --as-of {AS_OF}", "rules"])
def test_full_disk_behind_standard_output(arguments: str) -> None:
    """
    Output that cannot be taken is said in a sentence, never a success and never a traceback.
    """
    with Path("/dev/full").open("wb") as full:
        done: Any = subprocess.run(
            [sys.executable, "-m", "policy_engine", *arguments.split()],
            stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert "error[no-room]: the disk is full; what was there before is as it was" in done.stderr
    assert not re.search("Traceback|Exception ignored", done.stderr)


SLOW = """
import os, time
from policy_engine.engine import run as runs
from policy_engine.cli import main

parts = runs._Work.parts

def slow(self, unit):
    for part in parts(self, unit):
        yield part
        os.write(2, b"reading\\n")  # in one go: two workers may say it at the same time
        time.sleep(60)

runs._Work.parts = slow
main()
"""
"""The command, but it takes a minute over each part of a history."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_interruption_leaves_no_half_result(number: int, jobs: int, desk: Path) -> None:
    """
    Ctrl-C in the middle of a report is exit 130 in two quiet lines; the earlier report and everything else stay.
    """
    write_lines(desk / "more.jsonl", [task("t-3")])
    (desk / "scratch").mkdir()
    assert policy_engine("report", "good.jsonl", "--as-of", AS_OF).code == 0
    before = everything_in(desk)
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, "report", "good.jsonl", "more.jsonl", "--jobs", str(jobs)],
        cwd=desk, env=environment(TMPDIR=str(desk / "scratch")), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for _ in range(jobs):
            assert process.stderr.readline() == b"reading\n"
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == b""
    assert err.decode().split("\n") == ["", "interrupted", "exit 130: interrupted", ""]
    assert everything_in(desk) == before


FORKING = """
import os, signal
from policy_engine import cli

def fork():
    if not os.fork():
        print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
        return 0
    os.wait()
    return 0

cli.run = fork
cli.main()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_workers_die_when_they_are_told_to() -> None:
    """
    A worker process leaves an interruption to the process that started it, and dies of SIGTERM at once: a handler of
    its own would be run too late where it waits for work, and the run would wait for it forever.
    """
    assert in_own_process(code=FORKING).text == "True True\n"


# --- values -------------------------------------------------------------------------------------------------------


def test_clock_is_asked_in_one_place_only() -> None:
    """
    Only the module that reads arguments asks what time it is, and it answers in whole seconds.
    """
    asking = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "policy_engine").rglob("*.py")
        if re.search(r"\btime\.time|\.now\(|utcnow|\.today\(", path.read_text(encoding="utf-8"))
    ]
    assert asking == ["policy_engine/cli/values.py"]
    assert values.clock() % 1_000_000_000 == 0


@pytest.mark.parametrize("command", ["report good.jsonl", "rules"])
def test_clock_is_the_default(command: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without --as-of the clock decides, to the second.
    """
    monkeypatch.setattr(values.time, "time_ns", lambda: 1_767_830_400_123_456_789)
    assert "2026-01-08T00:00:00Z" in policy_engine(*command.split()).text


def test_every_error_has_an_exit_code() -> None:
    """
    Every error of an input leads to an exit code that has a meaning.
    """
    from policy_engine import cli
    from policy_engine.core.problems import PolicyEngineError

    assert {kind for kind, _ in cli._CODE_OF} == set(PolicyEngineError.__subclasses__())
    assert {code for _, code in cli._CODE_OF} <= set(EXIT_CODES)
    assert cli._CODE_OF[0] == (PackInvalid, 3)
