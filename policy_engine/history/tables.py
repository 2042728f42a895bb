"""Turns CSV and Parquet tables, a row per task or per asset, into flat records with the documented column names."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policy_engine.history.csv_lines import CsvLines
from policy_engine.history.names import UNKNOWN_STATE
from policy_engine.history.records import RecordReader
from policy_engine.history.sources import Source, open_bytes
from policy_engine.periods import SECOND, format_instant
from policy_engine.problems import InputUnusable, Problem, SourceSpan, plain, suggest

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
"""Columns of tables that are read, with their meaning; all text; other columns are passed over."""
_ALSO = {"task_model": "model", "action": "task_type", "completed_at": "ended_at", "usage": "consume"}
_LONGEST_FIELD = 1 << 24
_MOST_TITLES, _LONGEST_TITLE = 1_000, 80
"""Titles among which a similar one is sought."""


def map_columns(header: Sequence[str], mapping: Mapping[str, str], name: str) -> dict[int, str]:
    """
    Find which column of a table is which documented one: place -> documented name.

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
    places: dict[int, str] = {}
    for place, title in enumerate(titles):
        wanted = renamed.get(title)
        if wanted is None and known.get(title.lower()) not in mapping:
            wanted = known.get(title.lower())
        if wanted is not None:
            places[place] = wanted
    found = list(places.values())
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
    return places


def read_csv(source: Source, reader: RecordReader, mapping: Mapping[str, str], rows: int) -> Iterator[None]:
    """Feed a CSV file into the reader; yields after every `rows` rows so that the caller can take the batch."""
    csv.field_size_limit(_LONGEST_FIELD)
    with open_bytes(source.path, source.compression) as raw:
        lines = CsvLines(io.TextIOWrapper(raw, encoding="utf-8-sig", errors="strict", newline=""))
        try:
            yield from _read_rows(source, lines, reader, mapping, rows)
        except UnicodeDecodeError:
            raise InputUnusable(_undecodable(source)) from None


def _read_rows(
    source: Source, lines: CsvLines, reader: RecordReader, mapping: Mapping[str, str], rows: int
) -> Iterator[None]:
    header = next((row for row in lines.rows() if row.fields is not None), None)
    if header is None or header.fields is None:
        raise InputUnusable(Problem("not-an-export", "the table has no header", SourceSpan(source.name, 1)))
    places = map_columns(header.fields, mapping, source.name)
    width = len(header.fields)
    names = [places.get(place) for place in range(width)]

    def named(fields: Sequence[str]) -> dict[str, str]:
        return {name: value for name, value in zip(names, fields, strict=True) if name is not None}

    def is_plausible(fields: Sequence[str]) -> bool:
        record = named(fields)
        status = record.get("status", "")
        task_id = record["task_id"].strip()
        return len(task_id.split()) == 1 and (not status.strip() or reader.names.state_of(status) != UNKNOWN_STATE)

    expected = f"{width} fields as in the header"
    for row in lines.rows(width, is_plausible):
        if row.fields == header.fields or (row.fields and row.fields[0] == f"\ufeff{header.fields[0]}"):
            continue  # tables that were joined repeat their header
        if row.fields is not None and len(row.fields) == width:
            reader.read_flat(named(row.fields), row.line)
        elif row.fields is not None:
            reader.set_aside(row.line, 0, "wrong_field_count", f"{len(row.fields)} fields", expected)
        else:
            reader.set_aside(row.line, 0, "not_csv", f"a row that is no CSV ({row.defect})", expected)
        if len(reader) >= rows:
            yield


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
                message = f"the table is not UTF-8: the byte 0x{rest[error.start]:02x} is none"
                return Problem("encoding", message, SourceSpan(source.name, line, column), help=help_)
            line, column = _after(text, line, column)
            rest = rest[used:]
    return Problem("encoding", "the table is not UTF-8", SourceSpan(source.name, 1), help=help_)


def _after(text: str, line: int, column: int) -> tuple[int, int]:
    """The place behind a text that begins at a place; a line ends with its line feed."""
    feeds = text.count("\n")
    return (line + feeds, len(text) - text.rfind("\n")) if feeds else (line, column + len(text))


def read_parquet(source: Source, reader: RecordReader, mapping: Mapping[str, str], rows: int) -> Iterator[None]:
    """Feed a Parquet file into the reader, `rows` rows at a time; needs pyarrow (the `parquet` extra)."""
    span = SourceSpan(source.name, 1)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputUnusable(Problem(
            "missing-extra", "reading Parquet needs pyarrow", span, help="pip install 'media-policy-engine[parquet]'",
        )) from None  # fmt: skip
    try:
        file = pq.ParquetFile(source.path)
        places = map_columns(file.schema_arrow.names, mapping, source.name)
        wanted = [file.schema_arrow.names[place] for place in places]
        line = 0
        for batch in file.iter_batches(batch_size=rows, columns=wanted):
            columns = {}
            for title, column in zip(batch.schema.names, batch.columns, strict=True):
                name = places[file.schema_arrow.names.index(title)]
                columns[name] = _texts(column, pa)
            for values in zip(*columns.values(), strict=True):
                line += 1
                reader.read_flat(dict(zip(columns, values, strict=True)), line)
            yield
    except (pa.ArrowException, OSError) as error:
        message = plain(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise InputUnusable(
            Problem(
                "damaged-file", f"the Parquet file cannot be read ({message})", span, help="write or fetch it again"
            )
        ) from None


def _texts(column: Any, pa: Any) -> list[Any]:
    """Values of a column as the record reader takes them; times as RFC 3339 text, zoneless ones without a zone."""
    types = pa.types
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if types.is_timestamp(column.type):
        return _times_as_text(column, pa)
    if types.is_binary(column.type) or types.is_large_binary(column.type):
        # Some writers do not mark text as text.
        values = column.to_pylist()
        return [value.decode("utf-8", "replace") if value is not None else None for value in values]
    if types.is_decimal(column.type):
        values = column.to_pylist()
        return [int(one) if one is not None and one == one.to_integral_value() else one for one in values]
    if types.is_map(column.type):
        return [None if value is None else dict(value) for value in column.to_pylist()]
    plain_values: list[Any] = column.to_pylist()
    return plain_values


def _times_as_text(column: Any, pa: Any) -> list[str | None]:
    # Python integers, since times far away do not fit into 64 bits of nanoseconds.
    unit = {"s": SECOND, "ms": SECOND // 1_000, "us": SECOND // 1_000_000, "ns": 1}[column.type.unit]
    zone = "Z" if column.type.tz is not None else ""
    texts: list[str | None] = []
    for value in column.view(pa.int64()).to_pylist():
        try:
            texts.append(None if value is None else format_instant(value * unit).removesuffix("Z") + zone)
        except (ValueError, OverflowError):
            texts.append("a time outside the calendar")
    return texts
