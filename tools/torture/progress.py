"""How a long test says what it has tried and found: lines of JSON, now and then and at its end, for the runner."""

from __future__ import annotations

import json
import time
from typing import Any

OFTEN = 10.0
"""Seconds between two lines of a part that is at work: so much of its count is lost when it is killed."""


class Teller:
    """Speaks for one part."""

    def __init__(self, part: str) -> None:
        """`part` is its name in the table."""
        self.part = part
        self.begun = self._told = time.monotonic()

    @property
    def seconds(self) -> int:
        """How long the part has been at work."""
        return round(time.monotonic() - self.begun)

    def so_far(self, tried: int, found: int, **more: Any) -> None:
        """Say how far it has come, unless that was said just now; `more` must be enough to go on from there."""
        if time.monotonic() - self._told >= OFTEN:
            self._told = time.monotonic()
            print(json.dumps({"part": self.part, "tried": tried, "found": found, "so_far": True, **more}), flush=True)

    def end(self, tried: int, found: int, **more: Any) -> int:
        """Say the whole; returns the exit code."""
        print(json.dumps({"part": self.part, "tried": tried, "found": found, **more, "seconds": self.seconds}))
        return 1 if found else 0
