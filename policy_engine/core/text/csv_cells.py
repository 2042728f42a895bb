"""Turns columns into CSV text that a spreadsheet shows and never runs."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from policy_engine.core.frames import nanoseconds
from policy_engine.core.periods import NAT, SECOND, format_instant
from policy_engine.core.safe_text import encodable

# What spreadsheets take for the start of a formula, with the full-width forms that some of them fold.
_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
# A spreadsheet may skip blanks before it looks for the sign.
_FORMULA = re.compile(rf"[\t\r\n]|\s*[{_SIGNS}]")
# Those that divide at semicolons or tabs as well, and take quotes within a line for text, meet a cell there too.
_INNER_FORMULA = re.compile(rf"([;\t\r\n])(?=[^\S;\t\r\n]*[{_SIGNS}])")


def neutral(text: str) -> str:
    """
    Text that no spreadsheet runs: an apostrophe before anything it could take for a formula.

    CSV cannot hold NUL, which becomes U+FFFD. For text only: a negative number is not a formula.
    """
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if _FORMULA.match(text):
        text = "'" + text
    if ";" in text or "\t" in text or "\n" in text or "\r" in text:
        text = _INNER_FORMULA.sub(r"\1'", text)
    return text


def to_bytes(text: str) -> bytes:
    """UTF-8; half of a surrogate pair, which cannot be written, becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return encodable(text).encode()


def format_times(ns: npt.NDArray[np.int64]) -> list[str]:
    """RFC 3339 texts with `Z`, fraction only where there is one; "" for NAT."""
    if not len(ns):
        return []
    missing = ns == NAT
    if missing.all():
        return [""] * len(ns)
    seconds = np.where(missing, 0, ns) // SECOND
    fraction = np.where(missing, 0, ns) - seconds * SECOND
    texts: list[str] = [text + "Z" for text in np.datetime_as_string(seconds.view("datetime64[s]"), unit="s").tolist()]
    for row in np.flatnonzero(fraction).tolist():
        texts[row] = f"{texts[row][:-1]}.{fraction[row]:09d}".rstrip("0") + "Z"
    for row in np.flatnonzero(missing).tolist():
        texts[row] = ""
    return texts


def column_texts(column: pd.Series[Any]) -> list[str]:
    """The cells of a column as CSV shows them; missing is empty."""
    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        words = [neutral(str(word)) for word in column.cat.categories] + [""]
        return list(np.array(words, object)[column.cat.codes.to_numpy(np.intp)])
    if isinstance(kind, pd.DatetimeTZDtype):
        ns = nanoseconds(column)
        if len(ns) and (ns == ns[0]).all():
            return [format_instant(int(ns[0])) if ns[0] != NAT else ""] * len(ns)
        return format_times(ns)
    if kind == np.bool_:
        return list(np.array(["false", "true"], object)[column.to_numpy(np.intp)])
    if isinstance(kind, pd.StringDtype):
        return [neutral(value) if isinstance(value, str) else "" for value in column.astype(object).tolist()]
    return [_cell(value) for value in column.astype(object).tolist()]


def _cell(value: Any) -> str:
    """One value of a column that may hold anything."""
    if isinstance(value, str):
        return neutral(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return plain_number(value)
    return "" if value is None or value is pd.NA or value is pd.NaT else neutral(str(value))


def plain_number(value: float) -> str:
    """A number in plain decimal notation without exponent or trailing zeros; "" for one that is not finite."""
    if not math.isfinite(value):
        return ""
    text = repr(value)
    if "e" in text:
        text = f"{Decimal(text):f}"
    return text.removesuffix(".0")


def quoted(text: str) -> str:
    """A cell as `to_csv_lines` writes it."""
    return f'"{text.replace(QUOTE, QUOTE + QUOTE)}"' if _TO_QUOTE.search(text) else text


def to_csv_lines(frame: pd.DataFrame) -> list[str]:
    """One CSV line per row, each with its line feed, without a header."""
    columns = [column_texts(frame[name]) for name in frame.columns]
    sink = _Lines()
    csv.writer(sink, lineterminator=_QUOTED_TOO).writerows(zip(*columns, strict=True))
    return sink.lines


def header_line(names: Sequence[str]) -> str:
    """The header as a CSV line."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(names)
    return text.getvalue()


# A csv.writer quotes cells that hold a character of its line end. So cells with these are quoted, and programs which
# also divide at them (LibreOffice does by default) keep the cell whole.
_QUOTED_TOO = ";\t\r\n"
QUOTE = '"'
_TO_QUOTE = re.compile(f"[,{QUOTE}{_QUOTED_TOO}]")


class _Lines:
    """Takes the rows of a csv.writer as single lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        """Take one row."""
        self.lines.append(line[: -len(_QUOTED_TOO)] + "\n")
