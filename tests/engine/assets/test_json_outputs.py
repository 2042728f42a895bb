"""Promises of the column-wise way of finding files: what it finds is what the general way finds, or it leaves it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.engine.assets.json_outputs import JsonOutputs
from policy_engine.engine.assets.output_paths import OutputPaths
from policy_engine.packs import read_pack

CATALOG = read_pack("piapi").catalog
SERVICES = [service.id for service in CATALOG.services]
FILE = "https://img.theapi.app/temp/a.png"


def general(kinds: OutputPaths, service: str, output: Any) -> tuple[list[tuple[str, int, str]], int, int]:
    """Files as (name, ordinal, URL), previews and repetitions by the general way."""
    found = kinds.files_of(service, output)
    return (
        [(kinds.kinds[kind].name, ordinal, url) for kind, ordinal, url in found.files],
        found.previews,
        found.same_file,
    )


def check(service: str, outputs: list[Any]) -> list[int]:
    """Compare both ways for the outputs of one service; returns those that the column-wise way left."""
    kinds = OutputPaths(CATALOG)
    found = JsonOutputs(kinds, service).find([msgspec.json.encode(output) for output in outputs])
    files: dict[int, list[tuple[str, int, str]]] = {}
    for row, kind, ordinal, url in zip(found.rows, found.kinds, found.ordinals, found.urls, strict=True):
        files.setdefault(int(row), []).append((kinds.kinds[kind].name, int(ordinal), url))
    assert list(files) == sorted(files)
    previews = repeated = 0
    for row, output in enumerate(outputs):
        if row in found.left:
            assert row not in files
            continue
        expected = general(kinds, service, output)
        assert files[row] == expected[0]
        previews, repeated = previews + expected[1], repeated + expected[2]
    assert (found.previews, found.same_file) == (previews, repeated)
    return found.left


def _paths(service: str) -> list[str]:
    return [spec.path for one in CATALOG.services if one.id == service for spec in one.outputs]


def output_at(paths: dict[str, Any]) -> Any:
    """An output with values at catalog paths; `[]` and `{}` take one element per item of a list value."""

    def build(steps: list[str], value: Any, into: Any) -> Any:
        if not steps:
            return value
        step = steps[0]
        name = step.rstrip("[]{}")
        into = into if isinstance(into, dict) else {}
        below = into.get(name)
        if step.endswith("[]"):
            values = value if isinstance(value, list) else [value]
            old = below if isinstance(below, list) else []
            size = max(len(values), len(old))
            into[name] = [
                build(steps[1:], values[place], old[place] if place < len(old) else None)
                if place < len(values)
                else old[place]
                for place in range(size)
            ]
        elif step.endswith("{}"):
            values = value if isinstance(value, list) else [value]
            old = below if isinstance(below, dict) else {}
            into[name] = old | {
                f"k{9 - place}": build(steps[1:], one, old.get(f"k{9 - place}")) for place, one in enumerate(values)
            }
        else:
            into[name] = build(steps[1:], value, below)
        return into

    output: Any = {}
    for path, value in paths.items():
        output = build(path.split("."), value, output)
    return output


hosts = st.sampled_from(["https://img.theapi.app", "http://cdn.example", "https://CDN.Example", "HTTPS://x.example"])
urls = st.one_of(
    st.builds(
        lambda host, name, query: f"{host}/{name}{query}",
        hosts,
        st.sampled_from(["a.png", "b.png", "A.png", "a b.png", "ü.png", "a\tb.png", ""]),
        st.sampled_from(["", "?v=1", "?Expires=1767225600&Signature=x", "#f", "?u=https://other.example/z.png"]),
    ),
    st.sampled_from(["https://", "http://a", "ftp://x.example/a.png", f"{FILE} {FILE}", f"see {FILE}", f" {FILE}"]),
)
values: st.SearchStrategy[Any] = st.one_of(
    urls, urls, urls, st.sampled_from([None, "", "text", 7, True, {}, [], {"x": 1}, [FILE], {"url": FILE}])
)
lists = st.one_of(values, st.lists(values, max_size=3))
strangers = st.sampled_from(
    [{}, {"seed": 7}, {"else": FILE}, {"echo": {"deep": [FILE]}}, {"note": "a \\/ b"}, {"n": "\u00e9\n"}]
)


@st.composite
def outputs_of(draw: st.DrawFn, service: str) -> Any:
    """An output of a service: most values at listed paths, some at others, some of other kinds."""
    output = output_at(draw(st.dictionaries(st.sampled_from(_paths(service) or ["url"]), lists, max_size=5)))
    return draw(st.sampled_from([None, [], [FILE], FILE])) if draw(st.integers(0, 9)) == 0 else output | draw(strangers)


@given(st.data())
def test_both_ways_agree(data: st.DataObject) -> None:
    """Whatever stands in the outputs of a service, its files are those of the general way, or left to it."""
    service = data.draw(st.sampled_from(SERVICES))
    check(service, data.draw(st.lists(outputs_of(service), max_size=6)))


@pytest.mark.parametrize("service", SERVICES)
def test_the_usual_outputs_are_not_left(service: str) -> None:
    """One address at each listed path of a kind that makes files is found without the general way."""
    specs = [spec for one in CATALOG.services if one.id == service for spec in one.outputs]
    outputs = [
        output_at({spec.path: f"https://img.theapi.app/{place}.bin"}) | {"seed": 7, "note": "text"}
        for place, spec in enumerate(specs)
        if spec.kind == "file" and spec.path and not spec.path.startswith("[]")
    ]
    assert check(service, outputs) == []


@pytest.mark.parametrize(
    "text",
    [
        rb'{"image_url": "https:\/\/img.theapi.app\/temp\/a.png"}',
        rb'{"image_url": "https\u003a//img.theapi.app/temp/a.png"}',
        rb'{"image_url": "https://img.theapi.app/a.png", "image_url": "https://img.theapi.app/b.png"}',
        rb'{"image_url": "https://img.theapi.app/a.png", "other": "https:\u002F/img.theapi.app/b.png"}',
        rb'{"image_url": "https://img.theapi.app/a.png", "other": "https://img.theapi.app/b.png"}',
        rb'{"image_url": "https://img.theapi.app/a\u0009.png"}',
        rb'{"image_url": "https://img.theapi.app/a.png https://img.theapi.app/b.png"}',
        rb'{"image_url": 7}',
        rb"[]",
        rb"null",
    ],
)
def test_what_is_unusual_is_left(text: bytes) -> None:
    """An output with an escaped, doubled, hidden or odd address is left, and its neighbours are not."""
    plain = msgspec.json.encode({"image_url": FILE})
    found = JsonOutputs(OutputPaths(CATALOG), "flux").find([plain, text, plain])
    assert found.left == [1]
    assert found.rows.tolist() == [0, 2]
    assert found.urls == [FILE, FILE]


@pytest.mark.parametrize("stem", ["https://a.example/a", "https://img.theapi.app/ephemeral/0123456789/0_0"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (".png", ".png"),
        (".png", ".PNG"),
        (".png", ".png?a=1"),
        (".png?a=1", ".png?a=2"),
        (".png", ".png#a"),
        (".png#a", ".png#b"),
    ],
)
def test_one_file_at_two_addresses_is_left(stem: str, first: str, second: str) -> None:
    """Two addresses of one output that may be one file are left to the general way; those of two outputs are two."""
    other = "https://img.theapi.app/ephemeral/0123456789/0_1.png?a=1"
    one, same = stem + first, stem + second
    outputs = [[one, other], [other, same, one], [same], [same, one], [other, same], [other, other + "&b", stem + "-2"]]
    assert check("midjourney", [{"image_urls": listed} for listed in outputs]) == [1, 3, 5]
    assert check("midjourney", [{"image_urls": [one, other]}, {"image_urls": [stem + "-2.png", stem + "-3.png"]}]) == []


@pytest.mark.parametrize("beside", [{"resource": "https://cdn.example/a-marked.mp4"}, {}])
def test_another_address_of_a_file_that_is_not_there_is_left(beside: dict[str, str]) -> None:
    """An address that repeats another one of its output needs no look; without that one it may be the file itself."""
    usual = {"video_url": FILE, "works": [{"video": beside | {"resource_without_watermark": FILE}}]}
    alone = {"video_url": FILE, "works": [{"video": beside}]}
    assert check("kling", [usual, alone, usual]) == [1]


def test_files_of_one_name_are_numbered_through() -> None:
    """Files that have one name at several paths are numbered in the catalog's order, whatever stands between them."""
    folder = "https://img.theapi.app/ephemeral/0123456789"
    below = {"image_url": f"{folder}/3.png", "image_urls": [f"{folder}/4.png"]}
    listed = [f"{folder}/{at}.png" for at in (1, 2)]
    assert check("midjourney", [{"image_url": f"{folder}/0.png", "image_urls": listed, "task_result": below}] * 2) == []


def test_every_answer_is_counted_once() -> None:
    """Each output has files or is left, never both and never neither."""
    outputs = [{"image_url": FILE}, {}, {"image_url": f"{FILE}?v={1}"}, {"other": FILE}, {"image_url": ""}]
    found = JsonOutputs(OutputPaths(CATALOG), "flux").find([msgspec.json.encode(output) for output in outputs])
    assert Counter([*found.rows.tolist(), *found.left]) == Counter(range(len(outputs)))
