"""Turns tasks into assets: one row per output file, and counts the tasks without a file by reason."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import is_
from typing import Any

import numpy as np
import pandas as pd

from policy_engine.core.frames import (
    Bool,
    Int8,
    Int64,
    Positions,
    categorical,
    category_of,
    coded,
    joined_texts,
    taken,
    texts,
    utc_times,
)
from policy_engine.core.periods import NAT
from policy_engine.core.rule_model import ExpectedOutputs, RulePack, Service
from policy_engine.core.urls.address_column import UrlColumn
from policy_engine.core.urls.addresses import HostOwners, link_expiry
from policy_engine.core.vocabulary import ACCOUNTS, WITHOUT_ASSET_REASONS, fold
from policy_engine.engine.assets.json_outputs import JsonOutputs
from policy_engine.engine.assets.output_paths import OutputPaths
from policy_engine.engine.assets.settled_files import SettledFiles
from policy_engine.engine.assets.table_outputs import TABLE_OUTPUT_TYPES, find_table_files, is_table_output
from policy_engine.history import STATES, Batch, Source
from policy_engine.history.merging.merge import carries_output, service_key
from policy_engine.history.records.names import WAITING_STATES
from policy_engine.history.records.outputs import decode_output

_COMPLETED = STATES.index("completed")
_REASONS = tuple(WITHOUT_ASSET_REASONS)
_NOT_YET_CREATED, _OUTSIDE_PERIOD = _REASONS.index("not_yet_created"), _REASONS.index("outside_period")
_STATE_REASONS = tuple(
    -1 if state == "completed" else _REASONS.index("unknown_status" if state == "unknown" else state)
    for state in STATES
)
_FEW = 24
"""With fewer outputs of one service, reading them together does not pay."""


@dataclass
class TaskTotals:
    """What became of the tasks of a chunk; adds up over chunks."""

    tasks: int = 0
    with_assets: int = 0
    without_assets: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Reason -> (tasks, points)."""
    previews: int = 0
    same_file: int = 0
    points: int = 0
    """Points of all completed tasks, with and without assets."""
    other_units: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Unit without a dollar value -> (amount, tasks)."""
    unknown_models: dict[str, int] = field(default_factory=dict)
    """Model names without a service in the catalog (`no model` for an absent name) -> tasks."""
    newest: int = NAT
    """Latest instant that a record mentions, even after `as_of`."""

    def add(self, other: TaskTotals) -> None:
        """Add the totals of another chunk."""
        self.tasks += other.tasks
        self.with_assets += other.with_assets
        self.previews += other.previews
        self.same_file += other.same_file
        self.points += other.points
        self.newest = max(self.newest, other.newest)
        for mine, theirs in (
            (self.without_assets, other.without_assets),
            (self.other_units, other.other_units),
        ):
            for key, (first, second) in theirs.items():
                known = mine.get(key, (0, 0))
                mine[key] = (known[0] + first, known[1] + second)
        for name, count in other.unknown_models.items():
            self.unknown_models[name] = self.unknown_models.get(name, 0) + count


@dataclass(frozen=True)
class Period:
    """The tasks a run is limited to, by submission; None = unbounded."""

    created_from: int | None = None
    created_until: int | None = None


class AssetMaker:
    """Makes the assets of batches of tasks by one pack."""

    def __init__(self, pack: RulePack, sources: tuple[Source, ...], as_of: int, period: Period | None = None) -> None:
        """`as_of` in ns: a task created after it has no asset yet."""
        self.pack = pack
        self.paths = OutputPaths(pack.catalog)
        self._owners = HostOwners(pack.host_owners)
        self._services = {service.id: service for service in pack.catalog.services}
        self._json: dict[str, JsonOutputs] = {}
        self._expected: dict[tuple[str, str | None], tuple[int, ...]] = {}
        self._sources = [source.name for source in sources]
        self._as_of = as_of
        self._period = period or Period()
        self._priced = set(pack.money.units)

    def make(self, batch: Batch) -> tuple[pd.DataFrame, TaskTotals]:
        """One row per asset of the tasks of a batch, in the order of the tasks, and the totals of the tasks."""
        totals = TaskTotals(tasks=len(batch))
        if not len(batch):
            files = _Files()
            return self._frame(batch, files, files.rows), totals
        totals.newest = int(batch.newest.max())
        points = self._points(batch, totals)
        for row, name in enumerate(batch.service):
            if name is None:
                model = batch.model[row] or "no model"
                totals.unknown_models[model] = totals.unknown_models.get(model, 0) + 1
        files, reasons = self._files(batch, totals)
        counts = np.bincount(files.rows, minlength=len(batch))
        totals.with_assets = int((counts > 0).sum())
        for reason in np.unique(reasons[reasons >= 0]).tolist():
            rows = reasons == reason
            totals.without_assets[_REASONS[reason]] = (int(rows.sum()), int(points[rows].sum()))
        # Divided equally; the remainder goes to the first file of the task.
        shares = points // np.maximum(counts, 1)
        asset_points = shares[files.rows]
        first = np.flatnonzero(np.diff(files.rows, prepend=-1))
        asset_points[first] += (points - shares * counts)[files.rows[first]]
        return self._frame(batch, files, asset_points), totals

    def _files(self, batch: Batch, totals: TaskTotals) -> tuple[_Files, Int8]:
        """The files of all tasks, and per task the position in _REASONS of why it has none (-1 = it has some)."""
        reasons = np.full(len(batch), -1, np.int8)
        latest = np.maximum(batch.created, batch.ended)
        excluded = self._excluded(batch.created, latest)
        reasons[excluded] = np.where(latest[excluded] > self._as_of, _NOT_YET_CREATED, _OUTSIDE_PERIOD)
        files = _Files()
        left = self._plain_files(batch, np.flatnonzero(~excluded), files, totals)
        service, output = batch.service, batch.output
        for row in left:
            value = output[row]
            if type(value) is bytes and b"://" not in value and b"\\" not in value:
                # A cheap case: the output of a task without a file, which is alike for many tasks.
                if batch.state[row] not in WAITING_STATES and decode_output(value):
                    reasons[row] = _REASONS.index(self._why_no_url(batch, row, 0))
                    continue
            elif value:
                found = self.paths.files_of(service[row], value)
                totals.previews += found.previews
                totals.same_file += found.same_file
                if found.files:
                    for kind, ordinal, url in found.files:
                        files.add(row, kind, ordinal, url)
                    continue
                if carries_output(batch, row):
                    reasons[row] = _REASONS.index(self._why_no_url(batch, row, found.previews))
                    continue
            if batch.state[row] != _COMPLETED:
                reasons[row] = _STATE_REASONS[batch.state[row]]
                continue
            expected = self._expected_kinds(batch, row)
            if not expected:
                reasons[row] = _REASONS.index("unknown_service" if service[row] is None else "no_file_output")
            for kind in expected:
                files.add(row, kind, 1, None)
        return files.settle(), reasons

    def _plain_files(self, batch: Batch, rows: Int64, files: _Files, totals: TaskTotals) -> list[int]:
        """Take the files of plain outputs, service by service, and of tables; return the other rows, in any order."""
        left: list[Int64] = []
        output = batch.output

        def take(group: Int64, found: SettledFiles) -> None:
            totals.previews += found.previews
            totals.same_file += found.same_file
            files.extend(group[found.rows], found.kinds, found.ordinals, found.urls)
            left.append(group[found.left])

        types = list(map(type, output))
        flat = np.fromiter(map(TABLE_OUTPUT_TYPES.__contains__, types), bool, len(types))[rows]
        flat[flat] = [is_table_output(output[row]) for row in rows[flat].tolist()]
        if np.count_nonzero(flat) >= max(_FEW, 1):
            group, rows = rows[flat], rows[~flat]
            take(group, find_table_files(self.paths, taken(batch.service, group), taken(output, group)))
        is_text = np.fromiter(map(is_, types, itertools.repeat(bytes)), bool, len(types))
        services, names = coded(batch.service)
        codes = np.where(is_text[rows], services[rows], -1)
        order = np.argsort(codes, kind="stable")
        edges = np.searchsorted(codes[order], np.arange(-1, len(names) + 1))
        for code, (start, end) in enumerate(itertools.pairwise(edges.tolist()), -1):
            group = rows[order[start:end]]
            if code < 0 or len(group) < _FEW:
                left.append(group)
                continue
            name = names[code]
            reader = self._json.get(name)
            if reader is None:
                reader = self._json[name] = JsonOutputs(self.paths, name)
            take(group, reader.find(taken(output, group)))
        others: list[int] = np.concatenate(left).tolist()
        return others

    def _points(self, batch: Batch, totals: TaskTotals) -> Int64:
        """Points per task: what completed tasks consumed, in units that have a dollar value."""
        spent, units = batch.consume, batch.unit
        if batch.share.count(None) != len(batch):
            stated = list(zip(spent, batch.share, units, strict=True))
            spent = [share if amount is None else amount for amount, share, _ in stated]
            units = [
                unit or "point" if amount is None and share is not None else unit for amount, share, unit in stated
            ]
        amounts = np.array([amount or 0 for amount in spent], np.int64)
        amounts[np.array(batch.state) != _COMPLETED] = 0
        codes, words = coded(units)
        priced = np.array([*(word in self._priced for word in words), False])[codes]
        for row in np.flatnonzero(~priced & (amounts > 0)).tolist():
            name = units[row] or "not stated"
            amount, tasks = totals.other_units.get(name, (0, 0))
            totals.other_units[name] = (amount + int(amounts[row]), tasks + 1)
        points: Int64 = np.where(priced, amounts, 0)
        totals.points = int(points.sum())
        return points

    def _excluded(self, created: Int64, latest: Int64) -> Bool:
        excluded = latest > self._as_of
        known = created != NAT
        if self._period.created_from is not None:
            excluded = excluded | (known & (created < self._period.created_from))
        if self._period.created_until is not None:
            excluded = excluded | (known & (created >= self._period.created_until))
        return excluded

    def _why_no_url(self, batch: Batch, row: int, previews: int) -> str:
        state = STATES[batch.state[row]]
        if state != "completed":
            return "unknown_status" if state == "unknown" else state
        if previews:
            return "previews_only"
        if batch.service[row] is not None and not self._expected_kinds(batch, row):
            return "no_file_output"
        return "output_without_url"

    def _expected_kinds(self, batch: Batch, row: int) -> tuple[int, ...]:
        """Kinds of file that a completed task of this service and type is expected to have left."""
        service, task_type = batch.service[row], batch.task_type[row]
        if service is None:
            return ()
        known = self._expected.get((service, task_type))
        if known is None:
            entry = expected_outputs(self._services[service], task_type)
            known = tuple(self.paths.named(service, name) for name in entry.names) if entry else ()
            self._expected[service, task_type] = known
        return known

    def _frame(self, batch: Batch, files: _Files, points: Int64) -> pd.DataFrame:
        """The assets as columns; `completion_bound`, `expected` and `facts_conflict` are for the evaluation only."""
        index, kind, urls = files.rows, files.kinds, files.urls
        service = batch.service
        column = UrlColumn(urls)
        site, owned = column.owners(self._owners)
        link_expires = np.full(len(urls), NAT, np.int64)
        for row in column.with_query():
            expiry = link_expiry(column.urls[row])
            link_expires[row] = NAT if expiry is None else expiry
        facts = self.paths.kinds
        rate = self.pack.money.points_per_usd
        task_ids = texts(batch.task_id)
        columns: dict[str, Any] = {
            "asset_id": self._asset_ids(batch, files, task_ids),
            "task_id": task_ids.take(index),
            "service": category_of(service, index),
            "model": category_of(batch.model, index),
            "task_type": category_of(batch.task_type, index),
            "account": _accounts(batch, index),
            "media": _words_at([fact.media for fact in facts], kind),
            "role": _words_at([fact.role for fact in facts], kind),
            "watermarked": _words_at([fact.watermarked for fact in facts], kind),
            "url": column.texts(),
            "url_host": _words_at([host for host, _ in owned], site),
            "host_owner": _words_at([owner for _, owner in owned], site),
            "status": category_of(batch.status, index),
            "created_at": utc_times(batch.created[index]),
            "completed_at": utc_times(batch.ended[index]),
            "completion_bound": utc_times(batch.bound[index]),
            "link_expires_at": utc_times(link_expires),
            "expected": site < 0,
            "facts_conflict": np.array([fact.is_conflicting for fact in facts])[kind],
            "points": pd.array(points),
            "cost_usd": pd.array(points / rate),
            "account_id": category_of(batch.account_id, index),
            "api_key_id": category_of(batch.api_key_id, index),
            "source": self._source_texts(batch, index),
        }
        return pd.DataFrame(columns, copy=False)

    def _asset_ids(self, batch: Batch, files: _Files, task_ids: Any) -> Any:
        """service/task_id/output name/ordinal of each file; `task_ids` is the column of the batch."""
        names = [kind.name for kind in self.paths.kinds]
        width = int(files.ordinals.max(initial=0)) + 1
        which, distinct = pd.factorize(files.kinds * width + files.ordinals)
        endings = [f"/{names[code // width]}/{code % width}" for code in distinct.tolist()]
        services, words = coded(batch.service)
        if (services < 0).any():
            keys = [service_key(batch, row) if name is None else name for row, name in enumerate(batch.service)]
            services, words = coded(keys)
        beginnings = [f"{word}/" for word in words]
        index = files.rows
        return joined_texts((beginnings, services[index]), (task_ids, index), (endings, which))

    def _source_texts(self, batch: Batch, index: Int64) -> Any:
        """Locations of the records of each asset's task: `file:line`, `file#record`, several joined by `; `."""
        names, also = self._sources, batch.also
        lines = np.array(batch.line)
        if not also and len(set(batch.file)) == 1 and not any(batch.item) and lines.all():
            return joined_texts(([f"{names[batch.file[0]]}:"], index * 0), (lines, index))
        locations = [
            location(names[file], line, item)
            for file, line, item in zip(batch.file, batch.line, batch.item, strict=True)
        ]
        for row, others in also.items():
            further = [location(names[file], line, item) for file, line, item in others]
            locations[row] = "; ".join([locations[row], *further])
        return texts(locations, index)


