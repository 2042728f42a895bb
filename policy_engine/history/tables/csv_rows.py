"""Cuts a CSV text into rows with their line numbers, so that a stray quotation mark costs one row and not the rest."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from policy_engine.history.tables.csv_blocks import divide
from policy_engine.history.tables.csv_text import TableText

_DELIMITERS = ",;\t"
_NAMED_DELIMITER = re.compile(r'"?sep=([,;\t|])"?', re.IGNORECASE)
_LONGEST_HEADER = 50
"""Lines."""


@dataclass(frozen=True)
class Row:
    """A row of a table, or lines that are not a row."""

    line: int
    """Its first line, from 1."""
    fields: list[str] | None
    """None when the lines cannot be read as CSV."""
    defect: str = ""


class CsvLines:
    """The lines of a table, each held until its row is known to be whole."""

    def __init__(self, text: TableText, first_line: int = 1, delimiter: str = "") -> None:
        """Without a delimiter the text must begin with the header, which shows it."""
        self._text = text
        self._again: deque[str] = deque()
        self._taken: list[str] = []
        self._line = first_line - 1
        self.delimiter = delimiter

    @property
    def line(self) -> int:
        """Number of the last line that was served."""
        return self._line

    def plain_columns(
        self, width: int, indices: Sequence[int], are_well: Callable[[list[list[str]]], bool]
    ) -> list[list[str]] | None:
        """
        The fields at some indices of the next rows, a list per index, where a block leaves nothing to interpret.

        None where it does, where the caller does not find the fields well, and at the end: the same lines then come
        from `plain_rows` or `rows`.
        """
        if self._again or not self.delimiter:
            return None
        text = self._text.block()
        columns = divide(text, self.delimiter, width, indices)
        if columns is None or not are_well(columns):
            self._text.take_back(text)
            return None
        self._line += len(columns[0])
        return columns

    def plain_rows(self) -> list[list[str]] | None:
        """
        The next rows where each line of a block is a row of its own, empty ones included; an empty list at the end.

        None where that is not so, or cannot be known: the same lines then come from `rows`. The two agree, since the
        same parser divides the fields: as many rows as lines means that each has one line. Row by row, a table whose
        cells hold JSON takes half as long again, and could not be read in parts.
        """
        if self._again or not self.delimiter:
            return None
        text = self._text.block()
        if not text.strip("\r\n"):
            count = text.count("\n") + text.count("\r") - text.count("\r\n")
            self._line += count
            return [[]] * count
        if "\r" in text and text.count("\r") != text.count("\r\n"):
            self._text.take_back(text)
            return None
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        try:
            rows = list(csv.reader(lines, delimiter=self.delimiter, strict=True, skipinitialspace=True))
        except csv.Error:
            rows = []
        if len(rows) != len(lines):
            self._text.take_back(text)
            return None
        self._line += len(lines)
        return rows

    def rows(
        self,
        width: int | None = None,
        is_plausible: Callable[[Sequence[str]], bool] | None = None,
        only_block: bool = False,
    ) -> Iterator[Row]:
        """
        The rows from here on, or of the block begun; rows of empty fields are left out.

        A caller may stop after the header and come again. A quotation mark that nobody closed swallows the lines below
        it. A row of several lines that is not `width` fields wide is therefore taken apart: its first line is the
        defect, and each line below it that is a complete and plausible row is taken as one.
        """
        if not self.delimiter:
            self._choose_delimiter()
        strict = self._reader()
        taken = self._taken
        is_begun = False
        while not (only_block and is_begun and not self._again and self._text.is_between_blocks):
            is_begun = True
            taken.clear()
            defect = ""
            fields: list[str] | None = None
            try:
                fields = next(strict)
            except StopIteration:
                return
            except csv.Error as error:
                defect = str(error)
                # A single line may still be what a spreadsheet would make of it.
                fields = self._leniently(taken[0]) if len(taken) == 1 else None
            first = self._line - len(taken) + 1
            if fields is None or (len(taken) > 1 and len(fields) != width and width is not None):
                yield Row(first, fields, defect)
                yield from self._rescue(first, width, is_plausible, bool(defect))
                strict = self._reader()
            elif any(fields):
                yield Row(first, fields)

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._lines(), delimiter=self.delimiter, strict=True, skipinitialspace=True)

    def _lines(self) -> Iterator[str]:
        again, taken, next_line = self._again, self._taken, self._text.readline
        while True:
            line = again.popleft() if again else next_line()
            if not line:
                return
            self._line += 1
            taken.append(line)
            yield line

    def _choose_delimiter(self) -> None:
        """Read the header, whose titles may hold line breaks, and take the delimiter that occurs most often in it."""
        header = ""
        while line := self._text.readline():
            if not header.strip() and (named := _NAMED_DELIMITER.fullmatch(line.strip("\r\n "))):
                # Spreadsheets write this line before the header.
                self._line += len(self._again) + 1
                self._again.clear()
                self.delimiter = named.group(1)
                return
            self._again.append(line)
            header += line
            if header.strip() and (header.count('"') % 2 == 0 or len(self._again) > _LONGEST_HEADER):
                break
        self.delimiter = max(_DELIMITERS, key=header.count)

    def _rescue(
        self, first: int, width: int | None, is_plausible: Callable[[Sequence[str]], bool] | None, is_defective: bool
    ) -> Iterator[Row]:
        """Rows among the lines that a row swallowed below its first."""
        swallowed = self._taken[1:]
        if is_defective and swallowed:
            # What looked like the end of the field was the beginning of one: a row starts here, and may go on below.
            self._again.appendleft(swallowed.pop())
            self._line -= 1
        for line, text in enumerate(swallowed, first + 1):
            # With an odd number of quotation marks it is the end of a field, not a row.
            fields = self._leniently(text) if text.count('"') % 2 == 0 else None
            if fields is not None and len(fields) == width and is_plausible is not None and is_plausible(fields):
                yield Row(line, fields)

    def _leniently(self, line: str) -> list[str] | None:
        try:
            return next(csv.reader([line], delimiter=self.delimiter, skipinitialspace=True), [])
        except csv.Error:
            return None
