"""Turns what the system refuses a run (room, memory, the bytes of a file) into problems that say what to do."""

from __future__ import annotations

import errno
from typing import TypeVar

from policy_engine.core.problems import Problem
from policy_engine.core.safe_text import plain

_NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    getattr(errno, "EDQUOT", errno.ENOSPC): "the disk is full: nothing is left of the quota",
    errno.EFBIG: "a file would become larger than the system or its limit (`ulimit -f`) allows",
}
_NO_MEMORY = (errno.ENOMEM, errno.EAGAIN)
_T = TypeVar("_T")


def is_out_of_room(error: OSError) -> bool:
    """True when an output is refused for its size, and not for its place."""
    return error.errno in _NO_ROOM


def is_out_of_memory(error: BaseException) -> bool:
    """True when the system gave no more memory, or no further process or thread."""
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno in _NO_MEMORY)
        or (isinstance(error, RuntimeError) and "can't start new thread" in text)
        # How the loader of a library says that there is no room for it.
        or (isinstance(error, ImportError) and "failed to map segment" in text)
    )


def out_of_memory() -> Problem:
    """What is said when memory does not suffice."""
    return Problem(
        "no-memory", "there is not enough memory for this run",
        help="give it more, use fewer --jobs, or give the history in parts; nothing was written",
    )  # fmt: skip


def refused(error: OSError) -> Problem:
    """What is said when the system refuses to write, for want of room or for another reason."""
    where = f"`{plain(error.filename)}`" if error.filename else "the output"
    if error.errno in _NO_ROOM:
        about = f" ({where})" if error.filename else ""
        return Problem(
            "no-room", f"{_NO_ROOM[error.errno]}{about}; what was there before is as it was",
            help="make room, or name another place: -o for the output, TMPDIR for temporary files; then run again",
        )  # fmt: skip
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return Problem(
            "too-many-files", "the system lets this run open no more files", help="raise its limit (`ulimit -n`)"
        )
    return Problem(
        "refused-by-system", f"{where} cannot be used: {error.strerror}",
        help="is a permission missing, or the disk damaged? name another place with -o",
    )  # fmt: skip
