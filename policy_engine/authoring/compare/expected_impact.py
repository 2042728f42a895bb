"""Compares what a change does to a history with what its own file expects of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy_engine.authoring.compare.impact import ImpactTotals
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import Problem, TotalsMismatch, UsageProblem
from policy_engine.core.rule_model import ExpectedCount, ExpectedImpact, RulePack, RuleVersion


@dataclass(frozen=True)
class Expectation:
    """What a new version expects of itself."""

    rule: str
    version: RuleVersion
    impact: ExpectedImpact


@dataclass(frozen=True)
class Outcome:
    """One expected count beside what was found."""

    rule: str
    version: int
    move: tuple[str, str]
    expected: int
    found: int
    is_met: bool
    history: str

    @property
    def words(self) -> str:
        """`flux v2: active->at_risk 3 files, as expected`."""
        what = f"{self.rule} v{self.version}: {'->'.join(self.move)}"
        if self.expected == self.found:
            return f"{what}: {self.found:,} as expected"
        return f"{what}: expected {self.expected:,}, found {self.found:,}" + (
            ", within the tolerance" if self.is_met else ""
        )


def expectations(old: RulePack, new: RulePack) -> tuple[Expectation, ...]:
    """Those of the versions that only the new pack has; for older ones the impact is history."""
    known = {(rule.id, version.number) for rule in old.rules for version in rule.versions}
    return tuple(
        Expectation(rule.id, version, version.expected_impact)
        for rule in new.rules
        for version in rule.versions
        if version.expected_impact is not None and (rule.id, version.number) not in known
    )


def asked_instant(expected: tuple[Expectation, ...], as_of: int | None, texts: Mapping[str, str]) -> int | None:
    """
    The instant to answer for: the one given, else that of the expectations, else None.

    Raises UsageProblem where an expectation is about another instant, since it could not be checked.
    """
    wanted = as_of if as_of is not None or not expected else expected[0].impact.as_of
    wrong = [one for one in expected if one.impact.as_of != wanted]
    if wrong and wanted is not None:
        raise UsageProblem([
            Problem(
                "expected-impact",
                f"`{one.rule}` v{one.version.number} expects its impact as of {format_instant(one.impact.as_of)}, "
                f"and the question is about {format_instant(wanted)}",
                one.version.span,
                help=f"give --as-of {format_instant(one.impact.as_of)}, or --no-expected to leave it unchecked",
            )
            for one in wrong
        ], texts)  # fmt: skip
    return wanted


def outcomes(expected: tuple[Expectation, ...], totals: ImpactTotals) -> tuple[Outcome, ...]:
    """
    What each version expects, with what was found among the files that its rule answers before or after.

    A change of a verdict that is not named is expected not to happen.
    """
    found = []
    nothing = {one.rule: _moves_of(one.rule, totals) for one in expected}
    for one in expected:
        moved = nothing[one.rule]
        for move in sorted({*one.impact.verdicts, *moved}):
            wanted = one.impact.verdicts.get(move)
            count = moved.get(move, 0)
            is_met = count == 0 if wanted is None else wanted.fits(count)
            found.append(
                Outcome(one.rule, one.version.number, move, _assets(wanted), count, is_met, one.impact.history)
            )
    return tuple(found)


def refuse_unmet(found: tuple[Outcome, ...], expected: tuple[Expectation, ...], texts: Mapping[str, str]) -> None:
    """Raise TotalsMismatch when reality differs from what a version expects, each with its place."""
    spans = {(one.rule, one.version.number): one.version.span for one in expected}
    unmet = [one for one in found if not one.is_met]
    if unmet:
        raise TotalsMismatch([
            Problem(
                "expected-impact", one.words + (f" (measured on {one.history})" if one.history else ""),
                spans[one.rule, one.version],
                help="is this the history it was measured on? else correct `expected_impact`, or the rule",
            )
            for one in unmet
        ], texts)  # fmt: skip


def _assets(wanted: ExpectedCount | None) -> int:
    return 0 if wanted is None else wanted.assets


def _moves_of(rule: str, totals: ImpactTotals) -> dict[tuple[str, str], int]:
    moved: dict[tuple[str, str], int] = {}
    for (before, after, was, becomes), (assets, _) in totals.by_rule.items():
        if was != becomes and rule in (before.rpartition(" v")[0], after.rpartition(" v")[0]):
            moved[was, becomes] = moved.get((was, becomes), 0) + assets
    return moved
