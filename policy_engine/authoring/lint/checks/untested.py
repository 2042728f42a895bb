"""
`untested`: a rule or a version that no case names.

A case names a rule by `rule` or `operation_rule`, and one of several versions by `version`. The only version of a rule
counts with the rule, and so does a version that gives only a window; a withdrawn version has nothing to name. Whether
there are cases on both sides of each boundary is reported by `policy-engine test --coverage`. This is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable

from policy_engine.authoring.lint.question import CheckResult, LintQuestion
from policy_engine.authoring.lint.witness import example_instant, kind_of_file
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.core.text.wording import count_of
from policy_engine.packs.bitemporal import version_name
from policy_engine.packs.cases import Case
from policy_engine.packs.rule_space import RuleSpace


def check(question: LintQuestion) -> CheckResult:
    """Find each rule and version without a case."""
    cases, space = question.options.cases, question.space
    if cases is None:
        return CheckResult((), "not checked: no cases are given, or their files are invalid")
    rules, versions = _named(cases)
    problems: list[Problem] = []
    for rule in space.pack.rules:
        if rule.id not in rules:
            problems.append(_rule(space, rule))
        elif sum(not version.withdrawn for version in rule.versions) > 1:
            problems += [
                _version(space, rule, version)
                for version in rule.versions
                if version.storage is not None and (rule.id, version.number) not in versions
            ]
    counts = [(len(space.pack.rules), "rule"), (space.versions, "version"), (len(cases), "case")]
    return CheckResult(tuple(problems), ", ".join(count_of(*count) for count in counts))


def _named(cases: Iterable[Case]) -> tuple[set[str], set[tuple[str, int]]]:
    """Rules, and versions of rules, that the cases name."""
    rules: set[str] = set()
    versions: set[tuple[str, int]] = set()
    for case in cases:
        for asset in case.assets:
            rule = asset.fields.get("rule")
            rules |= {name for name in (rule, asset.fields.get("operation_rule")) if name}
            if rule and "version" in asset.fields:
                versions.add((rule, asset.fields["version"]))
    return rules, versions


def _rule(space: RuleSpace, rule: Rule) -> Problem:
    return Problem(
        "untested",
        f"no case names the rule `{rule.id}`",
        rule.span,
        severity="warning",
        help="add a case on each side of its deadline to cases/, with `rule` or `operation_rule`",
        witness=_witness(space, rule, rule.versions[0]),
        about=(rule.id,),
    )


def _version(space: RuleSpace, rule: Rule, version: RuleVersion) -> Problem:
    return Problem(
        "untested",
        f"no case names `{rule.id}` v{version.number}",
        version.span,
        severity="warning",
        help=f"add a case of a file created while it is in force, with `rule: {rule.id}, version: {version.number}`",
        witness=_witness(space, rule, version),
        about=(version_name(rule, version),),
    )


def _witness(space: RuleSpace, rule: Rule, version: RuleVersion) -> str | None:
    """A file to which the version applies, and a day on which it is in force."""
    profile = space.profile(version)
    boxes = [box for box in space.histories[rule.id].boxes if box.version is version]
    if profile is None or not boxes:
        return None
    box = next((box for box in boxes if box.is_current), boxes[-1])
    instant = format_instant(example_instant(box.times.created_from, box.times.created_until, version.recorded_on))
    known = "" if box.is_current else f", as known on {version.recorded_on}"
    return f"{kind_of_file(profile)}, created {instant}{known}"
