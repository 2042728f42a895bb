"""Compares the machines of a cluster with this one: the same program, the same packages, the same files."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from policy_engine.core import version
from policy_engine.core.problems import InputUnusable, Problem, SourceSpan, UsageProblem
from policy_engine.core.resources import PACKAGE
from policy_engine.core.safe_text import plain

if TYPE_CHECKING:
    # A worker that is asked what it has should not have to load everything first.
    from policy_engine.history import Source

_PACKAGES = ("pandas", "numpy", "msgspec", "pyarrow", "backports.zstd", "distributed")
"""Packages on which a finding or its way back depends; they must be the same everywhere, or missing everywhere."""
SAME_PROGRAM = "install the same versions everywhere, then start the workers again"
_SAMPLES = 16
_SAMPLE = 4096
"""Bytes of a sample; a file shorter than all samples together is compared whole."""

Versions = Mapping[str, str]
"""Package -> version; a missing one is left out."""


@dataclass(frozen=True)
class Stamp:
    """Identifies a file, so that a worker can check that it sees the same one."""

    name: str
    path: str
    size: int
    digest: str
    """sha256 over samples spread evenly over the file."""


@cache
def versions() -> dict[str, str]:
    """Everything that must be the same on all machines: package -> version; a missing one is left out."""
    found = {
        "Python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "policy-engine": f"{version.__version__} ({_code()})",
    }
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _code() -> str:
    """A short digest of the program's own source: a version number alone does not tell two working copies apart."""
    total = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda path: path.relative_to(PACKAGE).as_posix()):
        total.update(f"{path.relative_to(PACKAGE).as_posix()}\n{path.stat().st_size}\n".encode())
        total.update(path.read_bytes())
    return total.hexdigest()[:12]


def stamp(source: Source) -> Stamp:
    """Look at a file as it is here; raises InputUnusable when it cannot be read."""
    try:
        return Stamp(source.name, source.path, *_sample(source.path))
    except OSError as error:
        message = f"the file cannot be read: {error.strerror or error}"
        raise InputUnusable(Problem("unreadable-file", message, SourceSpan(source.name, 1))) from None


def _sample(path: str) -> tuple[int, str]:
    """Size of a file, and sha256 over its first, its last and some bytes between."""
    total = hashlib.sha256()
    with Path(path).open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size <= _SAMPLES * _SAMPLE:
            total.update(stream.read())
        else:
            for place in range(_SAMPLES):
                stream.seek((size - _SAMPLE) * place // (_SAMPLES - 1))
                total.update(stream.read(_SAMPLE))
    return size, total.hexdigest()


def difference(expected: Stamp) -> Problem | None:
    """What is wrong with a file on the machine that asks; the sentence wants that machine in front of it."""
    try:
        size, digest = _sample(expected.path)
    except OSError as error:
        found = f"does not see the file: {error.strerror or error}"
    else:
        if (size, digest) == (expected.size, expected.digest):
            return None
        found = "sees another file of this name"
        if size != expected.size:
            found += f": {size:,} bytes long, and here it is {expected.size:,}"
    return Problem(
        "input-differs", found, SourceSpan(expected.name, 1),
        help=f"let all workers see the same files under the same paths: `{plain(expected.path, 300)}`",
    )  # fmt: skip


def compare(answers: Mapping[str, tuple[Versions, Sequence[Problem]] | BaseException]) -> None:
    """Raise what is wrong with the machines of a cluster, each difference once, with those that have it."""
    here = versions()
    other: dict[str, list[str]] = {}
    files: dict[Problem, list[str]] = {}
    for place, answer in sorted(answers.items()):
        if isinstance(answer, BaseException):
            other.setdefault(f"cannot load this program ({reason_of(answer)})", []).append(place)
            continue
        there, problems = answer
        for name in [name for name in here if there.get(name) != here[name]]:
            other.setdefault(f"has {_version(name, there)}, and this machine has {_version(name, here)}", []).append(
                place
            )
        for problem in problems:
            files.setdefault(problem, []).append(place)
    if other:
        raise UsageProblem([
            Problem("worker-differs", f"{_some(places)} {difference}", help=SAME_PROGRAM)
            for difference, places in other.items()
        ])  # fmt: skip
    if files:
        raise InputUnusable([
            replace(problem, message=f"{_some(places)} {problem.message}") for problem, places in files.items()
        ])  # fmt: skip


def _version(name: str, found: Versions) -> str:
    return f"{name} {plain(found[name])}" if found.get(name) else f"no {name}"


def _some(places: Sequence[str]) -> str:
    """Machines in words: `tcp://...`, the scheduler, or 2 of the cluster."""
    first = f"`{plain(places[0])}`" if "://" in places[0] else places[0]
    return first if len(places) == 1 else f"{len(places)} of the cluster, such as {first},"


def reason_of(error: BaseException) -> str:
    """What an error of Dask says, to be put in brackets."""
    return plain(str(error) or type(error).__name__, 200)
