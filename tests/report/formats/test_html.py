"""What the HTML page shows: the numbers of the model, tied, in words and in a sound structure."""

from __future__ import annotations

import json
import os
import re
import string
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from policy_engine.core.periods import NAT, parse_instant
from policy_engine.core.vocabulary import REASONS, VERDICTS
from policy_engine.report.formats import FORMATS, renderer
from policy_engine.report.formats.html import cents, clock, ends, quoted, segments
from policy_engine.report.formats.html import render as render_html
from policy_engine.report.model import FileColumn, ReportModel
from tests.support.page import Page
from tests.support.sample_model import empty_model, files_of, one_asset_model, rich_model, rich_rows

EVERY_MODEL = pytest.mark.parametrize(
    "make", [rich_model, empty_model, one_asset_model], ids=lambda make: make.__name__
)


NUMBER = re.compile(r"(?<![\w.:-])[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?![\w:-])")
"""A number as the page writes them: with commas, not a part of a date, a digest or a name."""


def numbers_known(value: Any) -> Iterator[str]:
    """Every number of a summary as the page may write it: with commas, dollars in cents, lists by their length."""
    if isinstance(value, dict):
        for item in value.values():
            yield from numbers_known(item)
        if {"declared", "read"} <= value.keys():
            yield f"{value['declared'] - value['read']:,}"
    elif isinstance(value, list):
        yield f"{len(value):,}"
        for item in value:
            yield from numbers_known(item)
    elif isinstance(value, str):
        yield from NUMBER.findall(value)
        yield cents(value)
    elif isinstance(value, int):
        yield f"{value:,}"


def cell_of(data: Any, name: str, row: int) -> Any:
    """One cell of the data block: text, number, or ns since 1970."""
    column = data["columns"][name]
    if "texts" in column:
        return column["texts"][row]
    if "words" in column:
        code = column["codes"][row]
        digits = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+-"
        return column["words"][digits.index(code) if isinstance(code, str) else code]
    if "numbers" in column:
        return column["numbers"][row]
    if column["seconds"][row] is None:
        return None
    return (data["asOf"] + column["seconds"][row]) * 10**9 + column.get("fractions", [0] * data["count"])[row]


@pytest.fixture(scope="module")
def model() -> ReportModel:
    """The rich model."""
    return rich_model()


@pytest.fixture(scope="module")
def page(model: ReportModel) -> Page:
    """Its page."""
    return Page(render_html(model))


def test_verdicts_show_the_numbers_of_the_model(page: Page, model: ReportModel) -> None:
    """
    Files, points and dollars of every verdict, of its part and of the totals are those of the model, in order.
    """
    amounts = [line.amount for line in model.verdicts]
    amounts.insert(2, model.possibly_past)
    amounts += [model.total, model.without_assets, model.grand_total]
    assert page.numbers("verdicts", 1) == [amount.assets for amount in amounts]
    assert page.numbers("verdicts", 3) == [amount.points for amount in amounts]
    assert page.column("verdicts", 4) == [cents(amount.cost_usd) for amount in amounts]


@pytest.mark.parametrize("column", [1, 3], ids=["files", "points"])
def test_totals_on_the_page_tie(page: Page, column: int) -> None:
    """
    The six verdicts as shown add up to the row of all files, and that with the tasks without a file to the whole.
    """
    active, at_risk, part, expired, vendor, ungoverned, undetermined, total, lonely, whole = page.numbers(
        "verdicts", column
    )
    assert active + at_risk + expired + vendor + ungoverned + undetermined == total
    assert total + lonely == whole
    assert part <= at_risk


def test_services_tie_with_verdicts(page: Page, model: ReportModel) -> None:
    """
    Each column of the services, in files and in money, adds up to its last row, which is the row of the verdicts.
    """
    verdict_rows = [n for i, n in enumerate(page.numbers("verdicts", 1)) if i != 2][: len(VERDICTS)]
    for index, expected in enumerate([*verdict_rows, model.total.assets], start=1):
        *services, total = page.numbers("services-rows", index)
        assert sum(services) == total == expected
    *points, total = page.numbers("money-rows", len(VERDICTS) + 3)
    assert sum(points) == total == model.total.points
    for index, line in enumerate(model.verdicts, start=1):
        *dollars, total_shown = page.column("money-rows", index)
        assert total_shown == cents(line.amount.cost_usd)
        assert sum(Decimal(text.replace(",", "")) for text in dollars) == Decimal(total_shown.replace(",", ""))


