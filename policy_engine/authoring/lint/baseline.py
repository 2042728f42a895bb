"""Reads a baseline file of accepted lint problems, and splits problems into accepted and open ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

from policy_engine.core.periods import parse_date
from policy_engine.core.problems import Problem, SourceSpan, UsageProblem, suggest
from policy_engine.core.text.wording import count_of
from policy_engine.packs.loading import read_checked

PAGE = "docs/lint.md#baseline"
"""Documentation of baselines."""
NEVER = ("overlap", "unknown-name", "version-order")
"""Checks whose errors cannot be accepted, since no command could use the pack."""


@dataclass(frozen=True)
class Acceptance:
    """Permission for a lint problem to remain, with an owner, a reason and an expiry date."""

    pack: str
    """Id of the pack."""
    check: str
    """Id of the check."""
    about: frozenset[str]
    """The `about` of the problem."""
    owner: str
    """Who answers for it."""
    reason: str
    """Why the problem may remain."""
    expires_on: date
    """First day (UTC) on which it no longer counts."""
    span: SourceSpan
    """Its location in the baseline."""


@dataclass(frozen=True)
class Baseline:
    """The acceptances of a file."""

    file: str
    entries: tuple[Acceptance, ...]
    text: str = field(default="", repr=False)
    """Text of the file, for source frames."""


@dataclass(frozen=True)
class Accepted:
    """A problem and its acceptance; it is shown and counted, and fails nothing."""

    problem: Problem
    acceptance: Acceptance


class BaselineResult(NamedTuple):
    """The problems of one pack after its baseline was applied."""

    problems: tuple[Problem, ...]
    """Problems that are not accepted, and problems of the baseline itself."""
    accepted: tuple[Accepted, ...]
    covered: str
    """What was checked, in words."""


def read_baseline(path: str | Path) -> Baseline:
    """Read a baseline file; raises UsageProblem with all its problems."""
    name = Path(path).as_posix()
    document, data, problems = read_checked(Path(path), name, "baseline")
    text = data.decode("utf-8-sig", errors="replace")
    if document is None:
        raise UsageProblem(
            [replace(problem, help=problem.help or f"{PAGE} describes the file") for problem in problems],
            {name: text},
        )
    entries = tuple(
        Acceptance(
            pack=entry["pack"],
            check=entry["check"],
            about=frozenset(entry["about"]),
            owner=entry["owner"],
            reason=entry["reason"],
            expires_on=parse_date(entry["expires_on"]),
            span=document.span("accepted", index),
        )
        for index, entry in enumerate(document.value["accepted"])
    )
    return Baseline(name, entries, text)


def apply_baseline(problems: Sequence[Problem], baseline: Baseline, pack_id: str, today: date | None) -> BaselineResult:
    """Split the problems of one pack into open and accepted ones; an expired or unused entry is a problem itself."""
    entries = [entry for entry in baseline.entries if entry.pack == pack_id]
    is_expired = {id(entry): today is None or today >= entry.expires_on for entry in entries}
    remaining: list[Problem] = []
    accepted: list[Accepted] = []
    used: set[int] = set()
    for problem in sorted(problems, key=Problem.sort_key):
        fitting = [entry for entry in entries if _accepts(entry, problem)]
        used |= {id(entry) for entry in fitting}
        valid = next((entry for entry in fitting if not is_expired[id(entry)]), None)
        if valid is not None:
            accepted.append(Accepted(problem, valid))
        else:
            remaining.append(problem)
    for entry in entries:
        if id(entry) not in used:
            remaining.append(_unused(entry, problems))
        elif is_expired[id(entry)]:
            remaining.append(_expired(entry))
    covered = count_of(len(entries), "entry", "entries")
    if len(entries) < len(baseline.entries):
        covered = f"{len(entries)} of {len(baseline.entries)} entries are about `{pack_id}`"
    return BaselineResult(tuple(remaining), tuple(accepted), f"{covered}, {len(accepted)} accepted")


def _accepts(entry: Acceptance, problem: Problem) -> bool:
    is_acceptable = problem.code not in NEVER or problem.severity != "error"
    return is_acceptable and _is_about(entry, problem)


def _is_about(entry: Acceptance, problem: Problem) -> bool:
    return entry.check == problem.code and entry.about == frozenset(problem.about)


def _expired(entry: Acceptance) -> Problem:
    return Problem(
        "baseline-expired",
        f"the acceptance of `{entry.check}` for {_names(entry.about)} expired on {entry.expires_on}",
        entry.span,
        help=f"fix the problem, or have {entry.owner} accept it again with a later date",
        documentation=PAGE,
        about=(entry.check, *sorted(entry.about)),
    )


def _unused(entry: Acceptance, problems: Sequence[Problem]) -> Problem:
    """The problem of an entry that accepts nothing: its problem was fixed, or it names the wrong one."""
    if entry.check in NEVER and any(_is_about(entry, problem) for problem in problems):
        message = f"an error of `{entry.check}` cannot be accepted: no command can use such a pack"
        help_text = "fix it"
    else:
        message = f"`{entry.check}` reports no problem about {_names(entry.about)}"
        help_text = "remove the entry"
        known = {", ".join(sorted(problem.about)): problem for problem in problems if problem.code == entry.check}
        near = suggest(", ".join(sorted(entry.about)), known) or min(known, default=None)
        if near is not None:
            help_text += f", or did you mean about: [{', '.join(known[near].about)}]?"
    return Problem(
        "baseline-unused",
        message,
        entry.span,
        help=help_text,
        documentation=PAGE,
        about=(entry.check, *sorted(entry.about)),
    )


def _names(about: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(about))
