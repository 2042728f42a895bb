"""
`rewritten`: a merged version that was edited or removed.

Versions are append-only: the answers of a past day can be replayed only if no version of that day is edited or removed.
The pack is compared with a git revision of it, value by value, so comments, titles, summaries and layout may change.
This is an error; undo the edit and add a version.
"""

from __future__ import annotations

from collections.abc import Iterator

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, related
from policy_engine.core.periods import format_duration, format_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.core.text.wording import count_of
from policy_engine.core.vocabulary import fold
from policy_engine.packs.bitemporal import version_name

_HELP = "restore v{number}, and add the change as a new version at the end of the file"


def check(question: LintQuestion) -> CheckResult:
    """Find each version of the earlier pack that is edited or missing."""
    earlier = question.options.earlier
    if earlier is None:
        return CheckResult((), "not checked: give a revision to compare with (--against)")
    where = question.options.revision or "the earlier pack"
    rules = {rule.id: rule for rule in question.pack.rules}
    problems: list[Problem] = []
    merged = 0
    for old in earlier.rules:
        merged += len(old.versions)
        rule = rules.get(old.id)
        problems += [_removed_rule(old, where)] if rule is None else _changes(old, rule, where)
    kept = sum(len(old.versions) for old in earlier.rules if old.id in rules)
    covered = f"{count_of(merged, 'version')} of {count_of(len(earlier.rules), 'rule')} merged in {where}"
    covered += f"; {max(question.space.versions - kept, 0):,} added since"
    return CheckResult(tuple(sorted(problems, key=Problem.sort_key)), covered)


def _removed_rule(old: Rule, where: str) -> Problem:
    first = old.versions[0]
    return Problem(
        "rewritten",
        f"the rule `{old.id}` with {count_of(len(old.versions), 'version')} is in {where}, but was removed",
        old.span,
        help="restore its file, and end the rule with a version marked `withdrawn: true`",
        witness=f"as known on {first.recorded_on}, `{old.id}` v{first.number} applied",
        about=(old.id,),
    )


def _changes(old: Rule, rule: Rule, where: str) -> Iterator[Problem]:
    """The versions of a rule that were removed, and each value that was edited."""
    versions = {version.number: version for version in rule.versions}
    for before in old.versions:
        version = versions.get(before.number)
        if version is not None:
            yield from _edits(rule, before, version, where)
            continue
        yield Problem(
            "rewritten",
            f"`{rule.id}` v{before.number} is in {where}, but was removed",
            rule.span,
            help=_HELP.format(number=before.number),
            related=related(before.span),
            witness=f"as known on {before.recorded_on}, `{rule.id}` v{before.number} applied",
            about=(version_name(rule, before),),
        )


def _edits(rule: Rule, before: RuleVersion, version: RuleVersion, where: str) -> Iterator[Problem]:
    """One problem for each value of a version that has changed."""
    new = _values(version)
    for key, old in _values(before).items():
        if new[key] == old:
            continue
        was, becomes = (f"`{value}`" if value else "absent" for value in (old, new[key]))
        yield Problem(
            "rewritten",
            f"`{key}` of `{rule.id}` v{version.number} is {becomes}, but in {where} it is {was}",
            version.place(key),
            help=_HELP.format(number=version.number),
            related=related(before.place(key)),
            witness=f"as known on {before.recorded_on}, `{rule.id}` v{version.number} had {key} {was}",
            about=(version_name(rule, version), key),
        )


def _values(version: RuleVersion) -> dict[str, str]:
    """Every value of a version as text, empty if absent; different spellings of one value give one text."""
    window, cited = version.operation_window, version.citation
    selector = "; ".join(
        f"{fact} {', '.join(sorted({fold(value) if fact == 'task_type' else value for value in values}))}"
        for fact, values in sorted(version.selector.conditions.items())
    )
    kept = ""
    if version.storage is not None:
        kept = "vendor_terms" if version.retention is None else format_duration(version.retention)
    accepted = f"{', '.join(sorted(window.operations))} for {format_duration(window.period)}" if window else ""
    source = f"{cited.source}, {cited.section}, read on {cited.retrieved_on}, {cited.basis}" if cited else ""
    return {
        "effective_from": "" if version.effective_from is None else format_instant(version.effective_from),
        "recorded_on": str(version.recorded_on),
        "withdrawn": "true" if version.withdrawn else "",
        "selector": selector or "{}",
        "storage": str(version.storage or ""),
        "retention": kept,
        "operation_window": accepted,
        "citation": source,
    }
