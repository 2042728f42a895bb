"""
Times the program against what it replaces, and prints one table.

1. JSON Lines of nested tasks to findings in Parquet: `policy-engine evaluate` with one and two jobs, and the pandas
   program beside this file. All columns of all assets must be equal before a time is believed.
2. The same assets judged by 8 rules, by 1,000 and by as many as `--rules` says.
3. The kernel alone.

Runs are interleaved and medians are shown, so that a busy machine slows all sides alike. `make bench` runs it.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
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
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import yaml

from policy_engine.columns import ACCOUNTS, FACTS, FINDING_COLUMNS, MEDIA, UNLISTED_ROLE
from policy_engine.decision_table import DecisionTable
from policy_engine.evaluation import Evaluator, Question
from policy_engine.kernel import judge, read_creation
from policy_engine.model import RulePack
from policy_engine.packs import read_pack
from policy_engine.periods import DAY, HOUR, NAT, format_instant, parse_instant

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "bench"
RIVAL = Path(__file__).with_name("pandas_masks.py")
AS_OF = "2026-01-08T00:00:00Z"
SEED = 1
MANY = 500_000
"""From so many tasks on, the pandas program runs once unless told otherwise."""
ASSETS = 300_000
"""At least so many assets are judged by packs of different sizes."""
KERNEL_ROWS = 1_000_000


class Stop(Exception):
    """The bench cannot be believed; says why."""


# --- The table ---------------------------------------------------------------------------------------------------


@dataclass
class Table:
    """What is printed at the end: a line per thing measured."""

    lines: list[tuple[str, str, str, str, str]] = field(default_factory=list)

    def head(self, text: str) -> None:
        """A line that says what the next ones are about."""
        self.lines.append((text, "", "", "", ""))

    def row(
        self, name: str, seconds: float, cpu: float | None = None, peak: int | None = None, ratio: str = ""
    ) -> None:
        """One thing measured; `peak` in bytes."""
        cells = (f"{cpu:.1f}" if cpu is not None else "", f"{peak / 1e6:,.0f}" if peak is not None else "")
        self.lines.append((f"  {name}", f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}", *cells, ratio))

    def text(self) -> str:
        """The whole table, lines of at most 88 characters."""
        lines = [("", "seconds", "CPU s", "peak MB", "ratio"), *self.lines]
        return "\n".join(f"{name:<48}{a:>10}{b:>9}{c:>10}{d:>9}".rstrip() if a else name for name, a, b, c, d in lines)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


# --- 1. From tasks to findings -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run of a program with all its processes."""

    seconds: float
    cpu: float
    peak: int
    """Most memory resident at once, bytes; what forked processes share counts for each of them."""


