"""report and evaluate: what they print and where, and when they fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from policy_engine.cli import EXIT_CODES
from policy_engine.report.formats.text import LINES
from policy_engine.report.formats.text import render as render_text
from policy_engine.report.model import Notice
from tests.cli.desk import everything_in
from tests.support.commands import AS_OF, policy_engine
from tests.support.exports import history_row, page, task, write, write_lines
from tests.support.sample_model import rich_model


def test_totals_that_do_not_tie_end_the_run(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Totals that do not tie are exit 6, name the law, and nothing is published.
    """
    from policy_engine.engine import run as runs

    count = runs.count_findings
    monkeypatch.setattr(runs, "count_findings", lambda frame, as_of: count(frame.iloc[1:], as_of))
    done = policy_engine("report", "good.jsonl", "--as-of", AS_OF)
    assert done.code == 6
    assert "error[totals-mismatch]: points = verdicts + tasks without assets: " in done.err
    assert done.last == f"exit 6: {EXIT_CODES[6]}"
    assert not (desk / "report").exists()


def test_fail_on_names_what_was_found(desk: Path) -> None:
    """
    --fail-on may be repeated; it ends with 1 when there are such assets, names each verdict with its count, and the
    report is there.
    """
    arguments = ("report", "good.jsonl", "--as-of", AS_OF)
    assert policy_engine(*arguments, "--fail-on", "expired", "--fail-on", "ungoverned").code == 0
    done = policy_engine(*arguments, "--fail-on", "vendor_cdn", "--fail-on", "expired", "--fail-on", "active")
    assert done.code == 1
    total, *rest = done.err.splitlines()
    assert total.startswith("total 3 assets: 2 active, ")
    assert rest == [
        "failed --fail-on vendor_cdn: 1 asset",
        "failed --fail-on active: 2 assets",
        f"exit 1: {EXIT_CODES[1]}",
    ]
    assert done.out
    assert (desk / "report" / "report.html").exists()
    assert policy_engine("evaluate", *arguments[1:], "--fail-on", "active", "-o", "x.jsonl").code == 1


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_refused_table_leaves_nothing(ending: str, desk: Path) -> None:
    """
    A table that must not be published leaves an earlier one of that name as it was, and no half file.
    """
    write(desk / f"findings.{ending}", "earlier\n")
    before = everything_in(desk)
    arguments = ("good.jsonl", "--max-age", "PT1S", "--as-of", AS_OF)
    assert policy_engine("evaluate", *arguments, "-o", f"findings.{ending}").code == 4
    assert everything_in(desk) == before
    done = policy_engine("evaluate", *arguments, "-o", "-")
    assert (done.code, done.out) == (4, b"")


def test_results_and_diagnostics_are_apart(desk: Path) -> None:
    """
    The findings go to stdout and nothing else does; what a person should know goes to stderr.
    """
    done = policy_engine("evaluate", "mixed.jsonl", "-o", "-", "--as-of", AS_OF)
    lines = done.text.splitlines()
    assert (done.code, len(lines)) == (0, 72)
    assert lines[0].startswith("asset_id,task_id,")
    assert all(line.startswith("flux/t-") for line in lines[1:])
    head, *rest = done.err.splitlines()
    assert head.startswith("100 records = 71 tasks + 0 merged + 29 quarantined; 71 assets: 71 active, 0 at_risk, ")
    assert [line.partition(":")[0] for line in rest] == ["warning", "warning", *["mixed.jsonl"] * 3]
    assert rest[2] == "mixed.jsonl:72: quarantined [not_json]: found " + rest[2].partition("found ")[2]
    assert "29 records of 100 (29.0%) could not be used" in rest[0]


def test_report_prints_the_totals_and_where_it_is(desk: Path) -> None:
    """
    `report` prints its totals to stdout, the last line naming the page as the user named the folder.
    """
    done = policy_engine("report", "good.jsonl", "--as-of", AS_OF, "-o", "out/january")
    assert done.code == 0
    assert done.err == ""
    assert done.text.splitlines()[-1] == "report    out/january/report.html"
    assert "read      2 records in 1 file = 2 tasks + 0 merged + 0 quarantined" in done.text


def test_standard_input_and_output(desk: Path) -> None:
    """
    `-` reads the history from stdin and writes CSV to stdout, the same as with files but for the source's name.
    """
    assert policy_engine("evaluate", "good.jsonl", "-o", "table.csv", "--as-of", AS_OF).code == 0
    done = policy_engine("evaluate", "-", "-o", "-", "--as-of", AS_OF, stdin=(desk / "good.jsonl").read_bytes())
    assert done.code == 0
    assert done.out == (desk / "table.csv").read_bytes().replace(b"good.jsonl:", b"stdin:")


def hostile_history(folder: Path) -> Path:
    """A history with everything to warn of, and names that would move the cursor."""
    evil = "\x1b[2J\x1b]0;owned\x07\u202emodel\nsecond line"
    return write_lines(folder / "hostile.jsonl", [
        "no record at all",
        page([history_row("r-1", created_at="2025-12-01T00:00:00Z")], total=250),
        *(task(f"u-{number}", f"{evil}{number}") for number in range(9)),
        task("c-1", output={"image_url": "https://v15-kling.klingai.com/x.png"}),
        task("m-1", "midjourney", task_type="imagine", service_mode="", is_using_private_pool=...,
             output={"image_url": "https://img.theapi.app/mj/1.png"}),
        task("h-1", "Qubico/hug-video", task_type="image_to_video", output={"video_url": "https://img.theapi.app/1.mp4"}),
        task("b-1", started_at=..., ended_at="yesterday"),
    ])  # fmt: skip


def test_totals_fit_on_a_terminal(desk: Path) -> None:
    """
    Whatever there is to warn of, `report` prints at most 25 lines of at most 110 characters, and no control character.
    """
    path = hostile_history(desk)
    done = policy_engine("report", path, "--as-of", "2026-01-20T00:00:00Z")
    assert done.code == 0, done.err
    lines = done.text.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= 110
    assert all(char.isprintable() for line in lines for char in line)
    assert done.text.count("\nwarning   ") == 8
    told = policy_engine("evaluate", path, "-o", "-", "--as-of", "2026-01-20T00:00:00Z").err
    assert told.count("warning: ") == 8
    assert all(char.isprintable() for line in told.splitlines() for char in line)


@pytest.mark.parametrize("count", [0, 1, 3, 7, 20])
def test_warnings_use_the_room_there_is(count: int) -> None:
    """
    The first warnings are told as fully as 25 lines allow; where some are left out, that is said.
    """
    long = "word " * 60
    model = replace(rich_model(), warnings=tuple(Notice("code", f"{place} {long}") for place in range(count)))
    lines = render_text(model, "report/report.html").splitlines()
    assert len(lines) <= LINES
    told = [line for line in lines if line.startswith("warning   ")]
    assert len(told) == count or "further warnings are in the report" in lines[-2]
    if count == 1:
        assert sum("word" in line for line in lines) == 3
