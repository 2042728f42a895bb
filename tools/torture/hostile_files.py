"""
Gives hostile files to the real commands, each in a process with bounds of time and memory, and prints what went wrong.

Every case names the exit codes that are right for it. A traceback, an internal error, another code, too long a time or
too much memory is a failure. `--scale` makes the files larger; 1 is what the tests run. The cases are in the folder
`hostile`, a module for each kind of file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tools.torture.hostile import annotations, packed, records, rules, special_files, tables  # noqa: F401 - they add their cases
from tools.torture.hostile.cases import CASES
from tools.torture.hostile.running import try_case
from tools.torture.progress import Progress

QUICK_BOMBS = ("gz-bomb-of-zeros", "zst-bomb-of-one-line", "zst-bomb-table-of-one-header", "zst-bomb-of-lists")
"""Bombs that the tests try; making the others takes most of the time."""
LONG = frozenset((
    "csv-a-field-too-many",
    "csv-bare-carriage-returns",
    "csv-blank-lines",
    "csv-commas",
    "csv-header-never-closed",
    "csv-one-long-field",
    "csv-quote-never-closed",
    "csv-quoted-line-breaks",
    "csv-quotes-never-closed",
    "json-lines-of-zeros",
    "json-list-of-lists",
    "json-list-of-objects",
    "json-list-of-zeros",
    "json-long-first-line",
    "json-long-string",
    "json-long-string-alone",
    "json-many-keys",
    "json-many-keys-of-maps",
    "json-many-models",
    "json-many-pages",
    "json-same-task",
    "json-white-space",
    "parquet-long-text-repeated",
    "special-file-that-grows",
    "yaml-cases-of-nothing",
    "yaml-catalog-of-nothing",
    "yaml-list-of-numbers",
    "yaml-pack-of-sources",
    "yaml-unknown-keys",
    "yaml-unknown-services",
    "yaml-wrong-types-everywhere",
))  # fmt: skip
"""Cases that take longer than the tests have for each."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases; a line of JSON per failure (with `--all` per case), and one for all of them at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--only", default="", help="beginnings of the names of cases, separated by commas")
    parser.add_argument("--short", action="store_true", help="leave out most of the cases that take long")
    parser.add_argument("--all", action="store_true", help="report every case")
    parser.add_argument("--executions", type=int, default=0, help="not used: the cases are a list")
    parser.add_argument("--seconds", type=int, default=3600, help="begin no further case after this long")
    given = parser.parse_args(arguments)
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import policy_engine.api
    import policy_engine.cli
    import policy_engine.report.formats.findings  # noqa: F401

    progress, begin, tried, found = Progress("hostile_files"), time.monotonic(), 0, 0
    for name, case in CASES.items():
        if given.short and (name in LONG or ("bomb-" in name and name not in QUICK_BOMBS)):
            continue
        if name.startswith(tuple(given.only.split(","))) and time.monotonic() - begin < given.seconds:
            result = try_case(case, given.scale)
            tried += 1
            found += bool(result.failures)
            if result.failures or given.all:
                print(json.dumps(result.__dict__), flush=True)
            progress.report(tried, found)
    return progress.finish(tried, found)


if __name__ == "__main__":
    sys.exit(main())
