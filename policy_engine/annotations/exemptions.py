"""Reads a file of exemptions: permissions for findings, each with an owner, a reason and a last day."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from policy_engine.core.frames import Bool, codes_of
from policy_engine.core.periods import DAY, MAX_INSTANT, MIN_INSTANT, SECOND, parse_date
from policy_engine.core.problems import InputUnusable, Problem
from policy_engine.core.rule_model import Catalog
from policy_engine.core.safe_text import plain
from policy_engine.packs.catalog import did_you_mean
from policy_engine.packs.loading import read_checked
from policy_engine.packs.yaml_document import YamlDocument

COVERED = ("asset_id", "task_id", "service", "verdict")
"""Columns of findings that an exemption can name."""


@dataclass(frozen=True)
class Exemption:
    """A permission for some findings to remain as they are."""

    id: str
    owner: str
    """The person who is responsible for it."""
    reason: str
    until: date
    """Its last day, in UTC."""
    covers: tuple[tuple[str, frozenset[str]], ...]
    """(column, values); all must fit."""

    def is_over(self, as_of: int) -> bool:
        """True from the end of its last day on."""
        return as_of >= self.end

    @property
    def end(self) -> int:
        """First instant after it, ns."""
        midnight = datetime(self.until.year, self.until.month, self.until.day, tzinfo=UTC)
        return min(max(int(midnight.timestamp()) * SECOND, MIN_INSTANT), MAX_INSTANT - DAY) + DAY

    def fits(self, findings: pd.DataFrame) -> Bool:
        """The findings that it covers; an unknown value matches nothing."""
        rows: Bool = np.ones(len(findings), bool)
        for column, values in self.covers:
            codes, words = codes_of(findings[column], len(findings))
            lookup = np.array([*(word in values for word in words), False], bool)
            rows &= lookup[codes]
        return rows


@dataclass(frozen=True)
class Exemptions:
    """A file of exemptions."""

    name: str
    sha256: str
    items: tuple[Exemption, ...]
    """In the order of the file: findings name the first one that covers them."""


def read_exemptions(path: Path, name: str, catalog: Catalog) -> Exemptions:
    """Read a file of exemptions; raises InputUnusable with every problem and its location."""
    document, data, problems = read_checked(path, name, "exemptions")
    sources = {name: data.decode("utf-8-sig", "replace")}
    if document is None:
        raise InputUnusable(problems, sources)
    found = tuple(_check(document, catalog))
    if found:
        raise InputUnusable(found, sources)
    items = tuple(
        Exemption(
            entry["id"], entry["owner"], entry["reason"], parse_date(entry["until"]),
            tuple((column, frozenset(entry["covers"][column])) for column in COVERED if column in entry["covers"]),
        )
        for entry in document.value["exemptions"]
    )  # fmt: skip
    return Exemptions(name, hashlib.sha256(data).hexdigest(), items)


def _check(document: YamlDocument, catalog: Catalog) -> Iterator[Problem]:
    """Repeated ids, and services that the catalog does not list, which would silently cover nothing."""
    known = [service.id for service in catalog.services]
    seen: dict[str, int] = {}
    for position, entry in enumerate(document.value["exemptions"]):
        here = ("exemptions", position)
        if entry["id"] in seen:
            first = document.span("exemptions", seen[entry["id"]], "id")
            yield Problem(
                "duplicate",
                f"the exemption `{entry['id']}` appears twice",
                document.span(*here, "id"),
                related=(first,),
            )
        seen.setdefault(entry["id"], position)
        for number, service in enumerate(entry["covers"].get("service", ())):
            if service not in known:
                span = document.span(*here, "covers", "service", number)
                help_ = did_you_mean(service, known, "services")
                yield Problem("unknown-service", f"unknown service `{plain(service, 60)}`", span, help=help_)
