"""Turns tasks into assets: one row per output file, and the tasks without one counted by reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from policy_engine.columns import ACCOUNTS
from policy_engine.frames import categorical, category_of, utc_times
from policy_engine.history import STATES, Batch, Source, service_key
from policy_engine.history.merging import carries_output
from policy_engine.history.names import fold
from policy_engine.model import ExpectedOutputs, RulePack, Service
from policy_engine.outputs import FileKinds
from policy_engine.periods import NAT
from policy_engine.urls import HostOwners, link_expiry

Int64 = npt.NDArray[np.int64]
_COMPLETED = STATES.index("completed")


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
    """Model names that lead to no service of the catalog (`no model` where there is none) -> tasks."""
    newest: int = NAT
    """Latest instant that a record mentions, no later than asked about or not."""

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
        self.kinds = FileKinds(pack.catalog)
        self._owners = HostOwners(pack.host_owners)
        self._services = {service.id: service for service in pack.catalog.services}
        self._expected: dict[tuple[str, str | None], tuple[int, ...]] = {}
        self._sources = [source.name for source in sources]
        self._as_of = as_of
        self._period = period or Period()
        self._priced = set(pack.money.units)

    def make(self, batch: Batch) -> tuple[pd.DataFrame, TaskTotals]:
        """One row per asset of the tasks of a batch, in the order of the tasks, and the totals of the tasks."""
        totals = TaskTotals(tasks=len(batch))
        if not len(batch):
            return self._frame(batch, [], [], [], [], np.zeros(0, np.int64)), totals
        totals.newest = int(batch.newest.max())
        points = self._points(batch, totals)
        for row, name in enumerate(batch.service):
            if name is None:
                model = batch.model[row] or "no model"
                totals.unknown_models[model] = totals.unknown_models.get(model, 0) + 1
        rows: list[int] = []
        kinds: list[int] = []
        ordinals: list[int] = []
        urls: list[str | None] = []
        created, ended = batch.created, batch.ended
        latest = np.maximum(created, ended)
        excluded = self._excluded(created, latest)
        shares = points.copy()
        split: list[tuple[int, int]] = []
        files_of = self.kinds.files_of
        output, service = batch.output, batch.service
        for row in range(len(batch)):
            if excluded[row]:
                self._without(
                    totals, "not_yet_created" if latest[row] > self._as_of else "outside_period", int(points[row])
                )
                continue
            value = output[row]
            if value:
                found = files_of(service[row], value)
                totals.previews += found.previews
                totals.same_file += found.same_file
                files = found.files
                if files:
                    for kind, ordinal, url in files:
                        rows.append(row)
                        kinds.append(kind)
                        ordinals.append(ordinal)
                        urls.append(url)
                    if len(files) > 1:
                        split.append((row, len(files)))
                    continue
                if carries_output(batch, row):
                    self._without(totals, self._why_no_url(batch, row, found.previews), int(points[row]))
                    continue
            if batch.state[row] != _COMPLETED:
                state = STATES[batch.state[row]]
                self._without(totals, "unknown_status" if state == "unknown" else state, int(points[row]))
                continue
            expected = self._expected_kinds(batch, row)
            if not expected:
                self._without(totals, "unknown_service" if service[row] is None else "no_file_output", int(points[row]))
                continue
            for kind in expected:
                rows.append(row)
                kinds.append(kind)
                ordinals.append(1)
                urls.append(None)
            if len(expected) > 1:
                split.append((row, len(expected)))
        for row, count in split:
            shares[row] //= count
        totals.with_assets = totals.tasks - sum(tasks for tasks, _ in totals.without_assets.values())
        index = np.array(rows, np.int64)
        asset_points = shares[index] if len(rows) else np.zeros(0, np.int64)
        if split:
            first = np.flatnonzero(np.diff(index, prepend=-1) != 0)
            rest = {row: int(points[row]) - int(shares[row]) * count for row, count in split}
            asset_points[first] += np.array([rest.get(row, 0) for row in index[first].tolist()], np.int64)
        return self._frame(batch, rows, kinds, ordinals, urls, asset_points), totals

    def _points(self, batch: Batch, totals: TaskTotals) -> Int64:
        """Points per task: what completed tasks consumed, in units that have a dollar value."""
        points = np.zeros(len(batch), np.int64)
        for row, (state, consume, share, unit) in enumerate(
            zip(batch.state, batch.consume, batch.share, batch.unit, strict=True)
        ):
            if state != _COMPLETED:
                continue
            if consume is None and share is not None:
                consume, unit = share, unit or "point"
            if not consume:
                continue
            if unit in self._priced:
                points[row] = consume
            else:
                name = unit or "not stated"
                amount, tasks = totals.other_units.get(name, (0, 0))
                totals.other_units[name] = (amount + consume, tasks + 1)
        totals.points = int(points.sum())
        return points

    def _excluded(self, created: Int64, latest: Int64) -> npt.NDArray[np.bool_]:
        excluded = latest > self._as_of
        known = created != NAT
        if self._period.created_from is not None:
            excluded = excluded | (known & (created < self._period.created_from))
        if self._period.created_until is not None:
            excluded = excluded | (known & (created >= self._period.created_until))
        return excluded

    def _without(self, totals: TaskTotals, reason: str, points: int) -> None:
        tasks, before = totals.without_assets.get(reason, (0, 0))
        totals.without_assets[reason] = (tasks + 1, before + points)

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
            known = tuple(self.kinds.named(service, name) for name in entry.names) if entry else ()
            self._expected[service, task_type] = known
        return known

    def _frame(
        self,
        batch: Batch,
        rows: list[int],
        kinds: list[int],
        ordinals: list[int],
        urls: list[str | None],
        points: Int64,
    ) -> pd.DataFrame:
        """The assets as columns; `completion_bound`, `expected` and `facts_conflict` are for the evaluation only."""
        index = np.array(rows, np.intp)
        kind = np.array(kinds, np.intp)
        task_id, service = batch.task_id, batch.service
        names = [one.name for one in self.kinds.kinds]
        keys = [service_key(batch, row) if service[row] is None else service[row] for row in range(len(batch))]
        asset_ids = [
            f"{keys[row]}/{task_id[row]}/{names[which]}/{ordinal}"
            for row, which, ordinal in zip(rows, kinds, ordinals, strict=True)
        ]
        hosts, owners = self._owners.of_urls(urls)
        links = [link_expiry(url) if url is not None and "?" in url else None for url in urls]
        link_expires = np.array([NAT if link is None else link for link in links], np.int64)
        facts = self.kinds.kinds
        rate = self.pack.money.points_per_usd
        columns: dict[str, Any] = {
            "asset_id": pd.array(asset_ids, dtype="str"),
            "task_id": pd.array([task_id[row] for row in rows], dtype="str"),
            "service": category_of(service, index),
            "model": category_of(batch.model, index),
            "task_type": category_of(batch.task_type, index),
            "account": _accounts(batch, index),
            "media": _by_kind([one.media for one in facts], kind),
            "role": _by_kind([one.role for one in facts], kind),
            "watermarked": _by_kind([one.watermarked for one in facts], kind),
            "url": pd.array(urls, dtype="str"),
            "url_host": category_of(hosts),
            "host_owner": category_of(owners),
            "status": category_of(batch.status, index),
            "created_at": utc_times(batch.created[index]),
            "completed_at": utc_times(batch.ended[index]),
            "completion_bound": utc_times(batch.bound[index]),
            "link_expires_at": utc_times(link_expires),
            "expected": np.array([url is None for url in urls], bool),
            "facts_conflict": np.array([one.is_conflicting for one in facts], bool)[kind],
            "points": pd.array(points, dtype="Int64"),
            "cost_usd": pd.array(points / rate, dtype="Float64"),
            "account_id": category_of(batch.account_id, index),
            "api_key_id": category_of(batch.api_key_id, index),
            "source": pd.array(self._source_texts(batch, rows), dtype="str"),
        }
        return pd.DataFrame(columns, copy=False)

    def _source_texts(self, batch: Batch, rows: list[int]) -> list[str]:
        """Where the records of each asset's task stand: `file:line`, `file#record`, several joined by `; `."""
        names, also = self._sources, batch.also
        texts = [
            place(names[batch.file[row]], batch.line[row], batch.item[row]) if row not in also else "" for row in rows
        ]
        if also:
            for asset, row in enumerate(rows):
                if row in also:
                    places = [(batch.file[row], batch.line[row], batch.item[row]), *also[row]]
                    texts[asset] = "; ".join(place(names[file], line, item) for file, line, item in places)
        return texts


