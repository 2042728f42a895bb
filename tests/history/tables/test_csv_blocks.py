"""Promises of dividing CSV text into columns: what it gives is what Python's own reader gives, or it gives nothing."""

from __future__ import annotations

import csv

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy_engine.history.tables.csv_blocks import divide

PIECES = st.lists(
    st.sampled_from([
        ",", ",", ",", '"', '"', '""', '","', "\n", "\n", "\r\n", "\r", '"\n"', " ", " ,", "\t", ";", "a", "bc", "1",
        "é", "NA", "null", "\ufeff", "\0", "\x0b", "\u2028", "\\", "\\n", "'", "#", "=1",
    ]),
    max_size=24,
)  # fmt: skip
CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters='\r\n",;\t|'), max_size=6)


def by_python(text: str, delimiter: str) -> list[list[str]] | None:
    """The rows of a text in which each line is a row, as `CsvLines.plain_rows` takes them; None for any other text."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error:
        return None
    return rows if len(rows) == len(lines) else None


@given(st.one_of(PIECES.map("".join), PIECES.map(lambda pieces: "a,b\n" + "".join(pieces) + "\n")))
@example('a,"b,"c",d"\n')
@example('"a",b\n"c,d\n",e\n')
@example("a,b\n\nc,d\n")
@example("\ufeffa,b\n")
@example('a, "b"\n')
@example(" a,b\n")
@example("a,b\nc,d")
@example('"",""\n')
@example("a,b\rc,d\n")
@example('"a,b",c\n')
@example('a,"",c,d\n')
@example('"a""b",c\n')
@example("a\n\nb\n")
def test_equals_the_reader_of_python(text: str) -> None:
    """Whatever the text, the columns are those of Python's reader, or there are none."""
    for width in (1, 2, 3, 4):
        columns = divide(text, ",", width, range(width))
        if columns is not None:
            assert [list(row) for row in zip(*columns, strict=True)] == by_python(text, ",")
            for place in range(width):
                assert divide(text, ",", width, (place,)) == columns[place : place + 1]


@given(st.lists(st.lists(CELLS, min_size=4, max_size=4), min_size=1, max_size=5), st.sampled_from(",;\t|"))
def test_ordinary_text_is_divided(rows: list[list[str]], delimiter: str) -> None:
    """Rows with all fields in quotation marks are divided, however their lines end."""
    for end in ("\n", "\r\n"):
        text = "".join(delimiter.join(f'"{cell}"' for cell in row) + end for row in rows)
        for whole in (text, text.removesuffix(end)):
            for places in ((0, 2, 0), (1,)):
                columns = divide(whole, delimiter, 4, places)
                assert columns == [[row[place] for row in rows] for place in places]


@pytest.mark.parametrize("text", ["", "\n", "a\n", "a,b,c\n", "a,b\n\n", 'a,"b\n', 'a,b"\n', "a, b\n", "a,b\rc,d\n"])
def test_what_wants_a_closer_look(text: str) -> None:
    """Text that readers may take in several ways is left to the one that tells what is wrong with it."""
    assert divide(text, ",", 2, (0, 1)) is None


def test_field_beyond_all_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that is too long for Python's reader is not taken here either."""
    text = f"a,{'b' * 200_000}\n"
    monkeypatch.setattr(csv, "field_size_limit", lambda: 100_000)
    assert divide(text, ",", 2, (0, 1)) is None
    monkeypatch.setattr(csv, "field_size_limit", lambda: 1_000_000)
    assert divide(text, ",", 2, (0, 1)) is not None


def test_lines_far_too_long() -> None:
    """A line of many megabytes is no row of a table, and is not given the memory of one."""
    row = "a," + "b" * 1_000 + "\n"
    assert divide(row * 1_000, ",", 2, (0, 1)) is not None
    assert divide("a," + "b" * (1 << 22) + "\n", ",", 2, (0, 1)) is None
