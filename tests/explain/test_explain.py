"""Snapshots of explanations: the exact lines a person reads, for every kind of answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
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


def test_midjourney_with_an_unknown_account(tmp_path: Path) -> None:
    """
    Half a day after creation the file is certain whatever the account, the operation window is not, and the fields to
    look at are named.
    """
    text = explain(tmp_path, [MIDJOURNEY], "t-1", "2026-03-02T00:00:00Z")
    assert (
        text
        == """\
Task t-1: Midjourney, imagine, status completed. Asked as of 2026-03-02T00:00:00Z.

File          image (image, on img.theapi.app).
Answer        active: before its deadline, by more than the horizon of 1 day.
Save before   2026-03-04T12:00:00Z (2 days 12 hours left); the latest possible deadline is
              2026-03-04T12:10:00Z.
Counted from  "creation", which may mean submission (2026-03-01T12:00:00Z) or completion
              (2026-03-01T12:10:00Z). Both deadlines lie ahead by more than the horizon, so the
              answer is the same.
Account       not known. Both account types keep the file for 3 days, so the answer for the file is
              certain, while the operation window is past since 2026-03-01T15:10:00Z (8 hours 50
              minutes ago) on pay-as-you-go and open until 2026-03-04T12:00:00Z (2 days 12 hours
              left) on host-your-account. To know, look at `meta.is_using_private_pool` in the task
              object (true = host-your-account, false = pay-as-you-go; it decides), or
              `config.service_mode` (private = host-your-account, public = pay-as-you-go).
Operations    upscale, variation, reroll, inpaint, outpaint, pan and seed: possibly past (closing).
              Of the possible ends of the window the earliest was 2026-03-01T15:00:00Z (9 hours
              ago), the latest is 2026-03-04T12:10:00Z (2 days 12 hours left).
Rule          midjourney-hya v1 (Midjourney, host-your-account): kept on the platform for 3 days;
              operations for 3 days; since when is not stated.
Rule          midjourney-payg v1 (Midjourney, pay-as-you-go): kept on the platform for 3 days;
              operations for 3 hours; since when is not stated.
Source        Output Storage, "MidJourney API, Host-your-account Option" and "MidJourney API,
              Pay-as-you-go Option"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          img.theapi.app belongs to piapi, which agrees with the rule: the platform holds the
              file.

Cost          700,000 points = 0.07 USD (10,000,000 points a dollar: assumed).
Read from     tasks.jsonl.
"""
    )


def test_kling_has_two_files_with_two_answers(tmp_path: Path) -> None:
    """
    Each file of a task has its own answer: one with the vendor, one on the platform.
    """
    text = explain(tmp_path, [KLING], "t-1", "2026-03-02T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Kling, video_generation, pay-as-you-go, status completed. Asked as of
2026-03-02T12:00:00Z.

File          video_watermarked (video, on v15-kling.klingai.com).
Answer        in the vendor's hands: kept on the vendor's terms, for which no number is published
              (vendor_cdn).
Save before   no deadline is published; only the vendor knows how long the file is kept.
Operations    extend_video and lip_sync: no rule says until when they are accepted (ungoverned).
Rule          kling-watermarked v1 (Kling, watermarked): kept by the vendor on its own terms; since
              when is not stated.
Source        Output Storage, "Kling API"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          v15-kling.klingai.com belongs to kling, which agrees with the rule: the vendor holds
              the file.

File          video_clean (video, on storage.theapi.app).
Answer        active: before its deadline, by more than the horizon of 1 day.
Save before   2026-03-04T12:00:00Z (2 days left); the latest possible deadline is
              2026-03-04T12:10:00Z.
Counted from  "creation", which may mean submission (2026-03-01T12:00:00Z) or completion
              (2026-03-01T12:10:00Z). Both deadlines lie ahead by more than the horizon, so the
              answer is the same.
Operations    extend_video and lip_sync: no rule says until when they are accepted (ungoverned).
Rule          kling-clean v1 (Kling, not watermarked): kept on the platform for 3 days; since when
              is not stated.
Source        Output Storage, "Kling API"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          storage.theapi.app belongs to piapi, which agrees with the rule: the platform holds
              the file.

Cost          2,600,000 points = 0.26 USD (10,000,000 points a dollar: assumed); divided equally
              over the task's 2 files.
Read from     tasks.jsonl.
"""
    )


