"""
`shadowed`: a version that is never in force, on whatever day the question is asked.

A later version of the same rule, recorded on the same day, takes effect at the same instant or earlier, so not even a
replay of that day finds the version. A correction recorded on a later day shadows nothing: what it replaces was known
for a while. This is a warning.
"""

from __future__ import annotations

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, related
from policy_engine.authoring.lint.witness import first_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.core.text.wording import count_of
from policy_engine.packs.bitemporal import SINCE_EVER, version_name


def check(question: LintQuestion) -> CheckResult:
    """Find each version that is never in force."""
    space = question.space
    problems = []
    for rule in space.pack.rules:
        in_force = {box.version.number for box in space.histories[rule.id].boxes}
        problems += [_problem(rule, version) for version in rule.versions if version.number not in in_force]
    covered = f"{count_of(space.versions, 'version')} on {count_of(space.days, 'day')} of recording"
    return CheckResult(tuple(problems), covered)


def _problem(rule: Rule, version: RuleVersion) -> Problem:
    """Name the version that is in force instead."""
    instead = max(
        (
            other
            for other in rule.versions
            if other.recorded_on <= version.recorded_on and _start(other) <= _start(version)
        ),
        key=lambda other: other.number,
    )
    number = instead.number
    return Problem(
        "shadowed",
        f"`{rule.id}` v{version.number} is never in force: v{number} was recorded no later and takes effect no later",
        version.span,
        severity="warning",
        help=f"remove v{version.number} before it is merged, or let v{number} take effect later",
        related=related(instead.span),
        witness=f"created {first_instant(version)}, as known on {version.recorded_on}: v{number} applies",
        about=(version_name(rule, version),),
    )


def _start(version: RuleVersion) -> int:
    return SINCE_EVER if version.effective_from is None else version.effective_from
