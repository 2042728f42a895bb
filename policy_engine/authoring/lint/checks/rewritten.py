"""
`rewritten`: a version that was merged is no longer what it was.

Versions are append-only: what was answered on a past day can be replayed only if nothing that stood then is edited or
removed. The pack is compared with a revision of it, value by value, so that comments, titles, summaries and the form
of the file may change. This is an error; undo the edit and add a version.
"""

from __future__ import annotations

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, count
from policy_engine.core.periods import format_duration, format_instant
from policy_engine.core.problems import Problem, SourceSpan
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.core.vocabulary import fold
from policy_engine.packs.bitemporal import version_name

_MEND = "put v{number} back as it was, and write what is new as a version at the end of the file"


def check(question: LintQuestion) -> CheckResult:
    """Find each version of the earlier pack that is edited or missing; says so when there is no earlier pack."""
    earlier = question.earlier
    if earlier is None:
        return CheckResult((), "not looked at: give a revision to compare with (--against)")
    where = question.revision or "the earlier pack"
    rules = {rule.id: rule for rule in question.pack.rules}
    problems: list[Problem] = []
    total = 0
    for old in earlier.rules:
        total += len(old.versions)
        rule = rules.get(old.id)
        if rule is None:
            problems.append(_rule_removed(old, where))
            continue
        versions = {version.number: version for version in rule.versions}
        for before in old.versions:
            version = versions.get(before.number)
            if version is None:
                problems.append(_removed(rule, before, where))
            else:
                problems += _edited(rule, before, version, where)
    added = question.space.versions - total + sum(len(old.versions) for old in earlier.rules if old.id not in rules)
    covered = f"{count(total, 'version')} of {count(len(earlier.rules), 'rule')} merged in {where}"
    return CheckResult(tuple(sorted(problems, key=Problem.sort_key)), f"{covered}; {max(added, 0):,} added since")


def _rule_removed(old: Rule, where: str) -> Problem:
    return Problem(
        "rewritten",
        f"the rule `{old.id}` with {count(len(old.versions), 'version')} stands in {where} and is no longer there",
        old.span,
        help="bring its file back, and end the rule with a version marked `withdrawn: true`",
        witness=f"as known on {old.versions[0].recorded_on}, `{old.id}` v{old.versions[0].number} answered",
        about=(old.id,),
    )


def _removed(rule: Rule, before: RuleVersion, where: str) -> Problem:
    return Problem(
        "rewritten",
        f"`{rule.id}` v{before.number} stands in {where} and is no longer there",
        rule.span,
        help=_MEND.format(number=before.number),
        related=(before.span,) if before.span is not None else (),
        witness=f"as known on {before.recorded_on}, `{rule.id}` v{before.number} answered",
        about=(version_name(rule, before),),
    )


def _edited(rule: Rule, before: RuleVersion, version: RuleVersion, where: str) -> list[Problem]:
    """One problem for each value of a version that is another than before."""
    problems = []
    old, new = (
        {key: f"`{value}`" if value else "absent" for key, value in _values(one).items()} for one in (before, version)
    )
    for key in old:
        if old[key] == new[key]:
            continue
        place, was_at = version.place(key), before.place(key)
        spans: tuple[SourceSpan, ...] = (was_at,) if was_at is not None else ()
        problems.append(
            Problem(
                "rewritten",
                f"`{key}` of `{rule.id}` v{version.number} is {new[key]}, and in {where} it is {old[key]}",
                place,
                help=_MEND.format(number=version.number),
                related=spans,
                witness=f"as known on {before.recorded_on}, `{rule.id}` v{version.number} had {key} {old[key]}",
                about=(version_name(rule, version), key),
            )
        )
    return problems


def _values(version: RuleVersion) -> dict[str, str]:
    """Every value of a version as text, empty where there is none; spellings that mean one thing are one."""
    window, cited = version.operation_window, version.citation
    selector = "; ".join(
        f"{fact} {', '.join(sorted({fold(value) if fact == 'task_type' else value for value in values}))}"
        for fact, values in sorted(version.selector.conditions.items())
    )
    kept = ""
    if version.storage is not None:
        kept = "vendor_terms" if version.retention is None else format_duration(version.retention)
    return {
        "effective_from": "" if version.effective_from is None else format_instant(version.effective_from),
        "recorded_on": str(version.recorded_on),
        "withdrawn": "true" if version.withdrawn else "",
        "selector": selector or "{}",
        "storage": str(version.storage or ""),
        "retention": kept,
        "operation_window": ""
        if window is None
        else f"{', '.join(sorted(window.operations))} for {format_duration(window.period)}",
        "citation": ""
        if cited is None
        else f"{cited.source}, {cited.section}, read on {cited.retrieved_on}, {cited.basis}",
    }
