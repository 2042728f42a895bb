"""The commands that compare two rule packs: diff, impact."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import IO, TYPE_CHECKING

import click

from policy_engine.cli.option_groups import GroupedCommand, output_option, question_option
from policy_engine.cli.output import check_file, show, tell, whole_file
from policy_engine.cli.progress import progress_of
from policy_engine.cli.run_request import HISTORY, RunRequest, period_options, reading_options, takes_request
from policy_engine.cli.run_setup import make_run, quarantine_failure, refuse_unusable
from policy_engine.core.problems import NothingToEvaluate, PackInvalid, Problem, UsageProblem
from policy_engine.core.safe_text import plain
from policy_engine.core.text.wording import count_of

if TYPE_CHECKING:
    from policy_engine.authoring.compare.diff import PackDiff
    from policy_engine.authoring.compare.impact import ImpactRun
    from policy_engine.core.rule_model import RulePack

_PATH = question_option(
    "--path", metavar="PATH", help="Folder of the pack in the repository, for revisions that do not name one."
)
_FORMAT = output_option(
    "--format",
    "shape",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="Format of the result.",
)


@click.command(cls=GroupedCommand)
@click.argument("old")
@click.argument("new")
@_PATH
@output_option(
    "--fail-on",
    multiple=True,
    type=click.Choice(["loosened", "tightened", "any"]),
    help="Exit 1 if there are changes of this kind. Repeatable.",
)
@_FORMAT
def diff(old: str, new: str, path: str | None, fail_on: tuple[str, ...], shape: str) -> int:
    """
    Show what changed in meaning between two rule packs.

    OLD and NEW: bundled packs, folders, or git revisions (main, HEAD~1, v1.0:path/of/pack).
    """
    from policy_engine.authoring.compare.diff import compare_packs
    from policy_engine.authoring.compare.diff_formats import FORMATS

    found = compare_packs(*_load_both(old, new, path))
    show(FORMATS[shape](found, (old, new)), shape)
    counts = {"loosened": found.count("loosened"), "tightened": found.count("tightened")}
    counts["any"] = sum(counts.values()) + found.count("other")
    named = [kind for kind in dict.fromkeys(fail_on) if counts[kind]]
    for kind in named:
        tell(f"--fail-on {kind}: {count_of(counts[kind], 'change')}")
    return 1 if named else 0


@click.command(cls=GroupedCommand)
@click.argument("old")
@click.argument("new")
@HISTORY
@_PATH
@period_options
@question_option("--no-expected", is_flag=True, help="Do not compare with the impact that new versions expect.")
@reading_options
@_FORMAT
@output_option("-o", "--output", metavar="FILE", help="CSV file for the files whose answer changed.")
@takes_request
def impact(
    request: RunRequest, old: str, new: str, path: str | None, output: str | None, no_expected: bool, shape: str
) -> int:
    """
    Show what a change of rules does to a history: which files get a different answer.

    OLD and NEW: bundled packs, folders, or git revisions. HISTORY: exports, as for report.
    """
    from policy_engine.authoring.compare.diff import compare_packs
    from policy_engine.authoring.compare.expected_impact import asked_instant, expectations, outcomes, refuse_unmet
    from policy_engine.authoring.compare.impact import ImpactRun, union_pack
    from policy_engine.authoring.compare.impact_formats import FORMATS
    from policy_engine.authoring.compare.impact_model import make_impact

    _check_table(output)
    packs = _load_both(old, new, path)
    expected = () if no_expected else expectations(*packs)
    request = replace(request, as_of=asked_instant(expected, request.as_of, packs[1].texts))
    found = compare_packs(*packs)
    with make_run(request, union_pack(*packs)) as run:
        # The old pack is asked for the same instant, but has horizons of its own.
        judged = ImpactRun(run, *packs, request.question(packs[0], run.options.question.as_of))
        with ExitStack() as stack:
            stream = None if output is None else stack.enter_context(whole_file(output))
            with progress_of(run):
                _write_changed(judged, stream)
            refuse_unusable(run, request.max_age)
            _refuse_untouched(found, judged)
        met = outcomes(expected, judged.totals)
        as_of = run.options.question.as_of
        model = make_impact(
            (old, new), found, as_of, run.totals, judged.totals, expected=met, notes=_notes(found), written=output
        )
        show(FORMATS[shape](model), shape)
        refuse_unmet(met, expected, packs[1].texts)
        too_many = quarantine_failure(run, request.max_quarantine)
        if too_many is not None:
            tell(too_many)
            return 4
    return 0


COMMANDS = (diff, impact)


def _load_both(old: str, new: str, path: str | None) -> tuple[RulePack, RulePack]:
    """Read and check both packs; raises UsageProblem where one is missing, PackInvalid with the problems of both."""
    from policy_engine.authoring.lint import run_checks
    from policy_engine.packs import resolve_pack

    packs = []
    problems: list[Problem] = []
    sources: dict[str, str] = {}
    for text in (old, new):
        try:
            pack = resolve_pack(text, path)
        except PackInvalid as error:
            problems += error.problems
            sources |= error.sources
            continue
        packs.append(pack)
        found = [problem for problem in run_checks(pack) if problem.severity == "error"]
        problems += found
        sources |= pack.texts if found else {}
    if problems:
        raise PackInvalid(dict.fromkeys(problems), sources)
    return packs[0], packs[1]


def _check_table(output: str | None) -> None:
    if output is None:
        return
    if not output.endswith(".csv"):
        raise UsageProblem(Problem(
            "table-ending", f"`{plain(output)}` does not end in .csv", help="for instance -o changed.csv"
        ))  # fmt: skip
    check_file(output)


def _write_changed(judged: ImpactRun, stream: IO[bytes] | None) -> None:
    """Read and judge everything; write the changed files, if a table was asked for."""
    from policy_engine.authoring.compare.impact import CHANGED_COLUMNS
    from policy_engine.core.text.csv_blocks import csv_lines
    from policy_engine.core.text.csv_cells import header_line, to_bytes
    from policy_engine.history.read_errors import reading

    if stream is not None:
        stream.write(to_bytes(header_line(CHANGED_COLUMNS)))
    for changed in reading(judged.run.sources, judged.changed()):
        if stream is not None and len(changed):
            stream.write(csv_lines(changed).data)


def _refuse_untouched(found: PackDiff, judged: ImpactRun) -> None:
    """Refuse a history without a file that the change is about."""
    if not judged.totals.after.assets:
        raise NothingToEvaluate(Problem(
            "no-file", f"none of the {judged.run.totals.tasks.tasks:,} tasks has a file: there is nothing to compare",
            help="is this the right export, and the right --as-of?",
        ))  # fmt: skip
    touched = found.touched_services
    if touched and not touched & judged.totals.services():
        names = ", ".join(f"`{plain(name, 60)}`" for name in sorted(touched)[:5])
        more = f" and {len(touched) - 5} more" if len(touched) > 5 else ""
        raise NothingToEvaluate(Problem(
            "untouched-history", f"the change is about {names}{more}, and the history has no file of these services",
            help="use a history with such tasks; this one cannot show what the change does",
        ))  # fmt: skip


def _notes(found: PackDiff) -> tuple[str, ...]:
    """What a reader must know to understand the numbers."""
    notes = []
    if any(change.service is None or ":" in change.what for change in found.catalog):
        notes.append("the catalogs read exports differently; both packs judge the files that the new catalog finds")
    absent = [
        plain(change.service) for change in found.catalog if change.service is not None and ":" not in change.what
    ]
    if absent:
        notes.append(f"absent: files of services that one catalog does not list ({', '.join(absent[:4])})")
    if any(change.what.startswith("money.") for change in found.parameters):
        notes.append("points and dollars are counted as the new pack says")
    return tuple(notes)
