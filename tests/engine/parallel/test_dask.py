"""Dask: the bytes are those of one process, also when a worker ends; what a cluster cannot do is said clearly."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from policy_engine.core.periods import DAY, HOUR, parse_instant
from policy_engine.core.problems import InputUnusable, SourceSpan, UsageProblem
from policy_engine.core.vocabulary import FINDING_COLUMNS
from policy_engine.engine.parallel.dask import cluster as cluster_module
from policy_engine.engine.parallel.dask import compatibility as likeness
from policy_engine.engine.parallel.dask import mapper, open_cluster
from policy_engine.engine.question import Question
from policy_engine.engine.run import EvaluationRun, RunOptions
from policy_engine.history import Partition, find_sources
from policy_engine.history import partitions as units_module
from tests.support.commands import AS_OF, environment, in_own_process, policy_engine
from tests.support.exports import IMAGE, history_row, kling, pack, task, write_csv, write_lines

pytestmark = pytest.mark.slow

WORKER = "from distributed.cli.dask_worker import main; main()"
"""A worker without a nanny, as `dask worker --no-nanny` starts one."""


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Files of several kinds, with tasks that stand in two of them and records that cannot be used."""
    folder = tmp_path / "in"
    write_lines(folder / "a.jsonl", [task(str(number)) for number in range(300)] + ["{broken", 7, task("x")])
    write_lines(folder / "b.jsonl.gz", [kling(str(number), number) for number in range(40)] + [{"task_id": ""}])
    write_lines(folder / "c.jsonl", [history_row(str(number), "flux") for number in range(250, 320)])
    write_csv(folder / "d.csv", [
        {"task_id": number, "model": "flux", "status": "completed", "url": f"{IMAGE}?n={number}", "points": number}
        for number in range(290, 330)
    ])  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def long_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many tasks that a run is not over when it is interrupted."""
    path = tmp_path_factory.mktemp("long") / "a.jsonl"
    return write_lines(path, [kling(str(number), number) for number in range(40_000)])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler that runs already, with two worker processes."""
    with running_scheduler(workers=2) as found:
        yield found


@contextmanager
def running_scheduler(workers: int = 0) -> Iterator[str]:
    """A Dask scheduler of this process."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster.scheduler_address


@contextmanager
def running_worker(address: str, folder: Path, before: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own, which first runs the line `before`."""
    arguments = [address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)]
    with subprocess.Popen(
        [sys.executable, "-c", f"{before}\n{WORKER}", *arguments], env=environment(), stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def evaluation(history: Path, one: Any = None) -> EvaluationRun:
    """A run over a folder, on a mapper or in this process."""
    question = Question(parse_instant(AS_OF), DAY, HOUR)
    return EvaluationRun(find_sources([str(history)]).sources, pack(), RunOptions(question), one)


def rows(chunks: list[pd.DataFrame]) -> list[list[str]]:
    """The findings as text, in their order."""
    return [row for chunk in chunks for row in chunk[list(FINDING_COLUMNS)].astype("str").to_numpy().tolist()]


def codes(error: pytest.ExceptionInfo[Any]) -> list[str]:
    """Codes of the problems of an error."""
    return [problem.code for problem in error.value.problems]


# --- the same findings ---------------------------------------------------------------------------------------------


def test_processes_of_dask_give_the_same_bytes(history: Path, tmp_path: Path) -> None:
    """
    A report made with --scheduler local is the one made in one process, to the last byte: findings, totals, and the
    records set aside with their file and line. No process and no file stays behind.
    """
    spool = tmp_path / "spool"
    spool.mkdir()
    one = policy_engine("report", history, "--as-of", AS_OF, "-o", tmp_path / "one")
    dask = in_own_process(
        "report", history, "--as-of", AS_OF, "-o", tmp_path / "dask", "--scheduler", "local", "--jobs", "2",
        TMPDIR=str(spool),
    )  # fmt: skip
    assert (one.code, dask.code, one.err) == (0, 0, dask.err)
    written = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "dask").iterdir()} == written
    assert b"\na.jsonl:301," in written["quarantine.csv"]
    assert list(spool.iterdir()) == []
    assert processes_of(spool) == []


