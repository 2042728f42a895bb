"""Lines for a terminal: labelled, and never wider than it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.text.terminal import LABEL, WIDTH, cut, labelled


@given(st.text(max_size=400), st.integers(1, 4))
def test_no_line_is_too_wide(text: str, most: int) -> None:
    """
    A labelled text has at most as many lines as asked for, all within the width; only the first has the label.
    """
    lines = labelled("warning", text, most)
    assert len(lines) <= most
    assert all(len(line) <= WIDTH for line in lines)
    assert [line[:LABEL].strip() for line in lines] == ["warning", "", "", ""][: len(lines)]


def test_what_does_not_fit_is_cut_visibly() -> None:
    """
    A text or a line that is too long ends in an ellipsis; one that fits is left alone.
    """
    assert labelled("read", "x " * 100)[0].endswith(" x \u2026")
    assert labelled("read", "short") == ["read      short"]
    assert cut("x" * WIDTH) == "x" * WIDTH
    assert cut("x" * (WIDTH + 1)) == "x" * (WIDTH - 1) + "\u2026"
