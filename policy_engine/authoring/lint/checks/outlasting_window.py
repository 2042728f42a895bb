"""
`outlasting-window`: follow-up operations are accepted for longer than the file they work on is kept.

The two periods are in one version, or in two rules in force for one file of a service that offers the operations. Both
may be what the provider says, since some operations work on the task and not on the file; more often one of them has
the wrong unit. Two rules that answer one question differently are an `overlap`, and validate refuses a service that has
a rule and is declared to have none. The check uses everything that is recorded. This is a warning.
"""

from __future__ import annotations

from typing import NamedTuple

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, related
from policy_engine.authoring.lint.witness import example_instant, kind_of_file
from policy_engine.core.periods import describe_duration, format_instant
from policy_engine.core.problems import Problem
from policy_engine.core.text.wording import count_of
from policy_engine.packs.bitemporal import VersionBox, VersionKey
from policy_engine.packs.rule_space import RuleSpace


class _Pair(NamedTuple):
    """A retention period and a window that may apply to one file."""

    kept: VersionBox
    accepted: VersionBox

    @property
    def retention(self) -> int:
        return _retention(self.kept)

    @property
    def window(self) -> int:
        return _window(self.accepted)


def check(question: LintQuestion) -> CheckResult:
    """Find each window that is longer than the retention period of a file it applies to."""
    space = question.space
    kept = [box for box in space.boxes if box.is_current and box.version.retention is not None]
    accepted = [box for box in space.boxes if box.is_current and box.version.operation_window is not None]
    longest = max(map(_window, accepted), default=0)
    shortest = min(map(_retention, kept), default=0)

    # Only these can take part, which leaves nothing to compare in most packs.
    def is_short(box: VersionBox) -> bool:
        return box.is_current and box.version.retention is not None and _retention(box) < longest

    def is_long(box: VersionBox) -> bool:
        return box.is_current and box.version.operation_window is not None and _window(box) > shortest

    pairs = [_Pair(box, box) for box in kept if box.version.operation_window is not None]
    for short, long in space.meetings(is_short, is_long):
        pairs.append(_Pair(short, long))
        if is_short(long) and is_long(short):
            pairs.append(_Pair(long, short))
    found: dict[tuple[VersionKey, VersionKey], Problem] = {}
    for pair in pairs:
        key = pair.kept.key, pair.accepted.key
        if pair.window > pair.retention and key not in found:
            problem = _problem(space, pair)
            if problem is not None:
                found[key] = problem
    covered = f"{count_of(len(accepted), 'window')} against {count_of(len(kept), 'retention period')}"
    return CheckResult(tuple(sorted(found.values(), key=Problem.sort_key)), covered)


def _retention(box: VersionBox) -> int:
    return box.version.retention or 0


def _window(box: VersionBox) -> int:
    return box.version.operation_window.period if box.version.operation_window is not None else 0


def _problem(space: RuleSpace, pair: _Pair) -> Problem | None:
    """The problem of a pair; None if no service offers one of the operations for a file of both."""
    kept, accepted = pair
    assert accepted.version.operation_window is not None
    operations = accepted.version.operation_window.operations
    offering = {
        service.id: [name for name in operations if name in service.operations]
        for service in space.pack.catalog.services
    }
    profile = space.profile(kept.version, accepted.version, services={id for id in offering if offering[id]})
    if profile is None:
        return None
    times = kept.times.meet(accepted.times)
    assert times is not None
    day = max(kept.version.recorded_on, accepted.version.recorded_on)
    instant = example_instant(times.created_from, times.created_until, day)
    owner = "it" if accepted.key == kept.key else kept.shown
    return Problem(
        "outlasting-window",
        f"{accepted.shown} accepts operations for {describe_duration(pair.window)} on files that {owner} keeps for "
        f"{describe_duration(pair.retention)}",
        accepted.version.place("operation_window"),
        severity="warning",
        help="check the units of both periods; if the page really gives both, accept this in a baseline",
        related=related(kept.version.place("retention")),
        witness=(
            f"{kind_of_file(profile)}, created {format_instant(instant)}: kept until "
            f"{format_instant(instant + pair.retention)}, `{offering[profile['service']][0]}` accepted until "
            f"{format_instant(instant + pair.window)}"
        ),
        about=tuple(dict.fromkeys((accepted.name, kept.name))),
    )
