"""Turns the numbers of a report into summary.json: a versioned, machine-readable account without the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from policy_engine.core.safe_text import json_text
from policy_engine.core.vocabulary import VERDICTS
from policy_engine.report.files import SAVE_NOW
from policy_engine.report.model import (
    Amount,
    CountLine,
    DeadlineBucket,
    FileRows,
    MarksReport,
    ReadingTotals,
    ReportModel,
    RuleLine,
    ServiceLine,
)

SCHEMA = "policy-engine/summary/v1"
"""Name and version of the form; described by schemas/summary.v1.schema.json."""


def render(model: ReportModel) -> str:
    """Write the summary; keys keep this order, and the same model gives the same bytes anywhere."""
    return json_text(_summary(model))


def _summary(model: ReportModel) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "title": model.title,
        "as_of": model.as_of,
        "horizon": model.horizon,
        "operation_horizon": model.operation_horizon,
        "program": {"name": "policy-engine", "version": model.program_version},
        "pack": {"id": model.pack_id, "title": model.pack_title, "digest": model.pack_digest},
        "warnings": [{"code": notice.code, "text": notice.text} for notice in model.warnings],
        "verdicts": [
            {"verdict": line.verdict, "title": line.title, **_amount(line.amount), "csv": line.csv}
            for line in model.verdicts
        ],
        "totals": {
            "with_assets": _amount(model.total),
            "without_assets": _amount(model.without_assets),
            "history": _amount(model.grand_total),
            "possibly_past": _amount(model.possibly_past),
            "money_basis": model.money_basis,
            "other_units": _counts(model.other_units),
        },
        "next": {
            "deadline": _moment(model.next_deadline, model.next_deadline_words),
            "window": _moment(model.next_window, model.next_window_words),
        },
        "marks": _marks(model.marks),
        "local": None if model.local is None else asdict(model.local),
        "operation_windows": _counts(model.windows),
        "not_known": _counts(model.not_known),
        "rests_on": {
            "basis": _counts(model.basis),
            "evidence": _counts(model.evidence),
            "urls_checked": 0,
            "oldest_source": model.oldest_source,
            "newest_record": _moment(model.newest_record, model.newest_record_words),
        },
        "reading": _reading(model.reading),
        "pages": [
            {"where": page.where, "declared": page.declared, "read": page.read, "pages": page.pages}
            for page in model.pages
        ],
        "problems": _counts(model.problems),
        "services": [_service(line) for line in model.services],
        "deadlines": {
            "buckets": _buckets(model.deadlines),
            "later": _amount(model.deadlines_later),
            "past": _buckets(model.past_deadlines),
            "earlier": _amount(model.past_earlier),
        },
        "closing": _amount(model.closing),
        "page_rows": _page_rows(model.files),
        "rules": [_rule(line) for line in model.rules],
        "not_published": _counts(model.not_published),
        "inputs": [
            {"name": line.name, "sha256": line.sha256, "size": line.size, "records": line.records}
            for line in model.inputs
        ],
        "parameters": [{"name": name, "value": value} for name, value in model.parameters],
        "findings_digest": model.findings_digest,
    }


def _marks(marks: MarksReport) -> dict[str, Any]:
    return {
        "inventory": None if marks.inventory is None else asdict(marks.inventory),
        "archived": _amount(marks.archived),
        "exempted": _amount(marks.exempted),
        "archived_and_exempted": _amount(marks.archived_and_exempted),
        "standing": _amount(marks.standing),
        "save_now": {
            **_amount(marks.save_now),
            "csv": SAVE_NOW,
            "without_url": marks.save_now_without_url,
            "verdicts": [
                {"verdict": line.code, "assets": line.count, "points": line.points}
                for line in marks.save_now_by_verdict
            ],
        },
        "exemptions": [
            {
                "id": line.id,
                "owner": line.owner,
                "reason": line.reason,
                "until": line.until,
                "is_over": line.is_over,
                **_amount(line.amount),
            }
            for line in marks.exemptions
        ],
        "house_rules": [asdict(line) for line in marks.house_rules],
    }


def _amount(amount: Amount) -> dict[str, Any]:
    return {"assets": amount.assets, "points": amount.points, "cost_usd": amount.cost_usd}


def _counts(lines: Sequence[CountLine]) -> list[dict[str, Any]]:
    return [{"code": line.code, "meaning": line.meaning, "count": line.count} for line in lines]


def _moment(instant: str, words: str) -> dict[str, Any]:
    return {"at": instant or None, "words": words}


def _reading(reading: ReadingTotals) -> dict[str, Any]:
    return {
        "files": reading.files,
        "records": reading.records,
        "tasks": reading.tasks,
        "merged": reading.merged,
        "quarantined": reading.quarantined,
        "tasks_with_assets": reading.tasks_with_assets,
        "tasks_without_assets": reading.tasks_without_assets,
        "without_assets": [
            {"code": line.code, "meaning": line.meaning, "count": line.count, "points": line.points}
            for line in reading.without_assets
        ],
        "previews": reading.previews,
        "same_file": reading.same_file,
    }


def _service(line: ServiceLine) -> dict[str, Any]:
    return {
        "service": line.service,
        "title": line.title,
        **_amount(line.total),
        "verdicts": {str(verdict): _amount(amount) for verdict, amount in zip(VERDICTS, line.by_verdict, strict=True)},
    }


def _buckets(buckets: Sequence[DeadlineBucket]) -> list[dict[str, Any]]:
    return [
        {"start": bucket.start, "end": bucket.end, "assets": bucket.assets, "points": bucket.points}
        for bucket in buckets
    ]


def _page_rows(files: FileRows) -> dict[str, Any]:
    by_verdict = dict(zip(map(str, VERDICTS), files.by_verdict, strict=True))
    return {"count": files.count, "without_script": len(files.first), "verdicts": by_verdict}


def _rule(line: RuleLine) -> dict[str, Any]:
    return {
        "rule_id": line.rule_id,
        "version": line.version,
        "title": line.title,
        "applies_to": line.applies_to,
        "storage": line.storage or None,
        "kept": line.kept or None,
        "operations": line.operations or None,
        "in_force_from": line.in_force_from,
        "basis": line.basis,
        "source_title": line.source_title,
        "source_url": line.source_url,
        "section": line.section,
        "retrieved_on": line.retrieved_on,
        "age_days": line.age_days,
        "assets": line.assets,
    }
