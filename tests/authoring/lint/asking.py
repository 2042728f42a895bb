"""Asks one lint check about a pack, and what else the tests of checks share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from policy_engine.authoring.lint import CHECKS
from policy_engine.authoring.lint.question import LintQuestion
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Rule, RulePack, RuleVersion
from policy_engine.packs.bitemporal import FOR_EVER, SINCE_EVER
from policy_engine.packs.rule_space import RuleSpace
from tests.support.oracle import Facts, complete_profiles, cuts, in_force, matches, pieces_of_all_time


def ask(code: str, made: RulePack, **more: Any) -> tuple[Problem, ...]:
    """The problems that one check finds in a pack."""
    return CHECKS[code](LintQuestion(RuleSpace(made), **more)).problems


def covered(code: str, made: RulePack, **more: Any) -> str:
    """What one check says that it looked at."""
    return CHECKS[code](LintQuestion(RuleSpace(made), **more)).covered


def stretches(made: RulePack) -> list[tuple[int, int, int]]:
    """Every stretch of creation in which no rule changes: an instant of it, its start and its end."""
    dates = cuts(made)
    starts, ends = [SINCE_EVER, *dates], [*dates, FOR_EVER]
    return [
        (instant, start, end) for (instant, _), start, end in zip(pieces_of_all_time(dates), starts, ends, strict=True)
    ]


def matching(made: RulePack, instant: int) -> Iterator[tuple[Facts, list[tuple[Rule, RuleVersion]]]]:
    """Every complete profile with the versions that are in force for it at an instant, everything known."""
    versions = [(rule, in_force(rule, instant, None)) for rule in made.rules]
    standing = [(rule, version) for rule, version in versions if version is not None]
    for facts in complete_profiles(made):
        yield facts, [(rule, version) for rule, version in standing if matches(version.selector, facts)]
