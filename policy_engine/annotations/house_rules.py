"""Reads a file of house rules, and computes the instants by which the user wants each file saved."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from policy_engine.core.frames import Bool, Int64, codes_of, earliest_of, nanoseconds
from policy_engine.core.periods import MIN_INSTANT, NAT, parse_date, parse_instant
from policy_engine.core.problems import PackInvalid, Problem, ProblemList
from policy_engine.core.rule_model import Catalog, Citation, Rule, RuleVersion
from policy_engine.packs.loading import read_checked
from policy_engine.packs.rules import read_period, read_selector
from policy_engine.packs.timeline import in_force
from policy_engine.packs.yaml_document import ValuePath, YamlDocument


@dataclass(frozen=True)
class HouseRule:
    """A house rule; `retention` of its versions is the time within which a file is to be saved."""

    rule: Rule
    lead_times: Mapping[int, int] = field(default_factory=dict)
    """Version number -> ns before the provider's deadline."""


@dataclass(frozen=True)
class HouseRules:
    """A file of house rules."""

    name: str
    sha256: str
    rules: tuple[HouseRule, ...]
    """In the order of the file; where several fit, the earliest instant counts."""

    def instants(
        self, findings: pd.DataFrame, provider: Int64, longest_task: int, known_on: date | None
    ) -> tuple[Int64, Bool]:
        """
        The instant by which each file is to be saved (NAT where no rule gives one), and the rows that lack a clock.

        `provider` is the provider's own deadline (NAT where there is none). Both readings of creation are tried, and
        an unknown fact fits any condition, so that the deadline errs on the early side.
        """
        submitted, finished = nanoseconds(findings["created_at"]), nanoseconds(findings["completed_at"])
        earliest = np.where((submitted == NAT) & (finished != NAT), finished - longest_task, submitted)
        readings = (earliest, np.where(finished == NAT, earliest, finished))
        least = np.full(len(findings), NAT, np.int64)
        without_clock = np.zeros(len(findings), bool)
        for house in self.rules:
            segments = in_force(house.rule, known_on)
            starts = np.array([MIN_INSTANT if start is None else start for start, _ in segments], np.int64)
            for number, (_, version) in enumerate(segments):
                if version is None:
                    continue
                fitting = _fits(version, findings)
                lead = house.lead_times.get(version.number)
                for creation in readings:
                    # Without a clock the last version applies: it is the one in force.
                    at = np.where(creation == NAT, len(starts) - 1, np.searchsorted(starts, creation, "right") - 1)
                    rows = fitting & (at == number)
                    if version.retention is not None:
                        clocked = rows & (creation != NAT)
                        least[clocked] = earliest_of(least[clocked], creation[clocked] + version.retention)
                        without_clock |= rows & (creation == NAT)
                    if lead is not None:
                        dated = rows & (provider != NAT)
                        least[dated] = earliest_of(least[dated], provider[dated] - lead)
        return least, without_clock


def _fits(version: RuleVersion, findings: pd.DataFrame) -> Bool:
    rows: Bool = np.ones(len(findings), bool)
    for fact, values in version.selector.conditions.items():
        codes, words = codes_of(findings[fact], len(findings))
        lookup = np.array([*(word in values or word == "" for word in words), True], bool)
        rows &= lookup[codes]
    return rows


def read_house_rules(path: Path, name: str, catalog: Catalog) -> HouseRules:
    """Read a file of house rules; raises PackInvalid with every problem and its location."""
    document, data, found = read_checked(path, name, "house-rules")
    sources = {name: data.decode("utf-8-sig", "replace")}
    if document is None:
        raise PackInvalid(found, sources)
    problems = ProblemList()
    rules = tuple(
        _read_rule(document, position, entry, catalog, problems)
        for position, entry in enumerate(document.value["rules"])
    )
    ids = [house.rule.id for house in rules]
    for position, id_ in enumerate(ids):
        if ids.index(id_) != position:
            first, second = (document.span("rules", at, "id") for at in (ids.index(id_), position))
            problems.add(Problem("duplicate", f"the rule `{id_}` appears twice", second, related=(first,)))
    if problems.has_errors:
        raise PackInvalid(sorted(dict.fromkeys(problems.items), key=Problem.sort_key), sources)
    return HouseRules(name, hashlib.sha256(data).hexdigest(), rules)


def _read_rule(
    document: YamlDocument, position: int, entry: Mapping[str, Any], catalog: Catalog, problems: ProblemList
) -> HouseRule:
    versions: list[RuleVersion] = []
    lead_times: dict[int, int] = {}
    for index, item in enumerate(entry["versions"]):
        here: ValuePath = ("rules", position, "versions", index)
        version = _read_version(document, here, item, catalog, problems)
        _check_order(document, here, version, index, versions[-1] if versions else None, problems)
        versions.append(version)
        if "lead_time" in item:
            text = item["lead_time"]["period"]
            lead_times[version.number] = read_period(text, document, (*here, "lead_time", "period"), problems)
    rule = Rule(
        entry["id"], entry["title"], entry.get("summary", ""), tuple(versions), document.span("rules", position)
    )
    return HouseRule(rule, lead_times)


def _read_version(
    document: YamlDocument, here: ValuePath, entry: Mapping[str, Any], catalog: Catalog, problems: ProblemList
) -> RuleVersion:
    withdrawn = bool(entry.get("withdrawn", False))
    if not withdrawn and "save_within" not in entry and "lead_time" not in entry:
        message = f"version {entry['version']} says nothing: it has neither `save_within` nor `lead_time`"
        problems.add(Problem(
            "says-nothing", message, document.span(*here), help="add one, or end the rule with `withdrawn: true`"
        ))  # fmt: skip
    within = entry.get("save_within")
    where = (*here, "save_within", "period")
    effective, citation = entry.get("effective_from"), entry.get("citation")
    return RuleVersion(
        number=entry["version"],
        effective_from=None if effective is None else parse_instant(effective),
        recorded_on=parse_date(entry["recorded_on"]),
        withdrawn=withdrawn,
        selector=read_selector(entry.get("selector", {}), catalog, document, (*here, "selector"), problems),
        storage=None,
        retention=None if within is None else read_period(within["period"], document, where, problems),
        operation_window=None,
        citation=None
        if citation is None
        else Citation(citation["source"], citation["section"], parse_date(citation["retrieved_on"]), citation["basis"]),
        span=document.span(*here),
    )


def _check_order(
    document: YamlDocument,
    here: ValuePath,
    version: RuleVersion,
    index: int,
    above: RuleVersion | None,
    problems: ProblemList,
) -> None:
    if version.number != index + 1:
        message = f"version {version.number} is where version {index + 1} should be"
        problems.add(Problem(
            "version-number", message, document.span(*here, "version"), help="number versions 1, 2, 3 in their order"
        ))  # fmt: skip
    if above is not None and version.recorded_on < above.recorded_on:
        message = f"version {version.number} was recorded on {version.recorded_on}, before the one above it"
        problems.add(Problem("recorded-earlier", message, document.span(*here, "recorded_on")))
    if above is None and version.withdrawn:
        message = "the first version is withdrawn, so there is nothing to end"
        problems.add(Problem("says-nothing", message, document.key_span(*here, "withdrawn")))
