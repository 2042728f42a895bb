"""Turns a task id and a history into everything the answer rests on: records, clock, suppositions, rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from policy_engine.core.periods import NAT
from policy_engine.core.problems import NothingToEvaluate
from policy_engine.core.rule_model import RulePack, Service
from policy_engine.core.vocabulary import ACCOUNTS, MEDIA, UNLISTED_ROLE
from policy_engine.engine.assets.maker import AssetMaker, place
from policy_engine.engine.evaluation import Evaluator
from policy_engine.engine.kernel import read_creation
from policy_engine.engine.question import Question
from policy_engine.engine.run import RunOptions
from policy_engine.explain.searching import Search, matching_records
from policy_engine.history import STATES, Batch, HistoryReader, ServiceNames, Source, merge_records
from policy_engine.history.merging.merge import service_key

RuleKey = tuple[str, int]
"""Rule id and version number."""

ANY_OTHER = "\0other"
"""Stands for every value of a fact that neither catalog nor rules name."""


@dataclass(frozen=True)
class Answer:
    """What the evaluation says of one file; instants in ns, None where there is none."""

    verdict: str
    possibly_past: bool
    reasons: tuple[str, ...]
    storage: str
    """`platform`, `vendor_cdn` or empty."""
    expires_earliest: int | None
    expires_latest: int | None
    rule: RuleKey | None
    operation_verdict: str
    operations: tuple[str, ...]
    closes_earliest: int | None
    closes_latest: int | None
    operation_rule: RuleKey | None
    evidence: str


@dataclass(frozen=True)
class Supposition:
    """What the answer would be if an unknown fact had one of its values."""

    value: str
    """The value, or ANY_OTHER."""
    answer: Answer


@dataclass(frozen=True)
class Clock:
    """What the records say of the creation; instants in ns, None = not recorded."""

    submitted: int | None
    completed: int | None
    first: int | None
    """Least instant from which a period may count; None = no clock."""
    last: int | None
    """Greatest such instant."""
    is_between: bool
    """True when every instant from first to last may be it, False when only the two."""
    is_inverted: bool
    is_assumed: bool
    """True when the unknown end of the stretch is bounded by the pack's longest task only."""


@dataclass(frozen=True)
class FileSeen:
    """One file of the task."""

    asset_id: str
    name: str
    """Output name in the catalog, or `unlisted`."""
    ordinal: str
    """Which file of that name, from 1."""
    media: str
    """Empty when not known, like the three below."""
    url: str
    host: str
    link_expires_at: int | None


@dataclass(frozen=True)
class FileGroup:
    """Files of the task for which all of this is the same."""

    files: tuple[FileSeen, ...]
    owner: str
    """Whose the host is; empty when not known."""
    answer: Answer
    from_first: Answer
    """The answer if the task was created at clock.first; without a clock, at as_of."""
    from_last: Answer
    """The answer if the task was created at clock.last; without a clock, at as_of."""
    suppositions: tuple[tuple[str, tuple[Supposition, ...]], ...]
    """For every unknown fact on which an answer depends: the answer under each of its values."""


@dataclass(frozen=True)
class Cost:
    """What the task cost."""

    points: int
    """Consumed by a completed task, in units with a dollar value."""
    other_units: tuple[tuple[str, int], ...]
    """Unit without a dollar value -> amount."""
    is_recorded: bool
    """True when a record says what was consumed."""
    files: int
    """Files of the task, over which the points are divided."""


@dataclass(frozen=True)
class TaskExplanation:
    """One task, its files, and what every answer rests on."""

    pack: RulePack
    question: Question
    known_on: date | None
    task_id: str
    service: Service | None
    """None when the catalog does not know it."""
    model: str
    """As the records spell it; empty when they do not say."""
    task_type: str
    status: str
    state: str
    """One of history.STATES."""
    account: str
    clock: Clock
    groups: tuple[FileGroup, ...]
    without: str | None
    """Why the task has no file, one of columns.WITHOUT_ASSET_REASONS; None when it has."""
    cost: Cost
    records: tuple[str, ...]
    """Places of the task's records."""
    unreadable: tuple[tuple[str, str, str], ...]
    """Fields that could not be read: place of the record, field, what was found."""


