"""The report folder: which files it has, that they say the same thing, and that it appears whole or not at all."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import multiprocessing
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from policy_engine.cli import values
from policy_engine.core.files import drafts as staging
from policy_engine.core.files.sorted_lines import SortedLines
from policy_engine.core.periods import parse_instant
from policy_engine.core.resources import bundled
from policy_engine.core.vocabulary import FINDING_COLUMNS, VERDICTS
from policy_engine.report import folder as report_folder
from policy_engine.report import publishing
from policy_engine.report.files import CSV_OF, REPORT_FILES
from policy_engine.report.ranking import TopRows
from tests.support.commands import AS_OF, EXAMPLE, JOBS, Done, in_own_process, policy_engine
from tests.support.exports import task, write, write_lines

POINTS_PER_USD = 10_000_000


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


def read_json(path: Path) -> dict[str, Any]:
    """A JSON document that must be an object."""
    value = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a table by column name."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def check_schema(value: object, name: str) -> None:
    """Validate a value against a bundled schema, formats included."""
    schema = read_json(bundled("schemas") / f"{name}.schema.json")
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(value)


def amount(rows: Iterable[dict[str, str]]) -> dict[str, Any]:
    """Files, points and dollars of some findings; dollars exact, from their own column."""
    chosen = list(rows)
    points = sum(int(row["points"] or 0) for row in chosen)
    dollars = sum((Decimal(row["cost_usd"] or 0) for row in chosen), Decimal(0))
    assert dollars == Decimal(points) / POINTS_PER_USD
    return {"assets": len(chosen), "points": points, "cost_usd": dollars}


def stated(value: dict[str, Any]) -> dict[str, Any]:
    """An amount of summary.json in the same form."""
    return {"assets": value["assets"], "points": value["points"], "cost_usd": Decimal(value["cost_usd"])}


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


def test_control_totals_tie(report: Path, summary: dict[str, Any], rows: list[dict[str, str]]) -> None:
    """
    The control totals of the manifest are those of the summary and of the tables.
    """
    manifest = read_json(report / "manifest.json")
    totals, reading = manifest["control_totals"], summary["reading"]
    assert totals["records"] == totals["tasks"] + totals["merged"] + totals["quarantined"]
    assert totals["tasks"] == totals["tasks_with_assets"] + totals["tasks_without_assets"]
    assert totals["records"] == sum(entry["records"] for entry in manifest["inputs"])
    assert totals["quarantined"] == len(read_csv(report / "quarantine.csv"))
    assert totals["assets"] == len(rows)
    assert totals["tasks_with_assets"] == len({(row["service"], row["model"], row["task_id"]) for row in rows})
    assert totals["points"] == summary["totals"]["history"]["points"]
    assert {name: reading[name] for name in totals if name in reading} == {
        name: totals[name] for name in totals if name in reading
    }


def test_summary_fits_its_schema(summary: dict[str, Any]) -> None:
    """
    summary.json fits its schema.
    """
    check_schema(summary, "summary.v1")


def test_counts_and_money_are_those_of_the_table(summary: dict[str, Any], rows: list[dict[str, str]]) -> None:
    """
    Every count and amount of the summary can be made again from findings.csv, to the last point.
    """
    for line in summary["verdicts"]:
        assert stated(line) == amount(row for row in rows if row["verdict"] == line["verdict"])
    totals = summary["totals"]
    assert stated(totals["with_assets"]) == amount(rows)
    assert stated(totals["possibly_past"]) == amount(row for row in rows if row["possibly_past"] == "true")
    assert totals["history"]["points"] == totals["with_assets"]["points"] + totals["without_assets"]["points"]
    without = sum(line["points"] for line in summary["reading"]["without_assets"])
    assert totals["without_assets"]["points"] == without
    for line in summary["services"]:
        mine = [row for row in rows if (row["service"] or "unknown") == line["service"]]
        assert stated(line) == amount(mine)
        for verdict in VERDICTS:
            assert stated(line["verdicts"][verdict]) == amount(row for row in mine if row["verdict"] == verdict)
    assert sum(line["assets"] for line in summary["services"]) == len(rows)
    assert stated(summary["closing"]) == amount(row for row in rows if row["operation_verdict"] == "closing")
    assert summary["page_rows"]["count"] == len(rows)
    assert summary["page_rows"]["verdicts"] == {line["verdict"]: line["assets"] for line in summary["verdicts"]}


def test_further_counts_are_those_of_the_table(summary: dict[str, Any], rows: list[dict[str, str]]) -> None:
    """
    Windows, reasons, basis, evidence, deadlines and rules of the summary are counted as in findings.csv.
    """

    def counts(name: str) -> dict[str, int]:
        return {line["code"]: line["count"] for line in summary[name] if line["count"]}

    assert counts("operation_windows") == Counter(row["operation_verdict"] for row in rows)
    assert counts("not_known") == Counter(code for row in rows for code in row["reason"].split(";") if code)
    for name in ("basis", "evidence"):
        found = {line["code"]: line["count"] for line in summary["rests_on"][name] if line["count"]}
        assert found == Counter(row[name] for row in rows if row[name])
    deadlines = summary["deadlines"]
    dated = [row for row in rows if row["verdict"] in ("active", "at_risk", "expired")]
    coming = [row for row in dated if parse_instant(row["expires_earliest"]) > parse_instant(AS_OF)]
    assert sum(bucket["assets"] for bucket in deadlines["buckets"]) + deadlines["later"]["assets"] == len(coming)
    assert sum(bucket["assets"] for bucket in deadlines["past"]) + deadlines["earlier"]["assets"] == len(dated) - len(
        coming
    )
    for bucket in (*deadlines["buckets"], *deadlines["past"]):
        start, end = parse_instant(bucket["start"]), parse_instant(bucket["end"])
        inside = [row for row in dated if start <= parse_instant(row["expires_earliest"]) < end]
        # At as_of itself a deadline has passed: it belongs to the day before and not to the hour after.
        assert abs(len(inside) - bucket["assets"]) <= sum(row["expires_earliest"] == AS_OF for row in dated)
    for line in summary["rules"]:
        key = (line["rule_id"], str(line["version"]))
        assert line["assets"] == sum(
            key in ((row["rule_id"], row["rule_version"]), (row["operation_rule_id"], row["operation_rule_version"]))
            for row in rows
        )


def test_next_deadline_is_the_nearest(summary: dict[str, Any], rows: list[dict[str, str]]) -> None:
    """
    The next deadline, and the next window to close, are the nearest ones after as_of among those that still run.
    """

    def nearest(column: str, verdicts: tuple[str, str], of: str) -> str:
        texts = [row[column] for row in rows if row[of] in verdicts]
        return min((text for text in texts if text.removesuffix("Z") > AS_OF.removesuffix("Z")), key=lambda t: t[:-1])

    assert summary["next"]["deadline"]["at"] == nearest("expires_earliest", ("active", "at_risk"), "verdict")
    assert summary["next"]["window"]["at"] == nearest(
        "operation_closes_earliest", ("open", "closing"), "operation_verdict"
    )


def numbers(text: str) -> set[Decimal]:
    """Every number in a text, whatever its thousands separators and trailing zeros."""
    return {Decimal(found.replace(",", "")) for found in re.findall(r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?", text)}


def test_every_number_on_the_terminal_is_in_the_summary(made: tuple[Path, Done], report: Path) -> None:
    """
    The terminal shows no number that summary.json does not hold.
    """
    text = made[1].text
    shown = "\n".join(line for line in text.splitlines() if not line.startswith("report "))
    known = numbers((report / "summary.json").read_text(encoding="utf-8"))
    assert numbers(shown) - known == set()
    assert len(numbers(shown)) > 30


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
def test_same_bytes_everywhere(jobs: int, changes: dict[str, str], report: Path, tmp_path: Path) -> None:
    """
    A report has the same bytes again, in another time zone, locale, hash seed and folder, by a relative path, and
    with one process or two.
    """
    make_history(tmp_path / "somewhere" / "else")
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
    monkeypatch.setitem(report_folder.FORMATS, "json", lambda model: 1 // 0 and "")


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


@pytest.mark.parametrize("way", ["working folder", "mounted", "guest", "link"])
def test_folder_that_cannot_be_renamed(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A report can lie in the working folder, on a mount point, in a folder whose parent is not ours, and behind a link;
    it is the same report, and the folder is the same folder.
    """
    path = write_lines(tmp_path / "exports" / "h.jsonl", [task(), task("t-2", "kling")])
    assert policy_engine("report", path, "--as-of", AS_OF, "-o", tmp_path / "exports" / "plain").code == 0
    base = tmp_path / "base"
    folder = base / "there"
    folder.mkdir(parents=True)
    output: Path = folder
    if way == "working folder":
        monkeypatch.chdir(folder)
        output = Path()
    elif way == "mounted":
        monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == folder)
    elif way == "guest":
        access = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != base and access(path, mode))
    else:
        output = base / "link"
        output.symlink_to(folder)
    identity = folder.stat().st_ino
    for instant in ("2026-01-07T00:00:00Z", AS_OF):
        done = policy_engine("report", path, "--as-of", instant, "-o", output)
        assert done.code == 0, done.err
    assert content(folder) == content(tmp_path / "exports" / "plain")
    assert way == "link" or folder.stat().st_ino == identity
    assert sorted(one.name for one in base.iterdir()) == (["link", "there"] if way == "link" else ["there"])
    assert way != "link" or output.is_symlink()


