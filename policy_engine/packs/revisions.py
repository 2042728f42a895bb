"""
Reads rule packs as they were at a git revision, without touching the working copy.

Only git's own objects are read (no checkout, no hook, no attribute of the repository, no network), and only the files
that make a pack: they are laid out in a temporary folder and read from there like any other pack.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from policy_engine.core.problems import Problem, UsageProblem, suggest
from policy_engine.core.rule_model import RulePack
from policy_engine.core.safe_text import plain
from policy_engine.packs.loading import PACK_SHAPE, PackFolder, bundled_pack_names, read_folder, read_pack

_HEADS = ("pack.yaml", "catalog.yaml")
_MAX_FILES = 20_000
"""Most files of one pack; a folder with more is refused."""
_FILE_MODES = ("100644", "100755")
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")


def resolve_pack(text: str, path: str | None = None) -> RulePack:
    """
    Read the pack that a person means: a bundled name, a folder, or a git revision (`main`, `HEAD~1`, `v1:rules/acme`).

    `path` is the folder of the pack inside the repository, for a revision that does not name it; without it the
    revision must hold one pack only. Raises UsageProblem where there is no such pack, PackInvalid for a broken one.
    """
    if text in bundled_pack_names():
        return read_pack(text)
    folder = Path(text)
    if text and folder.is_dir():
        if not any((folder / head).exists() for head in (*_HEADS, "rules")):
            raise _usage("not-a-pack", f"the folder `{plain(text)}` holds no rule pack", PACK_SHAPE)
        return read_pack(folder)
    if text and folder.exists():
        raise _usage("not-a-pack", f"`{plain(text)}` is a file, not a rule pack", PACK_SHAPE)
    revision, colon, inside = text.partition(":")
    repository = _Repository.around(Path.cwd(), text)
    commit = repository.commit(revision, text)
    if colon:
        return repository.read(commit, revision, repository.within(inside))
    if path is not None:
        return repository.read(commit, revision, repository.within(path))
    return repository.read(commit, revision, repository.only_pack(commit, revision))


def read_pack_at(location: str, revision: str) -> RulePack:
    """
    Read the pack of a folder as it was at a git revision of the repository around it; a bundled name means the
    folder of that name in `rules` of the repository around the present folder.

    The folder need not exist any more. Raises UsageProblem without git, repository, revision or pack there,
    PackInvalid when the pack of that day is broken.
    """
    is_bundled = location in bundled_pack_names()
    # The bundled packs of an installed program are not in a repository; those of this repository are in its `rules`.
    folder = Path(location)
    repository = _Repository.around(folder if folder.is_dir() and not is_bundled else Path.cwd(), revision)
    found = repository.find(revision)
    if found is None:
        raise _usage(
            "unknown-revision",
            f"there is no revision `{plain(revision)}` in the git repository of `{plain(location)}`",
            "name a branch, a tag or a commit; a shallow clone may lack it: `git fetch --unshallow`",
        )
    if is_bundled:
        return repository.read(found, revision, f"rules/{location}")
    inside = os.path.relpath(folder.resolve(), repository.top)
    if inside.startswith(".."):
        raise _usage(
            "no-pack-in-revision",
            f"`{plain(location)}` is not in the git repository `{plain(repository.top)}`",
            "give a folder inside the repository",
        )
    return repository.read(found, revision, PurePosixPath(Path(inside).as_posix()).as_posix())


class _Repository:
    """A git repository that is only read."""

    def __init__(self, top: Path, here: Path) -> None:
        self.top = top
        self._here = here

    @classmethod
    def around(cls, folder: Path, wanted: str) -> _Repository:
        """The repository around a folder."""
        done = _git(folder, "rev-parse", "--show-toplevel")
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            why = (
                said[0] if said and "not a git repository" not in said[0] else "this folder is not in a git repository"
            )
            raise _usage(
                "unknown-pack",
                f"there is no folder and no bundled rule pack called `{plain(wanted)}`, and no git revision can be "
                f"looked up: {plain(why.removeprefix('fatal: '), 300)}",
                f"bundled packs: {', '.join(f'`{name}`' for name in bundled_pack_names())}; give a folder, or run this "
                "inside the repository",
            )
        return cls(Path(done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")).resolve(), folder.resolve())

    def commit(self, revision: str, wanted: str) -> str:
        """The commit that a revision names, as git's own id."""
        found = self.find(revision)
        if found is None:
            names = [*self._names("refs/heads"), *self._names("refs/tags"), *bundled_pack_names()]
            near = suggest(revision, names)
            raise _usage(
                "unknown-revision",
                f"`{plain(wanted)}` is not a folder, a bundled rule pack or a git revision",
                f"did you mean `{plain(near)}`?" if near else "look at `git log`, or check the spelling of the folder",
            )
        return found

    def find(self, revision: str) -> str | None:
        """The commit that a revision names, or None when it names none."""
        done = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        return done.stdout.decode().strip() if revision and not done.returncode else None

    def within(self, path: str) -> str:
        """A path as git has it: from the top of the repository, or from here where it starts with `./`."""
        if path.startswith(("./", "../")) or path in (".", ".."):
            path = Path(os.path.relpath((self._here / path).resolve(), self.top)).as_posix()
        parts = PurePosixPath(path.replace("\\", "/")).parts
        if ".." in parts or path.startswith("/"):
            raise _usage(
                "no-pack-in-revision", f"`{plain(path)}` is not in the git repository", "give a path inside it"
            )
        return "/".join(parts) or "."

    def only_pack(self, commit: str, revision: str) -> str:
        """The folder of the only pack of a revision; packs below `rules` come before all others."""
        found = self.packs(commit)
        in_rules = [name for name in found if name.startswith("rules/") and name.count("/") == 1]
        chosen = in_rules or found
        if len(chosen) == 1:
            return chosen[0]
        if not chosen:
            raise _usage("no-pack-in-revision", f"there is no rule pack in `{plain(revision)}`", PACK_SHAPE)
        raise _usage(
            "several-packs",
            f"`{plain(revision)}` holds {len(chosen)} rule packs: {_listing(chosen)}",
            f"name one with --path, or write `{plain(revision)}:{plain(chosen[0])}`",
        )

    def packs(self, commit: str) -> list[str]:
        """Folders of a commit that hold both head files of a pack."""
        done = self._run("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit)
        names = set(done.stdout.decode("utf-8", "surrogateescape").split("\0"))
        folders = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] == "pack.yaml"}
        return sorted(
            folder or "." for folder in folders if (f"{folder}/catalog.yaml" if folder else "catalog.yaml") in names
        )

    def read(self, commit: str, revision: str, path: str) -> RulePack:
        """Lay out the files of a pack in a temporary folder and read it from there."""
        entries = self._entries(commit, path)
        if not any(name in _HEADS for name, _ in entries):
            others = self.packs(commit)
            near = suggest(path, others)
            if near:
                advice = f"did you mean `{plain(near)}`?"
            else:
                advice = f"it holds packs at {_listing(others)}" if others else PACK_SHAPE
            raise _usage(
                "no-pack-in-revision", f"there is no rule pack `{plain(path)}` in revision `{plain(revision)}`", advice
            )
        shown_as = f"{revision}:{path}"
        with tempfile.TemporaryDirectory(prefix="policy-engine-") as spool:
            for (name, _), data in zip(entries, self._blobs([blob for _, blob in entries]), strict=True):
                target = Path(spool, *name.split("/"))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            pack = read_folder(PackFolder(Path(spool), shown_as, shown_as))
        return replace(pack, location=shown_as)

    def _entries(self, commit: str, path: str) -> list[tuple[str, str]]:
        """(name within the pack, blob) of the files that make a pack; links and submodules do not."""
        tree = commit if path == "." else f"{commit}:{path}"
        done = self._run("ls-tree", "-r", "-z", "--full-tree", tree)
        if done.returncode:
            return []
        entries = []
        for line in done.stdout.decode("utf-8", "surrogateescape").split("\0"):
            facts, _, name = line.partition("\t")
            is_part = name in (*_HEADS, "pack.yml", "catalog.yml") or name.startswith("rules/")
            # A tree made by hand can hold names that lead out of the folder.
            is_plain = "\\" not in name and not {"", ".", ".."} & set(name.split("/"))
            if is_part and is_plain and facts.split(" ")[0] in _FILE_MODES and name.endswith((".yaml", ".yml")):
                entries.append((name, facts.split(" ")[2]))
        if len(entries) > _MAX_FILES:
            raise _usage(
                "no-pack-in-revision", f"`{plain(path)}` holds more than {_MAX_FILES:,} rule files", PACK_SHAPE
            )
        return entries

    def _blobs(self, ids: list[str]) -> Iterable[bytes]:
        """The contents of blobs, as git stores them."""
        done = self._run("cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in ids).encode())
        data, at = done.stdout, 0
        for blob in ids:
            end = data.find(b"\n", at)
            head = data[at:end].split(b" ")
            if end < 0 or len(head) != 3 or head[1] != b"blob":
                raise _usage(
                    "unknown-revision", f"git does not have the file {plain(blob, 12)} of that revision",
                    "is this a partial copy of the repository? fetch the rest of it",
                )  # fmt: skip
            size = int(head[2])
            yield data[end + 1 : end + 1 + size]
            at = end + 1 + size + 1

    def _names(self, kind: str) -> list[str]:
        done = self._run("for-each-ref", "--format=%(refname:short)", kind)
        return done.stdout.decode("utf-8", "replace").split("\n")[:1000]

    def _run(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return _git(self.top, *arguments, stdin=stdin)


def _git(folder: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run git to read something; it asks nobody, locks nothing and fetches nothing."""
    # A hook runs with these set for itself; here the folder decides which repository is meant.
    inherited = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    environment = {
        **inherited,
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }
    try:
        return subprocess.run(  # noqa: S603 (a list of arguments, and revisions follow --end-of-options)
            ["git", "-C", str(folder), "--no-pager", "-c", "protocol.allow=never", *arguments],  # noqa: S607 (the user's own git)
            input=stdin,
            capture_output=True,
            check=False,
            env=environment,
        )
    except OSError:
        raise _usage(
            "no-git", "git is not installed, and without it no revision can be read",
            "install git, or give folders",
        ) from None  # fmt: skip


def _listing(names: list[str]) -> str:
    return ", ".join(f"`{plain(name)}`" for name in names[:5]) + (", \u2026" if len(names) > 5 else "")


def _usage(code: str, message: str, help_: str) -> UsageProblem:
    return UsageProblem(Problem(code, message, help=help_))
