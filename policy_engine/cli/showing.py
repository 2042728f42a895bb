"""The commands that show what there is: rules, schema, example."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from policy_engine.cli.output import show, tell, whole_file
from policy_engine.cli.values import INSTANT, clock
from policy_engine.core.periods import describe_duration, format_instant
from policy_engine.core.problems import Problem, UsageProblem, suggest
from policy_engine.core.safe_text import plain

if TYPE_CHECKING:
    from policy_engine.core.rule_model import Rule, RulePack, RuleVersion

EXAMPLE_UNTIL = "2026-01-08T00:00:00Z"
"""Default end of the example history: an example must not depend on the clock."""
_LONGEST = 2_000
"""Characters shown of a text of a pack."""


@click.command()
@click.argument("pack", default="piapi")
@click.option(
    "--as-of", type=INSTANT, help="Show the versions in force for files created at this instant. Default: now."
)
def rules(pack: str, as_of: int | None) -> int:
    """Show the rules in force as a table."""
    from policy_engine.authoring.loading import load_pack
    from policy_engine.packs.timeline import in_force

    loaded = load_pack(pack)
    instant = clock() if as_of is None else as_of
    rows = []
    for rule in loaded.rules:
        version = next(
            (version for start, version in reversed(in_force(rule)) if start is None or start <= instant), None
        )
        if version is not None and not version.withdrawn:
            rows.append(_row(rule, version))
    lines = [f"{plain(loaded.title, _LONGEST)}; rules in force for files created at {format_instant(instant)}", ""]
    lines.append(_table(("rule", "applies to", "storage", "kept", "operations", "basis"), rows))
    for entry in loaded.no_published_rule:
        services, reason = ", ".join(sorted(entry.services)), " ".join(entry.reason.split())
        lines += ["", f"no published rule: {services}", f"  {plain(reason, _LONGEST)}"]
    show("\n".join([*lines, *_sources(loaded)]) + "\n")
    return 0


def _row(rule: Rule, version: RuleVersion) -> tuple[str, ...]:
    from policy_engine.packs.wording import kept_words, selector_words

    window = version.operation_window
    return (
        f"{rule.id} v{version.number}",
        selector_words(version).removeprefix("service "),
        str(version.storage or "-"),
        kept_words(version) or "-",
        f"{describe_duration(window.period)} ({', '.join(window.operations)})" if window else "-",
        version.citation.basis if version.citation else "-",
    )


def _table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Aligned columns; the two wide ones are wrapped so that a line stays readable."""
    limits = (30, 44, 10, 14, 34, 9)
    lines = []
    for cells in (titles, *rows):
        wrapped = [textwrap.wrap(cell, limit) or [""] for cell, limit in zip(cells, limits, strict=True)]
        for line in range(max(len(cell) for cell in wrapped)):
            parts = [
                (cell[line] if line < len(cell) else "").ljust(limit)
                for cell, limit in zip(wrapped, limits, strict=True)
            ]
            lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def _sources(pack: RulePack) -> list[str]:
    lines = ["", "sources:"]
    for source in pack.sources:
        lines.append(f"  {plain(source.title, _LONGEST)}, read on {source.retrieved_on.isoformat()}")
        lines.append(f"    {plain(source.url, _LONGEST)}")
    return lines


@click.command()
@click.argument("name", required=False)
def schema(name: str | None) -> int:
    """Print a JSON Schema; without NAME, list them."""
    from policy_engine.core.resources import bundled

    folder = bundled("schemas")
    names = {path.name.removesuffix(".schema.json"): path for path in sorted(folder.glob("*.schema.json"))}
    if name is None:
        click.echo("\n".join(names))
        return 0
    wanted = names.get(name) or next((path for known, path in names.items() if known.partition(".")[0] == name), None)
    if wanted is None:
        near = suggest(name, names)
        raise UsageProblem(Problem(
            "unknown-schema", f"there is no schema `{plain(name)}`",
            help=(f"did you mean `{near}`? " if near else "") + f"there are {', '.join(names)}",
        ))  # fmt: skip
    click.echo(wanted.read_text(encoding="utf-8"), nl=False)
    return 0


@click.command()
@click.option("--tasks", type=click.IntRange(0), default=1000, show_default=True, help="Number of tasks.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed; another one gives another history.")
@click.option("--until", type=INSTANT, default=EXAMPLE_UNTIL, show_default=True, help="End of the history.")
@click.option("--damage", is_flag=True, help="Damage a few records, to show how they are quarantined.")
@click.option(
    "--shape",
    type=click.Choice(["mixed", "tasks"]),
    default="mixed",
    show_default=True,
    help="mixed: every shape of export; tasks: a unified task object per line, each once.",
)
@click.option("-o", "--output", required=True, metavar="FILE", help="JSON Lines file to write; - is standard output.")
def example(tasks: int, seed: int, until: int, damage: bool, shape: str, output: str) -> int:
    """Write a made-up but realistic history; the same options give the same bytes anywhere."""
    from policy_engine.history.example import write_example

    options = {"tasks": tasks, "seed": seed, "until": until, "damage": damage, "shape": shape}
    with whole_file(output) as stream:
        summary = write_example(stream, **options)  # type: ignore[arg-type]
    if output == "-":
        return 0
    tell(f"{summary.tasks:,} tasks in {summary.lines:,} lines ({summary.bytes:,} bytes) in {plain(output)}")
    tell(f"try: policy-engine report {plain(output)} --as-of {format_instant(until)}")
    return 0


COMMANDS = (rules, schema, example)
