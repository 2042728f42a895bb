"""
`unknown-name`: a selector or a window names a fact, a value or an operation that does not exist.

In files, validate reports these first, at the word itself, as `unknown-key`, `not-allowed`, `unknown-service`,
`unknown-role`, `unknown-task-type` and `unknown-operation`. This check does the same for packs built in Python. This is
an error: such a condition never holds.
"""

from __future__ import annotations

from collections.abc import Iterable

from policy_engine.authoring.lint.question import CheckResult, LintQuestion
from policy_engine.core.fact_domain import ANY_OTHER
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RuleVersion
from policy_engine.core.safe_text import plain
from policy_engine.core.text.wording import count_of
from policy_engine.core.vocabulary import FACTS
from policy_engine.packs.bitemporal import version_name
from policy_engine.packs.catalog import did_you_mean
from policy_engine.packs.rule_space import RuleSpace


def check(question: LintQuestion) -> CheckResult:
    """Find each word of a version that does not exist."""
    space = question.space
    problems: list[Problem] = []
    known = _Known(space)
    words = 0
    for rule in space.pack.rules:
        for version in rule.versions:
            conditions = version.selector.conditions
            for fact, values in conditions.items():
                words += len(values)
                if fact not in FACTS:
                    problems.append(_problem(rule, version, "fact", fact, FACTS))
                    continue
                allowed = known.values(fact, conditions.get("service"))
                problems += [_problem(rule, version, fact, value, allowed) for value in sorted(values - set(allowed))]
            if version.operation_window is not None:
                operations = version.operation_window.operations
                words += len(operations)
                offered = known.operations(conditions.get("service"))
                problems += [
                    _problem(rule, version, "operation", name, offered) for name in operations if name not in offered
                ]
    covered = f"{count_of(words, 'word')} of {count_of(space.versions, 'version')} against the catalog"
    return CheckResult(tuple(problems), covered)


class _Known:
    """What the catalog lists, looked up once per set of services."""

    def __init__(self, space: RuleSpace) -> None:
        self._space = space
        self._values: dict[tuple[str, frozenset[str] | None], list[str]] = {}

    def values(self, fact: str, services: frozenset[str] | None) -> list[str]:
        """Values of a fact that one of the services has; services themselves are those of the catalog."""
        key = (fact, None if fact == "service" else services)
        if key not in self._values:
            meant = self._space.domains if key[1] is None or key[1].isdisjoint(self._space.domains) else key[1]
            listed = [
                value
                for service, facts in self._space.domains.items()
                if service in meant
                for value in facts[fact]
                if value != ANY_OTHER
            ]
            self._values[key] = list(dict.fromkeys(listed))
        return self._values[key]

    def operations(self, services: frozenset[str] | None) -> list[str]:
        """Operations that one of the services offers."""
        key = ("(operation)", services)
        if key not in self._values:
            offered = [
                name
                for service in self._space.pack.catalog.services
                if services is None or service.id in services
                for name in service.operations
            ]
            self._values[key] = list(dict.fromkeys(offered))
        return self._values[key]


def _problem(rule: Rule, version: RuleVersion, what: str, word: str, known: Iterable[str]) -> Problem:
    shown = plain(word, 60)
    a_fact = "a fact" if what == "fact" else what
    return Problem(
        "unknown-name",
        f"`{rule.id}` v{version.number} names the {what} `{shown}`, which does not exist",
        version.place("operation_window" if what == "operation" else "selector"),
        help=did_you_mean(word, known, f"{what}s" if what in ("fact", "operation") else f"values of {what}"),
        witness=f"no service offers `{shown}`" if what == "operation" else f"no file has {a_fact} `{shown}`",
        about=(version_name(rule, version), word),
    )
