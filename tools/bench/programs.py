"""The whole way, from a file to a file: the program and its rivals; its memory; its report; how soon it answers."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from common import AS_OF, BUILD, Run, Table, compare, has, history, measure, rows_of, say

HERE = Path(__file__).parent
MANY, TOO_MANY = 300_000, 2_000_000
"""From how many tasks on the pandas programs run once, and not at all: they hold everything in memory, up to 15 GB per
million."""
OURS = "policy-engine"


@dataclass(frozen=True)
class Program:
    """One way of turning an input into an output."""

    name: str
    command: tuple[str, ...]
    output: Path | None = None
    """None where there is nothing to compare."""
    runs: int = 3


def inputs_of(tasks: int) -> dict[str, Path]:
    """The timed inputs by their names."""
    csv, parquet = rows_of(tasks)
    return {"JSON Lines": history(tasks), "CSV": csv, "Parquet": parquet}


def evaluate(source: Path, output: Path, jobs: int) -> tuple[str, ...]:
    """The command of the program under test."""
    arguments = ("evaluate", str(source), "--as-of", AS_OF, "--jobs", str(jobs), "-o", str(output))
    return (sys.executable, "-m", "policy_engine", *arguments)


def rival(name: str, source: Path, output: Path, threads: int) -> tuple[str, ...]:
    """The command of a rival."""
    arguments = (str(source), "--as-of", AS_OF, "-o", str(output))
    more = () if name == "pandas_masks" else ("--threads", str(threads))
    return (sys.executable, str(HERE / f"{name}.py"), *arguments, *more)


def interleave(programs: Sequence[Program], same: bool = True) -> dict[str, list[Run]]:
    """Run all in turns; after the first turn every output must hold the answers of the first program's."""
    took: dict[str, list[Run]] = {program.name: [] for program in programs}
    for turn in range(max(program.runs for program in programs)):
        for program in programs:
            if turn < program.runs:
                took[program.name].append(measure(program.command))
                say(f"  {program.name}: {took[program.name][-1].seconds:.2f} s")
        if turn == 0 and same:
            outputs = [program.output for program in programs if program.output is not None]
            for other in outputs[1:]:
                if _digest(outputs[0]) != _digest(other):
                    compare(outputs[0], other)
    return took


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def show(table: Table, took: dict[str, list[Run]], base: str | None) -> None:
    """A row per program; the ratio is the time of a program over that of `base`."""
    against = median(run.seconds for run in took[base]) if base else None
    for name, runs in took.items():
        seconds = median(run.seconds for run in runs)
        ratio = f"{seconds / against:.2f}x" if against else ""
        table.row(name, seconds, median(run.cpu for run in runs), max(run.peak for run in runs), ratio)


# --- Parts ---------------------------------------------------------------------------------------------------------


def time_programs(
    table: Table, tasks: int, runs: int, jobs: Iterable[int], inputs: Iterable[str], outputs: Iterable[str]
) -> None:
    """Every input to every output: the program, DuckDB, Polars; with JSON Lines also pandas and a bare parse."""
    rivals = [
        name for name, package in (("duckdb_sql", "duckdb"), ("polars_lazy", "polars")) if has(package, name, table)
    ]
    for kind, source in inputs_of(tasks).items():
        if kind not in inputs:
            continue
        for suffix in outputs:
            programs = []
            for count in jobs:
                out = BUILD / f"out-ours-{count}.{suffix}"
                programs.append(
                    Program(f"{OURS}, {count} job{'s' * (count > 1)}", evaluate(source, out, count), out, runs)
                )
                for name in rivals:
                    out = BUILD / f"out-{name}-{count}.{suffix}"
                    label = f"{name.partition('_')[0]}, {count} thread{'s' * (count > 1)}"
                    programs.append(Program(label, rival(name, source, out, count), out, runs))
            if kind == "JSON Lines":
                few = 1 if tasks >= MANY else runs
                if tasks < TOO_MANY:
                    for label, more in (("records cut down first", ()), ("whole records", ("--whole",))):
                        out = BUILD / f"out-pandas{len(more)}.{suffix}"
                        command = (*rival("pandas_masks", source, out, 1), *more)
                        programs.append(Program(f"pandas json_normalize, {label}", command, out, few))
                else:
                    table.note("pandas is not run at this size: it holds the whole history in memory.")
                if find_spec("duckdb"):
                    programs += [
                        Program(f"bare parse of the needed fields, {count} thread{'s' * (count > 1)}",
                                (sys.executable, str(HERE / "bare_parse.py"), str(source), str(count)), None, runs)
                        for count in jobs
                    ]  # fmt: skip
            say(f"{kind} to {suffix}")
            took = interleave(programs)
            size = source.stat().st_size / 1e6
            table.head(
                f"{tasks:,} tasks, {kind} ({size:,.0f} MB) to {suffix.replace('parquet', 'Parquet')}, all columns"
            )
            show(table, took, next(name for name in reversed(took) if name.startswith(OURS)))
            _tidy(program.output for program in programs)
    table.note(
        "Ratio: seconds over those of policy-engine with the most jobs. policy-engine always writes all columns."
    )


