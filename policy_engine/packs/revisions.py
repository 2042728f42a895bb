"""Turns a rule pack and a git revision into the RulePack as it was there; nothing in the working copy is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path, PurePosixPath

from policy_engine.model import RulePack
from policy_engine.packs.loading import PackFolder, bundled_pack_names, read_folder
from policy_engine.problems import Problem, UsageProblem, plain
from policy_engine.resources import bundled

_FILES = ("100644", "100755")
"""Modes of plain files; links and submodules are not followed."""


def read_pack_at(location: str, revision: str) -> RulePack:
    """
    Read the pack at `location` (a bundled name or a folder) as it was in a git revision.

    Places in problems read `REVISION:path`. Raises UsageProblem when there is no git, no such revision, or no pack
    there; PackInvalid when the pack that was there is invalid.
    """
    # Without links, since git names the top of the repository so.
    folder = Path(os.path.realpath(bundled("rules") / location if location in bundled_pack_names() else location))
    git = _Git(folder, location)
    if not revision or revision.startswith("-") or ":" in revision:
        raise _no_revision(revision, location)
    found = git.ask("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if found is None:
        raise _no_revision(revision, location)
    commit = found.decode().strip()
    inside = folder.relative_to(git.top).as_posix()
    listing = git.ask("ls-tree", "-r", "-z", "--full-tree", commit, *([] if inside == "." else ["--", f"{inside}/"]))
    files: dict[str, str] = {}
    for line in filter(None, (listing or b"").split(b"\0")):
        head, _, path = line.partition(b"\t")
        mode, _, oid = head.decode().split()
        if mode in _FILES:
            name = os.fsdecode(path)
            files[name if inside == "." else name.removeprefix(f"{inside}/")] = oid
    wanted = {name: oid for name, oid in files.items() if _is_of_a_pack(name)}
    if "pack.yaml" not in wanted:
        message = f"there is no rule pack `{plain(location)}` in revision `{plain(revision)}`"
        raise UsageProblem(
            Problem(
                "no-pack-in-revision",
                message,
                help="name a revision that holds it (`git log -- FOLDER` lists them); a new pack has none yet",
            )
        )
    with tempfile.TemporaryDirectory(prefix="policy-engine-") as place:
        for name, content in zip(wanted, git.contents(list(wanted.values())), strict=True):
            target = Path(place, *PurePosixPath(name).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        shown_as = f"{revision}:{inside}"
        return read_folder(PackFolder(Path(place), shown_as, shown_as))


def _is_of_a_pack(name: str) -> bool:
    """The files that reading a pack looks at, and no path that leaves the folder."""
    parts = PurePosixPath(name).parts
    return ".." not in parts and (
        (len(parts) == 1 and name.endswith((".yaml", ".yml"))) or (len(parts) > 1 and parts[0] in ("rules", "cases"))
    )


class _Git:
    """The git repository that a folder lies in."""

    def __init__(self, folder: Path, location: str) -> None:
        program = shutil.which("git")
        if program is None:
            raise UsageProblem(
                Problem("no-git", "git is not installed, so no revision can be read", help="install git")
            )
        self._program = program
        # A folder that exists in the revision only has no place to ask from but the one above.
        self._folder = next(place for place in (folder, *folder.parents) if place.is_dir())
        top = self.ask("rev-parse", "--show-toplevel")
        if top is None:
            raise UsageProblem(
                Problem(
                    "no-git", f"the folder of `{plain(location)}` lies in no git repository that can be read",
                    help="revisions need a folder under version control; `git status` there says what is wrong",
                )
            )  # fmt: skip
        self.top = Path(os.path.realpath(os.fsdecode(top.rstrip(b"\n"))))

    def ask(self, *arguments: str, given: bytes = b"") -> bytes | None:
        """What git answers, or None when it refuses."""
        # Arguments are a list and no shell reads them; a revision that begins with `-` was refused before.
        done = subprocess.run(  # noqa: S603
            [self._program, "-C", str(self._folder), *arguments],
            input=given,
            capture_output=True,
            check=False,
            env=_environment(),
        )
        return done.stdout if done.returncode == 0 else None

    def contents(self, oids: list[str]) -> list[bytes]:
        """The content of each blob, byte for byte."""
        answer = self.ask("cat-file", "--batch", given="".join(f"{oid}\n" for oid in oids).encode()) or b""
        found = []
        at = 0
        for _ in oids:
            end = answer.index(b"\n", at)
            size = int(answer[at:end].split()[-1])
            found.append(answer[end + 1 : end + 1 + size])
            at = end + 1 + size + 1
        return found


def _environment() -> dict[str, str]:
    """The environment without what a hook of git says of another folder: the repository is that of the pack."""
    local = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY")
    kept = {name: value for name, value in os.environ.items() if name not in local}
    return {**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}


def _no_revision(revision: str, location: str) -> UsageProblem:
    return UsageProblem(
        Problem(
            "unknown-revision",
            f"there is no revision `{plain(revision)}` in the git repository of `{plain(location)}`",
            help="name a branch, a tag or a commit; a shallow clone may lack it: `git fetch --unshallow`",
        )
    )
