"""Finds the files that arguments name, and determines their kinds from their bytes."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

from policy_engine.core.problems import InputUnusable, Problem, ProblemList, SourceSpan
from policy_engine.core.safe_text import plain
from policy_engine.history.decoding import BOM, NotJson, decode_values
from policy_engine.history.opening import Compression, open_bytes

Kind = Literal["json-lines", "json", "csv", "parquet"]

_EXTENSIONS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".pq", ".txt", ".log")
_PACKED = (".gz", ".gzip", ".zst", ".zstd")
_UTF_16 = ([True, False, True, False], [False, True, False, True])
"""Which of the first four bytes are zero where ASCII characters take two bytes each."""
_PEEK = 1 << 16
_LONGEST_FIRST_LINE = 1 << 26
MAX_DOCUMENT = 1 << 30
"""Bytes of a JSON document that is not line by line; a longer one is refused, since it is decoded whole."""


@dataclass(frozen=True)
class Source:
    """One file of an export."""

    name: str
    """How the run calls it: relative to the argument that named it, so that results do not depend on the folder."""
    path: str
    """Path to open."""
    kind: Kind
    compression: Compression
    size: int
    """Bytes on disk."""
    written_at: int = 0
    """Modification time by the system's clock, ns."""


@contextmanager
def unchanged(sources: Sequence[Source]) -> Iterator[None]:
    """
    A section that reads sources; raises InputUnusable when one of them was written or removed since it was found.

    It replaces any other error, since bytes that change while they are read can cause each.
    """
    try:
        yield
    except Exception:
        refuse_changed(sources)
        raise
    refuse_changed(sources)


def refuse_changed(sources: Sequence[Source]) -> None:
    """Raise InputUnusable when a source is not as it was when it was found."""
    for source in sources:
        try:
            status = Path(source.path).stat()
        except OSError:
            is_same = False
        else:
            is_same = (status.st_size, status.st_mtime_ns) == (source.size, source.written_at)
        if not is_same:
            raise InputUnusable(Problem(
                "input-changed", "the file was changed while it was read", SourceSpan(source.name, 1),
                help="wait until the export is complete, then run again",
            ))  # fmt: skip


@dataclass(frozen=True)
class Sources:
    """What the arguments named."""

    sources: tuple[Source, ...]
    skipped: tuple[tuple[str, str], ...]
    """Files of folders that are not exports, with the reason."""


def find_sources(arguments: Iterable[str], spool: Path | None = None) -> Sources:
    """
    Resolve files, folders, globs and `-` (standard input) to sources, in an order that arguments do not change.

    Raises InputUnusable with a problem for every argument or file that cannot be used.
    """
    problems = ProblemList()
    skipped: dict[str, tuple[str, str]] = {}
    named: dict[str, _Named] = {}
    for argument in dict.fromkeys(arguments):
        for file in _expand(argument, problems, spool, skipped):
            real = os.path.realpath(file.path)
            if not file.is_explicit and not _looks_like_export(file.path):
                skipped[real] = (
                    _printable(file.name),
                    f"not the name of an export ({', '.join(_EXTENSIONS)}, packed or not)",
                )
            else:
                # A file named twice has one name, whichever argument comes first.
                known = named.get(real, file)
                named[real] = _Named(min(known.name, file.name), real, known.is_explicit or file.is_explicit)
    sources = []
    not_exports: list[tuple[str, str]] = []
    for name, file in _with_distinct_names(list(named.values())):
        try:
            sources.append(_inspect(name, file.path))
        except InputUnusable as error:
            if error.problems[0].code == "not-an-export" and not file.is_explicit and _may_be_prose(file.path):
                not_exports.append((name, error.problems[0].message))
                continue
            for problem in error.problems:
                problems.add(replace(problem, span=SourceSpan(name, 1)))
        except OSError as error:
            message = f"the file cannot be read: {error.strerror or error}"
            problems.add(
                Problem("unreadable-file", message, SourceSpan(name, 1), help="check that it is there and yours")
            )
    if problems.items:
        raise InputUnusable(problems.items)
    not_exports += [entry for real, entry in skipped.items() if real not in named]
    return Sources(tuple(sources), tuple(sorted(not_exports)))


@dataclass(frozen=True)
class _Named:
    name: str
    """Relative to the argument that named it."""
    path: str
    is_explicit: bool
    """True when the argument is the file itself, false when it was found in a folder."""


