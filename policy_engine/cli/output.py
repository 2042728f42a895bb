"""Writes results to standard output, or to a file that appears whole or not at all."""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import click

from policy_engine.core.files.drafts import draft_file
from policy_engine.core.files.signals import refuse_if_interrupted, uninterrupted
from policy_engine.core.files.system_errors import is_out_of_room
from policy_engine.core.problems import Problem, UsageProblem
from policy_engine.core.safe_text import plain, visible

_IN_MEMORY = 32 << 20


_COLOURS: tuple[tuple[re.Pattern[str], dict[str, Any]], ...] = (
    (re.compile(r"^(failed|exit \d+:|\S*:? ?error\[|  possibly past|past its deadline)", re.MULTILINE),
     {"fg": "red", "bold": True}),
    (re.compile(r"^(warning|at risk|interrupted)", re.MULTILINE), {"fg": "yellow", "bold": True}),
    (re.compile(r"^(total|save now)", re.MULTILINE), {"bold": True}),
)  # fmt: skip
"""Beginnings of lines and their style on a terminal; the words carry the same meaning without it."""


def paint(text: str, stream: IO[str] | None) -> str:
    """Colour the labels of lines for a terminal; the same text for a pipe, a file, `NO_COLOR` and `TERM=dumb`."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or stream is None or not stream.isatty():
        return text
    for pattern, style in _COLOURS:
        text = pattern.sub(lambda found, style=style: click.style(found[0], **style), text)  # type: ignore[misc]
    return text


_COMMAND = re.compile(r"^ *(?=::)|(?<=#)(?=#[\w.-]*\[)", re.MULTILINE)
"""What CI systems take for commands in the output of a job: `::name` at the beginning of a line, `##name[`."""


def _lines_visible(text: str) -> str:
    """
    Text without control characters: what cannot be printed becomes a visible escape.

    Renderers do this for the texts they show; doing it here again covers the ones that forget.
    """
    return "\n".join(map(visible, text.split("\n")))


def _disarmed(text: str) -> str:
    """Text for people in which a backslash keeps every line from being a command to the CI system."""
    return _COMMAND.sub(lambda found: f"{found[0]}\\", text)


def show(text: str, shape: str = "text") -> None:
    """
    Print a result in a format; a reader that closes the pipe (`| head`) does not change the exit code.

    `github` consists of commands on purpose; in the other formats no text of an input may be one.
    """
    text = _lines_visible(text)
    if shape == "text":
        text = _disarmed(text)
    elif shape in ("json", "sarif"):
        text = text.replace("##", "#\\u0023")
    try:
        click.echo(paint(text, sys.stdout), nl=False)
    except BrokenPipeError:
        silence(sys.stdout)


def tell(text: str) -> None:
    """Print a diagnostic for a person."""
    click.echo(paint(_disarmed(_lines_visible(text)), sys.stderr), err=True)


def silence(stream: IO[str] | None) -> None:
    """Discard what is still to come, so that Python does not complain when it flushes at its end."""
    if stream is not None:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


def check_file(output: str) -> None:
    """Refuse a path where no file can be written; raises UsageProblem."""
    if output == "-":
        return
    target = Path(os.path.realpath(output))
    try:
        mode = target.stat().st_mode if target.exists() else stat.S_IFREG
        if stat.S_ISDIR(mode):
            raise _unwritable(output, "it is a folder", f"name a file in it, such as `{plain(output)}/findings.csv`")
        if not stat.S_ISREG(mode):
            raise _unwritable(output, "it is not a regular file", "name another file with -o, or - for standard output")
        if not target.parent.is_dir():
            folder = plain(Path(output).parent)
            raise _unwritable(output, f"there is no folder `{folder}`", "create the folder first, or name another file")
    except OSError as error:
        raise _unwritable(output, error.strerror or str(error)) from None


@contextmanager
def whole_file(output: str) -> Iterator[IO[bytes]]:
    """A stream to a file that appears whole or not at all; `-` is standard output, which then gets all or nothing."""
    check_file(output)
    if output == "-":
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
            yield spool
            spool.seek(0)
            _copy_to_stdout(spool)
        return
    # Through a link, not over it.
    target = Path(os.path.realpath(output))
    with ExitStack() as stack:
        try:
            staging = stack.enter_context(draft_file(target))
            stream = stack.enter_context(staging.open("wb"))
        except OSError as error:
            if is_out_of_room(error):
                raise
            raise _unwritable(output, error.strerror or str(error)) from None
        yield stream
        stream.close()
        with uninterrupted():
            refuse_if_interrupted()
            staging.replace(target)


def _copy_to_stdout(spool: IO[bytes]) -> None:
    if sys.stdout is None:
        raise _unwritable("-", "standard output is closed")
    try:
        sys.stdout.flush()
        if sys.stdout.isatty():
            # A person sees it; a program gets the bytes as they are.
            for line in io.TextIOWrapper(spool, encoding="utf-8", newline="\n"):
                sys.stdout.write(_lines_visible(line))
            sys.stdout.flush()
            return
        shutil.copyfileobj(spool, sys.stdout.buffer, 1 << 20)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        silence(sys.stdout)


def _unwritable(output: str, why: str, help_: str = "") -> UsageProblem:
    help_ = help_ or "name another file with -o, or - for standard output"
    return UsageProblem(Problem("unwritable-file", f"`{plain(output)}` cannot be written: {why}", help=help_))
