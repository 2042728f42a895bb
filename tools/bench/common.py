"""What every part of the bench uses: the inputs, running a program, comparing answers, the table."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from policy_engine.core.vocabulary import FINDING_COLUMNS, TIME_COLUMNS

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "bench"
AS_OF = "2026-01-08T00:00:00Z"
SEED = 1
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


class Stop(Exception):
    """The bench cannot be believed; says why."""


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def has(package: str, what: str, table: Table) -> bool:
    """True when an optional package is there; else the table says that a thing was not run."""
    if find_spec(package) is not None:
        return True
    table.note(f"{what}: not run, {package} is missing (pip install '.[bench]')")
    return False


# --- The table ---------------------------------------------------------------------------------------------------

HEAD = ("", "seconds", "CPU s", "peak MB", "ratio")


@dataclass
class Table:
    """What is printed at the end: groups of things measured."""

    groups: list[tuple[str, list[tuple[str, ...]]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def head(self, text: str) -> None:
        """Say what the next rows are about."""
        self.groups.append((text, []))

    def row(
        self, name: str, seconds: float | None, cpu: float | None = None, peak: int | None = None, ratio: str = ""
    ) -> None:
        """One thing measured; `peak` in bytes."""
        shown = "" if seconds is None else f"{seconds:.3f}" if seconds < 1 else f"{seconds:.2f}"
        cells = (f"{cpu:.1f}" if cpu is not None else "", f"{peak / 1e6:,.0f}" if peak is not None else "")
        self.groups[-1][1].append((name, shown, *cells, ratio))

    def note(self, text: str) -> None:
        """Say something below the table, once."""
        if text not in self.notes:
            self.notes.append(text)

    def text(self) -> str:
        """For a terminal."""
        lines = [f"{'':<54}" + "".join(f"{name:>11}" for name in HEAD[1:])]
        for head, rows in self.groups:
            lines.append(head)
            lines += [(f"  {name:<52}" + "".join(f"{cell:>11}" for cell in cells)).rstrip() for name, *cells in rows]
        return "\n".join([*lines, *self.notes])

    def markdown(self) -> str:
        """For a page."""
        parts = []
        for head, rows in self.groups:
            lines = [f"| {' | '.join((head, *HEAD[1:]))} |", "|---" + "|---:" * (len(HEAD) - 1) + "|"]
            lines += [f"| {' | '.join(row)} |" for row in rows]
            parts.append("\n".join(lines))
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(parts)


def write_markdown(path: Path, body: str) -> None:
    """Put the tables between the marks of a page, or make a file of them where there is no such page."""
    marked = f"{BEGIN}\n{body}\n{END}"
    if path.exists():
        before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise Stop(f"{path} has no marks `{BEGIN}` and `{END}` to write between")
        marked = before + marked + after
    else:
        marked += "\n"
    path.write_text(marked, encoding="utf-8")


def machine() -> str:
    """What it ran on."""
    found = []
    for name in ("pandas", "numpy", "pyarrow", "duckdb", "polars"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {', '.join(found)}"


# --- Inputs --------------------------------------------------------------------------------------------------------


def history(tasks: int) -> Path:
    """The made-up history of nested tasks, made once."""
    path = BUILD / f"tasks-{tasks}.jsonl"
    options = ["--tasks", str(tasks), "--seed", str(SEED), "--until", AS_OF, "--shape", "tasks"]
    if not _is_made(path, options):
        with _new(path, options) as new:
            engine("example", *options, "-o", str(new))
    return path


def rows_of(tasks: int) -> tuple[Path, Path]:
    """The same history as a table with a row per file, under the documented columns: CSV and Parquet, made once."""
    paths = BUILD / f"files-{tasks}.csv", BUILD / f"files-{tasks}.parquet"
    options = ["rows", "1", str(tasks), str(SEED)]
    if all(_is_made(path, options) for path in paths):
        return paths
    findings = BUILD / "rows-of.parquet"
    engine("evaluate", str(history(tasks)), "--as-of", AS_OF, "-o", str(findings))
    with _new(paths[0], options) as csv_new, _new(paths[1], options) as parquet_new:
        source = pq.ParquetFile(findings)
        csv = parquet = None
        for group in range(source.num_row_groups):
            rows = _flat(source.read_row_group(group))
            csv = csv or pa_csv.CSVWriter(
                csv_new, rows.schema, write_options=pa_csv.WriteOptions(quoting_style="needed")
            )
            parquet = parquet or pq.ParquetWriter(parquet_new, rows.schema, compression="zstd")
            csv.write_table(rows)
            parquet.write_table(rows)
        for writer in (csv, parquet):
            if writer is not None:
                writer.close()
    findings.unlink()
    return paths


def _flat(findings: pa.Table) -> pa.Table:
    """Findings as somebody's own table would hold them: texts, and the whole charge on each row of a task."""
    frame = findings.to_pandas(ignore_metadata=True)
    # Files of one task stand together, and a chunk of findings holds whole tasks.
    task = frame["task_id"].ne(frame["task_id"].shift()).cumsum()
    charge = frame["points"].groupby(task).transform("sum")
    # A task whose files were not seen has one row, without an address.
    keep = pa.array((frame["url"].notna() | ~task.duplicated()).to_numpy())
    output = frame["asset_id"].str.split("/").str[-2].where(frame["url"].notna())

    def time(name: str) -> pa.Array:
        return pc.strftime(findings[name], format="%Y-%m-%dT%H:%M:%SZ")

    columns = {name: findings[name].cast(pa.string()) for name in ("task_id", "model", "task_type", "status")}
    columns |= {"created_at": time("created_at"), "ended_at": time("completed_at")}
    columns |= {"account": findings["account"].cast(pa.string()), "consume": pa.array(charge, pa.int64())}
    columns |= {"usage_type": pa.array(["point"] * len(frame)), "url": findings["url"]}
    columns |= {"output": pa.array(output.astype(object).where(output.notna(), None), pa.string())}
    return pa.table(columns).filter(keep)


