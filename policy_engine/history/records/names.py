"""Turns the model names and status words of exports into the catalog's services and states."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from policy_engine.core.fact_domain import ANY_OTHER, FactReader
from policy_engine.core.rule_model import Catalog
from policy_engine.core.vocabulary import fold

STATES = ("completed", "failed", "cancelled", "pending", "processing", "staged", "unknown")
"""States of a task; the code used in batches is the index in this tuple."""
UNKNOWN_STATE = STATES.index("unknown")
FINAL_STATES = frozenset({STATES.index("completed"), STATES.index("failed"), STATES.index("cancelled")})
WAITING_STATES = frozenset({STATES.index("pending"), STATES.index("processing"), STATES.index("staged")})


@dataclass(frozen=True)
class Naming:
    """What a model name and a task type mean together."""

    service: str | None
    """Catalog id, or None when the catalog does not determine it."""
    task_type: str | None
    """Task type in the catalog's spelling where it lists it, else as written; None when missing."""
    is_floating: bool
    """True when the names leave the service open, so that the record may join a task with the same id."""


class ServiceNames:
    """Looks up services; every distinct pair of names is resolved once."""

    def __init__(self, catalog: Catalog) -> None:
        """Index the catalog's names."""
        self._any_type: dict[str, str] = {}
        self._by_type: dict[str, dict[str, str]] = {}
        self.facts = FactReader(catalog)
        """Reads the facts that records state."""
        for service in catalog.services:
            for name in service.names:
                if name.task_types is None:
                    self._any_type[fold(name.model)] = service.id
                else:
                    shared = self._by_type.setdefault(fold(name.model), {})
                    shared.update({fold(task_type): service.id for task_type in name.task_types})
        self._statuses = {word: STATES.index(state) for word, state in catalog.statuses.items()}
        self._resolved: dict[tuple[str | None, str | None, str | None], Naming] = {}
        self._states: dict[str | None, int] = {}

    def resolve(self, model: str | None, task_type: str | None, service: str | None = None) -> Naming:
        """The meaning of a record's names; `service` is a catalog id that a table states outright."""
        key = (model, task_type, service)
        known = self._resolved.get(key)
        if known is None:
            known = self._resolved[key] = self._resolve(model, task_type, service)
        return known

    def resolve_stated(
        self, model: str | None, task_type: str | None, service: str | None
    ) -> tuple[Naming, str | None]:
        """What the names of a record mean, and its model: a service that the catalog does not list may be one."""
        naming = self.resolve(model, task_type, service)
        if naming.service is None and model is None and service is not None:
            return self.resolve(service, task_type), service
        return naming, model

    def state_of(self, status: str | None) -> int:
        """Index in STATES of a status word, in any case; unknown for empty and unlisted words."""
        known = self._states.get(status)
        if known is None:
            known = self._statuses.get((status or "").strip().casefold(), UNKNOWN_STATE)
            self._states[status] = known
        return known

    def resolve_all(self, models: Sequence[str | None], task_types: Sequence[str | None]) -> list[Naming]:
        """`resolve` for parallel columns."""
        keys = zip(models, task_types, itertools.repeat(None), strict=False)
        try:
            return list(map(self._resolved.__getitem__, keys))
        except KeyError:
            return list(map(self.resolve, models, task_types))

    def states_of(self, statuses: Sequence[str | None]) -> list[int]:
        """`state_of` for a column."""
        try:
            return list(map(self._states.__getitem__, statuses))
        except KeyError:
            return list(map(self.state_of, statuses))

    def _resolve(self, model: str | None, task_type: str | None, service: str | None) -> Naming:
        found = self.facts.read("service", service) or None
        floating = False
        if found is None and (model is None or not fold(model)):
            floating = True
        elif found is None and model is not None:
            folded = fold(model)
            found = self._any_type.get(folded)
            shared = self._by_type.get(folded)
            if shared is not None and task_type is not None:
                found = shared.get(fold(task_type), found)
            floating = found is None and shared is not None
        if found is not None:
            known = self.facts.read("task_type", task_type, found)
            task_type = task_type if known == ANY_OTHER else known
        return Naming(found, task_type, floating)
