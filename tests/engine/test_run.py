"""Runs: totals tie on any mixture, and neither blocks nor processes nor places of records change a finding."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_engine.api import evaluate_history
from policy_engine.core.periods import DAY, HOUR, parse_instant
from policy_engine.core.problems import InputUnusable, Problem
from policy_engine.core.vocabulary import FINDING_COLUMNS
from policy_engine.engine.control_totals import Totals
from policy_engine.engine.parallel.memory import Sizes
from policy_engine.engine.question import Question
from policy_engine.engine.run import EvaluationRun, Progress, RunOptions
from policy_engine.history import HistoryReader, Partition, find_sources
from policy_engine.history import partitions as units_module
from policy_engine.history import reader as reading_module
from policy_engine.history.partitions import plan_units
from tests.support.commands import JOBS, policy_engine
from tests.support.exports import (
    AS_OF,
    IMAGE,
    Record,
    as_lines,
    envelope,
    history_row,
    kling,
    pack,
    page,
    problems_of,
    read,
    task,
    webhook,
    write,
    write_csv,
    write_json,
    write_lines,
    write_parquet,
)

QUESTION = Question(parse_instant(AS_OF), DAY, HOUR)


def some_records(count: int, seed: int = 1) -> list[Any]:
    """Tasks in all shapes, several records of one task among them, and records that are none."""
    chance = random.Random(seed)
    records: list[Any] = []
    for number in range(count):
        key = str(chance.randrange(count))
        status = chance.choice(["completed", "completed", "completed", "failed", "pending", ""])
        record: Any = chance.choice([
            task(key, status=status, created_at=f"2026-01-0{chance.randrange(1, 9)}T00:00:00Z", ended_at=""),
            kling(key, number, status=status, usage={"type": "point", "consume": chance.randrange(10**7)}),
            task(key, "mj", {"image_url": f"https://img.theapi.app/mj/{key}.png"}, is_using_private_pool=number > 9),
            task(key, "sora2", {"video": f"https://img.theapi.app/{key}.mp4"}, usage={"type": "credits", "consume": 3}),
            task(key, "never-heard-of", {"x": [f"https://files.example.org/{key}"]}),
            task(key, model=..., output={}),
            history_row(key, chance.choice(["flux", "kling", "mj", "luma"]), status=status),
        ])  # fmt: skip
        wrapped = [
            record,
            envelope(record),
            webhook(record, 1_767_694_000),
            page([record, history_row(f"p{number}")]),
            [record],
        ]
        records.append(chance.choice([*[record] * 4, *wrapped]))
        if chance.random() < 0.05:
            records.append(chance.choice(["{broken", 7, {}, {"task_id": ""}, {"data": None}]))
    return records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A history in files of every kind."""
    write_lines(tmp_path / "in" / "a.jsonl", some_records(60))
    write_lines(tmp_path / "in" / "b.jsonl.gz", some_records(30, 2))
    write_json(tmp_path / "in" / "c.json", [one for one in some_records(20, 3) if not isinstance(one, str)])
    write_csv(tmp_path / "in" / "d.csv", [
        {"task_id": number, "model": "flux", "status": "completed", "url": IMAGE + f"?n={number}", "points": number}
        for number in range(20)
    ])  # fmt: skip
    write_parquet(tmp_path / "in" / "e.parquet", [{"task_id": number, "model": "kling"} for number in range(5)])
    write_lines(tmp_path / "in" / "f.jsonl", [task(f"f{number}") for number in range(40)])
    return tmp_path / "in"


