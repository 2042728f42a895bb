"""Inputs that are not regular files, or change while they are read: links, pipes, devices, growing files."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tools.torture.hostile.cases import DONE, INPUT, NOTHING, TASK, case, evaluating, ids


def _loop(folder: Path, scale: int) -> list[str]:
    inner = folder / "exports" / "inner"
    inner.mkdir(parents=True)
    (inner / "x.jsonl").write_bytes(TASK)
    (inner / "up").symlink_to(folder / "exports", target_is_directory=True)
    (inner / "itself.jsonl").symlink_to("itself.jsonl")
    return evaluating(folder, "exports")


def _loop_without_bad_link(folder: Path, scale: int) -> list[str]:
    arguments = _loop(folder, scale)
    (folder / "exports" / "inner" / "itself.jsonl").unlink()
    return arguments


def _loop_by_pattern(folder: Path, scale: int) -> list[str]:
    _loop_without_bad_link(folder, scale)
    return evaluating(folder, "exports/**/*.jsonl")


def _pipe(folder: Path, scale: int) -> list[str]:
    os.mkfifo(folder / "x.jsonl")
    return evaluating(folder, "x.jsonl")


def _pipe_in_folder(folder: Path, scale: int) -> list[str]:
    (folder / "exports").mkdir()
    os.mkfifo(folder / "exports" / "x.jsonl")
    (folder / "exports" / "y.jsonl").write_bytes(TASK)
    return evaluating(folder, "exports")


def _device(name: str) -> Callable[[Path, int], list[str]]:
    return lambda folder, scale: ["evaluate", f"/dev/{name}", "-o", str(folder / "out.csv")]


def _link_to_device(folder: Path, scale: int) -> list[str]:
    (folder / "x.jsonl").symlink_to("/dev/zero")
    return evaluating(folder, "x.jsonl")


def _unreadable(folder: Path, scale: int) -> list[str]:
    """A file that the system opens and refuses to read for every user."""
    return ["evaluate", "/proc/self/mem", "-o", str(folder / "out.csv")]


def _not_permitted(folder: Path, scale: int) -> list[str]:
    (folder / "x.jsonl").write_bytes(TASK)
    (folder / "x.jsonl").chmod(0)
    return evaluating(folder, "x.jsonl")


def _deep_folders(folder: Path, scale: int) -> list[str]:
    exports, depth = folder / "exports", 900
    exports.mkdir()
    here = os.open(exports, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (exports / "x.jsonl").write_bytes(TASK)
    return evaluating(folder, "exports")


def _changing(change: Callable[[Path], None]) -> Callable[[Path, int], list[str]]:
    """A file that changes while it is read: something is done to it again and again in the background."""

    def arguments(folder: Path, scale: int) -> list[str]:
        file = folder / "x.jsonl"
        file.write_bytes(b"".join(TASK.replace(b'"t"', b'"%d"' % n) for n in range(40_000)))

        def work() -> None:
            until = time.monotonic() + 8
            while time.monotonic() < until:
                change(file)
                time.sleep(0.01)

        threading.Thread(target=work, daemon=True).start()
        return evaluating(folder, "x.jsonl")

    return arguments


def _grow(file: Path) -> None:
    with file.open("ab") as out:
        out.write(TASK.replace(b'"t"', b'"%d"' % time.monotonic_ns()))


def _shrink(file: Path) -> None:
    os.truncate(file, max(file.stat().st_size * 9 // 10, 0))


def _replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(TASK)
    other.replace(file)


case("special-loop-of-links", _loop_without_bad_link, DONE, "link to a folder", ids("t"))
case("special-link-to-itself", _loop, INPUT, "itself.jsonl")
case("special-loop-by-pattern", _loop_by_pattern, DONE, "", ids("t"))
case("special-pipe", _pipe, INPUT, "not-a-file")
case("special-pipe-in-a-folder", _pipe_in_folder, INPUT, "not-a-file")
case("special-device-zero", _device("zero"), INPUT, "not-a-file")
case("special-device-full", _device("full"), INPUT, "not-a-file")
case("special-terminal", _device("tty"), INPUT, "")
case("special-link-to-device", _link_to_device, INPUT, "not-a-file")
case("special-unreadable", _unreadable, INPUT, "")
case("special-not-permitted", _not_permitted, (DONE, INPUT))
case("special-deep-folders", _deep_folders, (DONE, INPUT))
case("special-file-that-grows", _changing(_grow), (DONE, INPUT))
case("special-file-that-shrinks", _changing(_shrink), (DONE, INPUT, NOTHING))
case("special-file-that-is-replaced", _changing(_replace), (DONE, INPUT))