def test_luma_on_the_vendors_network(tmp_path: Path) -> None:
    """
    Files with equal answers stand together; the end of a signed link is said beside the answer.
    """
    text = explain(tmp_path, [LUMA], "t-1", "2026-03-02T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Luma Dream Machine, video_generation, status completed. Asked as of 2026-03-02T12:00:00Z.

Files         video and video_raw (video, on storage.cdn-luma.com).
Answer        in the vendor's hands: kept on the vendor's terms, for which no number is published
              (vendor_cdn).
Save before   no deadline is published; only the vendor knows how long the file is kept.
Operations    extend_video: no rule says until when they are accepted (ungoverned).
Rule          luma v1 (Luma Dream Machine): kept by the vendor on its own terms; since when is not
              stated.
Source        Output Storage, "Luma Dream Machine API"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          storage.cdn-luma.com belongs to luma, which agrees with the rule: the vendor holds the
              file.
Link          signed; by its own word it works until 2026-03-03T12:13:20Z (1 day 13 minutes left).

Cost          30 luma_quota (no dollar value known).
Read from     tasks.jsonl.
"""
    )


def test_unknown_service(tmp_path: Path) -> None:
    """
    A model that the catalog does not list leaves the answer open, and the nearest name is offered.
    """
    record = task("klingg", "video_generation", {"video": "https://storage.theapi.app/videos/1.mp4"})
    text = explain(tmp_path, [record], "t-1", "2026-03-02T12:00:00Z")
    assert (
        text
        == """\
Task t-1: service not known, video_generation, status completed. Asked as of 2026-03-02T12:00:00Z.

File          unlisted (media not known, on storage.theapi.app).
Answer        not settled by what is recorded (undetermined). The catalog does not list the model
              `klingg` with the task type `video_generation`, so no rule can be chosen. The nearest
              name is `kling` (Kling). If it is another name of a service, add it to the rule pack's
              catalog.
Host          storage.theapi.app belongs to piapi; no rule settles who holds the file, so this
              proves nothing.

Cost          not recorded.
Read from     tasks.jsonl.
"""
    )


def test_model_shared_by_services_without_a_task_type(tmp_path: Path) -> None:
    """
    A model name that several services share is settled by the task type, and the explanation says so.
    """
    record = task("Qubico/image-toolkit", None, {"image_url": "https://img.theapi.app/temp/a.png"})
    text = explain(tmp_path, [record], "t-1", "2026-03-02T12:00:00Z")
    assert (
        text
        == """\
Task t-1: service not known, status completed. Asked as of 2026-03-02T12:00:00Z.

File          unlisted (media not known, on img.theapi.app).
Answer        not settled by what is recorded (undetermined). The model `Qubico/image-toolkit`
              stands for several services (Faceswap (image and multi) or Image tools (background
              removal, segmentation, upscaling)); the task type tells which. To know, look at
              `task_type` in the task object, or `action` in the history row.
Host          img.theapi.app belongs to piapi; no rule settles who holds the file, so this proves
              nothing.

Cost          not recorded.
Read from     tasks.jsonl.
"""
    )


def test_file_expected_from_a_history_row(tmp_path: Path) -> None:
    """
    A completed row without its task object has an expected file, and the row bounds the completion.
    """
    text = explain(tmp_path, [ROW], "t-1", "2026-03-02T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Midjourney, imagine, host-your-account, status completed. Asked as of
2026-03-02T12:00:00Z.

File          image (image, URL not seen).
Answer        active: before its deadline, by more than the horizon of 1 day.
Save before   2026-03-04T12:00:00Z (2 days left); the latest possible deadline is
              2026-03-04T12:09:00Z.
Counted from  submission (2026-03-01T12:00:00Z) or completion, which is not recorded:
              2026-03-01T12:09:00Z at the latest (by then a record calls the task finished). Both
              deadlines lie ahead by more than the horizon, so the answer is the same. To know, look
              at `meta.ended_at` in the task object.
Operations    upscale, variation, reroll, inpaint, outpaint, pan and seed: accepted until
              2026-03-04T12:00:00Z (2 days left) (open).
Rule          midjourney-hya v1 (Midjourney, host-your-account): kept on the platform for 3 days;
              operations for 3 days; since when is not stated.
Source        Output Storage, "MidJourney API, Host-your-account Option"; published, read on
              2026-11-22. https://piapi.ai/docs/output-storage
Host          not seen: no record carries the output. The file is expected because the task
              completed.

Cost          nothing was charged.
Read from     tasks.jsonl.
"""
    )


