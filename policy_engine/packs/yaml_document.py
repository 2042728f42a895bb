"""
Turns the bytes of a YAML file into plain values and the location of every key and value, or into problems.

The file is untrusted: its size, depth and number of values are bounded, and anchors, aliases, tags and
further documents are refused. Values are built from the parser's events, so nothing recurses and nothing is
composed (the C composer of the YAML library ends the process on deep nesting). Unquoted words mean what YAML 1.2
says in its JSON-like form: `true`, `false`, `null` and numbers; `no`, `on`, `3:00`, `0123`, `1_000` and dates
stay text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from policy_engine.core.files.opening import open_given
from policy_engine.core.problems import Problem, SourceSpan
from policy_engine.core.safe_text import plain

MAX_BYTES = 4_000_000
"""Largest file that is read."""
MAX_DEPTH = 40
"""Deepest nesting of lists and maps."""
MAX_EVENTS = 400_000
"""Most parser events (about two per value) in one file."""
MAX_PROBLEMS = 1_000
"""Most problems of one file; beyond them, reading stops."""
MAX_WORD = 80
"""Most characters of a word that are compared when a similar word is sought."""

ValuePath = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NOT_A_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
"""Control characters and line breaks that editors and YAML count differently; tab, LF and CR are allowed."""
_MAX_DIGITS = 18


@dataclass(frozen=True)
class YamlDocument:
    """A YAML file as plain values that remember where they were."""

    file: str
    """Name of the file in problems."""
    text: str
    """The file's text."""
    value: Any
    """Maps, lists, text, numbers, booleans and None."""
    keys: Mapping[ValuePath, SourceSpan] = field(repr=False)
    """Path of a member of a map -> location of its key."""
    values: Mapping[ValuePath, SourceSpan] = field(repr=False)
    """Path of a value -> location of its first character; `()` is the document."""

    def span(self, *path: str | int) -> SourceSpan:
        """Place of the value at the path, or of the nearest value around it."""
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path, SourceSpan(self.file, 1))

    def key_span(self, *path: str | int) -> SourceSpan:
        """Location of the key at the path (for members of lists, the value), or of the nearest around it."""
        while path:
            if path in self.keys:
                return self.keys[path]
            if path in self.values:
                return self.values[path]
            path = path[:-1]
        return self.span()


def read_bytes(path: Path, file: str) -> tuple[bytes | None, tuple[Problem, ...]]:
    """Read a file called `file` in problems, up to the size that is accepted."""
    try:
        with open_given(path) as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        return None, (Problem("file-unreadable", f"the file cannot be read: {reason}", SourceSpan(file, 1)),)
    if len(data) > MAX_BYTES:
        message = f"the file is larger than {MAX_BYTES // 1_000_000} MB"
        return None, (Problem("file-too-large", message, SourceSpan(file, 1)),)
    return data, ()


def parse_yaml(data: bytes, file: str) -> tuple[YamlDocument | None, tuple[Problem, ...]]:
    """Read YAML from the bytes of a file called `file` in problems; None when there is no document."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return None, (_not_utf8(data, error, file),)
    found = _FORBIDDEN.search(text)
    if found is not None:
        return None, (_forbidden_character(text, found, file),)
    builder = _Builder(file, text)
    try:
        for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
            if count > MAX_EVENTS:
                raise _Refused(builder.problem("too-many-values", "the file holds too many values", event.start_mark))
            builder.take(event)
            if len(builder.problems) >= MAX_PROBLEMS:
                message = f"the file is read no further, since it has {MAX_PROBLEMS:,} problems up to here"
                raise _Refused(builder.problem("too-many-problems", message, event.start_mark))
    except _Refused as refused:
        return None, (*builder.problems, refused.problem)
    except yaml.MarkedYAMLError as error:
        return None, (*builder.problems, _syntax_problem(error, builder))
    except (yaml.YAMLError, ValueError) as error:
        problem = Problem("yaml-syntax", f"the file is not YAML: {plain(error)}", SourceSpan(file, 1))
        return None, (*builder.problems, problem)
    if not builder.has_root:
        return None, (Problem("empty-file", "the file is empty", SourceSpan(file, 1)),)
    return YamlDocument(file, text, builder.root, builder.keys, builder.values), tuple(builder.problems)


class _Refused(Exception):
    """Ends the reading of one file."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.message)


