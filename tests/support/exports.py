"""
Makes records as exports hold them, writes them in every format, and reads them back as a run does.

All values are made up; the shapes are those that the provider's pages describe.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from policy_engine.core.periods import DAY, HOUR, parse_instant
from policy_engine.core.problems import InputUnusable, Problem, format_problem
from policy_engine.core.rule_model import RulePack
from policy_engine.core.vocabulary import WITHOUT_ASSET_REASONS
from policy_engine.engine.control_totals import Totals
from policy_engine.engine.question import Question
from policy_engine.engine.run import EvaluationRun, RunOptions
from policy_engine.history import find_sources
from policy_engine.history.records.record_reader import FIELD_PROBLEMS, QUARANTINE_REASONS
from policy_engine.packs import read_pack

Record = dict[str, Any]

AS_OF = "2026-01-08T00:00:00Z"
CREATED = "2026-01-06T10:00:00Z"
ENDED = "2026-01-06T10:05:00Z"
ZERO_TIME = "0001-01-01T00:00:00Z"

CLEAN = "https://storage.theapi.app/videos/301.mp4"
MARKED = "https://v15-kling.klingai.com/bs2/upload/301-output.mp4?x-kcdn-pid=7"
COVER = "https://s15-kling.klingai.com/kimg/301.origin?x-kcdn-pid=7"
IMAGE = "https://img.theapi.app/temp/401.png"


@lru_cache(maxsize=1)
def pack() -> RulePack:
    """The bundled pack, read once."""
    return read_pack("piapi")


@dataclass(frozen=True)
class Reading:
    """What a run made of some exports."""

    findings: pd.DataFrame
    totals: Totals
    quarantine: pd.DataFrame

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Findings as dicts, missing values None."""
        return [
            {name: None if pd.isna(value) else value for name, value in zip(self.findings.columns, row, strict=True)}
            for row in self.findings.itertuples(index=False, name=None)
        ]

    @property
    def one(self) -> dict[str, Any]:
        """The only finding."""
        (row,) = self.rows
        return row

    @property
    def urls(self) -> list[str]:
        """URLs of the assets, sorted."""
        return sorted(row["url"] for row in self.rows if row["url"] is not None)

    @property
    def without(self) -> dict[str, int]:
        """Tasks without an asset by reason."""
        return {reason: count for reason, (count, _) in self.totals.tasks.without_assets.items()}

    @property
    def reasons(self) -> list[str]:
        """Reasons of the quarantine, in order."""
        return self.quarantine["reason"].tolist()

    @property
    def answers(self) -> list[dict[str, Any]]:
        """Findings without their source, in the order of their ids: what must not depend on the input."""
        rows = [{name: value for name, value in row.items() if name != "source"} for row in self.rows]
        return sorted(rows, key=lambda row: row["asset_id"])

    @property
    def counts(self) -> dict[str, Any]:
        """Control totals that must not depend on where records stand."""
        tasks, findings = self.totals.tasks, self.totals.findings
        return {
            "records": self.totals.seen.records,
            "tasks": tasks.tasks,
            "merged": self.totals.merged,
            "quarantined": len(self.totals.seen.quarantine),
            "without": dict(sorted(tasks.without_assets.items())),
            "previews": tasks.previews,
            "same_file": tasks.same_file,
            "points": tasks.points,
            "other_units": dict(sorted(tasks.other_units.items())),
            "by_service": dict(sorted(findings.by_service.items())),
            "problems": dict(sorted(self.totals.seen.problem_counts.items())),
        }


def read(
    *paths: Path | str, as_of: str = AS_OF, jobs: int = 1, columns: Mapping[str, str] | None = None, **options: Any
) -> Reading:
    """Read files, folders or globs and judge what is in them; the run itself checks that all totals tie."""
    question = Question(parse_instant(as_of), DAY, HOUR)
    found = find_sources([str(path) for path in paths])
    run = EvaluationRun(found.sources, pack(), RunOptions(question, columns=columns or {}, jobs=jobs, **options))
    chunks = list(run.chunks())
    findings = pd.concat(chunks, ignore_index=True) if chunks else pd.DataFrame()
    quarantine = run.quarantine()
    # Whatever a test reads, the codes that come out are documented ones.
    assert set(quarantine["reason"]) <= set(QUARANTINE_REASONS)
    assert set(run.totals.seen.problem_counts) <= set(FIELD_PROBLEMS)
    assert set(run.totals.tasks.without_assets) <= set(WITHOUT_ASSET_REASONS)
    return Reading(findings, run.totals, quarantine)


def problems_of(*paths: Path | str, **options: Any) -> tuple[Problem, ...]:
    """The problems for which a run refuses its input."""
    try:
        read(*paths, **options)
    except InputUnusable as error:
        return error.problems
    raise AssertionError("the input was read")


def only_problem(*paths: Path | str, **options: Any) -> Problem:
    """The only problem for which a run refuses its input, checked to be fit to print."""
    (problem,) = problems_of(*paths, **options)
    assert is_printable(problem)
    assert problem.message[0] == "`" or not problem.message[0].isupper()
    return problem


