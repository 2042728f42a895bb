"""
Changes the modules that decide, one small change at a time, and counts the changes that a fast set of tests notices.

    pip install mutmut
    python tests/torture/mutation.py [MODULE...] [--jobs 2]

Needs mutmut 3, and `fork`. The work happens in a copy below build/, so that the working copy stays as it is; a second
run goes on where the first one was ended. docs/mutation.md lists the changes that no test can notice, with the reason.
The last line of stdout is one JSON object; the exit code is 1 when fewer than 95 % of the changes of a module are seen.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPY = ROOT / "build" / "mutation"
MODULES = (
    "periods",
    "kernel",
    "decision_table",
    "timelines",
    "totals",
    "evaluation",
    "assets",
    "output_columns",
)
"""The modules that decide, in the order in which they are tried."""
TESTS = (
    "tests/test_periods.py",
    "tests/test_decisions.py",
    "tests/test_counting.py",
    "tests/test_totals.py",
    "tests/test_assets.py",
    "tests/test_output_columns.py",
)
"""Fast, and the same on every run."""
COPIED = ("policy_engine", "tests", "rules", "schemas", "reports", "examples")
REQUIRED = 95.0
KILLED = {1, 3, -24, 24, 36, 152, 255, -11, -9, 37}
"""Exit codes of mutmut's processes for a change that was noticed: tests failed, ran for ever, or crashed."""

SETTINGS = """
[tool.mutmut]
source_paths = ["policy_engine"]
only_mutate = [{mutated}]
also_copy = ["rules", "schemas", "reports", "examples"]
pytest_add_cli_args_test_selection = [{tests}]
pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "no:xdist", "-x", "-q"]
timeout_multiplier = 4.0
"""


def prepare(modules: tuple[str, ...]) -> None:
    """Bring the copy up to date, keeping what mutmut knows of an earlier run."""
    COPY.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copytree(ROOT / name, COPY / name, dirs_exist_ok=True)
    mutated = ", ".join(f'"policy_engine/{name}.py"' for name in modules)
    tests = ", ".join(f'"{name}"' for name in TESTS if (ROOT / name).exists())
    text = (ROOT / "pyproject.toml").read_text("utf-8") + SETTINGS.format(mutated=mutated, tests=tests)
    (COPY / "pyproject.toml").write_text(text, "utf-8")


def results(module: str) -> dict[str, int | None]:
    """Name of each change of a module -> exit code of the tests, None where they were not run."""
    path = COPY / "mutants" / "policy_engine" / f"{module}.py.meta"
    codes: dict[str, int | None] = json.loads(path.read_text("utf-8"))["exit_code_by_key"] if path.exists() else {}
    return codes


def main() -> int:
    """Run mutmut over the copy and tell what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"default: {' '.join(MODULES)}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report-only", action="store_true", help="tell what an earlier run found")
    asked = parser.parse_args()
    modules = tuple(asked.modules) or MODULES
    if not asked.report_only:
        prepare(modules)
        patterns = [f"policy_engine.{name}.*" for name in modules]
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(asked.jobs), *patterns]
        environment = {**os.environ, "HYPOTHESIS_PROFILE": "dev"}
        environment.pop("PYTHONPATH", None)
        subprocess.run(command, cwd=COPY, env=environment, stdout=sys.stderr, check=False)
    table, low = {}, False
    for name in modules:
        codes = results(name)
        tried = {change: code for change, code in codes.items() if code is not None}
        killed = [change for change, code in tried.items() if code in KILLED]
        left = sorted(set(tried) - set(killed))
        share = 100 * len(killed) / len(tried) if tried else 0.0
        low |= share < REQUIRED
        table[name] = {"tried": len(tried), "of": len(codes), "killed": len(killed), "percent": round(share, 1)}
        for change in left:
            print(f"survived ({tried[change]}): {change}", file=sys.stderr)
    tried = sum(row["tried"] for row in table.values())
    print(
        json.dumps(
            {
                "part": "mutation",
                "tried": tried,
                "found": tried - sum(r["killed"] for r in table.values()),
                "modules": table,
            }
        )
    )
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
