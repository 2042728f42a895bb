"""Shows the options of a command in groups, each under a title of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import click


class _GroupedOption(click.Option):
    """An option that belongs to a group."""

    def __init__(self, *names: Any, group: str, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help has a section per group of options; options without a group come last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in (*GROUPS, "Other options")}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                sections[param.group if isinstance(param, _GroupedOption) else "Other options"].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _group(title: str) -> Callable[..., Callable[[Callable[..., Any]], Callable[..., Any]]]:
    return partial(click.option, cls=_GroupedOption, group=title)


question_option = _group("Question")
"""Like click.option: an option about what is asked."""
input_option = _group("Input")
"""Like click.option: an option about reading a history, and when to refuse it."""
file_option = _group("Your files")
"""Like click.option: an option that names a file of the user's, beside the history."""
output_option = _group("Output")
"""Like click.option: an option about results and the exit code."""
performance_option = _group("Performance")
"""Like click.option: an option on which no result depends."""

GROUPS = ("Question", "Input", "Your files", "Output", "Performance")
"""Titles, in the order of the help."""
