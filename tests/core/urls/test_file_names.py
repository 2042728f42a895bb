"""Names of files: whatever an id says, its parts of a path are harmless, and a copy is found again under them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.urls.file_names import (
    archive_folder,
    base_name,
    file_ending,
    is_telling,
    path_part,
    without_ending,
)

PLAIN = re.compile(r"[A-Za-z0-9%_~-]([A-Za-z0-9._%~-]*[A-Za-z0-9%_~-])?")
DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(10))}


@given(st.text(max_size=300))
def test_parts_are_harmless(text: str) -> None:
    """
    A part holds nothing but letters, digits and four signs, no dot at an end, no device, and at most 100 characters.
    """
    part = path_part(text)
    assert PLAIN.fullmatch(part)
    assert len(part) <= 100
    assert part.partition(".")[0].lower() not in DEVICES


@given(st.lists(st.text(max_size=140), min_size=2, max_size=2, unique=True))
def test_parts_tell_texts_apart(texts: list[str]) -> None:
    """
    Different texts give different parts.
    """
    assert path_part(texts[0]) != path_part(texts[1])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("04e1-A_b.c", "04e1-A_b.c"), ("..", "%2E%2E"), (".", "%2E"), ("", "%00"), ("a/../b", "a%2F..%2Fb"),
        ("C:\\x", "C%3A%5Cx"), ("CON", "%43ON"), ("nul.txt", "%6Eul.txt"), ("\u00e9", "%C3%A9"),
        ("a\n dir=/etc", "a%0A%20dir%3D%2Fetc"),
    ],
)  # fmt: skip
def test_parts_as_written(text: str, part: str) -> None:
    """
    Plain names stay as they are; what could lead elsewhere or mean something is spelt out.
    """
    assert path_part(text) == part


def test_archive_folder_keeps_odd_ids_apart() -> None:
    """
    Service, task, output and ordinal are four parts, also when an id holds slashes.
    """
    assert archive_folder("kling/t-1/video/2", "t-1") == ("kling", "t-1", "video", "2")
    assert archive_folder("unknown:a/b/../t/x/y/1", "../t") == ("unknown%3Aa%2Fb", "%2E.%2Ft", "x%2Fy", "1")


@pytest.mark.parametrize(
    ("url", "name", "ending"),
    [
        ("https://a.example/x/y%20z.MP4?Expires=1", "y z.MP4", ".mp4"),
        ("https://a.example", "", ""),
        ("https://a.example/x/", "", ""),
        ("https://a.example/video", "video", ""),
        ("https://a.example/video.tar.gz", "video.tar.gz", ".gz"),
        ("https://a.example/v.mp4%0Adir=", "v.mp4\ndir=", ""),
        ("https://a.example/x.averylongending", "x.averylongending", ""),
    ],
)
def test_names_in_urls(url: str, name: str, ending: str) -> None:
    """
    The name is the last part of the path, decoded; an ending is a short word and nothing else.
    """
    assert base_name(url) == name
    assert file_ending(url) == ending


def test_telling_names() -> None:
    """
    A name stands for one file only when it has 16 letters and digits, 4 of them digits, before its ending.
    """
    telling = ["67b7915e-0efc-4a10-a4fd-1aeb4e974e3c.png", "242863550290968_v1.mp4", "user_prompt_words_2026.png"]
    assert all(map(is_telling, telling))
    assert not any(map(is_telling, ["0_2.png", "video.mp4", "clip_watermarked_video_final.mp4", "20260105.mp4", ""]))
    assert without_ending("a.b.mp4") == "a.b"
    assert without_ending(".mp4") == ".mp4"