def test_merged_records(tmp_path: Path) -> None:
    """
    Records of one task in several files are one answer, and every place is named.
    """
    files = {"rows.jsonl": [ROW], "tasks.jsonl": [FLUX | {"task_id": "other"}, MIDJOURNEY]}
    text = explain(tmp_path, files, "t-1", "2026-03-02T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Midjourney, imagine, host-your-account, status completed. Asked as of
2026-03-02T12:00:00Z.

File          image (image, on img.theapi.app).
Answer        active: before its deadline, by more than the horizon of 1 day.
Save before   2026-03-04T12:00:00Z (2 days left); the latest possible deadline is
              2026-03-04T12:10:00Z.
Counted from  "creation", which may mean submission (2026-03-01T12:00:00Z) or completion
              (2026-03-01T12:10:00Z). Both deadlines lie ahead by more than the horizon, so the
              answer is the same.
Operations    upscale, variation, reroll, inpaint, outpaint, pan and seed: accepted until
              2026-03-04T12:00:00Z (2 days left) (open).
Rule          midjourney-hya v1 (Midjourney, host-your-account): kept on the platform for 3 days;
              operations for 3 days; since when is not stated.
Source        Output Storage, "MidJourney API, Host-your-account Option"; published, read on
              2026-11-22. https://piapi.ai/docs/output-storage
Host          img.theapi.app belongs to piapi, which agrees with the rule: the platform holds the
              file.

Cost          700,000 points = 0.07 USD (10,000,000 points a dollar: assumed).
Read from     rows.jsonl and tasks.jsonl:2, 2 records of this task, merged.
"""
    )


def test_completion_unknown(tmp_path: Path) -> None:
    """
    Without a completion the answer is bounded by the longest task, which the pack assumes.
    """
    text = explain(tmp_path, [without(FLUX, "ended_at")], "t-1", "2026-03-04T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Flux, txt2img, status completed. Asked as of 2026-03-04T12:00:00Z.

File          image (image, on img.theapi.app).
Answer        at risk, and possibly past its deadline: of the possible deadlines the earliest has
              passed and the latest has not (at_risk).
Save          at once: the earliest deadline was 2026-03-04T12:00:00Z (the instant asked about), the
              latest is 2026-03-05T12:00:00Z (1 day left).
Counted from  submission (2026-03-01T12:00:00Z) or completion, which is not recorded:
              2026-03-02T12:00:00Z at the latest (no task is taken to last longer than 1 day:
              assumed). The answers differ: past its deadline counted from the first of these, at
              risk counted from the last. To know, look at `meta.ended_at` in the task object.
Rule          flux v1 (Flux): kept on the platform for 3 days; since when is not stated.
Source        Output Storage, "Flux API & Faceswap API"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          img.theapi.app belongs to piapi, which agrees with the rule: the platform holds the
              file.

Cost          not recorded.
Read from     tasks.jsonl.
"""
    )


