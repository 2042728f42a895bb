"""Turns the case files of a rule pack into Cases with the location of every expectation, or into all their problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from policy_engine.core.fact_domain import OUTSIDE, FactReader
from policy_engine.core.periods import parse_date, parse_duration, parse_instant
from policy_engine.core.problems import PackInvalid, Problem, ProblemList, SourceSpan
from policy_engine.core.rule_model import RulePack
from policy_engine.core.safe_text import plain
from policy_engine.core.vocabulary import FACTS, UNLISTED_ROLE, fold
from policy_engine.packs.catalog import did_you_mean
from policy_engine.packs.loading import PackFolder, find_pack, in_order, read_member
from policy_engine.packs.yaml_document import ValuePath, YamlDocument

FILE_OF_A_TABLE = "file"
"""Name of an asset that a row of a table gives an address, and no output of the catalog."""
_INSTANTS = ("expires_earliest", "expires_latest", "operation_closes_earliest", "operation_closes_latest")


@dataclass(frozen=True)
class Expectation:
    """What a case says of one asset."""

    name: str
    """Name of the output in the catalog, or `unlisted`."""
    ordinal: int
    """Which file of that name, from 1."""
    fields: Mapping[str, Any]
    """Field -> expected value, only those that the case states; instants in ns, None for "there must be none"."""
    spans: Mapping[str, SourceSpan]
    """Field -> location of its value."""
    span: SourceSpan
    """Location of the expectation."""

    @property
    def label(self) -> str:
        """The asset as cases name it: `video_clean`, `video_clean/2`."""
        return self.name if self.ordinal == 1 else f"{self.name}/{self.ordinal}"


@dataclass(frozen=True)
class Record:
    """A record of a case, as an export would hold it."""

    value: Mapping[str, Any]
    span: SourceSpan


@dataclass(frozen=True)
class Case:
    """Given records, asked at an instant, this is the answer."""

    name: str
    records: tuple[Record, ...]
    as_of: int
    """Instant asked about, in ns."""
    known_on: date | None
    horizon: int
    """Of the case, else of the pack, in ns."""
    operation_horizon: int
    """Of the case, else of the pack, in ns."""
    assets: tuple[Expectation, ...]
    """Every asset that the tasks must have; empty when `no_asset` is given."""
    no_asset: str | None
    """Why the tasks must have no asset, or None."""
    span: SourceSpan
    """Location of the name."""
    expect_span: SourceSpan
    """Location of what is expected."""


@dataclass(frozen=True)
class CaseFiles:
    """All cases of a pack, in the order of the files."""

    cases: tuple[Case, ...]
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    """File name -> text, for source frames."""


def read_cases(pack: RulePack, location: str | Path) -> CaseFiles:
    """
    Read `cases/*.yaml` of the pack at `location` (a bundled name or a folder).

    Raises PackInvalid with the problems of all case files: not YAML, not of the schema's shape, or naming rules,
    versions, outputs or given tasks that do not exist.
    """
    folder = find_pack(location)
    problems = ProblemList(list(_unread_files(folder)))
    cases: list[Case] = []
    texts: dict[str, str] = {}
    for path in sorted((folder.path / "cases").glob("*.yaml")):
        if path.name.startswith("."):
            continue
        file = f"{folder.shown_as}/cases/{path.name}"
        document, data, found = read_member(path, file, "cases")
        problems.items.extend(found)
        texts[file] = data.decode("utf-8-sig", errors="replace")
        if document is not None:
            cases.extend(_CaseReader(document, pack, problems).cases())
    if problems.has_errors:
        raise PackInvalid(in_order(problems), texts)
    return CaseFiles(tuple(cases), texts)


def _unread_files(folder: PackFolder) -> Iterator[Problem]:
    """Case files that would be left out without a word."""
    cases = folder.path / "cases"
    for path in [*sorted(cases.rglob("*.yml")), *sorted(cases.glob("*/**/*.yaml"))]:
        if path.is_file() and not path.name.startswith("."):
            name = path.relative_to(folder.path).as_posix()
            help_text = "move it to cases/ itself" if path.suffix == ".yaml" else "rename it to end in .yaml"
            yield Problem(
                "unread-file", "would not be read", SourceSpan(f"{folder.shown_as}/{name}", 1), help=help_text
            )


class _CaseReader:
    """One reading of a case file that fits its schema."""

    def __init__(self, document: YamlDocument, pack: RulePack, problems: ProblemList) -> None:
        self.document = document
        self.pack = pack
        self.problems = problems
        self._given: Mapping[str, Mapping[str, Any]] = document.value.get("given", {})
        self._names = list(dict.fromkeys(
            spec.name for service in pack.catalog.services for spec in service.outputs if spec.kind == "file"
        ))  # fmt: skip
        self._facts = FactReader(pack.catalog)
        self._models = {fold(name.model) for service in pack.catalog.services for name in service.names}
        self._versions = {rule.id: [version.number for version in rule.versions] for rule in pack.rules}

    def cases(self) -> list[Case]:
        """All cases of the file, in order."""
        for name, record in self._given.items():
            self._check_facts(record, ("given", name))
        first: dict[str, SourceSpan] = {}
        cases = []
        for index, entry in enumerate(self.document.value["cases"]):
            case = self._case(entry, ("cases", index))
            if case.name in first:
                message = f"the case `{plain(case.name)}` appears twice"
                self.problems.add(Problem("duplicate", message, case.span, related=(first[case.name],)))
            first.setdefault(case.name, case.span)
            cases.append(case)
        return cases

    def _case(self, entry: Mapping[str, Any], here: ValuePath) -> Case:
        where: list[ValuePath] = (
            [(*here, "task")] if "task" in entry else [(*here, "tasks", index) for index in range(len(entry["tasks"]))]
        )
        expect = entry["expect"]
        is_list = isinstance(expect, list)
        known_on, horizon, window = (entry.get(name) for name in ("known_on", "horizon", "operation_horizon"))
        return Case(
            name=entry["name"],
            records=tuple(self._record(task, path) for task, path in zip(_tasks(entry), where, strict=True)),
            as_of=parse_instant(entry["as_of"]),
            known_on=parse_date(known_on) if known_on is not None else None,
            horizon=parse_duration(horizon) if horizon is not None else self.pack.horizon,
            operation_horizon=parse_duration(window) if window is not None else self.pack.operation_horizon,
            assets=tuple(self._expectation(asset, (*here, "expect", index)) for index, asset in enumerate(expect))
            if is_list
            else (),
            no_asset=None if is_list else expect["no_asset"],
            span=self.document.span(*here, "name"),
            expect_span=self.document.key_span(*here, "expect"),
        )

    def _record(self, task: str | Mapping[str, Any], path: ValuePath) -> Record:
        span = self.document.span(*path)
        if not isinstance(task, str):
            self._check_facts(task, path)
            return Record(task, span)
        if task not in self._given:
            help_text = did_you_mean(task, self._given, "given tasks")
            message = f"unknown given task `{plain(task, 60)}`"
            self.problems.add(Problem("unknown-task", message, span, help=help_text))
        return Record(self._given.get(task, {}), span)

    def _check_facts(self, record: Mapping[str, Any], path: ValuePath) -> None:
        """A row of a table must not state what a fact cannot be: the case would be about an unknown fact."""
        if not is_table_row(record):
            return
        service = self._facts.read("service", record["service"])
        for fact in FACTS:
            stated = record.get(fact)
            if self._facts.read(fact, stated, service) != OUTSIDE:
                continue
            if fact == "service" and fold(str(stated)) in self._models:
                continue
            word, known = str(stated), list(self._facts.listed(fact, service))
            if fact == "service":
                self._refer("service", word, known, (*path, fact))
            elif fact == "role":
                self._refer("role", word, known, (*path, fact))
            else:
                help_text = did_you_mean(word, known, f"values of {fact}")
                message = f"`{fact}` cannot be `{plain(word, 60)}`"
                self.problems.add(Problem("not-allowed", message, self.document.span(*path, fact), help=help_text))

    def _expectation(self, entry: Mapping[str, Any], path: ValuePath) -> Expectation:
        name, _, ordinal = entry["name"].partition("/")
        known = [*self._names, UNLISTED_ROLE, FILE_OF_A_TABLE]
        if name not in known:
            self._refer("output", name, known, (*path, "name"))
        for which in ("rule", "operation_rule"):
            rule = entry.get(which)
            if rule and rule not in self._versions:
                self._refer("rule", rule, list(self._versions), (*path, which))
        rule, version = entry.get("rule"), entry.get("version")
        if version is not None and rule in self._versions and version not in self._versions[rule]:
            message = f"`{rule}` has no version {version}"
            help_text = f"it has {', '.join(str(number) for number in self._versions[rule])}"
            self.problems.add(Problem("unknown-version", message, self.document.span(*path, "version"), help=help_text))
        fields = {key: value for key, value in entry.items() if key != "name"}
        for key in fields.keys() & set(_INSTANTS):
            fields[key] = parse_instant(fields[key]) if fields[key] is not None else None
        spans = {key: self.document.span(*path, key) for key in fields}
        return Expectation(name, int(ordinal or 1), fields, spans, self.document.span(*path))

    def _refer(self, what: str, word: str, known: list[str], path: ValuePath) -> None:
        help_text = did_you_mean(word, known, f"{what}s")
        message = f"unknown {what} `{plain(word, 60)}`"
        self.problems.add(Problem(f"unknown-{what}", message, self.document.span(*path), help=help_text))


def is_table_row(record: Mapping[str, Any]) -> bool:
    """True for a row of a table, which names its service as the catalog does; no task object has that field."""
    return "service" in record and "task_id" in record


def _tasks(entry: Mapping[str, Any]) -> list[Any]:
    """What the case is given: names of given tasks, or records."""
    return [entry["task"]] if "task" in entry else entry["tasks"]
