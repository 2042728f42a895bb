"""The report folder: which files it has, that they say the same thing, and that it appears whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import shutil
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from policy_engine.cli import values
from policy_engine.core.files import drafts as staging
from policy_engine.core.files.sorted_lines import SortedLines
from policy_engine.core.resources import bundled
from policy_engine.core.vocabulary import FINDING_COLUMNS
from policy_engine.report import folder as report_folder
from policy_engine.report.files import CSV_OF, REPORT_FILES
from policy_engine.report.formats import summary_json
from policy_engine.report.ranking import TopRows
from tests.support.commands import AS_OF, EXAMPLE, JOBS, in_own_process, policy_engine
from tests.support.exports import task, write_lines
from tests.support.folders import content, read_csv, read_json


def check_schema(value: object, name: str) -> None:
    """Validate a value against a bundled schema, formats included."""
    schema = read_json(bundled("schemas") / f"{name}.schema.json")
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(value)


# --- what is in it ------------------------------------------------------------------------------------------------


def test_folder_holds_what_is_promised(report: Path) -> None:
    """
    The folder holds exactly the files that the documentation promises.
    """
    assert sorted(content(report)) == sorted(REPORT_FILES) == sorted([
        "report.html", "findings.csv", "at_risk.csv", "expired.csv", "vendor_cdn.csv", "ungoverned.csv",
        "undetermined.csv", "save_now.csv", "quarantine.csv", "summary.json", "manifest.json",
    ])  # fmt: skip


@pytest.mark.parametrize("verdict", CSV_OF)
def test_tables_of_verdicts_are_parts_of_the_findings(verdict: str, report: Path, rows: list[dict[str, str]]) -> None:
    """
    The table of a verdict holds exactly the rows of findings.csv with that verdict, in all columns.
    """
    part = read_csv(report / CSV_OF[verdict])
    expected = [row for row in rows if row["verdict"] == verdict]
    assert part
    if verdict == "at_risk":
        part.sort(key=lambda row: row["asset_id"])
        expected.sort(key=lambda row: row["asset_id"])
    assert part == expected


@pytest.mark.parametrize("name", ["findings.csv", *CSV_OF.values()])
def test_tables_have_the_documented_columns(name: str, report: Path) -> None:
    """
    Every table of findings has the documented columns in their order, and line feeds alone end its lines.
    """
    data = (report / name).read_bytes()
    assert data.split(b"\n", 1)[0].decode() == ",".join(FINDING_COLUMNS)
    assert data.endswith(b"\n")
    assert b"\r\n" not in data


def test_most_urgent_come_first(report: Path) -> None:
    """
    at_risk.csv is ordered by the earliest deadline, and equal deadlines keep the order of findings.csv.
    """
    part = read_csv(report / "at_risk.csv")
    place = {row["asset_id"]: place for place, row in enumerate(read_csv(report / "findings.csv"))}
    keys = [(row["expires_earliest"].removesuffix("Z").ljust(29, "0"), place[row["asset_id"]]) for row in part]
    assert keys == sorted(keys)
    assert len({deadline for deadline, _ in keys}) < len(keys)


def test_quarantine_lists_what_was_set_aside(report: Path) -> None:
    """
    quarantine.csv names file, line and reason of every record that was set aside, and nothing of its text runs.
    """
    assert [(row["source"], row["reason"]) for row in read_csv(report / "quarantine.csv")] == [
        ("c.jsonl:9", "not_json"), ("c.jsonl:11", "no_task_id"),
    ]  # fmt: skip


# --- it can be defended -------------------------------------------------------------------------------------------


def test_manifest_tells_what_was_read_and_made(report: Path, history: Path) -> None:
    """
    The manifest fits its schema, and its digests and sizes are those of the files read and written.
    """
    manifest = read_json(report / "manifest.json")
    check_schema(manifest, "manifest.v1")
    assert sorted(manifest["outputs"]) == sorted(name for name in REPORT_FILES if name != "manifest.json")
    for name, entry in manifest["outputs"].items():
        data = (report / name).read_bytes()
        assert (entry["sha256"], entry["size"]) == (hashlib.sha256(data).hexdigest(), len(data))
        assert entry.get("rows", 0) == (len(read_csv(report / name)) if name.endswith(".csv") else 0)
    assert manifest["findings_sha256"] == manifest["outputs"]["findings.csv"]["sha256"]
    assert [entry["name"] for entry in manifest["inputs"]] == ["a.jsonl", "b.jsonl", "c.jsonl"]
    for entry in manifest["inputs"]:
        data = (history / entry["name"]).read_bytes()
        assert (entry["sha256"], entry["size"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert manifest["parameters"] == {"as_of": AS_OF, "horizon": "P1D", "operation_horizon": "PT1H"}


def test_summary_fits_its_schema(summary: dict[str, Any]) -> None:
    """
    summary.json fits its schema.
    """
    check_schema(summary, "summary.v1")


def test_findings_as_json_lines_fit_their_schema(history: Path, tmp_path: Path, rows: list[dict[str, str]]) -> None:
    """
    Findings as JSON Lines fit their schema and say what the CSV says.
    """
    path = tmp_path / "findings.jsonl"
    assert policy_engine("evaluate", history, "--as-of", AS_OF, "-o", path).code == 0
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [list(row) for row in found] == [list(FINDING_COLUMNS)] * len(rows)
    schema = read_json(bundled("schemas") / "findings.v1.schema.json")
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    for row, other in zip(found, rows, strict=True):
        validator.validate(row)
        for name in ("expires_earliest", "as_of", "verdict", "evidence", "reason", "url_host"):
            assert (row[name] or "") == other[name]
        assert str(row["rule_version"] or "") == other["rule_version"]
        assert row["cost_usd"] is None or Decimal(str(row["cost_usd"])) == Decimal(other["cost_usd"])


# --- the same everywhere ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("jobs", "changes"),
    [
        (1, {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "1"}),
        (2, {"TZ": "America/St_Johns", "LC_ALL": "de_DE.UTF-8", "PYTHONHASHSEED": "2", "PYTHONUTF8": "1"}),
    ],
)
def test_same_bytes_everywhere(jobs: int, changes: dict[str, str], history: Path, report: Path, tmp_path: Path) -> None:
    """
    A report has the same bytes again, in another time zone, locale, hash seed and folder, by a relative path, and
    with one process or two.
    """
    shutil.copytree(history, tmp_path / "somewhere" / "else")
    done = in_own_process(
        "report", "else", "--as-of", "2026-01-08T08:00:00+08:00", "-o", "../r", "--jobs", jobs,
        cwd=tmp_path / "somewhere", **changes,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert content(tmp_path / "r") == content(report)


def test_time_of_the_run_is_nowhere(
    history: Path, report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    With --as-of nobody asks the clock, so nothing in a report can depend on it.
    """

    def fail() -> int:
        raise AssertionError("somebody asked what time it is")

    monkeypatch.setattr(values, "clock", fail)
    monkeypatch.setattr(time, "time_ns", fail)
    assert policy_engine("report", history, "--as-of", AS_OF, "-o", tmp_path / "report").code == 0
    assert content(tmp_path / "report") == content(report)


