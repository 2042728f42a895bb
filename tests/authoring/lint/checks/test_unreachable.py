"""Promises of the check `unreachable`."""

from __future__ import annotations

import pytest
from hypothesis import given

from policy_engine.core.periods import DAY
from policy_engine.core.rule_model import RulePack
from policy_engine.core.vocabulary import StorageLocation
from tests.authoring.lint.helpers import ask, assert_messages, laid, lint_for
from tests.support import strategies as make
from tests.support.oracle import complete_profiles, matches
from tests.support.strategies import output, pack, packs


def test_the_broken_pack_gives_the_exact_messages() -> None:
    """
    A value that no file can have together with the others is reported with what does match.
    """
    broken = laid("unreachable")
    assert_messages("unreachable", lint_for("unreachable", broken), broken.texts)


def test_the_valid_pack_has_no_problem() -> None:
    """
    Nothing is reported about the pack that the broken one is made from.
    """
    assert lint_for("unreachable", laid()) == ()


@pytest.mark.parametrize(
    ("conditions", "about"),
    [
        ({"service": ["film", "song"], "task_type": ["cut", "sing"]}, []),
        ({"service": ["song"], "task_type": ["cut"]}, [("all v1",)]),
        ({"service": ["film"], "role": ["copy"], "task_type": ["cut"]}, []),
        ({"service": ["film", "song"], "role": ["copy"]}, [("all v1", "song")]),
    ],
    ids=["each value in some service", "no file at all", "facts of one service", "one service in vain"],
)
def test_values_must_occur_together(conditions: dict[str, list[str]], about: list[tuple[str, ...]]) -> None:
    """
    A value is fine when some service of the selector has it together with values of all other facts.
    """
    film = make.service("film", output("file"), output("vendor_file", role="copy"), task_types=("make", "cut"))
    song = make.service("song", output("file"), task_types=("sing",))
    kept = make.version(1, conditions, storage=StorageLocation.PLATFORM, retention=DAY)
    assert [problem.about for problem in ask("unreachable", pack([film, song], [make.rule("all", kept)]))] == about


@given(made=packs(conflicts_allowed=True))
def test_agrees_with_brute_force(made: RulePack) -> None:
    """
    A version is unreachable when it matches no complete profile, and a value when no profile matched by it has it.
    """
    profiles = list(complete_profiles(made))
    expected: set[tuple[str, ...]] = set()
    for rule in made.rules:
        for version in rule.versions:
            name = f"{rule.id} v{version.number}"
            met = [facts for facts in profiles if matches(version.selector, facts)]
            if not met:
                expected.add((name,))
                continue
            for fact, values in version.selector.conditions.items():
                expected |= {(name, value) for value in values if all(facts[fact] != value for facts in met)}
    assert {problem.about for problem in ask("unreachable", made)} == expected
