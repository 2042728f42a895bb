"""Tables of findings: three formats, one content; and Parquet whose bytes tell nothing of how it was made."""

from __future__ import annotations

import csv
import io
import json
import pickle
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from policy_engine.api import evaluate_history
from policy_engine.core.periods import format_instant
from policy_engine.core.problems import UsageProblem
from policy_engine.core.text.csv_cells import neutral
from policy_engine.core.vocabulary import FINDING_COLUMNS, TIME_COLUMNS
from policy_engine.report.formats.findings import WRITERS, writer_for
from tests.support.commands import EXAMPLE
from tests.support.exports import pack

AS_OF = "2026-01-08T00:00:00Z"
HOSTILE = [
    "=cmd()",
    "a\0b",
    'say "no", twice',
    "two\nlines\r\n",
    "\t+1",
    "half \ud800 pair",
    "\x85 \u2028",
    "モデル",
    "",
]
INTEGERS = ("rule_version", "operation_rule_version", "seconds_left", "points")


@pytest.fixture(scope="module")
def chunks() -> list[pd.DataFrame]:
    """The findings of the example, cut into uneven parts."""
    first, second = evaluate_history(EXAMPLE, pack=pack(), as_of=AS_OF)
    return [first.iloc[:1], first.iloc[1:50], first.iloc[50:50], first.iloc[50:], second]


def written(ending: str, chunks: list[pd.DataFrame]) -> bytes:
    """A table as one of the writers makes it."""
    stream = io.BytesIO()
    writer = WRITERS[ending](stream)
    for chunk in chunks:
        writer.write(pickle.loads(pickle.dumps(writer.make(chunk), 5)))  # noqa: S301 - as between processes
    writer.close()
    assert not stream.closed
    return stream.getvalue()


def hostile(chunks: list[pd.DataFrame], column: str) -> pd.DataFrame:
    """Some findings with hostile text in a column."""
    frame = chunks[1].head(len(HOSTILE)).copy()
    frame[column] = pd.Series(HOSTILE, index=frame.index, dtype="object")
    return frame


def values(chunks: list[pd.DataFrame]) -> list[dict[str, Any]]:
    """The findings as plain values: times as RFC 3339, missing as None."""
    rows = []
    for chunk in chunks:
        for row in chunk.itertuples(index=False, name=None):
            cells = dict(zip(chunk.columns, row, strict=True))
            for name, value in cells.items():
                if pd.isna(value):
                    cells[name] = None
                elif isinstance(value, pd.Timestamp):
                    cells[name] = format_instant(value.as_unit("ns").value)
            rows.append(cells)
    return rows


# --- CSV ----------------------------------------------------------------------------------------------------------


def test_csv_holds_the_values_of_the_frame(chunks: list[pd.DataFrame]) -> None:
    """
    The csv module and pandas read from the CSV what the frame holds.
    """
    data = written(".csv", chunks)
    expected = [
        {
            name: "" if value is None else str(value).lower() if isinstance(value, bool) else value
            for name, value in row.items()
        }
        for row in values(chunks)
    ]
    found = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    again = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    assert list(again.columns) == list(FINDING_COLUMNS)
    assert again.to_dict("records") == found
    assert len(found) == len(expected)
    for row, other in zip(found, expected, strict=True):
        for name, value in other.items():
            if isinstance(value, float):
                assert float(row[name]) == value
            else:
                assert row[name] == str(value), name


@pytest.mark.parametrize("column", [name for name in FINDING_COLUMNS if name not in TIME_COLUMNS])
def test_no_column_of_csv_runs(column: str, chunks: list[pd.DataFrame]) -> None:
    """
    Text in any column is neutralised, whatever is in it, and every other cell stays in its column.
    """
    frame = hostile(chunks, column)
    found = list(csv.DictReader(io.StringIO(written(".csv", [frame]).decode(), newline="")))
    assert [row[column] for row in found] == [neutral(text).replace("\ud800", "\ufffd") for text in HOSTILE]
    other = next(name for name in ("asset_id", "task_id") if name != column)
    assert [row[other] for row in found] == frame[other].tolist()


def test_empty_tables_have_a_header(chunks: list[pd.DataFrame]) -> None:
    """
    Without findings CSV is its header, JSON Lines is empty, and Parquet has its columns.
    """
    assert written(".csv", []).decode() == ",".join(FINDING_COLUMNS) + "\n"
    assert written(".jsonl", []) == b""
    assert pq.read_table(io.BytesIO(written(".parquet", []))).column_names == list(FINDING_COLUMNS)


