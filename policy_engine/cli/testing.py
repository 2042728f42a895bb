"""Runs the cases of packs for `test`, counts what they exercise and notice, and writes missing ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_engine.cli.output import whole_file
from policy_engine.core.problems import NothingToEvaluate, PackInvalid, Problem, SourceSpan, UsageProblem
from policy_engine.core.safe_text import plain

if TYPE_CHECKING:
    from policy_engine.authoring.testing.coverage import CoverageReport, Fraction
    from policy_engine.authoring.testing.mutation import MutationReport

SCHEMA = "policy-engine/tests/v1"
"""Name and version of the form of `tests` in JSON."""


@dataclass(frozen=True)
class CoverageOptions:
    """What is to be done beside running the cases."""

    coverage: bool
    mutate: bool
    min_coverage: int | None
    """Per cent that each fraction must reach, or None."""
    min_mutation: int | None
    """Per cent of the mutants that must be noticed, or None."""


@dataclass
class Tested:
    """What came of it."""

    problems: list[Problem] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    """The result in words."""
    packs: list[dict[str, Any]] = field(default_factory=list)
    """The result as JSON, one object per pack."""
    code: int = 0
    """Exit code: the gravest of 3 (pack or case file invalid), 5 (failed or below a threshold), 7 (no case)."""


def run_tests(locations: Sequence[str], wanted: CoverageOptions) -> Tested:
    """Run the cases of each pack, and count what was asked for."""
    tested = Tested()
    codes = {_test_one(location, wanted, tested) for location in locations}
    tested.code = next((code for code in (3, 5, 7) if code in codes), 0)
    return tested


def _test_one(location: str, wanted: CoverageOptions, tested: Tested) -> int:
    from policy_engine.authoring.loading import load_pack
    from policy_engine.authoring.testing.cases import CaseBench, load_cases, report_cases

    shown = plain(location)
    try:
        pack = load_pack(location)
        bench = CaseBench(pack, load_cases(pack, location))
        report = report_cases(bench)
    except PackInvalid as error:
        tested.problems += error.problems
        tested.sources |= error.sources
        tested.lines.append(f"{shown}: invalid")
        return 3
    except NothingToEvaluate as error:
        tested.problems += error.problems
        tested.lines.append(f"{shown}: no cases")
        return 7
    tested.problems += report.problems
    tested.sources |= {**pack.texts, **report.texts}
    tested.lines.append(f"{shown}: {report.passed} of {report.total} cases passed")
    result: dict[str, Any] = {"pack": location, "cases": {"passed": report.passed, "of": report.total}}
    tested.packs.append(result)
    is_met = not report.failures
    if wanted.coverage:
        from policy_engine.authoring.testing.coverage import measure

        coverage = measure(bench)
        result["coverage"] = _coverage_json(coverage)
        tested.problems += coverage.problems
        words = ", ".join(f"{name} {_shown(fraction)}" for name, fraction in coverage.fractions)
        tested.lines.append(f"{shown}: exercised: {words}")
        for name, fraction in coverage.fractions:
            is_met = _check(tested, f"{name} exercised", location, fraction, wanted.min_coverage) and is_met
    if wanted.mutate and report.failures:
        tested.lines.append(f"{shown}: mutants were not tried, since cases fail")
    elif wanted.mutate:
        from policy_engine.authoring.testing.mutation import try_mutants

        mutation = try_mutants(bench)
        result["mutation"] = _mutation_json(mutation)
        tested.problems += mutation.problems
        tested.lines += _mutation_lines(shown, mutation)
        is_met = _check(tested, "mutants noticed", location, mutation.score, wanted.min_mutation) and is_met
    return 0 if is_met else 5


def _shown(fraction: Fraction) -> str:
    return f"{fraction} ({fraction.percent} %)"


def _check(tested: Tested, what: str, location: str, fraction: Fraction, least: int | None) -> bool:
    """Whether a fraction reaches its threshold; a problem where it does not."""
    if least is None or fraction.reaches(least):
        return True
    message = f"`{plain(location)}`: {what} are {_shown(fraction)}, below the {least} % asked for"
    tested.problems.append(Problem("below-threshold", message, help="the warnings list what is missing"))
    return False


def _mutation_lines(shown: str, mutation: MutationReport) -> list[str]:
    equivalent, refused = mutation.of("equivalent"), mutation.of("refused")
    head = (
        f"{shown}: mutants noticed: {_shown(mutation.score)}; {len(equivalent)} more are equivalent, "
        f"{len(refused)} would be refused by validate"
    )
    return [head, *(f"  equivalent: {one}" for one in equivalent)]


def _fraction_json(fraction: Fraction) -> dict[str, int]:
    return {"done": fraction.done, "of": fraction.of, "percent": fraction.percent}


def _place(span: SourceSpan | None) -> dict[str, Any] | None:
    return None if span is None else {"file": span.file, "line": span.line, "column": span.column}


def _coverage_json(coverage: CoverageReport) -> dict[str, Any]:
    return {
        **{name: _fraction_json(fraction) for name, fraction in coverage.fractions},
        "idle_versions": [
            {"rule": rule.id, "version": version.number, "place": _place(version.span)}
            for rule, version in coverage.idle_versions
        ],
        "open_boundaries": [
            {
                "rule": one.rule,
                "version": one.version.number,
                "boundary": one.kind,
                "at": one.at,
                "before": one.before,
                "place": _place(one.version.span),
            }
            for one in coverage.open_boundaries
        ],
    }


def _mutation_json(mutation: MutationReport) -> dict[str, Any]:
    return {
        "noticed": _fraction_json(mutation.score),
        "mutants": [
            {
                "rule": one.mutant.rule.id,
                "version": one.mutant.version.number,
                "kind": one.mutant.kind,
                "change": one.mutant.change,
                "state": one.state,
                "detail": one.detail,
                "place": _place(one.mutant.version.span),
            }
            for one in mutation.outcomes
        ],
    }


def write_cases(locations: Sequence[str], output: str, overwrite: bool) -> None:
    """Write boundary cases of one pack; raises UsageProblem for several packs, or a file that exists."""
    from policy_engine.authoring.loading import load_pack
    from policy_engine.authoring.testing.generation import generate_cases
    from policy_engine.packs.yaml_document import MAX_BYTES

    if len(locations) != 1:
        help_ = "name one pack; its cases go to one file"
        raise UsageProblem(Problem("several-packs", "--generate takes one pack at a time", help=help_))
    if output != "-" and not overwrite and Path(output).exists():
        help_ = "name another file, or add --overwrite; cases that were reviewed should not be replaced by accident"
        raise UsageProblem(Problem("file-exists", f"`{plain(output)}` exists already", help=help_))
    content = generate_cases(load_pack(locations[0])).encode()
    if len(content) > MAX_BYTES:
        message = f"the cases would fill {len(content):,} bytes, and a case file may have {MAX_BYTES:,}"
        raise UsageProblem(Problem("too-large", message, help="write them for a pack with fewer rules"))
    with whole_file(output) as stream:
        stream.write(content)
