"""
The messages of lint, word for word, and that every check has everything a check must have.

`python tests/authoring/lint/test_messages.py` rewrites the expected messages; read the difference before taking it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policy_engine.authoring.lint import AT_VALIDATION, CHECKS, LintOptions, LintResult, lint_pack
from policy_engine.core.periods import DAY, parse_instant
from policy_engine.core.problem_codes import PROBLEM_CODES, page_of
from policy_engine.core.problems import format_problem
from policy_engine.core.rule_model import OperationWindow, RulePack, Selector
from policy_engine.packs import read_pack
from policy_engine.packs.cases import read_cases
from policy_engine.packs.schema_check import load_schema
from tests.support.paths import PACKS, ROOT

AS_OF = parse_instant("2026-08-01T00:00:00Z")


def lay(folder: Path, defect: str | None) -> None:
    """The small valid pack, with the files of a defect over it and those left out that it names."""
    shutil.copytree(PACKS / "valid" / "minimal", folder)
    if defect is not None:
        source = PACKS / "lint" / defect
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.txt"), dirs_exist_ok=True)
        without = source / "without.txt"
        for name in without.read_text(encoding="utf-8").split() if without.exists() else ():
            (folder / name).unlink()


def misnamed(pack: RulePack) -> RulePack:
    """The pack with names that nothing has, as only Python can build it: reading files refuses them."""
    conditions: dict[str, frozenset[str]] = {
        "service": frozenset({"film", "flim"}),
        "colour": frozenset({"red"}),
        "task_type": frozenset({"cutt"}),
        "account": frozenset({"pay-as-you-go"}),
    }
    rule = pack.rules[0]
    window = OperationWindow(("extnd",), DAY)
    first = replace(rule.versions[0], selector=Selector(conditions), operation_window=window)
    return replace(pack, rules=(replace(rule, versions=(first, *rule.versions[1:])), *pack.rules[1:]))


def disordered(pack: RulePack) -> RulePack:
    """The pack with a rule whose versions stand in the wrong order, as only Python can build it."""
    rule = pack.rules[0]
    return replace(pack, rules=(replace(rule, versions=rule.versions[::-1]), *pack.rules[1:]))


def lint(defect: str) -> tuple[LintResult, dict[str, str]]:
    """Lint the pack of a defect in the current folder with all that its check needs, and give the texts of files."""
    lay(Path("minimal"), defect)
    pack = read_pack("minimal")
    sources = dict(pack.texts)
    more: dict[str, Any] = {"as_of": AS_OF}
    if defect == "untested":
        more["cases"] = read_cases(pack, "minimal").cases
    if defect == "stale-source":
        more["review_after"] = 90 * DAY
    if defect == "rewritten":
        lay(Path("merged"), None)
        more |= {"earlier": read_pack("merged"), "revision": "main"}
        sources |= more["earlier"].texts
    if defect == "unknown-name":
        pack = misnamed(pack)
    results = [lint_pack(pack, LintOptions(**more))]
    if defect == "version-order":
        results.append(lint_pack(disordered(read_pack("minimal")), LintOptions(**more)))
    problems = tuple(dict.fromkeys(problem for result in results for problem in result.problems))
    return replace(results[0], problems=problems), sources


def messages(defect: str) -> str:
    """What lint says of the pack of a defect, as a person reads it."""
    result, sources = lint(defect)
    return "".join(f"{format_problem(problem, sources)}\n" for problem in result.problems)


@pytest.mark.parametrize("defect", CHECKS)
def test_a_defect_gives_the_exact_message(defect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Each check says of its broken pack what is wrong, where, with an example and what to do, word for word.
    """
    monkeypatch.chdir(tmp_path)
    found = messages(defect)
    assert f"[{defect}]: " in found
    assert found == (PACKS / "lint" / defect / "expected.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("defect", CHECKS)
def test_problems_have_all_their_parts(defect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A problem has a place, a lower-case sentence without a full stop, an example, help, a page and names.
    """
    monkeypatch.chdir(tmp_path)
    result, _ = lint(defect)
    own = [problem for problem in result.problems if problem.code == defect]
    assert own
    for problem in own:
        assert problem.span is not None
        assert re.match(r"[a-z`]", problem.message)
        assert not problem.message.endswith(".")
        assert problem.witness
        assert problem.help
        assert problem.about
        assert problem.documentation is not None
        assert (ROOT / problem.documentation).is_file()


def test_the_pack_under_the_defects_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Nothing is said of the pack that the broken ones are made from, so each message is due to its defect.
    """
    monkeypatch.chdir(tmp_path)
    lay(Path("minimal"), None)
    assert lint_pack(read_pack("minimal"), LintOptions(as_of=AS_OF)).problems == ()


@pytest.mark.parametrize("code", CHECKS)
def test_every_check_is_listed_under_its_code(code: str) -> None:
    """
    The dict of checks names each by the code of its problems, each explains itself under that code, and has a page.
    """
    assert list(PROBLEM_CODES["Lint"]) == list(CHECKS)
    explained = CHECKS[code].__globals__["__doc__"].strip()
    assert explained.startswith(f"`{code}`: ")
    assert page_of(code) == f"docs/lint/{code}.md"
    text = (ROOT / str(page_of(code))).read_text(encoding="utf-8")
    assert text.startswith(f"# {code}\n")


@pytest.mark.parametrize("code", CHECKS)
def test_pages_show_a_real_message(code: str) -> None:
    """
    The page of a check shows a message that its broken pack gives, to the letter.
    """
    shown = re.findall(
        r"^```text\n(.*?)^```$", (ROOT / str(page_of(code))).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    expected = (PACKS / "lint" / code / "expected.txt").read_text(encoding="utf-8")
    assert len(shown) == 1
    assert f"[{code}]: " in shown[0].splitlines()[0]
    assert shown[0] in expected


def test_a_baseline_can_name_every_check() -> None:
    """
    The schema of baselines lists the checks, all of them and no other.
    """
    assert load_schema("baseline")["$defs"]["acceptance"]["properties"]["check"]["enum"] == list(CHECKS)


def test_every_broken_pack_is_used() -> None:
    """
    There is one broken pack for each check and no other, and validate makes a part of the checks.
    """
    assert sorted(path.name for path in (PACKS / "lint").iterdir()) == sorted(CHECKS)
    assert set(AT_VALIDATION) < set(CHECKS)


@pytest.mark.parametrize("code", CHECKS)
def test_every_check_says_what_it_looked_at(code: str) -> None:
    """
    The bundled pack, asked without options, has a line for every check; those that need something say what.
    """
    result = lint_pack(read_pack("piapi"))
    assert result.problems == ()
    skipped = result.covered[code].startswith("not looked at: ")
    assert skipped is (code in ("rewritten", "stale-source", "untested"))
    assert list(result.covered) == list(CHECKS)


if __name__ == "__main__":
    for _code in CHECKS:
        with tempfile.TemporaryDirectory() as _folder:
            os.chdir(_folder)
            (PACKS / "lint" / _code / "expected.txt").write_text(messages(_code), encoding="utf-8")
            os.chdir(ROOT)
