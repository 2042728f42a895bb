"""
The comparison of two packs is exact: what it reports differs, and what differs is reported.

| Compared | Over |
|---|---|
| reported boxes and the oracle's answers | random points of random pairs of packs, near every date |
| each witness and the oracle | every reported change |
| the finding of each witness under both packs | every reported change of storage |
| findings of the oracle and reported boxes | random assets with unknown facts and unknown clocks |
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from typing import Any

import pandas as pd
from hypothesis import Phase, assume, event, given, settings
from hypothesis import strategies as st

from policy_engine.authoring.compare.answers import Absent, Accepted, Kept, recorded_days
from policy_engine.authoring.compare.diff import Change, PackDiff, compare_packs
from policy_engine.authoring.lint import run_checks
from policy_engine.core.periods import format_instant
from policy_engine.core.rule_model import RulePack, RuleVersion
from policy_engine.core.vocabulary import FACTS, StorageLocation
from policy_engine.engine.evaluation import evaluate
from tests.support.oracle import (
    OTHER,
    completions,
    domain,
    in_force,
    judge,
    operation_answers,
    readings,
    retention_answer,
    service_of,
)
from tests.support.strategies import (
    ASSET_BYTES,
    EFFECTIVE,
    PACK_BYTES,
    PERIODS,
    RECORDED,
    STRANGERS,
    WORLD_BYTES,
    World,
    around,
    make_pack,
    make_world,
    version,
)

POINTS = 150
PAIRS = settings(
    max_examples=max(15, settings.default.max_examples // 4), phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
"""Shrinking two whole packs takes minutes and helps little."""
DAYS = (RECORDED[0] - timedelta(1), *RECORDED, None)
RULE_COLUMNS = {"rule_id", "rule_version", "operation_rule_id", "operation_rule_version"}
"""Columns that say which rule gave an answer, and not what it is."""


def edited(made: RulePack, random: Random) -> RulePack:
    """A pack in which a few versions or rules are changed, taken away or added."""
    rules = []
    for rule in made.rules:
        versions = list(rule.versions)
        what = random.choice(
            ("keep", "keep", "drop", "period", "storage", "date", "day", "basis", "narrow", "add", "end")
        )
        at = random.randrange(len(versions))
        if what == "drop":
            continue
        if what == "end":
            versions.append(version(len(versions) + 1, withdrawn=True, effective_from=random.choice(EFFECTIVE),
                                    recorded_on=versions[-1].recorded_on))  # fmt: skip
        elif what == "add" and not versions[-1].withdrawn:
            versions.append(replace(versions[-1], number=len(versions) + 1, effective_from=random.choice(EFFECTIVE),
                                    retention=_other_period(versions[-1], random)))  # fmt: skip
        elif what == "date":
            versions[at] = replace(versions[at], effective_from=random.choice((None, *EFFECTIVE)))
        elif what == "day":
            versions = [replace(each, recorded_on=RECORDED[-1]) for each in versions]
        elif not versions[at].withdrawn:
            versions[at] = _edited_version(versions[at], what, random)
        rules.append(replace(rule, versions=tuple(versions)))
    return replace(made, rules=tuple(rules))


def _other_period(one: RuleVersion, random: Random) -> int | None:
    return None if one.retention is None else random.choice(PERIODS)


def _edited_version(one: RuleVersion, what: str, random: Random) -> RuleVersion:
    if what == "period" and one.operation_window is not None:
        return replace(one, operation_window=replace(one.operation_window, period=random.choice(PERIODS)))
    if what == "period":
        return replace(one, retention=_other_period(one, random))
    if what == "storage" and one.storage is not None and one.retention is not None:
        return replace(one, storage=StorageLocation.VENDOR_CDN, retention=None)
    if what == "basis":
        return replace(one, citation=replace(one.citation, basis="assumed"))
    if what == "narrow":
        conditions = {**one.selector.conditions, "account": frozenset({"pay_as_you_go"})}
        return replace(one, selector=replace(one.selector, conditions=conditions))
    return one


@st.composite
def pairs(draw: st.DrawFn) -> tuple[World, RulePack, Random]:
    """A world and a second pack: an edited one, or one of its own with a catalog of its own."""
    pack_data = draw(st.binary(min_size=PACK_BYTES, max_size=PACK_BYTES))
    world_data = draw(st.binary(min_size=WORLD_BYTES, max_size=WORLD_BYTES))
    each = st.binary(min_size=ASSET_BYTES, max_size=ASSET_BYTES)
    world = make_world(pack_data, world_data, draw(st.lists(each, min_size=15, max_size=15)))
    random = Random(draw(st.integers(0, 2**32)))
    if draw(st.integers(0, 3)):
        other = edited(world.pack, random)
        assume(not any(problem.code == "overlap" for problem in run_checks(other)))
    else:
        other = make_pack(draw(st.binary(min_size=PACK_BYTES, max_size=PACK_BYTES)))
    return world, other, random


def points(old: RulePack, new: RulePack, random: Random) -> Iterator[tuple[dict[str, Any], int, date | None]]:
    """Random complete profiles, creations next to dates, and days of knowledge."""
    services = sorted({service.id for pack in (old, new) for service in pack.catalog.services})
    instants = around(EFFECTIVE)
    for _ in range(POINTS):
        name = random.choice(services)
        about = [service for pack in (old, new) if (service := service_of(pack, name)) is not None]
        facts: dict[str, Any] = {"service": name}
        for fact in FACTS[1:]:
            values = {value for service in about for value in domain(service, fact) if isinstance(value, str)}
            facts[fact] = random.choice([*sorted(values), *([STRANGERS[fact]] if fact == "task_type" else [])])
        yield facts, random.choice(instants), random.choice(DAYS)


def answers(pack: RulePack, facts: dict[str, Any], instant: int, known_on: date | None) -> dict[str, Any]:
    """
    What the oracle says of a complete profile: of storage under "", of operations under their names.

    Of a value that this pack does not list its rules say nothing.
    """
    service = service_of(pack, facts["service"])
    if service is None:
        return {"": (Absent(),)}
    placed = {fact: value if value in domain(service, fact) else OTHER for fact, value in facts.items()}
    standing = [(rule, found) for rule in pack.rules if (found := in_force(rule, instant, known_on)) is not None]
    kept = retention_answer(standing, placed)
    said: dict[str, Any] = {}
    if kept is not None:
        said[""] = (Kept(kept.storage, -1 if kept.period is None else kept.period, kept.basis),)
    for window in operation_answers(service, standing, placed):
        for name in window.operations:
            said[name] = (*said.get(name, ()), Accepted(window.period))
    return said


def covers(change: Change, facts: dict[str, Any], instants: tuple[int, int], known_on: date | None) -> bool:
    """Whether some creation of a closed stretch and a complete profile lie in the box of a change."""
    if facts["service"] not in change.services:
        return False
    start, end = change.created.start, change.created.end
    if (end is not None and instants[0] >= end) or (start is not None and instants[1] < start):
        return False
    first, last = change.known
    if known_on is None:
        if last is not None:
            return False
    elif (first is not None and known_on < first) or (last is not None and known_on >= last):
        return False
    return all((facts[fact] in values.names) is not values.is_excluded for fact, values in change.facts.items())


@PAIRS
@given(pairs())
def test_reported_boxes_are_what_the_oracle_finds(pair: tuple[World, RulePack, Random]) -> None:
    """
    At any point the answers of two packs differ exactly where a box is reported, by exactly what it says, and no two
    boxes speak of one answer there.
    """
    world, other, random = pair
    found = compare_packs(world.pack, other)
    first_day, _ = recorded_days((world.pack, other))
    event("same" if found.is_same_meaning else "changed")
    for facts, instant, known_on in points(world.pack, other, random):
        before = answers(world.pack, facts, instant, known_on)
        after = answers(other, facts, instant, known_on)
        is_in_one_only = (service_of(world.pack, facts["service"]) is None) is not (
            service_of(other, facts["service"]) is None
        )
        expected = {
            aspect: (before.get(aspect, ()), after.get(aspect, ()))
            for aspect in {*before, *after}
            if before.get(aspect, ()) != after.get(aspect, ())
            # That a service is in one catalog only is told from the day on which something was recorded first.
            and not (is_in_one_only and aspect == "" and known_on is not None and known_on < first_day)
        }
        reported = [
            (aspect, (change.before, change.after))
            for change in found.changes
            if covers(change, facts, (instant, instant), known_on)
            for aspect in change.operations or ("",)
        ]
        assert len(dict(reported)) == len(reported)
        assert dict(reported) == expected


@PAIRS
@given(pairs())
def test_every_witness_differs(pair: tuple[World, RulePack, Random]) -> None:
    """
    The witness of a reported change lies in its box and is answered by the oracle as the change says.
    """
    world, other, _ = pair
    for change in compare_packs(world.pack, other).changes:
        witness = change.witness
        facts = dict(witness.facts)
        assert covers(change, facts, (witness.created, witness.created), witness.known_on)
        for aspect in change.operations or ("",):
            before = answers(world.pack, facts, witness.created, witness.known_on)
            after = answers(other, facts, witness.created, witness.known_on)
            assert (before.get(aspect, ()), after.get(aspect, ())) == (change.before, change.after)


@PAIRS
@given(pairs())
def test_the_program_judges_witnesses_otherwise(pair: tuple[World, RulePack, Random]) -> None:
    """
    A witness of changed storage, given to the program as a row of a table, has another finding under each pack.

    But for one that no file can be under one of them, to which such a fact is unknown.
    """
    world, other, _ = pair
    for change in compare_packs(world.pack, other).changes:
        facts = change.witness.facts
        listing = [service for pack in (world.pack, other) if (service := service_of(pack, facts["service"]))]
        if change.operations or not all(facts["role"] in domain(service, "role") for service in listing):
            continue
        at, known_on = change.witness.created, change.witness.known_on
        row = {**change.witness.facts, "created_at": format_instant(at), "completed_at": format_instant(at)}
        with warnings.catch_warnings():
            # One of the packs may not know the service.
            warnings.simplefilter("ignore", UserWarning)
            findings = [
                evaluate(pd.DataFrame([row]), pack, as_of=at, known_on=known_on).iloc[0] for pack in (world.pack, other)
            ]
        compared = ("verdict", "storage", "basis", "expires_earliest")
        before, after = ([str(finding[name]) for name in compared] for finding in findings)
        assert before != after, change


@PAIRS
@given(pairs())
def test_findings_differ_only_inside_reported_boxes(pair: tuple[World, RulePack, Random]) -> None:
    """
    A file about which little is known is judged otherwise only if one of its completions lies in a reported box.
    """
    world, other, _ = pair
    found = compare_packs(world.pack, other)
    for subject in world.assets:
        before, after = judge(world.pack, subject, **world.question), judge(other, subject, **world.question)
        if all(before[name] == after[name] for name in before.keys() - RULE_COLUMNS):
            continue
        assert not found.is_same_meaning
        if found.catalog or found.parameters:
            continue
        assert any(reaches(found, change, subject, world.known_on) for change in found.changes), subject


def reaches(found: PackDiff, change: Change, subject: dict[str, Any], known_on: date | None) -> bool:
    """Whether some completion of an asset at some instant that may be its creation lies in a box."""
    service = service_of(found.new, subject["service"])
    clock = readings(found.new, subject)
    pieces = clock.pieces if clock.has_clock else [(-(2**62), 2**62)]
    every = [
        {fact: "?" if value is OTHER else value for fact, value in one.items()} for one in completions(service, subject)
    ]
    return any(covers(change, facts, piece, known_on) for facts in every for piece in pieces)


@given(st.binary(min_size=PACK_BYTES, max_size=PACK_BYTES), st.integers(0, 2**32))
def test_a_pack_means_what_it_means(data: bytes, seed: int) -> None:
    """
    A pack compared with itself, or with the same rules under other names, has not changed in meaning.
    """
    made = make_pack(data)
    assert compare_packs(made, made).is_same_meaning
    names = [f"r-{number}" for number in range(len(made.rules))]
    Random(seed).shuffle(names)
    renamed = replace(made, rules=tuple(replace(rule, id=name) for rule, name in zip(made.rules, names, strict=True)))
    found = compare_packs(made, renamed)
    assert found.is_same_meaning
    assert bool(found.rules) is bool(made.rules)
