"""Which values each fact of a file can have, and which of them a value means that somebody states."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from policy_engine.core.rule_model import Catalog, Service
from policy_engine.core.vocabulary import ACCOUNTS, FACTS, MEDIA, UNLISTED_ROLE, fold

ANY_OTHER = "(any other)"
"""Stands for every value of an open fact that the catalog does not list; no selector can name it."""
OUTSIDE = ""
"""What a stated value is read as that a closed list does not hold: the fact counts as unknown."""

_OPEN = frozenset(("task_type",))
"""Facts to which the provider may add values that the catalog does not list."""
_FIXED: Mapping[str, tuple[str, ...]] = {"account": ACCOUNTS, "media": MEDIA, "watermarked": ("true", "false")}
"""Facts whose values are the same for every service."""
_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "0", "0.0"), False),
}  # fmt: skip


def listed_values(service: Service, fact: str) -> tuple[str, ...]:
    """The values of a fact that the vocabulary or the catalog lists for a service, in their order."""
    if fact == "service":
        return (service.id,)
    if fact == "task_type":
        return service.task_types
    if fact == "role":
        roles = (output.role for output in service.outputs if output.role is not None)
        return tuple(dict.fromkeys((*roles, UNLISTED_ROLE)))
    return _FIXED[fact]


def values_of(service: Service, fact: str) -> tuple[str, ...]:
    """Every value that a fact of a file of the service can have; ANY_OTHER comes last where the list is open."""
    listed = listed_values(service, fact)
    return (*listed, ANY_OTHER) if fact in _OPEN else listed


def domain_of(service: Service) -> Mapping[str, tuple[str, ...]]:
    """Every value that each fact of a file of the service can have."""
    return {fact: values_of(service, fact) for fact in FACTS}


def distinguished_values(service: Service, fact: str, named: Collection[str]) -> tuple[str, ...]:
    """
    The values that selectors can tell from each other: those they name, then the first of all the others, if any.

    This is exact: conditions only ask whether a value is among those they name.
    """
    values = values_of(service, fact)
    others = [value for value in values if value not in named]
    return (*(value for value in values if value in named), *others[:1])


def read_boolean(stated: object) -> bool | None:
    """True or false in the spellings of JSON, spreadsheets and databases; None for anything else."""
    return _BOOLEANS.get(_text(stated).strip().lower())


class FactReader:
    """Reads stated facts as values of their domains; case, blanks, `-` and `_` make no difference."""

    def __init__(self, catalog: Catalog) -> None:
        """Index every spelling of the catalog, by service and for all services together."""
        self._services = {service.id: _by_spelling(domain_of(service)) for service in catalog.services}
        together: dict[str, dict[str, str]] = {fact: {} for fact in FACTS}
        for spellings in self._services.values():
            for fact, values in spellings.items():
                together[fact] |= {folded: value for folded, value in values.items() if folded not in together[fact]}
        self._together: Mapping[str, Mapping[str, str]] = together

    def read(self, fact: str, stated: object, service: str | None = None) -> str | None:
        """
        The value that is meant, as the catalog spells it; None where nothing is stated.

        Gives OUTSIDE for what the fact cannot be, and ANY_OTHER for what an open list does not hold. Without a service
        (or with one that the catalog does not list) the values of all services count.
        """
        folded = fold(_text(stated))
        if not folded and (stated is None or isinstance(stated, str) or stated != stated):
            return None
        if fact == "watermarked":
            marked = read_boolean(stated)
            return OUTSIDE if marked is None else "true" if marked else "false"
        known = self._services.get(service or "", self._together)[fact].get(folded)
        return known or (ANY_OTHER if fact in _OPEN else OUTSIDE)

    def listed(self, fact: str, service: str | None = None) -> Iterable[str]:
        """The values that `read` knows, in the order of the catalog."""
        known = self._services.get(service or "", self._together)[fact].values()
        return [value for value in known if value != ANY_OTHER]


def _by_spelling(domain: Mapping[str, Iterable[str]]) -> dict[str, dict[str, str]]:
    return {fact: {fold(value): value for value in values} for fact, values in domain.items()}


def _text(stated: object) -> str:
    """A single value as text; empty for lists, objects and what is missing."""
    if isinstance(stated, str):
        return stated
    return str(stated).lower() if isinstance(stated, (bool, int, float)) and stated == stated else ""
