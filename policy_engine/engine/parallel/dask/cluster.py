"""Opens a cluster for one run: a private one on this machine, or an existing one."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_engine.core.files.scratch import Scratch
from policy_engine.core.files.signals import uninterrupted
from policy_engine.core.problems import Problem, UsageProblem
from policy_engine.core.safe_text import plain
from policy_engine.engine.parallel.dask.compatibility import reason_of, stamp
from policy_engine.engine.parallel.dask.mapper import CONNECT, DaskMapper
from policy_engine.engine.parallel.dask.processes import HOST, OwnWorkers, settings

if TYPE_CHECKING:
    from policy_engine.history import Source

LOCAL = "local"
"""Name of the scheduler that is started for one run, on this machine."""

_CLOSE = 10.0
"""Seconds in which a private scheduler must have closed its connections."""


@contextmanager
def open_cluster(
    scheduler: str, sources: Sequence[Source], *, jobs: int = 1, folder: Path | None = None
) -> Iterator[DaskMapper]:
    """
    Workers that have been checked: the same program, the same packages, the same files.

    `scheduler` is `local` (then `jobs` processes are started, which write to `folder`) or the address of a
    running one. Raises UsageProblem for a cluster that cannot do the work, InputUnusable for a worker that does
    not see the files; nothing has been read then.
    """
    _require_dask()
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    with ExitStack() as stack:
        stack.enter_context(_quiet_logs())
        address, own = scheduler, None
        options: dict[str, Any] = {}
        if scheduler == LOCAL:
            own = OwnWorkers(jobs, stack.enter_context(Scratch(folder)).folder)
            address, options = stack.enter_context(_own_scheduler(own))
        # Versions are compared below, with a message that says what to do.
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", VersionMismatchWarning)
        try:
            # A client that is not complete cannot be closed, and gives up late; a private scheduler answers at once.
            with uninterrupted() if own is not None else nullcontext():
                client = stack.enter_context(Client(address, timeout=CONNECT, set_as_default=False, **options))
        except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
            raise UsageProblem(Problem(
                "unreachable-scheduler",
                f"no Dask scheduler answers at `{plain(scheduler)}` within {CONNECT:.0f} seconds ({reason_of(error)})",
                help="is it running, and does this machine reach its port? an encrypted one is named tls://HOST:PORT",
            )) from None  # fmt: skip
        mapper = DaskMapper(client, [stamp(source) for source in sources], own)
        mapper.check_workers(at_least=jobs if own is not None else 1)
        yield mapper


def _require_dask() -> None:
    for name in ("distributed", "cryptography"):
        if importlib.util.find_spec(name) is None:
            raise UsageProblem(Problem(
                "missing-package", f"--scheduler needs the package `{name}`, which is not installed",
                help="install the program with its `dask` extra",
            ))  # fmt: skip


@contextmanager
def _own_scheduler(workers: OwnWorkers) -> Iterator[tuple[str, dict[str, Any]]]:
    """
    A scheduler in this process for processes of this machine, and what a client needs to reach it.

    They listen on the loopback address only, and have keys of their own. The keys matter on shared machines: anyone who
    reaches an open scheduler can run code as its owner.
    """
    import dask.config
    from distributed.security import Security
    from distributed.utils import LoopRunner

    runner = LoopRunner()
    with dask.config.set(settings(workers.folder)), ExitStack() as stack:
        stack.callback(runner.stop)
        try:
            with uninterrupted():
                # This process can be forked only before it has a second thread.
                workers.start()
                security = Security.temporary()
                runner.start()
                scheduler = runner.run_sync(_start_scheduler, security)
                stack.callback(runner.run_sync, _close_scheduler, scheduler)
                workers.invite(scheduler.address, security)
            yield scheduler.address, {"security": security, "loop": runner.loop}
        finally:
            # Before the scheduler, which would ask them to end and wait for it.
            workers.end()


async def _start_scheduler(security: Any) -> Any:
    from distributed import Scheduler

    return await Scheduler(
        host=HOST,
        protocol="tls://",
        security=security,
        dashboard=False,
        # Without this it would ask for the usual port, and warn where that is taken.
        dashboard_address=f"{HOST}:0",
    )


async def _close_scheduler(scheduler: Any) -> None:
    with suppress(Exception):
        await asyncio.wait_for(scheduler.close(), _CLOSE)


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """Silence the log of Dask, which repeats what this program reports in its own words."""
    logs = [logging.getLogger(name) for name in ("distributed", "tornado.application")]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)
