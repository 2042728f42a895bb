"""Promises about hostile files: each ends in words and the right code, within bounds of time and memory."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import environment
from tests.support.paths import ROOT

TORTURE = ROOT / "tools" / "torture"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bounds of memory are set and read as Linux has them")


@pytest.mark.slow
@pytest.mark.parametrize("group", ["yaml", "json", "csv", "parquet", "gz,zst", "special", "annotations"])
def test_hostile_files_end_in_words_and_within_bounds(group: str) -> None:
    """No file, however made, gives a traceback, a hang, a flood of text, a wrong code or more memory than allowed."""
    command = [sys.executable, str(TORTURE / "hostile_files.py"), "--short", "--only", group]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, check=False)
    *failures, total = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line for line in failures if "so_far" not in line] == []
    assert total["tried"] > 3, done.stderr.decode()


@pytest.mark.parametrize("part", ["fuzz_rules", "fuzz_records"])
def test_inputs_of_the_fuzzers_misbehave_no_more(part: str) -> None:
    """Every input in the seeds, among them those that once went wrong, is answered as the fuzzers demand."""
    fuzzer = _fuzzer(part)
    from tools.torture.fuzzing import replayed

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
    from policy_engine.history.records import task_blocks as fast_path

    monkeypatch.setattr(fast_path, "lines_of_objects", lambda block: block.count(b"}"))
    with pytest.raises(AssertionError, match="set aside"):
        fuzzer.check_block(block)


def test_the_fuzzers_notice_a_difference_between_ways_of_reading_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A columnar reading of tables that gives other records than row by row is found out."""
    fuzzer = _fuzzer("fuzz_records")
    table = b"task_id,model\na,kling\nb,luma\n"
    fuzzer.check_file(table, ".csv")
    from policy_engine.history.tables.row_blocks import FlatPath

    real = FlatPath.columns

    def shifted(self: Any, table: Any, first_line: int) -> Any:
        return real(self, table, first_line + 1)

    monkeypatch.setattr(FlatPath, "columns", shifted)
    with pytest.raises(AssertionError, match="line"):
        fuzzer.check_file(table, ".csv")


def test_the_fuzzers_notice_a_quick_check_that_accepts_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a rule file that the validator refuses and the quick check accepts is found out."""
    fuzzer = _fuzzer("fuzz_rules")
    part = bytes([130, 2]) + b"[no title]"
    assert fuzzer.FILES[part[0] % len(fuzzer.FILES)][1] == "baseline"
    fuzzer.check(part)
    monkeypatch.setattr(fuzzer.schema_check, "_quick", lambda schema: lambda value: True)
    with pytest.raises(AssertionError, match="accepts what the validator refuses"):
        fuzzer.check(part)


def test_fuzzing_does_costly_checks_of_what_is_new_within_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of a new kind are checked at all cost while there is time for it, and once there is again."""
    from tools.torture import fuzzing

    clock = [0.0]
    monkeypatch.setattr(fuzzing.time, "process_time", lambda: clock[0])
    done: list[str] = []

    def costly(name: str, seconds: float) -> None:
        done.append(name)
        clock[0] += seconds

    thorough = fuzzing.Thrift(0.5)
    for name in ("one", "one"):
        thorough.check("kind", b"1", costly, name, 1.0)
    assert done == ["one", "one"]
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--child"])
    thrift = fuzzing.Thrift(0.5)
    clock[0], done[:] = 1.0, []
    thrift.check("kind", b"1", costly, "first", 4.0)
    thrift.check("kind", b"1", costly, "known", 1.0)
    thrift.check("other", b"1", costly, "too early", 1.0)
    clock[0] = 9.0
    thrift.check("other", b"1", costly, "in time", 1.0)
    assert done == ["first", "in time"]
