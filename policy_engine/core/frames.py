"""Turns NumPy arrays into pandas columns and back, the same way everywhere."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from policy_engine.core.periods import MAX_INSTANT, MIN_INSTANT, NAT, format_instant, parse_instant
from policy_engine.core.safe_text import plain

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]
Bool = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.intp]
"""Indices into another array."""
T = TypeVar("T")


def categorical(codes: npt.NDArray[Any], words: Sequence[str]) -> Any:
    """A categorical column from codes into words; -1 is missing."""
    return pd.Categorical.from_codes(codes.astype(np.int64), categories=pd.Index(list(words), dtype="object"))


def taken(values: Sequence[T], indices: npt.NDArray[Any]) -> list[T]:
    """The values at some indices."""
    return list(map(values.__getitem__, indices.tolist()))


def coded(values: Sequence[Any]) -> tuple[Int64, list[Any]]:
    """Code of each value, -1 for None and "", and the distinct values in the order met."""
    # Counting None among texts is slow, and the first text ends the other look.
    if not any(values) and values.count(None) == len(values):
        return np.full(len(values), -1, np.int64), []
    indices: defaultdict[Any, int] = defaultdict(itertools.count().__next__)
    codes = np.fromiter(map(indices.__getitem__, values), np.int64, len(values))
    missing = [indices[value] for value in (None, "") if value in indices]
    if not missing:
        return codes, list(indices)
    lookup = np.cumsum([code not in missing for code in range(len(indices))]) - 1
    lookup[missing] = -1
    return lookup[codes], [value for value, code in indices.items() if code not in missing]


def category_of(values: Sequence[str | None], index: npt.NDArray[Any] | None = None) -> Any:
    """A categorical column of texts, few of them distinct, taken at `index` if given; None and "" are missing."""
    codes, words = coded(values)
    return categorical(codes if index is None else codes[index], words)


def texts(values: Sequence[str | None], index: npt.NDArray[Any] | None = None) -> Any:
    """A column of texts that hardly repeat, taken at `index` if given; None is missing."""
    try:
        # pandas would look at every value once more before it makes the same array.
        column = pa.array(values, pa.large_string())
        return pd.array(column if index is None else column.take(pa.array(index)), dtype="str")
    except UnicodeEncodeError:
        return pd.array(values if index is None else [values[row] for row in index.tolist()], dtype="str")


def joined_texts(*parts: tuple[Any, npt.NDArray[Any]]) -> Any:
    """
    A column of n texts, each put together of one text per part.

    A part is texts, in a list or a column, or an array of numbers to write, and n indices into them.
    """
    try:
        kind = pa.large_string()
        columns = []
        for words, indices in parts:
            column = pa.array(words).cast(kind) if isinstance(words, np.ndarray) else pa.array(words, kind)
            columns.append(column.take(pa.array(indices)))
        column = pc.binary_join_element_wise(*columns, pa.scalar("", kind))
        return pd.array(column, dtype="str")
    except UnicodeEncodeError:
        listed = [[str(words[index]) for index in indices.tolist()] for words, indices in parts]
        return pd.array(list(map("".join, zip(*listed, strict=True))), dtype="str")


def codes_of(column: pd.Series[Any] | None, rows: int) -> tuple[Positions, list[str]]:
    """
    Integer code per row and the words; a missing value has the code -1.

    Booleans read as `true` and `false`. Without a column every row is missing.
    """
    if column is None:
        return np.full(rows, -1, np.intp), []
    if isinstance(column.dtype, pd.CategoricalDtype):
        return np.array(column.cat.codes, np.intp), [_word(value) for value in column.cat.categories]
    if column.dtype == bool:
        return np.array(column, np.intp), ["false", "true"]
    codes, values = pd.factorize(column)
    return codes.astype(np.intp), [_word(value) for value in values]


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, (bool, np.bool_)) else str(value)


def utc_times(ns: Int64) -> pd.DatetimeIndex:
    """A column of UTC times from ns since 1970; NAT is missing."""
    return pd.DatetimeIndex(ns.view("datetime64[ns]")).tz_localize("UTC")


def nanoseconds(column: pd.Series[Any]) -> Int64:
    """Ns since 1970 of a column of zone-aware times; missing is NAT."""
    values: Int64 = column.dt.as_unit("ns").to_numpy("datetime64[ns]").view(np.int64)
    return values


def earliest_of(*columns: Int64) -> Int64:
    """The least instant of each row, within MIN_INSTANT..MAX_INSTANT; NAT is missing."""
    never = np.iinfo(np.int64).max
    least = np.minimum.reduce([np.where(instants == NAT, never, instants) for instants in columns])
    return np.where(least == never, NAT, np.clip(least, MIN_INSTANT, MAX_INSTANT))


def integers(values: Int64, missing: Bool) -> Any:
    """A column of integers some of which are missing."""
    return pd.arrays.IntegerArray(np.where(missing, 0, values).astype(np.int64), missing)


def as_instant(value: datetime | str | int) -> int:
    """An instant given as zone-aware time, RFC 3339 text or ns since 1970; raises ValueError for anything else."""
    if isinstance(value, str):
        instant = parse_instant(value)
    elif isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time without a zone; give a UTC time")
        instant = int(pd.Timestamp(value).as_unit("ns").value)
    elif isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        instant = int(value)
    else:
        raise ValueError(f"`{plain(value)}` is not a time; give a zone-aware time, RFC 3339 text or ns since 1970")
    if not MIN_INSTANT <= instant <= MAX_INSTANT:
        raise ValueError(f"a time outside {format_instant(MIN_INSTANT)} to {format_instant(MAX_INSTANT)}")
    return instant


def instants_of(frame: pd.DataFrame, name: str) -> Int64:
    """
    A time column of a frame as ns since 1970, NAT where missing or where there is no such column.

    Takes zone-aware times and RFC 3339 text; raises ValueError for times without a zone or far away, and for numbers.
    """
    if name not in frame.columns:
        return np.full(len(frame), NAT, np.int64)
    column = frame[name]
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        ns = nanoseconds(column)
    elif pd.api.types.is_datetime64_dtype(column.dtype):
        if column.notna().any():
            raise ValueError(f"`{name}` holds times without a zone; localise them to UTC first")
        ns = np.full(len(frame), NAT, np.int64)
    else:
        values = [_instant_in(name, row, value) for row, value in enumerate(column.tolist())]
        ns = np.array(values, np.int64)
    beyond = (ns != NAT) & ((ns < MIN_INSTANT) | (ns > MAX_INSTANT))
    if beyond.any():
        raise ValueError(
            f"`{name}` holds a time outside {format_instant(MIN_INSTANT)} to {format_instant(MAX_INSTANT)}"
        )
    return ns


def _instant_in(name: str, row: int, value: Any) -> int:
    if pd.isna(value) or value == "":
        return NAT
    if not isinstance(value, (str, datetime)):
        # Seconds, milliseconds or nanoseconds: a guess would be wrong by decades.
        raise ValueError(f"`{name}` holds `{plain(value)}` in row {row}, which is not a time; give zone-aware times")
    try:
        return as_instant(value)
    except ValueError as error:
        raise ValueError(f"`{name}` holds `{plain(value)}` in row {row}: {error}") from None
