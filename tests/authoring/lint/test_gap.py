"""Promises of the gap check."""

from __future__ import annotations

from policy_engine.core.periods import DAY
from policy_engine.core.vocabulary import StorageLocation
from tests.authoring.lint.asking import ask
from tests.support.strategies import output, pack, rule, service, version


def test_a_service_is_governed_declared_or_reported() -> None:
    """
    Only a service without a rule on storage, and not declared to have none, is a gap; a gap is a warning.
    """
    kept = version(1, {"service": ["film"]}, storage=StorageLocation.PLATFORM, retention=DAY)
    services = [service(name, output("file")) for name in ("film", "song", "tool")]
    made = pack(services, [rule("film", kept)], no_published_rule=("song",))
    (problem,) = ask("gap", made)
    assert (problem.code, problem.severity) == ("gap", "warning")
    assert "`tool`" in problem.message


def test_a_rule_about_every_service_leaves_no_gap() -> None:
    """
    A selector without a service is about all of them.
    """
    kept = version(1, storage=StorageLocation.PLATFORM, retention=DAY)
    assert ask("gap", pack([service("film"), service("song")], [rule("all", kept)])) == ()


def test_a_withdrawn_rule_governs_nothing() -> None:
    """
    A rule that a version without beginning has withdrawn leaves its service ungoverned.
    """
    kept = version(1, {"service": ["film"]}, storage=StorageLocation.PLATFORM, retention=DAY)
    gone = rule("film", kept, version(2, withdrawn=True))
    assert [problem.code for problem in ask("gap", pack([service("film")], [gone]))] == ["gap"]
