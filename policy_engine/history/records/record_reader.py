"""Turns decoded JSON values and table rows into batches of records; what cannot be one is set aside with a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from policy_engine.core.periods import NAT
from policy_engine.core.problems import InputUnusable, Problem
from policy_engine.core.safe_text import plain
from policy_engine.history.decoding import kind_of
from policy_engine.history.records.batch import Batch, Int64, RecordColumns
from policy_engine.history.records.cells import (
    first_time,
    identifier,
    is_missing,
    is_whole,
    read_amount,
    read_pool,
    read_usage,
)
from policy_engine.history.records.envelopes import Page, is_bare, take_apart
from policy_engine.history.records.names import STATES, WAITING_STATES, ServiceNames
from policy_engine.history.records.outputs import StatedFacts, read_flat_output, read_output
from policy_engine.history.records.times import read_times

_IS_COMPLETED = np.array([state == "completed" for state in STATES])
_IS_WAITING = np.array([state in WAITING_STATES for state in range(len(STATES))])
_MAX_EXAMPLES = 200
MAX_QUARANTINE = 1_000_000
"""Records that are set aside at most; beyond them the input is not an export, and they would fill the memory."""

FIELD_PROBLEMS: dict[str, str] = {
    "unreadable_time": "A time has no zone, is not RFC 3339, or is impossible or far away; it counts as unknown.",
    "unreadable_model": "The model is not text; it counts as unknown.",
    "unreadable_task_type": "The task type is not text; it counts as unknown.",
    "unreadable_status": "The status is not text; it counts as unknown.",
    "unreadable_service_mode": "The service mode is not text; it counts as unknown.",
    "unreadable_private_pool": "`is_using_private_pool` is neither true nor false; it counts as unknown.",
    "unreadable_usage": "The usage is not a whole number of units from 0 to a trillion; it counts as unknown.",
    "unreadable_account": "The account is neither pay_as_you_go nor host_your_account; it counts as unknown.",
    "unreadable_media": "The media is not image, video, audio, model or text; it counts as unknown.",
    "unreadable_role": "The role is not one that the catalog gives to files of the service; it counts as unknown.",
    "unreadable_watermarked": "`watermarked` is neither true nor false; it counts as unknown.",
    "unreadable_output": "The output is text that looks like JSON and is not.",
    "unreadable_url": "The `url` of a table is not an http or https address.",
    "unreadable_part": "A part that should be an object (meta, config, detail or usage) is something else.",
}
"""Codes of problems with single fields; the record itself is evaluated."""


QUARANTINE_REASONS: dict[str, str] = {
    "not_json": "A line of JSON Lines is not JSON.",
    "not_utf8": "A line of JSON Lines is not UTF-8.",
    "nested_too_deep": "A line is nested too deeply to be decoded, or envelopes are nested within envelopes.",
    "not_csv": "A row of a CSV is not CSV, for instance a quotation mark that is never closed.",
    "wrong_field_count": "A row of a CSV has more or fewer fields than the header.",
    "not_an_object": "A number, a text or another value is where a task should be.",
    "no_task_in_envelope": "The `data` of an answer or a webhook holds no task.",
    "no_task_id": "There is no `task_id`, or an empty one.",
    "unusable_task_id": "The `task_id` is neither text nor a whole number.",
}
"""Codes of records that are set aside, with their meaning."""


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """A record that could not be used."""

    file: int
    line: int
    item: int
    reason: str
    found: str
    expected: str


@dataclass(frozen=True)
class HistoryPage:
    """A page of the task history and what it declares."""

    file: int
    total: int
    page: int | None
    rows: int


@dataclass(frozen=True)
class FieldProblem:
    """A field that could not be read."""

    code: str
    file: int
    line: int
    item: int
    field: str
    found: str


@dataclass
class ReadTotals:
    """What reading met beside the records themselves; adds up over parts of a history."""

    records: int = 0
    """Records met, whether used or set aside."""
    quarantine: list[QuarantinedRecord] = field(default_factory=list)
    pages: list[HistoryPage] = field(default_factory=list)
    problem_counts: dict[str, int] = field(default_factory=dict)
    problem_examples: list[FieldProblem] = field(default_factory=list)
    """The first ones only; the counts are complete."""
    records_by_file: dict[int, int] = field(default_factory=dict)

    def add(self, other: ReadTotals) -> None:
        """
        Add what another part of the history met.

        Raises InputUnusable when more is set aside than anybody can look through.
        """
        if len(self.quarantine) + len(other.quarantine) > MAX_QUARANTINE:
            first = (self.quarantine or other.quarantine)[0]
            message = (
                f"more than {MAX_QUARANTINE:,} records cannot be used; the first one: found {plain(first.found)}, "
                f"expected {plain(first.expected)}"
            )
            raise InputUnusable(Problem("too-much-set-aside", message, help="is this an export of tasks?"))
        self.records += other.records
        self.quarantine.extend(other.quarantine)
        self.pages.extend(other.pages)
        for code, count in other.problem_counts.items():
            self.problem_counts[code] = self.problem_counts.get(code, 0) + count
        self.problem_examples = (self.problem_examples + other.problem_examples)[:_MAX_EXAMPLES]
        for file, count in other.records_by_file.items():
            self.records_by_file[file] = self.records_by_file.get(file, 0) + count


class RecordReader:
    """Collects the records of one file or block and gives them back as a batch."""

    def __init__(self, names: ServiceNames, legacy_outputs: tuple[str, ...], file: int) -> None:
        """Start an empty batch for the source at index `file`."""
        self.names = names
        self.file = file
        self.seen = ReadTotals()
        self._legacy = legacy_outputs
        self._columns = RecordColumns()
        """Records that wait for `finish`."""
        self._item = 0

    def __len__(self) -> int:
        """Records that wait for `finish`, and those set aside since the last time."""
        return len(self._columns) + len(self.seen.quarantine)

    def read(self, value: object, line: int) -> None:
        """Take a JSON value apart into records: bare tasks, envelopes, webhooks, pages, arrays of any of these."""
        self._item = 0
        if is_bare(value):
            self._read_record(value, line, 0, None)  # type: ignore[arg-type]
        else:
            self._take(value, line)

    def read_in_parts(self, value: object, line: int, size: int) -> Iterator[None]:
        """Like `read`; yields within a long array whenever `size` records wait for `finish`."""
        self._item = 0
        if not isinstance(value, list):
            self._take(value, line)
            return
        for element in value:
            self._take(element, line, is_one_of_many=True)
            if len(self) >= size:
                yield

    def read_flat(self, row: Mapping[str, Any], line: int) -> None:
        """Take a row of a table: the columns documented for tables, by name."""
        self._read_record(row, line, 0, None, is_flat=True)

    def take_columns(self, columns: RecordColumns) -> None:
        """Take records that a fast path has read."""
        self.seen.records += len(columns)
        self._columns.extend(columns)

    def set_aside(self, line: int, item: int, reason: str, found: str, expected: str) -> None:
        """Quarantine a record."""
        self.seen.records += 1
        self.seen.quarantine.append(QuarantinedRecord(self.file, line, item, reason, found, expected))

    def finish(self) -> Batch:
        """The records read so far, as columns; starts the next batch."""
        columns, self._columns = self._columns, RecordColumns()
        times = {
            "created_at": self._times(columns, "created_at", columns.created_at),
            "ended_at": self._times(columns, "ended_at", columns.ended_at),
            "updated_at": self._times(columns, "updated_at", columns.updated_at),
            "timestamp": self._times(columns, "timestamp", columns.webhook),
        }
        states = np.array(columns.state, np.intp)
        # A task that still waits says nothing of its end, whatever it comes with.
        webhook_bound = np.where(_IS_WAITING[states], NAT, times["timestamp"])
        return Batch(
            file=[self.file] * len(columns),
            created=times["created_at"],
            ended=times["ended_at"],
            bound=_least(webhook_bound, np.where(_IS_COMPLETED[states], times["updated_at"], NAT)),
            newest=np.maximum.reduce(list(times.values())),
            **columns.shared(),
        )

    def _times(self, columns: RecordColumns, name: str, values: list[Any]) -> Int64:
        instants, unreadable = read_times(values)
        for row, why in unreadable.items():
            self._problem("unreadable_time", columns.line[row], columns.item[row], name, why)
        return instants

    def _take(self, value: object, line: int, is_one_of_many: bool = False) -> None:
        pages: list[Page] = []
        for taken in take_apart(value, pages, is_one_of_many=is_one_of_many):
            self._item += taken.is_one_of_many
            item = self._item if taken.is_one_of_many else 0
            if taken.record is None:
                self.set_aside(line, item, *taken.refusal)
            else:
                self._read_record(taken.record, line, item, taken.webhook)
        self.seen.pages += [HistoryPage(self.file, page.total, page.number, page.rows) for page in pages]

    def _read_record(
        self, record: Mapping[str, Any], line: int, item: int, webhook: object, is_flat: bool = False
    ) -> None:
        task_id = record.get("task_id")
        if type(task_id) is not str:
            if type(task_id) is int or is_whole(task_id):
                task_id = str(int(task_id))
            elif task_id is None:
                self.set_aside(line, item, "no_task_id", "no `task_id`", "a `task_id`")
                return
            else:
                self.set_aside(line, item, "unusable_task_id", f"`task_id` is {kind_of(task_id)}", "text")
                return
        elif is_flat:
            task_id = task_id.strip()
        if not task_id or task_id.isspace():
            self.set_aside(line, item, "no_task_id", "an empty `task_id`", "a `task_id`")
            return
        get = record.get
        self.seen.records += 1

        def report(code: str, name: str, found: str) -> None:
            self._problem(code, line, item, name, found)

        def text(names: tuple[str, ...], code: str) -> str | None:
            for name in names:
                value = get(name)
                if type(value) is str:
                    if value:
                        return value
                elif value is not None:
                    self._problem(code, line, item, name, kind_of(value))
            return None

        model = text(("model", "task_model"), "unreadable_model")
        task_type = text(("task_type", "action"), "unreadable_task_type")
        status = text(("status",), "unreadable_status")
        meta, config, detail = get("meta"), get("config"), get("detail")
        if meta is None:
            meta = get("metadata")
        meta = self._part(meta, "meta", line, item)
        config = self._part(config, "config", line, item)
        detail = detail if type(detail) is dict else _NOTHING
        if task_type is None and type(meta.get("task_type")) is str:
            task_type = meta["task_type"] or None
        created, ended = meta.get("created_at"), meta.get("ended_at")
        if is_missing(created):
            created = first_time(created, get("created_at"))
        if is_missing(ended):
            ended = first_time(ended, meta.get("completed_at"), get("ended_at"), get("completed_at"))
        pool = read_pool((meta, detail, record), report)
        mode = config.get("service_mode")
        if mode is None or mode == "":
            mode = get("service_mode")
        if type(mode) is not str:
            if mode is not None:
                self._problem("unreadable_service_mode", line, item, "service_mode", kind_of(mode))
            mode = None
        consume, unit = read_usage(meta, record, report)
        service = text(("service",), "unreadable_model") if is_flat else None
        naming, model = self.names.resolve_stated(model, task_type, service)
        share = account = None
        if is_flat:
            facts = StatedFacts(self.names.facts, naming.service, report)
            account = facts.read("account", get("account")) or None
            share = read_amount(get("points"), "points", report)
            output = read_flat_output(record, facts)
        else:
            output = read_output(record, self._legacy, report)
        state = self.names.state_of(status)
        has_parts = "meta" in record or "output" in record or "config" in record or output is not None
        is_object = has_parts and not is_flat and "task_model" not in record
        columns = self._columns
        columns.line.append(line)
        columns.item.append(item)
        columns.task_id.append(task_id)
        columns.service.append(naming.service)
        columns.model.append(model)
        columns.task_type.append(naming.task_type)
        columns.floating.append(naming.is_floating)
        columns.is_object.append(is_object)
        columns.status.append(status)
        columns.state.append(state)
        columns.created_at.append(created)
        columns.ended_at.append(ended)
        columns.updated_at.append(get("updated_at"))
        columns.webhook.append(webhook)
        columns.pool.append(pool)
        columns.mode.append(mode or None)
        columns.account.append(account)
        columns.consume.append(consume)
        columns.share.append(share)
        columns.unit.append(unit)
        columns.account_id.append(identifier(get("account_id")))
        columns.api_key_id.append(identifier(get("api_key_id")))
        columns.output.append(output)

    def _part(self, value: object, name: str, line: int, item: int) -> Mapping[str, Any]:
        if type(value) is dict:
            return value
        if value is not None and value not in ("", []):  # some languages write an empty object as a list
            self._problem("unreadable_part", line, item, name, kind_of(value))
        return _NOTHING

    def _problem(self, code: str, line: int, item: int, name: str, found: str) -> None:
        counts = self.seen.problem_counts
        counts[code] = counts.get(code, 0) + 1
        if len(self.seen.problem_examples) < _MAX_EXAMPLES:
            self.seen.problem_examples.append(FieldProblem(code, self.file, line, item, name, found))


_NOTHING: Mapping[str, Any] = {}


def _least(first: np.ndarray[Any, np.dtype[np.int64]], second: np.ndarray[Any, np.dtype[np.int64]]) -> Any:
    far = np.iinfo(np.int64).max
    least = np.minimum(np.where(first == NAT, far, first), np.where(second == NAT, far, second))
    return np.where(least == far, NAT, least)
