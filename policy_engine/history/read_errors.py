"""Turns what the system refuses while a history is read into problems that name the file."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from policy_engine.core.files.system_errors import _T, is_out_of_memory, is_out_of_room
from policy_engine.core.problems import InputUnusable, Problem, SourceSpan
from policy_engine.core.safe_text import plain


class _Source(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...


def unreadable(name: str, error: OSError) -> InputUnusable:
    """A file of a history that cannot be read completely."""
    return InputUnusable(Problem(
        "unreadable-file", f"the file cannot be read completely: {error.strerror or plain(error)}",
        SourceSpan(name, 1), help="is the disk or the connection to it sound? copy the file elsewhere and run again",
    ))  # fmt: skip


def reading(sources: Sequence[_Source], results: Iterable[_T]) -> Iterator[_T]:
    """The results of reading sources; raises InputUnusable with the name of a file that the system cannot read."""
    # What goes wrong where the results are used does not come by here.
    with while_reading(sources):
        yield from results


@contextmanager
def while_reading(sources: Sequence[_Source]) -> Iterator[None]:
    """A section that only reads: what the system refuses in it is about an input, unless there is no room or memory."""
    try:
        yield
    except OSError as error:
        if error.errno is None or is_out_of_room(error) or is_out_of_memory(error):
            raise
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        raise _named(sources, error) from error


def _named(sources: Sequence[_Source], error: OSError) -> InputUnusable:
    """Some errors of reading do not say which file they met, so each is tried again; what passed cannot be named."""
    for source in sources:
        if error.filename in (source.path, source.name):
            return unreadable(source.name, error)
    for source in sources:
        try:
            with Path(source.path).open("rb") as stream:
                while stream.read(1 << 20):
                    pass
        except OSError as found:
            return unreadable(source.name, found)
    return InputUnusable(Problem(
        "unreadable-file", f"a file of the history could not be read completely: {error.strerror or plain(error)}",
        help="run again; if it stays, copy the files elsewhere",
    ))  # fmt: skip
