"""
Gives hostile files to the real commands, each in a process with bounds of time and memory, and says what went wrong.

Every case names the exit codes that are right for it. A traceback, an internal error, another code, too long a time or
too much memory is a failure. `--scale` makes the files larger; 1 is what the tests run.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MINIMAL = ROOT / "tests" / "packs" / "valid" / "minimal"
SECONDS = 20.0
"""Most seconds of the processor that a case may take at scale 1."""
_WALL = 150.0
"""Most seconds by the clock, on a machine with much else to do: only what waits for something takes so long."""
MEMORY = 900
"""Most MiB that a case may hold at scale 1, with the program itself (about 150)."""
_RESERVED = 4096
"""MiB of address space beyond that of the start at which the system says no; most of it is never touched."""
DONE, RULES, INPUT, NOTHING = 0, 3, 4, 7
AS_OF = "2026-01-08T00:00:00Z"
TASK = b'{"task_id":"t","model":"Qubico/flux1-dev","status":"completed","output":{"image_url":"https://a.example/b.png"}}\n'
CASES: dict[str, Case] = {}
"""By name, in the order in which they run."""


@dataclass(frozen=True)
class Case:
    """A hostile file, the command that meets it, and what must come of it."""

    name: str
    arguments: Callable[[Path, int], list[str]]
    """Makes the files in a folder, at a scale; gives the arguments of the command."""
    codes: tuple[int, ...]
    says: str
    """What the diagnostics must hold."""
    after: Callable[[Path], None]
    """Looks at the findings of a run that succeeded; raises AssertionError."""


def _nothing_more(folder: Path) -> None:
    """Nothing further is asked."""


def _case(name: str, arguments: Callable[[Path, int], list[str]], codes: int | tuple[int, ...], says: str = "",
          after: Callable[[Path], None] = _nothing_more) -> None:  # fmt: skip
    assert name not in CASES, name
    CASES[name] = Case(name, arguments, (codes,) if isinstance(codes, int) else codes, says, after)


# --- rule files ---


def _pack(folder: Path) -> Path:
    pack = folder / "pack"
    shutil.copytree(MINIMAL, pack)
    return pack


def _yaml(name: str, content: Callable[[int], bytes], says: str = "", file: str = "rules/film-clean.yaml") -> None:
    def arguments(folder: Path, scale: int) -> list[str]:
        pack = _pack(folder)
        (pack / file).write_bytes(content(scale))
        return ["check", str(pack)]

    _case(f"yaml-{name}", arguments, RULES, says)


def _repeated(text: bytes, count: int, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    return lambda scale: before + text * (count * scale) + after


_yaml("deep-lists", _repeated(b"[", 100_000), "too-deep")
_yaml("deep-maps", _repeated(b"{a: ", 100_000), "too-deep")
_yaml("deep-dashes", _repeated(b"- ", 100_000), "too-deep")
_yaml("deep-questions", _repeated(b"? ", 100_000), "")
_yaml("deep-blocks", lambda _: b"".join(b" " * n + b"a:\n" for n in range(2_500)), "too-deep")
_yaml("deep-below-a-dropped-key", lambda _: b"a: 1\na: " + b"[" * 100_000, "too-deep")
_yaml(
    "alias-bomb",
    lambda _: b"a: &a [x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (n + 1, n + 1, n, n) for n in range(97, 121)),
    "yaml-anchor",
)
_yaml("merge-key-bomb", lambda _: b"a: &a {x: 1}\nb: {<<: [*a, *a]}\n", "yaml-anchor")
_yaml("merge-keys", _repeated(b"<<: {x: 1}\n", 100_000), "duplicate-key")
_yaml("tag-that-runs-code", lambda _: b'id: !!python/object/apply:os.system ["true"]\n', "yaml-tag")
_yaml("tag-binary", lambda _: b"id: !!binary aGVsbG8=\n", "yaml-tag")
_yaml("huge-scalar", _repeated(b"x", 3_900_000, b"id: "), "")
_yaml("huge-quoted", _repeated(b"\\n", 1_900_000, b'id: "', b'"'), "")
_yaml("huge-block-scalar", _repeated(b" x\n", 1_300_000, b"id: |\n"), "")
_yaml("huge-key", _repeated(b"x", 3_900_000, b"", b": 1"), "")
_yaml("larger-than-allowed", _repeated(b"# x\n", 1_100_000), "file-too-large")
_yaml("comments-only", _repeated(b"# x\n", 900_000), "empty-file")
_yaml("blank-lines", _repeated(b"\n", 3_900_000), "empty-file")
_yaml("never-closed", _repeated(b"x\n", 1_900_000, b'id: "'), "yaml-syntax")
_yaml("utf-16", lambda _: "id: x\n".encode("utf-16"), "not-utf8")
_yaml("utf-16-without-mark", lambda _: "id: x\n".encode("utf-16-le"), "forbidden-character")
_yaml("utf-32", lambda _: "id: x\n".encode("utf-32"), "not-utf8")
_yaml("latin-1", lambda _: "id: ü\n".encode("latin-1"), "not-utf8")
_yaml("null-byte", lambda _: b"id: a\0b\n", "forbidden-character")
_yaml("mark-in-the-middle", lambda _: b"id: a\nx: \xef\xbb\xbf\n", "forbidden-character")
_yaml("surrogate-escape", lambda _: b'id: "\\ud800"\n', "")
_yaml("duplicate-keys", _repeated(b"a: 1\n", 150_000), "duplicate-key")
_yaml("duplicate-keys-in-one-line", _repeated(b"a: 1, ", 150_000, b"{", b"}"), "duplicate-key")
_yaml("keys-that-are-no-text", _repeated(b"1: 1\n", 150_000), "key-not-text")
_yaml("keys-in-one-line-that-are-no-text", _repeated(b"1: 1, ", 150_000, b"{", b"}"), "key-not-text")
_yaml("unknown-keys", lambda _: b"".join(b"k%d: 1\n" % n for n in range(150_000)), "unknown-key")
_yaml("control-characters", _repeated(b'- "\\0"\n', 150_000), "forbidden-character")
_yaml("list-of-numbers", _repeated(b"- 1\n", 190_000, b"id: x\nversions:\n"), "")
_yaml("wrong-types-everywhere", _repeated(b"[],", 60_000, b"id: x\nversions: [", b"]"), "")
_yaml(
    "unknown-services",
    lambda _: (MINIMAL / "rules" / "film-clean.yaml").read_bytes().replace(
        b"[film]", b"[" + b",".join(b"s%d" % n for n in range(40_000)) + b"]"
    ),
    "",
)  # fmt: skip
_yaml("long-period", lambda _: b"id: x\nversions: [{retention: {period: P" + b"9" * 1_000_000 + b"D}}]\n", "")
_yaml("long-instant", lambda _: b'id: x\nversions: [{effective_from: "' + b"2" * 1_000_000 + b'"}]\n', "")
_yaml("numbers-without-end", lambda _: b"id: " + b"9" * 1_000_000 + b"\n", "not-a-number")
_yaml("second-documents", _repeated(b"---\nx\n", 100_000), "second-document")
_yaml("many-anchors", _repeated(b"- &a x\n", 100_000), "yaml-anchor")
_yaml("directives", _repeated(b"%TAG !x! tag:x,2000:\n", 50_000), "yaml-syntax")
_yaml("catalog-of-nothing", _repeated(b"- {}\n", 60_000, b"services:\n"), "", "catalog.yaml")
_yaml("cases-of-nothing", _repeated(b"- {}\n", 60_000, b"title: x\ncases:\n"), "", "cases/film.yaml")
_yaml("pack-of-sources", _repeated(b"- {}\n", 60_000, b"sources:\n"), "", "pack.yaml")


def _linked_rule(folder: Path, scale: int) -> list[str]:
    pack = _pack(folder)
    (pack / "rules" / "film-old.yaml").symlink_to("nowhere.yaml")
    return ["check", str(pack)]


def _rule_of_a_pipe(folder: Path, scale: int) -> list[str]:
    pack = _pack(folder)
    os.mkfifo(pack / "rules" / "film-old.yaml")
    return ["check", str(pack)]


def _rules_in_a_loop(folder: Path, scale: int) -> list[str]:
    pack = _pack(folder)
    (pack / "rules" / "again").symlink_to("..", target_is_directory=True)
    return ["check", str(pack)]


def _rules_of_a_device(folder: Path, scale: int) -> list[str]:
    pack = _pack(folder)
    (pack / "rules" / "film-clean.yaml").unlink()
    (pack / "rules" / "film-clean.yaml").symlink_to("/dev/zero")
    return ["check", str(pack)]


_case("yaml-link-to-nothing", _linked_rule, RULES, "film-old.yaml")
_case("yaml-pipe", _rule_of_a_pipe, RULES, "film-old.yaml")
_case("yaml-device", _rules_of_a_device, RULES, "film-clean.yaml")
_case("yaml-loop-of-links", _rules_in_a_loop, (DONE, RULES))


# --- exports ---


def evaluating(folder: Path, *names: str) -> list[str]:
    """Arguments that evaluate files of a folder."""
    return ["evaluate", *(str(folder / name) for name in names), "--as-of", AS_OF, "-o", str(folder / "out.csv")]


def findings(folder: Path) -> list[dict[str, str]]:
    """What a run wrote."""
    with (folder / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        csv.field_size_limit(1 << 30)
        return list(csv.DictReader(file))


def _ids(*expected: str) -> Callable[[Path], None]:
    def after(folder: Path) -> None:
        assert sorted(row["task_id"] for row in findings(folder)) == sorted(expected)

    return after


def _export(
    name: str, file: str, content: Callable[[int], bytes] | Callable[[int], Iterator[bytes]],
    codes: int | tuple[int, ...], says: str = "", after: Callable[[Path], None] = _nothing_more,
) -> None:  # fmt: skip
    def arguments(folder: Path, scale: int) -> list[str]:
        made = content(scale)
        with (folder / file).open("wb") as out:
            out.writelines([made] if isinstance(made, bytes) else made)
        return evaluating(folder, file)

    _case(name, arguments, codes, says, after)


def _task(**fields: Any) -> bytes:
    task = {"task_id": "t", "model": "Qubico/flux1-dev", "status": "completed"}
    return json.dumps(task | fields).encode() + b"\n"


_export("json-deep-document", "x.json", _repeated(b"[", 100_000), INPUT, "too deep")
_export("json-deep-objects", "x.json", _repeated(b'{"a":', 100_000), INPUT, "too deep")
_export("json-deep-line", "x.jsonl", _repeated(b"[", 100_000, TASK, b"\n"), DONE, "nested_too_deep", _ids("t"))
_export(
    "json-deep-in-a-field", "x.jsonl",
    lambda _: TASK + TASK[:-2] + b',"input":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
    DONE, "nested_too_deep", _ids("t"),
)  # fmt: skip
_export("json-long-string", "x.json", _repeated(b"x", 48 << 20, b'[{"task_id":"t","input":"', b'"}]'), (DONE, INPUT))
_export("json-long-string-alone", "x.json", _repeated(b"x", 48 << 20, b'["', b'"]'), INPUT)
_export("json-long-id", "x.json", _repeated(b"x", 4 << 20, b'[{"task_id":"', b'","model":"kling"}]'), DONE)
_export("json-long-id-not-cut", "x.jsonl", _repeated(b"x", 4 << 20, b'{"task_id":"'), INPUT)
_export("json-duplicate-keys", "x.jsonl", lambda _: b'{"task_id":"a",' + TASK[1:], DONE, "", _ids("t"))
_export("json-many-duplicate-keys", "x.json", _repeated(b'"task_id":"t",', 1 << 20, b"[{", b'"model":"kling"}]'), DONE)
_export("json-nan", "x.jsonl", lambda _: b'{"seed":NaN,' + TASK[1:], DONE, "", _ids("t"))
_export("json-infinity", "x.jsonl", lambda _: b'{"seed":[Infinity,-Infinity,1e999],' + TASK[1:], DONE, "", _ids("t"))
_export("json-huge-integer", "x.jsonl", _repeated(b"9", 4 << 20, b'{"seed":', b"," + TASK[1:]), DONE, "", _ids("t"))
_export("json-huge-integer-id", "x.jsonl", _repeated(b"9", 1 << 20, TASK + b'{"task_id":', b"}\n"), DONE)
_export("json-huge-integer-usage", "x.jsonl", lambda _: _task(meta={"usage": {"consume": 10**300}}), DONE)
_export("json-long-fraction", "x.jsonl", _repeated(b"0", 4 << 20, b'{"seed":0.', b"1," + TASK[1:]), DONE, "", _ids("t"))
_export("json-lone-surrogates", "x.jsonl", lambda _: b'{"seed":"\\ud800",' + TASK[1:], DONE, "", _ids("t"))
_export("json-surrogate-in-id", "x.jsonl", lambda _: b'{"task_id":"\\udc00","model":"kling"}\n', DONE)
_export("json-null-in-id", "x.jsonl", lambda _: b'{"task_id":"a\\u0000b","model":"kling"}\n', DONE)
_export("json-null-byte", "x.jsonl", lambda _: TASK + b'{"task_id":"a\0b"}\n', DONE)
_export("json-concatenated", "x.json", lambda _: TASK.strip() * 3, DONE, "", _ids("t"))
_export("json-truncated", "x.json", lambda _: b"[" + TASK + b"," + TASK[:30], INPUT, "not-json")
_export("json-truncated-line", "x.jsonl", lambda _: TASK + TASK[:30], DONE, "not_json", _ids("t"))
_export(
    "json-values-over-several-lines", "x.jsonl",
    lambda _: TASK + TASK.replace(b'"t"', b'\n"a"')
    + TASK.replace(b'"t"', b'"b"').strip() + TASK.replace(b'"t"', b'"c"'),
    DONE, "2 quarantined", _ids("b", "c", "t"),
)  # fmt: skip
_export("json-list-of-lists", "x.json", _repeated(b"[],", 1_200_000, b"[", b"[]]"), NOTHING)
_export("json-list-of-objects", "x.json", _repeated(b"{},", 1_200_000, b"[", b"{}]"), INPUT)
_export("json-lines-of-zeros", "x.jsonl", _repeated(b"0\n", 1_200_000, TASK), INPUT)
_export("json-list-of-zeros", "x.json", _repeated(b"0,", 1_200_000, b"[", b"0]"), INPUT)
_export(
    "json-many-keys",
    "x.json",
    lambda _: b"[{" + b"".join(b'"k%d":0,' % n for n in range(500_000)) + TASK[1:] + b"]",
    DONE,
)
_export(
    "json-many-keys-of-maps",
    "x.json",
    lambda _: b"{" + b"".join(b'"k%d":{},' % n for n in range(500_000)) + TASK[1:],
    DONE,
)
_export("json-pages-in-pages", "x.json", _repeated(b'{"total":1,"data":[', 1_000, b"", b"]}" * 1_000), (INPUT, NOTHING))
_export("json-many-pages", "x.jsonl", _repeated(b'{"total":0,"page":1,"data":[]}\n', 200_000, TASK), DONE)
_export("json-same-task", "x.jsonl", _repeated(TASK, 50_000), DONE, "", _ids("t"))
_export(
    "json-many-models", "x.jsonl",
    lambda _: b"".join(b'{"task_id":"%d","model":"m%d","status":"s%d"}\n' % (n, n, n) for n in range(50_000)), DONE,
)  # fmt: skip
_export(
    "json-many-addresses", "x.json",
    lambda _: b'[{"task_id":"t","model":"kling","status":"completed","output":['
    + b",".join(b'"https://a.example/%d.png"' % n for n in range(50_000)) + b"]}]", DONE,
)  # fmt: skip
_export(
    "json-long-address", "x.jsonl", lambda _: _task(output={"image_url": "https://a.example/" + "x" * (4 << 20)}), DONE
)
_export(
    "json-address-that-is-slow-to-match", "x.jsonl",
    lambda scale: _task(output={"else": "http://a/ " + ".aa?" * (250_000 * scale) + " x"}), DONE,
)  # fmt: skip
_export(
    "json-address-of-dots",
    "x.jsonl",
    lambda scale: _task(output={"else": "http://a/ " + ".aa" * 500_000 + " \t"}),
    DONE,
)
_export(
    "json-address-of-hosts", "x.jsonl", lambda scale: _task(output={"else": "http://" + "a@" * 500_000 + " "}), DONE
)
_export(
    "json-address-of-many-parts",
    "x.jsonl",
    lambda _: _task(output={"image_url": "https://a.example/b?" + "a=1&" * 500_000}),
    DONE,
)
_export("json-addresses-in-one-text", "x.jsonl", lambda _: _task(output={"else": "http://a/b " * 50_000}), DONE)
_export("json-text-in-text", "x.jsonl", lambda _: _task(output=json.dumps(["[" * 100_000])), DONE)
_export("json-deep-text-in-text", "x.jsonl", lambda _: _task(output="[" * 100_000), DONE)
_export("json-long-first-line", "x.jsonl", _repeated(b" ", 80 << 20, b"{", TASK[1:] + TASK), (DONE, INPUT))
_export("json-white-space", "x.json", _repeated(b" ", 48 << 20, b"[", TASK + b"]"), DONE)
_export("json-blank-lines", "x.jsonl", _repeated(b"\n", 8 << 20, TASK, TASK), DONE, "", _ids("t"))
_export("json-times", "x.jsonl", lambda _: _task(meta={"created_at": "2" * 1_000_000, "ended_at": 10**400}), DONE)


def _same_ids(folder: Path, expected: set[str]) -> None:
    found = {row["task_id"] for row in findings(folder)}
    assert found == expected, found


# --- tables ---


_HEAD = b"task_id,model,status,url\n"
_ROW = b"t,kling,completed,https://a.example/b.png\n"
_export(
    "csv-a-field-too-many",
    "x.csv",
    _repeated(b"t,kling,completed,,x\n", 100_000, _HEAD + _ROW),
    DONE,
    "wrong_field_count",
)
_export(
    "csv-quote-never-closed", "x.csv", _repeated(b"x,y\n", 1 << 18, _HEAD + _ROW + b'"'), DONE, "not_csv", _ids("t")
)
_export("csv-quotes-never-closed", "x.csv", _repeated(b't,kling,"\n', 100_000, _HEAD + _ROW), DONE)
_export("csv-quotes-everywhere", "x.csv", _repeated(b'"', 1 << 20, _HEAD + _ROW), DONE)
_export("csv-quoted-line-breaks", "x.csv", _repeated(b'"\n', 1 << 18, _HEAD + _ROW), DONE)
_export("csv-header-never-closed", "x.csv", _repeated(b"x\n", 1 << 19, b'task_id,"model\n'), (DONE, INPUT))
_export("csv-null", "x.csv", lambda _: _HEAD + b"a\0b,kling,completed,\n" + _ROW, (DONE, INPUT))
_export(
    "csv-mixed-line-ends",
    "x.csv",
    lambda _: _HEAD.strip() + b"\r\n" + b"1,kling,,\r2,kling,,\n3,kling,,\r\n",
    DONE,
    "3 records",
)
_export("csv-utf-16", "x.csv", lambda _: (_HEAD + _ROW).decode().encode("utf-16"), INPUT, "UTF-16")
_export("csv-not-utf-8", "x.csv", _repeated(b"1,kling,,\n", 50_000, _HEAD, b"\xff,,,\n"), INPUT, "50002")
_export("csv-wrong-delimiter", "x.csv", lambda _: _HEAD.replace(b",", b"|") + _ROW.replace(b",", b"|"), INPUT)
_export("csv-ids-like-numbers", "x.csv",
        lambda _: _HEAD + b"007,flux,completed,http://a/1\n1e5,flux,completed,http://a/2\n", DONE, "",
        lambda folder: _same_ids(folder, {"007", "1e5"}))  # fmt: skip
_export("csv-one-long-line", "x.csv", _repeated(b"x", 80 << 20, _HEAD + _ROW), (DONE, INPUT))
_export("csv-one-long-field", "x.csv", _repeated(b"x", 20 << 20, _HEAD + _ROW + b'"', b'",,,\n'), DONE, "", _ids("t"))
_export(
    "csv-wide-header", "x.csv", lambda _: b",".join(b"c%d" % n for n in range(200_000)) + b"\n1\n", INPUT, "task_id"
)
_export(
    "csv-long-titles", "x.csv", lambda _: b",".join(b"task_jd" * 20_000 for n in range(20)) + b"\n1\n", INPUT, "task_id"
)
_export("csv-same-title", "x.csv", lambda _: b",".join([b"task_id"] * 200_000) + b"\n1\n", INPUT, "double-column")
_export("csv-commas", "x.csv", _repeated(b",", 16 << 20, _HEAD + _ROW), DONE, "", _ids("t"))
_export("csv-blank-lines", "x.csv", _repeated(b"\n", 2 << 20, _HEAD, _ROW), DONE, "", _ids("t"))
_export("csv-bare-carriage-returns", "x.csv", _repeated(b"\r", 2 << 20, _HEAD, _ROW), DONE, "", _ids("t"))


# --- Parquet ---


def _table(name: str, make: Callable[[int], Any], codes: int | tuple[int, ...], says: str = "",
           after: Callable[[Path], None] = _nothing_more,
           cut: Callable[[bytes], bytes] = lambda data: data) -> None:  # fmt: skip
    def content(scale: int) -> bytes:
        import pyarrow.parquet as pq

        out = io.BytesIO()
        pq.write_table(make(scale), out)
        return cut(out.getvalue())

    _export(name, "x.parquet", content, codes, says, after)


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


_table("parquet-same-title", _titled_twice, INPUT, "double-column")


# --- packed files ---


def _gz(parts: Iterator[bytes]) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9, mtime=0) as packed:
        packed.writelines(parts)
    return out.getvalue()


def _zst(parts: Iterator[bytes]) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    out = io.BytesIO()
    with zstd.ZstdFile(out, "w") as packed:
        for part in parts:
            packed.write(part)
    return out.getvalue()


def _bomb(text: bytes, before: bytes = b"") -> Callable[[int], Iterator[bytes]]:
    """A thousand MiB of the same at scale 1."""

    def parts(scale: int) -> Iterator[bytes]:
        yield before
        block = text * ((1 << 20) // len(text))
        for _ in range(1_000 * scale):
            yield block

    return parts


for _word, _packing in (("gz", _gz), ("zst", _zst)):

    def _packed(name: str, file: str, parts: Callable[[int], Iterator[bytes]], codes: int | tuple[int, ...],
                says: str = "", cut: slice = slice(None), after: Callable[[Path], None] = _nothing_more,
                word: str = _word, packing: Callable[[Iterator[bytes]], bytes] = _packing) -> None:  # fmt: skip
        _export(f"{word}-{name}", f"{file}.{word}", lambda scale: packing(parts(scale))[cut], codes, says, after)

    _packed("bomb-of-zeros", "x.json", _bomb(b"\0"), INPUT)
    _packed("bomb-of-blanks", "x.json", _bomb(b" "), INPUT)
    _packed("bomb-document", "x.json", _bomb(b" ", b"["), INPUT)
    _packed("bomb-of-lists", "x.json", _bomb(b"[],", b"["), INPUT)
    _packed("bomb-of-one-line", "x.jsonl", _bomb(b"x", TASK + b'{"a":"'), INPUT)
    _packed("bomb-of-empty-lines", "x.jsonl", _bomb(b"\n", TASK * 2), INPUT)
    _packed("bomb-of-tasks", "x.jsonl", _bomb(TASK), INPUT)
    _packed("bomb-table-of-one-line", "x.csv", _bomb(b"x", _HEAD), INPUT)
    _packed("bomb-table-of-one-header", "x.csv", _bomb(b"x", b"task_id,"), INPUT)
    _packed("bomb-table-of-empty-lines", "x.csv", _bomb(b"\n", _HEAD + _ROW), INPUT)
    _packed("bomb-table-not-utf-8", "x.csv", _bomb(b"x", _HEAD + b"\xff"), INPUT)
    _packed("truncated-lines", "x.jsonl", lambda _: iter([TASK] * 1000), INPUT, "damaged-packing", slice(0, -12))
    _packed("truncated-table", "x.csv", lambda _: iter([_HEAD, _ROW * 1000]), INPUT, "damaged-packing", slice(0, -12))
    _packed("truncated-head", "x.json", lambda _: iter([TASK]), INPUT, "damaged-packing", slice(0, 5))
    _packed("packed-twice", "x.json", lambda _, packing=_packing: iter([packing(iter([TASK]))]), INPUT)

_export("gz-junk-behind", "x.jsonl.gz", lambda _: _gz(iter([TASK])) + b"junk" * 100, INPUT, "damaged-packing")
_export("gz-many-members", "x.jsonl.gz", lambda scale: _gz(iter([TASK])) * 20_000, DONE, "", _ids("t"))
_export("gz-of-nothing-many-times", "x.jsonl.gz", lambda scale: _gz(iter([b""])) * 200_000, INPUT)


# --- places ---


def _loop(folder: Path, scale: int) -> list[str]:
    inner = folder / "exports" / "inner"
    inner.mkdir(parents=True)
    (inner / "x.jsonl").write_bytes(TASK)
    (inner / "up").symlink_to(folder / "exports", target_is_directory=True)
    (inner / "itself.jsonl").symlink_to("itself.jsonl")
    return evaluating(folder, "exports")


def _loop_without_bad_link(folder: Path, scale: int) -> list[str]:
    arguments = _loop(folder, scale)
    (folder / "exports" / "inner" / "itself.jsonl").unlink()
    return arguments


def _loop_by_pattern(folder: Path, scale: int) -> list[str]:
    _loop_without_bad_link(folder, scale)
    return evaluating(folder, "exports/**/*.jsonl")


def _pipe(folder: Path, scale: int) -> list[str]:
    os.mkfifo(folder / "x.jsonl")
    return evaluating(folder, "x.jsonl")


def _pipe_in_folder(folder: Path, scale: int) -> list[str]:
    (folder / "exports").mkdir()
    os.mkfifo(folder / "exports" / "x.jsonl")
    (folder / "exports" / "y.jsonl").write_bytes(TASK)
    return evaluating(folder, "exports")


def _device(name: str) -> Callable[[Path, int], list[str]]:
    return lambda folder, scale: ["evaluate", f"/dev/{name}", "-o", str(folder / "out.csv")]


def _link_to_device(folder: Path, scale: int) -> list[str]:
    (folder / "x.jsonl").symlink_to("/dev/zero")
    return evaluating(folder, "x.jsonl")


def _unreadable(folder: Path, scale: int) -> list[str]:
    """A file that the system opens and refuses to read, whoever asks."""
    return ["evaluate", "/proc/self/mem", "-o", str(folder / "out.csv")]


def _not_permitted(folder: Path, scale: int) -> list[str]:
    (folder / "x.jsonl").write_bytes(TASK)
    (folder / "x.jsonl").chmod(0)
    return evaluating(folder, "x.jsonl")


def _deep_folders(folder: Path, scale: int) -> list[str]:
    place, depth = folder / "exports", 900
    place.mkdir()
    here = os.open(place, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (place / "x.jsonl").write_bytes(TASK)
    return evaluating(folder, "exports")


def _changing(change: Callable[[Path], None]) -> Callable[[Path, int], list[str]]:
    """A file that changes while it is read: something is done to it again and again in the background."""

    def arguments(folder: Path, scale: int) -> list[str]:
        file = folder / "x.jsonl"
        file.write_bytes(b"".join(TASK.replace(b'"t"', b'"%d"' % n) for n in range(40_000)))

        def work() -> None:
            until = time.monotonic() + 8
            while time.monotonic() < until:
                change(file)
                time.sleep(0.01)

        threading.Thread(target=work, daemon=True).start()
        return evaluating(folder, "x.jsonl")

    return arguments


def _grow(file: Path) -> None:
    with file.open("ab") as out:
        out.write(TASK.replace(b'"t"', b'"%d"' % time.monotonic_ns()))


def _shrink(file: Path) -> None:
    os.truncate(file, max(file.stat().st_size * 9 // 10, 0))


def _replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(TASK)
    other.replace(file)


_case("place-loop-of-links", _loop_without_bad_link, DONE, "link to a folder", _ids("t"))
_case("place-link-to-itself", _loop, INPUT, "itself.jsonl")
_case("place-loop-by-pattern", _loop_by_pattern, DONE, "", _ids("t"))
_case("place-pipe", _pipe, INPUT, "not-a-file")
_case("place-pipe-in-a-folder", _pipe_in_folder, INPUT, "not-a-file")
_case("place-device-zero", _device("zero"), INPUT, "not-a-file")
_case("place-device-full", _device("full"), INPUT, "not-a-file")
_case("place-terminal", _device("tty"), INPUT, "")
_case("place-link-to-device", _link_to_device, INPUT, "not-a-file")
_case("place-unreadable", _unreadable, INPUT, "")
_case("place-not-permitted", _not_permitted, (DONE, INPUT))
_case("place-deep-folders", _deep_folders, (DONE, INPUT))
_case("place-file-that-grows", _changing(_grow), (DONE, INPUT))
_case("place-file-that-shrinks", _changing(_shrink), (DONE, INPUT, NOTHING))
_case("place-file-that-is-replaced", _changing(_replace), (DONE, INPUT))


QUICK_BOMBS = ("gz-bomb-of-zeros", "zst-bomb-of-one-line", "zst-bomb-table-of-one-header", "zst-bomb-of-lists")
"""Bombs that the tests try; making the others takes most of the time."""
LONG = frozenset((
    "csv-a-field-too-many",
    "csv-bare-carriage-returns",
    "csv-blank-lines",
    "csv-commas",
    "csv-header-never-closed",
    "csv-one-long-field",
    "csv-quote-never-closed",
    "csv-quoted-line-breaks",
    "csv-quotes-never-closed",
    "json-lines-of-zeros",
    "json-list-of-lists",
    "json-list-of-objects",
    "json-list-of-zeros",
    "json-long-first-line",
    "json-long-string",
    "json-long-string-alone",
    "json-many-keys",
    "json-many-keys-of-maps",
    "json-many-models",
    "json-many-pages",
    "json-same-task",
    "json-white-space",
    "parquet-long-text-repeated",
    "place-file-that-grows",
    "yaml-cases-of-nothing",
    "yaml-catalog-of-nothing",
    "yaml-list-of-numbers",
    "yaml-pack-of-sources",
    "yaml-unknown-keys",
    "yaml-unknown-services",
    "yaml-wrong-types-everywhere",
))  # fmt: skip
"""Cases that take longer than the tests have for each."""


# --- running ---


@dataclass(frozen=True)
class Result:
    """What came of a case."""

    name: str
    code: int
    seconds: float
    """Of the processor."""
    memory: int
    """MiB at most, in use."""
    failures: tuple[str, ...]
    said: str


def try_case(case: Case, scale: int = 1) -> Result:
    """Run a case in a process of its own with bounds; the program must have been imported before."""
    with tempfile.TemporaryDirectory(prefix="policy-engine-hostile-") as name:
        folder = Path(name)
        log = folder / "diagnostics"
        begin = time.monotonic()
        child = os.fork()
        if not child:
            _run_child(case, folder, log, scale)
        code, used = _wait(child, _WALL * scale)
        said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        failures = list(_failures(case, code, said))
        if code == DONE:
            try:
                case.after(folder)
            except (AssertionError, OSError) as error:
                failures.append(f"the findings are wrong: {error}")
        for place in folder.rglob("*"):
            if place.is_file() and not place.is_symlink() and not os.access(place, os.W_OK):
                place.chmod(0o600)
    took = used.ru_utime + used.ru_stime
    if time.monotonic() - begin > _WALL * scale:
        failures.append("too long")
    if used.ru_maxrss >> 10 > MEMORY * scale:
        failures.append(f"it takes {used.ru_maxrss >> 10} MiB")
    return Result(case.name, code, round(took, 1), used.ru_maxrss >> 10, tuple(failures), said[-600:])


def _run_child(case: Case, folder: Path, log: Path, scale: int) -> None:
    code = 99
    try:
        arguments = case.arguments(folder, scale)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(out, number)
        with Path("/proc/self/statm").open() as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        limit = used + (_RESERVED * scale << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
        seconds = spent + int(SECONDS * scale)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        from policy_engine.cli import run

        code = run(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:
        os.write(2, f"Traceback: {type(error).__name__}: {error}".encode("utf-8", "replace"))
    finally:
        os._exit(code)


def _wait(child: int, seconds: float) -> tuple[int, resource.struct_rusage]:
    until = time.monotonic() + seconds
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), used
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            return os.waitstatus_to_exitcode(status), used
        time.sleep(0.005)


def _failures(case: Case, code: int, said: str) -> Iterator[str]:
    if code not in case.codes:
        yield f"exit {code}, not {' or '.join(map(str, case.codes))}"
    if case.says not in said:
        yield f"`{case.says}` is not said"
    for word in ("Traceback", "internal error", "MemoryError"):
        if word in said:
            yield f"it says `{word}`"
    longest = max(map(len, said.splitlines()), default=0)
    if len(said) > 2_000_000 or longest > 20_000:
        yield f"it says {len(said):,} characters, {longest:,} in a line"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases; a line of JSON per failure (with `--all` per case), and one for all of them at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--only", default="", help="beginnings of the names of cases, divided by commas")
    parser.add_argument("--short", action="store_true", help="leave out most of the cases that take long")
    parser.add_argument("--all", action="store_true", help="tell of every case")
    parser.add_argument("--executions", type=int, default=0, help="not used: the cases are a list")
    parser.add_argument("--seconds", type=int, default=3600, help="begin no further case after this long")
    given = parser.parse_args(arguments)
    sys.path[:0] = [str(ROOT)]
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import policy_engine.api
    import policy_engine.cli
    import policy_engine.render.tables  # noqa: F401

    begin, tried, found = time.monotonic(), 0, 0
    for name, case in CASES.items():
        if given.short and (name in LONG or ("bomb-" in name and name not in QUICK_BOMBS)):
            continue
        if name.startswith(tuple(given.only.split(","))) and time.monotonic() - begin < given.seconds:
            result = try_case(case, given.scale)
            tried += 1
            found += bool(result.failures)
            if result.failures or given.all:
                print(json.dumps(result.__dict__), flush=True)
    print(json.dumps({"part": "hostile_files", "tried": tried, "found": found}))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
