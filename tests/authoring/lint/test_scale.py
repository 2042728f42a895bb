"""Lint keeps its speed on packs far larger than any that is known."""

from __future__ import annotations

import time
from datetime import date, timedelta

import pytest

from policy_engine.authoring.lint import LintOptions, lint_pack
from policy_engine.core.periods import DAY, HOUR
from policy_engine.core.rule_model import OperationWindow, Rule, RulePack
from policy_engine.core.vocabulary import ACCOUNTS, MEDIA, StorageLocation
from policy_engine.packs.rule_space import RuleSpace
from tests.support.strategies import BASE, output, pack, rule, service, version

RULES, VERSIONS = 1000, 5


def versions_of(name: str, conditions: dict[str, list[str]], first_day: date) -> Rule:
    """A rule with five versions, each from a later instant and recorded on a later day."""
    return rule(
        name,
        *(
            version(
                number,
                conditions,
                storage=StorageLocation.PLATFORM,
                retention=(3 + number % 2) * DAY,
                window=OperationWindow(("extend",), 3 * HOUR),
                effective_from=None if number == 1 else BASE + number * 7 * DAY,
                recorded_on=first_day + timedelta(days=30 * number),
            )
            for number in range(1, VERSIONS + 1)
        ),
    )


def one_service() -> RulePack:
    """A thousand rules about task types of one service, a hundred of them about roles, media and accounts instead."""
    task_types = tuple(f"type-{number}" for number in range(RULES))
    roles = [f"role{number}" for number in range(10)]
    film = service("film", *(output(role, role=role) for role in roles), task_types=task_types, operations=("extend",))
    begin = date(2026, 3, 1)
    rules = []
    for number in range(RULES):
        conditions = {"service": ["film"], "task_type": [task_types[number]], "role": ["unlisted"]}
        if number < 100:
            conditions = {
                "service": ["film"],
                "role": [roles[number % 10]],
                "media": [MEDIA[number // 10 % 5]],
                "account": [ACCOUNTS[number // 50]],
            }
        rules.append(versions_of(f"rule-{number:04}", conditions, begin + timedelta(days=number % 30)))
    return pack([film], rules)


def many_services() -> RulePack:
    """A thousand rules about 250 services, four each."""
    services = [
        service(f"s{number}", output("file"), task_types=("a", "b"), operations=("extend",)) for number in range(250)
    ]
    rules = [
        versions_of(
            f"rule-{number:04}",
            {
                "service": [f"s{number // 4}"],
                "account": [ACCOUNTS[number % 2]],
                "task_type": [("a", "b")[number // 2 % 2]],
            },
            date(2026, 3, 1),
        )
        for number in range(RULES)
    ]
    return pack(services, rules)


@pytest.mark.slow
@pytest.mark.parametrize("make", [one_service, many_services])
def test_a_thousand_rules_are_linted_quickly(make: object) -> None:
    """
    A thousand rules with five thousand versions take seconds of a processor, and nothing is found in them.
    """
    made = make()  # type: ignore[operator]
    start = time.process_time()
    result = lint_pack(made, LintOptions(earlier=made))
    assert time.process_time() - start < 15
    assert result.problems == ()
    assert result.covered["rewritten"].startswith("5,000 versions of 1,000 rules")


def test_boxes_grow_with_versions_and_no_faster() -> None:
    """
    Five thousand versions of one rule, recorded on as many days, make at most two boxes each.
    """
    begin = date(2010, 1, 1)
    versions = [
        version(
            number,
            storage=StorageLocation.PLATFORM,
            retention=DAY,
            effective_from=BASE + (number * 7919 % 5000) * HOUR,
            recorded_on=begin + timedelta(days=number),
        )
        for number in range(1, 5001)
    ]
    made = pack([service("film")], [rule("film", *versions)])
    start = time.process_time()
    assert len(RuleSpace(made).boxes) <= 2 * len(versions)
    assert time.process_time() - start < 5
