"""What the system refuses (memory, reads, changes of folders, a reader), its clock, and others at the same time."""

from __future__ import annotations

import contextlib
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.torture.faulting.bench import NEW, OLD, Ended
from tools.torture.faulting.judging import CRASHES, NOISE, Judge, Kind


def memory(judge: Judge, dice: random.Random, command: str) -> None:
    """A run that has begun gets only this much more memory."""
    before = judge.start_from(dice, command)
    more = dice.randrange(0, 12 << 20)

    def limit() -> None:
        status = Path("/proc/self/status").read_text()
        has = int(re.search(r"VmSize:\s+(\d+) kB", status)[1]) << 10  # type: ignore[index]
        resource.setrlimit(resource.RLIMIT_AS, (has + more, has + more))

    ended = judge.bench.run(command, NEW, limit)
    judge.judge(command, before, ended, (70, *CRASHES), said=_NO_MEMORY, fault=f"{more} bytes more")


def memory_from_the_start(judge: Judge, dice: random.Random, command: str) -> None:
    """The whole process gets only this much memory."""
    before = judge.start_from(dice, command)
    size = dice.randrange(60 << 20, 700 << 20)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (size, size))

    ended = judge.bench.end(judge.bench.popen(command, preexec_fn=limit))
    # Libraries that find no memory while they are loaded may break in their own ways, before anything is done.
    if re.match("internal error: (SystemError|ImportError)", ended.err):
        judge.tally.ended["a library broke for want of memory"] += 1
        ended.err = "error[no-memory]: "
    judge.judge(command, before, ended, (70, *CRASHES), said=_NO_MEMORY, fault=f"{size >> 20} MiB")


_NO_MEMORY = r"no-memory\]: |worker-ended\]: "
"""A worker that gets no memory may have to end without a message."""


def read_error(judge: Judge, dice: random.Random, command: str) -> None:
    """A read of a history fails."""
    before = judge.start_from(dice, command)
    name = dice.choice(["a.jsonl", "b.jsonl"])
    when = dice.randrange(1, 9)
    ended = judge.bench.end(judge.bench.popen(
        command, "strace", "-f", "-o", "/dev/null", "-e", "trace=read,pread64",
        "-e", f"inject=read,pread64:error=EIO:when={when}+", "-P", str(judge.bench.base / "in" / name),
    ))  # fmt: skip
    said = rf"{name}:1:1: error\[unreadable-file\]"
    judge.judge(command, before, ended, (4,), said=said, fault=f"{name} {when}")


def refused(judge: Judge, dice: random.Random, command: str) -> None:
    """A change of a folder fails."""
    before = judge.start_from(dice, command)
    calls = dice.choice(["mkdir,mkdirat", "rename,renameat,renameat2", "flock"])
    what = dice.choice(["EIO", "EACCES", "EROFS", "ENOSPC"])
    when = dice.randrange(1, 4)
    ended = judge.bench.end(judge.bench.popen(
        command, "strace", "-f", "-o", "/dev/null", "-e", f"trace={calls}",
        "-e", f"inject={calls}:error={what}:when={when}",
    ))  # fmt: skip
    judge.judge(command, before, ended, (2,), fault=f"{calls} {what} {when}")


