"""Keeps the most urgent findings of a run while its chunks pass by, and shows them as rows of tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from policy_engine.csv_text import plain_number
from policy_engine.frames import nanoseconds
from policy_engine.periods import NAT
from policy_engine.report_model import Row
from policy_engine.words import instant_text, time_left

SECTION_ROWS = 250
"""Rows per section on the page; the CSV files hold all of them."""

# Section -> times to order by, each with "ascending?": the most urgent first, else the most recent. The asset id
# decides between equals, so that the choice does not depend on how the findings were cut into chunks.
_ORDER: dict[str, tuple[tuple[str, bool], ...]] = {
    "at_risk": (("expires_earliest", True),),
    "expired": (("expires_latest", False),),
    "vendor_cdn": (("link_expires_at", True), ("created_at", False)),
    "ungoverned": (("created_at", False),),
    "undetermined": (("expires_earliest", True), ("created_at", False)),
    "closing": (("operation_closes_earliest", True),),
}
_LAST = np.iinfo(np.int64).max


@dataclass
class TopRows:
    """Keeps the most urgent findings of each section while chunks pass by."""

    limit: int = SECTION_ROWS
    kept: dict[str, pd.DataFrame] = field(default_factory=dict)
    _bounds: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Section -> keys of its last row, once it is full: what comes after them cannot enter."""

    def take(self, findings: pd.DataFrame) -> None:
        """Look at one chunk."""
        for section, order in _ORDER.items():
            column = "operation_verdict" if section == "closing" else "verdict"
            rows = np.flatnonzero((findings[column] == section).to_numpy(bool))
            if len(rows):
                keys = [_key(findings[name], ascending)[rows] for name, ascending in order]
                chosen = self._choose(section, keys)
                if len(chosen):
                    self._merge(section, findings.iloc[rows[chosen]], order)

    def _choose(self, section: str, keys: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.intp]:
        """Rows that may enter: with those that tie with the last one, since the asset id decides between them."""
        bound = self._bounds.get(section)
        candidates = np.arange(len(keys[0])) if bound is None else np.flatnonzero(keys[0] <= bound[0])
        if len(candidates) <= self.limit:
            return candidates
        ordered = candidates[np.lexsort([key[candidates] for key in reversed(keys)])]
        last = [key[ordered[self.limit - 1]] for key in keys]
        ties = np.logical_and.reduce([key[ordered] == value for key, value in zip(keys, last, strict=True)])
        return ordered[: max(self.limit, int(np.flatnonzero(ties)[-1]) + 1)]

    def _merge(self, section: str, rows: pd.DataFrame, order: tuple[tuple[str, bool], ...]) -> None:
        # Plain columns, so that chunks with other categories can be put together.
        rows = rows.astype(
            {name: "object" for name in rows.columns if isinstance(rows[name].dtype, pd.CategoricalDtype)}
        )
        known = self.kept.get(section)
        together = rows if known is None else pd.concat([known, rows])
        by = [*(name for name, _ in order), "asset_id"]
        ascending = [*(one for _, one in order), True]
        kept = together.sort_values(by, ascending=ascending, kind="stable").head(self.limit)
        self.kept[section] = kept
        if len(kept) == self.limit:
            self._bounds[section] = tuple(int(_key(kept[name].tail(1), one)[0]) for name, one in order)


def _key(column: pd.Series[Any], ascending: bool) -> npt.NDArray[np.int64]:
    """Times as integers in the order wanted; missing ones last."""
    ns = nanoseconds(column)
    return np.where(ns == NAT, _LAST, ns if ascending else -ns)


def make_rows(frame: pd.DataFrame | None, as_of: int) -> tuple[Row, ...]:
    """Findings as rows of a table, in their order."""
    records = [] if frame is None else frame.to_dict("records")
    return tuple(make_row({str(name): value for name, value in record.items()}, as_of) for record in records)


def make_row(record: dict[str, Any], as_of: int) -> Row:
    """One finding as the tables show it, from a record of the findings frame."""

    def text(name: str) -> str:
        value = record[name]
        return "" if value is None or value is pd.NA or value != value else str(value)

    def instant(name: str) -> int:
        value = record[name]
        return NAT if value is None or pd.isna(value) else int(pd.Timestamp(value).as_unit("ns").value)

    def rule(prefix: str) -> str:
        return f"{text(prefix + '_id')} v{text(prefix + '_version')}" if text(prefix + "_id") else ""

    return Row(
        asset_id=text("asset_id"),
        task_id=text("task_id"),
        service=text("service"),
        task_type=text("task_type"),
        account=text("account"),
        media=text("media"),
        role=text("role"),
        url=text("url"),
        url_host=text("url_host"),
        evidence=text("evidence"),
        status=text("status"),
        created_at=instant_text(instant("created_at")),
        completed_at=instant_text(instant("completed_at")),
        verdict=text("verdict"),
        possibly_past=bool(record["possibly_past"]),
        reasons=tuple(code for code in text("reason").split(";") if code),
        rule=rule("rule"),
        basis=text("basis"),
        expires_earliest=instant_text(instant("expires_earliest")),
        expires_latest=instant_text(instant("expires_latest")),
        time_left=time_left(instant("expires_earliest"), as_of),
        operations=text("operations"),
        operation_verdict=text("operation_verdict"),
        operation_closes_earliest=instant_text(instant("operation_closes_earliest")),
        operation_closes_latest=instant_text(instant("operation_closes_latest")),
        operation_time_left=time_left(instant("operation_closes_earliest"), as_of),
        link_expires_at=instant_text(instant("link_expires_at")),
        points=text("points"),
        cost_usd="" if pd.isna(record["cost_usd"]) else plain_number(float(record["cost_usd"])),
        source=text("source"),
        watermarked=text("watermarked").lower(),
        operation_rule=rule("operation_rule"),
        archived=text("archived").lower(),
        exempted_by=text("exempted_by"),
        save_by=instant_text(instant("save_by")),
    )
