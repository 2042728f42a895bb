"""Outputs: which addresses are files, which are previews or the same file again, and that none is ever lost."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.urls.addresses import file_identity
from policy_engine.engine.assets.output_paths import OutputPaths, TaskFiles
from policy_engine.history import FlatFile, Outputs
from tests.support.exports import CLEAN, COVER, MARKED, kling_output, pack

Told = list[tuple[str, int, str]]


def files_of(service: str | None, output: Any) -> TaskFiles:
    """The files of an output by the bundled catalog."""
    return OutputPaths(pack().catalog).files_of(service, output)


def told(service: str | None, output: Any) -> Told:
    """(name, ordinal, URL) of the files of an output."""
    kinds = OutputPaths(pack().catalog)
    return [(kinds.kinds[kind].name, ordinal, url) for kind, ordinal, url in kinds.files_of(service, output).files]


def flat(url: str, output: str | None = None, **facts: str) -> FlatFile:
    """A file as a row of a table tells of it."""
    return FlatFile(url, output, facts.get("media"), facts.get("role"), facts.get("watermarked"))


def facts_of(service: str | None, output: Any) -> list[tuple[str, str | None, str | None, str | None, bool]]:
    """(name, media, role, watermarked, in conflict) of the files of an output."""
    kinds = OutputPaths(pack().catalog)
    found = [kinds.kinds[kind] for kind, _, _ in kinds.files_of(service, output).files]
    return [(kind.name, kind.media, kind.role, kind.watermarked, kind.is_conflicting) for kind in found]


# --- Services --------------------------------------------------------------------------------------------


def test_kling_leaves_two_files() -> None:
    """The watermarked and the clean video are files, the cover is a preview, and `video_url` is the clean one again."""
    found = files_of("kling", kling_output())
    assert told("kling", kling_output()) == [("video_watermarked", 1, MARKED), ("video_clean", 1, CLEAN)]
    assert (found.previews, found.same_file) == (1, 1)
    assert COVER not in [url for _, _, url in found.files]


def test_kling_clean_file_known_from_its_second_address_only() -> None:
    """The second address of a file stands for it where the first is missing."""
    assert told("kling", {"video_url": CLEAN}) == [("video_clean", 1, CLEAN)]
    assert facts_of("kling", {"video_url": CLEAN}) == [("video_clean", "video", "main", "false", False)]


def test_several_works_are_numbered() -> None:
    """Several works of one task are several files, in the order of the list."""
    output = {"works": [work for number in (7, 5, 6) for work in kling_output(number)["works"]]}
    clean = [
        (name, ordinal, url.rsplit("/", 1)[1]) for name, ordinal, url in told("kling", output) if name == "video_clean"
    ]
    assert clean == [("video_clean", 1, "7.mp4"), ("video_clean", 2, "5.mp4"), ("video_clean", 3, "6.mp4")]


def test_midjourney_crops_are_the_same_file() -> None:
    """The crops of a picture are the picture; copies with the vendor and in the chat are files of their own."""
    main = "https://img.theapi.app/mj/m-1.png"
    output = {
        "image_url": main,
        "temporary_image_urls": [f"https://img.theapi.app/cdn-cgi/image/trim={n};0;0;{n}/mj/m-1.png" for n in range(4)],
        "image_urls": [f"https://cdn.midjourney.com/u/0_{n}.png" for n in range(4)],
        "discord_image_url": "https://cdn.discordapp.com/attachments/1/2/a.png?ex=695f0000&is=695dae80&hm=ab&",
        "intermediate_image_urls": ["https://cdn.midjourney.com/i/1.webp"],
        "actions": ["upscale1"],
        "progress": 100,
    }
    found = files_of("midjourney", output)
    assert (len(found.files), found.previews, found.same_file) == (6, 1, 4)
    assert [name for name, _, _ in told("midjourney", output)] == ["image", *["vendor_copy"] * 4, "discord_copy"]


def test_crops_alone_are_one_file() -> None:
    """Where only crops are left, they are one file, known by the first of them."""
    crops = [f"https://img.theapi.app/cdn-cgi/image/trim={n};0;0;{n}/mj/m-1.png" for n in range(4)]
    assert told("midjourney", {"image_url": "", "temporary_image_urls": crops}) == [("image", 1, crops[0])]


@given(st.randoms())
def test_suno_clips_are_numbered_whatever_their_order(chance: random.Random) -> None:
    """A map of clips has no order: the same clips give the same files with the same numbers."""
    clips = {
        f"c-{number}": {
            "audio_url": f"https://cdn1.suno.ai/c-{number}.mp3",
            "video_url": f"https://cdn1.suno.ai/c-{number}.mp4",
            "image_url": f"https://cdn1.suno.ai/image_c-{number}.png",
        }
        for number in range(5)
    }
    order = list(clips)
    chance.shuffle(order)
    assert told("suno", {"clips": {key: clips[key] for key in order}}) == told("suno", {"clips": clips})
    assert told("suno", {"clips": clips})[:2] == [
        ("audio", 1, "https://cdn1.suno.ai/c-0.mp3"),
        ("audio", 2, "https://cdn1.suno.ai/c-1.mp3"),
    ]


def test_order_of_keys_means_nothing() -> None:
    """Fields of an object in another order give the same files in the same order."""
    output = kling_output()
    turned = dict(reversed(output.items()))
    turned["works"] = [{name: dict(reversed(part.items())) if isinstance(part, dict) else part
                        for name, part in reversed(output["works"][0].items())}]  # fmt: skip
    assert told("kling", turned) == told("kling", output)


def test_text_below_a_listed_list() -> None:
    """A text where the catalog lists a list, or a list where it lists a text, is an unlisted file."""
    assert told("gemini", {"image_urls": CLEAN}) == [("unlisted", 1, CLEAN)]
    assert told("flux", {"image_url": [CLEAN]}) == [("unlisted", 1, CLEAN)]


def test_echoes_of_the_input_are_no_files() -> None:
    """An address that the output repeats from the input is counted and makes no asset."""
    output = {
        "video_url": CLEAN,
        "download_url": CLEAN,
        "cover_url": COVER,
        "prompt_img_url": "https://example.org/in.png",
    }
    found = files_of("hailuo", output)
    assert (len(found.files), found.previews, found.same_file) == (1, 2, 1)


# --- Unlisted files --------------------------------------------------------------------------------------


def test_unlisted_files_are_ordered_by_their_address() -> None:
    """Files at no listed path come last, in the order of their addresses, each address once."""
    output = {"image_url": "https://img.theapi.app/1.png", "z": ["https://b.example/2", "https://a.example/1"],
              "y": {"deep": {"er": "https://b.example/2?Expires=1767900000"}}}  # fmt: skip
    assert told("flux", output) == [
        ("image", 1, "https://img.theapi.app/1.png"),
        ("unlisted", 1, "https://a.example/1"),
        ("unlisted", 2, "https://b.example/2"),
    ]
    assert files_of("flux", output).same_file == 1


def test_unlisted_address_of_a_listed_file_is_that_file() -> None:
    """A file found at a listed and at an unlisted path is the listed one."""
    output = {"extra": CLEAN + "?Expires=1767900000", "image_url": CLEAN}
    assert told("flux", output) == [("image", 1, CLEAN)]


@pytest.mark.parametrize("service", [None, "no-such-service"])
def test_unknown_services_keep_all_addresses(service: str | None) -> None:
    """Without a catalog entry every address is an unlisted file."""
    assert sorted(url for _, _, url in told(service, kling_output())) == sorted([CLEAN, COVER, MARKED])


@pytest.mark.parametrize(
    "output", [None, {}, [], "", "text", 7, {"image_url": None}, {"image_url": 7}, [[]], Outputs()]
)
def test_outputs_without_an_address(output: Any) -> None:
    """An output without an address has no files, and nothing to count."""
    assert files_of("flux", output) == TaskFiles([])


# --- Tables ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["works[].video.resource_without_watermark", "video_clean"])
def test_table_names_an_output_by_path_or_name(output: str) -> None:
    """A row that names the output of the catalog has the catalog's facts."""
    assert facts_of("kling", flat(CLEAN, output)) == [("video_clean", "video", "main", "false", False)]


