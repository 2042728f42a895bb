"""Turns text into instants and lengths of time: int64 nanoseconds since 1970-01-01T00:00:00Z, always UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

NAT = -(2**63)
"""Stands for "not recorded" wherever instants are int64 (the same bits as pandas' NaT)."""
MIN_INSTANT = -(2**62)
MAX_INSTANT = 2**62
"""Bounds of usable instants (1823 to 2116): sums of an instant and a period stay inside int64."""
MAX_PERIOD = 100 * 365 * DAY
"""Longest period a rule may state, about 100 years."""

DURATION_PATTERN = r"^P(?=[0-9T])([0-9]{1,5}D)?(T(?=[0-9])([0-9]{1,6}H)?([0-9]{1,7}M)?([0-9]{1,9}S)?)?$"
"""ISO 8601 durations in days, hours, minutes and seconds; the schemas use the same pattern."""
_DURATION = re.compile(
    r"P(?=[0-9T])(?:([0-9]{1,5})D)?(?:T(?=[0-9])(?:([0-9]{1,6})H)?(?:([0-9]{1,7})M)?(?:([0-9]{1,9})S)?)?"
)
_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):?([0-9]{2}))?"
)
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")


@dataclass(frozen=True)
class Interval:
    """A half-open stretch of time `[start, end)` in nanoseconds; None means unbounded on that side."""

    start: int | None
    """First instant inside, or None."""
    end: int | None
    """First instant no longer inside, or None."""


def parse_duration(text: str) -> int:
    """
    Read an ISO 8601 duration (`P3D`, `PT3H`, `P1DT12H`) as nanoseconds.

    Raises ValueError for anything else: weeks, months and years have no fixed place here, and `3d` is not ISO.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(
            f"`{text}` is not an ISO 8601 duration in days, hours, minutes and seconds such as P3D or PT3H"
        )
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    length = days * DAY + hours * HOUR + minutes * MINUTE + seconds * SECOND
    if length > MAX_PERIOD:
        raise ValueError(f"`{text}` is longer than 100 years")
    return length


def format_duration(length: int) -> str:
    """Write nanoseconds as the canonical ISO 8601 duration (whole seconds)."""
    days, rest = divmod(length, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds = rest // SECOND
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    return "P" + (f"{days}D" if days or not clock else "") + (f"T{clock}" if clock else "")


def describe_duration(length: int) -> str:
    """Say a length of time in words with its two largest units (`2 days 4 hours`), whatever its sign."""
    length = abs(length)
    parts = []
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second")):
        count, length = divmod(length, unit)
        if count:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
    return " ".join(parts[:2]) or "0 seconds"


def parse_instant(text: str) -> int:
    """
    Read an RFC 3339 time with 0 to 9 fractional digits and `Z` or an offset as nanoseconds since 1970, exactly.

    Raises ValueError saying what is wrong; a time without a zone is refused, never read as UTC.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        if _DATE.fullmatch(text):
            raise ValueError("a date without a time of day and a zone")
        raise ValueError("not an RFC 3339 time such as 2026-01-08T00:00:00Z")
    year, month, day, hour, minute, second = (int(match.group(i)) for i in range(1, 7))
    if match.group(8) is None and match.group(9) is None:
        raise ValueError("a time without a zone; add Z for UTC or an offset such as +08:00")
    try:
        whole = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"an impossible time ({error})") from None
    offset = 0
    if match.group(9) is not None:
        hours, minutes = int(match.group(10)), int(match.group(11))
        if hours > 23 or minutes > 59:
            raise ValueError("an impossible zone offset")
        offset = (hours * HOUR + minutes * MINUTE) * (1 if match.group(9) == "+" else -1)
    days = whole.toordinal() - date(1970, 1, 1).toordinal()
    clock = hour * HOUR + minute * MINUTE + second * SECOND
    return days * DAY + clock + int((match.group(7) or "0").ljust(9, "0")) - offset


def format_instant(instant: int) -> str:
    """Write nanoseconds since 1970 as RFC 3339 with `Z`; a fraction only where there is one, without trailing zeros."""
    seconds, fraction = divmod(instant, SECOND)
    days, clock = divmod(seconds, 86_400)
    day = date.fromordinal(date(1970, 1, 1).toordinal() + days).isoformat()
    tail = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{day}T{clock // 3600:02d}:{clock // 60 % 60:02d}:{clock % 60:02d}{tail}Z"


def parse_date(text: str) -> date:
    """Read `YYYY-MM-DD`; raises ValueError when it is not a day of the calendar."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is not a date such as 2026-01-08")
    try:
        return date(*(int(part) for part in match.groups()))
    except ValueError as error:
        raise ValueError(f"`{text}` is an impossible date ({error})") from None
