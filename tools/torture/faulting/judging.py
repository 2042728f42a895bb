"""Judges what a disturbed run has left: the old result or the new one, whole, nothing beside it, and a reason."""

from __future__ import annotations

import json
import random
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tools.torture.faulting.bench import NEW, OLD, Bench, Ended

CRASHES = (-signal.SIGSEGV, -signal.SIGABRT)
"""How C++ libraries end a process that gets no memory; for the result it is the same as SIGKILL."""
NOISE = re.compile("Traceback|Exception ignored|internal error:|Fatal Python error|ResourceWarning|Segmentation")


@dataclass
class Tally:
    """What was tried and what went wrong."""

    tried: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    found: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


class Judge:
    """Checks what is left, and counts."""

    def __init__(self, bench: Bench) -> None:
        """What is judged happens on this bench."""
        self.bench = bench
        self.tally = Tally()
        self.about: dict[str, Any] = {}
        """The round that is judged."""

    def blame(self, what: str, **more: Any) -> None:
        """Keep what went wrong."""
        self.tally.found.append({**self.about, "what": what, **more})
        print(json.dumps(self.tally.found[-1])[:2_000], file=sys.stderr, flush=True)

    def judge(
        self, command: str, before: str | None, ended: Ended, codes: Sequence[int], *, said: str = "", fault: str = ""
    ) -> None:
        """Look at what a disturbed run left, and run again."""
        bench = self.bench
        orphans = bench.orphans()
        old = "none" if before is None else "old"
        killed = ended.code in (-signal.SIGKILL, *CRASHES)
        for probe in bench.probes() if killed else ():
            # Python tries a folder for temporary files with a file of its own, for an instant.
            probe.unlink()
            self.tally.ended["Python's own probe of the temporary folder was left by SIGKILL"] += 1
        state, beside = bench.state(command), bench.beside(command)
        self.tally.ended[f"{self.about['part']}: {ended.code}, {state}"] += 1
        tell = {"code": ended.code, "state": state, "beside": beside, "err": ended.err[-600:], "fault": fault}
        tell["jobs"] = bench.jobs
        if orphans:
            self.blame("a process is left", **tell, processes=orphans)
        if ended.code not in (0, *codes):
            self.blame("exit code", **tell)
        elif ended.code == 0 and state != "new":
            self.blame("says done, and is not", **tell)
        if state not in (old, "new") and not (killed and state == "no report"):
            self.blame("neither the old result nor the new one", **tell)
        elif ended.code > 0 and ended.code != 130 and state != old:
            self.blame("a failed run has changed the result", **tell)
        ours = re.compile(r"(report/)?\.\S+\.(partial-\d+(-\d+)?|earlier-\d+|publishing)|tmp/policy-engine-scratch-\w+")
        if [name for name in beside if not (killed and ours.fullmatch(name))]:
            self.blame("something is left", **tell)
        if not killed and NOISE.search(ended.err):
            self.blame("a traceback, or noise", **tell)
        if ended.code == 130 and not ended.err.endswith("interrupted\nexit 130: interrupted\n"):
            self.blame("an interruption is not said in two lines", **tell)
        if ended.code > 0 and ended.code != 130 and not re.search(said or r"error\[|^\d", ended.err):
            self.blame("no reason is given", **tell)
        bench.jobs = 1
        again = bench.run(command, NEW)
        if again.code or bench.state(command) != "new" or bench.beside(command):
            state, beside = bench.state(command), bench.beside(command)
            self.blame("a rerun does not succeed", **tell, again=[again.code, state, beside, again.err[-600:]])

    def start_from(self, dice: random.Random, command: str) -> str | None:
        """Put an earlier result there, or none."""
        before = dice.choice([OLD, OLD, None])
        self.bench.reset(command, before)
        return before


Kind = Callable[[Judge, random.Random, str], None]
"""A way to disturb a run of a command: it disturbs one, and has it judged."""
