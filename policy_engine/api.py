"""The public Python functions: load a pack and a history, evaluate, build a report, render it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from policy_engine.authoring.lint import run_checks
from policy_engine.core.problems import PackInvalid
from policy_engine.core.rule_model import RulePack
from policy_engine.packs import read_pack

if TYPE_CHECKING:
    # pandas takes a second to import, and a caller may only want to load a pack.
    import pandas as pd

    from policy_engine.engine.control_totals import Totals
    from policy_engine.engine.run import EvaluationRun
    from policy_engine.report.model import ReportModel
    from policy_engine.report.ranking import TopRows

__all__ = [
    "EvaluatedHistory",
    "TaskHistory",
    "build_report",
    "evaluate",
    "evaluate_history",
    "load_history",
    "load_pack",
    "render",
]


def load_pack(location: str | Path = "piapi") -> RulePack:
    """
    Load a rule pack: the name of a bundled one, or a folder.

    Raises PackInvalid with every problem found, also when two rules are in force for one asset at one instant.
    """
    pack = read_pack(location)
    problems = run_checks(pack)
    if any(problem.severity == "error" for problem in problems):
        raise PackInvalid(problems, pack.texts)
    return pack


@dataclass(frozen=True)
class TaskHistory:
    """A history in memory."""

    assets: pd.DataFrame
    """One row per file, ready for `evaluate`; records merged, addresses of one file united. Holds files of all times:
    those created after the `as_of` of a question are for the caller to leave out."""
    quarantine: pd.DataFrame
    """Records that were set aside: source, reason, found, expected."""
    digest: str
    """sha256 over the digests of the files read, in the order of their names."""


def load_history(*paths: str | Path, pack: RulePack, columns: Mapping[str, str] | None = None) -> TaskHistory:
    """
    Read exports (files, folders, globs) into one row per asset, whole in memory.

    `columns` maps documented column names to those of the caller's tables. Raises InputUnusable for files that
    cannot be read; records that cannot be used are in `quarantine`.
    """
    import pandas as pd

    from policy_engine.core.periods import MAX_INSTANT
    from policy_engine.engine.question import Question
    from policy_engine.engine.run import EvaluationRun, RunOptions
    from policy_engine.history import find_sources
    from policy_engine.history.sources import refuse_changed

    found = find_sources([str(path) for path in paths])
    # Whether a task exists yet is a question of `as_of`, so nothing is left out here.
    options = RunOptions(Question(MAX_INSTANT, pack.horizon, pack.operation_horizon), columns=columns or {})
    run = EvaluationRun(found.sources, pack, options)
    chunks = list(run.asset_chunks())
    digests = [_digest(source.path) for source in found.sources]
    refuse_changed(found.sources)
    return TaskHistory(
        assets=pd.concat(chunks, ignore_index=True) if chunks else pd.DataFrame({"service": []}),
        quarantine=run.quarantine(),
        digest=hashlib.sha256("\n".join(digests).encode()).hexdigest(),
    )


def evaluate(
    frame: pd.DataFrame,
    pack: RulePack,
    *,
    as_of: datetime | str | int,
    horizon: str | int | None = None,
    operation_horizon: str | int | None = None,
    known_on: date | None = None,
) -> pd.DataFrame:
    """
    Judge a frame of assets at one instant; see policy_engine.engine.evaluation.evaluate for columns, units and errors.
    """
    from policy_engine.engine import evaluation

    return evaluation.evaluate(
        frame, pack, as_of=as_of, horizon=horizon, operation_horizon=operation_horizon, known_on=known_on
    )


class EvaluatedHistory:
    """
    A history that is judged while it is read: iterate it once for chunks of findings, then use the rest.

    Whoever asks for the rest first, or stops iterating early, lets it read on to the end; nothing is read twice.
    """

    def __init__(self, run: EvaluationRun, top: TopRows) -> None:
        """Made by evaluate_history."""
        self._run, self._top = run, top
        self._chunks = self._read()
        self._is_complete = False

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield frames of findings, those that have not been read yet."""
        return self._chunks

    def _read(self) -> Iterator[pd.DataFrame]:
        for findings in self._run.chunks():
            self._top.take(findings, self._run.options.question.as_of)
            yield findings
        self._is_complete = True

    @property
    def totals(self) -> Totals:
        """Control totals of the whole history."""
        self._finish()
        return self._run.totals

    @property
    def quarantine(self) -> pd.DataFrame:
        """Records that were set aside."""
        self._finish()
        return self._run.quarantine()

    def _finish(self) -> None:
        for _ in self._chunks:
            pass
        if not self._is_complete:
            raise RuntimeError("the history could not be read to its end, so there is no answer about it")


def evaluate_history(
    *paths: str | Path,
    pack: RulePack,
    as_of: datetime | str | int,
    horizon: str | int | None = None,
    operation_horizon: str | int | None = None,
    columns: Mapping[str, str] | None = None,
    known_on: date | None = None,
    archived: str | Path | None = None,
    exemptions: str | Path | None = None,
    house_rules: str | Path | None = None,
    jobs: int = 1,
) -> EvaluatedHistory:
    """
    Judge exports of any size: bounded memory, chunks of findings and totals that add up.

    `archived`, `exemptions` and `house_rules` name files that put marks beside the verdicts. Raises InputUnusable for
    files that cannot be read, PackInvalid for house rules, and while iterating TotalsMismatch if totals do not tie.
    """
    from policy_engine.annotations import read_marker
    from policy_engine.engine.question import make_question
    from policy_engine.engine.run import EvaluationRun, RunOptions
    from policy_engine.history import find_sources
    from policy_engine.report.ranking import TopRows

    question = make_question(pack, as_of, horizon, operation_horizon)
    found = find_sources([str(path) for path in paths])
    marker = read_marker(pack.catalog, question.as_of, archived, exemptions, house_rules)
    options = RunOptions(question, columns=columns or {}, known_on=known_on, marker=marker, jobs=jobs)
    return EvaluatedHistory(EvaluationRun(found.sources, pack, options), TopRows())


def build_report(history: EvaluatedHistory, *, show_urls: bool = False) -> ReportModel:
    """Make the report model of an evaluated history; reads it to the end first if need be."""
    from policy_engine import __version__
    from policy_engine.report.build import Provenance, describe_parameters
    from policy_engine.report.build import build_report as build
    from policy_engine.report.folder import input_lines

    history._finish()
    run = history._run
    parameters = describe_parameters(run.options)
    return build(run, history._top, Provenance(__version__, input_lines(run), "", parameters, show_urls))


def render(model: ReportModel, format: str = "html") -> str:
    """Render a report model as `html`, `json`, `markdown` or `text`."""
    if format == "text":
        from policy_engine.report.formats.text import render_text

        return render_text(model)
    from policy_engine.report.formats import FORMATS

    if format not in FORMATS:
        raise ValueError(f"there is no format `{format}`; there are html, json, markdown and text")
    return FORMATS[format](model)


def _digest(path: str) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
