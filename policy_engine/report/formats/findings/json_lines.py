"""Writes the findings table as JSON Lines."""

from __future__ import annotations

import json
from typing import IO, Any

import pandas as pd

from policy_engine.core.frames import nanoseconds
from policy_engine.core.text.csv_cells import format_times, to_bytes
from policy_engine.core.vocabulary import FINDING_COLUMNS

# Characters that some readers take for the end of a line.
_LINE_BREAKS = {ord(mark): f"\\u{ord(mark):04x}" for mark in "\x85\u2028\u2029"}


class JsonLinesTable:
    """One JSON object per line with every column; missing is null, times are RFC 3339 text."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Keep the stream."""
        self._stream = stream

    @staticmethod
    def make(findings: pd.DataFrame) -> bytes:
        """Make the lines of a chunk."""
        columns = [_json_values(findings[name]) for name in FINDING_COLUMNS]
        encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
        lines = [encode(dict(zip(FINDING_COLUMNS, row, strict=True))) for row in zip(*columns, strict=True)]
        text = "".join([line + "\n" for line in lines])
        return to_bytes(text if text.isascii() else text.translate(_LINE_BREAKS))

    def write(self, made: bytes) -> None:
        """Write them."""
        self._stream.write(made)

    def close(self) -> None:
        """Nothing remains."""


def _json_values(column: pd.Series[Any]) -> list[Any]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        texts = format_times(nanoseconds(column))
        return [text or None for text in texts]
    return [None if value is pd.NA or value != value else value for value in column.astype(object).tolist()]
