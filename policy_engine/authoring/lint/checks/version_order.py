"""
`version-order`: version numbers or days of recording that cannot be right.

Versions are numbered 1, 2, 3, and none was recorded before the version above it: a replay of what was known on a day
needs both (these are errors; in files, validate reports them as `version-number` and `recorded-earlier`). A version
recorded before its source was read, or on a day in the future, is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, related
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.core.text.wording import count_of
from policy_engine.packs.bitemporal import version_name


def check(question: LintQuestion) -> CheckResult:
    """Find each version whose number or day of recording does not fit its position."""
    today = question.options.today
    problems: list[Problem] = []
    for rule in question.pack.rules:
        latest: RuleVersion | None = None
        for position, version in enumerate(rule.versions, start=1):
            problems += _out_of_order(rule, version, position, latest)
            problems += _odd_days(rule, version, today)
            if latest is None or version.recorded_on > latest.recorded_on:
                latest = version
    covered = f"{count_of(question.space.versions, 'version')} of {count_of(len(question.pack.rules), 'rule')}"
    covered += "" if today else "; days in the future not checked: no instant is given"
    return CheckResult(tuple(problems), covered)


def _out_of_order(rule: Rule, version: RuleVersion, position: int, latest: RuleVersion | None) -> Iterator[Problem]:
    """Errors: a wrong number, and a day before that of a version above."""
    name, recorded = f"`{rule.id}` v{version.number}", version.recorded_on
    if version.number != position:
        yield Problem(
            "version-order",
            f"{name} is in the position of v{position}",
            version.place("version"),
            help="number versions 1, 2, 3 in the order of the file, and add a new one at the end",
            witness=f"version number {version.number}",
            about=(version_name(rule, version),),
        )
    if latest is not None and recorded < latest.recorded_on:
        yield Problem(
            "version-order",
            f"{name} was recorded on {recorded}, before v{latest.number} above it ({latest.recorded_on})",
            version.place("recorded_on"),
            help=f"`recorded_on` is the day you learned of the version, so not before {latest.recorded_on}",
            related=related(latest.place("recorded_on")),
            witness=f"as known on {recorded}, v{version.number} is known and v{latest.number} is not",
            about=(version_name(rule, version),),
        )


def _odd_days(rule: Rule, version: RuleVersion, today: date | None) -> Iterator[Problem]:
    """Warnings: recorded before the source was read, or in the future."""
    recorded, cited = version.recorded_on, version.citation
    recorded_name = f"`{rule.id}` v{version.number} was recorded on {recorded}"
    warning = Problem(
        "version-order",
        "",
        version.place("recorded_on"),
        severity="warning",
        about=(version_name(rule, version),),
    )
    if cited is not None and recorded < cited.retrieved_on:
        days = count_of((cited.retrieved_on - recorded).days, "day")
        yield replace(
            warning,
            message=f"{recorded_name}, but its source was read only on {cited.retrieved_on}",
            help="a version is recorded on the day its source was read, or later",
            witness=f"as known on {recorded}, the rule cites a page that was read {days} later",
        )
    # A day begins in some time zone up to 14 hours before it begins in UTC.
    if today is not None and recorded > today + timedelta(days=1):
        yield replace(
            warning,
            message=f"{recorded_name}, which is in the future",
            help="`recorded_on` is the day you learned of the version; `effective_from` is when it takes effect",
            witness=f"as known on {today}, v{version.number} is not known",
        )
