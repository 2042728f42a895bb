"""Turns errors of the system (disk space, memory, open files) into problems that say what to do."""

from __future__ import annotations

import errno
from typing import TypeVar

from policy_engine.core.problems import Problem
from policy_engine.core.safe_text import plain

_NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    getattr(errno, "EDQUOT", errno.ENOSPC): "the disk quota is used up",
    errno.EFBIG: "a file would become larger than the system or its limit (`ulimit -f`) allows",
}
_NO_MEMORY = (errno.ENOMEM, errno.EAGAIN)
_T = TypeVar("_T")


def is_out_of_room(error: OSError) -> bool:
    """True when an output is refused for its size, and not for its path."""
    return error.errno in _NO_ROOM


def is_out_of_memory(error: BaseException) -> bool:
    """True when the system gave no more memory, or no further process or thread."""
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno in _NO_MEMORY)
        or (isinstance(error, RuntimeError) and "can't start new thread" in text)
        # The message of the library loader when memory is missing.
        or (isinstance(error, ImportError) and "failed to map segment" in text)
    )


def out_of_memory() -> Problem:
    """The problem of a run that needs more memory."""
    return Problem(
        "no-memory", "there is not enough memory for this run",
        help="provide more, use fewer --jobs, or split the history; nothing was written",
    )  # fmt: skip


def refused(error: OSError) -> Problem:
    """The problem of a refused write: for lack of space, or for another reason."""
    where = f"`{plain(error.filename)}`" if error.filename else "the output"
    if error.errno in _NO_ROOM:
        about = f" ({where})" if error.filename else ""
        return Problem(
            "no-room", f"{_NO_ROOM[error.errno]}{about}; an earlier output is unchanged",
            help="free space, or use another disk: -o for the output, TMPDIR for temporary files; then run again",
        )  # fmt: skip
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return Problem(
            "too-many-files", "the system does not let this run open more files", help="raise its limit (`ulimit -n`)"
        )
    return Problem(
        "refused-by-system", f"{where} cannot be used: {error.strerror}",
        help="is a permission missing, or the disk damaged? name another output with -o",
    )  # fmt: skip
