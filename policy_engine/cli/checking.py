"""The commands that judge rule packs: validate, test."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from policy_engine.cli.output import show
from policy_engine.problems import NothingToEvaluate, PackInvalid, Problem, plain

if TYPE_CHECKING:
    from policy_engine.render.problem_formats.contents import Accepted

SHAPES = ("text", "json", "github", "sarif", "markdown")
"""Formats of problems; `problem_formats.FORMATS` has the functions, which `--help` does not need."""
_PACKS = click.argument("packs", nargs=-1, metavar="[PACK...]")
_FORMAT = click.option(
    "--format",
    "shape",
    type=click.Choice(SHAPES),
    default="text",
    show_default=True,
    help="How to report problems.",
)


@click.command()
@_PACKS
@_FORMAT
def validate(packs: tuple[str, ...], shape: str) -> int:
    """
    Check that rule packs have the right shape and do not contradict themselves.

    PACK: a bundled pack or a folder; default piapi. Reports every problem of every file with its line and column.
    """
    from policy_engine.lint import run_checks
    from policy_engine.packs import read_pack

    problems: list[Problem] = []
    sources: dict[str, str] = {}
    lines = []
    for location in packs or ("piapi",):
        try:
            pack = read_pack(location)
        except PackInvalid as error:
            problems += error.problems
            sources |= error.sources
            lines.append(f"{location}: invalid")
            continue
        found = run_checks(pack)
        problems += found
        sources |= pack.texts
        versions = sum(len(rule.versions) for rule in pack.rules)
        is_valid = not any(problem.severity == "error" for problem in found)
        lines.append(
            f"{location}: {'valid' if is_valid else 'invalid'}; {len(pack.rules)} rules, {versions} versions, "
            f"{len(pack.catalog.services)} services, sha256 {pack.digest[:12]}"
        )
    _report(problems, sources, shape, covered=lines)
    return 3 if any(problem.severity == "error" for problem in problems) else 0


@click.command()
@_PACKS
@_FORMAT
def test(packs: tuple[str, ...], shape: str) -> int:
    """
    Run the cases of rule packs, which say what the rules must do.

    PACK: a bundled pack or a folder; default piapi. A pack without cases is a failure of its own (exit 7).
    """
    from policy_engine.api import load_pack
    from policy_engine.cases import run_cases

    problems: list[Problem] = []
    sources: dict[str, str] = {}
    empty: list[Problem] = []
    invalid: list[Problem] = []
    lines = []
    for location in packs or ("piapi",):
        try:
            outcome = run_cases(load_pack(location), location)
        except PackInvalid as error:
            invalid += error.problems
            sources |= error.sources
            lines.append(f"{location}: invalid")
            continue
        except NothingToEvaluate as error:
            empty += error.problems
            lines.append(f"{location}: no cases")
            continue
        problems += outcome.problems
        sources |= outcome.texts
        lines.append(f"{location}: {outcome.passed} of {outcome.total} cases passed")
    _report([*invalid, *problems, *empty], sources, shape, covered=lines)
    return 3 if invalid else 5 if problems else 7 if empty else 0


COMMANDS = (validate, test)


def _report(
    problems: Sequence[Problem],
    sources: Mapping[str, str],
    shape: str,
    more: Mapping[str, object] | None = None,
    *,
    covered: Sequence[str] = (),
    accepted: Sequence[Accepted] = (),
) -> None:
    """
    Text goes to stderr, where people and logs look for it; the other formats are the result and go to stdout.

    `covered` says what was looked at: in text the result, in the other formats a part of it. `more` is for JSON alone.
    """
    from policy_engine.render.problem_formats import write_problems

    docs = os.environ.get("POLICY_ENGINE_DOCS") or None
    written = write_problems(problems, sources, shape, covered=covered, accepted=accepted, docs=docs, more=more)
    if shape != "text":
        show(written)
        return
    click.echo(written, nl=False, err=True)
    show("".join(f"{plain(line, 2_000)}\n" for line in covered))
