"""
Runs the long tests one after the other, remembers what was done, and prints what was tried and what was found.

`make torture`, or `python tools/torture/run.py [--only PART ...] [--scale 0.01]`. A run that was stopped goes on with
the part that it was in, and keeps what that had counted; a finished one starts over with other seeds, and the counts
add up. Runs of different parts may go on at the same time. Exit code 1 when a part failed or could not run, 130 when
the run was stopped. The table also goes into docs/development/reliability.md, between two marks.

A part prints JSON, one object per line: what it has tried and found so far (with `so_far`) now and then, and the final
counts at its end; `of_asked` is how much of the requested count that is, where it counts something else. Everything
else that it prints is passed on.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
STATE = ROOT / "build" / "torture" / "state.json"
PAGE = ROOT / "docs" / "development" / "reliability.md"
BEGIN, END = "<!-- torture: begin; written by make torture -->", "<!-- torture: end -->"


@dataclass(frozen=True)
class Part:
    """A program beside this one that prints lines of JSON: part, tried, found."""

    name: str
    what: str
    """What is tried, in words for the table."""
    count: tuple[str, int] | None = None
    """The option that says how often, and its value."""
    more: tuple[str, ...] = ()
    goes_on: tuple[str, str] | None = None
    """(option, key of the last result) with which another run tries something new."""
    takes_jobs: bool = False


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
    if not asked.table and (asked.again or all(state.get(part.name, {}).get("is_done") for part in chosen)):
        for part in chosen:
            state.get(part.name, {})["is_done"] = False
    is_stopped = False
    for part in () if asked.table else chosen:
        if not state.get(part.name, {}).get("is_done"):
            is_stopped = _run(part, state, asked)
            if is_stopped:
                break
    state = _read(asked.state)
    _publish(asked.page, state)
    print(_text(state))
    return 130 if is_stopped else 1 if any(_is_bad(state.get(part.name)) for part in chosen) else 0


def _run(part: Part, state: dict[str, Any], asked: argparse.Namespace) -> bool:
    """
    Run a part and add what it tried; a part that is missing or says nothing is remembered as such.

    True when somebody stopped it; what it had counted by then is kept.
    """
    before = {"tried": 0, "found": 0, "done_of_round": 0, **state.get(part.name, {})}
    entry = state[part.name] = {**before, "on": datetime.now(UTC).date().isoformat(), "is_done": False}
    program = asked.parts / f"{part.name}.py"
    if not program.exists():
        _in_trouble(part, entry, "MISSING: there is no such program")
        _write(asked.state, part.name, entry)
        return False
    print(f"=== {part.name}: {part.what}", file=sys.stderr, flush=True)
    last: dict[str, Any] = {"so_far": True}
    is_stopped = False
    with subprocess.Popen(
        [sys.executable, str(program), *_options(part, before, asked.scale, asked.jobs)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C of a terminal reaches this process alone, which passes it on once.
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            for last in _results(process.stdout):
                _count(part, entry, before, last)
                _write(asked.state, part.name, entry)
        except KeyboardInterrupt:
            is_stopped = True
            process.send_signal(signal.SIGINT)
            for last in _results(process.stdout):
                _count(part, entry, before, last)
    # A part that is asked to stop may still report, in its last line, what it had tried.
    if not is_stopped and not last.get("so_far"):
        entry |= {"is_failed": process.returncode != 0, "is_done": True, "done_of_round": 0}
    elif not is_stopped:
        _in_trouble(part, entry, f"NO RESULT: it ended with {process.returncode} and without its line")
    _write(asked.state, part.name, entry)
    return is_stopped


def _options(part: Part, before: dict[str, Any], scale: float, jobs: int | None) -> list[str]:
    """The options of a part: how often, less what it has tried of its round already, and where to continue."""
    options = list(part.more)
    if part.takes_jobs and jobs is not None:
        options += ["--jobs", str(jobs)]
    if part.count is not None:
        left = part.count[1] * scale - (before["done_of_round"] if part.goes_on else 0)
        options += [part.count[0], str(max(1, round(left)))]
    if part.goes_on is not None and part.goes_on[1] in before:
        options += [part.goes_on[0], str(before[part.goes_on[1]])]
    return options


def _results(stream: IO[str]) -> Iterator[dict[str, Any]]:
    """What a part says that it has tried; its other lines are passed on."""
    for line in stream:
        if (result := _result(line)) is not None:
            yield result
        else:
            print(line, end="", file=sys.stderr, flush=True)


def _count(part: Part, entry: dict[str, Any], before: dict[str, Any], result: dict[str, Any]) -> None:
    """Put what a part has tried so far beside what was tried before it began."""
    entry.pop("trouble", None)
    entry["tried"] = before["tried"] + int(result["tried"])
    entry["done_of_round"] = before["done_of_round"] + int(result.get("of_asked", result["tried"]))
    # The defects of a round that was stopped, and goes on where it was, are those of one round.
    earlier = before["found"] if part.goes_on and before["done_of_round"] else 0
    entry["found"] = earlier + int(result["found"])
    entry["next_first"] = entry["tried"]
    for name in ("next_seed", "left_out"):
        if name in result:
            entry[name] = result[name]


def _result(line: str) -> dict[str, Any] | None:
    """What a line of a part says that it tried; None for any other line."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and {"part", "tried", "found"} <= value.keys() else None


def _is_bad(entry: dict[str, Any] | None) -> bool:
    """A part judges itself: some mutants may live, and a defect may not."""
    return entry is None or "trouble" in entry or entry.get("is_failed", True)


def _in_trouble(part: Part, entry: dict[str, Any], trouble: str) -> None:
    entry["trouble"] = trouble
    print(f"!!! {part.name}: {trouble}. It was NOT tried to its end. !!!", file=sys.stderr, flush=True)


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _write(path: Path, name: str, entry: dict[str, Any]) -> None:
    """Remember a part; another run may have written of other ones in the meantime."""
    state = {**_read(path), name: entry}
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
        what = part.what + (f"; left out: {', '.join(map(str, entry['left_out']))}" if entry.get("left_out") else "")
        found = entry.get("trouble") or f"{entry['found']:,}"
        rows.append((part.name, what, f"{entry['tried']:,}", found, entry["on"]))
    return rows


_HEADS = ("Part", "What was tried", "How often, in all", "Found, last time", "When")


def _text(state: dict[str, Any]) -> str:
    rows = [_HEADS, *_rows(state)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 2, 3, 4)]
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
        raise SystemExit(f"{page} lacks the marks for the table: {BEGIN} ... {END}")
    page.write_text(before + table(state) + after, encoding="utf-8")


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # A run in the background ignores Ctrl-C otherwise, and a scheduler that ends it sends SIGTERM.
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, _stop)
    sys.exit(main())
