"""Puts times, amounts and counts into words."""

from __future__ import annotations

from decimal import Decimal

from policy_engine.core.periods import DAY, NAT, SECOND, describe_duration, format_instant

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip


def time_left(instant: int, as_of: int) -> str:
    """`in 3 hours 10 minutes` or `2 days ago`; empty for NAT."""
    if instant == NAT:
        return ""
    away = instant - as_of
    if abs(away) < SECOND:
        return "at this instant" if away <= 0 else "in less than a second"
    return f"in {describe_duration(away)}" if away > 0 else f"{describe_duration(away)} ago"


def instant_text(instant: int) -> str:
    """RFC 3339, or empty for NAT."""
    return "" if instant == NAT else format_instant(instant)


def day_and_time(instant: int) -> str:
    """`8 January 2026, 00:00 UTC`."""
    text = format_instant(instant)
    seconds = "" if text[17:19] == "00" else f":{text[17:19]}"
    return f"{int(text[8:10])} {MONTHS[int(text[5:7]) - 1]} {text[:4]}, {text[11:16]}{seconds} UTC"


def day_label(instant: int) -> str:
    """`8 Jan 06:00`."""
    text = format_instant(instant)
    return f"{int(text[8:10])} {MONTHS[int(text[5:7]) - 1][:3]} {text[11:16]}"


def usd(points: int, points_per_usd: int) -> str:
    """Points as exact decimal text in dollars, at least two decimals."""
    value = Decimal(points) / Decimal(points_per_usd)
    text = f"{value:f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def count_of(number: int, noun: str, plural: str | None = None) -> str:
    """`1 file`, `12,345 files`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def age_in_days(day_ns: int, as_of: int) -> int:
    """Whole days from an instant to as_of, not negative."""
    return max(0, (as_of - day_ns) // DAY)
