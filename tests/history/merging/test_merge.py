"""Merging: a task is one however many records tell of it, and the order in which they come never matters."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.history import STATES, Batch, FlatFile, Outputs, ServiceNames, merge_records
from policy_engine.history.merging.merge import service_key
from policy_engine.history.records.record_reader import RecordReader
from tests.support.exports import (
    CLEAN,
    CREATED,
    ENDED,
    IMAGE,
    MARKED,
    ZERO_TIME,
    Reading,
    Record,
    envelope,
    history_row,
    kling,
    kling_output,
    page,
    read,
    read_records,
    task,
    webhook,
    write_csv,
    write_lines,
)

# --- Any order -------------------------------------------------------------------------------------------

statuses = st.sampled_from(["completed", "Completed", "failed", "pending", "processing", "", "odd", None])
times = st.sampled_from(
    [CREATED, ENDED, ZERO_TIME, "", None, "2026-01-06T10:00:00.5Z", "2026-01-07T00:00:00+08:00", "x"]
)
hosts = st.sampled_from(["storage.theapi.app", "v15-kling.klingai.com", "files.example.org"])
addresses = st.builds(
    "https://{}/{}.mp4{}".format,
    hosts,
    st.integers(1, 3),
    st.sampled_from(["", "?Expires=1767900000", "?Expires=1767999999"]),
)
models = st.sampled_from(
    ["kling", "Kling", "kling-turbo", "flux", "Qubico/flux1-dev", "image_toolkit", "new", None, ""]
)
ids = st.sampled_from(["a", "b", 7, "7"])
units = st.sampled_from(["point", "llm", "quota_x", ""])
usages = st.fixed_dictionaries({"type": units, "consume": st.sampled_from([0, 10, 11, None, "x"])})


@st.composite
def objects(draw: st.DrawFn) -> Record:
    """Task objects that agree on little."""
    output: Any = draw(
        st.one_of(
            st.none(),
            addresses,
            st.lists(addresses, max_size=2),
            st.fixed_dictionaries({"video_url": addresses, "video": addresses}),
            st.builds(
                lambda url, mark: {"works": [{"video": {"resource": mark, "resource_without_watermark": url}}]},
                addresses,
                addresses,
            ),
            st.just({"image_url": ""}),
        )
    )
    record = task(
        draw(ids),
        draw(models),
        task_type=draw(st.sampled_from(["video_generation", "VIDEO-GENERATION", "face-swap", None])),
        status=draw(statuses),
        created_at=draw(times),
        ended_at=draw(times),
        usage=draw(usages),
        is_using_private_pool=draw(st.sampled_from([True, False, None])),
        service_mode=draw(st.sampled_from(["public", "private", ""])),
    )
    record["output"] = output
    return draw(st.sampled_from([record, envelope(record), webhook(record, draw(st.sampled_from([1_767_694_000, 0])))]))


@st.composite
def rows(draw: st.DrawFn) -> Record:
    """Rows of the task history, alone or on a page."""
    row = history_row(
        draw(ids),
        draw(models) or "kling",
        action=draw(st.sampled_from(["video_generation", "face-swap", None])),
        status=draw(statuses),
        usage=draw(st.sampled_from([0, 10, None])),
        created_at=draw(times),
        updated_at=draw(times),
        account_id=draw(st.integers(1, 2)),
    )
    return draw(st.sampled_from([row, page([row])]))


def facts(reading: Reading) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What must not depend on where records stand; whether a record is alone decides where its problems are noted."""
    return reading.answers, reading.counts


@given(st.lists(st.one_of(objects(), rows()), min_size=1, max_size=7), st.integers(1, 3), st.randoms())
def test_order_of_records_never_matters(records: list[Record], files: int, chance: random.Random) -> None:
    """Records shuffled over lines and files give the same findings and totals, apart from where they stand."""
    with tempfile.TemporaryDirectory() as folder:
        expected = read(write_lines(Path(folder) / "one" / "a.jsonl", records))
        shuffled = records[:]
        chance.shuffle(shuffled)
        for number in range(files):
            part = shuffled[number::files]
            if part:
                write_lines(Path(folder) / "other" / f"{number}.jsonl", part)
        reading = read(Path(folder) / "other")
    assert facts(reading) == facts(expected)


