"""Holds an interruption back until work that must not stop half-way is finished."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType, TracebackType


class SignalGate:
    """
    Raises KeyboardInterrupt for a signal: at once, or at the end of the section that is under way.

    A section (`with gate:`) puts a result in place or removes what is left of a run; sections nest. Blocking the
    signals instead would not do: the system hands them to any thread, and libraries have threads of their own.
    """

    def __init__(self) -> None:
        """Nothing has been interrupted yet."""
        self.was_interrupted = False
        """
        True when an interruption has been raised, whatever became of it.

        Libraries in C turn it into errors of their own, and Python drops what is raised in a finaliser.
        """
        self._sections = 0
        self._is_waiting = False

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, or remember to do so at the end of the section; a handler for signals."""
        if self._sections:
            self._is_waiting = True
        else:
            self.was_interrupted = True
            raise KeyboardInterrupt

    def __enter__(self) -> None:
        self._sections += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sections -= 1
        if self._is_waiting and not self._sections:
            self._is_waiting, self.was_interrupted = False, True
            raise KeyboardInterrupt

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Make it the gate of `uninterrupted` and `refuse_if_interrupted` while the context lasts."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[SignalGate] = ContextVar("signal_gate")


def current_gate() -> SignalGate:
    """The gate of the running command; without a command, a new one, which no signal reaches."""
    return _current.get(None) or SignalGate()


def uninterrupted() -> SignalGate:
    """The current gate, to be entered: a section that an interruption does not enter."""
    return current_gate()


def refuse_if_interrupted() -> None:
    """Raise KeyboardInterrupt when one was raised earlier and got lost; called before a result is put in place."""
    if current_gate().was_interrupted:
        raise KeyboardInterrupt
