"""Collects everything that the answer about a task depends on: records, clock, suppositions, rules."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from policy_engine.core.fact_domain import domain_of
from policy_engine.core.periods import NAT
from policy_engine.core.problems import NothingToEvaluate
from policy_engine.core.rule_model import RulePack, Service
from policy_engine.engine.assets.maker import AssetMaker, location
from policy_engine.engine.evaluation import Evaluator
from policy_engine.engine.kernel import read_creation
from policy_engine.engine.question import Question
from policy_engine.engine.run import RunOptions
from policy_engine.explain.searching import Search, matching_records
from policy_engine.history import STATES, Batch, HistoryReader, ServiceNames, Source, merge_records
from policy_engine.history.merging.merge import service_key

RuleKey = tuple[str, int]
"""Rule id and version number."""


@dataclass(frozen=True)
class Answer:
    """The answer about one file; instants in ns, None if there is none."""

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
    """The answer if an unknown fact had one of its values."""

    value: str
    """The value, or ANY_OTHER."""
    answer: Answer


@dataclass(frozen=True)
class Clock:
    """What is recorded about the creation; instants in ns, None = not recorded."""

    submitted: int | None
    completed: int | None
    first: int | None
    """First instant from which a period may count; None = no clock."""
    last: int | None
    """Last such instant."""
    is_between: bool
    """True if every instant from first to last is possible, False if only these two are."""
    is_inverted: bool
    """True if the records say that the task ended before it was submitted."""
    is_assumed: bool
    """True if only the pack's longest task bounds the unknown end of the interval."""


@dataclass(frozen=True)
class FileSeen:
    """One file of the task."""

    asset_id: str
    name: str
    """Output name in the catalog, or `unlisted`."""
    ordinal: str
    """Number of the file among those of that name, from 1."""
    media: str
    """Empty if not known, like `url` and `host`."""
    url: str
    host: str
    link_expires_at: int | None
    """End of a signed link, in ns; None if it has none."""


@dataclass(frozen=True)
class FileGroup:
    """Files of the task with the same answers."""

    files: tuple[FileSeen, ...]
    owner: str
    """Owner of the host; empty if not known."""
    answer: Answer
    from_first: Answer
    """The answer if the task was created at clock.first; without a clock, at as_of."""
    from_last: Answer
    """The answer if the task was created at clock.last; without a clock, at as_of."""
    suppositions: tuple[tuple[str, tuple[Supposition, ...]], ...]
    """For every unknown fact that an answer depends on: the answer for each of its values."""


@dataclass(frozen=True)
class Cost:
    """The cost of the task."""

    points: int
    """Consumed by a completed task, in units with a dollar value."""
    other_units: tuple[tuple[str, int], ...]
    """Unit without a dollar value -> amount."""
    is_recorded: bool
    """True if a record states what was consumed."""
    files: int
    """Files of the task, over which the points are divided."""


@dataclass(frozen=True)
class UnreadableField:
    """A field of a record that could not be read."""

    record: str
    """Location of the record."""
    name: str
    found: str
    """What was found in it."""


@dataclass(frozen=True)
class TaskExplanation:
    """One task, its files, and what every answer depends on."""

    pack: RulePack
    question: Question
    known_on: date | None
    task_id: str
    service: Service | None
    """None if the catalog does not know it."""
    model: str
    """As the records spell it; empty if they do not state it."""
    task_type: str
    status: str
    state: str
    """One of history.STATES."""
    account: str
    clock: Clock
    groups: tuple[FileGroup, ...]
    without: str | None
    """Why the task has no file, one of WITHOUT_ASSET_REASONS; None if it has one."""
    cost: Cost
    records: tuple[str, ...]
    """Locations of the task's records."""
    unreadable: tuple[UnreadableField, ...]


