"""No space: full disks, no more files, limits of size and of open files, and every output refused one by one."""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import random
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.torture.faulting.bench import NEW, Bench, Spoil
from tools.torture.faulting.judging import Judge, Kind


@contextlib.contextmanager
def small_disks(bench: Bench) -> Iterator[bool]:
    """Small disks where results and temporary files are made; False where none can be mounted."""
    disks = [bench.base / name for name in ("out", "tmp")]
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs"]
    can = os.geteuid() == 0 and all([_is_done([*mount, str(disk)]) for disk in disks])
    try:
        yield can
    finally:
        for disk in disks:
            _is_done(["umount", "-q", str(disk)])


def _is_done(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def _resized(judge: Judge, disk: Path, option: str, back: str) -> Iterator[bool]:
    """A disk with other limits; False where it does not take them."""
    change = ["mount", "-o"]
    if not _is_done([*change, f"remount,{option}", str(disk)]):
        judge.tally.ended["the disk could not be made smaller"] += 1
        yield False
        return
    try:
        yield True
    finally:
        _is_done([*change, f"remount,{back}", str(disk)])


def disk_full(judge: Judge, dice: random.Random, command: str) -> None:
    """The disk has space for a part of the result only."""
    before = judge.start_from(dice, command)
    wanted = judge.bench.right[command, NEW]
    size = len(wanted) if isinstance(wanted, bytes) else sum(map(len, wanted.values()))
    _fill(judge, "out", dice.randrange(0, size + 40_000, 4096), command, before)


def temporary_disk_full(judge: Judge, dice: random.Random, command: str) -> None:
    """The disk of temporary files has space for a part of what several processes hand to each other."""
    before, judge.bench.jobs = judge.start_from(dice, command), 2
    _fill(judge, "tmp", dice.randrange(0, 300_000, 4096), command, before)


def _fill(judge: Judge, name: str, free: int, command: str, before: str | None) -> None:
    disk = judge.bench.base / name
    space = os.statvfs(disk)
    used = (space.f_blocks - space.f_bfree) * space.f_frsize
    # Of no size at all means without a limit.
    with _resized(judge, disk, f"size={max(used + free, 4096)}", "size=64m") as is_small:
        if not is_small:
            return
        ended = judge.bench.run(command, NEW)
    said = r"no-room\]: (the disk is full|records of tasks)|no-temporary-folder\]"
    judge.judge(command, before, ended, (2,), said=said, fault=f"{free} bytes free")


def no_more_files(judge: Judge, dice: random.Random, command: str) -> None:
    """The disk takes a few more files only."""
    before = judge.start_from(dice, command)
    disk = judge.bench.base / "out"
    space = os.statvfs(disk)
    free = dice.randrange(0, 14 if command.startswith("report") else 2)
    with _resized(judge, disk, f"nr_inodes={space.f_files - space.f_ffree + free}", "nr_inodes=100000") as is_small:
        if not is_small:
            return
        ended = judge.bench.run(command, NEW)
    judge.judge(command, before, ended, (2,), said=r"no-room\]: the disk is full", fault=f"{free} files free")


def size_of_files(judge: Judge, dice: random.Random, command: str) -> None:
    """No file may become larger than this."""
    before = judge.start_from(dice, command)
    wanted = judge.bench.right[command, NEW]
    size = len(wanted) if isinstance(wanted, bytes) else max(map(len, wanted.values()))
    limit = dice.randrange(size)
    ended = judge.bench.run(command, NEW, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    # What the command says itself is a file here, too, and may be longer than the limit.
    said = "" if limit < 1_000 else r"no-room\]: a file would become larger"
    if limit < 1_000:
        ended.err = "error[cut]"
    judge.judge(command, before, ended, (2,), said=said, fault=f"limit {limit}")


def open_files(judge: Judge, dice: random.Random, command: str) -> None:
    """No more files may be open than this."""
    before = judge.start_from(dice, command)
    limit = dice.randrange(6, 24)
    ended = judge.bench.run(command, NEW, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
    judge.judge(command, before, ended, (2, 4, 70), fault=f"limit {limit}")


def one_output(judge: Judge, dice: random.Random, command: str) -> None:
    """The system takes no more bytes of one file of the result, whichever that is, or says so when it is closed."""
    before = judge.start_from(dice, command)
    wanted = judge.bench.right[command, NEW]
    if isinstance(wanted, bytes):
        name, size = judge.bench.target(command).name, len(wanted)
    else:
        name = dice.choice(sorted(wanted))
        size = len(wanted[name])
    number = dice.choice([errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS])
    takes = dice.choice([0, dice.randrange(size), None])
    ended = judge.bench.run(command, NEW, _refusing(name, number, takes))
    when = "at its end" if takes is None else "in the middle" if takes else "at once"
    judge.tally.ended[f"{command}: {name} refused {when}: {ended.code}"] += 1
    is_full = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    said = r"no-room\]: " if is_full else r"error\[(refused-by-system|unwritable-f\w+)\]"
    judge.judge(command, before, ended, (2,), said=said, fault=f"{name}, errno {number}, after {takes} bytes")
    # The bytes of a workbook or of Parquet may be fewer than those that were right, since it is made in another order.
    if ended.code == 0 and (takes is None or not takes):
        judge.blame("a refused output was not noticed", fault=f"{name}, errno {number}, after {takes} bytes")


def _refusing(name: str, number: int, takes: int | None) -> Spoil:
    """Let files of a name, or their drafts, take this many bytes; None: all, with an error when they are closed."""

    class Refusing(io.FileIO):
        left = takes

        def write(self, data: Any, /) -> int:
            if self.left is None:
                return super().write(data)
            size = memoryview(data).nbytes
            if size > self.left:
                raise OSError(number, os.strerror(number))
            self.left -= size
            return super().write(data)

        def close(self) -> None:
            was_open = not self.closed
            super().close()
            if was_open and takes is None:
                raise OSError(number, os.strerror(number))

    opening = io.open

    def open_(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        base = os.path.basename(os.fspath(file)) if isinstance(file, str | os.PathLike) else ""  # noqa: PTH119
        is_meant = base == name or base.startswith(f".{name}.partial-")
        if not is_meant or not set("wax+") & set(mode):
            return opening(file, mode, *arguments, **options)
        raw = Refusing(file, mode.replace("b", ""))
        return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

    def spoil() -> None:
        io.open = builtins.open = open_

    return spoil


KINDS: dict[str, Kind] = {
    "disk full": disk_full,
    "disk of temporary files full": temporary_disk_full,
    "no more files on the disk": no_more_files,
    "file-size limit": size_of_files,
    "open-files limit": open_files,
    "one output refused": one_output,
}
NEED_DISKS = ("disk full", "disk of temporary files full", "no more files on the disk")
