"""Reads the files of a record: the output, legacy fields beside it, and the URL columns of tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from policy_engine.core.fact_domain import OUTSIDE, FactReader
from policy_engine.core.urls.addresses import is_url, urls_in
from policy_engine.history.decoding import STRICT_ERRORS, NotJson, decode_strictly, decode_values, kind_of
from policy_engine.history.records.batch import FlatFile, Outputs

Report = Callable[[str, str, str], None]
"""Takes the code, the field and what was found there, of a field that could not be read."""

MAX_DEPTH = 64
_LONGEST_BLANK = 1_000


@dataclass(frozen=True)
class StatedFacts:
    """Reads the facts that a row of a table states of its file."""

    reader: FactReader
    service: str | None
    """Service of the row's task; without one the values of all services are known."""
    report: Report

    def read(self, fact: str, stated: object) -> str | None:
        """The value that is meant; None where nothing is stated, OUTSIDE where the fact cannot be that, a problem."""
        value = self.reader.read(fact, stated, self.service)
        if value == OUTSIDE:
            self.report(f"unreadable_{fact}", fact, kind_of(stated))
        return value


def read_output(record: Mapping[str, Any], legacy: tuple[str, ...], report: Report) -> object:
    """
    The output of a task object or row as decoded; Outputs where it has several parts; None when it carries none.

    `legacy` names the fields in which older shapes keep their files.
    """
    output = record.get("output")
    if type(output) is str:
        output = _decode_text(output, report)
    elif output:
        output = _without_depths(output)
    url = record.get("url")
    parts: list[Any] = [output] if output else []
    beside = None
    for name in legacy:
        if record.get(name):
            value = record[name]
            value = _decode_text(value, report) if type(value) is str else _without_depths(value)
            beside = {**(beside or {}), name: value}
    if beside is not None:
        parts.append(beside)
    if type(url) is str and is_url(url):
        parts.append(FlatFile(url, None, None, None, None))
    return None if not parts else parts[0] if len(parts) == 1 else Outputs(parts)


def decode_output(text: bytes) -> Any:
    """An output as a plain record holds it: bytes of an object, a list or null that are known to be JSON."""
    if len(text) <= _LONGEST_BLANK and b"://" not in text:
        return _decode_blank(text)
    return _decode_plain(text)


def _decode_plain(text: bytes) -> Any:
    try:
        return _without_depths(decode_strictly(text))
    except STRICT_ERRORS:
        # Numbers beyond what the strict decoder takes.
        return _without_depths(decode_values(text)[0][1])


# Services write the same blanks for every task that has no file.
_decode_blank = lru_cache(maxsize=1024)(_decode_plain)


def read_flat_output(row: Mapping[str, Any], facts: StatedFacts) -> object:
    """The output of a table's row: a FlatFile, the whole output where the row holds it, Outputs, or None."""
    report = facts.report
    parts: list[Any] = []
    name = None
    urls = _urls_of(row.get("url"), report)
    output = row.get("output")
    if type(output) is str:
        text = output.strip()
        if text[:1] in ("{", "["):
            parts.append(_decode_text(text, report))
        elif is_url(text):
            urls.append(text)
        else:
            name = text or None
    elif isinstance(output, (dict, list)) and output:
        parts.append(_without_depths(output))
    if urls:
        known = _facts(row.get("media"), row.get("role"), row.get("watermarked"), facts)
        parts += [FlatFile(url, name, *known) for url in urls]
    return None if not parts else parts[0] if len(parts) == 1 else Outputs(parts)


def read_facts(
    output: object, media: object, role: object, watermarked: object, facts: StatedFacts
) -> tuple[str | None, str | None, str | None, str | None] | None:
    """The fields of a FlatFile beside its address, of a row that names its output; None where `output` is more."""
    text = output.strip() if type(output) is str else ""
    if (output is not None and type(output) is not str) or text[:1] in ("{", "[") or is_url(text):
        return None
    return text or None, *_facts(media, role, watermarked, facts)


def _facts(
    media: object, role: object, watermarked: object, facts: StatedFacts
) -> tuple[str | None, str | None, str | None]:
    return facts.read("media", media), facts.read("role", role), facts.read("watermarked", watermarked) or None


def _urls_of(value: object, report: Report) -> list[str]:
    """The addresses in a cell: one as a rule; several divided by white space, or a list."""
    if value is None or value == "":
        return []
    cell = _decode_text(value.strip(), report) if type(value) is str else value
    texts = cell if isinstance(cell, list) else [cell]
    urls = [url for text in texts if type(text) is str for url in urls_in(text, is_address=True)]
    if not urls and cell:
        report("unreadable_url", "url", kind_of(value))
    return urls


def _decode_text(text: str, report: Report) -> Any:
    """JSON within a text, decoded; any other text as it stands."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        values = decode_values(text.encode("utf-8", "replace"))
    except NotJson:
        report("unreadable_output", "output", kind_of(text))
        return text
    value = values[0][1] if len(values) == 1 else [one for _, one in values]
    return _without_depths(value)


def is_too_deep(value: Any) -> bool:
    """True for objects and lists nested beyond all reason, which no later step should have to walk down."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below = []
        for one in level:
            for child in one.values() if type(one) is dict else one if type(one) is list else ():
                kind = type(child)
                if kind is dict or kind is list:
                    below.append(child)
        if not below:
            return False
        level = below
    return True


def _without_depths(value: Any) -> Any:
    """The value itself; where it is nested too deeply, each part below the limit as the list of its addresses."""
    return _cut(value, MAX_DEPTH) if is_too_deep(value) else value


def _cut(value: Any, depth: int) -> Any:
    if type(value) is dict:
        return {key: _cut(one, depth - 1) for key, one in value.items()} if depth else _all_urls(value)
    if type(value) is list:
        return [_cut(one, depth - 1) for one in value] if depth else _all_urls(value)
    return value


def _all_urls(value: Any) -> list[str]:
    found: list[str] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            found += urls_in(one)
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return sorted(found)
