"""Hostile CSV and Parquet."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.torture.hostile.cases import DONE, HEAD, INPUT, NOTHING, ROW, export, findings, ids, nothing_more, repeated


def _same_ids(folder: Path, expected: set[str]) -> None:
    found = {row["task_id"] for row in findings(folder)}
    assert found == expected, found


export(
    "csv-a-field-too-many",
    "x.csv",
    repeated(b"t,kling,completed,,x\n", 100_000, HEAD + ROW),
    DONE,
    "wrong_field_count",
)
export("csv-quote-never-closed", "x.csv", repeated(b"x,y\n", 1 << 18, HEAD + ROW + b'"'), DONE, "not_csv", ids("t"))
export("csv-quotes-never-closed", "x.csv", repeated(b't,kling,"\n', 100_000, HEAD + ROW), DONE)
export("csv-quotes-everywhere", "x.csv", repeated(b'"', 1 << 20, HEAD + ROW), DONE)
export("csv-quoted-line-breaks", "x.csv", repeated(b'"\n', 1 << 18, HEAD + ROW), DONE)
export("csv-header-never-closed", "x.csv", repeated(b"x\n", 1 << 19, b'task_id,"model\n'), (DONE, INPUT))
export("csv-null", "x.csv", lambda _: HEAD + b"a\0b,kling,completed,\n" + ROW, (DONE, INPUT))
export(
    "csv-mixed-line-ends",
    "x.csv",
    lambda _: HEAD.strip() + b"\r\n" + b"1,kling,,\r2,kling,,\n3,kling,,\r\n",
    DONE,
    "3 records",
)
export("csv-utf-16", "x.csv", lambda _: (HEAD + ROW).decode().encode("utf-16"), INPUT, "UTF-16")
export("csv-not-utf-8", "x.csv", repeated(b"1,kling,,\n", 50_000, HEAD, b"\xff,,,\n"), INPUT, "50002")
export("csv-wrong-delimiter", "x.csv", lambda _: HEAD.replace(b",", b"|") + ROW.replace(b",", b"|"), INPUT)
export("csv-ids-like-numbers", "x.csv",
        lambda _: HEAD + b"007,flux,completed,http://a/1\n1e5,flux,completed,http://a/2\n", DONE, "",
        lambda folder: _same_ids(folder, {"007", "1e5"}))  # fmt: skip
export("csv-one-long-line", "x.csv", repeated(b"x", 80 << 20, HEAD + ROW), (DONE, INPUT))
export("csv-one-long-field", "x.csv", repeated(b"x", 20 << 20, HEAD + ROW + b'"', b'",,,\n'), DONE, "", ids("t"))
export("csv-wide-header", "x.csv", lambda _: b",".join(b"c%d" % n for n in range(200_000)) + b"\n1\n", INPUT, "task_id")
export(
    "csv-long-titles", "x.csv", lambda _: b",".join(b"task_jd" * 20_000 for n in range(20)) + b"\n1\n", INPUT, "task_id"
)
export("csv-same-title", "x.csv", lambda _: b",".join([b"task_id"] * 200_000) + b"\n1\n", INPUT, "double-column")
export("csv-commas", "x.csv", repeated(b",", 16 << 20, HEAD + ROW), DONE, "", ids("t"))
export("csv-blank-lines", "x.csv", repeated(b"\n", 2 << 20, HEAD, ROW), DONE, "", ids("t"))
export("csv-bare-carriage-returns", "x.csv", repeated(b"\r", 2 << 20, HEAD, ROW), DONE, "", ids("t"))


# --- Parquet ---


def _table(name: str, make: Callable[[int], Any], codes: int | tuple[int, ...], says: str = "",
           after: Callable[[Path], None] = nothing_more,
           cut: Callable[[bytes], bytes] = lambda data: data) -> None:  # fmt: skip
    def content(scale: int) -> bytes:
        import pyarrow.parquet as pq

        out = io.BytesIO()
        pq.write_table(make(scale), out)
        return cut(out.getvalue())

    export(name, "x.parquet", content, codes, says, after)


def _columns(**columns: Any) -> Callable[[int], Any]:
    def make(scale: int) -> Any:
        import pyarrow as pa

        return pa.table({name: values(scale) if callable(values) else values for name, values in columns.items()})

    return make


_FLAT = _columns(task_id=["007", "t"], model=["flux", "flux"], status=["completed", "completed"])
_table("parquet-truncated", _FLAT, INPUT, "damaged-file", cut=lambda data: data[: len(data) // 2])
_table("parquet-without-an-end", _FLAT, INPUT, "damaged-file", cut=lambda data: data[:-8])
_table("parquet-scrambled", _FLAT, INPUT, "damaged-file", cut=lambda data: data[:8] + b"\xff" * 40 + data[48:])
_table("parquet-footer-that-lies", _FLAT, INPUT, "damaged-file", cut=lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1")
_table("parquet-ids-of-a-wrong-type", _columns(task_id=[True, False], model=["a", "b"]), INPUT)
_table("parquet-fractions-as-ids", _columns(task_id=[1.0, 2.5], model=["kling", "kling"]), DONE, "unusable_task_id")
_table("parquet-nested-ids", _columns(task_id=[{"a": 1}, {"a": 2}], model=["a", "b"]), INPUT)
_table("parquet-nested-model", _columns(task_id=["a"], model=[[["x"]]], status=[{"a": [1]}]), DONE)
_table(
    "parquet-nested-output",
    _columns(task_id=["a"], model=["flux"], output=[{"image_url": "http://a/b", "x": [[{"y": 1}]]}]),
    DONE,
)
_table("parquet-bytes-that-are-no-text", _columns(task_id=[b"\xff\xfe", b"a"], model=[b"\x00", b"flux"]), DONE)
_table("parquet-without-rows", _columns(task_id=[], model=[]), NOTHING)
_table("parquet-bomb-of-nothing", _columns(task_id=lambda scale: [None] * 1_200_000 * scale), INPUT)
_table(
    "parquet-long-text-repeated",
    _columns(task_id=[str(n) for n in range(50)], model=lambda scale: ["x" * (1 << 20)] * 50), (DONE, INPUT),
)  # fmt: skip


def _titled_twice(scale: int) -> Any:
    import pyarrow as pa

    return pa.table([["a"], ["b"]], names=["task_id", "task_id"])


def _repeating(name: str, *, in_lists: bool = False) -> Callable[[int], Any]:
    """A text of a MiB, written once, as the value of every row."""

    def make(scale: int) -> Any:
        import pyarrow as pa

        rows = 20_000 * scale
        column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * (1 << 20)]))
        if in_lists:
            column = pa.ListArray.from_arrays(pa.array(range(rows + 1), pa.int32()), column)
        return pa.table({"task_id": [str(number) for number in range(rows)], name: column} if name != "task_id"
                        else {"task_id": column})  # fmt: skip

    return make


_table("parquet-same-title", _titled_twice, INPUT, "double-column")
_table("parquet-one-text-in-all-rows", _repeating("model"), INPUT, "packed-too-tightly")
_table("parquet-one-id-in-all-rows", _repeating("task_id"), INPUT, "packed-too-tightly")
_table("parquet-one-text-in-all-lists", _repeating("output", in_lists=True), INPUT, "packed-too-tightly")
