"""
`duplicate-version`: a version or a rule that could be left out without changing any answer.

A version that says the same as everything it replaces changes nothing at any instant, on any day. Two rules with the
same selectors and the same statements at the same times are one rule written twice (which is an overlap, too). Only
what is said of files counts; a citation of the same page on a later day is no change of a rule: note the day in
`sources`. This is a warning.
"""

from __future__ import annotations

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, count
from policy_engine.authoring.lint.wording import some_instant
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.packs.bitemporal import SINCE_EVER, VersionBox, version_name
from policy_engine.packs.rule_space import RuleSpace, says_the_same


def check(question: LintQuestion) -> CheckResult:
    """Find each version without an effect of its own, and each rule that repeats another."""
    space = question.space
    problems: list[Problem] = []
    for rule in space.pack.rules:
        replaced = space.histories[rule.id].replaced
        for version in rule.versions:
            before = replaced.get(version.number, ())
            cited = all(_cites_the_same(version, each) for each in before)
            if before and cited and all(says_the_same(version, each) for each in before):
                problems.append(_version(rule, version, before[0]))
    problems += _rules(space)
    covered = f"{count(space.versions, 'version')} against those they replace, {count(len(space.pack.rules), 'rule')}"
    return CheckResult(tuple(problems), covered)


def _cites_the_same(version: RuleVersion, before: RuleVersion | None) -> bool:
    """A new page, section or basis is news, even where the answer stays; another day of reading is none."""
    if version.withdrawn or before is None or before.withdrawn or version.citation is None or before.citation is None:
        return True
    ours, theirs = version.citation, before.citation
    return (ours.source, ours.section, ours.basis) == (theirs.source, theirs.section, theirs.basis)


def _version(rule: Rule, version: RuleVersion, before: RuleVersion | None) -> Problem:
    start = SINCE_EVER if version.effective_from is None else version.effective_from
    instant = format_instant(some_instant(start, start + 1, version.recorded_on))
    what = "nothing" if before is None or before.withdrawn else f"the same as v{before.number}"
    message = f"`{rule.id}` v{version.number} changes no answer: it says what stood there before"
    if version.withdrawn:
        message = f"`{rule.id}` v{version.number} ends a rule that has ended already"
    return Problem(
        "duplicate-version",
        message,
        version.span,
        severity="warning",
        help="take it out before it is merged; a page read again is noted by `retrieved_on` in pack.yaml",
        related=(before.span,) if before is not None and before.span is not None else (),
        witness=f"created {instant}: v{version.number} says {what}",
        about=(version_name(rule, version),),
    )


def _rules(space: RuleSpace) -> list[Problem]:
    """Rules that say the same of the same files at the same times."""
    first: dict[object, Rule] = {}
    problems = []
    for rule in space.pack.rules:
        boxes = [box for box in space.histories[rule.id].boxes if box.is_current and not box.version.withdrawn]
        if not boxes:
            continue
        other = first.setdefault(tuple(sorted(_said(box) for box in boxes)), rule)
        if other is not rule:
            box = boxes[0]
            instant = format_instant(
                some_instant(box.times.created_from, box.times.created_until, box.version.recorded_on)
            )
            problems.append(
                Problem(
                    "duplicate-version",
                    f"`{rule.id}` says what `{other.id}` says, of the same files at the same times",
                    rule.span,
                    severity="warning",
                    help=f"remove one of the two, or narrow the selector of `{rule.id}`",
                    related=(other.span,) if other.span is not None else (),
                    witness=f"any file that `{rule.id}` matches, created {instant}",
                    about=(rule.id, other.id),
                )
            )
    return problems


def _said(box: VersionBox) -> tuple[object, ...]:
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
