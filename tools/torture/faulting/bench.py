"""Histories, commands and their right results, and runs of the commands in processes that can be disturbed."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.paths import ROOT

OLD, NEW = "2026-01-08T00:00:00Z", "2026-01-09T00:00:00Z"
"""Instants of the earlier result and of the one that is disturbed."""
COMMANDS = ("report", "report-all", "report-within", "evaluate-csv", "evaluate-jsonl", "evaluate-parquet", "impact")
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]
LONGEST = 120
"""Seconds after which a run hangs."""

Spoil = Callable[[], None]
"""What a child does to itself before its run."""


@dataclass
class Ended:
    """How a run ended; a negative code is a signal."""

    code: int
    out: bytes
    err: str


class Bench:
    """A folder with histories, and for every command its old and its new result."""

    def __init__(self, base: Path, tasks: int, jobs: int) -> None:
        """Make the histories and the results that are right; `jobs` are the processes of each run."""
        self.base = base
        self.jobs = jobs
        self.lines: dict[str, list[tuple[str, int, int]]] = {}
        self.seconds: dict[str, float] = {}
        self.right: dict[tuple[str, str], Any] = {}
        for name in ("in", "out", "tmp"):
            (base / name).mkdir(parents=True)
        self._call(["example", "--tasks", str(tasks), "--seed", "1", "-o", str(base / "all.jsonl")])
        records = (base / "all.jsonl").read_bytes().splitlines(keepends=True)
        half = len(records) // 2
        # Some tasks of the first half come again in the second, so that records are merged.
        (base / "in" / "a.jsonl").write_bytes(b"".join(records[:half]))
        (base / "in" / "b.jsonl").write_bytes(b"".join(records[half - 50 :]) + b"no record\n")
        self.packs = base / "before", base / "after"
        for pack in self.packs:
            shutil.copytree(ROOT / "rules" / "piapi", pack)
        rule = self.packs[1] / "rules" / "flux.yaml"
        rule.write_text(rule.read_text().replace("period: P3D", "period: P2D"))
        for command in COMMANDS:
            for instant in (OLD, NEW):
                self.reset(command, None)
                begun = time.monotonic()
                done = self.run(command, instant)
                self.seconds[command] = time.monotonic() - begun
                assert done.code == 0, (command, done)
                self.right[command, instant] = self.result(command)

    def _call(self, arguments: list[str]) -> None:
        from policy_engine.cli import run

        assert run(arguments) == 0

    def target(self, command: str) -> Path:
        """Where the result of a command is."""
        name = {"evaluate-csv": "f.csv", "evaluate-jsonl": "f.jsonl", "evaluate-parquet": "f.parquet"}
        return self.base / "out" / name.get(command, "changed.csv" if command == "impact" else "report")

    def arguments(self, command: str, instant: str) -> list[str]:
        """A command in full."""
        history = [str(self.base / "in")]
        where = ["-o", "." if command == "report-within" else str(self.target(command)), "--as-of", instant]
        where += ["--jobs", str(self.jobs)]
        if command == "impact":
            return ["impact", *map(str, self.packs), *history, *where, "--no-expected"]
        if command == "report-all":
            return ["report", *history, *where, "--xlsx", "--markdown", "--rescue", "aria2", "--embed", "100"]
        return [command.partition("-")[0], *history, *where]

    def reset(self, command: str, instant: str | None) -> None:
        """Put an earlier result there, and nothing else."""
        for name in ("out", "tmp"):
            for entry in (self.base / name).iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if command == "report-within":
            self.target(command).mkdir()
        if instant is not None:
            right = self.right[command, instant]
            if isinstance(right, bytes):
                self.target(command).write_bytes(right)
            else:
                self.target(command).mkdir(exist_ok=True)
                for name, data in right.items():
                    (self.target(command) / name).write_bytes(data)

    def result(self, command: str) -> Any:
        """What is there: bytes of a file, files of a folder without the hidden ones, or None."""
        target = self.target(command)
        if target.is_dir():
            return {path.name: path.read_bytes() for path in target.iterdir() if not path.name.startswith(".")} or None
        return target.read_bytes() if target.exists() else None

    def state(self, command: str) -> str:
        """Which of the results is there: `none`, `old`, `new`, `no report` (without manifest, said so) or `broken`."""
        found = self.result(command)
        if found is None:
            return "none"
        for word, instant in (("old", OLD), ("new", NEW)):
            if found == self.right[command, instant]:
                return word
        is_folder = isinstance(found, dict) and "manifest.json" not in found
        return "no report" if command == "report-within" and is_folder else "broken"

    def beside(self, command: str) -> list[str]:
        """What lies where results and temporary files are made, beside the result."""
        target = self.target(command)
        names = [path.name for path in (self.base / "out").iterdir() if path != target]
        names += [f"tmp/{path.name}" for path in (self.base / "tmp").iterdir()]
        if target.is_dir():
            names += [f"{target.name}/{path.name}" for path in target.iterdir() if path.name.startswith(".")]
        return sorted(names)

    def probes(self) -> list[Path]:
        """Empty or nearly empty files that the library for temporary files makes to try a folder."""
        found = (self.base / "tmp").iterdir()
        return [path for path in found if re.fullmatch("[a-z0-9_]{8}", path.name) and path.stat().st_size < 10]

    def run(
        self, command: str, instant: str, spoil: Spoil | None = None, while_running: Callable[[int], None] | None = None
    ) -> Ended:
        """Run a command in a child that needs no time to start; `spoil` is called in it, `while_running` beside it."""
        return self.wait(self.start(command, instant, spoil), while_running)

    def start(
        self, command: str, instant: str, spoil: Spoil | None = None, more: Sequence[str] = ()
    ) -> tuple[int, Path]:
        """Fork a child that runs a command."""
        logs = Path(tempfile.mkdtemp(dir=self.base, prefix="log-"))
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            self._be_child(command, [*self.arguments(command, instant), *more], spoil, logs)
        return pid, logs

    def _be_child(self, command: str, arguments: list[str], spoil: Spoil | None, logs: Path) -> None:
        code = 99
        try:
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(logs / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
            for number in SIGNALS[:3]:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            if command == "report-within":
                os.chdir(self.target(command))
            os.environ["TMPDIR"] = str(self.base / "tmp")
            tempfile.tempdir = None
            from policy_engine.cli import main

            sys.argv = ["policy-engine", *arguments]
            try:
                if spoil is not None:
                    spoil()
                main()
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 98
            except BaseException as error:
                sys.settrace(None)
                os.write(2, f"Traceback: {type(error).__name__}: {error}\n".encode())
                code = 97
            sys.settrace(None)
            with contextlib.suppress(Exception):
                atexit._run_exitfuncs()
                sys.stdout.flush()
                sys.stderr.flush()
        finally:
            os._exit(code)

    def wait(self, child: tuple[int, Path], while_running: Callable[[int], None] | None = None) -> Ended:
        """Wait for a child; one that hangs is killed, and its code is 96."""
        pid, logs = child
        if while_running is not None:
            while_running(pid)
        end = time.monotonic() + LONGEST
        while True:
            found, status, _ = os.wait4(pid, os.WNOHANG)
            if found:
                code = os.waitstatus_to_exitcode(status)
                break
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                code = 96
                break
            time.sleep(0.005)
        ended = Ended(code, (logs / "out").read_bytes(), (logs / "err").read_text(errors="replace"))
        shutil.rmtree(logs)
        return ended

    def popen(self, command: str, *wrapper: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command as a user does, in a new process, perhaps under another program."""
        arguments = [*wrapper, sys.executable, "-m", "policy_engine", *self.arguments(command, NEW)]
        return subprocess.Popen(
            arguments,
            cwd=self.target(command) if command == "report-within" else self.base,
            env=self.environment(),
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    def environment(self) -> dict[str, str]:
        """Variables of a new process."""
        return {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.base / "tmp")}

    def end(self, process: subprocess.Popen[bytes]) -> Ended:
        """Wait for a new process; one that hangs is killed, and its code is 96."""
        try:
            out, err = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return Ended(96, out, err.decode(errors="replace"))
        return Ended(process.returncode, out or b"", (err or b"").decode(errors="replace"))

    def orphans(self) -> int:
        """Processes that runs have left; those that are about to end are given the time for it. They are killed."""
        until = time.monotonic() + 10
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0]:
                    continue
            except ChildProcessError:
                return 0
            if time.monotonic() > until:
                break
            time.sleep(0.005)
        left = psutil.Process().children()
        for process in left:
            process.kill()
            os.waitpid(process.pid, 0)
        return len(left)


def adopt_orphans() -> None:
    """Become the parent of processes whose own has ended, so that none goes unnoticed; Linux alone has this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
