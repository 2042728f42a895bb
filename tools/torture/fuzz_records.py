"""
Feeds bytes to the reader of exports, and compares every fast way of reading with the general one.

The first byte of an input says what is asked of the rest:
- a block of JSON Lines: the fast path reads what the general reader reads, or leaves it; and the outputs that it hands
  on as bytes give the files, the money and the reasons of the general way, however many of a service come together;
- a file of any kind: it is read, record by record set aside, or refused in words; the same for every size of block,
  and for a table whether it is read by the column or row by row;
- outputs of one service, a line each: the column-wise way finds what the general way finds, or leaves it;
- a table of findings: what is written column by column is what is written line by line.

Each input is read, and its records or the text of its refusal are checked. Files, money, frames, other sizes of
block and files on disk take far longer, and are for answers of a new kind and as time permits (`fuzzing.Thrift`).
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import dataclasses
import functools
import io
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.support.general_readers import no_plain_columns, no_plain_rows
from tools.torture import fuzzing

MODULES = ("history", "engine.assets.output_paths", "engine.assets.json_outputs", "core.urls")
with fuzzing.instrumented(*(f"policy_engine.{name}" for name in MODULES)):
    from policy_engine.core.problems import InputUnusable, format_problem
    from policy_engine.core.text.csv_blocks import csv_lines
    from policy_engine.core.text.csv_cells import to_bytes, to_csv_lines
    from policy_engine.engine.assets import maker as assets_module
    from policy_engine.engine.assets.json_outputs import JsonOutputs
    from policy_engine.engine.assets.maker import AssetMaker, TaskTotals
    from policy_engine.engine.assets.output_paths import OutputPaths
    from policy_engine.history import HistoryReader, ReadTotals, find_sources, merge_records
    from policy_engine.history import partitions as units_module
    from policy_engine.history import reader as reading
    from policy_engine.history import sources as sources_module
    from policy_engine.history.decoding import STRICT_ERRORS, count_lines, decode_strictly
    from policy_engine.history.merging.adjacent_rows import starts
    from policy_engine.history.opening import Compression
    from policy_engine.history.records.batch import Batch, RecordColumns
    from policy_engine.history.records.names import ServiceNames
    from policy_engine.history.records.outputs import decode_output
    from policy_engine.history.records.record_reader import RecordReader
    from policy_engine.history.records.task_blocks import FastPath
    from policy_engine.history.sources import Source
    from policy_engine.history.tables import csv_text as table_text
    from policy_engine.history.tables.csv_rows import CsvLines
    from policy_engine.history.tables.row_blocks import FlatPath
    from policy_engine.history.tables.table_reader import TABLE_COLUMNS
    from policy_engine.packs import read_pack

AS_OF = 1_767_830_400 * 10**9
PACK = read_pack("piapi")
CATALOG = PACK.catalog
NAMES = ServiceNames(CATALOG)
FAST = FastPath(NAMES, CATALOG.legacy_outputs)
SERVICES = [service.id for service in CATALOG.services]
SOURCE = (Source("x", "x", "json-lines", "", 0),)
SMALL_BLOCK, SMALL_UNIT = 16, 64
KINDS = (".jsonl", ".json", ".csv", ".txt")
WAYS = ("block", "file", "outputs", "csv")
THRIFT = fuzzing.Thrift(0.1)
FINISHING = fuzzing.Thrift(0.2)
_PLAIN = re.compile(rb"[A-Za-z0-9_.%?=&-]+")
_LONGEST_KIND = 300
_HELD = "\0"
"""Name of a file that is held in memory, and that no file on disk can have."""


def check(data: bytes) -> None:
    """Raise where two ways differ, or where bytes are answered by anything but records or problems."""
    if len(data) < 2:
        return
    way, more, text = WAYS[data[0] % len(WAYS)], data[1], data[2:]
    if way == "block":
        check_block(text)
    elif way == "file":
        check_file(text, KINDS[more % len(KINDS)])
    elif way == "outputs":
        check_outputs(text, SERVICES[more % len(SERVICES)])
    else:
        THRIFT.check(_collapsed(text), data, check_csv, text)
        check_file(text, ".csv")


# --- blocks of JSON Lines ---


def check_block(block: bytes) -> None:
    """The fast path against the general reader, down to files, money and reasons."""
    general = _read_generally(block)
    rows = _rows(general)
    columns = FAST.columns(block, 1)
    if columns is None:
        FINISHING.check((_kind(rows), _times(rows)), block, general.finish)
        return
    seen = general.seen
    assert not seen.quarantine, f"the fast path reads what is set aside: {seen.quarantine}"
    assert not seen.problem_counts, f"the fast path sees no problem in {seen.problem_examples}"
    fast = RecordReader(NAMES, CATALOG.legacy_outputs, 0)
    fast.take_columns(columns)
    assert fast.seen.records == seen.records
    FINISHING.check((True, _kind(rows), _times(rows)), block, _compare, fast, general, block)


def _compare(fast: RecordReader, general: RecordReader, block: bytes) -> None:
    kind = _kind(_rows(general))
    first, other = fast.finish(), general.finish()
    assert fast.seen.problem_counts == general.seen.problem_counts, "other problems with times"
    raw, first = first, dataclasses.replace(first, output=[_decoded(output) for output in first.output])
    _same_batch(first, other)
    THRIFT.check(("block", kind), block, _same_files, raw, other)


def _read_generally(block: bytes) -> RecordReader:
    reader = RecordReader(NAMES, CATALOG.legacy_outputs, 0)
    reading._read_lines(block, reader, 1)
    assert reader.seen.records == len(_rows(reader)) + len(reader.seen.quarantine), "a record is swallowed"
    return reader


_COLUMNS = [column.name for column in dataclasses.fields(RecordColumns)]
_Record = collections.namedtuple("_Record", _COLUMNS)  # type: ignore[misc]


def _rows(reader: RecordReader) -> list[Any]:
    """The records that wait for `finish`."""
    columns = (getattr(reader._columns, name) for name in _COLUMNS)
    return [_Record(*values) for values in zip(*columns, strict=True)]


def _decoded(output: Any) -> Any:
    return decode_output(output) or None if type(output) is bytes else output


def _same_batch(first: Batch, other: Batch) -> None:
    for field in dataclasses.fields(Batch):
        mine, theirs = getattr(first, field.name), getattr(other, field.name)
        same = np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else repr(mine) == repr(theirs)
        assert same, f"{field.name}: {mine!r} is not {theirs!r}"


def _same_files(first: Batch, other: Batch) -> None:
    results = []
    for batch, few in ((first, 0), (first, 1 << 30), (other, 1 << 30)):
        assets_module._FEW = few
        maker, totals = _maker(), TaskTotals()
        points = maker._points(batch, totals)
        files, reasons = maker._files(batch, totals)
        kinds = [maker.paths.kinds[kind] for kind in files.kinds.tolist()]
        results.append((
            files.rows.tolist(), kinds, files.ordinals.tolist(), files.urls, reasons.tolist(), points.tolist(), totals,
        ))  # fmt: skip
    for names, first, second, third in zip(
        ("rows", "kinds", "ordinals", "urls", "reasons", "points", "totals"), *results, strict=True
    ):
        assert first == second == third, f"{names}: {first!r}, {second!r} and {third!r}"


@functools.cache
def _maker() -> AssetMaker:
    return AssetMaker(PACK, SOURCE, AS_OF)


# --- files of any kind ---


@functools.cache
def _reader() -> HistoryReader:
    return HistoryReader((), CATALOG)


@functools.cache
def _folder() -> Path:
    shared = Path("/dev/shm")  # noqa: S108  (a folder of our own is made in it)
    folder = Path(tempfile.mkdtemp(prefix="policy-engine-", dir=shared if shared.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def check_file(text: bytes, extension: str) -> None:
    """A file is read or refused in words; where it is read line by line, in the same way for every size of block."""
    if not text or text.startswith((b"PAR1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        # Only a file can be packed.
        _check_on_disk(text, extension)
        return
    try:
        source = Source("input", _HELD, sources_module._kind_of_text(io.BytesIO(text), extension), "", len(text))
        records = _read_source(source, text)
    except InputUnusable as error:
        _print(error)
        return
    rows = _rows(records)
    assert records.seen.records == len(rows) + len(records.seen.quarantine), "a record is swallowed"
    kind = (source.kind, extension, _kind(rows), *_words_of(records.seen))
    FINISHING.check((kind, _times(rows)), text, _finish, records, source, text)
    THRIFT.check(kind, text, _check_on_disk, text, extension)


def _read_source(source: Source, text: bytes) -> RecordReader:
    _held(text)
    reader = RecordReader(NAMES, CATALOG.legacy_outputs, 0)
    for _ in _reader()._feed(units_module.Partition(0), source, reader):
        pass
    return reader


def _finish(records: RecordReader, source: Source, text: bytes) -> None:
    """Make a batch of what was read; of a table the same one row by row, and in small blocks."""
    batch, seen = records.finish(), records.seen
    if source.kind != "csv":
        return
    ways = [
        {
            (CsvLines, "plain_columns"): no_plain_columns,
            (CsvLines, "plain_rows"): no_plain_rows,
            (FlatPath, "columns"): lambda *_: None,
        },
        {(table_text, "_BLOCK"): SMALL_BLOCK},
    ]
    for way in ways:
        with _changed(way):
            reader = _read_source(source, text)
        _same_batch(batch, reader.finish())
        for name in ("quarantine", "problem_counts", "problem_examples"):
            first, second = getattr(seen, name), getattr(reader.seen, name)
            assert first == second, f"{name} of a table: {first!r} is not {second!r}"


@contextlib.contextmanager
def _changed(values: Mapping[tuple[Any, str], Any]) -> Iterator[None]:
    before = {(holder, name): getattr(holder, name) for holder, name in values}
    for (holder, name), value in values.items():
        setattr(holder, name, value)
    try:
        yield
    finally:
        for (holder, name), value in before.items():
            setattr(holder, name, value)


def _held(text: bytes) -> None:
    """Make the text what is read where a file of the name _HELD is opened."""
    for opening in _openings():
        opening.text = text


class _Opening:
    """Stands for `open_bytes` in a module; files on disk are opened as ever."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self.text = b""
        self._real = real

    def __call__(self, path: str, compression: Compression) -> Any:
        return io.BytesIO(self.text) if path == _HELD else self._real(path, compression)


