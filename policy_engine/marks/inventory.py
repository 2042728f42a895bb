"""
Turns a list of what the user already holds into hashed names, and says of findings whether a copy of them is in it.

Each name is kept as a 64-bit hash, so an inventory takes some 24 bytes of memory for each entry, whatever its texts.
Two names share a hash by chance in about one of 10^19 comparisons.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from policy_engine.file_names import archive_folder, base_name, is_telling, without_ending
from policy_engine.given_files import open_given
from policy_engine.history.parquet_bounds import read_columns
from policy_engine.history.sources import bounded
from policy_engine.periods import parse_instant
from policy_engine.problems import InputUnusable, Problem, SourceSpan, UsageProblem, plain
from policy_engine.urls import file_identity, is_url

Hashes = npt.NDArray[np.uint64]
Bool = npt.NDArray[np.bool_]

INVENTORY_COLUMNS: dict[str, str] = {
    "asset_id": "Id of the asset, as in findings.csv.",
    "url": "Address of the file, with or without its signature.",
    "file": "Path or name of the copy.",
    "task_id": "Task the file is of; counts where the task has one file, and neither asset_id nor url is given.",
    "size": "Bytes of the copy; 0 is no copy.",
    "archived_at": "When the copy was made, RFC 3339 with a zone; after as_of it does not count.",
}
"""Columns of an inventory that is a table, with their meaning; at least one of the first four must be there."""

_KEYS = ("asset_id", "url", "file", "task_id")
_BLOCK = 50_000
_LONGEST_FIELD = 1 << 20
_LONGEST_LINE = 1 << 22
_ALWAYS_UNPACKED = 1 << 23
"""Bytes that a packed inventory may hold in any case: lines are short, so that each byte takes longer to read."""
_NO_HASHES: Hashes = np.empty(0, np.uint64)


@dataclass(frozen=True)
class Inventory:
    """What the user holds, as hashes."""

    name: str
    sha256: str
    entries: int
    """Entries read."""
    empty: int = 0
    """Entries left out because the copy has no bytes."""
    later: int = 0
    """Entries left out because the copy was made after as_of."""
    unreadable: int = 0
    """Entries left out because their size or time could not be read, or because they name nothing."""
    first_unreadable: str = ""
    """Place and reason of the first of those."""
    example: str = ""
    """The first entry that counts, for messages."""
    # INVARIANT: in ascending order, each once.
    assets: Hashes = field(default_factory=lambda: _NO_HASHES, repr=False)
    files: Hashes = field(default_factory=lambda: _NO_HASHES, repr=False)
    names: Hashes = field(default_factory=lambda: _NO_HASHES, repr=False)
    tasks: Hashes = field(default_factory=lambda: _NO_HASHES, repr=False)

    def holds(self, findings: pd.DataFrame) -> tuple[Bool, Hashes]:
        """
        Say of each finding whether a copy is in the inventory; also the names by which alone copies were found.

        All files of a task must stand in one frame.
        """
        ids, tasks = _texts(findings["asset_id"]), _texts(findings["task_id"])
        held = _among(ids, self.assets)
        if len(self.assets):
            held |= _among(map("/".join, map(archive_folder, ids, tasks)), self.assets)
        if len(self.tasks):
            owners = [asset.rsplit("/", 2)[0] for asset in ids]
            files = Counter(owners)
            held |= np.array([files[owner] == 1 for owner in owners], bool) & _among(tasks, self.tasks)
        urls = [url if is_url(url) else "" for url in _texts(findings["url"])]
        held |= _among([file_identity(url) if url else "" for url in urls], self.files)
        if not len(self.names):
            return held, _NO_HASHES
        names = [base_name(url) if url else "" for url in urls]
        hashed = hash_texts(name if is_telling(name) else "" for name in names)
        by_name = _found(hashed, self.names) & ~held
        return held | by_name, hashed[by_name]


def _among(texts: Iterable[str], hashes: Hashes) -> Bool:
    texts = texts if isinstance(texts, list) else list(texts)
    if not len(hashes):
        return np.zeros(len(texts), bool)
    return _found(hash_texts(texts), hashes)


def _found(wanted: Hashes, hashes: Hashes) -> Bool:
    """Which hashes are among others in ascending order; the time grows with the logarithm of those."""
    places = np.searchsorted(hashes, wanted)
    places[places == len(hashes)] = 0
    found: Bool = hashes[places] == wanted
    return found


def hash_texts(texts: Iterable[str]) -> Hashes:
    """64-bit hashes of texts, the same in every process; the empty text has the hash that no inventory holds."""
    array = np.array([*texts, ""], object)[:-1]
    try:
        return pd.util.hash_array(array, categorize=False)
    except UnicodeEncodeError:
        return pd.util.hash_array(
            np.array([*(text.encode("utf-8", "replace").decode() for text in array), ""], object)[:-1], categorize=False
        )


def _texts(column: pd.Series[Any]) -> list[str]:
    return [value if isinstance(value, str) else "" for value in column.astype(object).tolist()]


class _Collector:
    """Takes entries one by one and keeps their hashes."""

    def __init__(self, as_of: int) -> None:
        self.as_of = as_of
        self.entries = self.empty = self.later = self.unreadable = 0
        self.first_unreadable = self.example = ""
        self._waiting: dict[str, list[str]] = {"assets": [], "files": [], "names": [], "tasks": []}
        self._hashes: dict[str, list[Hashes]] = {kind: [] for kind in self._waiting}

    def take_row(self, row: Mapping[str, str], where: str) -> None:
        """One row of a table: documented column -> text."""
        self.entries += 1
        if not any(row.get(name) for name in _KEYS):
            self._set_aside(f"{where}: it names no file")
            return
        size, made = row.get("size", ""), row.get("archived_at", "")
        if size:
            if not size.isdigit() or not size.isascii():
                self._set_aside(f"{where}: the size `{plain(size, 40)}` is no number of bytes")
                return
            if not int(size[:30]):
                self.empty += 1
                return
        if made:
            try:
                instant = parse_instant(made)
            except ValueError as error:
                self._set_aside(f"{where}: archived_at `{plain(made, 40)}` is {plain(error)}")
                return
            if instant > self.as_of:
                self.later += 1
                return
        asset_id, url, file, task_id = (row.get(name, "") for name in _KEYS)
        self.example = self.example or asset_id or url or file or task_id
        if asset_id:
            self._keep("assets", asset_id)
        if url:
            self._take_name(url)
        if file:
            self._take_name(file)
        if task_id and not asset_id and not url:
            self._keep("tasks", task_id)

    def take_line(self, line: str) -> None:
        """One line of a listing: a URL, a path, an id."""
        self.entries += 1
        self.example = self.example or line
        self._take_name(line)

    def _take_name(self, text: str) -> None:
        if is_url(text):
            self._keep("files", file_identity(text))
            name = base_name(text)
        else:
            path = text.replace("\\", "/").rstrip("/")
            parts = path.split("/")
            name = parts[-1]
            stem = without_ending(name)
            if len(parts) >= 4:
                self._keep("assets", "/".join([*parts[-4:-1], stem]))
                if stem == name:
                    self._keep("assets", text)
            if len(parts) == 1 and stem != name:
                self._keep("tasks", name)
            self._keep("tasks", stem)
        if is_telling(name):
            self._keep("names", name)

    def _keep(self, kind: str, text: str) -> None:
        if text:
            self._waiting[kind].append(text)
            if len(self._waiting[kind]) >= _BLOCK:
                self._hash(kind)

    def _hash(self, kind: str) -> None:
        if self._waiting[kind]:
            self._hashes[kind].append(np.unique(hash_texts(self._waiting[kind])))
            self._waiting[kind] = []

    def _set_aside(self, why: str) -> None:
        self.unreadable += 1
        self.first_unreadable = self.first_unreadable or why

    def finish(self, name: str, sha256: str) -> Inventory:
        """The inventory of all that was taken."""
        hashes: dict[str, Hashes] = {}
        for kind in self._waiting:
            self._hash(kind)
            hashes[kind] = np.unique(np.concatenate(self._hashes[kind])) if self._hashes[kind] else _NO_HASHES
            self._hashes[kind] = []
        return Inventory(
            name, sha256, self.entries, self.empty, self.later, self.unreadable, self.first_unreadable,
            self.example, **hashes,
        )  # fmt: skip


def read_inventory(path: Path, name: str, as_of: int) -> Inventory:
    """
    Read an inventory: CSV or Parquet with documented columns, or a listing with one path, URL or id in each line.

    Told apart by content; text may be packed with gzip. Raises InputUnusable for a file that cannot be one.
    """
    collector = _Collector(as_of)
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
        raise _unusable(
            "the inventory holds no entry", name, 1, "leave --archived out for as long as nothing is archived"
        )
    return collector.finish(name, digest)


@contextmanager
def _seekable(stream: io.BufferedReader) -> Iterator[io.BufferedReader | io.BufferedRandom]:
    """The stream itself, or a copy of what a pipe brings: it is read twice, for its digest and its entries."""
    if stream.seekable():
        yield stream
        return
    with tempfile.TemporaryFile() as copy:
        assert isinstance(copy, io.BufferedRandom)
        shutil.copyfileobj(stream, copy, 1 << 20)
        copy.seek(0)
        yield copy


def _read_text(stream: IO[bytes], name: str, collector: _Collector) -> None:
    start = stream.peek(4096)[:4096]  # type: ignore[attr-defined]
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    if encoding == "utf-8-sig" and b"\0" in start:
        raise _unusable(
            "the inventory is neither CSV nor Parquet nor a listing: it is binary", name, 1,
            "give a text with one path or URL in each line, or a table",
        )  # fmt: skip
    with io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="") as wrapped:
        text = _lines(wrapped, name)
        line, header = next(((number, one) for number, one in enumerate(text, 1) if one.strip()), (1, ""))
        delimiter, places = _columns(header)
        if places:
            _read_csv(text, name, collector, delimiter, places, line)
            return
        if header and name.lower().removesuffix(".gz").endswith(".csv"):
            message = f"the table has no column that names files; its first line is `{plain(header.strip(), 80)}`"
            raise _unusable(
                message, name, line,
                f"one of these must be there: {', '.join(_KEYS)}; a plain listing should not end in .csv",
            )  # fmt: skip
        for entry in chain([header], text):
            if entry.strip():
                collector.take_line(entry.strip("\r\n").strip())


def _lines(text: IO[str], name: str) -> Iterator[str]:
    """Lines of a text; raises InputUnusable for one far too long for a name."""
    number = 0
    while line := text.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            raise _unusable(
                f"a line of the inventory is longer than {_LONGEST_LINE >> 20} Mi characters", name, number,
                "give a text with one path or URL in each line, or a table",
            )  # fmt: skip
        yield line


def _columns(header: str) -> tuple[str, dict[str, int]]:
    """Delimiter and places of the documented columns in a header; no places where it is none."""
    for delimiter in ",;\t":
        titles = next(csv.reader([header.strip("\r\n")], delimiter=delimiter), [])
        places = {title.strip().lower(): place for place, title in reversed(list(enumerate(titles)))}
        known = {title: place for title, place in places.items() if title in INVENTORY_COLUMNS or title == "verdict"}
        if any(title in known for title in _KEYS):
            return delimiter, known
    return ",", {}


def _read_csv(
    text: Iterator[str], name: str, collector: _Collector, delimiter: str, places: dict[str, int], above: int
) -> None:
    """Rows below the header, which stands on line `above`."""
    _refuse_findings(places, name)
    # The limit is one for the whole process, and a history that is being read has set its own.
    others = csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(text, delimiter=delimiter)
    try:
        for fields in reader:
            if any(fields):
                row = {title: fields[place].strip() for title, place in places.items() if place < len(fields)}
                collector.take_row(row, f"line {above + reader.line_num}")
    except csv.Error as error:
        raise _unusable(
            f"the table cannot be read: {plain(error)}", name, above + reader.line_num + 1, "is it CSV?"
        ) from None
    finally:
        csv.field_size_limit(others)


def _read_parquet(stream: IO[bytes], name: str, collector: _Collector) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UsageProblem(Problem(
            "missing-extra", "reading Parquet needs pyarrow", help="pip install 'media-policy-engine[parquet]'",
        )) from None  # fmt: skip
    try:
        file = pq.ParquetFile(stream)
        size = stream.seek(0, io.SEEK_END)
        titles = {title.strip().lower(): title for title in reversed(file.schema_arrow.names)}
        _refuse_findings(titles, name)
        if not any(title in titles for title in _KEYS):
            found = ", ".join(plain(title, 40) for title in file.schema_arrow.names[:8])
            raise _unusable(
                f"the table has no column that names files; it has {found}", name, 1,
                f"one of these must be there: {', '.join(_KEYS)}",
            )  # fmt: skip
        wanted = {title: own for title, own in titles.items() if title in INVENTORY_COLUMNS}
        row = 0
        for batch in read_columns(stream, size, list(wanted.values()), range(file.num_row_groups), _BLOCK):
            columns = {title: _as_texts(batch.column(own), pa) for title, own in wanted.items()}
            for values in zip(*columns.values(), strict=True):
                row += 1
                collector.take_row(dict(zip(columns, values, strict=True)), f"row {row}")
    except pa.ArrowException as error:
        raise _unusable(f"the Parquet file cannot be read: {plain(error)}", name, 1, "was it written whole?") from None


def _as_texts(column: Any, pa: Any) -> list[str]:
    """Cells as CSV would hold them; a time has the zone that its column has."""
    if pa.types.is_dictionary(column.type):
        distinct = _as_texts(column.dictionary, pa)
        return ["" if place is None else distinct[place] for place in column.indices.to_pylist()]
    if pa.types.is_timestamp(column.type):
        zone = "Z" if column.type.tz else ""
        whole = column.cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist()
        return ["" if ns is None else f"{np.datetime64(ns, 'ns')}{zone}" for ns in whole]
    return ["" if value is None else str(value).strip() for value in column.to_pylist()]


def _refuse_findings(titles: Iterable[str], name: str) -> None:
    """A table of findings lists what a history holds, archived or not: taken for an inventory it would mark it all."""
    if "verdict" in titles:
        raise _unusable(
            "this is a table of findings, not an inventory of copies", name, 1,
            "give a list of the files that you hold",
        )  # fmt: skip


def _unusable(message: str, name: str, line: int, help_: str) -> InputUnusable:
    return InputUnusable(Problem("inventory-unusable", message, SourceSpan(name, line), help=help_))