def test_table_names_a_preview_or_a_second_address() -> None:
    """A row for a preview makes no asset; a row for a second address is the file when nothing else is."""
    assert files_of("kling", flat(COVER, "works[].cover.resource")) == TaskFiles([], previews=1)
    assert told("kling", flat(CLEAN, "video_url")) == [("video_clean", 1, CLEAN)]


def test_table_names_nothing() -> None:
    """A row with an address only is an unlisted file."""
    assert facts_of("kling", flat(CLEAN)) == [("unlisted", None, "unlisted", None, False)]
    assert facts_of("kling", flat(CLEAN, "no such output")) == [("unlisted", None, "unlisted", None, False)]


def test_table_states_facts() -> None:
    """
    Facts that a row states are taken where the catalog is silent, and what they cannot be is unknown.

    A row without a role is about an unlisted file; one whose role the service does not have is about any.
    """
    assert facts_of(None, flat(CLEAN, "final cut", media="video", watermarked="true")) == [
        ("final cut", "video", "unlisted", "true", False)
    ]
    assert facts_of("flux", flat(CLEAN, "image", watermarked="false")) == [("image", "image", "main", "false", False)]
    assert facts_of("flux", flat(CLEAN, media="")) == [("file", None, "unlisted", None, False)]
    assert facts_of("flux", flat(CLEAN, role="")) == [("file", None, None, None, False)]
    assert facts_of("flux", flat(CLEAN, role="try_on")) == [("file", None, None, None, False)]
    assert facts_of("kling", flat(CLEAN, role="try_on")) == [("file", None, "try_on", None, False)]
    assert facts_of("kling", flat(CLEAN, "video_clean", role="")) == [("video_clean", "video", "main", "false", False)]


