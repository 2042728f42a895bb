"""Turns an evaluation run into a folder of files that appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import sleep
from typing import Any
from zoneinfo import ZoneInfo

from policy_engine.core.files.drafts import claim_name, draft_folder, held, is_draft, put_in_place, remove
from policy_engine.core.files.scratch import Scratch
from policy_engine.core.files.signals import refuse_if_interrupted, uninterrupted
from policy_engine.core.files.system_errors import is_out_of_room, reading, unreadable
from policy_engine.core.json_text import json_text
from policy_engine.core.problems import Problem, UsageProblem, plain
from policy_engine.core.text.csv_cells import header_line, to_bytes, to_csv_lines
from policy_engine.engine.parallel.workers import start_workers
from policy_engine.engine.run import EvaluationRun
from policy_engine.history import refuse_changed
from policy_engine.report.build import Provenance, build_report, describe_parameters
from policy_engine.report.formats import FORMATS
from policy_engine.report.formats.workbook import WorkbookWriter
from policy_engine.report.model import InputLine, ReportModel
from policy_engine.report.ranking import EMBEDDED_ROWS, TopRows
from policy_engine.report.tables import FINDINGS, RESCUE_FILES, TABLES, OrderedFile, PieceMaker, Tables

REPORT_FILES = ("report.html", *TABLES, "quarantine.csv", "summary.json", "manifest.json")
"""What a report folder holds, in the order in which it is put in place: the manifest says that the rest is there."""
EXTRA_FILES = ("report.xlsx", "report.md", *RESCUE_FILES.values())
"""What it holds as well when it was asked for."""

_MANIFEST = "policy-engine/manifest/v1"
_PATIENCE, _ATTEMPTS, _PAUSE = 200, 5, 0.05
"""How often a run waits for another one to put its report in place, how often it tries to, and seconds in between."""


@dataclass(frozen=True)
class Wanted:
    """What a report is to hold beside its usual files, and how it is shown."""

    show_urls: bool = False
    xlsx: bool = False
    markdown: bool = False
    rescue: str | None = None
    """A downloader, one of report_tables.RESCUE_FILES."""
    zone: ZoneInfo | None = None
    """Zone of a second reading of times."""
    embed: int = EMBEDDED_ROWS
    """Rows that the page holds at most."""


@dataclass(frozen=True)
class WrittenReport:
    """A report that has been written."""

    folder: Path
    model: ReportModel


def is_report(folder: Path) -> bool:
    """True for a folder that `write_report` has made: its manifest says so."""
    try:
        with (folder / "manifest.json").open("rb") as stream:
            return _MANIFEST.encode() in stream.read(200)
    except OSError:
        return False


def check_folder(folder: Path) -> None:
    """
    Refuse a folder that holds anything but an earlier report; raises UsageProblem.

    What other runs, at work or killed, have in it does not count.
    """
    try:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise UsageProblem(
                Problem("output-is-a-file", f"`{plain(folder)}` is a file", help="name a folder with -o")
            )
        name = _real(folder).name
        entries = sorted(one.name for one in folder.iterdir())
        present = [one for one in entries if not is_draft(one, name)]
        foreign = [name for name in present if name not in (*REPORT_FILES, *EXTRA_FILES) or (folder / name).is_dir()]
    except OSError as error:
        raise _unwritable(folder, error) from None
    if foreign:
        raise UsageProblem(Problem(
            "foreign-files", f"the folder `{plain(folder)}` holds other files, for instance `{plain(foreign[0])}`",
            help="nothing was written; name a new folder with -o, or move those files away",
        ))  # fmt: skip
    # A run that was killed while it put its report in place may have left a part of it there; the next one ends that.
    if present and claim_name(name) not in entries and not is_report(folder):
        raise UsageProblem(Problem(
            "foreign-files",
            f"the folder `{plain(folder)}` holds `{plain(present[0])}` and no manifest.json of an earlier report",
            help="nothing was written; name a new folder with -o, or move that file away",
        ))  # fmt: skip


def write_report(
    run: EvaluationRun,
    folder: Path,
    program_version: str,
    *,
    wanted: Wanted = Wanted(),
    before_publishing: Callable[[EvaluationRun], None] | None = None,
) -> WrittenReport:
    """
    Read and judge everything, and write the report folder.

    `embed` is how many rows the page itself holds. `before_publishing` sees the finished totals and may refuse by
    raising; then nothing is left behind.
    An earlier report in the folder is replaced only when the new one is complete.
    """
    check_folder(folder)
    question = run.options.question
    with _staging(folder) as staging:
        top = TopRows(wanted.embed)
        make = PieceMaker(
            question.as_of, question.horizon, embed=wanted.embed, rescue=wanted.rescue is not None, whole=wanted.xlsx
        )
        with (
            Tables(staging, wanted.rescue) as tables,
            _workbook(staging, wanted.xlsx) as workbook,
        ):
            for piece in reading(run.sources, run.made(make)):
                top.add(piece.urgent, len(piece.lines.sizes))
                tables.write(piece)
                if workbook is not None and piece.findings is not None:
                    workbook.take(piece.findings)
            if before_publishing is not None:
                before_publishing(run)
            with _written_beside(tables.finish(), run) as written:
                digests = tables.digests()
                quarantine = run.quarantine()
                text = header_line(list(quarantine.columns)) + "".join(to_csv_lines(quarantine))
                (staging / "quarantine.csv").write_bytes(to_bytes(text))
                provenance = Provenance(
                    program_version=program_version,
                    inputs=input_lines(run),
                    findings_digest=digests[FINDINGS],
                    parameters=describe_parameters(run.options, wanted.zone),
                    show_urls=wanted.show_urls,
                    zone=wanted.zone,
                )
                model = build_report(run, top, provenance)
                if workbook is not None:
                    workbook.finish(model, quarantine)
                names = {"report.html": "html", "summary.json": "json"}
                for name, format_name in (names | ({"report.md": "markdown"} if wanted.markdown else {})).items():
                    (staging / name).write_bytes(to_bytes(FORMATS[format_name](model)))
                digests.update(written)
        counts = {**tables.counts, "quarantine.csv": len(quarantine)}
        (staging / "manifest.json").write_bytes(to_bytes(_manifest(run, model, staging, counts, digests)))
        _publish(staging, folder)
    return WrittenReport(folder, model)


@contextmanager
def _written_beside(files: list[OrderedFile], run: EvaluationRun) -> Iterator[Iterator[tuple[str, str]]]:
    """Name and sha256 of each file, which another process writes in the meantime if the run may have several."""
    # Where there is a mapper there are threads, and a process with threads is not to be copied.
    if run.options.jobs == 1 or run.mapper is not None:
        yield (found for place in range(len(files)) for found in _writing(files, place))
        return
    with Scratch(run.options.scratch) as scratch, start_workers(1, files, scratch) as workers:
        results = workers.map(_writing, range(len(files)))
        # To ask for the first one is what lets the work begin.
        first = next(results)
        yield (found for one in chain([first], results) for found in one)


def _writing(files: list[OrderedFile], place: int) -> Iterator[tuple[str, str]]:
    yield files[place].path.name, files[place].write()


@contextmanager
def _workbook(staging: Path, is_wanted: bool) -> Iterator[WorkbookWriter | None]:
    """A workbook in the making, with a folder for its parts that is gone afterwards."""
    if not is_wanted:
        yield None
        return
    scratch = staging / "workbook"
    scratch.mkdir()
    writer = WorkbookWriter(staging / "report.xlsx", scratch)
    try:
        yield writer
    finally:
        writer.abandon()
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder beside the target (so that renaming is possible), removed unless it became the target."""
    target = _real(folder)
    place = target if _stays(target) else target.parent
    with ExitStack() as stack:
        try:
            place.mkdir(parents=True, exist_ok=True)
            if place == target:
                _end_publishing(target)
            staging = stack.enter_context(draft_folder(place, target.name))
        except OSError as error:
            raise _unwritable(folder, error) from None
        yield staging


