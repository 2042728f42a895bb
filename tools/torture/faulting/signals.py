"""Signals: at random moments and lines of a run, twice, to a new process, and to one of its worker processes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from pathlib import Path

import psutil

from tools.torture.faulting.bench import NEW, OLD, SIGNALS, Spoil
from tools.torture.faulting.judging import Judge, Kind
from tools.torture.faulting.tracing import Counting, Firing, trace


def at_a_moment(judge: Judge, dice: random.Random, command: str) -> None:
    """After a random time, mostly within the run."""
    bench = judge.bench
    before, number = judge.start_from(dice, command), dice.choice(SIGNALS)
    delay = dice.random() * bench.seconds[command] * 1.1

    def hit(pid: int) -> None:
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    # A child that has not come as far as to listen dies of the signal, as every program does.
    early = (-number, 97) if delay < 0.05 else ()
    judge.judge(command, before, bench.run(command, NEW, None, hit), (*_codes(number), *early))


def at_a_line(judge: Judge, dice: random.Random, command: str) -> None:
    """Before a random line of the modules that write."""
    number = dice.choice(SIGNALS)
    spoil, fault = _line(judge, dice, command, [number])
    before = judge.start_from(dice, command)
    judge.judge(command, before, judge.bench.run(command, NEW, spoil), _codes(number), fault=fault)


def twice(judge: Judge, dice: random.Random, command: str) -> None:
    """A second one comes while the first is being obeyed."""
    spoil, fault = _line(judge, dice, command, [signal.SIGINT, dice.choice(SIGNALS[:3])])
    before = judge.start_from(dice, command)
    judge.judge(command, before, judge.bench.run(command, NEW, spoil), (130,), fault=fault)


def to_a_new_process(judge: Judge, dice: random.Random, command: str) -> None:
    """The command as a user starts it, from the beginning to the end of its process."""
    before, number = judge.start_from(dice, command), dice.choice(SIGNALS)
    process = judge.bench.popen(command)
    delay = dice.random() * 3
    time.sleep(delay)
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
    ended = judge.bench.end(process)
    # Before the program is loaded, Python itself ends with the signal, and says so in its own way for Ctrl-C.
    is_early = ended.code == -number and not (number == signal.SIGINT and "policy_engine/engine/run.py" in ended.err)
    if is_early and number != signal.SIGKILL:
        ended.err = ""
    judge.judge(command, before, ended, (*_codes(number), -number), fault=f"signal {number} at {delay:.2f}")


def to_a_worker(judge: Judge, dice: random.Random, command: str) -> None:
    """One of the processes that read and judge is ended from outside."""
    bench = judge.bench
    before, bench.jobs = judge.start_from(dice, command), 2
    delay, which = dice.random() * bench.seconds[command] / 2, dice.random()
    hits = []

    def hit(pid: int) -> None:
        with contextlib.suppress(psutil.Error):
            run, until = psutil.Process(pid), time.monotonic() + 10
            while not run.children() and run.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
                time.sleep(0.005)
            time.sleep(delay)
            if workers := run.children():
                worker = workers[int(which * len(workers))]
                worker.kill()
                hits.append(worker.pid)

    ended = bench.run(command, NEW, None, hit)
    judge.tally.ended[f"a worker was there to be killed: {bool(hits)}"] += 1
    judge.judge(command, before, ended, (70,) if hits else (), said=r"worker-ended\]: ", fault=f"after {delay:.2f} s")


def _codes(number: int) -> tuple[int, ...]:
    """Exit codes that a signal may have."""
    return (-signal.SIGKILL,) if number == signal.SIGKILL else (130,)


def _line(judge: Judge, dice: random.Random, command: str, numbers: list[int]) -> tuple[Spoil, str]:
    bench = judge.bench
    known = bench.lines.get(command)
    if known is None:
        path = bench.base / "lines.json"
        bench.reset(command, OLD)
        jobs, bench.jobs = bench.jobs, 1
        bench.run(command, NEW, lambda: trace(Counting(path)))
        bench.jobs = jobs
        known = bench.lines[command] = [tuple(row) for row in json.loads(path.read_text())]
    file, line, times = dice.choice(known)
    time_of = dice.choice([1, 1, times, dice.randint(1, times)])
    later = dice.randint(1, 60)
    fault = (
        f"{Path(file).name}:{line} time {time_of} of {times}, signals {[int(number) for number in numbers]} +{later}"
    )
    return (lambda: trace(Firing(file, line, time_of, list(numbers), later))), fault


KINDS: dict[str, Kind] = {
    "signal at a moment": at_a_moment,
    "signal at a line": at_a_line,
    "two signals": twice,
    "signal to a new process": to_a_new_process,
    "a worker is ended": to_a_worker,
}