def is_printable(problem: Problem) -> bool:
    """True when a terminal shows the problem as it stands."""
    return format_problem(problem).replace("\n", "").isprintable()


def read_records(folder: Path, *records: object, **options: Any) -> Reading:
    """Read records from one file of JSON Lines."""
    return read(write_lines(folder / "records.jsonl", records), **options)


# --- Records ---------------------------------------------------------------------------------------------


def task(
    task_id: object = "t-1", model: str | None = "Qubico/flux1-dev", output: object = None, **fields: Any
) -> Record:
    """A unified task object; a flux task of two days ago, finished, unless said otherwise. `...` leaves a field out."""
    record: Record = {
        "task_id": task_id,
        "model": model,
        "task_type": "txt2img",
        "status": "completed",
        "config": {"service_mode": "public", "webhook_config": {"endpoint": "", "secret": ""}},
        "input": {"prompt": "a lighthouse at dusk"},
        "output": {"image_url": IMAGE} if output is None else output,
        "meta": {
            "created_at": CREATED,
            "started_at": CREATED,
            "ended_at": ENDED,
            "usage": {"type": "point", "frozen": 0, "consume": 700_000},
            "is_using_private_pool": False,
        },
        "detail": None,
        "logs": [],
        "error": {"code": 0, "message": ""},
    }
    for name, value in fields.items():
        if name in ("created_at", "started_at", "ended_at", "completed_at", "usage", "is_using_private_pool"):
            _put(record["meta"], name, value)
        elif name == "service_mode":
            _put(record["config"], name, value)
        else:
            _put(record, name, value)
    return {name: value for name, value in record.items() if value is not ...}


def _put(part: Record, name: str, value: object) -> None:
    if value is ...:
        part.pop(name, None)
    else:
        part[name] = value


def kling_output(number: int = 301) -> Record:
    """The output of a Kling task: a watermarked file, a clean one under two keys, and a cover."""
    clean = f"https://storage.theapi.app/videos/{number}.mp4"
    video = {
        "resource": f"https://v15-kling.klingai.com/bs2/upload/{number}-output.mp4?x-kcdn-pid=7",
        "resource_without_watermark": clean,
        "height": 720,
    }
    cover = {
        "resource": f"https://s15-kling.klingai.com/kimg/{number}.origin?x-kcdn-pid=7",
        "resource_without_watermark": "",
    }
    work = {"content_type": "video", "status": 99, "cover": cover, "video": video}
    return {"type": "m2v_img2video", "status": 99, "video_url": clean, "works": [work]}


def kling(task_id: object = "k-1", number: int = 301, **fields: Any) -> Record:
    """A finished Kling task."""
    fields = {"output": kling_output(number), "task_type": "video_generation", **fields}
    return task(task_id, "kling", **fields)


def history_row(task_id: object = "t-1", model: str = "flux", **fields: Any) -> Record:
    """A row of the task history, which has no output."""
    row = {
        "id": 91,
        "account_id": 12,
        "api_key_id": 34,
        "task_id": task_id,
        "task_model": model,
        "action": "txt2img",
        "status": "completed",
        "service_mode": "public",
        "usage": 700_000,
        "usage_type": "point",
        "fixed": False,
        "detail": None,
        "created_at": CREATED,
        "updated_at": "2026-01-06T10:05:30Z",
    }
    row.update(fields)
    return {name: value for name, value in row.items() if value is not ...}


def page(rows: Sequence[object], total: int | None = None, number: int = 1, inner: bool = False) -> Record:
    """A page of the task history as the provider answers; `inner` without the envelope."""
    data = {"data": list(rows), "page": number, "size": 100, "total": len(rows) if total is None else total}
    return data if inner else {"code": 200, "data": data, "message": "success"}


def envelope(record: object, code: int = 200, message: str = "success") -> Record:
    """The answer of the task endpoint."""
    return {"code": code, "data": record, "message": message}


def webhook(record: object, timestamp: object = 1_767_694_000) -> Record:
    """What the provider sends when a task ends."""
    return {"timestamp": timestamp, "data": record}


# --- Files -----------------------------------------------------------------------------------------------


def as_lines(records: Iterable[object]) -> str:
    """JSON Lines."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def write_lines(path: Path, records: Iterable[object]) -> Path:
    """Write JSON Lines; a text is a line as it stands."""
    lines = (record if isinstance(record, str) else json.dumps(record, ensure_ascii=False) for record in records)
    return write(path, "".join(line + "\n" for line in lines))


def write_json(path: Path, value: object, indent: int | None = 2) -> Path:
    """Write a JSON document."""
    return write(path, json.dumps(value, ensure_ascii=False, indent=indent))


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    """Write a table with the columns of all rows, missing ones empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return write(path, text.getvalue().encode(encoding))


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write a Parquet table with the columns of all rows, missing ones null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(dict.fromkeys(name for row in rows for name in row))
    pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in columns}), path)
    return path


def write(path: Path, content: str | bytes) -> Path:
    """Write a file, packed where its name says so."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = compress_zstd(data)
    path.write_bytes(data)
    return path


def compress_zstd(data: bytes) -> bytes:
    """Pack with zstd, whichever library this Python has."""
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    packed: bytes = zstd.compress(data)
    return packed
