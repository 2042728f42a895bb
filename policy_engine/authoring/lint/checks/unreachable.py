"""
`unreachable`: a version, or a value of its selector, that no file can match.

Each fact of the selector has values that some service knows, but no service knows values for all of them: a role of
one service beside a task type of another. The version then covers nothing, or the value has no effect. This is a
warning.
"""

from __future__ import annotations

from collections.abc import Mapping

from policy_engine.authoring.lint.question import CheckResult, LintQuestion
from policy_engine.authoring.lint.witness import kind_of_file
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.core.text.wording import count_of
from policy_engine.core.vocabulary import FACTS
from policy_engine.packs.bitemporal import version_name
from policy_engine.packs.rule_space import RuleSpace, matches_some


def check(question: LintQuestion) -> CheckResult:
    """Find each version that no profile matches, and each value that no profile matching the version has."""
    space = question.space
    problems: list[Problem] = []
    values = 0
    for rule in space.pack.rules:
        for version in rule.versions:
            conditions = version.selector.conditions
            values += sum(map(len, conditions.values()))
            named = conditions.get("service")
            meant = [space.domains[id] for id in space.domains if named is None or id in named]
            matching = [facts for facts in meant if matches_some(conditions, facts)]
            if not matching:
                problems.append(_no_file(space, rule, version))
                continue
            for fact in FACTS:
                known = {value for facts in matching for value in facts[fact]}
                for value in sorted(conditions.get(fact, frozenset()) - known):
                    problems.append(_idle_value(rule, version, fact, value, matching[0]))
    covered = f"{count_of(space.versions, 'version')}, {count_of(values, 'value')} of selectors"
    return CheckResult(tuple(problems), covered)


def _no_file(space: RuleSpace, rule: Rule, version: RuleVersion) -> Problem:
    conditions = version.selector.conditions
    parts: list[str] = []
    for service in sorted(conditions.get("service", frozenset(space.domains))):
        facts = space.domains.get(service)
        if facts is None:
            continue
        lacking = [fact for fact in FACTS if fact in conditions and conditions[fact].isdisjoint(facts[fact])]
        if lacking and len(parts) < 3:
            shown = ", ".join(f"`{value}`" for value in sorted(conditions[lacking[0]]))
            parts.append(f"`{service}` has no {lacking[0]} {shown}")
    return Problem(
        "unreachable",
        f"no file can match the selector of `{rule.id}` v{version.number}",
        version.place("selector"),
        severity="warning",
        help="use values that one service has together, or write a version for each service",
        witness="; ".join(parts) or None,
        about=(version_name(rule, version),),
    )


def _idle_value(
    rule: Rule, version: RuleVersion, fact: str, value: str, facts: Mapping[str, tuple[str, ...]]
) -> Problem:
    conditions = version.selector.conditions
    matched = {
        name: next(known for known in facts[name] if known in conditions.get(name, facts[name]))
        for name in FACTS
        if name in conditions
    }
    return Problem(
        "unreachable",
        f"`{rule.id}` v{version.number} names {fact} `{value}`, but no file has it together with the other facts",
        version.place("selector"),
        severity="warning",
        help=f"remove `{value}` from the selector, or widen the other facts",
        witness=f"the selector matches {kind_of_file(matched)}, but nothing with {fact} `{value}`",
        about=(version_name(rule, version), value),
    )
