"""Workbooks: read back with another library, every cell is what it was, and nothing in them is run or dated."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from policy_engine.core.periods import format_instant
from policy_engine.core.vocabulary import FINDING_COLUMNS, TIME_COLUMNS, VERDICTS
from policy_engine.engine.evaluation import evaluate
from policy_engine.report.formats.workbook import Writer
from tests.support.commands import AS_OF, EXAMPLE, policy_engine
from tests.support.exports import pack
from tests.support.sample_model import rich_model

SIGNS = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "'=1", "=cmd|' /C calc'!A0", "http://x.example", "mailto:a@b.c",
    "internal:Sheet1!A1", "external:c:\\x.xlsx", "{=1}", "123", "1e5", "TRUE", "_x0041_", "a\rb\r\nc", "</is>&amp;",
    "\x00\x01\x0b\ufffe", "\ud800", "\u202eabc", "007",
]  # fmt: skip


def findings_of(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Findings about made-up assets."""
    frame = pd.DataFrame([{"service": "flux", "created_at": None, "asset_id": "a", **row} for row in rows])
    return evaluate(frame, pack(), as_of=AS_OF)


def written(folder: Path, chunks: Sequence[pd.DataFrame], quarantine: Sequence[str] = (), **options: Any) -> Path:
    """A workbook of some chunks."""
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    writer = Writer(folder / "w.xlsx", scratch, **options)
    for chunk in chunks:
        writer.take(chunk)
    rows = [("here", "not_json", text, "a record") for text in quarantine]
    writer.finish(rich_model(), pd.DataFrame(rows, columns=["source", "reason", "found", "expected"], dtype=object))
    assert list(scratch.iterdir()) == []
    return folder / "w.xlsx"


def cells(path: Path, sheet: str) -> list[list[Any]]:
    """The rows of a sheet below its header."""
    book = openpyxl.load_workbook(path)
    rows = [[cell.value for cell in row] for row in book[sheet].iter_rows(min_row=2)]
    book.close()
    return rows


def clean(text: str) -> str:
    """A text as a cell can hold it: XML has no control characters and no halves of pairs."""
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)


def unescaped(text: str) -> str:
    """What Excel shows of a text that looks like one of its escapes; the library that reads here leaves them."""
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text)


