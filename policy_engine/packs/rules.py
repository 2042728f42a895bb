"""Turns checked rule files into Rules, or into problems with versions and words that refer to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from policy_engine.core.fact_domain import listed_values
from policy_engine.core.periods import parse_date, parse_duration, parse_instant
from policy_engine.core.problems import Problem, ProblemList
from policy_engine.core.rule_model import (
    Catalog,
    Citation,
    ExpectedCount,
    ExpectedImpact,
    OperationWindow,
    Rule,
    RuleVersion,
    Selector,
    Service,
)
from policy_engine.core.safe_text import plain
from policy_engine.core.vocabulary import StorageLocation, fold
from policy_engine.packs.catalog import did_you_mean
from policy_engine.packs.yaml_document import ValuePath, YamlDocument


def read_rule(
    document: YamlDocument,
    catalog: Catalog | None,
    sources: Iterable[str] | None,
    problems: ProblemList,
) -> Rule:
    """
    Build a rule from a document that fits its schema; what does not fit together goes to `problems`.

    `catalog` and `sources` are None when their file is itself invalid: then nothing is checked against them.
    """
    reader = _RuleReader(document, catalog, sources, problems)
    value = document.value
    versions = tuple(reader.version(index, entry) for index, entry in enumerate(value["versions"]))
    reader.check_order(versions)
    return Rule(value["id"], value["title"], value["summary"], versions, document.span("id"))


def read_citation(entry: Mapping[str, Any]) -> Citation:
    """Build a citation from a map that fits its schema."""
    return Citation(entry["source"], entry["section"], parse_date(entry["retrieved_on"]), entry["basis"])


def check_source(
    entry: Mapping[str, Any],
    sources: Iterable[str] | None,
    document: YamlDocument,
    path: ValuePath,
    problems: ProblemList,
) -> None:
    """A citation must name a source of pack.yaml; `path` is that of the citation."""
    known = list(sources or ())
    if sources is not None and entry["source"] not in known:
        message = f"unknown source `{plain(entry['source'], 60)}`"
        help_text = did_you_mean(entry["source"], known, "sources")
        problems.add(Problem("unknown-source", message, document.span(*path, "source"), help=help_text))


def read_period(text: str, document: YamlDocument, path: ValuePath, problems: ProblemList, what: str = "period") -> int:
    """Read a period that must be longer than nothing."""
    length = parse_duration(text)
    if length == 0:
        problems.add(Problem("zero-period", f"the {what} `{text}` has no length", document.span(*path)))
    return length


def read_selector(
    entry: Mapping[str, Any], catalog: Catalog, document: YamlDocument, path: ValuePath, problems: ProblemList
) -> Selector:
    """Build a selector from a map that fits its schema, in the catalog's spelling; `path` is that of the selector."""
    return _RuleReader(document, catalog, None, problems)._selector(entry, path)


