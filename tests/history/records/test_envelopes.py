"""Every shape and format in which a history may come: the same tasks give the same findings."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from policy_engine.core.periods import DAY, HOUR, parse_instant
from policy_engine.engine.question import Question
from policy_engine.engine.run import EvaluationRun, RunOptions
from policy_engine.history import find_sources
from tests.support.exports import (
    AS_OF,
    CLEAN,
    IMAGE,
    Reading,
    Record,
    as_lines,
    envelope,
    history_row,
    kling,
    pack,
    page,
    read,
    read_records,
    task,
    webhook,
    write,
    write_csv,
    write_json,
    write_lines,
    write_parquet,
)


def tasks() -> list[Record]:
    """Some tasks of several services in several states."""
    suno = {
        "clips": {
            "c-2": {"audio_url": "https://cdn1.suno.ai/c-2.mp3"},
            "c-1": {"audio_url": "https://cdn1.suno.ai/c-1.mp3"},
        }
    }
    return [
        task("t-1"),
        kling("k-1"),
        task("m-1", "midjourney", {"image_url": "https://img.theapi.app/mj/m-1.png"}, task_type="imagine",
             service_mode="private", is_using_private_pool=...),
        task("s-1", "suno", suno, task_type="generate_music"),
        task("p-1", status="pending", output={"image_url": ""}, ended_at="0001-01-01T00:00:00Z"),
        task("f-1", status="failed", output={}),
    ]  # fmt: skip


@pytest.fixture
def expected(tmp_path: Path) -> Reading:
    """The tasks as plain JSON Lines of bare objects."""
    return read(write_lines(tmp_path / "plain" / "tasks.jsonl", tasks()))


def rewrap(shape: str, records: Sequence[Record]) -> list[object]:
    """The records in one of the shapes that hold whole task objects."""
    if shape == "bare":
        return list(records)
    if shape == "enveloped":
        return [envelope(record) for record in records]
    if shape == "webhooks":
        return [webhook(record, "") for record in records]
    if shape == "nested":
        return [webhook(envelope(record), "") for record in records]
    if shape == "array":
        return [list(records)]
    if shape == "arrays of envelopes":
        return [[envelope(record)] for record in records]
    if shape == "page":
        return [page(records)]
    if shape == "inner page":
        return [page(records, inner=True)]
    if shape == "envelope of an array":
        return [envelope(records)]
    return [records[0], [webhook(records[1], "")], envelope(records[2]), page(records[3:])]


SHAPES = (
    "bare", "enveloped", "webhooks", "nested", "array", "arrays of envelopes", "page", "inner page",
    "envelope of an array", "mixed",
)  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", ["lines", "document", "compact document", "pretty documents one after another"])
def test_same_tasks_in_every_json_shape(tmp_path: Path, expected: Reading, shape: str, form: str) -> None:
    """Bare, in envelopes, webhooks, arrays or pages, as lines or as a document: the findings are the same."""
    values = rewrap(shape, tasks())
    path = tmp_path / "export.json"
    if form == "lines":
        write_lines(path, values)
    elif form == "document":
        write_json(path, values)
    elif form == "compact document":
        write_json(path, values, indent=None)
    else:
        write(path, "\n".join(json.dumps(value, indent=2) for value in values))
    reading = read(path)
    assert reading.answers == expected.answers
    assert reading.counts == expected.counts


@pytest.mark.parametrize("name", ["tasks.jsonl.gz", "tasks.jsonl.zst", "tasks.gz", "tasks", "tasks.log", "tasks.csv"])
def test_packed_or_oddly_named(tmp_path: Path, expected: Reading, name: str) -> None:
    """What a file is shows in its bytes, not in its name."""
    reading = read(write(tmp_path / name, as_lines(tasks())))
    assert (reading.answers, reading.counts) == (expected.answers, expected.counts)


@pytest.mark.parametrize("name", ["page.json.gz", "page.json.zst"])
def test_packed_documents(tmp_path: Path, expected: Reading, name: str) -> None:
    """A document may be packed like lines."""
    assert read(write(tmp_path / name, json.dumps(page(tasks())))).answers == expected.answers


@pytest.mark.parametrize("change", ["bom", "crlf", "blank lines", "no last line end"])
def test_lines_with_odd_ends(tmp_path: Path, expected: Reading, change: str) -> None:
    """A byte order mark, Windows line ends, blank lines and a missing last line end change nothing."""
    text = as_lines(tasks())
    text = {
        "bom": "\ufeff" + text,
        "crlf": text.replace("\n", "\r\n"),
        "blank lines": "\n\n" + text.replace("\n", "\n  \n\n"),
        "no last line end": text.rstrip("\n"),
    }[change]
    reading = read(write(tmp_path / "odd.jsonl", text))
    assert (reading.answers, reading.counts) == (expected.answers, expected.counts)


def test_line_numbers_count_every_line(tmp_path: Path) -> None:
    """A record is found at its line, blank lines and broken ones included."""
    path = write(tmp_path / "a.jsonl", "\n" + json.dumps(task("a")) + "\n\r\n{broken\n" + json.dumps(task("b")))
    reading = read(path)
    assert [row["source"] for row in reading.rows] == ["a.jsonl:2", "a.jsonl:5"]
    assert reading.quarantine["source"].tolist() == ["a.jsonl:4"]


def test_several_values_on_one_line(tmp_path: Path) -> None:
    """Two records whose line end got lost are two records."""
    text = json.dumps(task("a")) + json.dumps(task("b")) + "\n" + json.dumps(task("c")) + "\n"
    reading = read(write(tmp_path / "a.jsonl", text))
    assert [row["source"] for row in reading.rows] == ["a.jsonl:1#1", "a.jsonl:1#2", "a.jsonl:2"]


def test_documents_one_after_another_have_lines(tmp_path: Path) -> None:
    """Pretty documents without an array around them are records at the line where each begins."""
    path = write(tmp_path / "jq.json", "\n\n".join(json.dumps(record, indent=2) for record in (task("a"), task("b"))))
    second = json.dumps(task("a"), indent=2).count("\n") + 3
    assert [row["source"] for row in read(path).rows] == ["jq.json:1", f"jq.json:{second}"]


def test_first_line_longer_than_the_first_look(tmp_path: Path) -> None:
    """A document on one line of any length is read; so are lines behind a very long first one."""
    long = task("a", input={"prompt": "x" * (1 << 18)})
    assert read(write_json(tmp_path / "one.json", [long, task("b")], indent=None)).totals.tasks.tasks == 2
    reading = read(write_lines(tmp_path / "many.jsonl", [long, task("b")]))
    assert [row["source"] for row in reading.rows] == ["many.jsonl:1", "many.jsonl:2"]


def test_first_line_longer_than_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even when its first line is too long to tell lines from a document, every record is read."""
    monkeypatch.setattr("policy_engine.history.sources._LONGEST_FIRST_LINE", 1 << 10)
    monkeypatch.setattr("policy_engine.history.sources._PEEK", 1 << 9)
    path = write_lines(tmp_path / "many.jsonl", [task("a", input={"prompt": "x" * (1 << 12)}), task("b"), task("c")])
    assert [row["source"] for row in read(path).rows] == ["many.jsonl:1", "many.jsonl:2", "many.jsonl:3"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda records: {"tasks": records},
        lambda records: {"exported_at": "2026-01-08", "result": {"items": records, "total": len(records)}},
        lambda records: {record["task_id"]: record for record in records},
        lambda records: {"first": records[:2], "second": records[2:]},
        lambda records: [{"payload": record} for record in records],
        lambda records: [{"request": {"method": "GET"}, "response": envelope(record)} for record in records],
        lambda records: [{"code": 200, "data": json.dumps(record)} for record in records],
        lambda records: {"data": json.dumps(page(records, inner=True))},
    ],
)
def test_dumps_of_somebodys_own_making(tmp_path: Path, expected: Reading, wrap: Any) -> None:
    """Tasks under a name of one's own, by their ids, or as JSON within a text are found all the same."""
    reading = read(write_json(tmp_path / "dump.json", wrap(tasks())))
    assert reading.answers == expected.answers
    assert reading.counts == expected.counts


