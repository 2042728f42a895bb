"""Places for results in the making: what killed runs left is cleared away, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from policy_engine.core.files import drafts as staging
from policy_engine.core.files.drafts import clear_abandoned, draft_file, draft_folder, put_in_place, scratch_folder
from policy_engine.report.files import REPORT_FILES
from tests.support.commands import AS_OF, Done, environment, policy_engine
from tests.support.exports import task, write_lines

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no locks that end with a process")


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(one.name for one in folder.iterdir())


def filled(folder: Path, word: str) -> Path:
    """A folder with a file that says something."""
    folder.mkdir(parents=True)
    (folder / "said").write_text(word)
    return folder


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    """
    The next run into the same place removes the drafts of runs that have ended, folders and files.
    """
    filled(tmp_path / ".report.partial-17", "half")
    filled(tmp_path / ".report.partial-17-2", "half")
    (tmp_path / ".report.partial-18").write_text("half")
    with draft_folder(tmp_path, "report") as draft:
        assert names(tmp_path) == [draft.name]
    assert names(tmp_path) == []


def test_names_that_are_not_ours_stay(tmp_path: Path) -> None:
    """
    Only names that the program itself gives, for the very result that is being written, are looked at; no link is
    followed.
    """
    kept = [".report.partial-x", ".report.partial-1.bak", ".reports.partial-1", "report.partial-1", ".report.earlier"]
    for name in kept:
        filled(tmp_path / name, "mine")
    filled(tmp_path / "elsewhere", "mine")
    (tmp_path / ".report.partial-3").symlink_to(tmp_path / "elsewhere")
    before = names(tmp_path)
    clear_abandoned(tmp_path, "report")
    assert names(tmp_path) == before
    assert names(tmp_path / "elsewhere") == ["said"]


def test_drafts_of_runs_at_work_stay(tmp_path: Path) -> None:
    """
    Two runs into one place, even with one process number, as in two containers, have drafts of their own.
    """
    with (
        draft_folder(tmp_path, "report") as one,
        draft_folder(tmp_path, "report") as two,
        draft_file(tmp_path / "report") as three,
    ):
        clear_abandoned(tmp_path, "report")
        assert len({one, two, three}) == 3
        assert names(tmp_path) == sorted([one.name, two.name, three.name])
    assert names(tmp_path) == []


def test_draft_that_was_moved_is_not_looked_for_again(tmp_path: Path) -> None:
    """
    When a run has moved its draft and another one has taken the name, the other's draft is left alone.
    """
    with draft_folder(tmp_path, "report") as one:
        one.rename(tmp_path / "report")
        other = draft_folder(tmp_path, "report")
        assert other.__enter__() == one
    assert names(tmp_path) == sorted([one.name, "report"])
    other.__exit__(None, None, None)
    assert names(tmp_path) == ["report"]


@pytest.mark.parametrize("is_there", [True, False])
def test_earlier_result_goes_back_to_its_place(is_there: bool, tmp_path: Path) -> None:
    """
    Where a run was killed between moving the earlier result aside and putting the new one there, the earlier one comes
    back; where the new one is there, the earlier one goes.
    """
    filled(tmp_path / ".report.earlier-5", "earlier")
    if is_there:
        filled(tmp_path / "report", "new")
    clear_abandoned(tmp_path, "report")
    assert names(tmp_path) == ["report"]
    assert (tmp_path / "report" / "said").read_text() == ("new" if is_there else "earlier")


@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("earlier", ["none", "empty", "full"])
def test_new_result_takes_the_place_of_the_earlier(
    can_exchange: bool, earlier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The new folder gets the name, in one step where the system can and in two where it cannot, and nothing else stays.
    """
    if not can_exchange:
        monkeypatch.setattr(staging, "_exchange", lambda one, other: False)
    if earlier != "none":
        filled(tmp_path / "report", "old")
    if earlier == "empty":
        (tmp_path / "report" / "said").unlink()
    with draft_folder(tmp_path, "report") as draft:
        (draft / "said").write_text("new")
        put_in_place(draft, tmp_path / "report")
        assert (tmp_path / "report" / "said").read_text() == "new"
    assert names(tmp_path) == ["report"]


