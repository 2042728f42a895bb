"""Turns a baseline file into acceptances of known lint problems, and tells which problems they accept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from policy_engine.core.periods import DAY, parse_date
from policy_engine.core.problems import Problem, SourceSpan, UsageProblem, suggest
from policy_engine.core.text.wording import count_of
from policy_engine.packs.loading import read_checked

PAGE = "docs/lint.md#baseline"
"""Where baselines are documented."""
NEVER = ("overlap", "unknown-name", "version-order")
"""Checks whose errors cannot be accepted, since no command could use the pack."""


@dataclass(frozen=True)
class Acceptance:
    """Dated, owned, reasoned leave for a lint problem to stand."""

    pack: str
    """Id of the pack."""
    check: str
    """Id of the check."""
    about: frozenset[str]
    """What the problem is about, as its `about` says."""
    owner: str
    reason: str
    expires_on: date
    """First day (UTC) on which it no longer counts."""
    span: SourceSpan
    """Where it stands in the baseline."""


@dataclass(frozen=True)
class Baseline:
    """All acceptances of a file."""

    file: str
    entries: tuple[Acceptance, ...]
    text: str = field(default="", repr=False)
    """Text of the file, for source frames."""


@dataclass(frozen=True)
class Accepted:
    """A problem and why it may stand; it is shown and counted, and fails nothing."""

    problem: Problem
    acceptance: Acceptance


def read_baseline(path: str | Path) -> Baseline:
    """Read a baseline file; raises UsageProblem with everything that is wrong with it."""
    name = Path(path).as_posix()
    document, data, problems = read_checked(Path(path), name, "baseline")
    text = data.decode("utf-8-sig", errors="replace")
    if document is None:
        raise UsageProblem(
            [replace(problem, help=problem.help or f"{PAGE} shows what a baseline holds") for problem in problems],
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


def apply_baseline(
    problems: Sequence[Problem], baseline: Baseline, pack_id: str, as_of: int | None
) -> tuple[list[Problem], tuple[Accepted, ...], str]:
    """
    Part the problems of one pack into those that stand as they are, and those that are accepted.

    An entry that has expired or accepts nothing becomes a problem itself. Gives also what was looked at, in words.
    """
    today = date.max if as_of is None else date.fromordinal(date(1970, 1, 1).toordinal() + as_of // DAY)
    entries = [entry for entry in baseline.entries if entry.pack == pack_id]
    left: list[Problem] = []
    accepted: list[Accepted] = []
    used: set[int] = set()
    for problem in sorted(problems, key=Problem.sort_key):
        fitting = [
            entry
            for entry in entries
            if entry.check == problem.code
            and entry.about == frozenset(problem.about)
            and not (problem.code in NEVER and problem.severity == "error")
        ]
        used |= {id(entry) for entry in fitting}
        valid = [entry for entry in fitting if today < entry.expires_on]
        if valid:
            accepted.append(Accepted(problem, valid[0]))
        else:
            left.append(problem)
    for entry in entries:
        if id(entry) not in used:
            left.append(_unused(entry, problems))
        elif today >= entry.expires_on:
            left.append(_expired(entry))
    others = len(baseline.entries) - len(entries)
    covered = (
        f"{len(entries)} of {len(baseline.entries)} entries are about `{pack_id}`"
        if others
        else count_of(len(entries), "entry", "entries")
    )
    return left, tuple(accepted), f"{covered}, {len(accepted)} accepted"


def _expired(entry: Acceptance) -> Problem:
    return Problem(
        "baseline-expired",
        f"the acceptance of `{entry.check}` for {_names(entry.about)} has expired on {entry.expires_on}",
        entry.span,
        help=f"mend the problem, or let {entry.owner} accept it anew with a later day",
        documentation=PAGE,
        about=(entry.check, *sorted(entry.about)),
    )


def _unused(entry: Acceptance, problems: Sequence[Problem]) -> Problem:
    """An entry that accepts nothing: the problem is mended, or the entry means another."""
    message = f"nothing is wrong with {_names(entry.about)} that `{entry.check}` would find"
    if any(
        problem.code == entry.check and problem.code in NEVER and frozenset(problem.about) == entry.about
        for problem in problems
    ):
        message = f"an error of `{entry.check}` cannot be accepted: no command can use such a pack"
        help_text = "mend it"
    else:
        known = {", ".join(sorted(problem.about)): problem for problem in problems if problem.code == entry.check}
        near = suggest(", ".join(sorted(entry.about)), known) or next(iter(sorted(known)), None)
        help_text = "take the entry out"
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
