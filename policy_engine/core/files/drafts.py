"""Makes places for results in the making, and clears away what runs that were killed have left of theirs."""

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
    """Name of the folder whose files are being moved into the one around it; only one run can have it."""
    return f".{target}.publishing"


def draft_folder(place: Path, target: str) -> AbstractContextManager[Path]:
    """A new folder in `place` for what is to be called `target`; removed at the end, unless it was moved."""
    return _draft(place, target, is_folder=True)


def draft_file(target: Path) -> AbstractContextManager[Path]:
    """A new empty file beside `target`; removed at the end, unless it was moved."""
    return _draft(target.parent, target.name, is_folder=False)


@contextmanager
def _draft(place: Path, target: str, *, is_folder: bool) -> Iterator[Path]:
    draft = None
    try:
        with uninterrupted():
            clear_abandoned(place, target)
            draft = _new_draft(place, target, is_folder=is_folder)
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
                # The name of the system's folder is asked for first: it may be a link.
                place = Path(os.path.realpath(tempfile.gettempdir()))
                with suppress(OSError):
                    _clear_scratch(place)
                folder, lock = _new_scratch(place)
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


def clear_abandoned(place: Path, target: str) -> None:
    """
    Remove drafts of `target` whose runs have ended without doing so; those of runs at work stay.

    An earlier result that a killed run had moved aside, and not yet replaced, goes back to its place.
    """
    with suppress(OSError):
        for name in sorted(name for name in os.listdir(place) if is_draft(name, target)):  # noqa: PTH208 - names alone
            path = place / name
            if name == claim_name(target):
                continue
            with suppress(OSError), held(path) as is_ours:
                if is_ours and ".earlier-" in name and not (place / target).exists():
                    path.rename(place / target)
                elif is_ours:
                    remove(path)


def _clear_scratch(place: Path) -> None:
    for entry in os.scandir(place):
        # A folder of somebody's own may begin alike, but is hardly closed to everybody else and named to this length.
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


def _new_draft(place: Path, target: str, *, is_folder: bool) -> tuple[Path, int | None]:
    """A new file or folder that is ours, and the descriptor that says so; raises OSError."""
    number = 0
    while True:
        number += 1
        # Processes in two containers can have one number, and share a folder.
        path = place / f".{target}.partial-{os.getpid()}{f'-{number}' if number > 1 else ''}"
        try:
            if is_folder:
                path.mkdir(mode=0o755)
            else:
                path.touch(exist_ok=False)
            return path, _hold(path)
        except (FileExistsError, BlockingIOError):
            # There is one of that name, or another run took this one for abandoned before it could be held.
            continue


def _new_scratch(place: Path) -> tuple[Path, int | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=place))
        with suppress(BlockingIOError):
            return folder, _hold(folder)


def _discard(path: Path, lock: int | None) -> None:
    """Remove what is at the path of a draft, unless that was moved and another run has taken the name."""
    _let_go(lock)
    try:
        with held(path):
            remove(path)
    except BlockingIOError:
        return
    except MemoryError:
        pass
    if os.path.lexists(path):
        # There is more memory, and there are more files to open, when Python ends and the run has given its own back.
        atexit.register(remove, path)


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """
    Hold a file or folder that a run may have left; False where nobody can say whether that run has ended.

    Raises BlockingIOError when it has not.
    """
    lock = _hold(path)
    try:
        yield lock is not None
    finally:
        _let_go(lock)


def _hold(path: Path) -> int | None:
    """
    Tell other runs that this one needs a file or folder; None if that is not possible.

    The system forgets it with the process, however that ends. What cannot be held is never taken for abandoned:
    Windows and some network file systems know no such thing. Raises BlockingIOError when another run needs it, or has
    just removed it.
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
        _let_go(descriptor)
        raise BlockingIOError from error
    except OSError:
        _let_go(descriptor)
        return None
    return descriptor


def _let_go(lock: int | None) -> None:
    if lock is not None:
        import fcntl

        # Closing alone would not do while a process that was started meanwhile has not ended: it holds the file, too.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def put_in_place(draft: Path, target: Path) -> None:
    """
    Give a finished folder the name of its target; what was there is then at the draft's, to be removed with it.

    In one step where the system can, so that a reader, or a run that is killed, sees the one or the other.
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


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; False where the system or the file system cannot."""
    import ctypes

    try:
        system = ctypes.CDLL(None, use_errno=True)
        paths = os.fsencode(one), os.fsencode(other)
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
    # Held, so that no other run takes it for abandoned between the two steps.
    with held(target):
        target.rename(earlier)
        try:
            draft.rename(target)
        except BaseException:
            earlier.rename(target)
            raise
        remove(earlier)
