"""
Runs the long tests one after the other, remembers what was done, and says what was tried, how often, and what found.

`make torture`, or `python tests/torture/run.py [--only PART ...] [--scale 0.01]`. A run that was stopped goes on with
the part that it was in, and what that part says it has done until then counts; a finished one starts over with other
seeds, and the counts add up. Runs of different parts may go on at the same time. Exit code 1 when a part failed or
could not run, 130 when the run was stopped. The table also goes into docs/reliability.md, between two marks.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
STATE = ROOT / "build" / "torture" / "state.json"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- torture: begin; written by make torture -->", "<!-- torture: end -->"


@dataclass(frozen=True)
class Part:
    """A program beside this one that prints one line of JSON at its end: part, tried, found."""

    name: str
    what: str
    """What is tried, in words for the table."""
    count: tuple[str, int] | None = None
    """The option that says how often, and its value."""
    more: tuple[str, ...] = ()
    goes_on: tuple[str, str] | None = None
    """(option, key of the last result) with which another run tries something new."""
    takes_jobs: bool = False
    """True when it can be told how many processes to use."""


PARTS = (
    Part("agreement", "generated packs, tasks and instants, judged by the engine and by the oracle",
         ("--decisions", 1_000_000), goes_on=("--seed", "next_seed")),
    Part("invariance", "one history in other chunks, jobs, formats, orders, locales, zones and hash seeds",
         ("--histories", 50), goes_on=("--seed", "next_seed")),
    Part("mutation", "small changes of the modules that decide; found are those that no test noticed"),
    Part("fuzz_rules", "coverage-guided bytes as rule files", ("--executions", 10_000_000), ("--seconds", "36000"),
         takes_jobs=True),
    Part("fuzz_records", "coverage-guided bytes as records", ("--executions", 10_000_000), ("--seconds", "36000"),
         takes_jobs=True),
    Part("hostile_files", "bombs, torn and endless files, links, pipes, devices, within bounds of time and memory"),
    Part("faults", "kills, full disks, limits of size and memory, closed pipes, read errors, two runs at once",
         ("--rounds", 500), goes_on=("--first", "next_first")),
    Part("spreadsheet", "cells of the hostile outputs, opened by LibreOffice"),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is still to be done, then print the table."""
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="PART", help=", ".join(names))
    parser.add_argument("--scale", type=float, default=1.0, help="how often, as a share of the usual counts")
    parser.add_argument("--jobs", type=int, help="processes at a time, for the parts that can use several")
    parser.add_argument("--again", action="store_true", help="also run what is done")
    parser.add_argument("--table", action="store_true", help="run nothing, print what is known")
    parser.add_argument("--state", type=Path, default=STATE, help=argparse.SUPPRESS)
    parser.add_argument("--parts", type=Path, default=HERE, help=argparse.SUPPRESS)
    parser.add_argument("--page", type=Path, default=PAGE, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    state = _read(asked.state)
    chosen = [part for part in PARTS if part.name in asked.only]
    if asked.again or all(state.get(part.name, {}).get("is_done") for part in chosen):
        for part in chosen:
            state.get(part.name, {})["is_done"] = asked.table
    for part in () if asked.table else chosen:
        if not state.get(part.name, {}).get("is_done"):
            is_stopped = _run(part, state, asked.parts, asked.scale, asked.jobs)
            # Another run may have written of another part in the meantime.
            state = {**_read(asked.state), part.name: state[part.name]}
            _write(asked.state, state)
            if is_stopped:
                _publish(asked.page, state)
                return 130
    _publish(asked.page, state)
    print(_text(state))
    return 1 if any(_is_bad(state.get(part.name)) for part in chosen) else 0


def _run(part: Part, state: dict[str, Any], folder: Path, scale: float, jobs: int | None) -> bool:
    """
    Run a part and add what it tried; a part that is missing or says nothing is remembered as such.

    True when it was stopped from outside before its end.
    """
    entry = state.setdefault(part.name, {"tried": 0, "found": 0})
    entry["on"] = datetime.now(UTC).date().isoformat()
    program = folder / f"{part.name}.py"
    if not program.exists():
        entry["trouble"] = "MISSING: there is no such program"
        _shout(part, entry["trouble"])
        return False
    options = list(part.more)
    if part.count is not None:
        options += [part.count[0], str(max(1, round(part.count[1] * scale)))]
    if part.takes_jobs and jobs is not None:
        options += ["--jobs", str(jobs)]
    if part.goes_on is not None and part.goes_on[1] in entry:
        options += [part.goes_on[0], str(entry[part.goes_on[1]])]
    print(f"=== {part.name}: {part.what}", file=sys.stderr, flush=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    code, said, is_stopped = _result_of([sys.executable, str(program), *options], environment)
    result = _last_object(said)
    if result is None:
        if not is_stopped:
            entry["trouble"] = f"NO RESULT: it ended with {code} and without its line"
            _shout(part, entry["trouble"])
        return is_stopped
    entry.pop("trouble", None)
    entry["tried"] += int(result["tried"])
    entry["found"] = int(result["found"])
    entry["next_first"] = entry["tried"]
    if "next_seed" in result:
        entry["next_seed"] = result["next_seed"]
    if result.get("left_out"):
        entry["left_out"] = ", ".join(map(str, result["left_out"]))
    entry["is_failed"] = code != 0
    entry["is_done"] = not is_stopped
    return is_stopped


def _result_of(command: Sequence[str], environment: dict[str, str]) -> tuple[int, str, bool]:
    """Exit code and output of a program, and whether it had to end because this one was asked to."""
    program = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    is_stopped = False
    try:
        said, _ = program.communicate()
    except KeyboardInterrupt:
        is_stopped = True
        program.terminate()
        said, _ = program.communicate()
    finally:
        signal.signal(signal.SIGTERM, before)
    return program.returncode, said, is_stopped


def _last_object(text: str) -> dict[str, Any] | None:
    for line in reversed(text.splitlines()):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        return value if isinstance(value, dict) and {"part", "tried", "found"} <= value.keys() else None
    return None


def _is_bad(entry: dict[str, Any] | None) -> bool:
    """A part judges itself: some mutants may live, and a defect may not."""
    return entry is None or "trouble" in entry or entry.get("is_failed", True)


def _shout(part: Part, trouble: str) -> None:
    print(f"!!! {part.name}: {trouble}. It was NOT tried. !!!", file=sys.stderr, flush=True)


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _write(path: Path, state: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def _rows(state: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    rows = []
    for part in PARTS:
        entry = state.get(part.name)
        if entry is None:
            rows.append((part.name, part.what, "never", "-", "-"))
            continue
        what = part.what + (f"; left out: {entry['left_out']}" if "left_out" in entry else "")
        found = entry.get("trouble") or f"{entry['found']:,}"
        rows.append((part.name, what, f"{entry['tried']:,}", found, entry["on"]))
    return rows


_HEADS = ("Part", "What was tried", "How often", "Found", "When")


def _text(state: dict[str, Any]) -> str:
    rows = [_HEADS, *_rows(state)]
    widths = [max(len(row[place]) for row in rows) for place in (0, 2, 3, 4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip((row[0], *row[2:]), widths, strict=True)) + f"  {row[1]}"
        for row in rows
    )


def table(state: dict[str, Any]) -> str:
    """The table as Markdown, between its marks."""
    lines = [f"| {' | '.join(cells)} |" for cells in (_HEADS, *_rows(state))]
    lines.insert(1, "|---|---|---:|---:|---|")
    return "\n".join([BEGIN, "", *lines, "", END])


def _publish(page: Path, state: dict[str, Any]) -> None:
    """Put the table where the page has its marks."""
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise SystemExit(f"{page} has no place for the table: {BEGIN} ... {END}")
    page.write_text(before + table(state) + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
