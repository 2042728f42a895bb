"""Writes problems with rule packs for people, programs and services that run checks; one module per format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from policy_engine.authoring.problem_formats import github, json_problems, markdown, sarif, text
from policy_engine.authoring.problem_formats.contents import Contents
from policy_engine.core.problems import Problem

if TYPE_CHECKING:
    from policy_engine.authoring.lint.baseline import Accepted


class ProblemFormat(NamedTuple):
    """A way to write problems."""

    write: Callable[[Contents], str]
    help: str
    """What it is for, as `--help` shows it."""


FORMATS: Mapping[str, ProblemFormat] = {
    "text": ProblemFormat(text.write, "for people"),
    "json": ProblemFormat(json_problems.write, "for programs"),
    "github": ProblemFormat(github.write, "annotations on GitHub"),
    "sarif": ProblemFormat(sarif.write, "code scanning and editors"),
    "markdown": ProblemFormat(markdown.write, "job summaries"),
}
"""Name of the format, as `--format` takes it -> how it is written and what it is for."""


def write_problems(
    problems: Sequence[Problem],
    sources: Mapping[str, str],
    shape: str,
    *,
    covered: Sequence[str] = (),
    accepted: Sequence[Accepted] = (),
    docs: str | None = None,
    more: Mapping[str, object] | None = None,
) -> str:
    """
    Write problems in the format `shape`, one of FORMATS; the text ends with a line break, or is empty.

    `sources` maps file names to their text, for source frames. `covered` are lines that state what was checked; text
    leaves them out, since there they are the command's own result. `docs` is the base address of the documentation.
    `more` are further keys of the JSON document.
    """
    return FORMATS[shape].write(Contents.of(problems, sources, covered, accepted, docs, more))
