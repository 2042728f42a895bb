"""The numbers of a report as frozen values; a renderer shows them and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Amount:
    """How much of something: files and what they cost."""

    assets: int
    """Files (one row of the findings each)."""
    points: int
    """Points with a dollar value, recorded as consumed by completed tasks."""
    cost_usd: str
    """Exact decimal text of points in US dollars, without a sign (`12.5`)."""


@dataclass(frozen=True)
class VerdictLine:
    """One verdict and what it adds up to."""

    verdict: str
    """One of the six verdicts."""
    title: str
    """Words for people (`past its deadline`)."""
    explanation: str
    """One sentence: what the verdict means."""
    amount: Amount
    csv: str | None
    """File of the report folder that lists these assets; None = only findings.csv."""


@dataclass(frozen=True)
class CountLine:
    """A code with its meaning and a count."""

    code: str
    meaning: str
    count: int
    points: int = 0
    """Points that belong to the line, where money is split by it."""


@dataclass(frozen=True)
class ServiceLine:
    """One service across all verdicts."""

    service: str
    """Catalog id, or `unknown`."""
    title: str
    by_verdict: tuple[Amount, ...]
    """Files and money per verdict, in the order of columns.VERDICTS."""
    total: Amount


@dataclass(frozen=True)
class DeadlineBucket:
    """A stretch of the coming days and the earliest deadlines that fall into it."""

    start: str
    """RFC 3339, first instant inside."""
    end: str
    """RFC 3339, first instant after it."""
    label: str
    """Short label for an axis (`8 Jan 06:00`)."""
    assets: int
    points: int


@dataclass(frozen=True)
class ReadingTotals:
    """What was read and how it ties: records = tasks + merged + quarantined."""

    files: int
    records: int
    tasks: int
    merged: int
    quarantined: int
    tasks_with_assets: int
    tasks_without_assets: int
    without_assets: tuple[CountLine, ...]
    """Tasks without assets by reason; counts add up to tasks_without_assets."""
    previews: int
    """Addresses of previews and input echoes, which make no asset."""
    same_file: int
    """Further addresses of files already counted."""


@dataclass(frozen=True)
class PageCompleteness:
    """Pages of a task history that belong together and declare how many rows there are."""

    where: str
    """Folder or file the pages came from."""
    declared: int
    read: int
    pages: int
    """Distinct pages read."""

    @property
    def missing(self) -> int:
        """Rows that the pages declare and that were not read."""
        return max(0, self.declared - self.read)


@dataclass(frozen=True)
class InputLine:
    """One file that was read."""

    name: str
    sha256: str
    """Hexadecimal digest of the bytes on disk."""
    size: int
    """Bytes on disk."""
    records: int


@dataclass(frozen=True)
class RuleLine:
    """A rule version that answered for at least one asset, or could have."""

    rule_id: str
    version: int
    title: str
    summary: str
    applies_to: str
    """The selector in words."""
    storage: str
    """`platform`, `vendor_cdn` or empty when the rule says nothing of storage."""
    kept: str
    """Retention in words (`3 days`, `vendor's terms`) or empty."""
    operations: str
    """Operation window in words (`upscale, variation within 3 hours`) or empty."""
    in_force_from: str
    """RFC 3339, or `not stated`."""
    basis: str
    source_title: str
    source_url: str
    section: str
    retrieved_on: str
    age_days: int
    """Days from retrieval to as_of (0 when the source was read after as_of)."""
    assets: int
    """Assets whose answer rests on this version."""


@dataclass(frozen=True)
class Row:
    """One finding as the tables show it; times as RFC 3339 text or empty."""

    asset_id: str
    task_id: str
    service: str
    task_type: str
    account: str
    media: str
    role: str
    url: str
    """The full URL; shown only when asked for."""
    url_host: str
    evidence: str
    status: str
    created_at: str
    completed_at: str
    verdict: str
    possibly_past: bool
    reasons: tuple[str, ...]
    rule: str
    """`rule_id vN` or empty."""
    basis: str
    expires_earliest: str
    expires_latest: str
    time_left: str
    """Words from as_of to expires_earliest (`in 3 hours 10 minutes`, `2 days ago`) or empty."""
    operations: str
    operation_verdict: str
    operation_closes_earliest: str
    operation_closes_latest: str
    operation_time_left: str
    link_expires_at: str
    points: str
    """Integer text, or empty when the unit has no dollar value."""
    cost_usd: str
    source: str
    watermarked: str = ""
    """`true`, `false`, or empty when the path of the output does not say."""
    operation_rule: str = ""
    """`rule_id vN` of the operation window, or empty."""
    archived: str = ""
    """`true`, `false`, or empty when no inventory was given."""
    exempted_by: str = ""
    save_by: str = ""
    row: int = 0
    """Row of findings.csv as a spreadsheet counts them: its heading is row 1."""


@dataclass(frozen=True)
class FileColumn:
    """One column of the rows on the page."""

    name: str
    """Name of a findings column; also `rule` and `operation_rule` (`rule_id vN`) and `row`."""
    kind: str
    """`text`, `instant` (ns since 1970, periods.NAT where missing) or `number` (None where missing)."""
    cells: tuple[Any, ...]


@dataclass(frozen=True)
class FileRows:
    """The findings that the page itself holds: the most urgent ones, most urgent first."""

    as_of: int
    """Ns since 1970."""
    columns: tuple[FileColumn, ...]
    first: tuple[Row, ...]
    """The first rows once more, for a reader without script."""
    count: int
    """How many rows the page holds."""
    by_verdict: tuple[int, ...]
    """The same per verdict, in the order of columns.VERDICTS."""


@dataclass(frozen=True)
class QuarantineLine:
    """A record that was set aside."""

    source: str
    reason: str
    found: str
    expected: str


@dataclass(frozen=True)
class GlossaryEntry:
    """A word of the report and its meaning."""

    word: str
    meaning: str


@dataclass(frozen=True)
class Notice:
    """Something that should change what the reader does."""

    code: str
    text: str
    """One or two sentences."""


@dataclass(frozen=True)
class InventoryLine:
    """The list of copies that the user holds."""

    name: str
    entries: int
    empty: int
    """Entries without bytes, which do not count."""
    later: int
    """Entries of copies made after as_of, which do not count."""
    unreadable: int
    """Entries whose size or time cannot be read, which do not count."""


@dataclass(frozen=True)
class ExemptionLine:
    """Permission for some findings to stay as they are."""

    id: str
    owner: str
    reason: str
    until: str
    """Last day (`2026-06-30`)."""
    is_over: bool
    """True when as_of is after its last day; it then has no effect."""
    amount: Amount
    """Findings that name it; after its end, the assets that it would cover (points are not counted)."""


@dataclass(frozen=True)
class HouseRuleLine:
    """A version of a house rule."""

    rule_id: str
    version: int
    title: str
    applies_to: str
    """The selector in words."""
    says: str
    """`save within 7 days; 12 hours before the provider's deadline`."""
    in_force_from: str
    """RFC 3339, or `not stated`."""
    source: str
    section: str
    retrieved_on: str


@dataclass(frozen=True)
class MarksReport:
    """What the user's own files say beside the verdicts; they never change one."""

    inventory: InventoryLine | None = None
    archived: Amount = Amount(0, 0, "0.00")
    """Files that the inventory has a copy of."""
    exempted: Amount = Amount(0, 0, "0.00")
    """Files that an exemption in force covers."""
    archived_and_exempted: Amount = Amount(0, 0, "0.00")
    standing: Amount = Amount(0, 0, "0.00")
    """The rest: neither archived nor exempted."""
    exemptions: tuple[ExemptionLine, ...] = ()
    """In the order of their file, those that are over among them."""
    house_rules: tuple[HouseRuleLine, ...] = ()
    save_now: Amount = Amount(0, 0, "0.00")
    """Files due within the horizon or before, neither archived nor exempted."""
    save_now_by_verdict: tuple[CountLine, ...] = ()
    """The same by verdict: code = verdict."""
    save_now_without_url: int = 0
    """Those of them whose address is not known."""


