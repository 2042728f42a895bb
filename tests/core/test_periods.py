"""Instants and lengths of time: what is read, what is refused and in which words, and what is written back."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.periods import (
    DAY,
    DURATION_PATTERN,
    HOUR,
    MAX_INSTANT,
    MAX_PERIOD,
    MIN_INSTANT,
    MINUTE,
    NAT,
    SECOND,
    describe_duration,
    format_duration,
    format_instant,
    parse_date,
    parse_duration,
    parse_instant,
)


def test_units() -> None:
    """
    A second is 10^9 nanoseconds, and bounds leave room for a sum of an instant and a period in 64 bits.
    """
    assert (SECOND, MINUTE, HOUR, DAY) == (10**9, 60 * 10**9, 3600 * 10**9, 86_400 * 10**9)
    assert MAX_INSTANT + MAX_PERIOD < 2**63
    assert MIN_INSTANT - MAX_PERIOD > -(2**63) == NAT
    assert format_instant(MIN_INSTANT)[:4] == "1823"
    assert format_instant(MAX_INSTANT)[:4] == "2116"


DURATIONS = {
    "P0D": 0,
    "PT0S": 0,
    "P3D": 3 * DAY,
    "PT3H": 3 * HOUR,
    "PT90M": 90 * MINUTE,
    "PT1S": SECOND,
    "P1DT2H3M4S": DAY + 2 * HOUR + 3 * MINUTE + 4 * SECOND,
    "P1DT4S": DAY + 4 * SECOND,
    "P007D": 7 * DAY,
    "P36500D": 36_500 * DAY,
    "PT876000H": 876_000 * HOUR,
}


@pytest.mark.parametrize("text", DURATIONS)
def test_durations_are_read(text: str) -> None:
    """
    Days, hours, minutes and seconds add up, and the longest period is exactly a hundred years of 365 days.
    """
    assert parse_duration(text) == DURATIONS[text]
    assert re.search(DURATION_PATTERN, text)


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1DT", "3d", "3D", "P3", "P1W", "P1M", "P1Y", "P-1D", "-P1D", "+P1D", "p3d", "PT1.5H", "PT1S1H",
     "P1H", " P3D", "P3D ", "P3D\n", "P٣D", "P123456D", "PT1234567H", "P1DP1D", "PT1H2H"],
)  # fmt: skip
def test_other_texts_are_no_durations(text: str) -> None:
    """
    Anything else is refused, with the text and with two forms that would do.
    """
    with pytest.raises(ValueError, match=r"ISO 8601") as refused:
        parse_duration(text)
    assert str(refused.value) == (
        f"`{text}` is not an ISO 8601 duration in days, hours, minutes and seconds such as P3D or PT3H"
    )


@pytest.mark.parametrize("text", ["P36501D", "P36500DT1S", "PT876001H", "P99999D"])
def test_periods_of_more_than_a_century_are_refused(text: str) -> None:
    """
    A period beyond a hundred years is refused by name, by a second as by a century.
    """
    with pytest.raises(ValueError, match="longer") as refused:
        parse_duration(text)
    assert str(refused.value) == f"`{text}` is longer than 100 years"


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (0, "P0D"),
        (SECOND, "PT1S"),
        (MINUTE, "PT1M"),
        (HOUR, "PT1H"),
        (DAY, "P1D"),
        (90 * SECOND, "PT1M30S"),
        (25 * HOUR, "P1DT1H"),
        (DAY + HOUR + MINUTE + SECOND, "P1DT1H1M1S"),
        (400 * DAY, "P400D"),
    ],
)
def test_durations_have_one_canonical_form(length: int, text: str) -> None:
    """
    A length is written with the largest units that fit, and nothing that is zero but the nought of days.
    """
    assert format_duration(length) == text
    assert parse_duration(text) == length


@given(st.integers(0, MAX_PERIOD // SECOND))
def test_durations_survive_writing_and_reading(seconds: int) -> None:
    """
    What is written of a period reads back as the same period.
    """
    assert parse_duration(format_duration(seconds * SECOND)) == seconds * SECOND


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (0, "0 seconds"),
        (SECOND - 1, "0 seconds"),
        (SECOND, "1 second"),
        (2 * SECOND, "2 seconds"),
        (MINUTE, "1 minute"),
        (61 * SECOND, "1 minute 1 second"),
        (2 * HOUR, "2 hours"),
        (DAY + 2 * HOUR + 3 * MINUTE, "1 day 2 hours"),
        (2 * DAY + 5 * SECOND, "2 days 5 seconds"),
        (-(DAY + HOUR), "1 day 1 hour"),
        (-SECOND, "1 second"),
    ],
)
def test_lengths_in_words(length: int, words: str) -> None:
    """
    A length is told in its two largest units that are not zero, each in its number, past and future alike.
    """
    assert describe_duration(length) == words


INSTANTS = {
    "1970-01-01T00:00:00Z": 0,
    "1970-01-02T00:00:00Z": DAY,
    "1969-12-31T23:59:59Z": -SECOND,
    "1970-01-01T01:02:03Z": HOUR + 2 * MINUTE + 3 * SECOND,
    "1970-01-01t00:00:00z": 0,
    "1970-01-01 00:00:00Z": 0,
    "1970-01-01T00:00:00.1Z": SECOND // 10,
    "1970-01-01T00:00:00,5Z": SECOND // 2,
    "1970-01-01T00:00:00.000000001Z": 1,
    "1970-01-01T00:00:00.123456789Z": 123_456_789,
    "1970-01-01T08:00:00+08:00": 0,
    "2026-01-08T08:00:00.000000001+08:00": 20_461 * DAY + 1,
    "1970-01-01T05:45:00+0545": 0,
    "1969-12-31T20:30:00-03:30": 0,
    "1970-01-01T00:00:00-00:00": 0,
    "1970-01-01T23:59:00+23:59": 0,
    "2024-02-29T00:00:00Z": 19_782 * DAY,
    "0001-01-01T00:00:00Z": -719_162 * DAY,
    "9999-12-31T23:59:59Z": 2_932_897 * DAY - SECOND,
}


@pytest.mark.parametrize("text", INSTANTS)
def test_instants_are_read_exactly(text: str) -> None:
    """
    A time with a zone is its nanoseconds since 1970, before it and far beyond what 64 bits hold as well.
    """
    assert parse_instant(text) == INSTANTS[text]


FORM = "not an RFC 3339 time such as 2026-01-08T00:00:00Z"
NO_ZONE = "a time without a zone; add Z for UTC or an offset such as +08:00"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", FORM),
        ("yesterday", FORM),
        ("2026-01-08T00:00Z", FORM),
        ("2026-01-08T00:00:00.Z", FORM),
        ("2026-01-08T00:00:00.1234567890Z", FORM),
        ("2026-01-08T00:00:00Z ", FORM),
        ("2026-1-8T00:00:00Z", FORM),
        ("2026-01-08T00:00:00UTC", FORM),
        ("2026-01-08T00:00:00+8", FORM),
        ("2026-01-08", "a date without a time of day and a zone"),
        ("2026-01-08T00:00:00", NO_ZONE),
        ("2026-13-01T00:00:00", NO_ZONE),
        ("2026-01-08T00:00:00+24:00", "an impossible zone offset"),
        ("2026-01-08T00:00:00-00:60", "an impossible zone offset"),
    ],
)
def test_what_is_wrong_with_a_time_is_said(text: str, message: str) -> None:
    """
    A text that is no instant is refused in words that say what to write instead.
    """
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_instant(text)


@pytest.mark.parametrize(
    "text",
    ["2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-08T24:00:00Z", "2026-01-08T00:60:00Z",
     "2026-01-08T00:00:60Z"],
)  # fmt: skip
def test_impossible_times_are_refused(text: str) -> None:
    """
    A time that no calendar has is refused, and the calendar's reason is given.
    """
    with pytest.raises(ValueError, match=r"^an impossible time \(.*(month|day|hour|minute|second).*\)$"):
        parse_instant(text)


@given(st.datetimes(timezones=st.just(UTC)), st.integers(0, 999))
def test_instants_survive_writing_and_reading(moment: datetime, rest: int) -> None:
    """
    What is written of an instant reads back as the same instant, and agrees with Python's own times.
    """
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    instant = (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1_000 + rest
    text = format_instant(instant)
    assert parse_instant(text) == instant
    assert text[:19] == moment.replace(tzinfo=None).isoformat(timespec="seconds")


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (SECOND // 2, "1970-01-01T00:00:00.5Z"),
        (10 * SECOND, "1970-01-01T00:00:10Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (DAY - SECOND, "1970-01-01T23:59:59Z"),
        (23 * HOUR, "1970-01-01T23:00:00Z"),
        (DAY + 61 * SECOND, "1970-01-02T00:01:01Z"),
    ],
)
def test_instants_are_written_in_full(instant: int, text: str) -> None:
    """
    An instant is written with `Z`, and with as many digits of its second as it has.
    """
    assert format_instant(instant) == text


def test_dates_are_read() -> None:
    """
    A day of the calendar is read, and nothing else: the message says which of both it is not.
    """
    assert parse_date("2024-02-29") == date(2024, 2, 29)
    for text in ("2026-1-8", "2026-01-08T00:00:00Z", "20260108", " 2026-01-08"):
        with pytest.raises(ValueError, match="date") as refused:
            parse_date(text)
        assert str(refused.value) == f"`{text}` is not a date such as 2026-01-08"
    with pytest.raises(ValueError, match=r"^`2026-02-30` is an impossible date \(.*day.*\)$"):
        parse_date("2026-02-30")
