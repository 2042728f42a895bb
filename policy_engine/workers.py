"""Runs generator functions in worker processes: results in order, a bounded number under way, none left behind."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any

from policy_engine.problems import Problem, WorkerEnded
from policy_engine.scratch import Scratch

_AHEAD = 1
"""Items under way beyond one per process, so that none waits for work."""


class Workers:
    """Worker processes that share a state; see `start_workers`."""

    def __init__(self, executor: ProcessPoolExecutor, jobs: int, scratch: Scratch) -> None:
        self._executor = executor
        self._jobs = jobs
        self._scratch = scratch
        self._number = 0

    def map(self, function: Callable[[Any, Any], Iterator[Any]], items: Iterable[Any]) -> Iterator[Iterator[Any]]:
        """
        The results of `function(state, item)` for each item, in the order of the items; to be read before the next.

        Raises WorkerEnded when a process was ended from outside, and whatever the function raised.
        """
        under_way: deque[tuple[Future[None], Path]] = deque()
        for item in items:
            self._number += 1
            path = self._scratch.folder / f"results-{self._number}"
            with _ended_is_said():
                under_way.append((self._executor.submit(_work, function, item, str(path)), path))
            if len(under_way) > self._jobs + _AHEAD:
                yield _results(*under_way.popleft())
        while under_way:
            yield _results(*under_way.popleft())


@contextmanager
def start_workers(jobs: int, state: Any, scratch: Scratch) -> Iterator[Workers]:
    """
    A context in which `jobs` processes hold `state`; when it is left in any other way than at its end, they are killed.

    Results travel as files of the scratch folder. Only short messages go through the pipe, since a process that dies in
    the middle of a long one would leave its reader waiting forever.
    """
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(jobs, context, _start, (state,))
    try:
        yield Workers(executor, jobs, scratch)
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _ended_is_said() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool:
        raise WorkerEnded(Problem(
            "worker-ended", "a process that read the history was ended by the system or by somebody",
            help="did the machine run out of memory? try --jobs 1, or a --memory-limit",
        )) from None  # fmt: skip


def _results(future: Future[None], path: Path) -> Iterator[Any]:
    with _ended_is_said():
        future.result()
    # Written by a process of this run, into a folder that nobody else may enter.
    yield from read_results_of(path)


_STATE: Any = None


def _start(state: Any) -> None:
    global _STATE
    _STATE = state
    # Ctrl-C on a terminal reaches all processes; the one that started the others decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """Let a worker process not outlive the process that started it, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _work(function: Callable[[Any, Any], Iterator[Any]], item: Any, path: str) -> None:
    with Path(path).open("wb") as stream:
        write_results(function(_STATE, item), stream)


def write_results(results: Iterable[Any], stream: IO[bytes]) -> None:
    """Write results, none of which is None, one by one."""
    for result in results:
        pickle.dump(result, stream, pickle.HIGHEST_PROTOCOL)
    pickle.dump(None, stream)


def read_results(stream: IO[bytes]) -> Generator[Any, None, None]:
    """Read what `write_results` wrote, one at a time; whoever wrote it is trusted."""
    while (result := pickle.load(stream)) is not None:  # noqa: S301
        yield result


def read_results_of(path: Path) -> Generator[Any, None, None]:
    """Read a file of results, which is then removed."""
    try:
        with path.open("rb") as stream:
            yield from read_results(stream)
    finally:
        path.unlink()
