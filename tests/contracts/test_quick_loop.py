"""`make quick` stays quick: a test that starts a process says so, or fails."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from collections.abc import Callable

import pytest

from tests.conftest import GUARD, profile_name

STARTS: dict[str, Callable[[], object]] = {
    "subprocess": lambda: subprocess.run(["true"], check=True),
    "fork": os.fork,
    "system": lambda: os.system("true"),  # noqa: S605
    "forked worker": lambda: multiprocessing.get_context("fork").Process(target=print).start(),
    "spawned worker": lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the calls are those of POSIX")
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_no_unmarked_test_starts_a_process(start: Callable[[], object]) -> None:
    """
    However a process is started, the call raises in a test that is not marked `slow`, and says what to do.
    """
    try:
        with pytest.raises(RuntimeError, match=r"mark it `slow`"):
            start()
        assert len(GUARD.started) == 1
    finally:
        GUARD.started.clear()


@pytest.mark.slow
def test_marked_tests_start_processes() -> None:
    """
    A test that is marked `slow` starts what it wants.
    """
    assert not GUARD.is_active
    subprocess.run(["true"], check=True)


@pytest.mark.parametrize(
    ("environment", "profile"),
    [
        ({}, "dev"),
        ({"CI": "true"}, "ci"),
        ({"CI": "false"}, "dev"),
        ({"CI": "true", "HYPOTHESIS_PROFILE": "quick"}, "quick"),
    ],
)
def test_profile(environment: dict[str, str], profile: str) -> None:
    """
    HYPOTHESIS_PROFILE decides how hard Hypothesis tries; without it the answer depends on CI.
    """
    assert profile_name(environment) == profile