def test_submission_unknown(tmp_path: Path) -> None:
    """
    Without a submission the answer is bounded from the completion backwards.
    """
    text = explain(tmp_path, [without(FLUX, "created_at")], "t-1", "2026-03-06T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Flux, txt2img, status completed. Asked as of 2026-03-06T12:00:00Z.

File          image (image, on img.theapi.app).
Answer        past its deadline, also by the latest of the possible ones (expired).
Deadline      2026-03-03T12:10:00Z (2 days 23 hours ago) at the earliest, 2026-03-04T12:10:00Z (1
              day 23 hours ago) at the latest.
Counted from  completion (2026-03-01T12:10:00Z) or submission, which is not recorded:
              2026-02-28T12:10:00Z at the earliest (no task is taken to last longer than 1 day:
              assumed). Both deadlines have passed, so the answer is the same. To know, look at
              `meta.created_at` in the task object.
Rule          flux v1 (Flux): kept on the platform for 3 days; since when is not stated.
Source        Output Storage, "Flux API & Faceswap API"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          img.theapi.app belongs to piapi, which agrees with the rule: the platform holds the
              file.

Cost          not recorded.
Read from     tasks.jsonl.
"""
    )


def test_no_clock_and_an_unreadable_time(tmp_path: Path) -> None:
    """
    Without any time no deadline is computed; a time that could not be read is named with its place.
    """
    record = {**FLUX, "meta": {"created_at": "2026-03-01T12:00:00"}}
    text = explain(tmp_path, [record], "t-1", "2026-03-02T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Flux, txt2img, status completed. Asked as of 2026-03-02T12:00:00Z.

File          image (image, on img.theapi.app).
Answer        not settled by what is recorded (undetermined). A deadline applies, but when the task
              was created is not recorded.
Counted from  nothing: neither submission nor completion is recorded. The rule in force at the
              instant asked about keeps such a file for 3 days. To know, look at `meta.created_at`
              and `meta.ended_at` in the task object.
Rule          flux v1 (Flux): kept on the platform for 3 days; since when is not stated.
Source        Output Storage, "Flux API & Faceswap API"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          img.theapi.app belongs to piapi, which agrees with the rule: the platform holds the
              file.

Cost          not recorded.
Unreadable    `created_at` in tasks.jsonl: a time without a zone; add Z for UTC or an offset such as
              +08:00; it counts as not recorded.
Read from     tasks.jsonl.
"""
    )


def test_past_its_deadline(tmp_path: Path) -> None:
    """
    A deadline that has passed on every reading is called past, with how long ago.
    """
    text = explain(tmp_path, [FLUX], "t-1", "2026-03-08T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Flux, txt2img, status completed. Asked as of 2026-03-08T12:00:00Z.

File          image (image, on img.theapi.app).
Answer        past its deadline, also by the latest of the possible ones (expired).
Deadline      2026-03-04T12:00:00Z (4 days ago) at the earliest, 2026-03-04T12:10:00Z (3 days 23
              hours ago) at the latest.
Counted from  "creation", which may mean submission (2026-03-01T12:00:00Z) or completion
              (2026-03-01T12:10:00Z). Both deadlines have passed, so the answer is the same.
Rule          flux v1 (Flux): kept on the platform for 3 days; since when is not stated.
Source        Output Storage, "Flux API & Faceswap API"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          img.theapi.app belongs to piapi, which agrees with the rule: the platform holds the
              file.

Cost          not recorded.
Read from     tasks.jsonl.
"""
    )


def test_readings_differ(tmp_path: Path) -> None:
    """
    Between the two deadlines the readings differ, and both are said.
    """
    text = explain(tmp_path, [FLUX], "t-1", "2026-03-04T12:05:00Z")
    assert (
        text
        == """\
Task t-1: Flux, txt2img, status completed. Asked as of 2026-03-04T12:05:00Z.

File          image (image, on img.theapi.app).
Answer        at risk, and possibly past its deadline: of the possible deadlines the earliest has
              passed and the latest has not (at_risk).
Save          at once: the earliest deadline was 2026-03-04T12:00:00Z (5 minutes ago), the latest is
              2026-03-04T12:10:00Z (5 minutes left).
Counted from  "creation", which may mean submission (2026-03-01T12:00:00Z) or completion
              (2026-03-01T12:10:00Z). The answers differ: past its deadline counted from submission,
              at risk counted from completion.
Rule          flux v1 (Flux): kept on the platform for 3 days; since when is not stated.
Source        Output Storage, "Flux API & Faceswap API"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          img.theapi.app belongs to piapi, which agrees with the rule: the platform holds the
              file.

Cost          not recorded.
Read from     tasks.jsonl.
"""
    )


def test_times_in_the_wrong_order(tmp_path: Path) -> None:
    """
    A task that ended before it was submitted is read from both times in their order.
    """
    record = {**FLUX, "meta": {"created_at": "2026-03-01T12:10:00Z", "ended_at": "2026-03-01T12:00:00Z"}}
    text = explain(tmp_path, [record], "t-1", "2026-03-02T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Flux, txt2img, status completed. Asked as of 2026-03-02T12:00:00Z.

File          image (image, on img.theapi.app).
Answer        active: before its deadline, by more than the horizon of 1 day.
Save before   2026-03-04T12:00:00Z (2 days left); the latest possible deadline is
              2026-03-04T12:10:00Z.
Counted from  2026-03-01T12:00:00Z or 2026-03-01T12:10:00Z: the records say that the task ended
              before it was submitted, so the two were put in order. Both deadlines lie ahead by
              more than the horizon, so the answer is the same.
Rule          flux v1 (Flux): kept on the platform for 3 days; since when is not stated.
Source        Output Storage, "Flux API & Faceswap API"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          img.theapi.app belongs to piapi, which agrees with the rule: the platform holds the
              file.

Cost          not recorded.
Read from     tasks.jsonl.
"""
    )


