"""The words of a report with their meanings."""

from __future__ import annotations

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("archived", "A copy of the file is in your inventory; empty where no inventory was given."),
    ("as_of", "The instant that the report answers for."),
    ("asset", "One file that a task produced, or is expected to have produced."),
    ("basis", "What a rule rests on: published, observed, assumed or internal."),
    ("creation", "What starts the clock. The source does not say submission or completion: both are evaluated."),
    (
        "earliest and latest deadline",
        "The first instant at which the file may be deleted, and the first at which its deadline has certainly passed.",
    ),
    ("evidence", "Whether the owner of the URL's host fits the storage that the rule names. No URL was opened."),
    ("exemption", "Permission for a finding to stay, with owner, reason and end date; counted, never hidden."),
    ("finding", "What the rules say about one asset."),
    ("horizon", "How far ahead `at risk` looks; the operation horizon does the same for `closing`."),
    ("operation window", "How long after creation follow-up operations (upscale, extend, concatenate) are accepted."),
    ("points", "The provider's unit of charge, as recorded for completed tasks; divided among a task's files."),
    ("possibly past", "At risk, and on at least one reading the deadline has already passed."),
    ("quarantine", "Records that could not be used, each with the reason; they are counted and never evaluated."),
    (
        "save by",
        "The earliest of the first possible deadline, the end of the link and your house rules; it changes no verdict.",
    ),
    ("vendor CDN", "Storage of the service's maker, outside the platform's rules."),
    ("verdict", "active, at risk, past its deadline, vendor CDN, ungoverned or undetermined."),
)
"""Words of the report with their meaning."""
