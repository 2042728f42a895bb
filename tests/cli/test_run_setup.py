"""What a run refuses and leaves out before it is published: quarantine, age, its own output, an empty history."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policy_engine.cli import EXIT_CODES
from tests.cli.desk import everything_in
from tests.support.commands import AS_OF, policy_engine
from tests.support.exports import kling, task, write_lines


def test_all_unusable_files_are_named(desk: Path) -> None:
    """
    Several files that cannot be used are all named in one run.
    """
    done = policy_engine("evaluate", "nosuch.json", "binary.json", "page.json", "good.jsonl", "-o", "new.csv")
    assert done.code == 4
    assert re.findall(r"error\[([a-z-]+)\]", done.err) == ["missing-file", "binary-file", "not-an-export"]


@pytest.mark.parametrize(
    ("allowed", "code"), [("29", 0), ("28", 4), ("29%", 0), ("28.9%", 4), ("0", 4), ("0%", 4), ("100%", 0)]
)
def test_quarantine_gate(allowed: str, code: int, desk: Path) -> None:
    """
    --max-quarantine is a count or a share of the records read; exactly so many are allowed, one more is exit 4. The
    report is written all the same, since quarantine.csv says what to mend.
    """
    done = policy_engine("report", "mixed.jsonl", "--as-of", AS_OF, "--max-quarantine", allowed)
    assert done.code == code
    said = f"\nfailed 29 of 100 records were set aside; --max-quarantine allows {allowed}\nexit 4: {EXIT_CODES[4]}\n"
    assert done.err.endswith(said) if code else not done.err
    assert (desk / "report" / "quarantine.csv").read_text().count("\n") == 30


def test_max_age_is_exact(desk: Path) -> None:
    """
    A history exactly as old as --max-age allows is used.
    """
    arguments = ("--as-of", "2026-01-09T10:05:00Z", "--max-age", "P3D")
    assert policy_engine("report", "good.jsonl", *arguments).code == 0


def test_max_age_needs_a_time(desk: Path) -> None:
    """
    A history without any time cannot pass --max-age.
    """
    write_lines(desk / "timeless.jsonl", [task("t", created_at=..., ended_at=..., started_at=...)])
    done = policy_engine("evaluate", "timeless.jsonl", "--max-age", "P3D", "-o", "-")
    assert done.code == 4
    assert "no record has a time" in done.err
    assert done.out == b""


def test_empty_standard_input_is_refused() -> None:
    """
    Nothing on stdin is an unusable input, not an empty answer.
    """
    done = policy_engine("evaluate", "-", "-o", "-")
    assert done.code == 4
    assert "stdin:1:1: error[empty-file]" in done.err


def test_own_output_is_no_history(desk: Path) -> None:
    """
    A second run over a folder that holds the report of the first says that it leaves it out, and answers the same.
    """
    folder = desk / "exports"
    write_lines(folder / "good.jsonl", [task("t-1"), kling("k-1")])
    first = policy_engine("report", folder, "--as-of", AS_OF, "-o", folder / "report")
    content = everything_in(folder)
    second = policy_engine("report", folder, "--as-of", AS_OF, "-o", folder / "report")
    third = policy_engine("report", folder, "--as-of", AS_OF, "-o", folder / "elsewhere")
    assert (first.code, second.code, third.code) == (0, 0, 0)
    assert second.out == first.out
    assert "skipped 10 files (report/at_risk.csv, " in second.err
    assert "written by this program, so not part of the history" in third.err
    now = everything_in(folder)
    assert {name: data for name, data in now.items() if not name.startswith("elsewhere")} == content
    assert now["elsewhere/findings.csv"] == content["report/findings.csv"]


def test_own_output_alone_is_refused(desk: Path) -> None:
    """
    A folder that holds nothing but a report is no history; a findings table named by itself is.
    """
    assert policy_engine("report", "good.jsonl", "--as-of", AS_OF).code == 0
    done = policy_engine("evaluate", "report", "-o", "-", "--as-of", AS_OF)
    assert done.code == 4
    assert "error[only-reports]" in done.err
    done = policy_engine("report", "report/findings.csv", "--as-of", AS_OF)
    assert done.code == 2
    assert "error[output-is-input]" in done.err
    assert policy_engine("evaluate", "report/findings.csv", "-o", "-", "--as-of", AS_OF).code == 0
