"""Promises of names: the words of an export mean what the catalog says, however they are written."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest

from policy_engine.history import STATES, ServiceNames
from policy_engine.packs import read_pack
from tests.support.exports import (
    IMAGE,
    read_records,
    task,
)
from tests.support.paths import ROOT


@pytest.mark.parametrize("word", ["Abschluß", "ABSCHLUSS", " abschluss "])
def test_status_words_are_compared_without_case(word: str, tmp_path: Path) -> None:
    """A status word of the catalog is found in any case, also where one letter becomes two in upper case."""
    folder = Path(copytree(ROOT / "rules" / "piapi", tmp_path / "pack"))
    catalog = folder / "catalog.yaml"
    text = catalog.read_text(encoding="utf-8")
    start = text.index("\nstatuses:")
    listed = text.index("completed: [", start) + len("completed: [")
    catalog.write_text(f"{text[:listed]}Abschluß, {text[listed:]}", encoding="utf-8")
    names = ServiceNames(read_pack(str(folder)).catalog)
    assert STATES[names.state_of(word)] == "completed"


@pytest.mark.parametrize("status", ["completed", "Completed", "COMPLETED", " completed ", "finished", "Success"])
def test_status_in_any_case(tmp_path: Path, status: str) -> None:
    """A status means the same in every case, and is shown as it was written."""
    reading = read_records(tmp_path, task(status=status))
    assert reading.one["status"] == status
    assert reading.totals.tasks.points == 700_000


@pytest.mark.parametrize("status", ["", None, "paused", ..., 99])
def test_status_empty_or_not_known(tmp_path: Path, status: object) -> None:
    """Without a known status a task keeps its file, costs nothing, and is never taken for finished."""
    reading = read_records(tmp_path, task("t-1", status=status), task("t-2", status=status, output={"image_url": ""}))
    assert reading.one["url"] == IMAGE
    assert reading.without == {"unknown_status": 1}
    assert reading.totals.tasks.points == 0
