"""Hands the units of a run to Dask workers, and returns their results in order."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import io
import os
import pickle
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_engine.core.problems import InputUnusable, PolicyEngineError, Problem, SourceSpan, UsageProblem
from policy_engine.core.text.wording import count_of
from policy_engine.engine.parallel.dask.compatibility import (
    SAME_PROGRAM,
    Stamp,
    Versions,
    compare,
    difference,
    reason_of,
    versions,
)
from policy_engine.engine.parallel.workers import read_results, read_results_of, write_results

if TYPE_CHECKING:
    from policy_engine.engine.parallel.dask.processes import OwnWorkers
    from policy_engine.history import Partition

CONNECT = 10.0
"""Seconds in which a scheduler must answer."""
_START = 120.0
"""Seconds in which processes of this machine must have started."""
_ANSWER = 60.0
"""Seconds in which every worker must have reported its versions."""
_PATIENCE = 60.0
"""Seconds without any worker after which a run gives up; a worker that ended is usually back after a few."""
_LOOK = 2.0
"""Seconds between two checks of a cluster that has not answered yet."""
_AHEAD = 2
"""Results per thread of the cluster that may be in progress or wait for their turn."""
_FEWEST = 4
"""Least number of units handed out, so that a cluster that grows with its work does."""


class DaskMapper:
    """
    Hands units to the workers of a cluster and returns their results in the order of the units.

    Results are pickled bytes, so Dask sees no frame and converts no text; those of processes of this machine are files,
    so Dask does not see them at all. The input of a unit stays with the scheduler: a worker that ends in the middle
    costs the time to do its units again.
    """

    def __init__(self, client: Any, stamps: Sequence[Stamp], own: OwnWorkers | None = None) -> None:
        """`own` are workers of this run only; without them the cluster continues after the run."""
        self._client = client
        self._stamps = tuple(stamps)
        self._own = own
        self._numbers = count()

    def check_workers(self, at_least: int = 1) -> None:
        """Wait for workers, and raise UsageProblem or InputUnusable unless every one can do the work."""
        patience = CONNECT if self._own is None else _START
        if not self._have_come(at_least, patience):
            wanted = "no worker" if at_least == 1 else f"fewer than {count_of(at_least, 'worker')}"
            raise UsageProblem(Problem(
                "no-workers", f"after {patience:.0f} seconds the Dask scheduler has {wanted}",
                help="start workers, for instance with `dask worker ADDRESS --nthreads 1`" if self._own is None
                else "start fewer with --jobs, or remove --scheduler",
            ))  # fmt: skip
        try:
            answers = self._ask(
                lambda: self._client.run(_report_worker, self._stamps, on_error="return"), timeout=_ANSWER
            )
            answers["the scheduler"] = self._ask_scheduler()
        except (OSError, TimeoutError) as error:
            raise UsageProblem(Problem(
                "silent-worker", f"not all workers answered within {_ANSWER:.0f} seconds ({reason_of(error)})",
                help="check the workers, and remove those that hang",
            )) from None  # fmt: skip
        compare(answers)

    def _have_come(self, at_least: int, patience: float) -> bool:
        look = min(_LOOK, patience)
        for _ in range(round(patience / look)):
            try:
                self._client.wait_for_workers(at_least, timeout=look)
            except TimeoutError:
                if self._own is not None:
                    self._own.replace_ended()
            else:
                return True
        return False

    def _ask_scheduler(self) -> tuple[Versions, list[Problem]] | Exception:
        """The versions of the scheduler: it unpickles tasks, so it needs the program, though not the files."""
        try:
            return self._ask(lambda: self._client.run_on_scheduler(versions), timeout=_ANSWER), []
        except (OSError, TimeoutError):
            raise
        except Exception as error:
            return error

    def map(
        self, step: Callable[[Any, Partition], Iterator[Any]], work: Any, units: Sequence[Partition]
    ) -> Iterator[Iterator[Any]]:
        """
        The results of `step(work, unit)` for each unit, in order, to be read before the next; few exist at a time,
        wherever they are.

        Raises what a step raises, and UsageProblem when the cluster can no longer do the work.
        """
        packed = pickle.dumps(work, protocol=5)
        digest = hashlib.sha256(packed).hexdigest()
        waiting: deque[tuple[Partition, Any]] = deque()
        try:
            kept = self._keep(packed, digest)
            fetching: tuple[Partition, Any, concurrent.futures.Future[bytes | Path]] | None = None
            rest = deque(units)
            while rest or waiting or fetching:
                room = self._room() if rest else 0
                while rest and len(waiting) < room:
                    unit = rest.popleft()
                    task = (kept, digest, step, self._stamps[unit.file], unit, self._new_file("results"))
                    waiting.append((unit, self._client.submit(_perform, *task, pure=False)))
                if fetching is None:
                    unit, future = waiting.popleft()
                    fetching = unit, future, self._fetch(future)
                found = self._result(*fetching)
                fetching = None
                if waiting:
                    # The next result comes in while this one is written.
                    unit, future = waiting.popleft()
                    fetching = unit, future, self._fetch(future)
                # The workers of a Dask cluster are trusted by its users.
                with closing(
                    read_results_of(found) if isinstance(found, Path) else read_results(io.BytesIO(found))
                ) as results:
                    yield results
        except PolicyEngineError:
            raise
        except Exception as error:
            if self._client.status == "running":
                raise
            raise _ended(error) from None
        finally:
            futures = [future for _, future in waiting]
            with suppress(Exception):
                self._client.cancel(futures)
            if self._own is None:
                with suppress(Exception):
                    self._ask(lambda: self._client.run(_forget, digest, on_error="ignore"), timeout=_LOOK)

    def _keep(self, packed: bytes, digest: str) -> Any:
        """Store what all units need where workers find it."""
        path = self._new_file("work")
        if path is not None:
            path.write_bytes(packed)
            return path
        # Computed, and not scattered: the scheduler can have it made again on any worker.
        return self._client.submit(_keep, packed, key=f"policy-engine-work-{digest[:16]}")

    def _new_file(self, what: str) -> Path | None:
        """A file that this process and its own workers share; None for another cluster."""
        return self._own.folder / f"{what}-{next(self._numbers)}" if self._own is not None else None

    def _room(self) -> int:
        """Units that may be in progress; computed each time, since workers come and go."""
        if self._own is not None:
            self._own.replace_ended()
        threads = 0
        with suppress(OSError, TimeoutError):
            threads = sum(self._ask(self._client.nthreads, timeout=CONNECT).values())
        return max(_FEWEST, _AHEAD * threads)

    def _ask(self, question: Callable[[], Awaitable[Any]], timeout: float) -> Any:
        """Ask the cluster; raises OSError without it, TimeoutError when it takes longer than `timeout` seconds."""

        async def bounded() -> Any:
            if self._client.status != "running":
                raise OSError("the connection is closed")
            return await asyncio.wait_for(question(), timeout)

        return self._client.sync(bounded)

    def _fetch(self, future: Any) -> concurrent.futures.Future[bytes | Path]:
        async def fetch() -> bytes | Path:
            # With errors="raise" it leaves tasks behind whose result is never read, and Python prints that.
            result: bytes | Path | None = await self._client.gather(future, errors="skip")
            if result is None:
                raise await future.exception() or ConnectionError("the connection is closed")
            return result

        return asyncio.run_coroutine_threadsafe(fetch(), self._client.loop.asyncio_loop)

    def _result(self, unit: Partition, future: Any, fetching: concurrent.futures.Future[bytes | Path]) -> bytes | Path:
        alone = 0.0
        while True:
            try:
                return fetching.result(timeout=_LOOK)
            except PolicyEngineError:
                raise
            except (Exception, concurrent.futures.CancelledError) as error:
                if fetching.done():
                    raise self._failure(unit, future, error) from None
            if self._own is not None:
                self._own.replace_ended()
            alone = alone + _LOOK if self._is_alone() else 0.0
            if alone >= _PATIENCE:
                fetching.cancel()
                raise UsageProblem(Problem(
                    "no-workers", f"all Dask workers ended, and none came back in {_PATIENCE:.0f} seconds",
                    help="check the logs of the workers: is there too little memory for their number?",
                ))  # fmt: skip

    def _is_alone(self) -> bool:
        """True when there is no worker, or no scheduler."""
        try:
            return not self._ask(self._client.nthreads, timeout=CONNECT)
        except (OSError, TimeoutError):
            return True

    def _failure(self, unit: Partition, future: Any, error: BaseException) -> BaseException:
        from distributed.scheduler import KilledWorker

        name = self._stamps[unit.file].name
        if isinstance(error, KilledWorker):
            return UsageProblem(Problem(
                "worker-killed", "several workers that read this part of the file ended",
                SourceSpan(name, unit.first_line),
                help="is there too little memory for their number, or does something end them? check their logs",
            ))  # fmt: skip
        if future.status == "error":
            if isinstance(error, ImportError | AttributeError) and "policy_engine" in str(error):
                message = f"a worker that joined in the middle cannot load this program ({reason_of(error)})"
                return UsageProblem(Problem("worker-differs", message, help=SAME_PROGRAM))
            return error
        return _ended(error)


def _ended(error: BaseException) -> UsageProblem:
    return UsageProblem(Problem(
        "scheduler-ended", f"the Dask scheduler has ended ({reason_of(error)})",
        help="start it and its workers again, then run again; nothing was written",
    ))  # fmt: skip


# --- what runs on a worker ---------------------------------------------------------------------------------------

_WORKS: dict[tuple[str, int], Any] = {}
"""Digest and thread -> the work that the thread has unpickled: an evaluator is made for one thread."""


def _keep(packed: bytes) -> bytes:
    return packed


def _perform(
    packed: bytes | Path,
    digest: str,
    step: Callable[[Any, Partition], Iterator[Any]],
    expected: Stamp,
    unit: Partition,
    target: Path | None,
) -> bytes | Path:
    """
    Do one unit, and return its results or the file that holds them.

    This also checks workers that joined after the others had been checked.
    """
    key = (digest, threading.get_ident())
    work = _WORKS.get(key)
    if work is None:
        packed = packed.read_bytes() if isinstance(packed, Path) else packed
        if hashlib.sha256(packed).hexdigest() != digest:
            raise UsageProblem(Problem("damaged-work", "the rule pack did not reach a worker as it was sent"))
        work = _WORKS[key] = pickle.loads(packed)  # noqa: S301 - its digest is the one that was sent along
    problem = difference(expected)
    if problem is not None:
        raise InputUnusable(replace(problem, message=f"a worker {problem.message}"))
    if target is None:
        memory = io.BytesIO()
        write_results(step(work, unit), memory)
        return memory.getvalue()
    # Another worker may do the same unit if this one seems to have ended: only a whole file has the final name.
    draft = target.with_name(f"{target.name}-{os.getpid()}")
    with draft.open("wb") as stream:
        write_results(step(work, unit), stream)
    return draft.replace(target)


def _forget(digest: str) -> None:
    """Release the memory of a run that has ended."""
    for key in [key for key in _WORKS if key[0] == digest]:
        _WORKS.pop(key, None)


async def _report_worker(stamps: Sequence[Stamp]) -> tuple[Versions, list[Problem]]:
    """Versions of a worker and problems with its files; read in a thread, so that its heartbeat goes on."""
    return await asyncio.to_thread(lambda: (versions(), [found for found in map(difference, stamps) if found]))
