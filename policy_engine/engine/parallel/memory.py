"""Turns a limit on memory into the sizes of what a run holds at a time."""

from __future__ import annotations

from dataclasses import dataclass

from policy_engine.core.problems import Problem, UsageProblem

MIB = 1 << 20

# Measured on nested task objects with all columns of findings, rounded up;
# tests/engine/parallel/test_memory.py measures whole runs.
_BASE = 190 * MIB
"""Memory of a process before it reads anything, with all libraries loaded and a Parquet writer at work."""
_WORKER = 100 * MIB
"""Memory of a further process, without its batch."""
_PER_RECORD = 5 << 10
"""Bytes that a record takes while its batch is read, judged and written."""
_PER_WAITING = 2 << 10
"""Bytes that a record takes while it waits in memory."""
_REPORT = 40 * MIB
_PER_ROW = 3 << 10
"""Bytes that a row takes which a report embeds in its page."""
_LEAST_RECORDS = 2_000
_BYTES_OF_RECORD = 800


@dataclass(frozen=True)
class Sizes:
    """How much of a history is held at a time; no result depends on it."""

    unit: int | None = None
    """Bytes of JSON Lines that are handed to a process at a time; None: the default of the reader."""
    records: int | None = None
    """Records that are read and judged at a time; None: the default of the reader."""
    merged: int = 20_000
    """Records that are merged and judged at a time."""
    waiting: int = 50_000
    """Records that wait for others of their task in memory; beyond, they wait on disk."""
    keys: int = 1 << 22
    """Checksums of task ids that are held in memory (8 bytes each, twice while they are sorted); others on disk."""


def sizes_within(limit: int, jobs: int, embedded: int | None = None) -> Sizes:
    """
    The sizes with which `jobs` processes stay within `limit` bytes together; `embedded` rows are in the page of a
    report; None without a report.

    Raises UsageProblem for a limit that is too small, which names the least sufficient one.
    """
    processes = 1 if jobs == 1 else jobs + 1
    fixed = _BASE + (processes - 1) * _WORKER
    if embedded is not None:
        fixed += _REPORT + embedded * _PER_ROW
    per_record = processes * _PER_RECORD
    least = fixed + _LEAST_RECORDS * per_record * 2
    if limit < least:
        raise UsageProblem(Problem(
            "memory-limit",
            f"a memory limit of {limit // MIB:,} MiB is too small for {jobs} "
            + ("process" if jobs == 1 else "processes"),
            help=f"the least sufficient one is --memory-limit {-(-least // MIB)}MiB"
            + (", or less with fewer --jobs" if jobs > 1 else "")
            + (", or less with fewer rows to --embed" if embedded else ""),
        ))  # fmt: skip
    room = limit - fixed
    usual = Sizes()
    records = min(40_000, max(_LEAST_RECORDS, room // 2 // per_record))
    return Sizes(
        unit=min(1 << 25, records * _BYTES_OF_RECORD),
        records=records,
        merged=min(usual.merged, records // 2),
        waiting=min(usual.waiting, room // 8 // _PER_WAITING),
        keys=min(usual.keys, room // 8 // 16),
    )