@functools.cache
def _openings() -> list[_Opening]:
    ours = [module for name, module in sys.modules.items() if name.startswith("policy_engine.history.")]
    found = []
    for module in ours:
        if hasattr(module, "open_bytes"):
            found.append(_Opening(module.open_bytes))
            module.open_bytes = found[-1]  # type: ignore[attr-defined]
    return found


def _print(error: InputUnusable) -> None:
    assert error.problems, "it was refused without a message"
    for problem in error.problems:
        assert problem.message
        text = format_problem(problem, error.sources)
        assert text.replace("\n", "").isprintable(), "not printable"


def _kind(rows: Sequence[Any]) -> Hashable:
    """What records are like; equal for records that the program can hardly treat in different ways."""
    return frozenset(
        (
            row.service, row.task_type is None, row.floating, row.is_object, row.state,
            _collapsed((_times_of(row), row.output)), row.pool, row.mode is None, row.account,
            type(row.consume), type(row.share), row.unit is None,
        )
        for row in rows
    )  # fmt: skip


def _times(rows: Sequence[Any]) -> str:
    """The times of records, whose reading is put off."""
    return repr(list(map(_times_of, rows)))


def _times_of(row: Any) -> tuple[Any, ...]:
    return row.created_at, row.ended_at, row.updated_at, row.webhook