def _real(folder: Path) -> Path:
    """A link is followed, so that the report lies where it points to."""
    return Path(os.path.realpath(folder))


def _stays(folder: Path) -> bool:
    """True for a folder that must keep its place: a mounted one, somebody's working directory, a guest elsewhere."""
    if not folder.is_dir():
        return False
    here = _real(Path.cwd())
    return (
        folder == here
        or folder in here.parents
        or os.path.ismount(folder)
        or not os.access(folder.parent, os.W_OK | os.X_OK)
    )


def _publish(staging: Path, folder: Path) -> None:
    """Put the finished folder in place; an earlier report stands until the new one is complete."""
    target = _real(folder)
    with uninterrupted():
        refuse_if_interrupted()
        check_folder(folder)
        if staging.parent == target:
            _publish_within(staging, target)
        else:
            put_in_place(staging, target)


def _publish_within(staging: Path, folder: Path) -> None:
    """
    Move the files of a report into the folder around it, which must keep its place.

    INVARIANT: as long as a folder of the claimed name is there, it and the folder around it make a complete report,
    which the next run puts together if this one is killed.
    """
    claim = folder / claim_name(folder.name)
    for _ in range(_PATIENCE):
        try:
            staging.rename(claim)
        except OSError:
            if not claim.exists():
                raise
            _end_publishing(folder)
            sleep(_PAUSE)
            continue
        _move_patiently(claim, folder)
        return
    raise UsageProblem(Problem(
        "folder-in-use", f"another run is putting its report in place in `{plain(folder)}`, or was ended while it did",
        help=f"if no other run is at work there, remove `{plain(claim)}` and run again",
    ))  # fmt: skip


