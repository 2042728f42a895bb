"""Checks that the rules of a pack make sense together; no history is needed. One module per check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from policy_engine.authoring.lint.baseline import Accepted, Baseline, apply_baseline
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
from policy_engine.authoring.lint.question import CheckResult, LintQuestion
from policy_engine.core.problem_codes import page_of
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import RulePack
from policy_engine.packs.cases import Case
from policy_engine.packs.rule_space import RuleSpace

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
"""Id of the check, which is the code of its problems -> the check, in the order in which they are reported."""

AT_VALIDATION = ("overlap", "gap")
"""Checks that validate makes, and everything that loads a pack to use it."""


@dataclass(frozen=True)
class LintOptions:
    """What a pack is compared with beside itself."""

    earlier: RulePack | None = None
    """The pack as it was merged; None: not compared."""
    revision: str | None = None
    """Where `earlier` was read, in words."""
    as_of: int | None = None
    """Instant at which acceptances and readings are judged, in ns; None: nothing is asked of the calendar."""
    review_after: int | None = None
    """How old the last reading of a source may be, in ns; None: not asked."""
    cases: tuple[Case, ...] | None = None
    """The pack's cases; None: not asked."""
    baseline: Baseline | None = None
    """Problems that somebody has accepted; needs `as_of`."""


@dataclass(frozen=True)
class LintResult:
    """What lint says of a pack."""

    problems: tuple[Problem, ...]
    """What is wrong and not accepted, and what is wrong with the baseline; in the order of their places."""
    covered: Mapping[str, str]
    """Check -> what it looked at, or `not looked at: ` and why; every check has an entry."""
    extent: str
    """The domain: which values facts can have, and where time is cut."""
    accepted: tuple[Accepted, ...] = ()
    """Problems that the baseline accepts, each with its acceptance; in the order of their places."""

    @property
    def errors(self) -> int:
        """Problems that make the pack wrong."""
        return sum(problem.severity == "error" for problem in self.problems)

    @property
    def warnings(self) -> int:
        """Problems that somebody should look at."""
        return len(self.problems) - self.errors


def lint_pack(pack: RulePack, options: LintOptions | None = None) -> LintResult:
    """Make every check; what is not given in the options is not looked at, and `covered` says so."""
    options = options or LintOptions()
    space = RuleSpace(pack)
    question = LintQuestion(
        space, options.earlier, options.revision, options.as_of, options.review_after, options.cases
    )
    problems: list[Problem] = []
    covered = {}
    for code, check in CHECKS.items():
        found = check(question)
        covered[code] = found.covered
        problems += [replace(problem, documentation=page_of(code)) for problem in found.problems]
    accepted: tuple[Accepted, ...] = ()
    if options.baseline is not None:
        problems, accepted, covered["baseline"] = apply_baseline(problems, options.baseline, pack.id, options.as_of)
    return LintResult(tuple(sorted(problems, key=Problem.sort_key)), covered, space.extent, accepted)


def run_checks(pack: RulePack) -> tuple[Problem, ...]:
    """Make the checks of validate; problems come in the order of their places."""
    question = LintQuestion(RuleSpace(pack))
    found = [
        replace(problem, documentation=page_of(code))
        for code in AT_VALIDATION
        for problem in CHECKS[code](question).problems
    ]
    return tuple(sorted(found, key=Problem.sort_key))
