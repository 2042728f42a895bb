"""Writes the findings table chunk by chunk as CSV, JSON Lines or Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from policy_engine.core.frames import nanoseconds
from policy_engine.core.problems import Problem, UsageProblem
from policy_engine.core.text.csv_blocks import CsvLines, csv_lines
from policy_engine.core.text.csv_cells import format_times, header_line, to_bytes
from policy_engine.core.vocabulary import FINDING_COLUMNS, TIME_COLUMNS

_IDS = ("asset_id", "task_id", "url", "source")
"""Columns whose values hardly repeat and have no order that a reader could use."""
_ROWS_AT_A_TIME = 1 << 14
"""Values of a column that the writer of Parquet looks at together; its own number is a sixteenth."""
# Characters that some readers take for the end of a line.
_LINE_BREAKS = {ord(mark): f"\\u{ord(mark):04x}" for mark in "\x85\u2028\u2029"}


class TableWriter(Protocol):
    """Writes what it has made of frames of findings, in order."""

    @staticmethod
    def make(findings: pd.DataFrame) -> Any:
        """Make of a chunk what is to be written, wherever the chunk is."""

    def write(self, made: Any) -> None:
        """Write it."""

    def close(self) -> None:
        """Write what remains; the stream itself stays the caller's."""


class CsvTable:
    """CSV with a header, UTF-8 and line feeds; cells are safe to open in a spreadsheet."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Write the header."""
        self._stream = stream
        stream.write(header_line(FINDING_COLUMNS).encode())

    @staticmethod
    def make(findings: pd.DataFrame) -> CsvLines:
        """Make the lines of a chunk."""
        return csv_lines(findings)

    def write(self, made: CsvLines) -> None:
        """Write them."""
        self._stream.write(made.data)

    def close(self) -> None:
        """Nothing remains."""


class JsonLinesTable:
    """One JSON object per line with every column; missing is null, times are RFC 3339 text."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Keep the stream."""
        self._stream = stream

    @staticmethod
    def make(findings: pd.DataFrame) -> bytes:
        """Make the lines of a chunk."""
        columns = [_json_values(findings[name]) for name in FINDING_COLUMNS]
        encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
        lines = [encode(dict(zip(FINDING_COLUMNS, row, strict=True))) for row in zip(*columns, strict=True)]
        text = "".join([line + "\n" for line in lines])
        return to_bytes(text if text.isascii() else text.translate(_LINE_BREAKS))

    def write(self, made: bytes) -> None:
        """Write them."""
        self._stream.write(made)

    def close(self) -> None:
        """Nothing remains."""


class ParquetTable:
    """Parquet with typed columns (times as UTC nanoseconds), zstd."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Open the file with the schema of the findings."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        class Writer(pq.ParquetWriter):  # type: ignore[misc]
            def __del__(self) -> None:
                # The original would write a footer, into a file that is closed, where a run has been given up.
                pass

        self._pa = pa
        time, word = pa.timestamp("ns", "UTC"), pa.dictionary(pa.int32(), pa.string())
        kinds: dict[str, Any] = dict.fromkeys(_IDS, pa.string())
        kinds |= dict.fromkeys(TIME_COLUMNS, time)
        kinds |= dict.fromkeys(("rule_version", "operation_rule_version", "seconds_left", "points"), pa.int64())
        kinds |= {"cost_usd": pa.float64(), "possibly_past": pa.bool_(), "archived": pa.bool_()}
        self._schema = pa.schema([(name, kinds.get(name, word)) for name in FINDING_COLUMNS])
        # Ids and addresses hardly repeat: a dictionary of them costs time and saves nothing.
        words = [name for name in FINDING_COLUMNS if name not in kinds]
        self._writer = Writer(
            stream, self._schema, compression="zstd", compression_level=1, use_dictionary=words,
            write_statistics=[name for name in FINDING_COLUMNS if name not in _IDS], write_batch_size=_ROWS_AT_A_TIME,
        )  # fmt: skip

    @staticmethod
    def make(findings: pd.DataFrame) -> pd.DataFrame:
        """A chunk is written as it is."""
        return findings

    def write(self, made: pd.DataFrame) -> None:
        """Write a chunk as a row group."""
        columns = [self._column(made[field.name], field.type) for field in self._schema]
        self._writer.write_table(self._pa.Table.from_arrays(columns, schema=self._schema))

    def _column(self, column: pd.Series[Any], kind: Any) -> Any:
        try:
            return self._array(column, kind)
        except UnicodeEncodeError:
            writable = [to_bytes(value).decode() if isinstance(value, str) else None for value in column.tolist()]
            return self._array(pd.Series(writable, dtype="object"), kind)

    def _array(self, column: pd.Series[Any], kind: Any) -> Any:
        pa = self._pa
        if pa.types.is_dictionary(kind):
            if not isinstance(column.dtype, pd.CategoricalDtype):
                column = column.astype("category")
            codes, words = _sorted_words(column)
            missing = codes < 0
            indices = pa.array(codes, mask=missing) if missing.any() else pa.array(codes)
            return pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.string()))
        if pa.types.is_timestamp(kind):
            return pa.array(column.dt.as_unit("ns").to_numpy("datetime64[ns]"), kind)
        if column.isna().all():
            return pa.nulls(len(column), kind)
        return pa.Array.from_pandas(column, type=kind)

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


WRITERS: dict[str, Callable[[IO[bytes]], TableWriter]] = {
    ".csv": CsvTable,
    ".parquet": ParquetTable,
    ".jsonl": JsonLinesTable,
}
"""Writer per file ending."""


def writer_for(path: str) -> Callable[[IO[bytes]], TableWriter]:
    """The writer that a file name asks for; `-` means CSV. Raises UsageProblem for an ending it does not know."""
    if path == "-":
        return CsvTable
    ending = Path(path).suffix.lower()
    if ending not in WRITERS:
        raise UsageProblem(
            Problem(
                "unknown-format", f"`{path}` ends in none of {', '.join(WRITERS)}", help="name the file findings.csv"
            )
        )
    return WRITERS[ending]


def _sorted_words(column: pd.Series[Any]) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Codes into the words in use, in alphabetical order: the bytes must not tell in which order words were met."""
    codes = column.cat.codes.to_numpy(np.int32)
    names = [str(word) for word in column.cat.categories]
    used = np.flatnonzero(np.bincount(codes + 1, minlength=len(names) + 1)[1:])
    words = sorted({names[code] for code in used.tolist()})
    place = {word: code for code, word in enumerate(words)}
    lookup = np.array([*(place.get(name, -1) for name in names), -1], np.int32)
    return lookup[codes], words


def _json_values(column: pd.Series[Any]) -> list[Any]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        texts = format_times(nanoseconds(column))
        return [text or None for text in texts]
    return [None if value is pd.NA or value != value else value for value in column.astype(object).tolist()]
