"""The commands that judge rule packs: validate, test."""

from __future__ import annotations

import click

from policy_engine.cli.reporting import FORMAT, PACKS, report_problems
from policy_engine.core.problems import PackInvalid, Problem


@click.command()
@PACKS
@FORMAT
def validate(packs: tuple[str, ...], shape: str) -> int:
    """
    Check that rule packs have the right shape and do not contradict themselves.

    PACK: a bundled pack or a folder; default piapi. Reports every problem of every file with its line and column.
    """
    from policy_engine.authoring.lint import run_checks
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
    report_problems(problems, sources, shape, covered=lines)
    return 3 if any(problem.severity == "error" for problem in problems) else 0


@click.command()
@PACKS
@FORMAT
@click.option("--coverage", is_flag=True, help="Count the rules, versions and boundaries that the cases exercise.")
@click.option("--mutate", is_flag=True, help="Change the rules one detail at a time; list what no case notices.")
@click.option(
    "--min-coverage",
    type=click.IntRange(0, 100),
    metavar="N",
    help="Exit 5 if rule, version or boundary coverage is below N %. Implies --coverage.",
)
@click.option(
    "--min-mutation",
    type=click.IntRange(0, 100),
    metavar="N",
    help="Exit 5 if fewer than N % of the changes are noticed. Implies --mutate.",
)
@click.option("--generate", is_flag=True, help="Write boundary cases for one pack as YAML, and run nothing.")
@click.option("-o", "--output", metavar="FILE", help="File for --generate; - is standard output, the default.")
@click.option("--overwrite", is_flag=True, help="Let --generate replace an existing file.")
def test(
    packs: tuple[str, ...],
    shape: str,
    coverage: bool,
    mutate: bool,
    min_coverage: int | None,
    min_mutation: int | None,
    generate: bool,
    output: str | None,
    overwrite: bool,
) -> int:
    """
    Run the cases of rule packs, which state what the rules must do.

    PACK: a bundled pack or a folder; default piapi. A pack without cases fails with exit 7.
    """
    from policy_engine.cli.testing import SCHEMA, CoverageOptions, run_tests, write_cases

    wanted = CoverageOptions(
        coverage or min_coverage is not None, mutate or min_mutation is not None, min_coverage, min_mutation
    )
    if generate:
        if wanted.coverage or wanted.mutate or shape != "text":
            raise click.UsageError("--generate runs no case, so it does not go with --coverage, --mutate or --format")
        write_cases(packs or ("piapi",), output or "-", overwrite)
        return 0
    if output is not None or overwrite:
        raise click.UsageError("-o and --overwrite belong to --generate")
    tested = run_tests(packs or ("piapi",), wanted)
    more = {"tests": {"schema": SCHEMA, "packs": tested.packs}}
    report_problems(tested.problems, tested.sources, shape, more, covered=tested.lines)
    return tested.code


COMMANDS = (validate, test)
