"""What all tests share: how hard Hypothesis tries, where a browser is found, and who may start processes."""

from __future__ import annotations

import multiprocessing.util
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A slow machine is not a defect, so no deadline; and a failure found anywhere can be replayed from its blob.
SHARED = {
    "deadline": None,
    "print_blob": True,
    "report_multiple_bugs": False,
    "suppress_health_check": [HealthCheck.too_slow],
}

# For `make quick`, which is run after every change.
settings.register_profile("quick", max_examples=5, **SHARED)
settings.register_profile("dev", max_examples=25, **SHARED)
# The same examples on every run, so that a red build means a changed program.
settings.register_profile("ci", max_examples=400, derandomize=True, **SHARED)
settings.register_profile("deep", max_examples=5000, **SHARED)

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def is_set(value: str | None) -> bool:
    """An environment variable says yes unless it is absent, empty, `0` or `false`."""
    return (value or "").strip().lower() not in ("", "0", "false")


def profile_name(environment: Mapping[str, str]) -> str:
    """HYPOTHESIS_PROFILE decides; without it `ci` where CI is set, else `dev`."""
    return environment.get("HYPOTHESIS_PROFILE") or ("ci" if is_set(environment.get("CI")) else "dev")


def find_chromium() -> str | None:
    """The browser named by CHROMIUM, and no other; without that name, the first one on PATH."""
    named = os.environ.get("CHROMIUM")
    candidates = (shutil.which(name) for name in ((named,) if named else BROWSERS))
    return next((path for path in candidates if path is not None), None)


def require_chromium() -> str:
    """Without a browser a test is skipped, or fails where POLICY_ENGINE_REQUIRE_BROWSER is set."""
    path = find_chromium()
    if path is not None:
        return path
    message = "no Chromium: set CHROMIUM or put one of " + ", ".join(BROWSERS) + " on PATH"
    if is_set(os.environ.get("POLICY_ENGINE_REQUIRE_BROWSER")):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


settings.load_profile(profile_name(os.environ))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `browser` needs no fixture to be skipped where there is no browser."""
    if item.get_closest_marker("browser") is not None:
        require_chromium()


PROCESS_EVENTS = frozenset(
    ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "os.startfile")
)
"""Audit events of the interpreter that announce a new process."""


class ProcessGuard:
    """Fails a test that starts a process and is not marked `slow`, so that `make quick` stays quick."""

    def __init__(self) -> None:
        self.is_active = False
        self.started: list[str] = []

    def notice(self, event: str, arguments: tuple[object, ...]) -> None:
        """Raise in the call that starts the process; a program that catches it is reported after the test."""
        if self.is_active and event in PROCESS_EVENTS:
            self.started.append(event)
            raise RuntimeError(self.sentence())

    def sentence(self) -> str:
        """What is wrong, and what to do about it."""
        events = ", ".join(dict.fromkeys(self.started))
        return f"this test starts a process ({events}): mark it `slow`, which `make quick` leaves out"


GUARD = ProcessGuard()


def pytest_configure() -> None:
    """Watch for new processes from here on; an audit hook cannot be removed, so it is added once."""
    sys.addaudithook(GUARD.notice)
    spawn = multiprocessing.util.spawnv_passfds

    def announced_spawn(*arguments: Any) -> Any:
        # The one way to a process that the interpreter does not announce.
        GUARD.notice("os.posix_spawn", arguments)
        return spawn(*arguments)

    multiprocessing.util.spawnv_passfds = announced_spawn


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Guard one test, with the fixtures that are made for it."""
    GUARD.started.clear()
    GUARD.is_active = not any(item.iter_markers("slow")) and not any(item.iter_markers("browser"))
    try:
        return (yield)
    finally:
        GUARD.is_active = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A program under test may have caught what the guard raised."""
    result = yield
    if GUARD.started:
        pytest.fail(GUARD.sentence(), pytrace=False)
    return result


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of a Chromium that can be run."""
    return require_chromium()
