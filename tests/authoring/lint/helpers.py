"""Lays the broken packs of the lint checks, compares their messages, and runs one check on a pack."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from policy_engine.authoring.lint import CHECKS, LintOptions, lint_pack
from policy_engine.authoring.lint.question import LintQuestion
from policy_engine.core.periods import parse_instant
from policy_engine.core.problems import Problem, format_problem
from policy_engine.core.rule_model import RulePack
from policy_engine.packs import read_pack
from policy_engine.packs.rule_space import RuleSpace
from tests.support.paths import ROOT

PACKS = Path(__file__).parent / "packs"
"""A folder per check with what breaks the small valid pack, and the messages expected of it."""
AS_OF = parse_instant("2026-08-01T00:00:00Z")


def lay(folder: Path, check: str | None = None) -> None:
    """Write the small valid pack; for a check, with its broken files, and without those in `without.txt`."""
    shutil.copytree(ROOT / "tests" / "packs" / "valid" / "minimal", folder)
    if check is not None:
        source = PACKS / check
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.txt"), dirs_exist_ok=True)
        without = source / "without.txt"
        for name in without.read_text(encoding="utf-8").split() if without.exists() else ():
            (folder / name).unlink()


def laid(check: str | None = None, folder: str = "minimal") -> RulePack:
    """The pack of a check, laid in the current folder and read from there."""
    lay(Path(folder), check)
    return read_pack(folder)


def ask(check: str, made: RulePack, **options: Any) -> tuple[Problem, ...]:
    """The problems that one check finds in a pack."""
    return CHECKS[check](LintQuestion(RuleSpace(made), LintOptions(**options))).problems


def covered(check: str, made: RulePack, **options: Any) -> str:
    """What one check reports that it checked."""
    return CHECKS[check](LintQuestion(RuleSpace(made), LintOptions(**options))).covered


def lint_for(check: str, made: RulePack, **options: Any) -> tuple[Problem, ...]:
    """The problems of one check among all that lint finds."""
    problems = lint_pack(made, LintOptions(**{"as_of": AS_OF, **options})).problems
    return tuple(problem for problem in problems if problem.code == check)


def assert_messages(check: str, problems: Sequence[Problem], sources: Mapping[str, str]) -> None:
    """
    The problems of a broken pack are as in its `expected.txt`, and each has all parts that a problem should have.

    With UPDATE_MESSAGES=1 in the environment the file is rewritten; read the difference before you commit it.
    """
    text = "".join(f"{format_problem(problem, sources)}\n" for problem in problems)
    expected = PACKS / check / "expected.txt"
    if os.environ.get("UPDATE_MESSAGES") == "1":
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    assert problems
    for problem in problems:
        assert problem.code == check
        assert problem.span is not None
        assert re.match(r"[a-z`]", problem.message)
        assert not problem.message.endswith(".")
        assert problem.witness
        assert problem.help
        assert problem.about
        assert problem.documentation == f"docs/lint/{check}.md"
