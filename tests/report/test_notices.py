"""Warnings of a report: each is there when it should be, says how much, and is not there otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from policy_engine.annotations import read_annotator
from policy_engine.core.periods import DAY, HOUR, format_instant, parse_duration, parse_instant
from policy_engine.engine.question import Question
from policy_engine.engine.run import EvaluationRun, RunOptions
from policy_engine.history import Source, find_sources
from policy_engine.history.records.record_reader import HistoryPage
from policy_engine.report.model import PageCompleteness
from policy_engine.report.notices import collect_warnings, page_totals
from tests.support.exports import CREATED, ENDED, IMAGE, history_row, pack, page, task, write, write_json, write_lines

AS_OF = "2026-01-07T00:00:00Z"
"""Less than a day after the newest record of the made-up tasks."""


def warnings_of(
    *paths: Path,
    as_of: str = AS_OF,
    horizon: str = "P1D",
    every: str = "",
    archived: Path | None = None,
    exemptions: Path | None = None,
    house_rules: Path | None = None,
) -> dict[str, str]:
    """The warnings for a history, code -> text, in their order."""
    question = Question(parse_instant(as_of), parse_duration(horizon), HOUR)
    marker = read_annotator(pack().catalog, question.as_of, archived, exemptions, house_rules)
    options = RunOptions(question, every=parse_duration(every) if every else None, annotator=marker)
    run = EvaluationRun(find_sources([str(path) for path in paths]).sources, pack(), options)
    for _ in run.chunks():
        pass
    notices = collect_warnings(pack(), options, run.totals, page_totals(run.totals.seen.pages, run.sources))
    return {notice.code: notice.text for notice in notices}


@dataclass(frozen=True)
class Case:
    """Records that call for one warning, what it says, and records that come close and do not call for it."""

    records: Sequence[object]
    says: Sequence[str]
    close: Sequence[object]
    options: tuple[tuple[str, str], ...] = ()
    beside: tuple[str, str] = ("", "")
    """An option that names a file of the user's own, and the text of that file."""
    close_beside: str = ""
    """Text of the same file that does not call for the warning."""


MIDJOURNEY = {"task_type": "imagine", "output": {"image_url": "https://img.theapi.app/mj/1.png"}}
UNKNOWN_ACCOUNT = {"service_mode": "", "is_using_private_pool": ...}
HUG = {"task_type": "image_to_video", "output": {"video_url": "https://img.theapi.app/temp/1.mp4"}}

EXEMPTION = """\
exemptions:
  - {{id: ex-1, owner: Ops, reason: Demo., until: "{until}", covers: {{service: [flux]}}}}
"""
HOUSE_RULE = """\
rules:
  - id: all
    title: Ours
    versions:
      - version: 1
        recorded_on: "2026-01-02"
        selector: {service: [flux]}
        save_within: {period: P7D}
        citation: {source: Handbook, section: Saving, retrieved_on: "2026-01-02", basis: internal}
"""
NAMED = {"image_url": "https://img.theapi.app/temp/4f1c0de2a97b4f1c0de2.png"}
INVENTORY = "task_id,size,archived_at\nt-1,1,\n"