def _move_patiently(claim: Path, folder: Path) -> None:
    """Move the files; what the system refuses once it may allow the next time, and half a report helps nobody."""
    for attempt in range(_ATTEMPTS):
        try:
            _move_files(claim, folder)
            return
        except OSError as error:
            if attempt == _ATTEMPTS - 1:
                why = error.strerror or plain(error)
                raise UsageProblem(Problem(
                    "half-published", f"not all files of the report could be moved into `{plain(folder)}`: {why}",
                    help=f"the others are in `{plain(claim)}`; see to it that they can be moved, and run again, which "
                    "puts the report together",
                )) from None  # fmt: skip
        sleep(_PAUSE)


def _end_publishing(folder: Path) -> None:
    """Put the report in place that a killed run had completed; nothing when the run is still at it."""
    claim = folder / claim_name(folder.name)
    with suppress(BlockingIOError), uninterrupted():
        if claim.exists():
            with held(claim) as is_ours:
                if is_ours:
                    _move_files(claim, folder)


def _move_files(claim: Path, folder: Path) -> None:
    # Without its manifest a folder is no report, so a run that ends between two files leaves no half truth.
    if (claim / "manifest.json").exists():
        wanted = json.loads((claim / "manifest.json").read_bytes())["outputs"]
        (folder / "manifest.json").unlink(missing_ok=True)
        for name in (*EXTRA_FILES, *REPORT_FILES):
            if (claim / name).exists():
                (claim / name).replace(folder / name)
            elif name not in wanted:
                (folder / name).unlink(missing_ok=True)
    remove(claim)


def _unwritable(folder: Path, error: OSError) -> UsageProblem:
    if is_out_of_room(error):
        raise error
    return UsageProblem(Problem(
        "unwritable-folder", f"`{plain(folder)}` cannot be written: {error.strerror or error}",
        help="name another folder with -o",
    ))  # fmt: skip


def input_lines(run: EvaluationRun) -> tuple[InputLine, ...]:
    """The files that a run has read; raises InputUnusable for one that has changed since."""
    records = run.totals.seen.records_by_file
    lines = []
    for place, source in enumerate(run.sources):
        try:
            digest = _digest(Path(source.path))
        except OSError as error:
            refuse_changed([source])
            raise unreadable(source.name, error) from None
        refuse_changed([source])
        lines.append(InputLine(source.name, digest, source.size, records.get(place, 0)))
    return tuple(lines)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _manifest(
    run: EvaluationRun, model: ReportModel, staging: Path, counts: dict[str, int], digests: dict[str, str]
) -> str:
    """What the run was made from and what it made, for whoever has to defend a number later."""
    pack = run.pack
    outputs: dict[str, Any] = {}
    for name in (*REPORT_FILES, *EXTRA_FILES):
        if name != "manifest.json" and (staging / name).exists():
            outputs[name] = {
                "sha256": digests.get(name) or _digest(staging / name),
                "size": (staging / name).stat().st_size,
            }
            if name in counts:
                outputs[name]["rows"] = counts[name]
    manifest = {
        "schema": _MANIFEST,
        "program": {"name": "policy-engine", "version": model.program_version},
        "pack": {"id": pack.id, "title": pack.title, "schema_version": pack.schema_version, "sha256": pack.digest},
        "parameters": dict(model.parameters),
        "inputs": [
            {"name": one.name, "sha256": one.sha256, "size": one.size, "records": one.records} for one in model.inputs
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
