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

_LONGEST = 30  # 2026-01-08T00:00:00.123456789Z
_UNIX = re.compile(r"[0-9]{9,11}(\.[0-9]{1,9})?")
_FIRST_UNIX = 100_000_000
_LAST_UNIX = MAX_INSTANT // SECOND
"""Bounds of numbers that are instants (1973 to 2116): below stand lengths of time and sentinels, above milliseconds."""
_FIRST_YEAR = 1900
"""First year of the times that are read a column at a time."""
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
    # Looking at each value costs more than reading it, so what pyarrow takes for text is not looked at before.
    regular = _read_with_arrow(values, out)
    if regular is None:
        texts: Sequence[Any] = values
        if not set(map(type, values)) <= {str, NoneType}:
            texts = [value if type(value) is str else "" for value in values]
            regular = _read_with_arrow(texts, out)
        if regular is None:
            regular = _read_with_numpy(texts, out)
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
        raise ValueError("a number that is no unix time in seconds")
    return int(seconds * SECOND)


def _within(instant: int) -> int:
    if not MIN_INSTANT <= instant <= MAX_INSTANT:
        raise ValueError("a time outside the years 1824 to 2116")
    return instant


def _read_with_arrow(texts: Sequence[Any], out: Int64) -> npt.NDArray[np.bool_] | None:
    """
    Do what `_read_with_numpy` does with pyarrow, in a third of the time; None where it is missing or refuses.

    It refuses all other values than text, but for bytes, which no reader gives.
    """
    try:
        import pyarrow as pa
    except ImportError:
        return None
    try:
        column = pa.array(texts, pa.string())
        edges = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1)
        text = np.frombuffer(column.buffers()[2] or b"", np.uint8)
        # As wide as places are, since NumPy would widen them again for each look.
        starts, ends = edges[:-1].astype(np.intp), edges[1:].astype(np.intp)
        # Of the texts that pyarrow reads, those with these marks in these places are of the regular form.
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
        # One text that looks like a time is none: the exact way finds it.
        return None
    out[regular] = instants
    return regular


def _read_with_numpy(texts: Sequence[str | None], out: Int64) -> npt.NDArray[np.bool_]:
    """
    Fill `out` for texts of the form `YYYY-MM-DDTHH:MM:SS[.f{1,9}]Z` in the years 1900 to 2099; returns which those are.
    """
    try:
        # One byte more than the longest regular text, so that a longer one shows there and is not cut unseen.
        raw = np.array(texts, dtype=f"S{_LONGEST + 1}")
    except UnicodeEncodeError:
        return np.zeros(len(texts), bool)
    # A NUL looks like the end of a text there.
    if "\0" in "".join(filter(None, texts)):
        return np.zeros(len(texts), bool)
    return _read_regular(raw, out)


def _read_regular(raw: npt.NDArray[np.bytes_], out: Int64) -> npt.NDArray[np.bool_]:
    """
    Fill `out` for texts of the form `YYYY-MM-DDTHH:MM:SS[.f{1,9}]Z`; returns which those are.

    The shape is checked byte by byte here; the calendar is numpy's, which refuses impossible dates.
    """
    count = len(raw)
    if not count:
        return np.zeros(0, bool)
    # One row per place in the text, so that each step runs along memory.
    text = np.ascontiguousarray(raw.view(np.uint8).reshape(count, _LONGEST + 1).T)
    value = text - np.uint8(48)
    digit = value < 10
    ok = np.ones(count, bool)
    for place in (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18):
        ok &= digit[place]
    for place, mark in ((4, b"-"), (7, b"-"), (10, b"T"), (13, b":"), (16, b":")):
        ok &= text[place] == mark[0]
    zulu, end, point = ord("Z"), 0, ord(".")
    # Other centuries go value by value: year 1 means "missing", and int64 nanoseconds end in 2262.
    ok &= ((value[0] == 1) & (value[1] == 9)) | ((value[0] == 2) & (value[1] == 0))
    whole = ok & (text[19] == zulu) & (text[20] == end)
    fractional = ok & (text[19] == point) & digit[20]
    inside = fractional.copy()
    closed = np.zeros(count, bool)
    fraction = np.where(inside, value[20], np.uint8(0)).astype(np.int32)
    for place in range(21, _LONGEST + 1):
        here = text[place]
        closing = inside & (here == zulu)
        still = inside & digit[place] if place < 29 else np.zeros(count, bool)
        fractional &= closing | still | (closed & (here == end))
        if place < 29:
            fraction *= np.int32(10)
            fraction += np.where(still, value[place], np.uint8(0))
        closed |= closing
        inside = still
    regular: npt.NDArray[np.bool_] = whole | (fractional & closed)

    def number(*places: int) -> npt.NDArray[np.int32]:
        total = np.zeros(count, np.int32)
        for place in places:
            total = total * np.int32(10) + value[place]
        return total

    hour, minute, second = number(11, 12), number(14, 15), number(17, 18)
    month, day = number(5, 6), number(8, 9)
    regular &= (hour < 24) & (minute < 60) & (second < 60) & (month - 1 < 12) & (month > 0) & (day < 32)
    midnight = _midnights(np.where(regular, ((number(0, 1, 2, 3) - _FIRST_YEAR) * 16 + month) * 32 + day, 0))
    if midnight is None:
        # Some date is impossible: let each value speak for itself.
        return np.zeros(count, bool)
    seconds = midnight + (hour * np.int32(3600) + minute * np.int32(60) + second)
    out[:] = np.where(regular, seconds * SECOND + fraction, out)
    return regular


def _midnights(dates: npt.NDArray[np.int32]) -> Int64 | None:
    """
    Seconds since 1970 of dates coded as ((year - 1900) * 16 + month) * 32 + day; 0 where there is none.

    Returns None if any does not exist. Each distinct date is looked up once.
    """
    present = np.flatnonzero(np.bincount(dates, minlength=1)).tolist()
    table = np.zeros(int(present[-1]) + 1, np.int64)
    named = [code for code in present if code]
    try:
        found = np.array(
            [f"{_FIRST_YEAR + (code >> 9)}-{code >> 5 & 15:02}-{code & 31:02}" for code in named], "datetime64[s]"
        )
    except ValueError:
        return None
    table[named] = found.astype(np.int64)
    midnights: Int64 = table[dates]
    return midnights
