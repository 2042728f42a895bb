"""Writes findings as an Excel workbook, a sheet for each verdict: typed cells, no formula, no link, no clock."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from policy_engine.core.files.sorted_lines import SortedLines
from policy_engine.core.frames import nanoseconds
from policy_engine.core.periods import DAY, NAT
from policy_engine.core.safe_text import xml_text
from policy_engine.core.text.csv_cells import format_times
from policy_engine.core.vocabulary import FINDING_COLUMNS, QUARANTINE_COLUMNS, TIME_COLUMNS, VERDICTS
from policy_engine.report.files import FINDINGS
from policy_engine.report.model import ReportModel

MAX_ROWS = 1_048_576
"""Rows of one sheet that Excel can hold, the header among them."""
_LONGEST = 32_767
_EPOCH = 25_569
"""Days from Excel's day 0 to 1970."""
_FIRST_SERIAL = 61
"""1 March 1900: before it Excel counts a day that did not exist."""
_WHOLE = 10**15
"""From here on Excel does not keep every digit of a whole number."""
_TIME_FORMAT = "yyyy-mm-dd hh:mm:ss"
_WIDTHS = {"asset_id": 48, "task_id": 38, "url": 48, "source": 28, "reason": 24, "url_host": 26}
_NO_CLOCK = datetime(2000, 1, 1)  # noqa: DTZ001 - written as it is; a workbook has no zones
_UTC_NOTE = f"Times are UTC, since Excel has no time zones, and cut to the millisecond; {FINDINGS} has nanoseconds."

Cell = str | int | float | bool | None


