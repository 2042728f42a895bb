"""Opens files named by arguments: regular files and pipes, but not devices, which may be endless."""

from __future__ import annotations

import errno
import io
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 10.0
"""Seconds in which writing to a named pipe must begin; for `<(...)` of a shell there is no limit."""


@contextmanager
def open_given(path: Path) -> Iterator[io.BufferedReader]:
    """
    Open a file or a pipe for reading; raises OSError, also for a device and for a pipe without a writer.

    A name may be a link to anything, and a repository of rules may come from others.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        # For a folder, the system raises the right error.
        with path.open("rb") as stream:
            yield stream
        return
    if not stat.S_ISFIFO(mode):
        raise OSError(errno.EINVAL, "not a regular file (device or socket)")
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        if _has_name(path) and not select.select([stream], [], [], PATIENCE)[0]:
            raise OSError(errno.ETIMEDOUT, f"a pipe into which nothing was written for {PATIENCE:.0f} seconds")
        os.set_blocking(stream.fileno(), True)
        yield stream


def _has_name(path: Path) -> bool:
    """True for a pipe of a file system; a pipe of a shell (`/dev/fd/63`) has its writer already."""
    real = os.path.realpath(path)
    return Path(real).exists() and not real.startswith("/dev/")
