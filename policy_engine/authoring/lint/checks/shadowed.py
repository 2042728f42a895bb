"""
`shadowed`: a version that is in force at no instant, whatever the day on which one asks.

A later version of the same rule, recorded on the same day, takes over from the same instant or an earlier one, so
that not even a replay of that day meets the version. A correction recorded later shadows nothing: what it replaces
was known for a while. This is a warning.
"""

from __future__ import annotations

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, count
from policy_engine.authoring.lint.wording import some_instant
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.packs.bitemporal import SINCE_EVER, version_name


def check(question: LintQuestion) -> CheckResult:
    """Find each version that never stands."""
    space = question.space
    problems = []
    for rule in space.pack.rules:
        standing = {box.version.number for box in space.histories[rule.id].boxes}
        problems += [_problem(rule, version) for version in rule.versions if version.number not in standing]
    covered = f"{count(space.versions, 'version')} on {count(space.days, 'day')} of recording"
    return CheckResult(tuple(problems), covered)


def _problem(rule: Rule, version: RuleVersion) -> Problem:
    """Say which version stands in its place."""
    start = SINCE_EVER if version.effective_from is None else version.effective_from
    taking_over = max(
        (
            later
            for later in rule.versions
            if later.recorded_on <= version.recorded_on
            and (later.effective_from is None or later.effective_from <= start)
        ),
        key=lambda later: later.number,
    )
    instant = format_instant(some_instant(start, start + 1, version.recorded_on))
    number = taking_over.number
    return Problem(
        "shadowed",
        f"`{rule.id}` v{version.number} is in force at no instant: v{number} was recorded by the same day and "
        "begins no later",
        version.span,
        severity="warning",
        help=f"take v{version.number} out before it is merged, or let v{number} begin later",
        related=(taking_over.span,) if taking_over.span is not None else (),
        witness=f"created {instant}, as known on {version.recorded_on}: v{number} answers",
        about=(version_name(rule, version),),
    )
