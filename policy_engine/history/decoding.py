"""Turns bytes into JSON values: fast where they are strict JSON, patiently where one odd value would cost a record."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import numpy as np

from policy_engine.core.safe_text import encodable

BOM = b"\xef\xbb\xbf"
decode_strictly = msgspec.json.Decoder(Any).decode
STRICT_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `decode_strictly` raises."""

_SPACE = re.compile(r"[ \t\r\n]*")
_LONGEST_INTEGER = 4_000


def count_lines(block: bytes) -> int:
    """Line feeds in a block."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))


def lines_of_objects(block: bytes) -> int:
    """
    Lines of a block that decodes as JSON objects, one after another; 0 where a line feed does not divide two of them.

    No value has a line feed between `}` and `{`. The decoder silently takes a value over several lines, or
    several values in a line; counting values does not show this, since the two can cancel out.
    """
    if not block.startswith(b"{"):
        # Whatever does has something before each line feed.
        return 0
    text = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    if block.endswith(b"\n"):
        ends = ends[:-1]
    before = np.where(text[ends - 1] == ord("\r"), text[ends - 2], text[ends - 1])
    return len(ends) + 1 if ((before == ord("}")) & (text[ends + 1] == ord("{"))).all() else 0


def check_utf8(block: bytes) -> None:
    """Raise UnicodeDecodeError unless the bytes are UTF-8."""
    if block.isascii():
        return
    import pyarrow as pa

    try:
        # Checks without making a text, which takes a fraction of the time.
        edges = pa.py_buffer(np.array([0, len(block)], np.int32))
        pa.StringArray.from_buffers(1, edges, pa.py_buffer(block)).validate(full=True)
    except pa.ArrowInvalid:
        block.decode()


class NotJson(Exception):
    """Bytes that are not JSON; says why and where."""

    def __init__(self, code: str, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(code, message, line, column)
        self.code = code
        """`not_json`, `not_utf8` or `nested_too_deep`."""
        self.message = message
        self.line = line
        """Line of the defect from 1."""
        self.column = column
        """Column of the defect from 1, in characters."""


def decode_values(text: bytes) -> list[tuple[int, object]]:
    """
    Decode a text that holds one JSON value, or several one after another; each comes with the line it starts on.

    Takes what is not strict JSON but leaves no doubt: `NaN`, lone surrogates (as U+FFFD), integers of any length (as
    text beyond 4,000 digits), control characters within text. Raises NotJson.
    """
    text = text.removeprefix(BOM)
    try:
        return [(1, decode_strictly(text))]
    except RecursionError:
        raise _too_deep() from None
    except STRICT_ERRORS:
        pass
    try:
        characters = text.decode("utf-8")
    except UnicodeDecodeError as error:
        before = text[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        message = f"the byte 0x{text[error.start]:02x} is not UTF-8"
        raise NotJson("not_utf8", message, before.count(b"\n") + 1, column) from None
    try:
        return _decode_patiently(characters)
    except RecursionError:
        raise _too_deep() from None


def _decode_patiently(text: str) -> list[tuple[int, object]]:
    decoder = json.JSONDecoder(strict=False, parse_int=_integer)
    has_surrogates = any(mark in text for mark in ("\\ud", "\\uD"))
    values: list[tuple[int, object]] = []
    end, line, counted = 0, 1, 0
    while True:
        match = _SPACE.match(text, end)
        start = match.end() if match else end
        if start == len(text) and values:
            return values
        line += text.count("\n", counted, start)
        counted = start
        try:
            value, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            raise _locate(text, error) from None
        values.append((line, _replace_surrogates(value) if has_surrogates else value))


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else digits


def _replace_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {_replace_surrogates(key): _replace_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    return value


def _locate(text: str, error: json.JSONDecodeError) -> NotJson:
    """Where and why, from the decoder's own words; a text that just ends is said to be cut short."""
    end = len(text.rstrip())
    if error.pos >= end or error.msg.startswith("Unterminated string"):
        position = max(end - 1, 0)
        column = position - text.rfind("\n", 0, position)
        return NotJson("not_json", "it ends in the middle of a value", text.count("\n", 0, position) + 1, column)
    message = error.msg[:1].lower() + error.msg[1:]
    return NotJson("not_json", message, error.lineno, error.colno)


def _too_deep() -> NotJson:
    return NotJson("nested_too_deep", "the nesting is too deep")


def kind_of(value: object) -> str:
    """Name the kind of a decoded value for people, without showing it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return f"text of {len(value)} characters" if value else "empty text"
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "something else"
