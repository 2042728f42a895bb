"""CSV text: what a spreadsheet would run is shown instead, everything else arrives as it was."""

from __future__ import annotations

import csv
import io
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.frames import categorical, integers, utc_times
from policy_engine.core.periods import MAX_INSTANT, MIN_INSTANT, NAT, format_instant, parse_instant
from policy_engine.core.text.csv_cells import (
    column_texts,
    format_times,
    header_line,
    neutral,
    plain_number,
    to_bytes,
    to_csv_lines,
)

SIGNS = ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
BLANKS = ["", " ", "   ", "\u00a0", "\u3000", "\t", "\r", "\n", " \t "]


def read_back(text: str) -> list[list[str]]:
    """The cells of a CSV text as the csv module reads them."""
    return list(csv.reader(io.StringIO(text, newline="")))


def would_run(cell: str) -> bool:
    """Whether a spreadsheet could take a cell, or what it would make of it by dividing it, for a formula."""
    pieces = [cell]
    for mark in ";\t\r\n":
        pieces = [part for piece in pieces for part in piece.split(mark)]
    return cell[:1] in ("\t", "\r", "\n") or any(piece.strip()[:1] in SIGNS for piece in pieces if piece.strip())


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("blanks", BLANKS)
def test_formulas_are_shown_and_not_run(sign: str, blanks: str) -> None:
    """
    Text that a spreadsheet could take for a formula gets an apostrophe before it, and is whole behind it.
    """
    text = f"{blanks}{sign}HYPERLINK(1)"
    assert neutral(text).startswith("'")
    assert neutral(text).replace("'", "") == text
    assert not would_run(neutral(text))


@pytest.mark.parametrize("mark", [";", "\t", "\n", "\r", "\r\n", "; "])
@pytest.mark.parametrize("sign", SIGNS)
def test_formulas_behind_other_dividers(mark: str, sign: str) -> None:
    """
    A spreadsheet that divides at semicolons, tabs or line breaks inside a cell finds no formula there either.
    """
    text = f"harmless{mark}{sign}cmd|' /C calc'!A0{mark}{sign}1"
    assert not would_run(neutral(text))
    assert neutral(text).replace(";'", ";").replace("; '", "; ").count(sign) == 2


@given(st.text(st.sampled_from([*"=+-@;\t\r\n ',a1", "\uff1d", "\u00a0", "\0"]), max_size=8))
def test_no_text_runs(text: str) -> None:
    """
    No text runs, and apostrophes and the sign for a lost NUL are all that is ever added.
    """
    shown = neutral(text)
    assert not would_run(shown)
    assert shown.replace("'", "") == text.replace("\0", "\ufffd").replace("'", "")
    assert neutral(shown) == shown


@pytest.mark.parametrize(
    "text",
    ["", "a", "'", "a=1", "1-2", "https://h/x?a=1&b=-2", "a;b", "upscale;variation", "a\tb", 'said "no"', "é = è"],
)
def test_harmless_text_is_untouched(text: str) -> None:
    """
    Text that no spreadsheet would run stays as it is.
    """
    assert neutral(text) == text


def test_nul_is_replaced() -> None:
    """
    NUL, which CSV cannot hold, becomes the replacement character.
    """
    assert neutral("a\0b") == "a\ufffdb"


@pytest.mark.parametrize("text", ["\ud800", "a\udcffb", "\udfff\ud800"])
def test_half_pairs_are_replaced(text: str) -> None:
    """
    Half of a surrogate pair, which UTF-8 cannot hold, becomes the replacement character; whole pairs stay.
    """
    assert to_bytes(text).decode() == "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    assert to_bytes("\U0001f600é") == "\U0001f600é".encode()


