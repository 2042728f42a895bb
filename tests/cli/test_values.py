"""Values of arguments: exact shares, and the one clock."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policy_engine.cli import values
from tests.support.commands import policy_engine
from tests.support.paths import ROOT


def test_share_of_the_quarantine_is_exact() -> None:
    """
    A share is compared exactly: k of 100 records are never more than k percent of them.
    """
    for percent in range(101):
        allowance = values.ALLOWANCE.convert(f"{percent}%", None, None)
        assert not allowance.is_exceeded(percent, 100)
        assert allowance.is_exceeded(percent + 1, 100)


def test_clock_is_asked_in_one_place_only() -> None:
    """
    Only the module that reads arguments asks what time it is, and it answers in whole seconds.
    """
    asking = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "policy_engine").rglob("*.py")
        if re.search(r"\btime\.time|\.now\(|utcnow|\.today\(", path.read_text(encoding="utf-8"))
    ]
    assert asking == ["policy_engine/cli/values.py"]
    assert values.clock() % 1_000_000_000 == 0


@pytest.mark.parametrize("command", ["report good.jsonl", "rules"])
def test_clock_is_the_default(command: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without --as-of the clock decides, to the second.
    """
    monkeypatch.setattr(values.time, "time_ns", lambda: 1_767_830_400_123_456_789)
    assert "2026-01-08T00:00:00Z" in policy_engine(*command.split()).text
