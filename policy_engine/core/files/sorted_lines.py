"""Copies lines of a file to another in the order of a key, holding only the position of each line."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from policy_engine.core.frames import Int64

_PIECE = 1 << 20
"""Bytes that are copied at a time."""


class Sink(Protocol):
    """Takes bytes, like a file."""

    def write(self, data: bytes, /) -> object:
        """Take all of them."""


def joined(starts: Int64, ends: Int64) -> list[tuple[int, int]]:
    """Starts and ends of ranges of bytes; adjacent ranges are joined."""
    gaps = np.flatnonzero(starts[1:] != ends[:-1])
    first, last = np.concatenate([starts[:1], starts[gaps + 1]]), np.concatenate([ends[gaps], ends[-1:]])
    return list(zip(first.tolist(), last.tolist(), strict=True))


class SortedLines:
    """Positions of lines in a file, and their keys; the lines, too many to be held, are read again."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._parts: list[tuple[Int64, Int64, Int64]] = []

    def __len__(self) -> int:
        return sum(len(keys) for keys, _, _ in self._parts)

    def add(self, keys: Int64, starts: Int64, sizes: Int64) -> None:
        """Lines to copy: their keys, and their positions and lengths in bytes."""
        if len(keys):
            self._parts.append((keys, starts, sizes))

    def copy(self, source: Path, stream: Sink) -> None:
        """Write the lines, the least key first; equal keys in the order of the file."""
        if not self._parts:
            return
        keys, starts, sizes = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        order = np.argsort(keys, kind="stable")
        pieces = np.cumsum(sizes[order]) // _PIECE
        # A buffer would be filled again for every line.
        with source.open("rb", buffering=0) as lines:
            for rows in np.split(order, np.flatnonzero(np.diff(pieces)) + 1):
                found = []
                for start, end in joined(starts[rows], starts[rows] + sizes[rows]):
                    lines.seek(start)
                    found.append(lines.read(end - start))
                stream.write(b"".join(found))