# --- JSON Lines ---------------------------------------------------------------------------------------------------


def test_json_lines_hold_the_values_of_the_frame(chunks: list[pd.DataFrame]) -> None:
    """
    Every line is an object with every column, numbers as numbers, missing as null.
    """
    lines = written(".jsonl", chunks).decode().splitlines()
    assert [json.loads(line) for line in lines] == values(chunks)


@pytest.mark.parametrize("column", ["asset_id", "model", "url"])
def test_json_lines_hold_any_text(column: str, chunks: list[pd.DataFrame]) -> None:
    """
    Text stays as it is, one line per finding for every reader; only half a surrogate pair is replaced.
    """
    lines = written(".jsonl", [hostile(chunks, column)]).decode().splitlines()
    assert [json.loads(line)[column] for line in lines] == [text.replace("\ud800", "\ufffd") for text in HOSTILE]


# --- Parquet ------------------------------------------------------------------------------------------------------


def test_parquet_types(chunks: list[pd.DataFrame]) -> None:
    """
    Times are UTC nanoseconds, counts are int64, money is a double, and words are dictionaries.
    """
    schema = pq.read_schema(io.BytesIO(written(".parquet", chunks)))
    kinds = dict(zip(schema.names, schema.types, strict=True))
    assert {name for name, kind in kinds.items() if kind == pa.timestamp("ns", "UTC")} == set(TIME_COLUMNS)
    assert {name for name, kind in kinds.items() if kind == pa.int64()} == set(INTEGERS)
    assert {name for name, kind in kinds.items() if kind == pa.bool_()} == {"possibly_past", "archived"}
    assert kinds["cost_usd"] == pa.float64()
    assert kinds["url"] == pa.string()
    assert pa.types.is_dictionary(kinds["verdict"])


def test_parquet_holds_the_values_of_the_frame(chunks: list[pd.DataFrame]) -> None:
    """
    Every value of the frame is in the Parquet file, to the nanosecond.
    """
    table = pq.read_table(io.BytesIO(written(".parquet", chunks)))
    found = []
    for row in table.drop_columns(list(TIME_COLUMNS)).to_pylist():
        found.append(row)
    for name in TIME_COLUMNS:
        for row, value in zip(found, table[name].cast(pa.int64()).to_pylist(), strict=True):
            row[name] = None if value is None else format_instant(value)
    assert found == [{name: row[name] for name in found[0]} for row in values(chunks)]


@pytest.mark.parametrize("column", ["asset_id", "model", "url", "source"])
def test_parquet_holds_any_text(column: str, chunks: list[pd.DataFrame]) -> None:
    """
    Text of any kind can be written; only half a surrogate pair is replaced.
    """
    table = pq.read_table(io.BytesIO(written(".parquet", [hostile(chunks, column)])))
    assert table[column].to_pylist() == [text.replace("\ud800", "\ufffd") for text in HOSTILE]


def test_parquet_does_not_tell_how_categories_were_met(chunks: list[pd.DataFrame]) -> None:
    """
    The bytes are the same in whatever order the words of a column were met, and with words that no row uses.
    """
    words = ["flux", "kling", "unused"]
    rows = chunks[1].head(3)
    seen = set()
    for order in permutations(words):
        frame = rows.copy()
        codes = np.array([order.index("kling"), -1, order.index("flux")])
        frame["service"] = pd.Categorical.from_codes(codes, categories=list(order))
        seen.add(written(".parquet", [frame]))
    text = rows.copy()
    text["service"] = pd.Series(["kling", None, "flux"], index=text.index, dtype="str")
    seen.add(written(".parquet", [text]))
    assert len(seen) == 1


# --- choice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "ending"), [("-", ".csv"), ("a/b.CSV", ".csv"), ("x.y.jsonl", ".jsonl"), ("p.parquet", ".parquet")]
)
def test_ending_chooses_the_format(path: str, ending: str) -> None:
    """
    The ending of the file decides, in any case; `-` is CSV.
    """
    assert writer_for(path) is WRITERS[ending]


@pytest.mark.parametrize("path", ["findings", "findings.xlsx", "csv", "findings.csv.gz", str(Path("a.csv") / "b")])
def test_unknown_endings_are_refused(path: str) -> None:
    """
    Any other ending is refused with those that there are.
    """
    with pytest.raises(UsageProblem, match=r"does not end in \.csv, \.parquet or \.jsonl"):
        writer_for(path)
