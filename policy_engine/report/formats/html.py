"""Turns the numbers of a report into one HTML page that needs nothing else: no other file, no request, no clock."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import cache
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from policy_engine.core import resources
from policy_engine.core.periods import NAT
from policy_engine.core.vocabulary import VERDICTS
from policy_engine.report.formats.html_data import is_link, page_data, showable
from policy_engine.report.model import DeadlineBucket, ReportModel

_INSTANT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?Z")
_SCRIPTS = ("vendor/datatables/dataTables.min.js", "report.js")
_COLUMNS = ("file", "service", "verdict", "deadline", "left", "save_by", "reasons", "rule", "host", "archived",
            "exempted_by", "points")  # fmt: skip
_MARKS = ("save_by", "archived", "exempted_by")
"""Columns that are on the page only where a row has something in them."""

_PLOT_HEIGHT = 168
"""Pixels of the highest bar of the deadline chart."""
_FEWEST_SLOTS = 12
"""A chart of few stretches leaves the rest empty, so that a single bar does not fill it."""
_MOST_LABELS = 7
_MOST_NUMBERED_BARS = 36


def render(model: ReportModel) -> str:
    """Write the whole page; the same model gives the same bytes anywhere."""
    scripts = _scripts() if model.files.count else ()
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            model=model,
            stylesheet=_stylesheet().text,
            stylesheet_hash=_stylesheet().hash,
            scripts=scripts,
            vendored=_vendored(),
            columns=_columns(model),
            data=Markup(page_data(model)) if scripts else "",  # noqa: S704 - JSON in which every `<` is escaped
            verdict_codes=[str(verdict) for verdict in VERDICTS],
        )
    )


@cache
def _environment() -> Environment:
    # INVARIANT: autoescape is a plain True. Jinja2's own selection by file name leaves `.html.j2` unescaped.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FileSystemLoader(resources.bundled("reports")),
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_showable,
    )
    environment.filters.update(
        bar_chart=bar_chart,
        cents=cents,
        clock=clock,
        ends=ends,
        in_address=in_address,
        is_link=is_link,
        quoted=quoted,
        segments=segments,
        sentence=sentence,
        thousands=thousands,
        zip=zip,
    )
    return environment


@dataclass(frozen=True)
class _Inlined:
    """A file of ours that is in the page as it is."""

    text: Markup
    hash: str
    """Base64 of the SHA-256 digest, as a content security policy names it."""


@cache
def _inlined(name: str) -> _Inlined:
    text = (resources.bundled("reports") / name).read_bytes().decode()
    if "</" + ("style" if name.endswith(".css") else "script") in text.lower() or "<!--" in text or "\r" in text:
        raise RuntimeError(f"{name} holds characters that could end its element or change in it")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return _Inlined(Markup(text), digest)  # noqa: S704 - our own file, checked above


def _stylesheet() -> _Inlined:
    return _inlined("report.css")


def _scripts() -> tuple[_Inlined, ...]:
    return tuple(map(_inlined, _SCRIPTS))


@cache
def _vendored() -> dict[str, str]:
    """Name, version and licence of the script that is not ours."""
    folder = resources.bundled("reports") / "vendor" / "datatables"
    about = json.loads((folder / "vendor.json").read_text(encoding="utf-8"))
    licence = (folder / "License.txt").read_text(encoding="utf-8")
    return {"name": "DataTables", "version": about["version"], "licence": about["licence"], "text": licence}


def _columns(model: ReportModel) -> list[str]:
    """The columns of the table, without those in which no row has anything that another column does not say."""
    present = {
        column.name for column in model.files.columns
        if (column.kind == "text" and any(value not in ("", "false") for value in column.cells))
        or (column.kind == "instant" and any(value != NAT for value in column.cells))
    }  # fmt: skip
    if not model.marks.house_rules:
        # Without house rules it is the earlier of two dates that are shown already.
        present -= {"save_by"}
    return [name for name in _COLUMNS if name not in _MARKS or name in present]


def _showable(value: object) -> object:
    """What the templates show goes through here, text from outside and text of ours."""
    return showable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def thousands(number: int | str) -> str:
    """Write an integer with commas; text that is not an integer stays as it is."""
    try:
        return f"{int(number):,}"
    except ValueError:
        return str(number)


def cents(exact: str) -> str:
    """Round a decimal amount to cents for reading; an amount too small for that says so."""
    try:
        amount = Decimal(exact)
        rounded = amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
    except InvalidOperation:
        return exact
    if amount and not rounded:
        return "under 0.01"
    return f"{rounded:,}"


def clock(instant: str) -> str:
    """Shorten an RFC 3339 time in UTC to `2026-01-08 06:00:12`; any other text gives the empty string."""
    match = _INSTANT.fullmatch(instant)
    return f"{match.group(1)} {match.group(2)}" if match else ""


def sentence(text: str) -> str:
    """Begin a text with a capital letter and leave the rest alone."""
    return text[:1].upper() + text[1:]


def quoted(text: str) -> Markup:
    """Set what a sentence puts between backticks in the type of code."""
    shown = showable(text)
    pieces = shown.split("`")
    if len(pieces) % 2 == 0:
        return escape(shown)
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(piece) if i % 2 else piece for i, piece in enumerate(pieces))


def in_address(text: str) -> str:
    """A value as it is written after the # of an address; report.js finds it again among the values of the rows."""
    return quote(showable(text), safe="")


