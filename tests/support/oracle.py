"""
Judges one asset at a time in plain Python: slow, obviously right, and what the fast engine must agree with.

Nothing here is clever. Unknown facts are completed by a full product, time is cut at every date a rule names,
and every question is answered by trying every completion at every instant that can matter. Each law is one
function that opens with the sentence it implements.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import combinations, product
from typing import Any, NamedTuple

from policy_engine.core.periods import SECOND
from policy_engine.core.rule_model import Rule, RulePack, RuleVersion, Selector, Service
from policy_engine.core.vocabulary import ACCOUNTS, FACTS, MEDIA, REASONS, UNLISTED_ROLE, StorageLocation

OTHER = object()
"""A value of a fact that its domain does not list; no condition can name it."""

Facts = dict[str, object]
"""Fact name -> value; complete when every value is known (not None)."""

DETERMINED = (
    "verdict", "possibly_past", "reason", "rule_id", "rule_version", "basis", "storage",
    "expires_earliest", "expires_latest", "seconds_left",
    "operations", "operation_verdict", "operation_rule_id", "operation_rule_version",
    "operation_closes_earliest", "operation_closes_latest", "evidence",
)  # fmt: skip
"""The columns of a finding that `judge` returns."""


class Retention(NamedTuple):
    """What one rule version says about the storage of a file."""

    kind: str
    """`dated` or `vendor`."""
    period: int | None
    """Nanoseconds from creation, for a dated answer."""
    storage: str
    rule_id: str
    version: int
    basis: str


class Window(NamedTuple):
    """What one rule version says about follow-up operations."""

    period: int
    operations: tuple[str, ...]
    rule_id: str
    version: int


class Readings(NamedTuple):
    """The instants that may be the creation of an asset."""

    pieces: list[tuple[int, int]]
    """First and last instant of every stretch in which no rule changes; a point has both equal."""
    has_clock: bool
    """False when neither the submission nor the finish is known: then the pieces carry no deadline."""
    reasons: list[str]
    """Codes of what was not known or not in order."""


# --- Rules in time ------------------------------------------------------------------------------------------


def visible(rule: Rule, known_on: date | None) -> list[RuleVersion]:
    """The versions visible at `known_on` are those with `recorded_on <= known_on`; by default all."""
    versions = sorted(rule.versions, key=lambda version: version.number)
    return [version for version in versions if known_on is None or version.recorded_on <= known_on]


def in_force(rule: Rule, instant: int, known_on: date | None) -> RuleVersion | None:
    """
    The visible versions replay in number order, each rewriting the timeline from its `effective_from` on.

    So at one instant the last version that reaches it stands, and a withdrawn one leaves the rule silent.
    """
    standing = None
    for version in visible(rule, known_on):
        if version.effective_from is None or version.effective_from <= instant:
            standing = version
    return None if standing is None or standing.withdrawn else standing


def cuts(pack: RulePack) -> list[int]:
    """Nothing about the rules changes between two neighbouring dates that versions name."""
    dates = {version.effective_from for rule in pack.rules for version in rule.versions}
    return sorted(instant for instant in dates if instant is not None)


def pieces_between(first: int, last: int, dates: list[int]) -> list[tuple[int, int]]:
    """A closed stretch of instants falls into pieces in which no rule changes, on the nanosecond grid."""
    starts = [first, *(instant for instant in dates if first < instant <= last)]
    ends = [*(start - 1 for start in starts[1:]), last]
    return list(zip(starts, ends, strict=True))


def pieces_of_all_time(dates: list[int]) -> list[tuple[int, int]]:
    """Without a clock every instant is possible; one instant of every piece of time stands for them all."""
    before_all = dates[0] - 1 if dates else 0
    return [(instant, instant) for instant in (before_all, *dates)]


# --- Facts --------------------------------------------------------------------------------------------------


def service_of(pack: RulePack, name: object) -> Service | None:
    """A service is known when the catalog lists it."""
    return next((service for service in pack.catalog.services if service.id == name), None)


def domain(service: Service, fact: str) -> list[object]:
    """A fact ranges over everything its service allows, and over `OTHER` where the provider may add values."""
    if fact == "service":
        return [service.id]
    if fact == "task_type":
        return [*service.task_types, OTHER]
    if fact == "account":
        return list(ACCOUNTS)
    if fact == "media":
        return list(MEDIA)
    if fact == "role":
        listed = {output.role for output in service.outputs if output.role is not None}
        # Roles are given by the catalog, not by the provider, so this list is closed.
        return [*sorted(listed - {UNLISTED_ROLE}), UNLISTED_ROLE]
    if fact == "watermarked":
        return ["true", "false"]
    raise ValueError(fact)


def candidates(service: Service, fact: str, stated: object) -> list[object]:
    """
    A stated value that its list holds is that value; of an open list any other one is `OTHER`.

    What no fact of the service can be says nothing: the fact is as unknown as one that is not stated.
    """
    possible = domain(service, fact)
    if stated in possible:
        return [stated]
    return [OTHER] if stated is not None and OTHER in possible else possible


def completions(service: Service, asset: Mapping[str, Any]) -> list[Facts]:
    """The admissible facts of an asset are those of every completion of its unknown facts."""
    ranges = [candidates(service, fact, asset[fact]) for fact in FACTS]
    return [dict(zip(FACTS, values, strict=True)) for values in product(*ranges)]


def matches(selector: Selector, facts: Facts) -> bool:
    """Every named fact must be one of its values; an absent fact means any; `OTHER` is never named."""
    return all(facts[fact] in allowed for fact, allowed in selector.conditions.items())


# --- Answers ------------------------------------------------------------------------------------------------


def retention_answer(standing: list[tuple[Rule, RuleVersion]], facts: Facts) -> Retention | None:
    """The retention answer is the one version in force that matches and says something of storage."""
    speaking = [(rule, v) for rule, v in standing if v.storage is not None and matches(v.selector, facts)]
    assert len(speaking) <= 1, "two rules in force for one asset: the pack has a conflict"
    if not speaking:
        return None
    ((rule, version),) = speaking
    kind = "vendor" if version.retention is None else "dated"
    return Retention(kind, version.retention, str(version.storage), rule.id, version.number, version.citation.basis)


def operation_answers(service: Service, standing: list[tuple[Rule, RuleVersion]], facts: Facts) -> list[Window]:
    """The operation answers of a service with follow-ups are the windows of all rules in force that match."""
    if not service.operations:
        return []
    return [
        Window(v.operation_window.period, v.operation_window.operations, rule.id, v.number)
        for rule, v in standing
        if v.operation_window is not None and matches(v.selector, facts)
    ]


class Admitted(NamedTuple):
    """The answers for one completion within one piece of time."""

    first: int
    last: int
    facts: Facts
    retention: Retention | None
    windows: list[Window]


def admitted_answers(
    pack: RulePack,
    service: Service,
    asset: Mapping[str, Any],
    pieces: Iterable[tuple[int, int]],
    known_on: date | None,
) -> list[Admitted]:
    """The admissible answers are those of every completion at every instant that may be the creation."""
    every = completions(service, asset)
    answers = []
    for first, last in pieces:
        versions = [(rule, in_force(rule, first, known_on)) for rule in pack.rules]
        standing = [(rule, version) for rule, version in versions if version is not None]
        for facts in every:
            windows = operation_answers(service, standing, facts)
            answers.append(Admitted(first, last, facts, retention_answer(standing, facts), windows))
    return answers


# --- The clock ----------------------------------------------------------------------------------------------


def readings(pack: RulePack, asset: Mapping[str, Any]) -> Readings:
    """
    Creation has two readings, submitted and finished; an unknown one is bounded by what else is known.

    Both known: the two points, put in order. Finish unknown: every instant from the submission to the least
    upper bound. Submission unknown: every instant of the longest task before the finish. Both unknown: none.
    """
    dates, longest = cuts(pack), pack.longest_task
    submitted, finished = asset["created"], asset["completed"]
    if submitted is not None and finished is not None:
        points = sorted({submitted, finished})
        inverted = ["times_inverted"] if finished < submitted else []
        return Readings([(point, point) for point in points], True, inverted)
    if submitted is not None:
        bound = min([*asset["completion_bounds"], submitted + longest])
        inverted = ["times_inverted"] if bound < submitted else []
        last = max(bound, submitted)
        return Readings(pieces_between(submitted, last, dates), True, ["completion_unknown", *inverted])
    if finished is not None:
        return Readings(pieces_between(finished - longest, finished, dates), True, ["submission_unknown"])
    return Readings(pieces_of_all_time(dates), False, ["no_clock"])


# --- Verdicts -----------------------------------------------------------------------------------------------


def retention_deadlines(answers: list[Admitted]) -> list[tuple[int, Retention]]:
    """A dated answer falls due its period after creation: in a piece, least at its start, most at its end."""
    return [
        (instant + answer.retention.period, answer.retention)
        for answer in answers
        if answer.retention is not None and answer.retention.kind == "dated"
        for instant in (answer.first, answer.last)
    ]


def window_deadlines(answers: list[Admitted]) -> list[tuple[int, Window]]:
    """A window closes its period after creation: within a piece least at its start, most at its end."""
    return [
        (instant + window.period, window)
        for answer in answers
        for window in answer.windows
        for instant in (answer.first, answer.last)
    ]


def decide(answers: list[Admitted], has_clock: bool, as_of: int, horizon: int) -> str:
    """
    All "no rule": ungoverned; all vendor's terms: vendor_cdn; all dated, and a clock: the deadlines tell.

    Expired: `as_of >= expires_latest`; at risk: `expires_earliest - horizon <= as_of < expires_latest`. Else
    active. Anything but these three is undetermined.
    """
    kinds = {"none" if answer.retention is None else answer.retention.kind for answer in answers}
    if kinds == {"none"}:
        return "ungoverned"
    if kinds == {"vendor"}:
        return "vendor_cdn"
    if kinds == {"dated"} and has_clock:
        deadlines = [deadline for deadline, _ in retention_deadlines(answers)]
        if as_of >= max(deadlines):
            return "expired"
        return "at_risk" if as_of >= min(deadlines) - horizon else "active"
    return "undetermined"


def decide_operations(service: Service, answers: list[Admitted], has_clock: bool, as_of: int, horizon: int) -> str:
    """
    No follow-ups: none; no window at all: ungoverned; always a window, and a clock: the deadlines tell.

    Closed: `as_of >= closes_latest`; closing: `closes_earliest - horizon <= as_of < closes_latest`. Else
    open. Anything but these three is undetermined.
    """
    if not service.operations:
        return "none"
    windowed = {bool(answer.windows) for answer in answers}
    if windowed == {False}:
        return "ungoverned"
    if windowed == {True} and has_clock:
        deadlines = [deadline for deadline, _ in window_deadlines(answers)]
        if as_of >= max(deadlines):
            return "closed"
        return "closing" if as_of >= min(deadlines) - horizon else "open"
    return "undetermined"


def storage_said(answers: list[Admitted]) -> str | None:
    """Storage is known when all admissible answers name the same one; "no rule" does not name any."""
    said = {None if answer.retention is None else answer.retention.storage for answer in answers}
    return said.pop() if len(said) == 1 else None


def least(deadlines: list[tuple[int, Any]]) -> tuple[int, Any]:
    """The rule of a date is the one with the least deadline; ties go to the least id, then version."""
    return min(deadlines, key=lambda item: (item[0], item[1].rule_id, item[1].version))


def evidence_of(pack: RulePack, asset: Mapping[str, Any], storage: str | None) -> str:
    """Evidence says whether the owner of the URL's host fits the storage the rule says."""
    if asset["expected"]:
        return "expected"
    if storage is None or asset["host_owner"] is None:
        return "none"
    on_platform = asset["host_owner"] == pack.platform_owner
    return "agrees" if on_platform == (storage == StorageLocation.PLATFORM) else "conflicts"


