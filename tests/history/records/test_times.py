"""Times: the reader of whole columns agrees with the slow parser on every text, valid or nearly so."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy_engine.core.periods import MAX_INSTANT, MIN_INSTANT, NAT, SECOND, parse_instant
from policy_engine.history.records import times
from policy_engine.history.records.times import read_time, read_times


def slow(text: str) -> int | None:
    """What the slow parser makes of one text, within the bounds of usable instants; None = a problem."""
    try:
        instant = parse_instant(text.strip())
    except ValueError:
        return None
    return instant if MIN_INSTANT <= instant <= MAX_INSTANT else None


def check(texts: list[str]) -> None:
    """Compare a whole column with the slow parser, text by text."""
    instants, problems = read_times(texts)
    for row, text in enumerate(texts):
        if text.strip() in ("", "0") or text.strip().startswith("0001-01-01"):
            assert (instants[row], row in problems) == (NAT, False)
        elif text.strip().replace(".", "", 1).isdigit() and text.isascii() and "-" not in text:
            continue  # unix seconds have tests of their own
        else:
            expected = slow(text)
            assert instants[row] == (NAT if expected is None else expected), text
            assert (row in problems) == (expected is None), text


years = st.sampled_from(
    [1, 999, 1823, 1824, 1899, 1900, 1969, 1970, 1999, 2000, 2024, 2026, 2099, 2100, 2116, 2117, 2262, 9999]
)
two_digits = st.integers(0, 99)
seldom = st.one_of(st.integers(0, 12), st.integers(1, 31), two_digits)


@st.composite
def near_times(draw: st.DrawFn) -> str:
    """Texts of the right form with any numbers, and now and then a wrong character."""
    clock = st.one_of(st.integers(0, 23), st.sampled_from([24, 59, 60, 61, 99]))
    fraction = draw(st.one_of(st.just(""), st.from_regex(r"[.,][0-9]{1,10}", fullmatch=True), st.just(".")))
    zone = draw(
        st.sampled_from(
            ["Z", "z", "+08:00", "-00:00", "+0530", "+24:00", "+08", "", " Z", "ZZ", "Z\0", "Z\0Z", "\0", "Zx"]
        )
    )
    text = (
        f"{draw(years):04d}-{draw(seldom):02d}-{draw(seldom):02d}{draw(st.sampled_from('TTTTt  _'))}"
        f"{draw(clock):02d}:{draw(clock):02d}:{draw(clock):02d}{fraction}{zone}"
    )
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(text)))
        odd = draw(st.sampled_from(["\0", "0", "9", ":", "-", "Z", " ", "\u0663", "\ud800", "\uff11", "x" * 12]))
        text = text[:place] + odd + text[place + draw(st.integers(0, 1)) :]
    return text


valid_times = st.builds(
    lambda moment, digits, zone: moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + digits + zone,
    st.datetimes(datetime(1900, 1, 1), datetime(2099, 12, 31)),  # noqa: DTZ001 - the zone is written beside it
    st.from_regex(r"(\.[0-9]{1,9})?", fullmatch=True),
    st.sampled_from(["Z", "Z", "Z", "+00:00", "-11:30"]),
)


@given(st.lists(st.one_of(valid_times, near_times(), st.text(max_size=40)), max_size=12))
@example(["2026-01-08T00:00:00Z\0"])
@example(["2026-01-08T00:00:00.123456789Z\0"])
@example(["2026-01-08T00:00:00.123456789Z0"])
@example(["2026-01-08T00:00:00.1234567890Z"])
@example(["2026-01-08T00:00:00Z" + "\0" * 11 + "x"])
@example(["2026-01-08T00:00:00.12\0Z"])
@example(["2026-01-08t00:00:00z", "2026-01-08T00:00:00,5Z", "2026-01-08 00:00:00Z"])
@example(["1899-12-31T23:59:59.999999999Z", "1900-01-01T00:00:00Z"])
@example(["2099-12-31T23:59:59.999999999Z", "2100-01-01T00:00:00Z"])
@example(["2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775808Z", "9999-12-31T23:59:59Z"])
@example(["1823-11-12T00:00:00Z", "1824-01-01T00:00:00Z", "2116-01-01T00:00:00Z", "2116-12-31T00:00:00Z"])
@example(["2026-02-30T00:00:00Z", "2026-01-08T00:00:00Z"])
@example(["2016-12-31T23:59:60Z", "2026-01-08T24:00:00Z", "2026-13-01T00:00:00Z", "2026-00-00T00:00:00Z"])
@example(["2000-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-02-29T00:00:00Z"])
@example(["2026-01-08T00:00:00.Z", "2026-01-08T00:00:00", "2026-01-08", "+026-01-08T00:00:00Z"])
@example(["\ud800", "2026-01-08T00:00:00Z"])
def test_columns_are_read_like_single_times(texts: list[str]) -> None:
    """A column is read exactly as the slow parser reads each of its texts: the same instants, the same problems."""
    check(texts)


@given(st.lists(valid_times, min_size=1, max_size=30), near_times())
def test_one_odd_time_does_not_change_the_others(texts: list[str], odd: str) -> None:
    """Whatever stands in one place of a column, the other places are read as they would be without it."""
    alone, _ = read_times(texts)
    together, _ = read_times([*texts, odd])
    assert together[:-1].tolist() == alone.tolist()


@pytest.mark.parametrize("missing", [None, "", " ", 0, 0.0, "0", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z",
                                     "0001-01-01T00:00:00+08:00", "0001-01-01 00:00:00 +0000 UTC"])  # fmt: skip
def test_missing_times(missing: object) -> None:
    """None, empty text, zero and Go's zero time are no time and no problem."""
    instants, problems = read_times([missing, "2026-01-08T00:00:00Z"])
    assert instants.tolist() == [NAT, parse_instant("2026-01-08T00:00:00Z")]
    assert problems == {}