def test_urls_stay_off_the_page_unless_asked_for(
    history: Path, report: Path, tmp_path: Path, rows: list[dict[str, str]]
) -> None:
    """
    Full URLs open files, so the page shows them with --show-urls only; the tables are the same either way.
    """
    urls = {row["url"].replace("&", "&amp;") for row in rows if row["verdict"] == "at_risk" and row["url"]}
    hidden = (report / "report.html").read_text(encoding="utf-8")
    assert [url for url in urls if url in hidden] == []
    assert policy_engine("report", history, "--as-of", AS_OF, "-o", tmp_path / "shown", "--show-urls").code == 0
    shown = content(tmp_path / "shown")
    assert [url for url in urls if url not in shown["report.html"].decode()] == []
    assert {name: data for name, data in shown.items() if name.endswith(".csv")} == {
        name: data for name, data in content(report).items() if name.endswith(".csv")
    }


# --- whole or not at all ------------------------------------------------------------------------------------------


def test_earlier_report_is_replaced_whole(history: Path, report: Path, tmp_path: Path) -> None:
    """
    A new report replaces the earlier one completely and leaves nothing beside it.
    """
    folder = tmp_path / "report"
    assert policy_engine("report", EXAMPLE, "--as-of", "2026-01-03T00:00:00Z", "-o", folder).code == 0
    earlier = content(folder)
    assert policy_engine("report", history, "--as-of", AS_OF, "-o", folder).code == 0
    assert content(folder) == content(report) != earlier
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


