"""Opens a cluster for one run: an own one on this machine, or one that exists."""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from policy_engine.distributed.likeness import reason_of, stamp
from policy_engine.distributed.mapper import CONNECT, DaskMapper
from policy_engine.problems import Problem, UsageProblem, plain

if TYPE_CHECKING:
    from policy_engine.history import Source

LOCAL = "local"
"""Name of the scheduler that is started for one run, on this machine."""

_CLOSE = 10.0
"""Seconds in which own processes must have ended."""


@contextmanager
def open_cluster(
    scheduler: str, sources: Sequence[Source], *, jobs: int = 1, folder: str | None = None
) -> Iterator[DaskMapper]:
    """
    Workers that have been looked at: the same program, the same packages, the same files.

    `scheduler` is `local` (then `jobs` processes are started, and `folder` holds what they may write) or the address
    of one that runs. Raises UsageProblem for a cluster that cannot do the work, InputUnusable for a worker that does
    not see the files; nothing has been read then.
    """
    _require_dask()
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    with ExitStack() as stack:
        stack.enter_context(_quiet_logs())
        address: Any = scheduler
        options: dict[str, Any] = {}
        if scheduler == LOCAL:
            address = stack.enter_context(_local_cluster(folder))
            options = {"direct_to_workers": True}
        # Versions are compared below, in words that say what to do.
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", VersionMismatchWarning)
        try:
            client = stack.enter_context(Client(address, timeout=CONNECT, set_as_default=False, **options))
        except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
            raise UsageProblem(Problem(
                "unreachable-scheduler",
                f"no Dask scheduler answers at `{plain(scheduler)}` within {CONNECT:.0f} seconds ({reason_of(error)})",
                help="is it running, and does this machine reach its port? an encrypted one is named tls://HOST:PORT",
            )) from None  # fmt: skip
        if scheduler == LOCAL:
            address.scale(jobs)
        mapper = DaskMapper(client, [stamp(source) for source in sources], is_shared=scheduler != LOCAL)
        mapper.look_at_workers(at_least=jobs if scheduler == LOCAL else 1)
        yield mapper


def _require_dask() -> None:
    for name in ("distributed", "cryptography"):
        if importlib.util.find_spec(name) is None:
            raise UsageProblem(Problem(
                "missing-package", f"--scheduler needs the package `{name}`, which is not installed",
                help="install the program with its `dask` extra",
            ))  # fmt: skip


@contextmanager
def _local_cluster(folder: str | None) -> Iterator[Any]:
    """
    Processes on this machine that nobody else can talk to: on the loopback address, and with keys of their own.

    The keys matter where several people share a machine: whoever reaches an open scheduler can run code as its owner.
    """
    import dask.config
    from distributed import LocalCluster
    from distributed.security import Security

    environment = dict(os.environ)
    settings: dict[str, Any] = {
        "temporary-directory": folder,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "distributed.worker.profile.enabled": False,
        "distributed.diagnostics.nvml": False,
    }
    try:
        with dask.config.set(settings), _loop() as loop:
            cluster = LocalCluster(
                loop=loop,
                # They are started when somebody listens: a start that is interrupted then can be undone.
                n_workers=0,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                protocol="tls://",
                security=Security.temporary(),
                dashboard_address=None,
                # Without a port of its own it would ask for a usual one, and warn where that is taken.
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                # What is under way bounds the memory; a worker that is ended for its size would only begin again.
                memory_limit=0,
                local_directory=folder,
                silence_logs=logging.CRITICAL,
            )
            try:
                yield cluster
            finally:
                _close(cluster)
    finally:
        # Dask sets variables for its workers in the environment of this process.
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)


def _close(cluster: Any) -> None:
    """End the processes, if need be without asking them."""
    try:
        cluster.close(timeout=_CLOSE)
    except Exception:
        for process in multiprocessing.active_children():
            if process.name.startswith("Dask Worker"):
                process.kill()


@contextmanager
def _loop() -> Iterator[Any]:
    """
    The thread in which Dask starts processes; they inherit from it that Ctrl-C is none of their business.

    A terminal sends it to all processes of a command, and workers that end by themselves print where they were.
    """
    from distributed.utils import LoopRunner

    runner = LoopRunner()
    can_block = hasattr(signal, "pthread_sigmask")
    if can_block:
        # It would be started by the first process, and undo the block.
        resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]) if can_block else set()
    try:
        runner.start()
    finally:
        if can_block:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        yield runner.loop
    finally:
        runner.stop()


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """Dask's own log would repeat, in its words, what this program says when it matters."""
    logs = [logging.getLogger(name) for name in ("distributed", "tornado.application")]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)
