"""What a case is, and what makers of cases share; every other module of this folder adds its cases to `CASES`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

MINIMAL = ROOT / "tests" / "packs" / "valid" / "minimal"
DONE, USAGE, RULES, INPUT, NOTHING = 0, 2, 3, 4, 7
AS_OF = "2026-01-08T00:00:00Z"
TASK = b'{"task_id":"t","model":"Qubico/flux1-dev","status":"completed","output":{"image_url":"https://a.example/b.png"}}\n'
HEAD = b"task_id,model,status,url\n"
ROW = b"t,kling,completed,https://a.example/b.png\n"
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
    """Checks the findings of a run that succeeded; raises AssertionError."""


def nothing_more(folder: Path) -> None:
    """Ask nothing further."""


def case(name: str, arguments: Callable[[Path, int], list[str]], codes: int | tuple[int, ...], says: str = "",
          after: Callable[[Path], None] = nothing_more) -> None:  # fmt: skip
    """Add a case; `codes` are those that are right for it."""
    assert name not in CASES, name
    CASES[name] = Case(name, arguments, (codes,) if isinstance(codes, int) else codes, says, after)


def repeated(text: bytes, count: int, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    """A text that is repeated this often, times the scale, between two others."""
    return lambda scale: before + text * (count * scale) + after


def evaluating(folder: Path, *names: str) -> list[str]:
    """Arguments that evaluate files of a folder."""
    return ["evaluate", *(str(folder / name) for name in names), "--as-of", AS_OF, "-o", str(folder / "out.csv")]


def findings(folder: Path) -> list[dict[str, str]]:
    """What a run wrote."""
    with (folder / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        csv.field_size_limit(1 << 30)
        return list(csv.DictReader(file))


def ids(*expected: str) -> Callable[[Path], None]:
    """Requires that the findings are about these tasks."""

    def after(folder: Path) -> None:
        assert sorted(row["task_id"] for row in findings(folder)) == sorted(expected)

    return after


def export(
    name: str, file: str, content: Callable[[int], bytes] | Callable[[int], Iterator[bytes]],
    codes: int | tuple[int, ...], says: str = "", after: Callable[[Path], None] = nothing_more,
) -> None:  # fmt: skip
    """Add a case of one file of a history."""

    def arguments(folder: Path, scale: int) -> list[str]:
        made = content(scale)
        with (folder / file).open("wb") as out:
            out.writelines([made] if isinstance(made, bytes) else made)
        return evaluating(folder, file)

    case(name, arguments, codes, says, after)


def task(**fields: Any) -> bytes:
    """A line with a task."""
    task = {"task_id": "t", "model": "Qubico/flux1-dev", "status": "completed"}
    return json.dumps(task | fields).encode() + b"\n"