@dataclass
class _Open:
    """A list or map that is being filled."""

    value: dict[str, Any] | list[Any]
    path: ValuePath
    start: Any
    key: str | None = None
    expects_value: bool = False
    """True between a key and its value."""
    is_dropped: bool = False
    """True when the value of the key is read and forgotten (second of two equal keys, or key not text)."""


class _Builder:
    """Builds values from parser events, one at a time."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = text.splitlines()
        self.root: Any = None
        self.has_root = False
        self.keys: dict[ValuePath, SourceSpan] = {}
        self.values: dict[ValuePath, SourceSpan] = {}
        self.problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._skip_depth = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        """Take one parser event."""
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                message = "a second document begins; write one document a file, without `---` between"
                raise _Refused(self.problem("second-document", message, event.start_mark))
        elif isinstance(event, yaml.AliasEvent):
            message = f"the alias `*{plain(event.anchor, 40)}` is not allowed; write the value out"
            raise _Refused(self.problem("yaml-alias", message, event.start_mark, event.end_mark))
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            self._take_node(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            if self._skip_depth:
                self._skip_depth -= 1
            else:
                self._stack.pop()

    def problem(self, code: str, message: str, start: Any, end: Any = None, **more: Any) -> Problem:
        """Make a problem at a location in the file."""
        return Problem(code, message, self.span_of(start, end), **more)

    def span_of(self, start: Any, end: Any = None) -> SourceSpan:
        """A span from parser marks, never outside of the text."""
        line = min(start.line, max(len(self.lines) - 1, 0))
        text = self.lines[line] if self.lines else ""
        column = min(start.column, len(text)) if line == start.line else len(text)
        stop = end.column if end is not None and end.line == line else len(text.rstrip())
        return SourceSpan(self.file, line + 1, column + 1, max(1, stop - column))

    def _take_node(self, event: Any) -> None:
        if event.anchor is not None:
            message = f"the anchor `&{plain(event.anchor, 40)}` is not allowed; write values out"
            raise _Refused(self.problem("yaml-anchor", message, event.start_mark))
        if event.tag is not None:
            message = f"the tag `{plain(event.tag, 60)}` is not allowed; write plain values"
            raise _Refused(self.problem("yaml-tag", message, event.start_mark))
        is_scalar = isinstance(event, yaml.ScalarEvent)
        if not is_scalar and len(self._stack) + self._skip_depth >= MAX_DEPTH:
            message = f"lists and maps are nested deeper than {MAX_DEPTH} levels"
            raise _Refused(self.problem("too-deep", message, event.start_mark))
        if self._skip_depth:
            self._skip_depth += not is_scalar
            return
        holder = self._stack[-1] if self._stack else None
        if holder is not None and isinstance(holder.value, dict) and not holder.expects_value:
            self._take_key(event, holder)
            return
        if holder is not None and holder.is_dropped:
            holder.expects_value = holder.is_dropped = False
            self._skip_depth = 0 if is_scalar else 1
            return
        self._add(event, holder)

    def _take_key(self, event: Any, holder: _Open) -> None:
        """Note the key of a map, or the problem with it."""
        assert isinstance(holder.value, dict)
        holder.expects_value = True
        holder.is_dropped = True
        if not isinstance(event, yaml.ScalarEvent):
            message = "a list or map cannot be a key"
            raise _Refused(self.problem("key-not-text", message, event.start_mark))
        key = self._scalar(event)
        if not isinstance(key, str):
            shown = plain(event.value, 40)
            problem = self.problem(
                "key-not-text",
                f"the key `{shown}` is not text" if shown else "the key is empty",
                event.start_mark,
                event.end_mark,
                help=f'put it in quotes: "{shown}"' if shown else None,
            )
            self.problems.append(problem)
            return
        path = (*holder.path, key)
        if key in holder.value:
            first = self.keys[path]
            problem = self.problem(
                "duplicate-key",
                f"the key `{plain(key, 60)}` appears twice, first on line {first.line}",
                event.start_mark,
                event.end_mark,
                help="remove one of the two",
                related=(first,),
            )
            self.problems.append(problem)
            return
        holder.key = key
        holder.is_dropped = False
        self.keys[path] = self.span_of(event.start_mark, event.end_mark)

    def _add(self, event: Any, holder: _Open | None) -> None:
        """Put a value into the list, map or document it belongs to."""
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        else:
            value = {} if isinstance(event, yaml.MappingStartEvent) else []
        path: ValuePath = ()
        if holder is None:
            self.root, self.has_root = value, True
        elif isinstance(holder.value, list):
            path = (*holder.path, len(holder.value))
            holder.value.append(value)
        else:
            assert holder.key is not None
            path = (*holder.path, holder.key)
            holder.value[holder.key] = value
            holder.expects_value = False
        if isinstance(event, yaml.ScalarEvent):
            self.values[path] = self.span_of(event.start_mark, event.end_mark)
        else:
            self.values[path] = self.span_of(event.start_mark)
            self._stack.append(_Open(value, path, event.start_mark))

    def _scalar(self, event: Any) -> Any:
        """The value of a scalar: only unquoted words can be anything but text."""
        text: str = event.value
        if event.style or not event.implicit[0]:  # the C parser says "" where the other says None
            if _FORBIDDEN.search(text):
                message = "the text holds a control character, written as an escape"
                self.problems.append(self.problem("forbidden-character", message, event.start_mark, event.end_mark))
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _NOT_A_NUMBER.fullmatch(text):
            message = f"`{text}` is not a number a rule can use"
            self.problems.append(self.problem("not-a-number", message, event.start_mark, event.end_mark))
            return text
        if _NUMBER.fullmatch(text) is None:
            return text
        if _INTEGER.fullmatch(text) and len(text) <= _MAX_DIGITS:
            return int(text)
        number = float(text) if len(text) <= 40 else float("inf")
        if abs(number) > 1e18:
            message = f"the number `{plain(text, 40)}` is too large"
            self.problems.append(self.problem("not-a-number", message, event.start_mark, event.end_mark))
            return text
        return number


def _not_utf8(data: bytes, error: UnicodeDecodeError, file: str) -> Problem:
    """The problem of a byte that is not UTF-8, located as well as possible."""
    before = data[: error.start].decode("utf-8-sig", errors="replace")
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    message = f"byte {error.start} (0x{data[error.start]:02x}) is not UTF-8"
    return Problem("not-utf8", message, SourceSpan(file, line, column), help="save the file as UTF-8")


def _forbidden_character(text: str, found: re.Match[str], file: str) -> Problem:
    """The problem of a character that would make lines or names ambiguous."""
    before = text[: found.start()]
    line = len(re.findall(r"\r\n|\r|\n", before)) + 1
    column = len(before) - (max(before.rfind("\n"), before.rfind("\r")) + 1) + 1
    message = f"the character U+{ord(found.group()):04X} is not allowed in rule files"
    return Problem("forbidden-character", message, SourceSpan(file, line, column), help="remove it")


def _syntax_problem(error: yaml.MarkedYAMLError, builder: _Builder) -> Problem:
    """The parser's own complaint, with its location."""
    mark = error.problem_mark or error.context_mark
    message = f"the file is not YAML: {plain(error.problem or error.context or 'syntax error')}"
    if mark is None:
        return Problem("yaml-syntax", message, SourceSpan(builder.file, 1))
    return builder.problem("yaml-syntax", message, mark)