def _is_made(path: Path, options: Sequence[str]) -> bool:
    try:
        made = json.loads(path.with_suffix(path.suffix + ".json").read_text())
        return bool(made == {"options": list(options), "bytes": path.stat().st_size})
    except (OSError, ValueError):
        return False


class _new:
    """A file that gets its name, and a note of how it was made, when it is complete."""

    def __init__(self, path: Path, options: Sequence[str]) -> None:
        self.path, self.options = path, list(options)

    def __enter__(self) -> Path:
        say(f"making {self.path.name} ...")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.path.with_name(self.path.name + ".new")

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            new = self.path.with_name(self.path.name + ".new").replace(self.path)
            stamp = {"options": self.options, "bytes": new.stat().st_size}
            new.with_suffix(new.suffix + ".json").write_text(json.dumps(stamp))


def engine(*arguments: str) -> None:
    """Run the program under test for what is not timed."""
    subprocess.run(
        [sys.executable, "-m", "policy_engine", *arguments],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


# --- Running -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run of a program with all its processes."""

    seconds: float
    cpu: float
    peak: int
    """Most memory resident at once, bytes; what forked processes share counts for each of them."""


def measure(command: Sequence[str]) -> Run:
    """Run a command to its end; raises Stop when it fails."""
    with tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors)
        sampler = _Sampler(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        sampled = sampler.stop()
        if process.returncode:
            errors.seek(0)
            tail = "".join(errors.readlines()[-8:])
            raise Stop(f"{' '.join(command[1:4])} ... ended with {process.returncode}:\n{tail}")
    # Where there is no /proc: what the system counted for the largest process. On Linux that number is of no use, since
    # a process starts with the peak of the one that started it.
    largest = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Run(seconds, usage.ru_utime + usage.ru_stime, sampled or largest)


class _Sampler:
    """Adds up the resident memory of a process and its descendants, ten times a second; 0 where there is no /proc."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self.peak

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            peaks, sizes = zip(*(_memory(pid) for pid in _family(self._pid)), strict=True)
            # One process alone may peak between two looks; the system remembers that.
            self.peak = max(self.peak, sum(sizes), *peaks)


def _memory(pid: int) -> tuple[int, int]:
    """Most and present resident memory of a process in bytes; zero once it has ended."""
    try:
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        peak, size = (int(lines[name].split()[0]) * 1024 for name in ("VmHWM", "VmRSS"))
    except (OSError, KeyError):
        return 0, 0
    return peak, size


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = children.read_text().split()
        except OSError:
            continue
        for child in pids:
            yield from _family(int(child))


def seconds_of(work: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# --- Comparing -----------------------------------------------------------------------------------------------------


def compare(ours: Path, theirs: Path) -> int:
    """The number of assets, all equal in every column, in any order; raises Stop naming the first that differs."""
    mine, other = pd.Index(_values(ours, "asset_id")), pd.Index(_values(theirs, "asset_id"))
    for name, ids in ((ours.name, mine), (theirs.name, other)):
        if not ids.is_unique:
            raise Stop(f"{name} holds {ids[ids.duplicated()][0]} twice")
    for name, missing in ((theirs.name, mine[~mine.isin(other)]), (ours.name, other[~other.isin(mine)])):
        if len(missing):
            raise Stop(f"{name} lacks {len(missing):,} assets, the first of them {missing[0]}")
    positions = other.get_indexer(mine)
    columns = ((name, _values(ours, name), _values(theirs, name)[positions]) for name in FINDING_COLUMNS)
    return refuse_differences(mine, columns, (ours.name, theirs.name))


def refuse_differences(
    ids: pd.Index, columns: Iterator[tuple[str, np.ndarray, np.ndarray]], names: tuple[str, str]
) -> int:
    """The number of rows, all equal; raises Stop naming the first row that differs."""
    different = {}
    for column, left, right in columns:
        if column == "cost_usd":
            # Some engines multiply by the reciprocal of the rate, which may change the last bit.
            unequal = ~np.isclose(left.astype(float), right.astype(float), rtol=1e-12, atol=0, equal_nan=True)
        else:
            unequal = ~((left == right) | (pd.isna(left) & pd.isna(right)))
        if unequal.any():
            different[column] = (unequal, left, right)
    if different:
        first = min(int(unequal.argmax()) for unequal, _, _ in different.values())
        total = np.logical_or.reduce([unequal for unequal, _, _ in different.values()]).sum()
        lines = "\n".join(
            f"  {column}: {left[first]} in {names[0]}, {right[first]} in {names[1]}"
            for column, (unequal, left, right) in different.items()
            if unequal[first]
        )
        raise Stop(f"{total:,} of {len(ids):,} assets differ, the first of them {ids[first]}:\n{lines}")
    return len(ids)


def _values(path: Path, column: str) -> np.ndarray:
    """A column in one form, whatever types and spellings the writer chose: instants as integers, no empty text."""
    if path.suffix == ".csv":
        options = pa_csv.ConvertOptions(
            include_columns=[column], column_types={column: pa.string()}, strings_can_be_null=True
        )
        # Written by programs with their own idea of quotes, so an empty text and a missing one are the same.
        values = pa_csv.read_csv(path, convert_options=options)[column].to_pandas()
    else:
        values = pq.read_table(path, columns=[column]).to_pandas(ignore_metadata=True)[column]
    return plain(values, column)


def plain(values: pd.Series[Any], column: str) -> np.ndarray:
    """A column in one form, whatever types and spellings made it."""
    if column in TIME_COLUMNS:
        if values.isna().all():
            return np.full(len(values), None)
        if not isinstance(values.dtype, pd.DatetimeTZDtype):
            values = pd.to_datetime(values, format=None if values.dtype.kind == "M" else "ISO8601", utc=True)
        known = values.notna()
        return values.dt.as_unit("ns").astype("int64").astype(object).where(known, None).to_numpy()
    values = values.astype(object).where(values.notna(), None)
    if column == "possibly_past":
        return values.map(lambda value: str(value).lower()).to_numpy()
    if column in ("points", "seconds_left", "rule_version", "operation_rule_version", "cost_usd"):
        return pd.to_numeric(values).astype(float).to_numpy()
    return values.where(values != "", None).to_numpy()
