"""Turns the rows of the page into the data block that its script reads: columns, each word written once."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from policy_engine.core.periods import NAT, SECOND
from policy_engine.core.safe_text import page_text
from policy_engine.core.vocabulary import EVIDENCE_WORDS, REASONS, VERDICTS, WINDOW_WORDS
from policy_engine.report.files import FINDINGS
from policy_engine.report.model import FileColumn, ReportModel, RuleLine

LONGEST_TEXT = 2000
"""Characters of one text that the page shows; longer ones are cut in the middle, visibly. The CSV holds all."""

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
_LINK = re.compile(r"https?://[!#-&(-;=?-~]+", re.IGNORECASE)


def showable(text: str) -> str:
    """Text from outside made fit to be shown: not longer than the page can bear, nothing invisible."""
    if len(text) > LONGEST_TEXT:
        cut = len(text) - LONGEST_TEXT
        text = f"{text[: LONGEST_TEXT - 100]} … [{cut:,} characters not shown] … {text[-100:]}"
    return page_text(text)


def is_link(url: str) -> bool:
    """True when a URL may become a link: http or https, plain ASCII without quotes, and shown whole."""
    return len(url) <= LONGEST_TEXT and _LINK.fullmatch(url) is not None


def page_data(model: ReportModel) -> str:
    """The data block as JSON that is safe inside a script element."""
    files = model.files
    data = {
        "asOf": files.as_of // SECOND,
        "fraction": files.as_of % SECOND,
        "count": files.count,
        "total": model.total.assets,
        "columns": {column.name: _encode(column, files.as_of) for column in files.columns},
        "verdicts": [
            {
                "code": line.verdict,
                "title": showable(line.title),
                "explanation": showable(line.explanation),
                "total": line.amount.assets,
                "count": count,
                "csv": line.csv or FINDINGS,
            }
            for line, count in zip(model.verdicts, files.by_verdict, strict=True)
            if line.verdict in VERDICTS
        ],
        "services": {showable(line.service): showable(line.title) for line in model.services},
        "rules": {f"{showable(rule.rule_id)} v{rule.version}": _rule(rule) for rule in model.rules},
        "reasons": REASONS,
        "evidence": EVIDENCE_WORDS,
        "windows": WINDOW_WORDS,
    }
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A script element ends at `</script`, and `<!--` changes how its text is read: no `<` is written as itself.
    return text.replace("<", "\\u003c")


def _encode(column: FileColumn, as_of: int) -> dict[str, Any]:
    """A column in the shortest of a few forms; report.js reads them back."""
    if column.kind == "instant":
        return _encode_instants(column.cells, as_of)
    if column.kind == "number":
        return {"numbers": column.cells}
    texts = [showable(text) for text in column.cells]
    return _encode_words(texts) if len(set(texts)) * 2 <= len(texts) else {"texts": texts}


def _encode_words(texts: Sequence[str]) -> dict[str, Any]:
    """Each distinct word once, and its index for every row: one character where there are few words."""
    words = list(dict.fromkeys(texts))
    indices = {word: index for index, word in enumerate(words)}
    codes = [indices[text] for text in texts]
    if len(words) <= len(_DIGITS):
        return {"words": words, "codes": "".join([_DIGITS[code] for code in codes])}
    return {"words": words, "codes": codes}


def _encode_instants(values: Sequence[int], as_of: int) -> dict[str, Any]:
    """Whole seconds from as_of's and, where there are any, the nanoseconds beyond: a double cannot hold both."""
    start = as_of // SECOND
    seconds = [None if ns == NAT else ns // SECOND - start for ns in values]
    fractions = [0 if ns == NAT else ns % SECOND for ns in values]
    return {"seconds": seconds, "fractions": fractions} if any(fractions) else {"seconds": seconds}


def _rule(rule: RuleLine) -> dict[str, str]:
    return {
        "title": showable(rule.title),
        "kept": showable(rule.kept),
        "operations": showable(rule.operations),
        "from": showable(rule.in_force_from),
        "basis": showable(rule.basis),
        "source": showable(rule.source_title),
        "url": rule.source_url if is_link(rule.source_url) else "",
        "section": showable(rule.section),
        "read": showable(rule.retrieved_on),
    }
