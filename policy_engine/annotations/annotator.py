"""Adds columns from the user's own files to findings (archived, exempted, to be saved by when), and counts them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from policy_engine.annotations.exemptions import Exemptions
from policy_engine.annotations.house_rules import HouseRules
from policy_engine.annotations.inventory import Hashes, Inventory
from policy_engine.core.frames import Bool, Int64, categorical, codes_of, earliest_of, nanoseconds, utc_times
from policy_engine.core.periods import NAT
from policy_engine.core.vocabulary import VERDICTS

Pair = tuple[int, int]
"""(assets, points)."""


@dataclass
class AnnotationTotals:
    """Sums over annotations; `add` makes the sums of two parts."""

    archived: Pair = (0, 0)
    exempted: dict[str, Pair] = field(default_factory=dict)
    """Exemption in force -> findings that name it."""
    archived_and_exempted: Pair = (0, 0)
    over: dict[str, int] = field(default_factory=dict)
    """Exemption that is over -> assets that it would cover."""
    standing: dict[str, Pair] = field(default_factory=dict)
    """Verdict -> findings neither archived nor exempted: those that --fail-on counts."""
    save_now: dict[str, Pair] = field(default_factory=dict)
    """Verdict -> findings due within the horizon, neither archived nor exempted."""
    save_now_without_url: int = 0
    without_clock: int = 0
    """Assets that a house rule fits, but without a known time of creation."""
    names: list[Hashes] = field(default_factory=list)
    """Hashes of file names, one for each asset whose copy was found by its name alone."""

    def add(self, other: AnnotationTotals) -> None:
        """Add the sums of another part."""
        self.archived = _plus(self.archived, other.archived)
        self.archived_and_exempted = _plus(self.archived_and_exempted, other.archived_and_exempted)
        for mine, theirs in (
            (self.exempted, other.exempted), (self.standing, other.standing), (self.save_now, other.save_now),
        ):  # fmt: skip
            for key, pair in theirs.items():
                mine[key] = _plus(mine.get(key, (0, 0)), pair)
        for key, count in other.over.items():
            self.over[key] = self.over.get(key, 0) + count
        self.save_now_without_url += other.save_now_without_url
        self.without_clock += other.without_clock
        self.names += other.names

    @property
    def all_exempted(self) -> Pair:
        """Findings that name an exemption."""
        return total(self.exempted.values())

    @property
    def accounted(self) -> Pair:
        """Archived, exempted or standing: every finding once."""
        archived, both = self.archived, self.archived_and_exempted
        parts = _plus(_plus(archived, self.all_exempted), total(self.standing.values()))
        return parts[0] - both[0], parts[1] - both[1]

    def shared_names(self) -> int:
        """Assets marked as archived by a file name that another asset has as well."""
        if not self.names:
            return 0
        _, counts = np.unique(np.concatenate(self.names), return_counts=True)
        return int(counts[counts > 1].sum())


@dataclass(frozen=True)
class Annotator:
    """The user's own files; annotates findings and never changes a verdict."""

    as_of: int = 0
    """ns since 1970."""
    horizon: int = 0
    """How far ahead "save now" looks, ns."""
    longest_task: int = 0
    """Bound of a submission that is not recorded, ns before the completion."""
    known_on: date | None = None
    inventory: Inventory | None = None
    exemptions: Exemptions | None = None
    house_rules: HouseRules | None = None

    def at(self, as_of: int, horizon: int, longest_task: int, known_on: date | None) -> Annotator:
        """The same for the question of a run."""
        return replace(self, as_of=as_of, horizon=horizon, longest_task=longest_task, known_on=known_on)

    def mark(self, findings: pd.DataFrame) -> tuple[pd.DataFrame, AnnotationTotals]:
        """The findings with `archived` and `exempted_by` filled in and `save_by` lowered, and their sums; pure."""
        marks = AnnotationTotals()
        marked = findings.copy(deep=False)
        if self.house_rules is not None:
            marked["save_by"] = utc_times(self._save_by(findings, self.house_rules, marks))
        if self.inventory is not None:
            held, names = self.inventory.holds(findings)
            marked["archived"] = held
            if len(names):
                marks.names.append(names)
        if self.exemptions is not None:
            marked["exempted_by"] = self._exempted_by(findings, self.exemptions, marks)
        self._count(marked, marks)
        return marked, marks

    def _save_by(self, findings: pd.DataFrame, rules: HouseRules, marks: AnnotationTotals) -> Int64:
        provider = nanoseconds(findings["save_by"])
        house, without_clock = rules.instants(findings, provider, self.longest_task, self.known_on)
        marks.without_clock = int(without_clock.sum())
        return earliest_of(provider, house)

    def _exempted_by(self, findings: pd.DataFrame, exemptions: Exemptions, marks: AnnotationTotals) -> Any:
        codes = np.full(len(findings), -1, np.int32)
        for position, exemption in enumerate(exemptions.items):
            fitting = exemption.fits(findings)
            if exemption.is_over(self.as_of):
                marks.over[exemption.id] = int(fitting.sum())
            else:
                codes[fitting & (codes < 0)] = position
        return categorical(codes, [exemption.id for exemption in exemptions.items])

    def _count(self, marked: pd.DataFrame, marks: AnnotationTotals) -> None:
        points = marked["points"].fillna(0).to_numpy(np.int64)
        archived, exempted = is_archived(marked), is_exempted(marked)
        marks.archived = _sum(points, archived)
        marks.archived_and_exempted = _sum(points, archived & exempted)
        codes, words = codes_of(marked["exempted_by"], len(marked))
        for code, word in enumerate(words):
            if (codes == code).any():
                marks.exempted[word] = _sum(points, codes == code)
        due = due_rows(marked, self.as_of, self.horizon)
        for verdict in VERDICTS:
            rows = (marked["verdict"] == verdict).to_numpy(bool)
            for counts, chosen in ((marks.standing, rows & ~archived & ~exempted), (marks.save_now, rows & due)):
                if chosen.any():
                    counts[str(verdict)] = _sum(points, chosen)
        marks.save_now_without_url = int((due & marked["url"].isna().to_numpy(bool)).sum())


def is_archived(findings: pd.DataFrame) -> Bool:
    """The findings whose copy is known."""
    column = findings["archived"]
    if column.dtype == np.bool_:
        known: Bool = column.to_numpy(bool)
        return known
    if not column.notna().any():
        return np.zeros(len(column), bool)
    return np.fromiter((value is True for value in column.astype(object).tolist()), bool, len(column))


def is_exempted(findings: pd.DataFrame) -> Bool:
    """The findings that an exemption covers."""
    named: Bool = findings["exempted_by"].notna().to_numpy(bool)
    return named


def due_rows(findings: pd.DataFrame, as_of: int, horizon: int) -> Bool:
    """The findings to save now: due within the horizon or before, neither archived nor exempted."""
    save_by = nanoseconds(findings["save_by"])
    due: Bool = (save_by != NAT) & (save_by <= as_of + horizon)
    if due.any():
        due &= ~is_archived(findings) & ~is_exempted(findings)
    return due


def total(pairs: Any) -> Pair:
    """The sum of (assets, points)."""
    assets = points = 0
    for count, amount in pairs:
        assets, points = assets + count, points + amount
    return assets, points


def _sum(points: Int64, rows: Bool) -> Pair:
    return int(rows.sum()), int(points[rows].sum())


def _plus(first: Pair, second: Pair) -> Pair:
    return first[0] + second[0], first[1] + second[1]
