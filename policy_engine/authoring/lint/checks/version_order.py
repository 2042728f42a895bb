"""
`version-order`: numbers or days of versions that cannot be right.

Versions count 1, 2, 3, and none was recorded before the one above it: replaying what was known on a day rests on
both (errors; in files, validate finds them as `version-number` and `recorded-earlier`). A version recorded before its
source was read, or on a day that has not come yet, is a warning.
"""

from __future__ import annotations

from datetime import date, timedelta

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, count
from policy_engine.core.periods import DAY
from policy_engine.core.problems import Problem, Severity
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.packs.bitemporal import version_name


def check(question: LintQuestion) -> CheckResult:
    """Find each version whose number or day of recording does not fit its place."""
    # A day has begun somewhere on Earth up to fourteen hours before it begins in UTC.
    tomorrow = day_of(question.as_of) + timedelta(days=1) if question.as_of is not None else None
    problems: list[Problem] = []
    for rule in question.pack.rules:
        latest: RuleVersion | None = None
        for place, version in enumerate(rule.versions, start=1):
            problems += _one(rule, version, place, latest, tomorrow)
            if latest is None or version.recorded_on > latest.recorded_on:
                latest = version
    covered = f"{count(question.space.versions, 'version')} of {count(len(question.pack.rules), 'rule')}"
    covered += "" if tomorrow else "; days to come not looked at: no instant is given"
    return CheckResult(tuple(problems), covered)


def day_of(instant: int) -> date:
    """The day of an instant in UTC."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + instant // DAY)


def _one(
    rule: Rule, version: RuleVersion, place: int, latest: RuleVersion | None, tomorrow: date | None
) -> list[Problem]:
    name = f"`{rule.id}` v{version.number}"
    found = []
    if version.number != place:
        message = f"{name} stands where v{place} belongs"
        help_text = "versions count 1, 2, 3 in the order of the file; a new one goes to the end"
        found.append(_problem(rule, version, "version", message, help_text, f"version number {version.number}"))
    recorded = version.recorded_on
    if latest is not None and recorded < latest.recorded_on:
        message = f"{name} was recorded on {recorded}, before v{latest.number} above it ({latest.recorded_on})"
        help_text = f"`recorded_on` is the day you learned of it, so no earlier than {latest.recorded_on}"
        witness = f"as known on {recorded}, v{version.number} is known and v{latest.number} is not"
        found.append(_problem(rule, version, "recorded_on", message, help_text, witness, latest))
    cited = version.citation
    if cited is not None and recorded < cited.retrieved_on:
        message = f"{name} was recorded on {recorded}, and its source read only on {cited.retrieved_on}"
        help_text = "a version is recorded on the day its source was read, or later"
        witness = (
            f"as known on {recorded}, the rule rests on a page read {(cited.retrieved_on - recorded).days} days later"
        )
        found.append(_problem(rule, version, "recorded_on", message, help_text, witness, severity="warning"))
    if tomorrow is not None and recorded > tomorrow:
        message = f"{name} was recorded on {recorded}, a day that has not come yet"
        help_text = "`recorded_on` is the day you learned of the version; when it takes effect is `effective_from`"
        witness = f"as known on {tomorrow - timedelta(days=1)}, v{version.number} is not known"
        found.append(_problem(rule, version, "recorded_on", message, help_text, witness, severity="warning"))
    return found


def _problem(
    rule: Rule,
    version: RuleVersion,
    key: str,
    message: str,
    help_text: str,
    witness: str,
    other: RuleVersion | None = None,
    severity: Severity = "error",
) -> Problem:
    related = other.place(key) if other is not None else None
    return Problem(
        "version-order",
        message,
        version.place(key),
        severity=severity,
        help=help_text,
        related=(related,) if related is not None else (),
        witness=witness,
        about=(version_name(rule, version),),
    )
