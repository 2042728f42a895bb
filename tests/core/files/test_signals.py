"""Runs that are ended from outside: whatever the moment, no half result, no process and no folder stays behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from policy_engine.core.files.signals import SignalGate, current_gate, refuse_if_interrupted, uninterrupted
from tests.support.commands import AS_OF, environment, in_own_process, policy_engine
from tests.support.exports import as_lines, history_row, task
from tests.support.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX"),
]


def test_interruption_waits_for_the_end_of_all_sections() -> None:
    """Ctrl-C inside nested sections is raised at the end of the outermost one; outside of any, at once."""
    gate, done = SignalGate(), []
    with pytest.raises(KeyboardInterrupt), gate:
        with gate:
            gate.interrupt(2, None)
            gate.interrupt(2, None)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    with pytest.raises(KeyboardInterrupt):
        gate.interrupt(2, None)
    with gate:
        done.append("nothing is waiting any more")
    assert len(done) == 3


def test_lost_interruption_is_refused_later() -> None:
    """An interruption that a library swallowed is raised again before a result is put in place."""
    gate = SignalGate()
    with gate.in_use():
        refuse_if_interrupted()
        with suppress(KeyboardInterrupt):
            gate.interrupt(2, None)
        assert gate.was_interrupted
        with pytest.raises(KeyboardInterrupt):
            refuse_if_interrupted()
    refuse_if_interrupted()


def test_two_gates_do_not_know_each_other() -> None:
    """A section and an interruption belong to one gate; the innermost gate in use is the current one."""
    outer, inner = SignalGate(), SignalGate()
    with outer.in_use():
        with inner.in_use(), uninterrupted():
            assert current_gate() is inner
            with pytest.raises(KeyboardInterrupt):
                outer.interrupt(2, None)
        assert current_gate() is outer
    assert (outer.was_interrupted, inner.was_interrupted) == (True, False)
    assert current_gate() is not outer


# Each stands still at one moment of a run, says so on standard error, and waits for what the test does.
MOMENTS = {
    "looking": "slow(runs._Work, 'keys')",
    "judging": "slow(runs._Work, 'judge')",
    "spilling": "slow(waiting.SpillBuffer, '_spill', after=True)",
    "merging": "slow(runs, 'merge_records')",
    "publishing": "slow(report_folder, 'publish')",
}
PROGRAM = """
import os, sys, time
from policy_engine.report import folder as report_folder
from policy_engine.engine import run as runs
from policy_engine.engine.parallel import memory as sizes
from policy_engine.cli import main
from policy_engine.history.merging import spill as waiting

def slow(holder, name, after=False):
    function = getattr(holder, name)
    def standing(*arguments, **options):
        result = function(*arguments, **options) if after else None
        os.write(2, f"standing {os.getpid()}\\n".encode())
        time.sleep(60)
        return result if after else function(*arguments, **options)
    setattr(holder, name, standing)

sizes.Sizes.__init__.__defaults__ = (5_000, 10, 10, 5, 10)
MOMENT
main()
"""
HERE = ("spilling", "merging", "publishing")
"""Moments of the first process, however many there are."""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with a history in which most tasks have two records, an earlier result, and a place for scratch."""
    records = [one for number in range(60) for one in (task(f"t-{number}"), history_row(f"t-{number}"))]
    (tmp_path / "history.jsonl").write_text(as_lines(records), encoding="utf-8")
    (tmp_path / "findings.csv").write_text("earlier", encoding="utf-8")
    (tmp_path / "scratch").mkdir()
    return tmp_path


def everything_in(folder: Path) -> dict[str, bytes]:
    """All files below a folder, with what is in them."""
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
@pytest.mark.parametrize("moment", ["looking", "judging", "spilling", "merging", "publishing"])
def test_interruption_at_any_moment(moment: str, number: int, jobs: int, desk: Path) -> None:
    """Ctrl-C and SIGTERM end with 130 and one word; results, folders and processes are as they were before."""
    before = everything_in(desk)
    command = ["report"] if moment == "publishing" else ["evaluate"]
    output = "report" if moment == "publishing" else "findings.csv"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("MOMENT", MOMENTS[moment]), *command, "history.jsonl",
         "--as-of", AS_OF, "--jobs", str(jobs), "-o", output],
        cwd=desk, env=environment(TMPDIR=str(desk / "scratch")), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        standing = []
        for _ in range(1 if moment in HERE else jobs):
            line = process.stderr.readline()
            assert line.startswith(b"standing "), line + process.stderr.read()
            standing.append(int(line.split()[1]))
        # A scheduler signals the first process only; tests/cli/test_cli.py signals all of them, as a terminal does.
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err.decode().split()) == (130, "interrupted exit 130: interrupted".split())
    assert everything_in(desk) == before
    assert list((desk / "scratch").iterdir()) == []
    assert not any(map(is_there, standing))


