"""
The fast engine agrees with the oracle, on random worlds and at every boundary, and keeps the laws of judging.

| Compared | Over |
|---|---|
| every determined column, engine and oracle | random packs, assets and questions |
| the same, and the boundary said in words | each version of the bundled rules, a nanosecond before, at and after |
| engine with itself | later `as_of`, facts no rule names, pieces, other orders of rows, absent columns |
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from policy_engine.core.periods import DAY, HOUR, format_instant
from policy_engine.core.rule_model import OperationWindow, Rule, RulePack, RuleVersion
from policy_engine.core.vocabulary import FINDING_COLUMNS, StorageLocation
from policy_engine.engine.evaluation import evaluate
from policy_engine.packs import read_pack
from tests.support.agreement import (
    FLAG_COLUMNS,
    INSTANT_COLUMNS,
    TEXT_COLUMNS,
    ask,
    assert_agreement,
    frame_of,
    instants,
    plain,
    rows,
    timestamp,
)
from tests.support.oracle import DETERMINED, conflicts, cuts, domain, in_force, service_of
from tests.support.strategies import (
    BASE,
    SELECTABLE,
    STRANGERS,
    Asset,
    World,
    around,
    asset,
    described,
    mentioned_facts,
    pack,
    rule,
    service,
    ten_rules,
    version,
    worlds,
)

ASSETS = 50
"""Assets of one random world: with the 400 worlds of the `ci` profile, 20,000 decisions."""

UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""Shrinking a whole world takes minutes; `assert_agreement` finds the one asset and the rules that matter itself."""
LAWS = settings(max_examples=max(10, settings.default.max_examples // 8), phases=UNSHRUNK)
"""Each example of a law evaluates several frames, so there are fewer of them."""


# --- Agreement -------------------------------------------------------------------------------------------


def test_agreement_on_random_worlds() -> None:
    """
    On random packs, assets and questions the engine finds what the oracle finds, column by column.
    """
    decided = 0

    @settings(phases=UNSHRUNK)
    @given(worlds(assets=ASSETS))
    def agree(world: World) -> None:
        nonlocal decided
        decided += assert_agreement(world)

    agree()
    assert decided >= settings.default.max_examples * ASSETS


def test_ci_decides_enough() -> None:
    """
    The profile that guards every change compares at least twenty thousand decisions.
    """
    assert settings.get_profile("ci").max_examples * ASSETS >= 20_000


@pytest.fixture(scope="module")
def bundled() -> RulePack:
    """The rules that ship with the program."""
    return read_pack("piapi")


def test_bundled_pack_has_no_conflicts(bundled: RulePack) -> None:
    """
    No two bundled rules are in force for one complete profile at one instant, by trying them all.
    """
    assert not conflicts(bundled)


def with_deadlines(made: RulePack) -> list[tuple[Rule, RuleVersion]]:
    """Every version of a pack that states a period or a window."""
    return [(each, v) for each in made.rules for v in each.versions if v.retention is not None or v.operation_window]


def example_facts(made: RulePack, v: RuleVersion) -> list[Asset]:
    """For every service a version is about, complete facts that it matches."""
    conditions = v.selector.conditions
    found = []
    for each in made.catalog.services:
        facts: Asset = {}
        for fact in ("service", *SELECTABLE):
            possible = [value for value in domain(each, fact) if isinstance(value, str)]
            allowed = [value for value in possible if value in conditions.get(fact, possible)]
            # A service without task types has only unnamed ones.
            facts[fact] = allowed[0] if allowed else STRANGERS.get(fact)
            if fact in conditions and not allowed:
                break
        else:
            found.append(facts)
    return found


def instant_in_force(made: RulePack, one: Rule, v: RuleVersion) -> int | None:
    """The least instant near a date of the pack, or its publication, at which a version stands."""
    candidates = sorted([BASE, *around(cuts(made))])
    return next((instant for instant in candidates if in_force(one, instant, None) is v), None)


def boundaries(made: RulePack, v: RuleVersion, starts: Iterable[int]) -> set[int]:
    """Every instant at which the verdict or the operation verdict of an asset under a version may change."""
    due: set[int] = set()
    for start in starts:
        if v.retention is not None:
            due |= {start + v.retention, start + v.retention - made.horizon}
        if v.operation_window is not None:
            closing = start + v.operation_window.period
            due |= {closing, closing - made.operation_horizon}
    return due


def by_law(as_of: int, deadline: int, horizon: int, words: tuple[str, str, str]) -> str:
    """The boundary in words: `>=` at the deadline, and `>=` at the horizon before it."""
    before, near, past = words
    return past if as_of >= deadline else near if as_of >= deadline - horizon else before


@pytest.mark.slow
def test_every_boundary_of_the_bundled_pack(bundled: RulePack) -> None:
    """
    For every bundled version, a nanosecond before, at and after each boundary, the engine is exactly right.
    """
    by_start: dict[int, list[tuple[RuleVersion, Asset]]] = {}
    for one, v in with_deadlines(bundled):
        start = instant_in_force(bundled, one, v)
        facts = example_facts(bundled, v)
        assert facts, f"{one.id} v{v.number} is about no complete profile"
        if start is not None:
            by_start.setdefault(start, []).extend((v, each) for each in facts)
    assert by_start
    for start, subjects in by_start.items():
        finishes = (start, start + HOUR, None)
        ends = (start, start + HOUR, start + bundled.longest_task)
        due = set().union(*(boundaries(bundled, v, ends) for v, _ in subjects))
        assets = [asset(None, start, finish) | facts for finish in finishes for _, facts in subjects]
        for as_of in around(sorted(due)):
            world = World(bundled, assets, as_of, bundled.horizon, bundled.operation_horizon, None)
            assert_agreement(world)
            found = rows(ask(frame_of(assets[: len(subjects)]), world))
            for (v, _), row in zip(subjects, found, strict=True):
                if v.retention is not None:
                    words = ("active", "at_risk", "expired")
                    assert row["verdict"] == by_law(as_of, start + v.retention, bundled.horizon, words)
                if v.operation_window is not None:
                    words, closes = ("open", "closing", "closed"), start + v.operation_window.period
                    expected = by_law(as_of, closes, bundled.operation_horizon, words)
                    assert row["operation_verdict"] == expected


def test_every_effective_date_of_the_bundled_pack(bundled: RulePack) -> None:
    """
    A nanosecond before, at and after each date of the bundled rules, creation decides which version counts.
    """
    facts = [each for _, v in with_deadlines(bundled) for each in example_facts(bundled, v)]
    assets = [
        asset(None, start, finish) | each
        for start in around(cuts(bundled) or [BASE])
        for finish in (start, start + 1, None)
        for each in facts
    ]
    as_of = max(each["created"] for each in assets) + DAY
    assert_agreement(World(bundled, assets, as_of, bundled.horizon, bundled.operation_horizon, None))


@pytest.mark.slow
@pytest.mark.parametrize("unknown", [(), ("account",), ("watermarked",), ("account", "role", "media", "task_type")])
def test_ten_rules_at_every_hour(unknown: tuple[str, ...]) -> None:
    """
    The published rules, hour by hour from creation until all is over, with facts known and unknown.
    """
    made = ten_rules()
    facts = [each for one in made.rules for v in one.versions for each in example_facts(made, v)]
    known = [each | dict.fromkeys(unknown) for each in facts]
    clocks = [(BASE, BASE + HOUR), (BASE, None), (None, BASE), (None, None), (BASE + HOUR, BASE)]
    assets = [asset(None, *clock) | each for each in known for clock in clocks]
    for hours in range(-1, 5 * 24, 5):
        assert_agreement(World(made, assets, BASE + hours * HOUR, DAY, HOUR, None))


def test_a_value_of_another_service() -> None:
    """
    A task type that its service does not have meets no rule, so a pack without conflicts is never refused over data.
    """
    services = [service("alpha"), service("bravo", task_types=("film",))]
    storage = {"storage": StorageLocation.PLATFORM, "retention": DAY}
    rules = [
        rule("films", version(1, {"task_type": ["film"]}, **storage)),
        rule("alpha", version(1, {"service": ["alpha"]}, **storage)),
    ]
    assets = [asset(each, BASE, BASE, task_type="film") for each in ("alpha", "bravo")]
    assert_agreement(World(pack(services, rules), assets, BASE, DAY, HOUR, None))


def test_windows_without_follow_ups() -> None:
    """
    Where a service has no follow-ups its windows are `none`: the clock does not matter, the readings do not differ.
    """
    window = OperationWindow(("extend",), DAY)
    made = pack([service("alpha")], [rule("all", version(1, window=window))])
    assets = [asset("alpha", BASE), asset("alpha", BASE, BASE + HOUR), asset("alpha")]
    assert_agreement(World(made, assets, BASE + DAY, DAY, HOUR, None))


# --- Laws ------------------------------------------------------------------------------------------------

STORAGE_ORDER = {"active": 0, "at_risk": 1, "expired": 2}
WINDOW_ORDER = {"open": 0, "closing": 1, "closed": 2}
TIMELESS = [
    name
    for name in DETERMINED
    if name not in ("verdict", "operation_verdict", "possibly_past", "seconds_left", "reason")
]


def never_goes_back(earlier: str, later: str, order: dict[str, int]) -> bool:
    """Verdicts with a deadline move forward in their order; the others stay what they are."""
    return order[earlier] <= order[later] if earlier in order and later in order else earlier == later


@LAWS
@given(worlds(assets=10))
def test_time_never_goes_back(world: World) -> None:
    """
    As `as_of` grows, an asset goes from active to at risk to expired and a window from open to closed, never back.
    """
    frame = frame_of(world.assets)
    now = ask(frame, world)
    dates = {
        value
        for name in (
            "expires_earliest",
            "expires_latest",
            "operation_closes_earliest",
            "operation_closes_latest",
        )
        for value in map(plain, now[name].tolist())
        if value is not None
    }
    turns = {turn - ahead for turn in dates for ahead in (0, world.horizon, world.operation_horizon)}
    moments = sorted({near for turn in turns for near in (turn - 1, turn)})[-12:]
    for earlier, later in pairwise(rows(ask(frame, world, as_of)) for as_of in [*moments, BASE + 400 * DAY]):
        for before, after in zip(earlier, later, strict=True):
            assert never_goes_back(before["verdict"], after["verdict"], STORAGE_ORDER)
            assert never_goes_back(before["operation_verdict"], after["operation_verdict"], WINDOW_ORDER)
            assert [before[name] for name in TIMELESS] == [after[name] for name in TIMELESS]


@LAWS
@given(worlds(assets=20), st.integers(0, 2))
def test_facts_that_no_rule_names_change_nothing(world: World, turn: int) -> None:
    """
    A fact that no selector names may be anything, known or unknown, and every finding stays as it was.
    """
    spare = [fact for fact in SELECTABLE if fact not in mentioned_facts(world.pack)]
    changed = []
    for subject in world.assets:
        own = service_of(world.pack, subject["service"])
        inside = [] if own is None else [value for fact in spare for value in domain(own, fact)[:1]]
        values = zip(spare, inside or [None] * len(spare), strict=True)
        other = {fact: (value if isinstance(value, str) else None) for fact, value in values}
        options = (dict.fromkeys(spare), other, {fact: STRANGERS.get(fact, "true") for fact in spare})
        changed.append(subject | options[turn])
    assert rows(ask(frame_of(changed), world)) == rows(ask(frame_of(world.assets), world))


@LAWS
@given(worlds(assets=20), st.lists(st.integers(0, 20), max_size=4))
def test_pieces_make_the_whole(world: World, ends: list[int]) -> None:
    """
    Evaluating a frame piece by piece gives, put together, what evaluating it whole gives, types included.
    """
    frame = frame_of(world.assets)
    whole = ask(frame, world)
    for start, end in pairwise([0, *sorted(ends), len(frame)]):
        piece = ask(frame.iloc[start:end], world)
        pd.testing.assert_frame_equal(piece, whole.iloc[start:end], check_categorical=False)


@LAWS
@given(worlds(assets=20), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(world: World, chance: Any) -> None:
    """
    Rows in another order give the same findings in that order, under whatever index they came with.
    """
    frame = frame_of(world.assets)
    order = list(range(len(frame)))
    chance.shuffle(order)
    shuffled = ask(frame.iloc[order], world)
    assert shuffled.index.tolist() == order
    pd.testing.assert_frame_equal(shuffled, ask(frame, world).iloc[order], check_categorical=False)
    labelled = frame.set_index(pd.Index(["same"] * len(frame), name="row"))
    assert ask(labelled, world).index.equals(labelled.index)


@LAWS
@given(worlds(assets=20), st.sets(st.sampled_from((*TEXT_COLUMNS[1:], *INSTANT_COLUMNS, *FLAG_COLUMNS))))
def test_absent_columns_are_unknown(world: World, absent: set[str]) -> None:
    """
    A column that is not there says what a column of missing values says.
    """
    frame = frame_of(world.assets)
    emptied = frame.copy()
    for name in absent:
        emptied[name] = False if name in FLAG_COLUMNS else instants([None] * len(frame))
        if name in TEXT_COLUMNS:
            emptied[name] = pd.Series([None] * len(frame), dtype="object")
    without = ask(frame.drop(columns=sorted(absent)), world)
    assert rows(without) == rows(ask(emptied, world))


@LAWS
@given(worlds(assets=20))
def test_types_of_text_do_not_matter(world: World) -> None:
    """
    Facts as plain objects, as strings of pandas or as categories give the same findings.
    """
    found = rows(ask(frame_of(world.assets), world))
    for dtype in ("str", "category"):
        assert rows(ask(frame_of(world.assets, dtype), world)) == found


@LAWS
@given(worlds(assets=5))
def test_evaluating_leaves_the_frame_as_it_was(world: World) -> None:
    """
    Judging changes nothing in the frame it is given, and gives the columns of the contract.
    """
    frame = frame_of(world.assets)
    kept = frame.copy(deep=True)
    found = ask(frame, world)
    pd.testing.assert_frame_equal(frame, kept)
    assert set(DETERMINED) <= set(found.columns) <= set(FINDING_COLUMNS)
    assert {plain(value) for value in found["as_of"].tolist()} == {world.as_of}


def test_an_empty_frame_has_no_findings() -> None:
    """
    No assets give no findings, in the same columns as any others.
    """
    frame, made = frame_of([asset("flux", BASE, BASE)]), ten_rules()
    none, one = (evaluate(each, made, as_of=timestamp(BASE)) for each in (frame.iloc[:0], frame))
    assert len(none) == 0
    assert none.columns.equals(one.columns)
    assert none.dtypes.astype(str).equals(one.dtypes.astype(str))


def test_one_instant_in_several_forms() -> None:
    """
    `as_of` may be a time of pandas, of Python, a text or a number; they mean the same instant.
    """
    frame, made = frame_of([asset("flux", BASE - 3 * DAY, BASE - 3 * DAY)]), ten_rules()
    forms = (timestamp(BASE), datetime(2026, 3, 1, tzinfo=UTC), format_instant(BASE), BASE)
    for form in forms:
        found = evaluate(frame, made, as_of=form)
        assert found["verdict"].tolist() == ["expired"], described(made)
        assert plain(found["as_of"].iloc[0]) == BASE
