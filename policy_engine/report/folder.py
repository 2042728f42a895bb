"""Turns an evaluation run into a folder of files that appears whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from policy_engine.core.files.scratch import Scratch
from policy_engine.core.safe_text import json_text
from policy_engine.core.text.csv_cells import header_line, to_bytes, to_csv_lines
from policy_engine.engine.parallel.workers import start_workers
from policy_engine.engine.run import EvaluationRun
from policy_engine.history.read_errors import reading, unreadable
from policy_engine.history.sources import refuse_changed
from policy_engine.report.build import Provenance, build_report, describe_parameters
from policy_engine.report.files import ALWAYS, EXTRA_FILES, FINDINGS, MANIFEST, QUARANTINE, REPORT_FILES
from policy_engine.report.formats import FORMATS, WORKBOOKS, Workbook, open_workbook, renderer
from policy_engine.report.model import InputLine, ReportModel
from policy_engine.report.publishing import MANIFEST_SCHEMA, check_folder, publish, staging_folder
from policy_engine.report.ranking import EMBEDDED_ROWS, TopRows
from policy_engine.report.tables import OrderedFile, PieceMaker, Tables


@dataclass(frozen=True)
class ReportOptions:
    """What a report holds beside its usual files, and how it is shown."""

    show_urls: bool = False
    formats: tuple[str, ...] = ()
    """Formats beside the usual ones, of formats.OPTIONS."""
    rescue: str | None = None
    """A downloader, one of formats.DOWNLOADERS."""
    zone: ZoneInfo | None = None
    """Zone of a second reading of times."""
    embed: int = EMBEDDED_ROWS
    """Rows that the page holds at most."""


@dataclass(frozen=True)
class WrittenReport:
    """A report that has been written."""

    folder: Path
    model: ReportModel


def write_report(
    run: EvaluationRun,
    folder: Path,
    program_version: str,
    *,
    wanted: ReportOptions = ReportOptions(),
    before_publishing: Callable[[EvaluationRun], None] | None = None,
) -> WrittenReport:
    """
    Read and judge everything, and write the report folder.

    `before_publishing` is given the finished totals and may refuse by raising; then nothing is left behind.
    An earlier report in the folder is replaced only when the new one is complete.
    """
    check_folder(folder)
    question = run.options.question
    with staging_folder(folder) as staging:
        top = TopRows(wanted.embed)
        whole = any(name in WORKBOOKS for name in wanted.formats)
        make = PieceMaker(question.as_of, question.horizon, embed=wanted.embed, rescue=wanted.rescue, whole=whole)
        with Tables(staging, wanted.rescue) as tables, _workbooks(staging, wanted.formats) as workbooks:
            for piece in reading(run.sources, run.made(make)):
                top.add(piece.urgent, len(piece.lines.sizes))
                tables.write(piece)
                if piece.findings is not None:
                    for workbook in workbooks:
                        workbook.take(piece.findings)
            if before_publishing is not None:
                before_publishing(run)
            with _written_beside(tables.finish(), run) as written:
                digests = tables.digests()
                quarantine = run.quarantine()
                text = header_line(list(quarantine.columns)) + "".join(to_csv_lines(quarantine))
                (staging / QUARANTINE).write_bytes(to_bytes(text))
                provenance = Provenance(
                    program_version=program_version,
                    inputs=input_lines(run),
                    findings_digest=digests[FINDINGS],
                    parameters=describe_parameters(run.options, wanted.zone),
                    show_urls=wanted.show_urls,
                    zone=wanted.zone,
                )
                model = build_report(run, top, provenance)
                for workbook in workbooks:
                    workbook.finish(model, quarantine)
                for name, entry in FORMATS.items():
                    if name in ALWAYS or name in wanted.formats:
                        (staging / entry.file).write_bytes(to_bytes(renderer(name)(model)))
                digests.update(written)
        counts = {**tables.counts, QUARANTINE: len(quarantine)}
        (staging / MANIFEST).write_bytes(to_bytes(_manifest(run, model, staging, counts, digests)))
        publish(staging, folder)
    return WrittenReport(folder, model)


@contextmanager
def _written_beside(files: list[OrderedFile], run: EvaluationRun) -> Iterator[Iterator[tuple[str, str]]]:
    """Name and sha256 of each file, which another process writes in the meantime if the run may have several."""
    # Where there is a mapper there are threads, and a process with threads is not to be copied.
    if run.options.jobs == 1 or run.mapper is not None:
        yield (written for index in range(len(files)) for written in _writing(files, index))
        return
    with Scratch(run.options.scratch) as scratch, start_workers(1, files, scratch) as workers:
        results = workers.map(_writing, range(len(files)))
        # The work begins when the first result is asked for.
        first = next(results)
        yield (written for result in chain([first], results) for written in result)


def _writing(files: list[OrderedFile], index: int) -> Iterator[tuple[str, str]]:
    yield files[index].path.name, files[index].write()


@contextmanager
def _workbooks(staging: Path, formats: tuple[str, ...]) -> Iterator[list[Workbook]]:
    """The workbooks among the formats, in the making; folders for their parts are gone afterwards."""
    with ExitStack() as stack:
        yield [stack.enter_context(_workbook(name, staging)) for name in formats if name in WORKBOOKS]


@contextmanager
def _workbook(name: str, staging: Path) -> Iterator[Workbook]:
    scratch = staging / f"{name}.parts"
    scratch.mkdir()
    workbook = open_workbook(name, staging / WORKBOOKS[name].file, scratch)
    try:
        yield workbook
    finally:
        workbook.abandon()
        shutil.rmtree(scratch, ignore_errors=True)


def input_lines(run: EvaluationRun) -> tuple[InputLine, ...]:
    """The files that a run has read; raises InputUnusable for one that has changed since."""
    records = run.totals.seen.records_by_file
    lines = []
    for index, source in enumerate(run.sources):
        try:
            digest = _digest(Path(source.path))
        except OSError as error:
            refuse_changed([source])
            raise unreadable(source.name, error) from None
        refuse_changed([source])
        lines.append(InputLine(source.name, digest, source.size, records.get(index, 0)))
    return tuple(lines)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _manifest(
    run: EvaluationRun, model: ReportModel, staging: Path, counts: dict[str, int], digests: dict[str, str]
) -> str:
    """What the run read and wrote, as evidence for its numbers."""
    pack = run.pack
    outputs: dict[str, Any] = {}
    for name in (*REPORT_FILES, *EXTRA_FILES):
        if name != MANIFEST and (staging / name).exists():
            outputs[name] = {
                "sha256": digests.get(name) or _digest(staging / name),
                "size": (staging / name).stat().st_size,
            }
            if name in counts:
                outputs[name]["rows"] = counts[name]
    manifest = {
        "schema": MANIFEST_SCHEMA,
        "program": {"name": "policy-engine", "version": model.program_version},
        "pack": {"id": pack.id, "title": pack.title, "schema_version": pack.schema_version, "sha256": pack.digest},
        "parameters": dict(model.parameters),
        "inputs": [
            {"name": line.name, "sha256": line.sha256, "size": line.size, "records": line.records}
            for line in model.inputs
        ],
        "control_totals": {
            "records": model.reading.records,
            "tasks": model.reading.tasks,
            "merged": model.reading.merged,
            "quarantined": model.reading.quarantined,
            "tasks_with_assets": model.reading.tasks_with_assets,
            "tasks_without_assets": model.reading.tasks_without_assets,
            "assets": model.total.assets,
            "points": model.grand_total.points,
        },
        "findings_sha256": model.findings_digest,
        "outputs": outputs,
    }
    return json_text(manifest)
