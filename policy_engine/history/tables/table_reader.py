"""Turns CSV and Parquet tables, a row per task or per asset, into records by the documented column names."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from policy_engine.core.problems import InputUnusable, Problem, SourceSpan, suggest
from policy_engine.core.safe_text import plain
from policy_engine.history.opening import open_bytes
from policy_engine.history.records.batch import RecordColumns
from policy_engine.history.records.names import UNKNOWN_STATE, ServiceNames
from policy_engine.history.records.record_reader import RecordReader
from policy_engine.history.sources import Partition, Source
from policy_engine.history.tables.csv_rows import CsvLines, Row
from policy_engine.history.tables.csv_text import TableText
from policy_engine.history.tables.parquet import open_parquet, values_of
from policy_engine.history.tables.parquet_bounds import Leaf, leaves_of, read_columns
from policy_engine.history.tables.row_blocks import FlatPath

TABLE_COLUMNS: dict[str, str] = {
    "task_id": "Identifier of the task. The only column that must be there.",
    "service": "Service id of the rule pack's catalog; wins over `model`.",
    "model": "Model name as the provider's exports spell it (also `task_model`).",
    "task_type": "Type of the task (also `action`).",
    "status": "Status of the task in the provider's words.",
    "created_at": "When the task was submitted: RFC 3339 with a zone, or unix seconds.",
    "ended_at": "When the task was finished (also `completed_at`).",
    "updated_at": "When the record was last changed; bounds an unknown finish of a completed task.",
    "service_mode": "`public` (pay as you go) or `private` (host your account).",
    "is_using_private_pool": "true when the task ran on the user's own account; wins over `service_mode`.",
    "account": "`pay_as_you_go` or `host_your_account`; wins over the two above.",
    "consume": "Units the task cost, the same on each of its rows (also `usage`).",
    "points": "Points of this row alone; added up over the rows of a task. Used when `consume` is missing.",
    "usage_type": "Unit of `consume`: `point`, `llm`, `quota` and so on. Default `point` where `points` is given.",
    "account_id": "Passed through.",
    "api_key_id": "Passed through.",
    "url": "URL of one output file; then the table has a row per asset.",
    "output": "Which output of the catalog the URL is, by path or name; or the whole output as JSON.",
    "media": "Kind of the file, where `output` is missing: image, video, audio, model or text.",
    "role": "Role of the file, where `output` is missing.",
    "watermarked": "true or false, where `output` is missing.",
}
"""Columns of tables that are read, with their meaning; all text; other columns are ignored."""
_ALSO = {"task_model": "model", "action": "task_type", "completed_at": "ended_at", "usage": "consume"}
_LONGEST_FIELD = 1 << 24
_IDS = 65_536
"""Task ids of a Parquet file that are read at a time."""
_PIECE = 256
"""Rows that are tried together where more of them do not go by the column."""
_MOST_TITLES, _LONGEST_TITLE = 1_000, 80
"""Titles among which a similar one is sought."""


def map_columns(header: Sequence[str], mapping: Mapping[str, str], name: str) -> dict[int, str]:
    """
    Find which column of a table is which documented one: index -> documented name.

    `mapping` (documented name -> the table's own) comes from `--columns`. Raises InputUnusable when there is no
    task_id, when two columns claim one name, or when a mapped column is missing.
    """
    titles = [title.strip() for title in header]
    span = SourceSpan(name, 1)
    # Words are compared with each title, which takes its time.
    likely = [title for title in titles[:_MOST_TITLES] if len(title) <= _LONGEST_TITLE]
    shown = ", ".join(f"`{plain(title, 40)}`" for title in titles[:30])
    missing = [theirs for theirs in mapping.values() if theirs.strip() not in titles]
    if missing:
        near = suggest(missing[0][:_LONGEST_TITLE], likely)
        raise InputUnusable(Problem(
            "missing-column", f"the column `{plain(missing[0])}` named by --columns is not in the table", span,
            help=f"did you mean `{plain(near)}`? " * bool(near) + f"the table has {shown}",
        ))  # fmt: skip
    renamed: dict[str, str] = {}
    for ours, theirs in mapping.items():
        if renamed.setdefault(theirs.strip(), ours) != ours:
            both = f"`{plain(renamed[theirs.strip()])}` and `{plain(ours)}`"
            raise InputUnusable(Problem(
                "double-column", f"--columns names the column `{plain(theirs)}` for {both}", span,
                help="a column has one meaning; remove one of the two lines",
            ))  # fmt: skip
    known = {**{column: column for column in TABLE_COLUMNS}, **_ALSO}
    indices: dict[int, str] = {}
    for index, title in enumerate(titles):
        wanted = renamed.get(title)
        if wanted is None and known.get(title.lower()) not in mapping:
            wanted = known.get(title.lower())
        if wanted is not None:
            indices[index] = wanted
    found = list(indices.values())
    twice = sorted(column for column, count in Counter(found).items() if count > 1)
    if twice:
        raise InputUnusable(Problem(
            "double-column", f"two columns of the table mean `{twice[0]}`", span,
            help="rename or remove one, or say which with --columns",
        ))  # fmt: skip
    if "task_id" not in found:
        near = suggest("task_id", likely) or suggest("id", likely)
        raise InputUnusable(Problem(
            "missing-column", "the table has no column `task_id`", span,
            help=(f"the nearest is `{plain(near)}`; " if near else "") + f"it has {shown}; "
            "map it with --columns FILE (a YAML file with a line such as `task_id: name of your column`)",
        ))  # fmt: skip
    return indices


@dataclass(frozen=True)
class _Header:
    fields: list[str]
    delimiter: str
    names: list[str | None]
    """The documented name of each column."""
    firsts: frozenset[str]
    """What the first field is of a row that is the header again: its title, perhaps behind a byte order mark."""

    def named(self, fields: Sequence[str]) -> dict[str, str]:
        """The fields of a row by their documented names."""
        return {name: value for name, value in zip(self.names, fields, strict=True) if name is not None}

    def is_repeated_by(self, fields: Sequence[str]) -> bool:
        """True for a row that is the header again, as tables have it that were joined."""
        return fields == self.fields or (bool(fields) and fields[0] == f"\ufeff{self.fields[0]}")


class NotApart(Exception):
    """The task ids of a partition cannot be known without reading its records."""


class TableReader:
    """Feeds the rows of tables into a RecordReader: by the column where all is well, row by row where it is not."""

    def __init__(self, names: ServiceNames, mapping: Mapping[str, str], rows: int) -> None:
        """`mapping` as in `map_columns`; after every `rows` rows the readers yield, so that a batch can be taken."""
        self._flat = FlatPath(names)
        self._mapping = mapping
        self._rows = rows
        self._headers: dict[str, _Header] = {}
        self._leaves: dict[str, list[Leaf]] = {}

    def read_csv(self, source: Source, reader: RecordReader, unit: Partition) -> Iterator[None]:
        """
        Feed a CSV file or a part of it.

        Raises InputUnusable for a table without task ids, a line far too long, and text that is not UTF-8.
        """
        with self._opened(source, unit) as (lines, header):
            width = len(header.fields)

            def is_plausible(fields: Sequence[str]) -> bool:
                record = header.named(fields)
                status = record.get("status", "")
                is_known = not status.strip() or reader.names.state_of(status) != UNKNOWN_STATE
                return len(record["task_id"].split()) == 1 and is_known

            names = [name for name in header.names if name is not None]
            indices = [index for index, name in enumerate(header.names) if name is not None]
            ids = indices.index(header.names.index("task_id"))

            def are_well(columns: list[list[str]]) -> bool:
                return all(columns[1 + ids]) and header.firsts.isdisjoint(columns[0])

            while True:
                columns = lines.plain_columns(width, (0, *indices), are_well)
                if columns is not None:
                    first_line, start = lines.line - len(columns[0]) + 1, 0
                    while start < len(columns[0]):
                        end = start + self._rows - len(reader)
                        table = {name: column[start:end] for name, column in zip(names, columns[1:], strict=True)}
                        self._take_table(table, first_line + start, reader)
                        start = end
                        if len(reader) >= self._rows:
                            yield
                    continue
                rows = lines.plain_rows()
                if rows == []:
                    break
                if rows is None:
                    for row in lines.rows(width, is_plausible, only_block=True):
                        _take_row(row, header, reader)
                        # A text without line feeds is one block, and as long as a line may be.
                        if len(reader) >= self._rows:
                            yield
                    continue
                # Rows may be so short that a block holds many batches of them.
                first_line, start = lines.line - len(rows) + 1, 0
                while start < len(rows):
                    part = rows[start : start + self._rows - len(reader)]
                    self._take_plain(part, header, first_line + start, reader)
                    start += len(part)
                    if len(reader) >= self._rows:
                        yield

    def csv_ids(self, source: Source, unit: Partition) -> Iterator[list[str]]:
        """
        The task ids of a unit of a CSV file, one per line and "" where a line has none, in pieces.

        Raises NotApart where a row has more than its line, so that it is not known which lines are rows; where no unit
        of a file does, each of them begins with a row.
        """
        with self._opened(source, unit) as (lines, header):
            index, width, firsts = header.names.index("task_id"), len(header.fields), header.firsts
            yield [""] * (lines.line - unit.first_line + 1)
            while True:
                columns = lines.plain_columns(width, (0, index), lambda columns: firsts.isdisjoint(columns[0]))
                if columns is not None:
                    yield list(map(str.strip, columns[1]))
                    continue
                rows = lines.plain_rows()
                if not rows:
                    break
                if not any(rows):
                    yield [""] * len(rows)
                    continue
                yield [
                    "" if len(fields) != width or (fields[0] in firsts and header.is_repeated_by(fields))
                    else fields[index].strip()
                    for fields in rows
                ]  # fmt: skip
            if rows is None:
                raise NotApart

    def read_parquet(self, source: Source, reader: RecordReader, unit: Partition) -> Iterator[None]:
        """Feed a Parquet file or a part of it; raises InputUnusable for one without task ids and for a damaged one."""
        with open_parquet(source) as file:
            titles = file.schema_arrow.names
            indices = map_columns(titles, self._mapping, source.name)
            line = unit.first_line
            wanted = [titles[index] for index in indices]
            leaves = self._leaves_of(source, file)
            for batch in read_columns(source.path, source.size, wanted, _groups(file, unit), self._rows, leaves):
                names = [indices[titles.index(title)] for title in batch.schema.names]
                table = dict(zip(names, map(values_of, batch.columns), strict=True))
                self._take_table(table, line, reader)
                line += batch.num_rows
                # Batches end where row groups do, and small ones cost as much as large ones.
                if len(reader) >= self._rows:
                    yield

    def parquet_ids(self, source: Source, unit: Partition) -> Iterator[list[str]]:
        """The task ids of a unit of a Parquet file as `csv_ids` gives them; NotApart where they are not text."""
        with open_parquet(source) as file:
            titles = file.schema_arrow.names
            indices = map_columns(titles, self._mapping, source.name)
            title = next(titles[index] for index, name in indices.items() if name == "task_id")
            leaves = self._leaves_of(source, file)
            for batch in read_columns(source.path, source.size, [title], _groups(file, unit), _IDS, leaves):
                ids = values_of(batch.column(0))
                if any(type(task_id) is not str and task_id is not None for task_id in ids):
                    raise NotApart
                yield [(task_id or "").strip() for task_id in ids]

    def _leaves_of(self, source: Source, file: Any) -> list[Leaf]:
        if source.path not in self._leaves:
            self._leaves[source.path] = leaves_of(file)
        return self._leaves[source.path]

    def _take_table(self, table: Mapping[str, Sequence[Any]], first_line: int, reader: RecordReader) -> None:
        """Feed rows on successive lines, given as columns by their documented names."""
        columns = self._flat.columns(table, first_line)
        count = len(table["task_id"])
        if columns is not None:
            reader.take_columns(columns)
        elif count > _PIECE:
            # One row that wants the general reader leaves most others to the columns.
            for start in range(0, count, _PIECE):
                piece = {name: column[start : start + _PIECE] for name, column in table.items()}
                self._take_table(piece, first_line + start, reader)
        else:
            for line, values in enumerate(zip(*table.values(), strict=True), first_line):
                reader.read_flat(dict(zip(table, values, strict=True)), line)

    def _take_plain(self, rows: list[list[str]], header: _Header, first_line: int, reader: RecordReader) -> None:
        columns = self._plain_columns(rows, header, first_line)
        if columns is not None:
            reader.take_columns(columns)
            return
        for line, fields in enumerate(rows, first_line):
            if any(fields):
                _take_row(Row(line, fields), header, reader)

    def _plain_columns(self, rows: list[list[str]], header: _Header, first_line: int) -> RecordColumns | None:
        width = len(header.fields)
        if any(len(fields) != width for fields in rows) or not header.firsts.isdisjoint(map(itemgetter(0), rows)):
            return None
        # Of a table with a million columns only the documented ones are taken apart.
        table = {
            name: list(map(itemgetter(index), rows)) for index, name in enumerate(header.names) if name is not None
        }
        return self._flat.columns(table, first_line)

    @contextmanager
    def _opened(self, source: Source, unit: Partition) -> Iterator[tuple[CsvLines, _Header]]:
        """The lines of a part behind the header."""
        csv.field_size_limit(_LONGEST_FIELD)
        with open_bytes(source.path, source.compression) as raw:
            try:
                if unit.start:
                    if source.path not in self._headers:
                        with self._opened(source, Partition(unit.file)):
                            pass
                    header = self._headers[source.path]
                    yield CsvLines(TableText(raw, unit.start, unit.end), unit.first_line, header.delimiter), header
                else:
                    lines = CsvLines(TableText(raw, 0, unit.end))
                    header = self._headers[source.path] = self._header(source, lines)
                    yield lines, header
            except UnicodeDecodeError:
                raise InputUnusable(_undecodable(source)) from None

    def _header(self, source: Source, lines: CsvLines) -> _Header:
        row = next((row for row in lines.rows() if row.fields is not None), None)
        if row is None or row.fields is None:
            raise InputUnusable(Problem("not-an-export", "the table has no header", SourceSpan(source.name, 1)))
        indices = map_columns(row.fields, self._mapping, source.name)
        names = [indices.get(index) for index in range(len(row.fields))]
        return _Header(row.fields, lines.delimiter, names, frozenset((row.fields[0], f"\ufeff{row.fields[0]}")))


def _groups(file: Any, unit: Partition) -> range:
    return range(unit.start, file.num_row_groups if unit.end is None else unit.end)


def _take_row(row: Row, header: _Header, reader: RecordReader) -> None:
    fields, width = row.fields, len(header.fields)
    expected = f"{width} fields as in the header"
    if fields is None:
        reader.set_aside(row.line, 0, "not_csv", f"a row that is not CSV ({row.defect})", expected)
    elif header.is_repeated_by(fields):
        pass
    elif len(fields) == width:
        reader.read_flat(header.named(fields), row.line)
    else:
        reader.set_aside(row.line, 0, "wrong_field_count", f"{len(fields)} fields", expected)


def _undecodable(source: Source) -> Problem:
    """Say where a table stops being UTF-8; read again, since decoders work block by block."""
    help_ = "save it as UTF-8; in a spreadsheet choose `CSV UTF-8`"
    line, column, rest = 1, 1, b""
    with open_bytes(source.path, source.compression) as raw:
        while block := raw.read(1 << 20):
            rest += block
            try:
                text, used = codecs.utf_8_decode(rest, "strict", False)
            except UnicodeDecodeError as error:
                line, column = _after(rest[: error.start].decode("utf-8"), line, column)
                message = f"the table is not UTF-8: the byte 0x{rest[error.start]:02x} is not"
                return Problem("encoding", message, SourceSpan(source.name, line, column), help=help_)
            line, column = _after(text, line, column)
            rest = rest[used:]
    return Problem("encoding", "the table is not UTF-8", SourceSpan(source.name, 1), help=help_)


def _after(text: str, line: int, column: int) -> tuple[int, int]:
    """The line and column after a text that begins at a line and column; a line ends with its line feed."""
    feeds = text.count("\n")
    return (line + feeds, len(text) - text.rfind("\n")) if feeds else (line, column + len(text))
