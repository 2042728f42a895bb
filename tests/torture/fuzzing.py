"""
Drives one coverage-guided fuzzer (atheris): a child process at a time, whose corpus is kept, until time or count is up.

The fuzzer ends the process that it runs in, so the counting is done outside: the child prints libFuzzer's own
statistics, and every input on which the program misbehaves is left as a file under `crashes/`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SEEDS = Path(__file__).parent / "seeds"
_EXECUTED = re.compile(rb"stat::number_of_executed_units: (\d+)")
_PROGRESS = re.compile(rb"^#(\d+)\s", re.MULTILINE)
_LONGEST_INPUT = 4096
_SLOWEST = 20
"""Seconds that one input may take."""
_MEMORY = 4096
"""MiB that the fuzzing process may take."""
_MOST_CRASHES = 20


def main(part: str, check: Callable[[bytes], None], words: Sequence[bytes]) -> None:
    """
    Fuzz `check` as the options say, and print one line of JSON: part, tried, found.

    `check` raises on misbehaviour. `words` are tokens that inputs are made of.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--executions", type=int, default=10_000_000, help="stop after this many")
    parser.add_argument("--seconds", type=int, default=600, help="stop after this long")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "torture", help="where corpus and crashes lie")
    parser.add_argument("--replay", nargs="+", type=Path, help="only check these files and folders of inputs")
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        _fuzz(check, given.child)
    elif given.replay:
        sys.exit(_replay(part, check, given.replay))
    else:
        sys.exit(_drive(part, words, given.work / part, given.executions, given.seconds))


def _fuzz(check: Callable[[bytes], None], options: list[str]) -> None:
    import atheris

    atheris.Setup([sys.argv[0], *options], check)
    atheris.Fuzz()


def replayed(check: Callable[[bytes], None], places: Sequence[Path]) -> tuple[int, list[str]]:
    """Check every file at the places; returns how many there were, and what was wrong with which."""
    files = sorted(
        file for one in places for file in (one.rglob("*") if one.is_dir() else [one]) if file.is_file()
    )  # fmt: skip
    found = []
    for file in files:
        try:
            check(file.read_bytes())
        except Exception as error:
            found.append(f"{file.name}: {type(error).__name__}: {error}"[:2000])
    return len(files), found


def _replay(part: str, check: Callable[[bytes], None], places: Sequence[Path]) -> int:
    tried, found = replayed(check, places)
    print("\n".join(found), file=sys.stderr)
    print(json.dumps({"part": part, "tried": tried, "found": len(found)}))
    return 1 if found else 0


def _drive(part: str, words: Sequence[bytes], work: Path, executions: int, seconds: int) -> int:
    try:
        import atheris  # noqa: F401
    except ImportError:
        print(json.dumps({"part": part, "tried": 0, "found": 0, "note": "atheris is not installed"}))
        return 2
    corpus, crashes = work / "corpus", work / "crashes"
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    (work / "words").write_text("".join(f'"{_escaped(word)}"\n' for word in words), encoding="ascii")
    start, tried, found = time.monotonic(), 0, 0
    while tried < executions and found < _MOST_CRASHES and (left := seconds - (time.monotonic() - start)) > 1:
        done, wrong = _child(work, corpus, crashes, executions - tried, int(left))
        tried += done
        found += wrong
        if not done and not wrong:
            break
    total = _add(work / "total.json", tried, found)
    spent = round(time.monotonic() - start)
    print(json.dumps({"part": part, "tried": tried, "found": found, "seconds": spent, **total}))
    return 1 if found else 0


def _add(file: Path, tried: int, found: int) -> dict[str, Any]:
    """Keep count over all runs into one folder."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"all_tried": 0, "all_found": 0}
    total = {"all_tried": known["all_tried"] + tried, "all_found": known["all_found"] + found}
    file.write_text(json.dumps(total), encoding="utf-8")
    return total


def _child(work: Path, corpus: Path, crashes: Path, executions: int, seconds: int) -> tuple[int, int]:
    """One fuzzing process: executions done, and 1 when it ended at a misbehaviour."""
    seeds = SEEDS / work.name
    command = [
        sys.executable, sys.argv[0], "--child", str(corpus), *([str(seeds)] if seeds.is_dir() else []),
        f"-runs={executions}", f"-max_total_time={max(seconds, 1)}", f"-max_len={_LONGEST_INPUT}",
        f"-timeout={_SLOWEST}", f"-rss_limit_mb={_MEMORY}", f"-dict={work / 'words'}",
        f"-artifact_prefix={crashes}{os.sep}", "-print_final_stats=1", "-verbosity=1",
    ]  # fmt: skip
    before = set(crashes.iterdir())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    # The statistics follow a misbehaviour as well, but not always the last one.
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    counts = [int(one) for one in _EXECUTED.findall(done.stderr)] or [
        int(one) for one in _PROGRESS.findall(done.stderr)
    ]
    new = set(crashes.iterdir()) - before
    if done.returncode and not new:
        sys.stderr.buffer.write(done.stderr[-4000:])
    for one in new:
        digest = hashlib.sha256(one.read_bytes()).hexdigest()[:12]
        (work / f"why-{digest}.txt").write_bytes(one.name.encode() + b"\n" + done.stderr[-8000:])
    return (counts[-1] if counts else 0), int(done.returncode != 0)


def _escaped(word: bytes) -> str:
    return "".join(chr(one) if 32 < one < 127 and one not in b'"\\' else f"\\x{one:02x}" for one in word)
