"""Runs Dask workers as processes of this machine: started at once, replaced when they end, none left behind."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from policy_engine.core.files.signals import uninterrupted
from policy_engine.engine.parallel.workers import end_with_parent

HOST = "127.0.0.1"
"""Where scheduler and workers of one machine listen."""
_CLOSE = 10.0
"""Seconds in which a killed process must have ended."""


def settings(folder: Path) -> dict[str, Any]:
    """
    Settings of Dask for a scheduler and workers that serve one run: no dashboard, and little monitoring.

    By default, what is done many times a second takes a twentieth of a processor.
    """
    return {
        "temporary-directory": str(folder),
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "distributed.worker.profile.enabled": False,
        "distributed.diagnostics.nvml": False,
        "distributed.admin.tick.interval": "1s",
        "distributed.admin.system-monitor.interval": "5s",
        "distributed.scheduler.active-memory-manager.start": False,
    }


@dataclass
class OwnWorkers:
    """
    Worker processes of one thread each.

    This process starts, replaces and ends them directly, which costs less than the supervisor of Dask, a further
    process that loads everything once more.
    """

    count: int
    folder: Path
    """Where they may write; no other user may be able to."""
    _processes: list[BaseProcess] = field(default_factory=list)
    _invitation: tuple[str, Any] | None = None
    _waiting: list[Connection] = field(default_factory=list)
    """Pipes to processes that do not know the scheduler yet."""

    def start(self) -> None:
        """Start them all; they wait for `invite`. To be called before there is a second thread."""
        # A fork of this process has loaded everything already. But locks of other threads stay locked in it forever.
        is_alone = threading.active_count() == 1
        can_fork = is_alone and "fork" in multiprocessing.get_all_start_methods()
        for _ in range(self.count):
            self._start_one("fork" if can_fork else "spawn")

    def invite(self, address: str, security: Any) -> None:
        """Send them the address of the scheduler, and the keys by which it knows them."""
        self._invitation = address, security
        for outbox in self._waiting:
            # A process that has ended already is replaced later.
            with suppress(OSError):
                outbox.send(self._invitation)
            outbox.close()
        self._waiting.clear()

    def replace_ended(self) -> None:
        """Start a new process for each that has ended."""
        for process in [process for process in self._processes if not process.is_alive()]:
            self._processes.remove(process)
            # There are threads by now, so the new process loads everything again.
            self._start_one("spawn")
        if self._invitation is not None:
            self.invite(*self._invitation)

    def end(self) -> None:
        """Kill them; everything they leave behind is in the folder."""
        with uninterrupted():
            for process in self._processes:
                process.kill()
            for process in self._processes:
                process.join(_CLOSE)
            for outbox in self._waiting:
                outbox.close()

    def _start_one(self, method: str) -> None:
        context: Any = multiprocessing.get_context(method)
        inbox, outbox = context.Pipe(duplex=False)
        process = context.Process(target=_serve, args=(inbox, str(self.folder)), name="Dask worker", daemon=True)
        with uninterrupted(), _without_interruption(method):
            process.start()
            self._processes.append(process)
            self._waiting.append(outbox)
        inbox.close()


@contextmanager
def _without_interruption(method: str) -> Iterator[None]:
    """
    Start a process with Ctrl-C blocked.

    A terminal sends it to all processes of a command, and a process that is still loading would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    if method == "spawn":
        # Started later, by the first process, it would undo the block.
        resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# --- what runs in such a process ---------------------------------------------------------------------------------


def _serve(inbox: Connection, folder: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    # Temporary files are removed with the folder, however this process ends.
    tempfile.tempdir = folder
    try:
        asyncio.run(_work(folder, *inbox.recv()))
    except Exception:
        # Without a scheduler there is nothing to do; the run itself reports why it ends.
        os._exit(1)


async def _work(folder: str, address: str, security: Any) -> None:
    import dask.config
    from distributed import Worker

    with dask.config.set(settings(Path(folder))):
        worker = Worker(
            address,
            nthreads=1,
            host=HOST,
            security=security,
            # The number of units in progress bounds the memory; a worker ended for its size would only begin again.
            memory_limit=0,
            local_directory=folder,
            silence_logs=logging.CRITICAL,
        )
        async with worker:
            await worker.finished()
