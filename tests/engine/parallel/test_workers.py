"""Workers: results in order however long each takes, a bounded number under way, and nothing that hangs or stays."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy_engine.core.files.scratch import Scratch
from policy_engine.core.problems import InputUnusable, Problem, WorkerEnded
from policy_engine.engine.parallel.workers import read_results_of, start_workers, write_results
from tests.support.commands import environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals are those of POSIX"),
]


def numbers(state: int, item: int) -> Iterator[tuple[int, int]]:
    """Some results per item; the first items take longest."""
    time.sleep(0.1 if item < 2 else 0)
    yield from ((state + item, part) for part in range(item % 3))


def refuse(state: object, item: object) -> Iterator[object]:
    """An input that cannot be read."""
    yield 1
    raise InputUnusable(Problem("damaged-file", "the file is damaged"))


def die(state: object, item: int) -> Iterator[object]:
    """A process that the system ends in the middle of its work, with a long result half written."""
    yield b"x" * 1_000_000
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)


def sleep(state: object, item: object) -> Iterator[object]:
    """Work that takes a minute."""
    yield item
    time.sleep(60)


def test_results_come_in_the_order_of_the_items(tmp_path: Path) -> None:
    """The second item may be done before the first; its results come after those of the first."""
    with Scratch(tmp_path) as scratch, start_workers(2, 100, scratch) as workers:
        found = [list(results) for results in workers.map(numbers, range(12))]
    assert found == [[(100 + item, part) for part in range(item % 3)] for item in range(12)]
    assert list(tmp_path.iterdir()) == []


def test_few_items_are_under_way(tmp_path: Path) -> None:
    """No more is asked for than what is being worked on, so that results do not pile up."""
    asked = 0

    def items() -> Iterator[int]:
        nonlocal asked
        while asked < 100:
            asked += 1
            yield asked

    with Scratch(tmp_path) as scratch, start_workers(2, 0, scratch) as workers:
        for done, results in enumerate(workers.map(numbers, items()), 1):
            list(results)
            assert asked <= done + 4
            assert len(list(scratch.folder.iterdir())) <= 4
    assert asked == 100


def test_errors_of_a_worker_arrive_whole(tmp_path: Path) -> None:
    """What a worker finds wrong with an input is raised where the results are read."""
    with (
        pytest.raises(InputUnusable, match="damaged"),
        Scratch(tmp_path) as scratch,
        start_workers(2, 0, scratch) as workers,
    ):
        for results in workers.map(refuse, range(3)):
            list(results)
    assert multiprocessing.active_children() == []
    assert list(tmp_path.iterdir()) == []


def test_killed_worker_ends_the_run(tmp_path: Path) -> None:
    """A process that the system ends is said, at once, and the others end with it."""
    begun = time.monotonic()
    with (
        pytest.raises(WorkerEnded, match="ended from outside"),
        Scratch(tmp_path) as scratch,
        start_workers(2, 0, scratch) as workers,
    ):
        for results in workers.map(die, range(50)):
            list(results)
    assert time.monotonic() - begun < 20
    assert multiprocessing.active_children() == []
    assert list(tmp_path.iterdir()) == []


def test_leaving_early_does_not_wait(tmp_path: Path) -> None:
    """Work that nobody waits for any more is not finished first."""
    begun = time.monotonic()
    with (
        pytest.raises(KeyboardInterrupt),
        Scratch(tmp_path) as scratch,
        start_workers(2, 0, scratch) as workers,
    ):
        waiting = workers.map(sleep, range(5))
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            next(next(waiting))
        finally:
            signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begun < 20
    assert multiprocessing.active_children() == []


def count(state: list[int], item: int) -> Iterator[int]:
    """An item."""
    yield item


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_results_that_are_let_go_of_late(tmp_path: Path) -> None:
    """Results of an interrupted run that somebody still holds are let go of in silence after their folder has gone."""
    path = tmp_path / "results"
    with path.open("wb") as stream:
        write_results([1, 2], stream)
    results = read_results_of(path)
    assert next(results) == 1
    path.unlink()
    results.close()


def test_no_thread_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that the system gives no memory is waited for without end, so neither side starts any."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with Scratch(tmp_path) as scratch, start_workers(2, 0, scratch) as workers:
        assert [list(results) for results in workers.map(count, range(5))] == [[one] for one in range(5)]


def test_processes_have_ended_when_one_could_not_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has room for one process and not for two, none is left to itself."""
    start, started = multiprocessing.process.BaseProcess.start, []

    def limited(process: multiprocessing.process.BaseProcess) -> None:
        if started:
            raise OSError(errno.EMFILE, "Too many open files")
        start(process)
        started.append(process.pid)

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", limited)
    with pytest.raises(OSError, match="open files"), Scratch(tmp_path) as scratch, start_workers(2, 0, scratch) as one:
        list(one.map(count, range(5)))
    assert len(started) == 1
    assert not is_running(started[0])
    assert list(tmp_path.iterdir()) == []


def test_errors_of_a_worker_tell_where_they_came_from(tmp_path: Path) -> None:
    """What a developer asks to see holds the lines of the worker, also where an error cannot travel as it is."""
    with Scratch(tmp_path) as scratch, start_workers(1, 0, scratch) as workers:
        with pytest.raises(ValueError, match="odd") as caught:
            [list(one) for one in workers.map(be_odd, range(1))]
        assert "in be_odd" in "".join(caught.value.__notes__)
        with pytest.raises(RuntimeError, match="Strange: odd"):
            [list(one) for one in workers.map(be_strange, range(1))]


class Strange(Exception):
    """An error that holds what cannot leave its process, whatever libraries teach Python about sending errors."""

    def __init__(self) -> None:
        super().__init__("odd")
        self.held = threading.Lock()


def be_odd(state: object, item: object) -> Iterator[object]:
    """Work with a defect."""
    yield 1
    raise ValueError("odd")


def be_strange(state: object, item: object) -> Iterator[object]:
    """Work that fails in a way of its own."""
    yield 1
    raise Strange


PARENT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.engine.parallel.test_workers import sleep
from policy_engine.core.files.scratch import Scratch
from policy_engine.engine.parallel.workers import read_results_of, start_workers, write_results
import multiprocessing

with Scratch(Path(sys.argv[2])) as scratch, start_workers(2, 0, scratch) as workers:
    results = workers.map(sleep, range(5))
    import threading
    threading.Timer(1, lambda: os.write(1, " ".join(str(one.pid) for one in multiprocessing.active_children()).encode()
                                        + b"\\n")).start()
    next(next(results))
"""


def test_workers_do_not_outlive_their_parent(tmp_path: Path) -> None:
    """Where the first process is killed, the others end by themselves."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(Path(__file__).parent), str(tmp_path)],
        env=environment(), stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 2
        process.kill()
        process.wait()
    for _ in range(200):
        if not any(map(is_running, workers)):
            break
        time.sleep(0.1)
    assert not any(map(is_running, workers))


def is_running(pid: int) -> bool:
    """True while a process is there and has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that has ended stays listed until somebody asks for its outcome, which may be nobody's task in a container.
    status = Path(f"/proc/{pid}/stat")
    try:
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