def test_record_without_its_id_is_not_replaced_by_a_part_of_it(tmp_path: Path) -> None:
    """A row that lacks its id is set aside, though a part of it names one."""
    row = history_row(..., detail={"task_id": "inner", "model": "flux"})
    assert read_records(tmp_path, row, task()).reasons == ["no_task_id"]


def test_page_without_rows(tmp_path: Path) -> None:
    """A page past the last one has null for rows; it is a page and no record that could not be used."""
    last = {"code": 200, "data": {"data": None, "page": 2, "size": 100, "total": 1}, "message": "success"}
    totals = read_records(tmp_path, page([history_row("a")], total=1), last).totals
    assert (totals.seen.records, totals.tasks.tasks, totals.seen.quarantine) == (1, 1, [])
    assert [(one.total, one.page, one.rows) for one in totals.seen.pages] == [(1, 1, 1), (1, 2, 0)]


@pytest.mark.parametrize("total", [7, "7"])
def test_declared_totals_of_any_page(tmp_path: Path, total: object) -> None:
    """A page declares its total as a number or as text, under `data` or under another name."""
    pages = [{"data": [task("a")], "total": total}, {"items": [task("b")], "total": total, "page": "2"}]
    seen = read(write_json(tmp_path / "p.json", pages)).totals.seen.pages
    assert [(one.total, one.page, one.rows) for one in seen] == [(7, None, 1), (7, 2, 1)]


