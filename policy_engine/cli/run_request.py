"""The options of the commands that judge a history, and the value that they make together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import reduce, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any

import click

from policy_engine.cli.option_groups import (
    file_option,
    input_option,
    output_option,
    performance_option,
    question_option,
)
from policy_engine.cli.values import ALLOWANCE, DURATION, INSTANT, MEMORY, SCHEDULER, Allowance
from policy_engine.core.vocabulary import VERDICTS

if TYPE_CHECKING:
    from policy_engine.core.rule_model import RulePack
    from policy_engine.engine.question import Question


@dataclass(frozen=True)
class RunRequest:
    """What a command line asks of a run; a command without an option has its default."""

    history: tuple[str, ...]
    """Files, folders, globs, or - for standard input."""
    output: str | None = None
    """Where the result goes; it is never read, even if it lies among the sources."""
    pack: str = "piapi"
    as_of: int | None = None
    """ns since 1970; None: the clock."""
    horizon: int | None = None
    """ns; None: the pack's."""
    operation_horizon: int | None = None
    """ns; None: the pack's."""
    every: int | None = None
    """Interval between runs, ns."""
    created_from: int | None = None
    created_until: int | None = None
    columns: str | None = None
    """File that maps our column names to those of tables."""
    max_quarantine: Allowance | None = None
    max_age: int | None = None
    """ns."""
    archived: str | None = None
    """File of the inventory."""
    exemptions: str | None = None
    """File of exemptions."""
    house_rules: str | None = None
    """File of house rules."""
    fail_on: tuple[str, ...] = ()
    """Verdicts, perhaps repeated."""
    embed: int | None = None
    """Rows that the page of a report holds; None: there is no page."""
    jobs: int = 1
    memory_limit: int | None = None
    """Bytes, for all processes together."""
    scheduler: str | None = None

    def question(self, pack: RulePack, as_of: int) -> Question:
        """What is asked of the files, by one pack."""
        from policy_engine.engine.question import Question

        return Question(
            as_of,
            # A file due before the next run must be in this one, with the lead time that saving takes.
            (pack.horizon if self.horizon is None else self.horizon) + (self.every or 0),
            pack.operation_horizon if self.operation_horizon is None else self.operation_horizon,
        )

    @property
    def own_files(self) -> tuple[str, ...]:
        """The user's own files: among the exports, they are not part of the history."""
        return tuple(file for file in (self.archived, self.exemptions, self.house_rules) if file)


_FIELDS = frozenset(field.name for field in fields(RunRequest))


def takes_request(command: Callable[..., int]) -> Callable[..., int]:
    """Gather the values of click into a RunRequest; the command also gets those that its signature names."""
    own = signature(command).parameters.keys()

    @wraps(command)
    def gathered(**values: Any) -> int:
        request = RunRequest(**{name: value for name, value in values.items() if name in _FIELDS})
        return command(request, **{name: value for name, value in values.items() if name in own})

    return gathered


def _together(*options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options as one decorator; the help lists them in this order."""
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


HISTORY = click.argument("history", nargs=-1, required=True, metavar="HISTORY...")
pack_option = question_option(
    "--pack", default="piapi", show_default=True, metavar="PACK", help="Bundled rule pack, or a folder."
)
period_options = _together(
    question_option("--as-of", type=INSTANT, help="Instant to answer for, RFC 3339 with a zone. Default: now."),
    question_option("--horizon", type=DURATION, help="How far ahead `at_risk` looks (P1D). Default: the pack's."),
    question_option(
        "--operation-horizon", type=DURATION, help="How far ahead `closing` looks (PT1H). Default: the pack's."
    ),
    question_option("--created-from", type=INSTANT, help="Judge only tasks submitted at or after this instant."),
    question_option("--created-until", type=INSTANT, help="Judge only tasks submitted before this instant."),
    input_option("--columns", metavar="FILE", help="YAML file that maps our column names to yours."),
)
reading_options = _together(
    input_option(
        "--max-quarantine",
        type=ALLOWANCE,
        metavar="N|N%",
        help="Exit 4 if more records than this are quarantined.",
    ),
    input_option("--max-age", type=DURATION, help="Refuse a history whose newest record is older (PT26H)."),
    performance_option(
        "--jobs",
        type=click.IntRange(1, 256),
        default=1,
        show_default=True,
        metavar="N",
        help="Number of processes. Results do not depend on it.",
    ),
    performance_option(
        "--memory-limit",
        type=MEMORY,
        metavar="SIZE",
        help="Memory for all processes together (512MiB). Results do not depend on it.",
    ),
    performance_option(
        "--scheduler",
        type=SCHEDULER,
        metavar="local|ADDRESS",
        help="Run on Dask: `local`, or a scheduler address (tcp://HOST:PORT).",
    ),
)
annotation_options = _together(
    question_option("--every", type=DURATION, help="Interval between runs (P1D); it is added to the horizon."),
    file_option(
        "--archived",
        metavar="INVENTORY",
        help="What you have saved already: CSV, Parquet, or a list of paths, URLs or ids.",
    ),
    file_option("--exemptions", metavar="FILE", help="YAML file of exemptions (id, owner, reason, expiry date)."),
    file_option("--house-rules", metavar="FILE", help="YAML file of your own deadlines and lead times, for save_by."),
)
fail_on_option = output_option(
    "--fail-on",
    multiple=True,
    type=click.Choice([str(verdict) for verdict in VERDICTS]),
    help="Exit 1 if any asset has this verdict and is not archived or exempted. Repeatable.",
)
