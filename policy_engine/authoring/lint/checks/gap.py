"""
`gap`: a service of the catalog, or an interval of time, that no rule on storage governs and nobody has declared.

An asset that falls into a gap is `ungoverned`, and nobody has said whether that is the provider's silence or an
oversight. Two things are gaps: a service that no rule is about and that `no_published_rule` does not name, and a
stretch of creation instants at which a kind of file has no rule although it has one at others. A kind of file that
never has a rule, beside others of the service that do, is none: the pack chose what to speak about. What is asked is
what holds with everything known that is recorded. This is a warning.
"""

from __future__ import annotations

from collections.abc import Sequence

from policy_engine.authoring.lint.question import CheckResult, LintQuestion, count
from policy_engine.authoring.lint.wording import kind_of_file, some_instant, when
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import Problem, SourceSpan
from policy_engine.core.rule_model import Service
from policy_engine.packs.bitemporal import FOR_EVER, SINCE_EVER, VersionBox, version_name
from policy_engine.packs.rule_space import RuleSpace, leaves


def check(question: LintQuestion) -> CheckResult:
    """Find each service, and each interval of time, that is neither governed nor declared."""
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
    covered = f"{count(services, 'service')} ({len(declared & space.domains.keys())} declared to have no rule), "
    covered += f"{count(len(space.pack.rules), 'rule')}, {count(space.dates, 'date')} of effect"
    return CheckResult(tuple(sorted(problems, key=Problem.sort_key)), covered)


def _never(service: Service) -> Problem:
    """A service that no rule governs at any instant."""
    return Problem(
        "gap",
        f"no rule says where files of `{service.id}` are kept, and nothing says that there is none",
        service.span,
        severity="warning",
        help="write a rule for it, or name it in `no_published_rule` of pack.yaml",
        witness=f"service `{service.id}`, created at any instant",
        about=(service.id,),
    )


def _in_time(space: RuleSpace, service: Service, boxes: Sequence[VersionBox]) -> list[Problem]:
    """Intervals without a rule for a kind of file that has one at other instants; one for each border they share."""
    found: dict[tuple[int, int, str], Problem] = {}
    for path, group in leaves(boxes, space.domains[service.id], _cover):
        for start, end, before, after in _holes(group):
            border = before or after
            assert border is not None
            key = (start, end, border.rule.id)
            if key not in found:
                found[key] = _between(service, path, start, end, (before, after))
    return list(found.values())


def _cover(group: Sequence[VersionBox]) -> bool:
    """True when the boxes leave no instant out, whatever others there may be."""
    return bool(group) and not _holes(group)


def _holes(group: Sequence[VersionBox]) -> list[tuple[int, int, VersionBox | None, VersionBox | None]]:
    """Stretches of time that none of the boxes covers, each with the box before and the box after it."""
    holes: list[tuple[int, int, VersionBox | None, VersionBox | None]] = []
    reached, last = SINCE_EVER, None
    for box in sorted(group, key=lambda each: (each.times.created_from, each.times.created_until, each.key)):
        if box.times.created_from > reached:
            holes.append((reached, box.times.created_from, last, box))
        if box.times.created_until > reached or last is None:
            reached, last = max(reached, box.times.created_until), box
    if last is not None and reached < FOR_EVER:
        holes.append((reached, FOR_EVER, last, None))
    return holes


def _between(
    service: Service, path: dict[str, str], start: int, end: int, border: tuple[VersionBox | None, VersionBox | None]
) -> Problem:
    before, after = border
    ending = _ending(before)
    spans: list[SourceSpan] = [span for span in (ending, after.version.span if after else None) if span is not None]
    names = [version_name(box.rule, box.version) for box in border if box is not None]
    profile = {"service": service.id, **path}
    day = max(box.version.recorded_on for box in border if box is not None)
    parts = []
    if before is not None:
        parts.append(f"`{before.rule.id}` v{before.version.number} ends")
    if after is not None:
        parts.append(f"`{after.rule.id}` v{after.version.number} begins")
    help_text = "add a version that is in force then"
    if before is None:
        help_text += ", or leave out `effective_from` when the source does not say since when the rule holds"
    else:
        help_text += "; when the provider really says nothing, accept this in a baseline"
    return Problem(
        "gap",
        f"no rule says where files of `{service.id}` are kept {when(start, end)}: {', '.join(parts)}",
        spans[0] if spans else None,
        severity="warning",
        help=help_text,
        related=tuple(spans[1:]),
        witness=f"{kind_of_file(profile)}, created {format_instant(some_instant(start, end, day))}",
        about=(service.id, *names),
    )


def _ending(box: VersionBox | None) -> SourceSpan | None:
    """Where the file says that a box ends: the version that withdraws it, else the version itself."""
    if box is None:
        return None
    for version in reversed(box.rule.versions):
        if version.effective_from == box.times.created_until:
            return version.place("effective_from")
    return box.version.span
