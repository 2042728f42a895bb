"""The rows on the page: the most urgent of all, however the findings came in chunks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from commands import AS_OF, EXAMPLE
from exports import pack
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_engine.api import evaluate_history
from policy_engine.periods import parse_instant
from policy_engine.report_rows import TopRows, make_rows

SECTIONS: dict[str, list[tuple[str, bool]]] = {
    "at_risk": [("expires_earliest", True)],
    "expired": [("expires_latest", False)],
    "vendor_cdn": [("link_expires_at", True), ("created_at", False)],
    "ungoverned": [("created_at", False)],
    "undetermined": [("expires_earliest", True), ("created_at", False)],
    "closing": [("operation_closes_earliest", True)],
}
"""Section -> times that order it, ascending or not; the asset id decides between equals."""


@pytest.fixture(scope="module")
def findings() -> pd.DataFrame:
    """The findings of the example, their times rounded to hours so that many are equal."""
    frame = pd.concat(list(evaluate_history(EXAMPLE, pack=pack(), as_of=AS_OF)), ignore_index=True)
    for order in SECTIONS.values():
        for name, _ in order:
            frame[name] = frame[name].dt.floor("6h")
    return frame


def most_urgent(findings: pd.DataFrame, section: str, limit: int) -> list[str]:
    """The asset ids that a section should show, found by sorting everything."""
    rows = findings[findings["operation_verdict" if section == "closing" else "verdict"] == section]
    by, ascending = zip(*SECTIONS[section], ("asset_id", True), strict=True)
    ids: list[str] = rows.sort_values(list(by), ascending=list(ascending))["asset_id"].head(limit).tolist()
    return ids


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), parts=st.integers(1, 6), limit=st.sampled_from([1, 3, 20, 1000]))
def test_chunks_do_not_matter(seed: int, parts: int, limit: int, findings: pd.DataFrame) -> None:
    """
    The rows kept are the most urgent of all findings, in order, however these were cut and mixed.
    """
    random = np.random.default_rng(seed)
    part_of = random.integers(0, parts, len(findings))
    order = random.permutation(len(findings))
    top = TopRows(limit)
    for part in range(parts):
        top.take(findings.iloc[order[part_of[order] == part]])
    for section in SECTIONS:
        assert top.kept[section]["asset_id"].tolist() == most_urgent(findings, section, limit)


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
    A section that never met a finding has no rows.
    """
    assert make_rows(None, 0) == ()
