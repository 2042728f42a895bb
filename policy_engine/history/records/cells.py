"""Reads the cells of a record that need more than a look at their type, in the spellings that exports have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from policy_engine.core.fact_domain import read_boolean
from policy_engine.history.decoding import kind_of
from policy_engine.history.records.outputs import Report

MAX_USAGE = 10**12
"""A task that cost more says something else; sums over a chunk stay inside int64."""
ZERO_DATE = "0001-01-01"
"""How the time of Go begins that was never set."""
_LONGEST_NUMBER = 24
_WHOLE_FLOATS = 2**53
"""Below it a number with a fractional point is a whole number exactly."""


def read_pool(parts: Sequence[Mapping[str, Any]], report: Report) -> bool | None:
    """Whether the task ran on the user's own account, by the first part of its record that says so."""
    for part in parts:
        value = part.get("is_using_private_pool")
        if type(value) is bool:
            return value
        if value is None or value == "":
            continue
        known = read_boolean(value)
        if known is not None:
            return known
        report("unreadable_private_pool", "is_using_private_pool", kind_of(value))
    return None


def read_usage(meta: Mapping[str, Any], record: Mapping[str, Any], report: Report) -> tuple[int | None, str | None]:
    """What the task cost and the unit of that, from its `meta` or from the fields of a flat record."""
    usage = meta.get("usage")
    if type(usage) is dict:
        return read_amount(usage.get("consume"), "usage.consume", report), word(usage.get("type"))
    if usage is not None:
        report("unreadable_part", "meta.usage", kind_of(usage))
    for name in ("quota_usage", "quota_used"):
        if meta.get(name) is not None:
            return read_amount(meta.get(name), name, report), name
    for name in ("consume", "usage"):
        if record.get(name) not in (None, ""):
            return read_amount(record.get(name), name, report), word(record.get("usage_type"))
    return None, word(record.get("usage_type"))


def read_amount(value: object, name: str, report: Report) -> int | None:
    """A whole number of units, also in the spellings of spreadsheets; None for none."""
    if value is None or value == "":
        return None
    number: object = value
    if type(value) is float and value.is_integer():
        number = int(value)
    elif type(value) is str and len(value) <= _LONGEST_NUMBER and value.isascii():
        digits, _, fraction = value.strip().partition(".")
        number = int(digits) if digits.isdigit() and not fraction.strip("0") else None
    if type(number) is int and 0 <= number <= MAX_USAGE:
        return number
    report("unreadable_usage", name, kind_of(value))
    return None


def is_missing(time: object) -> bool:
    """True for no time and for Go's zero time, so that another field may tell."""
    return not time or (type(time) is str and time[:10] == ZERO_DATE)


def first_time(*times: object) -> object:
    """The first that is there; else the first as it stands, which may be of a kind to report."""
    return next((time for time in times if not is_missing(time)), None if times[0] == "" else times[0])


def is_whole(value: object) -> TypeGuard[float]:
    """True for a float that stands for one integer; tables turn integers into floats where some are missing."""
    return type(value) is float and value.is_integer() and abs(value) < _WHOLE_FLOATS


def word(value: object) -> str | None:
    """A text that is not empty."""
    return value or None if type(value) is str else None


def identifier(value: object) -> str | None:
    """An id as text, which tables may hold as a number."""
    if is_whole(value):
        return str(int(value))
    return value or None if type(value) is str else str(value) if type(value) is int else None