def processes_of(folder: Path) -> list[psutil.Process]:
    """Processes that were told to keep what is temporary in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            pass
    return found


def test_a_cluster_gives_the_same_bytes(
    address: str, history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    On a cluster that runs already, and cut into many more units than are under way at a time, the table is the same.
    """
    monkeypatch.setattr(units_module, "UNIT", 15_001)
    one = policy_engine("evaluate", history, "--as-of", AS_OF, "-o", tmp_path / "one.csv")
    many = policy_engine("evaluate", history, "--as-of", AS_OF, "-o", tmp_path / "many.csv", "--scheduler", address)
    assert many == one
    assert one.code == 0
    assert (tmp_path / "many.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()


def test_few_results_exist_at_a_time(address: str, history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    However many units there are, and however slowly their findings are written, only a few are under way.
    """
    monkeypatch.setattr(units_module, "UNIT", 5_003)
    run = evaluation(history)
    with open_cluster(address, run.sources) as one:
        client: Any = one._client
        run.mapper = one
        under_way = 0
        for _ in run.chunks():
            under_way = max(under_way, len(client.futures))
    assert 3 < under_way <= 2 * mapper._AHEAD + 2


def test_few_files_of_results_exist_at_a_time(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Results of processes of this machine travel as files: only a few wait to be read, and each is removed then.
    """
    monkeypatch.setattr(units_module, "UNIT", 5_003)
    run = evaluation(history)
    spool = tmp_path / "spool"
    spool.mkdir()
    with open_cluster("local", run.sources, jobs=2, folder=spool) as one:
        run.mapper = one
        chunks = run.chunks()
        next(chunks)
        until(lambda: len(list(spool.glob("*/results-*"))) > 3)
        time.sleep(0.5)
        waiting = len(list(spool.glob("*/results-*")))
        list(chunks)
        left = list(spool.glob("*/results-*"))
    assert waiting <= 2 * mapper._AHEAD + 2
    assert left == []
    assert list(spool.iterdir()) == []


def test_only_this_run_can_use_its_processes(history: Path, tmp_path: Path) -> None:
    """
    Neither scheduler nor worker of --scheduler local answers somebody on this machine who does not have the run's keys,
    be it without keys or with others.
    """
    from distributed import Client
    from distributed.security import Security

    run = evaluation(history)
    with open_cluster("local", run.sources, folder=tmp_path) as one:
        info = one._client.scheduler_info()
        for address in (info["address"], *info["workers"]):
            assert address.startswith("tls://127.0.0.1:")
            for key in (None, Security.temporary()):
                with pytest.raises((OSError, TypeError, RuntimeError)):
                    Client(address if key else address.replace("tls", "tcp"), security=key, timeout=1.0)


def test_a_worker_that_is_killed_is_replaced(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A run on one process of this machine goes on with another when that is killed; a part of a file during which one
    after the other ends is named.
    """
    monkeypatch.setattr(mapper, "_LOOK", 0.2)
    run = evaluation(history)
    expected = rows(list(evaluation(history).chunks()))

    def die(*_: Any) -> Iterator[Any]:
        os.kill(os.getpid(), 9)
        yield

    with open_cluster("local", run.sources, folder=tmp_path) as one:
        os.kill(next(iter(one._client.run(os.getpid).values())), signal.SIGKILL)
        run.mapper = one
        assert rows(list(run.chunks())) == expected
        with pytest.raises(UsageProblem, match="several workers that read this part of the file ended") as caught:
            next(one.map(die, None, [Partition(1)]))
    assert codes(caught) == ["worker-killed"]
    assert caught.value.problems[0].span == SourceSpan("b.jsonl.gz", 1)


def test_a_killed_worker_costs_no_row(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    When a worker process is killed in the middle of a run, the findings are those of a run in which none was.
    """
    monkeypatch.setattr(units_module, "UNIT", 15_001)
    expected = rows(list(evaluation(history).chunks()))
    run = evaluation(history)
    with open_cluster("local", run.sources, jobs=2, folder=tmp_path) as one:
        run.mapper = one
        chunks = run.chunks()
        found = [next(chunks)]
        workers = one._client.run(os.getpid)
        os.kill(next(iter(workers.values())), signal.SIGKILL)
        found += list(chunks)
    assert rows(found) == expected
    assert len(expected) > 300


@contextmanager
def command_with_processes(history: Path, spool: Path, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command whose processes of Dask have just begun."""
    spool.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "policy_engine", "evaluate", str(history), "-o", str(output),
         "--scheduler", "local", "--jobs", "2"],
        env=environment(TMPDIR=str(spool)), stderr=subprocess.PIPE, start_new_session=True,
    ) as command:  # fmt: skip
        until(lambda: len(processes_of(spool)) >= 3)
        yield command


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
@pytest.mark.parametrize("later", [0.0, 0.1, 0.2, 0.4])
def test_interruption_leaves_nothing_behind(later: float, long_history: Path, tmp_path: Path) -> None:
    """
    Ctrl-C while processes of Dask start, or a little later, ends the command with 130 and one word, and leaves no
    process and no file.
    """
    spool = tmp_path / "spool"
    with command_with_processes(long_history, spool, tmp_path / "f.csv") as command:
        time.sleep(later)
        os.killpg(command.pid, signal.SIGINT)
        error = command.communicate(timeout=60)[1].decode()
    assert command.returncode == 130, error
    assert error.strip() == "interrupted\nexit 130: interrupted"
    assert list(spool.iterdir()) == []
    until(lambda: not processes_of(spool))
    assert not (tmp_path / "f.csv").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
def test_processes_end_with_a_command_that_is_killed(long_history: Path, tmp_path: Path) -> None:
    """
    When the command is killed by force, its processes of Dask end as well, and say nothing.
    """
    spool = tmp_path / "spool"
    with command_with_processes(long_history, spool, tmp_path / "f.csv") as command:
        command.kill()
        until(lambda: not processes_of(spool))
        assert command.communicate(timeout=60)[1] == b""


def until(holds: Callable[[], bool]) -> None:
    """Wait until something is so, at most a minute."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


# --- clusters that cannot do it ------------------------------------------------------------------------------------


def test_a_scheduler_that_does_not_answer(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where no scheduler answers, the command ends soon, with 2 and a sentence, and writes nothing.
    """
    monkeypatch.setattr(cluster_module, "CONNECT", 1.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        done = policy_engine("evaluate", history, "-o", tmp_path / "f.csv", "--scheduler", address)
    assert done.code == 2
    assert f"error[unreachable-scheduler]: no Dask scheduler answers at `{address}`" in done.err
    assert not (tmp_path / "f.csv").exists()


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("from policy_engine.core import version; version.__version__ = '0.0.9'", "has policy-engine 0.0.9 ("),
        ("import sys; sys.modules['policy_engine'] = None", "cannot load this program ("),
    ],
)
def test_a_worker_with_another_program(
    before: str, message: str, history: Path, tmp_path: Path, address: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    A worker with another version of the program, or without it, is refused by its address before work starts.
    """
    from distributed import Client

    with Client(address, set_as_default=False) as client, running_worker(address, tmp_path, before) as worker:
        client.wait_for_workers(3, timeout=60)
        done = policy_engine("evaluate", history, "-o", tmp_path / "f.csv", "--scheduler", address)
        worker.kill()
        until(lambda: len(client.nthreads()) == 2)
    assert done.code == 2
    assert "error[worker-differs]: `tcp://127.0.0.1:" in done.err
    assert message in done.err
    assert "install the same versions everywhere" in done.err
    assert not (tmp_path / "f.csv").exists()


def test_workers_that_all_end(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without a worker at the start, or when all ended and none comes back, a run gives up and does not wait for ever.
    """
    monkeypatch.setattr(units_module, "UNIT", 15_001)
    monkeypatch.setattr(mapper, "_PATIENCE", 2.0)
    monkeypatch.setattr(mapper, "_LOOK", 0.2)
    run = evaluation(history)
    with running_scheduler() as address:
        monkeypatch.setattr(mapper, "CONNECT", 0.5)
        with pytest.raises(UsageProblem) as none, open_cluster(address, run.sources):
            pass
        monkeypatch.setattr(mapper, "CONNECT", 60.0)
        with running_worker(address, tmp_path) as worker, open_cluster(address, run.sources) as one:
            run.mapper = one
            with pytest.raises(UsageProblem) as ended:
                for _ in run.chunks():
                    worker.kill()
    assert codes(none) == codes(ended) == ["no-workers"]
    assert "start workers" in (none.value.problems[0].help or "")
    assert "all Dask workers ended" in str(ended.value)


def test_a_scheduler_that_ends(address: str, history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    When the connection to the scheduler ends in the middle of a run, the run ends with a sentence.
    """
    monkeypatch.setattr(units_module, "UNIT", 5_003)
    run = evaluation(history)
    with pytest.raises(UsageProblem) as caught, open_cluster(address, run.sources) as one:
        run.mapper = one
        chunks = run.chunks()
        next(chunks)
        one._client.close()
        list(chunks)
    assert codes(caught) == ["scheduler-ended"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"path": "/there/is/no/such/file"}, "2 of the cluster, such as `tcp://127.0.0.1:"),
        ({"size": 5}, "sees another file of this name: "),
        ({"digest": ""}, "sees another file of this name"),
    ],
)
def test_a_worker_that_sees_other_files(
    damage: dict[str, Any], message: str, address: str, history: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """
    Where workers do not see the files that this machine sees, the command ends with 4 and names the file and its path.
    """
    stamp = cluster_module.stamp
    monkeypatch.setattr(cluster_module, "stamp", lambda source: likeness.replace(stamp(source), **damage))
    done = policy_engine("evaluate", history, "-o", tmp_path / "f.csv", "--scheduler", address)
    assert done.code == 4
    assert done.err.startswith("a.jsonl:1:1: error[input-differs]: ")
    assert message in done.err
    assert "let all workers see the same files under the same paths" in done.err


def test_a_worker_that_joins_later_is_looked_at_too(address: str, history: Path) -> None:
    """
    A worker that was not there at the start, and sees another file, stops the run instead of judging that file.
    """
    run = evaluation(history)
    with open_cluster(address, run.sources) as one:
        one._stamps = tuple(likeness.replace(stamp, digest="") for stamp in one._stamps)
        run.mapper = one
        with pytest.raises(InputUnusable) as caught:
            list(run.chunks())
    assert codes(caught) == ["input-differs"]
    assert "a worker sees another file" in str(caught.value)


def test_every_difference_is_told_once() -> None:
    """
    Differences are gathered over workers, and a package that is missing on one side is named as such.
    """
    here = likeness.versions()
    other = {name: version for name, version in here.items() if name != "msgspec"} | {"pandas": "2.0"}
    answers: dict[str, Any] = {"tcp://a": (here, []), "tcp://b": (other, []), "tcp://c": (other, [])}
    with pytest.raises(UsageProblem) as caught:
        likeness.compare(answers)
    places = "2 of the cluster, such as `tcp://b`,"
    assert sorted(problem.message for problem in caught.value.problems) == [
        f"{places} has no msgspec, and this machine has msgspec {here['msgspec']}",
        f"{places} has pandas 2.0, and this machine has pandas {here['pandas']}",
    ]
    with pytest.raises(UsageProblem, match=r"the scheduler cannot load this program \(no module\)"):
        likeness.compare({"tcp://a": (here, []), "the scheduler": ImportError("no module")})
    likeness.compare({"tcp://a": (here, [])})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-", "--scheduler", "tcp://10.0.0.1:8786"], "error[no-shared-input]"),
        (["in", "--scheduler", "tls://10.0.0.1:8786", "--jobs", 2], "error[jobs-of-a-cluster]"),
        (["in", "--scheduler", "10.0.0.1:8786"], "`10.0.0.1:8786` is neither local nor an address"),
        (["in", "--scheduler", "tcp://10.0.0.1"], "`tcp://10.0.0.1` is neither local nor an address"),
        (["in", "--scheduler", "tcp://10.0.0.1:99999"], "is neither local nor an address"),
    ],
)
def test_arguments_that_make_no_sense(arguments: list[Any], message: str, tmp_path: Path) -> None:
    """
    What a cluster cannot be asked is refused before anything is read or called.
    """
    done = policy_engine("evaluate", *arguments, "-o", tmp_path / "f.csv")
    assert done.code == 2
    assert message in done.err


def test_without_dask(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without Dask the option says which extra brings it.
    """
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = policy_engine("evaluate", history, "-o", tmp_path / "f.csv", "--scheduler", "local")
    assert done.code == 2
    assert "--scheduler needs the package `distributed`" in done.err
    assert "`dask` extra" in done.err
