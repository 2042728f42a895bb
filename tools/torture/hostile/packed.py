"""Bombs, and packed files that are torn."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.torture.hostile.cases import DONE, HEAD, INPUT, ROW, TASK, export, ids, nothing_more


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
                says: str = "", cut: slice = slice(None), after: Callable[[Path], None] = nothing_more,
                word: str = _word, packing: Callable[[Iterator[bytes]], bytes] = _packing) -> None:  # fmt: skip
        export(f"{word}-{name}", f"{file}.{word}", lambda scale: packing(parts(scale))[cut], codes, says, after)

    _packed("bomb-of-zeros", "x.json", _bomb(b"\0"), INPUT)
    _packed("bomb-of-blanks", "x.json", _bomb(b" "), INPUT)
    _packed("bomb-document", "x.json", _bomb(b" ", b"["), INPUT)
    _packed("bomb-of-lists", "x.json", _bomb(b"[],", b"["), INPUT)
    _packed("bomb-of-one-line", "x.jsonl", _bomb(b"x", TASK + b'{"a":"'), INPUT)
    _packed("bomb-of-empty-lines", "x.jsonl", _bomb(b"\n", TASK * 2), INPUT)
    _packed("bomb-of-tasks", "x.jsonl", _bomb(TASK), INPUT)
    _packed("bomb-table-of-one-line", "x.csv", _bomb(b"x", HEAD), INPUT)
    _packed("bomb-table-of-one-header", "x.csv", _bomb(b"x", b"task_id,"), INPUT)
    _packed("bomb-table-of-empty-lines", "x.csv", _bomb(b"\n", HEAD + ROW), INPUT)
    _packed("bomb-table-not-utf-8", "x.csv", _bomb(b"x", HEAD + b"\xff"), INPUT)
    _packed("truncated-lines", "x.jsonl", lambda _: iter([TASK] * 1000), INPUT, "damaged-packing", slice(0, -12))
    _packed("truncated-table", "x.csv", lambda _: iter([HEAD, ROW * 1000]), INPUT, "damaged-packing", slice(0, -12))
    _packed("truncated-head", "x.json", lambda _: iter([TASK]), INPUT, "damaged-packing", slice(0, 5))
    _packed("packed-twice", "x.json", lambda _, packing=_packing: iter([packing(iter([TASK]))]), INPUT)

export("gz-junk-behind", "x.jsonl.gz", lambda _: _gz(iter([TASK])) + b"junk" * 100, INPUT, "damaged-packing")
export("gz-many-members", "x.jsonl.gz", lambda scale: _gz(iter([TASK])) * 20_000, DONE, "", ids("t"))
export("gz-of-nothing-many-times", "x.jsonl.gz", lambda scale: _gz(iter([b""])) * 200_000, INPUT)
