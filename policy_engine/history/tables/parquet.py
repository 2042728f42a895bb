"""Reads Parquet files as columns of Python values, as the readers of records take them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from policy_engine.core.periods import SECOND, format_instant
from policy_engine.core.problems import InputUnusable, Problem, SourceSpan
from policy_engine.core.safe_text import plain
from policy_engine.history.sources import Source


@contextmanager
def open_parquet(source: Source) -> Iterator[Any]:
    """An open Parquet file; raises InputUnusable for a damaged one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source.path) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        message = plain(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise InputUnusable(
            Problem(
                "damaged-file",
                f"the Parquet file cannot be read ({message})",
                SourceSpan(source.name, 1),
                help="write or fetch it again",
            )
        ) from None


def row_groups(file: Any) -> list[int]:
    """The number of rows in each group of rows."""
    return [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]


def values_of(column: Any) -> list[Any]:
    """Values of a column as the record reader takes them; times as RFC 3339 text, zoneless ones without a zone."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(column.type):
        # Each distinct value is made once, however many rows have it.
        distinct = values_of(column.dictionary)
        return [None if index is None else distinct[index] for index in column.indices.to_pylist()]
    if types.is_timestamp(column.type):
        return _times_as_text(column, pa)
    if types.is_binary(column.type) or types.is_large_binary(column.type):
        # Some writers do not mark text as text.
        values = column.to_pylist()
        return [value.decode("utf-8", "replace") if value is not None else None for value in values]
    if types.is_decimal(column.type):
        values = column.to_pylist()
        return [int(value) if value is not None and value == value.to_integral_value() else value for value in values]
    if types.is_map(column.type):
        return [None if value is None else dict(value) for value in column.to_pylist()]
    if types.is_string(column.type) or types.is_large_string(column.type):
        try:
            texts: list[Any] = column.to_pylist()
        except UnicodeDecodeError:
            # Nor is all that is marked as text UTF-8.
            return values_of(column.cast(pa.large_binary()))
        return texts
    plain_values: list[Any] = column.to_pylist()
    return plain_values


def _times_as_text(column: Any, pa: Any) -> list[str | None]:
    # Python integers, since times far away do not fit into 64 bits of nanoseconds.
    unit = {"s": SECOND, "ms": SECOND // 1_000, "us": SECOND // 1_000_000, "ns": 1}[column.type.unit]
    zone = "Z" if column.type.tz is not None else ""
    texts: list[str | None] = []
    for value in column.view(pa.int64()).to_pylist():
        try:
            texts.append(None if value is None else format_instant(value * unit).removesuffix("Z") + zone)
        except (ValueError, OverflowError):
            texts.append("a time outside the calendar")
    return texts
