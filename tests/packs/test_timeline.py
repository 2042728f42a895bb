"""Timelines: which version of a rule is in force when, as known on a day."""

from __future__ import annotations

from datetime import date

from policy_engine.core.periods import DAY
from policy_engine.packs.timeline import in_force
from tests.support.strategies import (
    BASE,
    rule,
    version,
)


def test_versions_replay_in_their_order() -> None:
    """
    A later version rewrites the timeline from its own date on, withdrawn ones leave silence, equal neighbours are one.
    """
    first, second = version(1), version(2, effective_from=BASE)
    ended = version(3, effective_from=BASE + DAY, withdrawn=True)
    earlier = version(4, effective_from=BASE)
    assert in_force(rule("r", first, second, ended)) == ((None, first), (BASE, second), (BASE + DAY, None))
    assert in_force(rule("r", ended, second, first)) == ((None, first), (BASE, second), (BASE + DAY, None))
    assert in_force(rule("r", first, second, ended, earlier)) == ((None, first), (BASE, earlier))
    again = version(4, effective_from=BASE + 2 * DAY, withdrawn=True)
    assert in_force(rule("r", first, second, ended, again)) == ((None, first), (BASE, second), (BASE + DAY, None))
    assert in_force(rule("r", second)) == ((None, None), (BASE, second))
    anew = version(5)
    assert in_force(rule("r", first, second, anew)) == ((None, anew),)


def test_what_was_known_on_a_day_includes_that_day() -> None:
    """
    A version that was recorded on the day asked about was known on it, one of the day after was not.
    """
    first = version(1)
    second = version(2, effective_from=BASE, recorded_on=date(2026, 3, 2))
    changed = rule("r", first, second)
    assert in_force(changed, date(2026, 3, 2)) == ((None, first), (BASE, second))
    assert in_force(changed, date(2026, 3, 1)) == ((None, first),)
    assert in_force(changed, date(2026, 2, 28)) == ((None, None),)
    late, early = version(1, recorded_on=date(2026, 3, 5)), version(2, effective_from=BASE)
    assert in_force(rule("r", late, early), date(2026, 3, 2)) == ((None, None), (BASE, early))
