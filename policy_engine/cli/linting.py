"""The commands that judge what rules mean together: lint, and check, which is validate, lint and test in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from policy_engine.cli.reporting import FORMAT, PACKS, report_problems
from policy_engine.cli.values import DURATION, INSTANT, clock
from policy_engine.core.problems import NothingToEvaluate, PackInvalid, Problem
from policy_engine.core.safe_text import plain
from policy_engine.core.text.wording import count_of

if TYPE_CHECKING:
    from policy_engine.authoring.lint import LintResult
    from policy_engine.authoring.lint.baseline import Accepted, Baseline
    from policy_engine.core.rule_model import RulePack


def _lint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that lint and check share."""
    for option in reversed((
        click.option("--against", metavar="REV", help="Git revision whose versions must all still be there, unedited."),
        click.option("--review-after", type=DURATION, help="Warn about sources not re-read within this period."),
        click.option("--as-of", type=INSTANT, help="Date for stale sources and acceptances. Default: the clock."),
        click.option("--baseline", metavar="FILE", help="YAML file of accepted problems."),
        click.option("--strict", is_flag=True, help="Exit 3 for warnings, too."),
        FORMAT,
    )):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True)
class _Asked:
    """What the options ask, the same for every pack."""

    against: str | None
    review_after: int | None
    as_of: int
    baseline: Baseline | None


def _asked(against: str | None, review_after: int | None, as_of: int | None, baseline: str | None) -> _Asked:
    from policy_engine.authoring.lint.baseline import read_baseline

    instant = clock() if as_of is None else as_of
    return _Asked(against, review_after, instant, read_baseline(baseline) if baseline is not None else None)


@dataclass
class _Outcome:
    """What linting the packs gave."""

    problems: list[Problem] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    accepted: list[Accepted] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """What was checked."""
    failed: bool = False
    """True when a case failed."""
    empty: bool = False
    """True when a pack has no case."""

    def is_invalid(self, strict: bool) -> bool:
        """True for an error, or with `strict` for anything, that is not about a case."""
        return any(
            problem.severity == "error" or strict
            for problem in self.problems
            if problem.code not in ("case-failed", "no-cases")
        )

    def report(self, shape: str) -> None:
        """Write it all in one of the formats."""
        report_problems(self.problems, self.sources, shape, covered=self.lines, accepted=self.accepted)


@click.command()
@PACKS
@_lint_options
def lint(
    packs: tuple[str, ...],
    against: str | None,
    review_after: int | None,
    as_of: int | None,
    baseline: str | None,
    strict: bool,
    shape: str,
) -> int:
    """
    Check that the rules of rule packs make sense together.

    PACK: a bundled pack or a folder; default piapi. Finds overlaps, gaps, versions without an effect, edited versions,
    odd periods and more, each with an example; reports what every check covered.
    """
    asked = _asked(against, review_after, as_of, baseline)
    outcome = _Outcome()
    for location in packs or ("piapi",):
        _lint(location, asked, outcome)
    outcome.report(shape)
    return 3 if outcome.is_invalid(strict) else 0


@click.command()
@PACKS
@_lint_options
def check(
    packs: tuple[str, ...],
    against: str | None,
    review_after: int | None,
    as_of: int | None,
    baseline: str | None,
    strict: bool,
    shape: str,
) -> int:
    """
    Validate, lint and test rule packs in one go.

    PACK: a bundled pack or a folder; default piapi. What a change of rules must pass before it is merged.
    """
    from policy_engine.authoring.testing.cases import run_cases

    asked = _asked(against, review_after, as_of, baseline)
    outcome = _Outcome()
    for location in packs or ("piapi",):
        pack = _lint(location, asked, outcome)
        if pack is None:
            outcome.lines.append(f"{plain(location, 500)}: cases not run, since no command can use the pack as it is")
            continue
        try:
            cases = run_cases(pack, location)
        except NothingToEvaluate as error:
            outcome.problems += error.problems
            outcome.empty = True
            outcome.lines.append(f"{plain(location, 500)}: no cases")
            continue
        outcome.problems += cases.problems
        outcome.sources |= cases.texts
        outcome.failed |= bool(cases.problems)
        outcome.lines.append(f"{plain(location, 500)}: {cases.passed} of {cases.total} cases passed")
    outcome.report(shape)
    return 3 if outcome.is_invalid(strict) else 5 if outcome.failed else 7 if outcome.empty else 0


COMMANDS = (lint, check)


def _lint(location: str, asked: _Asked, outcome: _Outcome) -> RulePack | None:
    """Read and lint one pack; gives the pack when its cases can be run."""
    from policy_engine.authoring.lint import LintOptions, lint_pack
    from policy_engine.packs import read_pack
    from policy_engine.packs.cases import read_cases
    from policy_engine.packs.revisions import read_pack_at

    try:
        pack = read_pack(location)
        earlier = read_pack_at(location, asked.against) if asked.against is not None else None
    except PackInvalid as error:
        outcome.problems += error.problems
        outcome.sources |= error.sources
        outcome.lines.append(f"{plain(location, 500)}: invalid, so no check was run")
        return None
    cases = None
    try:
        files = read_cases(pack, location)
    except PackInvalid as error:
        outcome.problems += error.problems
        outcome.sources |= error.sources
    else:
        cases = files.cases
        outcome.sources |= files.texts
    options = LintOptions(earlier, asked.against, asked.as_of, asked.review_after, cases, asked.baseline)
    result = lint_pack(pack, options)
    outcome.problems += result.problems
    outcome.accepted += result.accepted
    outcome.sources |= {**pack.texts, **(earlier.texts if earlier is not None else {})}
    if asked.baseline is not None:
        outcome.sources[asked.baseline.file] = asked.baseline.text
    outcome.lines += _lines(location, pack, result)
    # Two answers for one file cannot be tested: the engine refuses such a pack.
    is_usable = not any(problem.severity == "error" and problem.code == "overlap" for problem in result.problems)
    return pack if is_usable and cases is not None else None


def _lines(location: str, pack: RulePack, result: LintResult) -> list[str]:
    """Totals, the domain, and what each check covered."""
    versions = sum(len(rule.versions) for rule in pack.rules)
    return [
        f"{plain(location, 500)}: {count_of(result.errors, 'error')}, {count_of(result.warnings, 'warning')}, "
        f"{len(result.accepted)} accepted; {count_of(len(pack.rules), 'rule')}, {count_of(versions, 'version')}, "
        f"sha256 {pack.digest[:12]}",
        f"  domain: {result.extent}",
        *(f"  {check}: {covered}" for check, covered in result.covered.items()),
    ]
