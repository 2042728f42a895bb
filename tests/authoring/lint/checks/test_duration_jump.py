"""Promises of the check `duration-jump`: which periods are siblings, and what is a jump."""

from __future__ import annotations

from typing import Any

import pytest

from policy_engine.core.periods import DAY, HOUR, SECOND
from policy_engine.core.rule_model import OperationWindow, Rule, RulePack
from policy_engine.core.vocabulary import StorageLocation
from tests.authoring.lint.helpers import ask, assert_messages, covered, laid, lint_for
from tests.support.strategies import BASE, output, pack, rule, service, version


def kept(name: str, period: int, **conditions: list[str]) -> Rule:
    """A rule that keeps the files of a service, its id unless conditions name another, for a period."""
    chosen: dict[str, Any] = {"service": [name], **conditions}
    return rule(name, version(1, chosen, storage=StorageLocation.PLATFORM, retention=period))


def made(*rules: Rule) -> RulePack:
    """A pack of services that the rules may be about."""
    names = ("film", "song", "tale", "tool")
    return pack([service(name, output("file"), operations=("extend", "cut")) for name in names], rules)


def named(made: RulePack) -> list[str]:
    """The versions that are said to jump."""
    return [problem.about[0] for problem in ask("duration-jump", made)]


def test_the_broken_pack_gives_the_exact_messages() -> None:
    """
    A period far from the one before it, or from its siblings, is reported with both locations.
    """
    broken = laid("duration-jump")
    assert_messages("duration-jump", lint_for("duration-jump", broken), broken.texts)


def test_the_valid_pack_has_no_problem() -> None:
    """
    Nothing is reported about the pack that the broken one is made from.
    """
    assert lint_for("duration-jump", laid()) == ()


@pytest.mark.parametrize(
    ("period", "jumps"),
    [(3 * HOUR, True), (3 * HOUR + SECOND, False), (DAY, False), (8 * DAY - SECOND, False), (8 * DAY, True)],
)
def test_eight_times_is_a_jump(period: int, jumps: bool) -> None:
    """
    From eight times on, longer or shorter, a period is reported against two siblings of one day, and not below.
    """
    assert named(made(kept("film", period), kept("song", DAY), kept("tale", DAY))) == (["film v1"] if jumps else [])


def test_one_sibling_is_not_enough() -> None:
    """
    Of two rules nobody can say which one is wrong.
    """
    assert named(made(kept("film", HOUR), kept("song", DAY))) == []


def test_any_near_sibling_is_company() -> None:
    """
    A period that one other rule shares is no jump, however far the others are.
    """
    assert named(made(kept("film", HOUR), kept("song", DAY), kept("tale", DAY), kept("tool", HOUR))) == []


def test_siblings_of_the_same_service_come_first() -> None:
    """
    Where two other rules speak about the service, the rest of the pack is not asked.
    """
    accounts = ("pay_as_you_go", "host_your_account")
    own = [
        rule(
            f"film-{number}",
            version(
                1,
                {"service": ["film"], "account": [accounts[number % 2]], "watermarked": [str(number > 1).lower()]},
                storage=StorageLocation.PLATFORM,
                retention=HOUR if number == 0 else 3 * DAY,
            ),
        )
        for number in range(3)
    ]
    assert named(made(*own, kept("song", HOUR), kept("tale", HOUR))) == ["film-0 v1"]


def test_windows_are_compared_per_operation() -> None:
    """
    A window for extending says nothing about how long cutting may take.
    """

    def window(name: str, operation: str, period: int) -> Rule:
        return rule(name, version(1, {"service": [name]}, window=OperationWindow((operation,), period)))

    rest = window("song", "cut", 3 * DAY), window("tale", "cut", 3 * DAY)
    assert named(made(window("film", "extend", HOUR), *rest)) == []
    assert named(made(window("film", "cut", HOUR), *rest)) == ["film v1"]


def test_the_version_before_is_the_one_in_force_before() -> None:
    """
    A slip that a later version has corrected from the same instant on is in force no more, and neither is reported.
    """
    three_days: dict[str, Any] = {"storage": StorageLocation.PLATFORM, "retention": 3 * DAY}
    slip: dict[str, Any] = {"storage": StorageLocation.PLATFORM, "retention": 3 * HOUR}
    conditions = {"service": ["film"]}
    one, two = version(1, conditions, **three_days), version(2, conditions, effective_from=BASE, **slip)
    three = version(3, conditions, effective_from=BASE, **three_days)
    assert named(made(rule("film", one, two))) == ["film v2"]
    assert named(made(rule("film", one, two, three))) == []
    late = version(3, conditions, effective_from=BASE + 1, **three_days)
    assert named(made(rule("film", one, two, late))) == ["film v2", "film v3"]
    assert covered("duration-jump", made(rule("film", one, two, late))).startswith("3 periods ")
