"""
`uncited`: a version that does not say where it comes from.

The schema asks for a citation of every version but a withdrawn one; the end of a rule is as much a statement of the
provider as its beginning, and a reader will ask who said so. This is a warning.
"""

from __future__ import annotations

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, count
from policy_engine.authoring.lint.wording import some_instant
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.packs.bitemporal import SINCE_EVER, version_name


def check(question: LintQuestion) -> CheckResult:
    """Find each version without a citation."""
    problems = [
        _problem(rule, version) for rule in question.pack.rules for version in rule.versions if version.citation is None
    ]
    return CheckResult(tuple(problems), count(question.space.versions, "version"))


def _problem(rule: Rule, version: RuleVersion) -> Problem:
    start = SINCE_EVER if version.effective_from is None else version.effective_from
    instant = format_instant(some_instant(start, start + 1, version.recorded_on))
    ends = "ends the rule and does" if version.withdrawn else "does"
    return Problem(
        "uncited",
        f"`{rule.id}` v{version.number} {ends} not say where that comes from",
        version.span,
        severity="warning",
        help="add `citation: {source, section, retrieved_on, basis}`; what nobody published is `observed` or `assumed`",
        witness=f"an answer for a file created {instant} would cite nothing",
        about=(version_name(rule, version),),
    )
