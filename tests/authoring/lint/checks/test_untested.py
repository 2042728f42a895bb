"""Promises of the check `untested`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policy_engine.core.periods import DAY, HOUR
from policy_engine.core.problems import SourceSpan
from policy_engine.core.rule_model import OperationWindow, RuleVersion
from policy_engine.core.vocabulary import StorageLocation
from policy_engine.packs.cases import Case, Expectation, read_cases
from tests.authoring.lint.helpers import AS_OF, ask, assert_messages, covered, laid, lint_for
from tests.support.strategies import BASE, pack, rule, service, version

HERE = SourceSpan("cases.yaml", 1)
KEPT = version(1, storage=StorageLocation.PLATFORM, retention=DAY)
WINDOW = OperationWindow(("extend",), HOUR)


def case(**fields: Any) -> Case:
    """A case that states these fields of one file."""
    expected = (Expectation("file", 1, fields, {}, HERE),)
    return Case("a case", (), AS_OF, None, DAY, HOUR, expected, None, HERE, HERE)


def test_the_broken_pack_gives_the_exact_messages() -> None:
    """
    A rule without a case, and a version that no case names, are reported with a file to write a case of.
    """
    broken = laid("untested")
    cases = read_cases(broken, "minimal").cases
    assert_messages("untested", lint_for("untested", broken, cases=cases), broken.texts)


def test_nothing_is_checked_without_cases() -> None:
    """
    Without cases nothing is reported, and the output says why.
    """
    made = laid()
    assert ask("untested", made) == ()
    assert covered("untested", made) == "not checked: no cases are given, or their files are invalid"


@pytest.mark.parametrize(
    ("later", "fields", "about"),
    [
        ([], {"rule": "film"}, []),
        ([], {"operation_rule": "film"}, []),
        ([], {"rule": "other"}, [("film",)]),
        ([replace(KEPT, number=2)], {"rule": "film", "version": 1}, [("film v2",)]),
        ([replace(KEPT, number=2)], {"rule": "film"}, [("film v1",), ("film v2",)]),
        ([version(2, effective_from=BASE, withdrawn=True)], {"rule": "film"}, []),
        ([version(2, window=WINDOW)], {"rule": "film", "version": 1}, []),
    ],
    ids=["rule", "operation rule", "other rule", "one of two", "no version", "withdrawn", "only a window"],
)
def test_what_counts_as_named(later: list[RuleVersion], fields: dict[str, Any], about: list[tuple[str, ...]]) -> None:
    """
    A rule must be named, and each of several versions on storage; a withdrawal and a mere window count with the rule.
    """
    made = pack([service("film", operations=("extend",))], [rule("film", KEPT, *later)])
    assert [problem.about for problem in ask("untested", made, cases=(case(**fields),))] == about
