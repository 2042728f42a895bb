"""Results on terminals, in pipes and in files: nothing a terminal obeys, all of a result or nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from policy_engine.cli import EXIT_CODES
from tests.support.commands import AS_OF, EXAMPLE, environment, in_own_process, policy_engine
from tests.support.exports import task, write, write_lines


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
    assert "error[no-room]: the disk is full; an earlier output is unchanged" in done.stderr
    assert not re.search("Traceback|Exception ignored", done.stderr)
