"""How a long test reports what it has tried and found: lines of JSON for the runner, now and then and at its end."""

from __future__ import annotations

import json
import time
from typing import Any

INTERVAL = 10.0
"""Seconds between two lines of a running part: a part that is killed loses the count of this time."""


class Progress:
    """Prints the lines of one part."""

    def __init__(self, part: str) -> None:
        """`part` is its name in the table."""
        self.part = part
        self.begun = self._reported = time.monotonic()

    @property
    def seconds(self) -> int:
        """How long the part has been running."""
        return round(time.monotonic() - self.begun)

    def report(self, tried: int, found: int, **more: Any) -> None:
        """Print the counts so far, unless that was done just now; `more` must be enough to continue from there."""
        if time.monotonic() - self._reported >= INTERVAL:
            self._reported = time.monotonic()
            print(json.dumps({"part": self.part, "tried": tried, "found": found, "so_far": True, **more}), flush=True)

    def finish(self, tried: int, found: int, **more: Any) -> int:
        """Print the final counts; returns the exit code."""
        print(json.dumps({"part": self.part, "tried": tried, "found": found, **more, "seconds": self.seconds}))
        return 1 if found else 0
