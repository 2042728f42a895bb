"""
Breaks runs of the program on purpose, at random, and looks at what is left: the old result or the new one, whole.

Each round starts a command over an earlier result (or none) and lets one thing go wrong: a signal at a random moment or
at a random line of the program, a full disk, a limit of the system, a read that fails, a reader who leaves, another run
in the same place. Then it looks at the exit code, at what was said, at the result and at what lies beside it, and
runs the command once more, which must succeed and leave nothing behind.

    python tests/torture/faults.py --rounds 500 --seed 1

A round depends on the seed and its own number alone, so that `--first N` goes on where an earlier call ended, and
`--first N --rounds 1` repeats a single one. The last line on standard output is a JSON object. Parts that need a small
disk (a mount) or strace are left out, and named as such, where the system has no such thing.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import ctypes
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

OLD, NEW = "2026-01-08T00:00:00Z", "2026-01-09T00:00:00Z"
"""Instants of the earlier result and of the one that is disturbed."""
PACKAGE = ROOT / "policy_engine"
TRACED = {
    *(str(PACKAGE / name) for name in (
        "staging.py", "report_folder.py", "report_tables.py", "interruptions.py", "sorted_lines.py", "refusals.py",
        "cli/__init__.py", "cli/output.py", "cli/evaluating.py", "cli/comparing.py", "render/workbook.py", "runs.py",
    )),
    *(str(sys.modules[name].__file__) for name in ("contextlib", "shutil", "tempfile")),
}  # fmt: skip
"""Files between whose lines a signal may come."""
COMMANDS = ("report", "report-all", "report-within", "evaluate-csv", "evaluate-jsonl", "evaluate-parquet", "impact")
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]
_CRASHES = (-signal.SIGSEGV, -signal.SIGABRT)
"""How libraries in C++ end a process that gets no memory; for the result that is no other than SIGKILL."""
LONGEST = 120
"""Seconds after which a run hangs."""
QUIET = re.compile("Traceback|Exception ignored|internal error:|Fatal Python error|ResourceWarning|Segmentation")

_IN_NEW_PROCESSES = (
    "signal to a new process", "memory limit from the start", "read error", "refused by the system", "closed pipe"
)  # fmt: skip

Spoil = Callable[[], None]
"""What a child does to itself before its run."""


@dataclass
class Ended:
    """How a run ended; a negative code is a signal."""

    code: int
    out: bytes
    err: str


@dataclass
class Tally:
    """What was tried and what went wrong."""

    tried: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    found: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


class Bench:
    """A folder with histories, and for every command its old and its new result."""

    def __init__(self, base: Path, tasks: int, jobs: int) -> None:
        """Make the histories and the results that are right."""
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
            return {one.name: one.read_bytes() for one in target.iterdir() if not one.name.startswith(".")} or None
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
        names = [one.name for one in (self.base / "out").iterdir() if one != target]
        names += [f"tmp/{one.name}" for one in (self.base / "tmp").iterdir()]
        if target.is_dir():
            names += [f"{target.name}/{one.name}" for one in target.iterdir() if one.name.startswith(".")]
        return sorted(names)

    def probes(self) -> list[Path]:
        """Empty or nearly empty files that the library for temporary files makes to try a folder."""
        found = (self.base / "tmp").iterdir()
        return [one for one in found if re.fullmatch("[a-z0-9_]{8}", one.name) and one.stat().st_size < 10]

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
            for one in SIGNALS[:3]:
                signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)
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


class Torturer:
    """Does the rounds."""

    def __init__(self, bench: Bench, seed: str) -> None:
        """`seed` and the number of a round decide what happens in it."""
        self.bench = bench
        self.seed = seed
        self.tally = Tally()
        self.parts: dict[str, Callable[[random.Random, str], None]] = {
            "signal at a moment": self.signal_at_a_moment,
            "signal at a line": self.signal_at_a_line,
            "two signals": self.two_signals,
            "signal to a new process": self.signal_to_a_new_process,
            "disk full": self.disk_full,
            "no more files on the disk": self.no_inodes,
            "file-size limit": self.file_size_limit,
            "open-files limit": self.open_files_limit,
            "memory limit": self.memory_limit,
            "memory limit from the start": self.memory_limit_from_the_start,
            "read error": self.read_error,
            "refused by the system": self.refused_by_the_system,
            "closed pipe": self.closed_pipe,
            "no temporary folder": self.no_temporary_folder,
            "several runs at once": self.several_runs,
            "clock set back": self.clock_set_back,
        }
        self._disk = self._has_disk()
        if not self._disk:
            for name in ("disk full", "no more files on the disk"):
                self.tally.left_out[name] = "no file system can be mounted here"
        if shutil.which("strace") is None:
            for name in ("read error", "refused by the system"):
                self.tally.left_out[name] = "there is no strace"

    def round(self, number: int, part: str | None = None) -> None:
        """One round; without a part, the number decides."""
        names = [name for name in self.parts if name not in self.tally.left_out]
        dice = random.Random(f"{self.seed}-{number}")
        name = part or dice.choices(names, [8 if name.startswith("signal at") else 3 for name in names])[0]
        command = dice.choice(COMMANDS)
        self._about = {"seed": self.seed, "round": number, "part": name, "command": command}
        self.tally.tried[name] += 1
        self.parts[name](dice, command)

    # --- what is right --------------------------------------------------------------------------------------------

    def blame(self, what: str, **more: Any) -> None:
        """Keep what went wrong."""
        self.tally.found.append({**self._about, "what": what, **more})
        print(json.dumps(self.tally.found[-1])[:2_000], file=sys.stderr, flush=True)

    def judge(
        self, command: str, before: str | None, ended: Ended, codes: Sequence[int], *, said: str = "", fault: str = ""
    ) -> None:
        """Look at what a disturbed run left, and run again."""
        bench = self.bench
        old = "none" if before is None else "old"
        killed = ended.code in (-signal.SIGKILL, *_CRASHES)
        for probe in bench.probes() if killed else ():
            # Python tries a folder for temporary files with a file of its own, for an instant.
            probe.unlink()
            self.tally.ended["Python's own probe of the temporary folder was left by SIGKILL"] += 1
        state, beside = bench.state(command), bench.beside(command)
        self.tally.ended[f"{self._about['part']}: {ended.code}, {state}"] += 1
        tell = {"code": ended.code, "state": state, "beside": beside, "err": ended.err[-600:], "fault": fault}
        if ended.code not in (0, *codes):
            self.blame("exit code", **tell)
        elif ended.code == 0 and state != "new":
            self.blame("says done, and is not", **tell)
        if state not in (old, "new") and not (killed and state == "no report"):
            self.blame("neither the old result nor the new one", **tell)
        elif ended.code > 0 and ended.code != 130 and state != old:
            self.blame("a failed run has changed the result", **tell)
        ours = re.compile(r"(report/)?\.\S+\.(partial-\d+(-\d+)?|earlier-\d+|publishing)|tmp/policy-engine-scratch-\w+")
        if [name for name in beside if not (killed and ours.fullmatch(name))]:
            self.blame("something is left", **tell)
        if not killed and QUIET.search(ended.err):
            self.blame("a traceback, or noise", **tell)
        if ended.code == 130 and not ended.err.endswith("interrupted\nexit 130: interrupted\n"):
            self.blame("an interruption is not said in two lines", **tell)
        if ended.code > 0 and ended.code != 130 and not re.search(said or r"error\[|^\d", ended.err):
            self.blame("no reason is given", **tell)
        again = bench.run(command, NEW)
        if again.code or bench.state(command) != "new" or bench.beside(command):
            state, beside = bench.state(command), bench.beside(command)
            self.blame("a rerun does not succeed", **tell, again=[again.code, state, beside, again.err[-600:]])

    def start_from(self, dice: random.Random, command: str) -> str | None:
        """Put an earlier result there, or none."""
        before = dice.choice([OLD, OLD, None])
        self.bench.reset(command, before)
        return before

    def signalled(self, number: int) -> tuple[int, ...]:
        """Exit codes that a signal may have."""
        return (-signal.SIGKILL,) if number == signal.SIGKILL else (130,)

    # --- signals --------------------------------------------------------------------------------------------------

    def signal_at_a_moment(self, dice: random.Random, command: str) -> None:
        """After a random time, mostly within the run."""
        before, number = self.start_from(dice, command), dice.choice(SIGNALS)
        delay = dice.random() * self.bench.seconds[command] * 1.1

        def hit(pid: int) -> None:
            time.sleep(delay)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

        # A child that has not come as far as to listen dies of the signal, as every program does.
        early = (-number, 97) if delay < 0.05 else ()
        self.judge(command, before, self.bench.run(command, NEW, None, hit), (*self.signalled(number), *early))

    def signal_at_a_line(self, dice: random.Random, command: str) -> None:
        """Before a random line of the modules that write."""
        number = dice.choice(SIGNALS)
        spoil, fault = self._line(dice, command, [number])
        before = self.start_from(dice, command)
        self.judge(command, before, self.bench.run(command, NEW, spoil), self.signalled(number), fault=fault)

    def two_signals(self, dice: random.Random, command: str) -> None:
        """A second one comes while the first is being obeyed."""
        spoil, fault = self._line(dice, command, [signal.SIGINT, dice.choice(SIGNALS[:3])])
        before = self.start_from(dice, command)
        self.judge(command, before, self.bench.run(command, NEW, spoil), (130,), fault=fault)

    def _line(self, dice: random.Random, command: str, numbers: list[int]) -> tuple[Spoil, str]:
        known = self.bench.lines.get(command)
        if known is None:
            path = self.bench.base / "lines.json"
            self.bench.reset(command, OLD)
            self.bench.run(command, NEW, lambda: _trace(_Counting(path)))
            known = self.bench.lines[command] = [tuple(one) for one in json.loads(path.read_text())]
        file, line, times = dice.choice(known)
        time_of = dice.choice([1, 1, times, dice.randint(1, times)])
        later = dice.randint(1, 60)
        fault = f"{Path(file).name}:{line} time {time_of} of {times}, signals {[int(one) for one in numbers]} +{later}"
        return (lambda: _trace(_Firing(file, line, time_of, list(numbers), later))), fault

    def signal_to_a_new_process(self, dice: random.Random, command: str) -> None:
        """The command as a user starts it, from the beginning to the end of its process."""
        before, number = self.start_from(dice, command), dice.choice(SIGNALS)
        process = self._popen(command)
        delay = dice.random() * 3
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        ended = self._end(process)
        # Before the program is loaded, Python itself ends with the signal, and says so in its own way for Ctrl-C.
        is_early = ended.code == -number and not (number == signal.SIGINT and "policy_engine/runs.py" in ended.err)
        if is_early and number != signal.SIGKILL:
            ended.err = ""
        self.judge(command, before, ended, (*self.signalled(number), -number), fault=f"signal {number} at {delay:.2f}")

    def _popen(self, command: str, *wrapper: str, **options: Any) -> subprocess.Popen[bytes]:
        arguments = [*wrapper, sys.executable, "-m", "policy_engine", *self.bench.arguments(command, NEW)]
        return subprocess.Popen(
            arguments,
            cwd=self.bench.target(command) if command == "report-within" else self.bench.base,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.bench.base / "tmp")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def _end(self, process: subprocess.Popen[bytes]) -> Ended:
        try:
            out, err = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return Ended(96, out, err.decode(errors="replace"))
        return Ended(process.returncode, out, err.decode(errors="replace"))

    # --- room -----------------------------------------------------------------------------------------------------

    def _has_disk(self) -> bool:
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(self.bench.base / "out")]
        return os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def _resize(self, option: str) -> bool:
        command = ["mount", "-o", f"remount,{option}", str(self.bench.base / "out")]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def disk_full(self, dice: random.Random, command: str) -> None:
        """The disk has room for a part of the result only."""
        before = self.start_from(dice, command)
        room = os.statvfs(self.bench.base / "out")
        used = (room.f_blocks - room.f_bfree) * room.f_frsize
        wanted = self.bench.right[command, NEW]
        size = len(wanted) if isinstance(wanted, bytes) else sum(map(len, wanted.values()))
        free = dice.randrange(0, size + 40_000, 4096)
        if not self._resize(f"size={used + free}"):
            self.tally.ended["the disk could not be made smaller"] += 1
            return
        ended = self.bench.run(command, NEW)
        self._resize("size=64m")
        self.judge(command, before, ended, (2,), said=r"no-room\]: the disk is full", fault=f"{free} bytes free")

    def no_inodes(self, dice: random.Random, command: str) -> None:
        """The disk takes a few more files only."""
        before = self.start_from(dice, command)
        room = os.statvfs(self.bench.base / "out")
        free = dice.randrange(0, 14 if command.startswith("report") else 2)
        if not self._resize(f"nr_inodes={room.f_files - room.f_ffree + free}"):
            self.tally.ended["the disk could not be made smaller"] += 1
            return
        ended = self.bench.run(command, NEW)
        self._resize("nr_inodes=100000")
        self.judge(command, before, ended, (2,), said=r"no-room\]: the disk is full", fault=f"{free} files free")

    def file_size_limit(self, dice: random.Random, command: str) -> None:
        """No file may become larger than this."""
        before = self.start_from(dice, command)
        wanted = self.bench.right[command, NEW]
        size = len(wanted) if isinstance(wanted, bytes) else max(map(len, wanted.values()))
        limit = dice.randrange(size)
        ended = self.bench.run(command, NEW, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        # What the command says itself is a file here, too, and may be longer than the limit.
        said = "" if limit < 1_000 else r"no-room\]: a file would become larger"
        if limit < 1_000:
            ended.err = "error[cut]"
        self.judge(command, before, ended, (2,), said=said, fault=f"limit {limit}")

    def open_files_limit(self, dice: random.Random, command: str) -> None:
        """No more files may be open than this."""
        before = self.start_from(dice, command)
        limit = dice.randrange(6, 24)
        ended = self.bench.run(command, NEW, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
        self.judge(command, before, ended, (2, 4, 70), fault=f"limit {limit}")

    # --- memory ---------------------------------------------------------------------------------------------------

    def memory_limit(self, dice: random.Random, command: str) -> None:
        """A run that has begun gets only so much more memory."""
        before = self.start_from(dice, command)
        more = dice.randrange(0, 12 << 20)

        def limit() -> None:
            status = Path("/proc/self/status").read_text()
            has = int(re.search(r"VmSize:\s+(\d+) kB", status)[1]) << 10  # type: ignore[index]
            resource.setrlimit(resource.RLIMIT_AS, (has + more, has + more))

        ended = self.bench.run(command, NEW, limit)
        self.judge(command, before, ended, (70, *_CRASHES), said=r"no-memory\]: ", fault=f"{more} bytes more")

    def memory_limit_from_the_start(self, dice: random.Random, command: str) -> None:
        """The whole process gets only so much memory."""
        before = self.start_from(dice, command)
        size = dice.randrange(60 << 20, 700 << 20)

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (size, size))

        ended = self._end(self._popen(command, preexec_fn=limit))
        # Libraries that find no memory while they are loaded may break in their own ways, before anything is done.
        if re.match("internal error: (SystemError|ImportError)", ended.err):
            self.tally.ended["a library broke for want of memory"] += 1
            ended.err = "error[no-memory]: "
        self.judge(command, before, ended, (70, *_CRASHES), said=r"no-memory\]: ", fault=f"{size >> 20} MiB")

    # --- what the system refuses ----------------------------------------------------------------------------------

    def read_error(self, dice: random.Random, command: str) -> None:
        """A read of a history fails."""
        before = self.start_from(dice, command)
        name = dice.choice(["a.jsonl", "b.jsonl"])
        when = dice.randrange(1, 9)
        ended = self._end(self._popen(
            command, "strace", "-f", "-o", "/dev/null", "-e", "trace=read,pread64",
            "-e", f"inject=read,pread64:error=EIO:when={when}+", "-P", str(self.bench.base / "in" / name),
        ))  # fmt: skip
        self.judge(command, before, ended, (4,), said=rf"{name}:1:1: error\[unreadable-file\]", fault=f"{name} {when}")

    def refused_by_the_system(self, dice: random.Random, command: str) -> None:
        """A change of a folder fails."""
        before = self.start_from(dice, command)
        calls = dice.choice(["mkdir,mkdirat", "rename,renameat,renameat2", "flock", "write", "close"])
        what = dice.choice(["EIO", "EACCES", "EROFS", "ENOSPC"]) if calls != "close" else "EIO"
        when = dice.randrange(1, 4)
        only = []
        if calls in ("write", "close"):
            # Only those of the result; the folder in which it is made has a name that is known to the process alone.
            calls, only = "write", ["-P", str(self.bench.base / "out")]
        ended = self._end(self._popen(
            command, "strace", "-f", "-o", "/dev/null", "-e", f"trace={calls}",
            "-e", f"inject={calls}:error={what}:when={when}", *only,
        ))  # fmt: skip
        self.judge(command, before, ended, (2,), fault=f"{calls} {what} {when}")

    def closed_pipe(self, dice: random.Random, command: str) -> None:
        """Whoever reads the findings has seen enough."""
        bench = self.bench
        bench.reset(command, None)
        arguments = [
            sys.executable,
            "-m",
            "policy_engine",
            "evaluate",
            str(bench.base / "in"),
            "-o",
            "-",
            "--as-of",
            NEW,
        ]
        process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(bench.base / "tmp")},
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.read(dice.choice([0, 1, dice.randrange(1_000_000)]))
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read().decode()
        code = process.wait()
        self.tally.ended[f"closed pipe: {code}"] += 1
        if code or QUIET.search(err) or bench.beside(command):
            self.blame("a closed pipe", code=code, err=err, beside=bench.beside(command))

    def no_temporary_folder(self, dice: random.Random, command: str) -> None:
        """No folder for temporary files can be written."""
        before = self.start_from(dice, command)

        def spoil() -> None:
            def refuse(*_: object, **__: object) -> Any:
                raise PermissionError(13, "Permission denied")

            tempfile._candidate_tempdir_list = lambda: ["/proc/none", str(self.bench.base / "none")]  # type: ignore[attr-defined]

        ended = self.bench.run(command, NEW, spoil)
        self.judge(command, before, ended, (2,), said=r"no-temporary-folder\]")

    # --- others ---------------------------------------------------------------------------------------------------

    def several_runs(self, dice: random.Random, command: str) -> None:
        """Several runs write one result, and perhaps one of them is killed."""
        bench = self.bench
        self.start_from(dice, command)
        children = []
        for _ in range(dice.randrange(2, 5)):
            children.append(bench.start(command, dice.choice([OLD, NEW])))
            time.sleep(dice.choice([0, 0, dice.random() * 0.3]))
        if kills := dice.random() < 0.5:
            time.sleep(dice.random() * 0.5)
            with contextlib.suppress(ProcessLookupError):
                os.kill(children[0][0], signal.SIGKILL)
        ends = [bench.wait(child) for child in children]
        state, beside = bench.state(command), bench.beside(command)
        self.tally.ended[f"several runs at once: {state}"] += 1
        tell = {"codes": [one.code for one in ends], "errs": [one.err[-300:] for one in ends], "state": state}
        if any(one.code not in ((0, -signal.SIGKILL) if kills else (0,)) for one in ends):
            self.blame("runs hinder each other", **tell, beside=beside)
        if state not in ("old", "new"):
            self.blame("neither result after several runs", **tell, beside=beside)
        if beside and not kills:
            self.blame("something is left", **tell, beside=beside)
        again = bench.run(command, NEW)
        if again.code or bench.state(command) != "new" or bench.beside(command):
            self.blame("a rerun does not succeed", **tell, again=[again.code, again.err[-600:], bench.beside(command)])

    def clock_set_back(self, dice: random.Random, command: str) -> None:
        """The clock jumps, mostly back, whenever it is looked at; the earlier result seems to come from the future."""
        before = self.start_from(dice, command)
        target = self.bench.target(command)
        if target.exists():
            for path in (target, *(target.iterdir() if target.is_dir() else ())):
                os.utime(path, (4e9, 4e9))

        def spoil() -> None:
            for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter"):
                asked = getattr(time, name)
                scale = 1_000_000_000 if name.endswith("_ns") else 1
                setattr(time, name, lambda asked=asked, scale=scale: asked() - scale * dice.randrange(-10, 100_000))

        self.judge(command, before, self.bench.run(command, NEW, spoil), ())


class _Counting:
    """Counts how often each line is run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: Counter[tuple[str, int]] = Counter()
        exiting = os._exit

        def write_and_exit(code: int) -> None:
            sys.settrace(None)
            path.write_text(json.dumps([(*place, times) for place, times in sorted(self.lines.items())]))
            exiting(code)

        os._exit = write_and_exit  # type: ignore[assignment]

    def __call__(self, file: str, line: int) -> None:
        self.lines[file, line] += 1


