"""Turns values into JSON files that people may look at: readable, and nothing in it that a terminal would obey."""

from __future__ import annotations

import json
import re
from typing import Any

_HALF_PAIR = re.compile("[\ud800-\udfff]")
_NOT_ASCII = re.compile("[^\x00-\x7e]")


def json_text(value: Any) -> str:
    """
    A JSON document with its line end; the same value gives the same bytes anywhere.

    Letters of all scripts stay as they are; what cannot be printed is an escape of JSON, and half of a surrogate pair,
    as an export may carry it and UTF-8 cannot, is U+FFFD.
    """
    text = _HALF_PAIR.sub("\ufffd", json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
    return _NOT_ASCII.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text) + "\n"
