"""Turns the name or the folder of a rule pack into a pack that is fit for use."""

from __future__ import annotations

from pathlib import Path

from policy_engine.authoring.lint import run_checks
from policy_engine.core.problems import PackInvalid
from policy_engine.core.rule_model import RulePack
from policy_engine.packs import read_pack


def load_pack(location: str | Path = "piapi") -> RulePack:
    """
    Load a rule pack: the name of a bundled one, or a folder.

    Raises PackInvalid with every problem found, also when two rules are in force for one asset at one instant.
    """
    pack = read_pack(location)
    problems = run_checks(pack)
    if any(problem.severity == "error" for problem in problems):
        raise PackInvalid(problems, pack.texts)
    return pack