def _collapsed(value: object) -> str:
    """A value with every run of plain characters made one, so that texts of one shape are equal."""
    text = value if type(value) is bytes else repr(value)[:_LONGEST_KIND].encode("utf-8", "replace")
    return _PLAIN.sub(b"a", text).decode("latin-1")


def _words_of(seen: ReadTotals) -> Sequence[str]:
    return sorted({record.reason for record in seen.quarantine} | set(seen.problem_counts))


def _check_on_disk(text: bytes, extension: str) -> None:
    """Read a file, more than once where it is read line by line, and make the assets of its records."""
    file = _folder() / f"input{extension}"
    file.write_bytes(text)
    whole = _outcome(file, 1 << 18, 1 << 25)
    if whole is not None and whole[0] in ("json-lines", "csv"):
        parts = _outcome(file, SMALL_BLOCK, SMALL_UNIT)
        assert parts is not None
        if whole[0] == "csv":
            # Rows of one task in several partitions are merged in another order.
            whole, parts = _without_order(whole), _without_order(parts)
        for first, second in zip(whole, parts, strict=True):
            assert first == second, f"another answer in small blocks: {first!r} and {second!r}"


def _without_order(outcome: tuple[Any, ...]) -> tuple[Any, ...]:
    _, ids, _, _, _, states, *_, quarantine, problems, _ = outcome
    return sorted(zip(ids, states, strict=True)), quarantine, problems


