"""Promises about hostile files: each ends in words and the right code, within bounds of time and memory."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ROOT, environment

TORTURE = ROOT / "tests" / "torture"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bounds of memory are set and read as Linux has them")


@pytest.mark.parametrize("group", ["yaml", "json", "csv", "parquet", "gz,zst", "place", "marks"])
def test_hostile_files_end_in_words_and_within_bounds(group: str) -> None:
    """No file, however made, gives a traceback, a hang, a flood of text, a wrong code or more memory than allowed."""
    command = [sys.executable, str(TORTURE / "hostile_files.py"), "--short", "--only", group]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, check=False)
    *failures, total = [json.loads(line) for line in done.stdout.splitlines()]
    assert failures == []
    assert total["tried"] > 3, done.stderr.decode()


@pytest.mark.parametrize("part", ["fuzz_rules", "fuzz_records"])
def test_inputs_of_the_fuzzers_misbehave_no_more(part: str) -> None:
    """Every input in the seeds, among them those that once went wrong, is answered as the fuzzers demand."""
    fuzzer = _fuzzer(part)
    from tests.torture.fuzzing import replayed

    tried, found = replayed(fuzzer.check, [TORTURE / "seeds" / part])
    assert found == []
    assert tried > 20


def _fuzzer(part: str) -> Any:
    spec = importlib.util.spec_from_file_location(part, TORTURE / f"{part}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_fuzzers_notice_a_difference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A fast path that takes what the general reader refuses is found out by the comparison itself."""
    fuzzer = _fuzzer("fuzz_records")
    block = b'{"task_id":\n"a"}\n{"task_id":"b"} {"task_id":"c"}\n'
    fuzzer.check_block(block)
    from policy_engine.history import fast_path

    monkeypatch.setattr(fast_path, "lines_of_objects", lambda block: block.count(b"}"))
    with pytest.raises(AssertionError, match="set aside"):
        fuzzer.check_block(block)
