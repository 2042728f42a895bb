"""A second reading of the instants of a report, in a zone that the user named."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LocalTimes:
    """A second reading of instants, in the zone that the user named."""

    zone: str
    """Name in the time-zone database (`Europe/Berlin`)."""
    as_of: str
    """`8 January 2026, 01:00 (UTC+01:00)`."""
    next_deadline: str
    """The same of the next deadline, or empty."""
    next_window: str
    month: str
    """The month in which as_of lies there (`January 2026`)."""
    month_start: str
    """RFC 3339 in UTC: the first instant of that month there."""
    month_end: str
    """RFC 3339 in UTC: the first instant after it."""
