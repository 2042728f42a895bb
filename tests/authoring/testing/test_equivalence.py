"""Promises of the proof that two packs answer alike: it agrees with brute force in both directions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from policy_engine.authoring.testing.equivalence import answers_anywhere, find_difference
from policy_engine.authoring.testing.mutants import make_mutants
from policy_engine.core.periods import DAY, HOUR, format_instant, parse_instant
from policy_engine.core.rule_model import OperationWindow, RulePack
from policy_engine.core.vocabulary import FACTS, StorageLocation
from tests.support import oracle
from tests.support.strategies import output, pack, packs, rule, service, version

KEPT: dict[str, Any] = {"storage": StorageLocation.PLATFORM, "retention": 3 * DAY}
APRIL = parse_instant("2026-04-01T00:00:00Z")


def everything_said(made: RulePack, dates: list[int], days: list[date | None]) -> list[object]:
    """What a pack says of every complete profile in every stretch of time on every day, by the slow oracle."""
    said: list[object] = []
    for day in days:
        for first, _ in oracle.pieces_of_all_time(dates):
            versions = [(one, oracle.in_force(one, first, day)) for one in made.rules]
            standing = [(one, found) for one, found in versions if found is not None]
            for one in made.catalog.services:
                for facts in oracle.completions(one, dict.fromkeys(FACTS) | {"service": one.id}):
                    kept = oracle.retention_answer(standing, facts)
                    windows = oracle.operation_answers(one, standing, facts)
                    least = min(((w.period, w.rule_id, w.version) for w in windows), default=None)
                    names = {name for w in windows for name in w.operations if name in one.operations}
                    said.append((kept, least, max((w.period for w in windows), default=None), names))
    return said


@given(made=packs(), choice=st.integers(0, 2**16))
def test_agrees_with_brute_force(made: RulePack, choice: int) -> None:
    """
    On mutants of random packs a difference is found exactly when brute force finds one among known facts.
    """
    mutants = [one for each in made.rules for one in make_mutants(each, made.catalog, True) if not one.clock]
    if not mutants:
        return
    mutant = mutants[choice % len(mutants)]
    changed = replace(made, rules=tuple(mutant.after if one.id == mutant.rule.id else one for one in made.rules))
    dates = sorted({*oracle.cuts(made), *oracle.cuts(changed)})
    days: list[date | None] = [None]
    days += sorted({one.recorded_on for each in (made, changed) for r in each.rules for one in r.versions})
    if any(oracle.conflicts(changed, day) for day in days):
        return
    witness = find_difference(made, changed, None)
    differs = everything_said(made, dates, days) != everything_said(changed, dates, days)
    assert (witness is not None) == differs, (mutant.change, witness)


def test_a_witness_says_which_file_and_when() -> None:
    """
    The witness names the facts that rules ask for and the instant from which on the answers differ.
    """
    film = service("film", output("file"), output("copy", role="copy"))
    old = pack(services=(film,), rules=(rule("one", version(1, {"service": ["film"], "role": ["copy"]}, **KEPT)),))
    second = version(2, {"service": ["film"], "role": ["copy"]}, effective_from=APRIL, **(KEPT | {"retention": DAY}))
    new = replace(old, rules=(replace(old.rules[0], versions=(*old.rules[0].versions, second)),))
    witness = find_difference(old, new, {"film"})
    assert str(witness) == f"service `film`, role `copy`, created at {format_instant(APRIL)}"


def test_windows_that_hide_each_other() -> None:
    """
    A window that no known fact shows, because another is as long, still decides on which fact an answer depends.
    """
    film = service("film", output("file"), task_types=("make", "cut"), operations=("extend",))
    long = version(1, {"service": ["film"]}, window=OperationWindow(("extend",), 3 * HOUR))
    # Names an operation of another service, so that no operation of this one shows it.
    other = version(1, {"service": ["film"], "task_type": ["cut"]}, window=OperationWindow(("sing",), 3 * HOUR))
    old = pack(services=(film,), rules=(rule("a", long), rule("b", other)))
    new = replace(old, rules=(old.rules[0],))
    assert find_difference(old, replace(new, rules=(*new.rules, rule("b", replace(other, withdrawn=True)))), None)


def test_a_version_that_never_answers() -> None:
    """
    A version replaced from its own beginning on, on the day it was recorded, answers nowhere.
    """
    film = service("film", output("file"))
    hidden = version(1, {"service": ["film"]}, effective_from=APRIL, **KEPT)
    later = replace(hidden, number=2, retention=DAY)
    made = pack(services=(film,), rules=(rule("one", hidden, later),))
    assert not answers_anywhere(made, "one", 1, None)
    assert answers_anywhere(made, "one", 2, None)


def test_versions_are_compared_by_name() -> None:
    """
    A version left out that changed no answer is no difference, though it moves the places of all after it.
    """
    film = service("film", output("file"))
    kept = version(1, {"service": ["film"]}, **KEPT)
    ended = rule("a", replace(kept, effective_from=APRIL), version(2, withdrawn=True), version(3, withdrawn=True))
    old = pack(services=(film,), rules=(ended, rule("b", kept)))
    new = replace(old, rules=(replace(ended, versions=ended.versions[:2]), old.rules[1]))
    days = {one.recorded_on for each in old.rules for one in each.versions}
    assert len(days) == 1
    assert find_difference(old, new, None) is None
