"""Every fact of life that an export may bring, one by one: odd records are read for what they say and lose nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policy_engine.core.periods import parse_instant
from tests.support.exports import (
    CLEAN,
    COVER,
    CREATED,
    ENDED,
    IMAGE,
    MARKED,
    ZERO_TIME,
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
    write_json,
    write_lines,
)


def instant(value: object) -> int:
    """Nanoseconds of a time in a finding."""
    return int(value.value)  # type: ignore[attr-defined]


# --- Status ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["pending", "processing", "staged", "failed", "cancelled"])
def test_tasks_without_a_url_are_counted_by_status(tmp_path: Path, status: str) -> None:
    """A task that has no file yet, or never will, is counted under its state and makes no asset."""
    reading = read_records(tmp_path, task(status=status.title(), output={"image_url": "", "image_base64": None}))
    assert reading.without == {status: 1}
    assert reading.findings.empty


@pytest.mark.parametrize("status", ["pending", "failed", ""])
def test_url_makes_an_asset_whatever_the_status(tmp_path: Path, status: str) -> None:
    """A URL in an output is an asset even if the task is said to wait or to have failed."""
    assert read_records(tmp_path, task(status=status)).urls == [IMAGE]


# --- Times -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zero", [ZERO_TIME, "", None, 0, ..., "0001-01-01T00:00:00+00:00", "0001-01-01T00:00:00.000Z"])
def test_zero_and_empty_times_are_not_recorded(tmp_path: Path, zero: object) -> None:
    """A zero or empty time is no time: it is bounded like a missing one, and is no problem."""
    reading = read_records(tmp_path, task(ended_at=zero))
    row = reading.one
    assert row["completed_at"] is None
    assert row["reason"] == "completion_unknown"
    assert instant(row["expires_earliest"]) == parse_instant("2026-01-09T10:00:00Z")
    assert instant(row["expires_latest"]) == parse_instant("2026-01-10T10:00:00Z")
    assert not reading.totals.seen.problem_counts


def test_zero_time_gives_way_to_another_field(tmp_path: Path) -> None:
    """A zero time where the end usually stands does not hide the end that stands in an older field."""
    row = read_records(tmp_path, task(ended_at=ZERO_TIME, completed_at=ENDED)).one
    assert instant(row["completed_at"]) == parse_instant(ENDED)


@pytest.mark.parametrize("digits", range(10))
def test_fractions_of_zero_to_nine_digits(tmp_path: Path, digits: int) -> None:
    """Nanoseconds are kept, however many digits the fraction has."""
    fraction = "." + "123456789"[:digits] if digits else ""
    row = read_records(tmp_path, task(created_at=f"2026-01-06T10:00:00{fraction}Z")).one
    assert instant(row["created_at"]) == parse_instant(CREATED) + int("123456789"[:digits].ljust(9, "0"))


@pytest.mark.parametrize("same", ["2026-01-06T10:00:00Z", "2026-01-06T18:00:00+08:00", "2026-01-06T05:30:00.000-04:30"])
def test_zones(tmp_path: Path, same: str) -> None:
    """The same instant is the same, in UTC or with an offset."""
    assert instant(read_records(tmp_path, task(created_at=same)).one["created_at"]) == parse_instant(CREATED)


@pytest.mark.parametrize("seconds", [1_767_693_600, 1_767_693_600.0, "1767693600", "1767693600.5", 1_767_693_600.5])
def test_unix_seconds(tmp_path: Path, seconds: float | str) -> None:
    """Times as unix seconds, numbers or text, are read as instants."""
    row = read_records(tmp_path, task(created_at=seconds)).one
    assert instant(row["created_at"]) == parse_instant(CREATED) + (500_000_000 if str(seconds).endswith(".5") else 0)


@pytest.mark.parametrize("time", ["2026-01-06T10:00:00", "2026-01-06", "yesterday", "2026-02-30T10:00:00Z", True, {},
                                  1_767_693_600_000, "1767693600000", -1, 86_400, "2999-01-01T00:00:00Z"])  # fmt: skip
def test_unreadable_times_are_problems_and_not_guesses(tmp_path: Path, time: object) -> None:
    """A time without a zone, of another kind or far away is reported and counts as unknown; the record is judged."""
    reading = read_records(tmp_path, task("t-1"), task("t-2", created_at=time))
    row = reading.rows[1]
    assert row["created_at"] is None
    assert row["reason"] == "submission_unknown"
    assert reading.totals.seen.problem_counts == {"unreadable_time": 1}
    (problem,) = reading.totals.seen.problem_examples
    assert (problem.line, problem.field) == (2, "created_at")


def test_webhook_bounds_an_unknown_end(tmp_path: Path) -> None:
    """The instant of the webhook is the latest at which the task can have ended."""
    record = webhook(task(ended_at=ZERO_TIME), 1_767_694_000)  # 400 seconds after the submission
    row = read_records(tmp_path, record).one
    assert instant(row["expires_latest"]) == parse_instant("2026-01-09T10:06:40Z")


def test_webhook_of_a_waiting_task_bounds_nothing(tmp_path: Path) -> None:
    """A message that the task still runs says nothing of when it ended."""
    early = webhook(task(status="processing", output={}, ended_at=ZERO_TIME), 1_767_694_000)
    row = read_records(tmp_path, early, task(ended_at=ZERO_TIME)).one
    assert instant(row["expires_latest"]) == parse_instant("2026-01-10T10:00:00Z")


# --- Other fields ----------------------------------------------------------------------------------------


def test_input_as_json_text(tmp_path: Path) -> None:
    """An input that is JSON within a text disturbs nothing."""
    record = task(input=json.dumps({"image": "https://example.org/in.png"}))
    assert read_records(tmp_path, record).urls == [IMAGE]


def test_urls_in_the_input_are_no_outputs(tmp_path: Path) -> None:
    """Addresses in the input, even on the platform's hosts, make no asset."""
    inputs = {"image": "https://img.theapi.app/temp/in.png", "images": [{"url": "https://storage.theapi.app/in.mp4"}]}
    assert read_records(tmp_path, task(input=inputs)).urls == [IMAGE]


