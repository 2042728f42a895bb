"""Promises of reading tables: how a table is cut, and by which way it is read, changes no record."""

from __future__ import annotations

import csv
import gc
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.periods import DAY, HOUR, parse_instant
from policy_engine.engine.parallel.memory import Sizes
from policy_engine.engine.question import Question
from policy_engine.engine.run import EvaluationRun, Progress, RunOptions
from policy_engine.history import Partition, ReadTotals, find_sources
from policy_engine.history import partitions as units
from policy_engine.history.merging import adjacent_rows as neighbours
from policy_engine.history.partitions import plan_units
from policy_engine.history.reader import HistoryReader
from policy_engine.history.records.record_reader import RecordReader
from policy_engine.history.tables import csv_text as table_text
from policy_engine.history.tables.csv_rows import CsvLines
from policy_engine.history.tables.row_blocks import FlatPath
from policy_engine.packs import read_pack
from tests.support.commands import JOBS
from tests.support.exports import AS_OF, Reading, pack, read, write, write_parquet
from tests.support.general_readers import no_plain_columns, no_plain_rows

CATALOG = read_pack("piapi").catalog


def rows_of(tasks: int) -> list[dict[str, str]]:
    """A table with a row per file: one to four files a task."""
    return [
        {
            "task_id": f"t-{task}", "model": ["flux", "kling", "midjourney"][task % 3], "status": "completed",
            "created_at": f"2026-01-0{1 + task % 7}T00:00:00Z", "consume": str(task * 100),
            "url": f"https://img.theapi.app/{task}-{file}.png", "output": "",
        }
        for task in range(tasks)
        for file in range(1 + task % 4)
    ]  # fmt: skip


def write_rows(path: Path, rows: list[dict[str, str]], quoting: Any = csv.QUOTE_ALL, end: str = "\n") -> Path:
    """Write a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), quoting=quoting, lineterminator=end)
        writer.writeheader()
        writer.writerows(rows)
    return path


def same(one: Reading, other: Reading) -> None:
    """Fail where two readings differ in more than the order of tasks that were merged from several places."""
    assert one.answers == other.answers
    assert one.counts == other.counts
    assert one.quarantine.equals(other.quarantine)
    assert sorted(one.findings["source"]) == sorted(other.findings["source"])


@contextmanager
def cut(bytes_: int = 1 << 24, rows: int = 100_000, block: int = 1 << 18, most: int = 1_000) -> Iterator[None]:
    """Units and blocks of other sizes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "TABLE_UNIT", bytes_)
        patch.setattr(units, "TABLE_ROWS", rows)
        patch.setattr(table_text, "_BLOCK", block)
        patch.setattr(neighbours, "MOST", most)
        yield


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("jobs", JOBS)
def test_cut_table_is_the_whole_one(tmp_path: Path, quoting: int, end: str, jobs: int) -> None:
    """A CSV file that is read in units, by one process or two, gives what it gives as a whole, lines included."""
    path = write_rows(tmp_path / "a.csv", rows_of(40), quoting, end)
    whole = read(path)
    assert whole.totals.merged == len(rows_of(40)) - 40
    with cut(1_700, block=500):
        (source,) = find_sources([str(path)]).sources
        assert len(plan_units([source])) > 3
        same(read(path, jobs=jobs), whole)


@pytest.mark.parametrize("sizes", [{}, {"records": 3}, {"records": 7, "waiting": 2, "keys": 5, "merged": 3}])
def test_memory_does_not_decide_the_order(tmp_path: Path, sizes: dict[str, int]) -> None:
    """Rows of a task stay in the order of the input whatever is held at a time, as long as the file is the same."""
    path = write_rows(tmp_path / "a.csv", rows_of(40))
    with cut(1_700, block=400):
        one, other = read(path), read(path, sizes=Sizes(unit=2_000, **sizes))
        assert one.findings.astype("str").equals(other.findings.astype("str"))


