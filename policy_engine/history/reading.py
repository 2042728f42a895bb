"""Turns sources into units of work and units into batches of records, in the order of the files."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import IO, Any

import msgspec
import numpy as np
import numpy.typing as npt

from policy_engine.history.batch import Batch
from policy_engine.history.decoding import (
    BOM,
    STRICT_ERRORS,
    NotJson,
    count_lines,
    decode_strictly,
    decode_values,
    is_line_by_line,
)
from policy_engine.history.fast_path import FastPath
from policy_engine.history.names import ServiceNames
from policy_engine.history.records import RecordReader, Seen
from policy_engine.history.sources import MAX_DOCUMENT, Source, open_bytes
from policy_engine.history.tables import read_csv, read_parquet
from policy_engine.model import Catalog
from policy_engine.problems import InputUnusable, Problem, SourceSpan

BLOCK = 1 << 18
"""Bytes of JSON Lines that are decoded at a time; few enough for what is decoded to stay in the processor's cache."""
UNIT = 1 << 25
"""Bytes of JSON Lines that are handed to a process at a time, unless told otherwise."""
_RECORDS = 40_000
"""Records of a batch, unless told otherwise."""
_RECORD = 1 << 10
"""Bytes of a record; where records are much longer, fewer make a batch."""
_ROWS = 20_000
"""Rows of a table that make a batch at most."""
_MAX_LINE = 1 << 26
_PIECE = 1 << 24
_MOST_VALUES = 30_000_000
"""Values of a document; each takes about 100 bytes of memory, however short it is written."""
_UUID = 36
"""Characters of a UUID."""
_FACTORS = np.array([0x9E3779B97F4A7C15 * (2 * place + 1) % 2**64 for place in range(_UUID // 4)], np.uint64)
"""Odd numbers that spread the pieces of an id over 64 bits."""


@dataclass(frozen=True)
class Unit:
    """A part of a source that can be read on its own."""

    file: int
    """Place of the source in the list of sources."""
    start: int = 0
    """First byte, for plain JSON Lines; the unit begins at the first line that starts at or after it."""
    end: int | None = None
    """First byte no longer in it; None = to the end of the file."""
    first_line: int = 1
    """Number of its first line."""


def plan_units(sources: Sequence[Source], size: int | None = None) -> list[Unit]:
    """Cut plain JSON Lines into blocks of `size` bytes that can be read apart; every other source is one unit."""
    size = size or UNIT
    units = []
    for place, source in enumerate(sources):
        if source.kind == "json-lines" and not source.compression and source.size > size:
            edges = [*range(0, source.size, size), source.size]
            units += [Unit(place, start, end) for start, end in itertools.pairwise(edges)]
        else:
            units.append(Unit(place))
    return units


class HistoryReader:
    """Reads units of a history with one catalog; holds no data."""

    def __init__(
        self,
        sources: Sequence[Source],
        catalog: Catalog,
        mapping: Mapping[str, str] | None = None,
        records: int | None = None,
    ) -> None:
        """`mapping` names the columns of tables (documented name -> the table's own); `records` make a batch."""
        self.sources = tuple(sources)
        self.names = ServiceNames(catalog)
        self._legacy = catalog.legacy_outputs
        self._fast = FastPath(self.names, catalog.legacy_outputs)
        self._mapping = dict(mapping or {})
        self._records = records or _RECORDS
        self._rows = min(self._records, _ROWS)

    def batches(self, unit: Unit) -> Iterator[tuple[Batch, Seen]]:
        """
        The records of a unit, in batches, with what was set aside.

        Raises InputUnusable when the file itself cannot be read to its end.
        """
        source = self.sources[unit.file]
        reader = RecordReader(self.names, self._legacy, unit.file)
        try:
            for _ in self._feed(unit, source, reader):
                yield _take(reader)
            yield _take(reader)
        except InputUnusable as error:
            # Lower layers may not know the file's name.
            raise InputUnusable(
                [
                    problem if problem.span else replace(problem, span=SourceSpan(source.name, 1))
                    for problem in error.problems
                ]
            ) from None
        except OSError as error:
            raise InputUnusable(
                Problem(
                    "unreadable-file", f"the file cannot be read: {error.strerror or error}", SourceSpan(source.name, 1)
                )
            ) from None

    def keys(self, unit: Unit) -> tuple[npt.NDArray[np.uint64], int]:
        """
        Checksums of the task ids in a unit, one per usable record in any order, and the number of lines.

        Equal ids have equal checksums; different ids rarely share one, which costs time and changes nothing.
        """
        source = self.sources[unit.file]
        if source.kind == "json-lines" and not source.compression:
            found: list[str] = []
            lines = 0
            for block in self._blocks(unit, source):
                lines += count_lines(block)
                found.extend(self._ids(block, unit.file))
            return _checksums(found), lines
        sums = [checksums(batch) for batch, _ in self.batches(unit)]
        return np.concatenate(sums), 0

    def _ids(self, block: bytes, file: int) -> list[str]:
        """Task ids of the records in a block of lines, decoding only those where every line is a bare task."""
        try:
            rows = _ID_LINES.decode_lines(block)
        except STRICT_ERRORS:
            rows = None
        if rows is not None and is_line_by_line(block) and all(row.data is msgspec.UNSET for row in rows):
            ids = [row.task_id for row in rows]
            if all(type(one) is str and one for one in ids):
                return ids
        reader = RecordReader(self.names, self._legacy, file)
        _read_lines(block, reader, 1)
        return reader.finish().task_id

    def _feed(self, unit: Unit, source: Source, reader: RecordReader) -> Iterator[None]:
        if source.kind == "csv":
            yield from read_csv(source, reader, self._mapping, self._rows)
        elif source.kind == "parquet":
            yield from read_parquet(source, reader, self._mapping, self._rows)
        elif source.kind == "json":
            values = _document(source)
            for line, group in itertools.groupby(values, key=lambda one: one[0]):
                beginning = [value for _, value in group]
                value = beginning[0] if len(beginning) == 1 else beginning
                # Where a document is all there is, its lines say little; records are counted instead.
                yield from reader.read_in_parts(value, line if len(values) > 1 else 0, self._records)
                if len(reader) >= self._records:
                    yield
        else:
            line = unit.first_line
            held = 0
            for block in self._blocks(unit, source):
                columns = self._fast.columns(block, line)
                if columns is None:
                    _read_lines(block, reader, line)
                    line += count_lines(block)
                else:
                    reader.take_columns(columns)
                    line += len(columns[0])
                held += len(block)
                if len(reader) >= self._records or held >= self._records * _RECORD:
                    yield
                    held = 0

    def _blocks(self, unit: Unit, source: Source) -> Iterator[bytes]:
        """Whole lines of a unit, about BLOCK bytes at a time; the last line may lack its line feed."""
        with open_bytes(source.path, source.compression) as stream:
            position = unit.start
            if position:
                # The line that crosses the edge belongs to the unit before.
                stream.seek(position - 1)
                position += _skip_line(stream) - 1
            while unit.end is None or position < unit.end:
                block = stream.read(BLOCK if unit.end is None else min(BLOCK, unit.end - position))
                if not block:
                    break
                if block[-1:] != b"\n":
                    rest = stream.readline(_MAX_LINE + 1)
                    _check_length(rest, source)
                    block += rest
                position += len(block)
                yield block


def _skip_line(stream: IO[bytes]) -> int:
    """Read over the rest of a line, however long; returns its length."""
    length = 0
    while piece := stream.readline(BLOCK):
        length += len(piece)
        if piece.endswith(b"\n"):
            break
    return length


def _check_length(line: bytes, source: Source) -> None:
    if len(line) > _MAX_LINE:
        raise InputUnusable(Problem(
            "line-too-long", f"a line is longer than {_MAX_LINE >> 20} MiB",
            SourceSpan(source.name, 1), help="is this JSON Lines, one record per line?",
        ))  # fmt: skip


def _take(reader: RecordReader) -> tuple[Batch, Seen]:
    batch, seen = reader.finish(), reader.seen
    seen.records_by_file[reader.file] = seen.records
    reader.seen = Seen()
    return batch, seen


def _checksums(ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    """A number per id that depends on the id alone; ids as long as a UUID are done together, others by CRC-32."""
    sums = np.empty(len(ids), np.uint64)
    is_long = [len(one) == _UUID and one.isascii() for one in ids]
    pieces = np.frombuffer("".join(compress(ids, is_long)).encode("ascii"), "<u4").reshape(-1, _UUID // 4)
    long = np.array(is_long, bool)
    sums[long] = (pieces * _FACTORS).sum(axis=1, dtype=np.uint64)
    crc = zlib.crc32
    for row in np.flatnonzero(~long).tolist():
        sums[row] = crc(ids[row].encode("utf-8", "surrogatepass"))
    return sums


def checksums(batch: Batch) -> npt.NDArray[np.uint64]:
    """Checksum of each row's task id, as HistoryReader.keys gives them."""
    return _checksums(batch.task_id)


class _IdOnly(msgspec.Struct, gc=False):
    task_id: Any = None
    data: Any = msgspec.UNSET


_ID_LINES = msgspec.json.Decoder(_IdOnly)


def _read_lines(block: bytes, reader: RecordReader, first_line: int) -> None:
    """Read a block of JSON Lines; a line that does not decode is set aside and its neighbours are read."""
    lines = block.split(b"\n")
    number = first_line
    if first_line == 1:
        lines[0] = lines[0].removeprefix(BOM)
    for text in lines:
        if text and not text.isspace():
            try:
                value = decode_strictly(text)
            except STRICT_ERRORS:
                _read_odd_line(text, reader, number)
            else:
                reader.read(value, number)
        number += 1


def _read_odd_line(text: bytes, reader: RecordReader, number: int) -> None:
    try:
        values = [value for _, value in decode_values(text)]
    except NotJson as error:
        reader.set_aside(number, 0, error.code, f"a line that is no JSON: {error.message}", "one JSON value")
    else:
        reader.read(values[0] if len(values) == 1 else values, number)


def _document(source: Source) -> list[tuple[int, object]]:
    """The values of a JSON document, nearly always one, each with the line it starts on."""
    span = SourceSpan(source.name, 1)
    with open_bytes(source.path, source.compression) as stream:
        parts, size = [], 0
        # Piece by piece, since a reader sets aside at once what it is asked for.
        while size <= MAX_DOCUMENT and (part := stream.read(min(_PIECE, MAX_DOCUMENT + 1))):
            parts.append(part)
            size += len(part)
    text = b"".join(parts)
    if len(text) > MAX_DOCUMENT:
        raise InputUnusable(Problem(
            "too-large", "the JSON document is longer than 1 GiB and must be decoded whole", span,
            help="write it as JSON Lines, one record per line (for instance with `jq -c '.[]'`)",
        ))  # fmt: skip
    if len(text) > _MOST_VALUES and sum(map(text.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise InputUnusable(Problem(
            "too-large", f"the JSON document holds more than {_MOST_VALUES:,} values and must be decoded whole", span,
            help="write it as JSON Lines, one record per line (for instance with `jq -c '.[]'`)",
        ))  # fmt: skip
    try:
        return decode_values(text)
    except NotJson as error:
        span = SourceSpan(source.name, error.line, error.column)
        if error.code == "not_utf8":
            problem = Problem("encoding", f"the file is not UTF-8: {error.message}", span, help="save it as UTF-8")
        else:
            help_ = "was the download cut short? fetch the file again, or give one record per line"
            problem = Problem("not-json", f"the file is no valid JSON: {error.message}", span, help=help_)
        raise InputUnusable(problem) from None
