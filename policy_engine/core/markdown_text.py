"""Turns text from exports and rules into Markdown that shows it as it stands."""

from __future__ import annotations

import re

from policy_engine.core.problems import plain

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
