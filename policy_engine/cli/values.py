"""Kinds of arguments: instants, durations, shares; each says what it wants when it is given something else."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import click

from policy_engine.core.periods import MAX_INSTANT, MIN_INSTANT, SECOND, parse_duration, parse_instant
from policy_engine.core.problems import Problem, UsageProblem, suggest
from policy_engine.core.safe_text import plain

_HUMAN = re.compile(r"([0-9]+)\s*(d|day|days|h|hour|hours|m|min|minute|minutes|s|second|seconds|w|week|weeks)", re.I)


def clock() -> int:
    """The present instant in ns, whole seconds: the only place where the program asks for it."""
    return time.time_ns() // SECOND * SECOND


class Instant(click.ParamType[int]):
    """An RFC 3339 time with a zone, as ns since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text."""
        if isinstance(value, int):
            return value
        try:
            instant = parse_instant(value)
        except ValueError as error:
            hint = f"; did you mean {value}T00:00:00Z?" if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) else ""
            self.fail(f"`{plain(value)}` is {error}{hint}", param, ctx)
        if not MIN_INSTANT <= instant <= MAX_INSTANT:
            self.fail(f"`{plain(value)}` lies outside the years 1824 to 2116", param, ctx)
        return instant


class Duration(click.ParamType[int]):
    """An ISO 8601 length of time (`P1D`, `PT3H`), as ns."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text."""
        if isinstance(value, int):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            near = _nearest_duration(value.strip())
            self.fail(f"{plain(error)}{f'; did you mean {near}?' if near else ''}", param, ctx)


def _nearest_duration(text: str) -> str | None:
    """What somebody who writes `3d` or `pt3h` is likely to mean."""
    match = _HUMAN.fullmatch(text)
    if match is None:
        iso = text.upper()
    else:
        count, unit = int(match.group(1)), match.group(2)[0].lower()
        iso = {
            "w": f"P{count * 7}D",
            "d": f"P{count}D",
            "h": f"PT{count}H",
            "m": f"PT{count}M",
            "s": f"PT{count}S",
        }[unit]
    try:
        parse_duration(iso)
    except ValueError:
        return None
    return iso


@dataclass(frozen=True)
class Allowance:
    """How many records may be set aside."""

    amount: Decimal
    """Records, or percent of the records read."""
    is_share: bool
    text: str
    """As the user wrote it."""

    def is_exceeded(self, set_aside: int, records: int) -> bool:
        """True when more was set aside than allowed."""
        # Decimals, since 0.29 * 100 is less than 29 in floating point.
        return set_aside * 100 > self.amount * records if self.is_share else set_aside > self.amount


class AllowanceType(click.ParamType[Allowance]):
    """A number of records (`10`) or a share of them (`1%`)."""

    name = "count or share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Allowance:
        """Read the text."""
        if isinstance(value, Allowance):
            return value
        if re.fullmatch(r"[0-9]{1,12}", value):
            return Allowance(Decimal(value), False, value)
        if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?%", value) and Decimal(value[:-1]) <= 100:
            return Allowance(Decimal(value[:-1]), True, value)
        self.fail(f"`{plain(value)}` is neither a number of records such as 10 nor a share such as 1%", param, ctx)


class MemoryType(click.ParamType[int]):
    """An amount of memory (`512MiB`, `2GiB`, `500MB`), in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]{1,12})\s*([kmgt])(i?)b?", value.strip(), re.I)
        if match is None:
            self.fail(f"`{plain(value)}` is no amount of memory such as 512MiB or 2GiB", param, ctx)
        power = "kmgt".index(match.group(2).lower()) + 1
        # Written without the `i` it is a thousand, but for a bare letter, which everybody takes for the larger one.
        is_thousands = not match.group(3) and value.strip()[-1:] in "bB"
        unit: int = (1_000 if is_thousands else 1_024) ** power
        return int(match.group(1)) * unit


class Zone(click.ParamType[ZoneInfo]):
    """The name of a time zone (`Europe/Berlin`)."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:
        """Look it up in the time-zone database."""
        if isinstance(value, ZoneInfo):
            return value
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            near = suggest(value[:80], available_timezones())
            self.fail(
                f"`{plain(value)}` is no time zone of the time-zone database such as Europe/Berlin"
                + (f"; did you mean {near}?" if near else ""),
                param,
                ctx,
            )


class SchedulerType(click.ParamType[str]):
    """`local`, or the address of a Dask scheduler."""

    name = "scheduler"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the text."""
        match = re.fullmatch(r"(?:tcp|tls)://(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+):([0-9]{1,5})", value)
        if value != "local" and (match is None or not 0 < int(match.group(1)) < 65_536):
            self.fail(f"`{plain(value)}` is neither local nor an address such as tcp://10.0.0.1:8786", param, ctx)
        return str(value)


INSTANT = Instant()
DURATION = Duration()
ALLOWANCE = AllowanceType()
MEMORY = MemoryType()
ZONE = Zone()
SCHEDULER = SchedulerType()


def read_column_mapping(path: str | None) -> Mapping[str, str]:
    """Read the file of --columns: YAML, one line `documented name: name in the table` each."""
    if path is None:
        return {}
    from policy_engine.history.tables.table_reader import TABLE_COLUMNS
    from policy_engine.packs.yaml_document import parse_yaml, read_bytes

    name = Path(path).as_posix()
    help_ = "for instance a line `task_id: Job ID`"
    data, problems = read_bytes(Path(path), name)
    if data is None:
        raise UsageProblem([replace(problem, help="check the name given with --columns") for problem in problems])
    document, problems = parse_yaml(data, name)
    sources = {name: data.decode("utf-8", "replace")}
    if document is None or problems:
        raise UsageProblem([replace(problem, help=problem.help or help_) for problem in problems], sources)
    mapping = document.value
    if not isinstance(mapping, dict):
        raise UsageProblem(Problem(
            "column-mapping", "the file of --columns must hold lines `documented name: name in the table`",
            document.span(), help=help_,
        ), sources)  # fmt: skip
    wrong: list[Problem] = []
    for ours, theirs in mapping.items():
        if ours not in TABLE_COLUMNS:
            near = suggest(str(ours), TABLE_COLUMNS)
            wrong.append(Problem(
                "column-mapping", f"`{plain(ours)}` is no documented column", document.key_span(ours),
                help=(f"did you mean `{near}`? " if near else "") + f"there are {', '.join(TABLE_COLUMNS)}",
            ))  # fmt: skip
        elif not isinstance(theirs, str):
            wrong.append(Problem(
                "column-mapping", f"`{ours}` needs the name of a column, as text", document.span(ours),
                help="put the name in quotes",
            ))  # fmt: skip
        elif list(mapping.values()).index(theirs) != list(mapping).index(ours):
            wrong.append(Problem(
                "column-mapping", f"the column `{plain(theirs)}` is given two meanings", document.span(ours),
                help="one column of the table can stand for one documented column only",
            ))  # fmt: skip
    if wrong:
        raise UsageProblem(wrong, sources)
    return mapping
