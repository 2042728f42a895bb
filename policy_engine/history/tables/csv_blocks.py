"""Divides blocks of CSV text into columns at once, where the text leaves nothing to interpret."""

from __future__ import annotations

import csv
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# Why this way is exact: what readers of CSV have to decide is what quotation marks, blanks and line ends at unusual
# positions mean, and what becomes of rows that are too short, too long or empty. A text with any of these is left to
# csv_rows. What remains are rows of `width` fields, a line each, whose fields hold none of these marks, or are
# quoted as a whole with neither these nor delimiters nor line ends inside.
# tests/history/tables/test_csv_blocks.py compares the answers with those of Python's reader.

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

_BLANK, _QUOTE, _FEED = b" "[0], b'"'[0], b"\n"[0]
_MOST = 1 << 22
"""Characters: a text of lines that are longer than any row is not worth the memory."""
_FEW = 4
"""Where one column of this many or more is wanted, its fields are cut out and the others are not made."""


def divide(text: str, delimiter: str, width: int, indices: Sequence[int]) -> list[list[str]] | None:
    """
    The fields at some indices below `width`, of rows that are a line each: a list of n texts per index.

    `text` holds whole lines. None where it must be interpreted.
    """
    if not text or len(text) > min(_MOST, csv.field_size_limit()):
        return None
    if "\r" in text:
        if text.count("\r") != text.count("\r\n"):
            return None
        text = text.replace("\r\n", "\n")
    if not text.endswith("\n"):
        text += "\n"
    shown = np.frombuffer(text.encode(), np.uint8)
    edges = _edges(shown, ord(delimiter), width)
    if edges is None:
        return None
    if len(indices) * _FEW <= width and text.isascii():
        columns = {index: _cut(text, shown, edges, index) for index in set(indices)}
        return [columns[index] for index in indices]
    fields = text[:-1].replace('"', "").replace("\n", delimiter).split(delimiter)
    return [fields[index::width] for index in indices]


def _edges(shown: Bytes, delimiter: int, width: int) -> Positions | None:
    """Where each field ends: n rows of `width` positions in the bytes; None where the text is not tidy."""
    marks = np.flatnonzero((shown == _QUOTE) | (shown == _FEED) | (shown == delimiter))
    kinds = shown[marks]
    is_quote = kinds == _QUOTE
    quotes = np.flatnonzero(is_quote)
    if len(quotes) % 2:
        return None
    opening, closing = quotes[::2], quotes[1::2]
    # No mark that ends a field is between the two.
    if (closing - opening != 1).any():
        return None
    # The byte before the first one of the text is the last, a line feed.
    before, behind = shown[marks[opening] - 1], shown[marks[closing] + 1]
    if ((before != delimiter) & (before != _FEED)).any() or ((behind != delimiter) & (behind != _FEED)).any():
        return None
    ends, kinds = marks[~is_quote], kinds[~is_quote]
    if len(ends) % width:
        return None
    if (kinds.reshape(-1, width)[:, -1] != _FEED).any() or np.count_nonzero(kinds == _FEED) * width != len(ends):
        return None
    if shown[0] == _BLANK or (shown[ends[:-1] + 1] == _BLANK).any():
        return None
    edges: Positions = ends.reshape(-1, width)
    # An empty line is not a row, not even in a table of one column.
    return edges if width > 1 or (np.diff(ends, prepend=-1) > 1).all() else None


def _cut(text: str, shown: Bytes, edges: Positions, index: int) -> list[str]:
    """The fields at one index of a text of ASCII."""
    before = edges[:, index - 1] if index else np.append(-1, edges[:-1, -1])
    is_quoted = shown[before + 1] == _QUOTE
    starts, ends = before + 1 + is_quoted, edges[:, index] - is_quoted
    return [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
