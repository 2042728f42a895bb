"""
Explanations: the exact lines a person reads for every kind of answer, and what holds for all of them.

With UPDATE_EXPLANATIONS=1 in the environment the expected texts are rewritten; read the difference before committing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from policy_engine.core.periods import DAY, format_instant, parse_instant
from policy_engine.core.problems import NothingToEvaluate
from policy_engine.core.rule_model import RulePack
from policy_engine.engine.question import Question
from policy_engine.engine.run import EvaluationRun, RunOptions
from policy_engine.explain import TaskExplanation, explain_task, render_explanation
from policy_engine.history import find_sources
from policy_engine.packs import read_pack
from policy_engine.packs.cases import read_cases

PACK = read_pack("piapi")
Json = dict[str, Any]


def history(folder: Path, files: Mapping[str, Sequence[Json]]) -> list[str]:
    """Write JSON Lines files into the folder; returns their paths."""
    for name, records in files.items():
        (folder / name).write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return [str(folder / name) for name in files]


def trace(
    folder: Path,
    records: Sequence[Json] | Mapping[str, Sequence[Json]],
    task_id: str,
    as_of: str,
    pack: RulePack = PACK,
) -> list[TaskExplanation]:
    """Explain a task of a history of one file, or of several by name."""
    files = records if isinstance(records, Mapping) else {"tasks.jsonl": records}
    options = RunOptions(Question(parse_instant(as_of), pack.horizon, pack.operation_horizon))
    return explain_task(find_sources(history(folder, files)).sources, pack, options, task_id)


def explain(
    folder: Path, records: Sequence[Json] | Mapping[str, Sequence[Json]], task_id: str, as_of: str, **more: Any
) -> str:
    """The text of an explanation."""
    show_urls = more.pop("show_urls", False)
    return render_explanation(trace(folder, records, task_id, as_of, **more), show_urls=show_urls)


def task(model: str, task_type: str | None, output: Any, **more: Any) -> Json:
    """A completed task object, submitted at noon and finished ten minutes later unless `meta` says otherwise."""
    record: Json = {
        "task_id": "t-1",
        "model": model,
        "task_type": task_type,
        "status": "completed",
        "output": output,
        "meta": {"created_at": "2026-03-01T12:00:00Z", "ended_at": "2026-03-01T12:10:00Z"},
    }
    return {name: value for name, value in {**record, **more}.items() if value is not None}


MIDJOURNEY = task(
    "midjourney",
    "imagine",
    {"image_url": "https://img.theapi.app/mj/t-1.png"},
    meta={
        "created_at": "2026-03-01T12:00:00Z",
        "ended_at": "2026-03-01T12:10:00Z",
        "usage": {"type": "point", "frozen": 700000, "consume": 700000},
    },
)
KLING = task(
    "kling",
    "video_generation",
    {
        "video_url": "https://storage.theapi.app/videos/1.mp4",
        "works": [{"video": {
            "resource": "https://v15-kling.klingai.com/bs2/film.mp4",
            "resource_without_watermark": "https://storage.theapi.app/videos/1.mp4",
        }}],
    },
    config={"service_mode": "public"},
    meta={
        "created_at": "2026-03-01T12:00:00Z",
        "ended_at": "2026-03-01T12:10:00Z",
        "usage": {"type": "point", "consume": 2600000},
    },
)  # fmt: skip
LUMA = task(
    "luma",
    "video_generation",
    {
        "video": {"url": "https://storage.cdn-luma.com/a/film.mp4?Expires=1772540000&Signature=abc"},
        "video_raw": {"url": "https://storage.cdn-luma.com/a/raw.mp4"},
    },
    meta={"created_at": "2026-03-01T12:00:00Z", "usage": {"type": "luma_quota", "consume": 30}},
)
FLUX = task("Qubico/flux1-dev", "txt2img", {"image_url": "https://img.theapi.app/temp/a.png"})
ROW = {
    "id": 1,
    "task_id": "t-1",
    "task_model": "mj",
    "action": "imagine",
    "status": "completed",
    "service_mode": "private",
    "usage": 0,
    "usage_type": "point",
    "created_at": "2026-03-01T12:00:00Z",
    "updated_at": "2026-03-01T12:09:00Z",
}


def beginning(rule_id: str, effective_from: str) -> RulePack:
    """The bundled pack with a rule that is in force from an instant on only."""
    start = parse_instant(effective_from)
    rules = (
        replace(rule, versions=(replace(rule.versions[0], effective_from=start),)) if rule.id == rule_id else rule
        for rule in PACK.rules
    )
    return replace(PACK, rules=tuple(rules))


def without(record: Json, *names: str) -> Json:
    """A record without some fields of its `meta`."""
    return {**record, "meta": {name: value for name, value in record["meta"].items() if name not in names}}


HOSTILE = "id\x1b]0;title\x07\n::add-mask::x"
NOON = "2026-03-02T12:00:00Z"
FILM = "https://storage.theapi.app/videos/1.mp4"


@dataclass(frozen=True)
class Case:
    """A history of one task, and the question about it; the explanation is in `explanations/<name>.txt`."""

    promise: str
    records: Sequence[Json] | Mapping[str, Sequence[Json]]
    as_of: str = NOON
    task_id: str = "t-1"
    pack: RulePack = PACK
    show_urls: bool = False


CASES = {
    "midjourney_with_an_unknown_account": Case(
        "Half a day after creation the file is certain for any account, the operation window is not, and the fields to "
        "check are named.",
        [MIDJOURNEY],
        "2026-03-02T00:00:00Z",
    ),
    "kling_has_two_files_with_two_answers": Case(
        "Each file of a task has its own answer: one with the vendor, one on the platform.", [KLING]
    ),
    "luma_on_the_vendors_network": Case(
        "Files with equal answers are in one paragraph; the end of a signed link is beside the answer.", [LUMA]
    ),
    "unknown_service": Case(
        "A model that the catalog does not list leaves the answer open, and the nearest name is offered.",
        [task("klingg", "video_generation", {"video": FILM})],
    ),
    "model_shared_by_services_without_a_task_type": Case(
        "A model name that several services share is settled by the task type, and the explanation says so.",
        [task("Qubico/image-toolkit", None, {"image_url": "https://img.theapi.app/temp/a.png"})],
    ),
    "file_expected_from_a_history_row": Case(
        "A completed row without its task object has an expected file, and the row bounds the completion.", [ROW]
    ),
    "merged_records": Case(
        "Records of one task in several files are one answer, and every location is named.",
        {"rows.jsonl": [ROW], "tasks.jsonl": [FLUX | {"task_id": "other"}, MIDJOURNEY]},
    ),
    "completion_unknown": Case(
        "Without a completion the answer is bounded by the longest task, which the pack assumes.",
        [without(FLUX, "ended_at")],
        "2026-03-04T12:00:00Z",
    ),
    "submission_unknown": Case(
        "Without a submission the answer is bounded from the completion backwards.",
        [without(FLUX, "created_at")],
        "2026-03-06T12:00:00Z",
    ),
    "no_clock_and_an_unreadable_time": Case(
        "Without any time no deadline is computed; a time that could not be read is named with its location.",
        [{**FLUX, "meta": {"created_at": "2026-03-01T12:00:00"}}],
    ),
    "past_its_deadline": Case(
        "A deadline that has passed on every reading is called past, with how long ago.", [FLUX], "2026-03-08T12:00:00Z"
    ),
    "readings_differ": Case(
        "Between the two deadlines the readings differ, and both are named.", [FLUX], "2026-03-04T12:05:00Z"
    ),
    "times_in_the_wrong_order": Case(
        "A task that ended before it was submitted is read from both times in their order.",
        [{**FLUX, "meta": {"created_at": "2026-03-01T12:10:00Z", "ended_at": "2026-03-01T12:00:00Z"}}],
    ),
    "unknown_watermark": Case(
        "A file at a path that the catalog does not list may be either, and each possibility is named.",
        [task("kling", "sound", {"track": "https://storage.theapi.app/audios/1.mp3"})],
    ),
    "no_published_rule": Case(
        "If the provider publishes no rule, the pack states what was read.",
        [task("gemini", None, {"image_urls": ["https://img.theapi.app/ephemeral/a.png"]})],
    ),
    "host_contradicts_the_rule": Case(
        "A host that contradicts the rule is reported and does not change the answer.",
        [task("Qubico/flux1-dev", "txt2img", {"image_url": "https://cdn.midjourney.com/a.png"})],
    ),
    "task_without_a_file": Case(
        "A task without a file has a reason instead of an answer.", [{**FLUX, "status": "failed", "output": None}]
    ),
    "task_that_does_not_exist_yet": Case(
        "A task created after the instant of the question has no file yet.", [FLUX], "2026-03-01T12:05:00Z"
    ),
    "addresses_that_disagree": Case(
        "A file under two addresses that state different facts has none of them, and the explanation says so.",
        [
            task(
                "kling",
                "video_generation",
                {"works": [{"video": {"resource": FILM, "resource_without_watermark": FILM}}]},
            )
        ],
        task_id="kling/t-1/video_watermarked/1",
    ),
    "rules_that_begin_between_the_readings": Case(
        "If the rules changed between submission and completion, the two readings fall under different rules.",
        [FLUX],
        pack=beginning("flux", "2026-03-01T12:05:00Z"),
    ),
    "hostile_text": Case(
        "Control characters, line breaks, bidirectional marks and log commands of an export are visible or harmless.",
        [
            task(
                "evil\x1b[2J\nmodel",
                "::error::type",
                {"a": "https://evil.example/\u202egnp.exe?=\u200b##[command]"},
                task_id=HOSTILE,
                status="done\r\n::warning::x",
            )
        ],
        task_id=HOSTILE,
        show_urls=True,
    ),
}
EXPLANATIONS = Path(__file__).parent / "explanations"


@pytest.mark.parametrize("name", CASES)
def test_explanation(tmp_path: Path, name: str) -> None:
    """
    Each case is explained word for word as in its file; the promise of the case says what to look for.
    """
    case = CASES[name]
    text = explain(tmp_path, case.records, case.task_id, case.as_of, pack=case.pack, show_urls=case.show_urls)
    expected = EXPLANATIONS / f"{name}.txt"
    if os.environ.get("UPDATE_EXPLANATIONS") == "1":
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8"), case.promise


def test_every_expected_explanation_has_a_case() -> None:
    """
    There is one file for each case and no other.
    """
    assert {path.stem for path in EXPLANATIONS.iterdir()} == set(CASES)


def test_operations_alone_may_differ_by_reading(tmp_path: Path) -> None:
    """
    Where only the operation window depends on the reading of creation, the explanation says that of the window alone.
    """
    record = {**MIDJOURNEY, "config": {"service_mode": "public"}}
    text = explain(tmp_path, [record], "t-1", "2026-03-01T15:05:00Z")
    assert "window is past counted from submission, closing counted from completion." in " ".join(text.split())


@pytest.mark.parametrize(
    "record",
    [MIDJOURNEY, KLING, LUMA, FLUX, ROW, {**FLUX, "status": "failed", "output": None}],
    ids=["midjourney", "kling", "luma", "flux", "row", "failed"],
)
@pytest.mark.parametrize("as_of", [NOON, "2026-03-04T12:05:00Z", "2027-03-04T12:05:00Z"])
def test_words(tmp_path: Path, record: Json, as_of: str) -> None:
    """
    Lines are at most 100 columns wide, and nobody claims to know what became of a file.
    """
    text = explain(tmp_path, [record], "t-1", as_of)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert text.endswith("\n") and not text.endswith("\n\n")
    words = set(text.lower().replace(",", " ").replace(".", " ").split())
    assert not words & {"gone", "lost", "deleted", "safe", "now", "ttl", "filter", "issue"}


def test_urls_are_shown_only_when_asked_for(tmp_path: Path) -> None:
    """
    A URL is a bearer link: without being asked for, only its host is shown.
    """
    hidden = explain(tmp_path, [LUMA], "t-1", NOON)
    assert "https://storage.cdn-luma.com" not in hidden and "storage.cdn-luma.com" in hidden
    shown = explain(tmp_path, [LUMA], "t-1", NOON, show_urls=True).splitlines()
    assert "URL           https://storage.cdn-luma.com/a/film.mp4?Expires=1772540000&Signature=abc" in shown
    assert "URL           https://storage.cdn-luma.com/a/raw.mp4" in shown


def test_one_file_by_its_asset_id(tmp_path: Path) -> None:
    """
    An asset id explains that file alone, also where the task id holds slashes.
    """
    record = {**KLING, "task_id": "a/b"}
    (found,) = trace(tmp_path, [record], "kling/a/b/video_clean/1", NOON)
    assert [file.asset_id for group in found.groups for file in group.files] == ["kling/a/b/video_clean/1"]
    assert found.cost.files == 2


def test_one_id_under_two_services(tmp_path: Path) -> None:
    """
    Two services may use one task id; then both tasks are explained.
    """
    found = trace(tmp_path, [FLUX, KLING], "t-1", NOON)
    assert [found_task.service.id for found_task in found if found_task.service] == ["flux", "kling"]
    assert render_explanation(found).count("Task t-1: ") == 2


def test_id_of_a_model_that_the_catalog_does_not_know(tmp_path: Path) -> None:
    """
    The asset id of an unknown service finds its file, too.
    """
    record = task("who/what", None, {"a": "https://img.theapi.app/temp/a.png"})
    (found,) = trace(tmp_path, [record], "unknown:who/what/t-1/unlisted/1", NOON)
    assert len(found.groups) == 1


def test_many_files_are_counted(tmp_path: Path) -> None:
    """
    Of many files with one answer the first are named and the rest counted.
    """
    record = task("gemini", None, {"image_urls": [f"https://img.theapi.app/ephemeral/{n}.png" for n in range(30)]})
    text = explain(tmp_path, [record], "t-1", NOON)
    assert "image/7, image/8 and 22 more" in " ".join(text.split())


def test_line_numbers_of_a_long_file(tmp_path: Path) -> None:
    """
    The line of a record is counted from the beginning of its file, however long that is.
    """
    padding = {**FLUX, "input": {"prompt": "x" * 100_000}}
    records = [{**padding, "task_id": f"pad-{number}"} for number in range(100)]
    (found,) = trace(tmp_path, [*records, FLUX], "t-1", NOON)
    assert found.records == ("tasks.jsonl:101",)


@pytest.mark.parametrize(
    ("wanted", "message", "help_text"),
    [
        ("T1", "no record has the task id `T1`", "did you mean `t-1`?; records read: 2"),
        ("zzzzzz", "no record has the task id `zzzzzz`", "records read: 2"),
        (
            "flux/t-1/picture/1",
            "no file has the id `flux/t-1/picture/1`",
            "did you mean `flux/t-1/image/1`?",
        ),
    ],
)
def test_id_that_names_nothing(tmp_path: Path, wanted: str, message: str, help_text: str) -> None:
    """
    An id that no record has is a problem with the nearest id that some record has.
    """
    with pytest.raises(NothingToEvaluate) as caught:
        trace(tmp_path, [FLUX, {**FLUX, "task_id": "other"}], wanted, NOON)
    (problem,) = caught.value.problems
    assert (problem.message, problem.help) == (message, help_text)


def test_records_set_aside_may_be_the_ones_meant(tmp_path: Path) -> None:
    """
    If records were unusable, the problem says that the id may be in one of them.
    """
    with pytest.raises(NothingToEvaluate) as caught:
        trace(tmp_path, [{**FLUX, "task_id": ""}, KLING], "zzzzzz", NOON)
    (problem,) = caught.value.problems
    assert problem.help == "records read: 2; quarantined, so the id may be in one of these: 1"


def test_history_without_records(tmp_path: Path) -> None:
    """
    A history without any record is another problem than an id that is not in it.
    """
    page = {"code": 200, "data": {"data": [], "page": 1, "total": 0}}
    with pytest.raises(NothingToEvaluate) as caught:
        trace(tmp_path, [page], "t-1", NOON)
    assert caught.value.problems[0].code == "no-records"


@pytest.fixture(scope="module")
def bundled_tasks() -> dict[str, list[Json]]:
    """Every record of the bundled pack's cases, by task id."""
    tasks: dict[str, list[Json]] = {}
    for case in read_cases(PACK, "piapi").cases:
        for record in case.records:
            value = record.value.get("data", record.value)
            known = tasks.setdefault(str(value.get("task_id")), [])
            if record.value not in known:
                known.append(dict(record.value))
    return tasks