@given(st.lists(st.one_of(objects(), rows()), min_size=1, max_size=5))
def test_telling_something_twice_changes_nothing(records: list[Record]) -> None:
    """A history beside a copy of itself gives the same findings; every copy is merged away, and nothing costs twice."""
    with tempfile.TemporaryDirectory() as folder:
        once = read(write_lines(Path(folder) / "a.jsonl", records))
        write_lines(Path(folder) / "b.jsonl", records)
        twice = read(folder)
    assert twice.answers == once.answers
    assert twice.totals.tasks.points == once.totals.tasks.points
    assert twice.totals.seen.records == 2 * once.totals.seen.records
    assert twice.totals.tasks.tasks == once.totals.tasks.tasks


@given(
    st.lists(st.one_of(objects(), rows(), st.sampled_from([7, {}, [], {"task_id": ""}, {"data": None}])), max_size=8)
)
def test_every_record_is_accounted_for(records: list[Any]) -> None:
    """Records read are the tasks, those merged into another and those set aside, in any mixture."""
    with tempfile.TemporaryDirectory() as folder:
        # One record at least, since an empty file is no history.
        reading = read(write_lines(Path(folder) / "a.jsonl", [task("sure"), *records]))
    counts = reading.counts
    assert counts["records"] == counts["tasks"] + counts["merged"] + counts["quarantined"]
    assert counts["records"] == 1 + sum(1 for one in records if one != [])


# --- Field by field --------------------------------------------------------------------------------------


def merge(*records: object) -> Batch:
    """The tasks of some records, each read alone."""
    from tests.support.exports import pack

    catalog = pack().catalog
    names = ServiceNames(catalog)
    batches = []
    for line, record in enumerate(records, 1):
        reader = RecordReader(names, catalog.legacy_outputs, 0)
        reader.read(record, line)
        batches.append(reader.finish())
    merged, _ = merge_records(batches, names)
    return merged


def test_final_status_comes_first(tmp_path: Path) -> None:
    """A final status wins over one of a later instant that is not final."""
    late = task(status="processing", created_at="2026-01-07T00:00:00Z", ended_at=ZERO_TIME)
    merged = merge(late, history_row(status="failed"))
    assert STATES[merged.state[0]] == "failed"


def test_task_object_comes_before_a_row() -> None:
    """Of two final records the task object is preferred, though the row is younger."""
    row = history_row(created_at="2026-01-06T09:59:59Z", updated_at="2026-01-07T00:00:00Z")
    merged = merge(row, task(usage={"type": "point", "consume": 5}))
    assert (merged.consume[0], merged.model[0]) == (5, "Qubico/flux1-dev")
    assert merged.created[0] == merge(task()).created[0]


def test_latest_instant_comes_first() -> None:
    """Of two records that are alike in all else, the one that knows the later instant is preferred."""
    old = task(task_type="old", ended_at=ENDED)
    new = task(task_type="new", ended_at="2026-01-06T10:06:00Z")
    assert merge(old, new).task_type == merge(new, old).task_type == ["new"]


def test_fields_left_open_are_filled() -> None:
    """A field that the preferred record leaves open comes from the next that has it."""
    bare = task(model=..., task_type="", config=..., usage={}, is_using_private_pool=..., ended_at=ZERO_TIME)
    merged = merge(bare, history_row(service_mode="private", usage=7, usage_type="llm", action="IMG2IMG"))
    assert (merged.service, merged.model, merged.task_type) == (["flux"], ["flux"], ["img2img"])
    assert (merged.mode, merged.consume, merged.unit) == (["private"], [7], ["llm"])
    assert (merged.account_id, merged.api_key_id) == (["12"], ["34"])


def test_updated_at_of_a_completed_row_bounds_the_end(tmp_path: Path) -> None:
    """The row of a completed task bounds the end that no record knows, and the row of another does not."""
    end = ZERO_TIME
    bounded = read_records(tmp_path, task(ended_at=end), history_row(updated_at="2026-01-06T10:10:00Z")).one
    free = read_records(
        tmp_path, task(ended_at=end), history_row(status="pending", updated_at="2026-01-06T10:10:00Z")
    ).one
    assert str(bounded["expires_latest"]) == "2026-01-09 10:10:00+00:00"
    assert str(free["expires_latest"]) == "2026-01-10 10:00:00+00:00"


