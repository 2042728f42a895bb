"""The names of the files of a report, and what is in each; those of optional formats are in `formats`."""

from __future__ import annotations

from policy_engine.report.formats import DOWNLOADERS, FORMATS, OPTIONS, WORKBOOKS

CSV_OF: dict[str, str] = {
    "at_risk": "at_risk.csv",
    "expired": "expired.csv",
    "vendor_cdn": "vendor_cdn.csv",
    "ungoverned": "ungoverned.csv",
    "undetermined": "undetermined.csv",
}
"""Verdict -> file of the report folder that lists its assets."""

FINDINGS = "findings.csv"
SAVE_NOW = "save_now.csv"
QUARANTINE = "quarantine.csv"
MANIFEST = "manifest.json"

TABLES = (FINDINGS, *CSV_OF.values(), SAVE_NOW)
"""Tables of findings in a report folder."""

ALWAYS = {name: entry.file for name, entry in FORMATS.items() if entry.file and not entry.option}
"""Format that every report folder has -> its file."""

_PAGE, *_OTHERS = ALWAYS.values()

REPORT_FILES = (_PAGE, *TABLES, QUARANTINE, *_OTHERS, MANIFEST)
"""What a report folder holds, in the order of publishing; the manifest comes last, since it vouches for the rest."""

EXTRA_FILES = (
    *((WORKBOOKS | FORMATS)[name].file for name in OPTIONS),
    *(entry.file for entry in DOWNLOADERS.values()),
)
"""What it holds as well when it was asked for."""