def explain_task(sources: Iterable[Source], pack: RulePack, options: RunOptions, task_id: str) -> list[TaskExplanation]:
    """
    Explain the tasks with an id (one per service that has it), or one file by its `asset_id`.

    Reads the whole history, since records of a task may stand anywhere. Raises NothingToEvaluate when no record has
    the id, with the nearest one that some record has.
    """
    search = Search(task_id)
    reader = HistoryReader(tuple(sources), pack.catalog, options.columns)
    kept = [batch for batch in matching_records(reader, search) if len(batch)]
    exact = [batch for batch in kept if task_id in batch.task_id]
    merged, _ = merge_records(exact or kept, ServiceNames(pack.catalog))
    tracer = _Tracer(reader.sources, pack, options, search)
    wanted = None if exact else task_id
    names: list[str] = []
    found = []
    for row in range(len(merged)):
        if wanted is None and merged.task_id[row] != task_id:
            continue
        if wanted is not None and not wanted.startswith(f"{service_key(merged, row)}/{merged.task_id[row]}/"):
            continue
        explanation = tracer.task(merged.take([row]), wanted, names)
        if explanation is not None:
            found.append(explanation)
    if not found:
        raise NothingToEvaluate(search.problem(names))
    return found


class _Tracer:
    """Asks the evaluation about one task: as it is, from each reading of creation, and under each supposition."""

    def __init__(self, sources: tuple[Source, ...], pack: RulePack, options: RunOptions, search: Search) -> None:
        self.pack = pack
        self.options = options
        self._sources = sources
        self._problems = search.problems
        self._maker = AssetMaker(pack, sources, options.question.as_of, options.period)
        self._evaluator = Evaluator(pack, options.question, options.known_on)
        self._services = {service.id: service for service in pack.catalog.services}

    def task(self, task: Batch, wanted: str | None, names: list[str]) -> TaskExplanation | None:
        """Explain a batch of one task; None when it has not the asset wanted (its assets' ids then go to `names`)."""
        assets, totals = self._maker.make(task)
        files = len(assets)
        if wanted is not None:
            names += assets["asset_id"].tolist()
            assets = assets[assets["asset_id"] == wanted]
            if not len(assets):
                return None
        clock = self._clock(task)
        service = self._services.get(task.service[0] or "")
        records = [(task.file[0], task.line[0], task.item[0]), *task.also.get(0, ())]
        return TaskExplanation(
            pack=self.pack,
            question=self.options.question,
            known_on=self.options.known_on,
            task_id=task.task_id[0],
            service=service,
            model=task.model[0] or "",
            task_type=task.task_type[0] or "",
            status=task.status[0] or "",
            state=STATES[task.state[0]],
            account=_text(assets["account"].iloc[0]) if len(assets) else "",
            clock=clock,
            groups=self._groups(assets, clock, service) if len(assets) else (),
            without=next(iter(totals.without_assets), None),
            cost=Cost(
                totals.points,
                tuple((unit, amount) for unit, (amount, _) in totals.other_units.items()),
                task.consume[0] is not None or task.share[0] is not None,
                files,
            ),
            records=tuple(place(self._sources[file].name, line, item) for file, line, item in records),
            unreadable=tuple(
                (place(self._sources[one.file].name, one.line, one.item), one.field, one.found)
                for one in self._problems
                if (one.file, one.line, one.item) in records
            ),
        )

    def _clock(self, task: Batch) -> Clock:
        submitted, completed = _instant(task.created[0]), _instant(task.ended[0])
        readings = read_creation(task.created, task.ended, task.bound, self.pack.longest_task)
        first, last = _instant(readings.first[0]), _instant(readings.last[0])
        is_between = bool(readings.between[0])
        longest = first is not None and last is not None and last - first == self.pack.longest_task
        return Clock(
            submitted,
            completed,
            None if readings.no_clock[0] else first,
            None if readings.no_clock[0] else last,
            is_between,
            bool(readings.inverted[0]),
            is_between and longest,
        )

    def _groups(self, assets: pd.DataFrame, clock: Clock, service: Service | None) -> tuple[FileGroup, ...]:
        """Files with equal answers together, in the order of their first."""
        findings = self._evaluator.judge_chunk(assets)
        answers = _answers(findings)
        as_of = self.options.question.as_of
        from_first, from_last = (
            _answers(self._evaluator.judge_chunk(_created_at(assets, as_of if instant is None else instant)))
            for instant in (clock.first, clock.last)
        )
        suppositions: list[list[tuple[str, tuple[Supposition, ...]]]] = [[] for _ in answers]
        for fact, values in _domains(service).items():
            rows = [row for row, answer in enumerate(answers) if f"{fact}_unknown" in answer.reasons]
            if rows:
                supposed = [self._suppose(assets.iloc[rows], fact, value) for value in values]
                for at, row in enumerate(rows):
                    under = [answers_of[at] for answers_of in supposed]
                    suppositions[row].append((fact, tuple(map(Supposition, values, under))))
        links = _instants(findings["link_expires_at"])
        media, urls, hosts, owners = (
            [_text(value) for value in findings[name]] for name in ("media", "url", "url_host", "host_owner")
        )
        groups: dict[Any, list[FileSeen]] = {}
        for row, asset_id in enumerate(findings["asset_id"].tolist()):
            name, ordinal = asset_id.rsplit("/", 2)[1:]
            file = FileSeen(asset_id, name, ordinal, media[row], urls[row], hosts[row], links[row])
            key = (owners[row], answers[row], from_first[row], from_last[row], tuple(suppositions[row]))
            groups.setdefault(key, []).append(file)
        return tuple(FileGroup(tuple(files), *key) for key, files in groups.items())

    def _suppose(self, assets: pd.DataFrame, fact: str, value: str) -> list[Answer]:
        return _answers(self._evaluator.judge_chunk(assets.assign(**{fact: value})))


