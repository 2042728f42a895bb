"""Turns the times of exports into int64 nanoseconds: whole columns of RFC 3339 text at once, odd ones one by one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt

from policy_engine.core.periods import MAX_INSTANT, MIN_INSTANT, NAT, SECOND, parse_instant

Int64 = npt.NDArray[np.int64]

_UNIX = re.compile(r"[0-9]{9,11}(\.[0-9]{1,9})?")
_FIRST_UNIX = 100_000_000
_LAST_UNIX = MAX_INSTANT // SECOND
"""Bounds of numbers that are instants (1973 to 2116): smaller are durations and sentinels, larger are milliseconds."""
_FEW = 64
"""Values up to which a column that holds an impossible date is read one by one."""
_ZERO = "0001-01-01T00:00:00Z"
_ZERO_DAY = "0001-01-01"


def read_times(values: Sequence[object]) -> tuple[Int64, dict[int, str]]:
    """
    Read one time per value; returns the instants and, by position, what is wrong with those that cannot be read.

    Missing (None, "", the zero time of Go, 0) is NAT and no problem. A time is RFC 3339 text with a zone, or unix
    seconds as number or text; milliseconds and small numbers are problems, since a guess would be wrong by decades.
    """
    out = np.full(len(values), NAT, np.int64)
    if not any(values) and values.count(None) == len(values):
        return out, {}
    regular = _read_regular(values, out)
    problems: dict[int, str] = {}
    for row in np.flatnonzero(~regular).tolist():
        value = values[row]
        if value is None or value == "" or value == _ZERO:
            continue
        try:
            out[row] = read_time(value)
        except ValueError as error:
            problems[row] = str(error)
    return out, problems


def read_time(value: object) -> int:
    """Read one time: RFC 3339 text with a zone, or unix seconds as number or text; NAT for the zero time."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("not a time but a value of another kind")
    if isinstance(value, str):
        text = value.strip()
        if not text or text == "0" or text.startswith(_ZERO_DAY):
            return NAT
        if not _UNIX.fullmatch(text):
            return _within(parse_instant(text))
        seconds = Decimal(text)
    elif value == 0:
        return NAT
    else:
        # Integers of thousands of digits, infinities and NaN must not get any further.
        seconds = Decimal(str(value)) if abs(value) <= _LAST_UNIX else Decimal(0)
    if not _FIRST_UNIX <= seconds <= _LAST_UNIX:
        raise ValueError("a number that is not a unix time in seconds")
    return int(seconds * SECOND)


def _within(instant: int) -> int:
    if not MIN_INSTANT <= instant <= MAX_INSTANT:
        raise ValueError("a time outside the years 1824 to 2116")
    return instant


def _read_regular(values: Sequence[Any], out: Int64) -> npt.NDArray[np.bool_]:
    """Fill `out` for values that are RFC 3339 text of the common form; returns which those are."""
    # Checking each value costs more than reading it, so types are checked only where pyarrow refuses the column.
    regular = _read_column(values, out)
    if regular is None and not set(map(type, values)) <= {str, NoneType}:
        values = [value if type(value) is str else "" for value in values]
        regular = _read_column(values, out)
    if regular is not None:
        return regular
    if len(values) <= _FEW:
        return np.zeros(len(values), bool)
    # One impossible date leaves most of the column to pyarrow.
    middle = len(values) // 2
    halves = [_read_regular(values[:middle], out[:middle]), _read_regular(values[middle:], out[middle:])]
    return np.concatenate(halves)


def _read_column(texts: Sequence[Any], out: Int64) -> npt.NDArray[np.bool_] | None:
    """
    Do what `_read_regular` does, or return None where pyarrow refuses the column.

    It refuses all values except text and bytes, and no reader gives bytes.
    """
    import pyarrow as pa

    try:
        column = pa.array(texts, pa.string())
        edges = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1)
        text = np.frombuffer(column.buffers()[2] or b"", np.uint8)
        # As wide as an index, since NumPy would widen them again for each use.
        starts, ends = edges[:-1].astype(np.intp), edges[1:].astype(np.intp)
        # Of the texts that pyarrow reads, those with these marks at these positions are of the regular form.
        regular: npt.NDArray[np.bool_] = ends - starts >= len(_ZERO)
        rows = np.flatnonzero(regular)
        starts, ends = starts[rows], ends[rows]
        after = text[starts + 19]
        is_utc = text[ends - 1] == ord("Z")
        is_offset = (text[ends - 3] == ord(":")) & ((text[ends - 6] == ord("+")) | (text[ends - 6] == ord("-")))
        is_time = (is_utc & ((after == ord(".")) | (after == ord("Z")))) | (
            is_offset & (ends - starts >= len(_ZERO) + 5) & ((after == ord(".")) | (ends - starts == len(_ZERO) + 5))
        )
        is_time &= text[starts + 10] == ord("T")
        century = text[starts].astype(np.int16) * 256 + text[starts + 1]
        is_time &= (century == ord("1") * 256 + ord("9")) | (century == ord("2") * 256 + ord("0"))
        regular[rows[~is_time]] = False
        instants = column.filter(pa.array(regular)).cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy()
    except (pa.ArrowException, UnicodeEncodeError):
        # A text looks like a time and is not one: the exact way finds it.
        return None
    out[regular] = instants
    return regular