@pytest.mark.parametrize("moment", ["looking", "judging"])
def test_killed_worker_is_said(moment: str, desk: Path) -> None:
    """A process that the system ends for want of memory does not leave the run waiting: exit 70 and what to do."""
    before = everything_in(desk)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("MOMENT", MOMENTS[moment]), "evaluate", "history.jsonl",
         "--as-of", AS_OF, "--jobs", "2", "-o", "findings.csv"],
        cwd=desk, env=environment(TMPDIR=str(desk / "scratch")), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        os.kill(int(process.stderr.readline().split()[1]), signal.SIGKILL)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 70
    text = err.decode()
    assert "error[worker-ended]: a process that read the history was ended" in text
    assert "--memory-limit" in text
    assert "Traceback" not in text
    assert everything_in(desk) == before
    assert list((desk / "scratch").iterdir()) == []


LOADING = """
import os, signal
from policy_engine.engine import run as runs
from policy_engine.cli import main

counting = runs.count_findings
def count(*arguments):
    exec("os.kill(os.getpid(), signal.SIGTERM)")
    return counting(*arguments)
runs.count_findings = count
main()
"""


def test_interruption_of_a_text_that_python_runs_is_code_130(tmp_path: Path) -> None:
    """
    Where Python would end itself by SIGINT, since the interruption came while it ran a text, the code is 130 as ever.
    """
    path = tmp_path / "h.jsonl"
    path.write_text(as_lines([task()]), encoding="utf-8")
    (tmp_path / "loading.py").write_text(LOADING, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-B", "-m", "loading", "report", str(path), "--as-of", AS_OF, "-o", str(tmp_path / "out")],
        env=environment(PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path)])), capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.decode().split()) == (130, "interrupted exit 130: interrupted".split())
    assert not (tmp_path / "out").exists()


DROPPING = """
import os, signal
from policy_engine.engine import run as runs
from policy_engine.cli import main

class Object:
    def __del__(self):
        1 / (os.environ.get("BREAKS") is None)
        os.kill(os.getpid(), signal.SIGTERM)

counting = runs.count_findings
def count(*arguments):
    Object()
    return counting(*arguments)
runs.count_findings = count
main()
"""


def test_interruption_that_python_drops_is_said_in_two_lines(tmp_path: Path) -> None:
    """
    Ctrl-C in the moment in which an object is taken down ends the run as any other; a defect there is still told.
    """
    path = tmp_path / "h.jsonl"
    path.write_text(as_lines([task()]), encoding="utf-8")
    command = ("report", path, "--as-of", AS_OF, "-o", tmp_path / "out")
    done = in_own_process(*command, code=DROPPING)
    assert (done.code, done.err.split()) == (130, "interrupted exit 130: interrupted".split())
    assert [one.name for one in tmp_path.iterdir()] == ["h.jsonl"]
    done = in_own_process(*command, code=DROPPING, BREAKS="1")
    assert (done.code, "ZeroDivisionError" in done.err) == (0, True)


def test_swallowed_interruption_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A library that turns an interruption into an error of its own, or drops it, does not make a run go on to its end.
    """
    from policy_engine.engine import run as runs

    path = tmp_path / "h.jsonl"
    path.write_text(as_lines([task()]), encoding="utf-8")
    counting = runs.count_findings

    def swallow(*arguments: Any) -> Any:
        try:
            current_gate().interrupt(2, None)
        except KeyboardInterrupt:
            return counting(*arguments)

    def turn(*arguments: Any) -> Any:
        try:
            current_gate().interrupt(2, None)
        except KeyboardInterrupt:
            raise ImportError("numpy could not be imported") from None

    for broken in (swallow, turn):
        monkeypatch.setattr(runs, "count_findings", broken)
        for name in ("out", "out.csv"):
            command = "evaluate" if name.endswith("csv") else "report"
            done = policy_engine(command, path, "--as-of", AS_OF, "-o", tmp_path / name)
            assert (done.code, done.err.split()) == (130, "interrupted exit 130: interrupted".split())
    assert [one.name for one in tmp_path.iterdir()] == ["h.jsonl"]


FULL = """
import resource, sys
from policy_engine.engine.parallel import memory as sizes
from policy_engine.cli import main

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), -1))
sizes.Sizes.__init__.__defaults__ = (1 << 20, 500, 500, 5, 100_000)
main()
"""
"""The command on a disk that takes no longer files than the first argument says, in bytes."""


def test_full_disk_while_records_wait(desk: Path) -> None:
    """A disk that cannot take what waits is said with its place and what to do; the earlier result stays."""
    records = [task(f"t-{number}") for number in range(600)]
    (desk / "history.jsonl").write_text(as_lines(records * 2), encoding="utf-8")
    before = everything_in(desk)
    arguments = ["evaluate", "history.jsonl", "--as-of", AS_OF, "-o", "findings.csv"]
    done = subprocess.run(
        [sys.executable, "-c", FULL, "100000", *arguments],
        cwd=desk, env=environment(TMPDIR=str(desk / "scratch")), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert re.search(r"error\[no-room\]: records of tasks .* cannot be kept in `.*scratch", done.stderr), done.stderr
    assert "TMPDIR" in done.stderr
    assert "Traceback" not in done.stderr
    assert everything_in(desk) == before
    assert list((desk / "scratch").iterdir()) == []
    with_room = [sys.executable, "-c", FULL, "100000000", *arguments]
    assert subprocess.run(with_room, cwd=desk, env=environment(), capture_output=True, check=False).returncode == 0


def is_there(pid: int) -> bool:
    """True while a process has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