# --- Legacy shapes ---------------------------------------------------------------------------------------


def test_legacy_midjourney(tmp_path: Path) -> None:
    """The old answer without an envelope: status finished, unix times, files under `task_result`."""
    image = "https://img.midjourneyapi.xyz/mj/m-1.png"
    record = {
        "task_id": "m-1",
        "status": "finished",
        "task_result": {"image_url": image, "image_urls": None, "permanent_url": "", "discord_image_url": ""},
        "meta": {"task_type": "imagine", "created_at": 1_767_693_600, "ended_at": 1_767_693_900},
    }
    reading = read_records(tmp_path, record, history_row("m-1", "mj", action="imagine"))
    assert reading.one["asset_id"] == "midjourney/m-1/image/1"
    assert (reading.one["url"], reading.one["task_type"], reading.one["evidence"]) == (image, "imagine", "agrees")
    assert reading.one["completed_at"].value == parse_instant("2026-01-06T10:05:00Z")


def test_legacy_luma(tmp_path: Path) -> None:
    """The old video answer: files under `generation`, times and quota under `metadata`."""
    generation = {
        "video": {
            "url": "https://storage.cdn-luma.com/dream/1_watermarked.mp4",
            "url_no_watermark": "https://img.midjourneyapi.xyz/ephemeral/1.mp4",
            "thumbnail": "https://storage.cdn-luma.com/dream/1.jpg",
        },
        "video_raw": None,
    }
    metadata = {"created_at": "2026-01-06T10:00:00Z", "ended_at": "2026-01-06T10:05:00Z", "quota_usage": 30}
    data = {"task_id": "l-1", "status": "completed", "input": "{}", "metadata": metadata, "generation": generation}
    reading = read_records(tmp_path, envelope(data), history_row("l-1", "luma", action=None, usage=None))
    assert [row["asset_id"] for row in reading.rows] == ["luma/l-1/video/1", "luma/l-1/platform_copy/1"]
    assert reading.totals.tasks.other_units == {"quota_usage": (30, 1)}
    assert reading.totals.tasks.previews == 1


def test_legacy_suno(tmp_path: Path) -> None:
    """The old music answer: a map of clips beside the status, the input a JSON text."""
    clip = {
        "audio_url": "https://cdn1.suno.ai/c-1.mp3",
        "video_url": "https://cdn1.suno.ai/c-1.mp4",
        "image_url": "https://cdn1.suno.ai/image_c-1.png",
        "image_large_url": "https://cdn1.suno.ai/image_large_c-1.png",
    }
    data = {"task_id": "s-1", "status": "completed", "input": '{"mv":"v3"}', "clips": {"c-1": clip}}
    reading = read_records(tmp_path, envelope(data), history_row("s-1", "music-s", action="generate_music"))
    assert [row["asset_id"] for row in reading.rows] == ["suno/s-1/audio/1", "suno/s-1/clip_video/1"]
    assert reading.totals.tasks.previews == 2