def test_deadlines_tie_with_verdicts(page: Page, model: ReportModel) -> None:
    """
    The coming deadlines are those of the files active and at risk, the past ones those past and possibly past.
    """
    active, at_risk, past, expired = page.numbers("verdicts", 1)[:4]
    assert sum(page.numbers("deadline-rows", 2)) + model.deadlines_later.assets == active + at_risk - past
    assert sum(page.numbers("past-rows", 2)) + model.past_earlier.assets == expired + past
    assert f"{model.deadlines_later.assets:,} files later" in page.text
    bars = [
        attributes for tag, attributes in page.elements if tag == "rect" and "column" in attributes.get("class", "")
    ]
    assert len(bars) == sum(1 for bucket in (*model.deadlines, *model.past_deadlines) if bucket.assets)


def test_every_number_on_the_page_is_in_the_summary(model: ReportModel) -> None:
    """
    No number that a reader sees outside the rows of files is the page's own: summary.json has each one.
    """
    shown = replace(model, quarantine=(), glossary=(), files=replace(model.files, first=()))
    known = set(numbers_known(json.loads(renderer("json")(shown))))
    # Days of the calendar as words: of as_of, and along the axes of the charts.
    text = re.sub(r"\b[0-9]{1,2} (Dec|Jan)(uary)?( 20[0-9]{2})?\b", "", Page(render_html(shown)).words)
    text = text.partition("Script of this page")[0]
    unknown = [number for number in NUMBER.findall(text) if number not in known]
    assert unknown == []


def test_reading_says_how_it_ties(page: Page) -> None:
    """
    The sums of records and tasks stand on the page as sums.
    """
    assert "3,128 read = 2,764 tasks + 355 merged into them + 9 in quarantine" in page.text
    assert "2,764 tasks = 2,656 with files + 108 without" in page.text
    assert sum(page.numbers("without", 2)) == 108


def test_every_verdict_is_named(page: Page, model: ReportModel) -> None:
    """
    Each of the six verdicts stands on the page with its code and its words.
    """
    cells = page.column("verdicts", 0)
    for line in model.verdicts:
        assert any(line.verdict in cell and line.title.lower() in cell.lower() for cell in cells)


def test_first_screen_comes_first(page: Page, model: ReportModel) -> None:
    """
    The title, the instant and the warnings stand before the verdicts, and these before what is next and not known.
    """
    order = [model.title, model.as_of_words, model.warnings[1].text, "What the rules say about 5,598 files",
             "What is next", "What is not known", "What it rests on", "URLs checked", "By service"]  # fmt: skip
    places = [page.text.index(text) for text in order]
    assert places == sorted(places)
    for words in (
        model.next_deadline_words[3:],
        model.next_window_words[3:],
        model.oldest_source,
        "207 assumed",
        "6 conflict",
    ):
        assert words in page.text


def test_list_says_what_is_shown_of_how_much(page: Page, model: ReportModel) -> None:
    """
    The list says how many of how many files a reader without script sees, and where all of them are.
    """
    assert f"The first {len(model.files.first)} of {model.total.assets:,} files shown" in page.text
    assert "findings.csv has every file with its full URL" in page.text
    assert len(page.tables["files-rows"]) == len(model.files.first) + 1
    assert "All 1 file shown" in Page(render_html(one_asset_model())).text
    assert (
        "This page was asked to hold no rows; findings.csv has all 5,598 files"
        in Page(render_html(replace(model, files=files_of(())))).text
    )


def test_every_row_has_its_whole_id(page: Page, model: ReportModel) -> None:
    """
    A long id is shortened for the eye only: its whole text is on the page, to be found and copied.
    """
    for row in model.files.first:
        assert row.asset_id in page.text
        assert any(attributes.get("title") == row.asset_id for _, attributes in page.elements)


