"""
However a history is written, cut, ordered and read, and wherever that happens, the answer is the same.

The short form of tools/torture/invariance.py, which says what is varied and what is compared.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.exports import read, write_lines
from tools.torture.invariance import (
    FORMATS,
    PLAIN,
    SURROUNDINGS,
    Record,
    compare_formats,
    compare_surroundings,
    history,
)

SEED = 7


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """A history that a table can hold as well."""
    return history(SEED)


def test_the_history_is_worth_comparing(records: list[Record], tmp_path: Path) -> None:
    """
    The history that is read in many ways has files of every verdict, merged records, and tasks without a file.
    """
    reading = read(write_lines(tmp_path / "a.jsonl", records))
    assert {row["verdict"] for row in reading.rows} == {
        "active", "at_risk", "expired", "vendor_cdn", "ungoverned", "undetermined"
    }  # fmt: skip
    assert reading.totals.merged > 0
    assert len(reading.without) > 1


@pytest.mark.slow
def test_formats_and_orders_change_nothing(records: list[Record], tmp_path: Path) -> None:
    """
    In every format that can hold the same facts, packed or not, in one file or many, in any order: the same answers.
    """
    compared = dict(compare_formats(records, tmp_path, random.Random(SEED)))
    assert set(FORMATS) < set(compared)
    assert [name for name, same in compared.items() if not same] == []


@pytest.mark.slow
def test_surroundings_change_no_byte(records: list[Record], tmp_path: Path) -> None:
    """
    Piece sizes, processes, locale, time zone and hash seed show in no byte of a report.
    """
    compared = dict(compare_surroundings(records, tmp_path, SURROUNDINGS))
    assert compared == {around.name: [] for around in SURROUNDINGS}
    assert PLAIN.name not in compared
