"""Turns what is wrong with an input into data: problems, their locations, and the few exceptions that carry them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal

from policy_engine.core.safe_text import plain

Severity = Literal["error", "warning"]

_LONGEST = 2_000
"""Characters of one line of a problem."""
_WIDEST = 160
"""Characters of a source line that are shown, and columns that can be marked."""


@dataclass(frozen=True, order=True)
class SourceSpan:
    """A location in a file that a person can go to."""

    file: str
    """Path as the user gave it, with forward slashes."""
    line: int
    """Line number from 1."""
    column: int = 1
    """Column from 1, in characters."""
    length: int = 1
    """How many characters it covers on its line (at least 1)."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """Something wrong with an input; a finding, by contrast, is about an asset."""

    code: str
    """Stable identifier, in kebab case (`unknown-key`)."""
    message: str
    """One lower-case sentence without a full stop; the user's words are in backticks."""
    span: SourceSpan | None = None
    """Where it is; None when it belongs to no file."""
    severity: Severity = "error"
    """`error` stops the run, `warning` does not."""
    help: str | None = None
    """What to do about it, when that can be said."""
    related: tuple[SourceSpan, ...] = ()
    """Other locations that take part (the first of two equal keys, the other rule in force)."""
    witness: str | None = None
    """The smallest concrete example that shows it (a kind of file and an instant), when there is one."""
    documentation: str | None = None
    """Page of the documentation about it, as a path within the project."""
    about: tuple[str, ...] = ()
    """Names of what it is about (`flux v2`, a service) that stay the same when lines move; a baseline names them."""

    def sort_key(self) -> tuple[str, int, int, str, str]:
        """Order for people: by file, then location, then code."""
        if self.span is None:
            return ("", 0, 0, self.code, self.message)
        return (self.span.file, self.span.line, self.span.column, self.code, self.message)


class PolicyEngineError(Exception):
    """Base of every error that is the fault of an input; its text is the problems, each with location and help."""

    def __init__(self, problems: Iterable[Problem] | Problem, sources: Mapping[str, str] | None = None) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.sources: Mapping[str, str] = sources or {}
        super().__init__("; ".join(problem.message for problem in self.problems))

    def __str__(self) -> str:
        return "\n".join(format_problem(problem, self.sources) for problem in self.problems)

    def __reduce__(self) -> tuple[type[PolicyEngineError], tuple[object, ...]]:
        """Make a copy in the process that reports."""
        return type(self), (self.problems, dict(self.sources))


class PackInvalid(PolicyEngineError):
    """The rule files are invalid or contradict each other (exit code 3)."""


class InputUnusable(PolicyEngineError):
    """An export cannot be read, or more was set aside than allowed (exit code 4)."""


class UsageProblem(PolicyEngineError):
    """An argument makes no sense (exit code 2)."""


class NothingToEvaluate(PolicyEngineError):
    """The input holds no record, or the pack holds no case (exit code 7)."""


class TotalsMismatch(PolicyEngineError):
    """Control totals do not tie (exit code 6)."""


class WorkerEnded(PolicyEngineError):
    """A worker process was ended from outside (exit code 70)."""


@dataclass
class ProblemList:
    """Collects problems so that one run reports all of them."""

    items: list[Problem] = field(default_factory=list)
    """In the order they were found."""

    def add(self, problem: Problem) -> None:
        """Append one problem."""
        self.items.append(problem)

    @property
    def has_errors(self) -> bool:
        """True when at least one problem is an error."""
        return any(problem.severity == "error" for problem in self.items)


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word nearest to `word`, or None when nothing is near."""
    by_folded = {name.casefold(): name for name in known}
    near = get_close_matches(word.casefold(), list(by_folded), n=1, cutoff=0.6)
    return by_folded[near[0]] if near else None


def format_problem(problem: Problem, sources: Mapping[str, str] | None = None) -> str:
    """
    Write a problem as a person reads it: location, severity and code, sentence, source frames, witness, help, page.

    `sources` maps file names to their text; without it the frame is left out. Names of files and what inputs say are
    made safe to show.
    """
    head = f"{problem.severity}[{problem.code}]: {plain(problem.message, _LONGEST)}"
    lines = [f"{plain(problem.span, _LONGEST)}: {head}" if problem.span else head]
    for span in (problem.span, *problem.related):
        if span is None:
            continue
        if span is not problem.span:
            lines.append(f"  see also {plain(span, _LONGEST)}")
        lines.extend(_frame(span, (sources or {}).get(span.file)))
    for word, text in (("witness", problem.witness), ("help", problem.help), ("docs", problem.documentation)):
        if text:
            lines.append(f"  {word}: {plain(text, _LONGEST)}")
    return "\n".join(lines)


def _frame(span: SourceSpan, text: str | None) -> list[str]:
    """The source line of a span with a caret line under it."""
    if text is None:
        return []
    source = _lines_of(text)
    if not 1 <= span.line <= len(source):
        return []
    line = plain(source[span.line - 1], _WIDEST)
    number = str(span.line)
    if span.column > _WIDEST:
        return [f"  {number} | {line}"]
    width = max(1, min(span.length, len(line) - span.column + 1))
    return [f"  {number} | {line}", f"  {' ' * len(number)} | {' ' * (span.column - 1)}{'^' * width}"]


@lru_cache(maxsize=2)
def _lines_of(text: str) -> list[str]:
    """The lines of a file, which are asked for once for each of its problems."""
    return text.splitlines()
