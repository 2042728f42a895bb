"""Promises of the check `duplicate-version`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given

from policy_engine.core.periods import DAY
from policy_engine.core.rule_model import RulePack, RuleVersion
from policy_engine.core.vocabulary import StorageLocation
from tests.authoring.lint.helpers import ask, assert_messages, laid, lint_for
from tests.support import strategies as make
from tests.support.brute_force import days, standing, stretches
from tests.support.strategies import BASE, EFFECTIVE, RECORDED, citation, pack, packs


def test_the_broken_pack_gives_the_exact_messages() -> None:
    """
    A version and a rule that change nothing are reported with what they repeat.
    """
    broken = laid("duplicate-version")
    assert_messages("duplicate-version", lint_for("duplicate-version", broken), broken.texts)


def test_the_valid_pack_has_no_problem() -> None:
    """
    Nothing is reported about the pack that the broken one is made from.
    """
    assert lint_for("duplicate-version", laid()) == ()


@pytest.mark.parametrize(
    ("change", "is_duplicate"),
    [
        ({}, True),
        ({"retrieved_on": RECORDED[0] + timedelta(days=30)}, True),
        ({"section": "Other"}, False),
        ({"basis": "observed"}, False),
    ],
    ids=["nothing", "day of reading", "section", "basis"],
)
def test_new_grounds_are_worth_a_version(change: dict[str, object], is_duplicate: bool) -> None:
    """
    A version with the same answer is fine when it cites another section or basis, but not only another day.
    """
    kept = make.version(1, storage=StorageLocation.PLATFORM, retention=DAY)
    again = replace(kept, number=2, effective_from=BASE, citation=replace(citation(), **change))
    found = ask("duplicate-version", pack([make.service("film")], [make.rule("film", kept, again)]))
    assert [problem.about for problem in found] == ([("film v2",)] if is_duplicate else [])


def test_a_rule_ends_once() -> None:
    """
    A second withdrawal of a rule ends nothing.
    """
    kept = make.version(1, storage=StorageLocation.PLATFORM, retention=DAY)
    ends = [
        make.version(2, effective_from=BASE, withdrawn=True),
        make.version(3, effective_from=BASE + DAY, withdrawn=True),
    ]
    (problem,) = ask("duplicate-version", pack([make.service("film")], [make.rule("film", kept, *ends)]))
    assert problem.message == "`film` v3 ends a rule that has already ended"


@given(made=packs(conflicts_allowed=True))
def test_agrees_with_brute_force(made: RulePack) -> None:
    """
    A version is a duplicate when it is in force somewhere, and without it every file has the same answer and basis.
    """
    assert_duplicates(made)
    assert_duplicates(repeating(made))


def repeating(made: RulePack) -> RulePack:
    """The pack with every version repeated, recorded on the same day and in force from another instant."""
    rules = []
    for rule in made.rules:
        versions = []
        for version in rule.versions:
            again = replace(version, effective_from=EFFECTIVE[version.number % len(EFFECTIVE)])
            versions += [version, again]
        numbered = tuple(replace(version, number=at) for at, version in enumerate(versions, start=1))
        rules.append(replace(rule, versions=numbered))
    return replace(made, rules=tuple(rules))


def assert_duplicates(made: RulePack) -> None:
    """The check finds what leaving out one version at a time finds."""
    expected = set()
    for rule in made.rules:
        for version in rule.versions:
            rest = replace(rule, versions=tuple(each for each in rule.versions if each is not version))
            changes = [
                changes_the_answer(standing(rest, instant, day), version)
                for day in days(made)
                for instant, _, _ in stretches(made)
                if standing(rule, instant, day) is version
            ]
            if changes and not any(changes):
                expected.add((f"{rule.id} v{version.number}",))
    found = {problem.about for problem in ask("duplicate-version", made) if len(problem.about) == 1}
    assert found == expected


def changes_the_answer(before: RuleVersion | None, version: RuleVersion) -> bool:
    """True when the version states something else than what is in force without it."""
    if before is None or before.withdrawn or version.withdrawn:
        return not (version.withdrawn and (before is None or before.withdrawn))
    ours = version.selector, version.storage, version.retention, version.operation_window
    theirs = before.selector, before.storage, before.retention, before.operation_window
    assert version.citation is not None
    assert before.citation is not None
    return ours != theirs or version.citation.basis != before.citation.basis
