"""
Writes problems as Markdown for a job summary or a comment.

The tables are HTML, which Markdown does not interpret up to an empty line: so text from rule files and file names is
never read as Markdown and is escaped for HTML only. Services also search the finished text for mentions, references,
addresses and emoji, but not inside code; elsewhere a zero-width space breaks these up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from policy_engine.authoring.problem_formats.contents import Contents, Entry
from policy_engine.core.safe_text import plain

MOST_BYTES = 800_000
"""Most bytes of a summary: GitHub shows none above one mebibyte."""
_LONGEST = 500
_NAME = re.compile(r"`([^`]*)`")
# A mention, a reference to a thread, `:emoji:` and `https://`, `www.`; but not the colons of a time of day.
_SPECIAL = re.compile(r"[@#]|(?:(?<!\d):|:(?!\d))(?=\S)|www(?=\.)", re.IGNORECASE)


def write(contents: Contents) -> str:
    """A headline with the counts, a table of the problems, the accepted ones, and what was checked."""
    page = _Page(f"## Rules: {contents.headline()}")
    page.block("table", [_row(contents, entry) for entry in _errors_first(contents.open)])
    page.block("ul", [f"<li>{_text(line)}</li>" for line in contents.lines_left_out()])
    if contents.accepted:
        page.heading("Accepted")
        page.block("table", [_row(contents, entry) for entry in _errors_first(entry for entry, _ in contents.accepted)])
    if contents.covered:
        page.heading("What was covered")
        page.block("ul", [f"<li>{_text(line)}</li>" for line in contents.covered])
    return page.text


class _Page:
    """Text that stops at the limit of its length."""

    def __init__(self, headline: str) -> None:
        self.text = f"{headline}\n"

    def heading(self, title: str) -> None:
        """Begin a section."""
        self.text += f"\n### {title}\n"

    def block(self, tag: str, lines: list[str]) -> None:
        """Add an HTML block with one line per row or item, and state how many did not fit."""
        if not lines:
            return
        room = MOST_BYTES - len(self.text.encode("utf-8", "replace"))
        kept = 0
        for line in lines:
            room -= len(line.encode("utf-8", "replace")) + 1
            if room < 0:
                break
            kept += 1
        if kept:
            self.text += "\n".join(["", f"<{tag}>", *lines[:kept], f"</{tag}>", ""])
        if kept < len(lines):
            self.text += (
                f"\n{len(lines) - kept:,} more do not fit here; the formats `text` and `json` have all of them.\n"
            )


def _errors_first(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.problem.severity != "error")


def _row(contents: Contents, entry: Entry) -> str:
    problem = entry.problem
    code = _code(problem.code)
    address = contents.address(entry.documentation)
    if address is not None:
        code = f'<a href="{escape(plain(address, _LONGEST))}">{code}</a>'
    texts = [_text(problem.message)]
    texts += [f"see also {_code(other)}" for other in problem.related]
    texts += [f"<b>witness</b> {_text(problem.witness)}"] if problem.witness else []
    texts += [f"<b>help</b> {_text(problem.help)}"] if problem.help else []
    if entry.acceptance is not None:
        accepted = entry.acceptance
        until = f"until {accepted.expires_on.isoformat()}: {_text(accepted.reason)}"
        texts.append(f"<b>accepted</b> by {_text(accepted.owner)} {until}")
    cells = (problem.severity, code, _code(problem.span) if problem.span else "no file", "<br>".join(texts))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _text(text: str) -> str:
    """A sentence; text in backticks is shown as code."""
    pieces = _NAME.split(plain(text, _LONGEST))
    return "".join(_code(piece) if number % 2 else _prose(piece) for number, piece in enumerate(pieces))


def _code(text: object) -> str:
    # In a log, `##[` would be a command to the runner.
    return f"<code>{escape(plain(text, _LONGEST)).replace('##', '#&#35;')}</code>"


def _prose(text: str) -> str:
    pieces = [escape(piece) for piece in _SPECIAL.sub(r"\g<0>" + "\0", text).split("\0")]
    return "&#8203;".join(pieces)
