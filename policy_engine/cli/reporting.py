"""What the commands that judge rule packs share: the packs, the format, and writing problems in it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from policy_engine.authoring.problem_formats import FORMATS, write_problems
from policy_engine.cli.output import show, tell
from policy_engine.core.problems import Problem
from policy_engine.core.safe_text import plain

if TYPE_CHECKING:
    from policy_engine.authoring.lint.baseline import Accepted

PACKS = click.argument("packs", nargs=-1, metavar="[PACK...]")
FORMAT = click.option(
    "--format",
    "shape",
    type=click.Choice(list(FORMATS)),
    default="text",
    show_default=True,
    help=f"Format of the problems: {', '.join(f'{name} ({shape.help})' for name, shape in FORMATS.items())}.",
)


def report_problems(
    problems: Sequence[Problem],
    sources: Mapping[str, str],
    shape: str,
    more: Mapping[str, object] | None = None,
    *,
    covered: Sequence[str] = (),
    accepted: Sequence[Accepted] = (),
) -> None:
    """
    Write text to stderr, where people and logs expect it; the other formats are the result and go to stdout.

    `covered` states what was checked: in text it is the result, in the other formats a part of it. `more` is for JSON.
    """
    docs = os.environ.get("POLICY_ENGINE_DOCS") or None
    written = write_problems(problems, sources, shape, covered=covered, accepted=accepted, docs=docs, more=more)
    if shape != "text":
        show(written, shape)
        return
    if written:
        tell(written.removesuffix("\n"))
    show("".join(f"{plain(line, 2_000)}\n" for line in covered))
