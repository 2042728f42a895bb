"""A report of the example history with odd texts and records that cannot be used, made once for each module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import AS_OF, EXAMPLE, Done, policy_engine
from tests.support.exports import task, write, write_lines
from tests.support.folders import read_csv, read_json


def make_history(folder: Path) -> Path:
    """The example in two files, with texts that CSV has to quote and records that cannot be used."""
    lines = Path(EXAMPLE).read_text(encoding="utf-8").splitlines(keepends=True)
    write(folder / "a.jsonl", "".join(lines[:200]))
    write(folder / "b.jsonl", "".join(lines[200:]))
    soon = {"created_at": "2026-01-05T10:00:00Z", "ended_at": "2026-01-05T10:01:00Z"}
    odd = ['said "no", twice', "two\nlines", "=1+1", "モデル;x", "a\tb", " +1", "cr\rlf"]
    write_lines(folder / "c.jsonl", [
        *(task(f"{text} {number}", meta={**soon, "usage": {"type": "point", "consume": 7}})
          for number, text in enumerate(odd)),
        task("x", "\u00e9t\u00e9 \u2028", meta=soon),
        "no record", [], {"hello": "=cmd()"},
    ])  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of exports."""
    return make_history(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="module")
def made(history: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A report and what the command printed."""
    folder = tmp_path_factory.mktemp("made") / "report"
    done = policy_engine("report", history, "--as-of", AS_OF, "-o", folder)
    assert done.code == 0, done.err
    return folder, done


@pytest.fixture(scope="module")
def report(made: tuple[Path, Done]) -> Path:
    """A report folder."""
    return made[0]


@pytest.fixture(scope="module")
def summary(report: Path) -> dict[str, Any]:
    """Its summary."""
    return read_json(report / "summary.json")


@pytest.fixture(scope="module")
def rows(report: Path) -> list[dict[str, str]]:
    """Its findings as the csv module reads them."""
    return read_csv(report / "findings.csv")