def history(tasks: int) -> Path:
    """The made-up history, made once."""
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / f"tasks-{tasks}.jsonl"
    stamp = path.with_suffix(".json")
    options = ["--tasks", str(tasks), "--seed", str(SEED), "--until", AS_OF, "--shape", "tasks"]
    try:
        made = json.loads(stamp.read_text())
        if made == {"options": options, "bytes": path.stat().st_size}:
            return path
    except (OSError, ValueError):
        pass
    say(f"making {path.relative_to(ROOT)} ...")
    stamp.unlink(missing_ok=True)
    new = path.with_suffix(".new")
    subprocess.run(
        [sys.executable, "-m", "policy_engine", "example", *options, "-o", str(new)],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    new.replace(path)
    stamp.write_text(json.dumps({"options": options, "bytes": path.stat().st_size}))
    return path


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


def compare(ours: Path, theirs: Path) -> int:
    """The number of assets, all equal in every column; raises Stop naming the first that differs."""
    mine, other = pd.Index(_values(ours, "asset_id")), pd.Index(_values(theirs, "asset_id"))
    for name, ids in ((ours.name, mine), (theirs.name, other)):
        if not ids.is_unique:
            raise Stop(f"{name} holds {ids[ids.duplicated()][0]} twice")
    for name, missing in ((theirs.name, mine[~mine.isin(other)]), (ours.name, other[~other.isin(mine)])):
        if len(missing):
            raise Stop(f"{name} lacks {len(missing):,} assets, the first of them {missing[0]}")
    places = other.get_indexer(mine)
    different = {}
    for column in FINDING_COLUMNS:
        left, right = _values(ours, column), _values(theirs, column)[places]
        unequal = ~((left == right) | (pd.isna(left) & pd.isna(right)))
        if unequal.any():
            different[column] = (unequal, left, right)
    if different:
        first = min(int(unequal.argmax()) for unequal, _, _ in different.values())
        total = np.logical_or.reduce([unequal for unequal, _, _ in different.values()]).sum()
        columns = "\n".join(
            f"  {column}: {left[first]} in {ours.name}, {right[first]} in {theirs.name}"
            for column, (unequal, left, right) in different.items()
            if unequal[first]
        )
        raise Stop(f"{total:,} of {len(mine):,} assets differ, the first of them {mine[first]}:\n{columns}")
    return len(mine)


def _values(path: Path, column: str) -> np.ndarray:
    """A column as plain objects, whatever types pandas would have chosen for it."""
    values = pq.read_table(path, columns=[column]).to_pandas(ignore_metadata=True)[column]
    return values.astype(object).where(values.notna(), None).to_numpy()


def time_programs(table: Table, tasks: int, runs: int, rival_runs: int) -> Path:
    """Part 1; returns the findings."""
    source = history(tasks)
    findings = {jobs: BUILD / f"findings-{jobs}.parquet" for jobs in (1, 2)}
    rival = BUILD / "findings-pandas.parquet"
    ask = [str(source), "--as-of", AS_OF]
    programs: dict[str, tuple[list[str], int]] = {
        f"policy-engine evaluate, {jobs} job{'s' * (jobs > 1)}": (
            [sys.executable, "-m", "policy_engine", "evaluate", *ask, "--jobs", str(jobs), "-o", str(path)], runs,
        )
        for jobs, path in findings.items()
    } | {"pandas, one mask per rule": ([sys.executable, str(RIVAL), *ask, "-o", str(rival)], rival_runs)}  # fmt: skip
    took: dict[str, list[Run]] = {name: [] for name in programs}
    for turn in range(max(runs, rival_runs)):
        for name, (command, wanted) in programs.items():
            if turn < wanted:
                took[name].append(measure(command))
                say(f"{name}: {took[name][-1].seconds:.1f} s")
        if turn == 0:
            say("comparing every asset ...")
            assets = compare(findings[1], rival)
            if _digest(findings[1]) != _digest(findings[2]):
                compare(findings[2], findings[1])
    size = source.stat().st_size
    table.head(f"{tasks:,} nested tasks ({size / 1e6:,.0f} MB of JSON Lines) to {assets:,} findings in Parquet")
    base = median(run.seconds for run in took["pandas, one mask per rule"])
    for name, all_runs in took.items():
        seconds = median(run.seconds for run in all_runs)
        cpu, peak = median(run.cpu for run in all_runs), max(run.peak for run in all_runs)
        table.row(name, seconds, cpu, peak, f"{base / seconds:.2f}x")
    return findings[1]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --- 2. More and more rules ------------------------------------------------------------------------------------------

GOVERNED = {
    "midjourney": {"storage": "platform", "retention": {"period": "P3D"}},
    "luma": {"storage": "vendor_cdn", "retention": "vendor_terms"},
    "kling": {"storage": "platform", "retention": {"period": "P5D"}},
    "suno": {"storage": "vendor_cdn", "retention": "vendor_terms"},
    "flux": {"storage": "platform", "retention": {"period": "P3D"}},
    "faceswap": {"storage": "platform", "retention": {"period": "P2D"}},
    "faceswap-video": {"storage": "platform", "retention": {"period": "P3D"}},
    "ai-hug": {"storage": "platform", "retention": {"period": "P1D"}},
}
"""What the rules of a service say, however many of them share it."""

Box = dict[str, tuple[Any, ...]]
"""Values per fact: one selector."""


def split(catalog: dict[str, Any], rules: int) -> list[Box]:
    """
    Cut the facts of the governed services into so many selectors that do not overlap.

    With 8, one per service; each further one halves the largest. Every asset falls under exactly one at any number.
    """
    heap: list[tuple[int, int, Box]] = []
    for service in catalog["services"]:
        if service["id"] in GOVERNED:
            roles = dict.fromkeys(spec["role"] for spec in service["outputs"] if "role" in spec)
            domains = (service["task_types"], ACCOUNTS, MEDIA, [*roles, UNLISTED_ROLE], (True, False))
            box = {fact: tuple(values) for fact, values in zip(FACTS[1:], domains, strict=True)}
            heap.append((-_cells(box), len(heap), {"service": (service["id"],), **box}))
    heapq.heapify(heap)
    count = len(heap)
    while len(heap) < rules:
        _, _, box = heapq.heappop(heap)
        fact = max(box, key=lambda name: len(box[name]))
        middle = len(box[fact]) // 2
        for half in (box[fact][:middle], box[fact][middle:]):
            smaller = {**box, fact: half}
            heapq.heappush(heap, (-_cells(smaller), count, smaller))
            count += 1
    return [box for _, _, box in sorted(heap, key=lambda item: item[1])]


def _cells(box: Box) -> int:
    return int(np.prod([len(values) for values in box.values()]))


def write_pack(folder: Path, rules: int, most: int) -> None:
    """Write a pack of so many rules, of one to three dated versions each, over the bundled catalog."""
    bundled = ROOT / "rules" / "piapi"
    catalog = yaml.safe_load((bundled / "catalog.yaml").read_bytes())
    for service in catalog["services"]:
        if service["id"] in GOVERNED:
            # Ten thousand selectors need more words than the catalog has; the same ones in every pack.
            service["task_types"] += [f"made-up-{number}" for number in range(most // 300)]
    (folder / "rules").mkdir(parents=True)
    (folder / "pack.yaml").write_bytes((bundled / "pack.yaml").read_bytes())
    (folder / "catalog.yaml").write_text(yaml.safe_dump(catalog, sort_keys=False))
    full = split(catalog, 0)
    domains = {box["service"]: box for box in full}
    citation = {"source": "output-storage", "section": "Made up", "retrieved_on": "2026-11-22", "basis": "internal"}
    for number, box in enumerate(split(catalog, rules)):
        whole = domains[box["service"]]
        selector = {
            fact: list(values) for fact, values in box.items() if fact == "service" or len(values) < len(whole[fact])
        }
        versions = []
        for place in range(1 + number % 3):
            entry: dict[str, Any] = {"version": place + 1, "recorded_on": "2026-11-22", "selector": selector}
            if place:
                # Some day of the eight weeks before `as_of`, so that tasks lie before and after it.
                day = parse_instant(AS_OF) - (56 // place - number * 5 % 28) * DAY
                entry["effective_from"] = format_instant(day)
            versions.append(entry | GOVERNED[box["service"][0]] | {"citation": citation})
        rule = {"id": f"rule-{number:05d}", "title": f"Rule {number}", "summary": "Made up.", "versions": versions}
        # JSON is YAML too.
        (folder / "rules" / f"{rule['id']}.yaml").write_text(json.dumps(rule, indent=1))


def assets_of(findings: Path) -> pd.DataFrame:
    """At least ASSETS assets as they were before they were judged."""
    columns = [
        "asset_id", "task_id", "service", "model", "task_type", "account", "media", "role", "watermarked", "url",
        "url_host", "host_owner", "status", "created_at", "completed_at", "link_expires_at", "points", "cost_usd",
        "source",
    ]  # fmt: skip
    frame = pd.read_parquet(findings, columns=columns).head(ASSETS)
    frame = pd.concat([frame] * -(-ASSETS // len(frame)), ignore_index=True)
    words = [*FACTS, "model", "url_host", "host_owner", "status"]
    return frame.astype(dict.fromkeys(words, "category"))


def time_rules(table: Table, findings: Path, counts: Sequence[int], runs: int = 5) -> None:
    """Part 2."""
    frame = assets_of(findings)
    question = Question(parse_instant(AS_OF), DAY, HOUR)
    packs: dict[int, RulePack] = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            path = Path(folder) / f"rules-{count}"
            write_pack(path, count, max(counts))
            start = time.perf_counter()
            packs[count] = read_pack(path)
            say(f"pack of {count:,} rules read in {time.perf_counter() - start:.1f} s")
    took: dict[int, list[float]] = {count: [] for count in counts}
    again: dict[int, list[float]] = {count: [] for count in counts}
    answers: dict[int, pd.DataFrame] = {}
    for _ in range(runs):
        for count, pack in packs.items():
            start = time.perf_counter()
            evaluator = Evaluator(pack, question)
            judged = evaluator.judge_chunk(frame)
            took[count].append(time.perf_counter() - start)
            start = time.perf_counter()
            evaluator.judge_chunk(frame)
            again[count].append(time.perf_counter() - start)
            answers.setdefault(count, judged[["verdict", "storage", "expires_earliest", "expires_latest"]])
    for count in counts[1:]:
        if not answers[count].equals(answers[counts[0]]):
            raise Stop(f"{count:,} rules that say the same as {counts[0]:,} gave other answers")
    table.head(f"{len(frame):,} assets in memory, first chunk: decision table and all columns")
    for timings, label in ((took, ""), (again, "every further chunk")):
        if label:
            table.head(label)
        base = median(timings[counts[0]])
        for count in counts:
            seconds = median(timings[count])
            table.row(f"{count:,} rules", seconds, ratio=f"{seconds / base:.2f}")


# --- 3. The kernel ---------------------------------------------------------------------------------------------------


def time_kernel(table: Table, findings: Path, runs: int = 5) -> None:
    """Part 3: codes of categorical columns and int64 instants in, arrays of verdicts and deadlines out."""
    pack = read_pack("piapi")
    frame = assets_of(findings)
    frame = frame[frame["service"].notna()].reset_index(drop=True)
    frame = pd.concat([frame] * -(-KERNEL_ROWS // len(frame)), ignore_index=True).head(KERNEL_ROWS)
    columns = [frame[fact].cat for fact in FACTS]
    sizes = [len(column.categories) + 1 for column in columns]

    def mixed() -> np.ndarray:
        """One code per row for its facts; unknown is the last code of a fact."""
        codes = np.zeros(len(frame), np.int64)
        for column, size in zip(columns, sizes, strict=True):
            codes = codes * size + np.where(column.codes < 0, size - 1, column.codes)
        return codes

    decisions = DecisionTable(pack)
    present = np.unique(mixed())
    values = [[*column.categories, None] for column in columns]
    places = zip(*np.unravel_index(present, sizes), strict=True)
    profiles = np.zeros(int(present.max()) + 1, np.int32)
    profiles[present] = decisions.bind(
        tuple(domain[place] for domain, place in zip(values, row, strict=True)) for row in places
    )
    instants = [frame[name].to_numpy("datetime64[ns]").view(np.int64) for name in ("created_at", "completed_at")]
    unbounded = np.full(len(frame), NAT, np.int64)

    def once() -> None:
        readings = read_creation(*instants, unbounded, pack.longest_task)
        judge(
            profiles[mixed()], readings, *decisions.arrays(),
            as_of=parse_instant(AS_OF), horizon=pack.horizon, operation_horizon=pack.operation_horizon,
        )  # fmt: skip

    seconds = median(_seconds(once) for _ in range(runs))
    table.head(f"the kernel alone, {len(frame):,} rows from categorical columns")
    table.row("read_creation and judge", seconds, ratio=f"{seconds / len(frame) * 1e9:.0f} ns/row")


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# --- All of it -------------------------------------------------------------------------------------------------------


def machine() -> str:
    """What it ran on."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("pandas", "numpy", "pyarrow"))
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def main() -> int:
    """Measure, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000_000, help="tasks of the history (default: 1000000)")
    parser.add_argument("--runs", type=int, default=3, help="runs of policy-engine (default: 3)")
    parser.add_argument(
        "--pandas-runs", type=int, help=f"runs of pandas (default: 1 from {MANY} tasks on, else as --runs)"
    )
    parser.add_argument("--rules", type=int, nargs="*", default=[], help="further sizes of packs, such as 10000")
    options = parser.parse_args()
    rival_runs = options.pandas_runs or (1 if options.tasks >= MANY else options.runs)
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    table = Table()
    try:
        findings = time_programs(table, options.tasks, options.runs, rival_runs)
        say("judging by 8 rules and by more ...")
        time_rules(table, findings, sorted({8, 1_000, *options.rules}))
        time_kernel(table, findings)
    except Stop as reason:
        print(f"bench stopped: {reason}", file=sys.stderr)
        return 1
    print(table.text())
    print(f"Equal answers in all {len(FINDING_COLUMNS)} columns. Medians; runs: {options.runs}, pandas {rival_runs}.")
    print(f"{machine()}; load {busy:.1f} at the start.")
    print(f"Repeat: {' '.join(['python tests/bench/end_to_end.py', *sys.argv[1:]])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
