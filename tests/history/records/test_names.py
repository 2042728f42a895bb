"""Promises of names: the words of an export mean what the catalog says, however they are written."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest

from policy_engine.history import STATES, ServiceNames
from policy_engine.packs import read_pack
from tests.support.commands import ROOT


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
