"""Compares the effect of a change on a history with the effect that its rule file expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy_engine.authoring.compare.impact import ImpactTotals
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import Problem, TotalsMismatch, UsageProblem
from policy_engine.core.rule_model import ExpectedImpact, RulePack, RuleVersion


@dataclass(frozen=True)
class Expectation:
    """The effect that a new version expects."""

    rule: str
    version: RuleVersion
    impact: ExpectedImpact


@dataclass(frozen=True)
class Outcome:
    """One expected count and the count that was found."""

    rule: str
    version: int
    move: tuple[str, str]
    expected: int
    found: int
    is_met: bool
    history: str

    @property
    def words(self) -> str:
        """`flux v2: active->at_risk: 3 as expected`."""
        what = f"{self.rule} v{self.version}: {'->'.join(self.move)}"
        if self.expected == self.found:
            return f"{what}: {self.found:,} as expected"
        return f"{what}: expected {self.expected:,}, found {self.found:,}" + (
            ", within the tolerance" if self.is_met else ""
        )


def expectations(old: RulePack, new: RulePack) -> tuple[Expectation, ...]:
    """The expectations of versions that only the new pack has; those of older versions were checked before."""
    known = {(rule.id, version.number) for rule in old.rules for version in rule.versions}
    return tuple(
        Expectation(rule.id, version, version.expected_impact)
        for rule in new.rules
        for version in rule.versions
        if version.expected_impact is not None and (rule.id, version.number) not in known
    )


def asked_instant(expected: tuple[Expectation, ...], as_of: int | None, texts: Mapping[str, str]) -> int | None:
    """
    The instant of the question: the given one, else that of the expectations, else None.

    Raises UsageProblem if an expectation is about another instant, since it could not be checked.
    """
    wanted = as_of if as_of is not None or not expected else expected[0].impact.as_of
    wrong = [expectation for expectation in expected if expectation.impact.as_of != wanted]
    if wrong and wanted is not None:
        raise UsageProblem([_other_instant(expectation, wanted) for expectation in wrong], texts)
    return wanted


def _other_instant(expectation: Expectation, wanted: int) -> Problem:
    as_of = format_instant(expectation.impact.as_of)
    return Problem(
        "expected-impact",
        f"`{expectation.rule}` v{expectation.version.number} expects its impact as of {as_of}, "
        f"but the question is about {format_instant(wanted)}",
        expectation.version.span,
        help=f"give --as-of {as_of}, or --no-expected to skip the comparison",
    )


def outcomes(expected: tuple[Expectation, ...], totals: ImpactTotals) -> tuple[Outcome, ...]:
    """
    Each expected count, with the count among the files that the rule of the version answers before or after.

    A change of a verdict that is not named is expected not to happen.
    """
    return tuple(
        _outcome(expectation, move, moved.get(move, 0))
        for expectation, moved in ((expectation, _moves_of(expectation.rule, totals)) for expectation in expected)
        for move in sorted({*expectation.impact.verdicts, *moved})
    )


def _outcome(expectation: Expectation, move: tuple[str, str], found: int) -> Outcome:
    count = expectation.impact.verdicts.get(move)
    return Outcome(
        rule=expectation.rule,
        version=expectation.version.number,
        move=move,
        expected=0 if count is None else count.assets,
        found=found,
        is_met=found == 0 if count is None else count.fits(found),
        history=expectation.impact.history,
    )


def refuse_unmet(found: tuple[Outcome, ...], expected: tuple[Expectation, ...], texts: Mapping[str, str]) -> None:
    """Raise TotalsMismatch if a count differs from what a version expects, each with its location."""
    spans = {(expectation.rule, expectation.version.number): expectation.version.span for expectation in expected}
    problems = [
        Problem(
            "expected-impact",
            outcome.words + (f" (measured on {outcome.history})" if outcome.history else ""),
            spans[outcome.rule, outcome.version],
            help="is this the history it was measured on? otherwise correct `expected_impact`, or the rule",
        )
        for outcome in found
        if not outcome.is_met
    ]
    if problems:
        raise TotalsMismatch(problems, texts)


def _moves_of(rule: str, totals: ImpactTotals) -> dict[tuple[str, str], int]:
    moved: dict[tuple[str, str], int] = {}
    for (before, after, was, becomes), (assets, _) in totals.by_rule.items():
        if was != becomes and rule in (before.rpartition(" v")[0], after.rpartition(" v")[0]):
            moved[was, becomes] = moved.get((was, becomes), 0) + assets
    return moved
