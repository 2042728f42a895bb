"""A run makes no connection, starts no process, executes no text it reads, and writes only to its output."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import AS_OF, in_own_process, policy_engine
from tests.support.paths import ROOT
from tests.trust import hostile

RUNS: dict[str, list[str]] = {
    "report": ["report", "exports", "--pack", "pack", "--as-of", AS_OF, "-o", "out/report", "--markdown", "--xlsx",
               "--rescue", "aria2", "--tz", "Europe/Berlin", *("--archived", "marks/inventory.txt"),
               *("--exemptions", "marks/exemptions.yaml"), *("--house-rules", "marks/house.yaml")],
    "evaluate": ["evaluate", "exports", "--pack", "pack", "--as-of", AS_OF, "-o", "out/findings.parquet"],
    "explain": ["explain", "m-1", "exports", "--pack", "pack", "--as-of", AS_OF],
    "validate": ["validate", "pack"],
    "validate a broken pack": ["validate", "broken", "--format", "sarif"],
    "check": ["check", "pack", "--as-of", "2026-12-01T00:00:00Z"],
    "test": ["test", "pack", "--coverage"],
    "impact": ["impact", "piapi", "pack", "exports", "--as-of", AS_OF, "-o", "out/changed.csv"],
    "diff of revisions": ["diff", "HEAD:pack", "pack"],
}  # fmt: skip
"""Name -> a command that works in the folder of `workspace`."""
ENDS = {"validate a broken pack": 3}
NO_GIT_ENVIRONMENT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


@pytest.fixture(scope="module")
def hostile_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with the hostile files."""
    folder = tmp_path_factory.mktemp("workspace")
    hostile.write_history(folder / "exports")
    hostile.write_pack(folder / "pack")
    hostile.write_broken_pack(folder / "broken")
    hostile.write_marks(folder / "marks")
    for arguments in (["init", "-q"], ["add", "pack"], ["commit", "-q", "-m", "pack"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *arguments], cwd=folder, check=True, env={**os.environ, **NO_GIT_ENVIRONMENT})
    return folder


