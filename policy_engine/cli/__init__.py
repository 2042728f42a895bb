"""The command line: arguments to values, one call, text and an exit code; the only place that asks the clock."""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click

from policy_engine.cli import checking, comparing, evaluating, linting, showing
from policy_engine.cli.output import silence, tell
from policy_engine.core.files.signals import SignalGate
from policy_engine.core.files.system_errors import is_out_of_memory, out_of_memory, refused
from policy_engine.core.problems import (
    InputUnusable,
    NothingToEvaluate,
    PackInvalid,
    PolicyEngineError,
    Problem,
    TotalsMismatch,
    UsageProblem,
    WorkerEnded,
    format_problem,
)
from policy_engine.core.safe_text import plain
from policy_engine.core.version import __version__

EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "found assets or changes that --fail-on names",
    2: "usage: an argument is wrong, or the output cannot be written",
    3: "the rule files are invalid or in conflict",
    4: "the input is unusable, or more was set aside than --max-quarantine allows",
    5: "rule tests failed",
    6: "control totals or the expected impact do not match",
    7: "there was nothing to evaluate",
    70: "internal error, or not enough memory",
    130: "interrupted",
}
"""Exit code -> meaning."""

_CODE_OF: tuple[tuple[type[PolicyEngineError], int], ...] = (
    (PackInvalid, 3),
    (InputUnusable, 4),
    (UsageProblem, 2),
    (NothingToEvaluate, 7),
    (TotalsMismatch, 6),
    (WorkerEnded, 70),
)

_INTERRUPTIONS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]
"""Signals that end a run: of Ctrl-C, a scheduler, a terminal that is closed."""

_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())


class _PipeClosed(Exception):
    """The reader of our output has closed it."""


class _Commands(click.Group):
    """The commands; click ends with 1 for a closed pipe and 130 for an EOFError, which mean other things here."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Read the arguments."""
        with _own_codes():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _own_codes():
            return super().invoke(ctx)


@contextmanager
def _own_codes() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _PipeClosed from error
    except EOFError as error:
        raise RuntimeError(f"unexpected end of a file: {error}") from error


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="policy-engine")
def cli() -> None:
    """
    Report which generated files are still kept, which are about to expire, and which rule says so.

    Read exported task histories, apply versioned retention rules, and write HTML and CSV reports.
    """


for _command in (
    *evaluating.COMMANDS,
    *checking.COMMANDS,
    *linting.COMMANDS,
    *comparing.COMMANDS,
    *showing.COMMANDS,
):
    cli.add_command(_command)


def run(arguments: Sequence[str] | None = None, gate: SignalGate | None = None) -> int:
    """
    Run the command and return its exit code; everything a person needs to know has then been printed.

    `gate` is where signals arrive, if they do.
    """
    gate = gate or SignalGate()
    code = 130
    with suppress(KeyboardInterrupt), gate.in_use():
        code = _outcome(arguments, gate)
    # A command that has ended cannot be interrupted any more.
    with suppress(KeyboardInterrupt), gate:
        if code == 130:
            _say("interrupted")
        refusal = _flush(is_failed=code != 0)
        code = code or refusal
        if code:
            _say(f"exit {code}: {EXIT_CODES.get(code, 'failed')}")
    return code


def _outcome(arguments: Sequence[str] | None, gate: SignalGate) -> int:
    """Call the command; every way it can end becomes an exit code and, if it failed, a message."""
    try:
        code = cli.main(
            args=list(arguments) if arguments is not None else None, prog_name="policy-engine", standalone_mode=False
        )
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        # Through our own printing, since click quotes arguments as they are.
        message = io.StringIO()
        error.show(message)
        _say(message.getvalue().rstrip("\n"))
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 130
    except PolicyEngineError as error:
        for problem in sorted(error.problems, key=Problem.sort_key):
            _say(format_problem(problem, error.sources))
        return next((number for kind, number in _CODE_OF if isinstance(error, kind)), 70)
    except _PipeClosed:
        silence(sys.stdout)
        return 0
    except Exception as error:
        if gate.was_interrupted:
            return 130
        if os.environ.get("POLICY_ENGINE_DEBUG"):
            _say(traceback.format_exc())
        if is_out_of_memory(error):
            _say(format_problem(out_of_memory()))
            return 70
        if isinstance(error, OSError) and error.errno is not None:
            return _report_os_error(error)
        _say(
            f"internal error: {type(error).__name__}: {plain(error, 400)}\n"
            "  help: this is a defect; set POLICY_ENGINE_DEBUG=1 to see where, and report it with the input"
        )
        return 70


def _report_os_error(error: OSError) -> int:
    """What the system refuses (a full disk, a folder without permission) is not a defect of the program."""
    _say(format_problem(refused(error)))
    return 2


def _say(text: str) -> None:
    """Print a diagnostic, unless standard error is closed."""
    with suppress(OSError):
        tell(text)


def _flush(is_failed: bool) -> int:
    """Find out now, and not when Python ends, whether standard output takes everything."""
    if sys.stdout is None:
        return 0
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
    except OSError as error:
        silence(sys.stdout)
        return 0 if is_failed else _report_os_error(error)
    return 0


def main() -> None:
    """Entry point of the `policy-engine` command."""
    code, gate = None, SignalGate()
    with suppress(KeyboardInterrupt):
        _prepare_process(gate)
        code = run(gate=gate)
    with suppress(KeyboardInterrupt), gate:
        if code is None:
            _say(f"interrupted\nexit 130: {EXIT_CODES[130]}")
        # Everything is cleaned up, and Python's own end should not be disturbed.
        for number in _INTERRUPTIONS:
            signal.signal(number, signal.SIG_IGN)
    code = 130 if code is None else code
    if code == 130 or gate.was_interrupted:
        _end_with(code)
    sys.exit(code)


def _end_with(code: int) -> NoReturn:
    """
    End the process with a code, after running the exit handlers.

    Python itself would end by the signal, and not with a code, if an interruption came while it ran `exec`: that is how
    data classes are made, for instance, while modules are loaded.
    """
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)


def _prepare_process(gate: SignalGate) -> None:
    # Reports name unsigned addresses, so outputs are never world-writable, whatever the caller's mask.
    os.umask(os.umask(0o077) | 0o002)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_leave_signals_to_the_parent)
    for stream in (sys.stdout, sys.stderr):
        # A character that the encoding of the terminal lacks must not stop a run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.unraisablehook = _report_unraisable
    for number in _INTERRUPTIONS:
        # A shell that starts a job in the background may have asked for it not to be interrupted.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, gate.interrupt)


def _report_unraisable(dropped: sys.UnraisableHookArgs) -> None:
    """
    Report what Python cannot raise, in a finaliser or after a fork, as Python does; except for an interruption.

    The gate remembers that one, and raises it before a result is put in place.
    """
    if not isinstance(dropped.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)


def _leave_signals_to_the_parent() -> None:
    # INVARIANT: a worker must die of SIGTERM at once. Python runs a handler between two instructions only, and a worker
    # that waits for work when the signal comes may never get to the next one, so that the pool waits for it forever.
    for number in _INTERRUPTIONS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