class _RuleReader:
    """One reading of a rule document."""

    def __init__(
        self,
        document: YamlDocument,
        catalog: Catalog | None,
        sources: Iterable[str] | None,
        problems: ProblemList,
    ) -> None:
        self.document = document
        self.catalog = catalog
        self.sources = sources
        self.problems = problems

    def version(self, index: int, entry: Mapping[str, Any]) -> RuleVersion:
        """Build one version and check what lies inside it."""
        here: ValuePath = ("versions", index)
        citation = entry.get("citation")
        if citation is not None:
            check_source(citation, self.sources, self.document, (*here, "citation"), self.problems)
        effective = entry.get("effective_from")
        storage, retention = self._storage(entry, here)
        window = self._window(entry, here)
        withdrawn = bool(entry.get("withdrawn", False))
        if not withdrawn and storage is None and window is None:
            message = f"version {entry['version']} says nothing: it has neither `storage` nor `operation_window`"
            help_text = "add one of them, or end the rule with `withdrawn: true`"
            self.problems.add(Problem("says-nothing", message, self.document.span(*here), help=help_text))
        if withdrawn and index == 0:
            message = "the first version is withdrawn, so there is nothing to end"
            self.problems.add(Problem("says-nothing", message, self.document.key_span(*here, "withdrawn")))
        return RuleVersion(
            number=entry["version"],
            effective_from=parse_instant(effective) if effective is not None else None,
            recorded_on=parse_date(entry["recorded_on"]),
            withdrawn=withdrawn,
            selector=self._selector(entry.get("selector", {}), (*here, "selector")),
            storage=storage,
            retention=retention,
            operation_window=window,
            citation=read_citation(citation) if citation is not None else None,
            span=self.document.span(*here),
            expected_impact=self._expected(entry, here),
            places={key: self.document.key_span(*here, key) for key in entry},
        )

    def check_order(self, versions: tuple[RuleVersion, ...]) -> None:
        """Versions count 1, 2, 3 ... in the file, and none was recorded before the one above it."""
        latest: date | None = None
        for index, version in enumerate(versions):
            if version.number != index + 1:
                message = f"version {version.number} is where version {index + 1} should be"
                help_text = "versions count 1, 2, 3 in the order of the file; a new one goes to the end"
                span = self.document.span("versions", index, "version")
                self.problems.add(Problem("version-number", message, span, help=help_text))
            if latest is not None and version.recorded_on < latest:
                message = f"version {version.number} was recorded on {version.recorded_on}, before the one above it"
                help_text = f"`recorded_on` is the day you learned of it, so no earlier than {latest}"
                span = self.document.span("versions", index, "recorded_on")
                self.problems.add(Problem("recorded-earlier", message, span, help=help_text))
            latest = max(latest or version.recorded_on, version.recorded_on)

    def _storage(self, entry: Mapping[str, Any], here: ValuePath) -> tuple[StorageLocation | None, int | None]:
        """Who holds the file and for how long; no number when the vendor decides."""
        if "storage" not in entry:
            return None, None
        storage = StorageLocation(entry["storage"])
        retention = entry["retention"]
        if retention != "vendor_terms":
            where = (*here, "retention", "period")
            return storage, read_period(retention["period"], self.document, where, self.problems)
        if storage is StorageLocation.PLATFORM:
            message = "a file on the platform cannot be kept on the vendor's terms"
            help_text = "write `retention: {period: ...}`, or `storage: vendor_cdn`"
            span = self.document.span(*here, "retention")
            self.problems.add(Problem("vendor-terms-on-platform", message, span, help=help_text))
        return storage, None

    def _window(self, entry: Mapping[str, Any], here: ValuePath) -> OperationWindow | None:
        """The operation window, with operations that the selected services offer."""
        window = entry.get("operation_window")
        if window is None:
            return None
        where = (*here, "operation_window")
        offered = _unique(operation for service in self._selected(entry) for operation in service.operations)
        if self.catalog is not None and self._selects_known_services(entry):
            for index, operation in enumerate(window["operations"]):
                if operation not in offered:
                    self._refer(operation, offered, "operation", (*where, "operations", index))
        period = read_period(window["period"], self.document, (*where, "period"), self.problems)
        return OperationWindow(tuple(window["operations"]), period)

    def _expected(self, entry: Mapping[str, Any], here: ValuePath) -> ExpectedImpact | None:
        """What the version is expected to do to a known history."""
        value = entry.get("expected_impact")
        if value is None:
            return None
        verdicts = {}
        for words, count in value["verdicts"].items():
            before, _, after = words.partition("->")
            if before == after:
                message = f"`{words}` is not a change of a verdict"
                span = self.document.key_span(*here, "expected_impact", "verdicts", words)
                self.problems.add(
                    Problem("expected-impact", message, span, help="name two verdicts: `active->at_risk`")
                )
            allowed = str(count.get("tolerance", 0))
            verdicts[before, after] = ExpectedCount(
                count["assets"], Decimal(allowed.removesuffix("%")), allowed.endswith("%")
            )
        return ExpectedImpact(parse_instant(value["as_of"]), value.get("history", ""), verdicts)

    def _selector(self, entry: Mapping[str, Any], here: ValuePath) -> Selector:
        """The selector, in the catalog's spelling, with words the catalog knows."""
        conditions: dict[str, frozenset[str]] = {}
        for fact, values in entry.items():
            if fact == "watermarked":
                conditions[fact] = frozenset("true" if value else "false" for value in values)
            else:
                conditions[fact] = frozenset(values)
        if self.catalog is None:
            return Selector(conditions)
        for index, service in enumerate(entry.get("service", ())):
            known = [known.id for known in self.catalog.services]
            if service not in known:
                self._refer(service, known, "service", (*here, "service", index))
        if not self._selects_known_services({"selector": entry}):
            return Selector(conditions)
        selected = self._selected({"selector": entry})
        roles = _unique(role for service in selected for role in listed_values(service, "role"))
        for index, role in enumerate(entry.get("role", ())):
            if role not in roles:
                self._refer(role, roles, "role", (*here, "role", index))
        if "task_type" in entry:
            conditions["task_type"] = self._task_types(entry["task_type"], selected, (*here, "task_type"))
        return Selector(conditions)

    def _task_types(self, words: list[str], selected: list[Service], here: ValuePath) -> frozenset[str]:
        """Task types in every spelling that the selected services have for them."""
        known = _unique(task_type for service in selected for task_type in listed_values(service, "task_type"))
        found = set()
        for index, word in enumerate(words):
            spellings = [task_type for task_type in known if fold(task_type) == fold(word)]
            if not spellings:
                self._refer(word, known, "task type", (*here, index))
            found.update(spellings)
        return frozenset(found)

    def _selected(self, entry: Mapping[str, Any]) -> list[Service]:
        """Services of the catalog that the version's selector names, or all of them."""
        named = entry.get("selector", {}).get("service")
        services = self.catalog.services if self.catalog is not None else ()
        return [service for service in services if named is None or service.id in named]

    def _selects_known_services(self, entry: Mapping[str, Any]) -> bool:
        """False when a misspelt service would make every other word look unknown."""
        named = entry.get("selector", {}).get("service")
        return named is None or len(self._selected(entry)) == len(named)

    def _refer(self, word: str, known: Iterable[str], what: str, path: ValuePath) -> None:
        """Report a word that names nothing."""
        message = f"unknown {what} `{plain(word, 60)}`"
        code = f"unknown-{what.replace(' ', '-')}"
        span = self.document.span(*path)
        self.problems.add(Problem(code, message, span, help=did_you_mean(word, known, f"{what}s")))


def _unique(words: Iterable[str]) -> list[str]:
    """Words in order, each once."""
    return list(dict.fromkeys(words))
