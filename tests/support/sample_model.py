"""Makes report models by hand: a rich one, an empty one, one of a single asset, and a hostile one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import cycle, islice
from typing import Any
from uuid import UUID

from policy_engine.core.periods import NAT, parse_instant
from policy_engine.core.text.wording import time_left
from policy_engine.core.vocabulary import OPERATION_VERDICTS, REASONS, VERDICTS, WITHOUT_ASSET_REASONS
from policy_engine.report.model import (
    Amount,
    CountLine,
    DeadlineBucket,
    FileColumn,
    FileRows,
    GlossaryEntry,
    InputLine,
    Notice,
    PageCompleteness,
    QuarantineLine,
    ReadingTotals,
    ReportModel,
    Row,
    RuleLine,
    ServiceLine,
    VerdictLine,
)

AS_OF = datetime(2026, 1, 8, tzinfo=UTC)
SIGNED_URL = (
    "https://s15-kling.klingai.com/bs2/upload-ylab-stunt/special-effect/output/KLingMuse_3f9d/6291/video.mp4"
    "?x-kcdn-pid=112372&pkey=AAU0dXNJlBTX0u3bFoV4y0ls"
)

TITLES = {
    "active": ("inside its retention period", "Every admissible deadline is further ahead than the horizon."),
    "at_risk": (
        "deadline near",
        "The earliest admissible deadline lies within the horizon; the latest is still ahead.",
    ),
    "expired": ("past its deadline", "Every admissible deadline is past; the file itself was not checked."),
    "vendor_cdn": (
        "on the vendor's CDN",
        "The vendor's terms decide how long it is kept, not the provider's rules.",
    ),
    "ungoverned": (
        "no rule covers it",
        "The provider publishes no retention rule for it, so no deadline is known.",
    ),
    "undetermined": ("not determined", "A fact is missing that would decide between different answers."),
}
WINDOW_WORDS = {
    "open": "Operations are accepted.",
    "closing": "The window ends within the horizon.",
    "closed": "Every admissible window has ended.",
    "ungoverned": "There are operations, and no rule for them.",
    "undetermined": "A missing fact would decide.",
    "none": "The service has no follow-up operations.",
}
BASIS_WORDS = {
    "published": "The provider wrote it.",
    "observed": "Seen in answers of the provider.",
    "assumed": "Reasoned, where the provider is silent.",
    "internal": "A house rule.",
}
EVIDENCE_WORDS = {
    "agrees": "The owner of the host fits the storage the rule says.",
    "conflicts": "The owner of the host does not fit the storage the rule says.",
    "expected": "No URL was seen; the file is expected.",
    "none": "The owner of the host or the storage is not known.",
}
SILENT = {"hailuo": "The page on storage does not name it.", "udio": "The page on storage does not name it.",
          "veo": "It is newer than the page on storage."}  # fmt: skip
# Files per verdict (in the order of VERDICTS) and points of one file.
SERVICES = (
    ("kling", "Kling", (214, 18, 611, 640, 0, 12), 2_600_000),
    ("midjourney", "Midjourney", (496, 9, 1388, 0, 0, 61), 175_000),
    ("flux", "Flux", (402, 11, 1004, 0, 0, 0), 200_000),
    ("suno", "Suno", (0, 0, 0, 148, 0, 0), 250_000),
    ("hailuo", "Hailuo", (0, 0, 0, 0, 131, 0), 3_000_000),
    ("luma", "Luma Dream Machine", (0, 0, 0, 68, 0, 3), 2_000_000),
    ("faceswap", "Faceswap", (81, 1, 143, 0, 0, 0), 100_000),
    ("udio", "Udio", (0, 0, 0, 0, 81, 0), 500_000),
    ("hug-video", "AI Hug", (11, 2, 41, 0, 0, 0), 1_200_000),
    ("unknown", "Service not known", (0, 0, 0, 0, 0, 22), 0),
)


def dollars(points: int) -> str:
    """Exact decimal text of points in US dollars."""
    return format((Decimal(points) / 10_000_000).normalize(), "f")


def amount(assets: int, points: int) -> Amount:
    """Files and points with their dollars."""
    return Amount(assets, points, dollars(points))


def instant(**after: float) -> str:
    """RFC 3339 text of a time after (or, negative, before) as_of."""
    return (AS_OF + timedelta(**after)).strftime("%Y-%m-%dT%H:%M:%SZ")


def label(hours: int) -> str:
    """Short label of a time for the axis of the chart."""
    at = AS_OF + timedelta(hours=hours)
    return f"{at.day} {at:%b %H:%M}"


def sum_of(column: int | None) -> Amount:
    """What the services add up to in one verdict, or in all."""
    counts = [(sum(line[2]) if column is None else line[2][column], line[3]) for line in SERVICES]
    return amount(sum(n for n, _ in counts), sum(n * each for n, each in counts))


def finding(number: int, verdict: str, **changes: Any) -> Row:
    """One plausible row; the number makes it distinct."""
    task = str(UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128, version=4))
    service = changes.get("service", "kling")
    hours = changes.pop("hours", None)
    earliest = "" if hours is None else instant(hours=hours, seconds=12)
    row = Row(
        asset_id=f"{service}/{task}/video/1", task_id=task, service=service, task_type="video_generation",
        account="pay_as_you_go", media="video", role="result", url=f"https://storage.theapi.app/videos/{number}.mp4",
        url_host="storage.theapi.app", evidence="agrees", status="completed",
        created_at=instant(hours=-70, seconds=-number), completed_at=instant(hours=-69.9, seconds=-number),
        verdict=verdict, possibly_past=False, reasons=(), rule="kling-clean v1", basis="published",
        expires_earliest=earliest,
        expires_latest="" if hours is None else instant(hours=hours, seconds=377),
        time_left=time_left(parse_instant(earliest), parse_instant(instant())) if earliest else "",
        operations="", operation_verdict="none", operation_closes_earliest="",
        operation_closes_latest="", operation_time_left="", link_expires_at="", points="2600000",
        cost_usd="0.26", source=f"export/page-{number % 7 + 1}.json:{number}",
    )  # fmt: skip
    return replace(row, **changes)


def at_risk_rows() -> tuple[Row, ...]:
    """Three rows whose earliest deadline is past, one of them on an unexpected host, and nine that come."""
    past = [
        finding(n, "at_risk", hours=-1, possibly_past=True, basis="assumed",
                reasons=("completion_unknown", "readings_differ"), url_host="img.theapi.app")
        for n in range(1, 4)
    ]  # fmt: skip
    past[1] = replace(past[1], evidence="conflicts", url_host="cdn.midjourney.com")
    coming = [finding(n + 3, "at_risk", hours=n) for n in range(1, 10)]
    return (*past, *coming)


def rich_rows() -> tuple[Row, ...]:
    """Rows of every verdict, as the page shows them: the most urgent first."""
    image = {"service": "midjourney", "media": "image", "task_type": "imagine", "url_host": "img.theapi.app"}
    rows = {
        "at_risk": at_risk_rows(),
        "expired": tuple(
            finding(40 + n, "expired", hours=-20 - n, rule="midjourney-payg v1", points="175000", **image)
            for n in range(8)
        ),
        "vendor_cdn": tuple(
            finding(60 + n, "vendor_cdn", rule="kling-watermarked v1", role="watermarked", url=SIGNED_URL,
                    url_host="s15-kling.klingai.com", link_expires_at=instant(days=9))
            for n in range(6)
        ),
        "ungoverned": tuple(
            finding(80 + n, "ungoverned", service="hailuo", rule="", basis="", evidence="none",
                    reasons=("no_published_rule",), points="3000000")
            for n in range(5)
        ),
        "undetermined": (
            *(finding(90 + n, "undetermined", hours=14 + n, reasons=("account_unknown",), account="",
                      rule="midjourney-payg v1", points="175000", **image) for n in range(4)),
            finding(98, "undetermined", service="unknown", task_type="", media="", role="unlisted",
                    url_host="files.example.net", reasons=("unknown_service",), rule="", basis="",
                    evidence="none", points="", cost_usd="", completed_at=""),
        ),
    }  # fmt: skip
    order = ("at_risk", "undetermined", "ungoverned", "vendor_cdn", "expired")
    return tuple(replace(row, row=number) for number, row in enumerate((
        *rows["at_risk"], *window_rows(), *(row for name in order[1:] for row in rows[name])
    ), start=2))  # fmt: skip


def window_rows() -> tuple[Row, ...]:
    """Five active files whose operation window is closing."""
    return tuple(
        finding(110 + n, "active", service="midjourney", task_type="imagine", media="image", hours=60 + n,
                operations="upscale;variation;reroll", operation_verdict="closing",
                operation_closes_earliest=instant(minutes=9 + 7 * n),
                operation_closes_latest=instant(minutes=10 + 7 * n),
                operation_time_left=f"in {9 + 7 * n} minutes", points="175000")
        for n in range(5)
    )  # fmt: skip


def files_of(rows: tuple[Row, ...], first: int = 20, show_urls: bool = False) -> FileRows:
    """The rows as the page holds them."""

    def texts(name: str, value: Any) -> FileColumn:
        return FileColumn(name, "text", tuple(value(row) for row in rows))

    def instants(name: str) -> FileColumn:
        given = (getattr(row, name) for row in rows)
        return FileColumn(name, "instant", tuple(parse_instant(text) if text else NAT for text in given))

    names = (
        "asset_id", "service", "task_type", "account", "media", "role", "watermarked", "url_host", "evidence",
        "status", "verdict", "rule", "basis", "operations", "operation_verdict", "operation_rule", "cost_usd",
        "source", "archived", "exempted_by", *(("url",) if show_urls else ()),
    )  # fmt: skip
    return FileRows(
        as_of=parse_instant(instant()),
        columns=(
            FileColumn("row", "number", tuple(row.row for row in rows)),
            FileColumn("points", "number", tuple(int(row.points) if row.points else None for row in rows)),
            *(texts(name, lambda row, name=name: getattr(row, name)) for name in names),
            texts("possibly_past", lambda row: str(row.possibly_past).lower()),
            texts("reason", lambda row: ";".join(row.reasons)),
            *map(instants, ("created_at", "completed_at", "expires_earliest", "expires_latest", "link_expires_at",
                            "operation_closes_earliest", "operation_closes_latest")),
        ),
        first=rows[:first],
        count=len(rows),
        by_verdict=tuple(sum(row.verdict == verdict for row in rows) for verdict in VERDICTS),
    )  # fmt: skip


def rich_rules() -> tuple[RuleLine, ...]:
    """Rules of every kind: with and without operations, on the vendor's CDN, assumed and unused."""
    lines = (
        ("midjourney-payg", "Midjourney, pay-as-you-go", "service midjourney; account pay_as_you_go", 1893),
        ("kling-clean", "Kling, not watermarked", "service kling; watermarked no", 843),
        ("kling-watermarked", "Kling, watermarked", "service kling; watermarked yes", 640),
        ("flux", "Flux", "service flux", 1417),
        ("kling-omni", "Kling 3.0 and omni", "service kling; task type omni_video_generation", 0),
    )
    rules = [
        RuleLine(
            rule_id=rule_id, version=1, title=title, applies_to=applies_to, assets=assets, storage="platform",
            summary="Counted from the creation of the task; both readings of creation are tried.",
            kept="3 days", operations="", in_force_from="not stated", basis="published",
            source_title="Output Storage", source_url="https://piapi.ai/docs/output-storage", section="Kling",
            retrieved_on="2025-12-28", age_days=11,
        )
        for rule_id, title, applies_to, assets in lines
    ]  # fmt: skip
    rules[0] = replace(rules[0], operations="upscale, variation, reroll, inpaint within 3 hours")
    rules[2] = replace(rules[2], storage="vendor_cdn", kept="vendor's terms")
    rules[4] = replace(rules[4], basis="assumed", in_force_from="2025-08-14T00:00:00Z")
    return tuple(rules)


