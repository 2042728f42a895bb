"""
Drives one coverage-guided fuzzer (atheris): child processes that share a corpus, until time or count is up.

The fuzzer ends the process that it runs in, so the counting is done outside: the child prints libFuzzer's own
statistics, and every input on which the program misbehaves is left as a file under `crashes/`. Executions of a run
that was ended from outside are kept, and reported by the next one.

Every input is given to the program, and its answer is checked. What takes many times as long (another way to the
same answer, the explanation of every error) is done for answers of a kind that was not met before, for some others,
and for no more than a share of the time: see `Thrift`.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SEEDS = Path(__file__).parent / "seeds"
_EXECUTED = re.compile(rb"stat::number_of_executed_units: (\d+)")
_PROGRESS = re.compile(rb"^#(\d+)\s", re.MULTILINE)
_LENGTHS = (192, 1024, 192, 192)
"""Longest inputs of one process after another; short ones are many times as fast, long ones hold whole files."""
_SLOWEST = 2
"""Seconds of the processor that one input may take."""
_STUCK = 600
"""Seconds by the clock, which also passes while the process is paused, after which an input is given up."""
_MEMORY = 4096
"""MiB that the fuzzing process may take."""
_MOST_CRASHES = 20
_CHILD_SECONDS = 1800
"""Seconds after which processes are replaced, and their executions are kept."""
_RARELY = 64
"""Of the inputs whose answer is of a known kind, one in this many gets the costly checks."""
_MOST_KINDS = 1_000_000


class Thrift:
    """Decides which inputs are worth a costly check; outside of a fuzzing process, every one is."""

    def __init__(self, share: float) -> None:
        """Costly checks take at most this share of the time."""
        self.is_thorough = "--child" not in sys.argv
        self._share = share
        self._known: set[int] = set()
        self._spent = 0.0

    def check(self, kind: Hashable, data: bytes, costly: Callable[..., None], *arguments: Any) -> None:
        """Do the costly check, if the kind of answer that `data` got is new or its turn has come."""
        if self.is_thorough:
            costly(*arguments)
            return
        number = hash(kind)
        if number in self._known and zlib.crc32(data) % _RARELY:
            return
        before = time.process_time()
        if self._spent > self._share * before:
            return
        if len(self._known) < _MOST_KINDS:
            self._known.add(number)
        costly(*arguments)
        self._spent += time.process_time() - before


def instrumented(*modules: str) -> Any:
    """
    A context in which imports of these modules, and of the modules below them, are instrumented for coverage.

    Only in a fuzzing process. Others run many times as fast as they are.
    """
    if "--child" not in sys.argv:
        return contextlib.nullcontext()
    import atheris

    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in (ROOT / "policy_engine").rglob("*.py")]
    names = [name.removesuffix(".__init__") for name in names]
    others = [name for name in names if not any(f"{name}.".startswith(f"{module}.") for module in modules)]
    return atheris.instrument_imports(include=["policy_engine"], exclude=others)


def main(part: str, check: Callable[[bytes], None], words: Sequence[bytes]) -> None:
    """
    Fuzz `check` as the options say, and print one line of JSON: part, tried, found.

    `check` raises on misbehaviour. `words` are tokens that inputs are made of.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--executions", type=int, default=10_000_000, help="stop after this many")
    parser.add_argument("--seconds", type=int, default=600, help="stop after this long")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "build" / "torture", help="folder of the corpus and the crashes"
    )
    parser.add_argument("--replay", nargs="+", type=Path, help="only check these files and folders of inputs")
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        _fuzz(check, given.child)
    elif given.replay:
        sys.exit(_replay(part, check, given.replay))
    else:
        sys.exit(_drive(part, words, given.work / part, given.executions, given.seconds, given.jobs))


def _fuzz(check: Callable[[bytes], None], options: list[str]) -> None:
    import atheris

    def bounded(data: bytes) -> None:
        before = time.process_time()
        check(data)
        assert time.process_time() - before < _SLOWEST, f"it took more than {_SLOWEST} seconds"

    # What was imported stays; scanning it again and again takes much of the time.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    atheris.Setup([sys.argv[0], *options], bounded)
    atheris.Fuzz()


def replayed(check: Callable[[bytes], None], paths: Sequence[Path]) -> tuple[int, list[str]]:
    """Check these files, and every file of these folders; returns how many there were, and what was wrong."""
    files = sorted(
        file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()
    )  # fmt: skip
    found = []
    for file in files:
        try:
            check(file.read_bytes())
        except Exception as error:
            found.append(f"{file.name}: {type(error).__name__}: {error}"[:2000])
    return len(files), found


