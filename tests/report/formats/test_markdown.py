"""The summary in Markdown: the same numbers as everywhere, and no markup from anybody else."""

from __future__ import annotations

import re
from dataclasses import replace

from policy_engine.core.safe_text import escape
from policy_engine.report.formats.markdown import render as render_markdown
from policy_engine.report.model import Amount, ExemptionLine, MarksReport, Notice
from tests.support.sample_model import rich_model


def test_numbers_are_those_of_the_model() -> None:
    """
    Each verdict with its files and dollars, the totals, and how reading ties.
    """
    model = rich_model()
    text = render_markdown(model)
    for line in model.verdicts:
        assert re.search(rf"^\| {re.escape(escape(line.title))} \| {line.amount.assets:,} \| ", text, re.MULTILINE)
    assert f"| **total** | {model.total.assets:,} | " in text
    assert f"{model.reading.records:,} records = {model.reading.tasks:,} tasks" in text
    assert text.endswith("\n")


def test_exemptions_show_their_owners_and_their_end() -> None:
    """
    Every exemption stands there with owner, date, files and reason; one that is over is said to be so.
    """
    lines = (
        ExemptionLine("a-b", "Ann | Bob", "Because <b>.", "2026-03-01", False, Amount(3, 0, "0.00")),
        ExemptionLine("old", "Cy", "x", "2026-01-01", True, Amount(7, 0, "0.00")),
    )
    text = render_markdown(replace(rich_model(), marks=MarksReport(exemptions=lines)))
    assert "| `a-b` | Ann \\| Bob | 2026-03-01 | 3 | Because &lt;b&gt;. |" in text
    assert "| `old` | Cy | **ended** (2026-01-01) | 7 | x |" in text


def test_nobody_is_called_and_nothing_is_linked() -> None:
    """
    Names after `@`, numbers after `#` and addresses are text.
    """
    shown = escape("@team #12 https://x.example www.x.example a@b.example")
    for live in ("@team", "#12", "https://", "www.x", "@b"):
        assert live not in shown
    text = render_markdown(replace(rich_model(), warnings=(Notice("x", "see [this](javascript:1) <script>\n# no"),)))
    assert "<script>" not in text
    assert "[this](" not in text
    assert "\n# no" not in text