@dataclass
class _Files:
    """Files of tasks as they are found; parallel columns once settled."""

    rows: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    """Row of the task in its batch."""
    kinds: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    ordinals: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    urls: list[str | None] = field(default_factory=list)
    _parts: list[tuple[Int64, Int64, Int64]] = field(default_factory=list)
    _single: list[tuple[int, int, int]] = field(default_factory=list)
    _single_urls: list[str | None] = field(default_factory=list)

    def add(self, row: int, kind: int, ordinal: int, url: str | None) -> None:
        """Take a file; the files of a task must come one after another."""
        self._single.append((row, kind, ordinal))
        self._single_urls.append(url)

    def extend(self, rows: Int64, kinds: Int64, ordinals: Int64, urls: Sequence[str]) -> None:
        """Take many files of tasks that have no others."""
        self._parts.append((rows, kinds, ordinals))
        self.urls.extend(urls)

    def settle(self) -> _Files:
        """All files in the order of their tasks."""
        single = np.array(self._single, np.int64).reshape(-1, 3).T
        rows, kinds, ordinals = (np.concatenate(columns) for columns in zip(*self._parts, tuple(single), strict=True))
        urls = self.urls + self._single_urls
        order = np.argsort(rows, kind="stable")
        return _Files(rows[order], kinds[order], ordinals[order], taken(urls, order))