@dataclass(frozen=True)
class ReportModel:
    """Everything a report shows."""

    title: str
    as_of: str
    """RFC 3339."""
    as_of_words: str
    """`8 January 2026, 00:00 UTC`."""
    horizon: str
    """Words (`1 day`)."""
    operation_horizon: str
    program_version: str
    pack_id: str
    pack_title: str
    pack_digest: str
    reading: ReadingTotals
    verdicts: tuple[VerdictLine, ...]
    """All six, in the order of columns.VERDICTS; amounts add up to `total`."""
    total: Amount
    """All assets."""
    without_assets: Amount
    """Money of tasks that have no asset (assets = 0)."""
    grand_total: Amount
    """total + without_assets: what the completed tasks of the history cost."""
    money_basis: str
    """Sentence: what a point is taken to be worth, and that it is assumed."""
    other_units: tuple[CountLine, ...]
    """Usage in units without a dollar value: code = unit, count = amount, meaning = how many tasks."""
    possibly_past: Amount
    """The part of at_risk whose earliest deadline is already past."""
    next_deadline: str
    """RFC 3339 of the next deadline after as_of, or empty."""
    next_deadline_words: str
    """`in 3 hours 10 minutes: 4 files (kling, flux)` or a sentence that there is none."""
    next_window: str
    """RFC 3339 of the next operation window to close, or empty."""
    next_window_words: str
    windows: tuple[CountLine, ...]
    """Files per operation verdict, all six, adding up to total.assets."""
    not_known: tuple[CountLine, ...]
    """Reason codes among the findings with meaning and number of assets, most frequent first."""
    basis: tuple[CountLine, ...]
    """Assets whose answer rests on a rule of each basis (published, observed, assumed, internal)."""
    evidence: tuple[CountLine, ...]
    """Assets per evidence word."""
    oldest_source: str
    """Sentence on the age of the rule sources at as_of."""
    newest_record: str
    """RFC 3339 of the newest instant in the history, or empty."""
    newest_record_words: str
    """How old it is at as_of."""
    pages: tuple[PageCompleteness, ...]
    warnings: tuple[Notice, ...]
    services: tuple[ServiceLine, ...]
    """Most files first."""
    deadlines: tuple[DeadlineBucket, ...]
    """Coming earliest deadlines of at_risk and active assets, hour by hour from as_of."""
    deadlines_later: Amount
    """Assets whose earliest deadline is after the last bucket."""
    past_deadlines: tuple[DeadlineBucket, ...]
    """Earliest deadlines of at_risk and expired assets that have passed, day by day up to as_of."""
    past_earlier: Amount
    """Assets whose earliest deadline is before the first of these days."""
    closing: Amount
    """Assets whose operation window is closing."""
    files: FileRows
    problems: tuple[CountLine, ...]
    """Unreadable fields by code, with meaning and count."""
    quarantine: tuple[QuarantineLine, ...]
    """First rows of quarantine.csv."""
    rules: tuple[RuleLine, ...]
    not_published: tuple[CountLine, ...]
    """Services declared without a published rule: code = service, meaning = reason, count = assets."""
    glossary: tuple[GlossaryEntry, ...]
    inputs: tuple[InputLine, ...]
    parameters: tuple[tuple[str, str], ...]
    """Options of the run as name and value."""
    findings_digest: str
    """sha256 of findings.csv."""
    show_urls: bool
    """True when the reader asked for full URLs on the page."""
    marks: MarksReport = MarksReport()
    """Archived, exempted, save now."""
    local: LocalTimes | None = None
    """Times in a zone of the user's choice (--tz)."""


@dataclass(frozen=True)
class LocalTimes:
    """A second reading of instants, in the zone that the user named."""

    zone: str
    """Name in the time-zone database (`Europe/Berlin`)."""
    as_of: str
    """`8 January 2026, 01:00 (UTC+01:00)`."""
    next_deadline: str
    """The same of the next deadline, or empty."""
    next_window: str
    month: str
    """The month of as_of there (`January 2026`)."""
    month_start: str
    """RFC 3339 in UTC: the first instant of that month there."""
    month_end: str
    """RFC 3339 in UTC: the first instant after it."""
