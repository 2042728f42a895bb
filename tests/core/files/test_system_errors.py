"""What the system refuses is said in a sentence: which file, why, and what to do."""

from __future__ import annotations

import errno
import io
import pickle
import tempfile
from pathlib import Path
from typing import Any

import pytest

from policy_engine.core.problems import InputUnusable
from policy_engine.history import find_sources
from policy_engine.history.opening import open_bytes
from policy_engine.history.read_errors import reading
from tests.support.commands import AS_OF, policy_engine
from tests.support.exports import as_lines, task


class Failing(io.FileIO):
    """A file on a damaged disk: it cannot be read beyond a place."""

    good = 0
    """Bytes that can be read."""

    def readinto(self, buffer: Any, /) -> int | None:
        """Read, as far as the disk is good."""
        if self.tell() >= self.good:
            raise OSError(errno.EIO, "Input/output error")
        return super().readinto(memoryview(buffer)[: self.good - self.tell()])

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, as far as the disk is good."""
        if size is None or size < 0:
            raise OSError(errno.EIO, "Input/output error")
        data = bytearray(size)
        return bytes(data[: self.readinto(data) or 0])


@pytest.mark.parametrize("command", ["report", "evaluate", "explain"])
@pytest.mark.parametrize("good", [0, 100_000, 1_500_000])
def test_damaged_disk_is_about_the_history(
    command: str, good: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A history that cannot be read completely is unusable: exit 4 with its name, and no result of the part that could.
    """
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text(as_lines([task("t-0")]), encoding="utf-8")
    damaged = tmp_path / "in" / "b.jsonl"
    damaged.write_text(as_lines([task(f"t-{number}", prompt="x" * 500) for number in range(3_000)]), encoding="utf-8")
    assert damaged.stat().st_size > 2_000_000
    opening = Path.open
    monkeypatch.setattr(Failing, "good", good)

    def open_it(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if self.name == "b.jsonl" and mode == "rb":
            return io.BufferedReader(Failing(self))
        return opening(self, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_it)
    task_id = ["t-7"] if command == "explain" else []
    output = [] if command == "explain" else ["-o", tmp_path / ("out.csv" if command == "evaluate" else "out")]
    done = policy_engine(command, *task_id, tmp_path / "in", "--as-of", AS_OF, *output)
    assert done.code == 4, done.err
    assert "b.jsonl:1:1: error[unreadable-file]: the file cannot be read" in done.err
    assert "Input/output error" in done.err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in"]


def test_file_is_named_by_the_read_that_failed(tmp_path: Path) -> None:
    """
    A file that could not be read for a moment is named, though it can be read again afterwards.
    """
    paths = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    for path in paths:
        path.write_text(as_lines([task(path.stem)]), encoding="utf-8")
    (found,) = find_sources([str(paths[1])]).sources
    with pytest.raises(OSError, match="broken") as broken, open_bytes(found.path, found.compression):
        raise OSError(errno.EIO, "broken")

    def failing() -> Any:
        raise pickle.loads(pickle.dumps(broken.value))  # noqa: S301 - as it comes from another process
        yield

    with pytest.raises(InputUnusable, match="the file cannot be read completely: broken") as refused:
        list(reading(find_sources([str(path) for path in paths]).sources, failing()))
    (problem,) = refused.value.problems
    assert problem.span is not None
    assert problem.span.file.endswith("b.jsonl")


def test_error_that_does_not_come_again_is_still_one(tmp_path: Path) -> None:
    """
    A read that fails once is said without the name of a file, since none can be found; no room is no fault of an input.
    """

    def failing(number: int) -> Any:
        yield 1
        raise OSError(number, "broken")

    results = reading((), failing(errno.EIO))
    assert next(results) == 1
    with pytest.raises(InputUnusable, match="a file of the history could not be read completely: broken"):
        next(results)
    with pytest.raises(OSError, match="broken"):
        list(reading((), failing(errno.ENOSPC)))


def test_what_goes_wrong_with_the_result_is_no_fault_of_the_history() -> None:
    """
    An error where results are used is not said to be one of reading.
    """
    with pytest.raises(OSError, match="full"):
        for _ in reading((), [1, 2]):
            raise OSError(errno.EIO, "full")


@pytest.mark.parametrize("command", ["report", "evaluate"])
def test_no_temporary_folder_is_said(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where no folder for temporary files can be written, as in a container that may write nothing, that is said.
    """
    path = tmp_path / "h.jsonl"
    path.write_text(as_lines([task()]), encoding="utf-8")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "none")])
    done = policy_engine(command, path, "--as-of", AS_OF, "-o", tmp_path / "out.csv")
    assert done.code == 2
    assert "error[no-temporary-folder]: there is no folder for temporary files" in done.err
    assert "set TMPDIR" in done.err
    assert [one.name for one in tmp_path.iterdir()] == ["h.jsonl"]