def location(name: str, line: int, item: int) -> str:
    """The location of a record in words: `name:line`, `name#record`, or `name:line#record`."""
    return f"{name}{f':{line}' if line else ''}{f'#{item}' if item else ''}"


def expected_outputs(service: Service, task_type: str | None) -> ExpectedOutputs | None:
    """The entry of the catalog that names a task type, else the one for all other types."""
    folded = fold(task_type) if task_type is not None else None
    default = None
    for entry in service.expected:
        if entry.task_types is None:
            default = entry
        elif folded is not None and folded in {fold(name) for name in entry.task_types}:
            return entry
    return default


def _accounts(batch: Batch, index: Positions) -> Any:
    """Account per asset: as stated, else by the private pool, else by the service mode, else unknown."""
    mixed = np.zeros(len(batch), np.int64)
    choices: list[list[Any]] = []
    for values in (batch.account, batch.pool, batch.mode):
        codes, words = coded(values)
        choices.append([*words, None])
        mixed = mixed * len(choices[-1]) + codes % len(choices[-1])
    combined = itertools.product(*choices)
    account = np.array([_account_code(*facts) for facts in combined])[mixed]
    return categorical(account[index], list(ACCOUNTS))


def _account_code(account: str | None, pool: bool | None, mode: str | None) -> int:
    if account is not None:
        return ACCOUNTS.index(account)
    if pool is not None:
        return 1 if pool else 0
    return {"public": 0, "private": 1}.get((mode or "").strip().lower(), -1)


def _words_at(values: Sequence[str | None], positions: Positions) -> Any:
    """A categorical column of the values at positions; None, "" and the position -1 are missing."""
    words: dict[str, int] = {}
    lookup = np.array([*(words.setdefault(value, len(words)) if value else -1 for value in values), -1])
    return categorical(lookup[positions], list(words))
