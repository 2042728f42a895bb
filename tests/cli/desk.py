"""A working folder with one of each thing that goes wrong, for the tests of commands."""

from __future__ import annotations

import gzip
from pathlib import Path

from tests.support.exports import kling, task, write, write_csv, write_json, write_lines
from tests.support.paths import ROOT

PACKS = ROOT / "tests" / "packs"


def lay_desk(tmp_path: Path) -> None:
    """Write a history, rule packs, and one of each thing that goes wrong."""
    write_lines(tmp_path / "good.jsonl", [task("t-1"), kling("k-1")])
    (tmp_path / "empty").mkdir()
    write(tmp_path / "binary.json", bytes(range(256)) * 4)
    write(tmp_path / "page.json", "<!DOCTYPE html>\n<html><body>Please sign in</body></html>\n")
    packed = gzip.compress((tmp_path / "good.jsonl").read_bytes() * 50)
    write(tmp_path / "cut.jsonl", packed[: len(packed) // 2])
    write_csv(tmp_path / "wrong.csv", [{"Task ID": "1", "Kind": "flux"}])
    write_json(tmp_path / "nothing.json", [])
    write_json(tmp_path / "no-tasks.json", [{"hello": "world"}, 7])
    write_lines(tmp_path / "mixed.jsonl", [*(task(f"t-{number}") for number in range(71)), *["no record"] * 29])
    write(tmp_path / "file.txt", "mine\n")
    write(tmp_path / "occupied" / "notes.txt", "mine\n")
    write(tmp_path / "alike" / "findings.csv", "mine\n")
    write(tmp_path / "unknown-column.yaml", "taskid: Task ID\nkind: Kind\n")
    write(tmp_path / "double-column.yaml", "task_id: Task ID\naccount_id: Task ID\n")
    write(tmp_path / "other-column.yaml", "task_id: Task Id.\n")
    write(tmp_path / "list.yaml", "- task_id\n")
    (tmp_path / "folder.csv").mkdir()
    lay_pack(tmp_path / "failing")
    cases = tmp_path / "failing" / "cases" / "film.yaml"
    cases.write_text(cases.read_text(encoding="utf-8").replace("verdict: active", "verdict: expired"), encoding="utf-8")
    lay_pack(tmp_path / "broken", "many-at-once")
    lay_pack(tmp_path / "conflict", "overlap-storage")
    lay_pack(tmp_path / "caseless")
    (tmp_path / "caseless" / "cases" / "film.yaml").unlink()


def lay_pack(folder: Path, defect: str | None = None) -> None:
    """Copy the small valid pack, and over it the files of a defect."""
    for layer in (PACKS / "valid" / "minimal", *([PACKS / "invalid" / defect] if defect else [])):
        for path in sorted(layer.rglob("*.yaml")):
            write(folder / path.relative_to(layer), path.read_bytes())


def everything_in(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below a folder, with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
