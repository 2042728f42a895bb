"""A private folder for data that does not fit into memory: made when first needed, removed however a run ends."""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path


class Scratch:
    """
    A context that removes its folder, if one was made, when it is left.

    For one stage of a run, inside the folder that `drafts.scratch_folder` made for the whole run (or inside one that
    all workers of a cluster see): made only when something must go to disk. It has no lock, since what a killed run
    leaves of it is removed with the folder around it.
    """

    def __init__(self, parent: Path | None = None) -> None:
        """`parent` is where the folder is made; the system's folder for temporary files by default."""
        self.parent = parent if parent is not None else Path(tempfile.gettempdir())
        """The folder around it."""
        self._made: tempfile.TemporaryDirectory[str] | None = None

    @cached_property
    def folder(self) -> Path:
        """The folder, which no other user may read; raises OSError when it cannot be made."""
        # INVARIANT: results of workers are unpickled from here, so no other user may be able to write into it.
        self._made = tempfile.TemporaryDirectory(prefix="policy-engine-", dir=self.parent)
        return Path(self._made.name)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        if self._made is not None:
            self._made.cleanup()
