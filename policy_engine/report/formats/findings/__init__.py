"""Writes the findings table chunk by chunk, one module per format; the ending of the file chooses the format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol

import pandas as pd

from policy_engine.core.problems import Problem, UsageProblem
from policy_engine.report.files import FINDINGS
from policy_engine.report.formats.findings.csv import CsvTable
from policy_engine.report.formats.findings.json_lines import JsonLinesTable
from policy_engine.report.formats.findings.parquet import ParquetTable


class TableWriter(Protocol):
    """Writes what it has made of frames of findings, in order."""

    @staticmethod
    def make(findings: pd.DataFrame) -> Any:
        """Make of a chunk what is to be written, wherever the chunk is."""

    def write(self, made: Any) -> None:
        """Write it."""

    def close(self) -> None:
        """Write what remains; the stream itself stays the caller's."""


WRITERS: dict[str, Callable[[IO[bytes]], TableWriter]] = {
    ".csv": CsvTable,
    ".parquet": ParquetTable,
    ".jsonl": JsonLinesTable,
}
"""Writer per file ending."""


def writer_for(path: str) -> Callable[[IO[bytes]], TableWriter]:
    """The writer that a file name asks for; `-` means CSV. Raises UsageProblem for an ending it does not know."""
    if path == "-":
        return CsvTable
    ending = Path(path).suffix.lower()
    if ending not in WRITERS:
        *others, last = WRITERS
        message = f"`{path}` does not end in {', '.join(others)} or {last}"
        raise UsageProblem(Problem("unknown-format", message, help=f"name the file {FINDINGS}"))
    return WRITERS[ending]
