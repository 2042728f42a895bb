"""Promises of outputs: every address that a task left is found, whatever holds it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.exports import (
    IMAGE,
    read_records,
    task,
)


@pytest.mark.parametrize(
    ("output", "urls"),
    [
        ({"image_url": IMAGE}, [IMAGE]),
        (IMAGE, [IMAGE]),
        ([IMAGE, "https://img.theapi.app/temp/402.png"], [IMAGE, "https://img.theapi.app/temp/402.png"]),
        ([{"image_url": IMAGE}], [IMAGE]),
        (json.dumps({"image_url": IMAGE}), [IMAGE]),
        (json.dumps([IMAGE]), [IMAGE]),
        (f"  {IMAGE}\n", [IMAGE]),
    ],
)
def test_output_of_every_kind_that_holds_a_url(tmp_path: Path, output: object, urls: list[str]) -> None:
    """An output may be an object, a text, a list or JSON within a text; its URLs are assets in every case."""
    assert read_records(tmp_path, task(output=output)).urls == urls


@pytest.mark.parametrize("output", [..., "", {}, []])
def test_output_that_is_not_there(tmp_path: Path, output: object) -> None:
    """A finished task none of whose records carries an output is expected to have left its file."""
    row = read_records(tmp_path, task(output=output)).one
    assert (row["url"], row["evidence"], row["asset_id"]) == (None, "expected", "flux/t-1/image/1")


def test_output_null(tmp_path: Path) -> None:
    """An output of null is none."""
    record = task()
    record["output"] = None
    assert read_records(tmp_path, record).one["evidence"] == "expected"


@pytest.mark.parametrize(
    "output", ["done", {"image_url": "", "image_base64": "aGVsbG8="}, ["", None], {"n": 7}, 7, True]
)
def test_output_without_a_url(tmp_path: Path, output: object) -> None:
    """An output without any URL is counted as such, and nothing is expected beside it."""
    assert read_records(tmp_path, task(output=output)).without == {"output_without_url": 1}


def test_video_is_an_object_for_one_service_and_text_for_another(tmp_path: Path) -> None:
    """`video` is read by the catalog of each service: an object for one, an address for the other."""
    luma = {"video": {"url": "https://storage.cdn-luma.com/a/1_watermarked.mp4", "width": 1}, "video_raw": None}
    sora = {"video": "https://img.theapi.app/ephemeral/1.mp4"}
    reading = read_records(
        tmp_path,
        task("l-1", "luma", luma, task_type="video_generation"),
        task("s-1", "sora2", sora, task_type="sora2-video"),
    )
    assert [row["asset_id"] for row in reading.rows] == ["luma/l-1/video/1", "sora2/s-1/video/1"]
    assert [row["watermarked"] for row in reading.rows] == ["true", None]
    assert [row["role"] for row in reading.rows] == ["main", "main"]


def test_video_of_the_other_kind_is_not_lost(tmp_path: Path) -> None:
    """An address at a path of which the catalog knows another kind is an asset of its own, with role unlisted."""
    row = read_records(tmp_path, task(model="luma", output={"video": "https://storage.cdn-luma.com/a/1.mp4"})).one
    assert (row["role"], row["watermarked"]) == ("unlisted", None)
