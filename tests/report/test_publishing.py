"""A finished report is put in place whole or not at all, also in a folder that must not be renamed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from policy_engine.report import publishing
from policy_engine.report.files import REPORT_FILES
from tests.support.commands import AS_OF, policy_engine
from tests.support.exports import task, write_lines
from tests.support.folders import content


@pytest.mark.parametrize("way", ["working folder", "mounted", "guest", "link"])
def test_folder_that_cannot_be_renamed(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A report can lie in the working folder, on a mount point, in a folder whose parent is not ours, and behind a link;
    it is the same report, and the folder is the same folder.
    """
    path = write_lines(tmp_path / "exports" / "h.jsonl", [task(), task("t-2", "kling")])
    assert policy_engine("report", path, "--as-of", AS_OF, "-o", tmp_path / "exports" / "plain").code == 0
    base = tmp_path / "base"
    folder = base / "there"
    folder.mkdir(parents=True)
    output: Path = folder
    if way == "working folder":
        monkeypatch.chdir(folder)
        output = Path()
    elif way == "mounted":
        monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == folder)
    elif way == "guest":
        access = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != base and access(path, mode))
    else:
        output = base / "link"
        output.symlink_to(folder)
    identity = folder.stat().st_ino
    for instant in ("2026-01-07T00:00:00Z", AS_OF):
        done = policy_engine("report", path, "--as-of", instant, "-o", output)
        assert done.code == 0, done.err
    assert content(folder) == content(tmp_path / "exports" / "plain")
    assert way == "link" or folder.stat().st_ino == identity
    assert sorted(one.name for one in base.iterdir()) == (["link", "there"] if way == "link" else ["there"])
    assert way != "link" or output.is_symlink()


def test_report_that_stays_is_never_half_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where files must be put in place one by one, a failure between two of them leaves a folder without a manifest,
    which is no report; the next run is not put off by it.
    """
    write_lines(tmp_path / "h.jsonl", [task()])
    folder = tmp_path / "report"
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == folder)
    folder.mkdir()
    assert policy_engine("report", tmp_path / "h.jsonl", "--as-of", AS_OF, "-o", folder).code == 0
    assert publishing.is_report(folder)
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if self.name == "expired.csv":
            raise OSError(5, "Input/output error")
        return replace(self, target)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", fail)
        done = policy_engine("report", tmp_path / "h.jsonl", "--as-of", AS_OF, "-o", folder)
    assert done.code == 2
    assert "error[half-published]: not all files of the report could be moved into" in done.err
    assert "Input/output error" in done.err
    assert not publishing.is_report(folder)
    done = policy_engine("report", tmp_path / "nothing.jsonl", "--as-of", AS_OF, "-o", folder)
    assert done.code == 4
    later = "2026-01-09T00:00:00Z"
    assert policy_engine("report", tmp_path / "h.jsonl", "--as-of", later, "-o", folder).code == 0
    assert set(content(folder)) == set(REPORT_FILES)
    assert policy_engine("report", tmp_path / "h.jsonl", "--as-of", later, "-o", tmp_path / "plain").code == 0
    assert content(folder) == content(tmp_path / "plain")


def test_report_that_stays_is_put_in_place_at_the_second_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A move of one file that the system refuses once costs a moment and not the report.
    """
    write_lines(tmp_path / "h.jsonl", [task()])
    folder = tmp_path / "report"
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == folder)
    folder.mkdir()
    replace = Path.replace
    refused: list[str] = []

    def fail_once(self: Path, target: Path) -> Path:
        if self.name == "expired.csv" and not refused:
            refused.append(self.name)
            raise OSError(errno.EACCES, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_once)
    assert policy_engine("report", tmp_path / "h.jsonl", "--as-of", AS_OF, "-o", folder).code == 0
    assert refused
    assert policy_engine("report", tmp_path / "h.jsonl", "--as-of", AS_OF, "-o", tmp_path / "plain").code == 0
    assert content(folder) == content(tmp_path / "plain")