# --- Reasons ------------------------------------------------------------------------------------------------


def matters(service: Service, answers: list[Admitted], fact: str) -> bool:
    """
    An unknown fact matters when at some admissible instant its values do not all admit the same answers.

    The other unknown facts range freely; what one value admits is the set of all that may then be answered.
    """
    given: defaultdict[tuple[int, object], set[object]] = defaultdict(set)
    for answer in answers:
        admitted = given[answer.first, answer.facts[fact]]
        admitted.add(("retention", answer.retention))
        admitted.update(("window", window) for window in answer.windows or [None])
    values = domain(service, fact)
    return any(
        any(given[instant, value] != given[instant, values[0]] for value in values)
        for instant in {answer.first for answer in answers}
    )


def in_order(codes: Iterable[str]) -> str:
    """Reasons are documented codes joined by `;` in the documented order."""
    present = set(codes)
    assert present <= set(REASONS)
    return ";".join(code for code in REASONS if code in present)


# --- The whole finding --------------------------------------------------------------------------------------


def judge(
    pack: RulePack,
    asset: Mapping[str, Any],
    *,
    as_of: int,
    horizon: int,
    operation_horizon: int,
    known_on: date | None = None,
) -> dict[str, Any]:
    """The columns of a finding that the rules determine, for one asset."""
    finding: dict[str, Any] = dict.fromkeys(DETERMINED)
    finding["possibly_past"] = False
    codes = ["facts_conflict"] if asset["facts_conflict"] else []

    service = service_of(pack, asset["service"])
    if service is None:
        finding["verdict"] = finding["operation_verdict"] = "undetermined"
        finding["evidence"] = evidence_of(pack, asset, None)
        finding["reason"] = in_order([*codes, "unknown_service"])
        return finding

    creation = readings(pack, asset)
    answers = admitted_answers(pack, service, asset, creation.pieces, known_on)

    verdict = decide(answers, creation.has_clock, as_of, horizon)
    finding["verdict"] = verdict
    finding["storage"] = storage_said(answers)
    finding["evidence"] = evidence_of(pack, asset, finding["storage"])
    deadlines = retention_deadlines(answers) if creation.has_clock else []
    if verdict == "ungoverned":
        declared = any(service.id in entry.services for entry in pack.no_published_rule)
        codes.append("no_published_rule" if declared else "no_rule_in_force")
    elif verdict == "vendor_cdn":
        rule = min((answer.retention for answer in answers), key=lambda r: (r.rule_id, r.version))
        finding |= {"rule_id": rule.rule_id, "rule_version": rule.version, "basis": rule.basis}
    elif deadlines:
        earliest, rule = least(deadlines)
        finding |= {"rule_id": rule.rule_id, "rule_version": rule.version, "basis": rule.basis}
        finding["expires_earliest"] = earliest
        finding["seconds_left"] = (earliest - as_of) // SECOND
        if verdict != "undetermined":
            finding["expires_latest"] = max(deadline for deadline, _ in deadlines)
        finding["possibly_past"] = verdict == "at_risk" and as_of >= earliest

    operation_verdict = decide_operations(service, answers, creation.has_clock, as_of, operation_horizon)
    finding["operation_verdict"] = operation_verdict
    named = {name for answer in answers for window in answer.windows for name in window.operations}
    shown = [name for name in service.operations if name in named or not named]
    finding["operations"] = ";".join(shown) or None
    closings = window_deadlines(answers) if creation.has_clock else []
    if closings:
        earliest, window = least(closings)
        finding |= {"operation_rule_id": window.rule_id, "operation_rule_version": window.version}
        finding["operation_closes_earliest"] = earliest
        if operation_verdict != "undetermined":
            finding["operation_closes_latest"] = max(deadline for deadline, _ in closings)

    if retention_deadlines(answers) or window_deadlines(answers):
        codes.extend(creation.reasons)
    if asset["created"] is not None and asset["completed"] is not None:
        alone = []
        for instant in (asset["created"], asset["completed"]):
            single = admitted_answers(pack, service, asset, [(instant, instant)], known_on)
            alone.append(
                (
                    decide(single, True, as_of, horizon),
                    decide_operations(service, single, True, as_of, operation_horizon),
                )
            )
        if alone[0] != alone[1]:
            codes.append("readings_differ")
    unknown = [fact for fact in FACTS if candidates(service, fact, asset[fact]) == domain(service, fact)]
    codes.extend(f"{fact}_unknown" for fact in unknown if matters(service, answers, fact))
    finding["reason"] = in_order(codes)
    return finding


