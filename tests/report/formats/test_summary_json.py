"""What summary.json promises: a form with a schema, all numbers, no rows, the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from policy_engine.core import resources
from policy_engine.core.vocabulary import VERDICTS
from policy_engine.report.formats.summary_json import render as render_json
from policy_engine.report.model import FileRows, QuarantineLine, ReportModel, Row
from tests.support.sample_model import empty_model, hostile_model, one_asset_model, rich_model

SCHEMA = json.loads((resources.bundled("schemas") / "summary.v1.schema.json").read_text(encoding="utf-8"))
EVERY_MODEL = pytest.mark.parametrize(
    "make", [rich_model, empty_model, one_asset_model], ids=lambda make: make.__name__
)


def numbers_in(value: Any) -> Iterator[int]:
    """Every number of a model or of parsed JSON, except those of rows."""
    if isinstance(value, bool) or isinstance(value, Row | QuarantineLine):
        return
    if isinstance(value, FileRows):
        value = [value.count, len(value.first), *value.by_verdict]
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from numbers_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from numbers_in(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from numbers_in(getattr(value, field.name))


def texts_in(value: Any) -> Iterator[str]:
    """Every text of parsed JSON, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)


def test_schema_is_a_schema() -> None:
    """
    The schema itself is valid, names itself, and allows no key it does not list.
    """
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == "urn:policy-engine:schema:summary:v1"

    def check(part: Any) -> None:
        if isinstance(part, dict):
            if part.get("type") == "object":
                assert part["additionalProperties"] is False
                assert part["required"] == list(part["properties"])
            for item in part.values():
                check(item)
        elif isinstance(part, list):
            for item in part:
                check(item)

    check(SCHEMA)


@EVERY_MODEL
def test_summary_fits_its_schema(make: Callable[[], ReportModel]) -> None:
    """
    Every summary is valid against the schema of its version, rich or empty.
    """
    summary = json.loads(render_json(make()))
    assert summary["schema"] == SCHEMA["properties"]["schema"]["const"]
    assert list(summary) == SCHEMA["required"]
    errors = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(SCHEMA).iter_errors(summary)]
    assert errors == []


def test_every_number_of_the_model_is_there() -> None:
    """
    No number of the model is missing from the summary, those of rows aside.
    """
    model = rich_model()
    assert set(numbers_in(model)) <= set(numbers_in(json.loads(render_json(model))))


def test_first_screen_is_there() -> None:
    """
    What the first screen of the page says can be read from the summary, at its place.
    """
    model = rich_model()
    summary = json.loads(render_json(model))
    for line, verdict in zip(summary["verdicts"], model.verdicts, strict=True):
        assert (line["verdict"], line["assets"]) == (verdict.verdict, verdict.amount.assets)
        assert (line["points"], line["cost_usd"]) == (verdict.amount.points, verdict.amount.cost_usd)
    totals = summary["totals"]
    for name, amount in (("with_assets", model.total), ("without_assets", model.without_assets),
                         ("history", model.grand_total), ("possibly_past", model.possibly_past)):  # fmt: skip
        assert totals[name] == {"assets": amount.assets, "points": amount.points, "cost_usd": amount.cost_usd}
    assert summary["next"]["deadline"] == {"at": model.next_deadline, "words": model.next_deadline_words}
    assert summary["next"]["window"] == {"at": model.next_window, "words": model.next_window_words}
    assert [line["count"] for line in summary["not_known"]] == [line.count for line in model.not_known]
    assert [line["count"] for line in summary["rests_on"]["basis"]] == [line.count for line in model.basis]
    assert [line["count"] for line in summary["rests_on"]["evidence"]] == [line.count for line in model.evidence]
    assert summary["rests_on"]["urls_checked"] == 0
    assert summary["reading"]["quarantined"] == model.reading.quarantined
    assert [warning["code"] for warning in summary["warnings"]] == [notice.code for notice in model.warnings]


@pytest.mark.parametrize("key", ["assets", "points"])
def test_totals_tie(key: str) -> None:
    """
    Verdicts add up to the files, services too, and with the tasks without files to the whole history.
    """
    summary = json.loads(render_json(rich_model()))
    totals = summary["totals"]
    assert sum(line[key] for line in summary["verdicts"]) == totals["with_assets"][key]
    assert sum(line[key] for line in summary["services"]) == totals["with_assets"][key]
    assert totals["with_assets"][key] + totals["without_assets"][key] == totals["history"][key]
    for verdict, line in zip(VERDICTS, summary["verdicts"], strict=True):
        assert sum(service["verdicts"][verdict]["assets"] for service in summary["services"]) == line["assets"]


def test_rows_stay_out() -> None:
    """
    No file, no URL and no quarantined record is in the summary.
    """
    model = rich_model()
    text = render_json(model)
    for row in model.files.first:
        assert row.task_id not in text
        assert row.url not in text
    assert not any(line.source in texts_in(json.loads(text)) for line in model.quarantine)


def test_no_moment_is_null() -> None:
    """
    Where there is no next deadline, window or newest record, the summary says null and the words why.
    """
    summary = json.loads(render_json(empty_model()))
    assert summary["next"]["deadline"] == {"at": None, "words": "No deadline is ahead."}
    assert summary["rests_on"]["newest_record"]["at"] is None


def test_bytes_are_fixed() -> None:
    """
    The text is UTF-8 with two spaces of indent and one newline at the end, the same every time.
    """
    text = render_json(rich_model())
    assert text == render_json(rich_model())
    assert text.endswith("}\n")
    assert text.startswith('{\n  "schema": "policy-engine/summary/v1",\n')


@pytest.mark.parametrize("shift", range(3))
def test_hostile_text_is_still_json(shift: int) -> None:
    """
    Whatever the texts hold, the summary is JSON that can be written as UTF-8 and read back.
    """
    written = render_json(hostile_model(shift)).encode()
    assert json.loads(written)["totals"]["history"]["assets"] == 5598
