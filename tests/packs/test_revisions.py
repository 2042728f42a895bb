"""Packs at git revisions: the one a person means is read as it stood, and what cannot be read is said clearly."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from policy_engine.core.problems import PackInvalid, UsageProblem
from policy_engine.packs import read_pack, read_pack_at, resolve_pack
from tests.support.commands import policy_engine
from tests.support.paths import PACKS

pytestmark = pytest.mark.slow

MINIMAL = PACKS / "valid" / "minimal"


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, with nothing of the user's own settings."""
    who = {f"GIT_{role}_{what}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    environment = {**os.environ, **who, **settings}
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, env=environment)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A repository with a pack at rules/acme: tag `v1` as it is, then a shorter period, then a broken file on `broken`.

    Attributes of the repository would leave the catalog out of an archive; nothing here may listen to them.
    """
    folder = tmp_path / "work"
    pack = folder / "rules" / "acme"
    shutil.copytree(MINIMAL, pack)
    (folder / ".gitattributes").write_text("catalog.yaml export-ignore\n", encoding="utf-8")
    git(folder, "init", "-q", "-b", "trunk")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    git(folder, "tag", "v1")
    rule = pack / "rules" / "film-clean.yaml"
    rule.write_text(rule.read_text("utf-8").replace("P2D", "P1D"), encoding="utf-8")
    git(folder, "commit", "-q", "-a", "-m", "second")
    git(folder, "checkout", "-q", "-b", "broken")
    (pack / "rules" / "film-marked.yaml").write_text("id: [\n", encoding="utf-8")
    git(folder, "commit", "-q", "-a", "-m", "third")
    git(folder, "checkout", "-q", "trunk")
    monkeypatch.chdir(folder)
    return folder


def test_a_revision_is_read_as_it_stood(repository: Path) -> None:
    """
    A tag, a branch and a step back give the pack of that time, byte for byte, and leave the working copy alone.
    """
    (repository / "rules" / "acme" / "rules" / "film-clean.yaml").unlink()
    first = resolve_pack("v1")
    assert first.digest == resolve_pack("HEAD~1").digest == read_pack(MINIMAL).digest
    assert first.location == "v1:rules/acme"
    assert resolve_pack("trunk").digest != first.digest
    assert read_pack_at("rules/acme", "v1").digest == first.digest
    assert sorted(path.name for path in (repository / "rules" / "acme" / "rules").iterdir()) == ["film-marked.yaml"]


def test_a_pack_is_named_by_its_place(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    `REV:path` and --path count from the top of the repository, and from here where they start with `./`; a folder
    that is gone can still be read where it was.
    """
    shutil.copytree(MINIMAL, repository / "rules" / "other")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "fourth")
    with pytest.raises(UsageProblem, match="holds 2 rule packs: `rules/acme`, `rules/other`"):
        resolve_pack("trunk")
    digest = read_pack(MINIMAL).digest
    assert resolve_pack("trunk:rules/other").digest == digest
    assert resolve_pack("trunk", "rules/other/").digest == digest
    shutil.rmtree(repository / "rules" / "other")
    assert read_pack_at("rules/other", "trunk").digest == digest
    monkeypatch.chdir(repository / "rules")
    assert resolve_pack("trunk:./other").digest == digest
    assert read_pack_at("other", "trunk").digest == digest


