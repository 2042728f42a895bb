"""
Changes the modules that decide, one small change at a time, and counts the changes that a fast set of tests notices.

    pip install mutmut
    python tools/torture/mutation.py [MODULE...] [--jobs 2]

mutmut (3.8 or newer) makes the changes. They are tried here: the tests of a module are collected once and run once on
the unchanged program, which shows how long each takes and which functions it runs. Then a process is forked for each
change, in which the tests of the changed function run until one fails: first those that noticed most changes of that
function, then the fast ones. That needs no start of pytest per change, and every run tries the same examples.

The work happens in a copy below build/. What was tried is kept there, so that a second run goes on where the first was
ended; the changes of a function are forgotten when it is edited. `--again` starts from the beginning, and `--survivors`
tries again what no test noticed.

docs/development/mutation.md lists the changes that no test notices, with the reason. The last line of stdout is one
JSON object; the exit code is 1 when a module has fewer than 95 % of its changes noticed.
"""

from __future__ import annotations

import argparse
import ast
import gc
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).parents[2]
COPY = ROOT / "build" / "mutation"
MODULES = {
    "core/periods": ("core/test_periods.py",),
    "engine/kernel": ("engine/test_kernel.py", "engine/test_decision_table.py", "engine/test_evaluation.py"),
    "packs/timeline": ("packs/test_timeline.py", "engine/test_evaluation.py"),
    "engine/decision_table": ("engine/test_decision_table.py", "engine/test_evaluation.py"),
    "engine/finding_totals": ("engine/test_finding_totals.py",),
    "engine/assets/maker": ("engine/assets/test_maker.py", "engine/test_finding_totals.py"),
}
"""The modules that decide, and the fast tests of each."""
FURTHER = {
    "engine/evaluation": ("engine/test_evaluation.py", "engine/test_decision_table.py", "test_api.py"),
    "engine/assets/json_outputs": ("engine/assets/test_json_outputs.py", "engine/assets/test_maker.py"),
    "engine/assets/table_outputs": ("engine/assets/test_table_outputs.py", "engine/assets/test_maker.py"),
    "engine/assets/settled_files": (
        "engine/assets/test_json_outputs.py",
        "engine/assets/test_table_outputs.py",
        "core/urls/test_address_column.py",
        "engine/assets/test_maker.py",
    ),
    "core/urls/address_column": ("core/urls/test_address_column.py", "engine/assets/test_json_outputs.py"),
}
"""Modules that are tried when they are named."""
COPIED = ("policy_engine", "tests", "rules", "schemas", "reports", "examples", "docs")
REQUIRED = 95.0
PLAIN = ("--tb=no", "--assert=plain", "-p", "no:warnings", "-p", "no:logging", "-p", "no:faulthandler")
"""Nobody reads how a failure looks, and formatting it costs more than the test."""
CPU_LIMIT, WALL_LIMIT, MEMORY_LIMIT = 30, 900, 4 << 30
"""Seconds and bytes beyond which a change counts as noticed: the program does not end, or grows without end."""
AROUND = 60
"""Characters that are shown on both sides of a change."""
NO_CHANGE = "none__mutmut_0"
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

    def __init__(self, module: str, changes: list[str], record: Record, jobs: int) -> None:
        self.module, self.changes, self.record, self.jobs = module, changes, record, jobs
        self.failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember whether a test failed."""
        self.failed |= report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every change that has not been tried."""
        took, runs = self.learn(session.items)
        gc.freeze()
        # In another order too, nothing may fail that no change has spoiled.
        _, status = os.waitpid(self.start(NO_CHANGE, session.items[::-1]), 0)
        if status:
            raise pytest.UsageError("the tests fail on the unchanged program in another order")
        took_file: Counter[Path] = Counter()
        for item in session.items:
            took_file[item.path] += took[item]
        kills: dict[str, Counter[Any]] = {}
        running: dict[int, str] = {}
        waiting = list(self.changes)
        while waiting or running:
            while waiting and len(running) < self.jobs:
                change = waiting.pop(0)
                function = function_of(change)
                own = kills.setdefault(function, Counter())
                concerned = [item for item in session.items if function in runs[item]]
                by_cost = sorted(concerned, key=lambda item: (-own[item], took_file[item.path], took[item]))
                running[self.start(change, by_cost)] = change
            child, status = os.wait()
            code = os.waitstatus_to_exitcode(status)
            change, index = running.pop(child), code - 2
            self.record.add(change, code != 0)
            if 0 <= index < len(session.items):
                kills[function_of(change)][session.items[index]] += 1
        return True

    def learn(self, items: list[Any]) -> tuple[dict[Any, float], dict[Any, set[str]]]:
        """Run the tests on the unchanged program; returns the seconds of each and the functions that it runs."""
        from mutmut.state import state

        took, runs = {}, {}
        os.environ["MUTANT_UNDER_TEST"] = "stats"
        for item in items:
            state()._stats.clear()
            begun = time.perf_counter()
            # Everything is torn down after each, so that a test is known to run what its fixtures run, and no fixture
            # of the unchanged program serves a change.
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
            took[item] = time.perf_counter() - begun
            runs[item] = {name.rpartition(".")[2] for name in state()._stats}
        if self.failed:
            raise pytest.UsageError("the tests fail on the unchanged program")
        return took, runs

    def start(self, change: str, order: list[Any]) -> int:
        """Run the tests in order until one fails, in a process that ends with the index of that test, or 0."""
        child = os.fork()
        if child:
            return child
        os.environ["MUTANT_UNDER_TEST"] = f"policy_engine.{self.module.replace('/', '.')}.{change}"
        # Processor time, since a process that is paused does no harm.
        signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT)
        signal.alarm(WALL_LIMIT)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        positions = {item: index for index, item in enumerate(order[0].session.items)} if order else {}
        for item, following in zip(order, [*order[1:], None], strict=True):
            try:
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            except BaseException:
                self.failed = True
            if self.failed:
                os._exit(min(positions[item] + 2, 250))
        os._exit(0)


