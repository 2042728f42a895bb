"""Progress: a terminal sees how far a run has come; a pipe, a file or a log sees nothing of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from policy_engine.cli.progress import describe
from policy_engine.engine.run import Progress
from tests.support.commands import AS_OF, EXAMPLE, environment, in_own_process

pytestmark = pytest.mark.slow


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal as POSIX has them")
@pytest.mark.parametrize("jobs", [1, 2])
def test_terminal_sees_progress(jobs: int, tmp_path: Path) -> None:
    """On a terminal each stage gets a line with bytes, records and rates; results on standard output stay clean."""
    import pty

    second = tmp_path / "second.jsonl"
    second.write_bytes(Path(EXAMPLE).read_bytes())
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "policy_engine", "evaluate", EXAMPLE, str(second), "--as-of", AS_OF, "-o", "-"]
    with (
        (tmp_path / "out.csv").open("wb") as out,
        subprocess.Popen(
            [*command, "--jobs", str(jobs)], env=environment(TERM="xterm", COLUMNS="200"), stdout=out, stderr=terminal
        ) as process,
    ):
        os.close(terminal)
        shown = b""
        with suppress(OSError):  # what Linux says at the end of a terminal
            while piece := os.read(master, 4096):
                shown += piece
    os.close(master)
    text = shown.decode()
    assert process.returncode == 0, text
    for label in ("Looking for repeated tasks", "Judging", "Merging repeated tasks"):
        assert re.search(rf"{label} .*100%.* records .*/s", text), text
    assert re.search(r"Judging .*[0-9]+/[0-9]+ MiB  [0-9,]+ MiB/s  1,496 records", text), text
    result = (tmp_path / "out.csv").read_bytes()
    assert result.startswith(b"asset_id,")
    assert result == in_own_process(*command[3:]).out


def test_pipe_sees_no_progress() -> None:
    """Where standard error is no terminal, nothing of it is written."""
    done = in_own_process("evaluate", EXAMPLE, "--as-of", AS_OF, "-o", "-")
    assert done.code == 0
    assert not re.search("Judging|Looking|\r", done.err)
    assert done.err.startswith("748 records = ")


def test_what_a_line_says() -> None:
    """Rates are those since the stage began; a stage of records alone speaks of no bytes."""
    mib = 1 << 20
    assert describe(Progress("judging", 30 * mib, 60 * mib, 12_000), 2.0) == (
        "30/60 MiB  15 MiB/s  12,000 records  6,000/s"
    )
    assert describe(Progress("merging", 500, 1_000, 500), 0.5) == "500 records  1,000/s"
    assert "0 MiB/s" in describe(Progress("looking", 0, 0, 0), 0.0)
