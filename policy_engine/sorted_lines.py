"""Copies lines of a file into another in the order of a key, holding only where each line stands."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np

from policy_engine.frames import Int64


class SortedLines:
    """Where lines stand in a file and by what they are ordered: too many to be held, they are read again one by one."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._parts: list[tuple[Int64, Int64, Int64]] = []

    def __len__(self) -> int:
        return sum(len(keys) for keys, _, _ in self._parts)

    def add(self, keys: Int64, starts: Int64, sizes: Int64) -> None:
        """Lines to copy: their keys, their places in bytes, their lengths in bytes."""
        if len(keys):
            self._parts.append((keys, starts, sizes))

    def copy(self, source: Path, stream: IO[bytes]) -> None:
        """Write the lines, the least key first; equal ones in the order in which they stand."""
        if not self._parts:
            return
        keys, starts, sizes = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        with source.open("rb") as lines:
            for row in np.argsort(keys, kind="stable").tolist():
                lines.seek(starts[row])
                stream.write(lines.read(sizes[row]))