def test_unknown_watermark(tmp_path: Path) -> None:
    """
    A file at a place that the catalog does not list may be either, and each possibility is said.
    """
    record = task("kling", "sound", {"track": "https://storage.theapi.app/audios/1.mp3"})
    text = explain(tmp_path, [record], "t-1", "2026-03-02T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Kling, sound, status completed. Asked as of 2026-03-02T12:00:00Z.

File          unlisted (media not known, on storage.theapi.app).
Answer        not settled by what is recorded (undetermined). It depends on what is not known:
              watermark.
Save before   2026-03-04T12:00:00Z (2 days left), the earliest deadline that may apply.
Counted from  "creation", which may mean submission (2026-03-01T12:00:00Z) or completion
              (2026-03-01T12:10:00Z). The answer is the same either way.
Watermark     not known. With a watermark: in the vendor's hands. Without a watermark: active,
              deadline 2026-03-04T12:00:00Z (2 days left). To know, look at the field of the task's
              `output` in which the URL stands; the catalog knows `works[].video.resource` (with a
              watermark), `works[].video.resource_without_watermark` (without a watermark), `video`
              (without a watermark), `works[].image.resource` (with a watermark) and 1 more.
Operations    extend_video and lip_sync: no rule says until when they are accepted (ungoverned).
Rule          kling-clean v1 (Kling, not watermarked): kept on the platform for 3 days; since when
              is not stated.
Rule          kling-watermarked v1 (Kling, watermarked): kept by the vendor on its own terms; since
              when is not stated.
Source        Output Storage, "Kling API"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          storage.theapi.app belongs to piapi; no rule settles who holds the file, so this
              proves nothing.

Cost          not recorded.
Read from     tasks.jsonl.
"""
    )


def test_no_published_rule(tmp_path: Path) -> None:
    """
    Where the provider publishes no rule, the pack says what was read.
    """
    record = task("gemini", None, {"image_urls": ["https://img.theapi.app/ephemeral/a.png"]})
    text = explain(tmp_path, [record], "t-1", "2026-03-02T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Gemini image, status completed. Asked as of 2026-03-02T12:00:00Z.

File          image (image, on img.theapi.app).
Answer        no rule is published for Gemini image, so no deadline is known (ungoverned). Of the
              image services, the page on output storage names Midjourney, Flux and Faceswap only.
Source        Output Storage, "Output Storage"; observed, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          img.theapi.app belongs to piapi; no rule settles who holds the file, so this proves
              nothing.

Cost          not recorded.
Read from     tasks.jsonl.
"""
    )


