"""The rows on the page: the most urgent of all, however the findings came in chunks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_engine.api import evaluate_history
from policy_engine.core.periods import parse_instant
from policy_engine.core.text.wording import instant_text
from policy_engine.core.vocabulary import VERDICTS
from policy_engine.report.ranking import TopRows, UrgentRows
from policy_engine.report.rows import file_rows, make_rows
from tests.support.commands import AS_OF, EXAMPLE
from tests.support.exports import pack

INSTANT = parse_instant(AS_OF)


@pytest.fixture(scope="module")
def findings() -> pd.DataFrame:
    """The findings of the example, their times rounded to hours so that many are equal."""
    frame = pd.concat(list(evaluate_history(EXAMPLE, pack=pack(), as_of=AS_OF)), ignore_index=True)
    for name in ("expires_earliest", "expires_latest", "link_expires_at", "created_at", "operation_closes_earliest"):
        frame[name] = frame[name].dt.floor("6h")
    return frame


def urgency(row: dict[str, Any]) -> tuple[int, float, str]:
    """The place of a finding on the page, decided for one row at a time."""

    def at(name: str) -> float:
        return float("inf") if pd.isna(row[name]) else float(row[name].value)

    ahead = [at(name) for name in ("expires_earliest", "link_expires_at") if INSTANT <= at(name) < float("inf")]
    if row["verdict"] == "at_risk":
        return 0, at("expires_earliest"), row["asset_id"]
    if row["verdict"] == "expired":
        return 3, -at("expires_latest"), row["asset_id"]
    if ahead:
        return 1, min(ahead), row["asset_id"]
    return 2, float("inf") if pd.isna(row["created_at"]) else -at("created_at"), row["asset_id"]


def most_urgent(findings: pd.DataFrame, limit: int) -> list[str]:
    """The asset ids that the page should show, found by sorting everything."""
    rows = [{str(name): value for name, value in row.items()} for row in findings.to_dict("records")]
    reserved = min(250, limit // 12)
    chosen: dict[str, dict[str, Any]] = {}
    for verdict in VERDICTS:
        of_verdict = sorted((row for row in rows if row["verdict"] == verdict), key=urgency)
        chosen |= {row["asset_id"]: row for row in of_verdict[:reserved]}
    closing = [row for row in rows if row["operation_verdict"] == "closing"]
    closing.sort(key=lambda row: (row["operation_closes_earliest"], row["asset_id"]))
    chosen |= {row["asset_id"]: row for row in closing[:reserved]}
    for row in sorted(rows, key=urgency):
        if len(chosen) < limit:
            chosen.setdefault(row["asset_id"], row)
    return [row["asset_id"] for row in sorted(chosen.values(), key=urgency)]


@pytest.mark.slow
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), parts=st.integers(1, 6), limit=st.sampled_from([0, 1, 30, 120, 1000]))
def test_chunks_do_not_matter(seed: int, parts: int, limit: int, findings: pd.DataFrame) -> None:
    """
    The rows kept are the most urgent of all findings, in order, however these were cut and mixed.
    """
    random = np.random.default_rng(seed)
    part_of = random.integers(0, parts, len(findings))
    order = random.permutation(len(findings))
    top = TopRows(limit)
    for part in range(parts):
        top.take(findings.iloc[order[part_of[order] == part]], INSTANT)
    frame = top.frame()
    assert ([] if frame is None else frame["asset_id"].tolist()) == most_urgent(findings, limit)


@pytest.mark.slow
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), choosers=st.integers(1, 3), limit=st.sampled_from([0, 1, 30, 120, 1000]))
def test_who_chooses_does_not_matter(seed: int, choosers: int, limit: int, findings: pd.DataFrame) -> None:
    """
    Several processes that each see some chunks choose the same rows as one that sees all, also where one of them does
    a chunk a second time.
    """
    random = np.random.default_rng(seed)
    urgent = [UrgentRows(limit) for _ in range(choosers)]
    top = TopRows(limit)
    for chunk in np.array_split(np.arange(len(findings)), 7):
        part, by = findings.iloc[chunk], urgent[random.integers(choosers)]
        for _ in range(random.integers(1, 4)):
            chosen = by.choose(part, INSTANT)
        top.add(chosen, len(part))
    frame = top.frame()
    assert ([] if frame is None else frame["asset_id"].tolist()) == most_urgent(findings, limit)
    assert frame is None or findings["asset_id"].iloc[frame["row"] - 2].tolist() == frame["asset_id"].tolist()


def test_little_is_chosen_once_the_best_are_known(findings: pd.DataFrame) -> None:
    """
    What cannot be among the most urgent rows after those of earlier chunks is not chosen, so that it goes nowhere.
    """
    by_urgency = findings.set_index("asset_id", drop=False).loc[most_urgent(findings, len(findings))]
    urgent = UrgentRows(24)
    assert len(urgent.choose(by_urgency.head(len(findings) // 2), INSTANT)) >= 24
    later = by_urgency.tail(len(findings) // 2)
    reserved = sum(min(2, count) for count in later["verdict"].value_counts().tolist())
    assert len(urgent.choose(later[later["verdict"] == "vendor_cdn"], INSTANT)) <= reserved + 2


def test_what_is_held_is_bounded(findings: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    However many chunks pass by, no more rows are held than a few times those that are asked for.
    """
    top = TopRows(24)
    for _ in range(40):
        top.take(findings, INSTANT)
        assert sum(len(part) for part in top._parts) <= 4096 + len(findings)
    frame = top.frame()
    assert frame is not None
    assert len(frame) == 24


