"""Tries every mutant of a pack's rules against its cases: which are noticed, which are not, which are equivalent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from policy_engine.authoring.lint.checks import overlap
from policy_engine.authoring.lint.question import LintQuestion
from policy_engine.authoring.testing.cases import CaseBench, Row
from policy_engine.authoring.testing.coverage import Fraction
from policy_engine.authoring.testing.equivalence import answers_anywhere, find_difference
from policy_engine.authoring.testing.mutants import SUBMITTED, Mutant, make_mutants
from policy_engine.core.frames import instants_of, utc_times
from policy_engine.core.periods import NAT
from policy_engine.core.problems import PackInvalid, Problem
from policy_engine.core.rule_model import Rule, RulePack
from policy_engine.core.safe_text import plain
from policy_engine.packs.rule_space import RuleSpace
from policy_engine.packs.timeline import in_force

STATES = NOTICED, NOT_NOTICED, EQUIVALENT, REFUSED = "noticed", "not_noticed", "equivalent", "refused"
"""The results that a mutant may have."""
_AT_ONCE = 100
"""Cases judged in one batch, the most likely to fail first; the first that fails settles a mutant."""


@dataclass(frozen=True)
class Outcome:
    """The result of a mutant."""

    mutant: Mutant
    state: str
    """`noticed` by a case, `not_noticed`, `equivalent` (proved: no file ever gets another answer), or `refused` (the
    changed pack contradicts itself and would not load)."""
    detail: str
    """The case that noticed it, a file that would notice it, or why it is refused; empty for equivalent ones."""

    def __str__(self) -> str:
        return f"`{self.mutant.rule.id}` v{self.mutant.version.number}: {self.mutant.change}"


@dataclass(frozen=True)
class MutationReport:
    """The result of trying all mutants of a pack."""

    outcomes: tuple[Outcome, ...]
    """In the order of rules, versions and kinds."""

    def of(self, state: str) -> tuple[Outcome, ...]:
        """The mutants in one state."""
        return tuple(outcome for outcome in self.outcomes if outcome.state == state)

    @property
    def noticed(self) -> int:
        """Mutants that a case notices."""
        return len(self.of(NOTICED))

    @property
    def countable(self) -> int:
        """Mutants that a case could notice: not equivalent and not refused."""
        return self.noticed + len(self.of(NOT_NOTICED))

    @property
    def score(self) -> Fraction:
        """The noticed mutants, of those that could be noticed."""
        return Fraction(self.noticed, self.countable)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """A warning for each mutant that no case notices, at the location of its version."""
        return tuple(
            Problem(
                "not-noticed",
                f"`{mutant.rule.id}` v{mutant.version.number}: no case would notice that {mutant.change}",
                mutant.version.span,
                severity="warning",
                help=f"add a case of {detail}",
            )
            for mutant, detail in ((outcome.mutant, outcome.detail) for outcome in self.of(NOT_NOTICED))
        )


def try_mutants(bench: CaseBench) -> MutationReport:
    """
    Try every mutant of every rule; all cases of the bench must pass with the original rules.

    Only cases with a file of a service that the mutant affects are judged again, and only by the rules about it.
    """
    return MutationReport(tuple(_Trial(bench).outcomes()))


class _Trial:
    """One run over all mutants."""

    def __init__(self, bench: CaseBench) -> None:
        self.bench = bench
        self.pack = bench.pack
        self.findings: list[Row] = [row for rows in bench.answers for row in rows]
        self.cases_of: dict[str, set[int]] = {}
        for service, case in zip(bench.assets["service"].tolist(), bench.case_of.tolist(), strict=True):
            self.cases_of.setdefault(service, set()).add(case)
        self.services_of = {rule.id: _services(rule) for rule in self.pack.rules}
        days = [case.known_on for case in bench.files.cases]
        self.replayed = frozenset(
            service for service, cases in self.cases_of.items() if any(days[case] is not None for case in cases)
        )
        self.cases_naming: dict[tuple[str, int], list[int]] = {}
        for case, row in zip(bench.case_of.tolist(), self.findings, strict=True):
            for key in _versions_of(row):
                self.cases_naming.setdefault(key, []).append(case)

    def outcomes(self) -> Iterator[Outcome]:
        for rule in self.pack.rules:
            is_replayed = _meets(self.services_of[rule.id], self.replayed)
            for mutant in make_mutants(rule, self.pack.catalog, is_replayed):
                yield self._try(mutant)

    def _try(self, mutant: Mutant) -> Outcome:
        touched = _union(self.services_of[mutant.rule.id], _services(mutant.after))
        before = self._part(mutant.rule, touched)
        after = self._part(mutant.after, touched)
        why = None if mutant.clock else _why_refused(after)
        if why is not None:
            return Outcome(mutant, REFUSED, why)
        by = self._noticed_by(mutant, after, touched)
        if by is not None:
            return Outcome(mutant, NOTICED, by)
        if mutant.clock is not None:
            if answers_anywhere(before, mutant.rule.id, mutant.version.number, touched):
                return Outcome(mutant, NOT_NOTICED, "a file with two instants of creation, and state both deadlines")
            return Outcome(mutant, EQUIVALENT, "")
        witness = find_difference(before, after, touched)
        if witness is None:
            return Outcome(mutant, EQUIVALENT, "")
        return Outcome(mutant, NOT_NOTICED, f"a file with {witness}, and state what changes")

    def _part(self, rule: Rule, services: frozenset[str] | None) -> RulePack:
        """The pack with one rule replaced, and of the others only those that can cover the services."""
        rules = [
            rule if other.id == rule.id else other
            for other in self.pack.rules
            if other.id == rule.id or _meets(self.services_of[other.id], services)
        ]
        return replace(self.pack, rules=tuple(rules))

    def _noticed_by(self, mutant: Mutant, after: RulePack, services: frozenset[str] | None) -> str | None:
        """The name of a case that fails with the mutant."""
        wanted = self.cases_of.keys() if services is None else services
        cases = {case for service in wanted for case in self.cases_of.get(service, ())}
        first = dict.fromkeys(self.cases_naming.get((mutant.rule.id, mutant.version.number), ()))
        ordered = [case for case in first if case in cases] + sorted(cases - first.keys())
        assets = self._reclocked(mutant) if mutant.clock is not None else None
        for start in range(0, len(ordered), _AT_ONCE):
            some = ordered[start : start + _AT_ONCE]
            try:
                judged = self.bench.judge(after, some, assets)
            except PackInvalid as error:
                return f"a replay of a past day, where {error.problems[0].message}"
            for case, rows in zip(some, judged, strict=True):
                if any(self.bench.differences(case, rows)):
                    return self.bench.files.cases[case].name
        return None

    def _reclocked(self, mutant: Mutant) -> pd.DataFrame:
        """The assets, with a single instant of creation for those whose finding names the mutant's version."""
        key = (mutant.rule.id, mutant.version.number)
        rows = np.array([key in _versions_of(row) for row in self.findings], bool)
        created, completed = (instants_of(self.bench.assets, name) for name in ("created_at", "completed_at"))
        instant = created if mutant.clock == SUBMITTED else completed
        rows &= instant != NAT
        return self.bench.assets.assign(
            created_at=utc_times(np.where(rows, instant, created)),
            completed_at=utc_times(np.where(rows, instant, completed)),
        )


