"""Makes readers of tables take the general way, against which the fast ones are compared."""

from __future__ import annotations

from typing import Any


def no_plain_columns(*_: Any) -> None:
    """In the place of `CsvLines.plain_columns`: every block wants a closer look."""


def no_plain_rows(lines: Any) -> list[Any] | None:
    """In the place of `CsvLines.plain_rows`: no block is plain, and only the end is what it is."""
    if lines._again:
        return None
    text = lines._text.block()
    lines._text.take_back(text)
    return None if text else []
