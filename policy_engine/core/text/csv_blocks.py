"""Writes the same CSV as csv_cells, column by column: the bytes are equal."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from policy_engine.core.files.sorted_lines import joined
from policy_engine.core.frames import Int64, nanoseconds
from policy_engine.core.periods import NAT
from policy_engine.core.text.csv_cells import (
    column_texts,
    format_times,
    neutral,
    plain_number,
    quoted,
    to_bytes,
    to_csv_lines,
)

_FEW = 256
"""Distinct cells of a column up to which it is written together with its neighbours."""
_MOST_COMBINED = 1 << 62
"""Combinations of the cells of neighbours up to which each has a number of its own."""


@dataclass(frozen=True)
class CsvLines:
    """The rows of a frame as CSV lines in UTF-8, each with its line feed."""

    data: memoryview
    """All lines, one after another."""
    edges: Int64
    """Where each line begins in `data`, and where the last one ends; n + 1 positions."""

    @property
    def sizes(self) -> Int64:
        """Bytes of each line."""
        return np.diff(self.edges)

    def rows(self, rows: npt.NDArray[np.intp]) -> bytes:
        """Some of the lines, in the order given."""
        return b"".join([self.data[start:end] for start, end in joined(self.edges[rows], self.edges[rows + 1])])

    def __reduce__(self) -> tuple[Any, ...]:
        # The text is written from where it lies, without a copy.
        return _unpickled, (pickle.PickleBuffer(self.data), self.edges)


def _unpickled(data: bytes, edges: Int64) -> CsvLines:
    return CsvLines(memoryview(data), edges)


def csv_lines(frame: pd.DataFrame) -> CsvLines:
    """CSV lines of a frame without a header: what `to_csv_lines` gives, encoded."""
    if not len(frame):
        return CsvLines(memoryview(b""), np.zeros(1, np.int64))
    try:
        cells = _all_cells(frame)
        empty, comma, end = (pa.scalar(mark, pa.large_string()) for mark in ("", ",", "\n"))
        cells[-1] = _joined(cells[-1], empty, end)
        lines = _joined(*cells, comma)
    except UnicodeEncodeError:
        return _line_by_line(frame)
    edges = np.frombuffer(lines.buffers()[1], np.int64)[lines.offset : lines.offset + len(frame) + 1]
    return CsvLines(memoryview(lines.buffers()[2] or b"")[int(edges[0]) : int(edges[-1])], edges - edges[0])


def _line_by_line(frame: pd.DataFrame) -> CsvLines:
    lines = [to_bytes(line) for line in to_csv_lines(frame)]
    edges = np.concatenate([[0], np.cumsum(np.fromiter(map(len, lines), np.int64, len(lines)))]).astype(np.int64)
    return CsvLines(memoryview(b"".join(lines)), edges)


def _joined(*parts: Any) -> Any:
    """The parts with the last one between them; what is missing is empty."""
    return pc.binary_join_element_wise(*parts, null_handling="replace", null_replacement="")


class _Coded(NamedTuple):
    """A column of few distinct cells."""

    words: list[str]
    codes: npt.NDArray[Any] | None
    """Index of each cell among the words; None where there is one word for all."""


class _Together:
    """Neighbouring columns of few distinct cells as one column of codes, since fewer columns are joined faster."""

    def __init__(self, first: _Coded, rows: int) -> None:
        self._codes = np.zeros(rows, np.int64)
        self._columns: list[list[str]] = []
        self._combinations = 1
        self.take(first)

    def take(self, column: _Coded) -> bool:
        """Take the next column; False if there are more combinations than a number can distinguish."""
        count = len(column.words)
        if self._combinations * count > _MOST_COMBINED:
            return False
        if column.codes is not None:
            self._codes = self._codes * count + column.codes
        self._combinations *= count
        self._columns.append(column.words)
        return True

    def cells(self) -> Any:
        """The cells of the columns, a comma between two."""
        codes, rest = pd.factorize(self._codes)
        texts = [""] * len(rest)
        for index, words in enumerate(reversed(self._columns)):
            rest, which = np.divmod(rest, len(words))
            mark = "," if index else ""
            texts = [words[code] + mark + text for code, text in zip(which.tolist(), texts, strict=True)]
        return pa.array(texts, pa.large_string()).take(pa.array(codes))


def _all_cells(frame: pd.DataFrame) -> list[Any]:
    """The cells of a frame, quoted where they must be, as large strings; some hold those of several columns."""
    parts: list[Any] = []
    for name in frame.columns:
        column = _cells(frame[name])
        if not isinstance(column, _Coded):
            parts.append(column)
        elif not (parts and isinstance(parts[-1], _Together) and parts[-1].take(column)):
            parts.append(_Together(column, len(frame)))
    return [part.cells() if isinstance(part, _Together) else part for part in parts]


def _cells(column: pd.Series[Any]) -> Any:
    """The cells of a column, quoted where they must be, as large strings; as _Coded where few are distinct."""
    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        words = [quoted(neutral(str(word))) for word in column.array.categories]
        return _words(words, column.array.codes)
    if isinstance(kind, pd.DatetimeTZDtype):
        return _times(nanoseconds(column))
    if kind == np.bool_:
        return _words(["false", "true"], column.to_numpy(np.int8))
    if isinstance(kind, pd.StringDtype):
        return _texts(column)
    if isinstance(kind, pd.Int64Dtype):
        return _integers(column)
    if isinstance(kind, pd.Float64Dtype):
        codes, values = pd.factorize(column.to_numpy(np.float64, na_value=np.nan))
        return _words([plain_number(value) for value in values.tolist()], codes)
    return pa.array([quoted(text) for text in column_texts(column)], pa.large_string())


def _words(words: list[str], codes: npt.NDArray[Any]) -> Any:
    """A column of distinct cells; the code -1 is an empty one."""
    if (codes == codes[0]).all():
        return _Coded([words[codes[0]] if codes[0] >= 0 else ""], None)
    indices = np.where(codes < 0, len(words), codes)
    if len(words) <= _FEW:
        return _Coded([*words, ""], indices)
    return pa.array([*words, ""], pa.large_string()).take(pa.array(indices))


def _integers(column: pd.Series[Any]) -> Any:
    missing = column.isna().to_numpy(bool)
    values = column.to_numpy(np.int64, na_value=0)
    if 0 <= values.min() and values.max() < _FEW:
        return _words([str(value) for value in range(int(values.max()) + 1)], np.where(missing, -1, values))
    return pa.array(values, mask=missing).cast(pa.large_string())


def _texts(column: pd.Series[Any]) -> Any:
    cells = pa.array(column, pa.large_string())
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    if cells.null_count == len(cells):
        return _Coded([""], None)
    edges = np.frombuffer(cells.buffers()[1], np.int64)[cells.offset : cells.offset + len(cells) + 1]
    text = np.frombuffer(cells.buffers()[2] or b"", np.uint8)[: edges[-1]]
    # A cell that begins with a letter or digit and holds none of these needs neither quotes nor an apostrophe.
    found = (text < 0x20) | (text == ord('"')) | (text == ord(",")) | (text == ord(";"))
    odd = np.zeros(len(cells), bool)
    if found.any():
        indices = np.flatnonzero(found)
        odd[np.searchsorted(edges, indices[(indices >= edges[0])], side="right") - 1] = True
    filled = np.flatnonzero(edges[1:] > edges[:-1])
    first = text[edges[filled]]
    lower = first | 0x20
    is_plain = ((first - 48) < 10) | (((lower - 97) < 26) & (first < 0x80))
    odd[filled[~is_plain]] = True
    if odd.any():
        rows = np.flatnonzero(odd)
        repaired = [None if text is None else quoted(neutral(text)) for text in cells.take(pa.array(rows)).to_pylist()]
        cells = pc.replace_with_mask(cells, pa.array(odd), pa.array(repaired, pa.large_string()))
    return cells


def _times(ns: Int64) -> Any:
    """RFC 3339 with `Z`, a fraction only where there is one; empty for NAT."""
    if (ns == ns[0]).all():
        return _Coded(format_times(ns[:1]), None)
    # Each text has a date, a blank, a time, a point and nine digits.
    texts = pa.array(ns, pa.timestamp("ns"), mask=ns == NAT).cast(pa.large_string())
    texts = pc.ascii_rtrim(pc.ascii_rtrim(texts, "0"), ".")
    texts = pc.binary_replace_slice(texts, 10, 11, "T")
    return pc.binary_join_element_wise(texts, pa.scalar("Z", pa.large_string()), pa.scalar("", pa.large_string()))