def counts(words: dict[str, str], numbers: dict[str, int], points: int = 0) -> tuple[CountLine, ...]:
    """One line per code, with its words and this many points for each."""
    return tuple(CountLine(code, words.get(code, code), n, n * points) for code, n in numbers.items())


def rich_model() -> ReportModel:
    """A history of ten services with every verdict, warnings, quarantine and money."""
    total, (active, at_risk, expired) = sum_of(None), map(sum_of, range(3))
    without = counts(WITHOUT_ASSET_REASONS, {"failed": 61, "no_file_output": 40, "pending": 7}, 30_000)
    lonely = amount(0, sum(line.points for line in without))
    heights = (9, 4, 0, 6, 16, 38, 61, 22, 0, 0, 12, 44, 131, 174, 160, 96, 41, 8, 3, 77, 122, 90, 64, 31, 12, 7, 2, 0)
    days = (0, 0, 12, 44, 131, 174, 160, 0, 96, 41, 77, 122, 390, 231)
    windows = (402, 5, 1467, 0, 83, total.assets - 1957)
    rested = {"published": 5109, "observed": 31, "assumed": 207, "internal": 0}
    return ReportModel(
        title="Generated media: what is kept, and until when",
        as_of=instant(), as_of_words="8 January 2026, 00:00 UTC", horizon="1 day", operation_horizon="1 hour",
        program_version="0.1.0", pack_id="piapi", pack_title="PiAPI output storage", pack_digest="5e" * 32,
        reading=ReadingTotals(14, 3128, 2764, 355, 9, 2656, 108, without, previews=1954, same_file=640),
        verdicts=tuple(
            VerdictLine(v, TITLES[v][0], TITLES[v][1], sum_of(i), None if v == "active" else f"{v}.csv")
            for i, v in enumerate(VERDICTS)
        ),
        total=total, without_assets=lonely, grand_total=amount(total.assets, total.points + lonely.points),
        money_basis="A point is taken as 1/10,000,000 US dollar; the provider states no rate, so this is assumed.",
        other_units=(CountLine("luma_quota", "12 tasks", 360),),
        possibly_past=amount(3, 7_800_000),
        next_deadline=instant(minutes=10, seconds=12), next_deadline_words="in 10 minutes: 4 files (kling, flux)",
        next_window=instant(minutes=9), next_window_words="in 9 minutes: 1 file (midjourney)",
        windows=counts(WINDOW_WORDS, dict(zip(OPERATION_VERDICTS, windows, strict=True))),
        not_known=counts(REASONS, {"no_published_rule": 212, "completion_unknown": 131, "account_unknown": 61,
                                   "readings_differ": 44, "unknown_service": 22, "task_type_unknown": 15}),
        basis=counts(BASIS_WORDS, rested),
        evidence=counts(EVIDENCE_WORDS, {"agrees": 4871, "conflicts": 6, "expected": 380, "none": total.assets - 5257}),
        oldest_source="The oldest of 3 sources was read on 2025-12-28, 11 days before as_of.",
        newest_record=instant(minutes=-47), newest_record_words="47 minutes before as_of",
        pages=(PageCompleteness("export/history", 250, 100, 1),),
        warnings=(
            Notice("pages_missing", "`export/history` declares 250 tasks, and 100 of them were read."),
            Notice("possibly_past", "3 files may already be past their deadline: fetch them first."),
        ),
        services=tuple(
            ServiceLine(s, title, tuple(amount(n, n * each) for n in by), amount(sum(by), sum(by) * each))
            for s, title, by, each in SERVICES
        ),
        deadlines=tuple(
            DeadlineBucket(instant(hours=i), instant(hours=i + 1), label(i), n, n * 200_000)
            for i, n in enumerate(heights)
        ),
        deadlines_later=amount(active.assets + at_risk.assets - 3 - sum(heights), 900_000),
        past_deadlines=tuple(
            DeadlineBucket(instant(days=i - 14), instant(days=i - 13), label(24 * (i - 14)), n, n * 200_000)
            for i, n in enumerate(days)
        ),
        past_earlier=amount(expired.assets + 3 - sum(days), 800_000),
        closing=amount(5, 875_000), files=files_of(rich_rows()),
        problems=(CountLine("unreadable_time", "A time could not be read, so the fact counts as unknown.", 31),
                  CountLine("time_without_zone", "A time has no zone, so the fact counts as unknown.", 4)),
        quarantine=tuple(QuarantineLine(f"export/page-3.json:{n * 17}", "no_identity", "an object without task_id",
                                        "a task with a task_id") for n in range(1, 7)),
        rules=rich_rules(),
        not_published=counts(SILENT, {"hailuo": 131, "udio": 81, "veo": 0}),
        glossary=(
            GlossaryEntry("as_of", "The instant the question is asked for."),
            GlossaryEntry("verdict", "What the rules say about a file at as_of; one of six words."),
            GlossaryEntry("finding", "One row about one file: verdict, rule, deadlines and what is not known."),
            GlossaryEntry("horizon", "How far ahead of a deadline a file counts as at risk."),
            GlossaryEntry("quarantine", "Records that could not be read as a task: set aside and listed."),
        ),
        inputs=tuple(
            InputLine(f"export/page-{n}.json", f"{n:x}7" * 32, 214_312 + n * 977, 223 + n) for n in range(1, 15)
        ),
        parameters=(("as_of", instant()), ("horizon", "P1D"), ("operation_horizon", "PT1H"), ("pack", "piapi")),
        findings_digest="c3" * 32, show_urls=False,
    )  # fmt: skip