@pytest.mark.slow
def test_table_of_more_than_lines_is_not_cut(tmp_path: Path) -> None:
    """Where a row goes over several lines, a file is read as a whole, and the ids told before do not count twice."""
    rows = rows_of(40)
    rows[90]["output"] = '{"note":\n "two lines", "x":"https://img.theapi.app/in.png"}'
    path = write_rows(tmp_path / "a.csv", rows)
    whole = read(path)
    with cut(1_700, block=500):
        for jobs in (1, 2):
            again = read(path, jobs=jobs)
            assert again.findings.astype("str").equals(whole.findings.astype("str"))


@pytest.mark.slow
def test_damaged_rows_of_a_cut_table(tmp_path: Path) -> None:
    """Rows that are set aside, repeated headers and blank lines keep their numbers in every unit."""
    lines = write_rows(tmp_path / "a.csv", rows_of(30)).read_text().splitlines()
    lines[20:20] = [lines[0], "", '"only","three","fields"', ",,,,,,"]
    lines[50:50] = ['"","flux","completed","","","",""']
    path = write(tmp_path / "b.csv", "\n".join(lines))
    whole = read(path)
    assert whole.reasons == ["wrong_field_count", "no_task_id"]
    with cut(1_100, block=300):
        same(read(path), whole)
        same(read(path, jobs=2), whole)


def test_too_many_rows_of_one_task(tmp_path: Path) -> None:
    """Thousands of rows of one task wait for each other as any records do, and make one task."""
    rows = [{**rows_of(1)[0], "url": f"https://img.theapi.app/{number}.png"} for number in range(50)]
    path = write_rows(tmp_path / "a.csv", [*rows_of(3)[1:], *rows])
    whole = read(path)
    assert whole.totals.tasks.tasks == 3
    for most, block in ((10, 300), (49, 1 << 18), (50, 900)):
        with cut(most=most, block=block):
            same(read(path), whole)
    with cut(900, most=10, block=300):
        same(read(path), whole)


@pytest.mark.parametrize("jobs", JOBS)
def test_parquet_in_row_groups(tmp_path: Path, jobs: int) -> None:
    """A Parquet file that is read in groups of rows gives what it gives as a whole, its rows numbered on."""
    import pyarrow.parquet as pq

    path = write_parquet(tmp_path / "a.parquet", rows_of(40))
    whole = read(path)
    pq.write_table(pq.read_table(path), path, row_group_size=7)
    with cut(rows=20):
        (source,) = find_sources([str(path)]).sources
        assert [(unit.start, unit.end) for unit in plan_units([source])][:2] == [(0, 3), (3, 6)]
        same(read(path, jobs=jobs), whole)


