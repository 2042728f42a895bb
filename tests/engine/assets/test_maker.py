"""Assets: which files a task leaves, why a task leaves none, and how its points are divided."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.periods import MAX_INSTANT, parse_instant
from policy_engine.core.vocabulary import WITHOUT_ASSET_REASONS
from policy_engine.engine.assets import maker as assets_module
from policy_engine.engine.assets.maker import AssetMaker, Period, TaskTotals, expected_outputs, location
from policy_engine.engine.assets.output_paths import OutputPaths, TaskFiles
from policy_engine.history import Batch, ServiceNames, merge_records
from policy_engine.history.records.record_reader import RecordReader
from policy_engine.history.sources import Source
from tests.support.exports import (
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
from tests.support.strategies import pack as made_up_pack
from tests.support.strategies import service as made_up_service

AS_OF = parse_instant("2026-01-08T00:00:00Z")
TODAY = "2026-01-06T00:00:00Z"


def batch_of(*records: Record) -> Batch:
    """Some records as a batch that is not merged."""
    reader = RecordReader(ServiceNames(pack().catalog), pack().catalog.legacy_outputs, 0)
    for line, record in enumerate(records, 1):
        reader.read(record, line)
    return reader.finish()


def assets_of(batch: Batch, as_of: int = AS_OF, period: Period | None = None) -> tuple[pd.DataFrame, TaskTotals]:
    """The assets of a batch."""
    return AssetMaker(pack(), (Source("made-up", "made-up", "json", "", 0),), as_of, period).make(batch)


def make(*records: Record, as_of: int = AS_OF, period: Period | None = None) -> tuple[pd.DataFrame, TaskTotals]:
    """The assets of some records, merged, without any file in between."""
    merged, _ = merge_records([batch_of(*records)], ServiceNames(pack().catalog))
    return assets_of(merged, as_of, period)


def plain_batch_of(*records: Record) -> Batch:
    """Records that need no merging and whose outputs are still text, as blocks of plain tasks bring."""
    batch = batch_of(*records)
    batch.output = [msgspec.json.encode(one) if isinstance(one, (dict, list)) and one else one for one in batch.output]
    return batch


def make_plain(*records: Record, as_of: int = AS_OF, period: Period | None = None) -> tuple[pd.DataFrame, TaskTotals]:
    """The assets of such records."""
    return assets_of(plain_batch_of(*records), as_of, period)


def service_of(model: str) -> str:
    """The service that a model name leads to."""
    return {"mj": "midjourney"}.get(model, model)


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
    assert assets["asset_id"].tolist() == [f"{service_of(model)}/x/{name}/1" for name in expected]
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


def test_nothing_is_expected_where_the_catalog_says_nothing() -> None:
    """Of a service whose catalog does not say what a finished task leaves, no file is expected."""
    made = made_up_pack([made_up_service("flux")], [])
    assert expected_outputs(made.catalog.services[0], None) is None
    assets, totals = AssetMaker(made, (Source("made-up", "made-up", "json", "", 0),), AS_OF).make(
        batch_of(history_row("a"), history_row("b"))
    )
    assert assets.empty
    assert {reason: tasks for reason, (tasks, _) in totals.without_assets.items()} == {"no_file_output": 2}


# --- Tasks without an asset ------------------------------------------------------------------------------

NO_URL: dict[str, Any] = {"image_url": "", "image_base64": "aGVsbG8="}


@pytest.mark.parametrize("way", [make, make_plain])
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
def test_reasons(reason: str, record: Record, way: Any) -> None:
    """A task that leaves no asset is counted under the reason, and its points stay with it."""
    assets, totals = way(record, period=Period(created_from=parse_instant("2025-06-01T00:00:00Z")))
    assert assets.empty
    points = 700_000 if str(record["status"]).lower() == "completed" else 0
    assert totals.without_assets == {reason: (1, points)}
    assert reason in WITHOUT_ASSET_REASONS


def test_every_reason_has_a_test() -> None:
    """No documented reason goes without a case above."""
    marks = test_reasons.pytestmark  # type: ignore[attr-defined]
    (cases,) = (mark.args[1] for mark in marks if mark.args[0] == ("reason", "record"))
    assert {case[0] for case in cases} == set(WITHOUT_ASSET_REASONS)


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


def test_a_task_of_this_very_instant_may_be_outside_the_period() -> None:
    """A task that ended at as_of exists, so what a period leaves out of it is outside the period."""
    _, totals = make(task(ended_at="2026-01-08T00:00:00Z"), period=Period(created_from=AS_OF))
    assert totals.without_assets == {"outside_period": (1, 700_000)}


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


def many_tasks() -> list[Record]:
    """
    Finished, failed and waiting tasks of several services in turn, so many that those of a service are looked at
    together; among them outputs without an address, with previews, with one file twice, and at paths not listed.
    """
    image = "https://img.theapi.app/temp/{}.png?Expires=1767830400&Signature=a&Key-Pair-Id=b"
    kinds = [
        lambda name, at: task(name, output={"image_url": image.format(at), "seed": at}),
        lambda name, at: kling(name, at),
        lambda name, at: task(name, "Qubico/hug-video", output={"video_url": image.format(at)}),
        lambda name, at: task(name, "mj", task_type="imagine", output={
            "image_url": image.format(at), "image_urls": [image.format(f"{at}-{each}") for each in range(4)]}),
        lambda name, at: task(name, "unheard-of", output={"made": [image.format(at), CLEAN]}),
    ]  # fmt: skip
    records = [kinds[at % len(kinds)](f"t-{at:03d}", at) for at in range(30 * len(kinds))]
    others = [
        task("u-0", output={"elsewhere": IMAGE}),
        task("u-1", output={"image_url": "", "seed": 7}),
        task("u-2", status="failed", output={"image_url": ""}),
        task("u-3", status="pending", output={"image_url": "", "seed": 7}),
        kling("u-4", output={"works": [{"cover": {"resource": IMAGE}}]}),
        history_row("u-5", "kling"),
        task("u-6", "mj", task_type="describe", output={"description": "a lighthouse"}),
        history_row("u-7", "unheard-of"),
        task("u-8", output={"image_url": IMAGE}, usage={"type": "luma_quota", "consume": 3}),
        task("u-9", created_at="2026-01-09T00:00:00Z", output={"image_url": IMAGE}),
    ]
    return [*records, *others]


def test_the_way_in_which_outputs_are_read_changes_nothing() -> None:
    """
    Outputs looked at together, one by one, or decoded before give the same assets in the same order, and one count.
    """
    records = many_tasks()
    expected, counted = make(*records)
    found, totals = make_plain(*records)
    pd.testing.assert_frame_equal(found, expected)
    assert totals == counted
    alone = [make_plain(*records[start : start + 10]) for start in range(0, len(records), 10)]
    names = ["asset_id", "url", "media", "role", "watermarked", "points", "expected", "host_owner", "created_at"]
    together = pd.concat([assets[names].astype("object") for assets, _ in alone], ignore_index=True)
    pd.testing.assert_frame_equal(together, expected[names].astype("object"))
    summed = TaskTotals()
    for _, part in alone:
        summed.add(part)
    assert summed == counted


def tables_and_objects() -> Batch:
    """Tasks of several services from rows of tables, one to three files each, with task objects between them."""
    reader = RecordReader(ServiceNames(pack().catalog), pack().catalog.legacy_outputs, 0)
    image = "https://img.theapi.app/temp/{}.png"
    line = 0
    for at in range(40):
        rows: list[Record] = [
            {"task_id": f"k-{at}", "model": "kling", "url": image.format(f"{at}m"), "output": "video_watermarked"},
            {"task_id": f"k-{at}", "model": "kling", "url": image.format(f"{at}c"), "output": "video_clean"},
            {"task_id": f"k-{at}", "model": "kling", "url": image.format(f"{at}p"), "output": "works[].cover.resource"},
            {"task_id": f"f-{at}", "model": "flux", "url": image.format(f"{at}f"), "output": "image"},
            {"task_id": f"n-{at}", "model": "unheard-of", "url": image.format(f"{at}n"), "media": "video"},
            {"task_id": f"x-{at}", "model": "flux", "url": image.format(f"{at}x"), "output": "no such name"},
            {
                "task_id": f"l-{at}",
                "model": "flux",
                "url": image.format(f"{at}l"),
                "created_at": "2026-01-09T00:00:00Z",
            },
        ]
        for row in rows:
            line += 1
            reader.read_flat(
                {"status": "completed", "consume": "100000", "usage_type": "point", "created_at": TODAY, **row}, line
            )
        line += 1
        reader.read(task(f"o-{at}", output={"image_url": image.format(f"{at}o")}), line)
    merged, _ = merge_records([reader.finish()], ServiceNames(pack().catalog))
    merged.output = [msgspec.json.encode(one) if type(one) is dict else one for one in merged.output]
    return merged


@pytest.fixture(name="alone")
def outputs_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The outputs that are read one by one from here on."""
    alone: list[object] = []
    files_of = OutputPaths.files_of

    def read_alone(kinds: OutputPaths, service: str | None, output: object) -> TaskFiles:
        alone.append(output)
        return files_of(kinds, service, output)

    monkeypatch.setattr(OutputPaths, "files_of", read_alone)
    return alone