def place(name: str, line: int, item: int) -> str:
    """How a run calls the place of a record: `name:line`, `name#record`, or `name:line#record`."""
    return f"{name}{f':{line}' if line else ''}{f'#{item}' if item else ''}"


def expected_outputs(service: Service, task_type: str | None) -> ExpectedOutputs | None:
    """The catalog's entry for a task type: the one that names it, else the one for every other type."""
    folded = fold(task_type) if task_type is not None else None
    default = None
    for entry in service.expected:
        if entry.task_types is None:
            default = entry
        elif folded is not None and folded in {fold(name) for name in entry.task_types}:
            return entry
    return default


def _accounts(batch: Batch, index: npt.NDArray[np.intp]) -> Any:
    """Account per asset: the private pool decides, where it is silent the service mode, else unknown."""
    codes = np.full(len(batch), -1, np.int8)
    known: dict[tuple[Any, ...], int] = {}
    for row, key in enumerate(zip(batch.account, batch.pool, batch.mode, strict=True)):
        code = known.get(key)
        if code is None:
            code = known[key] = _account_code(*key)
        codes[row] = code
    return categorical(codes[index], list(ACCOUNTS))


def _account_code(account: str | None, pool: bool | None, mode: str | None) -> int:
    if account is not None:
        return ACCOUNTS.index(account)
    if pool is not None:
        return 1 if pool else 0
    return {"public": 0, "private": 1}.get((mode or "").strip().lower(), -1)


def _by_kind(values: list[str | None], kind: npt.NDArray[np.intp]) -> Any:
    words: dict[str, int] = {}
    lookup = np.array([-1 if value is None else words.setdefault(value, len(words)) for value in values], np.int32)
    return categorical(lookup[kind], list(words))