def empty_model() -> ReportModel:
    """A history that was read and holds nothing: every list empty, every number zero."""
    rich, nothing = rich_model(), amount(0, 0)
    return replace(
        rich,
        reading=ReadingTotals(1, 0, 0, 0, 0, 0, 0, (), 0, 0),
        verdicts=tuple(replace(line, amount=nothing) for line in rich.verdicts),
        total=nothing, without_assets=nothing, grand_total=nothing, possibly_past=nothing, other_units=(),
        next_deadline="", next_deadline_words="No deadline is ahead.",
        next_window="", next_window_words="No window is open.",
        windows=tuple(replace(line, count=0) for line in rich.windows),
        not_known=(), basis=(), evidence=(), newest_record="", newest_record_words="The history has no instant.",
        pages=(), warnings=(), services=(), deadlines=(), deadlines_later=nothing,
        past_deadlines=(), past_earlier=nothing, closing=nothing, files=files_of(()),
        problems=(), quarantine=(), rules=(), not_published=(), glossary=(), inputs=(), parameters=(),
    )  # fmt: skip


def one_asset_model() -> ReportModel:
    """A history of one task with one file, at risk."""
    empty, zero, one = empty_model(), amount(0, 0), amount(1, 2_600_000)
    return replace(
        empty,
        reading=ReadingTotals(1, 1, 1, 0, 0, 1, 0, (), 0, 0),
        verdicts=tuple(replace(v, amount=one if v.verdict == "at_risk" else v.amount) for v in empty.verdicts),
        total=one, grand_total=one,
        next_deadline=instant(hours=1, seconds=12), next_deadline_words="in 1 hour: 1 file (kling)",
        services=(ServiceLine("kling", "Kling", (zero, one, *[zero] * 4), one),),
        deadlines=(DeadlineBucket(instant(), instant(hours=6), "8 Jan 00:00", 1, 2_600_000),),
        files=files_of((finding(1, "at_risk", hours=1, row=2),)),
        basis=(CountLine("published", "published", 1),), evidence=(CountLine("agrees", "agrees", 1),),
    )  # fmt: skip


