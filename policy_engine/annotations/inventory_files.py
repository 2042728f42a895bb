"""Reads an inventory from a CSV or Parquet table, or from a listing; packed or not."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np

from policy_engine.annotations.inventory import INVENTORY_COLUMNS, KEYS, Collector, Inventory
from policy_engine.core.files.opening import open_given
from policy_engine.core.problems import InputUnusable, Problem, SourceSpan
from policy_engine.core.safe_text import plain
from policy_engine.history.opening import bounded
from policy_engine.history.tables.parquet_bounds import read_columns

_ROWS = 50_000
"""Rows of a Parquet file that are read at a time."""
_LONGEST_FIELD = 1 << 20
_LONGEST_LINE = 1 << 22
"""Characters."""
_ALWAYS_UNPACKED = 1 << 23
"""Bytes that a packed inventory may hold in any case: lines are short, so that each byte takes longer to read."""


def read_inventory(path: Path, name: str, as_of: int) -> Inventory:
    """
    Read an inventory: CSV or Parquet with documented columns, or a listing with a path, URL or id in each line.

    The content decides which; text may be packed with gzip. Raises InputUnusable for a file that cannot be one.
    """
    collector = Collector(as_of)
    try:
        with open_given(path) as given, _seekable(given) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            stream.seek(0)
            head = stream.read(4)
            stream.seek(0)
            if head == b"PAR1":
                _read_parquet(stream, name, collector)
            elif head[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=stream) as unpacked:
                    _read_text(bounded(unpacked, stream, _ALWAYS_UNPACKED), name, collector)
            else:
                _read_text(stream, name, collector)
    except InputUnusable as error:
        # Lower layers do not know the name of the file.
        raise InputUnusable([
            problem if problem.span else replace(problem, span=SourceSpan(name, 1)) for problem in error.problems
        ]) from None  # fmt: skip
    except (OSError, EOFError, zlib.error) as error:
        reason = (getattr(error, "strerror", None) or str(error) or "unreadable").lower()
        help_ = f"write a listing of it: `find {plain(name, 60)} -type f`" if path.is_dir() else "check the name"
        raise _unusable(f"the inventory cannot be read: {plain(reason)}", name, 1, help_) from None
    if not collector.entries:
        raise _unusable("the inventory has no entries", name, 1, "omit --archived as long as nothing is archived")
    return collector.finish(name, digest)


@contextmanager
def _seekable(stream: io.BufferedReader) -> Iterator[io.BufferedReader | io.BufferedRandom]:
    """The stream itself, or a copy of a pipe: it is read twice, for its digest and its entries."""
    if stream.seekable():
        yield stream
        return
    with tempfile.TemporaryFile() as copy:
        assert isinstance(copy, io.BufferedRandom)
        shutil.copyfileobj(stream, copy, 1 << 20)
        copy.seek(0)
        yield copy


def _read_text(stream: IO[bytes], name: str, collector: Collector) -> None:
    start = stream.peek(4096)[:4096]  # type: ignore[attr-defined]
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    if encoding == "utf-8-sig" and b"\0" in start:
        raise _unusable(
            "the inventory is binary, and neither CSV nor Parquet nor a listing", name, 1,
            "use a text file with a path or URL in each line, or a table",
        )  # fmt: skip
    with io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="") as wrapped:
        text = _lines(wrapped, name)
        number, header = next(((number, line) for number, line in enumerate(text, 1) if line.strip()), (1, ""))
        delimiter, positions = _columns(header)
        if positions:
            _read_csv(text, name, collector, delimiter, positions, number)
            return
        if header and name.lower().removesuffix(".gz").endswith(".csv"):
            message = f"the table has no column that names files; its first line is `{plain(header.strip(), 80)}`"
            raise _unusable(
                message, name, number,
                f"add one of these: {', '.join(KEYS)}; a plain listing should not end in .csv",
            )  # fmt: skip
        for entry in chain([header], text):
            if entry.strip():
                collector.take_line(entry.strip("\r\n").strip())


def _lines(text: IO[str], name: str) -> Iterator[str]:
    """Lines of a text; raises InputUnusable for a line far too long for a name."""
    number = 0
    while line := text.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            raise _unusable(
                f"a line of the inventory is longer than {_LONGEST_LINE >> 20} Mi characters", name, number,
                "use a text file with a path or URL in each line, or a table",
            )  # fmt: skip
        yield line


def _columns(header: str) -> tuple[str, dict[str, int]]:
    """Delimiter and positions of the documented columns in a header; no positions for another line."""
    for delimiter in ",;\t":
        titles = next(csv.reader([header.strip("\r\n")], delimiter=delimiter), [])
        positions = {title.strip().lower(): position for position, title in reversed(list(enumerate(titles)))}
        known = {
            title: position for title, position in positions.items() if title in INVENTORY_COLUMNS or title == "verdict"
        }
        if any(title in known for title in KEYS):
            return delimiter, known
    return ",", {}


def _read_csv(
    text: Iterator[str], name: str, collector: Collector, delimiter: str, positions: dict[str, int], above: int
) -> None:
    """Read the rows below the header, which is on line `above`."""
    _refuse_findings(positions, name)
    # The limit is global to the process, and a history that is being read has set its own.
    others = csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(text, delimiter=delimiter)
    try:
        for fields in reader:
            if any(fields):
                row = {title: fields[at].strip() for title, at in positions.items() if at < len(fields)}
                collector.take_row(row, f"line {above + reader.line_num}")
    except csv.Error as error:
        raise _unusable(
            f"the table cannot be read: {plain(error)}", name, above + reader.line_num + 1, "is it CSV?"
        ) from None
    finally:
        csv.field_size_limit(others)


def _read_parquet(stream: IO[bytes], name: str, collector: Collector) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(stream)
        size = stream.seek(0, io.SEEK_END)
        titles = {title.strip().lower(): title for title in reversed(file.schema_arrow.names)}
        _refuse_findings(titles, name)
        if not any(title in titles for title in KEYS):
            found = ", ".join(plain(title, 40) for title in file.schema_arrow.names[:8])
            raise _unusable(
                f"the table has no column that names files; it has {found}", name, 1,
                f"add one of these: {', '.join(KEYS)}",
            )  # fmt: skip
        wanted = {title: own for title, own in titles.items() if title in INVENTORY_COLUMNS}
        row = 0
        for batch in read_columns(stream, size, list(wanted.values()), range(file.num_row_groups), _ROWS):
            columns = {title: _as_texts(batch.column(own), pa) for title, own in wanted.items()}
            for values in zip(*columns.values(), strict=True):
                row += 1
                collector.take_row(dict(zip(columns, values, strict=True)), f"row {row}")
    except pa.ArrowException as error:
        raise _unusable(f"the Parquet file cannot be read: {plain(error)}", name, 1, "was it written whole?") from None


def _as_texts(column: Any, pa: Any) -> list[str]:
    """Cells as in CSV; a time has the zone of its column."""
    if pa.types.is_dictionary(column.type):
        distinct = _as_texts(column.dictionary, pa)
        return ["" if code is None else distinct[code] for code in column.indices.to_pylist()]
    if pa.types.is_timestamp(column.type):
        zone = "Z" if column.type.tz else ""
        whole = column.cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist()
        return ["" if ns is None else f"{np.datetime64(ns, 'ns')}{zone}" for ns in whole]
    return ["" if value is None else str(value).strip() for value in column.to_pylist()]


def _refuse_findings(titles: Iterable[str], name: str) -> None:
    """Refuse a table of findings: it lists all files, archived or not, so that it would mark every one."""
    if "verdict" in titles:
        raise _unusable(
            "this is a table of findings, not an inventory of copies", name, 1,
            "use a list of the files that you have saved",
        )  # fmt: skip


def _unusable(message: str, name: str, line: int, help_: str) -> InputUnusable:
    return InputUnusable(Problem("inventory-unusable", message, SourceSpan(name, line), help=help_))
