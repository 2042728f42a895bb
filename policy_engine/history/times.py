"""Turns the times of exports into int64 nanoseconds: whole columns of RFC 3339 text at once, odd ones one by one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from policy_engine.periods import MAX_INSTANT, MIN_INSTANT, NAT, SECOND, parse_instant

Int64 = npt.NDArray[np.int64]

_LONGEST = 30  # 2026-01-08T00:00:00.123456789Z
_UNIX = re.compile(r"[0-9]{9,11}(\.[0-9]{1,9})?")
_FIRST_UNIX = 100_000_000
_LAST_UNIX = MAX_INSTANT // SECOND
"""Bounds of numbers that are instants (1973 to 2116): below stand lengths of time and sentinels, above milliseconds."""
_ZERO = "0001-01-01T00:00:00Z"
_ZERO_DAY = "0001-01-01"
_POWERS = 10 ** np.arange(8, -1, -1, dtype=np.int64)


def read_times(values: Sequence[object]) -> tuple[Int64, dict[int, str]]:
    """
    Read one time per value; returns the instants and, by position, what is wrong with those that cannot be read.

    Missing (None, "", the zero time of Go, 0) is NAT and no problem. A time is RFC 3339 text with a zone, or unix
    seconds as number or text; milliseconds and small numbers are problems, since a guess would be wrong by decades.
    """
    out = np.full(len(values), NAT, np.int64)
    if values.count(None) == len(values):
        return out, {}
    texts = [value if type(value) is str else "" for value in values]
    try:
        # One byte more than the longest fast form, so that a longer text shows there and is not cut unseen.
        raw = np.array(texts, dtype=f"S{_LONGEST + 1}")
    except UnicodeEncodeError:
        raw = np.empty(0, "S1")
    # A NUL looks like the end of a text there.
    is_plain = len(raw) == len(texts) and "\0" not in "".join(texts)
    regular = _read_regular(raw, out) if is_plain else np.zeros(len(values), bool)
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


def _read_regular(raw: npt.NDArray[np.bytes_], out: Int64) -> npt.NDArray[np.bool_]:
    """
    Fill `out` for texts of the form `YYYY-MM-DDTHH:MM:SS[.f{1,9}]Z`; returns which those are.

    The shape is checked byte by byte here; the calendar is numpy's, which refuses impossible dates.
    """
    count = len(raw)
    if not count:
        return np.zeros(0, bool)
    text = raw.view(np.uint8).reshape(count, _LONGEST + 1)
    digit = (text - 48) < 10
    ok = np.ones(count, bool)
    for place in (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18):
        ok &= digit[:, place]
    for place, mark in ((4, b"-"), (7, b"-"), (10, b"T"), (13, b":"), (16, b":")):
        ok &= text[:, place] == mark[0]
    zulu, end, point = ord("Z"), 0, ord(".")
    whole = ok & (text[:, 19] == zulu) & ~text[:, 20:].any(axis=1)
    fractional = ok & (text[:, 19] == point) & digit[:, 20]
    inside = fractional.copy()
    closed = np.zeros(count, bool)
    nanoseconds = np.where(inside, (text[:, 20].astype(np.int64) - 48) * _POWERS[0], 0)
    for place in range(21, _LONGEST + 1):
        here = text[:, place]
        closing = inside & (here == zulu)
        still = inside & digit[:, place] if place < 29 else np.zeros(count, bool)
        fractional &= closing | still | (closed & (here == end))
        if place < 29:
            nanoseconds += np.where(still, (here.astype(np.int64) - 48) * _POWERS[place - 20], 0)
        closed |= closing
        inside = still
    regular: npt.NDArray[np.bool_] = whole | (fractional & closed)
    # Other centuries go value by value: year 1 means "missing", and int64 nanoseconds end in 2262.
    century = text[:, 0].astype(np.int16) * 256 + text[:, 1]
    regular &= (century == ord("1") * 256 + ord("9")) | (century == ord("2") * 256 + ord("0"))
    rows = np.flatnonzero(regular)
    stems = np.ascontiguousarray(text[rows, :19]).view("S19").ravel()
    try:
        seconds = stems.astype("datetime64[s]").astype(np.int64)
    except ValueError:
        # Some date is impossible: let each value speak for itself.
        return np.zeros(count, bool)
    out[rows] = seconds * SECOND + nanoseconds[rows]
    return regular
