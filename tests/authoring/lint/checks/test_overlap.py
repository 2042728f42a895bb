"""Promises of the check `overlap`: it agrees with brute force, sees every instant, and is quick."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given

from policy_engine.core.periods import DAY, HOUR, format_instant, parse_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import OperationWindow, RulePack, RuleVersion
from policy_engine.core.vocabulary import StorageLocation
from tests.authoring.lint.helpers import ask, assert_messages, laid, lint_for
from tests.support.oracle import conflicts
from tests.support.strategies import output, pack, packs, rule, service, version

APRIL = parse_instant("2026-04-01T00:00:00Z")
KEPT: dict[str, Any] = {"storage": StorageLocation.PLATFORM, "retention": 3 * DAY}

Pair = frozenset[tuple[str, int]]


def pair_of(problem: Problem) -> Pair:
    """The two rule versions that a problem names."""
    return frozenset((name, int(number)) for name, number in re.findall(r"`([^`]+)` v([0-9]+)", problem.message))


def pairs_by_brute_force(made: RulePack, known_on: date | None) -> set[Pair]:
    """Every pair of versions in conflict, found by trying all profiles and stretches of time."""
    return {frozenset((found.first, found.second)) for found in conflicts(made, known_on)}


def two_rules(one: RuleVersion, two: RuleVersion) -> RulePack:
    """A pack of two rules with one version each, about a service with two task types and a vendor copy."""
    outputs = output("file"), output("vendor_file", role="copy")
    film = service("film", *outputs, task_types=("make", "cut"), operations=("extend", "upscale"))
    song = service("song", task_types=("sing",), operations=("extend",))
    return pack(services=(film, song), rules=(rule("one", one), rule("two", two)))


def test_the_broken_pack_gives_the_exact_messages() -> None:
    """
    Each contradiction is reported with both rules, the time, an example and what to do.
    """
    broken = laid("overlap")
    assert_messages("overlap", lint_for("overlap", broken), broken.texts)


def test_the_valid_pack_has_no_problem() -> None:
    """
    Nothing is reported about the pack that the broken one is made from.
    """
    assert lint_for("overlap", laid()) == ()


@given(made=packs(conflicts_allowed=True))
def test_agrees_with_brute_force(made: RulePack) -> None:
    """
    On random packs the errors are exactly the pairs that brute force finds at full knowledge, and the warnings
    those that it finds on past days only.
    """
    found = ask("overlap", made)
    errors = {pair_of(problem) for problem in found if problem.severity == "error"}
    warnings = {pair_of(problem) for problem in found if problem.severity == "warning"}
    days = {version.recorded_on for rule in made.rules for version in rule.versions}
    in_the_past = set().union(*(pairs_by_brute_force(made, day) for day in days))
    assert errors == pairs_by_brute_force(made, None)
    assert warnings == in_the_past - errors
    assert len(found) == len(errors) + len(warnings)


@given(made=packs())
def test_says_nothing_of_rules_that_get_along(made: RulePack) -> None:
    """
    A pack without a conflict on any day has no problem.
    """
    assert ask("overlap", made) == ()


@pytest.mark.parametrize(
    ("one", "two", "meet"),
    [
        ({}, {}, True),
        ({"service": ["film"]}, {"service": ["song"]}, False),
        ({"service": ["film"]}, {}, True),
        ({"account": ["pay_as_you_go"]}, {"account": ["host_your_account"]}, False),
        ({"account": ["pay_as_you_go"]}, {"watermarked": ["true"]}, True),
        ({"watermarked": ["true"]}, {"watermarked": ["false"]}, False),
        # Only the song service knows `sing`, so a rule about films can never meet it.
        ({"service": ["film", "song"], "task_type": ["sing"]}, {"service": ["film"]}, False),
        ({"service": ["film", "song"], "task_type": ["sing"]}, {"service": ["song"]}, True),
        ({"task_type": ["make", "sing"]}, {"service": ["film"], "task_type": ["cut", "sing"]}, False),
        ({"role": ["copy"]}, {"service": ["song"]}, False),
        ({"role": ["copy"]}, {"service": ["film"]}, True),
        ({"role": ["main", "unlisted"]}, {"role": ["copy", "unlisted"]}, True),
        ({"media": ["image"]}, {"media": ["image", "text"]}, True),
    ],
)
def test_selectors_meet_fact_by_fact(one: dict[str, list[str]], two: dict[str, list[str]], meet: bool) -> None:
    """
    Two selectors meet where some service of the catalog has, for each fact, a value that satisfies both.
    """
    made = two_rules(version(1, one, **KEPT), version(1, two, **KEPT))
    assert bool(ask("overlap", made)) is meet


def test_the_end_of_one_may_be_the_beginning_of_the_other() -> None:
    """
    In force is `[start, end)`: a rule that ends where another begins does not meet it, one nanosecond later it does.
    """
    made = two_rules(version(1, **KEPT), version(1, effective_from=APRIL, **KEPT))
    ends = version(2, effective_from=APRIL, withdrawn=True)
    late = version(2, effective_from=APRIL + 1, withdrawn=True)
    second = made.rules[1]
    first = made.rules[0].versions[0]
    assert ask("overlap", replace(made, rules=(rule("one", first, ends), second))) == ()
    (problem,) = ask("overlap", replace(made, rules=(rule("one", first, late), second)))
    assert pair_of(problem) == {("one", 1), ("two", 1)}
    assert f"from {format_instant(APRIL)}" in problem.message


def test_windows_meet_per_operation() -> None:
    """
    Two windows contradict each other only about an operation that both name, and a window never contradicts storage.
    """
    extend = version(1, window=OperationWindow(("extend",), HOUR))
    upscale = version(1, window=OperationWindow(("upscale",), HOUR))
    both = version(1, window=OperationWindow(("upscale", "extend"), HOUR))
    assert ask("overlap", two_rules(extend, upscale)) == ()
    assert ask("overlap", two_rules(extend, version(1, **KEPT))) == ()
    (problem,) = ask("overlap", two_rules(extend, both))
    assert "the operation `extend`" in problem.message


def test_a_settled_contradiction_is_a_warning() -> None:
    """
    A contradiction that a later version has settled cannot be edited away, so it is a warning that names the day.
    """
    one = version(1, recorded_on=date(2026, 1, 1), **KEPT)
    two = version(1, recorded_on=date(2026, 2, 1), **KEPT)
    made = two_rules(one, two)
    settled = rule("two", two, version(2, recorded_on=date(2026, 3, 1), withdrawn=True))
    (problem,) = ask("overlap", replace(made, rules=(made.rules[0], settled)))
    assert problem.severity == "warning"
    assert problem.message.startswith("as known on 2026-02-01, ")


@pytest.mark.parametrize("days", [1, 1000])
def test_a_thousand_rules_are_checked_quickly(days: int) -> None:
    """
    A thousand rules about one service, recorded on one day or on a thousand, take seconds and not minutes.
    """
    task_types = tuple(f"type-{index}" for index in range(1000))
    begin = date(2020, 1, 1)
    made = pack(
        services=(service("film", task_types=task_types),),
        rules=tuple(
            rule(
                f"rule-{index:04}",
                version(
                    1,
                    {"service": ["film"], "task_type": [task_type]},
                    recorded_on=begin + timedelta(days=index % days),
                    **KEPT,
                ),
            )
            for index, task_type in enumerate(task_types)
        ),
    )
    start = time.process_time()
    assert ask("overlap", made) == ()
    assert time.process_time() - start < 20
