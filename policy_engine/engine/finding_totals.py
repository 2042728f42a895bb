"""Turns findings into sums that add up over chunks, so that any part of a report can be made from parts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from policy_engine.core.frames import Bool, Int64, codes_of, nanoseconds
from policy_engine.core.periods import DAY, HOUR, NAT
from policy_engine.core.vocabulary import OPERATION_VERDICTS, VERDICTS, Verdict

Pair = tuple[int, int]
"""(assets, points)."""


@dataclass
class NextUp:
    """The nearest coming instant and what it concerns, by service."""

    instant: int | None = None
    services: dict[str, int] = field(default_factory=dict)

    def add(self, other: NextUp) -> None:
        """Keep the nearer instant; add up the services of two equal ones."""
        if other.instant is None:
            return
        if self.instant is None or other.instant < self.instant:
            self.instant, self.services = other.instant, dict(other.services)
        elif other.instant == self.instant:
            for service, count in other.services.items():
                self.services[service] = self.services.get(service, 0) + count


@dataclass
class FindingTotals:
    """Sums over findings; `add` makes the sums of two parts."""

    assets: int = 0
    points: int = 0
    by_service: dict[tuple[str, str], Pair] = field(default_factory=dict)
    """(service or "", verdict) -> (assets, points)."""
    possibly_past: Pair = (0, 0)
    windows: dict[str, int] = field(default_factory=dict)
    closing_points: int = 0
    """Points of the assets whose operation window is closing."""
    reasons: dict[str, int] = field(default_factory=dict)
    basis: dict[str, int] = field(default_factory=dict)
    evidence: dict[str, int] = field(default_factory=dict)
    conflicts: dict[tuple[str, str], int] = field(default_factory=dict)
    """(service, host) -> assets whose host contradicts the rule."""
    rules: dict[tuple[str, int], int] = field(default_factory=dict)
    """(rule id, version) -> assets whose verdict rests on it."""
    window_rules: dict[tuple[str, int], int] = field(default_factory=dict)
    """The same for the operation verdict."""
    both_rules: dict[tuple[str, int], int] = field(default_factory=dict)
    """Assets for which one rule version gives both."""
    deadlines: dict[int, Pair] = field(default_factory=dict)
    """Hour after as_of, from 0 -> (assets, points) of active and at-risk assets by their earliest deadline."""
    past_deadlines: dict[int, Pair] = field(default_factory=dict)
    """Day before as_of, from 0 -> (assets, points) of at-risk and expired assets by their earliest deadline."""
    next_deadline: NextUp = field(default_factory=NextUp)
    next_window: NextUp = field(default_factory=NextUp)

    def add(self, other: FindingTotals) -> None:
        """Add the sums of another part."""
        self.assets += other.assets
        self.points += other.points
        self.closing_points += other.closing_points
        self.possibly_past = _plus(self.possibly_past, other.possibly_past)
        _add_pairs(self.by_service, other.by_service)
        _add_pairs(self.deadlines, other.deadlines)
        _add_pairs(self.past_deadlines, other.past_deadlines)
        for counts, more in (
            (self.windows, other.windows),
            (self.reasons, other.reasons),
            (self.basis, other.basis),
            (self.evidence, other.evidence),
            (self.conflicts, other.conflicts),
            (self.rules, other.rules),
            (self.window_rules, other.window_rules),
            (self.both_rules, other.both_rules),
        ):
            _add_counts(counts, more)
        self.next_deadline.add(other.next_deadline)
        self.next_window.add(other.next_window)

    def verdict(self, verdict: str) -> Pair:
        """(assets, points) of one verdict over all services."""
        total = (0, 0)
        for (_, found), pair in self.by_service.items():
            if found == verdict:
                total = _plus(total, pair)
        return total

    def answered_by(self, rule: tuple[str, int]) -> int:
        """Assets whose verdict or operation verdict rests on a rule version."""
        return self.rules.get(rule, 0) + self.window_rules.get(rule, 0) - self.both_rules.get(rule, 0)


def count_findings(findings: pd.DataFrame, as_of: int) -> FindingTotals:
    """Sum up one chunk of findings judged at `as_of` (ns)."""
    totals = FindingTotals(assets=len(findings))
    if not len(findings):
        return totals
    points = findings["points"].fillna(0).to_numpy(np.int64)
    totals.points = int(points.sum())
    services = _words(findings["service"])
    verdicts = _codes(findings["verdict"], VERDICTS)
    width = len(VERDICTS)
    # An unknown service has the name "".
    service_codes = np.where(services.codes < 0, len(services.names), services.codes)
    service_names = [*services.names, ""]
    key = service_codes * width + verdicts
    assets_by = np.bincount(key)
    # int64 sums: float weights of bincount would round large amounts.
    points_by = np.zeros(len(assets_by), np.int64)
    np.add.at(points_by, key, points)
    for pair in np.flatnonzero(assets_by).tolist():
        name = service_names[pair // width], str(VERDICTS[pair % width])
        totals.by_service[name] = (int(assets_by[pair]), int(points_by[pair]))
    possibly = findings["possibly_past"].to_numpy(bool)
    totals.possibly_past = (int(possibly.sum()), int(points[possibly].sum()))
    totals.windows = _count(findings["operation_verdict"])
    windows = _codes(findings["operation_verdict"], OPERATION_VERDICTS)
    is_closing = windows == OPERATION_VERDICTS.index("closing")
    totals.closing_points = int(points[is_closing].sum())
    totals.evidence = _count(findings["evidence"])
    totals.basis = {name: count for name, count in _count(findings["basis"]).items() if name}
    for joined, count in _count(findings["reason"]).items():
        for code in joined.split(";") if joined else ():
            totals.reasons[code] = totals.reasons.get(code, 0) + count
    totals.rules = _rule_counts(findings["rule_id"], findings["rule_version"])
    totals.window_rules = _rule_counts(findings["operation_rule_id"], findings["operation_rule_version"])
    both = _is_same_rule(findings)
    totals.both_rules = _rule_counts(findings["rule_id"][both], findings["rule_version"][both])
    conflicting = findings.loc[findings["evidence"] == "conflicts", ["service", "url_host"]].astype(str)
    for service, host in zip(conflicting["service"], conflicting["url_host"], strict=True):
        totals.conflicts[service, host] = totals.conflicts.get((service, host), 0) + 1
    living = np.isin(verdicts, [VERDICTS.index(Verdict.ACTIVE), VERDICTS.index(Verdict.AT_RISK)])
    earliest = nanoseconds(findings["expires_earliest"])
    coming = living & (earliest > as_of)
    totals.deadlines = _by_stretch((earliest[coming] - as_of) // HOUR, points[coming])
    due = np.isin(verdicts, [VERDICTS.index(Verdict.EXPIRED), VERDICTS.index(Verdict.AT_RISK)])
    past = due & (earliest <= as_of) & (earliest != NAT)
    totals.past_deadlines = _by_stretch((as_of - earliest[past]) // DAY, points[past])
    totals.next_deadline = _next_up(earliest, coming, service_codes, service_names)
    closes = nanoseconds(findings["operation_closes_earliest"])
    is_open = (windows == OPERATION_VERDICTS.index("open")) | is_closing
    totals.next_window = _next_up(closes, is_open & (closes > as_of), service_codes, service_names)
    return totals


@dataclass(frozen=True)
class _Words:
    codes: Int64
    names: list[str]


def _words(column: pd.Series[Any]) -> _Words:
    codes, names = codes_of(column, len(column))
    return _Words(codes.astype(np.int64), names)


def _codes(column: pd.Series[Any], words: Sequence[str]) -> Int64:
    """Position of each value in a list of words, whatever the order of the column's own categories."""
    found = _words(column)
    known = [str(word) for word in words]
    return np.array([*(known.index(name) for name in found.names), -1])[found.codes]