Break = Callable[[pytest.MonkeyPatch], None]


def _breaking(target: object, name: str) -> Break:
    def break_it(monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("broken on purpose")

        monkeypatch.setattr(target, name, fail)

    return break_it


def _breaking_a_renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary_json, "render", lambda model: 1 // 0 and "")


def _breaking_the_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where the system cannot let two folders change places.
    monkeypatch.setattr(staging, "_exchange", lambda one, other: False)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if ".partial-" in self.name:
            raise PermissionError(13, "Permission denied", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)


@pytest.mark.parametrize(
    "break_it",
    [
        _breaking(TopRows, "add"),
        _breaking(report_folder.Tables, "write"),
        _breaking(report_folder, "input_lines"),
        _breaking(report_folder, "build_report"),
        _breaking_a_renderer,
        _breaking(report_folder, "_manifest"),
        _breaking_the_last_step,
    ],
    ids=["reading", "tables", "inputs", "model", "page", "manifest", "publishing"],
)
def test_failure_leaves_the_earlier_report(break_it: Break, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Wherever a run fails, the earlier report is as it was, and nothing else is left.
    """
    write_lines(tmp_path / "h.jsonl", [task()])
    folder = tmp_path / "out" / "report"
    assert policy_engine("report", tmp_path / "h.jsonl", "--as-of", AS_OF, "-o", folder).code == 0
    earlier = content(folder)
    break_it(monkeypatch)
    done = policy_engine("report", tmp_path / "h.jsonl", "--as-of", "2026-01-07T00:00:00Z", "-o", folder)
    assert done.code in (2, 70)
    assert content(folder) == earlier
    assert [path.name for path in folder.parent.iterdir()] == ["report"]
    done = policy_engine("report", tmp_path / "h.jsonl", "--as-of", AS_OF, "-o", tmp_path / "new" / "report")
    assert done.code in (2, 70)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("change", ["grows", "goes"])
def test_file_that_changes_is_refused(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A history that is written or moved while it is read gets no report: its digest would be of other bytes.
    """
    path = write_lines(tmp_path / "h.jsonl", [task()])
    add = TopRows.add

    def change_it(self: TopRows, chosen: Any, rows: int) -> None:
        if change == "grows":
            write_lines(path, [task(), task("t-2")])
        else:
            path.unlink()
        add(self, chosen, rows)

    monkeypatch.setattr(TopRows, "add", change_it)
    done = policy_engine("report", path, "--as-of", AS_OF, "-o", tmp_path / "report")
    assert done.code == 4
    assert "h.jsonl:1:1: error[input-changed]: the file was changed while it was read" in done.err
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("jobs", JOBS)
def test_what_is_ordered_is_refused_like_the_rest(jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A disk that is full when the ordered tables are written, by whichever process, is said in one sentence; nothing is
    left, and no process.
    """

    def full(self: SortedLines, source: Path, stream: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "report" / "save_now.csv"))

    path = write_lines(tmp_path / "h.jsonl", [task()])
    monkeypatch.setattr(SortedLines, "copy", full)
    done = policy_engine("report", path, "--as-of", AS_OF, "--jobs", jobs, "-o", tmp_path / "report")
    assert done.code == 2
    assert "error[no-room]: the disk is full" in done.err
    assert [one.name for one in tmp_path.iterdir()] == ["h.jsonl"]
    assert multiprocessing.active_children() == []
