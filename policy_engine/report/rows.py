"""Turns findings into the rows of the page's table of files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from policy_engine.core.frames import nanoseconds
from policy_engine.core.periods import NAT
from policy_engine.core.text.csv_cells import plain_number
from policy_engine.core.text.wording import instant_text, time_left
from policy_engine.core.vocabulary import VERDICTS
from policy_engine.report.model import FileColumn, FileRows, Row
from policy_engine.report.ranking import _INSTANTS, _RULES, _TEXTS, FIRST_ROWS


def file_rows(frame: pd.DataFrame | None, as_of: int, *, show_urls: bool = False) -> FileRows:
    """The rows for the page as columns; URLs only when asked for."""
    if frame is None:
        return FileRows(as_of, (), (), 0, (0,) * len(VERDICTS))
    columns = [FileColumn("row", "number", tuple(frame["row"].tolist()))]
    texts = (*_TEXTS, "url") if show_urls else _TEXTS
    columns += [FileColumn(name, "text", _texts(frame[name])) for name in texts if name in frame.columns]
    columns += [FileColumn(name, "text", _rule_texts(frame, prefix)) for name, prefix in _RULES.items()]
    for name in _INSTANTS:
        if name in frame.columns and isinstance(frame[name].dtype, pd.DatetimeTZDtype):
            columns.append(FileColumn(name, "instant", tuple(nanoseconds(frame[name]).tolist())))
    points = frame["points"].astype(object)
    columns.append(FileColumn("points", "number", tuple(None if pd.isna(n) else int(n) for n in points.tolist())))
    counts = frame["verdict"].astype(str).value_counts()
    return FileRows(
        as_of=as_of,
        columns=tuple(columns),
        first=make_rows(frame.head(FIRST_ROWS), as_of),
        count=len(frame),
        by_verdict=tuple(int(counts.get(str(verdict), 0)) for verdict in VERDICTS),
    )


def _texts(column: pd.Series[Any]) -> tuple[str, ...]:
    return tuple(_text(value) for value in column.astype(object).tolist())


def _rule_texts(frame: pd.DataFrame, prefix: str) -> tuple[str, ...]:
    rules, versions = _texts(frame[f"{prefix}_id"]), _texts(frame[f"{prefix}_version"])
    return tuple(f"{rule} v{version}" if rule else "" for rule, version in zip(rules, versions, strict=True))


def _text(value: Any) -> str:
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, float):
        return plain_number(value)
    if isinstance(value, pd.Timestamp):
        return instant_text(int(value.as_unit("ns").value))
    return str(value)


def make_rows(frame: pd.DataFrame | None, as_of: int) -> tuple[Row, ...]:
    """Findings as rows of a table, in their order."""
    records = [] if frame is None else frame.to_dict("records")
    return tuple(make_row({str(name): value for name, value in record.items()}, as_of) for record in records)


def make_row(record: dict[str, Any], as_of: int) -> Row:
    """One finding as the tables show it, from a record of the findings frame."""

    def text(name: str) -> str:
        return _text(record.get(name))

    def instant(name: str) -> int:
        value = record[name]
        return NAT if value is None or pd.isna(value) else int(pd.Timestamp(value).as_unit("ns").value)

    def rule(prefix: str) -> str:
        return f"{text(prefix + '_id')} v{text(prefix + '_version')}" if text(prefix + "_id") else ""

    return Row(
        asset_id=text("asset_id"),
        task_id=text("task_id"),
        service=text("service"),
        task_type=text("task_type"),
        account=text("account"),
        media=text("media"),
        role=text("role"),
        url=text("url"),
        url_host=text("url_host"),
        evidence=text("evidence"),
        status=text("status"),
        created_at=instant_text(instant("created_at")),
        completed_at=instant_text(instant("completed_at")),
        verdict=text("verdict"),
        possibly_past=bool(record["possibly_past"]),
        reasons=tuple(code for code in text("reason").split(";") if code),
        rule=rule("rule"),
        basis=text("basis"),
        expires_earliest=instant_text(instant("expires_earliest")),
        expires_latest=instant_text(instant("expires_latest")),
        time_left=time_left(instant("expires_earliest"), as_of),
        operations=text("operations"),
        operation_verdict=text("operation_verdict"),
        operation_closes_earliest=instant_text(instant("operation_closes_earliest")),
        operation_closes_latest=instant_text(instant("operation_closes_latest")),
        operation_time_left=time_left(instant("operation_closes_earliest"), as_of),
        link_expires_at=instant_text(instant("link_expires_at")),
        points=text("points"),
        cost_usd=text("cost_usd"),
        source=text("source"),
        watermarked=text("watermarked").lower(),
        operation_rule=rule("operation_rule"),
        archived=text("archived").lower(),
        exempted_by=text("exempted_by"),
        save_by=instant_text(instant("save_by")),
        row=int(record.get("row", 0)),
    )