class _Firing:
    """Sends signals to its own process: the first at a line, others some lines later."""

    def __init__(self, file: str, line: int, times: int, numbers: list[int], later: int) -> None:
        self.place, self.times, self.numbers, self.later = (file, line), times, numbers, later
        self.first = len(numbers)
        self.seen = 0
        self.process = os.getpid()

    def __call__(self, file: str, line: int) -> None:
        if os.getpid() != self.process:
            return
        if len(self.numbers) == self.first:
            self.seen += (file, line) == self.place
            if self.seen < self.times or (file, line) != self.place:
                return
        elif self.later:
            self.later -= 1
            return
        if self.numbers:
            os.kill(os.getpid(), self.numbers.pop(0))


def _trace(visit: Callable[[str, int], None]) -> None:
    def local(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            visit(frame.f_code.co_filename, frame.f_lineno)
        return local

    def top(frame: FrameType, event: str, _: Any) -> Any:
        return local if frame.f_code.co_filename in TRACED else None

    # What a trace function raises ends the tracing, so the handlers of signals must not run inside it: they do not,
    # since Python looks for signals between two instructions of the program.
    sys.settrace(top)


def load() -> None:
    """Import beforehand what the commands import, so that a child spends its time on its run."""
    import pyarrow.parquet  # noqa: F401
    import xlsxwriter  # noqa: F401

    from policy_engine.compare import changes, expected, impact  # noqa: F401
    from policy_engine.render import impacts, workbook  # noqa: F401


@contextlib.contextmanager
def own_folder(base: Path | None) -> Iterator[Path]:
    """A new folder; where it is allowed, mounts in it are seen by this process alone, and end with it."""
    own_mounts = 0x20000  # CLONE_NEWNS
    if sys.platform == "linux" and os.geteuid() == 0 and not ctypes.CDLL(None).unshare(own_mounts):
        subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, check=False)
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=base))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-q", str(folder / "out")], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def torture(
    rounds: int,
    seed: str,
    *,
    first: int = 0,
    part: str | None = None,
    tasks: int = 400,
    jobs: int = 1,
    is_forked: bool = False,
) -> Tally:
    """Do so many rounds; the number of a round starts at `first`."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    load()
    with own_folder(None) as folder:
        with contextlib.redirect_stdout(io.StringIO()):
            torturer = Torturer(Bench(folder, tasks, jobs), seed)
        for name in _IN_NEW_PROCESSES if is_forked else ():
            torturer.tally.left_out[name] = "it takes a new process each time"
        for number in range(first, first + rounds):
            try:
                torturer.round(number, part)
            except KeyboardInterrupt:
                print(f"interrupted in round {number}", file=sys.stderr)
                break
            if (number - first) % 50 == 49:
                print(f"round {number}: {len(torturer.tally.found)} found", file=sys.stderr, flush=True)
        return torturer.tally


def main() -> int:
    """Read the arguments, do the rounds, and print what was tried."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--tasks", type=int, default=400, help="tasks in the history")
    # With more than one, a run needs worker processes that end with it and that it does not wait for in vain
    # (ProcessPoolExecutor); a multiprocessing.Pool can wait forever after a signal.
    parser.add_argument("--jobs", type=int, default=1, help="processes of each run")
    parser.add_argument("--forked", action="store_true", help="only parts that need no new process each time")
    parser.add_argument("--part", help="one part only, by its name in the table")
    given = parser.parse_args()
    for one in SIGNALS[:3]:
        signal.signal(one, signal.default_int_handler)
    begun = time.monotonic()
    tally = torture(
        given.rounds,
        given.seed,
        first=given.first,
        part=given.part,
        tasks=given.tasks,
        jobs=given.jobs,
        is_forked=given.forked,
    )
    for name, count in sorted(tally.tried.items()):
        print(f"{count:6,}  {name}", file=sys.stderr)
    for name, count in sorted(tally.ended.items()):
        print(f"        {count:6,}  {name}", file=sys.stderr)
    for name, why in tally.left_out.items():
        print(f"  left out: {name} ({why})", file=sys.stderr)
    print(json.dumps({
        "part": "faults", "tried": sum(tally.tried.values()), "found": len(tally.found),
        "seconds": round(time.monotonic() - begun), "first": given.first, "seed": given.seed,
        "parts": dict(sorted(tally.tried.items())), "left_out": sorted(tally.left_out),
    }))  # fmt: skip
    return 1 if tally.found else 0


if __name__ == "__main__":
    sys.exit(main())
