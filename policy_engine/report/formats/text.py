"""Shows the report model on a terminal in at most 25 lines."""

from __future__ import annotations

from policy_engine.core.safe_text import plain
from policy_engine.core.text.terminal import LABEL, cut, labelled
from policy_engine.core.text.wording import count_of
from policy_engine.report.files import SAVE_NOW
from policy_engine.report.model import Amount, CountLine, Notice, ReportModel

LINES = 25
"""Lines that fit on a terminal beside the command and the next prompt."""


def render(model: ReportModel, report: str | None = None) -> str:
    """
    The totals for a person at a terminal; `report` names the HTML file.

    Aligned, readable without colour, at most 25 lines. Every number is one of the report model.
    """
    reading = model.reading
    lines = [
        cut(f"{plain(model.title, 60)}, as of {model.as_of}{_local(model)}"),
        *labelled(
            "read",
            f"{reading.records:,} records in {count_of(reading.files, 'file')} = {reading.tasks:,} tasks"
            f" + {reading.merged:,} merged + {reading.quarantined:,} quarantined",
        ),
        *labelled(
            "tasks",
            f"{reading.tasks:,} = {reading.tasks_with_assets:,} with files"
            f" + {reading.tasks_without_assets:,} without{_reasons(reading.without_assets)}",
            2,
        ),
        *labelled("fresh", model.newest_record_words + _pages(model), 2),
        "",
        *_verdicts(model),
        "",
        *labelled("next", _next(model)),
        *labelled("windows", _windows(model), 2),
        *labelled("save now", _acting(model), 2),
    ]
    tail = [] if report is None else [f"{'report':<{LABEL}}{plain(report, 400)}"]
    if len(lines) + len(model.warnings) + len(tail) > LINES:
        lines = [line for line in lines if line]
    return "\n".join([*lines, *_warnings(model.warnings, LINES - len(lines) - len(tail)), *tail]) + "\n"


def _local(model: ReportModel) -> str:
    return "" if model.local is None else f" = {model.local.as_of}, {plain(model.local.zone, 60)}"


def _next(model: ReportModel) -> str:
    if not model.next_deadline:
        return model.next_deadline_words
    local = f" = {model.local.next_deadline}" if model.local is not None else ""
    return f"deadline {model.next_deadline_words}{local}"


def _verdicts(model: ReportModel) -> list[str]:
    costs = [*(verdict.amount for verdict in model.verdicts), model.total, model.possibly_past]
    decimals = max(len(cost.cost_usd.partition(".")[2]) for cost in costs)
    lines = [f"{'verdict':<20}{'files':>10}  {'USD':>16}"]
    for verdict in model.verdicts:
        lines.append(_row(verdict.title, verdict.amount, decimals))
        if verdict.verdict == "at_risk" and model.possibly_past.assets:
            lines.append(_row("  possibly past", model.possibly_past, decimals))
    total = _row("total", model.total, decimals)
    if model.without_assets.points:
        total += f"  (+ {_usd(model.without_assets.cost_usd)} on tasks without files)"
    return [*lines, total]


def _acting(model: ReportModel) -> str:
    marks = model.marks
    past = sum(line.count for line in marks.save_now_by_verdict if line.code == "expired")
    among = [f"{count:,} {what}" for count, what in (
        (past, "past every deadline"), (marks.save_now_without_url, "without an address")
    ) if count]  # fmt: skip
    parts = [f"{count_of(marks.save_now.assets, 'file')} in {SAVE_NOW}" if marks.save_now.assets else "nothing"]
    parts[0] += f" ({', '.join(among)})" if among else ""
    if marks.inventory is not None:
        parts.append(f"{marks.archived.assets:,} archived")
    if marks.exemptions:
        parts.append(f"{marks.exempted.assets:,} exempted")
    return "; ".join(parts)


def _windows(model: ReportModel) -> str:
    counts = ", ".join(f"{line.count:,} {line.code}" for line in model.windows if line.count and line.code != "none")
    words = model.next_window_words
    following = f"the next closes {words}" if model.next_window else words[:1].lower() + words[1:]
    return f"{counts or 'none'}; {following}"


def _warnings(notices: tuple[Notice, ...], room: int) -> list[str]:
    """All warnings, the first in full where there is room for them; where there is too little, only the first ones."""
    if len(notices) > room:
        shown = [line for notice in notices[: room - 1] for line in labelled("warning", notice.text)]
        return [*shown, " " * LABEL + "further warnings are in the report"]
    lines: list[str] = []
    for number, notice in enumerate(notices, 1):
        others = len(notices) - number
        lines += labelled("warning", notice.text, min(3, room - len(lines) - others))
    return lines


def _row(title: str, amount: Amount, decimals: int) -> str:
    return f"{plain(title, 20):<20}{amount.assets:>10,}  {_usd(amount.cost_usd, decimals):>16}"


def _usd(text: str, decimals: int = 2) -> str:
    """Dollars with thousands separators and at least so many decimals; nothing is rounded, so that sums tie."""
    whole, _, fraction = text.partition(".")
    return f"{int(whole):,}.{fraction.ljust(decimals, '0')}"


def _reasons(lines: tuple[CountLine, ...]) -> str:
    if not lines:
        return ""
    return " (" + ", ".join(f"{line.count:,} {line.code.replace('_', ' ')}" for line in lines) + ")"


def _pages(model: ReportModel) -> str:
    if not model.pages:
        return ""
    short = [page for page in model.pages if page.missing]
    if not short:
        first = model.pages[0]
        rows = f" ({first.declared:,} rows declared, {first.read:,} read)" if len(model.pages) == 1 else ""
        return f" History pages complete{rows}."
    worst = max(short, key=lambda page: page.missing)
    others = "; other pages are incomplete too" if len(short) > 1 else ""
    return f" HISTORY PAGES INCOMPLETE: {worst.declared:,} rows declared, {worst.read:,} read{others}."
