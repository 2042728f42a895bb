"""Runs a case in a process of its own, within bounds of time and memory, and reports what went wrong."""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.torture.hostile.cases import DONE, Case

SECONDS = 20.0
"""Most seconds of the processor that a case may take at scale 1."""
_WALL = 150.0
"""Most seconds by the clock, on a machine with much else to do: only what waits for something takes so long."""
MEMORY = 900
"""Most MiB that a case may hold at scale 1, with the program itself (about 150)."""
_RESERVED = 4096


@dataclass(frozen=True)
class Result:
    """What came of a case."""

    name: str
    code: int
    seconds: float
    """Of the processor."""
    memory: int
    """MiB at most, in use."""
    failures: tuple[str, ...]
    said: str


def try_case(case: Case, scale: int = 1) -> Result:
    """Run a case in a process of its own with bounds; the program must have been imported before."""
    with tempfile.TemporaryDirectory(prefix="policy-engine-hostile-") as name:
        folder = Path(name)
        log = folder / "diagnostics"
        child = os.fork()
        if not child:
            _run_child(case, folder, log, scale)
        code, used, is_in_time = _wait(child, _WALL * scale)
        said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        failures = list(_failures(case, code, said))
        if code == DONE:
            try:
                case.after(folder)
            except (AssertionError, OSError) as error:
                failures.append(f"the findings are wrong: {error}")
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and not os.access(path, os.W_OK):
                path.chmod(0o600)
    took = used.ru_utime + used.ru_stime
    if not is_in_time:
        failures.append("too long")
    if used.ru_maxrss >> 10 > MEMORY * scale:
        failures.append(f"it takes {used.ru_maxrss >> 10} MiB")
    return Result(case.name, code, round(took, 1), used.ru_maxrss >> 10, tuple(failures), said[-600:])


def _run_child(case: Case, folder: Path, log: Path, scale: int) -> None:
    code = 99
    try:
        arguments = case.arguments(folder, scale)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(out, number)
        with Path("/proc/self/statm").open() as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        limit = used + (_RESERVED * scale << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
        seconds = spent + int(SECONDS * scale)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        from policy_engine.cli import run

        code = run(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:
        os.write(2, f"Traceback: {type(error).__name__}: {error}".encode("utf-8", "replace"))
    finally:
        os._exit(code)


def _wait(child: int, seconds: float) -> tuple[int, resource.struct_rusage, bool]:
    """The exit code, the resources used, and whether it ended in time."""
    # In small steps: time in which all of it was paused is nobody's fault.
    left, looked = seconds, time.monotonic()
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), used, True
        left, looked = left - min(time.monotonic() - looked, 1.0), time.monotonic()
        if left < 0:
            os.kill(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            return os.waitstatus_to_exitcode(status), used, False
        time.sleep(0.005)


def _failures(case: Case, code: int, said: str) -> Iterator[str]:
    if code not in case.codes:
        yield f"exit {code}, not {' or '.join(map(str, case.codes))}"
    if case.says not in said:
        yield f"`{case.says}` is not said"
    for word in ("Traceback", "internal error", "MemoryError"):
        if word in said:
            yield f"it says `{word}`"
    longest = max(map(len, said.splitlines()), default=0)
    if len(said) > 2_000_000 or longest > 20_000:
        yield f"it says {len(said):,} characters, {longest:,} in a line"
