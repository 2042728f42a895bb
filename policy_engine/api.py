"""The public Python functions: load a pack and a history, evaluate, build a report, render it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pandas as pd

from policy_engine.annotations import read_annotator
from policy_engine.authoring.loading import load_pack
from policy_engine.core.periods import MAX_INSTANT
from policy_engine.core.rule_model import RulePack
from policy_engine.core.version import __version__
from policy_engine.engine.control_totals import Totals
from policy_engine.engine.evaluation import evaluate
from policy_engine.engine.question import Question, make_question
from policy_engine.engine.run import EvaluationRun, RunOptions
from policy_engine.history import find_sources
from policy_engine.report.build import Provenance, describe_parameters
from policy_engine.report.build import build_report as build
from policy_engine.report.folder import input_lines
from policy_engine.report.formats import FORMATS, renderer
from policy_engine.report.model import ReportModel
from policy_engine.report.ranking import TopRows

__all__ = [
    "EvaluatedHistory",
    "ReportModel",
    "RulePack",
    "TaskHistory",
    "build_report",
    "evaluate",
    "evaluate_history",
    "load_history",
    "load_pack",
    "render",
]


@dataclass(frozen=True)
class TaskHistory:
    """A history in memory."""

    assets: pd.DataFrame
    """One row per file, ready for `evaluate`; records merged, addresses of one file united. Holds files of all times:
    leave out those created after the `as_of` that you ask about."""
    quarantine: pd.DataFrame
    """Records that were quarantined: source, reason, found, expected."""
    digest: str
    """sha256 over the digests of the files read, in the order of their names."""


def load_history(*paths: str | Path, pack: RulePack, columns: Mapping[str, str] | None = None) -> TaskHistory:
    """
    Read exports (files, folders, globs) into one row per asset, whole in memory.

    `columns` maps documented column names to those of the caller's tables. Records that cannot be used are in
    `quarantine`. Raises InputUnusable for files that cannot be read, and UsageProblem where a package is missing that
    is needed to read them.
    """
    found = find_sources([str(path) for path in paths])
    # Whether a task exists yet is a question of `as_of`, so nothing is left out here.
    options = RunOptions(Question(MAX_INSTANT, pack.horizon, pack.operation_horizon), columns=columns or {})
    run = EvaluationRun(found.sources, pack, options)
    chunks = list(run.asset_chunks())
    digests = [line.sha256 for line in input_lines(run)]
    return TaskHistory(
        assets=pd.concat(chunks, ignore_index=True) if chunks else pd.DataFrame({"service": []}),
        quarantine=run.quarantine(),
        digest=hashlib.sha256("\n".join(digests).encode()).hexdigest(),
    )


class EvaluatedHistory:
    """
    A history that is judged while it is read: iterate it once for chunks of findings, then use the rest.

    Asking for the rest first, or stopping early, makes it read on to the end; nothing is read twice.
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
        """Records that were quarantined: source, reason, found, expected."""
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

    `as_of`, the horizons and `known_on` are as in `evaluate`, `columns` as in `load_history`. `archived`, `exemptions`
    and `house_rules` are files that fill the columns beside the verdict. `jobs` is the number of processes.
    Raises ValueError for an instant or a horizon that cannot be used, InputUnusable for files that cannot be read,
    PackInvalid for house rules and UsageProblem where a package is missing; while iterating, also TotalsMismatch where
    the totals do not tie, and WorkerEnded where a process was ended from outside.
    """
    question = make_question(pack, as_of, horizon, operation_horizon)
    found = find_sources([str(path) for path in paths])
    annotator = read_annotator(pack.catalog, question.as_of, archived, exemptions, house_rules)
    options = RunOptions(question, columns=columns or {}, known_on=known_on, annotator=annotator, jobs=jobs)
    return EvaluatedHistory(EvaluationRun(found.sources, pack, options), TopRows())


def build_report(history: EvaluatedHistory, *, show_urls: bool = False) -> ReportModel:
    """
    Make the report of an evaluated history, which is read to its end first.

    `show_urls` shows full URLs in the HTML; anyone with a URL can open the file. Raises what iterating the history
    raises, and InputUnusable for a file that has changed since it was read.
    """
    history._finish()
    run = history._run
    parameters = describe_parameters(run.options)
    return build(run, history._top, Provenance(__version__, input_lines(run), "", parameters, show_urls))


def render(model: ReportModel, format: str = "html") -> str:
    """
    Render a report as `html`, `json`, `markdown` or `text`; the same report gives the same text.

    Raises ValueError for a format that does not exist.
    """
    if format not in FORMATS:
        *names, last = FORMATS
        raise ValueError(f"there is no format `{format}`; there are {', '.join(names)} and {last}")
    return renderer(format)(model)
