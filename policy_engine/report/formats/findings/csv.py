"""Writes the findings table as CSV."""

from __future__ import annotations

from typing import IO

import pandas as pd

from policy_engine.core.text.csv_blocks import CsvLines, csv_lines
from policy_engine.core.text.csv_cells import header_line
from policy_engine.core.vocabulary import FINDING_COLUMNS


class CsvTable:
    """CSV with a header, UTF-8 and line feeds; cells are safe to open in a spreadsheet."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Write the header."""
        self._stream = stream
        stream.write(header_line(FINDING_COLUMNS).encode())

    @staticmethod
    def make(findings: pd.DataFrame) -> CsvLines:
        """Make the lines of a chunk."""
        return csv_lines(findings)

    def write(self, made: CsvLines) -> None:
        """Write them."""
        self._stream.write(made.data)

    def close(self) -> None:
        """Nothing remains."""
