"""
`gap`: a service, or an interval of time, with no rule on storage, which the pack does not declare to have none.

A file in a gap is `ungoverned`, and nobody has stated whether the provider is silent or a rule is missing. Two things
are gaps: a service that no rule covers and that `no_published_rule` does not name, and an interval of creation in which
a kind of file has no rule although it has one at other instants. A kind of file that never has a rule, while others of
its service do, is not a gap: the pack chose what to cover. The check uses everything that is recorded. This is a
warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, related
from policy_engine.authoring.lint.witness import example_instant, kind_of_file, when
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import Problem, SourceSpan
from policy_engine.core.rule_model import Service
from policy_engine.core.text.wording import count_of
from policy_engine.packs.bitemporal import FOR_EVER, SINCE_EVER, VersionBox
from policy_engine.packs.rule_space import RuleSpace, leaves


class _Hole(NamedTuple):
    """An interval of creation without a rule."""

    start: int
    end: int
    before: VersionBox | None
    """What is in force up to its start."""
    after: VersionBox | None
    """What is in force from its end on."""

    @property
    def borders(self) -> tuple[VersionBox, ...]:
        return tuple(box for box in (self.before, self.after) if box is not None)


def check(question: LintQuestion) -> CheckResult:
    """Find each service, and each interval of time, that has no rule and is not declared."""
    space = question.space
    declared = {service for entry in space.pack.no_published_rule for service in entry.services}
    problems: list[Problem] = []
    for service in space.pack.catalog.services:
        boxes = [box for box in space.by_service[service.id] if box.is_current and box.version.storage is not None]
        if boxes:
            problems += _in_time(space, service, boxes)
        elif service.id not in declared:
            problems.append(_never(service))
    services = len(space.domains)
    covered = f"{count_of(services, 'service')} ({len(declared & space.domains.keys())} declared to have no rule), "
    covered += f"{count_of(len(space.pack.rules), 'rule')}, {count_of(space.dates, 'date')} of effect"
    return CheckResult(tuple(sorted(problems, key=Problem.sort_key)), covered)


def _never(service: Service) -> Problem:
    """The problem of a service that never has a rule."""
    return Problem(
        "gap",
        f"no rule states where files of `{service.id}` are kept, and `no_published_rule` does not name it",
        service.span,
        severity="warning",
        help="write a rule for it, or name it in `no_published_rule` of pack.yaml",
        witness=f"service `{service.id}`, created at any instant",
        about=(service.id,),
    )


def _in_time(space: RuleSpace, service: Service, boxes: Sequence[VersionBox]) -> list[Problem]:
    """Intervals without a rule for a kind of file that has one at other instants; kinds with one border are one gap."""
    found: dict[tuple[int, int, str], Problem] = {}
    for path, group in leaves(boxes, space.domains[service.id], _has_no_hole):
        for hole in _holes(group):
            key = hole.start, hole.end, hole.borders[0].rule.id
            if key not in found:
                found[key] = _between({"service": service.id, **path}, hole)
    return list(found.values())


def _has_no_hole(group: Sequence[VersionBox]) -> bool:
    return bool(group) and not _holes(group)


def _holes(group: Sequence[VersionBox]) -> list[_Hole]:
    """The intervals that none of the boxes covers."""
    holes: list[_Hole] = []
    reached, last = SINCE_EVER, None
    for box in sorted(group, key=lambda box: (box.times.created_from, box.times.created_until, box.key)):
        if box.times.created_from > reached:
            holes.append(_Hole(reached, box.times.created_from, last, box))
        if box.times.created_until > reached or last is None:
            reached, last = max(reached, box.times.created_until), box
    if last is not None and reached < FOR_EVER:
        holes.append(_Hole(reached, FOR_EVER, last, None))
    return holes


def _between(profile: dict[str, str], hole: _Hole) -> Problem:
    service, (start, end, before, after) = profile["service"], hole
    spans = related(_ending(before) if before else None, after.version.span if after else None)
    parts = [f"{before.shown} ends"] if before else []
    parts += [f"{after.shown} begins"] if after else []
    help_text = "add a version that is in force then"
    if before is None:
        help_text += ", or omit `effective_from` if the source does not say when the rule begins"
    else:
        help_text += "; if the provider really publishes no rule, accept this in a baseline"
    day = max(box.version.recorded_on for box in hole.borders)
    return Problem(
        "gap",
        f"no rule states where files of `{service}` are kept {when(start, end)}: {', '.join(parts)}",
        spans[0] if spans else None,
        severity="warning",
        help=help_text,
        related=spans[1:],
        witness=f"{kind_of_file(profile)}, created {format_instant(example_instant(start, end, day))}",
        about=(service, *(box.name for box in hole.borders)),
    )


def _ending(box: VersionBox) -> SourceSpan | None:
    """Where a file states that a box ends: in the version that withdraws it, else in the version itself."""
    for version in reversed(box.rule.versions):
        if version.effective_from == box.times.created_until:
            return version.place("effective_from")
    return box.version.span
