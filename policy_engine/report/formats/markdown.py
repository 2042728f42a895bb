"""Turns the numbers of a report into Markdown for chats, tickets and the pages of CI jobs: totals, no rows."""

from __future__ import annotations

from collections.abc import Sequence

from policy_engine.core.safe_text import code, encodable, escape
from policy_engine.report.files import SAVE_NOW
from policy_engine.report.model import Amount, ReportModel


def render(model: ReportModel) -> str:
    """Write the summary; text from exports and rules is shown as it is and never as markup."""
    lines = [
        f"# {escape(model.title)}",
        "",
        f"As of **{escape(model.as_of_words)}**" + ("" if model.local is None else f" = {escape(model.local.as_of)}")
        + f"; horizon {escape(model.horizon)}.",
        "",
        *_reading(model),
        "",
        *_verdicts(model),
        "",
        *_acting(model),
        *_exemptions(model),
        *_warnings(model),
        *_month(model),
        f"Rules: {code(model.pack_id)} {escape(model.pack_title)}, sha256 {code(model.pack_digest[:16])}. "
        f"Written by policy-engine {escape(model.program_version)}. "
        "No address was opened: past its deadline does not mean deleted.",
    ]  # fmt: skip
    return encodable("\n".join(lines)) + "\n"


def _reading(model: ReportModel) -> list[str]:
    reading = model.reading
    return [
        f"Read: {reading.records:,} records = {reading.tasks:,} tasks + {reading.merged:,} merged"
        f" + {reading.quarantined:,} quarantined. Tasks: {reading.tasks_with_assets:,} with files"
        f" + {reading.tasks_without_assets:,} without. {escape(model.newest_record_words)}"
    ]


def _verdicts(model: ReportModel) -> list[str]:
    rows = []
    for line in model.verdicts:
        rows.append(_row(line.title, line.amount))
        if line.verdict == "at_risk":
            rows.append(_row("of these possibly past", model.possibly_past))
    rows.append(_row("**total**", model.total, is_markup=True))
    if model.without_assets.points:
        rows.append(_row("tasks without files", model.without_assets))
    return [*_table_head("Verdict"), *rows]


def _acting(model: ReportModel) -> list[str]:
    marks = model.marks
    rows = [_row(f"**save now** ({SAVE_NOW})", marks.save_now, is_markup=True)]
    rows += [_row("archived", marks.archived)] if marks.inventory is not None else []
    rows += [_row("exempted", marks.exempted)] if marks.exemptions else []
    following = f"Next deadline {escape(model.next_deadline_words)}" if model.next_deadline else "No deadline is ahead"
    if model.local is not None and model.local.next_deadline:
        following += f" = {escape(model.local.next_deadline)}"
    return [*_table_head("Beside the verdicts"), *rows, "", f"{following}.", ""]


def _exemptions(model: ReportModel) -> list[str]:
    if not model.marks.exemptions:
        return []
    lines = ["| Exemption | Owner | Until | Files | Reason |", "|---|---|---|---:|---|"]
    for line in model.marks.exemptions:
        until = f"**ended** ({escape(line.until)})" if line.is_over else escape(line.until)
        lines.append(
            f"| {code(line.id)} | {escape(line.owner)} | {until} | {line.amount.assets:,} | {escape(line.reason)} |"
        )
    return [*lines, ""]


def _warnings(model: ReportModel) -> list[str]:
    return [*(f"- **warning** {code(notice.code)}: {escape(notice.text)}" for notice in model.warnings), ""]


def _month(model: ReportModel) -> list[str]:
    if model.local is None:
        return []
    local = model.local
    return [
        f"{escape(local.month)} in {escape(local.zone)} lasts from {escape(local.month_start)} to"
        f" {escape(local.month_end)} (UTC, the end not included).",
        "",
    ]


def _table_head(title: str) -> list[str]:
    return [f"| {title} | Files | USD |", "|---|---:|---:|"]


def _row(title: str, amount: Amount, is_markup: bool = False) -> str:
    whole, _, fraction = amount.cost_usd.partition(".")
    cells: Sequence[str] = (
        title if is_markup else escape(title), f"{amount.assets:,}", f"{int(whole):,}.{fraction.ljust(2, '0')}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"
