"""Writes the tables of a report folder while chunks of findings pass by."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import pandas as pd

from policy_engine.columns import FINDING_COLUMNS
from policy_engine.csv_columns import csv_lines
from policy_engine.csv_text import header_line
from policy_engine.frames import nanoseconds
from policy_engine.marks import due_rows
from policy_engine.render import aria2
from policy_engine.report import CSV_OF
from policy_engine.sorted_lines import SortedLines

SAVE_NOW = "save_now.csv"
RESCUE_FILES = {"aria2": "save_now.aria2.txt"}
"""Downloader -> input file for it."""
TABLES = ("findings.csv", *CSV_OF.values(), SAVE_NOW)
"""Tables of findings in a report folder."""


class Tables:
    """The CSV files of a report; those that are ordered are written by `finish`."""

    def __init__(self, folder: Path, as_of: int, horizon: int, rescue: str | None = None) -> None:
        """Open the tables in a folder that is being made; `rescue` names a downloader."""
        self.counts = dict.fromkeys(TABLES, 0)
        self._folder, self._as_of, self._horizon = folder, as_of, horizon
        self._at_risk, self._save_now = SortedLines(), SortedLines()
        # What may still be there comes first: a downloader that waits for the others may come too late.
        self._rescue = (SortedLines(), SortedLines())
        self._rescue_name = RESCUE_FILES[rescue] if rescue else None
        self._open = ExitStack()
        self._streams: dict[str, IO[bytes]] = {}
        self._entries: IO[bytes] | None = None

    def __enter__(self) -> Tables:
        try:
            for name in TABLES:
                self._streams[name] = self._open.enter_context((self._folder / name).open("wb"))
                self._streams[name].write(header_line(FINDING_COLUMNS).encode())
            if self._rescue_name is not None:
                self._entries = self._open.enter_context((self._folder / "rescue.entries").open("wb"))
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def write(self, findings: pd.DataFrame) -> None:
        """Write a chunk."""
        lines = csv_lines(findings)
        sizes = lines.sizes
        starts = self._streams["findings.csv"].tell() + lines.edges[:-1]
        self._streams["findings.csv"].write(lines.data)
        self.counts["findings.csv"] += len(sizes)
        for verdict, name in CSV_OF.items():
            rows = np.flatnonzero((findings["verdict"] == verdict).to_numpy(bool))
            self.counts[name] += len(rows)
            if verdict == "at_risk":
                self._at_risk.add(nanoseconds(findings["expires_earliest"])[rows], starts[rows], sizes[rows])
            elif len(rows):
                self._streams[name].write(lines.rows(rows))
        rows = np.flatnonzero(due_rows(findings, self._as_of, self._horizon))
        self.counts[SAVE_NOW] += len(rows)
        self._save_now.add(nanoseconds(findings["save_by"])[rows], starts[rows], sizes[rows])
        if self._entries is not None and len(rows):
            self._write_entries(findings.iloc[rows], self._entries)

    def _write_entries(self, due: pd.DataFrame, stream: IO[bytes]) -> None:
        entries = [entry.encode() for entry in aria2.entries(due)]
        sizes = np.fromiter(map(len, entries), np.int64, len(entries))
        starts = stream.tell() + np.cumsum(sizes) - sizes
        stream.write(b"".join(entries))
        keys = nanoseconds(due["save_by"])
        past = (due["verdict"] == "expired").to_numpy(bool)
        for part, rows in zip(self._rescue, (~past, past), strict=True):
            rows = rows & (sizes > 0)
            part.add(keys[rows], starts[rows], sizes[rows])

    def finish(self) -> None:
        """Write the tables that are ordered by time; the nearest deadline comes first."""
        self._streams["findings.csv"].flush()
        self._at_risk.copy(self._folder / "findings.csv", self._streams[CSV_OF["at_risk"]])
        self._save_now.copy(self._folder / "findings.csv", self._streams[SAVE_NOW])
        if self._entries is not None and self._rescue_name is not None:
            self._entries.flush()
            with (self._folder / self._rescue_name).open("wb") as stream:
                stream.write(aria2.head().encode())
                for part in self._rescue:
                    part.copy(self._folder / "rescue.entries", stream)
            self.counts[self._rescue_name] = sum(map(len, self._rescue))
            self._entries.close()
            (self._folder / "rescue.entries").unlink()