def test_legacy_output_beside_an_output(tmp_path: Path) -> None:
    """Files in an output and in an old field beside it, even under the same key, are all kept."""
    record = task("s-1", "suno", {"clips": {"a": {"audio_url": "https://cdn1.suno.ai/a.mp3"}}})
    record["clips"] = {"b": {"audio_url": "https://cdn1.suno.ai/b.mp3"}}
    record["url"] = "https://cdn1.suno.ai/c.mp3"
    reading = read_records(tmp_path, record, {**record, "status": "processing"})
    assert reading.urls == [f"https://cdn1.suno.ai/{name}.mp3" for name in "abc"]
    assert [row["role"] for row in reading.rows] == ["main", "main", "unlisted"]


def test_task_beside_its_envelope(tmp_path: Path) -> None:
    """An envelope that repeats the id beside the task still holds the task."""
    stored = {"task_id": "t-1", "received_at": "2026-01-06T11:00:00Z", "data": task("t-1")}
    assert read_records(tmp_path, stored).urls == [IMAGE]


# --- Tables ----------------------------------------------------------------------------------------------


def asset_rows() -> list[dict[str, Any]]:
    """The same tasks as a table with a row per file."""
    common = {
        "created_at": "2026-01-06T10:00:00Z", "ended_at": "2026-01-06T10:05:00Z", "status": "completed",
        "is_using_private_pool": "false", "consume": "700000", "usage_type": "point",
    }  # fmt: skip
    rows: list[dict[str, Any]] = []

    def add(record: Record, output: str = "", url: str = "", **fields: str) -> None:
        row = {"task_id": record["task_id"], "model": record["model"], "task_type": record["task_type"], **common}
        rows.append({**row, "url": url, "output": output, **fields})

    flux, video, picture, song, pending, failed = tasks()
    add(flux, "image_url", IMAGE)
    work = video["output"]["works"][0]
    add(video, "works[].video.resource", work["video"]["resource"])
    add(video, "video_clean", CLEAN)
    add(video, "video_url", CLEAN)
    add(video, "works[].cover.resource", work["cover"]["resource"])
    private = {"service_mode": "private", "is_using_private_pool": ""}
    add(picture, "image", "https://img.theapi.app/mj/m-1.png", **private)
    add(song, "clips{}.audio_url", "https://cdn1.suno.ai/c-1.mp3")
    add(song, "audio", "https://cdn1.suno.ai/c-2.mp3")
    add(pending, status="pending", ended_at="")
    add(failed, status="failed")
    return rows


def task_rows() -> list[dict[str, Any]]:
    """The same tasks as a table with a row per task and the whole output as JSON."""
    rows = []
    for record in tasks():
        meta = record["meta"]
        rows.append(
            {
                "task_id": record["task_id"],
                "model": record["model"],
                "task_type": record["task_type"],
                "status": record["status"],
                "created_at": meta["created_at"],
                "completed_at": meta["ended_at"],
                "service_mode": record["config"]["service_mode"],
                "is_using_private_pool": meta.get("is_using_private_pool"),
                "usage": meta["usage"]["consume"],
                "usage_type": meta["usage"]["type"],
                "output": json.dumps(record["output"]),
            }
        )
    return rows


@pytest.mark.parametrize("rows", [asset_rows, task_rows])
@pytest.mark.parametrize(
    "name",
    ["t.csv", "t.csv.gz", "t.csv.zst", "semicolons", "tabs", "bom", "t.parquet"],
)
def test_same_tasks_in_every_table(tmp_path: Path, expected: Reading, rows: Any, name: str) -> None:
    """A row per file or per task, as CSV of any kind or Parquet: the findings are those of the task objects."""
    if name == "t.parquet":
        path = write_parquet(tmp_path / name, [{k: v if v != "" else None for k, v in row.items()} for row in rows()])
    elif name in ("semicolons", "tabs"):
        path = write_csv(tmp_path / "t.csv", rows(), delimiter=";" if name == "semicolons" else "\t")
    elif name == "bom":
        path = write_csv(tmp_path / "t.csv", rows(), encoding="utf-8-sig")
    else:
        path = write_csv(tmp_path / name, rows())
    reading = read(path)
    assert reading.answers == expected.answers
    counts, wanted = reading.counts, expected.counts
    for one in (counts, wanted):
        # Rows of one task are merged; objects are not.
        assert one.pop("records") == one["tasks"] + one.pop("merged")
    assert counts == wanted


