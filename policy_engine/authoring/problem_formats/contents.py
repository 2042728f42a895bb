"""What every format of problems shows: the problems in order, their fingerprints, and where they are documented."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Protocol

from policy_engine.core.problem_codes import page_of
from policy_engine.core.problems import Problem
from policy_engine.core.safe_text import plain
from policy_engine.core.text.wording import count_of

LONGEST = 2_000
"""Characters of one text of a problem."""
MOST_OF_A_CODE = 1_000
"""Problems of one code that are shown; the rest is counted. Where there are so many, they have one cause."""
_NAMED = re.compile(r"`([^`]*)`")
_LINE_NUMBER = re.compile(r"\b(line|row|column) [0-9]+")


class Acceptance(Protocol):
    """Dated, owned, reasoned leave for a problem to stand."""

    @property
    def owner(self) -> str:
        """Who answers for it."""

    @property
    def reason(self) -> str:
        """Why it may stand."""

    @property
    def expires_on(self) -> date:
        """The first day on which it no longer counts."""


class Accepted(Protocol):
    """A problem and why it may stand; it is shown, and stops nothing."""

    @property
    def problem(self) -> Problem:
        """As it was found."""

    @property
    def acceptance(self) -> Acceptance:
        """Who answers for it, why, and until when."""


@dataclass(frozen=True)
class Entry:
    """A problem as the formats show it."""

    problem: Problem
    fingerprint: str
    """Stays when the lines of the file move."""
    documentation: str | None
    """Path in the repository of this program, or an address."""
    acceptance: Acceptance | None
    """Set when somebody answers for it."""


@dataclass(frozen=True)
class Contents:
    """Everything that a format may show."""

    entries: tuple[Entry, ...]
    """In the order of their places."""
    sources: Mapping[str, str]
    """File name in problems -> text."""
    covered: tuple[str, ...]
    """Lines that say what was looked at."""
    docs: str | None
    """Address under which the files of this program's repository can be read."""
    more: Mapping[str, object] = field(default_factory=dict)
    """Further keys of the JSON document: what a command has to say beside problems."""
    left_out: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Code and severity -> how many more problems there are that are not among the entries."""

    @staticmethod
    def of(
        problems: Sequence[Problem],
        sources: Mapping[str, str],
        covered: Sequence[str] = (),
        accepted: Sequence[Accepted] = (),
        docs: str | None = None,
        more: Mapping[str, object] | None = None,
    ) -> Contents:
        """Put problems in order, count those that are too many, and give each that is left its fingerprint."""
        kept, left_out = _first_of_each_code(problems)
        pairs: list[tuple[Problem, Acceptance | None]] = [(problem, None) for problem in kept]
        pairs += [(one.problem, one.acceptance) for one in accepted]
        pairs.sort(key=lambda pair: pair[0].sort_key())
        seen: Counter[str] = Counter()
        entries = []
        for problem, acceptance in pairs:
            core = _fingerprint(problem)
            seen[core] += 1
            documentation = problem.documentation or page_of(problem.code)
            entries.append(Entry(problem, f"{core}:{seen[core]}", documentation, acceptance))
        lines = tuple(plain(line.strip(), LONGEST) for line in covered)
        return Contents(tuple(entries), sources, lines, docs, more or {}, left_out)

    @property
    def open(self) -> tuple[Entry, ...]:
        """The problems that nobody has accepted."""
        return tuple(entry for entry in self.entries if entry.acceptance is None)

    @property
    def accepted(self) -> tuple[Entry, ...]:
        """The problems that somebody answers for."""
        return tuple(entry for entry in self.entries if entry.acceptance is not None)

    def count(self, severity: str) -> int:
        """How many open problems are of a severity, shown or not."""
        shown = sum(entry.problem.severity == severity for entry in self.open)
        return shown + sum(number for (_, each), number in self.left_out.items() if each == severity)

    def lines_left_out(self) -> tuple[str, ...]:
        """A sentence for each code of which not all problems are shown: `42,665 more errors of ...`."""
        return tuple(
            f"{count_of(number, f'more {severity}')} of `{code}` {'is' if number == 1 else 'are'} not shown"
            for (code, severity), number in self.left_out.items()
        )

    def headline(self) -> str:
        """`2 errors, 1 warning, 1 accepted`, or `no problems`."""
        parts = [count_of(self.count(word), word) for word in ("error", "warning") if self.count(word)]
        parts = parts or ["no problems"]
        if self.accepted:
            parts.append(f"{len(self.accepted):,} accepted")
        return ", ".join(parts)

    def address(self, page: str | None) -> str | None:
        """The address of a page of the documentation; None when it is not known where that can be read."""
        address = page if page is None or "://" in page else f"{(self.docs or '').rstrip('/')}/{page}"
        return address if address is not None and re.match(r"https?://", address) else None


def _first_of_each_code(problems: Sequence[Problem]) -> tuple[list[Problem], dict[tuple[str, str], int]]:
    """The problems to show, errors before warnings and then in the order of places, and how many more there are."""
    ranked = problems
    if len(problems) > MOST_OF_A_CODE:
        ranked = sorted(problems, key=lambda problem: (problem.severity != "error", problem.sort_key()))
    seen: Counter[str] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()
    kept = []
    for problem in ranked:
        seen[problem.code] += 1
        if seen[problem.code] <= MOST_OF_A_CODE:
            kept.append(problem)
        else:
            left_out[problem.code, problem.severity] += 1
    return kept, dict(sorted(left_out.items()))


def _fingerprint(problem: Problem) -> str:
    """The same for one problem before and after lines are added above it: of its place only the file counts."""
    named = problem.about or _NAMED.findall(problem.message) or [_LINE_NUMBER.sub(r"\1", problem.message)]
    parts = (problem.code, problem.span.file if problem.span else "", *named)
    total = sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.hexdigest()[:32]
