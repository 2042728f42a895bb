"""Hostile files other than histories and rule packs: inventories, exemptions, column mappings and house rules."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from policy_engine.core.files import opening
from tools.torture.hostile.cases import DONE, INPUT, RULES, TASK, USAGE, case, evaluating

_OPTIONS = {"archived": INPUT, "exemptions": INPUT, "house-rules": RULES, "columns": USAGE}
"""Option -> the code of a file that cannot be used for it."""


def _given(
    name: str, option: str, make: Callable[[Path, int], Path | str], says: str = "", codes: int | tuple[int, ...] = -1
) -> None:
    def arguments(folder: Path, scale: int) -> list[str]:
        (folder / "x.jsonl").write_bytes(TASK)
        return [*evaluating(folder, "x.jsonl"), f"--{option}", str(make(folder, scale))]

    case(f"annotations-{name}", arguments, _OPTIONS[option] if codes == -1 else codes, says)


def _file(name: str, content: Callable[[int], bytes]) -> Callable[[Path, int], Path]:
    def make(folder: Path, scale: int) -> Path:
        (folder / name).write_bytes(content(scale))
        return folder / name

    return make


def _pipe(folder: Path, scale: int) -> Path:
    opening.PATIENCE = 1.0  # in the process of this case alone
    os.mkfifo(folder / "given")
    return folder / "given"


def _link(folder: Path, scale: int) -> Path:
    (folder / "given").symlink_to("/dev/zero")
    return folder / "given"


def _parquet(make: Callable[[Any], Any]) -> Callable[[int], bytes]:
    def content(scale: int) -> bytes:
        import pyarrow as pa
        import pyarrow.parquet as pq

        out = io.BytesIO()
        pq.write_table(make(pa), out)
        return out.getvalue()

    return content


def _one_text(pa: Any) -> Any:
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * (1 << 20)]))
    return pa.table({"file": text})


for _option in _OPTIONS:
    _given(f"{_option}-device", _option, lambda folder, scale: "/dev/zero", "a regular file (device")
    _given(f"{_option}-link-to-device", _option, _link, "a regular file (device")
    _given(f"{_option}-pipe", _option, _pipe, "nothing was written")
    _given(f"{_option}-folder", _option, lambda folder, scale: folder)
    _given(f"{_option}-null-bytes", _option, _file("given", lambda scale: b"\0" * (8 << 20)))
for _option in ("exemptions", "house-rules", "columns"):
    _given(f"{_option}-deep", _option, _file("given", lambda scale: b"[" * 100_000 * scale), "too-deep")
    _given(f"{_option}-aliases", _option, _file("given", lambda scale: b"a: &a [x]\nb: [*a, *a]\n"), "yaml-anchor")
    _given(f"{_option}-code", _option, _file("given", lambda scale: b"!!python/name:os.system\n"), "yaml-tag")
    _given(f"{_option}-large", _option, _file("given", lambda scale: b"# x\n" * 1_100_000), "file-too-large")

_given("archived-long-line", "archived", _file("given", lambda scale: b"x" * (64 << 20) * scale), "longer than")
_given("archived-bomb-of-one-line", "archived",
       _file("given", lambda scale: gzip.compress(b"x" * (256 << 20) * scale)), "longer than")  # fmt: skip
_given("archived-bomb-of-lines", "archived",
       _file("given", lambda scale: gzip.compress(b"x\n" * (16 << 20) * scale)), "packed-too-tightly")  # fmt: skip
_given("archived-bomb-of-blank-lines", "archived",
       _file("given", lambda scale: gzip.compress(b"\n" * (32 << 20) * scale)), "packed-too-tightly")  # fmt: skip
_given("archived-torn-packing", "archived", _file("given", lambda scale: gzip.compress(b"x\n" * 100_000)[:-9]))
_given("archived-scrambled-packing", "archived",
       _file("given", lambda scale: gzip.compress(os.urandom(1 << 16))[:99] + b"\xff" * 999))  # fmt: skip
_given("archived-quote-never-closed", "archived",
       _file("given.csv", lambda scale: b'file,url\n"' + b"a\n" * 5_000_000), "field larger")  # fmt: skip
_given("archived-many-columns", "archived",
       _file("given.csv", lambda scale: b"file," + b"a," * 500_000 + b"\n" + b"x," * 500_000), "",
       (DONE, INPUT))  # fmt: skip
_given("archived-parquet-of-one-text", "archived", _file("given", _parquet(_one_text)), "packed-too-tightly")
_given("archived-torn-parquet", "archived", _file("given", lambda scale: b"PAR1" + b"\xff" * 1000 + b"PAR1"))
_given("archived-nested-parquet", "archived",
       _file("given", _parquet(lambda pa: pa.table({"file": [[{"a": ["x"]}]]}))), "", (DONE, INPUT))  # fmt: skip
