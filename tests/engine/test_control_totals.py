"""
The control totals: a count that does not tie never passes, and they notice where the program is broken on purpose.

A break is a change of one step between a file and the money in a report. The totals do not know of it: they must find
it themselves, and the run ends with exit 6, the law that broke, and no result.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from policy_engine.annotations import Annotator
from policy_engine.api import evaluate_history
from policy_engine.cli import EXIT_CODES
from policy_engine.core.problems import TotalsMismatch
from policy_engine.engine import run as runs
from policy_engine.engine.assets.maker import AssetMaker
from policy_engine.engine.control_totals import Totals
from policy_engine.engine.evaluation import Evaluator
from policy_engine.history import HistoryReader
from policy_engine.history.merging.repeated_keys import RepeatedKeys
from policy_engine.history.records.record_reader import QuarantinedRecord, RecordReader
from tests.support.commands import AS_OF, EXAMPLE, environment, in_own_process, policy_engine
from tests.support.exports import history_row, kling, pack, task, write_lines


@pytest.fixture(scope="module")
def example_totals() -> Totals:
    """The totals of the example history."""
    run = evaluate_history(EXAMPLE, pack=pack(), as_of=AS_OF)
    for _ in run:
        pass
    return run.totals


@pytest.fixture
def totals(example_totals: Totals) -> Totals:
    """The totals of the example history, to be changed at will."""
    return copy.deepcopy(example_totals)


def bump(counts: dict[Any, Any], place: int) -> None:
    """Add one to a part of the first pair of some counts."""
    key = next(iter(counts))
    pair = list(counts[key])
    pair[place] += 1
    counts[key] = tuple(pair)


READ = "records read = tasks + merged + quarantined"
TASKS = "tasks = with assets + without"
ASSETS = "assets = the six verdicts"
WINDOWS = "assets = operation verdicts"
POINTS = "points of assets = the six verdicts"
MONEY = "points = verdicts + tasks without assets"
MARKS = "assets = archived + exempted + the rest"
MARK_POINTS = "points of assets = archived + exempted + the rest"
CHANGES: dict[str, tuple[Callable[[Totals], object], set[str]]] = {
    "a record more": (lambda t: setattr(t.seen, "records", t.seen.records + 1), {READ}),
    "a merge less": (lambda t: setattr(t, "merged", t.merged - 1), {READ}),
    "a quarantine more": (lambda t: t.seen.quarantine.append(QuarantinedRecord(0, 1, 0, "x", "x", "x")), {READ}),
    "a task more": (lambda t: setattr(t.tasks, "tasks", t.tasks.tasks + 1), {READ, TASKS}),
    "a task with assets more": (lambda t: setattr(t.tasks, "with_assets", t.tasks.with_assets + 1), {TASKS}),
    "a task without more": (lambda t: bump(t.tasks.without_assets, 0), {TASKS}),
    "an asset more": (lambda t: setattr(t.findings, "assets", t.findings.assets + 1), {ASSETS, WINDOWS, MARKS}),
    "a verdict more": (lambda t: bump(t.findings.by_service, 0), {ASSETS}),
    "a window less": (lambda t: t.findings.windows.popitem(), {WINDOWS}),
    "a point in a verdict": (lambda t: bump(t.findings.by_service, 1), {POINTS}),
    "a point in the findings": (
        lambda t: setattr(t.findings, "points", t.findings.points + 1),
        {POINTS, MONEY, MARK_POINTS},
    ),
    "a standing finding more": (lambda t: bump(t.marks.standing, 0), {MARKS}),
    "a standing point more": (lambda t: bump(t.marks.standing, 1), {MARK_POINTS}),
    "a point in the tasks": (lambda t: setattr(t.tasks, "points", t.tasks.points + 1), {MONEY}),
    "a point without assets": (lambda t: bump(t.tasks.without_assets, 1), {MONEY}),
}


def test_totals_of_a_run_tie(totals: Totals) -> None:
    """
    The totals of a run that went well tie.
    """
    totals.check()


@pytest.mark.parametrize("name", CHANGES)
def test_every_law_is_kept(name: str, totals: Totals) -> None:
    """
    One unit more or less anywhere breaks exactly the laws it belongs to, and each says both of its sides.
    """
    change, laws = CHANGES[name]
    change(totals)
    with pytest.raises(TotalsMismatch) as broken:
        totals.check()
    assert {problem.message.partition(":")[0] for problem in broken.value.problems} == laws
    assert all(problem.code == "totals-mismatch" for problem in broken.value.problems)


def test_all_laws_are_tried(totals: Totals) -> None:
    """
    No law is left untried: a run of nothing but ones breaks every one that the changes above name.
    """
    totals.seen.records += 1
    totals.tasks.tasks += 2
    totals.tasks.points += 10
    totals.findings.assets += 1
    totals.findings.points += 1
    with pytest.raises(TotalsMismatch) as broken:
        totals.check()
    named = {law for _, laws in CHANGES.values() for law in laws}
    assert {problem.message.partition(":")[0] for problem in broken.value.problems} == named


def test_totals_add_up(totals: Totals) -> None:
    """
    Totals of two runs that tie, tie together.
    """
    twice = copy.deepcopy(totals)
    twice.add(totals)
    twice.check()
    assert twice.seen.records == 2 * totals.seen.records
    assert twice.findings.points == 2 * totals.findings.points


RECORDS = [
    kling("k"), task("a"), task("b"), task("b", status="failed"), history_row("k", "kling"),
    task("c", status="failed", output=""), "{broken", {"task_id": ""},
]  # fmt: skip


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A history with two merged tasks, a task without a file, and two records that are set aside."""
    return write_lines(tmp_path / "export.jsonl", RECORDS)


