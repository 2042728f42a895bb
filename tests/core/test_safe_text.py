"""Text from elsewhere that is safe to show: no text can break what it is put into."""

from __future__ import annotations

import json
import re
from xml.dom import minidom

from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.safe_text import code, encodable, escape, json_text, page_text, plain, visible, xml_text

ANY = st.text(st.characters(exclude_categories=()), max_size=80)
"""Text of all characters, halves of surrogate pairs among them."""


@given(ANY)
def test_what_is_shown_is_one_printable_line(text: str) -> None:
    """
    Nothing that a terminal obeys is left, and text that can be printed is left as it is.
    """
    assert visible(text).isprintable()
    assert plain(text, 200) == visible(text)[:200] or plain(text, 200).endswith("\u2026")
    assert visible(text) == text or not text.isprintable()


def test_long_text_is_cut_visibly() -> None:
    """
    Of text that is longer than allowed an ellipsis is the last character.
    """
    assert plain("x" * 120) == "x" * 120
    assert plain("x" * 121) == "x" * 119 + "\u2026"


@given(ANY)
def test_every_text_can_be_written(text: str) -> None:
    """
    UTF-8 can hold what it could not, and every other character stays.
    """
    written = encodable(text).encode().decode()
    assert [one for one, other in zip(written, text, strict=True) if one != other] == [
        "\ufffd" for character in text if "\ud800" <= character <= "\udfff"
    ]


@given(ANY)
def test_json_is_ascii_or_printable_and_says_the_same(text: str) -> None:
    """
    A document reads back as the text that UTF-8 can hold, and no character of it moves a cursor.
    """
    document = json_text({"text": text})
    assert json.loads(document) == {"text": encodable(text)}
    assert all(line.isprintable() for line in document.split("\n"))


@given(ANY)
def test_xml_can_be_read_back(text: str) -> None:
    """
    A reader of XML takes the text.
    """
    shown = xml_text(text).translate({ord(mark): f"&#{ord(mark)};" for mark in "&<>\r"})
    minidom.parseString(f"<a>{shown}</a>".encode())  # noqa: S318 - a text of our own making


@given(ANY)
def test_page_text_reorders_nothing(text: str) -> None:
    """
    Bidirectional marks, controls and halves of surrogate pairs are shown as their number.
    """
    assert not re.search("[\x00-\x08\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page_text(text))
    assert page_text("a\u202eb") == "a[U+202E]b"


@given(st.text(max_size=80))
def test_text_stays_on_its_line_and_in_its_cell(text: str) -> None:
    """
    No text ends a line, a cell of a table or a stretch of code, and none begins HTML.
    """
    for shown in (escape(text), code(text)):
        assert shown.splitlines() in ([], [shown])
        assert not re.search(r"(?<!\\)(\\\\)*\|", shown)
    assert "<" not in escape(text)
    fence = re.match("`*", code(text))
    assert fence is not None
    if fence[0]:
        inner = code(text)[len(fence[0]) : -len(fence[0])]
        assert fence[0] not in re.findall("`+", inner)