def ends(text: str) -> tuple[str, str]:
    """Cut a long id in two so that the page can shorten its first part; together they are the whole id."""
    if len(text) <= 30:
        return text, ""
    parts = text.rsplit("/", 2)
    tail = len("".join(parts[1:])) + 6 if len(parts) == 3 else 8
    tail = min(tail, 26)
    return text[:-tail], text[-tail:]


def segments(counts: Sequence[int], whole: int) -> list[tuple[str, str]]:
    """Lay counts end to end on a line of 100: start and width of each, as text for SVG attributes."""
    laid, before = [], 0
    for count in counts:
        start, width = (100 * n / whole if whole > 0 else 0.0 for n in (before, count))
        # A count that is not zero stays visible, however small its share.
        laid.append((f"{min(start, 98.8):.2f}", f"{max(width, 1.2) if count else 0:.2f}"))
        before += count
    return laid


@dataclass(frozen=True)
class Bar:
    """One column of the deadline chart; x and width in percent, y and height in pixels."""

    x: str
    width: str
    y: int
    height: int
    middle: str
    """Horizontal centre of its number."""
    number: str
    """Text over the bar, or empty."""
    tick: str
    """Text under the left edge of the bar, or empty."""
    edge: str
    """Left edge of its stretch of time."""
    title: str


def _tick(bucket: DeadlineBucket) -> str:
    """A day needs no time of day on the axis; the table has it."""
    start, end = (datetime.fromisoformat(text) if clock(text) else None for text in (bucket.start, bucket.end))
    is_day = start is not None and end is not None and end - start >= timedelta(days=1)
    return bucket.label.rpartition(" ")[0] if is_day else bucket.label


@dataclass(frozen=True)
class BarChart:
    """The geometry of the deadline chart."""

    bars: tuple[Bar, ...]
    highest: DeadlineBucket


def bar_chart(buckets: Sequence[DeadlineBucket]) -> BarChart:
    """Turn the stretches of the coming days into columns; at least one bucket."""
    highest = max(buckets, key=lambda bucket: bucket.assets)
    slots = max(len(buckets), _FEWEST_SLOTS)
    most, step = max(highest.assets, 1), 100 / slots
    every = -(-slots // _MOST_LABELS)
    every = next((step for step in (1, 2, 3, 6, 12, 24) if step >= every), every)
    bars = []
    for i, bucket in enumerate(buckets):
        height = max(2, round(_PLOT_HEIGHT * bucket.assets / most)) if bucket.assets else 0
        has_number = bucket.assets and (len(buckets) <= _MOST_NUMBERED_BARS or bucket is highest)
        has_room = slots - i >= every
        bars.append(
            Bar(
                x=f"{i * step + step * 0.09:.3f}",
                width=f"{step * 0.82:.3f}",
                y=_PLOT_HEIGHT - height,
                height=height,
                middle=f"{(i + 0.5) * step:.3f}",
                number=thousands(bucket.assets) if has_number else "",
                tick=_tick(bucket) if i % every == 0 and has_room else "",
                edge=f"{i * step:.3f}",
                title=f"{bucket.label}: {thousands(bucket.assets)} files",
            )
        )
    return BarChart(tuple(bars), highest)