def _count(column: pd.Series[Any]) -> dict[str, int]:
    words = _words(column)
    return _named(words.codes[words.codes >= 0], words.names)


def _named(codes: Int64, names: Sequence[str]) -> dict[str, int]:
    """How often each name is met."""
    counts = np.bincount(codes)
    return {names[code]: int(counts[code]) for code in np.flatnonzero(counts).tolist()}


def _rule_counts(rules: pd.Series[Any], versions: pd.Series[Any]) -> dict[tuple[str, int], int]:
    words = _words(rules)
    shown = words.codes >= 0
    pairs, counts = np.unique(words.codes[shown] * 1_000_000 + versions[shown].to_numpy(np.int64), return_counts=True)
    return {
        (words.names[pair // 1_000_000], pair % 1_000_000): count
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)
    }


def _is_same_rule(findings: pd.DataFrame) -> Bool:
    rules, windows = _words(findings["rule_id"]), _words(findings["operation_rule_id"])
    # One numbering for both; -1 is "no rule", and -2 keeps "no window" different from it.
    numbering = {name: position for position, name in enumerate(rules.names)}
    lookup = np.array([*(numbering.get(name, -2) for name in windows.names), -2])
    is_same_version = findings["rule_version"] == findings["operation_rule_version"]
    same: Bool = (rules.codes == lookup[windows.codes]) & is_same_version.fillna(False).to_numpy(bool)
    return same


def _next_up(
    instants: Int64,
    rows: Bool,
    service_codes: Int64,
    service_names: Sequence[str],
) -> NextUp:
    if not rows.any():
        return NextUp()
    nearest = int(instants[rows].min())
    return NextUp(nearest, _named(service_codes[rows & (instants == nearest)], service_names))


def _by_stretch(stretches: Int64, points: Int64) -> dict[int, Pair]:
    """Assets and points per stretch of time."""
    found, positions, assets = np.unique(stretches, return_inverse=True, return_counts=True)
    sums = np.zeros(len(found), np.int64)
    np.add.at(sums, positions, points)
    columns = zip(found.tolist(), assets.tolist(), sums.tolist(), strict=True)
    return {stretch: (count, amount) for stretch, count, amount in columns}


def _plus(first: Pair, second: Pair) -> Pair:
    return first[0] + second[0], first[1] + second[1]


def _add_pairs(mine: dict[Any, Pair], theirs: Mapping[Any, Pair]) -> None:
    for key, pair in theirs.items():
        mine[key] = _plus(mine.get(key, (0, 0)), pair)


def _add_counts(mine: dict[Any, int], theirs: Mapping[Any, int]) -> None:
    key: Hashable
    for key, count in theirs.items():
        mine[key] = mine.get(key, 0) + count
