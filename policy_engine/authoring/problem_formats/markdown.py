"""
Writes problems as Markdown for the summary of a job, or for a comment.

The tables are HTML, which Markdown leaves alone up to an empty line: so text of rule files and names of files are never
read as Markdown, and need to be escaped for HTML only. What services look for in the finished text (mentions,
references, addresses, signs) they leave alone within code; elsewhere a zero-width space breaks it.
"""

from __future__ import annotations

import re
from html import escape

from policy_engine.authoring.problem_formats.contents import Contents, Entry
from policy_engine.core.safe_text import plain

MOST_BYTES = 800_000
"""Length of a summary: GitHub shows none above one mebibyte."""
_LONGEST = 500
_NAME = re.compile(r"`([^`]*)`")
# A mention, a reference to a thread, `:sign:` and `https://`, `www.`; but not the colons of a time of day.
_SPECIAL = re.compile(r"[@#]|(?:(?<!\d):|:(?!\d))(?=\S)|www(?=\.)", re.IGNORECASE)


def to_markdown(contents: Contents) -> str:
    """A headline with the counts, a table of the problems, those accepted, and what was looked at."""
    page = _Page(f"## Rules: {contents.headline()}")
    page.block("table", [_row(contents, entry) for entry in _gravest_first(contents.open)])
    page.block("ul", [f"<li>{_text(line)}</li>" for line in contents.lines_left_out()])
    if contents.accepted:
        page.heading("Accepted")
        page.block("table", [_row(contents, entry) for entry in _gravest_first(contents.accepted)])
    if contents.covered:
        page.heading("What was covered")
        page.block("ul", [f"<li>{_text(line)}</li>" for line in contents.covered])
    return page.text


class _Page:
    """Lines that stop where there is no room for more."""

    def __init__(self, headline: str) -> None:
        self.text = f"{headline}\n"

    def heading(self, title: str) -> None:
        """Begin a part."""
        self.text += f"\n### {title}\n"

    def block(self, tag: str, lines: list[str]) -> None:
        """Add an HTML block with a line for each row or point, and say how many found no room."""
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
            self.text += f"\n{len(lines) - kept:,} more found no room here; the formats `text` and `json` have all.\n"


def _gravest_first(entries: tuple[Entry, ...]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.problem.severity != "error")


def _row(contents: Contents, entry: Entry) -> str:
    problem = entry.problem
    code = _code(problem.code)
    address = contents.address(entry.documentation)
    if address is not None:
        code = f'<a href="{escape(plain(address, _LONGEST))}">{code}</a>'
    told = [_text(problem.message)]
    told += [f"see also {_code(other)}" for other in problem.related]
    told += [f"<b>witness</b> {_text(problem.witness)}"] if problem.witness else []
    told += [f"<b>help</b> {_text(problem.help)}"] if problem.help else []
    if entry.acceptance is not None:
        one = entry.acceptance
        told.append(
            f"<b>accepted</b> by {_text(one.owner)} until {one.expires_on.isoformat()}, since {_text(one.reason)}"
        )
    cells = (problem.severity, code, _code(problem.span) if problem.span else "no file", "<br>".join(told))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _text(text: str) -> str:
    """A sentence; what stands in backticks is shown as code."""
    pieces = _NAME.split(plain(text, _LONGEST))
    return "".join(_code(piece) if number % 2 else _prose(piece) for number, piece in enumerate(pieces))


def _code(text: object) -> str:
    # In a log two signs and a bracket would be an order to the program that runs the job.
    return f"<code>{escape(plain(text, _LONGEST)).replace('##', '#&#35;')}</code>"


def _prose(text: str) -> str:
    pieces = [escape(piece) for piece in _SPECIAL.sub(r"\g<0>" + "\0", text).split("\0")]
    return "&#8203;".join(pieces)
