"""
`untested`: a rule or a version that no case names.

A case names a rule by `rule` or `operation_rule`, and one of several versions by `version`. A version that only gives
a window cannot be named by its number and counts with its rule, and so does the only version of a rule; a withdrawn
version leaves nothing to name. Whether cases stand on both sides of each boundary is a matter of `policy-engine test`.
This is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, count
from policy_engine.authoring.lint.wording import kind_of_file, some_instant
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.packs.bitemporal import version_name
from policy_engine.packs.cases import Case
from policy_engine.packs.rule_space import RuleSpace


def check(question: LintQuestion) -> CheckResult:
    """Find each rule and version without a case; says so when the cases are not given."""
    if question.cases is None:
        return CheckResult((), "not looked at: no cases are given, or their files are invalid")
    space = question.space
    rules, versions = _named(question.cases)
    problems: list[Problem] = []
    for rule in space.pack.rules:
        if rule.id not in rules:
            problems.append(_rule(space, rule))
            continue
        needing = [version for version in rule.versions if version.storage is not None]
        if sum(not version.withdrawn for version in rule.versions) > 1:
            problems += [_version(space, rule, each) for each in needing if (rule.id, each.number) not in versions]
    covered = f"{count(len(space.pack.rules), 'rule')}, {count(space.versions, 'version')}, "
    covered += count(len(question.cases), "case")
    return CheckResult(tuple(problems), covered)


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
        help="add a case on each side of its deadline to cases/; say `rule` or `operation_rule` there",
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
    """A file that the version is about, asked about on a day when it stands."""
    profile = space.profile(version)
    boxes = [box for box in space.histories[rule.id].boxes if box.version is version]
    if profile is None or not boxes:
        return None
    box = next((each for each in boxes if each.is_current), boxes[-1])
    instant = format_instant(some_instant(box.times.created_from, box.times.created_until, version.recorded_on))
    known = "" if box.is_current else f", as known on {version.recorded_on}"
    return f"{kind_of_file(profile)}, created {instant}{known}"
