"""Opens files that arguments name: regular ones and pipes, and no device, which may have no end."""

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
"""Seconds in which somebody must begin to write into a pipe that has a name; a shell's `<(...)` is waited for."""


@contextmanager
def open_given(path: Path) -> Iterator[io.BufferedReader]:
    """
    Open a file, or a pipe, for reading; raises OSError, also for a device and a pipe that nobody writes into.

    A name may be a link to anything, and a repository of rules is not always one's own.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        # What a folder is refused with, the system knows best.
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
    """True for a pipe of a file system; one of a shell (`/dev/fd/63`) has its writer already."""
    real = os.path.realpath(path)
    return Path(real).exists() and not real.startswith("/dev/")
