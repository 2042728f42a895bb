"""What the tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.desk import lay_desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a history, rule packs, and one of each thing that goes wrong."""
    lay_desk(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
