"""
`overlap`: two rules are in force for one and the same asset at one instant.

There are no priorities between rules: two answers for one asset are a contradiction, and the pack cannot be
used. Both rules must say something of storage, or both must give a window for the same operation. Narrow one of
the selectors, or let one rule begin where the other ends. A contradiction that stood only in what was known on a
past day is a warning, since versions are append-only; a replay of that day still meets it.

The check is exact: selectors are looked up by the values they name, and only those that can agree are compared in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, count
from policy_engine.authoring.lint.wording import kind_of_file, says, some_instant, when
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import Problem, Severity
from policy_engine.core.rule_model import RuleVersion
from policy_engine.packs.bitemporal import BitemporalBox, VersionBox, VersionKey
from policy_engine.packs.rule_space import RuleSpace


class _Meeting(NamedTuple):
    """Two boxes that share a profile and a point of both times."""

    first: VersionBox
    second: VersionBox
    times: BitemporalBox
    """Where they share a point."""

    def rank(self) -> tuple[bool, int, int]:
        """The least is the one to show: what holds today, else what was known first; then what begins first."""
        is_current = self.times.is_current
        return not is_current, 0 if is_current else self.times.known_from, self.times.created_from


def check(question: LintQuestion) -> CheckResult:
    """Find each pair of rule versions that contradict each other."""
    space = question.space
    found: dict[frozenset[VersionKey], _Meeting] = {}
    for first, second in _meetings(space):
        times = first.times.meet(second.times)
        assert times is not None
        one, two = sorted((first, second), key=lambda box: box.key)
        meeting = _Meeting(one, two, times)
        pair = frozenset((first.key, second.key))
        if pair not in found or meeting.rank() < found[pair].rank():
            found[pair] = meeting
    problems = sorted((_problem(space, meeting) for meeting in found.values()), key=Problem.sort_key)
    rules = len(space.pack.rules)
    covered = (
        f"{count(rules, 'rule')}, {count(len(space.domains), 'service')}, {count(rules * (rules - 1) // 2, 'pair')}"
    )
    return CheckResult(tuple(problems), covered)


def _meetings(space: RuleSpace) -> Iterator[tuple[VersionBox, VersionBox]]:
    """Pairs that both speak of storage, then pairs that both give a window for one operation."""
    yield from space.meetings(_stores, _stores)
    operations = {name for box in space.boxes for name in _operations(box.version)}
    for name in sorted(operations):

        def offers(box: VersionBox, name: str = name) -> bool:
            return name in _operations(box.version)

        yield from space.meetings(offers, offers)


def _stores(box: VersionBox) -> bool:
    return box.version.storage is not None


def _operations(version: RuleVersion) -> tuple[str, ...]:
    return version.operation_window.operations if version.operation_window is not None else ()


def _problem(space: RuleSpace, meeting: _Meeting) -> Problem:
    """Say which two versions meet, when, and for which asset."""
    first, second, times = meeting
    one, two = first.version, second.version
    subject, words = "storage", "storage"
    if one.storage is None or two.storage is None:
        subject = next(name for name in _operations(one) if name in _operations(two))
        words = f"the operation `{subject}`"
    message = (
        f"{first.shown} and {second.shown} both speak about {words} {when(times.created_from, times.created_until)}"
    )
    profile = space.profile(one, two)
    assert profile is not None
    instant = some_instant(times.created_from, times.created_until, max(one.recorded_on, two.recorded_on))
    witness = f"{kind_of_file(profile)}, created {format_instant(instant)}"
    answers = says(one, subject), says(two, subject)
    if answers[0] == answers[1]:
        witness += f": {answers[0]} by both"
    else:
        witness += f": {answers[0]} by {first.shown}, {answers[1]} by {second.shown}"
    help_text = "narrow one of the selectors, or end one rule where the other begins"
    severity: Severity = "error"
    if not times.is_current:
        severity = "warning"
        day = date.fromordinal(times.known_from)
        message = f"as known on {day}, {message}"
        help_text = "only a replay of what was known then meets it; later versions have settled it"
    related = (two.span,) if two.span is not None else ()
    return Problem(
        "overlap", message, one.span, severity=severity, help=help_text, related=related, witness=witness,
        about=(first.name, second.name),
    )  # fmt: skip