class Writer:
    """Takes chunks of findings; `finish` writes what is known only then. Memory does not grow with the rows."""

    def __init__(self, path: Path, scratch: Path, max_rows: int = MAX_ROWS) -> None:
        """`scratch` is a folder for parts of the workbook while it is made."""
        import xlsxwriter

        self._path, self._max_rows = path, max_rows
        self._book = xlsxwriter.Workbook(str(path), {
            "constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
            "strings_to_numbers": False, "tmpdir": str(scratch), "use_zip64": True,
        })  # fmt: skip
        self._book.set_properties({"created": _NO_CLOCK})
        self._bold = self._book.add_format({"bold": True})
        self._head = self._book.add_format({"bold": True, "bottom": 1})
        self._time = self._book.add_format({"num_format": _TIME_FORMAT})
        self._cut = 0
        self._summary = self._book.add_worksheet("summary")
        heads = [f"{name} (UTC)" if name in TIME_COLUMNS else name for name in FINDING_COLUMNS]
        times = {index for index, name in enumerate(FINDING_COLUMNS) if name in TIME_COLUMNS}
        widths = [20 if name in TIME_COLUMNS else _WIDTHS.get(name, 16) for name in FINDING_COLUMNS]
        self._sheets = {str(verdict): _Table(self, str(verdict), heads, widths, times) for verdict in VERDICTS}
        self._rules = _Table(self, "rules", _RULE_HEADS, [28, 8, 36, 60, 14, 16, 40, 22, 12, 36, 24, 14, 10])
        self._quarantine = _Table(self, "quarantine", list(QUARANTINE_COLUMNS), [48, 24, 60, 48])
        # The rows at risk are listed by deadline, which is known when all have been seen.
        self._spool_path = scratch / "at_risk.rows"
        self._spool = self._spool_path.open("wb")
        self._at_risk = SortedLines()

    def take(self, findings: pd.DataFrame) -> None:
        """Write a chunk of findings, each row on the sheet of its verdict."""
        columns = [self._column(findings[name], name) for name in FINDING_COLUMNS]
        rows = list(zip(*columns, strict=True))
        verdicts = findings["verdict"].astype(str).tolist()
        for verdict, row in zip(verdicts, rows, strict=True):
            if verdict != "at_risk":
                self._sheets[verdict].add(row)
        at_risk = [index for index, verdict in enumerate(verdicts) if verdict == "at_risk"]
        lines = [json.dumps(rows[index]).encode() + b"\n" for index in at_risk]
        sizes = np.fromiter(map(len, lines), np.int64, len(lines))
        starts = self._spool.tell() + np.cumsum(sizes) - sizes
        self._at_risk.add(nanoseconds(findings["expires_earliest"])[at_risk], starts, sizes)
        self._spool.write(b"".join(lines))

    def finish(self, model: ReportModel, quarantine: pd.DataFrame) -> None:
        """Write the rest and close the file."""
        self._spool.close()
        ordered = self._spool_path.with_suffix(".sorted")
        with ordered.open("wb") as stream:
            self._at_risk.copy(self._spool_path, stream)
        with ordered.open("rb") as lines:
            for line in lines:
                self._sheets["at_risk"].add(json.loads(line))
        for row in _rule_rows(model):
            self._rules.add([self.text(value) if isinstance(value, str) else value for value in row])
        for values in quarantine.astype(object).itertuples(index=False):
            self._quarantine.add([self.text(str(value)) for value in values])
        tables = [*self._sheets.values(), self._rules, self._quarantine]
        for table in tables:
            table.finish()
        self._write_summary(model, tables)
        self._book.close()
        self._spool_path.unlink()
        ordered.unlink()
        _without_system(self._path)

    def abandon(self) -> None:
        """Close what is still open, whether the workbook was finished or not."""
        self._spool.close()
        for sheet in self._book.worksheets():
            stream = getattr(sheet, "row_data_fh", None)
            if stream is not None:
                stream.close()

    def text(self, value: str) -> str:
        """Text that a cell can hold: nothing that XML forbids, and what is too long is cut, visibly."""
        value = xml_text(value)
        if len(value.encode("utf-16-le", "replace")) // 2 > _LONGEST:
            self._cut += 1
            value = value.encode("utf-16-le")[: 2 * (_LONGEST - 1)].decode("utf-16-le", "ignore") + "\u2026"
        return value

    def _column(self, column: pd.Series[Any], name: str) -> list[Cell]:
        if name in TIME_COLUMNS:
            return _serials(column)
        cells: list[Cell] = []
        for value in column.astype(object).tolist():
            if value is None or value is pd.NA or value != value:
                cells.append(None)
            elif isinstance(value, str):
                cells.append(self.text(value))
            elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _WHOLE:
                cells.append(str(value))
            else:
                cells.append(value)
        return cells

    def _write_summary(self, model: ReportModel, tables: Iterable[_Table]) -> None:
        sheet, row = self._summary, 0
        sheet.set_column(0, 0, 30)
        sheet.set_column(1, 3, 20)

        def write(*cells: Cell, bold: bool = False) -> None:
            nonlocal row
            for index, cell in enumerate(cells):
                _put(
                    sheet, row, index, self.text(cell) if isinstance(cell, str) else cell, self._bold if bold else None
                )
            row += 1

        write(model.title, bold=True)
        write("as_of", model.as_of)
        if model.local is not None:
            write(f"as_of in {model.local.zone}", model.local.as_of)
        write("horizon", model.horizon)
        write("note", _UTC_NOTE)
        write("note", model.money_basis)
        write()
        write("verdict", "files", "points", "USD", bold=True)
        for line in model.verdicts:
            write(line.verdict, line.amount.assets, line.amount.points, float(line.amount.cost_usd))
        write("total", model.total.assets, model.total.points, float(model.total.cost_usd), bold=True)
        without, both = model.without_assets, model.grand_total
        write("tasks without files", without.assets, without.points, float(without.cost_usd))
        write("history", both.assets, both.points, float(both.cost_usd))
        write()
        write("beside the verdicts", "files", "points", "USD", bold=True)
        marks = model.marks
        for label, amount in (
            ("possibly past (of at_risk)", model.possibly_past), ("archived", marks.archived),
            ("exempted", marks.exempted), ("save now", marks.save_now),
        ):  # fmt: skip
            write(label, amount.assets, amount.points, float(amount.cost_usd))
        write()
        write("reading", "count", bold=True)
        reading = model.reading
        for label, count in (
            ("records", reading.records), ("tasks", reading.tasks), ("merged", reading.merged),
            ("quarantined", reading.quarantined), ("tasks with files", reading.tasks_with_assets),
            ("tasks without files", reading.tasks_without_assets),
        ):  # fmt: skip
            write(label, count)
        write()
        write("sheet", "rows", "on sheets", bold=True)
        for table in tables:
            write(table.name, table.rows, ", ".join(table.names))
        if any(len(table.names) > 1 for table in tables):
            write("note", f"An Excel sheet holds {self._max_rows:,} rows; longer tables continue on further sheets.")
        if self._cut:
            write(
                "note", f"{self._cut:,} texts are longer than a cell can be and are cut; {FINDINGS} has them in full."
            )
        for notice in model.warnings:
            write("warning", notice.text)