def test_json_lines_and_their_table_together(tmp_path: Path, expected: Reading) -> None:
    """Task objects and a table of the same tasks in one run are the same tasks."""
    write_lines(tmp_path / "both" / "a.jsonl", tasks())
    write_csv(tmp_path / "both" / "b.csv", asset_rows())
    reading = read(tmp_path / "both")
    assert reading.answers == expected.answers
    assert reading.totals.tasks.points == expected.totals.tasks.points


def test_columns_are_mapped(tmp_path: Path) -> None:
    """`--columns` says what a table calls its columns; the others are passed over."""
    rows = [{"Job ID": "j-1", "Engine": "flux", "State": "completed", "Made": "2026-01-06T10:00:00Z", "File": IMAGE}]
    mapping = {"task_id": "Job ID", "model": "Engine", "status": "State", "created_at": "Made", "url": "File"}
    for path in (write_csv(tmp_path / "j.csv", rows), write_parquet(tmp_path / "j.parquet", rows)):
        row = read(path, columns=mapping).one
        assert (row["task_id"], row["service"], row["url"]) == ("j-1", "flux", IMAGE)
        assert row["created_at"].value == parse_instant("2026-01-06T10:00:00Z")


def test_mapped_column_wins_over_its_other_names(tmp_path: Path) -> None:
    """A column that is mapped is the only one with its meaning, though another bears a documented name."""
    rows = [{"id": "right", "task_id": "wrong", "engine": "flux", "task_model": "kling", "status": "completed"}]
    row = read(write_csv(tmp_path / "t.csv", rows), columns={"task_id": "id", "model": "engine"}).one
    assert (row["task_id"], row["service"]) == ("right", "flux")


def test_table_states_facts_itself(tmp_path: Path) -> None:
    """Service, account and facts of a file that a table states are taken as stated."""
    rows = [
        {"task_id": "a", "service": "midjourney", "account": "host_your_account", "status": "completed",
         "url": "https://files.example.org/a.png", "media": "image", "role": "main"},
        {"task_id": "b", "service": "kling", "account": "", "status": "completed",
         "url": "https://files.example.org/b.mp4", "media": "video", "role": "main", "watermarked": "TRUE"},
    ]  # fmt: skip
    first, second = read(write_csv(tmp_path / "t.csv", rows)).rows
    assert (first["account"], first["media"], first["role"], first["url_host"]) == (
        "host_your_account", "image", "main", "files.example.org",
    )  # fmt: skip
    assert (second["watermarked"], second["verdict"]) == ("true", "vendor_cdn")


@pytest.mark.parametrize(
    ("service", "expected"),
    [("kling", "kling"), ("Kling", "kling"), ("KLING-turbo", "kling"), ("ai_hug", "ai-hug"), ("new", None)],
)
def test_service_of_a_table_in_any_spelling(tmp_path: Path, service: str, expected: str | None) -> None:
    """The column `service` takes ids and model names in any spelling; one that is neither is an unknown service."""
    rows = [{"task_id": "a", "service": service, "status": "completed", "url": CLEAN}]
    row = read(write_csv(tmp_path / "t.csv", rows)).one
    assert row["service"] == expected
    assert row["asset_id"].startswith(f"{expected or 'unknown:new'}/a/")


def test_points_of_rows_are_added_once_each(tmp_path: Path) -> None:
    """Points of single rows add up over the files of a task; a row exported twice counts once."""
    url = "https://storage.theapi.app/videos/{}.mp4?Expires={}"
    row = {"task_id": "k", "model": "kling", "status": "completed"}
    rows = [
        {**row, "url": url.format(1, 1_767_800_000), "points": "100"},
        {**row, "url": url.format(2, 1_767_800_000), "points": "20"},
        {**row, "url": url.format(1, 1_767_900_000), "points": "100"},
    ]
    reading = read(write_csv(tmp_path / "t.csv", rows))
    assert reading.totals.tasks.points == 120
    assert len(reading.rows) == 2


def test_points_of_a_finished_row_win_over_those_of_a_waiting_one(tmp_path: Path) -> None:
    """The same row before and after the task ended counts with what it cost in the end."""
    row = {"task_id": "k", "model": "flux", "url": IMAGE}
    rows = [
        {**row, "status": "completed", "points": "500"},
        {**row, "status": "pending", "points": "0"},
    ]
    assert read(write_csv(tmp_path / "t.csv", rows)).totals.tasks.points == 500
    assert read(write_csv(tmp_path / "u.csv", rows[::-1])).totals.tasks.points == 500