def test_host_contradicts_the_rule(tmp_path: Path) -> None:
    """
    A host that contradicts the rule is said aloud and does not change the answer.
    """
    record = task("Qubico/flux1-dev", "txt2img", {"image_url": "https://cdn.midjourney.com/a.png"})
    text = explain(tmp_path, [record], "t-1", "2026-03-02T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Flux, txt2img, status completed. Asked as of 2026-03-02T12:00:00Z.

File          image (image, on cdn.midjourney.com).
Answer        active: before its deadline, by more than the horizon of 1 day.
Save before   2026-03-04T12:00:00Z (2 days left); the latest possible deadline is
              2026-03-04T12:10:00Z.
Counted from  "creation", which may mean submission (2026-03-01T12:00:00Z) or completion
              (2026-03-01T12:10:00Z). Both deadlines lie ahead by more than the horizon, so the
              answer is the same.
Rule          flux v1 (Flux): kept on the platform for 3 days; since when is not stated.
Source        Output Storage, "Flux API & Faceswap API"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          cdn.midjourney.com belongs to midjourney, which contradicts the rule: by that the
              platform holds the file. The answer follows the rule; look whether the URL still
              opens.

Cost          not recorded.
Read from     tasks.jsonl.
"""
    )


def test_task_without_a_file(tmp_path: Path) -> None:
    """
    A task without a file has a reason instead of an answer.
    """
    record = {**FLUX, "status": "failed", "output": None}
    text = explain(tmp_path, [record], "t-1", "2026-03-02T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Flux, txt2img, status failed. Asked as of 2026-03-02T12:00:00Z.

File          none.
Answer        no answer is due (failed). The task failed and no URL was seen.
Cost          none counted, since the task is not recorded as completed.
Read from     tasks.jsonl.
"""
    )


def test_task_that_does_not_exist_yet(tmp_path: Path) -> None:
    """
    A task created after the instant asked about has no file yet.
    """
    text = explain(tmp_path, [FLUX], "t-1", "2026-03-01T12:05:00Z")
    assert (
        text
        == """\
Task t-1: Flux, txt2img, status completed. Asked as of 2026-03-01T12:05:00Z.

File          none.
Answer        no answer is due (not_yet_created). The task was submitted or finished after as_of. It
              was finished at 2026-03-01T12:10:00Z, 5 minutes later.
Cost          not recorded.
Read from     tasks.jsonl.
"""
    )


def test_addresses_that_disagree(tmp_path: Path) -> None:
    """
    One file under two addresses that tell different facts has none of them, and the explanation says so.
    """
    film = "https://storage.theapi.app/videos/1.mp4"
    video = {"resource": film, "resource_without_watermark": film}
    record = task("kling", "video_generation", {"works": [{"video": video}]})
    text = explain(tmp_path, [record], "kling/t-1/video_watermarked/1", "2026-03-02T12:00:00Z")
    assert (
        text
        == """\
Task t-1: Kling, video_generation, status completed. Asked as of 2026-03-02T12:00:00Z.

File          video_watermarked (video, on storage.theapi.app).
Answer        not settled by what is recorded (undetermined). It depends on what is not known:
              watermark.
Save before   2026-03-04T12:00:00Z (2 days left), the earliest deadline that may apply.
Counted from  "creation", which may mean submission (2026-03-01T12:00:00Z) or completion
              (2026-03-01T12:10:00Z). The answer is the same either way.
Conflict      addresses of this file say different things of it; what they disagree on is not known.
Watermark     not known. With a watermark: in the vendor's hands. Without a watermark: active,
              deadline 2026-03-04T12:00:00Z (2 days left). To know, look at the field of the task's
              `output` in which the URL stands; the catalog knows `works[].video.resource` (with a
              watermark), `works[].video.resource_without_watermark` (without a watermark), `video`
              (without a watermark), `works[].image.resource` (with a watermark) and 1 more.
Operations    extend_video and lip_sync: no rule says until when they are accepted (ungoverned).
Rule          kling-clean v1 (Kling, not watermarked): kept on the platform for 3 days; since when
              is not stated.
Rule          kling-watermarked v1 (Kling, watermarked): kept by the vendor on its own terms; since
              when is not stated.
Source        Output Storage, "Kling API"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          storage.theapi.app belongs to piapi; no rule settles who holds the file, so this
              proves nothing.

Cost          not recorded.
Read from     tasks.jsonl.
"""
    )