def function_of(change: str) -> str:
    """The function that a change is made in, as mutmut calls it."""
    return change.partition("__mutmut_")[0]


def original(change: str) -> str:
    """The name under which the copy keeps the function as it was."""
    return f"{function_of(change)}__mutmut_orig"


def prepare(module: str) -> list[str]:
    """Bring a copy of the program up to date, with all changes of one module in it; returns their names."""
    folder = COPY / module
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    setup = (ROOT / "pyproject.toml").read_text("utf-8") + '\n[tool.mutmut]\nsource_paths = ["policy_engine"]\n'
    (folder / "pyproject.toml").write_text(setup, "utf-8")
    command = [sys.executable, "-c", GENERATE, module]
    made = subprocess.run(command, cwd=folder, check=True, capture_output=True)
    names: list[str] = json.loads(made.stdout)
    return names


def alike(first: str, other: str) -> int:
    """How many characters at the beginning of two texts are the same."""
    pairs = enumerate(zip(first, other, strict=False))
    return next((index for index, (mine, theirs) in pairs if mine != theirs), min(len(first), len(other)))


def functions_in(module: str) -> dict[str, str]:
    """Text of every function of a module's copy, changed ones too, by the names that mutmut gives them."""
    text = (COPY / module / "policy_engine" / f"{module}.py").read_text("utf-8")
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
    return {node.name: ast.unparse([node.args, *node.body]) for node in nodes}


def shown(functions: dict[str, str], change: str) -> str:
    """What a change takes away and what it puts there, with a little of the text on both sides."""
    before, after = functions[original(change)], functions[change]
    begin = alike(before, after)
    end = alike(before[begin:][::-1], after[begin:][::-1])
    left, right = before[max(0, begin - AROUND) : begin], before[len(before) - end :][:AROUND]
    parts = [left, "[", before[begin : len(before) - end], " -> ", after[begin : len(after) - end], "]", right]
    return " ".join("".join(parts).split())


class Record:
    """What was tried of a module; a change is forgotten when its function is edited, since it is then another one."""

    def __init__(self, module: str, functions: dict[str, str]) -> None:
        self.path = COPY / f"{module}.jsonl"
        self._marks = {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in functions.items()}

    def read(self) -> dict[str, bool]:
        """Each change that was tried, and whether it was noticed."""
        lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
        tried = map(json.loads, lines)
        return {change: noticed for change, noticed, mark in tried if mark == self._marks.get(original(change))}

    def keep(self, tried: dict[str, bool]) -> None:
        """Forget all others."""
        self.path.write_text("", "utf-8")
        for change, noticed in tried.items():
            self.add(change, noticed)

    def add(self, change: str, noticed: bool) -> None:
        """Remember one more."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([change, noticed, self._marks[original(change)]]) + "\n")


def run_module(module: str, changes: list[str], record: Record, jobs: int) -> None:
    """Try changes of one module; to be called in a process of its own."""
    os.chdir(COPY / module)
    sys.path.insert(0, str(COPY / module))
    os.environ["PYTHONPATH"] = str(COPY / module)
    # The same examples for every change, and no search for the smallest one that fails.
    plain = {"max_examples": 25, "deadline": None, "database": None, "derandomize": True}
    settings.register_profile("mutation", phases=(Phase.explicit, Phase.generate), **plain)
    os.environ["HYPOTHESIS_PROFILE"] = "mutation"
    tests = [f"tests/{name}" for name in (MODULES | FURTHER)[module]]
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly", "-s", *PLAIN]
    pytest.main([*options, *tests], [Trial(module, changes, record, jobs)])


def main() -> int:
    """Try the changes and tell which were not noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = f"default: {' '.join(MODULES)}; others: {' '.join(FURTHER)}"
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=words)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="forget what was tried before")
    parser.add_argument("--survivors", action="store_true", help="try once more the changes that no test noticed")
    parser.add_argument("--report-only", action="store_true", help="tell what earlier runs found")
    asked = parser.parse_args()
    COPY.mkdir(parents=True, exist_ok=True)
    table = {}
    for module in asked.modules or MODULES:
        names = prepare(module)
        functions = functions_in(module)
        record = Record(module, functions)
        tried = {} if asked.again else record.read()
        record.keep({name: noticed for name, noticed in tried.items() if noticed or not asked.survivors})
        left = [name for name in names if name not in record.read()]
        if left and not asked.report_only:
            child = os.fork()
            if not child:
                os.dup2(2, 1)
                run_module(module, left, record, asked.jobs)
                os._exit(0)
            os.waitpid(child, 0)
        tried = record.read()
        killed = sum(tried.values())
        share = round(100 * killed / len(tried), 1) if tried else 0.0
        table[module] = {"of": len(names), "tried": len(tried), "killed": killed, "percent": share}
        print(f"{module}: {table[module]}", file=sys.stderr, flush=True)
        for change in names:
            if tried.get(change) is False:
                print(f"survived: {module}.{change}: {shown(functions, change)}", file=sys.stderr)
    total, killed = (sum(row[name] for row in table.values()) for name in ("tried", "killed"))
    print(json.dumps({"part": "mutation", "tried": total, "found": total - killed, "modules": table}))
    return 1 if any(row["percent"] < REQUIRED for row in table.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