def _outcome(file: Path, block: int, unit: int) -> tuple[Any, ...] | None:
    """What a file holds, as values that can be compared; None where it was refused."""
    sizes = {
        (reading, "BLOCK"): block, (table_text, "_BLOCK"): block,
        (units_module, "UNIT"): unit, (units_module, "TABLE_UNIT"): unit,
    }  # fmt: skip
    try:
        with _changed(sizes):
            return _read_outcome(file)
    except InputUnusable as error:
        _print(error)
        return None


def _read_outcome(file: Path) -> tuple[Any, ...]:
    found = find_sources([str(file)])
    reader = _reader()
    reader.sources = found.sources
    units = units_module.plan_units(found.sources)
    keys = [reader.keys(partition) for partition in units]
    if any(found_keys is None for found_keys in keys):
        # Some table cannot be cut.
        units = [units_module.Partition(0)]
        keys = [reader.keys(partition) for partition in units]
    line, numbered = 1, []
    for partition, (_, lines) in zip(units, keys, strict=True):
        numbered.append(dataclasses.replace(partition, first_line=line))
        line += lines
    seen, batches = ReadTotals(), []
    for partition in numbered:
        for batch, more in reader.batches(partition):
            batches.append(batch)
            seen.add(more)
    records = sum(map(len, batches))
    assert seen.records == records + len(seen.quarantine), "a record is neither read nor set aside"
    reported = Counter(checksum for sums, _ in keys for checksum in sums.tolist())
    is_table = found.sources[0].kind in ("csv", "parquet")
    taken = [
        batch.take(starts(batch.task_id, batch.line).nonzero()[0].tolist()) if is_table else batch for batch in batches
    ]
    for sums, count in Counter(checksum for batch in taken for checksum in reading.checksums(batch).tolist()).items():
        assert reported[sums] >= count, "a task id was not seen by the search for duplicates"
    merged, away = merge_records(batches, reader.names)
    assert len(merged) + away == records, "merging made or swallowed a record"
    frame, totals = AssetMaker(PACK, found.sources, AS_OF).make(merged)
    assert totals.tasks == totals.with_assets + sum(count for count, _ in totals.without_assets.values())
    csv_lines(frame)
    outputs = [
        sorted(map(str, _maker().paths.files_of(service, output).files))
        for service, output in zip(merged.service, merged.output, strict=True)
    ]
    return (
        found.sources[0].kind, merged.task_id, merged.line, merged.item, merged.also, merged.state, outputs,
        [merged.created.tolist(), merged.ended.tolist(), merged.bound.tolist()], merged.consume, merged.unit,
        [(record.line, record.item, record.reason) for record in seen.quarantine], seen.problem_counts, len(seen.pages),
    )  # fmt: skip


# --- outputs of one service ---


@functools.cache
def _output_reader(service: str) -> tuple[OutputPaths, JsonOutputs]:
    kinds = OutputPaths(CATALOG)
    return kinds, JsonOutputs(kinds, service)


def check_outputs(text: bytes, service: str) -> None:
    """The column-wise way of finding files against the general one."""
    outputs = [line for line in map(bytes.strip, text.split(b"\n")) if _is_plain(line)]
    if not outputs:
        _read_generally(b'{"task_id":"a","model":"%b","output":%b}' % (service.encode(), text)).finish()
        return
    kinds, _ = _output_reader(service)
    for output in outputs:
        kinds.files_of(service, output)
    THRIFT.check((service, _collapsed(text)), text, _compare_outputs, outputs, service)


