"""Promises of finding the files of many tasks of tables at once: the answer is the general one, or left to it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policy_engine.engine.assets.output_paths import OutputPaths
from policy_engine.engine.assets.table_outputs import find_table_files, is_table_output
from policy_engine.history import FlatFile, Outputs
from policy_engine.packs import read_pack

CATALOG = read_pack("piapi").catalog
SERVICES = [None, *(service.id for service in CATALOG.services)]
NAMES = [None, "no such name", *sorted({spec.name for one in CATALOG.services for spec in one.outputs})]
PATHS = sorted({spec.path for one in CATALOG.services for spec in one.outputs})
URLS = st.sampled_from([
    "https://img.theapi.app/temp/0d9f2a61-7f3b-4f83-9c55-5d2f4f1f4c01.png",
    "https://img.theapi.app/temp/0d9f2a61-7f3b-4f83-9c55-5d2f4f1f4c01.png?x=1",
    "https://img.theapi.app/temp/0d9f2a61-7f3b-4f83-9c55-5d2f4f1f4c01.png?x=2#y",
    "HTTPS://IMG.theapi.app/temp/0d9f2a61-7f3b-4f83-9c55-5d2f4f1f4c01.png",
    "https://img.theapi.app/temp/0D9F2A61-7f3b-4f83-9c55-5d2f4f1f4c01.png",
    "https://img.theapi.app/temp/7aa90c4e-0b50-4c8f-bd7a-0a6a1f0b2c02.png",
    "https://img.theapi.app/temp/a video with blanks é.mp4",
    "https://a.b/c", "https://a.b/d",
])  # fmt: skip
FILES = st.builds(
    FlatFile,
    URLS,
    st.sampled_from([*NAMES, *PATHS]),
    st.sampled_from([None, None, "image", "video", "smell"]),
    st.sampled_from([None, None, "clean", "output"]),
    st.sampled_from([None, None, "true", "false"]),
)
TASKS = st.tuples(
    st.sampled_from(SERVICES), st.one_of(FILES, st.lists(FILES, min_size=1, max_size=4).map(Outputs))
)  # fmt: skip


@given(st.lists(TASKS, min_size=1, max_size=12))
def test_equals_the_general_way(tasks: list[tuple[str | None, FlatFile | Outputs]]) -> None:
    """Files, their order, their numbers, previews and repetitions are those that a look at each task gives."""
    kinds = OutputPaths(CATALOG)
    found = find_table_files(kinds, [service for service, _ in tasks], [output for _, output in tasks])
    files: dict[int, list[tuple[int, int, str]]] = {}
    for row, kind, ordinal, url in zip(found.rows, found.kinds, found.ordinals, found.urls, strict=True):
        files.setdefault(int(row), []).append((int(kind), int(ordinal), url))
    assert list(files) == sorted(files)
    previews = repeated = 0
    for row, (service, output) in enumerate(tasks):
        if row in found.left:
            assert row not in files
            continue
        expected = kinds.files_of(service, output)
        assert files[row] == expected.files
        previews, repeated = previews + expected.previews, repeated + expected.same_file
    assert (found.previews, found.same_file) == (previews, repeated)


def test_what_is_taken() -> None:
    """Ordinary tasks are not left: one file, known or not, and several known ones in the order of the catalog."""
    kinds = OutputPaths(CATALOG)
    service = next(one for one in CATALOG.services if sum(spec.kind == "file" for spec in one.outputs) > 1)
    first, second = [spec.name for spec in service.outputs if spec.kind == "file"][:2]
    flat = [FlatFile(f"https://a.b/{place}", name, None, None, None) for place, name in enumerate((first, second))]
    unlisted = FlatFile("https://a.b/9", None, None, None, None)
    several = Outputs(reversed(flat))
    found = find_table_files(kinds, [service.id, None, service.id], [flat[1], unlisted, several])
    assert found.left == []
    assert found.rows.tolist() == [0, 1, 2, 2]
    assert [kinds.kinds[kind].name for kind in found.kinds] == [second, "unlisted", first, second]
    assert found.ordinals.tolist() == [1, 1, 1, 1]


def test_what_is_left() -> None:
    """Two files with one address, and a file at no known place beside others, are left to the general way."""
    kinds = OutputPaths(CATALOG)
    known = FlatFile("https://a.b/1", None, "image", None, None)
    again = FlatFile("https://a.b/1?x=1", None, "video", None, None)
    unlisted = FlatFile("https://a.b/2", None, None, None, None)
    found = find_table_files(kinds, [None, None], [Outputs([known, again]), Outputs([known, unlisted])])
    assert found.left == [0, 1]


def test_what_is_flat() -> None:
    """Only files that rows of tables name are taken, alone or together."""
    file = FlatFile("https://a.b/1", None, None, None, None)
    assert is_table_output(file)
    assert is_table_output(Outputs([file, file]))
    assert not any(map(is_table_output, (None, b"{}", {}, [], Outputs(), Outputs([file, {"url": file.url}]))))
