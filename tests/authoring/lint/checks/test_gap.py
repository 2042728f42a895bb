"""Promises of the check `gap`."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given

from policy_engine.authoring.lint.witness import when
from policy_engine.core.periods import DAY
from policy_engine.core.rule_model import RulePack
from policy_engine.core.vocabulary import FACTS, StorageLocation
from tests.authoring.lint.helpers import ask, assert_messages, laid, lint_for
from tests.support import strategies as make
from tests.support.brute_force import matching, stretches
from tests.support.strategies import BASE, output, pack, packs


def test_the_broken_pack_gives_the_exact_messages() -> None:
    """
    A service and an interval without a rule are reported with location, example and help.
    """
    broken = laid("gap")
    assert_messages("gap", lint_for("gap", broken), broken.texts)


def test_the_valid_pack_has_no_problem() -> None:
    """
    Nothing is reported about the pack that the broken one is made from.
    """
    assert lint_for("gap", laid()) == ()


def test_a_service_is_governed_declared_or_reported() -> None:
    """
    Only a service without a rule on storage, and not declared to have none, is a gap; a gap is a warning.
    """
    kept = make.version(1, {"service": ["film"]}, storage=StorageLocation.PLATFORM, retention=DAY)
    services = [make.service(name, output("file")) for name in ("film", "song", "tool")]
    made = pack(services, [make.rule("film", kept)], no_published_rule=("song",))
    (problem,) = ask("gap", made)
    assert (problem.code, problem.severity) == ("gap", "warning")
    assert "`tool`" in problem.message


def test_a_rule_about_every_service_leaves_no_gap() -> None:
    """
    A selector without a service is about all of them.
    """
    kept = make.version(1, storage=StorageLocation.PLATFORM, retention=DAY)
    assert ask("gap", pack([make.service("film"), make.service("song")], [make.rule("all", kept)])) == ()


def test_a_withdrawn_rule_governs_nothing() -> None:
    """
    A rule that a version without beginning has withdrawn leaves its service ungoverned.
    """
    kept = make.version(1, {"service": ["film"]}, storage=StorageLocation.PLATFORM, retention=DAY)
    gone = make.rule("film", kept, make.version(2, withdrawn=True))
    assert [problem.code for problem in ask("gap", pack([make.service("film")], [gone]))] == ["gap"]


@pytest.mark.parametrize(("begin", "gaps"), [(BASE, 0), (BASE + 1, 1)])
def test_one_rule_may_begin_where_another_ends(begin: int, gaps: int) -> None:
    """
    A rule that begins at the instant another is withdrawn leaves no gap; one nanosecond later it does.
    """
    kept = {"storage": StorageLocation.PLATFORM, "retention": DAY}
    first = make.rule("first", make.version(1, **kept), make.version(2, effective_from=BASE, withdrawn=True))  # type: ignore[arg-type]
    second = make.rule("second", make.version(1, effective_from=begin, **kept))  # type: ignore[arg-type]
    assert len(ask("gap", pack([make.service("film")], [first, second]))) == gaps


@given(made=packs(conflicts_allowed=True))
def test_agrees_with_brute_force(made: RulePack) -> None:
    """
    The gaps are the services without any rule, and the intervals in which some profile that has a rule has none.
    """
    declared = {service for entry in made.no_published_rule for service in entry.services}
    governed: dict[tuple[object, ...], list[bool]] = {}
    pieces = stretches(made)
    for instant, _, _ in pieces:
        for facts, versions in matching(made, instant):
            profile = tuple(facts[fact] for fact in FACTS)
            governed.setdefault(profile, []).append(any(version.storage is not None for _, version in versions))
    expected = set()
    for service in made.catalog.services:
        lines = [line for profile, line in governed.items() if profile[0] == service.id]
        if not any(any(line) for line in lines):
            expected |= set() if service.id in declared else {(service.id, "")}
            continue
        for line in (line for line in lines if any(line)):
            edges = [at for at, (one, two) in enumerate(pairwise([None, *line, None])) if one is not two]
            for first, after in pairwise(edges):
                if not line[first]:
                    expected.add((service.id, when(pieces[first][1], pieces[after - 1][2])))
    found = set()
    for problem in ask("gap", made):
        _, _, rest = problem.message.partition(" are kept")
        is_whole = "no_published_rule" in rest
        found.add((problem.about[0], "" if is_whole else rest[1:].rpartition(": ")[0]))
    assert found == expected
