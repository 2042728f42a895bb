"""
The oracle against answers worked out by hand, so that what the fast engine must agree with is itself right.

Every case of the tables is derived on paper from the laws, the arithmetic beside it; `T` is a submission.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings

from policy_engine.core.periods import DAY, HOUR, MINUTE
from policy_engine.core.rule_model import OperationWindow, RulePack
from policy_engine.core.vocabulary import (
    FACTS,
    FINDING_COLUMNS,
    OPERATION_VERDICTS,
    REASONS,
    VERDICTS,
    StorageLocation,
)
from tests.support.oracle import DETERMINED, conflicts, in_force, judge, readings, split_points
from tests.support.strategies import (
    BASE,
    RECORDED,
    asset,
    output,
    pack,
    packs,
    rule,
    service,
    ten_rules,
    timetable,
    version,
    worlds,
)

T = BASE
PLATFORM, VENDOR = StorageLocation.PLATFORM, StorageLocation.VENDOR_CDN


def ask(made: RulePack, subject: dict[str, Any], as_of: int, known_on: date | None = None) -> dict[str, Any]:
    """Judge with the horizons of the bundled pack: a day, and an hour for operations."""
    return judge(made, subject, as_of=as_of, horizon=DAY, operation_horizon=HOUR, known_on=known_on)


def expect(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """The finding has the expected values; columns not named are not asked about."""
    assert {column: found[column] for column in expected} == expected


TEN_RULES = {
    "a day after creation a file kept for three days has two days left": (
        asset("flux", T, T),
        T + DAY,
        {
            "verdict": "active",
            "expires_earliest": T + 3 * DAY,
            "expires_latest": T + 3 * DAY,
            "seconds_left": 2 * 86_400,
            "rule_id": "flux",
            "rule_version": 1,
            "basis": "published",
            "storage": "platform",
            "reason": "",
            "possibly_past": False,
            "evidence": "none",
            "operations": None,
            "operation_verdict": "none",
            "operation_closes_earliest": None,
        },
    ),
    "a nanosecond before the horizon it is active": (
        asset("flux", T, T),
        T + 2 * DAY - 1,
        {"verdict": "active", "seconds_left": 86_400},
    ),
    "exactly the horizon before the deadline it is at risk": (
        asset("flux", T, T),
        T + 2 * DAY,
        {"verdict": "at_risk", "seconds_left": 86_400, "possibly_past": False},
    ),
    "a nanosecond before the deadline it is at risk, with no whole second left": (
        asset("flux", T, T),
        T + 3 * DAY - 1,
        {"verdict": "at_risk", "seconds_left": 0, "possibly_past": False},
    ),
    "exactly at the deadline it has expired": (
        asset("flux", T, T),
        T + 3 * DAY,
        {"verdict": "expired", "seconds_left": 0, "possibly_past": False},
    ),
    "a nanosecond after the deadline the first second after it has begun": (
        asset("flux", T, T),
        T + 3 * DAY + 1,
        {"verdict": "expired", "seconds_left": -1},
    ),
    # S + 3d is over, F + 3d = T + 3d 2h is not: the readings disagree and the truth is open.
    "between the deadlines of the two readings it is possibly past": (
        asset("flux", T, T + 2 * HOUR),
        T + 3 * DAY + HOUR,
        {
            "verdict": "at_risk",
            "possibly_past": True,
            "expires_earliest": T + 3 * DAY,
            "expires_latest": T + 3 * DAY + 2 * HOUR,
            "seconds_left": -3_600,
            "reason": "readings_differ",
        },
    ),
    "both readings may agree on the verdict although they differ on the deadline": (
        asset("flux", T, T + 2 * HOUR),
        T + 2 * DAY + 2 * HOUR,
        {"verdict": "at_risk", "possibly_past": False, "reason": ""},
    ),
    "at the later deadline both readings are over": (
        asset("flux", T, T + 2 * HOUR),
        T + 3 * DAY + 2 * HOUR,
        {"verdict": "expired", "possibly_past": False, "reason": ""},
    ),
    # The finish is within [T, T + 1d], the longest task being a day.
    "an unknown finish is bounded by the longest task": (
        asset("flux", T),
        T + 3 * DAY + 12 * HOUR,
        {
            "verdict": "at_risk",
            "possibly_past": True,
            "expires_earliest": T + 3 * DAY,
            "expires_latest": T + 4 * DAY,
            "reason": "completion_unknown",
        },
    ),
    "the least of the other bounds counts when it is lower": (
        asset("flux", T, completion_bounds=[T + 2 * HOUR, T + 10 * MINUTE]),
        T + 3 * DAY + 10 * MINUTE,
        {"verdict": "expired", "expires_latest": T + 3 * DAY + 10 * MINUTE, "reason": "completion_unknown"},
    ),
    "a bound later than the longest task does not count": (
        asset("flux", T, completion_bounds=[T + 2 * DAY]),
        T + DAY,
        {"verdict": "active", "expires_latest": T + 4 * DAY},
    ),
    "a bound before the submission leaves the submission, and is reported": (
        asset("flux", T, completion_bounds=[T - 1]),
        T + 3 * DAY,
        {"verdict": "expired", "expires_latest": T + 3 * DAY, "reason": "completion_unknown;times_inverted"},
    ),
    # The submission is within [T - 1d, T].
    "an unknown submission is bounded by the longest task before the finish": (
        asset("flux", None, T),
        T + DAY,
        {
            "verdict": "at_risk",
            "expires_earliest": T + 2 * DAY,
            "expires_latest": T + 3 * DAY,
            "reason": "submission_unknown",
        },
    ),
    "an inverted pair is put in order and reported": (
        asset("flux", T, T - HOUR),
        T,
        {
            "verdict": "active",
            "expires_earliest": T + 3 * DAY - HOUR,
            "expires_latest": T + 3 * DAY,
            "reason": "times_inverted",
        },
    ),
    "a deadline without a clock is undetermined, but who holds the file is known": (
        asset("flux", host_owner="platform"),
        T,
        {
            "verdict": "undetermined",
            "reason": "no_clock",
            "storage": "platform",
            "evidence": "agrees",
            "rule_id": None,
            "basis": None,
            "expires_earliest": None,
            "expires_latest": None,
            "seconds_left": None,
        },
    ),
    "the vendor's terms need no clock": (
        asset("luma"),
        T,
        {"verdict": "vendor_cdn", "reason": "", "rule_id": "luma", "storage": "vendor_cdn"},
    ),
    # Both accounts keep for three days; the window of pay-as-you-go closes at T + 3h, the other at T + 3d.
    # All windows are dated, so the law of deadlines holds: T + 3h - 1h <= T + 12h < T + 3d is closing, not
    # undetermined. Both rules give the same deadline of storage, so the least id names it.
    "twelve hours on, Midjourney of unknown account is certainly kept, and its window is closing": (
        asset("midjourney", T, T),
        T + 12 * HOUR,
        {
            "verdict": "active",
            "expires_earliest": T + 3 * DAY,
            "expires_latest": T + 3 * DAY,
            "rule_id": "midjourney-own-account",
            "reason": "account_unknown",
            "operation_verdict": "closing",
            "operation_closes_earliest": T + 3 * HOUR,
            "operation_closes_latest": T + 3 * DAY,
            "operation_rule_id": "midjourney-payg",
            "operation_rule_version": 1,
            "operations": "upscale;variation",
        },
    ),
    "a nanosecond before the least window's horizon it is open for both accounts": (
        asset("midjourney", T, T),
        T + 2 * HOUR - 1,
        {"operation_verdict": "open", "reason": "account_unknown"},
    ),
    "a window is closing an hour ahead": (
        asset("midjourney", T, T, account="pay_as_you_go"),
        T + 2 * HOUR,
        {"operation_verdict": "closing", "verdict": "active", "reason": ""},
    ),
    "a window is closed at its very end": (
        asset("midjourney", T, T, account="pay_as_you_go"),
        T + 3 * HOUR,
        {"operation_verdict": "closed", "operation_closes_latest": T + 3 * HOUR, "verdict": "active"},
    ),
    "windows make the readings differ too": (
        asset("midjourney", T, T + HOUR, account="pay_as_you_go"),
        T + 3 * HOUR,
        {"operation_verdict": "closing", "verdict": "active", "reason": "readings_differ"},
    ),
    "an account that there is not is an unknown one": (
        asset("midjourney", T, T, account="reseller"),
        T,
        {
            "verdict": "active",
            "reason": "account_unknown",
            "operation_verdict": "open",
            "operation_closes_earliest": T + 3 * HOUR,
            "operation_closes_latest": T + 3 * DAY,
        },
    ),
    # True says the vendor's terms, false says T + 3d: mixed, so nothing certain, but the date is shown.
    "Kling of unknown watermark is undetermined, with the date it may be over": (
        asset("kling", T, T, host_owner="platform"),
        T + 4 * DAY,
        {
            "verdict": "undetermined",
            "possibly_past": False,
            "expires_earliest": T + 3 * DAY,
            "expires_latest": None,
            "seconds_left": -86_400,
            "rule_id": "kling-clean",
            "storage": None,
            "evidence": "none",
            "reason": "watermarked_unknown",
        },
    ),
    "a vendor's file at the vendor's host agrees": (
        asset("kling", T, T, watermarked="true", host_owner="vendor"),
        T,
        {"verdict": "vendor_cdn", "rule_id": "kling-watermarked", "evidence": "agrees", "reason": ""},
    ),
    "a vendor's file at a host of the platform conflicts": (
        asset("kling", T, T, watermarked="true", host_owner="platform"),
        T,
        {"verdict": "vendor_cdn", "evidence": "conflicts"},
    ),
    "the platform's file at a vendor's host conflicts": (
        asset("kling", T, T, watermarked="false", host_owner="vendor"),
        T,
        {"verdict": "active", "evidence": "conflicts"},
    ),
    "an expected file is evidence of nothing else": (
        asset("kling", T, T, watermarked="true", expected=True),
        T,
        {"verdict": "vendor_cdn", "evidence": "expected"},
    ),
    "a window needs a clock although the vendor's terms do not": (
        asset("suno"),
        T,
        {
            "verdict": "vendor_cdn",
            "operation_verdict": "undetermined",
            "operations": "extend",
            "operation_rule_id": None,
            "operation_closes_earliest": None,
            "reason": "no_clock",
        },
    ),
    # The finish may be as late as T + 1d, so the window as late as T + 4d.
    "the clock of a window has the same bounds": (
        asset("suno", T),
        T,
        {
            "operation_verdict": "open",
            "operation_closes_earliest": T + 3 * DAY,
            "operation_closes_latest": T + 4 * DAY,
            "reason": "completion_unknown",
        },
    ),
    "a service without a published rule is ungoverned, and its clock does not matter": (
        asset("udio", T),
        T,
        {"verdict": "ungoverned", "reason": "no_published_rule", "operation_verdict": "none"},
    ),
    "an unknown service is undetermined in everything": (
        asset("somebody/else-7b", T, T, host_owner="platform", facts_conflict=True),
        T + 9 * DAY,
        {
            "verdict": "undetermined",
            "operation_verdict": "undetermined",
            "reason": "unknown_service;facts_conflict",
            "expires_earliest": None,
            "storage": None,
            "operations": None,
            "evidence": "none",
        },
    ),
    "keys that disagree are said": (
        asset("flux", T, T, facts_conflict=True),
        T,
        {"verdict": "active", "reason": "facts_conflict"},
    ),
}


@pytest.mark.parametrize(("subject", "as_of", "expected"), TEN_RULES.values(), ids=TEN_RULES)
def test_ten_rules(subject: dict[str, Any], as_of: int, expected: dict[str, Any]) -> None:
    """
    The published rules give the answers that a person gets from the laws with pen and paper.

    The most instructive case: twelve hours after creation, Midjourney of unknown account has a certain deadline (both
    accounts keep three days) and a `closing` window: each admissible one is dated (3 hours, 3 days).
    """
    expect(ask(ten_rules(), subject, as_of), expected)


CHANGED = T + 10 * DAY
"""From here on version 2 stands."""


def changing(*later: Any, first_from: int | None = None) -> RulePack:
    """One service and one rule: three days on the platform at first, then the versions given."""
    first = version(1, {}, storage=PLATFORM, retention=3 * DAY, effective_from=first_from)
    return pack([service("alpha", output("video"))], [rule("keep", first, *later)])


SHORTER = version(2, {}, storage=PLATFORM, retention=DAY, effective_from=CHANGED, recorded_on=RECORDED[1])
WITHDRAWN = version(2, effective_from=CHANGED, withdrawn=True)
VERSIONS = {
    # Submitted under version 1: until CHANGED - 1ns + 3d; finished under version 2: until CHANGED + 1d.
    "each reading has its own version": (
        changing(SHORTER),
        asset("alpha", CHANGED - 1, CHANGED),
        CHANGED,
        {
            "expires_earliest": CHANGED + DAY,
            "expires_latest": CHANGED - 1 + 3 * DAY,
            "rule_id": "keep",
            "rule_version": 2,
        },
    ),
    # [C - 12h, C) under version 1 gives up to C - 1ns + 3d; [C, C + 12h] under version 2 gives from C + 1d.
    "a stretch of possible instants is judged on both sides of a change": (
        changing(SHORTER),
        asset("alpha", CHANGED - 12 * HOUR),
        CHANGED,
        {
            "verdict": "at_risk",
            "expires_earliest": CHANGED + DAY,
            "expires_latest": CHANGED + 3 * DAY - 1,
            "rule_version": 2,
            "reason": "completion_unknown",
        },
    ),
    "a stretch that ends a nanosecond before the change is not affected by it": (
        changing(SHORTER),
        asset("alpha", CHANGED - HOUR, completion_bounds=[CHANGED - 1]),
        CHANGED,
        {
            "verdict": "active",
            "expires_earliest": CHANGED - HOUR + 3 * DAY,
            "expires_latest": CHANGED - 1 + 3 * DAY,
            "rule_version": 1,
        },
    ),
    "the two points are all there is when both readings are known": (
        changing(
            version(2, effective_from=T + HOUR, withdrawn=True),
            version(3, {}, storage=PLATFORM, retention=3 * DAY, effective_from=T + 2 * HOUR),
        ),
        asset("alpha", T, T + 2 * HOUR),
        T,
        {"verdict": "active", "expires_latest": T + 3 * DAY + 2 * HOUR, "rule_version": 1},
    ),
    # Submitted under the rule, finished without one: a date and "no rule" are not one answer.
    "a rule that ends between the readings leaves the answer open": (
        changing(WITHDRAWN),
        asset("alpha", CHANGED - 1, CHANGED),
        CHANGED,
        {
            "verdict": "undetermined",
            "expires_earliest": CHANGED - 1 + 3 * DAY,
            "expires_latest": None,
            "rule_version": 1,
            "storage": None,
            "reason": "readings_differ",
        },
    ),
    "after the end of a rule there is none": (
        changing(WITHDRAWN),
        asset("alpha", CHANGED, CHANGED),
        CHANGED,
        {"verdict": "ungoverned", "reason": "no_rule_in_force"},
    ),
    "without a clock a rule that was once in force is enough for doubt": (
        changing(WITHDRAWN),
        asset("alpha"),
        CHANGED,
        {"verdict": "undetermined", "reason": "no_clock", "storage": None, "expires_earliest": None},
    ),
    "a rule reaches back no further than its first date": (
        changing(first_from=T),
        asset("alpha", T - 1, T - 1),
        T,
        {"verdict": "ungoverned", "reason": "no_rule_in_force"},
    ),
    "a later version rewrites everything from its date on, even before that of an earlier one": (
        changing(SHORTER, version(3, {}, storage=PLATFORM, retention=2 * DAY, effective_from=T)),
        asset("alpha", CHANGED, CHANGED),
        CHANGED,
        {"expires_latest": CHANGED + 2 * DAY, "rule_version": 3},
    ),
}


@pytest.mark.parametrize(("made", "subject", "as_of", "expected"), VERSIONS.values(), ids=VERSIONS)
def test_versions_in_time(made: RulePack, subject: dict[str, Any], as_of: int, expected: dict[str, Any]) -> None:
    """
    The version in force at creation decides, for each instant that may be the creation.
    """
    expect(ask(made, subject, as_of), expected)


def test_known_on() -> None:
    """
    On a day before a version was recorded, the answer is the one that was given then.
    """
    made, subject = changing(SHORTER), asset("alpha", CHANGED, CHANGED)
    assert ask(made, subject, CHANGED, RECORDED[0])["expires_latest"] == CHANGED + 3 * DAY
    assert ask(made, subject, CHANGED, RECORDED[1])["expires_latest"] == CHANGED + DAY
    assert ask(made, subject, CHANGED, date(2020, 1, 1))["verdict"] == "ungoverned"


def test_vendor_with_a_period() -> None:
    """
    A vendor who states a period gives a date like any other, in the vendor's hands.
    """
    made = pack([service("alpha")], [rule("keep", version(1, storage=VENDOR, retention=DAY))])
    found = ask(made, asset("alpha", T, T), T)
    expect(found, {"verdict": "at_risk", "storage": "vendor_cdn", "expires_latest": T + DAY})


def test_two_storages_with_dates() -> None:
    """
    All dated is certain about the dates even where it is open who holds the file.
    """
    rules = [
        rule("clean", version(1, {"watermarked": ["false"]}, storage=PLATFORM, retention=3 * DAY)),
        rule("marked", version(1, {"watermarked": ["true"]}, storage=VENDOR, retention=2 * DAY)),
    ]
    found = ask(pack([service("alpha")], rules), asset("alpha", T, T, host_owner="vendor"), T)
    expect(
        found,
        {
            "verdict": "active",
            "storage": None,
            "evidence": "none",
            "rule_id": "marked",
            "expires_earliest": T + 2 * DAY,
            "expires_latest": T + 3 * DAY,
            "reason": "watermarked_unknown",
        },
    )


def test_unknown_role_may_be_another() -> None:
    """
    An unknown fact may be a value that no rule names, and only facts that matter are named.

    A role that the service does not have is as unknown as none: the list of roles is closed.
    """
    services = [service("alpha", output("video", role="main"), task_types=("draw",))]
    made = pack(services, [rule("keep", version(1, {"role": ["main"]}, storage=PLATFORM, retention=DAY))])
    found = ask(made, asset("alpha", T, T), T)
    expect(found, {"verdict": "undetermined", "reason": "role_unknown", "rule_id": "keep"})
    assert ask(made, asset("alpha", T, T, role="poster"), T) == found
    assert ask(made, asset("alpha", T, T, role="main"), T)["verdict"] == "at_risk"
    assert ask(made, asset("alpha", T, T, role="unlisted"), T)["verdict"] == "ungoverned"


def test_known_values_outside_the_domain() -> None:
    """
    A task type that the service does not have counts as another one, although a rule of other services names it.

    So no asset can meet two rules that no complete profile of its service meets.
    """
    services = [service("alpha", output("video")), service("bravo", output("video"), task_types=("film",))]
    films = rule("films", version(1, {"task_type": ["film"]}, storage=PLATFORM, retention=DAY))
    alpha = rule("alpha", version(1, {"service": ["alpha"]}, storage=VENDOR))
    made = pack(services, [films, alpha])
    assert not conflicts(made)
    expect(ask(made, asset("alpha", T, T, task_type="film"), T), {"verdict": "vendor_cdn", "reason": ""})
    expect(ask(made, asset("bravo", T, T, task_type="film"), T), {"verdict": "at_risk", "rule_id": "films"})


def test_several_windows() -> None:
    """
    The windows of several rules are judged together: earliest and latest are over all of them.
    """
    rules = [
        rule("a", version(1, window=OperationWindow(("remix",), 3 * DAY))),
        rule("b", version(1, window=OperationWindow(("extend",), HOUR))),
    ]
    made = pack([service("alpha", operations=("extend", "remix", "upscale"))], rules)
    expect(
        ask(made, asset("alpha", T, T), T),
        {
            "verdict": "ungoverned",
            "reason": "no_rule_in_force",
            "operation_verdict": "closing",
            "operation_closes_earliest": T + HOUR,
            "operation_closes_latest": T + 3 * DAY,
            "operation_rule_id": "b",
            "operations": "extend;remix",
        },
    )


def test_windows_without_follow_ups() -> None:
    """
    A window says nothing of a service that has no follow-up operations, not even that the clock matters.
    """
    made = pack([service("alpha")], [rule("a", version(1, window=OperationWindow(("remix",), DAY)))])
    found = ask(made, asset("alpha", T), T)
    expect(found, {"operation_verdict": "none", "operations": None, "reason": "no_rule_in_force"})


@given(worlds(assets=10))
def test_findings_speak_the_documented_words(world: Any) -> None:
    """
    Whatever the world, a finding has documented verdicts and reasons, and its dates are in order.
    """
    for subject in world.assets:
        found = judge(world.pack, subject, **world.question)
        assert tuple(found) == DETERMINED
        assert set(found) < set(FINDING_COLUMNS)
        assert found["verdict"] in VERDICTS
        assert found["operation_verdict"] in OPERATION_VERDICTS
        assert set(found["reason"].split(";")) <= {"", *REASONS}
        for least, greatest in (
            ("expires_earliest", "expires_latest"),
            ("operation_closes_earliest", "operation_closes_latest"),
        ):
            assert found[greatest] is None or found[least] <= found[greatest]
        dated = found["verdict"] in ("active", "at_risk", "expired")
        assert dated == (found["expires_latest"] is not None)
        assert (found["rule_id"] is None) == (found["basis"] is None)


@given(worlds(assets=5))
def test_stretches_are_covered(world: Any) -> None:
    """
    The pieces of a stretch of possible instants follow one another without gap or overlap.
    """
    for subject in world.assets:
        creation = readings(world.pack, subject)
        assert all(first <= last for first, last in creation.pieces)
        if (subject["created"] is None) != (subject["completed"] is None):
            for (_, last), (first, _) in zip(creation.pieces, creation.pieces[1:], strict=False):
                assert first == last + 1


@settings(max_examples=max(10, settings.default.max_examples // 10))
@given(packs())
def test_packs_have_no_conflicts(made: RulePack) -> None:
    """
    No pack made for a test of agreement has a conflict on any day, by trying every profile at every instant.
    """
    assert not [found for day in (None, *RECORDED) for found in conflicts(made, day)]


@given(packs(conflicts_allowed=True))
def test_timetables_replay_like_the_oracle(made: RulePack) -> None:
    """
    The makers of packs replay versions to the same result as the oracle.
    """
    for each in made.rules:
        for (day, instant), standing in timetable(each.versions).items():
            assert in_force(each, instant, day) == standing


def test_conflicts() -> None:
    """
    Two rules conflict from the first instant at which both apply to one thing for one complete profile.
    """
    clean = version(1, {"watermarked": ["false"]}, storage=PLATFORM, retention=DAY)
    every = version(1, {}, storage=PLATFORM, retention=DAY, effective_from=CHANGED)
    services = [service("alpha")]
    (found,) = conflicts(pack(services, [rule("every", every), rule("clean", clean)]))
    assert found[:4] == ("storage", ("clean", 1), ("every", 1), CHANGED)
    assert set(found.profile) == set(FACTS)
    assert found.profile["watermarked"] == "false"
    marked = version(1, {"watermarked": ["true"]}, storage=PLATFORM, retention=DAY)
    assert not conflicts(pack(services, [rule("marked", marked), rule("clean", clean)]))


def test_conflicts_of_operations() -> None:
    """
    Rules on storage and on operations do not meet, and two windows meet only where they name one operation.
    """
    keeps = rule("keeps", version(1, storage=PLATFORM, retention=DAY))
    remix = rule("remix", version(1, window=OperationWindow(("remix",), DAY)))
    extend = rule("extend", version(1, window=OperationWindow(("extend",), DAY)))
    both = rule("both", version(1, window=OperationWindow(("extend", "remix"), HOUR)))
    services = [service("alpha", operations=("extend", "remix"))]
    assert not conflicts(pack(services, [keeps, remix, extend]))
    found = conflicts(pack(services, [keeps, both, extend]))
    assert [(each.about, each.first, each.second, each.since) for each in found] == [
        ("operation:extend", ("both", 1), ("extend", 1), None)
    ]


@pytest.mark.parametrize(
    ("points", "assets", "shares"),
    [(10, 4, [4, 2, 2, 2]), (3, 4, [3, 0, 0, 0]), (8, 4, [2] * 4), (5, 1, [5])],
)
def test_split_points(points: int, assets: int, shares: list[int]) -> None:
    """
    The points of a task are shared equally, its first asset takes the remainder, and they add up.
    """
    assert split_points(points, assets) == shares
    assert sum(shares) == points
