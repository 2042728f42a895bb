"""Writes made-up tasks as JSON Lines in the forms in which histories are exported, damaged if wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from policy_engine.core.periods import DAY, MAX_INSTANT, MIN_INSTANT, SECOND
from policy_engine.history.example.making import Task, make_tasks, time_text
from policy_engine.history.example.services import KINDS

_BATCH = 256
"""Lines that are written at once."""
_MILLISECOND = 1_000_000
_PAGE = 100
"""Rows on a page of the history endpoint: the most it gives."""
_ACCOUNT = 40_117
_API_KEYS = (7_301, 7_302)

# What is written of each task of a mixed history goes by the remainder of its number by 16.
_WITHOUT_ROW = (3, 9, 14)
_ONLY_ROW = (5,)
_TWICE = (7, 11)
"""As it was asked for, and again as it ended."""

Line = tuple[str, int]
"""A line, and the number of records in it."""


@dataclass(frozen=True)
class ExampleSummary:
    """What was written."""

    tasks: int
    """Distinct tasks, however often each was written."""
    records: int
    """Task objects, history rows and spoilt lines; the pages around the rows do not count."""
    lines: int
    """Lines of the file."""
    bytes: int
    """Length of the file."""
    first_created: int | None
    """Earliest creation of a task in nanoseconds; None when there is no task."""
    last_created: int | None
    """Latest creation of a task in nanoseconds; None when there is no task."""
    services: dict[str, int]
    """Tasks by service, those that occur."""


def write_example(
    stream: BinaryIO,
    *,
    tasks: int,
    seed: int,
    until: int,
    days: int = 14,
    damage: bool = False,
    shape: Literal["mixed", "tasks"] = "mixed",
) -> ExampleSummary:
    """
    Write a made-up history as JSON Lines: the same arguments give the same bytes on any machine.

    The tasks are created in the `days` before `until` (nanoseconds since 1970), half in the last four.
    `mixed` has task objects, bare and in envelopes, and history pages; `tasks` has only bare task objects.
    Raises ValueError when an argument is out of bounds.
    """
    if tasks < 0:
        raise ValueError(f"the number of tasks is {tasks}; it cannot be negative")
    if days < 1:
        raise ValueError(f"the number of days is {days}; it must be at least 1")
    if not MIN_INSTANT + days * DAY <= until <= MAX_INSTANT:
        raise ValueError("the tasks would lie outside the years 1823 to 2116")
    if shape not in ("mixed", "tasks"):
        raise ValueError(f"`{shape}` is not a shape; there are `mixed` and `tasks`")

    services = dict.fromkeys((kind.service for kind in KINDS), 0)
    first, last = MAX_INSTANT, MIN_INSTANT

    def counted() -> Iterator[Task]:
        nonlocal first, last
        for task in make_tasks(tasks, seed, until, days):
            services[task.stock.kind.service] += 1
            created = task.created_instant
            if created < first:
                first = created
            if created > last:
                last = created
            yield task

    spoil = _spoiler(tasks) if damage else _spare
    records = lines = size = 0
    batch: list[bytes] = []
    for line, inside in _mixed(counted(), tasks, spoil) if shape == "mixed" else _bare(counted(), spoil):
        records += inside
        lines += 1
        batch.append(line.encode())
        if len(batch) == _BATCH:
            size += _write(stream, batch)
    if batch:
        size += _write(stream, batch)
    return ExampleSummary(
        tasks=tasks,
        records=records,
        lines=lines,
        bytes=size,
        first_created=first if tasks else None,
        last_created=last if tasks else None,
        services={service: count for service, count in services.items() if count},
    )


def _write(stream: BinaryIO, batch: list[bytes]) -> int:
    """Write the lines and empty the list; gives the number of bytes."""
    data = b"\n".join([*batch, b""])
    batch.clear()
    stream.write(data)
    return len(data)


Spoiler = Callable[[Task], list[Line]]
"""Gives the damaged lines of a task; none when it is to be written as always."""


def _bare(tasks: Iterator[Task], spoil: Spoiler) -> Iterator[Line]:
    """Write each task as one bare object."""
    for task in tasks:
        spoilt = spoil(task)
        if spoilt:
            yield from spoilt
        else:
            yield task.record(), 1


def _mixed(tasks: Iterator[Task], count: int, spoil: Spoiler) -> Iterator[Line]:
    """Write each task in one or more of the forms that an export may have, with history pages in between."""
    total = sum((count - place + 15) // 16 for place in range(16) if place not in _WITHOUT_ROW)
    page = 0
    rows: list[str] = []
    for task in tasks:
        place = task.number % 16
        spoilt = spoil(task)
        if spoilt:
            yield from spoilt
        elif place not in _ONLY_ROW:
            if place in _TWICE and task.state == "completed":
                yield _enveloped(task.at_creation().record()), 1
            yield _exported(task), 1
        if place not in _WITHOUT_ROW:
            rows.append(_row(task))
            if len(rows) == _PAGE:
                page += 1
                yield _history_page(rows, page, total), len(rows)
                rows.clear()
    if rows:
        yield _history_page(rows, page + 1, total), len(rows)


def _exported(task: Task) -> str:
    """Write a task as it was taken out of its envelope, fetched, or sent to a webhook."""
    form = task.chance >> 8 & 15
    if form < 6:
        return task.record()
    if form < 12 or task.state == "unfinished":
        # A task that could not even be started comes inside an error's envelope.
        refused = task.state == "failed" and form < 9
        return _enveloped(task.record(), 500, "failed") if refused else _enveloped(task.record())
    return f'{{"timestamp":{-(-task.updated_instant // SECOND)},"data":{task.record()}}}'


def _enveloped(record: str, code: int = 200, message: str = "success") -> str:
    return f'{{"code":{code},"data":{record},"message":"{message}"}}'


def _row(task: Task) -> str:
    """Write a task as a row of the history endpoint: no URL, no end, and times in milliseconds."""
    kind = task.stock.kind
    created = time_text(task.created_instant - task.created_instant % _MILLISECOND)
    updated = time_text(task.updated_instant + -task.updated_instant % _MILLISECOND)
    return (
        f'{{"id":{90_000_000 + 3 * task.number},"account_id":{_ACCOUNT},'
        f'"api_key_id":{_API_KEYS[task.chance >> 12 & 1]},"task_id":"{task.id}",'
        f'"task_model":"{kind.history or kind.model}","action":"{kind.task_type}","status":"{task.status}",'
        f'"service_mode":"{kind.service_mode}","usage":{task.consume},"usage_type":"{task.unit}","fixed":false,'
        f'"detail":{task.error or "{}"},"created_at":"{created}","updated_at":"{updated}"}}'
    )


def _history_page(rows: list[str], page: int, total: int) -> str:
    return _enveloped(f'{{"data":[{",".join(rows)}],"page":{page},"size":{_PAGE},"total":{total}}}')


def _spare(task: Task) -> list[Line]:
    """Damage nothing."""
    return []


def _spoiler(tasks: int) -> Spoiler:
    """Damage tasks at even distances, in each way in turn: about one in a hundred, and at least six."""
    step = max(1, min(tasks // len(_DAMAGES), 97))

    def spoil(task: Task) -> list[Line]:
        turn, rest = divmod(task.number, step)
        return [] if rest < step - 1 else _DAMAGES[turn % len(_DAMAGES)](task.record())

    return spoil


def _broken_off(record: str) -> list[Line]:
    """A write that was broken off, then done again."""
    return [(record[: len(record) * 2 // 3], 1), (record, 1)]


def _without_id(record: str) -> list[Line]:
    return [(_edited(record, lambda task: task.pop("task_id")), 1), (record, 1)]


def _not_an_object(record: str) -> list[Line]:
    return [('"exported by hand, see the notes"', 1), (record, 1)]


def _time_without_zone(record: str) -> list[Line]:
    return [(_edited(record, lambda task: task["meta"].update(created_at="2026-01-05T10:20:30.5")), 1)]


def _empty_meta(record: str) -> list[Line]:
    return [(_edited(record, lambda task: task.update(meta={})), 1)]


def _words_for_number(record: str) -> list[Line]:
    return [(_edited(record, lambda task: task["meta"]["usage"].update(consume="a lot")), 1)]


# INVARIANT: what spoils a whole record leaves a good one beside it, so that the number of tasks stays true.
_DAMAGES = (_broken_off, _without_id, _not_an_object, _time_without_zone, _empty_meta, _words_for_number)


def _edited(record: str, edit: Callable[[dict[str, Any]], object]) -> str:
    task = json.loads(record)
    edit(task)
    return json.dumps(task, ensure_ascii=False, separators=(",", ":"))
