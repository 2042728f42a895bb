"""Writes the same CSV as csv_text, column by column with pyarrow where it is there: the bytes do not tell which."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from policy_engine.csv_text import column_texts, format_times, neutral, plain_number, quoted, to_bytes, to_csv_lines
from policy_engine.frames import Int64, nanoseconds
from policy_engine.periods import NAT, SECOND
from policy_engine.sorted_lines import joined

_WIDTH = len("2026-01-08 00:00:00.000000000")
_WHOLE = len("2026-01-08 00:00:00")


@dataclass(frozen=True)
class CsvLines:
    """The rows of a frame as CSV lines in UTF-8, each with its line feed."""

    data: memoryview
    """All lines, one after another."""
    edges: Int64
    """Where each line begins in `data`, and where the last one ends; n + 1 places."""

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
    try:
        import pyarrow as pa
    except ImportError:
        return _line_by_line(frame)
    if not len(frame):
        return CsvLines(memoryview(b""), np.zeros(1, np.int64))
    try:
        cells = [_cells(frame[name], pa) for name in frame.columns]
        empty, comma, end = (pa.scalar(mark, pa.large_string()) for mark in ("", ",", "\n"))
        cells[-1] = _joined(_whole(cells[-1], len(frame), pa), empty, end)
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
    from pyarrow.compute import binary_join_element_wise

    return binary_join_element_wise(*parts, null_handling="replace", null_replacement="")


def _whole(cells: Any, rows: int, pa: Any) -> Any:
    return pa.repeat(cells, rows) if isinstance(cells, pa.Scalar) else cells


def _cells(column: pd.Series[Any], pa: Any) -> Any:
    """The cells of a column, quoted where they must be, as large strings; one scalar where all are alike."""
    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        words = [quoted(neutral(str(word))) for word in column.array.categories]
        return _words(words, column.array.codes, pa)
    if isinstance(kind, pd.DatetimeTZDtype):
        return _times(nanoseconds(column), pa)
    if kind == np.bool_:
        return _words(["false", "true"], column.to_numpy(np.int8), pa)
    if isinstance(kind, pd.StringDtype):
        return _texts(column, pa)
    if isinstance(kind, pd.Int64Dtype):
        missing = column.isna().to_numpy(bool)
        if missing.all():
            return pa.scalar("", pa.large_string())
        return pa.array(column.to_numpy(np.int64, na_value=0), mask=missing).cast(pa.large_string())
    if isinstance(kind, pd.Float64Dtype):
        codes, values = pd.factorize(column.to_numpy(np.float64, na_value=np.nan))
        return _words([plain_number(value) for value in values.tolist()], codes, pa)
    return pa.array([quoted(text) for text in column_texts(column)], pa.large_string())


def _words(words: list[str], codes: npt.NDArray[Any], pa: Any) -> Any:
    """A column of few distinct cells; the code -1 is an empty one."""
    if (codes == codes[0]).all():
        return pa.scalar("" if codes[0] < 0 else words[codes[0]], pa.large_string())
    places = np.where(codes < 0, len(words), codes)
    return pa.array([*words, ""], pa.large_string()).take(pa.array(places))


def _texts(column: pd.Series[Any], pa: Any) -> Any:
    cells = pa.array(column, pa.large_string())
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    if cells.null_count == len(cells):
        return pa.scalar("", pa.large_string())
    edges = np.frombuffer(cells.buffers()[1], np.int64)[cells.offset : cells.offset + len(cells) + 1]
    text = np.frombuffer(cells.buffers()[2] or b"", np.uint8)[: edges[-1]]
    # A cell that begins with a letter or digit and holds none of these needs neither quotes nor an apostrophe.
    found = (text < 0x20) | (text == ord('"')) | (text == ord(",")) | (text == ord(";"))
    odd = np.zeros(len(cells), bool)
    if found.any():
        places = np.flatnonzero(found)
        odd[np.searchsorted(edges, places[(places >= edges[0])], side="right") - 1] = True
    filled = np.flatnonzero(edges[1:] > edges[:-1])
    first = text[edges[filled]]
    lower = first | 0x20
    is_plain = ((first - 48) < 10) | (((lower - 97) < 26) & (first < 0x80))
    odd[filled[~is_plain]] = True
    if odd.any():
        rows = np.flatnonzero(odd)
        mended = [None if text is None else quoted(neutral(text)) for text in cells.take(pa.array(rows)).to_pylist()]
        cells = pa.compute.replace_with_mask(cells, pa.array(odd), pa.array(mended, pa.large_string()))
    return cells


def _times(ns: Int64, pa: Any) -> Any:
    """RFC 3339 with `Z`, a fraction only where there is one; empty for NAT."""
    if (ns == ns[0]).all():
        return pa.scalar(format_times(ns[:1])[0], pa.large_string())
    missing = ns == NAT
    instants = np.where(missing, 0, ns)
    # Each text is as long as the next: date, a blank, time, point and nine digits.
    texts = pa.array(instants, pa.timestamp("ns")).cast(pa.string())
    text = np.empty((len(ns), _WIDTH + 1), np.uint8)
    text[:, :_WIDTH] = np.frombuffer(texts.buffers()[2], np.uint8)[: len(ns) * _WIDTH].reshape(-1, _WIDTH)
    text[:, 10] = ord("T")
    fraction = (instants % SECOND).astype(np.int32)
    size = np.full(len(ns), _WIDTH)
    for power in range(1, 9):
        size -= fraction % 10**power == 0
    size[fraction == 0] = _WHOLE
    text[np.arange(len(ns)), size] = ord("Z")
    size[missing] = -1
    kept = np.arange(_WIDTH + 1) <= size[:, None]
    edges = np.concatenate([[0], np.cumsum(size + 1)]).astype(np.int64)
    return pa.Array.from_buffers(pa.large_string(), len(ns), [None, pa.py_buffer(edges), pa.py_buffer(text[kept])])