def _services(rule: Rule) -> frozenset[str] | None:
    """The services that some version of a rule may cover; None = all."""
    found: frozenset[str] = frozenset()
    for version in rule.versions:
        if version.withdrawn:
            continue
        named = version.selector.conditions.get("service")
        if named is None:
            return None
        found |= named
    return found


def _union(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return None if one is None or other is None else one | other


def _meets(one: frozenset[str] | None, other: frozenset[str] | None) -> bool:
    return one is None or other is None or not one.isdisjoint(other)


def _versions_of(row: Row) -> Iterator[tuple[str, int]]:
    """The rule versions that a finding names."""
    for rule, version in (("rule_id", "rule_version"), ("operation_rule_id", "operation_rule_version")):
        if isinstance(row[rule], str) and row[rule]:
            yield row[rule], int(row[version])


def _why_refused(pack: RulePack) -> str | None:
    """Why a pack would not load, or None."""
    declared = {service for entry in pack.no_published_rule for service in entry.services}
    for rule in pack.rules:
        for _, version in in_force(rule):
            if version is not None and version.storage is not None:
                named = version.selector.conditions.get("service")
                meant = declared if named is None else declared & named
                if meant:
                    return f"`{plain(min(meant))}` is declared to have no published rule"
    return _first_error(overlap.check(LintQuestion(RuleSpace(pack))).problems)


def _first_error(problems: Sequence[Problem]) -> str | None:
    return next((problem.message for problem in problems if problem.severity == "error"), None)
