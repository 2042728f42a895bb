"""The dicts of formats: what each entry says is true of its module, and the files of a report are named once."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from policy_engine.cli import cli
from policy_engine.core.problems import UsageProblem
from policy_engine.report import formats
from policy_engine.report.files import EXTRA_FILES, REPORT_FILES
from policy_engine.report.formats import DOWNLOADERS, FORMATS, OPTIONS, WORKBOOKS, check_available, downloader, renderer
from tests.support.paths import ROOT
from tests.support.sample_model import rich_model


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_renders_the_model(name: str) -> None:
    """
    A format turns the model into text, the same each time.
    """
    model = rich_model()
    text = renderer(name)(model)
    assert model.title in text
    assert text == renderer(name)(model)


@pytest.mark.parametrize("name", DOWNLOADERS)
def test_every_downloader_has_its_lines(name: str) -> None:
    """
    The module of a downloader has the first lines and the entries of its file.
    """
    assert downloader(name).HEAD.endswith("\n")
    assert callable(downloader(name).entries)


def test_every_module_is_in_a_dict() -> None:
    """
    A module of formats that no dict names would never be used.
    """
    folder = ROOT / "policy_engine" / "report" / "formats"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "html_data"}
    assert {entry.module for entry in (*FORMATS.values(), *WORKBOOKS.values(), *DOWNLOADERS.values())} == modules
    assert all(hasattr(import_module(f"{formats.__name__}.{entry.module}"), "Writer") for entry in WORKBOOKS.values())


def test_options_of_the_command_are_those_of_the_dicts() -> None:
    """
    `report` has an option for each format that is not always written, with the help of the entry.
    """
    options = {option.name: option for option in cli.commands["report"].params}
    flags = {flag: option for option in cli.commands["report"].params for flag in option.opts}
    for name, text in OPTIONS.items():
        assert getattr(flags[f"--{name}"], "help", None) == text
        assert (WORKBOOKS | FORMATS)[name].file in text
    assert list(getattr(options["rescue"].type, "choices", ())) == list(DOWNLOADERS)


def test_files_have_names_of_their_own() -> None:
    """
    No two files of a report have one name, and the page names no table that a report has not.
    """
    names = [*REPORT_FILES, *EXTRA_FILES]
    assert len(set(names)) == len(names)
    shown = [path for path in (ROOT / "reports").iterdir() if path.is_file()]
    mentioned = {name for path in shown for name in re.findall(r"\b[a-z_]+\.csv\b", path.read_text(encoding="utf-8"))}
    assert mentioned - {"verdict.csv"} <= set(names)  # a field of the script


def test_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A format whose package is missing is refused with what installs it; one that needs none never is.
    """
    monkeypatch.setitem(__import__("sys").modules, "xlsxwriter", None)
    check_available("markdown")
    with pytest.raises(UsageProblem, match="--xlsx needs xlsxwriter") as refused:
        check_available("xlsx")
    assert refused.value.problems[0].help == "pip install 'media-policy-engine[xlsx]'"