def test_the_script_is_given_every_row(page: Page, model: ReportModel) -> None:
    """
    What the script reads gives back every cell of every row: words from codes, instants to the nanosecond.
    """
    data, rows = page.data, rich_rows()
    assert (data["count"], data["total"]) == (len(rows), model.total.assets)
    assert {one["code"]: (one["total"], one["count"]) for one in data["verdicts"]} == {
        line.verdict: (line.amount.assets, count)
        for line, count in zip(model.verdicts, model.files.by_verdict, strict=True)
    }
    for place, row in enumerate(rows):
        assert cell_of(data, "asset_id", place) == row.asset_id
        assert cell_of(data, "reason", place) == ";".join(row.reasons)
        assert cell_of(data, "rule", place) == row.rule
        assert cell_of(data, "row", place) == row.row
        assert (cell_of(data, "points", place) or "") == (int(row.points) if row.points else "")
        for name in ("created_at", "completed_at", "expires_earliest", "operation_closes_latest"):
            assert cell_of(data, name, place) == (parse_instant(getattr(row, name)) if getattr(row, name) else None)


def test_instants_keep_their_nanoseconds(model: ReportModel) -> None:
    """
    A time with nine digits after the second reaches the script whole, before and after as_of.
    """
    as_of = model.files.as_of
    instants = (as_of - 1, as_of + 1, NAT, as_of - 86_400 * 10**9 * 400 + 123_456_789)
    files = replace(model.files, columns=(FileColumn("created_at", "instant", instants),), count=4)
    data = Page(render_html(replace(model, files=files))).data
    assert [cell_of(data, "created_at", place) for place in range(4)] == [None if ns == NAT else ns for ns in instants]


def test_marks_have_a_column_where_there_are_any(page: Page, model: ReportModel) -> None:
    """
    What is archived, exempted or to be saved by a date has a column of its own, and none where nothing is marked.
    """
    heads = page.tables["files-rows"][0]
    assert not {"Archived", "Exempted by", "Save by"} & set(heads)
    rows = tuple(replace(row, archived="true", exempted_by="legal-7") for row in rich_rows())
    marked = Page(render_html(replace(model, files=files_of(rows))))
    assert {"Archived", "Exempted by"} <= set(marked.tables["files-rows"][0])
    assert marked.column("files-rows", 8)[0] == "yes"
    assert marked.column("files-rows", 9)[0] == "legal-7"


def test_reasons_are_in_words(page: Page) -> None:
    """
    A reason that any file has is explained on the first screen, and the script has the words for its cards.
    """
    for code in ("no_published_rule", "account_unknown", "unknown_service", "readings_differ"):
        assert code.replace("_", " ") in page.text or code in page.data["reasons"]
        assert REASONS[code] in page.text
        assert page.data["reasons"][code] == REASONS[code]


def test_times_are_short_for_the_eye_and_whole_for_machines(page: Page, model: ReportModel) -> None:
    """
    A time is shown without `T` and `Z`, UTC is said by the table, and the element carries RFC 3339.
    """
    times = {attributes["datetime"] for tag, attributes in page.elements if tag == "time"}
    assert {model.as_of, model.next_deadline, model.files.first[0].expires_latest} <= times
    assert "2026-01-08 00:10:12" in page.text
    assert "Files by urgency, times in UTC" in page.text


def test_empty_lists_are_sentences() -> None:
    """
    A history without anything gives sentences instead of empty tables, and every verdict with a zero.
    """
    page = Page(render_html(empty_model()))
    assert set(page.tables) == {"verdicts"}
    assert set(page.numbers("verdicts", 1)) == {0}
    for sentence in ("There are no files.", "No deadline is ahead in these hours.", "No deadline passed in these days.",
                     "No record is in quarantine."):  # fmt: skip
        assert sentence in page.text


def test_one_file_is_not_files() -> None:
    """
    One of something is said in the singular.
    """
    text = Page(render_html(one_asset_model())).text
    assert "What the rules say about 1 file " in text
    assert "1 read = 1 task + 0 merged" in text
    assert " 1 files" not in text