@pytest.mark.slow
@pytest.mark.parametrize("as_of", ["2026-03-02T00:00:00Z", "2026-03-04T12:05:00Z", "2026-04-01T00:00:00Z"])
def test_explanations_agree_with_a_run(tmp_path: Path, bundled_tasks: dict[str, list[Json]], as_of: str) -> None:
    """
    What is explained is what a run finds, for every task of the bundled cases: same files, verdicts and deadlines.
    """
    paths = history(tmp_path, {"all.jsonl": [record for records in bundled_tasks.values() for record in records]})
    options = RunOptions(Question(parse_instant(as_of), PACK.horizon, PACK.operation_horizon))
    sources = find_sources(paths).sources
    frame = pd.concat(list(EvaluationRun(sources, PACK, options).chunks()))
    found = {}
    dates = ("expires_earliest", "operation_closes_latest")
    for row in frame.to_dict("records"):
        reasons = tuple(row["reason"].split(";")) if row["reason"] else ()
        times = [None if pd.isna(row[name]) else row[name].value for name in dates]
        found[row["asset_id"]] = (row["verdict"], row["operation_verdict"], reasons, *times)
    explained = {}
    for task_id in bundled_tasks:
        for explanation in explain_task(sources, PACK, options, task_id):
            assert render_explanation([explanation])
            for group in explanation.groups:
                answer = group.answer
                for file in group.files:
                    explained[file.asset_id] = (
                        answer.verdict,
                        answer.operation_verdict,
                        answer.reasons,
                        answer.expires_earliest,
                        answer.closes_latest,
                    )
    assert explained == found
    assert len(found) > 20


