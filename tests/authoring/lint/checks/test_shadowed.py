"""Promises of the check `shadowed`."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given

from policy_engine.core.periods import DAY
from policy_engine.core.rule_model import RulePack
from policy_engine.core.vocabulary import StorageLocation
from tests.authoring.lint.helpers import ask, assert_messages, laid, lint_for
from tests.support import strategies as make
from tests.support.brute_force import days, standing, stretches
from tests.support.strategies import BASE, RECORDED, pack, packs


def test_the_broken_pack_gives_the_exact_messages() -> None:
    """
    A version that is never in force is reported with the version that replaces it.
    """
    broken = laid("shadowed")
    assert_messages("shadowed", lint_for("shadowed", broken), broken.texts)


def test_the_valid_pack_has_no_problem() -> None:
    """
    Nothing is reported about the pack that the broken one is made from.
    """
    assert lint_for("shadowed", laid()) == ()


@pytest.mark.parametrize(
    ("later", "begin", "shadowed"),
    [(0, BASE, ["film v1"]), (0, BASE - 1, ["film v1"]), (0, BASE + 1, []), (1, BASE, [])],
    ids=["same instant", "earlier", "one nanosecond later", "recorded a day later"],
)
def test_only_a_version_of_the_same_day_shadows(later: int, begin: int, shadowed: list[str]) -> None:
    """
    A version is shadowed by one recorded on the same day that begins no later; a correction of a later day does not.
    """
    kept = make.version(1, storage=StorageLocation.PLATFORM, retention=DAY, effective_from=BASE)
    other = make.version(
        2,
        storage=StorageLocation.VENDOR_CDN,
        effective_from=begin,
        recorded_on=RECORDED[0] + timedelta(days=later),
    )
    found = ask("shadowed", pack([make.service("film")], [make.rule("film", kept, other)]))
    assert [problem.about[0] for problem in found] == shadowed


@given(made=packs(conflicts_allowed=True))
def test_agrees_with_brute_force(made: RulePack) -> None:
    """
    A version is shadowed when it is in force at no instant on any day.
    """
    expected = set()
    for rule in made.rules:
        met = [standing(rule, instant, day) for day in days(made) for instant, _, _ in stretches(made)]
        expected |= {f"{rule.id} v{version.number}" for version in rule.versions if version not in met}
    assert {problem.about[0] for problem in ask("shadowed", made)} == expected
