"""The commands that compare two rule packs: diff, impact."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from policy_engine.cli.evaluating import HISTORY, period_options, reading_options
from policy_engine.cli.output import check_file, show, tell, whole_file
from policy_engine.cli.progress import progress_of
from policy_engine.cli.run_setup import make_run, refuse_unusable
from policy_engine.core.problems import NothingToEvaluate, PackInvalid, Problem, UsageProblem
from policy_engine.core.safe_text import plain
from policy_engine.core.text.wording import count_of

if TYPE_CHECKING:
    from policy_engine.authoring.compare.diff import PackDiff
    from policy_engine.authoring.compare.impact import ImpactRun
    from policy_engine.core.rule_model import RulePack

_PATH = click.option(
    "--path", metavar="PATH", help="Folder of the pack inside the repository, for revisions that do not name one."
)
_FORMAT = click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="How to show it.",
)


@click.command()
@click.argument("old")
@click.argument("new")
@_PATH
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(["loosened", "tightened", "any"]),
    help="Exit with 1 when there are changes of this kind (repeatable).",
)
@_FORMAT
def diff(old: str, new: str, path: str | None, fail_on: tuple[str, ...], shape: str) -> int:
    """
    Say what changed in meaning between two rule packs.

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


@click.command()
@click.argument("old")
@click.argument("new")
@HISTORY
@_PATH
@period_options
@reading_options
@click.option("--no-expected", is_flag=True, help="Do not compare with the impact that new versions expect.")
@_FORMAT
@click.option("-o", "--output", metavar="FILE", help="CSV to write with every file whose answer changed.")
def impact(old: str, new: str, history: tuple[str, ...], output: str | None, shape: str, **given: Any) -> int:
    """
    Say what a change of rules does to a history: which files get which other answer.

    OLD and NEW: bundled packs, folders, or git revisions. HISTORY: exports, as for report.
    """
    from policy_engine.authoring.compare.diff import compare_packs
    from policy_engine.authoring.compare.expected_impact import asked_instant, expectations, outcomes, refuse_unmet
    from policy_engine.authoring.compare.impact import ImpactRun, union_pack
    from policy_engine.authoring.compare.impact_formats import FORMATS
    from policy_engine.authoring.compare.impact_model import make_impact

    _check_table(output)
    packs = _load_both(old, new, given["path"])
    expected = () if given["no_expected"] else expectations(*packs)
    given["as_of"] = asked_instant(expected, given["as_of"], packs[1].texts)
    found = compare_packs(*packs)
    with make_run(history, given, output, union_pack(*packs)) as run:
        judged = ImpactRun(run, *packs, _question(packs[0], run.options.question.as_of, given))
        with ExitStack() as stack:
            stream = None if output is None else stack.enter_context(whole_file(output))
            with progress_of(run):
                _write_changed(judged, stream)
            refuse_unusable(run, given["max_age"])
            _refuse_untouched(found, judged)
        met = outcomes(expected, judged.totals)
        as_of = run.options.question.as_of
        model = make_impact(
            (old, new), found, as_of, run.totals, judged.totals, expected=met, notes=_notes(found), written=output
        )
        show(FORMATS[shape](model), shape)
        refuse_unmet(met, expected, packs[1].texts)
        allowance = given["max_quarantine"]
        set_aside, records = len(run.totals.seen.quarantine), run.totals.seen.records
        if allowance is not None and allowance.is_exceeded(set_aside, records):
            tell(f"{set_aside:,} of {records:,} records were set aside; --max-quarantine allows {allowance.text}")
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


def _question(pack: RulePack, as_of: int, given: dict[str, Any]) -> Any:
    """What is asked of the old pack: the same instant, its own horizons unless the command line sets them."""
    from policy_engine.engine.question import Question

    horizon, operation_horizon = given["horizon"], given["operation_horizon"]
    return Question(
        as_of,
        pack.horizon if horizon is None else horizon,
        pack.operation_horizon if operation_horizon is None else operation_horizon,
    )


def _check_table(output: str | None) -> None:
    if output is None:
        return
    if not output.endswith(".csv"):
        raise UsageProblem(Problem(
            "table-ending", f"`{plain(output)}` does not end in .csv", help="for instance -o changed.csv"
        ))  # fmt: skip
    check_file(output)


def _write_changed(judged: ImpactRun, stream: Any) -> None:
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
    """A history without any file that the change is about tells nothing of it."""
    if not judged.totals.after.assets:
        raise NothingToEvaluate(Problem(
            "no-file", f"none of the {judged.run.totals.tasks.tasks:,} tasks has a file, so nothing can be compared",
            help="is this the right export, and the right --as-of?",
        ))  # fmt: skip
    touched = found.touched_services
    if touched and not touched & judged.totals.services():
        names = ", ".join(f"`{plain(name, 60)}`" for name in sorted(touched)[:5])
        more = f" and {len(touched) - 5} more" if len(touched) > 5 else ""
        raise NothingToEvaluate(Problem(
            "untouched-history", f"the change is about {names}{more}, and the history holds no file of that",
            help="give a history with such tasks; this one cannot tell what the change does",
        ))  # fmt: skip


def _notes(found: PackDiff) -> tuple[str, ...]:
    """What a reader must know to read the numbers right."""
    notes = []
    if any(one.service is None or ":" in one.what for one in found.catalog):
        notes.append("the catalogs read exports differently; both packs judge the files that the new catalog finds")
    absent = [one for one in found.catalog if one.service is not None and ":" not in one.what]
    if absent:
        notes.append("absent: files of services that one catalog does not list "
                     f"({', '.join(plain(one.service) for one in absent[:4])})")  # fmt: skip
    if any(one.what.startswith("money.") for one in found.parameters):
        notes.append("points and dollars are counted as the new pack says")
    return tuple(notes)
