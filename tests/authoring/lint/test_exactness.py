"""The checks that decide something over all profiles and times agree with brute force on random packs."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given

from policy_engine.authoring.lint.wording import when
from policy_engine.core.rule_model import Rule, RulePack, RuleVersion
from policy_engine.core.vocabulary import FACTS
from policy_engine.packs.bitemporal import FOR_EVER, SINCE_EVER, replay
from tests.authoring.lint.asking import ask, matching, stretches
from tests.support.oracle import complete_profiles, in_force, matches, service_of
from tests.support.strategies import EFFECTIVE, RECORDED, packs


def days(made: RulePack) -> list[date]:
    """A day before anything is known, and every day on which something is learned."""
    known = sorted({version.recorded_on for rule in made.rules for version in rule.versions})
    return [known[0] - timedelta(days=1), *known] if known else []


def standing(rule: Rule, instant: int, day: date | None) -> RuleVersion | None:
    """The version that stands at an instant, a withdrawn one too."""
    reached = [
        version
        for version in rule.versions
        if (day is None or version.recorded_on <= day)
        and (version.effective_from is None or version.effective_from <= instant)
    ]
    return max(reached, key=lambda version: version.number, default=None)


@given(made=packs(conflicts_allowed=True))
def test_boxes_are_the_replay(made: RulePack) -> None:
    """
    At every instant and on every day, the one box that holds the point is of the version that the replay gives.
    """
    for rule in made.rules:
        boxes = replay(rule).boxes
        for day in days(made):
            for instant, _, _ in stretches(made):
                at = day.toordinal()
                holding = [
                    box.version
                    for box in boxes
                    if box.times.created_from <= instant < box.times.created_until
                    and box.times.known_from <= at < box.times.known_until
                ]
                version = standing(rule, instant, day)
                assert holding == ([] if version is None else [version])


@given(made=packs(conflicts_allowed=True))
def test_days_out_of_order_are_replayed_alike(made: RulePack) -> None:
    """
    A rule whose days are out of order, which only Python can build, has the boxes that the replay day by day gives.
    """
    turned = dict(zip(RECORDED, reversed(RECORDED), strict=True))
    for rule in made.rules:
        odd = replace(
            rule, versions=tuple(replace(each, recorded_on=turned[each.recorded_on]) for each in rule.versions)
        )
        boxes = [box for box in replay(odd).boxes if not box.version.withdrawn]
        for day in days(made):
            for instant, _, _ in stretches(made):
                at = day.toordinal()
                holding = [
                    box.version
                    for box in boxes
                    if box.times.created_from <= instant < box.times.created_until
                    and box.times.known_from <= at < box.times.known_until
                ]
                version = in_force(odd, instant, day)
                assert holding == ([] if version is None else [version])


@given(made=packs(conflicts_allowed=True))
def test_gaps_agree_with_brute_force(made: RulePack) -> None:
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
        interval = rest.partition(":")[0] if "nothing says" in rest else rest[1:].rpartition(": ")[0]
        found.add((problem.about[0], "" if "nothing says" in rest else interval))
    assert found == expected


@given(made=packs(conflicts_allowed=True))
def test_shadowed_agrees_with_brute_force(made: RulePack) -> None:
    """
    A version is shadowed when it stands at no instant on any day.
    """
    expected = set()
    for rule in made.rules:
        met = {standing(rule, instant, day) is not None and standing(rule, instant, day).number  # type: ignore[union-attr]
               for day in days(made) for instant, _, _ in stretches(made)}  # fmt: skip
        expected |= {f"{rule.id} v{version.number}" for version in rule.versions if version.number not in met}
    assert {problem.about[0] for problem in ask("shadowed", made)} == expected


@given(made=packs(conflicts_allowed=True))
def test_unreachable_agrees_with_brute_force(made: RulePack) -> None:
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


@given(made=packs(conflicts_allowed=True))
def test_duplicate_versions_agree_with_brute_force(made: RulePack) -> None:
    """
    A version is a duplicate when it stands somewhere, and without it every file would have the same answer and basis.
    """
    assert_duplicates(made)
    assert_duplicates(repeating(made))


def repeating(made: RulePack) -> RulePack:
    """The pack with every version said a second time, recorded on the same day and in force from another instant."""
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
                said(standing(rest, instant, day), version)
                for day in days(made)
                for instant, _, _ in stretches(made)
                if standing(rule, instant, day) is version
            ]
            if changes and not any(changes):
                expected.add((f"{rule.id} v{version.number}",))
    found = {problem.about for problem in ask("duplicate-version", made) if len(problem.about) == 1}
    assert found == expected


def said(before: RuleVersion | None, version: RuleVersion) -> bool:
    """True when the version says something else than what stands without it."""
    if before is None or before.withdrawn or version.withdrawn:
        return not (version.withdrawn and (before is None or before.withdrawn))
    ours = version.selector, version.storage, version.retention, version.operation_window
    theirs = before.selector, before.storage, before.retention, before.operation_window
    assert version.citation is not None
    assert before.citation is not None
    return ours != theirs or version.citation.basis != before.citation.basis


@given(made=packs(conflicts_allowed=True))
def test_contradictions_agree_with_brute_force(made: RulePack) -> None:
    """
    A window outlasts a file when both apply to one complete profile at one instant and the service offers operations.
    """
    expected = set()
    for instant, _, _ in stretches(made):
        for facts, versions in matching(made, instant):
            service = service_of(made, facts["service"])
            assert service is not None
            for works_rule, works in versions:
                window = works.operation_window
                if window is None or not set(window.operations) & set(service.operations):
                    continue
                for kept_rule, kept in versions:
                    if kept.retention is not None and kept.retention < window.period:
                        names = f"{works_rule.id} v{works.number}", f"{kept_rule.id} v{kept.number}"
                        expected.add(tuple(dict.fromkeys(names)))
    assert {problem.about for problem in ask("outlasting-window", made)} == expected


@given(made=packs(conflicts_allowed=True))
def test_boxes_share_no_point(made: RulePack) -> None:
    """
    Boxes of one rule are not empty and do not meet, so that no point is counted twice.
    """
    for rule in made.rules:
        boxes = replay(rule).boxes
        for at, box in enumerate(boxes):
            assert SINCE_EVER <= box.times.created_from < box.times.created_until <= FOR_EVER
            assert box.times.known_from < box.times.known_until
            for other in boxes[at + 1 :]:
                apart_in_time = (
                    box.times.created_until <= other.times.created_from
                    or other.times.created_until <= box.times.created_from
                )
                apart_in_knowledge = (
                    box.times.known_until <= other.times.known_from or other.times.known_until <= box.times.known_from
                )
                assert apart_in_time or apart_in_knowledge
