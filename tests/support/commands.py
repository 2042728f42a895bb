"""Runs commands of the program: in this process, or in a new one where the process matters."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from policy_engine.cli import run
from tests.support.paths import ROOT

EXAMPLE = str(ROOT / "examples" / "history.jsonl")
AS_OF = "2026-01-08T00:00:00Z"
"""Instant at which the example history ends."""
JOBS = (1, pytest.param(2, marks=pytest.mark.slow))
"""One process and two, for tests that run with both."""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """What it printed as its result."""
        return self.out.decode()

    @property
    def last(self) -> str:
        """The last line of its diagnostics."""
        return self.err.rstrip("\n").rpartition("\n")[2]


def policy_engine(*arguments: object, stdin: bytes = b"") -> Done:
    """Run a command in this process."""
    with CliRunner().isolation(input=stdin) as (out, err, _):
        code = run([str(argument) for argument in arguments])
        return Done(code, out.getvalue(), err.getvalue().decode())


def environment(**changes: str) -> dict[str, str]:
    """The environment of a process that finds the program, whether it is installed or not."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **changes}


def in_own_process(
    *arguments: object, code: str | None = None, cwd: Path | None = None, stdin: bytes = b"", **changes: str
) -> Done:
    """Run a command (or, with `code`, a program) in a process of its own; `changes` go into its environment."""
    start = ["-m", "policy_engine"] if code is None else ["-c", code]
    done: Any = subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        cwd=cwd,
        env=environment(**changes),
        input=stdin,
        capture_output=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())
