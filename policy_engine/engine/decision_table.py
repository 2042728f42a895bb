"""Turns a rule pack into an array of answers: each distinct profile is resolved once, in plain Python, for all time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product

import numpy as np

from policy_engine.core.fact_domain import distinguished_values
from policy_engine.core.frames import Int32
from policy_engine.core.problems import PackInvalid, Problem
from policy_engine.core.rule_model import RulePack, RuleVersion, Service
from policy_engine.core.vocabulary import FACTS, StorageLocation
from policy_engine.engine.kernel import (
    DATED,
    FAR,
    NO_RULE,
    NONE,
    ON_PLATFORM,
    ON_VENDOR_CDN,
    VENDOR,
    WINDOW_DATED,
    WINDOW_NONE,
    BoundTable,
    Cells,
)
from policy_engine.packs.timeline import in_force

Profile = tuple[str | None, ...]
"""One value per fact in the order of FACTS, which its domain holds; None = unknown. The service comes first."""


@dataclass(frozen=True)
class VersionRef:
    """A rule version as findings name it; its position in DecisionTable.versions is the version index of the kernel."""

    rule_id: str
    number: int
    basis: str
    version: RuleVersion


@dataclass(frozen=True)
class _Answer:
    """The answer of the rules at one instant for complete facts, as indices of versions."""

    retention: int | None
    windows: tuple[int, ...]


@dataclass(frozen=True)
class _Cell:
    kinds: int
    least: int
    greatest: int
    rule: int
    window_least: int
    window_greatest: int
    window_rule: int
    matters: int
    operations: int


_NO_CELL = _Cell(0, int(FAR), -int(FAR), int(NO_RULE), int(FAR), -int(FAR), int(NO_RULE), 0, 0)
"""The cell of an empty table; no row asks for it."""


class DecisionTable:
    """
    The answers of a pack over time, per profile; grows as profiles are met.

    Rules are evaluated once per distinct profile, so the cost of a row does not depend on the number of rules.
    """

    def __init__(self, pack: RulePack, known_on: date | None = None) -> None:
        """Prepare the rule timelines as known on a day (default: everything recorded)."""
        self.pack = pack
        self.services: dict[str, Service] = {service.id: service for service in pack.catalog.services}
        refs = [
            VersionRef(rule.id, version.number, version.citation.basis if version.citation else "", version)
            for rule in sorted(pack.rules, key=lambda rule: rule.id)
            for version in rule.versions
        ]
        # INVARIANT: ordered by (rule id, version number); ties between deadlines go to the least index.
        self.versions: tuple[VersionRef, ...] = tuple(refs)
        index = {(ref.rule_id, ref.number): position for position, ref in enumerate(refs)}
        self._timelines: list[list[tuple[int | None, int | None]]] = []
        self._by_service: dict[str | None, list[int]] = {}
        for rule in sorted(pack.rules, key=lambda rule: rule.id):
            segments = [
                (start, None if version is None or version.withdrawn else index[rule.id, version.number])
                for start, version in in_force(rule, known_on)
            ]
            position = len(self._timelines)
            self._timelines.append(segments)
            services: set[str | None] = set()
            for _, at in segments:
                if at is not None:
                    named = refs[at].version.selector.conditions.get("service")
                    services |= {None} if named is None else set(named)
            for service in services:
                self._by_service.setdefault(service, []).append(position)
        self._ids: dict[Profile, int] = {}
        self._lines: list[list[tuple[int | None, int]]] = []
        self._always: list[int] = []
        self._cells: list[_Cell] = []
        self._cell_ids: dict[_Cell, int] = {}
        self._arrays: BoundTable | None = None

    def bind(self, profiles: Iterable[Profile]) -> Int32:
        """Return the row of the table for each profile, resolving those not met before. The service must be known."""
        return np.array([self._bind_one(profile) for profile in profiles], np.int32)

    def arrays(self) -> BoundTable:
        """The answers for all profiles bound so far."""
        if self._arrays is None:
            cuts = sorted({start for line in self._lines for start, _ in line if start is not None})
            edges = np.array(cuts, np.int64)
            table = np.zeros((max(1, len(self._lines)), len(cuts) + 1), np.int32)
            for row, line in enumerate(self._lines):
                for start, cell in line:
                    at = 0 if start is None else int(np.searchsorted(edges, start)) + 1
                    table[row, at:] = cell
            always = np.array(self._always or [0], np.int32)
            self._arrays = BoundTable(edges, table, always, self._cell_arrays())
        return self._arrays

    def _bind_one(self, profile: Profile) -> int:
        known = self._ids.get(profile)
        if known is None:
            known = len(self._lines)
            self._ids[profile] = known
            line = self._resolve(profile)
            self._lines.append(line)
            self._always.append(self._cell_id(_unite([self._cells[cell] for _, cell in line])))
            self._arrays = None
        return known

    def _resolve(self, profile: Profile) -> list[tuple[int | None, int]]:
        """Answers of one profile over time: (start, cell); None = without a start."""
        service = self.services[str(profile[0])]
        facts = dict(zip(FACTS, profile, strict=True))
        rules = self._candidates(facts)
        named: dict[str, set[str]] = {}
        for rule in rules:
            for _, at in self._timelines[rule]:
                if at is not None:
                    for fact, values in self.versions[at].version.selector.conditions.items():
                        named.setdefault(fact, set()).update(values)
        domains = [
            (value,) if value is not None else distinguished_values(service, fact, named.get(fact, ()))
            for fact, value in facts.items()
        ]
        completions = [dict(zip(FACTS, values, strict=True)) for values in product(*domains)]
        unknown = [fact for fact, value in facts.items() if value is None]
        starts = sorted({start for rule in rules for start, _ in self._timelines[rule] if start is not None})
        line: list[tuple[int | None, int]] = []
        for start in [None, *starts]:
            in_effect = [index for rule in rules if (index := _at(self._timelines[rule], start)) is not None]
            answers = [self._answer(completion, in_effect, bool(service.operations)) for completion in completions]
            matters = sum(1 << FACTS.index(fact) for fact in unknown if _matters(fact, completions, answers))
            cell = self._cell_id(self._cell(answers, matters, service))
            if not line or line[-1][1] != cell:
                line.append((start, cell))
        return line

    def _candidates(self, facts: dict[str, str | None]) -> list[int]:
        """Rules with a version that may match the facts at some time; None is any value."""
        rules = sorted({*self._by_service.get(None, ()), *self._by_service.get(facts["service"], ())})
        return [rule for rule in rules if any(self._may_match(at, facts) for _, at in self._timelines[rule])]

    def _may_match(self, at: int | None, facts: dict[str, str | None]) -> bool:
        if at is None:
            return False
        conditions = self.versions[at].version.selector.conditions
        return all(facts[fact] is None or facts[fact] in values for fact, values in conditions.items())

    def _answer(self, facts: dict[str, str], at: Sequence[int], has_follow_ups: bool) -> _Answer:
        matching = [
            index
            for index in at
            if all(facts[fact] in values for fact, values in self.versions[index].version.selector.conditions.items())
        ]
        storing = [index for index in matching if self.versions[index].version.storage is not None]
        if len(storing) > 1:
            raise PackInvalid(self._overlap(storing), self.pack.texts)
        windows = tuple(
            index for index in matching if has_follow_ups and self.versions[index].version.operation_window is not None
        )
        return _Answer(storing[0] if storing else None, windows)

    def _overlap(self, indices: Sequence[int]) -> Problem:
        first, second = (self.versions[index] for index in indices[:2])
        return Problem(
            "overlap",
            f"`{first.rule_id}` v{first.number} and `{second.rule_id}` v{second.number} are in force for one asset",
            second.version.span,
            related=(first.version.span,) if first.version.span else (),
            help="narrow one selector, or end one of the two versions",
        )

    def _cell(self, answers: Sequence[_Answer], matters: int, service: Service) -> _Cell:
        kinds = operations = 0
        least, greatest, rule = int(FAR), -int(FAR), int(NO_RULE)
        window_least, window_greatest, window_rule = int(FAR), -int(FAR), int(NO_RULE)
        vendor_rule = int(NO_RULE)
        for answer in set(answers):
            if answer.retention is None:
                kinds |= NONE
            else:
                version = self.versions[answer.retention].version
                kinds |= ON_PLATFORM if version.storage is StorageLocation.PLATFORM else ON_VENDOR_CDN
                if version.retention is None:
                    kinds |= VENDOR
                    vendor_rule = min(vendor_rule, answer.retention)
                else:
                    kinds |= DATED
                    least, rule = min((least, rule), (version.retention, answer.retention))
                    greatest = max(greatest, version.retention)
            if not answer.windows:
                kinds |= WINDOW_NONE
            for index in answer.windows:
                window = self.versions[index].version.operation_window
                if window is not None:
                    kinds |= WINDOW_DATED
                    window_least, window_rule = min((window_least, window_rule), (window.period, index))
                    window_greatest = max(window_greatest, window.period)
                    for name in window.operations:
                        if name in service.operations:
                            operations |= 1 << service.operations.index(name)
        if not kinds & DATED:
            rule = vendor_rule
        return _Cell(kinds, least, greatest, rule, window_least, window_greatest, window_rule, matters, operations)

    def _cell_id(self, cell: _Cell) -> int:
        known = self._cell_ids.get(cell)
        if known is None:
            known = len(self._cells)
            self._cell_ids[cell] = known
            self._cells.append(cell)
        return known

    def _cell_arrays(self) -> Cells:
        cells = self._cells or [_NO_CELL]
        return Cells(
            kinds=np.array([cell.kinds for cell in cells], np.int32),
            least=np.array([cell.least for cell in cells], np.int64),
            greatest=np.array([cell.greatest for cell in cells], np.int64),
            rule=np.array([cell.rule for cell in cells], np.int32),
            window_least=np.array([cell.window_least for cell in cells], np.int64),
            window_greatest=np.array([cell.window_greatest for cell in cells], np.int64),
            window_rule=np.array([cell.window_rule for cell in cells], np.int32),
            matters=np.array([cell.matters for cell in cells], np.int32),
            operations=np.array([cell.operations for cell in cells], np.uint64),
        )


def _at(timeline: Sequence[tuple[int | None, int | None]], instant: int | None) -> int | None:
    """The version in force at an instant (None = before every dated change)."""
    for start, index in reversed(timeline):
        if start is None or (instant is not None and start <= instant):
            return index
    return None


def _matters(fact: str, completions: Sequence[dict[str, str]], answers: Sequence[_Answer]) -> bool:
    by_value: dict[str, set[_Answer]] = {}
    for completion, answer in zip(completions, answers, strict=True):
        by_value.setdefault(completion[fact], set()).add(answer)
    sets = list(by_value.values())
    return any(other != sets[0] for other in sets[1:])


def _unite(cells: Sequence[_Cell]) -> _Cell:
    """One cell for all time: its kinds are those of any instant."""
    kinds = matters = operations = 0
    for cell in cells:
        kinds |= cell.kinds
        matters |= cell.matters
        operations |= cell.operations
    least, rule = min((cell.least, cell.rule) for cell in cells)
    window_least, window_rule = min((cell.window_least, cell.window_rule) for cell in cells)
    return _Cell(
        kinds,
        least,
        max(cell.greatest for cell in cells),
        rule,
        window_least,
        max(cell.window_greatest for cell in cells),
        window_rule,
        matters,
        operations,
    )
