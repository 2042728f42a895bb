"""Makes text from elsewhere safe to show: on a terminal, in JSON, in Markdown."""

from __future__ import annotations

import json
import re
from typing import Any


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


_HALF_PAIR = re.compile("[\ud800-\udfff]")


def without_half_pairs(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which exports may carry and UTF-8 cannot."""
    return _HALF_PAIR.sub("\ufffd", text)


_NOT_ASCII = re.compile("[^\x00-\x7e]")


def json_text(value: Any) -> str:
    """
    A JSON document with its line end; the same value gives the same bytes anywhere.

    Letters of all scripts stay as they are; what cannot be printed is an escape of JSON, and half of a surrogate pair
    is U+FFFD.
    """
    text = without_half_pairs(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
    return _NOT_ASCII.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text) + "\n"


_SPECIAL = re.compile(r"[\\`*_\[\]|~#$]")


_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


_MENTION = re.compile(r"(?<=@)(?=\w)|(?<=#)(?=\w)|(?<=www)(?=\.)|(?<=[a-z])(?=://)", re.IGNORECASE)


_LONGEST = 1_000


_NO_BREAK = "\u2060"
"""Word joiner: invisible, and enough that no address, mention or number is made a link of."""


def escape(text: str) -> str:
    """Text on one line that Markdown shows as it stands: no markup, no HTML, no link, nobody called by name."""
    shown = _MENTION.sub(_NO_BREAK, plain(text, _LONGEST))
    shown = "".join(_ENTITIES.get(character, character) for character in shown)
    return _SPECIAL.sub(lambda found: "\\" + found[0], shown).strip()