def test_urls_elsewhere_in_a_record_are_no_outputs(tmp_path: Path) -> None:
    """Addresses in the webhook settings, the error, the logs and the detail make no asset."""
    other = "https://img.theapi.app/temp/other.png"
    record = task(error={"message": other}, logs=[other], detail={"url": other})
    record["config"]["webhook_config"]["endpoint"] = other
    assert read_records(tmp_path, record).urls == [IMAGE]


@pytest.mark.parametrize("meta", [{}, None, ..., "", []])
def test_empty_meta(tmp_path: Path, meta: object) -> None:
    """Without meta there is no clock and no cost, and the account comes from the service mode."""
    reading = read_records(tmp_path, task(meta=meta))
    row = reading.one
    assert (row["verdict"], row["reason"], row["points"]) == ("undetermined", "no_clock", 0)
    assert row["account"] == "pay_as_you_go"
    assert not reading.totals.seen.problem_counts


@pytest.mark.parametrize("meta", ["a text", 7, [1], True])
def test_meta_of_another_kind_is_a_problem(tmp_path: Path, meta: object) -> None:
    """A meta that is no object is reported; the rest of the record is read."""
    reading = read_records(tmp_path, task(meta=meta))
    assert reading.urls == [IMAGE]
    assert reading.totals.seen.problem_counts == {"unreadable_part": 1}


def test_task_inside_an_error_envelope(tmp_path: Path) -> None:
    """A task that comes with an error code is a task."""
    failed = task(status="failed", output={}, ended_at=ZERO_TIME)
    reading = read_records(tmp_path, envelope(failed, code=500, message="insufficient credit"))
    assert reading.without == {"failed": 1}
    assert reading.totals.seen.records == 1


@pytest.mark.parametrize(
    "record", [{"code": 500, "message": "no such task", "data": None}, {"code": 401, "message": "key"}]
)
def test_error_envelope_without_a_task(tmp_path: Path, record: dict[str, object]) -> None:
    """An answer that holds no task is set aside and counted, since somebody asked for a task."""
    reading = read_records(tmp_path, record, task())
    assert reading.urls == [IMAGE]
    assert len(reading.reasons) == 1


def test_same_task_in_different_states(tmp_path: Path) -> None:
    """Records of one task from its life are one task: the final state counts, and it costs once."""
    waiting = task(status="pending", output={"image_url": ""}, ended_at=ZERO_TIME, usage={"type": "llm", "consume": 9})
    running = task(status="processing", output=None, ended_at=ZERO_TIME)
    running["output"] = None
    reading = read_records(tmp_path, waiting, task(), running)
    assert reading.one["status"] == "completed"
    assert reading.one["source"] == "records.jsonl:1; records.jsonl:2; records.jsonl:3"
    assert (reading.totals.merged, reading.totals.tasks.points) == (2, 700_000)


def test_same_id_under_two_models(tmp_path: Path) -> None:
    """Two services may use one id; they stay two tasks."""
    reading = read_records(tmp_path, task("x"), kling("x"))
    assert [row["asset_id"] for row in reading.rows] == [
        "flux/x/image/1",
        "kling/x/video_watermarked/1",
        "kling/x/video_clean/1",
    ]


def test_same_id_under_two_names_of_one_service(tmp_path: Path) -> None:
    """The name in the history and the name in task objects mean one service, hence one task."""
    reading = read_records(tmp_path, history_row("x", "flux"), task("x", "qubico/FLUX1-schnell"))
    assert reading.one["asset_id"] == "flux/x/image/1"
    assert reading.one["account_id"] == "12"


