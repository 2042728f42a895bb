"""
`duration-jump`: a period that differs from comparable ones by a factor of eight or more.

A wrong unit turns `P3D` into `PT3H`. A retention period or an operation window is compared with the version of its rule
in force just before it, and with its siblings: the last versions of other rules about the same service or, if fewer
than two of them give a period, of all other rules of the pack. Windows are siblings if they share an operation. A
period jumps against its siblings only if there are at least two and it is that far from every one of them. Eight is a
day against three hours; if the page really says so, accept the problem in a baseline. This is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, related
from policy_engine.authoring.lint.witness import example_instant, kind_of_file
from policy_engine.core.periods import describe_duration, format_instant
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import RuleVersion
from policy_engine.core.text.wording import count_of
from policy_engine.packs.bitemporal import FOR_EVER, VersionBox
from policy_engine.packs.rule_space import RuleSpace

FACTOR = 8
"""A period is a jump if it is at least this many times longer or shorter than another."""


class _Subject(NamedTuple):
    """A kind of period."""

    key: str
    """Key of a version."""
    verb: str
    period: Callable[[RuleVersion], int | None]
    """The period of a version, in ns."""


def _window(version: RuleVersion) -> int | None:
    return version.operation_window.period if version.operation_window is not None else None


_SUBJECTS = (
    _Subject("retention", "keeps files", lambda version: version.retention),
    _Subject("operation_window", "accepts operations", _window),
)


class _Rival(NamedTuple):
    """What a period is compared with."""

    box: VersionBox
    words: str


def check(question: LintQuestion) -> CheckResult:
    """Find each period that jumps against the version before it, or against all of its siblings."""
    compared = 0
    problems = []
    for subject in _SUBJECTS:
        siblings = _Siblings(question.space, subject)
        for before, box in _successions(question.space):
            if not subject.period(box.version):
                continue
            compared += 1
            rival = _jump_in_time(before, box, subject) or siblings.jump(box)
            if rival is not None:
                problems.append(_problem(question.space, box, rival, subject))
    covered = f"{count_of(compared, 'period')} against the version before and the siblings, factor {FACTOR}"
    return CheckResult(tuple(sorted(problems, key=Problem.sort_key)), covered)


def _successions(space: RuleSpace) -> Iterator[tuple[VersionBox | None, VersionBox]]:
    """Every current box with the one in force just before it."""
    for history in space.histories.values():
        current = sorted((box for box in history.boxes if box.is_current), key=lambda box: box.times.created_from)
        if current:
            yield None, current[0]
        for before, box in pairwise(current):
            yield (before if before.times.created_until == box.times.created_from else None), box


def _is_jump(first: int, second: int) -> bool:
    return max(first, second) >= FACTOR * min(first, second)


def _jump_in_time(before: VersionBox | None, box: VersionBox, subject: _Subject) -> _Rival | None:
    """The version in force just before, if the period jumps against it."""
    if before is None:
        return None
    mine, theirs = subject.period(box.version), subject.period(before.version)
    if not mine or not theirs or not _is_jump(mine, theirs):
        return None
    return _Rival(before, f"v{before.version.number} before it")


class _Siblings:
    """The last versions of all rules that give a period."""

    def __init__(self, space: RuleSpace, subject: _Subject) -> None:
        self._subject = subject
        self._all = [
            box
            for box in space.boxes
            if box.is_current and box.times.created_until == FOR_EVER and subject.period(box.version)
        ]
        self._by_service: dict[str | None, list[VersionBox]] = {}
        for box in self._all:
            named = box.version.selector.conditions.get("service")
            for service in (None,) if named is None else sorted(named):
                self._by_service.setdefault(service, []).append(box)

    def jump(self, box: VersionBox) -> _Rival | None:
        """The nearest sibling, if the period jumps against every one of at least two."""
        if box.times.created_until != FOR_EVER:
            return None
        mine = self._period(box)
        siblings = [other for other in self._near(box) if other.rule is not box.rule and self._is_alike(box, other)]
        if len(siblings) < 2 or not all(_is_jump(mine, self._period(other)) for other in siblings):
            return None

        def distance(other: VersionBox) -> tuple[float, str]:
            theirs = self._period(other)
            return max(mine, theirs) / min(mine, theirs), other.rule.id

        nearest = min(siblings, key=distance)
        return _Rival(nearest, f"{nearest.shown}, the closest of {len(siblings)} siblings")

    def _period(self, box: VersionBox) -> int:
        return self._subject.period(box.version) or 0

    def _near(self, box: VersionBox) -> Sequence[VersionBox]:
        """Rules about the same services if at least two of them are alike, else all rules."""
        named = box.version.selector.conditions.get("service")
        if named is None:
            return self._all
        near = {other.key: other for id in (*sorted(named), None) for other in self._by_service.get(id, ())}
        alike = [other for other in near.values() if self._is_alike(box, other)]
        return alike if sum(other.rule is not box.rule for other in alike) >= 2 else self._all

    def _is_alike(self, box: VersionBox, other: VersionBox) -> bool:
        """Windows are comparable if they share an operation."""
        ours, theirs = box.version.operation_window, other.version.operation_window
        if self._subject.period is not _window or ours is None or theirs is None:
            return True
        return not set(ours.operations).isdisjoint(theirs.operations)


def _problem(space: RuleSpace, box: VersionBox, rival: _Rival, subject: _Subject) -> Problem:
    mine, theirs = subject.period(box.version) or 0, subject.period(rival.box.version) or 0
    times = max(mine, theirs) // min(mine, theirs)
    length = "longer" if mine > theirs else "shorter"
    profile: Mapping[str, str] = space.profile(box.version) or {}
    instant = example_instant(box.times.created_from, box.times.created_until, box.version.recorded_on)
    return Problem(
        "duration-jump",
        f"{box.shown} {subject.verb} for {describe_duration(mine)}, {times} times {length} than the "
        f"{describe_duration(theirs)} of {rival.words}",
        box.version.place(subject.key),
        severity="warning",
        help="check the unit; if the page really says this, accept it in a baseline",
        related=related(rival.box.version.place(subject.key)),
        witness=f"{kind_of_file(profile) or 'no file'}, created {format_instant(instant)}: {describe_duration(mine)}, "
        f"until {format_instant(instant + mine)}",
        about=(box.name, subject.key),
    )