def test_folders_change_places_in_one_step(tmp_path: Path) -> None:
    """
    On Linux and macOS there is no instant at which neither the old nor the new result has the name.
    """
    one, other = filled(tmp_path / "one", "1"), filled(tmp_path / "other", "2")
    assert staging._exchange(one, other)
    assert [(path / "said").read_text() for path in (one, other)] == ["2", "1"]


def test_scratch_of_killed_runs_is_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Temporary files of runs that were killed go with the next run; those of runs at work, and folders of somebody's own
    that are called alike, stay.
    """
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    filled(tmp_path / "policy-engine-scratch-abcd1234", "left").chmod(0o700)
    filled(tmp_path / "policy-engine-scratch-abcd1235", "mine").chmod(0o755)
    filled(tmp_path / "policy-engine-scratch-notes", "mine").chmod(0o700)
    mine = ["policy-engine-scratch-abcd1235", "policy-engine-scratch-notes"]
    with scratch_folder() as one, scratch_folder() as two:
        assert names(tmp_path) == sorted([one.name, two.name, *mine])
        assert one.stat().st_mode & 0o777 == 0o700
    assert names(tmp_path) == mine


KILLED = """
import os, signal, sys
from pathlib import Path
from policy_engine.report import folder as report_folder
from policy_engine.core.files import drafts as staging
from policy_engine.cli import main

def then_die(holder, name, is_after):
    function = getattr(holder, name)
    def dying(*arguments):
        if is_after:
            function(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(holder, name, dying)

os.path.ismount = lambda path: "WITHIN" in os.environ and Path(path).name == "report"
if sys.argv[1] == "exchanging":
    then_die(staging, "_exchange", True)
elif sys.argv[1] == "in two steps":
    staging._exchange = lambda one, other: False
    rename = Path.rename
    Path.rename = lambda self, other: rename(self, other) and os.kill(os.getpid(), signal.SIGKILL)
elif sys.argv[1] == "between two files":
    replace = Path.replace
    def dying(self, other):
        if self.name == "expired.csv":
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, other)
    Path.replace = dying
else:
    then_die(report_folder, "publish", False)
del sys.argv[1]
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before", "exchanging", "in two steps", "between two files"])
def test_run_that_is_killed_while_it_publishes(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Wherever a run is killed, there is a whole report or, in the moment of a second step, one that the next run brings
    back, even if that one then fails; and the next run that succeeds leaves nothing but its report.
    """
    path = write_lines(tmp_path / "h.jsonl", [task(), task("t-2", "kling")])
    folder = tmp_path / "out" / "report"
    is_within = where == "between two files"

    def run(instant: str, history: Path = path) -> Done:
        with monkeypatch.context() as changed:
            changed.setattr(os.path, "ismount", lambda path: is_within and Path(path) == folder)
            return policy_engine("report", history, "--as-of", instant, "-o", folder)

    assert run(AS_OF).code == 0
    old = {one.name: one.read_bytes() for one in folder.iterdir()}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, where, "report", path, "--as-of", "2026-01-09T00:00:00Z", "-o", folder],
        env=environment(**({"WITHIN": "1"} if is_within else {})), capture_output=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert names(folder.parent) != ["report"] or is_within
    empty = write_lines(tmp_path / "empty.jsonl", [{"no": "record"}])
    assert run(AS_OF, empty).code == 4
    assert names(folder.parent) == ["report"]
    left = {one.name: one.read_bytes() for one in folder.iterdir()}
    assert set(left) == set(REPORT_FILES)
    assert (left == old) == (where in ("before", "in two steps"))
    assert run("2026-01-09T00:00:00Z").code == 0
    new = {one.name: one.read_bytes() for one in folder.iterdir()}
    assert left in (old, new)
    assert names(folder.parent) == ["report"]


@pytest.mark.slow
def test_draft_is_removed_though_a_child_process_holds_it(tmp_path: Path) -> None:
    """
    A process that was started while the draft was held, and has not ended yet, does not keep it from being removed.
    """
    reads, writes = os.pipe()
    with draft_folder(tmp_path, "report"):
        child = os.fork()
        if not child:
            os.close(writes)
            os.read(reads, 1)
            os._exit(0)
    try:
        assert names(tmp_path) == []
    finally:
        os.close(writes)
        os.close(reads)
        os.waitpid(child, 0)