def closed_pipe(judge: Judge, dice: random.Random, command: str) -> None:
    """The reader of the findings stops early."""
    bench = judge.bench
    bench.reset(command, None)
    arguments = ["evaluate", str(bench.base / "in"), "-o", "-", "--as-of", NEW]
    process = subprocess.Popen(
        [sys.executable, "-m", "policy_engine", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=bench.environment(),
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.read(dice.choice([0, 1, dice.randrange(1_000_000)]))
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read().decode()
    code = process.wait()
    judge.tally.ended[f"closed pipe: {code}"] += 1
    if code or NOISE.search(err) or bench.beside(command):
        judge.blame("a closed pipe", code=code, err=err, beside=bench.beside(command))


def nobody_listens(judge: Judge, dice: random.Random, command: str) -> None:
    """What a command prints goes to a closed pipe, a full disk or nowhere; its result is there all the same."""
    before, bench = judge.start_from(dice, command), judge.bench
    kind = dice.choice(["closed pipe", "full disk", "closed"])
    with contextlib.ExitStack() as stack:
        if kind == "closed pipe":
            reads, writes = os.pipe()
            os.close(reads)
            stack.callback(os.close, writes)
        else:
            writes = stack.enter_context(open("/dev/full", "wb")).fileno()  # noqa: PTH123 - a device
        shut = (lambda: os.close(1)) if kind == "closed" else None
        ended = bench.end(bench.popen(command, stdout=writes, preexec_fn=shut))
    # That the summary could not be printed is said, and the result stands, since it was complete before.
    if kind == "full disk" and ended.code == 2 and "no-room]" in ended.err and bench.state(command) == "new":
        ended.code = 0
    judge.judge(command, before, ended, (), fault=kind)


def no_temporary_folder(judge: Judge, dice: random.Random, command: str) -> None:
    """No folder for temporary files can be written."""
    before = judge.start_from(dice, command)

    def spoil() -> None:
        tempfile._candidate_tempdir_list = lambda: ["/proc/none", str(judge.bench.base / "none")]  # type: ignore[attr-defined]

    ended = judge.bench.run(command, NEW, spoil)
    judge.judge(command, before, ended, (2,), said=r"no-temporary-folder\]")


def several_runs(judge: Judge, dice: random.Random, command: str) -> None:
    """Several runs write one result, and perhaps one of them is killed."""
    bench = judge.bench
    judge.start_from(dice, command)
    children = []
    for _ in range(dice.randrange(2, 5)):
        children.append(bench.start(command, dice.choice([OLD, NEW])))
        time.sleep(dice.choice([0, 0, dice.random() * 0.3]))
    if kills := dice.random() < 0.5:
        time.sleep(dice.random() * 0.5)
        with contextlib.suppress(ProcessLookupError):
            os.kill(children[0][0], signal.SIGKILL)
    ends = [bench.wait(child) for child in children]
    tell = {"codes": [ended.code for ended in ends], "errs": [ended.err[-300:] for ended in ends], "jobs": bench.jobs}
    if bench.orphans():
        judge.blame("a process is left", **tell)
    state, beside = bench.state(command), bench.beside(command)
    tell["state"] = state
    judge.tally.ended[f"several runs at once: {state}"] += 1
    if any(ended.code not in ((0, -signal.SIGKILL) if kills else (0,)) for ended in ends):
        judge.blame("runs hinder each other", **tell, beside=beside)
    if state not in ("old", "new"):
        judge.blame("neither result after several runs", **tell, beside=beside)
    if beside and not kills:
        judge.blame("something is left", **tell, beside=beside)
    again: Ended = bench.run(command, NEW)
    if again.code or bench.state(command) != "new" or bench.beside(command):
        judge.blame("a rerun does not succeed", **tell, again=[again.code, again.err[-600:], bench.beside(command)])


def clock_set_back(judge: Judge, dice: random.Random, command: str) -> None:
    """The clock of the day jumps, mostly back, each time it is asked; the earlier result is from the future."""
    before = judge.start_from(dice, command)
    target = judge.bench.target(command)
    if target.exists():
        for path in (target, *(target.iterdir() if target.is_dir() else ())):
            os.utime(path, (4e9, 4e9))

    def spoil() -> None:
        for name in ("time", "time_ns"):
            asked = getattr(time, name)
            scale = 1_000_000_000 if name.endswith("_ns") else 1
            setattr(time, name, lambda asked=asked, scale=scale: asked() - scale * dice.randrange(-10, 100_000))

    judge.judge(command, before, judge.bench.run(command, NEW, spoil), ())


KINDS: dict[str, Kind] = {
    "memory limit": memory,
    "memory limit from the start": memory_from_the_start,
    "read error": read_error,
    "refused by the system": refused,
    "closed pipe": closed_pipe,
    "nobody listens": nobody_listens,
    "no temporary folder": no_temporary_folder,
    "several runs at once": several_runs,
    "clock set back": clock_set_back,
}
NEED_STRACE = ("read error", "refused by the system")