class _Table:
    """Rows on a sheet, and on further ones where Excel's limit is met."""

    def __init__(
        self,
        writer: Writer,
        name: str,
        heads: Sequence[str],
        widths: Sequence[int],
        times: set[int] | None = None,
    ) -> None:
        self.name, self.rows = name, 0
        self.names: list[str] = []
        self._writer, self._heads, self._widths, self._times = writer, heads, widths, times or set()
        self._row = 0
        self._sheet: Any = None
        self._open()

    def _open(self) -> None:
        name = self.name if not self.names else f"{self.name} ({len(self.names) + 1})"
        self.names.append(name)
        self._sheet = self._writer._book.add_worksheet(name)
        self._sheet.freeze_panes(1, 0)
        for index, (head, width) in enumerate(zip(self._heads, self._widths, strict=True)):
            self._sheet.set_column(index, index, width)
            self._sheet.write_string(0, index, head, self._writer._head)
        self._row = 1

    def add(self, cells: Sequence[Cell]) -> None:
        if self._row >= self._writer._max_rows:
            self._close()
            self._open()
        for index, cell in enumerate(cells):
            _put(self._sheet, self._row, index, cell, self._writer._time if index in self._times else None)
        self._row += 1
        self.rows += 1

    def _close(self) -> None:
        self._sheet.autofilter(0, 0, self._row - 1, len(self._heads) - 1)

    def finish(self) -> None:
        self._close()


def _put(sheet: Any, row: int, column: int, cell: Cell, form: Any) -> None:
    """A cell of the kind of its value: nothing is guessed from a text."""
    if cell is None:
        return
    if isinstance(cell, str):
        done = sheet.write_string(row, column, cell, None if form is None or form.num_format == _TIME_FORMAT else form)
    elif isinstance(cell, bool):
        done = sheet.write_boolean(row, column, cell)
    else:
        done = sheet.write_number(row, column, cell, form)
    if done:
        raise RuntimeError(f"the workbook refused row {row}, column {column} with {done}")


def _serials(column: pd.Series[Any]) -> list[Cell]:
    """Excel's days, cut to the millisecond so that no deadline reads later than it is; text where it has no day."""
    ns = nanoseconds(column)
    days = (ns // 1_000_000) * 1_000_000 / DAY + _EPOCH
    cells: list[Cell] = [
        None if instant == NAT else day for instant, day in zip(ns.tolist(), days.tolist(), strict=True)
    ]
    for index in np.flatnonzero((ns != NAT) & (days < _FIRST_SERIAL)).tolist():
        cells[index] = format_times(ns[index : index + 1])[0]
    return cells


_RULE_HEADS = [
    "rule", "version", "title", "applies to", "storage", "kept", "operations", "in force from", "basis",
    "source", "section", "retrieved on", "files",
]  # fmt: skip


def _rule_rows(model: ReportModel) -> Iterable[Sequence[Cell]]:
    for line in model.rules:
        yield (
            line.rule_id, line.version, line.title, line.applies_to, line.storage, line.kept, line.operations,
            line.in_force_from, line.basis, line.source_title, line.section, line.retrieved_on, line.assets,
        )  # fmt: skip
    for house in model.marks.house_rules:
        yield (
            house.rule_id, house.version, house.title, house.applies_to, "", house.says, "",
            house.in_force_from, "internal", house.source, house.section, house.retrieved_on,
        )  # fmt: skip


def _without_system(path: Path) -> None:
    """Overwrite what the archive's directory says about the writing system: its kind and the modes of its files."""
    import zipfile

    with zipfile.ZipFile(path) as archive:
        start, count = archive.start_dir, len(archive.infolist())
    with path.open("r+b") as stream:
        position = start
        for _ in range(count):
            stream.seek(position)
            head = stream.read(46)
            if head[:4] != b"PK\x01\x02":
                raise RuntimeError("the workbook's directory is not where it should be")
            stream.seek(position + 5)
            stream.write(b"\x03")
            stream.seek(position + 38)
            stream.write(struct.pack("<L", 0o100644 << 16))
            position += 46 + sum(struct.unpack("<HHH", head[28:34]))
