"""Lets what must be done as a whole come to its end before an interruption is heard."""

from __future__ import annotations

from types import FrameType, TracebackType

_held = 0
"""How many sections that must not be interrupted are under way."""
_is_waiting = False
"""Whether somebody has interrupted since one began."""
_was_raised = False
"""Whether an interruption has been raised since `listen`."""


def listen() -> None:
    """Forget earlier interruptions; for the beginning of a command."""
    global _is_waiting, _was_raised
    _is_waiting = _was_raised = False


def was_interrupted() -> bool:
    """
    True when an interruption has been raised, whatever became of it.

    Libraries in C turn it into errors of their own, and Python drops what is raised where an object is taken down.
    """
    return _was_raised


def refuse_if_interrupted() -> None:
    """Raise KeyboardInterrupt when one was raised before and did not arrive; before a result is put in place."""
    if _was_raised:
        raise KeyboardInterrupt


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, at once or at the end of what must be done as a whole; a handler for signals."""
    global _is_waiting, _was_raised
    if _held:
        _is_waiting = True
    else:
        _was_raised = True
        raise KeyboardInterrupt


class uninterrupted:
    """
    A section that an interruption does not enter: putting a result in place, or removing what is left of a run.

    Blocking the signals instead would not do: the system hands them to any thread, and libraries have theirs.
    """

    def __enter__(self) -> None:
        global _held
        _held += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _held, _is_waiting, _was_raised
        _held -= 1
        if _is_waiting and not _held:
            _is_waiting, _was_raised = False, True
            raise KeyboardInterrupt
