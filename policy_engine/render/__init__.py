"""Turns a report model into text, one function per format; a format is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable

from policy_engine.report_model import ReportModel


def _html(model: ReportModel) -> str:
    from policy_engine.render.html import render_html

    return render_html(model)


def _json(model: ReportModel) -> str:
    from policy_engine.render.json_summary import render_json

    return render_json(model)


def _markdown(model: ReportModel) -> str:
    from policy_engine.render.markdown import render_markdown

    return render_markdown(model)


FORMATS: dict[str, Callable[[ReportModel], str]] = {
    "html": _html,
    "json": _json,
    "markdown": _markdown,
}
"""Format name -> function from the model to the whole text of the file."""