def lose_a_record(patch: pytest.MonkeyPatch) -> None:
    """Reading gives every record but the last of a batch."""
    batches = HistoryReader.batches

    def fewer(self: HistoryReader, unit: Any) -> Any:
        for batch, seen in batches(self, unit):
            yield batch.take(range(len(batch) - 1)), seen

    patch.setattr(HistoryReader, "batches", fewer)


def read_a_record_twice(patch: pytest.MonkeyPatch) -> None:
    """Reading gives the first record of a batch twice."""
    batches = HistoryReader.batches

    def more(self: HistoryReader, unit: Any) -> Any:
        for batch, seen in batches(self, unit):
            yield batch.take([0, *range(len(batch))]), seen

    patch.setattr(HistoryReader, "batches", more)
    # So that the copy is not found and merged, which would be right.
    patch.setattr(RepeatedKeys, "repeated", lambda store: np.empty(0, np.uint64))


def forget_what_was_set_aside(patch: pytest.MonkeyPatch) -> None:
    """A record that cannot be used is counted as read and listed nowhere."""

    def count_only(self: RecordReader, *_: object) -> None:
        self.seen.records += 1

    patch.setattr(RecordReader, "set_aside", count_only)


def lose_a_merged_task(patch: pytest.MonkeyPatch) -> None:
    """Of the tasks that several records make, one does not come back."""
    merge = runs.merge_records

    def fewer(*arguments: Any) -> Any:
        merged, away = merge(*arguments)
        return merged.take(range(1, len(merged))), away

    patch.setattr(runs, "merge_records", fewer)


def forget_a_merge(patch: pytest.MonkeyPatch) -> None:
    """A record that was merged into another is not counted as merged."""
    merge = runs.merge_records

    def uncounted(*arguments: Any) -> Any:
        merged, away = merge(*arguments)
        return merged, away - 1

    patch.setattr(runs, "merge_records", uncounted)


def lose_a_file(patch: pytest.MonkeyPatch) -> None:
    """Judging loses the last file of a chunk, with its money."""
    judge = Evaluator.judge_chunk
    patch.setattr(Evaluator, "judge_chunk", lambda self, frame: judge(self, frame.iloc[:-1]))


def judge_a_file_twice(patch: pytest.MonkeyPatch) -> None:
    """Judging gives the first file of a chunk twice, with its money."""
    judge = Evaluator.judge_chunk
    patch.setattr(Evaluator, "judge_chunk", lambda self, frame: judge(self, pd.concat([frame.iloc[:1], frame])))


def lose_a_point(patch: pytest.MonkeyPatch) -> None:
    """A file costs a point less than its task says."""
    make = AssetMaker.make

    def cheaper(self: AssetMaker, batch: Any) -> Any:
        frame, totals = make(self, batch)
        if len(frame):
            frame.loc[0, "points"] -= 1
        return frame, totals

    patch.setattr(AssetMaker, "make", cheaper)


