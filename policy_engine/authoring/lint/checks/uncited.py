"""
`uncited`: a version without a citation.

The schema requires a citation of every version except a withdrawn one; but the end of a rule is as much a statement of
the provider as its beginning, and readers will ask for its source. This is a warning.
"""

from __future__ import annotations

from policy_engine.authoring.lint.question import CheckResult, LintQuestion
from policy_engine.authoring.lint.witness import first_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.core.text.wording import count_of
from policy_engine.packs.bitemporal import version_name


def check(question: LintQuestion) -> CheckResult:
    """Find each version without a citation."""
    problems = [
        _problem(rule, version) for rule in question.pack.rules for version in rule.versions if version.citation is None
    ]
    return CheckResult(tuple(problems), count_of(question.space.versions, "version"))


def _problem(rule: Rule, version: RuleVersion) -> Problem:
    lacks = "ends the rule without a citation" if version.withdrawn else "has no citation"
    return Problem(
        "uncited",
        f"`{rule.id}` v{version.number} {lacks}",
        version.span,
        severity="warning",
        help="add `citation: {source, section, retrieved_on, basis}`; if nobody published it, the basis is `observed` "
        "or `assumed`",
        witness=f"an answer for a file created {first_instant(version)} would cite no source",
        about=(version_name(rule, version),),
    )
