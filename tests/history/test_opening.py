"""Promises of packed files: they are read whole, or refused as damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.exports import (
    as_lines,
    compress_zstd,
    only_problem,
    read,
    task,
    write,
    write_csv,
    write_json,
    write_lines,
)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_packed_nothing(tmp_path: Path, suffix: str) -> None:
    """A packed file with nothing in it is as empty as any other."""
    assert only_problem(write(tmp_path / f"a.json{suffix}", "")).code == "empty-file"


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("form", ["lines", "document", "csv"])
def test_packed_file_cut_short(tmp_path: Path, suffix: str, form: str) -> None:
    """A packed file that ends too early is refused whole: what is missing cannot be told."""
    records = [task(str(number), input={"p": os.urandom(300).hex()}) for number in range(300)]
    path = tmp_path / f"a{suffix}"
    if form == "lines":
        write_lines(path, records)
    elif form == "document":
        write_json(path, records)
    else:
        write_csv(path, [{"task_id": one["task_id"], "note": one["input"]["p"]} for one in records])
    whole = path.read_bytes()
    for end in (12, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        problem = only_problem(path)
        assert (problem.code, problem.span and problem.span.file) == ("damaged-packing", path.name)


def test_packed_file_with_damaged_bytes(tmp_path: Path) -> None:
    """Damage in the middle of a packed file is found, and nothing read before it counts."""
    path = write_lines(tmp_path / "a.jsonl.gz", [task(os.urandom(200).hex()) for _ in range(300)])
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 40):
        data[place] ^= 0xFF
    path.write_bytes(bytes(data))
    assert only_problem(path).code == "damaged-packing"


def test_packed_parts_one_after_another(tmp_path: Path) -> None:
    """Packed files that were joined are read to the end of the last."""
    import gzip

    parts = [as_lines([task("a")]).encode(), as_lines([task("b")]).encode()]
    for name, pack in (("a.gz", gzip.compress), ("a.zst", compress_zstd)):
        path = write(tmp_path / "raw", b"".join(pack(part) for part in parts)).rename(tmp_path / name)
        assert read(path).totals.tasks.tasks == 2
