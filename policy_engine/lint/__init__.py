"""Checks that the rules of a pack make sense together; no history is needed. One module per check."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from policy_engine.lint import gaps, overlaps
from policy_engine.model import RulePack
from policy_engine.problems import Problem

CHECKS: Mapping[str, Callable[[RulePack], tuple[Problem, ...]]] = {
    "gap": gaps.check,
    "overlap": overlaps.check,
}
"""Code of the problem -> the check that finds it."""


def run_checks(pack: RulePack) -> tuple[Problem, ...]:
    """Run every check on the pack; problems come in the order of their places."""
    found = [problem for check in CHECKS.values() for problem in check(pack)]
    return tuple(sorted(found, key=Problem.sort_key))
