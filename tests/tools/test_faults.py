"""A short form of tools/torture/faults.py: runs that are broken on purpose leave the old result or the new, whole."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.commands import environment
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="signals, limits and /proc are those of Linux")
def test_broken_runs_leave_the_old_result_or_the_new_one() -> None:
    """
    Signals at random moments and lines, limits of memory and of files, a full disk where one can be mounted, several
    runs at once: the exit code says what happened, nothing is left, and a rerun succeeds.
    """
    # A worker that is ended from outside, and signals while workers are at work, have tests of their own.
    done = subprocess.run(
        [sys.executable, "tools/torture/faults.py", "--rounds", "12", "--seed", "short", "--tasks", "150", "--forked",
         "--jobs", "1"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.stdout, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["tried"], result["found"], done.returncode) == (12, 0, 0), done.stderr
