"""
Changes the modules that decide, one small change at a time, and counts the changes that a fast set of tests notices.

    pip install mutmut
    python tests/torture/mutation.py [MODULE...] [--jobs 2]

mutmut (3.8 or newer) makes the changes. They are tried here: the tests of a module are collected once and run once on
the unchanged program, then a process is forked for each change, in which they run until one fails. That needs no start
of pytest per change. The work happens in a copy below build/; what was tried is kept there, so that a second run goes
on where the first was ended (`--again` starts anew).

docs/mutation.md lists the changes that no test notices, with the reason. The last line of stdout is one JSON object;
the exit code is 1 when a module has fewer than 95 % of its changes noticed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COPY = ROOT / "build" / "mutation"
MODULES = {
    "periods": ("test_periods.py",),
    "kernel": ("test_decisions.py",),
    "timelines": ("test_decisions.py",),
    "decision_table": ("test_decisions.py",),
    "totals": ("test_counting.py", "test_totals.py"),
    "evaluation": ("test_decisions.py", "test_api.py"),
    "assets": ("test_assets.py", "test_totals.py"),
    "output_columns": ("test_output_columns.py", "test_assets.py"),
    "url_columns": ("test_url_columns.py", "test_output_columns.py"),
}
"""The modules that decide, and the fast tests of each."""
COPIED = ("policy_engine", "tests", "rules", "schemas", "reports", "examples", "docs")
REQUIRED = 95.0
PLAIN = ("--tb=no", "--assert=plain", "-p", "no:warnings", "-p", "no:logging", "-p", "no:faulthandler")
"""What a failure looks like is of no interest, and costs more than the test."""
LIMIT = 120
"""Seconds after which a change counts as noticed: the program does not end."""
GENERATE = """
import json, sys
from pathlib import Path
from mutmut.mutation.file_mutation import mutate_file_contents

path = Path("policy_engine", sys.argv[1] + ".py")
made = mutate_file_contents(str(path), path.read_text("utf-8"))
path.write_text(made.code, "utf-8")
print(json.dumps(list(made.mutant_names)))
"""


class Trial:
    """A plugin of pytest that runs the collected tests once per change, each time in a process of its own."""

    def __init__(self, module: str, changes: list[str], done: Path, jobs: int) -> None:
        self.module, self.changes, self.done, self.jobs = module, changes, done, jobs
        self.failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember whether a test failed."""
        self.failed |= report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every change that has not been tried."""
        took: dict[Any, float] = {}
        # After the last one everything is torn down, so that no fixture of the unchanged program serves a change.
        for item, following in pairwise([*session.items, None]):
            begun = time.perf_counter()
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            took[item] = time.perf_counter() - begun
        if self.failed:
            raise pytest.UsageError("the tests fail on the unchanged program")
        kills: Counter[Any] = Counter()
        running: dict[int, str] = {}
        waiting = list(self.changes)
        while waiting or running:
            while waiting and len(running) < self.jobs:
                change = waiting.pop(0)
                order = sorted(session.items, key=lambda item: (-kills[item], took[item]))
                child = os.fork()
                if not child:
                    self.try_one(change, order)
                running[child] = change
            child, status = os.wait()
            code = os.waitstatus_to_exitcode(status)
            place = code - 2
            with self.done.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps([running.pop(child), code != 0]) + "\n")
            if 0 <= place < len(session.items):
                kills[session.items[place]] += 1
        return True

    def try_one(self, change: str, order: list[Any]) -> None:
        """Run the tests in order until one fails; ends the process with the place of that test, or 0."""
        os.environ["MUTANT_UNDER_TEST"] = f"policy_engine.{self.module}.{change}"
        signal.alarm(LIMIT)
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        places = {item: place for place, item in enumerate(order[0].session.items)}
        for item, following in pairwise([*order, None]):
            try:
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            except BaseException:
                self.failed = True
            if self.failed:
                os._exit(min(places[item] + 2, 250))
        os._exit(0)


def prepare(module: str) -> list[str]:
    """Bring a copy of the program up to date, with all changes of one module in it; returns their names."""
    folder = COPY / module
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    settings = (ROOT / "pyproject.toml").read_text("utf-8") + '\n[tool.mutmut]\nsource_paths = ["policy_engine"]\n'
    (folder / "pyproject.toml").write_text(settings, "utf-8")
    command = [sys.executable, "-c", GENERATE, module]
    made = subprocess.run(command, cwd=folder, check=True, capture_output=True)
    names: list[str] = json.loads(made.stdout)
    return names


def tried_before(module: str) -> dict[str, bool]:
    """Each change of a module that was tried, and whether it was noticed."""
    path = COPY / f"{module}.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return dict(json.loads(line) for line in lines)


def run_module(module: str, jobs: int) -> None:
    """Try the changes of one module that were not tried; to be called in a process of its own."""
    names = prepare(module)
    before = tried_before(module)
    changes = [name for name in names if name not in before]
    (COPY / f"{module}.names").write_text("\n".join(names), "utf-8")
    if not changes:
        return
    os.chdir(COPY / module)
    sys.path.insert(0, str(COPY / module))
    os.environ["PYTHONPATH"] = str(COPY / module)
    os.environ["HYPOTHESIS_PROFILE"] = "dev"
    trial = Trial(module, changes, COPY / f"{module}.jsonl", jobs)
    tests = [f"tests/{name}" for name in MODULES[module]]
    pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly", "-s", *PLAIN, *tests], [trial])


def main() -> int:
    """Try the changes and tell which were not noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"default: {' '.join(MODULES)}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="forget what was tried before")
    parser.add_argument("--survivors", action="store_true", help="try once more the changes that no test noticed")
    parser.add_argument("--report-only", action="store_true", help="tell what earlier runs found")
    asked = parser.parse_args()
    COPY.mkdir(parents=True, exist_ok=True)
    table = {}
    for module in asked.modules or MODULES:
        if asked.again:
            (COPY / f"{module}.jsonl").unlink(missing_ok=True)
        if asked.survivors:
            kept = [json.dumps(pair) for pair in tried_before(module).items() if pair[1]]
            (COPY / f"{module}.jsonl").write_text("\n".join([*kept, ""]), "utf-8")
        if not asked.report_only:
            child = os.fork()
            if not child:
                os.dup2(2, 1)
                run_module(module, asked.jobs)
                os._exit(0)
            os.waitpid(child, 0)
        tried = tried_before(module)
        path = COPY / f"{module}.names"
        count = len(path.read_text("utf-8").splitlines()) if path.exists() else len(tried)
        killed = sum(tried.values())
        share = round(100 * killed / len(tried), 1) if tried else 0.0
        table[module] = {"of": count, "tried": len(tried), "killed": killed, "percent": share}
        print(f"{module}: {table[module]}", file=sys.stderr, flush=True)
        for change, noticed in tried.items():
            if not noticed:
                print(f"survived: {module}.{change}", file=sys.stderr)
    total, killed = (sum(row[name] for row in table.values()) for name in ("tried", "killed"))
    print(json.dumps({"part": "mutation", "tried": total, "found": total - killed, "modules": table}))
    return 1 if any(row["percent"] < REQUIRED for row in table.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
