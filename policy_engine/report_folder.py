"""Turns an evaluation run into a folder of files that appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from policy_engine.columns import FINDING_COLUMNS
from policy_engine.csv_text import header_line, to_bytes, to_csv_lines
from policy_engine.frames import Int64, nanoseconds
from policy_engine.problems import InputUnusable, Problem, SourceSpan, UsageProblem, plain
from policy_engine.render import FORMATS
from policy_engine.report import CSV_OF, Provenance, build_report, describe_parameters
from policy_engine.report_model import InputLine, ReportModel
from policy_engine.report_rows import EMBEDDED_ROWS, TopRows
from policy_engine.runs import EvaluationRun

REPORT_FILES = (
    "report.html", "findings.csv", *CSV_OF.values(), "quarantine.csv", "summary.json", "manifest.json",
)  # fmt: skip
"""What a report folder holds, in the order in which it is put in place: the manifest says that the rest is there."""

_MANIFEST = "policy-engine/manifest/v1"


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


def check_folder(folder: Path, staging: str | None = None) -> None:
    """
    Refuse a folder that holds anything but an earlier report; raises UsageProblem.

    `staging` names the folder in it where the new report is being written, if there is one.
    """
    try:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise UsageProblem(
                Problem("output-is-a-file", f"`{plain(folder)}` is a file", help="name a folder with -o")
            )
        present = sorted(one.name for one in folder.iterdir() if one.name != staging)
        foreign = [name for name in present if name not in REPORT_FILES or (folder / name).is_dir()]
    except OSError as error:
        raise _unwritable(folder, error) from None
    if foreign:
        raise UsageProblem(Problem(
            "foreign-files", f"the folder `{plain(folder)}` holds other files, for instance `{plain(foreign[0])}`",
            help="nothing was written; name a new folder with -o, or move those files away",
        ))  # fmt: skip
    if present and not is_report(folder):
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
    show_urls: bool = False,
    embed: int = EMBEDDED_ROWS,
    before_publishing: Callable[[EvaluationRun], None] | None = None,
) -> WrittenReport:
    """
    Read and judge everything, and write the report folder.

    `embed` is how many rows the page itself holds. `before_publishing` sees the finished totals and may refuse by
    raising; then nothing is left behind.
    An earlier report in the folder is replaced only when the new one is complete.
    """
    check_folder(folder)
    with _staging(folder) as staging:
        top = TopRows(embed)
        counts = {name: 0 for name in ("findings.csv", *CSV_OF.values())}
        at_risk = _AtRisk()
        with _open_tables(staging) as streams:
            for findings in run.chunks():
                top.take(findings, run.options.question.as_of)
                _write_chunk(findings, streams, counts, at_risk)
            streams["findings.csv"].flush()
            at_risk.copy(staging / "findings.csv", streams[CSV_OF["at_risk"]])
        if before_publishing is not None:
            before_publishing(run)
        quarantine = run.quarantine()
        text = header_line(list(quarantine.columns)) + "".join(to_csv_lines(quarantine))
        (staging / "quarantine.csv").write_bytes(to_bytes(text))
        counts["quarantine.csv"] = len(quarantine)
        provenance = Provenance(
            program_version=program_version,
            inputs=input_lines(run),
            findings_digest=_digest(staging / "findings.csv"),
            parameters=describe_parameters(run.options),
            show_urls=show_urls,
        )
        model = build_report(run, top, provenance)
        for name, format_name in (("report.html", "html"), ("summary.json", "json")):
            (staging / name).write_bytes(to_bytes(FORMATS[format_name](model)))
        (staging / "manifest.json").write_bytes(to_bytes(_manifest(run, model, staging, counts)))
        _publish(staging, folder)
    return WrittenReport(folder, model)


class _AtRisk:
    """Where the rows at risk stand in findings.csv: they are listed by deadline, and too many to be held."""

    def __init__(self) -> None:
        self._parts: list[tuple[Int64, Int64, Int64]] = []

    def add(self, deadlines: Int64, starts: Int64, sizes: Int64) -> None:
        self._parts.append((deadlines, starts, sizes))

    def copy(self, findings: Path, stream: IO[bytes]) -> None:
        """Write the rows, the nearest deadline first; equal ones in the order of findings.csv."""
        if not self._parts:
            return
        deadlines, starts, sizes = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        with findings.open("rb") as source:
            for row in np.argsort(deadlines, kind="stable").tolist():
                source.seek(starts[row])
                stream.write(source.read(sizes[row]))


def _write_chunk(
    findings: pd.DataFrame, streams: dict[str, IO[bytes]], counts: dict[str, int], at_risk: _AtRisk
) -> None:
    lines = [to_bytes(line) for line in to_csv_lines(findings)]
    sizes = np.fromiter(map(len, lines), np.int64, len(lines))
    starts = streams["findings.csv"].tell() + np.cumsum(sizes) - sizes
    streams["findings.csv"].write(b"".join(lines))
    counts["findings.csv"] += len(lines)
    for verdict, name in CSV_OF.items():
        rows = np.flatnonzero((findings["verdict"] == verdict).to_numpy(bool))
        counts[name] += len(rows)
        if verdict == "at_risk":
            at_risk.add(nanoseconds(findings["expires_earliest"])[rows], starts[rows], sizes[rows])
        elif len(rows):
            streams[name].write(b"".join([lines[row] for row in rows.tolist()]))


@contextmanager
def _open_tables(staging: Path) -> Iterator[dict[str, IO[bytes]]]:
    streams: dict[str, IO[bytes]] = {}
    try:
        for name in ("findings.csv", *CSV_OF.values()):
            streams[name] = (staging / name).open("wb")
            streams[name].write(header_line(FINDING_COLUMNS).encode())
        yield streams
    finally:
        for stream in streams.values():
            stream.close()


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder beside the target (so that renaming is possible), removed unless it became the target."""
    target = _real(folder)
    place = target if _stays(target) else target.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        staging = place / f".{target.name}.partial-{os.getpid()}"
        if staging.exists():
            shutil.rmtree(staging)
        staging.mkdir(mode=0o755)
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


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
    check_folder(folder, staging.name)
    folder = _real(folder)
    if not folder.exists():
        staging.rename(folder)
    elif staging.parent == folder:
        # Without its manifest a folder is no report, so a run that ends between two files leaves no half truth.
        (folder / "manifest.json").unlink(missing_ok=True)
        for name in REPORT_FILES:
            (staging / name).replace(folder / name)
    else:
        earlier = staging.with_name(staging.name.replace(".partial-", ".earlier-"))
        folder.rename(earlier)
        try:
            staging.rename(folder)
        except BaseException:
            earlier.rename(folder)
            raise
        shutil.rmtree(earlier, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> UsageProblem:
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
            digest, size = _digest(Path(source.path)), Path(source.path).stat().st_size
        except OSError:
            digest, size = "", -1
        if size != source.size:
            raise InputUnusable(Problem(
                "input-changed", "the file was changed while it was read", SourceSpan(source.name, 1),
                help="wait until the export is complete, then run again",
            ))  # fmt: skip
        lines.append(InputLine(source.name, digest, size, records.get(place, 0)))
    return tuple(lines)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _manifest(run: EvaluationRun, model: ReportModel, staging: Path, counts: dict[str, int]) -> str:
    """What the run was made from and what it made, for whoever has to defend a number later."""
    pack = run.pack
    outputs: dict[str, Any] = {}
    for name in REPORT_FILES:
        if name != "manifest.json":
            outputs[name] = {"sha256": _digest(staging / name), "size": (staging / name).stat().st_size}
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
    return json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
