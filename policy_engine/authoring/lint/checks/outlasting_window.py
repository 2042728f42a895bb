"""
`outlasting-window`: follow-up operations are accepted for longer than the file they work on is kept.

The two periods stand in one version or in two rules that are in force for one file of a service that offers such
operations. Both may be what the provider says, since some operations work on the task and not on the file; more often
one of the two has the wrong unit. Two rules that answer the same question differently are an `overlap`, and a service
that is both declared to have no rule and governed is refused by validate. What is asked is what holds with everything
known that is recorded. This is a warning.
"""

from __future__ import annotations

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, count
from policy_engine.authoring.lint.wording import kind_of_file, some_instant
from policy_engine.core.periods import describe_duration, format_instant
from policy_engine.core.problems import Problem
from policy_engine.packs.bitemporal import VersionBox, VersionKey
from policy_engine.packs.rule_space import RuleSpace


def check(question: LintQuestion) -> CheckResult:
    """Find each window that outlasts the retention period of a file it applies to."""
    space = question.space
    kept = [box for box in space.boxes if _keeps(box)]
    longest = max((_period(box) for box in space.boxes if _works(box)), default=0)
    shortest = min((box.version.retention or 0 for box in kept), default=0)
    found: dict[tuple[VersionKey, VersionKey], Problem] = {}
    for box in space.boxes:
        if _keeps(box) and _works(box):
            _compare(space, box, box, found)

    # Only these can take part, which leaves nothing to compare in most packs.
    def is_short(box: VersionBox) -> bool:
        return _keeps(box) and (box.version.retention or 0) < longest

    def is_long(box: VersionBox) -> bool:
        return _works(box) and _period(box) > shortest

    for one, two in space.meetings(is_short, is_long):
        _compare(space, one, two, found)
        if is_short(two) and is_long(one):
            _compare(space, two, one, found)
    windows = sum(_works(box) for box in space.boxes)
    covered = f"{count(windows, 'window')} against {count(len(kept), 'retention period')}"
    return CheckResult(tuple(sorted(found.values(), key=Problem.sort_key)), covered)


def _keeps(box: VersionBox) -> bool:
    return box.is_current and box.version.retention is not None


def _works(box: VersionBox) -> bool:
    return box.is_current and box.version.operation_window is not None


def _period(box: VersionBox) -> int:
    return box.version.operation_window.period if box.version.operation_window is not None else 0


def _compare(
    space: RuleSpace, kept: VersionBox, works: VersionBox, found: dict[tuple[VersionKey, VersionKey], Problem]
) -> None:
    retention, window = kept.version.retention, works.version.operation_window
    pair = (kept.key, works.key)
    if retention is None or window is None or window.period <= retention or pair in found:
        return
    offering = {
        service.id: [name for name in window.operations if name in service.operations]
        for service in space.pack.catalog.services
    }
    profile = space.profile(kept.version, works.version, services={id for id in offering if offering[id]})
    if profile is None:
        return
    times = kept.times.meet(works.times)
    assert times is not None
    instant = some_instant(
        times.created_from, times.created_until, max(kept.version.recorded_on, works.version.recorded_on)
    )
    operation = offering[profile["service"]][0]
    owner = "it" if works.key == kept.key else f"`{kept.rule.id}` v{kept.version.number}"
    place, other = works.version.place("operation_window"), kept.version.place("retention")
    found[pair] = Problem(
        "outlasting-window",
        f"`{works.rule.id}` v{works.version.number} accepts operations for {describe_duration(window.period)} on files "
        f"that {owner} keeps for {describe_duration(retention)}",
        place,
        severity="warning",
        help="look whether one of the two periods has the wrong unit; if the page says both, accept this in a baseline",
        related=(other,) if other is not None else (),
        witness=(
            f"{kind_of_file(profile)}, created {format_instant(instant)}: kept until "
            f"{format_instant(instant + retention)}, `{operation}` accepted until "
            f"{format_instant(instant + window.period)}"
        ),
        about=tuple(dict.fromkeys((works.name, kept.name))),
    )