def test_a_bundled_name_is_looked_for_in_the_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    `piapi` at a revision is rules/piapi of the repository one is in, also from within a hook of git.
    """
    shutil.copytree(MINIMAL, repository / "rules" / "piapi")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "fourth")
    (repository / "below").mkdir()
    monkeypatch.chdir(repository / "below")
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/index")
    assert read_pack_at("piapi", "trunk").location == "trunk:rules/piapi"
    with pytest.raises(UsageProblem, match="there is no rule pack `rules/piapi` in revision `v1`"):
        read_pack_at("piapi", "v1")


def test_folders_and_bundled_packs_come_first(repository: Path) -> None:
    """
    A name that is a bundled pack or a folder means that, and not a branch of the same name.
    """
    git(repository, "branch", "piapi")
    git(repository, "branch", "rules/acme")
    assert resolve_pack("piapi").digest == read_pack("piapi").digest
    assert resolve_pack("rules/acme").location == "rules/acme"


WRONG = {
    "no revision": ("tunk", "`tunk` is not a folder, a bundled rule pack or a git revision", "did you mean `trunk`?"),
    "an option": ("--help", "`--help` is not a folder", "git log"),
    "nothing": ("", "is not a folder", "git log"),
    "no pack there": (
        "v1:rules/acne",
        "there is no rule pack `rules/acne` in revision `v1`",
        "did you mean `rules/acme`?",
    ),
    "outside": ("v1:../other", "is not in the git repository", "give a path inside it"),
    "a file": (".gitattributes", "is a file, not a rule pack", "a pack is a folder"),
    "revision without": ("empty", "there is no rule pack in `empty`", "a pack is a folder"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("side", [0, 1])
def test_what_cannot_be_read_is_said(name: str, side: int, repository: Path) -> None:
    """
    A revision that does not exist or holds no such pack, on either side, is one sentence with what to do, and exit 2.
    """
    git(repository, "checkout", "-q", "--orphan", "empty")
    git(repository, "rm", "-rq", "--cached", ".")
    git(repository, "commit", "-q", "--allow-empty", "-m", "nothing")
    git(repository, "symbolic-ref", "HEAD", "refs/heads/trunk")
    text, sentence, advice = WRONG[name]
    arguments = [text, "v1"] if side == 0 else ["v1", text]
    done = policy_engine("diff", "--", *arguments)
    assert (done.code, done.out) == (2, b"")
    assert sentence in done.err
    assert advice in done.err
    assert done.err.count("error[") == 1


def test_a_folder_without_a_pack_is_a_pack_missing(tmp_path: Path) -> None:
    """
    A folder that holds nothing of a pack is exit 2; one that holds a broken pack is exit 3.
    """
    assert policy_engine("diff", str(tmp_path), "piapi").code == 2
    (tmp_path / "pack.yaml").write_text("id: x\n", encoding="utf-8")
    assert policy_engine("diff", "piapi", str(tmp_path)).code == 3


def test_a_broken_pack_of_a_revision_names_its_places(repository: Path) -> None:
    """
    Problems in a pack of a revision carry the revision, the file and the line; both sides are told at once.
    """
    with pytest.raises(PackInvalid) as caught:
        resolve_pack("broken")
    assert caught.value.problems[0].span is not None
    assert caught.value.problems[0].span.file == "broken:rules/acme/rules/film-marked.yaml"
    (repository / "rules" / "acme" / "pack.yaml").write_text("id: x\n", encoding="utf-8")
    done = policy_engine("diff", "broken", "rules/acme")
    assert done.code == 3
    assert "broken:rules/acme/rules/film-marked.yaml:1:6" in done.err
    assert "rules/acme/pack.yaml:1:1" in done.err


def test_without_git_or_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Outside of a repository, and where git is not installed, a revision is refused in a sentence, and folders work.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageProblem, match="this folder is not in a git repository"):
        resolve_pack("main")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageProblem, match="git is not installed"):
        read_pack_at("piapi", "main")
    assert policy_engine("diff", "piapi", "piapi").code == 0


def test_links_and_paths_out_of_the_folder_are_left_alone(repository: Path) -> None:
    """
    A link in a revision is never followed: it is no file of the pack.
    """
    secret = repository / "secret.yaml"
    secret.write_text("id: secret\n", encoding="utf-8")
    link = repository / "rules" / "acme" / "rules" / "link.yaml"
    link.symlink_to(secret)
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "link")
    assert "trunk:rules/acme/rules/link.yaml" not in resolve_pack("trunk").texts
