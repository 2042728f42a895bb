"""
`duplicate-version`: a version or a rule that could be removed without changing any answer.

A version that repeats everything it replaces changes nothing at any instant, on any day. Two rules with the same
selectors and the same statements at the same times are one rule written twice (which is also an overlap). Only
statements about files count; citing the same page on a later day does not change a rule: record that day in `sources`.
This is a warning.
"""

from __future__ import annotations

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, related
from policy_engine.authoring.lint.witness import example_instant, first_instant
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.core.text.wording import count_of
from policy_engine.packs.bitemporal import VersionBox, version_name
from policy_engine.packs.rule_space import RuleSpace, says_the_same


def check(question: LintQuestion) -> CheckResult:
    """Find each version without an effect, and each rule that repeats another."""
    space = question.space
    problems: list[Problem] = []
    for rule in space.pack.rules:
        replaced = space.histories[rule.id].replaced
        for version in rule.versions:
            before = replaced.get(version.number, ())
            if before and all(_cites_the_same(version, old) and says_the_same(version, old) for old in before):
                problems.append(_repeated_version(rule, version, before[0]))
    problems += _repeated_rules(space)
    rules = count_of(len(space.pack.rules), "rule")
    return CheckResult(tuple(problems), f"{count_of(space.versions, 'version')} against those they replace, {rules}")


def _cites_the_same(version: RuleVersion, before: RuleVersion | None) -> bool:
    """A new page, section or basis is worth a version even if the answer stays; a new day of reading is not."""
    if version.withdrawn or before is None or before.withdrawn or version.citation is None or before.citation is None:
        return True
    ours, theirs = version.citation, before.citation
    return (ours.source, ours.section, ours.basis) == (theirs.source, theirs.section, theirs.basis)


def _repeated_version(rule: Rule, version: RuleVersion, before: RuleVersion | None) -> Problem:
    what = "nothing" if before is None or before.withdrawn else f"the same as v{before.number}"
    effect = "changes no answer: it repeats what was in force before"
    if version.withdrawn:
        effect = "ends a rule that has already ended"
    return Problem(
        "duplicate-version",
        f"`{rule.id}` v{version.number} {effect}",
        version.span,
        severity="warning",
        help="remove it before it is merged; if a page was only read again, update its `retrieved_on` in pack.yaml",
        related=related(before.span if before is not None else None),
        witness=f"created {first_instant(version)}: v{version.number} states {what}",
        about=(version_name(rule, version),),
    )


def _repeated_rules(space: RuleSpace) -> list[Problem]:
    """Rules that state the same about the same files at the same times."""
    first: dict[object, Rule] = {}
    problems = []
    for rule in space.pack.rules:
        boxes = [box for box in space.histories[rule.id].boxes if box.is_current and not box.version.withdrawn]
        if not boxes:
            continue
        other = first.setdefault(tuple(sorted(_statement(box) for box in boxes)), rule)
        if other is not rule:
            box = boxes[0]
            instant = format_instant(
                example_instant(box.times.created_from, box.times.created_until, box.version.recorded_on)
            )
            problems.append(
                Problem(
                    "duplicate-version",
                    f"`{rule.id}` states the same as `{other.id}` about the same files at the same times",
                    rule.span,
                    severity="warning",
                    help=f"remove one of the two, or narrow the selector of `{rule.id}`",
                    related=related(other.span),
                    witness=f"any file that `{rule.id}` matches, created {instant}",
                    about=(rule.id, other.id),
                )
            )
    return problems


def _statement(box: VersionBox) -> tuple[object, ...]:
    """The range and the statement of a box, in a form that can be sorted."""
    version = box.version
    conditions = tuple(sorted((fact, tuple(sorted(values))) for fact, values in version.selector.conditions.items()))
    window = version.operation_window
    return (
        box.times.created_from,
        box.times.created_until,
        conditions,
        str(version.storage),
        -1 if version.retention is None else version.retention,
        () if window is None else (tuple(sorted(window.operations)), window.period),
    )