@EVERY_MODEL
def test_page_has_a_structure(make: Callable[[], ReportModel]) -> None:
    """
    One h1, no level skipped, every table with a caption and scoped heads, every reference to a place that exists.
    """
    page = Page(render_html(make()))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert sum(tag == "table" for tag, _ in page.elements) == sum(tag == "caption" for tag, _ in page.elements)
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in page.elements if tag == "th")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        targets = [*attributes.get("aria-labelledby", "").split()]
        targets += [attributes["href"][1:]] if attributes.get("href", "").startswith("#") else []
        targets += re.findall(r"url\(#(.+?)\)", attributes.get("fill", ""))
        assert set(targets) <= set(ids)
    assert [tag for tag, _ in page.elements if tag in ("header", "nav", "main", "footer")] == [
        "header",
        "nav",
        "main",
        "footer",
    ]


@EVERY_MODEL
def test_words_are_those_of_the_house(make: Callable[[], ReportModel]) -> None:
    """
    The page never says that a file is gone, and uses none of the words the project does without.
    """
    text = Page(render_html(make())).text
    assert not re.search(r"\b(ttl|config|filters?|issues?|safe|now|gone|lost|deleted)\b", text, re.IGNORECASE)


def test_a_conflicting_host_stands_out(page: Page) -> None:
    """
    A host that does not fit the rule is said in words beside the host.
    """
    assert any(
        "cdn.midjourney.com" in cell and "conflicts with the rule" in cell for cell in page.column("files-rows", 7)
    )


def test_possibly_past_rows_say_so(page: Page, model: ReportModel) -> None:
    """
    A row whose earliest deadline is past carries the words, and no other row does.
    """
    marked = ["possibly past" in cell for cell in page.column("files-rows", 2)]
    assert marked == [row.possibly_past for row in model.files.first]


def test_money_is_rounded_for_reading_only() -> None:
    """
    Half a cent is rounded up, a trace of money is not shown as nothing, and the element keeps the exact amount.
    """
    assert [cents(text) for text in ("0", "12.5", "0.005", "0.0001", "1234567.899", "free")] == [
        "0.00", "12.50", "0.01", "under 0.01", "1,234,567.90", "free",
    ]  # fmt: skip
    rich = rich_model()
    exact = {a["value"] for tag, a in Page(render_html(rich)).elements if tag == "data"}
    assert {line.amount.cost_usd for line in rich.verdicts} <= exact


def test_clock_shortens_only_instants() -> None:
    """
    An RFC 3339 time in UTC loses its fraction and letters; anything else is not a time.
    """
    assert clock("2026-01-08T06:00:12.123456789Z") == clock("2026-01-08T06:00:12Z") == "2026-01-08 06:00:12"
    assert clock("2026-01-08T06:00:12+08:00") == clock("not stated") == clock("") == ""


def test_the_two_ends_of_an_id_are_the_id() -> None:
    """
    An id is cut so that its name and ordinal stay visible, and nothing of it is dropped.
    """
    asset = "kling/53dbc7a4-23ea-4d1c-9575-1a2b3c4d5e6f/video/1"
    assert ends(asset) == ("kling/53dbc7a4-23ea-4d1c-9575-1a2b3c4d", "5e6f/video/1")
    assert ends("short/1/video/1") == ("short/1/video/1", "")
    assert "".join(ends("x" * 500)) == "x" * 500


def test_backticks_become_code() -> None:
    """
    What a sentence quotes is set as code and still escaped; an odd backtick stays as it is.
    """
    assert quoted("read `<a>` twice") == "read <code>&lt;a&gt;</code> twice"
    assert quoted("one ` and <b>") == "one ` and &lt;b&gt;"


def test_bars_share_one_line() -> None:
    """
    Segments follow each other, fill the line, and a small count stays visible.
    """
    assert segments([1, 0, 3], 4) == [("0.00", "25.00"), ("25.00", "0.00"), ("25.00", "75.00")]
    assert segments([1, 9999], 10000)[0] == ("0.00", "1.20")
    assert segments([0], 0) == [("0.00", "0.00")]


@pytest.mark.slow
def test_formats_are_imported_when_asked_for() -> None:
    """
    Knowing which formats there are costs no template engine.
    """
    assert {"html", "json"} <= set(FORMATS)
    code = "import sys, policy_engine.report.formats; sys.exit('jinja2' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