CASES: dict[str, Case] = {
    "quarantine": Case(
        [task(), "no record", {"hello": "world"}],
        ["2 records of 3 (66.7%) could not be used", "quarantine.csv says where and why"],
        [task(), task("t-2", status="odd", meta={})],
    ),
    "incomplete_history": Case(
        [page([history_row(f"r-{number}") for number in range(100)], total=250)],
        ["declare 250 rows, but 100 were read (1 page)", "Fetch the other pages."],
        [page([history_row(f"r-{number}") for number in range(100)], total=100)],
    ),
    "stale_history": Case(
        [task(created_at="2026-01-05T23:00:00Z", started_at=..., ended_at="2026-01-05T23:59:59.999999999Z")],
        ["The newest record is from 2026-01-05T23:59:59.999999999Z, 1 day before as_of"],
        [task(created_at="2026-01-05T23:00:00Z", started_at=..., ended_at="2026-01-06T00:00:00Z")],
    ),
    "host_conflicts": Case(
        [task("t-1", output={"image_url": "https://v15-kling.klingai.com/1.png"}), task("t-2")],
        ["1 file is on a host that contradicts the rule: flux on v15-kling.klingai.com (1)."],
        [task("t-1", output={"image_url": "https://nobody.example/1.png"})],
    ),
    "unknown_models": Case(
        [task("t-1", "nonesuch"), task("t-2", "nonesuch"), task("t-3", "a\x1b[31m\u202eb"), task("t-4", None)],
        ["4 tasks with a model that is not in the catalog: nonesuch (2), a\\x1b[31m\\u202eb (1), no model (1)."],
        [task("t-1", "FLUX")],
    ),
    "accounts_unknown": Case(
        [task("m-1", "midjourney", **MIDJOURNEY, **UNKNOWN_ACCOUNT)],
        [
            "The account (pay-as-you-go or host-your-account) of 1 file is not known",
            "meta.is_using_private_pool or config.service_mode",
        ],
        # Nothing depends on the account of a flux task.
        [task("m-1", "midjourney", **MIDJOURNEY), task("t-1", **UNKNOWN_ACCOUNT)],
    ),
    "kept_shorter_than_cadence": Case(
        [task("h-1", "Qubico/hug-video", **HUG), task("t-1")],
        ["Kept no longer than the 2 days between two runs: AI Hug (1 day).", "without any run seeing it"],
        [task()],
        (("every", "P2D"), ("horizon", "P2DT1H")),
    ),
    "kept_shorter_than_horizon": Case(
        [task("h-1", "Qubico/hug-video", **HUG)],
        ["the horizon of 1 day: AI Hug (1 day)."],
        # The pack has the rule, but no file of this history rests on it.
        [task("t-1")],
    ),
    "unreadable_fields": Case(
        [task("t-1", ended_at="yesterday"), task("t-2", ended_at="2026-01-06T10:05:00"), task("t-3", status=7)],
        ["3 fields could not be read and count as unknown: unreadable_time 2, unreadable_status 1."],
        [task("t-1", ended_at="0001-01-01T00:00:00Z"), task("t-2", ended_at=""), task("t-3", status="odd")],
    ),
    "not_yet_created": Case(
        [task("t-1"), task("t-2", created_at="2026-01-07T00:00:00.000000001Z", started_at=..., ended_at=...)],
        ["1 task was created after as_of and is not evaluated."],
        [task("t-1"), task("t-2", created_at=AS_OF, started_at=..., ended_at=AS_OF)],
    ),
    "exemptions_over": Case(
        [task()],
        ["1 exemption has ended", "ex-1 of Ops, until 2026-01-06 (1 file)"],
        [task()],
        beside=("exemptions", EXEMPTION.format(until="2026-01-06")),
        close_beside=EXEMPTION.format(until="2026-01-07"),
    ),
    "inventory_left_out": Case(
        [task()],
        ["2 entries of 3 in the inventory do not count: 1 empty, 1 made after as_of."],
        [task()],
        beside=("archived", INVENTORY + "t-2,0,\nt-3,9,2026-01-09T00:00:00Z\n"),
        close_beside=INVENTORY + "t-2,1,\nt-3,9,2026-01-06T00:00:00Z\n",
    ),
    "inventory_names_shared": Case(
        [task("t-1", output=NAMED), task("t-2", output={"image_url": NAMED["image_url"].replace("temp", "other")})],
        ["marked as archived because of a file name that also fits another file of the history"],
        [task("t-1", output=NAMED)],
        beside=("archived", "4f1c0de2a97b4f1c0de2.png\n"),
        close_beside="4f1c0de2a97b4f1c0de2.png\n",
    ),
    "house_rule_without_clock": Case(
        [task(created_at=..., started_at=..., ended_at=...)],
        ["A house rule gives no date for 1 file, since no time of creation is recorded"],
        [task()],
        beside=("house_rules", HOUSE_RULE),
        close_beside=HOUSE_RULE,
    ),
}


@pytest.mark.parametrize("code", CASES)
def test_warning_is_there_when_it_should_be(code: str, tmp_path: Path) -> None:
    """
    A history that calls for a warning gets this one and no other, with its numbers.
    """
    case = CASES[code]
    option, text = case.beside
    files = {option: write(tmp_path / "beside", text)} if option else {}
    found = warnings_of(write_lines(tmp_path / "h.jsonl", case.records), **dict(case.options), **files)
    assert list(found) == [code]
    for words in case.says:
        assert words in found[code]


@pytest.mark.parametrize("code", CASES)
def test_warning_is_not_there_otherwise(code: str, tmp_path: Path) -> None:
    """
    A history that comes close to a warning gets none.
    """
    case = CASES[code]
    option, _ = case.beside
    files = {option: write(tmp_path / "beside", case.close_beside)} if option else {}
    assert warnings_of(write_lines(tmp_path / "h.jsonl", case.close), **files) == {}