def test_no_model_at_all_joins_the_only_task_with_the_id(tmp_path: Path) -> None:
    """A record without a model belongs to the only task with its id."""
    reading = read_records(tmp_path, task("x", model=..., output={"image_url": IMAGE}), history_row("x", "flux"))
    assert (reading.one["service"], reading.one["url"]) == ("flux", IMAGE)


def test_no_model_at_all_and_several_tasks_with_the_id(tmp_path: Path) -> None:
    """A record without a model stands alone, with its service unknown, where it might belong to several tasks."""
    reading = read_records(tmp_path, task("x", model=None), task("x"), kling("x"))
    alone = next(row for row in reading.rows if row["service"] is None)
    assert (alone["verdict"], alone["reason"]) == ("undetermined", "unknown_service")
    assert alone["asset_id"] == "unknown/x/unlisted/1"
    assert reading.totals.tasks.tasks == 3


def test_no_model_at_all_and_no_other_record(tmp_path: Path) -> None:
    """A record without a model and without kin is undetermined, and its URL is kept."""
    row = read_records(tmp_path, task("x", model="")).one
    assert (row["service"], row["model"], row["url"], row["verdict"]) == (None, None, IMAGE, "undetermined")


def test_model_that_the_catalog_does_not_know(tmp_path: Path) -> None:
    """An unknown model is a service of its own, named in the asset's id and counted."""
    reading = read_records(tmp_path, task("x", model="Qubico/next-big-thing"))
    assert reading.one["asset_id"] == "unknown:Qubico/next-big-thing/x/unlisted/1"
    assert sum(reading.totals.tasks.unknown_models.values()) == 1


def test_shared_model_whose_task_type_does_not_tell_joins(tmp_path: Path) -> None:
    """A model name of several services joins the only task with its id when its task type does not decide."""
    row = history_row("x", "image_toolkit", action=None)
    odd = history_row("y", "image_toolkit", action="something-new")
    reading = read_records(
        tmp_path, row, odd, *(task(one, "Qubico/image-toolkit", task_type="face-swap") for one in ("x", "y"))
    )
    assert [row["service"] for row in reading.rows] == ["faceswap", "faceswap"]
    assert reading.totals.merged == 2


@pytest.mark.parametrize("task_type", ["face-swap", "face_swap", "Face-Swap", "multi-face-swap"])
def test_shared_model_is_told_apart_by_task_type(tmp_path: Path, task_type: str) -> None:
    """The toolkits' task types decide which service it is, in any spelling."""
    row = read_records(tmp_path, task("x", "Qubico/image-toolkit", task_type=task_type)).one
    assert row["service"] == "faceswap"


def test_ids_that_look_like_numbers(tmp_path: Path) -> None:
    """An id keeps its digits and zeros, and is the same as a number and as text."""
    long = 12345678901234567890123
    reading = read_records(tmp_path, task(123), task("123", status="pending", output=""), task("0123"), task(long))
    assert sorted(row["task_id"] for row in reading.rows) == ["0123", "123", str(long)]
    table = write_csv(tmp_path / "t.csv", [{"task_id": "00123", "model": "flux", "status": "completed"}])
    assert read(table).one["task_id"] == "00123"


@pytest.mark.parametrize("task_id", [True, 1.5, [], {}, float(2**60)])
def test_unusable_ids_are_set_aside(tmp_path: Path, task_id: object) -> None:
    """An id that is neither text nor a whole number that can be trusted is no identity."""
    reading = read_records(tmp_path, task(task_id), task())
    assert reading.reasons == ["unusable_task_id"]
    assert reading.urls == [IMAGE]


@pytest.mark.parametrize("task_id", [None, "", "  ", ...])
def test_missing_ids_are_set_aside(tmp_path: Path, task_id: object) -> None:
    """A record without an id is set aside with its place."""
    reading = read_records(tmp_path, task(), task(task_id))
    assert reading.quarantine.to_dict("records") == [
        {
            "source": "records.jsonl:2",
            "reason": "no_task_id",
            "found": "an empty `task_id`" if isinstance(task_id, str) else "no `task_id`",
            "expected": "a `task_id`",
        }
    ]


# --- Pages -----------------------------------------------------------------------------------------------


def test_page_wrappers_are_no_records(tmp_path: Path) -> None:
    """Of a history page the rows are records; the page itself, empty or not, is none."""
    reading = read_records(tmp_path, page([history_row("a"), history_row("b")]), page([], total=2, number=2))
    assert reading.totals.seen.records == 2
    assert [row["source"] for row in reading.rows] == ["records.jsonl:1#1", "records.jsonl:1#2"]