def _with_distinct_names(files: list[_Named]) -> list[tuple[str, _Named]]:
    """Files in the order of their names; files of equal names get the folders that distinguish them."""
    by_name: dict[str, list[_Named]] = {}
    for file in files:
        by_name.setdefault(_printable(file.name), []).append(file)
    named = []
    for name, same in by_name.items():
        names = [name]
        paths = [_printable(Path(file.path).as_posix()).strip("/").split("/") for file in same]
        depth = name.count("/") + 1
        while len(set(names)) < len(same) and depth < max(map(len, paths)):
            depth += 1
            names = ["/".join(parts[-depth:]) for parts in paths]
        named += list(zip(names, same, strict=True))
    named.sort(key=lambda item: (item[0], item[1].path))
    taken: dict[str, int] = {}
    unique = []
    for name, file in named:
        taken[name] = taken.get(name, 0) + 1
        unique.append((name if taken[name] == 1 else f"{name} ({taken[name]})", file))
    return unique


def _printable(name: str) -> str:
    """A file name as text that every output can hold; not every system keeps names in UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _expand(
    argument: str, problems: ProblemList, spool: Path | None, skipped: dict[str, tuple[str, str]]
) -> Iterator[_Named]:
    """The files that an argument names."""
    if argument == "-":
        if spool is None:
            problems.add(Problem("no-input", "standard input cannot be read here"))
            return
        path = spool / "stdin"
        with path.open("wb") as out:
            while block := sys.stdin.buffer.read(1 << 20):
                out.write(block)
        yield _Named("stdin", str(path), True)
        return
    path = Path(argument)
    try:
        if not argument:
            # An empty path would mean the working folder, which nobody asked for.
            problems.add(Problem("missing-file", "an empty name names no file", help="check the spelling"))
            return
        if path.is_dir():
            yield from _in_folder(path, problems, skipped)
            return
        if path.exists() or path.is_symlink():
            yield _Named(path.name, argument, True)
            return
    except OSError as error:
        message = f"`{plain(argument)}` cannot be looked up: {error.strerror or error}"
        problems.add(Problem("missing-file", message, help="check the spelling and the folder"))
        return
    has_pattern = any(mark in argument for mark in "*?[")
    # Path.glob takes no absolute patterns.
    matches = sorted(glob.glob(argument, recursive=True)) if has_pattern else []  # noqa: PTH207
    if not matches:
        what = "no file matches" if has_pattern else "there is no file or folder"
        problems.add(Problem("missing-file", f"{what} `{plain(argument)}`", help="check the spelling and the folder"))
    for match in matches:
        if Path(match).is_dir():
            yield from _in_folder(Path(match), problems, skipped, may_be_empty=True)
        else:
            yield _Named(Path(match).name, match, True)


def _in_folder(
    folder: Path, problems: ProblemList, skipped: dict[str, tuple[str, str]], may_be_empty: bool = False
) -> Iterator[_Named]:
    """All files below a folder, whether they look like exports or not; hidden ones are left out."""

    def refuse(error: OSError) -> None:
        message = f"the folder `{plain(error.filename)}` cannot be read: {error.strerror or error}"
        problems.add(Problem("unreadable-folder", message, help="check its permissions"))

    before = len(problems.items)
    found = []
    for base, folders, files in os.walk(folder, onerror=refuse, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            linked = Path(base) / name
            if linked.is_symlink():
                shown = _printable(linked.relative_to(folder).as_posix())
                skipped[str(linked)] = (shown, "a link to a folder; name the folder itself to have it read")
        found += [Path(base) / name for name in files if not name.startswith(".")]
    if not may_be_empty and len(problems.items) == before and not any(_looks_like_export(str(file)) for file in found):
        message = f"the folder `{plain(folder)}` holds no export"
        help_ = "give a folder with .json, .jsonl, .csv or .parquet files (also .gz and .zst)"
        problems.add(Problem("empty-folder", message, help=help_))
        return
    for file in sorted(found):
        yield _Named(file.relative_to(folder).as_posix(), str(file), False)


def _looks_like_export(path: str) -> bool:
    return _extension(path) in _EXTENSIONS


def _may_be_prose(path: str) -> bool:
    return _extension(path) in (".txt", ".log")


def _extension(path: str) -> str:
    name = Path(path).name.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return Path(name).suffix


def _inspect(name: str, path: str) -> Source:
    """Determine from its bytes what a file is; raises InputUnusable when it cannot be read."""
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        help_ = "give a file, a folder, or `-` for standard input"
        raise InputUnusable(Problem("not-a-file", "this is not a regular file", help=help_))
    if status.st_size == 0:
        raise InputUnusable(Problem("empty-file", "the file is empty", help="export again, or leave the file out"))
    with Path(path).open("rb") as file:
        head = file.read(8)
    if head[:4] == b"PAR1":
        return Source(name, path, "parquet", "", status.st_size, status.st_mtime_ns)
    compression: Compression = "gzip" if head[:2] == b"\x1f\x8b" else "zstd" if head[:4] == b"\x28\xb5\x2f\xfd" else ""
    with open_bytes(path, compression) as stream:
        kind = _kind_of_text(stream, _extension(name))
    return Source(name, path, kind, compression, status.st_size, status.st_mtime_ns)


def _kind_of_text(stream: IO[bytes], extension: str) -> Kind:
    first = stream.read(_PEEK)
    if first[:2] in (b"\xff\xfe", b"\xfe\xff") or [byte == 0 for byte in first[:4]] in _UTF_16:
        raise InputUnusable(Problem("encoding", "the file is UTF-16", help="save it as UTF-8"))
    first = first.removeprefix(BOM)
    start = first.lstrip()[:64]
    if start[:1] in (b"{", b"["):
        return _json_or_lines(first, stream)
    if b"\0" in first:
        what = "a workbook or an archive" if start[:4] == b"PK\x03\x04" else "binary and no Parquet, gzip or zstd file"
        help_ = "give JSON, JSON Lines, CSV or Parquet; a spreadsheet saves as `CSV UTF-8`"
        raise InputUnusable(Problem("binary-file", f"the file is {what}", help=help_))
    if not start:
        what = "starts with" if stream.read(1) else "holds"
        help_ = "export again, or leave the file out"
        raise InputUnusable(Problem("empty-file", f"the file {what} nothing but white space", help=help_))
    if start[:1] == b"<":
        help_ = "the address may have answered with a sign-in or error page: fetch it again with the API key"
        raise InputUnusable(Problem("not-an-export", "the file is a web page or XML, not an export", help=help_))
    lines = first.lstrip().split(b"\n")
    # The first line may be the rest of a record that was cut; a table's cell would double the quotation mark.
    if any(line.lstrip()[:2] == b'{"' and line.lstrip()[:3] != b'{""' for line in lines[1:20]):
        return "json-lines"
    is_one_column = lines[0].strip().lower() in (b"task_id", b'"task_id"') or extension in (".csv", ".tsv")
    if is_one_column or any(mark in lines[0] for mark in (b",", b";", b"\t")):
        return "csv"
    help_ = "give task objects or history pages as JSON or JSON Lines, or a table as CSV or Parquet"
    raise InputUnusable(Problem("not-an-export", "the file is neither JSON nor CSV", help=help_))


def _json_or_lines(first: bytes, stream: IO[bytes]) -> Kind:
    """JSON Lines when the first line is a whole value and something follows it; a document otherwise."""
    parts = [first.lstrip()]
    length = len(first)
    while b"\n" not in parts[-1] and length < _LONGEST_FIRST_LINE:
        more = stream.read(1 << 20)
        if not more:
            break
        parts.append(more)
        length += len(more)
    line, mark, rest = b"".join(parts).partition(b"\n")
    if not mark or not (rest.strip() or stream.read(1 << 16).strip()):
        return "json"
    try:
        decode_values(line)
    except NotJson:
        # A pretty-printed document breaks its first line early; a damaged first record is a long line of its own
        # with a record on the next one.
        return "json-lines" if len(line) > 2 and line[:1] == b"{" and rest.lstrip()[:1] == b"{" else "json"
    return "json-lines"


@dataclass(frozen=True)
class Partition:
    """A part of a source that can be read on its own."""

    file: int
    """Index of the source in the list of sources."""
    start: int = 0
    """
    First byte, for plain JSON Lines and CSV: the partition begins at the first line that starts at or after it. First
    row group, for Parquet.
    """
    end: int | None = None
    """First byte or row group no longer in it; None = to the end of the file."""
    first_line: int = 1
    """Number of its first line, or row."""
    size: int = 0
    """Bytes of the file that it covers."""
