"""Turns chunks of findings into the tables of a report folder."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import numpy.typing as npt
import pandas as pd

from policy_engine.annotations import due_rows
from policy_engine.core.files.sorted_lines import SortedLines
from policy_engine.core.frames import Int64, nanoseconds
from policy_engine.core.text.csv_blocks import CsvLines, csv_lines
from policy_engine.core.text.csv_cells import header_line
from policy_engine.core.vocabulary import FINDING_COLUMNS
from policy_engine.report.files import CSV_OF, FINDINGS, SAVE_NOW, TABLES
from policy_engine.report.formats import DOWNLOADERS, downloader
from policy_engine.report.ranking import EMBEDDED_ROWS, UrgentRows

_HEAD = header_line(FINDING_COLUMNS).encode()
_ORDERED = {CSV_OF["at_risk"]: "expires_earliest", SAVE_NOW: "save_by"}
"""Table whose rows are ordered by time -> column of that time; the others are in the order of the findings."""


@dataclass(frozen=True)
class _Rescue:
    """Entries of an input file for a downloader, one after another."""

    data: bytes
    sizes: Int64
    """Bytes of each, 0 where there is no address."""
    keys: Int64
    past: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TablePiece:
    """What a report needs of a chunk of findings."""

    lines: CsvLines
    rows: dict[str, npt.NDArray[np.intp]]
    """Table -> the lines that it has, in order."""
    keys: dict[str, Int64]
    """Ordered table -> the sort key of each of its lines."""
    rescue: _Rescue | None
    urgent: pd.DataFrame
    findings: pd.DataFrame | None
    """The chunk itself, where a format needs it."""


class PieceMaker:
    """Makes pieces of chunks of findings, in whatever process these are judged."""

    def __init__(
        self, as_of: int, horizon: int, *, embed: int = EMBEDDED_ROWS, rescue: str | None = None, whole: bool = False
    ) -> None:
        """`embed`: rows that the page holds; `rescue`: a downloader; `whole`: whether a piece carries the findings."""
        self._as_of, self._horizon, self._rescue, self._whole = as_of, horizon, rescue, whole
        self._urgent = UrgentRows(embed)

    def __call__(self, findings: pd.DataFrame) -> TablePiece:
        """Make a piece."""
        verdicts = findings["verdict"]
        rows = {name: np.flatnonzero((verdicts == verdict).to_numpy(bool)) for verdict, name in CSV_OF.items()}
        rows[SAVE_NOW] = np.flatnonzero(due_rows(findings, self._as_of, self._horizon))
        return TablePiece(
            lines=csv_lines(findings),
            rows=rows,
            keys={name: nanoseconds(findings[column])[rows[name]] for name, column in _ORDERED.items()},
            rescue=_entries(self._rescue, findings.iloc[rows[SAVE_NOW]]) if self._rescue else None,
            urgent=self._urgent.choose(findings, self._as_of),
            findings=findings if self._whole else None,
        )


def _entries(rescue: str, due: pd.DataFrame) -> _Rescue:
    entries = [entry.encode() for entry in downloader(rescue).entries(due)]
    sizes = np.fromiter(map(len, entries), np.int64, len(entries))
    past = (due["verdict"] == "expired").to_numpy(bool)
    return _Rescue(b"".join(entries), sizes, nanoseconds(due["save_by"]), past)


class _Table:
    """A file that is being written, and the digest of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.total = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        self._stream.write(data)
        self.total.update(data)
        self.size += len(data)

    def flush(self) -> None:
        self._stream.flush()


@dataclass(frozen=True)
class OrderedFile:
    """A file with the lines of another file in another order, to be written when all of them are known."""

    path: Path
    head: bytes
    source: Path
    parts: tuple[SortedLines, ...]
    """Lines of the source, one part after the other."""

    def write(self) -> str:
        """Write it; gives the sha256 of the whole file."""
        with self.path.open("wb") as stream:
            table = _Table(stream)
            table.write(self.head)
            for part in self.parts:
                part.copy(self.source, table)
        return table.total.hexdigest()


class Tables:
    """Writes the unordered CSV files; `finish` returns the ordered ones still to write."""

    def __init__(self, folder: Path, rescue: str | None = None) -> None:
        """Open the tables in a folder that is being made; `rescue` names a downloader."""
        self.counts = dict.fromkeys(TABLES, 0)
        self._folder = folder
        self._ordered = {name: SortedLines() for name in TABLES if name in _ORDERED}
        # Files that may still exist come first: a downloader that waits for the others may be too late.
        self._rescue = (SortedLines(), SortedLines())
        self._downloader = rescue
        self._open = ExitStack()
        self._tables: dict[str, _Table] = {}
        self._entries: IO[bytes] | None = None

    def __enter__(self) -> Tables:
        try:
            for name in TABLES:
                if name not in self._ordered:
                    self._tables[name] = _Table(self._open.enter_context((self._folder / name).open("wb")))
                    self._tables[name].write(_HEAD)
            if self._downloader is not None:
                entries = self._folder / "rescue.entries"
                self._open.callback(entries.unlink, missing_ok=True)
                self._entries = self._open.enter_context(entries.open("wb"))
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def write(self, piece: TablePiece) -> None:
        """Write a piece."""
        lines, whole = piece.lines, self._tables[FINDINGS]
        sizes = lines.sizes
        starts = whole.size + lines.edges[:-1]
        whole.write(lines.data)
        self.counts[FINDINGS] += len(sizes)
        for name, rows in piece.rows.items():
            self.counts[name] += len(rows)
            if name in self._ordered:
                self._ordered[name].add(piece.keys[name], starts[rows], sizes[rows])
            elif len(rows):
                self._tables[name].write(lines.rows(rows))
        if self._entries is not None and piece.rescue is not None:
            self._write_entries(piece.rescue, self._entries)

    def _write_entries(self, rescue: _Rescue, stream: IO[bytes]) -> None:
        starts = stream.tell() + np.cumsum(rescue.sizes) - rescue.sizes
        stream.write(rescue.data)
        for part, rows in zip(self._rescue, (~rescue.past, rescue.past), strict=True):
            rows = rows & (rescue.sizes > 0)
            part.add(rescue.keys[rows], starts[rows], rescue.sizes[rows])

    def finish(self) -> list[OrderedFile]:
        """The files still to be written, nearest deadline first, while the tables are open."""
        self._tables[FINDINGS].flush()
        files = [
            OrderedFile(self._folder / name, _HEAD, self._folder / FINDINGS, (lines,))
            for name, lines in self._ordered.items()
        ]
        if self._entries is not None and self._downloader is not None:
            self._entries.flush()
            name, head = DOWNLOADERS[self._downloader].file, downloader(self._downloader).HEAD.encode()
            files.append(OrderedFile(self._folder / name, head, self._folder / "rescue.entries", self._rescue))
            self.counts[name] = sum(map(len, self._rescue))
        return files

    def digests(self) -> dict[str, str]:
        """Table -> sha256 of what has been written to it."""
        return {name: table.total.hexdigest() for name, table in self._tables.items()}
