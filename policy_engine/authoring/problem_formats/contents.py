"""Collects what every format shows: the problems in order, with their fingerprints and documentation."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from policy_engine.core.problem_codes import page_of
from policy_engine.core.problems import Problem
from policy_engine.core.safe_text import plain
from policy_engine.core.text.wording import count_of

if TYPE_CHECKING:
    from policy_engine.authoring.lint.baseline import Acceptance, Accepted

LONGEST = 2_000
"""Most characters of one text of a problem."""
MOST_OF_A_CODE = 1_000
"""Problems of one code that are shown; the rest are counted. That number of problems has one cause."""
_NAMED = re.compile(r"`([^`]*)`")
_LINE_NUMBER = re.compile(r"\b(line|row|column) [0-9]+")


@dataclass(frozen=True)
class Entry:
    """A problem as the formats show it."""

    problem: Problem
    fingerprint: str
    """Does not change when the lines of the file move."""
    documentation: str | None
    """Path in this program's repository, or an address."""
    acceptance: Acceptance | None
    """Set when a baseline accepts the problem."""


@dataclass(frozen=True)
class Contents:
    """Everything a format may show."""

    entries: tuple[Entry, ...]
    """In the order of their locations."""
    sources: Mapping[str, str]
    """File name, as in problems -> text."""
    covered: tuple[str, ...]
    """Lines that state what was checked."""
    docs: str | None
    """Base address of the documentation."""
    more: Mapping[str, object] = field(default_factory=dict)
    """Further keys of the JSON document: what a command reports beside problems."""
    left_out: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Code and severity -> problems that are not among the entries."""

    @staticmethod
    def of(
        problems: Sequence[Problem],
        sources: Mapping[str, str],
        covered: Sequence[str] = (),
        accepted: Sequence[Accepted] = (),
        docs: str | None = None,
        more: Mapping[str, object] | None = None,
    ) -> Contents:
        """Sort the problems, count those beyond the limit, and give each remaining problem its fingerprint."""
        kept, left_out = _first_of_each_code(problems)
        pairs: list[tuple[Problem, Acceptance | None]] = [(problem, None) for problem in kept]
        pairs += [(item.problem, item.acceptance) for item in accepted]
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
        """The problems that are not accepted."""
        return tuple(entry for entry in self.entries if entry.acceptance is None)

    @property
    def accepted(self) -> tuple[tuple[Entry, Acceptance], ...]:
        """The accepted problems, each with its acceptance."""
        return tuple((entry, entry.acceptance) for entry in self.entries if entry.acceptance is not None)

    def count(self, severity: str) -> int:
        """Number of open problems of a severity, shown or not."""
        shown = sum(entry.problem.severity == severity for entry in self.open)
        return shown + sum(number for (_, each), number in self.left_out.items() if each == severity)

    def lines_left_out(self) -> tuple[str, ...]:
        """A sentence for each code whose problems are not all shown: `42,665 more errors of ...`."""
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
        """The address of a documentation page; None when its base address is not known."""
        address = page if page is None or "://" in page else f"{(self.docs or '').rstrip('/')}/{page}"
        return address if address is not None and re.match(r"https?://", address) else None


def _first_of_each_code(problems: Sequence[Problem]) -> tuple[list[Problem], dict[tuple[str, str], int]]:
    """The problems to show, and the number of others; errors come first, then the order of locations."""
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
    """Identifies a problem even after lines are added above it: only the file of its location counts."""
    named = problem.about or _NAMED.findall(problem.message) or [_LINE_NUMBER.sub(r"\1", problem.message)]
    parts = (problem.code, problem.span.file if problem.span else "", *named)
    total = sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.hexdigest()[:32]
