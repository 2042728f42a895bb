"""
Writes problems as workflow commands of GitHub Actions, which become annotations at the lines of a change.

The runner takes every line of a log that begins with `::`, and every line with `##[` in it, for a command. So a text
from a rule file is on one line, never at its beginning, and escaped as the runner unescapes it.
"""

from __future__ import annotations

from policy_engine.authoring.problem_formats.contents import LONGEST, Contents, Entry
from policy_engine.core.safe_text import plain

SHOWN = 10
"""Annotations of one level that GitHub shows for a step."""


def to_github(contents: Contents) -> str:
    """One command a problem, errors first, then lines for the log."""
    entries = sorted(contents.open, key=lambda entry: entry.problem.severity != "error")
    lines = [_command(contents, entry) for entry in entries]
    lines += [_log_line(line) for line in contents.lines_left_out()]
    for entry in contents.accepted:
        one = entry.acceptance
        assert one is not None
        place = f"{entry.problem.span}: " if entry.problem.span else ""
        until = f"accepted by {one.owner} until {one.expires_on.isoformat()}: {one.reason}"
        lines.append(_log_line(f"{place}{entry.problem.code}: {entry.problem.message}; {until}"))
    lines += [_log_line(line) for line in contents.covered]
    if max(contents.count("error"), contents.count("warning")) > SHOWN:
        lines.append(_log_line(f"the page of the run shows {SHOWN} of each level; all of them are in this log"))
    lines.append(_log_line(contents.headline()))
    return "".join(f"{line}\n" for line in lines)


def _command(contents: Contents, entry: Entry) -> str:
    problem, span = entry.problem, entry.problem.span
    properties: dict[str, object] = {}
    if span is not None:
        properties = {"file": span.file, "line": span.line, "endLine": span.line}
        # Like a SARIF region: the end is the column after the last character.
        properties |= {"col": span.column, "endColumn": span.column + span.length}
    properties["title"] = f"{problem.code} (policy-engine)"
    told = [problem.message]
    told += [f"see also {other}" for other in problem.related]
    told += [f"witness: {problem.witness}"] if problem.witness else []
    told += [f"help: {problem.help}"] if problem.help else []
    page = contents.address(entry.documentation) or entry.documentation
    told += [f"docs: {page}"] if page else []
    data = "\n".join(plain(text, LONGEST) for text in told)
    stated = ",".join(f"{name}={_property(plain(value, LONGEST))}" for name, value in properties.items())
    return f"::{problem.severity} {stated}::{_data(data)}"


def _data(text: str) -> str:
    """The part of a command after its second `::`."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """The value of a property of a command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _log_line(text: str) -> str:
    """A line that the runner cannot take for a command."""
    return f"policy-engine: {plain(text, 2 * LONGEST)}".replace("##[", "## [")
