"""Turns problems with rule packs into text for people, programs and services that run checks; one module a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from policy_engine.authoring.problem_formats.contents import Accepted, Contents
from policy_engine.authoring.problem_formats.github import to_github
from policy_engine.authoring.problem_formats.json_problems import to_json
from policy_engine.authoring.problem_formats.markdown import to_markdown
from policy_engine.authoring.problem_formats.sarif import to_sarif
from policy_engine.authoring.problem_formats.text import to_text
from policy_engine.core.problems import Problem

FORMATS: Mapping[str, Callable[[Contents], str]] = {
    "text": to_text,
    "json": to_json,
    "github": to_github,
    "sarif": to_sarif,
    "markdown": to_markdown,
}
"""Name of the format -> the function that writes it."""


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

    `sources` maps file names to their text, for source frames; `covered` are lines that say what was looked at;
    `docs` is the address under which the files of this program's repository can be read; `more` are further keys, which
    only JSON has a place for. In text, which goes to
    standard error, `covered` is left out: it is the command's own result there.
    """
    return FORMATS[shape](Contents.of(problems, sources, covered, accepted, docs, more))
