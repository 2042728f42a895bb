"""Promises of the check `outlasting-window`."""

from __future__ import annotations

import pytest
from hypothesis import given

from policy_engine.core.periods import DAY
from policy_engine.core.rule_model import OperationWindow, RulePack
from policy_engine.core.vocabulary import StorageLocation
from tests.authoring.lint.helpers import ask, assert_messages, laid, lint_for
from tests.support.brute_force import matching, stretches
from tests.support.oracle import service_of
from tests.support.strategies import output, pack, packs, rule, service, version


def test_the_broken_pack_gives_the_exact_messages() -> None:
    """
    A window longer than the file is kept is reported with both deadlines of an example.
    """
    broken = laid("outlasting-window")
    assert_messages("outlasting-window", lint_for("outlasting-window", broken), broken.texts)


def test_the_valid_pack_has_no_problem() -> None:
    """
    Nothing is reported about the pack that the broken one is made from.
    """
    assert lint_for("outlasting-window", laid()) == ()


@pytest.mark.parametrize(
    ("window", "offered", "about"),
    [(DAY, "extend", []), (DAY + 1, "extend", [("film v1",)]), (DAY + 1, "cut", [])],
    ids=["equal", "one nanosecond longer", "not offered"],
)
def test_a_window_may_be_as_long_as_the_file_is_kept(window: int, offered: str, about: list[tuple[str, ...]]) -> None:
    """
    A window that ends with the file is fine, and so is one for an operation that the service does not offer.
    """
    film = service("film", output("file"), operations=(offered,))
    kept = version(1, storage=StorageLocation.PLATFORM, retention=DAY, window=OperationWindow(("extend",), window))
    assert [problem.about for problem in ask("outlasting-window", pack([film], [rule("film", kept)]))] == about


@given(made=packs(conflicts_allowed=True))
def test_agrees_with_brute_force(made: RulePack) -> None:
    """
    A window outlasts a file when both apply to one complete profile at one instant and the service offers operations.
    """
    expected = set()
    for instant, _, _ in stretches(made):
        for facts, versions in matching(made, instant):
            service = service_of(made, facts["service"])
            assert service is not None
            for window_rule, accepted in versions:
                window = accepted.operation_window
                if window is None or not set(window.operations) & set(service.operations):
                    continue
                for kept_rule, kept in versions:
                    if kept.retention is not None and kept.retention < window.period:
                        names = f"{window_rule.id} v{accepted.number}", f"{kept_rule.id} v{kept.number}"
                        expected.add(tuple(dict.fromkeys(names)))
    assert {problem.about for problem in ask("outlasting-window", made)} == expected
