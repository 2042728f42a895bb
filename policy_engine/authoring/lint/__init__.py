"""Checks whether the rules of a pack make sense together, without a history; one module per check in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from policy_engine.authoring.lint.baseline import Accepted, apply_baseline
from policy_engine.authoring.lint.checks import (
    duplicate_version,
    duration_jump,
    gap,
    outlasting_window,
    overlap,
    rewritten,
    shadowed,
    stale_source,
    uncited,
    unknown_name,
    unreachable,
    untested,
    version_order,
)
from policy_engine.authoring.lint.question import CheckResult, LintOptions, LintQuestion
from policy_engine.core.problem_codes import page_of
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import RulePack
from policy_engine.packs.rule_space import RuleSpace

__all__ = ["AT_VALIDATION", "CHECKS", "LintOptions", "LintResult", "lint_pack", "run_checks"]

CHECKS: Mapping[str, Callable[[LintQuestion], CheckResult]] = {
    "overlap": overlap.check,
    "gap": gap.check,
    "shadowed": shadowed.check,
    "unreachable": unreachable.check,
    "duplicate-version": duplicate_version.check,
    "outlasting-window": outlasting_window.check,
    "version-order": version_order.check,
    "rewritten": rewritten.check,
    "uncited": uncited.check,
    "stale-source": stale_source.check,
    "duration-jump": duration_jump.check,
    "unknown-name": unknown_name.check,
    "untested": untested.check,
}
"""Id of the check, which is also the code of its problems -> the check, in the order of reports."""

AT_VALIDATION = ("overlap", "gap")
"""Checks that run in `validate`, and whenever a pack is loaded to be used."""


@dataclass(frozen=True)
class LintResult:
    """The result of linting a pack."""

    problems: tuple[Problem, ...]
    """Problems that are not accepted, those of the baseline included; in the order of their locations."""
    covered: Mapping[str, str]
    """Check -> what it checked, or `not checked: ` and why; every check has an entry."""
    extent: str
    """The domain: which values facts can have, and where time is cut."""
    accepted: tuple[Accepted, ...] = ()
    """Problems that the baseline accepts, each with its acceptance; in the order of their locations."""

    @property
    def errors(self) -> int:
        """Problems that make the pack wrong."""
        return sum(problem.severity == "error" for problem in self.problems)

    @property
    def warnings(self) -> int:
        """Problems that need attention."""
        return len(self.problems) - self.errors


def lint_pack(pack: RulePack, options: LintOptions | None = None) -> LintResult:
    """Run every check; one that lacks an option it needs reports that in `covered`."""
    options = options or LintOptions()
    space = RuleSpace(pack)
    results = {id: _run(id, LintQuestion(space, options)) for id in CHECKS}
    problems = [problem for result in results.values() for problem in result.problems]
    covered = {id: result.covered for id, result in results.items()}
    accepted: tuple[Accepted, ...] = ()
    if options.baseline is not None:
        applied = apply_baseline(problems, options.baseline, pack.id, options.today)
        problems, accepted, covered["baseline"] = list(applied.problems), applied.accepted, applied.covered
    return LintResult(tuple(sorted(problems, key=Problem.sort_key)), covered, space.extent, accepted)


def run_checks(pack: RulePack) -> tuple[Problem, ...]:
    """Run the checks of validate; problems come in the order of their locations."""
    question = LintQuestion(RuleSpace(pack))
    found = [problem for id in AT_VALIDATION for problem in _run(id, question).problems]
    return tuple(sorted(found, key=Problem.sort_key))


def _run(id: str, question: LintQuestion) -> CheckResult:
    """Run one check; its problems link to its page."""
    problems, covered = CHECKS[id](question)
    return CheckResult(tuple(replace(problem, documentation=page_of(id)) for problem in problems), covered)
