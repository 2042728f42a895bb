"""Shows what changed in meaning between two rule packs, as text, Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from policy_engine.authoring.compare.answers import Absent, Answer, Kept
from policy_engine.authoring.compare.diff import DIRECTIONS, Change, PackDiff
from policy_engine.authoring.compare.parameters import Named
from policy_engine.authoring.compare.wording import (
    about_words,
    before_after_words,
    created_words,
    files_words,
    head_words,
    known_words,
    named_words,
    rules_words,
    space_words,
    witness_words,
)
from policy_engine.core.periods import format_duration, format_instant
from policy_engine.core.rule_model import RulePack
from policy_engine.core.safe_text import escape, plain

SCHEMA = "policy-engine/diff/v1"
SHOWN = 30
"""Changes that text and Markdown list; JSON has all of them."""
_LONGEST = 600


def render_text(diff: PackDiff, names: tuple[str, str]) -> str:
    """What changed, for a person at a terminal; `names` are those of the packs as the user gave them."""
    lines = [f"{plain(names[0])} -> {plain(names[1])}: {head_words(diff)}"]
    for title, named in _named_sections(diff):
        lines += [
            "",
            title,
            *(f"  {plain(named_words(change), _LONGEST)}" for change in named[:SHOWN]),
            *_more(len(named)),
        ]
    for change in diff.changes[:SHOWN]:
        before, after = before_after_words(change)
        lines += [
            "",
            f"{change.direction}: {plain(files_words(change), _LONGEST)}",
            f"  {plain(about_words(change))}: {before} -> {after}",
            f"  rules: {plain(rules_words(change.before_rules))} -> {plain(rules_words(change.after_rules))}",
            f"  created: {created_words(change)}",
            *([f"  known: {known_words(change)}"] if known_words(change) else []),
            f"  witness: {plain(witness_words(change), _LONGEST)}",
        ]
    lines += _more(len(diff.changes))
    return "\n".join([*lines, "", f"domain: {space_words(diff)}"]) + "\n"


def render_markdown(diff: PackDiff, names: tuple[str, str]) -> str:
    """The same as Markdown, for a summary that a reviewer reads."""
    lines = [f"### Rules: {escape(names[0])} → {escape(names[1])}", "", f"**{head_words(diff)}**"]
    for title, named in _named_sections(diff):
        lines += ["", f"{title}:", ""]
        lines += [f"- {escape(named_words(change))}" for change in named[:SHOWN]]
        lines += [f"- {line}" for line in _more(len(named))]
    if diff.changes:
        lines += [
            "",
            "| Change | Files | Before | After | Created | Known | Witness |",
            "|---|---|---|---|---|---|---|",
        ]
    for change in diff.changes[:SHOWN]:
        before, after = before_after_words(change)
        cells = (
            change.direction,
            f"{files_words(change)}: {about_words(change)}",
            f"{before}; {rules_words(change.before_rules)}",
            f"{after}; {rules_words(change.after_rules)}",
            created_words(change),
            known_words(change),
            witness_words(change),
        )
        lines.append("| " + " | ".join(escape(cell) for cell in cells) + " |")
    lines += ["", *_more(len(diff.changes)), f"Domain: {space_words(diff)}."]
    return "\n".join(lines) + "\n"


def render_json(diff: PackDiff, names: tuple[str, str]) -> str:
    """Everything, for programs."""
    value = {
        "schema": SCHEMA,
        "old": _pack_json(diff.old, names[0]),
        "new": _pack_json(diff.new, names[1]),
        "is_same_meaning": diff.is_same_meaning,
        "counts": {direction: diff.count(direction) for direction in DIRECTIONS},
        "domain": {
            "services": diff.space.services,
            "profiles": diff.space.profiles,
            "instants": diff.space.instants,
            "days": diff.space.days,
        },
        "changes": [_change_json(change) for change in diff.changes],
        "parameters": [_named_json(named) for named in diff.parameters],
        "catalog": [_named_json(named) for named in diff.catalog],
        "rules": [_named_json(named) for named in diff.rules],
    }
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"


FORMATS: Mapping[str, Callable[[PackDiff, tuple[str, str]], str]] = {
    "text": render_text,
    "json": render_json,
    "markdown": render_markdown,
}
"""Format name -> function from the comparison and the names of the packs to the whole text."""


def _named_sections(diff: PackDiff) -> list[tuple[str, tuple[Named, ...]]]:
    sections = (("pack.yaml", diff.parameters), ("catalog.yaml", diff.catalog), ("rules", diff.rules))
    return [(title, named) for title, named in sections if named]


def _more(count: int) -> list[str]:
    return [f"... and {count - SHOWN:,} more; --format json lists all"] if count > SHOWN else []


def _pack_json(pack: RulePack, name: str) -> dict[str, str]:
    return {"name": name, "id": pack.id, "sha256": pack.digest}


def _change_json(change: Change) -> dict[str, Any]:
    first, last = change.known
    return {
        "direction": change.direction,
        "about": "operations" if change.operations else "storage",
        "operations": list(change.operations),
        "services": list(change.services),
        "facts": {
            fact: {"none_of" if values.is_excluded else "any_of": list(values.names)}
            for fact, values in change.facts.items()
        },
        "created": {"from": _instant(change.created.start), "until": _instant(change.created.end)},
        "known": {"from": first.isoformat() if first else None, "until": last.isoformat() if last else None},
        "before": _answer_json(change.before, change.before_rules),
        "after": _answer_json(change.after, change.after_rules),
        "witness": {
            **change.witness.facts,
            "created_at": format_instant(change.witness.created),
            "known_on": change.witness.known_on.isoformat() if change.witness.known_on else None,
        },
    }


def _answer_json(answer: Answer, rules: tuple[tuple[str, int], ...]) -> dict[str, Any]:
    sayings: list[dict[str, Any]] = []
    for said in answer:
        if isinstance(said, Absent):
            sayings.append({"storage": None, "period": None, "basis": None, "in_catalog": False})
        elif isinstance(said, Kept):
            period = None if said.period < 0 else format_duration(said.period)
            sayings.append({"storage": said.storage, "period": period, "basis": said.basis, "in_catalog": True})
        else:
            sayings.append({"period": format_duration(said.period)})
    return {"said": sayings, "rules": [{"rule": rule, "version": number} for rule, number in rules]}


def _named_json(named: Named) -> dict[str, str | None]:
    return {"what": named.what, "before": named.before or None, "after": named.after or None}


def _instant(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)