def test_declared_totals_are_kept(tmp_path: Path) -> None:
    """What a page declares is kept beside how many rows it held, so that a missing page can be told."""
    path = write_json(tmp_path / "page.json", page([history_row("a"), history_row("b")], total=250, number=3))
    (seen,) = read(path).totals.seen.pages
    assert (seen.total, seen.page, seen.rows) == (250, 3, 2)


def test_rows_are_numbered_through_pages(tmp_path: Path) -> None:
    """Records of a document are numbered from 1 on, whatever holds them."""
    document = [page([history_row("a"), history_row("b")]), task("c"), [history_row("d")], envelope(task("e"))]
    reading = read(write_json(tmp_path / "all.json", document))
    assert [row["source"] for row in reading.rows] == [f"all.json#{number}" for number in range(1, 6)]


def test_bare_document_has_no_number(tmp_path: Path) -> None:
    """A file that is one record is called by its name."""
    assert read(write_json(tmp_path / "one.json", envelope(task()))).one["source"] == "one.json"


# --- Money -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["pending", "failed", "processing", ""])
def test_only_completed_tasks_cost(tmp_path: Path, status: str) -> None:
    """What is frozen, or consumed by a task that is not completed, is no money spent."""
    reading = read_records(tmp_path, task(status=status, usage={"type": "llm", "frozen": 5, "consume": 5}))
    assert reading.totals.tasks.points == 0


def test_frozen_is_never_added(tmp_path: Path) -> None:
    """The charge of a completed task is what it consumed, whatever is still held."""
    reading = read_records(tmp_path, task(usage={"type": "point", "frozen": 700_000, "consume": 700_000}))
    assert reading.totals.tasks.points == 700_000


@pytest.mark.parametrize("unit", ["luma_quota", "", None])
def test_units_without_a_dollar_value_are_counted_by_unit(tmp_path: Path, unit: str | None) -> None:
    """Units that are no points get no dollar value and are counted under their name."""
    reading = read_records(tmp_path, task(usage={"type": unit, "consume": 30}))
    assert reading.totals.tasks.other_units == {unit or "not stated": (30, 1)}
    assert reading.one["points"] == 0


def test_amount_and_unit_come_from_one_record(tmp_path: Path) -> None:
    """A number is never combined with the unit of another record."""
    silent = task(usage={"type": "point"})
    reading = read_records(tmp_path, silent, history_row(usage=30, usage_type="luma_quota"))
    assert reading.totals.tasks.other_units == {"luma_quota": (30, 1)}
    assert reading.totals.tasks.points == 0


# --- Several files of a task -----------------------------------------------------------------------------


def test_kling_leaves_two_files(tmp_path: Path) -> None:
    """One Kling task leaves a watermarked file with the vendor and a clean one with the platform; the cover is none."""
    reading = read_records(tmp_path, kling())
    assert {row["url"]: row["verdict"] for row in reading.rows} == {MARKED: "vendor_cdn", CLEAN: "active"}
    assert COVER not in reading.urls
    assert (reading.totals.tasks.previews, reading.totals.tasks.same_file) == (1, 1)


def test_history_row_and_task_object_join(tmp_path: Path) -> None:
    """A history row has no URL and a task object no account id; the finding has both."""
    write_lines(tmp_path / "in" / "objects.jsonl", [task("a"), kling("b")])
    write_json(tmp_path / "in" / "page1.json", page([history_row("a"), history_row("b", "kling", action="video")]))
    reading = read(tmp_path / "in")
    assert reading.urls == sorted([IMAGE, MARKED, CLEAN])
    assert {row["account_id"] for row in reading.rows} == {"12"}
    assert {row["source"] for row in reading.rows} == {
        "objects.jsonl:1; page1.json#1",
        "objects.jsonl:2; page1.json#2",
    }


def test_history_row_alone_expects_files(tmp_path: Path) -> None:
    """Of a finished task known from its row alone, the files it must have left are judged without a URL."""
    reading = read_records(tmp_path, history_row("k", "kling", action="video_generation"))
    assert [(row["asset_id"], row["evidence"], row["watermarked"]) for row in reading.rows] == [
        ("kling/k/video_watermarked/1", "expected", "true"),
        ("kling/k/video_clean/1", "expected", "false"),
    ]
    assert [row["points"] for row in reading.rows] == [350_000, 350_000]


def test_waiting_tasks_with_blanks_for_what_is_to_come(tmp_path: Path) -> None:
    """Blanks that a waiting task holds for its output are no output: the finished row still expects its files."""
    blank = kling_output()
    blank["video_url"] = ""
    blank["works"] = []
    waiting = kling("k", status="pending", output=blank, ended_at=ZERO_TIME)
    reading = read_records(tmp_path, waiting, history_row("k", "kling", action="video_generation"))
    assert [row["evidence"] for row in reading.rows] == ["expected", "expected"]
