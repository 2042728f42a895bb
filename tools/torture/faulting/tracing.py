"""Follows every line that the writing modules run: counts them, or sends a signal at one of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tools.torture.faulting.bench import ROOT

PACKAGE = ROOT / "policy_engine"
WRITING = (
    "core/files/*.py",
    "report/*.py",
    "report/formats/workbook.py",
    "engine/run.py",
    "engine/parallel/workers.py",
    "cli/__init__.py",
    "cli/output.py",
    "cli/evaluating.py",
    "cli/comparing.py",
)
"""The modules that write results, as patterns below the package."""


def _files() -> set[str]:
    found = {str(module.__file__) for module in (contextlib, shutil, tempfile)}
    for pattern in WRITING:
        names = {str(path) for path in PACKAGE.glob(pattern)}
        assert names, f"{pattern} fits no module: a module was moved"
        found |= names
    return found


TRACED = _files()
"""Files between whose lines a signal may come."""


class Counting:
    """Counts how often each line is run."""

    def __init__(self, path: Path) -> None:
        self.lines: Counter[tuple[str, int]] = Counter()
        exiting = os._exit

        def write_and_exit(code: int) -> None:
            sys.settrace(None)
            path.write_text(json.dumps([(*position, times) for position, times in sorted(self.lines.items())]))
            exiting(code)

        os._exit = write_and_exit  # type: ignore[assignment]

    def __call__(self, file: str, line: int) -> None:
        """Count a line."""
        self.lines[file, line] += 1


class Firing:
    """Sends signals to its own process: the first at a line, others some lines later."""

    def __init__(self, file: str, line: int, times: int, numbers: list[int], later: int) -> None:
        self.position, self.times, self.numbers, self.later = (file, line), times, numbers, later
        self.first = len(numbers)
        self.seen = 0
        self.process = os.getpid()

    def __call__(self, file: str, line: int) -> None:
        """Send what is due at a line."""
        if os.getpid() != self.process:
            return
        if len(self.numbers) == self.first:
            self.seen += (file, line) == self.position
            if self.seen < self.times or (file, line) != self.position:
                return
        elif self.later:
            self.later -= 1
            return
        if self.numbers:
            os.kill(os.getpid(), self.numbers.pop(0))


def trace(visit: Callable[[str, int], None]) -> None:
    """Have each line of the traced files visited before it is run, from the next call on."""

    def local(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            visit(frame.f_code.co_filename, frame.f_lineno)
        return local

    def top(frame: FrameType, event: str, _: Any) -> Any:
        return local if frame.f_code.co_filename in TRACED else None

    # What a trace function raises ends the tracing, so signal handlers must not run inside it. They do not: Python
    # checks for signals between two instructions of the program.
    sys.settrace(top)
