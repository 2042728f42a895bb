"""Makes text from elsewhere safe to show: on a terminal, on a page, in JSON, in XML, in Markdown."""

from __future__ import annotations

import json
import re
from typing import Any

_HALF_PAIR = re.compile("[\ud800-\udfff]")
_NOT_ASCII = re.compile("[^\x00-\x7e]")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# Controls, bidirectional marks and halves of surrogate pairs, which could reorder their surroundings or break the
# encoding of the page.
_NOT_ON_A_PAGE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_MARKUP = re.compile(r"[\\`*_\[\]|~#$]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MENTION = re.compile(r"(?<=@)(?=\w)|(?<=#)(?=\w)|(?<=www)(?=\.)|(?<=[a-z])(?=://)", re.IGNORECASE)
_LONGEST, _LONGEST_CODE = 1_000, 200
"""Characters of a text and of a name in Markdown."""
_NO_BREAK = "\u2060"
"""Word joiner: invisible, and enough that no address, mention or number becomes a link."""


def visible(text: str) -> str:
    """One line of text in which characters that cannot be printed are visible escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def plain(text: object, limit: int = 120) -> str:
    """
    Make text from an input safe to show on a terminal or in a log: control, bidirectional and line-break
    characters become visible escapes, and long text is cut.
    """
    shown = visible(str(text)[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "\u2026"


def encodable(text: str) -> str:
    """Text that UTF-8 can hold: half of a surrogate pair, as an export may carry it, becomes U+FFFD."""
    return _HALF_PAIR.sub("\ufffd", text)


def xml_text(text: str) -> str:
    """Text that XML can hold: what it forbids becomes U+FFFD."""
    return _NOT_XML.sub("\ufffd", text)


def page_text(text: str) -> str:
    """Text for a page: controls, bidirectional marks and halves of surrogate pairs are shown as their number."""
    return _NOT_ON_A_PAGE.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)


def json_text(value: Any) -> str:
    """
    A JSON document with its line end; the same value gives the same bytes anywhere.

    Letters of all scripts stay as they are; what cannot be printed is an escape of JSON, and half of a surrogate pair
    is U+FFFD.
    """
    text = encodable(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
    return _NOT_ASCII.sub(lambda match: match[0] if match[0].isprintable() else json.dumps(match[0])[1:-1], text) + "\n"


def escape(text: str) -> str:
    """Text on one line that Markdown shows as it is: no markup, no HTML, no link, no mention."""
    shown = _MENTION.sub(_NO_BREAK, plain(text, _LONGEST))
    shown = "".join(_ENTITIES.get(character, character) for character in shown)
    return _MARKUP.sub(lambda match: "\\" + match[0], shown).strip()


def code(text: str) -> str:
    """A short name as code in Markdown; also in a table."""
    shown = plain(text, _LONGEST_CODE).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}" if shown.strip() else "(empty)"
