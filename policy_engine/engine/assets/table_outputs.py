"""Finds the files of many tasks of tables at once, where each row has one address and nothing is unusual."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np

from policy_engine.core.frames import taken
from policy_engine.core.urls.address_column import UrlColumn
from policy_engine.engine.assets.output_paths import FILE, UNLISTED, OutputPaths, OutputRole
from policy_engine.engine.assets.settled_files import RoleNumbers, SettledFiles, settle
from policy_engine.history import FlatFile, Outputs

# Why this is exact: `settle` is, for addresses whose role the catalog or the row gives, and leaves the rest. A task
# with a single address of no known role has that file and no other; with several, OutputPaths.files_of decides.
# tests/engine/assets/test_table_outputs.py compares both.

_FACTS = attrgetter("output", "media", "role", "watermarked")
TABLE_OUTPUT_TYPES = frozenset((FlatFile, Outputs))
"""Types for which `is_table_output` may be true."""


def is_table_output(output: Any) -> bool:
    """True for the output of a task whose rows of tables have one address each."""
    kind = type(output)
    return kind is FlatFile or (kind is Outputs and set(map(type, output)) == {FlatFile})


def find_table_files(
    paths: OutputPaths, services: Sequence[str | None], outputs: Sequence[FlatFile | Outputs]
) -> SettledFiles:
    """The files of outputs for which `is_table_output` is true, each of a task of a service."""
    parts: list[Sequence[FlatFile]] = [(output,) if type(output) is FlatFile else output for output in outputs]  # type: ignore[misc]
    sizes = np.fromiter(map(len, parts), np.int64, len(parts))
    rows = np.repeat(np.arange(len(parts)), sizes)
    files = list(chain.from_iterable(parts))
    # Looked up once for all rows that state the same; not cached, since each row of a table may state its own facts.
    stated = list(zip(taken(services, rows), map(_FACTS, files), strict=True))
    roles = RoleNumbers(paths)
    unlisted = roles.add(OutputRole(FILE, UNLISTED, ""))
    known: dict[Any, int] = {}
    for key, file in dict(zip(stated, files, strict=True)).items():
        found = paths.role_of(key[0], file)
        known[key] = unlisted if found is None else roles.add(found)
    numbers = np.fromiter(map(known.__getitem__, stated), np.int64, len(files))
    odd = np.zeros(len(parts), bool)
    odd[rows[(numbers == unlisted) & (sizes[rows] > 1)]] = True
    return settle(roles, rows, numbers, UrlColumn([file.url for file in files]), odd)
