"""The options for what a user brings beside a history: inventory, exemptions, house rules, how often a run is made."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from policy_engine.cli.values import DURATION
from policy_engine.core.problems import InputUnusable, Problem, SourceSpan
from policy_engine.core.safe_text import plain

if TYPE_CHECKING:
    from policy_engine.engine.run import EvaluationRun

_FILES = ("archived", "exemptions", "house_rules")


def mark_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of the commands that put marks beside the verdicts."""
    for option in reversed((
        click.option("--archived", metavar="INVENTORY",
                     help="What you hold already: CSV, Parquet, or a listing of paths, URLs or ids."),
        click.option("--exemptions", metavar="FILE", help="YAML: dated, owned, reasoned leave for findings to stand."),
        click.option("--house-rules", metavar="FILE", help="YAML: your own deadlines and lead times, for save_by."),
        click.option("--every", type=DURATION,
                     help="How often this runs (P1D); the horizon then looks so much further ahead."),
    )):  # fmt: skip
        command = option(command)
    return command


def marker_files(given: dict[str, Any]) -> set[str]:
    """Real paths of those files: found in a folder of exports, they are no part of the history."""
    return {os.path.realpath(given[option]) for option in _FILES if given.get(option)}


def refuse_useless_inventory(run: EvaluationRun) -> None:
    """Refuse an inventory that marks nothing: it is the wrong file, or names its copies in a way nobody can know."""
    inventory, totals = run.options.annotator.inventory, run.totals
    if inventory is None or totals.marks.archived[0] or not totals.findings.assets:
        return
    left_out = inventory.empty + inventory.later + inventory.unreadable
    if left_out == inventory.entries:
        counts = (
            f"{inventory.empty:,} empty, {inventory.later:,} made after as_of, {inventory.unreadable:,} not readable"
        )
        first = f"; the first: {inventory.first_unreadable}" if inventory.first_unreadable else ""
        message, help_ = f"no entry of the inventory counts: {counts}{first}", "is this the right file?"
    else:
        message = (
            f"no entry of the inventory fits one of the {totals.findings.assets:,} files of the history; "
            f"an entry reads `{plain(inventory.example, 100)}`"
        )
        help_ = (
            "entries fit by URL, by asset_id, by a name of 16 letters and digits or more, or by task_id where the task "
            "has one file; leave --archived out for as long as nothing is archived"
        )
    raise InputUnusable(Problem("inventory-fits-nothing", message, SourceSpan(inventory.name, 1), help=help_))
