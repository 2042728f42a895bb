"""Inventories: what counts as a copy of a file, in every form a list of copies has, and what is refused."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from policy_engine.annotations import Inventory, read_inventory
from policy_engine.annotations.inventory import hash_texts
from policy_engine.core.periods import parse_instant
from policy_engine.core.problems import InputUnusable
from tests.support.exports import AS_OF, write

UUID = "67b7915e-0efc-4a10-a4fd-1aeb4e974e3c"
URL = f"https://img.example/temp/{UUID}.png"
FINDINGS = pd.DataFrame({
    "asset_id": ["flux/one/image/1", "kling/two/video_clean/1", "kling/two/video_marked/1", "mj/th?ree/copy/2"],
    "task_id": ["one", "two", "two", "th?ree"],
    "url": [URL, "https://cdn.example/v.mp4?Expires=1790000000&Signature=x", None, "https://cdn.example/a/0_2.png?v=1"],
})  # fmt: skip


def held(inventory: Inventory) -> list[bool]:
    """What the inventory says of the findings above."""
    found: list[bool] = inventory.holds(FINDINGS)[0].tolist()
    return found


def of(tmp_path: Path, text: str | bytes, name: str = "have.txt") -> Inventory:
    """Write an inventory and read it."""
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_inventory(path, name, parse_instant(AS_OF))


ONE, TWO, MARKED, THREE, NOTHING = (
    [True, False, False, False], [False, True, False, False], [False, False, True, False], [False, False, False, True],
    [False] * 4,
)  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (URL, ONE),
        (f"https://IMG.example/temp/{UUID}.png#top", ONE),
        (f"./deep/er/{UUID}.png", ONE),
        (f"D:\\copies\\{UUID}.png", ONE),
        (f"https://elsewhere.example/{UUID}.png", ONE),
        ("flux/one/image/1", ONE),
        ("archive/flux/one/image/1.png", ONE),
        ("one", ONE),
        ("copies/one.png", ONE),
        ("https://cdn.example/v.mp4?Expires=1800000000&Signature=another", TWO),
        ("./kling/two/video_clean/1.mp4", TWO),
        ("kling/two/video_marked/1", MARKED),
        ("two", NOTHING),
        ("v.mp4", NOTHING),
        ("x/mj/th%3Free/copy/2.png", THREE),
        ("mj/th?ree/copy/2", THREE),
        ("https://cdn.example/a/0_2.png", NOTHING),
        ("0_2.png", NOTHING),
        ("flux/one/image/2.png", NOTHING),
        (f"{UUID}.jpg", NOTHING),
    ],
)
def test_lines_of_a_listing(line: str, expected: list[bool], tmp_path: Path) -> None:
    """
    A URL fits whatever its signature, a path by an asset id at its end or by a telling name, a task id one file only.
    """
    assert held(of(tmp_path, f"nothing/else.txt\r\n\n{line}\n")) == expected


@pytest.mark.parametrize(
    "text",
    [
        f"url\n{URL}\n", f"\ufeffurl,size\n{URL},5\n", f"size;url;more\n;{URL};x\n", f'"URL"\t"x"\n"{URL}"\t\n',
        "asset_id\nflux/one/image/1\n", "file,archived_at\nflux/one/image/1.png,2026-01-08T00:00:00Z\n",
        "task_id,size\none,00012\n", f"task_id,url\ntwo,{URL}\n", "task_id,file\none,movie.png\n",
    ],
)  # fmt: skip
def test_tables(text: str, tmp_path: Path) -> None:
    """
    A table is known by its header, with any of three delimiters; a task id counts only where nothing better is given.
    """
    assert held(of(tmp_path, text, "have.csv")) == ONE


@pytest.mark.parametrize(
    ("row", "counts"),
    [
        ("one,0,", (1, 0, 0)), ("one,000,", (1, 0, 0)), ("one,,2026-01-08T00:00:00.000000001Z", (0, 1, 0)),
        ("one,5,2026-01-08", (0, 0, 1)), ("one,5,2026-01-01T00:00:00", (0, 0, 1)), ("one,-1,", (0, 0, 1)),
        ("one,1 MB,", (0, 0, 1)), ("one,0x1,", (0, 0, 1)), (",5,", (0, 0, 1)), ("one,٣,", (0, 0, 1)),
    ],
)  # fmt: skip
def test_entries_that_are_no_copies(row: str, counts: tuple[int, int, int], tmp_path: Path) -> None:
    """
    An empty copy, one made after as_of, and one of which size or time cannot be read do not count, and are counted.
    """
    inventory = of(tmp_path, f"task_id,size,archived_at\n{row}\n", "have.csv")
    assert held(inventory) == NOTHING
    assert (inventory.empty, inventory.later, inventory.unreadable) == counts
    assert inventory.entries == 1
    assert bool(inventory.first_unreadable) == bool(counts[2])
    if counts[2]:
        assert inventory.first_unreadable.startswith("line 2: ")


def test_parquet(tmp_path: Path) -> None:
    """
    Parquet is read as CSV is, times with a zone included; a time without one is not guessed at.
    """

    def write_table(**columns: Any) -> Inventory:
        path = tmp_path / "have.any"
        pq.write_table(pa.table(columns), path)
        return read_inventory(path, "have.any", parse_instant(AS_OF))

    made = datetime(2026, 1, 8, tzinfo=UTC)
    assert held(write_table(task_id=["one"], size=[7], archived_at=pa.array([made], pa.timestamp("us", "UTC")))) == ONE
    assert held(write_table(url=[URL, None], other=[1.5, None])) == ONE
    late = pa.array([datetime(2026, 1, 8, 0, 0, 1, tzinfo=UTC)], pa.timestamp("ns", "Asia/Tokyo"))
    assert write_table(task_id=["one"], archived_at=late).later == 1
    naive = write_table(task_id=["one"], archived_at=pa.array([datetime(2026, 1, 1)], pa.timestamp("us")))  # noqa: DTZ001
    assert naive.unreadable == 1
    with pytest.raises(InputUnusable, match="no column that names files; it has a"):
        write_table(a=[1])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_and_packing(encoding: str, tmp_path: Path) -> None:
    """
    Listings as Windows writes them, and listings packed with gzip, read like others.
    """
    data = f"one.png\r\nnaïve.png\r\n{URL}\r\n".encode(encoding)
    assert held(of(tmp_path, data)) == ONE
    assert held(of(tmp_path, gzip.compress(data), "have.txt.gz")) == ONE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "has no entries"),
        (b"\n \n", "has no entries"),
        (b"\x00\x01\x02binary", "is binary"),
        (b"PAR1nothing", "Parquet file cannot be read"),
        (b"\x1f\x8bbroken", "cannot be read"),
        (b"name,when\na,b\n", "no column that names files; its first line is `name,when`"),
        (b"asset_id,url,verdict\na,b,active\n", "a table of findings, not an inventory"),
        (b"task_id\n" + b'"' + b"x\n" * 1_000_000, "the table cannot be read"),
        (b"task_id\n" + b'"' + b"x" * 20_000_000, "a line of the inventory is longer than 4 Mi characters"),
    ],
)
def test_files_that_are_no_inventory(text: bytes, message: str, tmp_path: Path) -> None:
    """
    What cannot be a list of copies is refused in one sentence with its place, never taken for an empty one.
    """
    # What reading a history leaves behind must not decide.
    csv.field_size_limit(1 << 24)
    with pytest.raises(InputUnusable, match=message) as refused:
        of(tmp_path, text, "have.csv")
    (problem,) = refused.value.problems
    assert problem.span is not None
    assert problem.span.file == "have.csv"
    assert problem.help


def test_missing_files_and_folders(tmp_path: Path) -> None:
    """
    A file that is not there and a folder are refused, the folder with the way to list it.
    """
    with pytest.raises(InputUnusable, match="no such file"):
        read_inventory(tmp_path / "none", "none", 0)
    with pytest.raises(InputUnusable) as refused:
        read_inventory(tmp_path, "copies", 0)
    assert "find copies -type f" in (refused.value.problems[0].help or "")


def test_memory_is_a_few_bytes_an_entry(tmp_path: Path) -> None:
    """
    An entry of a listing takes at most 24 bytes, however long its path is.
    """
    lines = "".join(
        f"archive/{'long/' * 20}flux/task-{number}/image/{UUID}-{number:06}.png\n" for number in range(5000)
    )
    inventory = read_inventory(write(tmp_path / "list.txt", lines), "list.txt", 0)
    arrays = (inventory.assets, inventory.files, inventory.names, inventory.tasks)
    assert sum(array.nbytes for array in arrays) <= 24 * 5000


def test_lone_surrogates_do_no_harm() -> None:
    """
    A text that UTF-8 cannot hold is compared like others.
    """
    frame = FINDINGS.astype(object)
    frame["task_id"] = pd.Series(["\ud800", "two", "two", "x"], dtype=object)
    frame["url"] = pd.Series(["https://a.example/\ud800", None, None, URL], dtype=object)
    keys = hash_texts([URL])
    assert Inventory("x", "", 1, assets=keys, files=keys, names=keys, tasks=keys).holds(frame)[0].tolist() == THREE
