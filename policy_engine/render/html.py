"""Turns the numbers of a report into one HTML page that needs nothing else: no script, no request, no clock."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from policy_engine import resources
from policy_engine.columns import REASONS, VERDICTS
from policy_engine.report_model import DeadlineBucket, ReportModel, Row

LONGEST_TEXT = 2000
"""Characters of one text that the page shows; longer ones are cut in the middle, visibly. The CSV holds all."""

_INSTANT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?Z")
_LINK = re.compile(r"https?://[!#-&(-;=?-~]+", re.IGNORECASE)
_ANCHOR = re.compile(r"[a-z][a-z0-9-]{0,40}")
# Controls, bidirectional marks and halves of surrogate pairs: shown as their number, so that text can neither
# reorder its surroundings nor break the encoding of the page.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")

_PLOT_HEIGHT = 168
"""Pixels of the highest bar of the deadline chart."""
_FEWEST_PLACES = 12
"""A chart of few stretches leaves the rest empty, so that one bar is not a wall."""
_MOST_LABELS = 7
_MOST_NUMBERED_BARS = 36


def render_html(model: ReportModel) -> str:
    """Write the whole page; the same model gives the same bytes anywhere."""
    stylesheet = _stylesheet()
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            model=model,
            stylesheet=Markup(stylesheet),  # noqa: S704 - our own file, and `_stylesheet` refuses one that could end its element
            stylesheet_hash=base64.b64encode(hashlib.sha256(stylesheet.encode()).digest()).decode(),
            verdict_codes=[str(verdict) for verdict in VERDICTS],
            reason_words=REASONS,
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
        anchor=_anchor,
        bar_chart=bar_chart,
        cents=cents,
        clock=clock,
        ends=ends,
        is_link=is_link,
        quoted=quoted,
        reason_codes=reason_codes,
        segments=segments,
        sentence=sentence,
        thousands=thousands,
    )
    return environment


@cache
def _stylesheet() -> str:
    text = (resources.bundled("reports") / "report.css").read_text(encoding="utf-8")
    if "</" in text or "<!" in text:
        raise RuntimeError("report.css holds characters that could end its element")
    return text


def _showable(value: object) -> object:
    """Make text from outside fit to be shown: not longer than the page can bear, nothing invisible."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    if len(value) > LONGEST_TEXT:
        cut = len(value) - LONGEST_TEXT
        value = f"{value[: LONGEST_TEXT - 100]} … [{thousands(cut)} characters not shown] … {value[-100:]}"
    return _UNSHOWABLE.sub(lambda match: f"[U+{ord(match.group()):04X}]", value)


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
    shown = str(_showable(text))
    pieces = shown.split("`")
    if len(pieces) % 2 == 0:
        return escape(shown)
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(piece) if i % 2 else piece for i, piece in enumerate(pieces))


def is_link(url: str) -> bool:
    """True when a URL may become a link: http or https, plain ASCII without quotes, and shown whole."""
    return len(url) <= LONGEST_TEXT and _LINK.fullmatch(url) is not None


def ends(text: str) -> tuple[str, str]:
    """Cut a long id in two so that the page can shorten its first part; together they are the whole id."""
    if len(text) <= 30:
        return text, ""
    parts = text.rsplit("/", 2)
    tail = len("".join(parts[1:])) + 6 if len(parts) == 3 else 8
    tail = min(tail, 26)
    return text[:-tail], text[-tail:]


def reason_codes(rows: Sequence[Row]) -> list[str]:
    """List the reason codes of some rows once each, in the order in which codes are joined."""
    present = {code for row in rows for code in row.reasons}
    return [code for code in REASONS if code in present] + sorted(present - REASONS.keys())


def _anchor(text: str, fallback: str) -> str:
    return text if _ANCHOR.fullmatch(text) else fallback


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
    """Where its number stands."""
    number: str
    """Text over the bar, or empty."""
    tick: str
    """Text under the left edge of the bar, or empty."""
    edge: str
    """Left edge of its stretch of time."""
    title: str


@dataclass(frozen=True)
class BarChart:
    """The geometry of the deadline chart."""

    bars: tuple[Bar, ...]
    shown: int
    """Files in all bars."""
    highest: DeadlineBucket


def bar_chart(buckets: Sequence[DeadlineBucket]) -> BarChart:
    """Turn the stretches of the coming days into columns; at least one bucket."""
    highest = max(buckets, key=lambda bucket: bucket.assets)
    places = max(len(buckets), _FEWEST_PLACES)
    most, step = max(highest.assets, 1), 100 / places
    every = -(-places // _MOST_LABELS)
    bars = []
    for i, bucket in enumerate(buckets):
        height = max(2, round(_PLOT_HEIGHT * bucket.assets / most)) if bucket.assets else 0
        has_number = bucket.assets and (len(buckets) <= _MOST_NUMBERED_BARS or bucket is highest)
        has_room = places - i >= every
        bars.append(
            Bar(
                x=f"{i * step + step * 0.09:.3f}",
                width=f"{step * 0.82:.3f}",
                y=_PLOT_HEIGHT - height,
                height=height,
                middle=f"{(i + 0.5) * step:.3f}",
                number=thousands(bucket.assets) if has_number else "",
                tick=bucket.label if i % every == 0 and has_room else "",
                edge=f"{i * step:.3f}",
                title=f"{bucket.label}: {thousands(bucket.assets)} files",
            )
        )
    return BarChart(tuple(bars), sum(bucket.assets for bucket in buckets), highest)