@pytest.fixture
def workspace(hostile_workspace: Path) -> Path:
    """The same with empty folders for what a run writes, for its temporary files, and as its home."""
    for name in ("out", "tmp", "home"):
        shutil.rmtree(hostile_workspace / name, ignore_errors=True)
        (hostile_workspace / name).mkdir()
    return hostile_workspace


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Names of everything in a folder with size and time of change; without the files of git."""
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*") if ".git" not in path.parts and path.is_file()
    }  # fmt: skip


def surroundings(workspace: Path) -> dict[str, str]:
    """Variables of a process whose home and temporary files are in `workspace`."""
    return {
        "HOME": str(workspace / "home"), "TMPDIR": str(workspace / "tmp"),
        "XDG_CACHE_HOME": str(workspace / "home" / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1", **NO_GIT_ENVIRONMENT,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_run_reaches_out_to_nobody(name: str, workspace: Path, tmp_path: Path) -> None:
    """
    No connection is tried, no name looked up; the only process is git where a revision was named; no text of an input
    is compiled; every written file is in the output or among the temporary files, which are removed.
    """
    watch = tmp_path / "site"
    watch.mkdir()
    shutil.copy(ROOT / "tests" / "trust" / "watch.py", watch / "sitecustomize.py")
    log = tmp_path / "log"
    before = tree(workspace)
    path = os.pathsep.join([str(watch), str(ROOT)])
    done = in_own_process(
        *RUNS[name], cwd=workspace, PYTHONPATH=path, POLICY_ENGINE_WATCH=str(log), **surroundings(workspace)
    )
    assert done.code == ENDS.get(name, 0), done.err
    events = [ast.literal_eval(line) for line in log.read_text(encoding="utf-8").splitlines()]
    wrote = [event for event in events if event[0] == "open"]
    assert not [event for event in events if event[0].startswith(("socket", "urllib", "http", "compile", "exec"))]
    programs = [event for event in events if event[0] in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system")]
    if "revisions" in name:
        assert programs
        assert all("protocol.allow=never" in event[2] and event[1].endswith("git") for event in programs)
    else:
        assert programs == []
        assert not [event for event in events if event[0].startswith("os.fork")]
    allowed = (str(workspace / "out"), str(workspace / "tmp"), os.devnull, "out/")
    outside = [event for event in wrote if not event[1].startswith(allowed)]
    assert outside == []
    after = tree(workspace)
    assert {path: facts for path, facts in after.items() if not path.startswith("out/")} == before
    assert list((workspace / "tmp").iterdir()) == []
    assert list((workspace / "home").iterdir()) == []


@pytest.mark.slow
def test_the_watch_sees_what_it_looks_for(tmp_path: Path) -> None:
    """
    The same watch notes a connection, a process, a written file and compiled text, so its silence means something.
    """
    (tmp_path / "sitecustomize.py").write_bytes((ROOT / "tests" / "trust" / "watch.py").read_bytes())
    code = (
        "import contextlib, pathlib, socket, subprocess, sys\n"
        "with contextlib.suppress(OSError): socket.create_connection(('127.0.0.1', 9), 0.1)\n"
        "subprocess.run([sys.executable, '-S', '-c', ''])\n"
        "pathlib.Path('written').write_text('x')\n"
        "eval(compile('1 # ' + 'pw' + 'ned', 'x', 'eval'))\n"
    )
    in_own_process(code=code, cwd=tmp_path, PYTHONPATH=str(tmp_path), POLICY_ENGINE_WATCH=str(tmp_path / "log"))
    events = [ast.literal_eval(line)[0] for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines()]
    assert {"socket.connect", "subprocess.Popen", "open", "compile"} <= set(events)


def _has_namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not _has_namespaces(), reason="this system gives no network namespaces to this user")
@pytest.mark.parametrize("name", ["report", "check", "diff of revisions"])
def test_a_run_needs_no_network(name: str, workspace: Path) -> None:
    """
    Where the system has no network interface at all, not even the loopback, runs end as they do elsewhere, with several
    processes too.
    """
    jobs = ["--jobs", "2"] if name == "report" else []
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-m", "policy_engine", *RUNS[name], *jobs],
        cwd=workspace, capture_output=True,
        text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT), **surroundings(workspace)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_namespace_has_no_interface() -> None:
    """
    The assumption of the test above: in such a namespace nothing can be connected to.
    """
    if not _has_namespaces():
        pytest.skip("this system gives no network namespaces to this user")
    code = "import socket\ntry: socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError as e: print(e.errno)"
    done = subprocess.run(["unshare", "-rn", sys.executable, "-c", code], capture_output=True, text=True, check=True)
    import errno

    assert int(done.stdout) == errno.ENETUNREACH


def test_no_reference_leads_out_of_the_program() -> None:
    """
    Every `$ref` of the schemas stays in its own file, and `$id`s are names, not addresses to be fetched.
    """
    for path in sorted((ROOT / "schemas").glob("*.json")):
        text = path.read_text(encoding="utf-8")
        assert all(target.startswith("#") for target in re.findall(r'"\$ref":\s*"([^"]*)"', text)), path.name
        assert not re.match(r"https?:", json.loads(text).get("$id", "")), path.name


@pytest.mark.parametrize(
    "text",
    [
        "$ref: http://pwned.invalid/rule.yaml\n", "$schema: http://pwned.invalid/schema.json\nid: x\n",
        "id: x\n$defs: {a: {$ref: 'http://pwned.invalid/a'}}\n", "!!python/object/apply:os.system ['touch pwned']\n",
        "id: !!python/name:os.system\n", "id: !include /etc/passwd\n", "<<: !!python/object/new:os.system [x]\n",
    ],
)  # fmt: skip
def test_rule_files_fetch_and_run_nothing(text: str, tmp_path: Path) -> None:
    """
    A reference or a tag in a rule file is a problem with a span, and nothing more.
    """
    pack = tmp_path / "pack"
    shutil.copytree(ROOT / "rules" / "piapi", pack)
    (pack / "rules" / "zz.yaml").write_text(text, encoding="utf-8")
    done = policy_engine("validate", pack)
    assert done.code == 3
    assert "zz.yaml:1:" in done.err
    assert not (tmp_path / "pwned").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes of files")
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_outputs_are_writable_by_nobody_else(mask: int, tmp_path: Path) -> None:
    """
    Whatever the mask of the caller, others cannot change a report, a table or their folder; a strict mask stays strict.
    """
    code = f"import os; os.umask({mask}); from policy_engine.cli import main; main()"
    question = [str(ROOT / "examples" / "history.jsonl"), "--as-of", AS_OF]
    for arguments in (
        ["report", *question, "-o", "r", "--xlsx", "--markdown", "--rescue", "aria2"],
        ["evaluate", *question, "-o", "f.csv"],
        ["evaluate", *question, "-o", "f.parquet"],
    ):
        done = in_own_process(*arguments, code=code, cwd=tmp_path)
        assert done.code == 0, done.err
    written = sorted(tmp_path.rglob("*"))
    assert len(written) > 14
    for path in written:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert not mode & stat.S_IWOTH, path
        assert not mode & mask, path