def test_report_that_stays_is_never_half_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where files must be put in place one by one, a failure between two of them leaves a folder without a manifest,
    which is no report; the next run is not put off by it.
    """
    write_lines(tmp_path / "h.jsonl", [task()])
    folder = tmp_path / "report"
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == folder)
    folder.mkdir()
    assert policy_engine("report", tmp_path / "h.jsonl", "--as-of", AS_OF, "-o", folder).code == 0
    assert publishing.is_report(folder)
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if self.name == "expired.csv":
            raise OSError(5, "Input/output error")
        return replace(self, target)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", fail)
        done = policy_engine("report", tmp_path / "h.jsonl", "--as-of", AS_OF, "-o", folder)
    assert done.code == 2
    assert "error[half-published]: not all files of the report could be moved into" in done.err
    assert "Input/output error" in done.err
    assert not publishing.is_report(folder)
    done = policy_engine("report", tmp_path / "nothing.jsonl", "--as-of", AS_OF, "-o", folder)
    assert done.code == 4
    later = "2026-01-09T00:00:00Z"
    assert policy_engine("report", tmp_path / "h.jsonl", "--as-of", later, "-o", folder).code == 0
    assert set(content(folder)) == set(REPORT_FILES)
    assert policy_engine("report", tmp_path / "h.jsonl", "--as-of", later, "-o", tmp_path / "plain").code == 0
    assert content(folder) == content(tmp_path / "plain")


def test_report_that_stays_is_put_in_place_at_the_second_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A move of one file that the system refuses once costs a moment and not the report.
    """
    write_lines(tmp_path / "h.jsonl", [task()])
    folder = tmp_path / "report"
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == folder)
    folder.mkdir()
    replace = Path.replace
    refused: list[str] = []

    def fail_once(self: Path, target: Path) -> Path:
        if self.name == "expired.csv" and not refused:
            refused.append(self.name)
            raise OSError(errno.EACCES, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_once)
    assert policy_engine("report", tmp_path / "h.jsonl", "--as-of", AS_OF, "-o", folder).code == 0
    assert refused
    assert policy_engine("report", tmp_path / "h.jsonl", "--as-of", AS_OF, "-o", tmp_path / "plain").code == 0
    assert content(folder) == content(tmp_path / "plain")


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