@pytest.mark.parametrize("hours", [1, 12, 60, 72, 100])
def test_suppositions_unite_to_the_answer(tmp_path: Path, hours: int) -> None:
    """
    The least and greatest deadlines under the values of an unknown fact are those of the answer without it.
    """
    as_of = format_instant(parse_instant("2026-03-01T12:00:00Z") + hours * DAY // 24)
    (found,) = trace(tmp_path, [MIDJOURNEY], "t-1", as_of)
    ((fact, suppositions),) = found.groups[0].suppositions
    answer = found.groups[0].answer
    answers = [supposition.answer for supposition in suppositions]
    assert fact == "account"
    assert min(other.expires_earliest or 0 for other in answers) == answer.expires_earliest
    assert max(other.expires_latest or 0 for other in answers) == answer.expires_latest
    assert min(other.closes_earliest or 0 for other in answers) == answer.closes_earliest
    assert max(other.closes_latest or 0 for other in answers) == answer.closes_latest


def test_unreadable_fields_of_the_last_row_of_a_table(tmp_path: Path) -> None:
    """
    A field that could not be read is reported wherever its row is in a table, also at the end.
    """
    path = tmp_path / "tasks.csv"
    path.write_text("task_id,model,consume\na,flux,7\nb,flux,many\nb,flux,more\n", encoding="utf-8")
    options = RunOptions(Question(parse_instant(NOON), PACK.horizon, PACK.operation_horizon))
    (found,) = explain_task(find_sources([str(path)]).sources, PACK, options, "b")
    assert [(field.record, field.name) for field in found.unreadable] == [
        ("tasks.csv:3", "consume"),
        ("tasks.csv:4", "consume"),
    ]
