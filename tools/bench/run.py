"""
Times the program against what a user would write by hand, and prints one table.

Parts (`--only` picks some):
  programs  every input (nested JSON Lines; CSV and Parquet with a row per file) to Parquet and CSV, all columns, beside
            DuckDB, Polars and pandas programs that do the same work, and a bare parse of the needed fields
  engine    the rules alone, on a frame of texts in memory
  rules     the same assets judged by 8 rules, by 1,000 and by more; and by more and more distinct profiles
  kernel    the arithmetic alone
  sizes     seconds per task by size and jobs
  memory    most memory by size, for every input and output and for `report`
  report    what `report` adds to `evaluate`, and how soon small things are done
  dask      `--scheduler local` beside `--jobs`, by size

Answers are compared in every column before a time is believed. Runs are interleaved and medians are shown, so that a
busy machine slows all sides alike. `make bench` runs it with little data, `make bench-full` with much.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from common import AS_OF, BUILD, Stop, Table, engine, history, machine, say, write_markdown

PARTS = ("programs", "engine", "rules", "kernel", "sizes", "memory", "report", "dask")


def main() -> int:
    """Measure, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help="these parts only")
    parser.add_argument("--tasks", type=int, default=50_000, help="tasks of the history (default: 50000)")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        help="tasks for `sizes`, `memory`, `dask` (default: --tasks and four times as many)",
    )
    parser.add_argument("--runs", type=int, default=3, help="runs of each program (default: 3)")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2], help="jobs and threads (default: 1 2)")
    parser.add_argument("--inputs", nargs="+", choices=["jsonl", "csv", "parquet"], default=["jsonl", "csv", "parquet"])
    parser.add_argument("--outputs", nargs="+", choices=["parquet", "csv"], default=["parquet", "csv"])
    parser.add_argument("--engine-rows", type=int, default=1_000_000, help="rows in memory (default: 1000000)")
    parser.add_argument("--rules", type=int, nargs="+", default=[8, 1_000], help="sizes of packs (default: 8 1000)")
    parser.add_argument("--markdown", type=Path, help="also write the tables between the marks of this page")
    options = parser.parse_args()
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    table = Table()
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        measure_parts(options, table)
    except Stop as reason:
        print(f"bench stopped: {reason}", file=sys.stderr)
        return 1
    last = [
        f"Equal answers in every column compared. Medians of {options.runs} interleaved runs.",
        f"{machine()}; load {busy:.1f} at the start.",
        f"Repeat: {' '.join(['python tools/bench/run.py', *sys.argv[1:]])}",
    ]
    for line in last:
        table.note(line)
    print(table.text())
    if options.markdown:
        write_markdown(options.markdown, table.markdown())
    return 0


def measure_parts(options: argparse.Namespace, table: Table) -> None:
    """Run the parts that were asked for."""
    import engines
    import growth
    import programs

    parts, tasks, runs = set(options.only), options.tasks, options.runs
    sizes = options.sizes or [tasks, 4 * tasks]
    kinds = {"jsonl": "JSON Lines", "csv": "CSV", "parquet": "Parquet"}
    if "programs" in parts:
        inputs = [kinds[name] for name in options.inputs]
        programs.time_programs(table, tasks, runs, options.jobs, inputs, options.outputs)
    if parts & {"engine", "rules", "kernel"}:
        findings = BUILD / "findings.parquet"
        engine("evaluate", str(history(tasks)), "--as-of", AS_OF, "-o", str(findings))
        if "engine" in parts:
            say("judging in memory ...")
            engines.time_engines(table, findings, options.engine_rows, runs)
        if "rules" in parts:
            say("judging by few rules and by many ...")
            rows = min(options.engine_rows, growth.ASSETS)
            growth.time_rules(table, findings, sorted(options.rules), rows, runs)
            growth.time_profiles(table, min(1_000, max(options.rules)), rows)
        if "kernel" in parts:
            growth.time_kernel(table, findings, options.engine_rows, runs)
    if "sizes" in parts:
        programs.time_sizes(table, sizes, runs, options.jobs)
    if "memory" in parts:
        programs.time_memory(table, sizes, options.jobs)
    if "report" in parts:
        programs.time_report(table, tasks, runs, options.jobs)
        programs.time_start(table, runs)
    if "dask" in parts:
        programs.time_dask(table, sizes, runs, max(options.jobs))


if __name__ == "__main__":
    sys.exit(main())
