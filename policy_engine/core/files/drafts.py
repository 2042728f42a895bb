"""Creates drafts of results beside their targets, and removes drafts of runs that were killed."""

from __future__ import annotations

import atexit
import errno
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from policy_engine.core.files.signals import uninterrupted
from policy_engine.core.problems import Problem, UsageProblem

_SCRATCH = "policy-engine-scratch-"


def is_draft(name: str, target: str) -> bool:
    """True for the name of something that a run makes beside (or in) `target` while it lasts."""
    return re.fullmatch(rf"\.{re.escape(target)}\.((partial|earlier)-[0-9]+(-[0-9]+)?|publishing)", name) is not None


def claim_name(target: str) -> str:
    """Name of the folder whose files are being moved into its parent; only one run can have it."""
    return f".{target}.publishing"


def draft_folder(parent: Path, target: str) -> AbstractContextManager[Path]:
    """A new folder in `parent` for a future `target`; removed at the end, unless it was moved."""
    return _draft(parent, target, is_folder=True)


def draft_file(target: Path) -> AbstractContextManager[Path]:
    """A new empty file beside `target`; removed at the end, unless it was moved."""
    return _draft(target.parent, target.name, is_folder=False)


@contextmanager
def _draft(parent: Path, target: str, *, is_folder: bool) -> Iterator[Path]:
    draft = None
    try:
        with uninterrupted():
            clear_abandoned(parent, target)
            draft = _new_draft(parent, target, is_folder=is_folder)
        yield draft[0]
    finally:
        with uninterrupted():
            if draft is not None:
                _discard(*draft)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """
    A folder for the temporary files of a whole run; raises UsageProblem where none can be made.

    It is made at once and locked while the run lasts, so that a later run can remove what a killed one has left.
    `scratch.Scratch` makes the folders of single stages inside it, without locks of their own.
    """
    folder, lock = None, None
    try:
        with uninterrupted():
            try:
                # The folder of the system may be a link.
                parent = Path(os.path.realpath(tempfile.gettempdir()))
                with suppress(OSError):
                    _clear_scratch(parent)
                folder, lock = _new_scratch(parent)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise UsageProblem(Problem(
                    "no-temporary-folder", "there is no folder for temporary files that can be written",
                    help="set TMPDIR to one",
                )) from None  # fmt: skip
        yield folder
    finally:
        with uninterrupted():
            if folder is not None:
                _discard(folder, lock)


def clear_abandoned(parent: Path, target: str) -> None:
    """
    Remove drafts of `target` that killed runs have left; drafts of running ones stay.

    An earlier result that a killed run had moved aside, and not yet replaced, is moved back.
    """
    with suppress(OSError):
        for name in sorted(name for name in os.listdir(parent) if is_draft(name, target)):  # noqa: PTH208 - names alone
            path = parent / name
            if name == claim_name(target):
                continue
            with suppress(OSError), held(path) as is_ours:
                if is_ours and ".earlier-" in name and not (parent / target).exists():
                    path.rename(parent / target)
                elif is_ours:
                    remove(path)


def _clear_scratch(parent: Path) -> None:
    for entry in os.scandir(parent):
        # A user's own folder may have the same prefix, but hardly the same length and no access for others.
        if re.fullmatch(rf"{_SCRATCH}[a-z0-9_]{{8}}", entry.name) is None:
            continue
        with suppress(OSError):
            if stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode) == 0o700:
                with held(Path(entry.path)) as is_ours:
                    if is_ours:
                        remove(Path(entry.path))


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, as far as the system allows."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _new_draft(parent: Path, target: str, *, is_folder: bool) -> tuple[Path, int | None]:
    """A new file or folder, and the descriptor that locks it; raises OSError."""
    number = 0
    while True:
        number += 1
        # Processes in two containers can have the same number, and share a folder.
        path = parent / f".{target}.partial-{os.getpid()}{f'-{number}' if number > 1 else ''}"
        try:
            if is_folder:
                path.mkdir(mode=0o755)
            else:
                path.touch(exist_ok=False)
            return path, _lock(path)
        except (FileExistsError, BlockingIOError):
            # The name is taken, or another run removed this one before it could be locked.
            continue


def _new_scratch(parent: Path) -> tuple[Path, int | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=parent))
        with suppress(BlockingIOError):
            return folder, _lock(folder)


def _discard(path: Path, lock: int | None) -> None:
    """Remove a draft, unless it was moved and another run has taken its name."""
    _unlock(lock)
    try:
        with held(path):
            remove(path)
    except BlockingIOError:
        return
    except MemoryError:
        pass
    if os.path.lexists(path):
        # Try again when Python ends, and the run has released its memory and open files.
        atexit.register(remove, path)


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """
    Lock a file or folder that a run may have left; False where it is unknown whether that run has ended.

    Raises BlockingIOError when it has not.
    """
    lock = _lock(path)
    try:
        yield lock is not None
    finally:
        _unlock(lock)


def _lock(path: Path) -> int | None:
    """
    Lock a file or folder, so that other runs know that it is in use; None where that is not possible.

    The system releases the lock with the process, however that ends. A file that cannot be locked is never considered
    abandoned: Windows and some network file systems have no such locks. Raises BlockingIOError when another run holds
    the lock, or has just removed the file.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = None
    try:
        found = path.lstat()
        if stat.S_IFMT(found.st_mode) not in (stat.S_IFREG, stat.S_IFDIR) or found.st_uid != os.geteuid():
            return None
        flags = os.O_RDONLY if stat.S_ISDIR(found.st_mode) else os.O_RDWR
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), path.lstat()):
            raise FileNotFoundError
    except (BlockingIOError, FileNotFoundError) as error:
        _unlock(descriptor)
        raise BlockingIOError from error
    except OSError:
        _unlock(descriptor)
        return None
    return descriptor


def _unlock(lock: int | None) -> None:
    if lock is not None:
        import fcntl

        # Closing is not enough while a process that was started meanwhile still runs: it has the file open, too.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def put_in_place(draft: Path, target: Path) -> None:
    """
    Give a finished folder the name of its target; an earlier folder then has the name of the draft, to be removed.

    In one step where the system can, so that a reader sees the old or the new one even if the run is killed.
    """
    while True:
        if not target.exists():
            try:
                draft.rename(target)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) or not target.exists():
                    raise
                # Another run was faster.
                continue
            return
        if not _exchange(draft, target):
            _replace_in_two_steps(draft, target)
        return


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two folders in one step; False where the system or the file system cannot."""
    import ctypes

    try:
        system = ctypes.CDLL(None, use_errno=True)
        paths = os.fsencode(first), os.fsencode(second)
        if sys.platform == "darwin":
            failed = system.renamex_np(*paths, 2)  # RENAME_SWAP
        else:
            here = -100  # AT_FDCWD: paths are as for every other call
            failed = system.renameat2(here, paths[0], here, paths[1], ctypes.c_uint(2))  # RENAME_EXCHANGE
    except (AttributeError, OSError, TypeError):
        return False
    return not failed


def _replace_in_two_steps(draft: Path, target: Path) -> None:
    earlier = draft.with_name(draft.name.replace(".partial-", ".earlier-"))
    # Locked, so that no other run considers it abandoned between the two steps.
    with held(target):
        target.rename(earlier)
        try:
            draft.rename(target)
        except BaseException:
            earlier.rename(target)
            raise
        remove(earlier)