def _replay(part: str, check: Callable[[bytes], None], paths: Sequence[Path]) -> int:
    tried, found = replayed(check, paths)
    print("\n".join(found), file=sys.stderr)
    print(json.dumps({"part": part, "tried": tried, "found": len(found)}))
    return 1 if found else 0


def _drive(part: str, words: Sequence[bytes], work: Path, executions: int, seconds: int, jobs: int) -> int:
    try:
        import atheris  # noqa: F401
    except ImportError:
        print(json.dumps({"part": part, "tried": 0, "found": 0, "note": "atheris is not installed"}))
        return 2
    corpus, crashes = work / "corpus", work / "crashes"
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    (work / "words").write_text("".join(f'"{_escaped(word)}"\n' for word in words), encoding="ascii")
    # A run that is ended from outside reports what it has done.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    start, found, has_work, lengths = time.monotonic(), 0, True, itertools.cycle(_LENGTHS)
    unreported = Unreported(work / "unreported")
    try:
        while has_work and unreported.count < executions and found < _MOST_CRASHES:
            left = seconds - (time.monotonic() - start)
            if left <= 1:
                break
            each = -(-(executions - unreported.count) // jobs)
            options = [f"-runs={each}", f"-max_total_time={int(min(left, _CHILD_SECONDS))}"]
            done, wrong = _round(work, [[*options, f"-max_len={length}"] for length in itertools.islice(lengths, jobs)])
            unreported.add(done)
            found += wrong
            has_work = bool(done or wrong)
    except _Ended as ended:
        unreported.add(ended.done)
    spent = round(time.monotonic() - start)
    print(json.dumps({"part": part, "tried": unreported.count, "found": found, "seconds": spent}))
    unreported.reset()
    return 1 if found else 0


class _Ended(Exception):
    """The run was ended from outside."""

    done = 0
    """Executions of the child that was running."""


def _end(signal_number: int, frame: object) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise _Ended


class Unreported:
    """Executions that no result line has reported yet, kept in a file."""

    def __init__(self, file: Path) -> None:
        """Begin with those that earlier runs did not report."""
        self._file = file
        self.count = int(file.read_text(encoding="ascii")) if file.exists() else 0

    def add(self, done: int) -> None:
        """Keep count of more."""
        self.count += done
        self._file.write_text(str(self.count), encoding="ascii")

    def reset(self) -> None:
        """Start again from zero, after a result line."""
        self._file.unlink(missing_ok=True)


def _round(work: Path, each: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Fuzzing processes side by side, with these options: executions done, and misbehaviours met. Raises _Ended."""
    logs = [work / f"log-{index}.txt" for index in range(len(each))]
    children = []
    try:
        for index, (options, log) in enumerate(zip(each, logs, strict=True)):
            children.append(_child(work, index, options, log))
        codes = [child.wait() for child in children]
    except _Ended as ended:
        for child in children:
            child.terminate()
        for child in children:
            child.wait()
        ended.done = sum(_executed(log.read_bytes()) for log in logs[: len(children)])
        raise
    for index, (code, log) in enumerate(zip(codes, logs, strict=True)):
        if code:
            _explain(work, index, log.read_bytes())
    return sum(_executed(log.read_bytes()) for log in logs), sum(map(bool, codes))


def _child(work: Path, index: int, options: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    seeds = SEEDS / work.name
    command = [
        sys.executable, sys.argv[0], "--child", str(work / "corpus"), *([str(seeds)] if seeds.is_dir() else []),
        *options, f"-timeout={_STUCK}", f"-report_slow_units={_STUCK}", f"-rss_limit_mb={_MEMORY}",
        f"-dict={work / 'words'}", f"-artifact_prefix={work / 'crashes'}{os.sep}{index}-", "-print_final_stats=1",
        "-verbosity=1",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with log.open("wb") as stream:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stream, stderr=stream)


def _explain(work: Path, index: int, said: bytes) -> None:
    """Keep what a process said beside the inputs on which it ended."""
    has_input = False
    for crash in (work / "crashes").glob(f"{index}-*"):
        why = work / f"why-{hashlib.sha256(crash.read_bytes()).hexdigest()[:12]}.txt"
        if not why.exists():
            why.write_bytes(crash.name.encode() + b"\n" + said[-8000:])
            has_input = True
    if not has_input:
        sys.stderr.buffer.write(said[-4000:])


def _executed(said: bytes) -> int:
    """Executions that a child says it has done."""
    # The statistics follow a misbehaviour as well, but not always the last one.
    counts = _EXECUTED.findall(said) or _PROGRESS.findall(said)
    return int(counts[-1]) if counts else 0


def _escaped(word: bytes) -> str:
    return "".join(chr(byte) if 32 < byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word)
