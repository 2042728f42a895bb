"""Turns sources into units of work and units into batches of records, in the order of the files."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import compress
from operator import itemgetter
from typing import IO, Annotated

import msgspec
import numpy as np
import numpy.typing as npt

from policy_engine.core.hashing import odd_factors
from policy_engine.core.problems import InputUnusable, Problem, SourceSpan
from policy_engine.core.rule_model import Catalog
from policy_engine.history.decoding import (
    BOM,
    STRICT_ERRORS,
    NotJson,
    count_lines,
    decode_strictly,
    decode_values,
    lines_of_objects,
)
from policy_engine.history.merging.adjacent_rows import RepeatedIdFeed, open_end
from policy_engine.history.opening import open_bytes
from policy_engine.history.records.batch import Batch, join
from policy_engine.history.records.names import ServiceNames
from policy_engine.history.records.record_reader import ReadTotals, RecordReader
from policy_engine.history.records.task_blocks import FastPath
from policy_engine.history.sources import MAX_DOCUMENT, Partition, Source
from policy_engine.history.tables.table_reader import NotApart, TableReader

BLOCK = 1 << 18
"""Bytes of JSON Lines that are decoded at a time; few enough for what is decoded to stay in the processor's cache."""
_RECORDS = 40_000
"""Records of a batch by default."""
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
_FACTORS = odd_factors(_UUID // 4)


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
        self._records = records or _RECORDS
        self._tables = TableReader(self.names, dict(mapping or {}), min(self._records, _ROWS))

    def batches(self, unit: Partition) -> Iterator[tuple[Batch, ReadTotals]]:
        """
        The records of a unit, in batches, with what was set aside.

        Adjacent rows of a table that belong to one task come in one batch, unless they are too many
        (adjacent_rows.MOST). Raises InputUnusable when the file itself cannot be read completely.
        """
        records = self.records(unit)
        yield from _with_neighbours(records) if self.is_table(unit) else records

    def records(self, unit: Partition) -> Iterator[tuple[Batch, ReadTotals]]:
        """As `batches`, each batch with what reading it met; rows of one task may come in several."""
        source = self.sources[unit.file]
        reader = RecordReader(self.names, self._legacy, unit.file)
        with _named(source):
            for _ in self._feed(unit, source, reader):
                yield _take(reader)
            yield _take(reader)

    def keys(self, unit: Partition) -> tuple[npt.NDArray[np.uint64], int] | None:
        """
        Checksums of the task ids in a unit, one per usable record in any order, and the number of lines.

        Equal ids have equal checksums; different ids rarely share one, which costs time and changes nothing. Rows of a
        table that `batches` gives together count once. None where it turns out that the unit cannot be read without
        the others of its file.
        """
        source = self.sources[unit.file]
        if self.is_table(unit):
            return self._keys_of_table(unit, source)
        if source.kind == "json-lines" and not source.compression:
            sums, lines = [np.empty(0, np.uint64)], 0
            for block in self._blocks(unit, source):
                ids, count = self._ids(block, unit.file)
                sums.append(_checksums(ids))
                lines += count
            return np.concatenate(sums), lines
        sums = [checksums(batch) for batch, _ in self.batches(unit)]
        return np.concatenate(sums), 0

    def is_table(self, unit: Partition) -> bool:
        """True for a table, where adjacent rows may belong to one task."""
        return self.sources[unit.file].kind in ("csv", "parquet")

    def _keys_of_table(self, unit: Partition, source: Source) -> tuple[npt.NDArray[np.uint64], int] | None:
        read = self._tables.csv_ids if source.kind == "csv" else self._tables.parquet_ids
        feed, sums, lines = RepeatedIdFeed(), [np.empty(0, np.uint64)], 0
        with _named(source):
            try:
                for ids in read(source, unit):
                    sums.append(_checksums(feed.take(ids)))
                    lines += len(ids)
            except NotApart:
                if source.kind == "csv" and unit.end is not None:
                    return None
                feed, sums, lines = RepeatedIdFeed(), [np.empty(0, np.uint64)], 0
                for batch, seen in self.batches(unit):
                    sums.append(_checksums(feed.take(_with_gaps(batch))))
                    lines += seen.records
        return np.concatenate(sums), lines

    def _ids(self, block: bytes, file: int) -> tuple[list[str], int]:
        """Task ids of the records in a block, and its lines; decodes only blocks where every line is a bare task."""
        lines = lines_of_objects(block)
        if lines:
            with suppress(*STRICT_ERRORS):
                return [row.task_id for row in _ID_LINES.decode_lines(block)], lines
        reader = RecordReader(self.names, self._legacy, file)
        _read_lines(block, reader, 1)
        return reader.finish().task_id, count_lines(block)

    def _feed(self, unit: Partition, source: Source, reader: RecordReader) -> Iterator[None]:
        if source.kind == "csv":
            yield from self._tables.read_csv(source, reader, unit)
        elif source.kind == "parquet":
            yield from self._tables.read_parquet(source, reader, unit)
        elif source.kind == "json":
            values = _document(source)
            for line, group in itertools.groupby(values, key=itemgetter(0)):
                beginning = [value for _, value in group]
                value = beginning[0] if len(beginning) == 1 else beginning
                # A line number says little where one document is the whole file; records are counted instead.
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
                    line += len(columns)
                held += len(block)
                if len(reader) >= self._records or held >= self._records * _RECORD:
                    yield
                    held = 0

    def _blocks(self, unit: Partition, source: Source) -> Iterator[bytes]:
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


@contextmanager
def _named(source: Source) -> Iterator[None]:
    """Name the file in problems of lower layers, which may not know it."""
    try:
        yield
    except InputUnusable as error:
        span = SourceSpan(source.name, 1)
        raise InputUnusable(
            [problem if problem.span else replace(problem, span=span) for problem in error.problems]
        ) from None
    except OSError as error:
        message = f"the file cannot be read: {error.strerror or error}"
        raise InputUnusable(Problem("unreadable-file", message, SourceSpan(source.name, 1))) from None


def _with_neighbours(parts: Iterable[tuple[Batch, ReadTotals]]) -> Iterator[tuple[Batch, ReadTotals]]:
    """Batches of rows; rows at the end of one that the next may continue are moved to the beginning of the next."""
    held: Batch | None = None
    for batch, seen in parts:
        whole = batch if held is None else join([held, batch])
        edge = open_end(whole)
        held = whole.part(edge, len(whole)) if edge < len(whole) else None
        yield whole.part(0, edge) if held is not None else whole, seen
    if held is not None:
        yield held, ReadTotals()


def _with_gaps(batch: Batch) -> list[str]:
    """The task ids of a batch of rows, with "" between two whose lines are not successive."""
    ids = [""]
    above = 0
    for line, task_id in zip(batch.line, batch.task_id, strict=True):
        if line != above + 1:
            ids.append("")
        ids.append(task_id)
        above = line
    return ids


def _take(reader: RecordReader) -> tuple[Batch, ReadTotals]:
    batch, seen = reader.finish(), reader.seen
    seen.records_by_file[reader.file] = seen.records
    reader.seen = ReadTotals()
    return batch, seen


def _checksums(ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    """A number per id that depends on the id alone; ids as long as a UUID are done together, others by CRC-32."""
    sums = np.empty(len(ids), np.uint64)
    together = "".join(ids)
    if together.isascii():
        long = np.fromiter(map(len, ids), np.int64, len(ids)) == _UUID
    else:
        long = np.array([len(task_id) == _UUID and task_id.isascii() for task_id in ids], bool)
    if not long.all():
        together = "".join(compress(ids, long.tolist()))
    pieces = np.frombuffer(together.encode("ascii"), "<u4").reshape(-1, _UUID // 4)
    sums[long] = (pieces * _FACTORS).sum(axis=1, dtype=np.uint64)
    crc = zlib.crc32
    for row in np.flatnonzero(~long).tolist():
        sums[row] = crc(ids[row].encode("utf-8", "surrogatepass"))
    return sums


def checksums(batch: Batch) -> npt.NDArray[np.uint64]:
    """Checksum of each row's task id, as HistoryReader.keys gives them."""
    return _checksums(batch.task_id)


class _BareTask(msgspec.Struct, gc=False):
    task_id: Annotated[str, msgspec.Meta(min_length=1)]
    data: None = None


_ID_LINES = msgspec.json.Decoder(_BareTask)


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
        reader.set_aside(number, 0, error.code, f"a line that is not JSON: {error.message}", "one JSON value")
    else:
        reader.read(values[0] if len(values) == 1 else values, number)


def _document(source: Source) -> list[tuple[int, object]]:
    """The values of a JSON document, nearly always one, each with the line it starts on."""
    span = SourceSpan(source.name, 1)
    with open_bytes(source.path, source.compression) as stream:
        parts, size = [], 0
        # Piece by piece, since a reader allocates at once what it is asked for.
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
            problem = Problem("not-json", f"the file is not valid JSON: {error.message}", span, help=help_)
        raise InputUnusable(problem) from None
