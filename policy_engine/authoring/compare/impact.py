"""
Judges one history by two rule packs at one instant, in one pass, and counts how each answer changes.

The assets are made once: with the catalog of the new pack, plus the services that only the old one lists. Assets of a
service that a catalog does not list are `absent` under that pack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from policy_engine.annotations import AnnotationTotals
from policy_engine.core.frames import codes_of, nanoseconds
from policy_engine.core.problems import Problem, TotalsMismatch
from policy_engine.core.rule_model import Catalog, RulePack
from policy_engine.core.vocabulary import VERDICTS
from policy_engine.engine.control_totals import Totals
from policy_engine.engine.evaluation import Evaluator
from policy_engine.engine.finding_totals import FindingTotals, Pair, count_findings
from policy_engine.engine.question import Question
from policy_engine.engine.run import EvaluationRun

ABSENT = "absent"
STATES = (*(str(verdict) for verdict in VERDICTS), ABSENT)
"""The state of an asset under a pack: a verdict, or `absent`."""

CHANGES = ("verdict", "deadline", "storage", "operations")
"""What may change about an asset; joined by `;` in the table of changed assets."""

_COLUMNS_OF_CHANGE = {
    "deadline": ("expires_earliest", "expires_latest"),
    "storage": ("storage",),
    "operations": ("operation_verdict", "operations", "operation_closes_earliest", "operation_closes_latest"),
}
"""Change, other than of the verdict -> columns of findings that show it."""

SAMPLES = 3
"""Number of sample assets per change of a verdict: those with the least ids."""

_PASSED_ON = (
    "asset_id", "task_id", "service", "model", "task_type", "account", "media", "role", "watermarked", "status",
    "created_at", "completed_at", "as_of", "points", "cost_usd",
)  # fmt: skip
_COMPARED = (
    "verdict", "rule_id", "rule_version", "basis", "storage", "expires_earliest", "expires_latest",
    "operation_verdict", "operation_closes_earliest", "operation_closes_latest",
)  # fmt: skip
CHANGED_COLUMNS = (
    *_PASSED_ON, "change", *(f"{side}_{name}" for name in _COMPARED for side in ("before", "after")), "source",
)  # fmt: skip
"""Columns of the table of changed assets."""

Move = tuple[str, str]
"""(state before, state after)."""


@dataclass
class ImpactTotals:
    """Sums over the assets of a history under both packs."""

    matrix: dict[Move, Pair] = field(default_factory=dict)
    """All assets and points, including unchanged ones."""
    by_service: dict[tuple[str, str, str], Pair] = field(default_factory=dict)
    """The same by service (or "")."""
    by_rule: dict[tuple[str, str, str, str], Pair] = field(default_factory=dict)
    """(rule and version before, after, state before, after) -> changed assets and points."""
    windows: dict[Move, Pair] = field(default_factory=dict)
    """The operation verdicts, all assets."""
    changes: dict[str, Pair] = field(default_factory=dict)
    """Change (one of CHANGES) -> assets and points; an asset may count under several."""
    changed: Pair = (0, 0)
    """Assets with any of CHANGES."""
    rule_only: int = 0
    """Assets with the same answer from another rule, version or basis."""
    samples: dict[Move, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """(asset id, task id) of some assets of each change; for equal states, of assets with another change."""
    before: FindingTotals = field(default_factory=FindingTotals)
    after: FindingTotals = field(default_factory=FindingTotals)

    def check(self, run: Totals) -> None:
        """Raise TotalsMismatch unless the sums under both packs tie with each other and with what was read."""
        for found in (self.before, self.after):
            # The comparison ignores annotations, so every asset counts as not annotated.
            standing = {str(verdict): found.verdict(str(verdict)) for verdict in VERDICTS}
            Totals(run.seen, run.tasks, found, AnnotationTotals(standing=standing), run.merged).check()
        assets = sum(count for count, _ in self.matrix.values())
        points = sum(amount for _, amount in self.matrix.values())
        ties = [("assets under both packs", self.before.assets, self.after.assets)]
        ties.append(("assets of the matrix = assets of the history", assets, self.after.assets))
        ties.append(("points of the matrix = points of the history", points, self.after.points))
        for index, (side, found) in enumerate((("before", self.before), ("after", self.after))):
            for verdict in map(str, VERDICTS):
                # A pack that does not know a service judges its files as undetermined.
                states = (verdict, ABSENT) if verdict == "undetermined" else (verdict,)
                count = sum(assets for move, (assets, _) in self.matrix.items() if move[index] in states)
                ties.append((f"{verdict} {side} = its part of the matrix", count, found.verdict(verdict)[0]))
        broken = [f"{law}: {left} is not {right}" for law, left, right in ties if left != right]
        if broken:
            help_ = "this is a defect of the program: report it with the input"
            raise TotalsMismatch([Problem("totals-mismatch", text, help=help_) for text in broken])

    def moves(self) -> dict[Move, Pair]:
        """The changes of a verdict, the most frequent first."""
        moved = {move: pair for move, pair in self.matrix.items() if move[0] != move[1]}
        return dict(sorted(moved.items(), key=lambda item: (-item[1][0], item[0])))

    def services(self) -> frozenset[str]:
        """Services with a file in the history."""
        return frozenset(service for service, _, _ in self.by_service if service)


class ImpactRun:
    """Two packs and a history; iterate `changed` once, then read `totals`."""

    def __init__(self, run: EvaluationRun, old: RulePack, new: RulePack, old_question: Question) -> None:
        """`run` reads the history with `union_pack(old, new)` and asks the question put to the new pack."""
        self.run = run
        self.totals = ImpactTotals()
        options = run.options
        self._old = Evaluator(old, old_question, options.known_on)
        self._new = Evaluator(new, options.question, options.known_on)
        self._listed = tuple({service.id for service in pack.catalog.services} for pack in (old, new))
        self._as_of = options.question.as_of

    def changed(self) -> Iterator[pd.DataFrame]:
        """Yield frames of the assets whose answer changed; raises TotalsMismatch at the end unless the totals tie."""
        for assets in self.run.asset_chunks():
            yield self._compare(assets)
        self.totals.check(self.run.totals)

    def _compare(self, assets: pd.DataFrame) -> pd.DataFrame:
        before, after = self._old.judge_chunk(assets), self._new.judge_chunk(assets)
        totals = self.totals
        totals.before.add(count_findings(before, self._as_of))
        totals.after.add(count_findings(after, self._as_of))
        points = after["points"].fillna(0).to_numpy(np.int64)
        services, names = codes_of(assets["service"], len(assets))
        was, becomes = (
            self._states(found, services, names, listed)
            for found, listed in zip((before, after), self._listed, strict=True)
        )
        windows = _shared_codes(before["operation_verdict"], after["operation_verdict"])
        self._count_moves(np.where(services < 0, len(names), services), (*names, ""), was, becomes, points)
        self._count_windows(windows, points)
        flags = {"verdict": was != becomes} | {
            name: _differ(before, after, columns) for name, columns in _COLUMNS_OF_CHANGE.items()
        }
        is_changed = np.logical_or.reduce(list(flags.values()))
        for name, flag in flags.items():
            _add(totals.changes, name, (int(flag.sum()), int(points[flag].sum())))
        totals.changed = totals.changed[0] + int(is_changed.sum()), totals.changed[1] + int(points[is_changed].sum())
        rule_differs = _differ(before, after, ("rule_id", "rule_version", "basis"))
        totals.rule_only += int((rule_differs & ~is_changed).sum())
        rows = np.flatnonzero(is_changed)
        changed = _changed_frame(assets, before, after, rows, {name: flag[rows] for name, flag in flags.items()})
        for side, codes in (("before", was), ("after", becomes)):
            changed[f"{side}_verdict"] = [STATES[code] for code in codes[rows].tolist()]
        self._note_rules(changed, points[rows])
        return changed

    def _count_moves(
        self,
        services: npt.NDArray[np.intp],
        names: Sequence[str],
        was: npt.NDArray[np.int64],
        becomes: npt.NDArray[np.int64],
        points: npt.NDArray[np.int64],
    ) -> None:
        """Count all assets by service and states; `services` are indexes in `names`."""
        shape = len(names), len(STATES), len(STATES)
        for key, pair in _sums(np.ravel_multi_index((services, was, becomes), shape), points):
            service, old, new = (int(index) for index in np.unravel_index(key, shape))
            _add(self.totals.matrix, (STATES[old], STATES[new]), pair)
            _add(self.totals.by_service, (names[service], STATES[old], STATES[new]), pair)

    def _count_windows(self, windows: _Shared, points: npt.NDArray[np.int64]) -> None:
        count = len(windows.words)
        for key, pair in _sums(windows.before * count + windows.after, points):
            _add(self.totals.windows, (windows.words[key // count], windows.words[key % count]), pair)

    def _states(
        self, findings: pd.DataFrame, services: npt.NDArray[np.intp], names: Sequence[str], listed: set[str]
    ) -> npt.NDArray[np.int64]:
        """Index in STATES of each asset."""
        codes, words = codes_of(findings["verdict"], len(findings))
        lookup = np.array([STATES.index(word) for word in words], np.int64)
        is_absent = np.array([*(name not in listed for name in names), False], bool)
        return np.where(is_absent[services], STATES.index(ABSENT), lookup[codes])

    def _note_rules(self, changed: pd.DataFrame, points: npt.NDArray[np.int64]) -> None:
        """Count changed assets by the rules that gave the answers, and keep samples."""
        totals = self.totals
        rules = [_rule_names(changed, side) for side in ("before", "after")]
        moves = list(zip(changed["before_verdict"], changed["after_verdict"], strict=True))
        for before, after, move, amount in zip(*rules, moves, points.tolist(), strict=True):
            _add(totals.by_rule, (before, after, *move), (1, amount))
        found: dict[Move, list[tuple[str, str]]] = {}
        for move, asset, task in zip(moves, changed["asset_id"], changed["task_id"], strict=True):
            found.setdefault(move, []).append((str(asset), str(task)))
        for move, assets in found.items():
            totals.samples[move] = tuple(sorted([*totals.samples.get(move, ()), *assets])[:SAMPLES])


def union_pack(old: RulePack, new: RulePack) -> RulePack:
    """
    The new pack plus the services that only the old one lists, so that their files are made as well.

    A model name that the new catalog gives to another service stays with that one.
    """
    known = {service.id for service in new.catalog.services}
    taken = {name.model.strip().lower() for service in new.catalog.services for name in service.names}
    added = [
        replace(service, names=tuple(name for name in service.names if name.model.strip().lower() not in taken))
        for service in old.catalog.services
        if service.id not in known
    ]
    catalog = Catalog(
        (*new.catalog.services, *added),
        {**old.catalog.statuses, **new.catalog.statuses},
        tuple(dict.fromkeys((*new.catalog.legacy_outputs, *old.catalog.legacy_outputs))),
    )
    return replace(new, catalog=catalog)


def _changed_frame(
    assets: pd.DataFrame,
    before: pd.DataFrame,
    after: pd.DataFrame,
    rows: npt.NDArray[np.intp],
    flags: Mapping[str, npt.NDArray[np.bool_]],
) -> pd.DataFrame:
    """The changed assets with both answers side by side."""
    columns: dict[str, Any] = {name: after[name].iloc[rows].reset_index(drop=True) for name in _PASSED_ON}
    names = list(flags)
    columns["change"] = [
        ";".join(name for name, is_set in zip(names, marks, strict=True) if is_set)
        for marks in zip(*(flags[name].tolist() for name in names), strict=True)
    ]
    for name in _COMPARED:
        for side, frame in (("before", before), ("after", after)):
            columns[f"{side}_{name}"] = frame[name].iloc[rows].reset_index(drop=True)
    columns["source"] = after["source"].iloc[rows].reset_index(drop=True)
    return pd.DataFrame(columns)[list(CHANGED_COLUMNS)]


@dataclass(frozen=True)
class _Shared:
    """Two columns as indexes into the same words."""

    before: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]
    words: tuple[str, ...]


def _shared_codes(before: pd.Series[Any], after: pd.Series[Any]) -> _Shared:
    words: dict[str, int] = {"": 0}
    columns = []
    for column in (before, after):
        codes, names = codes_of(column, len(column))
        lookup = np.array([*(words.setdefault(name, len(words)) for name in names), 0], np.int64)
        columns.append(lookup[codes])
    return _Shared(columns[0], columns[1], tuple(words))


def _differ(before: pd.DataFrame, after: pd.DataFrame, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Rows in which any of the columns differs."""
    differs = np.zeros(len(before), bool)
    for name in names:
        first, second = before[name], after[name]
        if isinstance(first.dtype, pd.DatetimeTZDtype):
            differs |= nanoseconds(first) != nanoseconds(second)
        else:
            shared = _shared_codes(first, second)
            differs |= shared.before != shared.after
    return differs


def _sums(keys: npt.NDArray[np.int64], points: npt.NDArray[np.int64]) -> list[tuple[int, Pair]]:
    """Assets and points of each distinct key."""
    distinct, codes = np.unique(keys, return_inverse=True)
    counts = np.bincount(codes, minlength=len(distinct))
    amounts = np.zeros(len(distinct), np.int64)
    np.add.at(amounts, codes, points)
    return [
        (key, (count, amount))
        for key, count, amount in zip(distinct.tolist(), counts.tolist(), amounts.tolist(), strict=True)
    ]


def _rule_names(changed: pd.DataFrame, side: str) -> list[str]:
    """`flux v2` per row, or empty."""
    ids, numbers = changed[f"{side}_rule_id"].astype(object), changed[f"{side}_rule_version"].astype(object)
    return ["" if pd.isna(id) else f"{id} v{number}" for id, number in zip(ids.tolist(), numbers.tolist(), strict=True)]


def _add(sums: dict[Any, Pair], key: Any, pair: Pair) -> None:
    assets, points = sums.get(key, (0, 0))
    sums[key] = assets + pair[0], points + pair[1]
