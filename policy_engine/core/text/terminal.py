"""Lays out lines for a person at a terminal: a label, and a text that is cut where it does not fit."""

from __future__ import annotations

import textwrap

from policy_engine.core.safe_text import plain

WIDTH = 110
"""Columns of a line."""
LABEL = 10
"""Columns of the label at its beginning."""
_LONGEST = 1_000


def labelled(label: str, text: str, most: int = 1) -> list[str]:
    """A labelled text on at most so many lines; what does not fit is cut, visibly."""
    lines = textwrap.wrap(plain(text, _LONGEST), WIDTH - LABEL, max_lines=most, placeholder=" \u2026")
    return [f"{'' if index else label:<{LABEL}}{line}" for index, line in enumerate(lines)]


def cut(line: str) -> str:
    """The line, cut visibly where it is too long."""
    return line if len(line) <= WIDTH else line[: WIDTH - 1].rstrip() + "\u2026"
