"""Every lint check has an entry, a module, a page, a broken pack and a test with its id; there are no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policy_engine.authoring.lint import AT_VALIDATION, CHECKS, LintOptions, checks, lint_pack
from policy_engine.core.problem_codes import PROBLEM_CODES, page_of
from policy_engine.packs import read_pack
from policy_engine.packs.schema_check import load_schema
from tests.authoring.lint.helpers import AS_OF, PACKS, ROOT, laid

MODULES = Path(checks.__file__).parent
TESTS = Path(__file__).parent / "checks"


@pytest.mark.parametrize("id", CHECKS)
def test_everything_of_a_check_bears_its_id(id: str) -> None:
    """
    The entry is the `check` of the module named by the id, and that module and the page explain it under the id.
    """
    name = id.replace("-", "_")
    assert CHECKS[id].__module__ == f"policy_engine.authoring.lint.checks.{name}"
    assert CHECKS[id].__name__ == "check"
    text = (MODULES / f"{name}.py").read_text(encoding="utf-8")
    assert text.startswith(f'"""\n`{id}`: ')
    assert page_of(id) == f"docs/lint/{id}.md"
    assert (ROOT / "docs" / "lint" / f"{id}.md").read_text(encoding="utf-8").startswith(f"# {id}\n")


def test_nothing_is_without_a_check() -> None:
    """
    There is one module, page, broken pack and test for each check, and no other.
    """
    found = {
        "modules": {path.stem.replace("_", "-") for path in MODULES.glob("*.py")} - {"--init--"},
        "pages": {path.stem for path in (ROOT / "docs" / "lint").iterdir()},
        "packs": {path.name for path in PACKS.iterdir()},
        "tests": {path.stem.removeprefix("test_").replace("_", "-") for path in TESTS.glob("test_*.py")},
    }
    assert found == {kind: set(CHECKS) for kind in found}


def test_other_lists_of_checks_are_the_same() -> None:
    """
    The codes of problems, and the checks that a baseline may name, are the checks in their order.
    """
    assert list(PROBLEM_CODES["Lint"]) == list(CHECKS)
    assert load_schema("baseline")["$defs"]["acceptance"]["properties"]["check"]["enum"] == list(CHECKS)
    assert set(AT_VALIDATION) < set(CHECKS)


@pytest.mark.parametrize("id", CHECKS)
def test_every_test_compares_the_messages(id: str) -> None:
    """
    The test of each check compares the messages of its broken pack, and all of these are of that check.
    """
    text = (TESTS / f"test_{id.replace('-', '_')}.py").read_text(encoding="utf-8")
    assert f'assert_messages("{id}", ' in text
    codes = re.findall(r"(?:error|warning)\[(.*?)\]: ", (PACKS / id / "expected.txt").read_text(encoding="utf-8"))
    assert set(codes) == {id}


@pytest.mark.parametrize("id", CHECKS)
def test_pages_show_a_real_message(id: str) -> None:
    """
    The page of a check shows one message of its broken pack, to the letter.
    """
    page = (ROOT / "docs" / "lint" / f"{id}.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert f"[{id}]: " in shown.splitlines()[0]
    assert shown in (PACKS / id / "expected.txt").read_text(encoding="utf-8")


def test_the_pack_under_the_broken_ones_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    No check reports anything about the valid pack, so each message is due to what breaks it.
    """
    monkeypatch.chdir(tmp_path)
    assert lint_pack(laid(), LintOptions(as_of=AS_OF)).problems == ()


def test_every_check_states_what_it_checked() -> None:
    """
    The bundled pack, linted without options, has a line for every check; those that need an option say which.
    """
    result = lint_pack(read_pack("piapi"))
    assert result.problems == ()
    assert list(result.covered) == list(CHECKS)
    skipped = [id for id, covered in result.covered.items() if covered.startswith("not checked: ")]
    assert skipped == ["rewritten", "stale-source", "untested"]
