"""Lines of a file in the order of a key."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_engine.core.files import sorted_lines
from policy_engine.core.files.sorted_lines import SortedLines, joined


@settings(max_examples=50)
@given(
    lines=st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 40), st.booleans()), max_size=60),
    piece=st.sampled_from([1, 64, 1 << 20]),
)
def test_lines_come_by_key(
    lines: list[tuple[int, int, bool]], piece: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Lines are copied by key, equal ones as they stand, however much is copied at a time; others are left out."""
    path = tmp_path_factory.mktemp("lines") / "lines"
    texts = [b"%d:%s\n" % (place, b"x" * length) for place, (_, length, _) in enumerate(lines)]
    path.write_bytes(b"".join(texts))
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    sizes = np.array([len(text) for text in texts], np.int64)
    keys = np.array([key for key, _, _ in lines], np.int64)
    wanted = np.flatnonzero([is_wanted for _, _, is_wanted in lines])
    found = SortedLines()
    for part in np.array_split(wanted, 3):
        found.add(keys[part], (ends - sizes)[part], sizes[part])
    stream = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_lines, "_PIECE", piece)
        found.copy(path, stream)
    expected = sorted(wanted.tolist(), key=lambda place: lines[place][0])
    assert stream.getvalue() == b"".join(texts[place] for place in expected)
    assert len(found) == len(expected)


def test_neighbours_are_one_stretch() -> None:
    """Stretches without a gap between them are one, whatever comes before; none stays none."""
    places = np.array([5, 8, 2, 0, 9], np.int64)
    assert joined(places, np.array([8, 9, 5, 2, 9], np.int64)) == [(5, 9), (2, 5), (0, 2), (9, 9)]
    assert joined(places[:0], places[:0]) == []
