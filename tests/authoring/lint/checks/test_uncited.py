"""Promises of the check `uncited`."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from policy_engine.core.vocabulary import StorageLocation
from tests.authoring.lint.helpers import ask, assert_messages, laid, lint_for
from tests.support.strategies import pack, rule, service, version


def test_the_broken_pack_gives_the_exact_messages() -> None:
    """
    A version that ends its rule without a citation is reported.
    """
    broken = laid("uncited")
    assert_messages("uncited", lint_for("uncited", broken), broken.texts)


def test_the_valid_pack_has_no_problem() -> None:
    """
    Nothing is reported about the pack that the broken one is made from.
    """
    assert lint_for("uncited", laid()) == ()


def test_every_version_needs_its_own_citation() -> None:
    """
    A citation of one version does not count for another.
    """
    cited = version(1, storage=StorageLocation.VENDOR_CDN)
    bare = replace(cited, number=2, citation=None)
    (problem,) = ask("uncited", pack([service("film")], [rule("film", cited, bare)]))
    assert problem.message == "`film` v2 has no citation"


def test_a_version_without_a_beginning_has_a_sensible_example() -> None:
    """
    For a version that gives no `effective_from`, the example is a file of the day on which it was recorded.
    """
    ends = version(1, withdrawn=True, recorded_on=date(2026, 4, 20))
    (problem,) = ask("uncited", pack([service("film")], [rule("film", ends)]))
    assert problem.witness == "an answer for a file created 2026-04-20T00:00:00Z would cite no source"
