"""The prose linter: each rule by its own sentences, and each kind of file by what it takes for prose."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.paths import ROOT

TOOLS = ROOT / "tools"


def load() -> ModuleType:
    """The program as a module."""
    spec = importlib.util.spec_from_file_location("prose", TOOLS / "prose.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


prose = load()
RULES = {rule.id: rule for rule in prose.load_rules()}


def found(text: str, suffix: str = ".md") -> list[tuple[int, int, str]]:
    """Line, column and rule of each hit in a text."""
    hits = prose.check_text(text, suffix, RULES.values(), Path("page"))
    return [(hit.line, hit.column, hit.rule.id) for hit in hits]


@pytest.mark.parametrize("name", RULES)
def test_rules_find_their_bad_sentences_and_accept_the_good_ones(name: str) -> None:
    """
    A rule finds something in each of its bad sentences, and no rule finds anything in the good ones.
    """
    rule = RULES[name]
    assert rule.bad
    assert rule.good
    assert [text for text in rule.bad if name not in {hit[2] for hit in found(text)}] == []
    assert [text for text in rule.good if found(text)] == []


def test_rules_have_names_of_their_own_and_advice() -> None:
    """
    No two rules share a name, and each says what to write instead.
    """
    assert len(RULES) == len(prose.load_rules())
    assert all(rule.write for rule in RULES.values())


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".md", "```\nit is no file\n```\n"),
        (".md", "Write `is no file`.\n"),
        (".md", "<!-- it is no\nfile -->\n"),
        (".md", "[text](is no file)\n"),
        (".md", "| it is | no file |\n"),
        (".md", "It is\n\nno file\n"),
        (".py", "mended = told(x)\n"),
        (".py", 'f"it was {told}"\n'),
        (".py", "# the word `mend` in code\n"),
        (".py", 'x = "it is", "no file"\n'),
        (".j2", "{{ told }}{% if mend %}{% endif %}<p class='told'>\n"),
        (".yml", "description: write `is no file`\n"),
    ],
)
def test_code_is_not_prose(suffix: str, text: str) -> None:
    """
    Code, names, comments of a page and link targets are not checked, and a sentence ends where its text does.
    """
    assert found(text, suffix) == []


@pytest.mark.parametrize(
    ("suffix", "text", "hits"),
    [
        (".md", "A page.\nIt is\n  no file.\n", [(2, 4, "is-no")]),
        (".md", "# It is no file\n", [(1, 6, "is-no")]),
        (".md", "| a | is no file |\n", [(1, 7, "is-no")]),
        (".py", '"""It is no file."""\n', [(1, 7, "is-no")]),
        (".py", "x = 1  # mend it\n", [(1, 10, "mend")]),
        (".py", "# it is\n# no file\n", [(1, 6, "is-no")]),
        (".py", 'x = (\n    "it is "\n    "no file"\n)\n', [(2, 9, "is-no")]),
        (".py", 'x = f"{name} is no file"\n', [(1, 14, "is-no")]),
        (".j2", "<p>It is no <b>file</b></p>\n", [(1, 7, "is-no")]),
        (".j2", "{# it is no file #}\n", [(1, 7, "is-no")]),
        (".yml", "description: it is no file\n", [(1, 17, "is-no")]),
        (".json", '{"description": "it is no file"}\n', [(1, 21, "is-no")]),
    ],
)
def test_prose_is_found_where_it_is(suffix: str, text: str, hits: list[tuple[int, int, str]]) -> None:
    """
    Text that people read is checked across line ends, and a hit names the line and column where it begins.
    """
    assert found(text, suffix) == hits


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run the program and give its exit code and what it prints."""

    def run(*arguments: object) -> tuple[int, str]:
        code = prose.main([str(argument) for argument in arguments])
        return code, capsys.readouterr().out

    return run


def test_a_hit_is_a_line_with_place_text_and_advice(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    """
    Files below a folder are checked, and a hit ends the program with 1 and says where, what, and what to write.
    """
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "page.md").write_text("Mend it.\n", encoding="utf-8")
    (tmp_path / "data.bin").write_text("Mend it.\n", encoding="utf-8")
    code, printed = run(tmp_path)
    assert code == 1
    assert printed == f'{tmp_path}/below/page.md:1:1: [mend] `Mend`: "fix"\n'
    assert re.fullmatch(r" +1 \S+\n", run("--count", tmp_path)[1])


def test_clean_files_end_with_0(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    """
    Without a hit nothing is printed, and the exit code is 0.
    """
    (tmp_path / "page.md").write_text("Fix it.\n", encoding="utf-8")
    assert run(tmp_path / "page.md") == (0, "")


def test_files_that_cannot_be_checked_are_refused(tmp_path: Path) -> None:
    """
    A named file of an unknown kind is a usage error, not a clean file.
    """
    (tmp_path / "data.bin").write_text("Mend it.\n", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        prose.main([str(tmp_path / "data.bin")])
    assert ended.value.code == 2