def lose_a_reason(patch: pytest.MonkeyPatch) -> None:
    """A task without a file is counted under no reason."""
    make = AssetMaker.make

    def silent(self: AssetMaker, batch: Any) -> Any:
        frame, totals = make(self, batch)
        return frame, replace(totals, without_assets={})

    patch.setattr(AssetMaker, "make", silent)


def lose_a_verdict(patch: pytest.MonkeyPatch) -> None:
    """A file is counted and its verdict is not."""
    count = runs.count_findings

    def fewer(frame: pd.DataFrame, as_of: int) -> Any:
        totals = count(frame, as_of)
        if totals.by_service:
            totals.by_service.popitem()
        return totals

    patch.setattr(runs, "count_findings", fewer)


def lose_a_mark(patch: pytest.MonkeyPatch) -> None:
    """The marks beside the verdicts miss the last file of a chunk."""
    mark = Annotator.mark

    def fewer(self: Annotator, findings: pd.DataFrame) -> Any:
        return mark(self, findings)[0], mark(self, findings.iloc[:-1])[1]

    patch.setattr(Annotator, "mark", fewer)


BREAKS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "a record is lost": (lose_a_record, READ),
    "a record is read twice": (read_a_record_twice, READ),
    "a record set aside is forgotten": (forget_what_was_set_aside, READ),
    "a merged task is lost": (lose_a_merged_task, READ),
    "a merge is not counted": (forget_a_merge, READ),
    "a task without a file has no reason": (lose_a_reason, TASKS),
    "a file is lost": (lose_a_file, MONEY),
    "a file is judged twice": (judge_a_file_twice, MONEY),
    "a point is lost": (lose_a_point, MONEY),
    "a verdict is not counted": (lose_a_verdict, ASSETS),
    "a mark is not counted": (lose_a_mark, "assets = archived + exempted + the rest"),
}


def test_the_history_ties_unbroken(export: Path) -> None:
    """
    The history that the breaks are tried on has every kind of record, and ties where nothing is broken.
    """
    done = policy_engine("report", export, "--as-of", AS_OF, "-o", export.parent / "report")
    assert done.code == 0, done.err
    for count in ("8 records", "4 tasks", "2 merged", "2 "):
        assert count in done.text.replace("\u00a0", " ") or count in done.err, (count, done.text)


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_step_is_noticed(name: str, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whatever step loses or doubles something ends in exit 6 with the law it broke, and an earlier result stays as it is.
    """
    folder = export.parent / "report"
    assert policy_engine("report", export, "--as-of", AS_OF, "-o", folder).code == 0
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    damage, law = BREAKS[name]
    damage(monkeypatch)
    for command in (("report", export, "-o", folder), ("evaluate", export, "-o", export.parent / "new.csv")):
        done = policy_engine(*command, "--as-of", AS_OF)
        assert done.code == 6, done.err
        assert f"error[totals-mismatch]: {law}: " in done.err
        assert "this is a defect of the program" in done.err
        assert done.last == f"exit 6: {EXIT_CODES[6]}"
    after = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert after == before
    assert sorted(path.name for path in export.parent.iterdir()) == ["export.jsonl", "report"]


SITE = """
import policy_engine.history.reader as reading

batches = reading.HistoryReader.batches


def fewer(self, unit):
    for batch, seen in batches(self, unit):
        yield batch.take(range(len(batch) - 1)), seen


reading.HistoryReader.batches = fewer
"""


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_broken_program_is_noticed_from_outside(jobs: int, export: Path, tmp_path: Path) -> None:
    """
    The command itself, started by a Python that breaks it while it starts, ends with 6, in one process as in several.
    """
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    other = write_lines(tmp_path / "other.jsonl", [task("x"), task("y")])
    path = f"{tmp_path / 'site'}:{environment()['PYTHONPATH']}"
    asked = ("report", export, other, "--as-of", AS_OF, "--jobs", jobs, "-o", tmp_path / "report")
    done = in_own_process(*asked, PYTHONPATH=path)
    assert done.code == 6, done.err
    assert f"error[totals-mismatch]: {READ}: 10 is not 8" in done.err
    assert not (tmp_path / "report").exists()
    assert in_own_process(*asked).code == 0