def _compare_outputs(outputs: Sequence[bytes], service: str) -> None:
    kinds, reader = _output_reader(service)
    found = reader.find(outputs)
    files: dict[int, list[tuple[int, int, str]]] = {}
    for row, kind, ordinal, url in zip(found.rows, found.kinds, found.ordinals, found.urls, strict=True):
        files.setdefault(int(row), []).append((int(kind), int(ordinal), url))
    left = set(found.left)
    assert not left & set(files)
    assert left | set(files) == set(range(len(outputs))), "an output is neither answered nor left"
    previews = same_file = 0
    for row, output in enumerate(outputs):
        if row not in left:
            general = kinds.files_of(service, output)
            assert files[row] == general.files, f"{files[row]} is not {general.files}"
            previews, same_file = previews + general.previews, same_file + general.same_file
    assert (found.previews, found.same_file) == (previews, same_file)


def _is_plain(text: bytes) -> bool:
    """True for what the fast path hands on."""
    if text[:1] not in (b"{", b"[") or count_lines(text):
        return False
    try:
        text.decode()
        decode_strictly(text)
    except STRICT_ERRORS:
        return False
    return True


# --- tables of findings ---


def check_csv(text: bytes) -> None:
    """CSV written column by column against CSV written line by line."""
    cells = [None if cell == "\\N" else cell for cell in text.decode("utf-8", "replace").split("\x1e")]
    numbers = [len(cell) * 7.5e-5 if cell else None for cell in cells]
    frame = pd.DataFrame({
        "text": pd.array(cells, dtype="str"),
        "word": pd.Categorical(cells),
        "number": pd.array(numbers, dtype="Float64"),
        "whole": pd.array([None if cell is None else len(cell) for cell in cells], dtype="Int64"),
        "last": pd.array(list(reversed(cells)), dtype="str"),
    })  # fmt: skip
    fast = csv_lines(frame)
    plain = [to_bytes(line) for line in to_csv_lines(frame)]
    assert bytes(fast.data) == b"".join(plain)
    assert fast.sizes.tolist() == list(map(len, plain))


FIELDS = (
    "task_id", "model", "task_type", "status", "config", "meta", "output", "detail", "data", "task_model", "action",
    "metadata", "url", "is_using_private_pool", "created_at", "ended_at", "completed_at", "updated_at", "service_mode",
    "usage", "usage_type", "consume", "account_id", "api_key_id", "type", "quota_usage", "total", "page", "timestamp",
    "works", "video", "resource", "resource_without_watermark", "image_url", "image_urls", "temporary_image_urls",
    "clips", "audio_url", "video_url", "video_raw", "thumbnail", "cover", "webhook_config", "service", "points",
    "media", "role", "watermarked", "account", "code", "message",
)  # fmt: skip
WORDS = (
    *(f'"{name}":'.encode() for name in FIELDS),
    *(f"{name},".encode() for name in TABLE_COLUMNS),
    b'{"task_id":"a"}\n', b'{"task_id":"', b'"https://img.theapi.app/a.png"', b"https://", b"http://", b"HTTPS://", b"://",
    b"\\/", b"\\u003a", b"\\u002F", b"\\ud800", b"\\udc00", b"\\u0000", b"\x00", b"\xef\xbb\xbf", b"\r\n", b"\r",
    b"\n\n",
    b"null", b"true", b"false", b"NaN", b"-0", b"1e999", b"1.0", b"99999999999999999999999", b"1000000000000", b"{}",
    b"[]", b"[[[[[[[[", b"]]]]]]]]", b'"completed"', b'"2026-01-01T00:00:00Z"', b'"2026-01-01T00:00:00.123456789Z"',
    b'"2026-02-30T00:00:00Z"', b'"2026-01-01T00:00:00+08:00"', b'"0001-01-01T00:00:00Z"', b"1767225600", b'"point"',
    b'"kling"', b'"midjourney"', b'"Qubico/flux1-dev"', b'"suno"', b'"luma"', b"task_id,url\n", b"sep=;\n", b'""', b",",
    b";", b"\t", b"=cmd|", b"+1", b"@x", b"\x1e", b"\\N", b"?Expires=1", b"#f", b" ", b"\xc2\xa0", b"\xe2\x80\xae",
    b"\xf0\x9f\x98\x80", b"\xff\xfe", b"PAR1", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd",
)  # fmt: skip

if __name__ == "__main__":
    fuzzing.main("fuzz_records", check, WORDS)