def test_rules_that_begin_between_the_readings(tmp_path: Path) -> None:
    """
    Where the rules changed between submission and completion, the two readings fall under different rules.
    """
    pack = beginning("flux", "2026-03-01T12:05:00Z")
    text = explain(tmp_path, [FLUX], "t-1", "2026-03-02T12:00:00Z", pack=pack)
    assert (
        text
        == """\
Task t-1: Flux, txt2img, status completed. Asked as of 2026-03-02T12:00:00Z.

File          image (image, on img.theapi.app).
Answer        not settled by what is recorded (undetermined). The rules changed between the first
              and the last possible creation.
Save before   2026-03-04T12:10:00Z (2 days 10 minutes left), the earliest deadline that may apply.
Counted from  "creation", which may mean submission (2026-03-01T12:00:00Z) or completion
              (2026-03-01T12:10:00Z). The answers differ: without a rule counted from submission,
              active counted from completion.
Rule          flux v1 (Flux): kept on the platform for 3 days; in force from 2026-03-01T12:05:00Z.
Source        Output Storage, "Flux API & Faceswap API"; published, read on 2026-11-22.
              https://piapi.ai/docs/output-storage
Host          img.theapi.app belongs to piapi; no rule settles who holds the file, so this proves
              nothing.

Cost          not recorded.
Read from     tasks.jsonl.
"""
    )


def test_hostile_text(tmp_path: Path) -> None:
    """
    Control characters, line breaks, bidirectional marks and log commands of an export are made visible or harmless.
    """
    record = task(
        "evil\x1b[2J\nmodel",
        "::error::type",
        {"a": "https://evil.example/\u202egnp.exe?=\u200b##[command]"},
        task_id=HOSTILE,
        status="done\r\n::warning::x",
    )
    text = explain(tmp_path, [record], HOSTILE, "2026-03-02T12:00:00Z", show_urls=True)
    assert (
        text
        == r"""
Task id\x1b]0;title\x07\n::add-mask::x: service not known, \::error::type, status
done\r\n::warning::x. Asked as of 2026-03-02T12:00:00Z.

File          unlisted (media not known, on evil.example).
URL           https://evil.example/\u202egnp.exe?=\u200b##[command]
Answer        not settled by what is recorded (undetermined). The catalog does not list the model
              `evil\x1b[2J\nmodel` with the task type `::error::type`, so no rule can be chosen. If
              it is another name of a service, add it to the rule pack's catalog.
Host          whose evil.example is, the rule pack does not know; it speaks neither for nor against
              the answer.

Cost          none counted, since the task is not recorded as completed.
Read from     tasks.jsonl.
""".lstrip("\n")
    )


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
@pytest.mark.parametrize("as_of", ["2026-03-02T12:00:00Z", "2026-03-04T12:05:00Z", "2027-03-04T12:05:00Z"])
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
    hidden = explain(tmp_path, [LUMA], "t-1", "2026-03-02T12:00:00Z")
    assert "https://storage.cdn-luma.com" not in hidden and "storage.cdn-luma.com" in hidden
    shown = explain(tmp_path, [LUMA], "t-1", "2026-03-02T12:00:00Z", show_urls=True).splitlines()
    assert "URL           https://storage.cdn-luma.com/a/film.mp4?Expires=1772540000&Signature=abc" in shown
    assert "URL           https://storage.cdn-luma.com/a/raw.mp4" in shown


def test_one_file_by_its_asset_id(tmp_path: Path) -> None:
    """
    An asset id explains that file alone, also where the task id holds slashes.
    """
    record = {**KLING, "task_id": "a/b"}
    (found,) = trace(tmp_path, [record], "kling/a/b/video_clean/1", "2026-03-02T12:00:00Z")
    assert [file.asset_id for group in found.groups for file in group.files] == ["kling/a/b/video_clean/1"]
    assert found.cost.files == 2


