"""Finds the task keys that occur more than once, in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from policy_engine.core.files.scratch import Scratch
from policy_engine.core.hashing import GOLDEN_RATIO
from policy_engine.history.merging.spill import no_room

_READ = 1 << 20
"""Checksums that are read from disk at a time."""
_SPREAD = np.uint64(GOLDEN_RATIO)


class RepeatedKeys:
    """The checksums of all task ids, to find those that occur more than once; on disk where they are too many."""

    def __init__(self, scratch: Scratch, most: int) -> None:
        """`most` is the number of checksums that stay in memory."""
        self._scratch = scratch
        self._most = most
        self._pieces: list[npt.NDArray[np.uint64]] = []
        self._held = self._stored = 0

    def add(self, keys: npt.NDArray[np.uint64]) -> None:
        """Take checksums; raises UsageProblem when the disk has no room for them."""
        self._pieces.append(keys)
        self._held += len(keys)
        if self._held > self._most:
            try:
                with self._path.open("ab") as stream:
                    for piece in self._pieces:
                        stream.write(piece.tobytes())
            except OSError as error:
                raise no_room(self._scratch, error.strerror or str(error)) from None
            self._stored += self._held
            self._pieces, self._held = [], 0

    @property
    def count(self) -> int:
        """Checksums taken so far."""
        return self._stored + self._held

    def forget_from(self, count: int) -> None:
        """Forget what was taken after the given count."""
        if count < self._stored:
            with self._path.open("r+b") as stream:
                stream.truncate(8 * count)
            self._pieces, self._stored = [], count
        elif self._pieces:
            self._pieces = [np.concatenate(self._pieces)[: count - self._stored]]
        self._held = count - self._stored

    def repeated(self) -> npt.NDArray[np.uint64]:
        """Checksums that occur more than once, ascending; the store is empty afterwards."""
        if not self._stored:
            return find_duplicates(self._take())
        # Equal checksums fall into one part, and each part fits into memory.
        parts = np.uint64(2 * (self._stored + self._held) // max(self._most, 1) + 1)
        found = [find_duplicates(list(self._part(np.uint64(part), parts))) for part in range(int(parts))]
        self._pieces = []
        self._path.unlink()
        return np.sort(np.concatenate(found))

    @property
    def _path(self) -> Path:
        return self._scratch.folder / "checksums"

    def _take(self) -> list[npt.NDArray[np.uint64]]:
        pieces, self._pieces = self._pieces, []
        return pieces

    def _part(self, part: np.uint64, parts: np.uint64) -> Iterator[npt.NDArray[np.uint64]]:
        for keys in itertools.chain(self._on_disk(), self._pieces):
            yield keys[(keys * _SPREAD >> np.uint64(32)) % parts == part]

    def _on_disk(self) -> Iterator[npt.NDArray[np.uint64]]:
        with self._path.open("rb") as stream:
            while data := stream.read(8 * _READ):
                yield np.frombuffer(data, np.uint64)


def find_duplicates(keys: list[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    """Checksums that occur more than once, ascending; empties the list, so that nothing is held twice."""
    together = np.concatenate(keys) if keys else np.empty(0, np.uint64)
    keys.clear()
    together.sort()
    return np.unique(together[1:][together[1:] == together[:-1]])