# --- Rules among themselves ---------------------------------------------------------------------------------


class Conflict(NamedTuple):
    """Two rules that are in force for one complete profile at one instant, and apply to the same thing."""

    about: str
    """`storage`, or `operation:` and the name of the operation."""
    first: tuple[str, int]
    """Rule id and version number; the lesser of the two."""
    second: tuple[str, int]
    since: int | None
    """The least instant at which both are in force for such a profile; None when that has no beginning."""
    profile: Facts
    """One complete profile that both match."""


def subjects(version: RuleVersion) -> set[str]:
    """A version applies to storage, and to each operation of its window."""
    spoken = set() if version.storage is None else {"storage"}
    if version.operation_window is not None:
        spoken |= {f"operation:{name}" for name in version.operation_window.operations}
    return spoken


def complete_profiles(pack: RulePack) -> Iterator[Facts]:
    """The complete profiles are the full product of every service's domains."""
    nothing_known = dict.fromkeys(FACTS)
    for service in pack.catalog.services:
        yield from completions(service, {**nothing_known, "service": service.id})


def conflicts(pack: RulePack, known_on: date | None = None) -> list[Conflict]:
    """
    At most one rule is in force per asset (and per operation) and instant: every breach, by brute force.

    One entry per subject and pair of versions, with its earliest instant and its first profile there.
    """
    found: dict[tuple[str, tuple[str, int], tuple[str, int]], Conflict] = {}
    profiles, dates = list(complete_profiles(pack)), cuts(pack)
    beginnings = [None, *dates]
    for since, (instant, _) in zip(beginnings, pieces_of_all_time(dates), strict=True):
        versions = [(rule, in_force(rule, instant, known_on)) for rule in pack.rules]
        standing = [(rule, version) for rule, version in versions if version is not None]
        for facts in profiles:
            matching = [(rule.id, v) for rule, v in standing if matches(v.selector, facts)]
            for (one_id, one), (two_id, two) in combinations(matching, 2):
                first, second = sorted([(one_id, one.number), (two_id, two.number)])
                for about in sorted(subjects(one) & subjects(two)):
                    found.setdefault((about, first, second), Conflict(about, first, second, since, facts))
    return [found[key] for key in sorted(found)]


# --- Money --------------------------------------------------------------------------------------------------


def split_points(points: int, assets: int) -> list[int]:
    """Integer points are divided equally over a task's assets, and the whole remainder goes to the first."""
    share, remainder = divmod(points, assets)
    return [share + remainder, *[share] * (assets - 1)]
