"""What a caller's tools see of the package: types, names, docstrings and a program that they can check."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_type_hints

import pandas as pd
import pytest

import policy_engine
from tests.support.commands import environment
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from typing import assert_type

FUNCTIONS = ("build_report", "evaluate", "evaluate_history", "load_history", "load_pack", "render")
TYPES = ("EvaluatedHistory", "ReportModel", "RulePack", "TaskHistory")
ERRORS = ("InputUnusable", "PackInvalid", "PolicyEngineError", "TotalsMismatch", "UsageProblem", "WorkerEnded")


def types_for_checkers(
    frame: pd.DataFrame, pack: policy_engine.RulePack, history: policy_engine.EvaluatedHistory
) -> None:
    """Nobody calls it: `make lint` has mypy and pyright check these claims, and that wrong uses are errors."""
    assert_type(policy_engine.load_pack(), policy_engine.RulePack)
    assert_type(policy_engine.evaluate(frame, pack, as_of=0), pd.DataFrame)
    assert_type(policy_engine.load_history("a", pack=pack), policy_engine.TaskHistory)
    assert_type(policy_engine.load_history("a", pack=pack).assets, pd.DataFrame)
    assert_type(policy_engine.evaluate_history("a", pack=pack, as_of=0), policy_engine.EvaluatedHistory)
    assert_type(iter(history), Iterator[pd.DataFrame])
    assert_type(policy_engine.build_report(history), policy_engine.ReportModel)
    assert_type(policy_engine.render(policy_engine.build_report(history)), str)
    policy_engine.evaluate(frame, "piapi", as_of=0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    policy_engine.evaluat  # type: ignore[attr-defined]  # noqa: B018 # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


@pytest.mark.slow
def test_names_are_offered() -> None:
    """
    Completion offers the public names, and only those, before anything else has been imported.
    """
    program = "import sys, policy_engine; print(*dir(policy_engine)); print('pandas' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True
    )
    names, is_loaded = done.stdout.splitlines()
    assert names.split() == sorted([*FUNCTIONS, *TYPES, *ERRORS, "Problem", "__version__"])
    assert is_loaded == "False"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_hints_of_functions_resolve(name: str) -> None:
    """
    The hints of each function name real types, as tools ask for them at run time.
    """
    hints = get_type_hints(getattr(policy_engine, name))
    assert "return" in hints
    assert not any(isinstance(hint, str) for hint in hints.values())


@pytest.mark.parametrize("name", TYPES)
def test_hints_of_types_resolve(name: str) -> None:
    """
    The types that functions take and give name real types as well.
    """
    kind = getattr(policy_engine, name)
    get_type_hints(kind)
    get_type_hints(kind.__init__)


@pytest.mark.parametrize("name", [*FUNCTIONS, *TYPES, *ERRORS])
def test_everything_public_is_described(name: str) -> None:
    """
    `help` shows a docstring of its own for everything public.
    """
    assert (getattr(policy_engine, name).__doc__ or "").strip().endswith((".", ")"))


def test_evaluate_describes_columns_units_and_errors() -> None:
    """
    The docstring of `evaluate` names every column that it reads, the units, and what it raises.
    """
    text = policy_engine.evaluate.__doc__ or ""
    columns = (
        "service", "task_type", "account", "media", "role", "watermarked", "created_at", "completed_at",
        "completion_bound", "url", "expected", "facts_conflict",
    )  # fmt: skip
    names = (*columns, "as_of", "horizon", "operation_horizon", "known_on")
    assert [name for name in names if f"`{name}`" not in text] == []
    assert "nanoseconds" in text
    assert "Raises ValueError" in text


def test_package_says_that_it_has_types() -> None:
    """
    The marker is in the package, without which checkers take every name for Any.
    """
    assert (Path(policy_engine.__file__).parent / "py.typed").is_file()


def test_errors_say_where_and_what_to_do(tmp_path: Path) -> None:
    """
    An error that nobody caught says file, line and help by itself.
    """
    with pytest.raises(policy_engine.PackInvalid) as refused:
        policy_engine.load_pack("piapy")
    assert "help: did you mean `piapi`?" in str(refused.value)
    path = tmp_path / "page.json"
    path.write_text("<html>", encoding="utf-8")
    with pytest.raises(policy_engine.InputUnusable, match=r"page\.json:1:1: error\[not-an-export\]: .+\n"):
        policy_engine.load_history(path, pack=policy_engine.load_pack())


@pytest.mark.slow
def test_sample_program_runs(tmp_path: Path) -> None:
    """
    The sample program prints the totals of the example and writes its page.
    """
    page = tmp_path / "made" / "analyst.html"
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "analyst.py", page],
        capture_output=True, text=True, encoding="utf-8", env=environment(), check=True,
    )  # fmt: skip
    assert "past its deadline      139 files    12.218 USD" in done.stdout
    assert done.stdout.endswith(f"written: {page}\n")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert done.stderr == ""