def _domains(service: Service | None) -> dict[str, tuple[str, ...]]:
    """The values that each unknown fact of an asset of the service may have."""
    if service is None:
        return {}
    roles = dict.fromkeys(spec.role for spec in service.outputs if spec.role)
    return {
        "task_type": (*service.task_types, ANY_OTHER),
        "account": ACCOUNTS,
        "media": MEDIA,
        "role": tuple(dict.fromkeys((*roles, UNLISTED_ROLE, ANY_OTHER))),
        "watermarked": ("true", "false"),
    }


def _created_at(assets: pd.DataFrame, instant: int) -> pd.DataFrame:
    """The same assets, had their tasks been submitted and completed at one instant."""
    moment = pd.Timestamp(instant, unit="ns", tz="UTC")
    return assets.assign(created_at=moment, completed_at=moment)


def _answers(findings: pd.DataFrame) -> list[Answer]:
    """One Answer per row of findings."""
    times = (
        _instants(findings[name])
        for name in ("expires_earliest", "expires_latest", "operation_closes_earliest", "operation_closes_latest")
    )
    words = (
        [_text(value) for value in findings[name]]
        for name in ("verdict", "reason", "storage", "operation_verdict", "operations", "evidence")
    )
    rules = (_rules(findings, prefix) for prefix in ("", "operation_"))
    columns = (*words, *rules, *times, findings["possibly_past"].tolist())
    return [
        Answer(
            verdict, past, tuple(reason.split(";") if reason else ()), storage, earliest, latest, rule,
            window, tuple(operations.split(";") if operations else ()), closes, closed, window_rule, evidence,
        )
        for verdict, reason, storage, window, operations, evidence, rule, window_rule, earliest, latest, closes, closed,
        past in zip(*columns, strict=True)
    ]  # fmt: skip


def _rules(findings: pd.DataFrame, prefix: str) -> list[RuleKey | None]:
    ids, numbers = findings[f"{prefix}rule_id"], findings[f"{prefix}rule_version"]
    return [(_text(name), int(number)) if _text(name) else None for name, number in zip(ids, numbers, strict=True)]


def _instants(column: pd.Series[Any]) -> list[int | None]:
    values: np.ndarray[Any, np.dtype[np.int64]] = column.dt.as_unit("ns").to_numpy("datetime64[ns]").view(np.int64)
    return [_instant(value) for value in values]


def _instant(value: Any) -> int | None:
    return None if value == NAT else int(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