def test_every_warning_is_tried() -> None:
    """
    There is no warning that the cases above do not call for.
    """
    import ast
    import inspect

    from policy_engine.report import notices

    codes = {
        ast.literal_eval(node.args[0])
        for node in ast.walk(ast.parse(inspect.getsource(notices)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Notice"
    }
    assert codes == set(CASES)


def test_gravest_come_first(tmp_path: Path) -> None:
    """
    What makes the answers incomplete stands before what makes single answers vague.
    """
    records = [record for case in CASES.values() for record in case.records]
    unique = [
        {**record, "task_id": f"{place}"} if isinstance(record, dict) and "task_id" in record else record
        for place, record in enumerate(records)
    ]
    found = warnings_of(write_lines(tmp_path / "h.jsonl", unique))
    assert list(found) == [
        code
        for code in CASES
        if code not in ("stale_history", "kept_shorter_than_cadence") and not CASES[code].beside[0]
    ]


def test_horizon_decides_what_is_kept_too_short(tmp_path: Path) -> None:
    """
    A service kept longer than the horizon looks ahead needs no warning; kept just as long, it does.
    """
    path = write_lines(tmp_path / "h.jsonl", [task("h-1", "Qubico/hug-video", **HUG)])
    assert list(warnings_of(path, horizon="PT23H59M59S")) == []
    assert list(warnings_of(path, horizon="P1D")) == ["kept_shorter_than_horizon"]
    three_days = warnings_of(write_lines(tmp_path / "f.jsonl", [task()]), horizon="P3D")
    assert "Flux (3 days)" in three_days["kept_shorter_than_horizon"]


def test_history_without_times_is_not_stale(tmp_path: Path) -> None:
    """
    Where no record carries a time, nothing is said about age.
    """
    path = write_lines(tmp_path / "h.jsonl", [task(created_at=..., started_at=..., ended_at=...)])
    assert "stale_history" not in warnings_of(path, as_of="2030-01-01T00:00:00Z")


def test_only_the_worst_are_named(tmp_path: Path) -> None:
    """
    Of many unknown models the most frequent five are named, and all are counted.
    """
    records = [task(f"t-{model}-{one}", f"model-{model:02}") for model in range(20) for one in range(model + 1)]
    text = warnings_of(write_lines(tmp_path / "h.jsonl", records))["unknown_models"]
    assert text.startswith("210 tasks with a model that is not in the catalog: model-19 (20), model-18 (19), ")
    assert text.count("model-") == 5


# --- pages --------------------------------------------------------------------------------------------------------


def rows(first: int, count: int) -> list[dict[str, Any]]:
    """Rows of a task history."""
    return [history_row(f"r-{number}") for number in range(first, first + count)]


def test_pages_of_one_folder_belong_together(tmp_path: Path) -> None:
    """
    Pages in files of one folder that declare one total are one query: complete when all are there.
    """
    for number, (first, count) in enumerate(((0, 100), (100, 100), (200, 50)), 1):
        write_json(tmp_path / f"page-{number}.json", page(rows(first, count), total=250, number=number))
    assert warnings_of(tmp_path) == {}
    (tmp_path / "page-2.json").unlink()
    assert "declare 250 rows, but 150 were read (2 pages)" in warnings_of(tmp_path)["incomplete_history"]


def test_page_seen_twice_counts_once(tmp_path: Path) -> None:
    """
    The same page in two files does not stand for the one that is missing.
    """
    for name in ("a.json", "b.json", "c.json"):
        write_json(tmp_path / name, page(rows(0, 100), total=250))
    assert "250 rows, but 100 were read (1 page)" in warnings_of(tmp_path)["incomplete_history"]


def test_folders_are_queries_of_their_own(tmp_path: Path) -> None:
    """
    Pages of different folders are told apart, also when they declare the same total.
    """
    for folder, count in (("monday", 100), ("tuesday", 40)):
        write_json(tmp_path / folder / "page.json", page(rows(0, count), total=100))
    assert "in tuesday declare 100 rows, but 40 were read" in warnings_of(tmp_path)["incomplete_history"]


def seen(*pages: tuple[int, int, int | None, int]) -> tuple[PageCompleteness, ...]:
    """Totals of pages given as (file, total, page, rows)."""
    sources = [Source(name, name, "json", "", 1) for name in ("one.json", "two.json", "deep/three.json")]
    return page_totals([HistoryPage(*one) for one in pages], sources)


def test_pages_without_a_number_are_all_counted() -> None:
    """
    Pages that do not say which they are count each for itself.
    """
    assert seen((0, 30, None, 10), (0, 30, None, 10), (0, 30, None, 10)) == (PageCompleteness("one.json", 30, 30, 3),)


def test_names_of_places() -> None:
    """
    A file of several pages is named; single pages in the given files, and those of a folder, go by where they lie.
    """
    assert seen((0, 20, 1, 10), (0, 20, 2, 10)) == (PageCompleteness("one.json", 20, 20, 2),)
    assert seen((0, 20, 1, 10), (1, 20, 2, 10)) == (PageCompleteness("the given files", 20, 20, 2),)
    assert seen((2, 20, 1, 10)) == (PageCompleteness("deep", 20, 10, 1),)


def test_many_pages_are_grouped_quickly() -> None:
    """
    Ten thousand pages in as many files take no longer than reading them.
    """
    sources = [Source(f"{number}.json", "x", "json", "", 1) for number in range(10_000)]
    pages = [HistoryPage(number, 1_000_000, number, 100) for number in range(10_000)]
    assert page_totals(pages, sources) == (PageCompleteness("the given files", 1_000_000, 1_000_000, 10_000),)


def test_the_made_up_tasks_are_quiet(tmp_path: Path) -> None:
    """
    The tasks that the cases above start from call for no warning themselves.
    """
    assert parse_instant(AS_OF) - parse_instant(ENDED) < DAY
    assert format_instant(parse_instant(CREATED)) == CREATED
    assert IMAGE in str(task())
    assert warnings_of(write_lines(tmp_path / "h.jsonl", [task()])) == {}
