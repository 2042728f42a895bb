"""
Writes problems as workflow commands of GitHub Actions, which become annotations on the lines of a change.

The runner treats every log line that begins with `::` or contains `##[` as a command. So text from a rule file stays on
one line, never starts a line, and is escaped in the way the runner unescapes it.
"""

from __future__ import annotations

from policy_engine.authoring.problem_formats.contents import LONGEST, Contents, Entry
from policy_engine.core.safe_text import plain

SHOWN = 10
"""Annotations of one level that GitHub shows per step."""


def write(contents: Contents) -> str:
    """One command per problem, errors first, then lines for the log."""
    entries = sorted(contents.open, key=lambda entry: entry.problem.severity != "error")
    lines = [_command(contents, entry) for entry in entries]
    lines += [_log_line(line) for line in contents.lines_left_out()]
    for entry, acceptance in contents.accepted:
        location = f"{entry.problem.span}: " if entry.problem.span else ""
        until = f"accepted by {acceptance.owner} until {acceptance.expires_on.isoformat()}: {acceptance.reason}"
        lines.append(_log_line(f"{location}{entry.problem.code}: {entry.problem.message}; {until}"))
    lines += [_log_line(line) for line in contents.covered]
    if max(contents.count("error"), contents.count("warning")) > SHOWN:
        lines.append(_log_line(f"the page of the run shows {SHOWN} of each level; this log has all of them"))
    lines.append(_log_line(contents.headline()))
    return "".join(f"{line}\n" for line in lines)


def _command(contents: Contents, entry: Entry) -> str:
    problem, span = entry.problem, entry.problem.span
    properties: dict[str, object] = {}
    if span is not None:
        properties = {"file": span.file, "line": span.line, "endLine": span.line}
        # As in a SARIF region, the end is the column after the last character.
        properties |= {"col": span.column, "endColumn": span.column + span.length}
    properties["title"] = f"{problem.code} (policy-engine)"
    texts = [problem.message]
    texts += [f"see also {other}" for other in problem.related]
    texts += [f"witness: {problem.witness}"] if problem.witness else []
    texts += [f"help: {problem.help}"] if problem.help else []
    page = contents.address(entry.documentation) or entry.documentation
    texts += [f"docs: {page}"] if page else []
    data = "\n".join(plain(text, LONGEST) for text in texts)
    stated = ",".join(f"{name}={_property(plain(value, LONGEST))}" for name, value in properties.items())
    return f"::{problem.severity} {stated}::{_data(data)}"


def _data(text: str) -> str:
    """The part of a command after its second `::`."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """The value of a property of a command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _log_line(text: str) -> str:
    """A line that the runner cannot read as a command."""
    return f"policy-engine: {plain(text, 2 * LONGEST)}".replace("##[", "## [")