def time_memory(table: Table, sizes: Sequence[int], jobs: Iterable[int]) -> None:
    """Most memory at several sizes, all processes together."""
    for count in jobs:
        table.head(f"Most memory, {count} job{'s' * (count > 1)}: ratio to the smallest size")
        cases = [(kind, suffix) for kind in ("JSON Lines", "CSV", "Parquet") for suffix in ("parquet", "csv", "report")]
        for kind, suffix in cases:
            least = None
            for tasks in sizes:
                source, out = inputs_of(tasks)[kind], BUILD / f"out-memory.{suffix}"
                command = report(source, out, count) if suffix == "report" else evaluate(source, out, count)
                say(f"{tasks:,} tasks, {kind} to {suffix}")
                run = measure(command)
                least = least or run.peak
                table.row(f"{tasks:,}, {kind} to {suffix}", run.seconds, run.cpu, run.peak, f"{run.peak / least:.2f}x")


def report(source: Path, folder: Path, jobs: int) -> tuple[str, ...]:
    """The command that writes a report folder."""
    arguments = ("report", str(source), "--as-of", AS_OF, "--jobs", str(jobs), "-o", str(folder))
    return (sys.executable, "-m", "policy_engine", *arguments)


def time_report(table: Table, tasks: int, runs: int, jobs: Iterable[int]) -> None:
    """What the report adds to the findings alone."""
    source = history(tasks)
    for count in jobs:
        base = f"evaluate -o findings.csv, {count} job{'s' * (count > 1)}"
        programs = [
            Program(base, evaluate(source, BUILD / "out-alone.csv", count), None, runs),
            Program("report, all CSV files and the HTML", report(source, BUILD / "out-report", count), None, runs),
        ]
        took = interleave(programs, same=False)
        table.head(f"{tasks:,} tasks of JSON Lines, what a report adds")
        show(table, took, base)
    _tidy([BUILD / "out-alone.csv"])


def time_start(table: Table, runs: int) -> None:
    """How long somebody waits for little."""
    source = history(1_000)
    programs = [
        Program("policy-engine --help", (sys.executable, "-m", "policy_engine", "--help"), None, runs),
        Program("report of 1,000 tasks", report(source, BUILD / "out-report", 1), None, runs),
    ]
    took = interleave(programs, same=False)
    table.head("How soon it answers")
    show(table, took, None)


def time_sizes(table: Table, sizes: Sequence[int], runs: int, jobs: Iterable[int]) -> None:
    """Seconds by size and jobs: the cost of a row should not depend on how many there are."""
    table.head("JSON Lines to Parquet by size and jobs: microseconds per task")
    for tasks in sizes:
        source, out = history(tasks), BUILD / "out-sizes.parquet"
        programs = [
            Program(f"{tasks:,} tasks, {count} job{'s' * (count > 1)}", evaluate(source, out, count), None, runs)
            for count in jobs
        ]
        for name, all_runs in interleave(programs, same=False).items():
            seconds = median(run.seconds for run in all_runs)
            peak, cpu = max(run.peak for run in all_runs), median(run.cpu for run in all_runs)
            table.row(name, seconds, cpu, peak, f"{seconds / tasks * 1e6:.1f} us")
    _tidy([BUILD / "out-sizes.parquet"])


def time_dask(table: Table, sizes: Sequence[int], runs: int, jobs: int) -> None:
    """The same work on the same number of processes, with Dask between them and without it."""
    for tasks in sizes if has("distributed", "Dask", table) else ():
        alone, dask = (evaluate(history(tasks), BUILD / f"out-{name}.parquet", jobs) for name in ("jobs", "dask"))
        outs = Path(alone[-1]), Path(dask[-1])
        programs = [
            Program(f"--jobs {jobs}", alone, outs[0], runs),
            Program(f"--jobs {jobs} --scheduler local", (*dask, "--scheduler", "local"), outs[1], runs),
        ]
        say(f"{tasks:,} tasks on Dask")
        took = interleave(programs)
        table.head(f"{tasks:,} tasks of JSON Lines to Parquet, on processes of this machine")
        show(table, took, programs[0].name)
        _tidy(outs)


def _tidy(outputs: Iterable[Path | None]) -> None:
    for path in outputs:
        if path is not None:
            path.unlink(missing_ok=True)
