"""Runs generator functions in worker processes: results in order, a bounded number under way, none left behind."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Any

from policy_engine.core.files.scratch import Scratch
from policy_engine.core.files.signals import uninterrupted
from policy_engine.core.files.system_errors import is_out_of_memory
from policy_engine.core.problems import Problem, WorkerEnded

# Only processes and pipes: the pools of the standard library have threads, and wait forever for a thread that the
# system gives no memory.

_AHEAD = 1
"""Items under way beyond one per process, so that none waits for work."""


class Workers:
    """Worker processes that share a state; see `start_workers`."""

    def __init__(self, jobs: int, scratch: Scratch) -> None:
        self._jobs = jobs
        self._folder = scratch.folder
        self._number = 0
        context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
        self._context: Any = context
        self._tasks: Any = context.SimpleQueue()
        self._processes: dict[Connection, BaseProcess] = {}
        """Pipe on which a process reports finished items -> the process."""
        self._done: dict[int, BaseException | None] = {}
        """Number of an item -> its error, for finished items that are not read yet."""

    def map(self, function: Callable[[Any, Any], Iterator[Any]], items: Iterable[Any]) -> Iterator[Iterator[Any]]:
        """
        The results of `function(state, item)` for each item, in the order of the items; to be read before the next.

        Raises WorkerEnded when a process was ended from outside, and whatever the function raised.
        """
        under_way: deque[int] = deque()
        for item in items:
            self._number += 1
            # INVARIANT: all that is under way is short enough for the pipe, or the writer would wait for a reader.
            self._tasks.put((self._number, function, item))
            under_way.append(self._number)
            if len(under_way) > self._jobs + _AHEAD:
                yield self._results(under_way.popleft())
        while under_way:
            yield self._results(under_way.popleft())

    def _results(self, number: int) -> Iterator[Any]:
        while number not in self._done:
            self._listen()
        error = self._done.pop(number)
        if error is not None:
            raise error
        # Written by a process of this run, into a folder that no other user may enter.
        yield from read_results_of(_results_file(self._folder, number))

    def _listen(self) -> None:
        """Wait for a process to report a finished item; raises WorkerEnded when one has ended instead."""
        sentinels = [process.sentinel for process in self._processes.values()]
        for ready in wait([*self._processes, *sentinels]):
            # A report that a process sent before its end counts.
            pipe = next(pipe for pipe, process in self._processes.items() if ready in (pipe, process.sentinel))
            try:
                if not pipe.poll():
                    raise EOFError
                number, error = pipe.recv()
            except (EOFError, OSError):
                raise WorkerEnded(Problem(
                    "worker-ended", "a process that read the history was ended from outside",
                    help="did the machine run out of memory? try --jobs 1, or a --memory-limit",
                )) from None  # fmt: skip
            self._done[number] = error

    def start(self, state: Any) -> None:
        """Start the processes; raises OSError when the system has no more of something."""
        is_main = threading.current_thread() is threading.main_thread()
        for _ in range(self._jobs):
            ours, theirs = self._context.Pipe(duplex=False)
            work = (state, self._folder, self._tasks, theirs, is_main)
            process = self._context.Process(target=_serve, args=work, daemon=True)
            # Python swallows what is raised in handlers that run after a fork.
            with uninterrupted():
                process.start()
                self._processes[ours] = process
            theirs.close()

    def stop(self) -> None:
        """Kill the processes, whose remaining work is not needed, and wait until they have ended."""
        with uninterrupted():
            for process in self._processes.values():
                process.kill()
            for pipe, process in self._processes.items():
                process.join()
                process.close()
                pipe.close()
            self._tasks.close()


@contextmanager
def start_workers(jobs: int, state: Any, scratch: Scratch) -> Iterator[Workers]:
    """
    A context in which `jobs` processes hold `state`; at its end they have ended.

    Results are files of the scratch folder. Only short messages go through the pipes, so that no writer waits for a
    reader.
    """
    workers = Workers(jobs, scratch)
    try:
        workers.start(state)
        yield workers
    finally:
        workers.stop()


def _serve(state: Any, folder: Path, tasks: Any, pipe: Connection, has_main_parent: bool) -> None:
    """Work until the process is ended."""
    try:
        # Ctrl-C on a terminal reaches all processes; the parent decides what happens.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        end_with_parent(has_main_parent)
        while True:
            number, function, item = tasks.get()
            pipe.send((number, _work(function, state, item, _results_file(folder, number))))
    finally:
        # The parent notices the closed pipe; a process without memory cannot report more.
        os._exit(1)


def _work(function: Callable[[Any, Any], Iterator[Any]], state: Any, item: Any, path: Path) -> Exception | None:
    try:
        with path.open("wb") as stream:
            write_results(function(state, item), stream)
    except Exception as error:
        try:
            error.add_note(traceback.format_exc())
            pickle.loads(pickle.dumps(error))  # noqa: S301 - what was made in the same line
        except Exception:
            return MemoryError() if is_out_of_memory(error) else RuntimeError(f"{type(error).__name__}: {error}")
        return error
    return None


def _results_file(folder: Path, number: int) -> Path:
    return folder / f"results-{number}"


def write_results(results: Iterable[Any], stream: IO[bytes]) -> None:
    """Write results one by one; no result may be None."""
    for result in results:
        pickle.dump(result, stream, pickle.HIGHEST_PROTOCOL)
    pickle.dump(None, stream)


def read_results(stream: IO[bytes]) -> Generator[Any, None, None]:
    """Read what `write_results` wrote, one at a time; the writer is trusted."""
    while (result := pickle.load(stream)) is not None:  # noqa: S301
        yield result


def read_results_of(path: Path) -> Generator[Any, None, None]:
    """Read a file of results, and remove it."""
    try:
        with path.open("rb") as stream:
            yield from read_results(stream)
    finally:
        # In an interrupted run this may happen after the folder was removed.
        path.unlink(missing_ok=True)


def end_with_parent(has_main_parent: bool = False) -> None:
    """
    End a worker process when its parent ends, even if that was killed.

    `has_main_parent`: the main thread started it. Then the system can do this without a thread.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    # The system watches the thread that started this process, and other threads may end before their process.
    if sys.platform == "linux" and has_main_parent:
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            if os.getppid() != parent.pid:
                os._exit(1)
            return
    threading.Thread(target=_wait_for_end, args=(parent.sentinel,), daemon=True).start()


def _wait_for_end(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
