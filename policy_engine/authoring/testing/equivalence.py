"""Decides exactly whether two packs with one catalog answer alike: every profile of facts, every instant, every day."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date
from itertools import product

from policy_engine.core.fact_domain import distinguished_values
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import PackInvalid
from policy_engine.core.rule_model import RulePack, Service
from policy_engine.core.vocabulary import FACTS
from policy_engine.engine.decision_table import DecisionTable, Profile
from policy_engine.engine.kernel import NO_RULE, Cells

_Answer = tuple[object, ...]
"""A cell of a decision table with its versions by name: their places differ between packs."""
_Line = list[tuple[int | None, _Answer]]
"""Answers over time: from when on (None = since ever), and the answer."""


@dataclass(frozen=True)
class Witness:
    """A file about which two packs answer differently."""

    facts: tuple[tuple[str, str], ...]
    """Those facts that some rule asks for, with their values."""
    created: int | None
    """From this instant of creation on, in ns; None = since ever."""
    known_on: date | None
    """As known on this day; None = by all that is recorded."""

    def __str__(self) -> str:
        facts = ", ".join(f"{fact} `{value}`" for fact, value in self.facts)
        when = "" if self.created is None else f", created at {format_instant(self.created)}"
        return f"{facts}{when}{'' if self.known_on is None else f', known_on {self.known_on}'}"


def find_difference(before: RulePack, after: RulePack, services: Collection[str] | None) -> Witness | None:
    """
    Return a file about which the packs differ, or None when there is none: then they answer alike always.

    `services` are those whose rules may differ (None = all). Files whose facts are all known are tried, with one value
    for all that no rule names: an answer about unknown facts is made of the answers about known ones. Where several
    windows may hold for one file, they hide each other, so that files with unknown facts are tried as well.
    """
    windows = max(_rules_with_windows(before), _rules_with_windows(after))
    days = {version.recorded_on for pack in (before, after) for rule in pack.rules for version in rule.versions}
    for day in (None, *sorted(days)):
        one, other = DecisionTable(before, day), DecisionTable(after, day)
        for service in before.catalog.services:
            if services is not None and service.id not in services:
                continue
            profiles = list(profiles_of(service, (before, after), with_unknown=windows > 1))
            lines = (_lines(table, [profile for profile, _ in profiles]) for table in (one, other))
            for (_, facts), first, second in zip(profiles, *lines, strict=True):
                if first != second:
                    return Witness(facts, _where(first, second), day)
    return None


def _rules_with_windows(pack: RulePack) -> int:
    return sum(any(version.operation_window is not None for version in rule.versions) for rule in pack.rules)


def answers_anywhere(pack: RulePack, rule: str, number: int, services: Collection[str] | None) -> bool:
    """True when there is a file whose answer names this version of a rule."""
    days = {version.recorded_on for one in pack.rules for version in one.versions}
    for day in (None, *sorted(days)):
        table = DecisionTable(pack, day)
        version = (rule, number)
        for service in pack.catalog.services:
            if services is not None and service.id not in services:
                continue
            for line in _lines(table, [profile for profile, _ in profiles_of(service, (pack,))]):
                if line is not None and any(version in (answer[_RULE], answer[_WINDOW_RULE]) for _, answer in line):
                    return True
    return False


_FIELDS = tuple(one.name for one in fields(Cells))
_RULE, _WINDOW_RULE = _FIELDS.index("rule"), _FIELDS.index("window_rule")


def profiles_of(
    service: Service, packs: Iterable[RulePack], with_unknown: bool = False
) -> Iterator[tuple[Profile, tuple[tuple[str, str], ...]]]:
    """
    Yield every distinct profile of a service with known facts, as the table takes it and as pairs of fact and value.

    A fact that no rule names is left open; all values that no rule names are one, the first that the catalog lists.
    `with_unknown` adds every profile in which facts that rules name are unknown, after those with other values.
    """
    named: dict[str, set[str]] = {}
    for pack in packs:
        for rule in pack.rules:
            for version in rule.versions:
                for fact, allowed in version.selector.conditions.items():
                    named.setdefault(fact, set()).update(allowed)
    domains: list[list[str | None]] = [[service.id]]
    for fact in FACTS[1:]:
        values: list[str | None] = list(distinguished_values(service, fact, named[fact])) if fact in named else [None]
        domains.append([*values, None] if with_unknown and fact in named else values)
    for profile in product(*domains):
        facts = ((fact, value) for fact, value in zip(FACTS, profile, strict=True) if value is not None)
        yield profile, tuple(facts)


def _lines(table: DecisionTable, profiles: Sequence[Profile]) -> list[_Line | None]:
    """The answers about each profile over time; None when two rules contradict each other about it."""
    rows: list[int | None] = []
    for profile in profiles:
        try:
            rows.append(int(table.bind([profile])[0]))
        except PackInvalid:
            rows.append(None)
    # Only when all are bound: every new profile makes the arrays anew.
    bound = table.arrays()
    starts = (None, *bound.cuts.tolist())
    columns = [getattr(bound.cells, name).tolist() for name in _FIELDS]
    named = {
        cell: tuple(
            _named(table, column[cell]) if place in (_RULE, _WINDOW_RULE) else column[cell]
            for place, column in enumerate(columns)
        )
        for cell in range(len(columns[0]))
    }
    lines: list[_Line | None] = []
    for row in rows:
        line: _Line | None = None
        if row is not None:
            line = []
            for start, cell in zip(starts, bound.table[row].tolist(), strict=True):
                if not line or line[-1][1] != named[cell]:
                    line.append((start, named[cell]))
        lines.append(line)
    return lines


def _named(table: DecisionTable, index: int) -> tuple[str, int] | None:
    if index == NO_RULE:
        return None
    ref = table.versions[index]
    return ref.rule_id, ref.number


def _where(first: _Line | None, second: _Line | None) -> int | None:
    """The first instant from which on the two differ."""
    if first is None or second is None:
        return None
    starts = {start for start, _ in (*first, *second) if start is not None}
    for start in (None, *sorted(starts)):
        if _at(first, start) != _at(second, start):
            return start
    return None


def _at(line: _Line, instant: int | None) -> _Answer:
    return next(
        answer for start, answer in reversed(line) if start is None or (instant is not None and start <= instant)
    )
