"""Turns a report model into text, one function per format; a format is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable

from policy_engine.report.model import ReportModel


def _html(model: ReportModel) -> str:
    from policy_engine.report.formats.html import render_html

    return render_html(model)


def _json(model: ReportModel) -> str:
    from policy_engine.report.formats.summary_json import render_json

    return render_json(model)


def _markdown(model: ReportModel) -> str:
    from policy_engine.report.formats.markdown import render_markdown

    return render_markdown(model)


FORMATS: dict[str, Callable[[ReportModel], str]] = {
    "html": _html,
    "json": _json,
    "markdown": _markdown,
}
"""Format name -> function from the model to the whole text of the file."""
