"""Promises of the check `version-order`."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from policy_engine.core.periods import DAY
from policy_engine.core.rule_model import RulePack
from policy_engine.core.vocabulary import StorageLocation
from tests.authoring.lint.helpers import AS_OF, ask, assert_messages, covered, laid, lint_for
from tests.support.strategies import pack, rule, service, version

AUGUST_1 = date(2026, 8, 1)


def reversed_versions(made: RulePack) -> RulePack:
    """The pack with the versions of its first rule in the wrong order, which only Python can build."""
    first = made.rules[0]
    return replace(made, rules=(replace(first, versions=first.versions[::-1]), *made.rules[1:]))


def test_the_broken_packs_give_the_exact_messages() -> None:
    """
    Odd days of a file, and numbers and days out of order in Python, are reported with location, example and help.
    """
    broken, right = laid("version-order"), laid(folder="right")
    found = lint_for("version-order", broken), lint_for("version-order", reversed_versions(right))
    assert_messages("version-order", [*found[0], *found[1]], {**broken.texts, **right.texts})


def test_the_valid_pack_has_no_problem() -> None:
    """
    Nothing is reported about the pack that the broken ones are made from.
    """
    assert lint_for("version-order", laid()) == ()


@pytest.mark.parametrize(("days", "is_future"), [(0, False), (1, False), (2, True)])
def test_tomorrow_has_begun_somewhere(days: int, is_future: bool) -> None:
    """
    A version recorded tomorrow (UTC) is fine, since that day has begun in some time zone; the day after is not.
    """
    recorded = AUGUST_1 + timedelta(days=days)
    kept = version(1, storage=StorageLocation.PLATFORM, retention=DAY, recorded_on=recorded)
    made = pack([service("film")], [rule("film", kept)])
    assert ["in the future" in problem.message for problem in ask("version-order", made, as_of=AS_OF)] == (
        [True] if is_future else []
    )
    assert ask("version-order", made) == ()
    assert covered("version-order", made).endswith("; days in the future not checked: no instant is given")


def test_versions_may_share_a_day() -> None:
    """
    Two versions recorded on one day are in order.
    """
    versions = [version(number, storage=StorageLocation.VENDOR_CDN) for number in (1, 2)]
    assert ask("version-order", pack([service("film")], [rule("film", *versions)])) == ()