def test_one_id_under_two_services(tmp_path: Path) -> None:
    """
    Two services may use one task id; then both tasks are explained.
    """
    found = trace(tmp_path, [FLUX, KLING], "t-1", "2026-03-02T12:00:00Z")
    assert [one.service.id for one in found if one.service] == ["flux", "kling"]
    assert render_explanation(found).count("Task t-1: ") == 2


def test_id_of_a_model_that_the_catalog_does_not_know(tmp_path: Path) -> None:
    """
    Also the asset id of an unknown service finds its file.
    """
    record = task("who/what", None, {"a": "https://img.theapi.app/temp/a.png"})
    (found,) = trace(tmp_path, [record], "unknown:who/what/t-1/unlisted/1", "2026-03-02T12:00:00Z")
    assert len(found.groups) == 1


def test_many_files_are_counted(tmp_path: Path) -> None:
    """
    Of many files with one answer the first are named and the rest counted.
    """
    record = task("gemini", None, {"image_urls": [f"https://img.theapi.app/ephemeral/{n}.png" for n in range(30)]})
    text = explain(tmp_path, [record], "t-1", "2026-03-02T12:00:00Z")
    assert "image/7, image/8 and 22 more" in " ".join(text.split())


def test_line_numbers_of_a_long_file(tmp_path: Path) -> None:
    """
    The line of a record is counted from the beginning of its file, however long that is.
    """
    padding = {**FLUX, "input": {"prompt": "x" * 100_000}}
    records = [{**padding, "task_id": f"pad-{number}"} for number in range(100)]
    (found,) = trace(tmp_path, [*records, FLUX], "t-1", "2026-03-02T12:00:00Z")
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
        trace(tmp_path, [FLUX, {**FLUX, "task_id": "other"}], wanted, "2026-03-02T12:00:00Z")
    (problem,) = caught.value.problems
    assert (problem.message, problem.help) == (message, help_text)


def test_records_set_aside_may_be_the_ones_meant(tmp_path: Path) -> None:
    """
    Where records were unusable, the problem says that the id may have stood in one of them.
    """
    with pytest.raises(NothingToEvaluate) as caught:
        trace(tmp_path, [{**FLUX, "task_id": ""}, KLING], "zzzzzz", "2026-03-02T12:00:00Z")
    (problem,) = caught.value.problems
    assert problem.help == "records read: 2; set aside as unusable, so that they may be the ones meant: 1"


def test_history_without_records(tmp_path: Path) -> None:
    """
    A history that holds no record at all is another problem than an id that is not in it.
    """
    page = {"code": 200, "data": {"data": [], "page": 1, "total": 0}}
    with pytest.raises(NothingToEvaluate) as caught:
        trace(tmp_path, [page], "t-1", "2026-03-02T12:00:00Z")
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
        for one in explain_task(sources, PACK, options, task_id):
            assert render_explanation([one])
            for group in one.groups:
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
    assert min(one.expires_earliest or 0 for one in answers) == answer.expires_earliest
    assert max(one.expires_latest or 0 for one in answers) == answer.expires_latest
    assert min(one.closes_earliest or 0 for one in answers) == answer.closes_earliest
    assert max(one.closes_latest or 0 for one in answers) == answer.closes_latest


def test_unreadable_fields_of_the_last_row_of_a_table(tmp_path: Path) -> None:
    """
    What could not be read is told wherever in a table the row stands, also at its end.
    """
    path = tmp_path / "tasks.csv"
    path.write_text("task_id,model,consume\na,flux,7\nb,flux,many\nb,flux,more\n", encoding="utf-8")
    options = RunOptions(Question(parse_instant("2026-03-02T12:00:00Z"), PACK.horizon, PACK.operation_horizon))
    (found,) = explain_task(find_sources([str(path)]).sources, PACK, options, "b")
    assert [(place, field) for place, field, _ in found.unreadable] == [
        ("tasks.csv:3", "consume"), ("tasks.csv:4", "consume"),
    ]  # fmt: skip