def explain_task(sources: Iterable[Source], pack: RulePack, options: RunOptions, task_id: str) -> list[TaskExplanation]:
    """
    Explain the tasks with an id (one per service that has it), or one file by its `asset_id`.

    Reads the whole history, since records of a task may be anywhere. Raises NothingToEvaluate if no record has the id,
    with the most similar id of a record.
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
    """Evaluates one task: as it is, from each reading of creation, and under each supposition."""

    def __init__(self, sources: tuple[Source, ...], pack: RulePack, options: RunOptions, search: Search) -> None:
        self.pack = pack
        self.options = options
        self._sources = sources
        self._problems = search.problems
        self._maker = AssetMaker(pack, sources, options.question.as_of, options.period)
        self._evaluator = Evaluator(pack, options.question, options.known_on)
        self._services = {service.id: service for service in pack.catalog.services}

    def task(self, task: Batch, wanted: str | None, names: list[str]) -> TaskExplanation | None:
        """Explain a batch of one task; None if it has no asset `wanted` (the ids of its assets then go to `names`)."""
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
            records=tuple(location(self._sources[file].name, line, item) for file, line, item in records),
            unreadable=tuple(
                UnreadableField(
                    location(self._sources[problem.file].name, problem.line, problem.item), problem.field, problem.found
                )
                for problem in self._problems
                if (problem.file, problem.line, problem.item) in records
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
        """Files with equal answers together, in the order of their first file."""
        findings = self._evaluator.judge_chunk(assets)
        answers = _answers(findings)
        as_of = self.options.question.as_of
        from_first, from_last = (
            _answers(self._evaluator.judge_chunk(_created_at(assets, as_of if instant is None else instant)))
            for instant in (clock.first, clock.last)
        )
        suppositions: list[list[tuple[str, tuple[Supposition, ...]]]] = [[] for _ in answers]
        domain = {} if service is None else domain_of(service)
        for fact, values in domain.items():
            rows = [row for row, answer in enumerate(answers) if f"{fact}_unknown" in answer.reasons]
            if rows:
                supposed = [self._suppose(assets.iloc[rows], fact, value) for value in values]
                for at, row in enumerate(rows):
                    under = [answers_of[at] for answers_of in supposed]
                    suppositions[row].append((fact, tuple(map(Supposition, values, under))))
        links = [_time(value) for value in findings["link_expires_at"]]
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


def _created_at(assets: pd.DataFrame, instant: int) -> pd.DataFrame:
    """The same assets, had their tasks been submitted and completed at one instant."""
    moment = pd.Timestamp(instant, unit="ns", tz="UTC")
    return assets.assign(created_at=moment, completed_at=moment)


def _answers(findings: pd.DataFrame) -> list[Answer]:
    """One Answer per row of findings."""
    return [_answer(row) for row in findings.to_dict("records")]


def _answer(row: Mapping[Hashable, Any]) -> Answer:
    return Answer(
        verdict=_text(row["verdict"]),
        possibly_past=row["possibly_past"],
        reasons=_words(row["reason"]),
        storage=_text(row["storage"]),
        expires_earliest=_time(row["expires_earliest"]),
        expires_latest=_time(row["expires_latest"]),
        rule=_rule(row["rule_id"], row["rule_version"]),
        operation_verdict=_text(row["operation_verdict"]),
        operations=_words(row["operations"]),
        closes_earliest=_time(row["operation_closes_earliest"]),
        closes_latest=_time(row["operation_closes_latest"]),
        operation_rule=_rule(row["operation_rule_id"], row["operation_rule_version"]),
        evidence=_text(row["evidence"]),
    )


def _rule(id: object, version: Any) -> RuleKey | None:
    return (_text(id), int(version)) if _text(id) else None


def _words(value: object) -> tuple[str, ...]:
    """The items of a list in a cell."""
    return tuple(_text(value).split(";")) if _text(value) else ()


def _time(value: Any) -> int | None:
    return None if pd.isna(value) else int(value.as_unit("ns").value)


def _instant(value: Any) -> int | None:
    return None if value == NAT else int(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
