"""The column-wise CSV writer gives the same bytes as the one that writes line by line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import example, given
from hypothesis import strategies as st

from policy_engine.core.frames import categorical, integers, utc_times
from policy_engine.core.periods import MAX_INSTANT, MIN_INSTANT, NAT, SECOND
from policy_engine.core.text.csv_blocks import csv_lines
from policy_engine.core.text.csv_cells import to_bytes, to_csv_lines

texts = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["", "a,b", 'a"b', "a;b", "=1+1", " =1", "a;=1", "-7", "a\nb", "a\0b", "\uff1d1", "é", "Zé", "0", "'"]
    ),
)
instants = st.one_of(
    st.just(NAT),
    st.integers(MIN_INSTANT, MAX_INSTANT),
    st.integers(MIN_INSTANT // SECOND, MAX_INSTANT // SECOND).map(lambda second: second * SECOND),
    st.integers(MIN_INSTANT // SECOND, MAX_INSTANT // SECOND).map(lambda second: second * SECOND + 120_000_000),
)


def frame_of(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """A frame with a column of each kind that findings have."""
    text, word, instant, number, amount, mark = zip(*rows, strict=True) if rows else ((),) * 6
    words = list(dict.fromkeys(one for one in word if one is not None))
    codes = np.array([-1 if one is None else words.index(one) for one in word], np.int64)
    missing = np.array([one is None for one in number], bool)
    return pd.DataFrame({
        "text": pd.array(list(text), dtype="str"),
        "word": categorical(codes, words),
        "time": utc_times(np.array(instant, np.int64)),
        "number": integers(np.array([one or 0 for one in number], np.int64), missing),
        "amount": pd.array(list(amount), dtype="Float64"),
        "mark": np.array(mark, bool),
        "last": pd.array(list(text)[::-1], dtype="str"),
    })  # fmt: skip


def both(frame: pd.DataFrame) -> None:
    """Compare both writers, all lines and single ones."""
    expected = [to_bytes(line) for line in to_csv_lines(frame)]
    found = csv_lines(frame)
    assert bytes(found.data) == b"".join(expected)
    assert found.sizes.tolist() == [len(line) for line in expected]
    some = np.arange(len(frame))[::2]
    assert found.rows(some) == b"".join(expected[row] for row in some.tolist())


rows = st.tuples(
    st.one_of(st.none(), texts),
    st.one_of(st.none(), texts),
    instants,
    st.one_of(st.none(), st.integers(-(2**62), 2**62)),
    st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.1, 1e-7, 1e22, 3.0])),
    st.booleans(),
)


@given(st.lists(rows, max_size=6))
@example([])
@example([("half \ud83d", None, NAT, None, None, True)])
def test_same_bytes(given_rows: list[tuple[Any, ...]]) -> None:
    """Whatever stands in a frame, both writers write the same."""
    try:
        frame = frame_of(given_rows)
    except UnicodeEncodeError:
        return  # such text cannot be in a column of this kind
    both(frame)


def test_slices_of_frames() -> None:
    """Rows out of the middle of a larger frame are written like any others."""
    frame = frame_of([(f"t{row},", f"w{row % 2}", row * SECOND, row, row / 4, bool(row % 3)) for row in range(20)])
    both(frame.iloc[5:9])
    both(frame.iloc[::3])


def test_more_words_than_are_written_together() -> None:
    """Columns of more words than their neighbours, and more neighbours than one number tells apart, are written too."""
    count = 700
    numbers = np.random.default_rng(1).integers(-1, 250, (14, count))
    columns: dict[str, Any] = {
        f"word{place}": categorical(codes, [f"w{word}," if word % 7 else f"={word}" for word in range(250)])
        for place, codes in enumerate(numbers)
    }
    columns["many"] = categorical(np.arange(count), [f"{word};" for word in range(count)])
    columns["small"] = integers(np.arange(count) % 256, np.arange(count) % 5 == 0)
    columns["large"] = integers(np.arange(count) % 257, np.arange(count) % 5 == 0)
    columns["below"] = integers(np.arange(count) % 3 - 1, np.arange(count) < 0)
    columns["alike"] = categorical(np.zeros(count, np.int64), ["x,y"])
    columns["none"] = integers(np.zeros(count, np.int64), np.ones(count, bool))
    columns["amount"] = pd.array(np.arange(count) / 8, dtype="Float64")
    columns["time"] = utc_times(np.full(count, NAT))
    both(pd.DataFrame(columns))