@pytest.mark.parametrize(
    ("cell", "urls"),
    [
        (f"{IMAGE} {CLEAN}", [IMAGE, CLEAN]),
        (f"{IMAGE},\n{CLEAN}", [IMAGE, CLEAN]),
        (json.dumps([IMAGE, CLEAN]), [IMAGE, CLEAN]),
        (f" {IMAGE} ", [IMAGE]),
        ("https://img.theapi.app/temp/my file.png", ["https://img.theapi.app/temp/my file.png"]),
    ],
)
def test_cells_with_several_urls_lose_none(tmp_path: Path, cell: str, urls: list[str]) -> None:
    """A cell that holds several addresses, or one with a space, loses none of them."""
    rows = [{"task_id": "t", "model": "flux", "status": "completed", "url": cell}]
    reading = read(write_csv(tmp_path / "t.csv", rows))
    assert reading.urls == sorted(urls)
    assert not reading.totals.seen.problem_counts


def test_url_that_is_none_is_a_problem(tmp_path: Path) -> None:
    """Text in the column `url` that is no address is reported, and the task is read."""
    rows = [{"task_id": "t", "model": "flux", "status": "completed", "url": "s3://bucket/key.png"}]
    reading = read(write_csv(tmp_path / "t.csv", rows))
    assert reading.totals.seen.problem_counts == {"unreadable_url": 1}
    assert reading.one["evidence"] == "expected"


def test_url_in_the_output_column(tmp_path: Path) -> None:
    """A table whose column `output` holds the address itself, or JSON beside a `url`, keeps every file."""
    rows = [
        {"task_id": "a", "model": "flux", "status": "completed", "url": "", "output": IMAGE},
        {"task_id": "b", "model": "flux", "status": "completed", "url": CLEAN,
         "output": json.dumps({"image_url": "https://img.theapi.app/temp/b.png"})},
    ]  # fmt: skip
    reading = read(write_csv(tmp_path / "t.csv", rows))
    assert reading.urls == sorted([IMAGE, CLEAN, "https://img.theapi.app/temp/b.png"])


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_joined_tables_repeat_their_header(tmp_path: Path, mark: str) -> None:
    """The header of a table that was joined to another is no record."""
    part = f"{mark}task_id,model,status\r\n{{}},flux,completed\r\n"
    reading = read(write(tmp_path / "t.csv", part.format("a") + part.format("b")))
    assert [row["task_id"] for row in reading.rows] == ["a", "b"]
    assert reading.totals.seen.records == 2


def test_booleans_in_the_spellings_of_databases(tmp_path: Path) -> None:
    """true, t, 1 and yes are true in a table; a word that is neither is a problem."""
    rows = [
        {"task_id": str(number), "model": "mj", "status": "completed", "is_using_private_pool": word}
        for number, word in enumerate(["t", "1", "YES", "f", "0", "perhaps"])
    ]
    reading = read(write_csv(tmp_path / "t.csv", rows))
    assert [row["account"] for row in reading.rows] == ["host_your_account"] * 3 + ["pay_as_you_go"] * 2 + [None]
    assert reading.totals.seen.problem_counts == {"unreadable_private_pool": 1}


# --- Files, folders, globs, standard input ---------------------------------------------------------------


def test_all_kinds_mixed_in_one_run(tmp_path: Path, expected: Reading) -> None:
    """Lines, documents, pages, tables and packed files in one folder are one history."""
    one, two, three, four, five, six = tasks()
    folder = tmp_path / "in"
    write_lines(folder / "a.jsonl.gz", [one])
    write_json(folder / "sub" / "b.json", envelope(two))
    write_json(folder / "sub" / "c.json", page([three]))
    write(folder / "d.zst", as_lines([four]))
    write(folder / "e.ndjson.zst", as_lines([four, five]))
    write_csv(folder / "f.csv", [asset_rows()[-1]])
    write_parquet(folder / "g.parquet", task_rows()[:2])
    write(folder / "README.md", "not an export")
    found = find_sources([str(folder)])
    assert [source.name for source in found.sources] == [
        "a.jsonl.gz", "e.ndjson.zst", "f.csv", "g.parquet", "sub/b.json", "sub/c.json",
    ]  # fmt: skip
    assert [name for name, _ in found.skipped] == ["README.md", "d.zst"]
    assert read(folder).answers == expected.answers
    assert six["task_id"] == "f-1"


