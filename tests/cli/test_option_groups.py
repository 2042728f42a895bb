"""Help in groups: every option of a command once, under the title it belongs to."""

from __future__ import annotations

import re

import click
import pytest

from policy_engine.cli import cli
from policy_engine.cli.option_groups import GROUPS, GroupedCommand
from tests.support.commands import policy_engine

GROUPED = sorted(name for name, command in cli.commands.items() if isinstance(command, GroupedCommand))
_OPTION = re.compile(r"^  (?:-\w, )?(--[a-z-]+)", re.MULTILINE)


def sections(command: str) -> dict[str, list[str]]:
    """The titles of a help and the options below each."""
    text = policy_engine(command, "--help").text
    parts = re.split(r"^([A-Z][a-z ]+):$", text, flags=re.MULTILINE)
    return {title: _OPTION.findall(body) for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def test_help_of_report_in_groups() -> None:
    """
    The longest help, group by group.
    """
    assert sections("report") == {
        "Question": [
            "--pack", "--as-of", "--horizon", "--operation-horizon", "--created-from", "--created-until", "--every",
        ],
        "Input": ["--columns", "--max-quarantine", "--max-age"],
        "Your files": ["--archived", "--exemptions", "--house-rules"],
        "Output": [
            "--output", "--show-urls", "--xlsx", "--markdown", "--rescue", "--tz", "--embed", "--fail-on",
        ],
        "Performance": ["--jobs", "--memory-limit", "--scheduler"],
        "Other options": ["--help"],
    }  # fmt: skip


@pytest.mark.parametrize("name", GROUPED)
def test_help_lists_every_option_once(name: str) -> None:
    """
    Groups come in one order, none is empty, and together they hold every option of the command once.
    """
    shown = sections(name)
    titles = [title for title in (*GROUPS, "Other options") if title in shown]
    assert list(shown) == titles
    assert all(shown.values())
    listed = [option for options in shown.values() for option in options]
    params = [param for param in cli.commands[name].params if isinstance(param, click.Option)]
    assert sorted(listed) == sorted(["--help", *(max(param.opts, key=len) for param in params)])
    assert shown["Other options"] == ["--help"]


def test_long_help_is_grouped() -> None:
    """
    A command with more options than fit on a screen has groups.
    """
    long = {
        name
        for name, command in cli.commands.items()
        if sum(isinstance(param, click.Option) for param in command.params) > 8
    }
    assert long
    assert long <= set(GROUPED)
