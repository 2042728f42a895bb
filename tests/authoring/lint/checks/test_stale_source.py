"""Promises of the check `stale-source`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from policy_engine.core.periods import DAY
from policy_engine.core.rule_model import RulePack, Source
from policy_engine.core.vocabulary import StorageLocation
from tests.authoring.lint.helpers import AS_OF, ask, assert_messages, covered, laid, lint_for
from tests.support.strategies import RECORDED, pack, rule, service, version


def made_of(*sources: Source) -> RulePack:
    """A pack with one rule, which cites `made-up` and read it on the first day."""
    kept = version(1, storage=StorageLocation.VENDOR_CDN)
    return replace(pack([service("film")], [rule("film", kept)]), sources=sources)


def page(id: str, days: int) -> Source:
    """A source that was read so many days before the citation."""
    return Source(id, id, "https://made-up.example", RECORDED[0] - timedelta(days=days))


def test_the_broken_pack_gives_the_exact_messages() -> None:
    """
    A page read too long ago is reported with a rule that cites it and the day on which it was due.
    """
    broken = laid("stale-source")
    assert_messages("stale-source", lint_for("stale-source", broken, review_after=90 * DAY), broken.texts)


def test_nothing_is_checked_unless_asked_for() -> None:
    """
    Without a maximum age or an instant nothing is reported, and the output says what is missing.
    """
    skipped = "not checked: give the maximum age of a reading (--review-after)"
    assert covered("stale-source", laid(), as_of=AS_OF) == skipped
    assert covered("stale-source", made_of(), review_after=DAY) == skipped


@pytest.mark.parametrize(("days", "is_stale"), [(10, False), (11, True)])
def test_a_page_may_be_as_old_as_allowed(days: int, is_stale: bool) -> None:
    """
    A page is stale when its last reading, in pack.yaml or in a citation, is older than allowed; not on the last day.
    """
    as_of = ((RECORDED[0] + timedelta(days=days)).toordinal() - 719_163) * DAY
    found = ask("stale-source", made_of(page("made-up", 400)), as_of=as_of, review_after=10 * DAY)
    assert [problem.about for problem in found] == ([("made-up",)] if is_stale else [])


def test_a_page_that_nothing_cites_is_not_checked() -> None:
    """
    Only cited pages need reading again.
    """
    made = made_of(page("made-up", 0), page("unused", 400))
    as_of = (RECORDED[0].toordinal() - 719_163) * DAY
    assert ask("stale-source", made, as_of=as_of, review_after=DAY) == ()
    assert covered("stale-source", made, as_of=as_of, review_after=DAY).startswith("1 cited source of 2, ")
