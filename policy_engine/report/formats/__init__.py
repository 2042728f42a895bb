"""
The formats of a report, each a module of this package and an entry in one of three dicts.

A module is imported only when its format is asked for, so that `--help` can read the dicts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from policy_engine.core.problems import Problem, UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from policy_engine.report.model import ReportModel


@dataclass(frozen=True)
class Format:
    """What is known of a format without its module."""

    module: str
    """Module of this package."""
    file: str = ""
    """Its file in a report folder; empty: it is only printed or returned."""
    option: str = ""
    """Help text of the option that asks for it; empty: a report folder always has the file."""
    package: str = ""
    """Package that it needs and that the program alone does not; the extra that installs it has the format's name."""


FORMATS: dict[str, Format] = {
    "html": Format("html", "report.html"),
    "json": Format("summary_json", "summary.json"),
    "markdown": Format("markdown", "report.md", option="Also write report.md, for chats, tickets and CI pages."),
    "text": Format("text"),
}
"""Formats made of the report model alone; the module has `render(model) -> str`."""

WORKBOOKS: dict[str, Format] = {
    "xlsx": Format(
        "workbook", "report.xlsx", option="Also write report.xlsx (needs the extra `xlsx`).", package="xlsxwriter"
    ),
}
"""Formats that hold every finding as well; the module has `Writer`, which makes a Workbook."""

DOWNLOADERS: dict[str, Format] = {
    "aria2": Format("aria2", "save_now.aria2.txt"),
}
"""Programs that save files (`--rescue`), each with its input file; the module is a Downloader."""

OPTIONS: dict[str, str] = {name: entry.option for name, entry in (WORKBOOKS | FORMATS).items() if entry.option}
"""Format that a report folder has only when asked for it -> help text of the option of its name."""


class Workbook(Protocol):
    """Takes chunks of findings, and then the report."""

    def take(self, findings: pd.DataFrame) -> None:
        """Write a chunk of findings."""

    def finish(self, model: ReportModel, quarantine: pd.DataFrame) -> None:
        """Write the rest and close the file."""

    def abandon(self) -> None:
        """Close what is still open, whether it was finished or not."""


class Downloader(Protocol):
    """Writes the input file of a program that saves files."""

    HEAD: str
    """The first lines of the file."""

    def entries(self, findings: pd.DataFrame, /) -> list[str]:
        """One entry per finding, in its order; empty where no address is known."""


def renderer(name: str) -> Callable[[ReportModel], str]:
    """The function that turns a report into the text of a format."""
    function: Callable[[ReportModel], str] = _module(FORMATS[name]).render
    return function


def open_workbook(name: str, path: Path, scratch: Path) -> Workbook:
    """Begin a workbook; `scratch` is a folder for its parts while it is made."""
    workbook: Workbook = _module(WORKBOOKS[name]).Writer(path, scratch)
    return workbook


def downloader(name: str) -> Downloader:
    """The module that writes the input file for a downloader."""
    module: Downloader = _module(DOWNLOADERS[name])
    return module


def check_available(name: str) -> None:
    """Refuse to start what cannot be finished; raises UsageProblem where a package is missing."""
    package = (WORKBOOKS | FORMATS)[name].package
    if package and find_spec(package) is None:
        raise UsageProblem(Problem(
            "missing-extra", f"--{name} needs {package}", help=f"pip install 'media-policy-engine[{name}]'"
        ))  # fmt: skip


def _module(entry: Format) -> Any:
    return import_module(f"{__name__}.{entry.module}")
