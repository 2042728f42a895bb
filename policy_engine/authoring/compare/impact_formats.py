"""Shows what a change of rules does to a history, as text of at most 25 lines, Markdown or JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from policy_engine.authoring.compare.diff import DIRECTIONS, PackDiff
from policy_engine.authoring.compare.expected_impact import Outcome
from policy_engine.authoring.compare.impact import ABSENT, STATES, ImpactTotals, Move
from policy_engine.authoring.compare.wording import head_words
from policy_engine.core.periods import format_instant
from policy_engine.core.safe_text import escape, plain
from policy_engine.core.text.wording import count_of, usd
from policy_engine.core.vocabulary import VERDICT_WORDS
from policy_engine.engine.control_totals import Totals
from policy_engine.engine.finding_totals import Pair

SCHEMA = "policy-engine/impact/v1"
LINES = 25
"""Lines of the text at most."""
_MOVES, _RULES, _EXPECTED, _NOTES = 6, 2, 3, 2
"""Lines of each part of the text at most."""
_WIDTH = 110
_LABEL = 10


@dataclass(frozen=True)
class Impact:
    """All that is shown."""

    names: tuple[str, str]
    """The packs as the user gave them."""
    diff: PackDiff
    as_of: int
    read: Totals
    totals: ImpactTotals
    expected: tuple[Outcome, ...]
    notes: tuple[str, ...]
    """What the reader must know to read the numbers right."""
    written: str | None
    """File with the changed assets, if one was asked for."""


def state_words(state: str) -> str:
    """A verdict, or `absent`, as people read it."""
    return state if state == ABSENT else VERDICT_WORDS[state][0]


def render_text(impact: Impact) -> str:
    """The impact for a person at a terminal."""
    totals, read = impact.totals, impact.read
    assets, points = totals.changed
    rate = impact.diff.new.money.points_per_usd
    what = ", ".join(f"{name} {pair[0]:,}" for name, pair in totals.changes.items() if pair[0])
    lines = [
        _cut(f"{plain(impact.names[0], 40)} -> {plain(impact.names[1], 40)}, as of {format_instant(impact.as_of)}: "
             f"{head_words(impact.diff)}"),
        _told("read", f"{read.seen.records:,} records = {read.tasks.tasks:,} tasks + {read.merged:,} merged + "
              f"{len(read.seen.quarantine):,} quarantined; {count_of(totals.after.assets, 'file')} judged by both"),
        _told("changed", f"{count_of(assets, 'file')} ({points:,} points, {usd(points, rate)} USD)"
              f"{f': {what}' if what else ''}"),
        "",
        f"{'verdict':<36}{'files':>9}{'USD':>14}  services, and a task",
    ]  # fmt: skip
    moves = totals.moves()
    for move, pair in list(moves.items())[:_MOVES]:
        lines.append(
            _cut(_row(f"{state_words(move[0])} -> {state_words(move[1])}", pair, rate) + _example(move, totals))
        )
    if len(moves) > _MOVES:
        rest = _sum(list(moves.values())[_MOVES:])
        lines.append(_row(f"{len(moves) - _MOVES} other changes (--format json)", rest, rate))
    stayed = _sum([pair for move, pair in totals.matrix.items() if move[0] == move[1]])
    lines.append(_row("same verdict", stayed, rate) + _answers(totals, moves))
    lines += [_row("total", _sum(totals.matrix.values()), rate), ""]
    lines += [_told("rules", one) for one in _rules(totals)]
    windows = [f"{before or 'none'} -> {after or 'none'} {pair[0]:,}" for (before, after), pair in
               sorted(totals.windows.items(), key=lambda item: -item[1][0]) if before != after]  # fmt: skip
    if windows:
        lines.append(_told("windows", ", ".join(windows)))
    lines += [_told("expected", line) for line in _some([one.words for one in impact.expected], _EXPECTED)]
    lines += [_told("note", line) for line in _some(list(impact.notes), _NOTES)]
    if impact.written is not None:
        lines.append(_told("written", f"{plain(impact.written, 300)}: {count_of(assets, 'row')}"))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def render_markdown(impact: Impact) -> str:
    """The impact for a summary that a reviewer reads."""
    totals = impact.totals
    rate = impact.diff.new.money.points_per_usd
    assets, points = totals.changed
    lines = [
        f"### Impact: {escape(impact.names[0])} → {escape(impact.names[1])}",
        "",
        f"As of {format_instant(impact.as_of)}: **{head_words(impact.diff)}; {count_of(assets, 'file')} of "
        f"{totals.after.assets:,} answered otherwise** ({points:,} points, {usd(points, rate)} USD).",
    ]
    if assets:
        present = [state for state in STATES if any(state in move for move in totals.matrix)]
        lines += ["", "Files by verdict before (rows) and after (columns):", ""]
        lines += ["| | " + " | ".join(map(state_words, present)) + " |", "|---" + "|--:" * len(present) + "|"]
        for before in present:
            counts = [totals.matrix.get((before, after), (0, 0))[0] for after in present]
            lines.append(f"| {state_words(before)} | " + " | ".join(f"{count:,}" for count in counts) + " |")
        lines += ["", "| Change | Files | Points | USD | Services | Sample tasks |", "|---|--:|--:|--:|---|---|"]
        for move, pair in totals.moves().items():
            tasks = ", ".join(dict.fromkeys(escape(task) for _, task in totals.samples.get(move, ())))
            services = ", ".join(escape(name) for name in _services(move, totals))
            lines.append(f"| {state_words(move[0])} → {state_words(move[1])} | {pair[0]:,} | {pair[1]:,} | "
                         f"{usd(pair[1], rate)} | {services} | {tasks} |")  # fmt: skip
    if impact.expected:
        lines += ["", "Expected impact:", ""]
        lines += [f"- {'met' if one.is_met else '**not met**'}: {escape(one.words)}" for one in impact.expected]
    if impact.notes:
        lines += ["", *(f"- {escape(note)}" for note in impact.notes)]
    return "\n".join(lines) + "\n"


def render_json(impact: Impact) -> str:
    """Every number, for programs."""
    totals, read, diff = impact.totals, impact.read, impact.diff
    rate = diff.new.money.points_per_usd

    def amount(pair: Pair) -> dict[str, Any]:
        return {"assets": pair[0], "points": pair[1], "cost_usd": usd(pair[1], rate)}

    value = {
        "schema": SCHEMA,
        "old": {"name": impact.names[0], "id": diff.old.id, "sha256": diff.old.digest},
        "new": {"name": impact.names[1], "id": diff.new.id, "sha256": diff.new.digest},
        "as_of": format_instant(impact.as_of),
        "is_same_meaning": diff.is_same_meaning,
        "counts": {direction: diff.count(direction) for direction in DIRECTIONS},
        "read": {
            "records": read.seen.records,
            "tasks": read.tasks.tasks,
            "merged": read.merged,
            "quarantined": len(read.seen.quarantine),
            "assets": totals.after.assets,
        },
        "changed": amount(totals.changed),
        "changes": {name: amount(pair) for name, pair in sorted(totals.changes.items())},
        "same_answer_other_rule": totals.rule_only,
        "verdicts": [
            {"before": before, "after": after, **amount(pair), "samples": _samples((before, after), totals)}
            for (before, after), pair in sorted(totals.matrix.items())
        ],
        "by_service": [
            {"service": service or None, "before": before, "after": after, **amount(pair)}
            for (service, before, after), pair in sorted(totals.by_service.items())
        ],
        "by_rule": [
            {"rule_before": first or None, "rule_after": second or None, "before": was, "after": is_, **amount(pair)}
            for (first, second, was, is_), pair in sorted(totals.by_rule.items())
        ],
        "operation_verdicts": [
            {"before": before, "after": after, **amount(pair)}
            for (before, after), pair in sorted(totals.windows.items())
        ],
        "expected": [
            {"rule": one.rule, "version": one.version, "before": one.move[0], "after": one.move[1],
             "expected": one.expected, "found": one.found, "is_met": one.is_met}
            for one in impact.expected
        ],
        "notes": list(impact.notes),
    }  # fmt: skip
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"


FORMATS: Mapping[str, Callable[[Impact], str]] = {
    "text": render_text,
    "json": render_json,
    "markdown": render_markdown,
}
"""Format name -> function from the impact to the whole text."""


def _row(title: str, pair: Pair, rate: int) -> str:
    return f"{title:<36}{pair[0]:>9,}{usd(pair[1], rate):>14}"


def _example(move: Move, totals: ImpactTotals) -> str:
    services = _services(move, totals)
    shown = ", ".join(plain(name, 20) for name in services[:2]) + (
        f" and {len(services) - 2} more" if services[2:] else ""
    )
    return f"  {shown}; {plain(totals.samples[move][0][1], 40)}"


def _answers(totals: ImpactTotals, moves: Mapping[Move, Pair]) -> str:
    others = totals.changed[0] - sum(assets for assets, _ in moves.values())
    said = [f"{others:,} with another answer"] if others else []
    said += [f"{totals.rule_only:,} by another rule"] if totals.rule_only else []
    return f"  {', '.join(said)}" if said else ""


def _services(move: Move, totals: ImpactTotals) -> list[str]:
    """Services of which files make this change, those with the most first."""
    counts = {service: pair[0] for (service, *states), pair in totals.by_service.items() if tuple(states) == move}
    return [service or "unknown service" for service in sorted(counts, key=lambda name: (-counts[name], name))]


def _rules(totals: ImpactTotals) -> list[str]:
    sums: dict[Move, int] = {}
    for (before, after, _, _), (assets, _) in totals.by_rule.items():
        sums[before, after] = sums.get((before, after), 0) + assets
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return _some([f"{before or 'no rule'} -> {after or 'no rule'}: {count_of(count, 'file')}"
                  for (before, after), count in ordered], _RULES)  # fmt: skip


def _some(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], f"{len(lines) - most + 1} more (--format json)"]


def _samples(move: Move, totals: ImpactTotals) -> list[dict[str, str]]:
    return [{"asset_id": asset, "task_id": task} for asset, task in totals.samples.get(move, ())]


def _sum(pairs: Any) -> Pair:
    listed = list(pairs)
    return sum(assets for assets, _ in listed), sum(points for _, points in listed)


def _told(label: str, text: str) -> str:
    """A labelled text on one line; what does not fit is cut, visibly."""
    return f"{label:<{_LABEL}}" + textwrap.shorten(plain(text, 1000), _WIDTH - _LABEL, placeholder=" \u2026")


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1].rstrip() + "\u2026"
