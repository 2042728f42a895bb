"""The command line: every way a command can end, what it then says, and what it leaves behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from policy_engine.cli import EXIT_CODES
from policy_engine.core.problems import PackInvalid
from tests.cli.desk import everything_in
from tests.support.commands import AS_OF, environment, in_own_process, policy_engine
from tests.support.exports import task, write_lines

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
        "of 2 tasks 2 are outside the period and 0 were created after as_of", "is the year right?",
    ),
    "before everything": (
        "evaluate good.jsonl -o new.csv --as-of 2016-01-08T00:00:00Z", 7,
        "of 2 tasks 0 are outside the period and 2 were created after as_of (2016-01-08T00:00:00Z)", "check --as-of",
    ),
    "naive time": ("report good.jsonl --as-of 2026-01-08T00:00:00", 2, "a time without a zone", "add Z for UTC"),
    "date only": (
        "report good.jsonl --as-of 2026-01-08", 2, "a date without a time of day",
        "did you mean 2026-01-08T00:00:00Z?",
    ),
    "no time": ("report good.jsonl --as-of yesterday", 2, "`yesterday` is not an RFC 3339 time", "such as 2026-01-08T"),
    "far time": ("report good.jsonl --as-of 9999-01-08T00:00:00Z", 2, "is outside the years", "1824 to 2116"),
    "short duration": ("report good.jsonl --horizon 3d", 2, "`3d` is not an ISO 8601 duration", "did you mean P3D?"),
    "hours": ("report good.jsonl --horizon 26hours", 2, "is not an ISO 8601 duration", "did you mean PT26H?"),
    "weeks": ("report good.jsonl --operation-horizon 2w", 2, "is not an ISO 8601 duration", "did you mean P14D?"),
    "small letters": ("report good.jsonl --max-age pt26h", 2, "is not an ISO 8601 duration", "did you mean PT26H?"),
    "months": ("report good.jsonl --horizon P3M", 2, "`P3M` is not an ISO 8601 duration", "such as P3D or PT3H"),
    "empty period": (
        "report good.jsonl --created-from 2026-01-02T00:00:00Z --created-until 2026-01-02T00:00:00Z", 2,
        "--created-from is not before --created-until", "the period starts at --created-from",
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
        "a column of the",
    ),
    "mapping: a list": ("report wrong.csv --columns list.yaml", 2, "must consist of lines", "for instance a line"),
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
        "cannot be written: there is no folder `there`", "create the folder first"
    ),
    "table: ending": (
        "evaluate good.jsonl -o x.xls", 2,
        "`x.xls` does not end in .csv, .parquet or .jsonl", "findings.csv",
    ),
    "table: the input": (
        "evaluate good.jsonl -o good.jsonl", 2, "`good.jsonl` is part of the history and of the output", "name another"
    ),
    "example: no folder": ("example -o there/x.jsonl", 2, "there is no folder `there`", "create the folder first"),
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
        (OSError(errno.ENOSPC, "No space left on device"), 2, "error[no-room]: the disk is full; an earlier output"),
        (OSError(errno.EDQUOT, "x", "y"), 2, "error[no-room]: the disk quota is used up (`y`)"),
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

def fork(gate):
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


def test_every_error_has_an_exit_code() -> None:
    """
    Every error of an input leads to an exit code that has a meaning.
    """
    from policy_engine import cli
    from policy_engine.core.problems import PolicyEngineError

    assert {kind for kind, _ in cli._CODE_OF} == set(PolicyEngineError.__subclasses__())
    assert {code for _, code in cli._CODE_OF} <= set(EXIT_CODES)
    assert cli._CODE_OF[0] == (PackInvalid, 3)