# --- columns ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["str", "object", "category"])
def test_every_kind_of_text_column_is_neutral(dtype: str) -> None:
    """
    Formulas are neutralised in every column of text, whatever its type.
    """
    column = pd.Series(["=1", None, "a", "\t+2"], dtype=dtype)
    assert column_texts(column) == ["'=1", "", "a", "'\t'+2"]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([-1, 0, 10**18]),
        pd.Series([-1, None, 10**18], dtype="Int64"),
        pd.Series([-1.5, None, 1e-7], dtype="Float64"),
        pd.Series([-1.5, float("nan"), 1e300]),
        pd.Series([-1, None, Decimal("-1.50")], dtype=object),
        pd.Series([True, False]),
        pd.Series([True, None], dtype="boolean"),
    ],
    ids=str,
)
def test_numbers_are_never_touched(column: Any) -> None:
    """
    Numbers and booleans get no apostrophe, not even the negative ones among numbers.
    """
    for text, value in zip(column_texts(column), column.astype(object).tolist(), strict=True):
        if value is None or value is pd.NA or value != value:
            assert text == ""
        elif isinstance(value, bool):
            assert text == str(value).lower()
        elif isinstance(value, (int, float)):
            assert Decimal(text) == Decimal(repr(value))
            assert "e" not in text.lower()
        else:
            # An object of a kind that nobody knows is text.
            assert text == "'-1.50"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact_and_plain(value: float) -> None:
    """
    A number is written without exponent and reads back as the same number.
    """
    text = plain_number(value)
    assert float(text) == value
    assert set(text) <= set("-.0123456789")
    assert not text.endswith(".0")


def test_numbers_that_are_none() -> None:
    """
    Not a number and infinity are empty cells.
    """
    assert [plain_number(value) for value in (math.nan, math.inf, -math.inf)] == ["", "", ""]


@given(st.lists(st.one_of(st.just(NAT), st.integers(MIN_INSTANT, MAX_INSTANT)), max_size=6))
def test_times_are_exact(instants: list[int]) -> None:
    """
    Times are RFC 3339 with `Z`, to the nanosecond, and missing ones are empty; alone or in a column.
    """
    ns = np.array(instants, np.int64)
    texts = format_times(ns)
    assert texts == ["" if one == NAT else format_instant(one) for one in instants]
    assert [parse_instant(text) if text else NAT for text in texts] == instants
    assert column_texts(pd.Series(utc_times(ns))) == texts


def test_missing_values_are_empty() -> None:
    """
    A missing value of any type is an empty cell.
    """
    missing = np.array([True])
    columns: list[Any] = [
        pd.Series([None], dtype="str"),
        pd.Series([None], dtype="object"),
        pd.Series([pd.NaT], dtype="datetime64[ns, UTC]"),
        pd.Series(categorical(np.array([-1]), ["x"])),
        pd.Series(integers(np.array([7]), missing)),
        pd.Series([pd.NaT], dtype="object"),
    ]
    assert [column_texts(column) for column in columns] == [[""]] * len(columns)


# --- lines --------------------------------------------------------------------------------------------------------

CELLS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4))
def test_cells_survive_reading(cells: list[tuple[str, str]]) -> None:
    """
    One element per row: joined under the header, the csv module and pandas read every cell as it was written.
    """
    frame = pd.DataFrame(cells, columns=["a", "b"], dtype="str")
    lines = to_csv_lines(frame)
    assert len(lines) == len(cells)
    expected = [[neutral(cell) for cell in row] for row in cells]
    text = header_line(["a", "b"]) + "".join(lines)
    assert read_back(text) == [["a", "b"], *expected]
    again = pd.read_csv(io.StringIO(text, newline=""), dtype=str, keep_default_na=False, skip_blank_lines=False)
    assert again.to_numpy().tolist() == expected


@pytest.mark.parametrize("cell", ["a,b", 'say "x"', "a\nb", "a\rb", "a;b", "a\tb"])
def test_cells_with_dividers_are_quoted(cell: str) -> None:
    """
    A cell with anything that some program divides at is quoted, so that the row keeps its columns everywhere.
    """
    (line,) = to_csv_lines(pd.DataFrame({"a": ["x"], "b": [cell], "c": ["y"]}))
    quoted = cell.replace('"', '""')
    assert line == f'x,"{quoted}",y\n'


def test_plain_cells_are_not_quoted() -> None:
    """
    What needs no quotes has none.
    """
    assert to_csv_lines(pd.DataFrame({"a": ["x", None], "b": [1, -2], "c": ["é ", ""]})) == ["x,1,é \n", ",-2,\n"]


def test_no_rows_no_lines() -> None:
    """
    A frame without rows gives no line.
    """
    assert to_csv_lines(pd.DataFrame({"a": []})) == []
