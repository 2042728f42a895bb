"""A private folder for what does not fit into memory: made when it is first needed, removed however a run ends."""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path


class Scratch:
    """A context that removes its folder, if one was made, when it is left."""

    def __init__(self, parent: Path | None = None) -> None:
        """`parent` is where the folder is made; the system's place for temporary files if none is given."""
        self.place = parent if parent is not None else Path(tempfile.gettempdir())
        """Where the folder lies."""
        self._made: tempfile.TemporaryDirectory[str] | None = None

    @cached_property
    def folder(self) -> Path:
        """The folder, which nobody else may read; raises OSError when it cannot be made."""
        # INVARIANT: results of workers are unpickled from here, so nobody else may be able to write into it.
        self._made = tempfile.TemporaryDirectory(prefix="policy-engine-", dir=self.place)
        return Path(self._made.name)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        if self._made is not None:
            self._made.cleanup()