def parts(path: Path) -> dict[str, str]:
    """The documents in a workbook."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@given(texts=st.lists(st.one_of(st.sampled_from(SIGNS), st.text(max_size=30)), min_size=1, max_size=20))
@example(texts=SIGNS)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_text_is_ever_run(texts: list[str], tmp_path: Path) -> None:
    """
    Whatever a text begins with, it is a text in the workbook: no formula, no link, no number, and it reads the same.
    """
    frame = findings_of([{"service": "flux"}] * len(texts))
    frame["model"] = pd.Series(texts, dtype=object)
    path = written(tmp_path, [frame], texts)
    column = FINDING_COLUMNS.index("model")
    for sheet, place in (("undetermined", column), ("quarantine", 2)):
        assert [unescaped(row[place] or "") for row in cells(path, sheet)] == [clean(text) for text in texts]
    for name, document in parts(path).items():
        assert "<f>" not in document, name
        assert "<f " not in document, name
        assert not re.search("<hyperlink|/hyperlink", document), name


def test_cells_have_the_type_of_their_value(tmp_path: Path) -> None:
    """
    Times are dates cut to the millisecond, numbers numbers, truth is truth, and what Excel would round is text.
    """
    frame = findings_of([{
        "created_at": "2026-01-06T10:00:00.123999999Z", "completed_at": "1899-12-31T00:00:00Z", "task_id": "00012",
    }])  # fmt: skip
    frame["points"] = pd.array([10**15], "Int64")
    frame["cost_usd"] = 0.065
    frame["archived"] = True
    path = written(tmp_path, [frame])
    verdict = str(frame["verdict"].iloc[0])
    row = dict(zip(FINDING_COLUMNS, cells(path, verdict)[0], strict=True))
    assert row["created_at"] == datetime(2026, 1, 6, 10, 0, 0, 123_000)  # noqa: DTZ001
    assert row["completed_at"] == "1899-12-31T00:00:00Z"
    assert row["as_of"] == datetime(2026, 1, 8)  # noqa: DTZ001
    assert (row["points"], row["cost_usd"], row["archived"], row["possibly_past"]) == (
        "1000000000000000", 0.065, True, bool(frame["possibly_past"].iloc[0])
    )  # fmt: skip
    assert row["task_id"] == "00012"
    assert row["url"] is None


@given(times=st.lists(st.integers(-(2**60), 2**61), min_size=8, max_size=60))
@settings(max_examples=5)
def test_no_time_reads_later_than_it_is(times: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    """
    A time in the workbook is never later than the time itself, and at most a millisecond earlier.
    """
    frame = findings_of([{"asset_id": str(ns), "created_at": pd.Timestamp(ns, tz="UTC")} for ns in times])
    path = written(tmp_path_factory.mktemp("w"), [frame])
    rows = [row for verdict in VERDICTS for row in cells(path, str(verdict))]
    assert len(rows) == len(times)
    for row in rows:
        ns, value = int(row[0]), row[FINDING_COLUMNS.index("created_at")]
        if isinstance(value, datetime):
            exact = datetime(1970, 1, 1) + timedelta(microseconds=ns // 1_000)  # noqa: DTZ001
            assert timedelta(0) <= exact - value < timedelta(milliseconds=1, microseconds=1)
        else:
            assert value == format_instant(ns)
            assert value < "1900-03-01"


def test_sheets(tmp_path: Path) -> None:
    """
    A sheet for each verdict, a summary, the rules and the quarantine; headers stay and can be narrowed down.
    """
    folder = tmp_path / "report"
    done = policy_engine("report", EXAMPLE, "--as-of", AS_OF, "-o", folder, "--xlsx", "--tz", "Asia/Kathmandu")
    assert done.code == 0, done.err
    book = openpyxl.load_workbook(folder / "report.xlsx")
    assert book.sheetnames == ["summary", *map(str, VERDICTS), "rules", "quarantine"]
    heads = [f"{name} (UTC)" if name in TIME_COLUMNS else name for name in FINDING_COLUMNS]
    findings = pd.read_csv(folder / "findings.csv", dtype=str, keep_default_na=False)
    for verdict in map(str, VERDICTS):
        sheet = book[verdict]
        assert [cell.value for cell in sheet[1]] == heads
        assert sheet.freeze_panes == "A2"
        expected = findings[findings["verdict"] == verdict]
        assert sheet.auto_filter.ref == f"A1:AP{len(expected) + 1}"
        ids = [row[0].value for row in sheet.iter_rows(min_row=2)]
        assert sorted(ids) == sorted(expected["asset_id"])
    deadlines = [row[24].value for row in book["at_risk"].iter_rows(min_row=2)]
    assert deadlines == sorted(deadlines)
    summary = {row[0].value: [cell.value for cell in row[1:]] for row in book["summary"].iter_rows()}
    assert summary["total"][:2] == [553, 469240000]
    assert summary["expired"][0] == 139
    assert summary["as_of in Asia/Kathmandu"][0] == "8 January 2026, 05:45 (UTC+05:45)"
    assert book.properties.created == datetime(2000, 1, 1)  # noqa: DTZ001
    book.close()


def test_more_rows_than_a_sheet_holds(tmp_path: Path) -> None:
    """
    Rows beyond Excel's limit go on over further sheets, each with its header, and the summary says so.
    """
    frame = findings_of([{"asset_id": f"a{number}"} for number in range(7)])
    path = written(tmp_path, [frame.head(2), frame.tail(5)], max_rows=4)
    book = openpyxl.load_workbook(path)
    names = ["undetermined", "undetermined (2)", "undetermined (3)"]
    assert [name for name in book.sheetnames if name.startswith("undet")] == names
    ids = [[row[0].value for row in book[name].iter_rows(min_row=2)] for name in names]
    assert ids == [["a0", "a1", "a2"], ["a3", "a4", "a5"], ["a6"]]
    assert {book[name]["A1"].value for name in names} == {"asset_id"}
    said = [[cell.value for cell in row] for row in book["summary"].iter_rows()]
    assert ["undetermined", 7, ", ".join(names), None] in said
    assert any("holds 4 rows" in str(row[1]) for row in said)
    book.close()


def test_texts_longer_than_a_cell(tmp_path: Path) -> None:
    """
    A text of more than 32,767 characters, counted as Excel does, is cut where one can see it, and the summary says so.
    """
    frame = findings_of([{}, {}])
    frame["model"] = pd.Series(["x" * 32_767, "\U0001f600" * 20_000], dtype=object)
    path = written(tmp_path, [frame])
    whole, cut = (row[FINDING_COLUMNS.index("model")] for row in cells(path, "undetermined"))
    assert whole == "x" * 32_767
    assert cut == "\U0001f600" * 16_383 + "\u2026"
    assert any("1 texts are longer" in str(row[1]) for row in cells(path, "summary"))


def test_same_bytes(tmp_path: Path) -> None:
    """
    The same findings give the same bytes, whatever the folder, the mask for new files and how chunks were cut.
    """
    frame = findings_of([{"asset_id": f"a{number}"} for number in range(9)])
    first = written(tmp_path / "one", [frame]).read_bytes()
    before = os.umask(0o077)
    try:
        second = written(tmp_path / "two", [frame.head(4), frame.tail(5)]).read_bytes()
    finally:
        os.umask(before)
    assert first == second
