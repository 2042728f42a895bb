"""Reads an HTML report the way a person does: its text, its tables, its elements."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "br", "img", "link", "input"}


class Page(HTMLParser):
    """The page as elements in order, its visible text, and its tables by id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element, and open rows and cells of the table it belongs to."""
        element = (tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)
        if tag == "caption":
            self.rows = self.tables.setdefault(element[1]["id"].removesuffix("-caption"), [])
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that closes itself."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Every element is closed in its turn."""
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        """Collect text, and the text of cells."""
        tags = [tag for tag, _ in self.open]
        self.texts.append((tags[-1] if tags else "", data))
        if "td" in tags or "th" in tags:
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        """All text a person can read, in order, with single spaces."""
        return re.sub(r"\s+", " ", "".join(data for tag, data in self.texts if tag not in ("style", "title", "script")))

    @property
    def words(self) -> str:
        """The same with a space wherever an element begins or ends, so that neighbouring cells stay apart."""
        return re.sub(
            r"\s+", " ", " ".join(data for tag, data in self.texts if tag not in ("style", "title", "script"))
        )

    @property
    def data(self) -> Any:
        """What the script of the page reads."""
        return json.loads("".join(data for tag, data in self.texts if tag == "script" and data.startswith('{"asOf"')))

    def column(self, table: str, index: int) -> list[str]:
        """One column of a table without its head, spaces at the ends taken off."""
        return [re.sub(r"\s+", " ", row[index]).strip() for row in self.tables[table][1:]]

    def numbers(self, table: str, index: int) -> list[int]:
        """The same as integers."""
        return [int(cell.replace(",", "")) for cell in self.column(table, index)]
