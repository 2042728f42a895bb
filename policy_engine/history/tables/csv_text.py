"""Serves the text of a table: whole lines, by the block or one by one."""

from __future__ import annotations

import io
from typing import IO

from policy_engine.core.problems import InputUnusable, Problem

_BLOCK = 1 << 20
"""Bytes that are decoded at a time."""
_LONGEST_LINE = 1 << 25
"""Bytes."""
_BOM = b"\xef\xbb\xbf"


class TableText:
    """The lines of a table from one position in a file to another, with their ends: a line feed, a return, or both."""

    def __init__(self, stream: IO[bytes], start: int = 0, end: int | None = None) -> None:
        """`start` and `end` are bytes; the text begins and ends with the first line that starts at or after them."""
        self._stream = stream
        self._position = start
        self._end = end
        self._rest = b""
        """Bytes that were read and belong to the next block."""
        self._text = io.StringIO("", newline="")
        self._length = 0
        if start:
            # The line that crosses the edge belongs to the text before.
            stream.seek(start - 1)
            self._position = start - 1
            self._skip_line()

    @property
    def is_between_blocks(self) -> bool:
        """True when all that has been decoded has been served."""
        return self._text.tell() == self._length

    def readline(self) -> str:
        """
        The next line; empty at the end.

        Raises InputUnusable for a line far too long for a table, UnicodeDecodeError for bytes that are not UTF-8.
        """
        line = self._text.readline()
        if not line:
            self._hold(self._next())
            line = self._text.readline()
        return line

    def block(self) -> str:
        """What is left of a block, or the next one: whole lines; empty at the end. Raises as `readline` does."""
        return self._text.read() or self._next()

    def take_back(self, block: str) -> None:
        """Serve this text, which must be what `block` gave last, once more."""
        self._hold(block)

    def _hold(self, text: str) -> None:
        self._text = io.StringIO(text, newline="")
        self._length = self._text.seek(0, io.SEEK_END)
        self._text.seek(0)

    def _next(self) -> str:
        if self._end is not None and self._position >= self._end and not self._rest:
            return ""
        size = _BLOCK if self._end is None else min(_BLOCK, self._end - self._position)
        block = self._rest or self._stream.read(size)
        self._rest = b""
        if block[-1:] not in (b"\n", b""):
            begin = block.rfind(b"\n") + 1
            block += self._stream.readline(max(0, _LONGEST_LINE + 1 - (len(block) - begin)))
            if len(block) - begin > _LONGEST_LINE:
                block = self._up_to_a_return(block, begin)
        if self._position == 0:
            self._position = len(block)
            return block.removeprefix(_BOM).decode("utf-8")
        self._position += len(block)
        return block.decode("utf-8")

    def _up_to_a_return(self, block: bytes, begin: int) -> bytes:
        """The lines of a block whose text from `begin` on, without line feeds, is too long for a line."""
        # The last byte may be half of a line's end.
        edge = block.rfind(b"\r", begin, len(block) - 1) + 1
        if not edge or len(block) - edge > _LONGEST_LINE:
            message = f"a line of the table is longer than {_LONGEST_LINE >> 20} MiB"
            raise InputUnusable(Problem("line-too-long", message, help="is this a table with one row per line?"))
        self._rest = block[edge:]
        return block[:edge]

    def _skip_line(self) -> None:
        """Read to the end of a line, or of the part where the line goes on behind it: then no line begins in it."""
        while (self._end is None or self._position < self._end) and (piece := self._stream.readline(_BLOCK)):
            self._position += len(piece)
            if piece.endswith(b"\n"):
                break
