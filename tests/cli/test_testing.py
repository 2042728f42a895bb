"""The command `test` with everything it can be asked for: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.authoring.testing.acme_pack import case, lay
from tests.support.commands import policy_engine

HALF = case("2026-03-01T13:00:00Z", "verdict: active")


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--coverage", "--mutate"], 0, "warning[not-noticed]"),
        (["--min-coverage", "0", "--min-mutation", "0"], 0, "warning[boundary-not-exercised]"),
        (["--min-coverage", "100"], 5, "boundaries exercised are 0 of 3 (0 %), below the 100 % asked for"),
        (["--min-mutation", "100"], 5, "below the 100 % asked for"),
        (["--min-coverage", "101"], 2, "101 is not in the range 0<=x<=100"),
        (["--generate", "--coverage"], 2, "--generate runs no case"),
        (["-o", "x.yaml"], 2, "belong to --generate"),
    ],
)
def test_thresholds_decide_the_exit_code(tmp_path: Path, options: list[str], code: int, sentence: str) -> None:
    """
    What is missing is a warning; only a threshold that is not reached fails the run, with 5.
    """
    done = policy_engine("test", lay(tmp_path, HALF), *options)
    assert (done.code, sentence in done.err) == (code, True), done.err


def test_json_carries_coverage_and_mutants(tmp_path: Path) -> None:
    """
    JSON holds the fractions, what is open, and every mutant with its state and place, under a version of its own.
    """
    done = policy_engine("test", lay(tmp_path, HALF), "--coverage", "--mutate", "--format", "json")
    tests = json.loads(done.text)["tests"]
    assert tests["schema"] == "policy-engine/tests/v1"
    (found,) = tests["packs"]
    assert found["cases"] == {"passed": 1, "of": 1}
    assert found["coverage"]["boundaries"] == {"done": 0, "of": 3, "percent": 0}
    assert len(found["coverage"]["open_boundaries"]) == 3
    states = {one["state"] for one in found["mutation"]["mutants"]}
    assert states <= {"noticed", "not_noticed", "equivalent", "refused"}
    assert {one["place"]["line"] for one in found["mutation"]["mutants"]} == {5}


def test_no_mutant_is_tried_while_a_case_fails(tmp_path: Path) -> None:
    """
    A failing case says nothing about mutants, so none is counted and the run fails.
    """
    done = policy_engine("test", lay(tmp_path, case("2026-03-01T13:00:00Z", "verdict: expired")), "--mutate")
    assert done.code == 5
    assert "mutants were not tried, since cases fail" in done.text


def test_zero_cases_fail_whatever_is_asked(tmp_path: Path) -> None:
    """
    A pack without cases ends with 7, also when nothing but coverage is asked for.
    """
    assert policy_engine("test", lay(tmp_path), "--min-coverage", "0", "--mutate").code == 7


@pytest.mark.parametrize(
    ("expect", "sentence", "advice"),
    [
        (
            "verdict: active, rule: flim",
            "film.yaml:14:51: error[unknown-rule]: unknown rule `flim`",
            "did you mean `film`?",
        ),
        ("verdict: active, rule: film, version: 3", "`film` has no version 3", "it has 1"),
    ],
)
def test_a_case_that_names_what_is_not_there(tmp_path: Path, expect: str, sentence: str, advice: str) -> None:
    """
    A case of a rule or version that does not exist is a wrong file: 3, the place, and what was probably meant.
    """
    done = policy_engine("test", lay(tmp_path, case("2026-03-01T13:00:00Z", expect)), "--coverage")
    assert done.code == 3
    assert sentence in done.err
    assert f"help: {advice}" in done.err


def test_generate_replaces_no_file_by_chance(tmp_path: Path) -> None:
    """
    `--generate` writes a file that was not there, refuses one that was, and takes `--overwrite` as leave.
    """
    folder = lay(tmp_path / "acme")
    (folder / "cases").mkdir()
    target = folder / "cases" / "generated.yaml"
    assert policy_engine("test", folder, "--generate", "-o", target).code == 0
    written = target.read_bytes()
    assert policy_engine("test", folder, "--min-coverage", "100", "--min-mutation", "100").code == 0
    target.write_text("mine\n", encoding="utf-8")
    refused = policy_engine("test", folder, "--generate", "-o", target)
    assert refused.code == 2
    assert "is there already" in refused.err
    assert target.read_text(encoding="utf-8") == "mine\n"
    assert policy_engine("test", folder, "--generate", "-o", target, "--overwrite").code == 0
    assert target.read_bytes() == written
    assert policy_engine("test", folder, "--generate").out == written
    assert policy_engine("test", folder, "piapi", "--generate").code == 2
