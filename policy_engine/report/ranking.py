"""Keeps the most urgent findings of a run while its chunks pass by, and makes them the rows of the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from policy_engine.core.frames import nanoseconds
from policy_engine.core.periods import NAT
from policy_engine.core.vocabulary import VERDICTS

EMBEDDED_ROWS = 20_000
"""Rows on the page unless asked otherwise; the CSV files hold all of them."""
FIRST_ROWS = 100
"""Rows that a reader without script sees."""
_RESERVED_ROWS = 250
"""Rows of every verdict, and of closing windows, that are on the page even where others are more urgent."""

_LAST = np.iinfo(np.int64).max
_INSTANTS = (
    "created_at", "completed_at", "expires_earliest", "expires_latest",
    "operation_closes_earliest", "operation_closes_latest", "link_expires_at", "save_by",
)  # fmt: skip
_TEXTS = (
    "asset_id", "service", "task_type", "account", "media", "role", "watermarked", "url_host", "host_owner",
    "evidence", "status", "verdict", "possibly_past", "reason", "basis", "operations", "operation_verdict",
    "cost_usd", "source", "archived", "exempted_by",
)  # fmt: skip
_RULES = {"rule": "rule", "operation_rule": "operation_rule"}
_NEEDED = frozenset(
    (*_INSTANTS, *_TEXTS, "task_id", "url", "points",
     *(f"{prefix}_{part}" for prefix in _RULES.values() for part in ("id", "version")))
)  # fmt: skip

Int64 = npt.NDArray[np.int64]

_ALL, _CLOSING = "all", "closing"


class UrgentRows:
    """
    Chooses from chunks of findings the rows that may be among the most urgent ones of all.

    First comes what is at risk, the nearest deadline first; then what has any other date ahead (a deadline, the end
    of a link), the nearest first; then what has none, the newest first; last what is past its deadline, the latest
    first. Of each verdict, and of closing windows, some rows are chosen in any case. The asset id decides between
    equals, so that what `TopRows` keeps does not depend on how the findings were cut into chunks, nor on who chose.
    """

    def __init__(self, limit: int = EMBEDDED_ROWS) -> None:
        """Choose so that so many rows can be kept."""
        self.limit = limit
        self.reserved = min(_RESERVED_ROWS, limit // (2 * len(VERDICTS)))
        # List -> keys of the first rows of all chunks so far, in order: what comes after the last one cannot enter.
        self._best: dict[str, tuple[Int64, ...]] = {}

    def choose(self, findings: pd.DataFrame, as_of: int) -> pd.DataFrame:
        """Rows of one chunk of findings judged at `as_of` (ns), with what `TopRows` orders them by."""
        tiers, instants = _urgency(findings, as_of)
        ids = findings["asset_id"]
        chosen = [self._candidates(_ALL, self.limit, np.arange(len(findings)), tiers, instants, ids)]
        for verdict in VERDICTS:
            of_verdict = np.flatnonzero((findings["verdict"] == str(verdict)).to_numpy(bool))
            chosen.append(self._candidates(str(verdict), self.reserved, of_verdict, tiers, instants, ids))
        closes = _ascending(nanoseconds(findings["operation_closes_earliest"]))
        closing = np.flatnonzero((findings["operation_verdict"] == "closing").to_numpy(bool))
        chosen.append(self._candidates(_CLOSING, self.reserved, closing, np.zeros_like(closes), closes, ids))
        rows = np.unique(np.concatenate(chosen))
        frame = findings[[name for name in findings.columns if name in _NEEDED]].iloc[rows]
        return frame.assign(row=rows, _tier=tiers[rows], _instant=instants[rows], _closes=closes[rows])

    def _candidates(
        self, name: str, limit: int, rows: npt.NDArray[np.intp], tiers: Int64, instants: Int64, ids: pd.Series[Any]
    ) -> npt.NDArray[np.intp]:
        """Rows that may enter a list: with those that tie with the last one, since the asset id decides."""
        best = self._best.get(name)
        rows = _up_to(best, limit, rows, tiers, instants)
        if not len(rows):
            return rows
        # By the ids a chunk is recognised that a worker gets a second time: it counts once.
        numbers = pd.util.hash_array(ids.iloc[rows].to_numpy(object), categorize=False).view(np.int64)
        keys: tuple[Int64, ...] = (tiers[rows], instants[rows], numbers)
        if best is not None:
            keys = tuple(np.concatenate(pair) for pair in zip(best, keys, strict=True))
        order = np.lexsort(keys[::-1])
        is_new = np.any([key[order[1:]] != key[order[:-1]] for key in keys], axis=0)
        first = np.concatenate([order[:1], order[1:][is_new]])[:limit]
        self._best[name] = tuple(key[first] for key in keys)
        return _up_to(self._best[name], limit, rows, tiers, instants)


def _up_to(
    best: tuple[Int64, ...] | None, limit: int, rows: npt.NDArray[np.intp], tiers: Int64, instants: Int64
) -> npt.NDArray[np.intp]:
    """The rows that do not come after the last one of a list that is full."""
    if not limit:
        return rows[:0]
    if best is None or len(best[0]) < limit:
        return rows
    tier, instant = int(best[0][-1]), int(best[1][-1])
    found: npt.NDArray[np.intp] = rows[(tiers[rows] < tier) | ((tiers[rows] == tier) & (instants[rows] <= instant))]
    return found


class TopRows:
    """Keeps the most urgent findings of those that `UrgentRows` chose, chunk by chunk."""

    def __init__(self, limit: int = EMBEDDED_ROWS) -> None:
        """Keep so many rows."""
        self.limit = limit
        self._urgent = UrgentRows(limit)
        self._reserved = self._urgent.reserved
        self._seen = 0
        self._parts: list[pd.DataFrame] = []
        self._pending = 0

    def take(self, findings: pd.DataFrame, as_of: int) -> None:
        """Take one chunk of findings judged at `as_of` (ns)."""
        self.add(self._urgent.choose(findings, as_of), len(findings))

    def add(self, chosen: pd.DataFrame, rows: int) -> None:
        """Take what was chosen from a chunk of so many rows."""
        if len(chosen):
            # Plain columns, so that chunks with other categories can be put together.
            plain = {name: "object" for name, kind in chosen.dtypes.items() if isinstance(kind, pd.CategoricalDtype)}
            # The heading of the CSV is its row 1.
            self._parts.append(chosen.astype(plain).assign(row=chosen["row"] + self._seen + 2))
            self._pending += len(chosen)
        self._seen += rows
        # Sorting once in a while and not for every chunk keeps the cost per row even.
        if self._pending > max(self.limit, 4096):
            self._compact()

    def _compact(self) -> tuple[pd.DataFrame, dict[str, npt.NDArray[np.intp]]]:
        """Drop what is in no list any more; returns the rows by urgency and, per list, the positions of its rows."""
        frame = pd.concat(self._parts).sort_values(["_tier", "_instant", "asset_id"], kind="stable", ignore_index=True)
        positions = {_ALL: np.arange(min(len(frame), self.limit))}
        for verdict in VERDICTS:
            positions[str(verdict)] = np.flatnonzero((frame["verdict"] == str(verdict)).to_numpy(bool))[
                : self._reserved
            ]
        closing = frame[frame["operation_verdict"] == "closing"].sort_values(["_closes", "asset_id"], kind="stable")
        positions[_CLOSING] = closing.index.to_numpy(np.intp)[: self._reserved]
        self._parts, self._pending = [frame.iloc[np.unique(np.concatenate(list(positions.values())))]], 0
        return frame, positions

    def frame(self) -> pd.DataFrame | None:
        """The rows for the page in order, with their `row` of findings.csv; None if no row was taken."""
        if not self._parts:
            return None
        frame, positions = self._compact()
        reserved = np.unique(np.concatenate([rows for name, rows in positions.items() if name != _ALL]))
        others = np.setdiff1d(positions[_ALL], reserved)[: self.limit - len(reserved)]
        return frame.iloc[np.sort(np.concatenate([reserved, others]))].reset_index(drop=True)


def _urgency(findings: pd.DataFrame, as_of: int) -> tuple[Int64, Int64]:
    """Two keys to order rows by, the least first."""
    earliest = nanoseconds(findings["expires_earliest"])
    is_at_risk = (findings["verdict"] == "at_risk").to_numpy(bool)
    is_expired = (findings["verdict"] == "expired").to_numpy(bool)
    coming = np.full(len(findings), _LAST, np.int64)
    for name in ("expires_earliest", "link_expires_at", "save_by"):
        if name in findings.columns and isinstance(findings[name].dtype, pd.DatetimeTZDtype):
            ns = nanoseconds(findings[name])
            coming = np.where((ns != NAT) & (ns >= as_of), np.minimum(coming, ns), coming)
    newest = _descending(nanoseconds(findings["created_at"]))
    latest = _descending(nanoseconds(findings["expires_latest"]))
    cases = [is_at_risk, is_expired, coming != _LAST]
    tiers = np.select(cases, [np.int64(0), np.int64(3), np.int64(1)], np.int64(2))
    return tiers, np.select(cases, [_ascending(earliest), latest, coming], newest)


def _ascending(ns: Int64) -> Int64:
    return np.where(ns == NAT, _LAST, ns)


def _descending(ns: Int64) -> Int64:
    return np.where(ns == NAT, _LAST, -ns)
