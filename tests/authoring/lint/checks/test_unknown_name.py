"""Promises of the check `unknown-name`; all packs are built in Python, since validate refuses such files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy_engine.core.periods import DAY
from policy_engine.core.rule_model import OperationWindow, RulePack, Selector
from policy_engine.core.vocabulary import StorageLocation
from tests.authoring.lint.helpers import ask, assert_messages, laid, lint_for
from tests.support.strategies import output, pack, rule, service, version


def misnamed(made: RulePack) -> RulePack:
    """The pack with names that do not exist in its first version."""
    conditions: dict[str, frozenset[str]] = {
        "service": frozenset({"film", "flim"}),
        "colour": frozenset({"red"}),
        "task_type": frozenset({"cutt"}),
        "account": frozenset({"pay-as-you-go"}),
    }
    first = made.rules[0]
    window = OperationWindow(("extnd",), DAY)
    wrong = replace(first.versions[0], selector=Selector(conditions), operation_window=window)
    return replace(made, rules=(replace(first, versions=(wrong, *first.versions[1:])), *made.rules[1:]))


def test_the_broken_pack_gives_the_exact_messages() -> None:
    """
    Each fact, value and operation that does not exist is reported with the nearest one that does.
    """
    right = laid("unknown-name")
    assert_messages("unknown-name", lint_for("unknown-name", misnamed(right)), right.texts)


def test_the_valid_pack_has_no_problem() -> None:
    """
    Nothing is reported about the pack that the broken one is made from.
    """
    assert lint_for("unknown-name", laid()) == ()


@pytest.mark.parametrize(
    ("services", "words"),
    [(["film", "song"], []), (["song"], ["cut", "cut-scene"]), ([], [])],
    ids=["a service of both", "another service", "all services"],
)
def test_a_word_must_exist_in_a_service_of_the_selector(services: list[str], words: list[str]) -> None:
    """
    A task type or an operation exists when one of the services that the selector names has it.
    """
    film = service("film", output("file"), task_types=("cut",), operations=("cut-scene",))
    song = service("song", output("file"), task_types=("sing",), operations=("remix",))
    conditions = {"task_type": ["cut"], **({"service": services} if services else {})}
    kept = version(
        1, conditions, storage=StorageLocation.PLATFORM, retention=DAY, window=OperationWindow(("cut-scene",), DAY)
    )
    found = ask("unknown-name", pack([film, song], [rule("all", kept)]))
    assert [problem.about[1] for problem in found] == words
