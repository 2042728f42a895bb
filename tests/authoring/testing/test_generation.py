"""Generated cases: valid, the same every time, passing, and enough to exercise and notice everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from policy_engine.authoring.testing.cases import CaseBench, load_cases, report_cases
from policy_engine.authoring.testing.coverage import measure
from policy_engine.authoring.testing.generation import generate_cases
from policy_engine.authoring.testing.mutation import try_mutants
from policy_engine.core.problems import ProblemList
from policy_engine.core.rule_model import RulePack
from policy_engine.packs import read_pack
from policy_engine.packs.cases import CaseFiles, _CaseReader
from policy_engine.packs.schema_check import check_document
from policy_engine.packs.yaml_document import parse_yaml
from tests.authoring.testing.acme_pack import bench, lay
from tests.authoring.testing.test_coverage import DATED, ENDED
from tests.authoring.testing.test_mutation import WINDOWED
from tests.support.strategies import packs


@pytest.mark.parametrize("rule", [DATED, ENDED, WINDOWED], ids=["dated", "ended", "windowed"])
def test_generated_cases_exercise_and_notice_everything(tmp_path: Path, rule: str) -> None:
    """
    Written beside the rules, generated cases pass, exercise every boundary and notice every mutant.
    """
    folder = lay(tmp_path, rule=rule)
    text = generate_cases(read_pack(folder))
    (folder / "cases").mkdir()
    (folder / "cases" / "generated.yaml").write_text(text, encoding="utf-8")
    made = bench(folder)
    assert report_cases(made).problems == ()
    coverage = measure(made)
    assert coverage.problems == ()
    assert [one.message for one in try_mutants(made).problems] == []


def test_the_header_warns_to_read_the_cases(tmp_path: Path) -> None:
    """
    A generated file begins with a warning that its answers are what the rules do, and that a person must read them.
    """
    made = read_pack(lay(tmp_path))
    text = generate_cases(made)
    assert text == generate_cases(made)
    head = text.partition("title:")[0]
    assert "pin what the rules do today, right or wrong" in head
    assert "a case that nobody has read" in head


def test_generated_cases_of_the_bundled_pack_pass(tmp_path: Path) -> None:
    """
    The bundled pack's generated cases pass, and alone exercise all that its own cases do.
    """
    made = read_pack("piapi")
    document, problems = parse_yaml(generate_cases(made).encode(), "generated.yaml")
    assert document is not None and problems == () and check_document(document, "cases") == ()
    found = ProblemList()
    made_bench = CaseBench(made, CaseFiles(tuple(_CaseReader(document, made, found).cases())))
    assert found.items == [] and report_cases(made_bench).problems == ()
    assert measure(made_bench).problems == measure(CaseBench(made, load_cases(made))).problems == ()


@settings(max_examples=10)
@given(made=packs())
def test_generated_cases_of_any_pack_pass(made: RulePack) -> None:
    """
    Whatever the rules are, the generated file has the right shape and its cases pass.
    """
    document, problems = parse_yaml(generate_cases(made).encode(), "generated.yaml")
    assert document is not None and problems == ()
    assert check_document(document, "cases") == ()
    found = ProblemList()
    cases = tuple(_CaseReader(document, made, found).cases())
    assert found.items == []
    assert [problem.message for problem in report_cases(CaseBench(made, CaseFiles(cases))).problems] == []