# --- Outputs ---------------------------------------------------------------------------------------------


def test_union_of_outputs(tmp_path: Path) -> None:
    """Every URL that any record of a task ever showed is an asset, though a later record has lost it."""
    partial = kling_output()
    partial["works"][0]["video"]["resource_without_watermark"] = ""
    partial["video_url"] = ""
    reading = read_records(tmp_path, kling(output=partial, status="processing"), kling(output={"video_url": CLEAN}))
    assert {row["asset_id"]: row["url"] for row in reading.rows} == {
        "kling/k-1/video_watermarked/1": MARKED,
        "kling/k-1/video_clean/1": CLEAN,
    }


def test_rotating_signatures_are_one_file(tmp_path: Path) -> None:
    """One file under links signed at different times is one asset, with the preferred record's link."""
    first = task(output={"image_url": IMAGE + "?Expires=1767780000&Signature=abc&Key-Pair-Id=K"})
    second = task(
        output={"image_url": IMAGE + "?Expires=1767790000&Signature=xyz&Key-Pair-Id=K"}, ended_at="2026-01-06T10:06:00Z"
    )
    reading = read_records(tmp_path, first, second)
    assert reading.one["url"] == second["output"]["image_url"]
    assert reading.totals.tasks.same_file == 1


def test_url_of_a_row_of_a_table_joins_the_task(tmp_path: Path) -> None:
    """A file known from a table only is an asset of the task that other records describe."""
    other = "https://files.example.org/copy.png"
    write_csv(tmp_path / "in" / "t.csv", [{"task_id": "t-1", "url": IMAGE}, {"task_id": "t-1", "url": other}])
    write_lines(tmp_path / "in" / "t.jsonl", [task()])
    reading = read(tmp_path / "in")
    assert {row["url"]: row["asset_id"] for row in reading.rows} == {
        IMAGE: "flux/t-1/image/1",
        other: "flux/t-1/unlisted/1",
    }


def test_nested_outputs_are_flattened() -> None:
    """Merging records that have several outputs each leaves one list of them."""
    first = {**task("s", "suno", {"a": 1}), "clips": {"b": {}}}
    second = {**task("s", "suno", {"a": 2}), "url": IMAGE}
    (outputs,) = merge(first, second).output
    assert isinstance(outputs, Outputs)
    assert not any(isinstance(one, Outputs) for one in outputs)
    assert FlatFile(IMAGE, None, None, None, None) in outputs


# --- Records that float ----------------------------------------------------------------------------------


def test_floating_records_with_one_id_are_one_task(tmp_path: Path) -> None:
    """Several records without a model and without any other task of their id are one task."""
    reading = read_records(tmp_path, task("x", model=...), task("x", model=None, status="pending"))
    assert (reading.totals.tasks.tasks, reading.totals.merged) == (1, 1)


def test_floating_record_joins_an_unknown_service() -> None:
    """The only task with the id may be of a service that the catalog does not know."""
    merged = merge(task("x", model=...), task("x", model="new-model"))
    assert (len(merged), merged.model[0], service_key(merged, 0)) == (1, "new-model", "unknown:new-model")


@pytest.mark.parametrize("first", [0, 1, 2])
def test_floating_record_between_two_tasks_stands_alone_in_any_order(first: int) -> None:
    """A record that may belong to two tasks belongs to neither, wherever it stands."""
    records = [task("x", model=...), task("x"), kling("x")]
    merged = merge(*(records[first:] + records[:first]))
    assert merged.service == [None, "flux", "kling"]


def test_unknown_models_are_tasks_of_their_own() -> None:
    """Two names that the catalog does not know are two services."""
    assert merge(task("x", model="one"), task("x", model="two")).model == ["one", "two"]


def test_ids_with_one_checksum_are_not_merged(tmp_path: Path) -> None:
    """Ids that only look alike to the search for duplicates stay tasks of their own."""
    reading = read_records(tmp_path, task("plumless"), task("buckeroo"), task("other"))
    assert reading.totals.merged == 0
    assert sorted(row["task_id"] for row in reading.rows) == ["buckeroo", "other", "plumless"]