def test_parquet_in_many_parts_is_described_once(tmp_path: Path) -> None:
    """What a Parquet file says of itself does not stay in memory once more for each part that is read of it."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows_of(100)), path, row_group_size=10)
    reader = HistoryReader(find_sources([str(path)]).sources, CATALOG)
    parts = [Partition(0, start=group, end=group + 1) for group in range(20)]
    gc.collect()
    gc.disable()
    try:
        for part in parts:
            assert reader.keys(part) is not None
            assert sum(len(batch) for batch, _ in reader.batches(part)) == 10
        kept = sum(type(one).__name__ == "FileMetaData" for one in gc.get_objects())
    finally:
        gc.enable()
    assert kept <= 1


def test_ids_that_are_numbers(tmp_path: Path) -> None:
    """Task ids of Parquet that are numbers are the same ids as their text, also in another file."""
    write_rows(tmp_path / "in" / "b.csv", [{"task_id": "1", "model": "flux"}])
    write_parquet(tmp_path / "in" / "a.parquet", [{"task_id": number // 2, "model": "flux"} for number in range(6)])
    reading = read(tmp_path / "in")
    assert (reading.totals.tasks.tasks, reading.totals.merged) == (3, 4)


def test_repeated_header_stands_between_rows(tmp_path: Path) -> None:
    """Rows of a task with a repeated header between them are one task, also where the header looks like a row of it."""
    for number, text in enumerate((
        "task_id,url\ntask_id,https://x.example/1\ntask_id,url\ntask_id,https://x.example/2\n",
        "url,task_id\nhttps://x.example/1,a\n\ufeffurl,a\nhttps://x.example/2,a\n",
    )):  # fmt: skip
        reading = read(write(tmp_path / f"{number}.csv", text))
        assert (reading.totals.tasks.tasks, reading.totals.merged) == (1, 1)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("row", ["{}", '"{}', "{},more"])
def test_batches_of_short_rows_are_bounded(tmp_path: Path, end: str, row: str) -> None:
    """However short its rows are and however they end, a table is read no more rows at a time than asked for."""
    text = f"task_id{end}" + "".join(row.format(number) + end for number in range(3_000))
    found = find_sources([str(write(tmp_path / "a.csv", text))])
    reader = HistoryReader(found.sources, CATALOG, records=100)
    sizes = [len(batch) + len(seen.quarantine) for batch, seen in reader.batches(Partition(0))]
    # A row that is taken apart may set more than one aside; a row that the next one may go on with waits for it.
    assert max(sizes) <= 102
    assert sum(sizes) == 3_000


def test_progress_of_a_table_counts_rows(tmp_path: Path) -> None:
    """How far a table has been judged is told by its rows, however many of them a task has."""
    rows = rows_of(40)
    found = find_sources([str(write_rows(tmp_path / "a.csv", rows))])
    question = Question(parse_instant(AS_OF), DAY, HOUR)
    run = EvaluationRun(found.sources, pack(), RunOptions(question, sizes=Sizes(records=10)))
    told: list[Progress] = []
    run.watch = told.append
    with cut(block=200):
        list(run.chunks())
    judged = [one for one in told if one.stage == "judging"]
    assert len(judged) > 5
    assert all(one.done * len(rows) <= one.total * one.records for one in judged)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_one_odd_cell_costs_few_rows_their_speed(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that only the general reader can judge keeps the rows around it from the fast way, and not all of them."""
    rows = [{"task_id": f"t{place}", "model": "flux", "consume": str(place)} for place in range(3_000)]
    rows[1_700]["consume"] = "n/a"
    if kind == "csv":
        path = write_rows(tmp_path / "a.csv", rows)
    else:
        path = write_parquet(tmp_path / "a.parquet", rows)
    one_by_one: list[int] = []
    read_flat = RecordReader.read_flat

    def counted(reader: RecordReader, row: Any, line: int) -> None:
        one_by_one.append(line)
        read_flat(reader, row, line)

    monkeypatch.setattr(RecordReader, "read_flat", counted)
    found = records(path)
    assert 0 < len(one_by_one) < 500
    assert one_by_one == list(range(one_by_one[0], one_by_one[0] + len(one_by_one)))
    monkeypatch.setattr(FlatPath, "columns", lambda *_: None)
    assert records(path) == found
    assert len(one_by_one) > 3_000


PARTS = ['"', ",", "\n", "\r", "\r\n", " ", "a", "b", '""', "é", '"a"', "task_id"]


@given(st.lists(st.sampled_from(PARTS), max_size=60), st.integers(3, 40), st.integers(1, 9))
def test_every_way_reads_the_same_records(parts: list[str], block: int, most: int) -> None:
    """Any text below a header gives the same records and the same defects by the block and row by row."""
    text = "task_id,model\n" + "".join(parts)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.csv", text)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CsvLines, "plain_columns", no_plain_columns)
            patch.setattr(CsvLines, "plain_rows", no_plain_rows)
            patch.setattr(FlatPath, "columns", lambda *_: None)
            general = records(path)
        with cut(block=block, most=most):
            assert records(path) == general
        assert records(path) == general


def records(path: Path) -> Any:
    """The records of a file and what was set aside, in terms that can be compared."""
    found = find_sources([str(path)])
    reader = HistoryReader(found.sources, CATALOG)
    seen, rows = ReadTotals(), []
    (unit,) = plan_units(found.sources)
    for batch, more in reader.batches(unit):
        seen.add(more)
        rows += list(zip(batch.line, batch.task_id, batch.model, batch.consume, strict=True))
    return rows, [(one.line, one.reason) for one in seen.quarantine], seen.records
