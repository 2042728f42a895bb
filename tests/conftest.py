"""What all tests share: how hard Hypothesis tries, and where a browser is found."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, settings

# A slow machine is not a defect, so no deadline; and a failure found anywhere can be replayed from its blob.
SHARED = {
    "deadline": None,
    "print_blob": True,
    "report_multiple_bugs": False,
    "suppress_health_check": [HealthCheck.too_slow],
}

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


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of a Chromium that can be run."""
    return require_chromium()
