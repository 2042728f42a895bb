"""Acting on a report: what is archived or exempted, what is to be saved now, and the files that go to others."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from policy_engine.cli.output import paint
from policy_engine.report.files import EXTRA_FILES, REPORT_FILES
from tests.report.test_folder import check_schema, content, read_csv, read_json
from tests.support.commands import AS_OF, EXAMPLE, Done, policy_engine
from tests.support.exports import kling, task, write, write_lines

HOUSE = """\
rules:
  - id: save-what-nobody-promises
    title: Save within 7 days
    versions:
      - version: 1
        recorded_on: "2026-01-02"
        selector: {verdict: [vendor_cdn, ungoverned]}
        save_within: {period: P7D}
        citation: {source: Handbook, section: Saving, retrieved_on: "2026-01-02", basis: internal}
"""
EXEMPTIONS = """\
exemptions:
  - {id: given-up, owner: ops, reason: Given up long ago., until: "2026-02-01", covers: {verdict: [expired]}}
  - {id: songs, owner: "<b>Ann|Bob</b>", reason: Demo., until: "2026-01-07", covers: {service: [suno]}}
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The findings of the example without anything beside the history."""
    folder = tmp_path_factory.mktemp("plain") / "report"
    assert policy_engine("report", EXAMPLE, "--as-of", AS_OF, "-o", folder).code == 0
    return read_csv(folder / "findings.csv")


@pytest.fixture(scope="module")
def made(plain: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done, set[str]]:
    """A report with everything beside the history; also the ids of the assets that were listed as archived."""
    base = tmp_path_factory.mktemp("acting")
    listed = {row["asset_id"] for row in plain[::7]}
    write(base / "archive.txt", "".join(f"./{asset}.bin\n" for asset in sorted(listed)))
    write(base / "house.yaml", HOUSE)
    write(base / "exemptions.yaml", EXEMPTIONS)
    done = report(base, "--jobs", 1)
    assert done.code == 0, done.err
    return base / "report", done, listed


def report(base: Path, *options: object, output: str = "report") -> Done:
    """The report with everything."""
    return policy_engine(
        "report", EXAMPLE, "--as-of", AS_OF, "-o", base / output, "--archived", base / "archive.txt", "--exemptions",
        base / "exemptions.yaml", "--house-rules", base / "house.yaml", "--every", "PT12H", "--xlsx", "--markdown",
        "--rescue", "aria2", "--tz", "Europe/Berlin", *options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows(made: tuple[Path, Done, set[str]]) -> list[dict[str, str]]:
    """Its findings."""
    return read_csv(made[0] / "findings.csv")


@pytest.fixture(scope="module")
def summary(made: tuple[Path, Done, set[str]]) -> dict[str, Any]:
    """Its summary."""
    return read_json(made[0] / "summary.json")


def test_no_mark_changes_a_verdict(
    made: tuple[Path, Done, set[str]], rows: list[dict[str, str]], tmp_path: Path
) -> None:
    """
    With or without inventory, exemptions and house rules every other column is the same, and at_risk.csv is whole.
    """
    done = policy_engine("evaluate", EXAMPLE, "--as-of", AS_OF, "-o", tmp_path / "f.csv", "--every", "PT12H")
    assert done.code == 0
    marks = {"archived", "exempted_by", "save_by"}
    assert [{name: row[name] for name in row.keys() - marks} for row in rows] == [
        {name: row[name] for name in row.keys() - marks} for row in read_csv(tmp_path / "f.csv")
    ]
    at_risk = {row["asset_id"] for row in read_csv(made[0] / "at_risk.csv")}
    assert at_risk == {row["asset_id"] for row in rows if row["verdict"] == "at_risk"}
    assert any(row["archived"] == "true" for row in read_csv(made[0] / "at_risk.csv"))


def test_without_files_the_columns_say_nothing(plain: list[dict[str, str]]) -> None:
    """
    Without an inventory `archived` is empty, not false; `save_by` is there all the same.
    """
    assert {row["archived"] for row in plain} == {row["exempted_by"] for row in plain} == {""}
    for row in plain:
        dates = sorted(row[name] for name in ("expires_earliest", "link_expires_at") if row[name])
        assert [row["save_by"][:19]] == ([dates[0][:19]] if dates else [""])


def test_listed_copies_are_marked(made: tuple[Path, Done, set[str]], rows: list[dict[str, str]]) -> None:
    """
    Paths that end like an asset id mark that asset and no other.
    """
    assert {row["asset_id"] for row in rows if row["archived"] == "true"} == made[2]
    assert {row["archived"] for row in rows} == {"true", "false"}


def test_save_now_is_what_is_due(made: tuple[Path, Done, set[str]], rows: list[dict[str, str]]) -> None:
    """
    save_now.csv holds exactly what is due within the horizon, neither archived nor exempted, ordered by save_by.
    """
    found = read_csv(made[0] / "save_now.csv")
    due = [
        row for row in rows
        if row["save_by"] and row["save_by"][:19] <= "2026-01-09T12:00:00" and row["archived"] == "false"
        and not row["exempted_by"]
    ]  # fmt: skip
    assert sorted(map(str, found)) == sorted(map(str, due))
    assert [row["save_by"][:19] for row in found] == sorted(row["save_by"][:19] for row in found)
    assert {"at_risk", "vendor_cdn", "ungoverned"} <= {row["verdict"] for row in found}
    assert all(row["exempted_by"] == "given-up" for row in rows if row["verdict"] == "expired")


def test_numbers_are_those_of_the_rows(
    made: tuple[Path, Done, set[str]], rows: list[dict[str, str]], summary: dict[str, Any]
) -> None:
    """
    summary.json counts what the tables hold, fits its schema, and says who lets what stand until when.
    """
    check_schema(summary, "summary.v1")
    check_schema(read_json(made[0] / "manifest.json"), "manifest.v1")
    marks = summary["marks"]

    def stated(name: str) -> tuple[int, int]:
        return marks[name]["assets"], marks[name]["points"]

    def counted(chosen: list[dict[str, str]]) -> tuple[int, int]:
        return len(chosen), sum(int(row["points"]) for row in chosen)

    archived = [row for row in rows if row["archived"] == "true"]
    exempted = [row for row in rows if row["exempted_by"]]
    assert stated("archived") == counted(archived)
    assert stated("exempted") == counted(exempted)
    assert stated("archived_and_exempted") == counted([row for row in archived if row["exempted_by"]])
    assert stated("standing") == counted([row for row in rows if row["archived"] != "true" and not row["exempted_by"]])
    saved = read_csv(made[0] / "save_now.csv")
    assert stated("save_now") == counted(saved)
    assert marks["save_now"]["without_url"] == sum(not row["url"] for row in saved)
    assert [(one["id"], one["is_over"]) for one in marks["exemptions"]] == [("given-up", False), ("songs", True)]
    assert marks["exemptions"][1]["assets"] == sum(row["service"] == "suno" for row in rows)
    assert summary["warnings"][0]["code"] == "exemptions_over"
    assert summary["local"]["month_start"] == "2025-12-31T23:00:00Z"
    assert summary["local"]["month_end"] == "2026-01-31T23:00:00Z"
    parameters = read_json(made[0] / "manifest.json")["parameters"]
    assert parameters["every"] == "PT12H"
    assert parameters["horizon"] == "P1DT12H"
    assert parameters["tz"] == "Europe/Berlin"
    assert re.search("archive.txt .sha256 [0-9a-f]{64}.$", parameters["archived"])


def test_folder_holds_what_was_asked_for(made: tuple[Path, Done, set[str]], tmp_path: Path) -> None:
    """
    Each file that was asked for is there and in the manifest; the next report, that asks for none, leaves none behind.
    """
    folder = made[0]
    assert set(content(folder)) == {*REPORT_FILES, *EXTRA_FILES}
    manifest = read_json(folder / "manifest.json")
    assert set(manifest["outputs"]) == set(content(folder)) - {"manifest.json"}
    assert manifest["outputs"]["save_now.csv"]["rows"] == len(read_csv(folder / "save_now.csv"))
    path = write_lines(tmp_path / "h.jsonl", [task()])
    options = ("--xlsx", "--markdown", "--rescue", "aria2")
    for extra, names in ((options, {*REPORT_FILES, *EXTRA_FILES}), ((), set(REPORT_FILES))):
        assert policy_engine("report", path, "--as-of", AS_OF, "-o", tmp_path / "r", *extra).code == 0
        assert set(content(tmp_path / "r")) == names


@pytest.mark.slow
def test_marks_do_not_depend_on_processes(made: tuple[Path, Done, set[str]], summary: dict[str, Any]) -> None:
    """
    Two processes give the same bytes in every file.
    """
    base = made[0].parent
    assert report(base, "--jobs", 2, output="twice").code == 0
    assert content(base / "twice") == content(made[0])


def test_downloaded_files_are_recognised(made: tuple[Path, Done, set[str]], tmp_path: Path) -> None:
    """
    A listing of what the downloader saves, as an inventory, marks exactly the files of its list: nothing is left of it.
    """
    text = (made[0] / "save_now.aria2.txt").read_text(encoding="utf-8")
    saved = [f"./{folder}/{name}" for folder, name in re.findall(r"^  dir=(.*)\n  out=(.*)$", text, re.MULTILINE)]
    due = [row for row in read_csv(made[0] / "save_now.csv") if row["url"]]
    assert len(saved) == len(due) > 100
    write(tmp_path / "archive.txt", (made[0].parent / "archive.txt").read_text() + "\n".join(saved))
    for name in ("house.yaml", "exemptions.yaml"):
        write(tmp_path / name, (made[0].parent / name).read_text())
    assert report(tmp_path).code == 0
    assert all(not row["url"] for row in read_csv(tmp_path / "report" / "save_now.csv"))
    assert (tmp_path / "report" / "save_now.aria2.txt").read_text().count("out=") == 0


def test_what_may_still_be_there_is_fetched_first(tmp_path: Path) -> None:
    """
    The list for the downloader has files past every deadline last, although their save_by is the earliest.
    """
    old = {"created_at": "2025-12-01T00:00:00Z", "started_at": ..., "ended_at": "2025-12-01T00:01:00Z"}
    path = write_lines(tmp_path / "h.jsonl", [task("old", **old), task("soon", created_at="2026-01-05T12:00:00Z")])
    assert policy_engine("report", path, "--as-of", AS_OF, "-o", tmp_path / "r", "--rescue", "aria2").code == 0
    assert [row["task_id"] for row in read_csv(tmp_path / "r" / "save_now.csv")] == ["old", "soon"]
    text = (tmp_path / "r" / "save_now.aria2.txt").read_text()
    assert re.findall("dir=flux/(.*)/image", text) == ["soon", "old"]


def test_fail_on_leaves_out_what_is_settled(tmp_path: Path) -> None:
    """
    --fail-on counts what is neither archived nor exempted, and says how many are.
    """
    path = write_lines(tmp_path / "h.jsonl", [task("t-1"), task("t-2"), task("t-3"), kling("k-1")])
    write(tmp_path / "have.csv", "task_id\nt-1\n")
    one = '{id: a, owner: o, reason: r, until: "2026-01-08", covers: {task_id: [t-2, t-3]}}'
    write(tmp_path / "ex.yaml", f"exemptions: [{one}]\n")
    arguments = ("evaluate", path, "--as-of", AS_OF, "-o", tmp_path / "f.csv", "--archived", tmp_path / "have.csv")
    done = policy_engine(*arguments, "--fail-on", "active")
    assert done.code == 1
    assert "failed --fail-on active: 3 assets (and 1 archived or exempted)" in done.err
    done = policy_engine(*arguments, "--fail-on", "active", "--exemptions", tmp_path / "ex.yaml")
    assert "failed --fail-on active: 1 asset (and 3 archived or exempted)" in done.err
    assert policy_engine(*arguments, "--exemptions", tmp_path / "ex.yaml", "--fail-on", "at_risk").code == 0


@pytest.mark.parametrize(
    ("option", "text", "code", "said"),
    [
        ("--archived", "photos/beach.jpg\n", 4, "no entry of the inventory matches any of the 2 files"),
        ("--archived", "task_id,size\nt-1,0\n", 4, "no entry of the inventory counts: 1 empty, 0 made after as_of"),
        ("--archived", "", 4, "the inventory has no entries"),
        ("--exemptions", 'exemptions: [{id: a, reason: r, until: "2026-03-01", covers: {task_id: [t]}}]\n', 4,
         "file:1:14: error[missing-key]: the key `owner` is missing"),
        ("--exemptions", "exemptions: [{id: a, owner: o, reason: r, covers: {task_id: [t]}}]\n", 4,
         "file:1:14: error[missing-key]: the key `until` is missing"),
        ("--house-rules", "rules: []\n", 3, "error[not-allowed]: `rules` should not be empty"),
    ],
)  # fmt: skip
def test_bad_files_leave_everything_as_it_was(option: str, text: str, code: int, said: str, tmp_path: Path) -> None:
    """
    A file that cannot be used is named with its place and the right exit code, and nothing is overwritten.
    """
    path = write_lines(tmp_path / "h.jsonl", [task("t-1"), task("t-2")])
    assert policy_engine("report", path, "--as-of", AS_OF, "-o", tmp_path / "r").code == 0
    before = content(tmp_path / "r")
    write(tmp_path / "file", text)
    done = policy_engine("report", path, "--as-of", AS_OF, "-o", tmp_path / "r", option, tmp_path / "file")
    assert done.code == code, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert content(tmp_path / "r") == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "h.jsonl", "r"]


def test_a_missing_inventory_is_said_before_reading(tmp_path: Path) -> None:
    """
    A misspelt name is exit 4 with the name, not an inventory that holds nothing.
    """
    path = write_lines(tmp_path / "h.jsonl", [task()])
    done = policy_engine("report", path, "--as-of", AS_OF, "-o", tmp_path / "r", "--archived", tmp_path / "nonesuch")
    assert done.code == 4
    assert "nonesuch:1:1: error[inventory-unusable]: the inventory cannot be read: no such file" in done.err
    assert not (tmp_path / "r").exists()


def test_inventory_among_the_exports_is_no_history(tmp_path: Path) -> None:
    """
    An inventory that lies in the folder of exports is not read as history.
    """
    folder = tmp_path / "exports"
    write_lines(folder / "h.jsonl", [task("t-1")])
    write(folder / "have.csv", "task_id\nt-1\nt-2\n")
    arguments = ("report", folder, "--as-of", AS_OF, "-o", tmp_path / "r", "--archived", folder / "have.csv")
    done = policy_engine(*arguments)
    assert done.code == 0, done.err
    assert "read      1 records in 1 file" in done.text
    assert "have.csv): given as an inventory, exemptions or house rules" in done.err


def test_every_makes_the_horizon_longer(tmp_path: Path) -> None:
    """
    With --every the horizon is the time between two runs and the lead time, so nothing is due between them unseen.
    """
    path = write_lines(tmp_path / "h.jsonl", [task(created_at="2026-01-06T10:00:00Z", ended_at="2026-01-06T10:00:00Z")])

    def verdict(*options: str) -> str:
        done = policy_engine("evaluate", path, "--as-of", AS_OF, "-o", "-", *options)
        return next(csv.DictReader(done.text.splitlines()))["verdict"]

    assert verdict() == "active"
    assert verdict("--every", "P1D") == "at_risk"
    assert verdict("--every", "PT8H", "--horizon", "P1DT1H") == "active"
    assert verdict("--every", "PT9H", "--horizon", "P1DT1H") == "at_risk"


def test_missing_extra_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without xlsxwriter --xlsx is refused before anything is read, with the extra that brings it.
    """
    import sys

    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    done = policy_engine("report", EXAMPLE, "--as-of", AS_OF, "-o", tmp_path / "r", "--xlsx")
    assert done.code == 2
    assert "needs xlsxwriter" in done.err
    assert "media-policy-engine[xlsx]" in done.err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("name", ["Europe/Berln", "../etc/passwd", "", "/etc/localtime"])