def test_rows_of_tables_are_looked_at_together(alone: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that rows of tables name are found together, and are those that a look at each task finds."""
    found, totals = assets_of(tables_and_objects())
    assert alone == []
    assert totals.previews == 40
    assert totals.without_assets == {"not_yet_created": (40, 4_000_000)}
    monkeypatch.setattr(assets_module, "_FEW", 1 << 30)
    expected, counted = assets_of(tables_and_objects())
    assert len(alone) == 5 * 40
    pd.testing.assert_frame_equal(found, expected)
    assert totals == counted


def test_each_service_is_read_by_its_own_paths() -> None:
    """Where two services list one path for different files, many outputs read together are told apart all the same."""
    output = {"image_urls": [IMAGE]}
    records = [task(f"{at:02d}", model, output=output) for at in range(30) for model in ("seedream", "mj")]
    assets, _ = make_plain(*records)
    found = list(zip(assets["service"], assets["role"], strict=True))
    assert found == [("seedream", "main"), ("midjourney", "vendor_copy")] * 30


def test_many_outputs_are_not_read_one_by_one(alone: list[object]) -> None:
    """Of many outputs of a service those at listed paths are read together, and blank ones are not searched at all."""
    usual = [make_one(f"{at:02d}") for at in range(30) for make_one in (task, kling)]
    blank = [task(f"b-{at}", output={"image_url": ""}) for at in range(3)]
    make_plain(*usual, *blank, task("u", output={"elsewhere": IMAGE}))
    assert alone == [msgspec.json.encode({"elsewhere": IMAGE})]


def test_what_the_catalog_says_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shape of a service's outputs and what its tasks leave are worked out once, however many chunks follow."""
    calls: Counter[str] = Counter()

    def count(name: str) -> None:
        known = getattr(assets_module, name)

        def call(*given: Any) -> Any:
            calls[name] += 1
            return known(*given)

        monkeypatch.setattr(assets_module, name, call)

    count("JsonOutputs")
    count("expected_outputs")
    maker = AssetMaker(pack(), (Source("made-up", "made-up", "json", "", 0),), AS_OF)
    for _ in range(2):
        rows = [history_row(f"r-{at}", "kling", action="video_generation") for at in range(2)]
        assets, _ = maker.make(plain_batch_of(*(task(f"{at:02d}") for at in range(30)), *rows))
        assert len(assets) == 30 + 2 * 2
    assert calls == {"JsonOutputs": 1, "expected_outputs": 1}


@pytest.mark.parametrize(
    ("output", "made"),
    [
        (rb'{"image_url": "https:\/\/img.theapi.app\/temp\/401.png"}', [(False, IMAGE)]),
        (rb'{"image_url": "https\u003a//img.theapi.app/temp/401.png"}', [(False, IMAGE)]),
        (b'{"image_url": "", "note": "a \\n b"}', []),
        (b'{"image_url": ""}', []),
        (b"{    }", [(True, None)]),
    ],
)
def test_outputs_as_text_that_show_no_address_at_first_sight(output: bytes, made: list[tuple[bool, Any]]) -> None:
    """An address written with escapes makes an asset, blanks make none, and an empty output is as good as none."""
    batch = batch_of(task("a"), task("b"))
    batch.output = [output, output]
    assets, totals = assets_of(batch)
    found = [(expected, None if pd.isna(url) else url) for expected, url in assets[["expected", "url"]].to_numpy()]
    assert found == made * 2
    assert totals.without_assets == ({} if made else {"output_without_url": (2, 1_400_000)})


@pytest.mark.parametrize("way", [make, make_plain])
def test_addresses_that_make_no_asset_are_counted(way: Any) -> None:
    """Previews and further addresses of one file are counted, whichever way they are found, and none twice."""
    for count in (1, 40):
        records = [kling(f"k-{at:02d}", at) for at in range(count)]
        _, totals = way(*records, kling("z", output={"works": [{"cover": {"resource": IMAGE}}]}))
        assert (totals.previews, totals.same_file) == (count + 1, count)


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


def test_the_remainder_goes_to_the_first_file_of_every_task() -> None:
    """Also where the tasks before it have no file, and where several tasks divide their points."""
    files = {"all": [f"https://files.example.org/{file}" for file in range(3)]}
    paid = {"usage": {"type": "point", "consume": 8}}
    for before in range(3):
        failed = [task(f"a-{at}", status="failed", output={}) for at in range(before)]
        assets, _ = make(*failed, task("b", output=files, **paid), task("c", output=files, **paid))
        assert assets["points"].tolist() == [4, 2, 2, 4, 2, 2]


def test_cost_in_dollars() -> None:
    """Ten million points are a dollar."""
    assets, _ = make(task(usage={"type": "llm", "consume": 5_850_000}))
    assert assets["cost_usd"].tolist() == [0.585]


@pytest.mark.parametrize("unit", ["point", "llm", "quota"])
def test_units_that_are_points(unit: str) -> None:
    """The units that the pack prices are points."""
    assets, totals = make(task(usage={"type": unit, "consume": 20_000}))
    assert (assets["points"].tolist(), totals.other_units) == ([20_000], {})


@pytest.mark.parametrize(
    ("unit", "name"), [("luma_quota", "luma_quota"), ("", "not stated"), (None, "not stated"), ("credits", "credits")]
)
def test_units_that_are_none_are_added_up_by_name(unit: str | None, name: str) -> None:
    """Amounts without a dollar value are added up under their unit and are no points; nothing spent is no amount."""
    records = [task(str(at), usage={"type": unit, "consume": amount}) for at, amount in enumerate((30, 1, 0))]
    assets, totals = make(*records, task("z", status="failed", usage={"type": unit, "consume": 9}))
    assert totals.other_units == {name: (31, 2)}
    assert (totals.points, assets["points"].tolist()) == (0, [0, 0, 0, 0])


def test_points_that_a_table_states_for_its_rows() -> None:
    """Points of rows count where no usage is recorded, as points unless the row names another unit."""
    batch = batch_of(*(task(str(at), usage=...) for at in range(5)))
    batch.consume = [None, None, 700, None, None]
    batch.share = [40, 50, 60, None, 70]
    batch.unit = [None, "llm", "point", "credits", "credits"]
    assets, totals = assets_of(batch)
    assert assets["points"].tolist() == [40, 50, 700, 0, 0]
    assert (totals.points, totals.other_units) == (790, {"credits": (70, 1)})


def test_a_usage_of_nothing_is_not_replaced_by_what_a_row_states() -> None:
    """A task that is recorded as having consumed nothing cost nothing; a unit alone is no point."""
    batch = batch_of(task("a", usage=...), task("b", usage=...))
    batch.consume, batch.share, batch.unit = [0, 5], [40, 50], ["point", None]
    assets, totals = assets_of(batch)
    assert assets["points"].tolist() == [0, 0]
    assert totals.other_units == {"not stated": (5, 1)}


# --- Columns ---------------------------------------------------------------------------------------------


def test_every_column_of_an_asset() -> None:
    """What a record says of a task stands with its asset, each in the column of its name and of its type."""
    record = task("a", status="Completed", service_mode="private", is_using_private_pool=...,
                  output={"image_url": IMAGE + "?Expires=1767830400&Signature=a&Key-Pair-Id=b"})  # fmt: skip
    assets, totals = make(record, history_row("a", account_id=12, api_key_id=34))
    (row,) = assets.astype("object").to_dict("records")
    assert row == {
        "asset_id": "flux/a/image/1",
        "task_id": "a",
        "service": "flux",
        "model": "Qubico/flux1-dev",
        "task_type": "txt2img",
        "account": "host_your_account",
        "media": "image",
        "role": "main",
        "watermarked": row["watermarked"],
        "url": IMAGE + "?Expires=1767830400&Signature=a&Key-Pair-Id=b",
        "url_host": "img.theapi.app",
        "host_owner": "piapi",
        "status": "Completed",
        "created_at": pd.Timestamp("2026-01-06T10:00:00Z"),
        "completed_at": pd.Timestamp("2026-01-06T10:05:00Z"),
        "completion_bound": pd.Timestamp("2026-01-06T10:05:30Z"),
        "link_expires_at": pd.Timestamp("2026-01-08T00:00:00Z"),
        "expected": False,
        "facts_conflict": False,
        "points": 700_000,
        "cost_usd": 0.07,
        "account_id": "12",
        "api_key_id": "34",
        "source": "made-up:1; made-up:2",
    }
    assert pd.isna(row["watermarked"])
    assert totals.newest == parse_instant("2026-01-06T10:05:30Z")


@pytest.mark.parametrize("records", [[], [task("a")], [history_row("a", account_id=None)]])
def test_columns_have_one_type_whatever_they_hold(records: list[Record]) -> None:
    """Every column has its type also where it holds nothing, so that chunks can be put together."""
    assets, _ = make(*records)
    kinds = {name: str(kind) for name, kind in assets.dtypes.items()}
    assert {kinds.pop(name) for name in ("asset_id", "task_id", "url", "source")} == {"str"}
    times = ("created_at", "completed_at", "completion_bound", "link_expires_at")
    assert {kinds.pop(name) for name in times} == {"datetime64[ns, UTC]"}
    assert {kinds.pop(name) for name in ("expected", "facts_conflict")} == {"bool"}
    assert (kinds.pop("points"), kinds.pop("cost_usd")) == ("Int64", "Float64")
    assert set(kinds.values()) == {"category"}


@pytest.mark.parametrize(
    ("account", "pool", "mode", "expected"),
    [
        ("host_your_account", False, "public", "host_your_account"),
        ("pay_as_you_go", True, "private", "pay_as_you_go"),
        (None, True, "public", "host_your_account"),
        (None, False, "private", "pay_as_you_go"),
        (None, None, " Private ", "host_your_account"),
        (None, None, "PUBLIC", "pay_as_you_go"),
        (None, None, "hybrid", None),
        (None, None, None, None),
    ],
)
def test_accounts(account: str | None, pool: bool | None, mode: str | None, expected: str | None) -> None:
    """What a table states outright comes first, then the private pool, then the service mode; else it is unknown."""
    others = [("pay_as_you_go", True, "private"), (None, None, None), (None, False, "public"), (None, True, "x")]
    batch = batch_of(*(task(str(at)) for at in range(5)))
    batch.account, batch.pool, batch.mode = (list(one) for one in zip((account, pool, mode), *others, strict=True))
    found = assets_of(batch)[0]["account"].astype("object").tolist()
    assert [None if pd.isna(one) else one for one in found] == [
        expected, "pay_as_you_go", None, "pay_as_you_go", "host_your_account",
    ]  # fmt: skip


def test_ids_of_several_files_of_one_task() -> None:
    """Files of one kind are numbered from one; a task of a service not listed is told apart by its model."""
    files = {"all": [f"https://files.example.org/{file}" for file in range(12)]}
    assets, _ = make(task("a", output=files), task("a", "new", output=files), task("b"))
    ids = assets["asset_id"].tolist()
    assert ids[:12] == [f"flux/a/unlisted/{number}" for number in range(1, 13)]
    assert ids[12:] == [*(f"unknown:new/a/unlisted/{number}" for number in range(1, 13)), "flux/b/image/1"]


def test_sources_of_records_in_several_files() -> None:
    """Each asset names the file, the line and the number of every record of its task."""
    batch = batch_of(task("a"), task("b"), task("c"), task("d"))
    batch.file, batch.line, batch.item = [0, 1, 1, 0], [3, 0, 5, 0], [0, 2, 6, 0]
    batch.also = {1: [(0, 7, 0), (1, 0, 9)]}
    sources = tuple(Source(name, name, "json", "", 0) for name in ("x.json", "y.json"))
    assets, _ = AssetMaker(pack(), sources, AS_OF).make(batch)
    assert assets["source"].tolist() == ["x.json:3", "y.json#2; x.json:7; y.json#9", "y.json:5#6", "x.json"]


@pytest.mark.parametrize(
    ("files", "items", "expected"),
    [
        ([0, 0], [0, 0], ["x.json:3", "x.json:4"]),
        ([1, 1], [0, 0], ["y.json:3", "y.json:4"]),
        ([0, 1], [0, 0], ["x.json:3", "y.json:4"]),
        ([0, 0], [5, 6], ["x.json:3#5", "x.json:4#6"]),
        ([0, 0], [0, 6], ["x.json:3", "x.json:4#6"]),
    ],
)
def test_sources_of_single_records(files: list[int], items: list[int], expected: list[str]) -> None:
    """Each asset names the file and the line of its record, and its number where a line holds several."""
    batch = batch_of(task("a"), task("b"))
    batch.file, batch.line, batch.item = files, [3, 4], items
    sources = tuple(Source(name, name, "json", "", 0) for name in ("x.json", "y.json"))
    assets, _ = AssetMaker(pack(), sources, AS_OF).make(batch)
    assert assets["source"].tolist() == expected


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
    """Model names that the catalog does not list are counted by name, missing ones too, over all chunks."""
    _, totals = make(task("a", "new"), task("b", "new"), task("c", ""), task("d"))
    assert totals.unknown_models == {"new": 2, "no model": 1}
    totals.add(make(task("e", "new"), task("f", "newer"))[1])
    assert totals.unknown_models == {"new": 3, "no model": 1, "newer": 1}


@pytest.mark.parametrize(
    ("line", "item", "expected"), [(0, 0, "a.json"), (7, 0, "a.json:7"), (0, 3, "a.json#3"), (7, 3, "a.json:7#3")]
)
def test_places(line: int, item: int, expected: str) -> None:
    """A record is called by its file, its line and its number in it."""
    assert location("a.json", line, item) == expected


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
