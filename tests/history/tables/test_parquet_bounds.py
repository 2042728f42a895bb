"""Parquet files that hold far more than their size lets expect are refused; those that repeat few texts are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.commands import policy_engine
from tests.support.exports import read


def _bomb(kind: str) -> Any:
    """A table whose file is some kilobytes long, and that holds gigabytes."""
    rows = 20_000
    ids = [f"t-{number}" for number in range(rows)]
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * (1 << 20)]))
    if kind == "one text":
        return pa.table({"task_id": ids, "model": repeated})
    if kind == "one id":
        return pa.table({"task_id": repeated, "model": ids})
    if kind == "lists of one text":
        lists = pa.ListArray.from_arrays(pa.array(range(rows + 1), pa.int32()), repeated)
        return pa.table({"task_id": ids, "output": lists})
    assert kind == "one text of fixed length"
    return pa.table({"task_id": ids[:2_200], "model": pa.array([b"x" * (1 << 16)] * 2_200, pa.binary(1 << 16))})


@pytest.mark.parametrize("command", ["evaluate", "explain"])
@pytest.mark.parametrize("kind", ["one text", "one id", "lists of one text", "one text of fixed length"])
def test_parquet_that_holds_far_more_than_its_size(kind: str, command: str, tmp_path: Path) -> None:
    """
    A text that is written once and stands in every row is refused before there is no memory left.
    """
    path = tmp_path / "x.parquet"
    pq.write_table(_bomb(kind), path)
    assert path.stat().st_size < 1 << 21
    where = ["-o", tmp_path / "f.csv"] if command == "evaluate" else []
    name = ["t-1"] if command == "explain" else []
    done = policy_engine(command, *name, path, *where)
    assert done.code == 4
    said = "x.parquet:1:1: error[packed-too-tightly]: the columns of the Parquet file amount to more than 128 MiB"
    assert said in done.err


def test_repeated_texts_of_parquet_are_read_as_they_are(tmp_path: Path) -> None:
    """
    Columns that repeat few texts, hold long ones, or nothing in places, give the same rows as any other writing does.
    """
    models = ["flux", None, "kling", "flux", "x" * 70_000] * 50
    rows = {"task_id": [f"t-{n}" for n in range(250)], "model": models, "status": ["completed"] * 250}
    found = []
    for name, options in (("a", {}), ("b", {"use_dictionary": False}), ("c", {"row_group_size": 7})):
        path = tmp_path / name / "x.parquet"
        path.parent.mkdir()
        pq.write_table(pa.table(rows), path, **options)
        found.append(read(path).answers)
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 200, "those without a model have no file"