HOSTILE = (
    "</script><script>document.title='ran'</script>",
    "</style><style>body{display:none}</style>",
    "<img src=https://evil.example/x.png onerror=\"document.title='ran'\">",
    "javascript:document.title='ran'",
    "JaVaScRiPt:document.title='ran'//https://evil.example/",
    '" onmouseover="document.title=\'ran\'" x="',
    "--><!-- {{ 7 * 7 }} {% raw %} &amp; &#x3c;",
    "left \u202egnp.4pm\u202c right \u200f\u2066",
    "nul \x00 bell \x07 escape \x1b[31m and half a pair \ud800",
    "https://evil.example/\"><script>document.title='ran'</script>",
    "=cmd|' /C calc'!A0",
    "x" * 100_000,
    "wide words " * 9_000,
)
"""Text that tries to leave its element: markup, scripts, links, bidirectional marks, control characters, size."""


def _poison(value: Any, payloads: Iterator[str]) -> Any:
    if isinstance(value, str):
        return next(payloads)
    if isinstance(value, tuple):
        return tuple(_poison(item, payloads) for item in value)
    if isinstance(value, FileColumn):
        # Its name and kind are words of the program.
        return replace(value, cells=_poison(value.cells, payloads))
    if is_dataclass(value):
        return type(value)(**{field.name: _poison(getattr(value, field.name), payloads) for field in fields(value)})
    return value


def hostile_model(shift: int = 0, show_urls: bool = True) -> ReportModel:
    """The rich model with hostile text in every text field; the shift decides which text meets which field."""
    payloads = islice(cycle(HOSTILE), shift, None)
    rich = replace(rich_model(), files=files_of(rich_rows(), show_urls=show_urls))
    poisoned: ReportModel = _poison(rich, payloads)
    return replace(poisoned, show_urls=show_urls)
