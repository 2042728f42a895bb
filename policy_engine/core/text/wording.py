"""The sentences of reports: verdicts, codes, times and amounts in words that a reader needs no manual for."""

from __future__ import annotations

from decimal import Decimal

from policy_engine.core.periods import DAY, NAT, SECOND, describe_duration, format_instant
from policy_engine.core.rule_model import RulePack, RuleVersion

VERDICT_WORDS: dict[str, tuple[str, str]] = {
    "active": ("active", "Kept by the platform, and the deadline is further away than the horizon."),
    "at_risk": ("at risk", "The deadline is nearer than the horizon, or may be past already: save these first."),
    "expired": (
        "past its deadline",
        "Every admissible deadline has passed. The provider may have deleted the file; nobody looked.",
    ),
    "vendor_cdn": ("vendor CDN", "Held by the vendor's CDN on the vendor's own terms; no period is published."),
    "ungoverned": ("ungoverned", "No published rule covers these files; how long they stay is not known."),
    "undetermined": ("undetermined", "A fact is missing, and the answer depends on it; the reasons say which."),
}
"""Verdict -> (words, meaning)."""

WINDOW_WORDS: dict[str, str] = {
    "open": "Follow-up operations are still accepted.",
    "closing": "Accepted still, or on one reading closed already; the window closes within the horizon.",
    "closed": "Every admissible window has closed.",
    "ungoverned": "The service has follow-up operations, and no published rule says how long they work.",
    "undetermined": "A fact is missing, and the answer depends on it.",
    "none": "The service has no follow-up operations.",
}
"""Operation verdict -> meaning."""

EVIDENCE_WORDS: dict[str, str] = {
    "agrees": "The host of the URL belongs to whom the rule says holds the file.",
    "conflicts": "The host of the URL belongs to somebody else than the rule says.",
    "expected": "No URL was seen; the task completed, so the file is expected to exist.",
    "none": "The host's owner is not known, or no rule says who holds the file.",
}
"""Evidence -> meaning."""

BASIS_WORDS: dict[str, str] = {
    "published": "The provider states it.",
    "observed": "Seen in the provider's own data, not stated.",
    "assumed": "Neither stated nor seen; the rule pack reasons.",
    "internal": "A house rule.",
}
"""Basis -> meaning."""

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("archived", "A copy of the file is in the inventory that you gave; without an inventory nothing is said."),
    ("as_of", "The instant for which the report answers."),
    ("asset", "One file that a task produced, or is expected to have produced."),
    ("basis", "On what a rule rests: published, observed, assumed or internal."),
    ("creation", "What starts the clock. The source does not say whether submission or completion: both are read."),
    (
        "earliest and latest deadline",
        "The first instant at which the file may be deleted, and the first at which it surely is due.",
    ),
    ("evidence", "Whether the owner of the URL's host fits the storage that the rule names. No URL was opened."),
    ("exemption", "Dated, owned, reasoned leave for a finding to stand; it is shown and counted, never hidden."),
    ("finding", "What the rules say about one asset."),
    ("horizon", "How far ahead `at risk` looks; the operation horizon does the same for `closing`."),
    ("operation window", "How long after creation follow-up operations (upscale, extend, concatenate) are accepted."),
    ("points", "The provider's unit of charge, as recorded for completed tasks; divided over a task's files."),
    ("possibly past", "At risk, and on at least one reading the deadline has passed already."),
    ("quarantine", "Records that could not be used, each with the reason; they are counted and never evaluated."),
    (
        "save by",
        "The earliest of the first possible deadline, the end of the link and your house rules; it changes no verdict.",
    ),
    ("vendor CDN", "Storage of the service's maker, outside the platform's rules."),
    ("verdict", "active, at risk, past its deadline, vendor CDN, ungoverned or undetermined."),
)  # fmt: skip
"""Words of the report with their meaning."""

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip


def time_left(instant: int, as_of: int) -> str:
    """`in 3 hours 10 minutes` or `2 days ago`; empty for NAT."""
    if instant == NAT:
        return ""
    away = instant - as_of
    if abs(away) < SECOND:
        return "at this instant" if away <= 0 else "in less than a second"
    return f"in {describe_duration(away)}" if away > 0 else f"{describe_duration(away)} ago"


def instant_text(instant: int) -> str:
    """RFC 3339, or empty for NAT."""
    return "" if instant == NAT else format_instant(instant)


def day_and_time(instant: int) -> str:
    """`8 January 2026, 00:00 UTC`."""
    text = format_instant(instant)
    seconds = "" if text[17:19] == "00" else f":{text[17:19]}"
    return f"{int(text[8:10])} {MONTHS[int(text[5:7]) - 1]} {text[:4]}, {text[11:16]}{seconds} UTC"


def day_label(instant: int) -> str:
    """`8 Jan 06:00`."""
    text = format_instant(instant)
    return f"{int(text[8:10])} {MONTHS[int(text[5:7]) - 1][:3]} {text[11:16]}"


def usd(points: int, points_per_usd: int) -> str:
    """Points as exact decimal text in dollars, at least two decimals."""
    value = Decimal(points) / Decimal(points_per_usd)
    text = f"{value:f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def count_of(number: int, noun: str, plural: str | None = None) -> str:
    """`1 file`, `12,345 files`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def selector_words(version: RuleVersion) -> str:
    """The selector of a version in words."""
    if not version.selector.conditions:
        return "every asset"
    return ", ".join(
        f"{fact.replace('_', ' ')} {' or '.join(sorted(values))}"
        for fact, values in version.selector.conditions.items()
    )


def kept_words(version: RuleVersion) -> str:
    """The retention of a version in words."""
    if version.storage is None:
        return ""
    return "vendor's terms" if version.retention is None else describe_duration(version.retention)


def operations_words(version: RuleVersion) -> str:
    """The operation window of a version in words."""
    window = version.operation_window
    return f"{', '.join(window.operations)} within {describe_duration(window.period)}" if window else ""


def age_in_days(day_ns: int, as_of: int) -> int:
    """Whole days from an instant to as_of, not negative."""
    return max(0, (as_of - day_ns) // DAY)


def money_sentence(pack: RulePack) -> str:
    """What a point is taken to be worth, and on what that rests."""
    money = pack.money
    return (
        f"{money.points_per_usd:,} points are taken to be worth 1 US dollar ({money.basis}: "
        f"{money.evidence.rstrip('.')}). Charges are those recorded on completed tasks, counted once."
    )
