"""Makes readers of tables use the general path, with which the fast paths are compared."""

from __future__ import annotations

from typing import Any


def no_plain_columns(*_: Any) -> None:
    """Replaces `CsvLines.plain_columns`: no block is taken for plain."""


def no_plain_rows(lines: Any) -> list[Any] | None:
    """Replaces `CsvLines.plain_rows`: no block is taken for plain, and the end stays the end."""
    if lines._again:
        return None
    text = lines._text.block()
    lines._text.take_back(text)
    return None if text else []