def test_folders_files_and_globs_name_the_same(tmp_path: Path, expected: Reading) -> None:
    """It does not matter how a file is named, nor in which order, nor how often."""
    folder = tmp_path / "in"
    write_lines(folder / "a.jsonl", tasks()[:3])
    write_lines(folder / "sub" / "b.jsonl", tasks()[3:])
    ways = [
        [folder],
        [folder / "a.jsonl", folder / "sub"],
        [folder / "sub" / "b.jsonl", folder / "a.jsonl", folder],
        [folder / "*"],
        [folder / "**" / "*.jsonl", folder / "a.jsonl"],
    ]
    for way in ways:
        reading = read(*way)
        assert (reading.answers, reading.counts) == (expected.answers, expected.counts)


def test_name_of_a_file_does_not_depend_on_the_order_of_arguments(tmp_path: Path) -> None:
    """A file that two arguments name has the same name whichever comes first."""
    path = write_lines(tmp_path / "in" / "sub" / "a.jsonl", tasks())
    one = find_sources([str(tmp_path / "in"), str(path)])
    other = find_sources([str(path), str(tmp_path / "in")])
    assert one == other


def test_file_named_by_itself_is_not_said_to_be_skipped(tmp_path: Path) -> None:
    """A file that a folder would pass over is read when it is named, and then not listed as passed over."""
    write_lines(tmp_path / "in" / "a.jsonl", tasks())
    odd = write_lines(tmp_path / "in" / "more.dat", tasks())
    found = find_sources([str(tmp_path / "in"), str(odd)])
    assert [source.name for source in found.sources] == ["a.jsonl", "more.dat"]
    assert found.skipped == ()


def test_files_of_one_name_in_two_folders(tmp_path: Path) -> None:
    """Files of one name get the folders that tell them apart."""
    for name in ("east", "west"):
        write_lines(tmp_path / name / "tasks.jsonl", [task(f"{name}-1"), task(f"{name}-2")])
    reading = read(tmp_path / "west", tmp_path / "east")
    assert [row["source"] for row in reading.rows] == [
        "east/tasks.jsonl:1", "east/tasks.jsonl:2", "west/tasks.jsonl:1", "west/tasks.jsonl:2",
    ]  # fmt: skip


def test_notes_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    """Text and log files of a folder are exports when they look like it; else they are passed over, and named."""
    write(tmp_path / "in" / "notes.txt", "remember to fetch page 3")
    write(tmp_path / "in" / "tasks.log", as_lines(tasks()))
    found = find_sources([str(tmp_path / "in")])
    assert [source.name for source in found.sources] == ["tasks.log"]
    assert [name for name, _ in found.skipped] == ["notes.txt"]


def test_linked_folders_are_named(tmp_path: Path) -> None:
    """A link to a folder inside a folder is not entered, and that is said."""
    write_lines(tmp_path / "elsewhere" / "b.jsonl", tasks())
    write_lines(tmp_path / "in" / "a.jsonl", tasks())
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    found = find_sources([str(tmp_path / "in")])
    assert [name for name, _ in found.skipped] == ["link"]


def test_standard_input(tmp_path: Path, expected: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is standard input, read once however often it is named."""
    stream = io.TextIOWrapper(io.BytesIO(as_lines(tasks()).encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    found = find_sources(["-", "-"], tmp_path)
    assert [source.name for source in found.sources] == ["stdin"]
    question = Question(parse_instant(AS_OF), DAY, HOUR)
    run = EvaluationRun(found.sources, pack(), RunOptions(question))
    assert sum(len(chunk) for chunk in run.chunks()) == len(expected.rows)


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    """A file whose name is not UTF-8 is read, and its name is shown with a mark for what cannot be shown."""
    import os

    path = os.fsencode(tmp_path) + b"/caf\xe9.jsonl"
    try:
        with open(path, "wb") as stream:  # noqa: PTH123 - the name is bytes
            stream.write(as_lines(tasks()).encode())
    except OSError:
        pytest.skip("this system keeps file names in UTF-8 only")
    assert read(tmp_path).rows[0]["source"] == "caf\ufffd.jsonl:1"
