"""Shows what a change of rules does to a history, as text of at most 25 lines, Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from policy_engine.authoring.compare.impact_model import FIRST_MOVES, Amount, ImpactModel, MoveLine, PackLine
from policy_engine.core.safe_text import escape, plain
from policy_engine.core.text.terminal import cut, labelled
from policy_engine.core.text.wording import count_of

SCHEMA = "policy-engine/impact/v1"
LINES = 25
"""Lines of the text at most."""
_RULES, _EXPECTED, _NOTES = 2, 3, 2
"""Lines of each part of the text at most."""


def render_text(impact: ImpactModel) -> str:
    """The impact for a person at a terminal."""
    read, changed = impact.read, impact.changed
    what = ", ".join(f"{line.name} {line.amount.assets:,}" for line in impact.changes if line.amount.assets)
    lines = [
        cut(f"{plain(impact.old.name, 40)} -> {plain(impact.new.name, 40)}, as of {impact.as_of}: {impact.head}"),
        *labelled("read", f"{read.records:,} records = {read.tasks:,} tasks + {read.merged:,} merged + "
                  f"{read.quarantined:,} quarantined; {count_of(read.assets, 'file')} judged by both"),
        *labelled("changed", f"{count_of(changed.assets, 'file')} ({changed.points:,} points, {changed.cost_usd} USD)"
                  f"{f': {what}' if what else ''}"),
        "",
        f"{'verdict':<36}{'files':>9}{'USD':>14}  services, and a task",
        *(cut(_row(" -> ".join(move.words), move.amount) + _example(move)) for move in impact.moves[:FIRST_MOVES]),
    ]  # fmt: skip
    if impact.moves[FIRST_MOVES:]:
        title = f"{len(impact.moves) - FIRST_MOVES} other changes (--format json)"
        lines.append(_row(title, impact.further_moves))
    lines += [_row("same verdict", impact.stayed) + _answers(impact), _row("total", impact.total), ""]
    rules = [
        f"{line.rule_before or 'no rule'} -> {line.rule_after or 'no rule'}: {count_of(line.assets, 'file')}"
        for line in impact.rules
    ]
    windows = ", ".join(
        f"{line.before or 'none'} -> {line.after or 'none'} {line.amount.assets:,}" for line in impact.window_moves
    )
    lines += _some("rules", rules, _RULES)
    lines += labelled("windows", windows)
    lines += _some("expected", [outcome.words for outcome in impact.expected], _EXPECTED)
    lines += _some("note", impact.notes, _NOTES)
    if impact.written is not None:
        lines += labelled("written", f"{plain(impact.written, 300)}: {count_of(changed.assets, 'row')}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def render_markdown(impact: ImpactModel) -> str:
    """The impact for a summary that a reviewer reads."""
    changed = impact.changed
    lines = [
        f"### Impact: {escape(impact.old.name)} → {escape(impact.new.name)}",
        "",
        f"As of {impact.as_of}: **{impact.head}; {count_of(changed.assets, 'file')} of "
        f"{impact.read.assets:,} answered otherwise** ({changed.points:,} points, {changed.cost_usd} USD).",
    ]
    if changed.assets:
        lines += ["", "Files by verdict before (rows) and after (columns):", ""]
        titles = " | ".join(row.title for row in impact.grid)
        lines += [f"| | {titles} |", "|---" + "|--:" * len(impact.grid) + "|"]
        lines += [f"| {row.title} | " + " | ".join(f"{count:,}" for count in row.counts) + " |" for row in impact.grid]
        lines += ["", "| Change | Files | Points | USD | Services | Sample tasks |", "|---|--:|--:|--:|---|---|"]
        for move in impact.moves:
            amount = move.amount
            tasks = ", ".join(dict.fromkeys(escape(task) for _, task in move.samples))
            services = ", ".join(map(escape, move.services))
            lines.append(
                f"| {' → '.join(move.words)} | {amount.assets:,} | {amount.points:,} | {amount.cost_usd} | "
                f"{services} | {tasks} |"
            )
    if impact.expected:
        lines += ["", "Expected impact:", ""]
        lines += [
            f"- {'met' if outcome.is_met else '**not met**'}: {escape(outcome.words)}" for outcome in impact.expected
        ]
    if impact.notes:
        lines += ["", *(f"- {escape(note)}" for note in impact.notes)]
    return "\n".join(lines) + "\n"


def render_json(impact: ImpactModel) -> str:
    """Every number, for programs."""
    value = {
        "schema": SCHEMA,
        "old": _pack(impact.old),
        "new": _pack(impact.new),
        "as_of": impact.as_of,
        "is_same_meaning": impact.is_same_meaning,
        "counts": impact.directions,
        "read": {
            "records": impact.read.records,
            "tasks": impact.read.tasks,
            "merged": impact.read.merged,
            "quarantined": impact.read.quarantined,
            "assets": impact.read.assets,
        },
        "changed": _amount(impact.changed),
        "changes": {line.name: _amount(line.amount) for line in sorted(impact.changes, key=lambda line: line.name)},
        "same_answer_other_rule": impact.same_answer_other_rule,
        "verdicts": [
            {**_move(line), "samples": [{"asset_id": asset, "task_id": task} for asset, task in line.samples]}
            for line in impact.verdicts
        ],
        "by_service": [
            {"service": line.service or None, "before": line.before, "after": line.after, **_amount(line.amount)}
            for line in impact.by_service
        ],
        "by_rule": [
            {"rule_before": line.rule_before or None, "rule_after": line.rule_after or None, "before": line.before,
             "after": line.after, **_amount(line.amount)}
            for line in impact.by_rule
        ],
        "operation_verdicts": [_move(line) for line in impact.windows],
        "expected": [
            {"rule": outcome.rule, "version": outcome.version, "before": outcome.move[0], "after": outcome.move[1],
             "expected": outcome.expected, "found": outcome.found, "is_met": outcome.is_met}
            for outcome in impact.expected
        ],
        "notes": list(impact.notes),
    }  # fmt: skip
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"


FORMATS: Mapping[str, Callable[[ImpactModel], str]] = {
    "text": render_text,
    "json": render_json,
    "markdown": render_markdown,
}
"""Format name -> function from the impact to the whole text."""


def _row(title: str, amount: Amount) -> str:
    return f"{title:<36}{amount.assets:>9,}{amount.cost_usd:>14}"


def _example(move: MoveLine) -> str:
    shown = ", ".join(plain(name, 20) for name in move.services[:2])
    more = f" and {len(move.services) - 2} more" if move.services[2:] else ""
    return f"  {shown}{more}; {plain(move.samples[0][1], 40)}"


def _answers(impact: ImpactModel) -> str:
    parts = [f"{impact.other_answer:,} with another answer"] if impact.other_answer else []
    parts += [f"{impact.same_answer_other_rule:,} by another rule"] if impact.same_answer_other_rule else []
    return f"  {', '.join(parts)}" if parts else ""


def _some(label: str, texts: Sequence[str], most: int) -> list[str]:
    """The texts, a line for each; where there are too many, the last line says how many more there are."""
    if len(texts) > most:
        texts = [*texts[: most - 1], f"{len(texts) - most + 1} more (--format json)"]
    return [line for text in texts for line in labelled(label, text)]


def _pack(pack: PackLine) -> dict[str, str]:
    return {"name": pack.name, "id": pack.id, "sha256": pack.sha256}


def _amount(amount: Amount) -> dict[str, Any]:
    return {"assets": amount.assets, "points": amount.points, "cost_usd": amount.cost_usd}


def _move(line: MoveLine) -> dict[str, Any]:
    return {"before": line.before, "after": line.after, **_amount(line.amount)}