def test_row_numbers_are_those_of_the_csv(findings: pd.DataFrame) -> None:
    """
    The row of a finding is where a spreadsheet shows it in findings.csv, whose heading is row 1.
    """
    top = TopRows(1000)
    top.take(findings.head(300), INSTANT)
    top.take(findings.tail(len(findings) - 300), INSTANT)
    frame = top.frame()
    assert frame is not None
    assert findings["asset_id"].iloc[frame["row"] - 2].tolist() == frame["asset_id"].tolist()


def test_save_by_counts_as_a_date_ahead(findings: pd.DataFrame) -> None:
    """
    Where findings say by when to save a file, that instant orders them too, and the page shows it.
    """
    frame = findings[findings["verdict"] == "ungoverned"].copy()
    frame["save_by"] = pd.Series(pd.NaT, frame.index, "datetime64[ns, UTC]")
    frame.loc[frame.index[7], "save_by"] = pd.Timestamp(INSTANT + 10**9, tz="UTC")
    top = TopRows(1000)
    top.take(frame, INSTANT)
    files = file_rows(top.frame(), INSTANT)
    assert files.first[0].asset_id == frame["asset_id"].iloc[7]
    assert files.first[0].save_by == "2026-01-08T00:00:01Z"
    assert next(column for column in files.columns if column.name == "save_by").cells[0] == INSTANT + 10**9


def test_columns_are_the_rows(findings: pd.DataFrame) -> None:
    """
    The columns for the script and the first rows for everybody else say the same, and count the verdicts.
    """
    top = TopRows(1000)
    top.take(findings, INSTANT)
    files = file_rows(top.frame(), INSTANT)
    columns = {column.name: column.cells for column in files.columns}
    assert (files.count, len(files.first)) == (len(findings), 100)
    counts = findings["verdict"].astype(str).value_counts()
    assert files.by_verdict == tuple(int(counts.get(str(verdict), 0)) for verdict in VERDICTS)
    assert "url" not in columns
    assert "url" in {column.name for column in file_rows(top.frame(), INSTANT, show_urls=True).columns}
    for place, row in enumerate(files.first):
        for name in ("asset_id", "service", "rule", "operation_rule", "cost_usd", "watermarked", "basis"):
            assert columns[name][place] == getattr(row, name), name
        assert columns["reason"][place] == ";".join(row.reasons)
        assert columns["possibly_past"][place] == str(row.possibly_past).lower()
        for name in ("created_at", "expires_earliest", "operation_closes_latest"):
            assert instant_text(columns[name][place]) == getattr(row, name)
        assert str(columns["points"][place] if columns["points"][place] is not None else "") == row.points


def test_rows_are_shown_as_they_are(findings: pd.DataFrame) -> None:
    """
    A row shows every cell of its finding as text: times as RFC 3339, numbers in plain notation, missing as empty.
    """
    frame = findings.head(1).copy()
    frame["points"] = pd.array([1], dtype="Int64")
    frame["cost_usd"] = pd.array([1e-7], dtype="Float64")
    (row,) = make_rows(frame, parse_instant(AS_OF))
    assert (row.points, row.cost_usd) == ("1", "0.0000001")
    assert row.created_at == "2025-12-25T06:00:00Z"
    assert (row.rule, row.operation_rule, row.watermarked) == ("midjourney-payg v1", "midjourney-payg v1", "")
    for name in frame.columns:
        if name not in ("possibly_past", "points", "cost_usd"):
            frame[name] = None
    frame["possibly_past"], frame["points"], frame["cost_usd"] = False, pd.NA, pd.NA
    (row,) = make_rows(frame.astype(object), parse_instant(AS_OF))
    assert {value for value in vars(row).values() if isinstance(value, str)} == {""}
    assert row.reasons == ()


def test_no_frame_no_rows() -> None:
    """
    A history without findings has no rows.
    """
    files = file_rows(TopRows().frame(), 0)
    assert (files.columns, files.first, files.count, set(files.by_verdict)) == ((), (), 0, {0})
