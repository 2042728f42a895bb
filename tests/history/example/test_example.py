"""The made-up history: the same everywhere, well formed, and with everything in it that a report can say."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections import Counter
from typing import Any, BinaryIO, Literal, cast

import pytest
import yaml

from policy_engine.core.periods import DAY, HOUR, parse_instant
from policy_engine.history.example import ExampleSummary, write_example
from policy_engine.history.example.services import KINDS
from tests.support.paths import ROOT

UNTIL = parse_instant("2026-01-08T00:00:00Z")
ZERO_TIME = "0001-01-01T00:00:00Z"
DONE = ("completed", "Completed")


class Counting:
    """A stream that keeps nothing of what is written to it but its length."""

    def __init__(self) -> None:
        self.length = 0

    def write(self, data: bytes) -> int:
        """Count the bytes."""
        self.length += len(data)
        return len(data)


def made(
    tasks: int = 400,
    seed: int = 1,
    until: int = UNTIL,
    days: int = 14,
    damage: bool = False,
    shape: Literal["mixed", "tasks"] = "mixed",
) -> tuple[bytes, ExampleSummary]:
    """Make a history in memory; as in examples/ unless told otherwise."""
    stream = io.BytesIO()
    summary = write_example(stream, tasks=tasks, seed=seed, until=until, days=days, damage=damage, shape=shape)
    return stream.getvalue(), summary


def refuse_constant(name: str) -> None:
    """Fail on NaN and Infinity, which Python reads and JSON does not know."""
    raise AssertionError(f"{name} is not JSON")


def values(data: bytes) -> list[Any]:
    """Read every line, strictly."""
    assert data.endswith(b"\n")
    return [json.loads(line, parse_constant=refuse_constant) for line in data.decode().split("\n")[:-1]]


def is_page(value: Any) -> bool:
    """Tell a history page from a task object in an envelope."""
    return isinstance(value.get("data"), dict) and "page" in value["data"]


def objects(data: bytes) -> list[dict[str, Any]]:
    """Give every task object, out of its envelope."""
    return [value.get("data", value) for value in values(data) if not is_page(value)]


def pages(data: bytes) -> list[dict[str, Any]]:
    """Give every history page, out of its envelope."""
    return [value["data"] for value in values(data) if is_page(value)]


def rows(data: bytes) -> list[dict[str, Any]]:
    """Give the rows of all history pages."""
    return [row for page in pages(data) for row in page["data"]]


def urls(value: Any) -> list[str]:
    """Give every URL in a value, however deep."""
    if isinstance(value, dict):
        return [url for inner in value.values() for url in urls(inner)]
    if isinstance(value, list):
        return [url for inner in value for url in urls(inner)]
    return [value] if isinstance(value, str) and value.startswith("https://") else []


@pytest.fixture(scope="module")
def mixed() -> bytes:
    """Make 3,000 tasks in all forms."""
    return made(3_000)[0]


@pytest.fixture(scope="module")
def tasks() -> list[dict[str, Any]]:
    """Make 5,000 bare tasks."""
    return objects(made(5_000, shape="tasks")[0])


@pytest.mark.parametrize("shape", ["mixed", "tasks"])
@pytest.mark.parametrize("damage", [False, True])
def test_same_arguments_same_bytes(shape: Literal["mixed", "tasks"], damage: bool) -> None:
    """
    The same arguments give the same bytes and the same summary.
    """
    assert made(shape=shape, damage=damage) == made(shape=shape, damage=damage)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"seed": -1},
        {"tasks": 401},
        {"until": UNTIL + 1},
        {"days": 15},
        {"damage": True},
        {"shape": "tasks"},
    ],
    ids=str,
)
def test_every_argument_counts(change: dict[str, Any]) -> None:
    """
    Another value of any argument gives another history.
    """
    assert made(**change)[0] != made()[0]


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_hash_seed_does_not_count(hash_seed: str) -> None:
    """
    Another process with another hash seed writes the same bytes.
    """
    program = (
        "import hashlib, io; from policy_engine.history.example import write_example; stream = io.BytesIO();"
        f"write_example(stream, tasks=500, seed=9, until={UNTIL}, damage=True);"
        "print(hashlib.sha256(stream.getvalue()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == hashlib.sha256(made(500, seed=9, damage=True)[0]).hexdigest()


def test_committed_history_is_what_the_generator_writes() -> None:
    """
    The history in examples/ is exactly what the generator writes for 400 tasks, seed 1 and 8 January 2026.
    """
    assert (ROOT / "examples" / "history.jsonl").read_bytes() == made(400, seed=1, until=UNTIL)[0]


@pytest.mark.parametrize("tasks", [1, 2, 15, 16, 17, 190, 1_000])
@pytest.mark.parametrize("shape", ["mixed", "tasks"])
@pytest.mark.parametrize("damage", [False, True])
def test_summary_says_what_was_written(tasks: int, shape: Literal["mixed", "tasks"], damage: bool) -> None:
    """
    The summary counts the tasks, records, lines and bytes of the file, and its services add up to the tasks.
    """
    data, summary = made(tasks, shape=shape, damage=damage)
    assert summary.tasks == tasks == sum(summary.services.values())
    assert summary.lines == data.count(b"\n")
    assert summary.bytes == len(data)
    if not damage:
        records = objects(data) + rows(data)
        assert summary.records == len(records)
        assert len({record["task_id"] for record in records}) == tasks
        created = [parse_instant(task["meta"]["created_at"]) for task in objects(data)]
        assert summary.first_created is not None and summary.last_created is not None
        assert summary.first_created <= min(created) and max(created) <= summary.last_created


def test_no_tasks_write_nothing() -> None:
    """
    A history of no tasks is an empty file.
    """
    data, summary = made(0)
    assert (data, summary) == (b"", ExampleSummary(0, 0, 0, 0, None, None, {}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": -1}, "the number of tasks is -1; it cannot be negative"),
        ({"days": 0}, "the number of days is 0; it must be at least 1"),
        ({"days": 400_000}, "the tasks would lie outside the years 1823 to 2116"),
        ({"until": 2**62 + 1}, "the tasks would lie outside the years 1823 to 2116"),
        ({"shape": "table"}, "`table` is not a shape; there are `mixed` and `tasks`"),
    ],
    ids=str,
)
def test_arguments_out_of_bounds(change: dict[str, Any], message: str) -> None:
    """
    An argument out of bounds is refused with a sentence that names it.
    """
    with pytest.raises(ValueError) as caught:
        made(**change)
    assert str(caught.value) == message


def test_every_kind_of_task_occurs() -> None:
    """
    A history of 400 tasks has every service, model and task type of the mix.
    """
    data, summary = made(400, shape="tasks")
    assert list(summary.services) == list(dict.fromkeys(kind.service for kind in KINDS))
    occurring = {(task["model"], task["task_type"]) for task in objects(data)}
    assert occurring == {(kind.model, kind.task_type) for kind in KINDS}


def test_kinds_belong_to_the_catalog() -> None:
    """
    The bundled catalog files every kind, under its name in task objects and in history rows, where the summary does.
    """
    catalog = yaml.safe_load((ROOT / "rules" / "piapi" / "catalog.yaml").read_text(encoding="utf-8"))
    for kind in KINDS:
        for model in (kind.model, kind.history or kind.model):
            services = [
                service["id"]
                for service in catalog["services"]
                for name in service["names"]
                if name["model"] == model and kind.task_type in name.get("task_types", [kind.task_type])
            ]
            assert services == ([] if kind.service == "unknown" else [kind.service])


def test_bare_shape(tasks: list[dict[str, Any]]) -> None:
    """
    The shape `tasks` has one bare task object a line, each task once, all with the same fields.
    """
    assert len({task["task_id"] for task in tasks}) == len(tasks) == 5_000
    fields = "task_id model task_type status config input output meta detail logs error".split()
    assert all(list(task) == fields for task in tasks)


def test_mixed_shape(mixed: bytes) -> None:
    """
    The shape `mixed` has bare tasks, envelopes (a few of an error), webhooks and history pages.
    """
    forms = Counter(tuple(value) if "task_id" not in value else ("bare",) for value in values(mixed))
    assert set(forms) == {("bare",), ("code", "data", "message"), ("timestamp", "data")}
    codes = Counter(value["code"] for value in values(mixed) if "code" in value)
    assert codes[200] > codes[500] > 0
    assert all(value["data"]["status"] == "failed" for value in values(mixed) if value.get("code") == 500)


@pytest.mark.parametrize("tasks", [*range(1, 20), 122, 123, 400, 1_000])
def test_pages_tie(tasks: int) -> None:
    """
    Every history page declares the number of rows on all pages together, and no page has more than 100.
    """
    data, _ = made(tasks)
    found = pages(data)
    assert [page["page"] for page in found] == list(range(1, len(found) + 1))
    assert all(len(page["data"]) <= page["size"] == 100 for page in found)
    assert all(len(page["data"]) == 100 for page in found[:-1])
    assert {page["total"] for page in found} == {len(rows(data))} or not found


def test_rows_join_task_objects(mixed: bytes) -> None:
    """
    Most history rows belong to a task object of the file, some stand alone, and some task objects have no row.
    """
    by_row, by_object = {row["task_id"] for row in rows(mixed)}, {task["task_id"] for task in objects(mixed)}
    assert len(by_row) == len(rows(mixed))
    assert len(by_row & by_object) > 10 * len(by_row - by_object) > 0
    assert by_object - by_row
    assert not urls(rows(mixed))


def test_rows_say_what_the_task_says(mixed: bytes) -> None:
    """
    A row agrees with its task object on model, kind, status, charge and, to the millisecond, creation.
    """
    names = {kind.model: kind.history or kind.model for kind in KINDS}
    last = {task["task_id"]: task for task in objects(mixed)}
    for row in rows(mixed):
        if row["task_id"] in last:
            task = last[row["task_id"]]
            assert row["task_model"] == names[task["model"]]
            assert (row["action"], row["status"]) == (task["task_type"], task["status"])
            assert row["service_mode"] == task["config"]["service_mode"]
            assert (row["usage"], row["usage_type"]) == (
                task["meta"]["usage"]["consume"],
                task["meta"]["usage"]["type"],
            )
            behind = parse_instant(task["meta"]["created_at"]) - parse_instant(row["created_at"])
            assert 0 <= behind < 1_000_000
            assert parse_instant(row["created_at"]) <= parse_instant(row["updated_at"]) <= UNTIL


def test_tasks_written_twice(mixed: bytes) -> None:
    """
    Some tasks are there as they were asked for and again as they ended.
    """
    states: dict[str, list[str]] = {}
    for task in objects(mixed):
        states.setdefault(task["task_id"], []).append(task["status"])
    twice = [seen for seen in states.values() if len(seen) > 1]
    assert twice
    assert all(seen[0] == "pending" and seen[1] in DONE and len(seen) == 2 for seen in twice)


def test_tasks_lie_in_the_days_before(tasks: list[dict[str, Any]]) -> None:
    """
    Tasks are created in the days before the end, half of them in the last four, and nothing happens after the end.
    """
    created = [parse_instant(task["meta"]["created_at"]) for task in tasks]
    assert UNTIL - 14 * DAY <= min(created) and max(created) < UNTIL
    recent = sum(instant >= UNTIL - 4 * DAY for instant in created)
    assert 0.49 < recent / len(tasks) < 0.51
    for task in tasks:
        meta = task["meta"]
        times = [meta["created_at"], meta["started_at"], meta["ended_at"]]
        instants = [parse_instant(text) for text in times if text not in ("", ZERO_TIME)]
        assert instants == sorted(instants) and instants[-1] < UNTIL


@pytest.mark.parametrize("days", [1, 3, 4, 5, 60])
def test_days_bound_the_history(days: int) -> None:
    """
    A history of any number of days stays within them.
    """
    _, summary = made(300, until=UNTIL + 123_456_789, days=days)
    assert summary.first_created is not None and summary.last_created is not None
    assert UNTIL + 123_456_789 - days * DAY <= summary.first_created
    assert summary.last_created < UNTIL + 123_456_789


def test_forms_of_times(tasks: list[dict[str, Any]]) -> None:
    """
    Times have up to nine fractional digits without trailing zeros, now and then none, and now and then another zone.
    """
    texts = [task["meta"]["created_at"] for task in tasks]
    fractions = Counter(len(text.split(".")[1].removesuffix("Z")) for text in texts if "." in text and "Z" in text)
    assert fractions[9] > fractions[8] > fractions[7] > 0
    assert not any(text.rstrip("Z").endswith("0") for text in texts if "." in text and "Z" in text)
    assert sum("." not in text for text in texts) > 50
    assert sum(text.endswith("+08:00") for text in texts) > 50
    assert sum(task["meta"]["ended_at"] == "" for task in tasks) > 5


def test_statuses(tasks: list[dict[str, Any]]) -> None:
    """
    Most tasks are completed, all other states occur, only Midjourney's are staged, and each has the times of its state.
    """
    seen = Counter(task["status"] for task in tasks)
    assert set(seen) == {"completed", "Completed", "pending", "processing", "failed", "staged", ""}
    assert seen["completed"] > 0.7 * len(tasks)
    assert {task["model"] for task in tasks if task["status"] == "staged"} == {"midjourney"}
    for task in tasks:
        started, ended = task["meta"]["started_at"], task["meta"]["ended_at"]
        assert (started != ZERO_TIME) == (task["status"] in (*DONE, "failed", "processing"))
        assert (ended != ZERO_TIME) == (task["status"] in (*DONE, "failed"))
        assert (task["error"]["code"] != 0) == (task["status"] == "failed")
        has_files = task["task_type"] not in ("describe", "chat")
        assert bool(urls(task["output"])) == (task["status"] in DONE and has_files)


def test_money(tasks: list[dict[str, Any]]) -> None:
    """
    Points are held until completion and then charged, other units are charged at once, and failed tasks cost nothing.
    """
    for task in tasks:
        usage, status = task["meta"]["usage"], task["status"]
        free = task["meta"].get("is_using_private_pool") is True
        if status in DONE:
            assert usage["frozen"] in (0, usage["consume"])
            assert (usage["consume"] > 0) != free
        elif status == "failed":
            assert usage["consume"] == 0
        elif usage["type"] in ("point", "luma_quota"):
            assert usage["consume"] == 0 and (usage["frozen"] > 0) != free
        else:
            assert usage["consume"] > 0 and usage["frozen"] == 0
    assert {task["meta"]["usage"]["type"] for task in tasks} == {"point", "llm", "quota", "luma_quota", ""}
    failed = [task["meta"]["usage"] for task in tasks if task["status"] == "failed"]
    assert any(usage["frozen"] > 0 for usage in failed)


def test_follow_ups_name_their_parents(tasks: list[dict[str, Any]]) -> None:
    """
    A follow-up names a completed task of its own service and account that had ended before.
    """
    known = {task["task_id"]: task for task in tasks}
    clips = {clip: task for task in tasks for clip in ((task["output"] or {}).get("clips") or ())}
    found = Counter[str]()
    for task in tasks:
        parent = known.get(task["input"].get("origin_task_id", "")) or clips.get(
            task["input"].get("continue_clip_id", "")
        )
        if "origin_task_id" in task["input"] or "continue_clip_id" in task["input"]:
            assert parent is not None and parent["status"] in DONE
            assert parent["config"]["service_mode"] == task["config"]["service_mode"]
            if parent["meta"]["ended_at"]:
                assert parse_instant(parent["meta"]["ended_at"]) <= parse_instant(task["meta"]["created_at"])
            found[task["task_type"]] += 1
    assert set(found) == {"upscale", "variation", "extend_video", "generate_music_custom"}


def test_midjourney_accounts(tasks: list[dict[str, Any]]) -> None:
    """
    Midjourney tasks run pay-as-you-go, on the user's own account, on an unknown one, and sometimes fail over.
    """
    accounts = Counter(
        (task["config"]["service_mode"], task["meta"].get("is_using_private_pool"), task["meta"]["failover_triggered"])
        for task in tasks
        if task["task_type"] == "imagine"
    )
    assert set(accounts) == {
        ("public", False, False),
        ("private", True, False),
        ("", None, False),
        ("private", False, True),
    }


def test_forms_of_outputs(tasks: list[dict[str, Any]]) -> None:
    """
    Outputs have the odd shapes of real ones: `video` as object and as text, crops, maps, copies and signed links.
    """
    done = [task for task in tasks if task["status"] in DONE]
    videos = {type(task["output"]["video"]) for task in done if "video" in task["output"]}
    assert videos == {dict, str}
    grids = [task["output"] for task in done if task["task_type"] == "imagine"]
    assert {len(output["temporary_image_urls"] or ()) for output in grids} == {0, 4}
    assert {len(output["image_urls"] or ()) for output in grids} == {0, 4}
    signed = [output["discord_image_url"] for output in grids if output["discord_image_url"]]
    assert signed and all("?ex=" in url and "&is=" in url and "&hm=" in url for url in signed)
    assert all(len(task["output"]["clips"]) == 2 for task in done if "clips" in task["output"])
    for task in done:
        if task["model"] == "kling" and "works" in task["output"]:
            video = task["output"]["works"][0]["video"]
            assert video["resource"] != video["resource_without_watermark"] == task["output"]["video_url"]
        if task["model"] == "hailuo":
            assert task["output"]["prompt_img_url"] == task["input"]["image_url"]
    songs = [task["output"]["songs"][0]["song_path"] for task in done if task["model"] == "music-u"]
    assert {"Expires=" in song for song in songs} == {True, False}


def test_an_output_url_belongs_to_one_task(tasks: list[dict[str, Any]]) -> None:
    """
    No two tasks share an output file.
    """
    owners = Counter(url for task in tasks for url in set(urls(task["output"])))
    assert max(owners.values()) == 1


def test_every_deadline_has_two_sides(tasks: list[dict[str, Any]]) -> None:
    """
    Asked about its own end, the history has tasks around every deadline: long before, shortly before, between
    submission and completion, and after.
    """
    ages = Counter[str]()
    for task in tasks:
        created = parse_instant(task["meta"]["created_at"])
        ended = task["meta"]["ended_at"]
        if task["model"] == "midjourney" and task["config"]["service_mode"] == "public":
            ages["closing" if 2 * HOUR <= UNTIL - created < 3 * HOUR else "window"] += 1
        if task["model"] == "Qubico/hug-video":
            ages["one day, past" if UNTIL - created > DAY else "one day, ahead"] += 1
        if task["status"] in DONE and ended:
            between = created + 3 * DAY <= UNTIL < parse_instant(ended) + 3 * DAY
            ages["possibly past" if between else f"day {min((UNTIL - created) // DAY, 3)}"] += 1
    assert set(ages) == {
        "closing", "window", "one day, past", "one day, ahead", "possibly past", "day 0", "day 1", "day 2", "day 3",
    }  # fmt: skip


def test_nothing_looks_like_a_secret(mixed: bytes) -> None:
    """
    What stands in the place of a secret says that it is none, and people's own files are on example.com.
    """
    secrets = {task["config"]["webhook_config"]["secret"] for task in objects(mixed)}
    assert secrets == {"", "made-up-and-not-a-secret"}
    hosts = {url.split("/")[2] for task in objects(mixed) for url in urls(task["input"]) + urls(task["config"])}
    assert hosts == {"uploads.example.com", "hooks.example.com", "upload.theapi.app"}


@pytest.mark.parametrize("shape", ["mixed", "tasks"])
@pytest.mark.parametrize("tasks", [6, 400])
def test_damage(shape: Literal["mixed", "tasks"], tasks: int) -> None:
    """
    With damage, every kind of it occurs, few lines are touched, and no task is lost.
    """
    data, summary = made(tasks, damage=True, shape=shape)
    found = Counter[str]()
    ids = set()
    for line in data.decode().splitlines():
        try:
            value = json.loads(line, parse_constant=refuse_constant)
        except json.JSONDecodeError:
            found["broken off"] += 1
            continue
        if not isinstance(value, dict):
            found["not an object"] += 1
            continue
        if is_page(value):
            ids |= {row["task_id"] for row in value["data"]["data"]}
            continue
        task = value.get("data", value)
        if "task_id" not in task:
            found["no id"] += 1
            continue
        ids.add(task["task_id"])
        if not task["meta"]:
            found["no times"] += 1
        elif isinstance(task["meta"]["usage"]["consume"], str):
            found["words for a number"] += 1
        elif not task["meta"]["created_at"].endswith(("Z", "+08:00")):
            found["no zone"] += 1
    assert set(found) == {"broken off", "not an object", "no id", "no times", "words for a number", "no zone"}
    assert set(found.values()) == {1}
    assert len(ids) == tasks == summary.tasks


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["mixed", "tasks"])
def test_memory_stays_small(shape: Literal["mixed", "tasks"]) -> None:
    """
    Writing 20,000 tasks, about 20 MB, takes no more than 4 MB of memory at any time.
    """
    stream = Counting()
    tracemalloc.start()
    try:
        write_example(cast(BinaryIO, stream), tasks=20_000, seed=1, until=UNTIL, shape=shape)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stream.length > 15_000_000
    assert peak < 4_000_000
