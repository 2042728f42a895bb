"""Puts a finished report where it belongs, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import sleep

from policy_engine.core.files.drafts import claim_name, draft_folder, held, is_draft, put_in_place, remove
from policy_engine.core.files.signals import refuse_if_interrupted, uninterrupted
from policy_engine.core.files.system_errors import is_out_of_room
from policy_engine.core.problems import Problem, UsageProblem
from policy_engine.core.safe_text import plain
from policy_engine.report.files import EXTRA_FILES, MANIFEST, REPORT_FILES

MANIFEST_SCHEMA = "policy-engine/manifest/v1"


_PATIENCE, _ATTEMPTS, _PAUSE = 200, 5, 0.05
"""How often a run waits for another run to publish, how often it tries to publish, and the seconds in between."""


def is_report(folder: Path) -> bool:
    """True for a folder that `write_report` has made: its manifest says so."""
    try:
        with (folder / MANIFEST).open("rb") as stream:
            return MANIFEST_SCHEMA.encode() in stream.read(200)
    except OSError:
        return False


def check_folder(folder: Path) -> None:
    """
    Refuse a folder that holds anything but an earlier report; raises UsageProblem.

    What other runs, at work or killed, have in it does not count.
    """
    try:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise UsageProblem(
                Problem("output-is-a-file", f"`{plain(folder)}` is a file", help="name a folder with -o")
            )
        name = _real(folder).name
        entries = sorted(path.name for path in folder.iterdir())
        present = [entry for entry in entries if not is_draft(entry, name)]
        foreign = [name for name in present if name not in (*REPORT_FILES, *EXTRA_FILES) or (folder / name).is_dir()]
    except OSError as error:
        raise _unwritable(folder, error) from None
    if foreign:
        raise UsageProblem(Problem(
            "foreign-files", f"the folder `{plain(folder)}` holds other files, for instance `{plain(foreign[0])}`",
            help="nothing was written; name a new folder with -o, or move those files away",
        ))  # fmt: skip
    # A run that was killed while it published may have left a part of its report; the next run completes it.
    if present and claim_name(name) not in entries and not is_report(folder):
        raise UsageProblem(Problem(
            "foreign-files",
            f"the folder `{plain(folder)}` holds `{plain(present[0])}` and no manifest.json of an earlier report",
            help="nothing was written; name a new folder with -o, or move that file away",
        ))  # fmt: skip


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """A folder beside the target (so that renaming is possible), removed unless it became the target."""
    target = _real(folder)
    parent = target if _stays(target) else target.parent
    with ExitStack() as stack:
        try:
            parent.mkdir(parents=True, exist_ok=True)
            if parent == target:
                _end_publishing(target)
            staging = stack.enter_context(draft_folder(parent, target.name))
        except OSError as error:
            raise _unwritable(folder, error) from None
        yield staging


def _real(folder: Path) -> Path:
    """A link is followed, so that the report is where it points to."""
    return Path(os.path.realpath(folder))


def _stays(folder: Path) -> bool:
    """True for a folder that must not be renamed: a mount point, a working directory, one in a read-only folder."""
    if not folder.is_dir():
        return False
    here = _real(Path.cwd())
    return (
        folder == here
        or folder in here.parents
        or os.path.ismount(folder)
        or not os.access(folder.parent, os.W_OK | os.X_OK)
    )


def publish(staging: Path, folder: Path) -> None:
    """Put the finished folder in place; an earlier report stays until the new one is complete."""
    target = _real(folder)
    with uninterrupted():
        refuse_if_interrupted()
        check_folder(folder)
        if staging.parent == target:
            _publish_within(staging, target)
        else:
            put_in_place(staging, target)


def _publish_within(staging: Path, folder: Path) -> None:
    """
    Move the files of a report into the folder around it, which must not be renamed.

    INVARIANT: as long as a folder of the claimed name is there, it and the folder around it make a complete report,
    which the next run completes if this one is killed.
    """
    claim = folder / claim_name(folder.name)
    for _ in range(_PATIENCE):
        try:
            staging.rename(claim)
        except OSError:
            if not claim.exists():
                raise
            _end_publishing(folder)
            sleep(_PAUSE)
            continue
        _move_patiently(claim, folder)
        return
    raise UsageProblem(Problem(
        "folder-in-use", f"another run is publishing its report in `{plain(folder)}`, or was killed while it did",
        help=f"if no other run is working there, remove `{plain(claim)}` and run again",
    ))  # fmt: skip


def _move_patiently(claim: Path, folder: Path) -> None:
    """Move the files; what the system refuses once it may allow the next time."""
    for attempt in range(_ATTEMPTS):
        try:
            _move_files(claim, folder)
            return
        except OSError as error:
            if attempt == _ATTEMPTS - 1:
                why = error.strerror or plain(error)
                raise UsageProblem(Problem(
                    "half-published", f"not all files of the report could be moved into `{plain(folder)}`: {why}",
                    help=f"the others are in `{plain(claim)}`; make sure that they can be moved, and run again, which "
                    "puts the report together",
                )) from None  # fmt: skip
        sleep(_PAUSE)


def _end_publishing(folder: Path) -> None:
    """Publish the report that a killed run had completed; nothing when that run is still at work."""
    claim = folder / claim_name(folder.name)
    with suppress(BlockingIOError), uninterrupted():
        if claim.exists():
            with held(claim) as is_ours:
                if is_ours:
                    _move_files(claim, folder)


def _move_files(claim: Path, folder: Path) -> None:
    # A folder without a manifest is not a report, so a run that ends between two files leaves no false report.
    if (claim / MANIFEST).exists():
        wanted = json.loads((claim / MANIFEST).read_bytes())["outputs"]
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in (*EXTRA_FILES, *REPORT_FILES):
            if (claim / name).exists():
                (claim / name).replace(folder / name)
            elif name not in wanted:
                (folder / name).unlink(missing_ok=True)
    remove(claim)


def _unwritable(folder: Path, error: OSError) -> UsageProblem:
    if is_out_of_room(error):
        raise error
    return UsageProblem(Problem(
        "unwritable-folder", f"`{plain(folder)}` cannot be written: {error.strerror or error}",
        help="name another folder with -o",
    ))  # fmt: skip