def frames_equal(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """True when two findings tables have the same cells in the same order."""
    columns = list(FINDING_COLUMNS)
    return one[columns].astype("str").equals(other[columns].astype("str"))


# --- Blocks and processes --------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [97, 3_001, 20_011])
@pytest.mark.parametrize("jobs", JOBS)
def test_blocks_and_processes_change_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, block: int, jobs: int
) -> None:
    """However a history is cut, inside lines or not, and however many processes read it: same rows, same order."""
    # Blocks shorter than a line are for a short file, or there would be thousands of them.
    history = folder if block > 1_000 else write(folder.parent / "small.jsonl", as_lines(some_records(8)))
    expected = read(history)
    monkeypatch.setattr(reading_module, "BLOCK", max(1, block // 3))
    monkeypatch.setattr(units_module, "UNIT", block)
    monkeypatch.setattr(reading_module, "_RECORDS", max(1, block // 1_000))
    reading = read(history, jobs=jobs)
    assert reading.answers == expected.answers
    assert reading.counts == expected.counts
    assert frames_equal(reading.findings, expected.findings)
    assert reading.quarantine.equals(expected.quarantine)


def test_records_of_a_document_are_given_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long array is judged part by part, so that not everything is in memory as findings."""
    path = write_json(tmp_path / "a.json", [task(str(number)) for number in range(25)])
    monkeypatch.setattr(reading_module, "_RECORDS", 10)
    (source,) = find_sources([str(path)]).sources
    run = EvaluationRun([source], pack(), RunOptions(QUESTION))
    assert [len(chunk) for chunk in run.chunks()] == [10, 10, 5]
    assert run.totals.tasks.tasks == 25


@given(st.lists(st.sampled_from(["{}", "[1]", "x", "", " ", '{"task_id":"a"}', '{"task_id":"\u00e9"}']), max_size=12),
       st.integers(1, 40), st.sampled_from(["\n", "\r\n"]), st.booleans())  # fmt: skip
def test_units_cover_every_line_once(lines: list[str], block: int, end: str, has_last: bool) -> None:
    """Units cut anywhere, also inside characters, hold every line of the file once and know its number."""
    text = end.join(['{"task_id":"first"}', '{"task_id":"second"}', *lines]) + (end if has_last else "")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = write(Path(folder) / "a.jsonl", text)
        whole = read(path)
        patch.setattr(reading_module, "BLOCK", max(1, block // 2))
        patch.setattr(units_module, "UNIT", block)
        (source,) = find_sources([str(path)]).sources
        units = plan_units([source])
        assert [unit.start for unit in units] == list(range(0, source.size, block))
        cut = read(path)
    assert cut.answers == whole.answers
    assert cut.findings.equals(whole.findings) or frames_equal(cut.findings, whole.findings)
    assert cut.quarantine.equals(whole.quarantine)


@pytest.mark.slow
def test_problem_in_another_process_arrives_whole(tmp_path: Path) -> None:
    """A file that turns out damaged in a worker process is reported like in one process, with its place."""
    write_lines(tmp_path / "in" / "a.jsonl", some_records(10))
    write(tmp_path / "in" / "b.json", '[\n{"task_id" "a"}]')
    alone = problems_of(tmp_path / "in")
    together = problems_of(tmp_path / "in", jobs=2)
    assert alone == together
    assert (together[0].code, str(together[0].span)) == ("not-json", "b.json:2:12")


def test_errors_travel_between_processes() -> None:
    """An error keeps its problems, their places and the texts for frames when it is sent to another process."""
    error = InputUnusable([Problem("a", "first"), Problem("b", "second", help="help")], {"f": "text"})
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(copy), copy.problems, copy.sources, str(copy)) == (
        InputUnusable,
        error.problems,
        error.sources,
        str(error),
    )


def test_reader_travels_between_processes() -> None:
    """Where processes are not forked, the reader is sent to them."""
    reader = pickle.loads(pickle.dumps(HistoryReader((), pack().catalog)))  # noqa: S301 - our own bytes
    assert reader.names.resolve("mj", "imagine").service == "midjourney"


# --- Order -----------------------------------------------------------------------------------------------


def test_tasks_come_in_the_order_of_the_input(tmp_path: Path) -> None:
    """Tasks that stand in one place come in the order of the input, merged ones after them by id and service."""
    records = [
        task("z"),
        task("b"),
        kling("m"),
        task("a"),
        task("b", status="pending", output=""),
        history_row("m", "kling"),
    ]
    reading = read(write_lines(tmp_path / "a.jsonl", records))
    assert [row["task_id"] for row in reading.rows] == ["z", "a", "b", "m", "m"]


SMALL = Sizes(unit=3_001, records=3, merged=5, waiting=2, keys=7)
"""So small that next to everything goes to disk."""


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_what_waits_on_disk_changes_nothing(folder: Path, jobs: int) -> None:
    """Records that wait on disk, for a run that holds a few records at a time: same rows, same order, same totals."""
    expected = read(folder)
    reading = read(folder, jobs=jobs, sizes=SMALL)
    assert expected.totals.merged > 20
    assert frames_equal(reading.findings, expected.findings)
    assert reading.counts == expected.counts
    assert reading.quarantine.equals(expected.quarantine)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_leaves_no_folder(folder: Path, tmp_path: Path, jobs: int) -> None:
    """What was put on disk is gone after the last chunk, and as soon as somebody stops before it."""
    place = tmp_path / "scratch"
    place.mkdir()
    assert len(read(folder, jobs=jobs, sizes=SMALL, scratch=place).findings)
    assert list(place.iterdir()) == []
    run = EvaluationRun(find_sources([str(folder)]).sources, pack(), RunOptions(QUESTION, jobs=jobs, sizes=SMALL,
                                                                                scratch=place))  # fmt: skip
    chunks = iter(run.chunks())
    for _ in range(3):
        next(chunks)
    assert len(list(place.iterdir())) == 1
    chunks.close()
    assert list(place.iterdir()) == []
    assert multiprocessing.active_children() == []


def rows_and_process(findings: pd.DataFrame) -> tuple[int, str, int]:
    """What a run is asked to make of a chunk: its rows, its first asset, and the process that made it."""
    return len(findings), str(findings["asset_id"].iloc[0]), os.getpid()


@pytest.mark.slow
def test_what_is_made_of_chunks_is_made_where_they_are_judged(folder: Path) -> None:
    """Chunks come as what was made of them, in order, by the processes that judged them; merged ones by this one."""
    sources = find_sources([str(folder)]).sources
    made = [
        list(EvaluationRun(sources, pack(), RunOptions(QUESTION, jobs=jobs, sizes=SMALL)).made(rows_and_process))
        for jobs in (1, 2)
    ]
    assert [one[:2] for one in made[0]] == [one[:2] for one in made[1]]
    assert {process for _, _, process in made[0]} == {os.getpid()}
    assert len({process for _, _, process in made[1]}) == 3


@pytest.mark.parametrize("jobs", JOBS)
def test_progress_goes_from_nothing_to_all(folder: Path, jobs: int) -> None:
    """Each stage goes forward only and ends with all bytes; what is told of records are those that were read."""
    run = EvaluationRun(find_sources([str(folder)]).sources, pack(), RunOptions(QUESTION, jobs=jobs, sizes=SMALL))
    told: list[Progress] = []
    run.watch = told.append
    for _ in run.chunks():
        pass
    assert list(dict.fromkeys(one.stage for one in told)) == ["looking", "judging", "merging"]
    for stage in ("looking", "judging", "merging"):
        steps = [one for one in told if one.stage == stage]
        assert [one.done for one in steps] == sorted(one.done for one in steps)
        assert [one.records for one in steps] == sorted(one.records for one in steps)
        assert steps[-1].done == steps[-1].total == steps[0].total
        assert len({one.done for one in steps}) > 5
    size = sum(source.size for source in run.sources)
    assert {one.total for one in told if one.stage != "merging"} == {size}
    assert [one.records for one in told if one.stage == "judging"][-1] == run.totals.seen.records


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    """The order of arguments decides nothing."""
    first, second = (write_lines(tmp_path / f"{name}.jsonl", [task(name), task(f"{name}2")]) for name in "ba")
    assert frames_equal(read(first, second).findings, read(second, first).findings)
    assert [row["task_id"] for row in read(first, second).rows] == ["a", "a2", "b", "b2"]


@pytest.mark.slow
def test_quarantine_is_in_the_order_of_the_input(tmp_path: Path) -> None:
    """Records set aside are listed by file, line and number."""
    lines = [task("a"), "{", [7, task("b"), {}], "}"]
    reading = read(
        write_lines(tmp_path / "b.jsonl", lines), write_lines(tmp_path / "a.jsonl", [*lines, *["{"] * 9]), jobs=2
    )
    assert reading.quarantine["source"].tolist() == [
        "a.jsonl:2", "a.jsonl:3#1", "a.jsonl:3#3", "a.jsonl:4", *[f"a.jsonl:{line}" for line in range(5, 14)],
        "b.jsonl:2", "b.jsonl:3#1", "b.jsonl:3#3", "b.jsonl:4",
    ]  # fmt: skip


# --- Totals ----------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.integers(1, 25))
def test_totals_tie_on_any_mixture(seed: int, count: int) -> None:
    """Records, tasks, assets, verdicts and points add up, counted again from the findings themselves."""
    with tempfile.TemporaryDirectory() as folder:
        reading = read(write_lines(Path(folder) / "a.jsonl", [task("sure"), *some_records(count, seed)]))
    totals = reading.totals
    without = totals.tasks.without_assets.values()
    assert totals.seen.records == totals.tasks.tasks + totals.merged + len(reading.quarantine)
    assert totals.tasks.tasks == totals.tasks.with_assets + sum(tasks for tasks, _ in without)
    tasks_seen = {row["asset_id"].rsplit("/", 2)[0] for row in reading.rows}
    assert totals.tasks.with_assets == len(tasks_seen)
    assert totals.findings.assets == len(reading.rows) == len({row["asset_id"] for row in reading.rows})
    assert totals.tasks.points == sum(row["points"] for row in reading.rows) + sum(points for _, points in without)
    by_verdict: dict[tuple[str, str], tuple[int, int]] = {}
    for row in reading.rows:
        key = (row["service"] or "", row["verdict"])
        assets, points = by_verdict.get(key, (0, 0))
        by_verdict[key] = (assets + 1, points + row["points"])
    assert totals.findings.by_service == by_verdict


def test_totals_of_parts_add_up(folder: Path) -> None:
    """The totals of files read apart are those of the files together, where no task stands in two of them."""
    paths = [folder / "f.jsonl", write_lines(folder / "g.jsonl", [kling(f"g{number}") for number in range(5)])]
    together = read(*paths)
    added = Totals()
    for path in paths:
        added.add(read(path).totals)
    assert replace(added.tasks, newest=0) == replace(together.totals.tasks, newest=0)
    assert added.findings.by_service == together.totals.findings.by_service
    added.check()


# --- Scale -----------------------------------------------------------------------------------------------


@settings(max_examples=3)
@given(st.integers(0, 100))
def test_great_amounts_are_exact(seed: int) -> None:
    """Sums of points beyond what a float holds exactly are exact."""
    chance = random.Random(seed)
    amounts = [10**12 - chance.randrange(1_000) for _ in range(2_000)]
    records: list[Record] = [
        task(str(n), usage={"type": "point", "consume": amount}) for n, amount in enumerate(amounts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        reading = read(write_lines(Path(folder) / "a.jsonl", records))
    assert reading.totals.tasks.points == sum(amounts)
    assert int(reading.findings["points"].astype(object).sum()) == sum(amounts)
    assert np.issubdtype(reading.findings["points"].dtype.numpy_dtype, np.integer)


def _grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(as_lines([task("t-9")]).encode())


def _rewrite(path: Path) -> None:
    """Other bytes, as many as before."""
    path.write_bytes(path.read_bytes().replace(b"t-1", b"t-7"))
    # Clocks of file systems are coarse.
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


CHANGES = {
    "grows": _grow,
    "shrinks": lambda path: os.truncate(path, path.stat().st_size // 2),
    "rewritten": _rewrite,
    "gone": Path.unlink,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("command", ["evaluate", "report", "impact", "explain"])
def test_file_that_changes_while_it_is_read_is_refused(
    command: str, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whatever is written to a file of the history after it was found, also where its size stays, there is no answer:
    nobody could say of which bytes it would be. Nothing is written.
    """
    path = write_lines(tmp_path / "h.jsonl", [task("t-1"), task("t-2")])
    method = "records" if command == "explain" else "batches"
    read, changes = getattr(HistoryReader, method), [CHANGES[change]]

    def change_it(self: HistoryReader, unit: Partition) -> Iterator[Any]:
        for batch in read(self, unit):
            while changes:
                changes.pop()(path)
            yield batch

    monkeypatch.setattr(HistoryReader, method, change_it)
    before = {"evaluate": [], "report": [], "impact": ["piapi", "piapi"], "explain": ["t-2"]}[command]
    where = [] if command == "explain" else ["-o", tmp_path / ("out" if command == "report" else "out.csv")]
    done = policy_engine(command, *before, path, "--as-of", AS_OF, *where)
    assert done.code == 4, done.err
    assert "h.jsonl:1:1: error[input-changed]: the file was changed while it was read" in done.err
    assert [one.name for one in tmp_path.iterdir() if one != path] == []


def test_file_that_changes_is_refused_by_the_functions(tmp_path: Path) -> None:
    """
    The functions refuse a file that has changed since they found it as the commands do.
    """
    path = write_lines(tmp_path / "h.jsonl", [task("t-1"), task("t-2")])
    judged = evaluate_history(path, pack=pack(), as_of=AS_OF)
    _rewrite(path)
    with pytest.raises(InputUnusable, match="changed while it was read"):
        list(judged)
