"""Problems in every format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policy_engine.authoring.problem_formats import FORMATS
from policy_engine.cli import EXIT_CODES
from tests.cli.desk import PACKS, lay_pack
from tests.support.commands import policy_engine


def test_broken_pack_shows_all_problems(desk: Path) -> None:
    """
    Every problem of a broken pack is shown with file, line, column and the line itself, before any history is read;
    validate names the page about each kind of problem once, too.
    """
    done = policy_engine("report", "good.jsonl", "--pack", "broken")
    assert done.code == 3
    expected = (PACKS / "invalid" / "many-at-once" / "expected.txt").read_text(encoding="utf-8")
    assert done.err == expected.replace("minimal/", "broken/") + f"exit 3: {EXIT_CODES[3]}\n"
    judged = policy_engine("validate", "broken").err.splitlines(keepends=True)
    assert "".join(line for line in judged if not line.startswith("  docs: ")) == done.err
    assert judged.count("  docs: docs/problems.md#shape\n") == 1


@pytest.mark.parametrize("shape", FORMATS)
@pytest.mark.parametrize("pack", ["failing", "broken", "conflict", "caseless", "nosuch", "fine"])
@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_format_changes_no_exit_code(command: str, pack: str, shape: str, desk: Path) -> None:
    """
    Whatever the format, a command ends as it does without one; what it found is on stdout, and stderr says the ending.
    """
    lay_pack(desk / "fine")
    plain_end, done = policy_engine(command, pack), policy_engine(command, pack, "--format", shape)
    assert done.code == plain_end.code
    assert done.last == plain_end.last
    if shape != "text":
        assert done.text
        assert done.err.splitlines() == ([done.last] if done.code else [])


@pytest.mark.parametrize("command", ["validate", "test"])
def test_json_format_has_every_problem(command: str, desk: Path) -> None:
    """
    `--format json` prints the problems of all packs as one JSON document on stdout.
    """
    lay_pack(desk / "fine")
    document = json.loads(policy_engine(command, "broken", "fine", "--format", "json").text)
    assert len(document["problems"]) == document["errors"] == 5
    assert {problem["place"]["file"].partition("/")[0] for problem in document["problems"]} == {"broken"}
    assert [line.partition(":")[0] for line in document["covered"]] == ["broken", "fine"]
