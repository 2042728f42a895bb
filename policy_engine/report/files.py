"""The names of the files of a report, and what is in each."""

from __future__ import annotations

CSV_OF: dict[str, str] = {
    "at_risk": "at_risk.csv",
    "expired": "expired.csv",
    "vendor_cdn": "vendor_cdn.csv",
    "ungoverned": "ungoverned.csv",
    "undetermined": "undetermined.csv",
}
"""Verdict -> file of the report folder that lists its assets."""


SAVE_NOW = "save_now.csv"


RESCUE_FILES = {"aria2": "save_now.aria2.txt"}
"""Downloader -> input file for it."""


FINDINGS = "findings.csv"


TABLES = (FINDINGS, *CSV_OF.values(), SAVE_NOW)
"""Tables of findings in a report folder."""


REPORT_FILES = ("report.html", *TABLES, "quarantine.csv", "summary.json", "manifest.json")
"""What a report folder holds, in the order in which it is put in place: the manifest says that the rest is there."""


EXTRA_FILES = ("report.xlsx", "report.md", *RESCUE_FILES.values())
"""What it holds as well when it was asked for."""
