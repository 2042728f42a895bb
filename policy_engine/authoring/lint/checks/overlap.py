"""
`overlap`: two rules are in force for the same file at the same instant.

Rules have no priorities: two answers for one file are a contradiction, and the pack cannot be used. Both rules must
cover storage, or both must give a window for the same operation. Narrow one of the selectors, or let one rule begin
where the other ends. A contradiction that existed only in what was known on a past day is a warning, since versions are
append-only; a replay of that day still finds it.

The check is exact: selectors are indexed by the values they name, and only those that can agree are compared in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, related
from policy_engine.authoring.lint.witness import example_instant, kind_of_file, says, when
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import Problem, Severity
from policy_engine.core.rule_model import RuleVersion
from policy_engine.core.text.wording import count_of
from policy_engine.packs.bitemporal import BitemporalBox, VersionBox, VersionKey
from policy_engine.packs.rule_space import RuleSpace


class _Meeting(NamedTuple):
    """Two boxes that share a profile, an instant of creation and a day of knowledge."""

    first: VersionBox
    second: VersionBox
    times: BitemporalBox
    """What both share of creation and knowledge."""

    def rank(self) -> tuple[bool, int, int]:
        """The least is shown: what holds today, else what was known first; then what begins first."""
        is_current = self.times.is_current
        return not is_current, 0 if is_current else self.times.known_from, self.times.created_from


def check(question: LintQuestion) -> CheckResult:
    """Find each pair of rule versions that contradict each other."""
    space = question.space
    found: dict[frozenset[VersionKey], _Meeting] = {}
    for first, second in _meetings(space):
        times = first.times.meet(second.times)
        assert times is not None
        lesser, greater = sorted((first, second), key=lambda box: box.key)
        meeting = _Meeting(lesser, greater, times)
        pair = frozenset((first.key, second.key))
        if pair not in found or meeting.rank() < found[pair].rank():
            found[pair] = meeting
    problems = sorted((_problem(space, meeting) for meeting in found.values()), key=Problem.sort_key)
    rules = len(space.pack.rules)
    pairs = count_of(rules * (rules - 1) // 2, "pair")
    covered = f"{count_of(rules, 'rule')}, {count_of(len(space.domains), 'service')}, {pairs}"
    return CheckResult(tuple(problems), covered)


def _meetings(space: RuleSpace) -> Iterator[tuple[VersionBox, VersionBox]]:
    """Pairs that both cover storage, then pairs that both give a window for one operation."""
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
    """State which two versions contradict each other, when, and for which file."""
    first, second, times = meeting
    versions = first.version, second.version
    subject = "storage"
    if any(version.storage is None for version in versions):
        subject = next(name for name in _operations(versions[0]) if name in _operations(versions[1]))
    words = subject if subject == "storage" else f"the operation `{subject}`"
    message = f"{first.shown} and {second.shown} both cover {words} {when(times.created_from, times.created_until)}"
    help_text = "narrow one of the selectors, or end one rule where the other begins"
    severity: Severity = "error"
    if not times.is_current:
        severity = "warning"
        message = f"as known on {date.fromordinal(times.known_from)}, {message}"
        help_text = "nothing to do: later versions have settled it, and only a replay of that day finds it"
    return Problem(
        "overlap",
        message,
        versions[0].span,
        severity=severity,
        help=help_text,
        related=related(versions[1].span),
        witness=_witness(space, meeting, subject),
        about=(first.name, second.name),
    )


def _witness(space: RuleSpace, meeting: _Meeting, subject: str) -> str:
    """A file that both versions match, and what each of them states."""
    first, second, times = meeting
    profile = space.profile(first.version, second.version)
    assert profile is not None
    day = max(first.version.recorded_on, second.version.recorded_on)
    instant = format_instant(example_instant(times.created_from, times.created_until, day))
    answers = says(first.version, subject), says(second.version, subject)
    stated = f"{answers[0]} by {first.shown}, {answers[1]} by {second.shown}"
    if answers[0] == answers[1]:
        stated = f"{answers[0]} by both"
    return f"{kind_of_file(profile)}, created {instant}: {stated}"