def test_table_contradicts_the_catalog() -> None:
    """Where a row says otherwise than the catalog, the fact is unknown and the file in conflict."""
    assert facts_of("kling", flat(CLEAN, "video_clean", watermarked="true")) == [
        ("video_clean", "video", "main", None, True)
    ]
    assert facts_of("kling", flat(CLEAN, "video_clean", watermarked="false")) == [
        ("video_clean", "video", "main", "false", False)
    ]


def test_silence_contradicts_nothing() -> None:
    """A row that states one fact of a file leaves the others as the task object tells them."""
    both = Outputs([kling_output(), flat(CLEAN, media="video")])
    assert ("video_clean", "video", "main", "false", False) in facts_of("kling", both)


# --- Conflicts -------------------------------------------------------------------------------------------


def test_addresses_that_disagree_on_a_fact() -> None:
    """One file at two paths that tell different facts: what they disagree on is unknown."""
    output = kling_output()
    output["works"][0]["video"]["resource"] = CLEAN
    assert facts_of("kling", output) == [("video_watermarked", "video", "main", None, True)]


@given(st.permutations([flat(CLEAN, "a", watermarked="true"), flat(CLEAN, "a", watermarked="false"),
                        flat(CLEAN, "a", watermarked="true"), flat(CLEAN, "a", media="video")]))  # fmt: skip
def test_dispute_does_not_depend_on_the_order(rows: list[FlatFile]) -> None:
    """A fact once disputed stays unknown, in whatever order the addresses come."""
    assert facts_of(None, Outputs(rows)) == [("a", "video", "unlisted", None, True)]


# --- No address is ever lost -----------------------------------------------------------------------------

KEYS = [
    "image_url", "image_urls", "temporary_image_urls", "video", "url", "video_url", "works", "resource", "cover",
    "resource_without_watermark", "clips", "c-1", "audio_url", "songs", "song_path", "thumbnail", "generation", "x",
    "y",
]  # fmt: skip
SERVICES = [None, *(service.id for service in pack().catalog.services)]

addresses = st.one_of(
    st.builds("https://{}/{}{}".format, st.sampled_from(["a.example", "b.example"]), st.integers(0, 5),
              st.sampled_from(["", "?Expires=1767900000", "?id=1", "#f"])),
    st.sampled_from(["HTTP://C.example/1", " https://d.example/1 ", "hTTps://e.example/;?&=", "http://\u00e9.example/\U0001f600"]),
)  # fmt: skip
leaves = st.one_of(
    addresses, addresses, st.none(), st.integers(), st.booleans(), st.sampled_from(["", "text", "httpd", "http:"])
)
outputs = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)),
    max_leaves=20,
)


def addresses_in(value: Any) -> list[str]:
    """Every http(s) text in a decoded value."""
    if isinstance(value, str):
        return [value.strip()] if value.strip().lower().startswith(("http://", "https://")) else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [address for one in inner for address in addresses_in(one)]


@given(st.sampled_from(SERVICES), outputs)
def test_no_address_is_lost(service: str | None, output: Any) -> None:
    """Every http(s) text anywhere in an output ends as a file, as a preview, or as another address that is counted."""
    present = addresses_in(output)
    found = files_of(service, output)
    assert len(found.files) + found.previews + found.same_file == len(present)
    files = {file_identity(url) for _, _, url in found.files}
    assert files <= {file_identity(address) for address in present}
    assert len(files) == len(found.files)
    if service is None:
        assert files == {file_identity(address) for address in present}


@given(st.sampled_from(SERVICES), st.lists(outputs, min_size=1, max_size=3))
def test_no_address_is_lost_in_merging(service: str | None, several: list[Any]) -> None:
    """The same holds for the outputs of several records together, and a file of one of them is a file of all."""
    together = files_of(service, Outputs(several))
    assert len(together.files) + together.previews + together.same_file == len(addresses_in(several))
    counted = together.files or together.previews or together.same_file
    assert bool(counted) == any(addresses_in(one) for one in several)


@given(st.sampled_from(SERVICES), outputs)
def test_numbers_are_those_of_the_names(service: str | None, output: Any) -> None:
    """Files of one name are numbered from 1 without a gap, so that no two assets of a task share an id."""
    names: dict[str, list[int]] = {}
    for name, ordinal, _ in told(service, output):
        names.setdefault(name, []).append(ordinal)
    assert all(ordinals == list(range(1, len(ordinals) + 1)) for ordinals in names.values())
