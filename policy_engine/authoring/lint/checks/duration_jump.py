"""
`duration-jump`: a period that is another by a factor of eight or more from what stands beside it.

A unit written wrong makes `PT3H` of `P3D`. A retention period or an operation window is compared with the version of
the rule that is in force just before, and with its siblings: what the other rules say of the same service, or, where
fewer than two of them do, what all other rules of the pack say, with their last versions. Windows are siblings when
they are about an operation in common. Siblings speak only when there
are two of them at least and the period is that far from every one. Eight is a day against three hours; what the
pages really say can be accepted in a baseline. This is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, count
from policy_engine.authoring.lint.wording import kind_of_file, some_instant
from policy_engine.core.periods import describe_duration, format_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import RuleVersion
from policy_engine.packs.bitemporal import FOR_EVER, VersionBox
from policy_engine.packs.rule_space import RuleSpace

FACTOR = 8
"""How many times longer or shorter a period must be to be called a jump."""


def _window(version: RuleVersion) -> int | None:
    return version.operation_window.period if version.operation_window is not None else None


_SUBJECTS: dict[str, tuple[str, Callable[[RuleVersion], int | None]]] = {
    "retention": ("keeps files", lambda version: version.retention),
    "operation_window": ("accepts operations", _window),
}
"""Key of a version -> words for it, and its period."""


class _Rival(NamedTuple):
    """What a period is compared with."""

    box: VersionBox
    words: str


def check(question: LintQuestion) -> CheckResult:
    """Find each period that jumps against the version before it, or against all of its siblings."""
    space = question.space
    problems = []
    compared = 0
    for key, (_, period) in _SUBJECTS.items():
        lasting = [
            box for box in space.boxes if box.is_current and box.times.created_until == FOR_EVER and period(box.version)
        ]
        groups = _by_service(space, lasting)
        for history in space.histories.values():
            current = sorted((box for box in history.boxes if box.is_current), key=lambda box: box.times.created_from)
            for before, box in zip([None, *current], current, strict=False):
                if not period(box.version):
                    continue
                compared += 1
                rival = _before(before, box, period)
                if rival is None and box.times.created_until == FOR_EVER:
                    rival = _siblings(box, groups, lasting, period)
                if rival is not None:
                    problems.append(_problem(space, box, rival, key))
    covered = f"{count(compared, 'period')} against the version before and the siblings, factor {FACTOR}"
    return CheckResult(tuple(sorted(problems, key=Problem.sort_key)), covered)


def _is_jump(one: int, two: int) -> bool:
    return max(one, two) >= FACTOR * min(one, two)


def _is_alike(one: RuleVersion, two: RuleVersion, period: Callable[[RuleVersion], int | None]) -> bool:
    """Windows are compared when they are about an operation in common."""
    if period is not _window or one.operation_window is None or two.operation_window is None:
        return True
    return not set(one.operation_window.operations).isdisjoint(two.operation_window.operations)


def _before(before: VersionBox | None, box: VersionBox, period: Callable[[RuleVersion], int | None]) -> _Rival | None:
    """The version in force just before, when the period jumps against it."""
    if before is None or before.times.created_until != box.times.created_from:
        return None
    mine, theirs = period(box.version), period(before.version)
    if not mine or not theirs or not _is_jump(mine, theirs):
        return None
    return _Rival(before, f"v{before.version.number} before it")


def _by_service(space: RuleSpace, boxes: Sequence[VersionBox]) -> dict[str | None, list[VersionBox]]:
    """Service -> boxes about it; None for those about all services."""
    groups: dict[str | None, list[VersionBox]] = {}
    for box in boxes:
        named = box.version.selector.conditions.get("service")
        for service in (None,) if named is None else sorted(named):
            groups.setdefault(service, []).append(box)
    return groups


def _siblings(
    box: VersionBox,
    groups: dict[str | None, list[VersionBox]],
    everyone: Sequence[VersionBox],
    period: Callable[[RuleVersion], int | None],
) -> _Rival | None:
    """The nearest of the siblings, when the period jumps against every one of them."""
    mine = period(box.version) or 0
    named = box.version.selector.conditions.get("service")
    near = everyone
    if named is not None:
        own = {id(other): other for service in (*sorted(named), None) for other in groups.get(service, ())}
        alike = [other for other in own.values() if _is_alike(box.version, other.version, period)]
        if sum(other.rule is not box.rule for other in alike) >= 2:
            near = alike
    siblings = 0
    nearest: tuple[float, str, VersionBox] | None = None
    for other in near:
        theirs = period(other.version)
        if other.rule is box.rule or not theirs or not _is_alike(box.version, other.version, period):
            continue
        if not _is_jump(mine, theirs):
            return None
        siblings += 1
        distance = (max(mine, theirs) / min(mine, theirs), other.rule.id, other)
        if nearest is None or distance[:2] < nearest[:2]:
            nearest = distance
    if nearest is None or siblings < 2:
        return None
    return _Rival(nearest[2], f"{nearest[2].shown}, the nearest of {siblings} siblings")


def _problem(space: RuleSpace, box: VersionBox, rival: _Rival, key: str) -> Problem:
    words, period = _SUBJECTS[key]
    mine, theirs = period(box.version) or 0, period(rival.box.version) or 0
    times = max(mine, theirs) // min(mine, theirs)
    far = "longer" if mine > theirs else "shorter"
    profile = space.profile(box.version)
    instant = some_instant(box.times.created_from, box.times.created_until, box.version.recorded_on)
    related = rival.box.version.place(key)
    file = kind_of_file(profile) if profile is not None else "no file"
    return Problem(
        "duration-jump",
        f"`{box.rule.id}` v{box.version.number} {words} for {describe_duration(mine)}, {times} times {far} than "
        f"{describe_duration(theirs)} of {rival.words}",
        box.version.place(key),
        severity="warning",
        help="look whether the unit is right; if the page says so, accept this in a baseline",
        related=(related,) if related is not None else (),
        witness=f"{file}, created {format_instant(instant)}: {describe_duration(mine)}, "
        f"until {format_instant(instant + mine)}",
        about=(box.name, key),
    )
