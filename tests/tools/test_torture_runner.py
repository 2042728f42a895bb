"""The runner of the long tests: what it remembers, what it reports about missing parts, and what it writes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tools.torture import run

pytestmark = pytest.mark.slow

PAGE = f"before\n\n{run.BEGIN}\nold\n{run.END}\n\nafter\n"


def a_part(folder: Path, name: str, code: str) -> None:
    """Write a program that represents a long test."""
    (folder / f"{name}.py").write_text(f"import json, sys\n{code}\n", encoding="utf-8")


def start(folder: Path, *arguments: str) -> int:
    """Run the runner on the parts of a folder."""
    (folder / "page.md").write_text(PAGE, encoding="utf-8")
    options = ("--state", folder / "state.json", "--parts", folder, "--page", folder / "page.md")
    return run.main([*arguments, *map(str, options)])


def test_counts_add_up_and_runs_go_on(tmp_path: Path) -> None:
    """
    What is done is not done again until all is; then a part tries something new, and its count grows.
    """
    a_part(tmp_path, "agreement", (
        "seed = int(sys.argv[sys.argv.index('--seed') + 1]) if '--seed' in sys.argv else 1\n"
        "n = int(sys.argv[sys.argv.index('--decisions') + 1])\n"
        "print('noise'); print(json.dumps({'part': 'agreement', 'tried': n, 'found': 0, 'next_seed': seed + 5}))"
    ))  # fmt: skip
    assert start(tmp_path, "--only", "agreement", "--scale", "0.00001") == 0
    assert start(tmp_path, "--only", "agreement", "faults", "--scale", "0.00001") == 1
    state = json.loads((tmp_path / "state.json").read_text())
    assert (state["agreement"]["tried"], state["agreement"]["next_seed"]) == (10, 6)
    assert start(tmp_path, "--only", "agreement", "--scale", "0.00001") == 0
    state = json.loads((tmp_path / "state.json").read_text())
    assert (state["agreement"]["tried"], state["agreement"]["next_seed"]) == (20, 11)


def test_runs_of_two_parts_do_not_undo_each_other(tmp_path: Path) -> None:
    """
    What another run wrote of another part while one was busy is still there afterwards.
    """
    other = json.dumps({"faults": {"tried": 5, "found": 0, "on": "2026-01-01"}})
    a_part(tmp_path, "agreement", (
        f"open({str(tmp_path / 'state.json')!r}, 'w').write({other!r})\n"
        "print(json.dumps({'part': 'agreement', 'tried': 1, 'found': 0}))"
    ))  # fmt: skip
    assert start(tmp_path, "--only", "agreement") == 0
    state = json.loads((tmp_path / "state.json").read_text())
    assert (state["agreement"]["tried"], state["faults"]["tried"]) == (1, 5)


@pytest.mark.parametrize("code", [None, "sys.exit(3)", "print('{\"part\": 1}')", "print('no json')"])
def test_a_part_that_did_not_run_is_loud(code: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    A missing part, or one that ends without its line, is named in capitals, fails the run, and is in the table.
    """
    if code is not None:
        a_part(tmp_path, "faults", code)
    assert start(tmp_path, "--only", "faults") == 1
    out, err = capfd.readouterr()
    assert "NOT tried" in err
    assert re.search(r"MISSING|NO RESULT", out)
    assert re.search(r"\| faults \|.*(MISSING|NO RESULT)", (tmp_path / "page.md").read_text())


def test_a_stopped_part_keeps_its_count_and_goes_on(tmp_path: Path) -> None:
    """
    Ctrl-C and SIGTERM end the runner with 130; what the part had counted stays in the table, and the next run of the
    runner tries what is left, from where the first one came to.
    """
    a_part(tmp_path, "agreement", (
        "import time\n"
        "seed = int(sys.argv[sys.argv.index('--seed') + 1]) if '--seed' in sys.argv else 1\n"
        "n = int(sys.argv[sys.argv.index('--decisions') + 1])\n"
        "line = {'part': 'agreement', 'found': 1}\n"
        "print(json.dumps(line | {'tried': 4, 'so_far': True, 'next_seed': seed + 2}), flush=True)\n"
        "if seed == 1: print('waiting', flush=True); time.sleep(60)\n"
        "print(json.dumps(line | {'tried': n, 'next_seed': seed + n, 'found': 0})); sys.exit(1)"
    ))  # fmt: skip
    (tmp_path / "page.md").write_text(PAGE, encoding="utf-8")
    options = ("--state", tmp_path / "state.json", "--parts", tmp_path, "--page", tmp_path / "page.md")
    with subprocess.Popen(
        [sys.executable, ROOT / "tools" / "torture" / "run.py", "--only", "agreement", "--scale", "0.00001",
         *map(str, options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        while "waiting" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"\| agreement \|.*\| 4 \| 1 \|", (tmp_path / "page.md").read_text())
    assert start(tmp_path, "--only", "agreement", "--scale", "0.00001") == 1
    state = json.loads((tmp_path / "state.json").read_text())["agreement"]
    assert (state["tried"], state["found"], state["next_seed"]) == (10, 1, 9)


def test_a_part_that_breaks_off_keeps_its_count(tmp_path: Path) -> None:
    """
    A part that is killed in the middle is named in capitals, and what it had counted is still counted.
    """
    a_part(tmp_path, "faults", (
        "print(json.dumps({'part': 'faults', 'tried': 9, 'found': 0, 'so_far': True}), flush=True)\n"
        "import os; os.kill(os.getpid(), 9)"
    ))  # fmt: skip
    assert start(tmp_path, "--only", "faults") == 1
    assert re.search(r"\| faults \|.*\| 9 \| NO RESULT: it ended with -9", (tmp_path / "page.md").read_text())


def test_a_defect_fails_the_run(tmp_path: Path) -> None:
    """
    A part that finds something and says so by its exit code fails the whole run, and the table has the number.
    """
    a_part(tmp_path, "faults", "print(json.dumps({'part': 'faults', 'tried': 9, 'found': 2})); sys.exit(1)")
    assert start(tmp_path, "--only", "faults") == 1
    assert re.search(r"\| faults \|.*\| 9 \| 2 \| \d{4}-\d\d-\d\d \|", (tmp_path / "page.md").read_text())


def test_only_the_table_of_the_page_is_rewritten(tmp_path: Path) -> None:
    """
    The text around the table stays, and running again changes only the table.
    """
    start(tmp_path, "--table")
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("before\n\n")
    assert text.endswith("\n\nafter\n")
    assert "old" not in text
    assert text.count(run.BEGIN) == text.count(run.END) == 1


def test_the_page_has_a_row_for_every_part() -> None:
    """
    docs/development/reliability.md holds the table, with every part.
    """
    text = (ROOT / "docs" / "development" / "reliability.md").read_text(encoding="utf-8")
    block = text[text.index(run.BEGIN) : text.index(run.END)]
    assert [line.split("|")[1].strip() for line in block.splitlines() if line.startswith("| ")][1:] == [
        part.name for part in run.PARTS
    ]
