"""Shows the progress of a run on a terminal: bytes, records, rate and time left; nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from policy_engine.engine.run import EvaluationRun, Progress

_LABELS = {
    "looking": "Looking for repeated tasks",
    "judging": "Judging",
    "merging": "Merging repeated tasks",
}
_WIDTH = max(map(len, _LABELS.values()))
_EVERY = 0.1
"""Least number of seconds between two updates of the line."""


@contextmanager
def progress_of(run: EvaluationRun, output: str = "") -> Iterator[None]:
    """
    Show the progress of a run on standard error while the context lasts, if that is a terminal.

    Not if the terminal shows the result itself (`output` is `-`).
    """
    if sys.stderr is None or not sys.stderr.isatty() or (output == "-" and sys.stdout.isatty()):
        yield
        return
    bars = _Bars()
    run.watch = bars.show
    try:
        yield
    finally:
        run.watch = None
        bars.finish()


class _Bars:
    """A bar for each stage of a run, on lines of their own."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = None
        self._begun = self._shown = 0.0
        self._done = 0

    def show(self, progress: Progress) -> None:
        """Update the line; cheap when it was updated a moment ago."""
        moment = time.monotonic()
        if progress.stage != self._stage:
            self.finish()
            self._stage, self._begun, self._shown, self._done = progress.stage, moment, 0.0, 0
            self._bar = click.progressbar(
                length=progress.total, label=_LABELS[progress.stage].ljust(_WIDTH), show_eta=True, width=24,
                file=sys.stderr, item_show_func=lambda text: text,
            )  # fmt: skip
            self._bar.__enter__()
        if moment - self._shown < _EVERY and progress.done < progress.total:
            return
        self._shown = moment
        self._bar.update(progress.done - self._done, describe(progress, moment - self._begun))
        self._done = progress.done

    def finish(self) -> None:
        """End the current line."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


def describe(progress: Progress, seconds: float) -> str:
    """The text beside a bar: how much is done, and how fast."""
    records = f"{progress.records:,} records"
    rate = progress.records / seconds if seconds > 0 else 0.0
    if progress.stage == "merging":
        return f"{records}  {rate:,.0f}/s"
    mib = 1 << 20
    speed = progress.done / mib / seconds if seconds > 0 else 0.0
    return f"{progress.done / mib:,.0f}/{progress.total / mib:,.0f} MiB  {speed:,.0f} MiB/s  {records}  {rate:,.0f}/s"
