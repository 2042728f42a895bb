"""Replaying the versions of a rule into boxes agrees with brute force on random packs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from policy_engine.core.rule_model import RulePack
from policy_engine.packs.bitemporal import FOR_EVER, SINCE_EVER, replay
from tests.support.brute_force import days, standing, stretches
from tests.support.oracle import in_force
from tests.support.strategies import RECORDED, packs


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
