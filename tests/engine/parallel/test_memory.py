"""Sizes: what a run holds follows from the memory it is given, and a measured run stays within it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.problems import UsageProblem
from policy_engine.engine.parallel.memory import MIB, Sizes, sizes_within
from tests.support.commands import AS_OF, EXAMPLE, environment, policy_engine

pytestmark = pytest.mark.slow


def least(jobs: int, embedded: int | None = None) -> int:
    """The least limit that is not refused, bytes, as the refusal of a smaller one says it."""
    with pytest.raises(UsageProblem) as caught:
        sizes_within(1, jobs, embedded)
    match = re.search(r"--memory-limit ([0-9]+)MiB", str(caught.value.problems[0].help))
    assert match is not None
    return int(match[1]) * MIB


@given(st.integers(1, 64), st.integers(0, 1 << 36), st.integers(0, 1 << 30))
def test_more_memory_never_holds_less(jobs: int, more: int, still: int) -> None:
    """Every limit from the least on is taken, and no size shrinks when it grows."""
    smaller, larger = sizes_within(least(jobs) + more, jobs), sizes_within(least(jobs) + more + still, jobs)
    for name in ("unit", "records", "merged", "waiting", "keys"):
        assert 0 < getattr(smaller, name) <= getattr(larger, name)
    assert larger.waiting <= Sizes().waiting
    with pytest.raises(UsageProblem):
        sizes_within(least(jobs) - MIB, jobs)


def test_limit_too_small_is_refused_with_the_least_that_would_do() -> None:
    """A limit in which no run can work is exit 2, and the least that it names is taken."""
    done = policy_engine("evaluate", EXAMPLE, "--as-of", AS_OF, "-o", "-", "--memory-limit", "64MiB")
    assert done.code == 2
    assert "error[memory-limit]: a memory limit of 64 MiB is too small for 1 process\n" in done.err
    match = re.search(r"the least sufficient one is --memory-limit ([0-9]+MiB)", done.err)
    assert match is not None
    assert policy_engine("evaluate", EXAMPLE, "--as-of", AS_OF, "-o", "-", "--memory-limit", match[1]).code == 0


@pytest.mark.parametrize(
    ("text", "amount"),
    [("512MiB", 512 * MIB), ("2GiB", 2048 * MIB), ("2g", 2048 * MIB), ("500MB", 500_000_000), ("1 TiB", 1 << 40)],
)
def test_amounts_of_memory(text: str, amount: int) -> None:
    """Amounts are read with their unit, in either case."""
    from policy_engine.cli.values import MEMORY

    assert MEMORY.convert(text, None, None) == amount


@pytest.mark.parametrize("text", ["512", "lots", "-1GiB", "1.5GiB", ""])
def test_amounts_without_a_unit_are_refused(text: str) -> None:
    """A bare number could be bytes or megabytes, so it is refused with an example."""
    done = policy_engine("evaluate", EXAMPLE, "-o", "-", f"--memory-limit={text}")
    assert done.code == 2
    assert "is not an amount of memory such as 512MiB or 2GiB" in done.err


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history in which half of the records must be merged with others, about 80 MB."""
    path = tmp_path_factory.mktemp("history") / "history.jsonl"
    assert policy_engine("example", "--tasks", 60_000, "-o", path).code == 0
    return path


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to see what processes take")
@pytest.mark.parametrize(("command", "jobs"), [("evaluate", 1), ("evaluate", 2), ("report", 1)])
def test_runs_stay_within_their_limit(command: str, jobs: int, history: Path, tmp_path: Path) -> None:
    """With the least limit there is, all processes together take no more memory than that at any moment."""
    limit = least(jobs, 20_000 if command == "report" else None)
    arguments = [command, str(history), "--as-of", AS_OF, "--jobs", str(jobs), "--memory-limit", f"{limit // MIB}MiB"]
    output = "report" if command == "report" else "findings.parquet"
    with subprocess.Popen(
        [sys.executable, "-m", "policy_engine", *arguments, "-o", output],
        cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.02)
    assert process.returncode == 0
    assert 50 * MIB < peak <= limit


def resident(pid: int) -> int:
    """Bytes of memory that a process and those it started take; shared pages count for each of them."""
    total = 0
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        total += pages * 4096
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += sum(map(resident, map(int, (thread / "children").read_text().split())))
    except OSError:
        pass  # it has ended in the meantime
    return total