@given(st.integers(100_000_000, MAX_INSTANT // SECOND - 1))
def test_unix_seconds(seconds: int) -> None:
    """Whole seconds since 1970, as number or text, are exact."""
    values: list[object] = [seconds, str(seconds), float(seconds), f"{seconds}.25"]
    instants, problems = read_times(values)
    assert problems == {}
    assert instants.tolist() == [seconds * SECOND] * 3 + [seconds * SECOND + SECOND // 4]


@pytest.mark.parametrize("number", [
    -1, 1, 86_400, 99_999_999, -1_767_693_600, 1_767_693_600_000, 10**18, 10**400, 1e300, float("inf"), float("-inf"),
    float("nan"), True, False, [], {}, "1767693600000", "12345678", "-1767693600", "1767693600Z", "1e9", "\u0661" * 10,
])  # fmt: skip
def test_numbers_that_are_no_unix_seconds(number: object) -> None:
    """Milliseconds, lengths of time, negative and endless numbers are problems; none is turned into an instant."""
    instants, problems = read_times([number])
    assert instants.tolist() == [NAT]
    assert list(problems) == [0]


def test_problem_says_what_is_wrong() -> None:
    """The problem of a time without a zone says that the zone is missing, and that of a number what was expected."""
    _, problems = read_times(["2026-01-08T00:00:00", 5, "2026-02-30T00:00:00Z", "2026-01-08", [1]])
    for row, word in enumerate(["zone", "unix", "impossible", "date", "kind"]):
        assert word in problems[row]


def test_empty_column() -> None:
    """A column without values is read without ado."""
    instants, problems = read_times([])
    assert (len(instants), problems) == (0, {})


@given(st.datetimes(datetime(1970, 1, 2), datetime(2110, 1, 1)), st.integers(0, 999_999_999))  # noqa: DTZ001 - UTC below
def test_instants_are_those_of_the_calendar(moment: datetime, nanoseconds: int) -> None:
    """A time is the number of nanoseconds since 1970 that the calendar says."""
    whole = moment.replace(microsecond=0, tzinfo=UTC)
    text = f"{whole:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
    assert read_time(text) == int(whole.timestamp()) * SECOND + nanoseconds


@given(near_times())
@example("2026-01-08T00:00:00.Z")
@example("2026-01-08T00:00:00,5Z")
@example("2026-01-08T00:00:00 Z")
@example("2026-01-08T00:00:60Z")
@example("2026-02-29T00:00:00Z")
@example("2026-01-08T24:00:00Z")
@example("2026-01-08T00:00:00.1234567890Z")
def test_a_column_is_read_as_the_slow_parser_reads_it(text: str) -> None:
    """What is read as part of a column is what the slow parser reads."""
    out = np.zeros(2, np.int64)
    regular = times._read_column(["2026-01-08T01:02:03.000000009Z", text], out)
    if regular is not None and regular[1]:
        assert out.tolist() == [parse_instant("2026-01-08T01:02:03.000000009Z"), slow(text)]


def test_regular_times_of_a_column_are_read_together() -> None:
    """The regular times of a column are read together, where it has missing and local ones too."""
    texts = ["2026-01-08T01:02:03.5Z", None, "", "0001-01-01T00:00:00Z", "2026-01-08T01:02:03+08:00"]
    regular = times._read_column(texts, np.zeros(len(texts), np.int64))
    assert regular is not None
    assert regular.tolist() == [True, False, False, False, True]


def test_times_of_other_zones_are_read_together_too() -> None:
    """A time with an offset is part of the column like any other."""
    texts = ["2026-01-08T01:02:03.5+08:00", "2026-01-08T01:02:03-00:30"]
    out = np.zeros(2, np.int64)
    assert times._read_column(texts, out) is not None
    assert out.tolist() == [slow(text) for text in texts]


def test_an_impossible_date_leaves_the_column_to_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few values of a long column are read one by one because one of them is not a date."""
    asked: list[object] = []
    exact = times.read_time

    def read(value: object) -> int:
        asked.append(value)
        return exact(value)

    monkeypatch.setattr(times, "read_time", read)
    texts = ["2026-01-08T01:02:03Z"] * 5_000
    texts[3_210] = "2026-02-30T01:02:03Z"
    instants, problems = times.read_times(texts)
    assert list(problems) == [3_210]
    assert set(np.delete(instants, 3_210).tolist()) == {parse_instant("2026-01-08T01:02:03Z")}
    assert len(asked) <= times._FEW
