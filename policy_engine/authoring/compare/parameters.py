"""Lists what changed in two packs beside their answers: parameters, the catalog, and the text of the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from policy_engine.core.periods import format_duration
from policy_engine.core.rule_model import (
    Catalog,
    ExpectedOutputs,
    ModelName,
    OutputSpec,
    Rule,
    RulePack,
    RuleVersion,
    Service,
)
from policy_engine.core.text.wording import count_of


@dataclass(frozen=True)
class Named:
    """One thing that changed."""

    what: str
    """Its name: `horizon`, `service flux: names`, `rule flux: version 2`."""
    before: str
    """Its value before; empty if it was absent."""
    after: str
    """Its value after; empty if it is absent."""
    service: str | None = None
    """The only service that it affects, or None."""


def parameter_changes(old: RulePack, new: RulePack) -> tuple[Named, ...]:
    """Settings of pack.yaml for all rules; titles, sources and evidence change no answer and are not listed."""
    pairs = {
        "horizon": (format_duration(old.horizon), format_duration(new.horizon)),
        "operation_horizon": (format_duration(old.operation_horizon), format_duration(new.operation_horizon)),
        "longest_task": (format_duration(old.longest_task), format_duration(new.longest_task)),
        "platform_owner": (old.platform_owner, new.platform_owner),
        "money.points_per_usd": (str(old.money.points_per_usd), str(new.money.points_per_usd)),
        "money.units": (", ".join(sorted(old.money.units)), ", ".join(sorted(new.money.units))),
    }
    found = [Named(what, was, becomes) for what, (was, becomes) in pairs.items() if was != becomes]
    found += _maps("host_owners", old.host_owners, new.host_owners)
    found += _maps("no_published_rule", _declared(old), _declared(new))
    return tuple(found)


def _declared(pack: RulePack) -> dict[str, str]:
    return {service: "declared" for entry in pack.no_published_rule for service in entry.services}


def catalog_changes(old: Catalog, new: Catalog) -> tuple[Named, ...]:
    """Services added or removed, and changes in how exports of the others are read; titles are not listed."""
    ours, theirs = ({service.id: service for service in catalog.services} for catalog in (old, new))
    found = []
    for id in sorted({*ours, *theirs}):
        was, becomes = ours.get(id), theirs.get(id)
        if was is None or becomes is None:
            found.append(Named(f"service {id}", "listed" if was else "", "listed" if becomes else "", id))
        else:
            found += _service_changes(was, becomes)
    found += _maps("status", old.statuses, new.statuses)
    found += _lists("legacy_outputs", old.legacy_outputs, new.legacy_outputs, None)
    return tuple(found)


def _service_changes(was: Service, becomes: Service) -> Iterable[Named]:
    id = was.id
    for name, shown in _LISTS.items():
        ours, theirs = (tuple(shown(item) for item in getattr(service, name)) for service in (was, becomes))
        yield from _lists(f"service {id}: {name}", ours, theirs, id)
    if was.parent_field != becomes.parent_field:
        yield Named(f"service {id}: parent_field", was.parent_field or "", becomes.parent_field or "", id)


def _name_words(name: ModelName) -> str:
    return name.model + (f" (task types {', '.join(name.task_types)})" if name.task_types else "")


def _output_words(output: OutputSpec) -> str:
    facts = {"name": output.name, "media": output.media, "role": output.role}
    marked = {None: "", True: ", watermarked", False: ", not watermarked"}[output.watermarked]
    details = ", ".join(f"{key} {value}" for key, value in facts.items() if value)
    return f"{output.path or '(the output itself)'}: {output.kind}{', ' if details else ''}{details}{marked}"


def _expected_words(expected: ExpectedOutputs) -> str:
    about = "every other type" if expected.task_types is None else ", ".join(expected.task_types)
    return f"{about}: {', '.join(expected.names) or 'no file'}"


_LISTS: Mapping[str, Callable[[Any], str]] = {
    "names": _name_words,
    "task_types": str,
    "outputs": _output_words,
    "expected": _expected_words,
    "operations": str,
}
"""List of a service in the catalog -> words for one item."""


def rule_changes(old: Iterable[Rule], new: Iterable[Rule]) -> tuple[Named, ...]:
    """Rules and versions added, removed or edited; comments and layout of the files do not count."""
    ours, theirs = ({rule.id: rule for rule in rules} for rules in (old, new))
    found = []
    for id in sorted({*ours, *theirs}):
        was, becomes = ours.get(id), theirs.get(id)
        if was is None or becomes is None:
            found.append(Named(f"rule {id}", _versions_words(was), _versions_words(becomes)))
            continue
        if (was.title, was.summary) != (becomes.title, becomes.summary):
            found.append(Named(f"rule {id}: title or summary", "as it was", "reworded"))
        versions = [{version.number: version for version in rule.versions} for rule in (was, becomes)]
        for number in sorted({*versions[0], *versions[1]}):
            first, second = versions[0].get(number), versions[1].get(number)
            what = f"rule {id}: version {number}"
            if first is None or second is None:
                found.append(Named(what, "there" if first else "", "there" if second else ""))
            elif edited := _edited(first, second):
                found.append(Named(what, "as it was", f"edited: {', '.join(edited)}"))
    return tuple(found)


def _versions_words(rule: Rule | None) -> str:
    return "" if rule is None else count_of(len(rule.versions), "version")


_PARTS = (
    "effective_from",
    "recorded_on",
    "withdrawn",
    "selector",
    "storage",
    "retention",
    "operation_window",
    "citation",
)
"""Fields of a version, by their keys in a rule file."""


def _edited(first: RuleVersion, second: RuleVersion) -> list[str]:
    return [part for part in _PARTS if getattr(first, part) != getattr(second, part)]


def _maps(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[Named]:
    return [
        Named(f"{what} {key}", old.get(key, ""), new.get(key, ""))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def _lists(what: str, old: tuple[str, ...], new: tuple[str, ...], service: str | None) -> list[Named]:
    if old == new:
        return []
    removed = [item for item in old if item not in new]
    added = [item for item in new if item not in old]
    if not removed and not added:
        return [Named(what, "in this order", "in another order", service)]
    return [Named(what, "; ".join(removed), "; ".join(added), service)]
