"""
Breaks runs of the program on purpose, at random, and checks what is left: the old result or the new one, complete.

Each round starts a command over an earlier result (or none) and lets one thing go wrong: a signal at a random moment or
at a random line of the program, to it or to a process of its own; a full disk, an output refused, a limit of the
system, a read that fails, a reader who leaves, another run with the same output. Then it checks the exit code,
the messages, the result, the files beside it and the processes that still run, and runs the command once more, which
must succeed and leave nothing behind.

    python tools/torture/faults.py --rounds 500 --seed 1

A round depends on the seed and its own number alone, so that `--first N` goes on where an earlier call ended, and
`--first N --rounds 1` repeats a single one. Lines on standard output are JSON objects: what was tried so far, and at
the end all of it. Kinds that need a small disk (a mount) or strace are left out, and listed, where the system does
not have them.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tools.torture.faulting import disk_space, signals, system
from tools.torture.faulting.bench import COMMANDS, SIGNALS, Bench, adopt_orphans
from tools.torture.faulting.judging import Judge, Kind, Tally
from tools.torture.progress import Progress

KINDS: dict[str, Kind] = {**signals.KINDS, **disk_space.KINDS, **system.KINDS}
_LIKELY = {name: 8 for name in KINDS if name.startswith("signal at")}
"""How much likelier than another a kind is, in thirds."""
_IN_NEW_PROCESSES = (
    "signal to a new process", "memory limit from the start", *system.NEED_STRACE, "closed pipe", "nobody listens"
)  # fmt: skip


def do_round(
    judge: Judge, seed: str, number: int, jobs: int, part: str | None = None, command: str | None = None
) -> None:
    """One round; without a part, the seed and the number decide."""
    names = [name for name in KINDS if name not in judge.tally.left_out]
    dice = random.Random(f"{seed}-{number}")
    name = dice.choices(names, [_LIKELY.get(name, 3) for name in names])[0]
    chosen = dice.choice(COMMANDS)
    name, chosen = part or name, command or chosen
    judge.bench.jobs = dice.choice([1, jobs])
    judge.about = {"seed": seed, "round": number, "part": name, "command": chosen}
    judge.tally.tried[name] += 1
    KINDS[name](judge, dice, chosen)


def load() -> None:
    """Import beforehand what the commands import, so that a child spends its time on its run."""
    import pyarrow.parquet  # noqa: F401
    import xlsxwriter  # noqa: F401

    from policy_engine.authoring.compare import impact  # noqa: F401
    from policy_engine.report.formats import workbook  # noqa: F401


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A new folder; where it is allowed, mounts in it are seen by this process alone, and end with it."""
    own_mounts = 0x20000  # CLONE_NEWNS
    if sys.platform == "linux" and os.geteuid() == 0 and not ctypes.CDLL(None).unshare(own_mounts):
        subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, check=False)
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def torture(given: argparse.Namespace, report: Callable[[Tally], None] = lambda tally: None) -> Tally:
    """Do the rounds that were asked for; `report` is called after each."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    load()
    adopt_orphans()
    with own_folder() as folder:
        with contextlib.redirect_stdout(io.StringIO()):
            bench = Bench(folder, given.tasks, given.jobs)
        judge = Judge(bench)
        left_out = judge.tally.left_out
        with disk_space.small_disks(bench) as is_small:
            if not is_small:
                left_out |= dict.fromkeys(disk_space.NEED_DISKS, "no file system can be mounted here")
            if shutil.which("strace") is None:
                left_out |= dict.fromkeys(system.NEED_STRACE, "there is no strace")
            if given.forked:
                left_out |= dict.fromkeys(_IN_NEW_PROCESSES, "it takes a new process each time")
            for number in range(given.first, given.first + given.rounds):
                try:
                    do_round(judge, given.seed, number, given.jobs, given.part, given.command)
                except KeyboardInterrupt:
                    judge.tally.tried[judge.about["part"]] -= 1
                    print(f"interrupted in round {number}", file=sys.stderr)
                    break
                report(judge.tally)
        return judge.tally


def main() -> int:
    """Read the arguments, do the rounds, and print what was tried."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--tasks", type=int, default=400, help="tasks in the history")
    parser.add_argument("--jobs", type=int, default=2, help="processes of some runs; the others have one")
    parser.add_argument("--forked", action="store_true", help="only parts that need no new process each time")
    parser.add_argument("--part", choices=KINDS, metavar="PART", help=f"one part only: {', '.join(KINDS)}")
    parser.add_argument("--command", choices=COMMANDS, help="one command only")
    given = parser.parse_args()
    for number in SIGNALS[:3]:
        signal.signal(number, signal.default_int_handler)
    progress = Progress("faults")
    tally = torture(given, lambda known: progress.report(known.tried.total(), len(known.found)))
    for name, count in sorted(tally.tried.items()):
        print(f"{count:6,}  {name}", file=sys.stderr)
    for name, count in sorted(tally.ended.items()):
        print(f"        {count:6,}  {name}", file=sys.stderr)
    for name, why in tally.left_out.items():
        print(f"  left out: {name} ({why})", file=sys.stderr)
    return progress.finish(
        tally.tried.total(), len(tally.found), first=given.first, seed=given.seed,
        parts=dict(sorted(tally.tried.items())), left_out=sorted(tally.left_out),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