def test_unknown_zones(name: str, tmp_path: Path) -> None:
    """
    What is no name in the time-zone database is a usage problem, with what was probably meant.
    """
    done = policy_engine("report", EXAMPLE, "--as-of", AS_OF, "-o", tmp_path / "r", "--tz", name)
    assert done.code == 2
    assert "is not a time zone" in done.err
    assert ("did you mean Europe/Berlin?" in done.err) == (name == "Europe/Berln")


def test_terminal_says_it_in_words_and_in_colour(
    made: tuple[Path, Done, set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Labels are coloured on a terminal only, never with NO_COLOR, and the words without colour are the same.
    """

    class Terminal:
        def isatty(self) -> bool:
            return True

    text = made[1].text + "failed --fail-on x: 1 asset\nexit 1: findings\n"
    assert "\x1b" not in text
    assert "save now  " in text
    assert "= 8 January 2026, 01:00 (UTC+01:00), Europe/Berlin" in text.splitlines()[0]
    stream: Any = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = paint(text, stream)
    assert "\x1b[31m\x1b[1mfailed\x1b[0m --fail-on" in shown
    assert re.sub("\x1b\\[[0-9;]*m", "", shown) == text
    assert paint(text, None) == text
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint(text, stream) == text


def test_markdown_has_the_numbers_and_no_markup_of_others(
    made: tuple[Path, Done, set[str]], summary: dict[str, Any]
) -> None:
    """
    report.md tells what summary.json tells, and an owner's markup is text.
    """
    text = (made[0] / "report.md").read_text(encoding="utf-8")
    assert f"| **save now** (save_now.csv) | {summary['marks']['save_now']['assets']} | " in text
    assert f"| archived | {summary['marks']['archived']['assets']} | " in text
    assert "| `songs` | &lt;b&gt;Ann\\|Bob&lt;/b&gt; | **ended** (2026-01-07) |" in text
    assert "January 2026 in Europe/Berlin lasts from 2025-12-31T23:00:00Z to 2026-01-31T23:00:00Z" in text
    assert json.dumps(summary["totals"]["with_assets"]["assets"]) in text
