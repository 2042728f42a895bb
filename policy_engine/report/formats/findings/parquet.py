"""Writes the findings table as Parquet."""

from __future__ import annotations

from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from policy_engine.core.text.csv_cells import to_bytes
from policy_engine.core.vocabulary import FINDING_COLUMNS, TIME_COLUMNS

_IDS = ("asset_id", "task_id", "url", "source")
"""Columns whose values hardly repeat and have no order that a reader could use."""
_ROWS_AT_A_TIME = 1 << 14
"""Values of a column that the Parquet writer handles together; its default is a sixteenth."""


class ParquetTable:
    """Parquet with typed columns (times as UTC nanoseconds), zstd."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Open the file with the schema of the findings."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        class Writer(pq.ParquetWriter):  # type: ignore[misc]
            def __del__(self) -> None:
                # The original would write a footer into a closed file where a run was abandoned.
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


def _sorted_words(column: pd.Series[Any]) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Codes into the words in use, in alphabetical order: the bytes must not depend on the order of the rows."""
    codes = column.cat.codes.to_numpy(np.int32)
    names = [str(word) for word in column.cat.categories]
    used = np.flatnonzero(np.bincount(codes + 1, minlength=len(names) + 1)[1:])
    words = sorted({names[code] for code in used.tolist()})
    position = {word: code for code, word in enumerate(words)}
    lookup = np.array([*(position.get(name, -1) for name in names), -1], np.int32)
    return lookup[codes], words
