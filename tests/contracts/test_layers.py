"""The order of the house: modules import only from below, say what they are for, and stay short."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "policy_engine").rglob("*.py"))
LONGEST = 500
"""Lines of a module; beyond, it wants to be two."""


@pytest.mark.slow
def test_layers_are_kept() -> None:
    """
    No module imports from above, and neighbours that should not know each other do not.
    """
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or shutil.which("lint-imports")
    if command is None:
        pytest.skip("import-linter is not installed")
    done: Any = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize("name", MODULES)
def test_modules_say_what_they_are_for(name: str) -> None:
    """
    A module opens with one sentence on what it does.
    """
    text = ast.get_docstring(ast.parse((ROOT / name).read_text(encoding="utf-8")))
    assert text
    first = " ".join(text.split("\n\n")[0].split())
    assert re.fullmatch(r"[A-Z`].*[.?]", first)
    assert len(re.findall(r"[.!?](?= [A-Z])", first)) <= 1, first


@pytest.mark.parametrize("name", MODULES)
def test_modules_stay_short(name: str) -> None:
    """
    A module is short enough to be read at one go.
    """
    assert (ROOT / name).read_text(encoding="utf-8").count("\n") <= LONGEST


@pytest.mark.parametrize(
    "path", sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py"))
)
def test_tests_say_their_promise(path: str) -> None:
    """
    Every test says in a docstring what it promises.
    """
    silent = [
        node.name
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_the_map_of_the_tests_is_whole() -> None:
    """
    tests/README.md names every folder of the tests, every long program, and only files that exist.
    """
    text = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {name for name in folders if f"`{name}`" in text}
    programs = {path.name for path in (ROOT / "tools" / "torture").glob("*.py")} - {"fuzzing.py", "progress.py"}
    assert programs == {name for name in programs if f"`{name}`" in text or f"`tools/torture/{name}`" in text}
    named = [name for name in re.findall(r"`([a-z_/]+\.py)`", text) if "/" in name]
    assert len(named) > 10
    assert [name for name in named if not ((ROOT / name).exists() or (ROOT / "tests" / name).exists())] == []
