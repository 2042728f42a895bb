"""Assets: which files a task leaves, why a task leaves none, and how its points are divided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from exports import (
    CLEAN,
    IMAGE,
    MARKED,
    ZERO_TIME,
    Record,
    history_row,
    kling,
    kling_output,
    pack,
    read_records,
    task,
)
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.assets import AssetMaker, Period, TaskTotals, expected_outputs, place
from policy_engine.columns import WITHOUT_ASSET_REASONS
from policy_engine.history import ServiceNames, merge_records
from policy_engine.history.records import RecordReader
from policy_engine.history.sources import Source
from policy_engine.periods import MAX_INSTANT, parse_instant

AS_OF = parse_instant("2026-01-08T00:00:00Z")


def make(*records: Record, as_of: int = AS_OF, period: Period | None = None) -> tuple[pd.DataFrame, TaskTotals]:
    """The assets of some records, merged, without any file in between."""
    names = ServiceNames(pack().catalog)
    reader = RecordReader(names, pack().catalog.legacy_outputs, 0)
    for line, record in enumerate(records, 1):
        reader.read(record, line)
    merged, _ = merge_records([reader.finish()], names)
    return AssetMaker(pack(), (Source("made-up", "made-up", "json", "", 0),), as_of, period).make(merged)


# --- Expected assets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "action", "expected"),
    [
        ("flux", "txt2img", ["image"]),
        ("kling", "video_generation", ["video_watermarked", "video_clean"]),
        ("kling", "EXTEND-VIDEO", ["video_watermarked", "video_clean"]),
        ("kling", None, ["video_watermarked", "video_clean"]),
        ("kling", "ai_try_on", ["try_on_watermarked", "try_on_clean"]),
        ("mj", "imagine", ["image"]),
        ("mj", "describe", []),
        ("music-s", "lyrics", []),
        ("llm", "chat", []),
    ],
)
def test_expected_files_of_a_finished_row(model: str, action: str | None, expected: list[str]) -> None:
    """A finished task known from its row alone is expected to have left what its service and type leave."""
    assets, totals = make(history_row("x", model, action=action))
    assert [one.split("/")[-2] for one in assets["asset_id"]] == expected
    assert assets["expected"].tolist() == [True] * len(expected)
    assert assets["url"].isna().all()
    assert totals.without_assets == ({} if expected else {"no_file_output": (1, 700_000)})


@pytest.mark.parametrize("status", ["pending", "failed", "", "odd"])
def test_nothing_is_expected_of_unfinished_tasks(status: str) -> None:
    """Only a completed task is expected to have left files."""
    assets, _ = make(history_row(status=status))
    assert assets.empty


def test_nothing_is_expected_once_a_record_carries_an_output() -> None:
    """An output that any record shows says what there is; nothing is added to it."""
    assets, _ = make(kling("k", output={"works": [{"video": {"resource": MARKED}}]}), history_row("k", "kling"))
    assert assets["url"].tolist() == [MARKED]
    assets, totals = make(kling("k", output={"works": []}), history_row("k", "kling"))
    assert assets.empty
    assert totals.without_assets == {"output_without_url": (1, 700_000)}


def test_expected_files_have_the_facts_of_their_output() -> None:
    """Of the two files expected of Kling one is watermarked and one is not, so that each meets its rule."""
    assets, _ = make(history_row("k", "kling", action="video_generation"))
    assert assets["watermarked"].astype(str).tolist() == ["true", "false"]
    assert assets["media"].astype(str).tolist() == ["video", "video"]


def test_expected_outputs_of_every_service() -> None:
    """For every service and task type of the catalog it is said what a finished task leaves."""
    for service in pack().catalog.services:
        for task_type in (None, "never heard of", *service.task_types):
            assert expected_outputs(service, task_type) is not None, (service.id, task_type)


# --- Tasks without an asset ------------------------------------------------------------------------------

NO_URL: dict[str, Any] = {"image_url": "", "image_base64": "aGVsbG8="}


@pytest.mark.parametrize(
    ("reason", "record"),
    [
        ("pending", task(status="Pending", output=NO_URL)),
        ("processing", task(status="processing", output="")),
        ("staged", task(status="staged", output={})),
        ("failed", task(status="failed", output=NO_URL)),
        ("cancelled", task(status="canceled", output="")),
        ("unknown_status", task(status="", output=NO_URL)),
        ("unknown_status", history_row(status="odd")),
        ("no_file_output", task(model="mj", task_type="describe", output={"description": "a lighthouse"})),
        ("no_file_output", history_row(model="llm")),
        ("previews_only", kling(output={"works": [{"cover": {"resource": IMAGE}}]})),
        ("output_without_url", task(output=NO_URL)),
        ("output_without_url", task(model="unheard-of", output=NO_URL)),
        ("unknown_service", history_row(model="unheard-of")),
        ("not_yet_created", task(created_at="2026-01-09T00:00:00Z", ended_at="2026-01-09T00:01:00Z")),
        ("outside_period", task(created_at="2025-01-09T00:00:00Z", ended_at="2025-01-09T00:01:00Z")),
    ],
)
def test_reasons(reason: str, record: Record) -> None:
    """A task that leaves no asset is counted under the reason, and its points stay with it."""
    assets, totals = make(record, period=Period(created_from=parse_instant("2025-06-01T00:00:00Z")))
    assert assets.empty
    points = 700_000 if str(record["status"]).lower() == "completed" else 0
    assert totals.without_assets == {reason: (1, points)}
    assert reason in WITHOUT_ASSET_REASONS


def test_every_reason_has_a_test() -> None:
    """No documented reason goes without a case above."""
    (mark,) = (mark for mark in test_reasons.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    assert {case[0] for case in mark.args[1]} == set(WITHOUT_ASSET_REASONS)


@pytest.mark.parametrize(
    ("created", "ended", "exists"),
    [
        ("2026-01-08T00:00:00Z", ZERO_TIME, True),
        ("2026-01-08T00:00:00.000000001Z", ZERO_TIME, False),
        ("2026-01-07T00:00:00Z", "2026-01-08T00:00:00Z", True),
        ("2026-01-07T00:00:00Z", "2026-01-08T00:00:00.000000001Z", False),
        (ZERO_TIME, "2026-01-08T00:00:00.000000001Z", False),
        ("2026-01-08T00:00:00.000000001Z", "2026-01-07T00:00:00Z", False),
        (ZERO_TIME, ZERO_TIME, True),
    ],
)
def test_tasks_after_as_of_do_not_exist_yet(created: str, ended: str, exists: bool) -> None:
    """A task whose latest instant is after as_of has no asset, to the nanosecond; one without a clock has."""
    assets, totals = make(task(created_at=created, ended_at=ended))
    assert len(assets) == exists
    assert totals.without_assets == ({} if exists else {"not_yet_created": (1, 700_000)})


def test_period_limits_by_submission() -> None:
    """A period takes the tasks submitted in `[from, until)`, and those whose submission is not known."""
    day = [parse_instant(f"2026-01-0{number}T00:00:00Z") for number in (5, 6)]
    times = [
        "2026-01-04T23:59:59.999999999Z",
        "2026-01-05T00:00:00Z",
        "2026-01-05T23:59:59Z",
        "2026-01-06T00:00:00Z",
        "",
    ]
    records = [task(str(number), created_at=time, ended_at="") for number, time in enumerate(times)]
    assets, totals = make(*records, period=Period(*day))
    assert assets["task_id"].tolist() == ["1", "2", "4"]
    assert totals.without_assets == {"outside_period": (2, 1_400_000)}


# --- Points ----------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10**12)), max_size=12))
def test_points_are_divided_without_loss(tasks: list[tuple[int, int]]) -> None:
    """Points are divided equally over the files of a task, the whole remainder to the first; the sums are exact."""
    records = [
        task(f"t-{number:02d}", output={"all": [f"https://files.example.org/{number}/{file}" for file in range(files)]},
             usage={"type": "point", "consume": points})
        for number, (files, points) in enumerate(tasks)
    ]  # fmt: skip
    assets, totals = make(*records)
    assert totals.points == sum(points for _, points in tasks)
    without = sum(points for _, points in totals.without_assets.values())
    assert int(assets["points"].sum()) + without == totals.points
    for number, (files, points) in enumerate(tasks):
        shares = assets.loc[assets["task_id"] == f"t-{number:02d}", "points"].tolist()
        assert shares == ([points - points // files * (files - 1)] + [points // files] * (files - 1) if files else [])


def test_cost_in_dollars() -> None:
    """Ten million points are a dollar."""
    assets, _ = make(task(usage={"type": "llm", "consume": 5_850_000}))
    assert assets["cost_usd"].tolist() == [0.585]


@pytest.mark.parametrize("unit", ["point", "llm", "quota"])
def test_units_that_are_points(unit: str) -> None:
    """The units that the pack prices are points."""
    assets, totals = make(task(usage={"type": unit, "consume": 20_000}))
    assert (assets["points"].tolist(), totals.other_units) == ([20_000], {})


# --- Identity and places ---------------------------------------------------------------------------------


def test_asset_id_does_not_hold_the_url() -> None:
    """The id of an asset stays when its link is signed anew."""
    first, _ = make(task(output={"image_url": IMAGE + "?Expires=1767900000&Signature=a"}))
    second, _ = make(task(output={"image_url": IMAGE + "?Expires=1767999999&Signature=b"}))
    assert first["asset_id"].tolist() == second["asset_id"].tolist() == ["flux/t-1/image/1"]


def test_link_expiry_is_shown() -> None:
    """The expiry of a signed link stands beside its asset."""
    assets, _ = make(task(output={"image_url": IMAGE + "?Expires=1767830400&Signature=a&Key-Pair-Id=b"}))
    assert assets["link_expires_at"].tolist() == [pd.Timestamp("2026-01-08T00:00:00Z")]


def test_link_that_never_expires_breaks_nothing() -> None:
    """A link signed until the year 9999 has no expiry that could be shown."""
    assets, _ = make(task(output={"image_url": IMAGE + "?se=9999-12-31T23%3A59%3A59Z&sig=a"}))
    assert assets["link_expires_at"].isna().all()


def test_facts_that_conflict_are_unknown(tmp_path: Path) -> None:
    """A file whose addresses tell different facts is undetermined with the reason, where the fact decides."""
    output = kling_output()
    output["works"][0]["video"]["resource"] = CLEAN
    row = read_records(tmp_path, kling(output=output)).one
    assert (row["watermarked"], row["verdict"]) == (None, "undetermined")
    assert row["reason"] == "watermarked_unknown;facts_conflict"


def test_unlisted_files_have_no_media(tmp_path: Path) -> None:
    """Of a file at no listed path neither media nor watermark is known."""
    assets, _ = make(task(output={"extra": {"file": CLEAN}}))
    assert assets["role"].astype(str).tolist() == ["unlisted"]
    assert assets["media"].isna().all()
    assert assets["watermarked"].isna().all()


def test_models_without_a_service_are_counted() -> None:
    """Model names that the catalog does not list are counted by name, missing ones too."""
    _, totals = make(task("a", "new"), task("b", "new"), task("c", ""), task("d"))
    assert totals.unknown_models == {"new": 2, "no model": 1}


@pytest.mark.parametrize(
    ("line", "item", "expected"), [(0, 0, "a.json"), (7, 0, "a.json:7"), (0, 3, "a.json#3"), (7, 3, "a.json:7#3")]
)
def test_places(line: int, item: int, expected: str) -> None:
    """A record is called by its file, its line and its number in it."""
    assert place("a.json", line, item) == expected


def test_totals_add_up() -> None:
    """The totals of two parts together are the totals of the whole."""
    records = [task("a"), task("b", status="failed", output={}), task("c", "new"), kling("d"),
               task("e", usage={"type": "credits", "consume": 3})]  # fmt: skip
    _, whole = make(*records, as_of=MAX_INSTANT)
    total = TaskTotals()
    for record in records:
        _, part = make(record, as_of=MAX_INSTANT)
        total.add(part)
    assert total == whole


def test_no_tasks() -> None:
    """Without tasks there is an empty table with all columns."""
    assets, totals = make()
    assert assets.empty
    assert {"asset_id", "service", "url", "points", "source"} <= set(assets.columns)
    assert totals == TaskTotals()
