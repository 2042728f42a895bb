"""Bad input: every defect is a clear problem or a line of the quarantine, never a traceback or a wrong number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.problems import InputUnusable, format_problem
from policy_engine.history import find_sources
from tests.support.commands import JOBS
from tests.support.exports import (
    CLEAN,
    IMAGE,
    as_lines,
    envelope,
    history_row,
    is_printable,
    kling,
    only_problem,
    page,
    read,
    read_records,
    task,
    write,
    write_csv,
    write_json,
    write_lines,
)


def places_in(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything inside a record."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(place for key, one in inner for place in places_in(one, (*here, key)))]


# --- JSON ------------------------------------------------------------------------------------------------


def test_truncated_document_says_where(tmp_path: Path) -> None:
    """A document that ends too early is refused, with the line and the column where it ends."""
    whole = json.dumps([task("a"), task("b")], indent=2)
    cut = whole[: whole.index('"b"') + 3]
    problem = only_problem(write(tmp_path / "a.json", cut))
    lines = cut.split("\n")
    assert problem.code == "not-json"
    assert (problem.span.line, problem.span.column) == (len(lines), len(lines[-1]))  # type: ignore[union-attr]
    assert "ends in the middle" in problem.message


@given(st.data())
def test_no_truncation_is_read_as_a_whole(data: st.DataObject) -> None:
    """Wherever a document is cut, it is refused, or what is left of it is whole."""
    import tempfile

    whole = json.dumps(page([task("a"), task("b")]), indent=1)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with tempfile.TemporaryDirectory() as folder:
        problem = only_problem(write(Path(folder) / "a.json", whole[:cut]))
        assert problem.code == "not-json"


def test_broken_document_says_where(tmp_path: Path) -> None:
    """A stray comma is found at its line and column, counted in characters."""
    problem = only_problem(write(tmp_path / "a.json", '\ufeff[\n  {"task_id": "\u00e9\u00e9",, "model": 1}\n]'))
    assert (problem.span.line, problem.span.column) == (2, 20)  # type: ignore[union-attr]


def test_broken_lines_leave_their_neighbours_alone(tmp_path: Path) -> None:
    """Lines that are no JSON are set aside one by one, and all others are read."""
    broken = [
        "{",
        '{"task_id": "x"',
        "}",
        "plain words",
        '{"task_id": "x",}',
        "[1,",
        '"',
        "nul",
        '{"a":1}}',
        "{'task_id': 'x'}",
    ]
    good = [json.dumps(task(f"g-{number}")) for number in range(len(broken) + 1)]
    lines = [line for pair in zip(good, broken, strict=False) for line in pair] + good[-1:]
    reading = read(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert len(reading.urls) == len(good)
    assert reading.reasons == ["not_json"] * len(broken)
    assert reading.quarantine["source"].tolist() == [f"a.jsonl:{2 * number}" for number in range(1, len(broken) + 1)]


def test_values_that_are_no_records(tmp_path: Path) -> None:
    """Values that are JSON but no task are set aside, and nested lists do not confuse."""
    reading = read_records(
        tmp_path, task(), 7, '"text"', None, True, [[["x"]], task("b")], {"data": "text"}, {"data": 7}
    )
    assert reading.reasons == ["not_an_object"] * 5 + ["no_task_in_envelope"] * 2
    assert reading.totals.tasks.tasks == 2


def test_first_line_is_the_rest_of_a_record(tmp_path: Path) -> None:
    """The end of a longer file begins in the middle of a record; the others are read."""
    lines = as_lines([task("a"), task("b"), task("c")])
    reading = read(write(tmp_path / "tail.jsonl", lines[40:]))
    assert reading.reasons == ["not_json"]
    assert sorted(row["task_id"] for row in reading.rows) == ["b", "c"]


def test_last_line_is_cut(tmp_path: Path) -> None:
    """A file that is still being written loses its last line only, and says so."""
    lines = as_lines([task("a"), task("b"), task("c")])
    reading = read(write(tmp_path / "a.jsonl", lines[:-40]))
    assert reading.quarantine["source"].tolist() == ["a.jsonl:3"]
    assert reading.totals.tasks.tasks == 2


def test_zero_bytes_within_lines(tmp_path: Path) -> None:
    """Zero bytes that a crash left in a file of lines cost their line only."""
    good = as_lines([task("a"), task("b")]).encode()
    reading = read(write(tmp_path / "a.jsonl", good + b"\0" * 100 + b"\n" + as_lines([task("c")]).encode()))
    assert reading.quarantine["source"].tolist() == ["a.jsonl:3"]
    assert reading.totals.tasks.tasks == 3


@pytest.mark.parametrize("form", ["lines", "document"])
@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, '"\\ud83d cut"', '"tab\there"'])
def test_odd_values_in_unused_fields_cost_nothing(tmp_path: Path, form: str, text: str) -> None:
    """What is no strict JSON in a field that nobody needs does not cost the record, nor its neighbours."""
    odd = json.dumps(task("odd")).replace('"a lighthouse at dusk"', text)
    records = [json.dumps(task("a")), odd, json.dumps(task("b"))]
    content = "\n".join(records) if form == "lines" else "[" + ",\n".join(records) + "]"
    reading = read(write(tmp_path / "a.json", content))
    assert [row["task_id"] for row in reading.rows] == ["a", "odd", "b"]
    assert not reading.totals.seen.problem_counts


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", "9" * 5000, "9" * 30, "-5"])
def test_odd_numbers_where_numbers_count(tmp_path: Path, text: str) -> None:
    """A usage or a time that is no number anyone can use is a problem and counts as unknown."""
    line = json.dumps(task("odd", created_at="@", ended_at="@", usage={"type": "point", "consume": "@"}))
    reading = read(write(tmp_path / "a.jsonl", line.replace('"@"', text) + "\n" + json.dumps(task())))
    assert reading.totals.seen.problem_counts == {"unreadable_time": 2, "unreadable_usage": 1}
    assert reading.totals.tasks.points == 700_000
    assert [row["reason"] for row in reading.rows] == ["no_clock", ""]


def test_lone_surrogates_in_names_and_urls(tmp_path: Path) -> None:
    """Half a character becomes the mark for what cannot be shown, and nothing breaks on the way."""
    record = json.dumps(task("@", output={"image_url": IMAGE + "@"}, account_id="@")).replace("@", "\\udead")
    row = read(write(tmp_path / "a.jsonl", record + "\n" + json.dumps(task("b")))).rows[0]
    assert (row["task_id"], row["url"], row["account_id"]) == ("\ufffd", IMAGE + "\ufffd", "\ufffd")


def test_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    """A line that is not UTF-8 is set aside alone; a document is refused with the place of the byte."""
    good, bad = json.dumps(task("a")).encode(), b'{"task_id": "caf\xe9"}'
    reading = read(write(tmp_path / "a.jsonl", good + b"\n" + bad + b"\n" + good.replace(b'"a"', b'"c"')))
    assert reading.reasons == ["not_utf8"]
    assert reading.totals.tasks.tasks == 2
    problem = only_problem(write(tmp_path / "a.json", b"[\n" + bad + b"]"))
    assert (problem.code, problem.span.line, problem.span.column) == ("encoding", 2, 17)  # type: ignore[union-attr]


@pytest.mark.parametrize("depth", [70, 400, 900, 990, 3_000, 100_000])
@pytest.mark.parametrize("style", ["list", "object"])
def test_deep_nesting(tmp_path: Path, depth: int, style: str) -> None:
    """However deep an output is nested, its URL is kept or the record is set aside; its neighbours never notice."""
    left, right = ("[", "]") if style == "list" else ('{"a":', "}")
    deep = left * depth + json.dumps(IMAGE) + right * depth
    lines = [json.dumps(task("a")), json.dumps(task("odd", output="@")).replace('"@"', deep), json.dumps(task("b"))]
    # Twice, so that the record is merged as well as read.
    for name, text in (("once", lines), ("twice", lines + lines[1:2])):
        reading = read(write(tmp_path / f"{name}.jsonl", "\n".join(text)))
        tasks = [row["task_id"] for row in reading.rows]
        if reading.reasons:
            assert set(reading.reasons) == {"nested_too_deep"}
            assert tasks == ["a", "b"]
        else:
            assert sorted(tasks) == ["a", "b", "odd"]
            assert [row["url"] for row in reading.rows if row["task_id"] == "odd"] == [IMAGE]


@pytest.mark.parametrize("depth", [300, 900])
def test_deep_nesting_in_any_field(tmp_path: Path, depth: int) -> None:
    """A field nested beyond all reason counts as unknown, or costs its record, and nothing else."""
    plain_task = {
        **task("odd"),
        "account_id": 1,
        "usage": 1,
        "url": "",
        "service_mode": "",
        "clips": None,
        "updated_at": "",
    }
    lines = [json.dumps(task("a"))]
    for place in places_in(plain_task)[1:]:
        changed = json.loads(json.dumps(plain_task))
        inner = changed
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = "@"
        lines.append(json.dumps(changed).replace('"@"', "[" * depth + json.dumps(IMAGE) + "]" * depth))
    reading = read(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert "a" in [row["task_id"] for row in reading.rows]
    assert set(reading.reasons) <= {"nested_too_deep", "unusable_task_id", "not_an_object"}


def test_deep_nesting_of_envelopes(tmp_path: Path) -> None:
    """Envelopes within envelopes, or lists within lists, end somewhere."""
    wrapped: Any = task()
    listed: Any = task()
    for _ in range(50):
        wrapped, listed = envelope(wrapped), [listed]
    reading = read_records(tmp_path, wrapped, listed, task("b"))
    assert len(reading.reasons) == 2
    assert reading.totals.tasks.tasks == 1


def test_output_text_that_is_nearly_json(tmp_path: Path) -> None:
    """An output that looks like JSON within a text and is none is a problem, and no asset is invented."""
    reading = read_records(tmp_path, task(output='{"image_url": "https://img.theapi.app/temp/1.png'))
    assert reading.totals.seen.problem_counts == {"unreadable_output": 1}
    assert reading.without == {"output_without_url": 1}


@pytest.mark.parametrize("name", ["model", "task_type", "status", "config", "meta"])
@pytest.mark.parametrize("value", [7, True, [1], 1.5, {"x": 1}])
def test_fields_of_another_kind(tmp_path: Path, name: str, value: object) -> None:
    """A field of another kind than expected counts as unknown; the record is judged and the field reported."""
    reading = read_records(tmp_path, task("a"), task("b", **{name: value}))
    assert len(reading.rows) == 2
    code = "unreadable_part" if name in ("config", "meta") else f"unreadable_{name}"
    # An object is what belongs in the place of a part.
    is_expected = code == "unreadable_part" and isinstance(value, dict)
    assert reading.totals.seen.problem_counts == ({} if is_expected else {code: 1})


def test_document_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document too large to be decoded whole is refused with a way out."""
    monkeypatch.setattr("policy_engine.history.reader.MAX_DOCUMENT", 1_000)
    problem = only_problem(write_json(tmp_path / "a.json", [task(str(number)) for number in range(9)]))
    assert (problem.code, "JSON Lines" in str(problem.help)) == ("too-large", True)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("jobs", JOBS)
def test_line_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, jobs: int) -> None:
    """Memory is bounded: a file with an endless line behind a good one is refused, packed or not."""
    monkeypatch.setattr("policy_engine.history.reader._MAX_LINE", 1_000)
    monkeypatch.setattr("policy_engine.history.reader.BLOCK", 500)
    monkeypatch.setattr("policy_engine.history.partitions.UNIT", 500)
    path = write(tmp_path / f"a.jsonl{suffix}", as_lines([task(), task("b", input="x" * 5_000), task("c")]))
    assert only_problem(path, jobs=jobs).code == "line-too-long"


# --- Tables ----------------------------------------------------------------------------------------------


def test_table_without_task_id(tmp_path: Path) -> None:
    """A table without ids is refused; the message names its columns, the nearest one and the way to map it."""
    problem = only_problem(write_csv(tmp_path / "a.csv", [{"taskid": "a", "model": "flux"}]))
    assert problem.code == "missing-column"
    for part in ("`taskid`", "`model`", "--columns"):
        assert part in str(problem.help)


def test_mapped_column_that_is_missing(tmp_path: Path) -> None:
    """A column that the mapping names and the table has not is refused with the nearest."""
    path = write_csv(tmp_path / "a.csv", [{"Job ID": "a", "Engine": "flux"}])
    problem = only_problem(path, columns={"task_id": "Job Id"})
    assert (problem.code, "`Job ID`" in str(problem.help)) == ("missing-column", True)


def test_two_columns_with_one_meaning(tmp_path: Path) -> None:
    """Two columns that mean the same, or two meanings of one column, are refused: either would be a guess."""
    path = write_csv(tmp_path / "a.csv", [{"task_id": "a", "model": "flux", "task_model": "kling"}])
    assert only_problem(path).code == "double-column"
    path = write(tmp_path / "b.csv", "task_id,task_id\na,b\n")
    assert only_problem(path).code == "double-column"
    path = write_csv(tmp_path / "c.csv", [{"task_id": "a", "when": "2026-01-06T10:00:00Z"}])
    assert only_problem(path, columns={"created_at": "when", "ended_at": "when"}).code == "double-column"


def test_hostile_column_names_are_shown_harmlessly(tmp_path: Path) -> None:
    """Control characters in a header do not reach the terminal."""
    problem = only_problem(write(tmp_path / "a.csv", "\x1b[31mid,b\n1,2\n"))
    assert "\x1b" not in format_problem(problem)


def test_table_that_is_not_utf8(tmp_path: Path) -> None:
    """A table in another encoding is refused, with the line and column of the first byte that shows it."""
    rows = [{"task_id": str(number), "model": "flux", "note": "x" * 100} for number in range(500)]
    rows[400]["note"] = "caf\u00e9"
    problem = only_problem(write_csv(tmp_path / "a.csv", rows, encoding="latin-1"))
    assert (problem.code, problem.span.line, problem.span.column) == ("encoding", 402, 13)  # type: ignore[union-attr]
    assert "CSV UTF-8" in str(problem.help)
    packed = write_csv(tmp_path / "a.csv.gz", rows, encoding="latin-1")
    assert only_problem(packed).span.line == 402  # type: ignore[union-attr]


def test_naive_times_in_a_table(tmp_path: Path) -> None:
    """A time without a zone is reported with its row, and is not taken for UTC."""
    rows = [
        {"task_id": "a", "model": "flux", "created_at": "2026-01-06 10:00:00", "url": IMAGE},
        {"task_id": "b", "model": "flux", "created_at": "2026-01-06T10:00:00Z", "url": CLEAN},
    ]
    reading = read(write_csv(tmp_path / "a.csv", rows))
    assert [row["created_at"] is None for row in reading.rows] == [True, False]
    (problem,) = reading.totals.seen.problem_examples
    assert (problem.code, problem.line, problem.field) == ("unreadable_time", 2, "created_at")
    assert "zone" in problem.found


@pytest.mark.parametrize(
    ("column", "cell", "code"),
    [
        ("account", "PAYG", "unreadable_account"),
        ("watermarked", "perhaps", "unreadable_watermarked"),
        ("consume", "1,5", "unreadable_usage"),
        ("points", "-3", "unreadable_usage"),
        ("points", "1" + "0" * 13, "unreadable_usage"),
        ("is_using_private_pool", "2", "unreadable_private_pool"),
    ],
)
def test_unreadable_cells(tmp_path: Path, column: str, cell: str, code: str) -> None:
    """A cell that does not hold what its column is for is reported and counts as unknown."""
    rows = [{"task_id": "a", "model": "mj", "status": "completed", "url": IMAGE, column: cell}]
    reading = read(write_csv(tmp_path / "a.csv", rows))
    assert reading.totals.seen.problem_counts == {code: 1}
    assert reading.one["url"] == IMAGE


@pytest.mark.parametrize("text", ["task_id\n", "task_id,model", "task_id;model\r\n"])
def test_table_without_rows(tmp_path: Path, text: str) -> None:
    """A table of a header alone holds no records, and is no problem."""
    assert read(write(tmp_path / "a.csv", text)).totals.seen.records == 0


# --- All sorts of bytes ----------------------------------------------------------------------------------

pieces = st.sampled_from([
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"\r\n", b" ", b"\\", b"\0", b"\xff", b"\xef\xbb\xbf", b"<",
    b"task_id", b'{"task_id":"a"}', b'{"data":', b'"task_id":', b"1", b"null", b"NaN", b"\\ud800", b"task_id,url\n", b"a,https://h/x\n",
    b";", b"PAR1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", "\u00e9".encode(), b"-", b"https://h/x",
    b'{"task_id":"b","output":"https://h/y"}\n',
])  # fmt: skip


@given(st.lists(pieces, min_size=1, max_size=12).map(b"".join))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    """Whatever a file holds, reading it gives records and quarantine that tie, or a problem that can be printed."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        path.write_bytes(content)
        try:
            reading = read(path)
        except InputUnusable as error:
            assert all(is_printable(problem) for problem in error.problems)
        else:
            assert reading.totals.seen.records == reading.totals.tasks.tasks + reading.totals.merged + len(
                reading.reasons
            )


def test_problems_name_the_file_as_the_run_does(tmp_path: Path) -> None:
    """A problem is found at the name that the run gives the file, not at a path of this machine."""
    write(tmp_path / "in" / "sub" / "a.json", "[")
    problem = only_problem(tmp_path / "in")
    assert str(problem.span) == "sub/a.json:1:1"
    assert find_sources([str(write_lines(tmp_path / "b.jsonl", [task(), kling()]))]).sources[0].name == "b.jsonl"


# --- All sorts of records --------------------------------------------------------------------------------

ODD = [
    None, "", " ", "\0", "\ud83d", "x" * 300, 0, -1, 7, 1.5, 1e308, float("nan"), float("inf"), 2**63, 10**40, True,
    False, [], {}, [[]], [None], {"": ""}, {"data": {}}, {"task_id": "inner"}, [{"task_id": "inner"}], IMAGE, [IMAGE],
    {"url": IMAGE}, "2026-01-06T10:00:00Z", "2026-01-06", "9999-12-31T23:59:59Z", "completed", "pending", "kling", "{",
    '{"a": "' + IMAGE + '"}', IMAGE + "?se=9999-12-31T23:59:59Z&sig=x", IMAGE + "?Expires=99999999999", "https://[::1",
    "https://", "http://\u00e9/\u202e",
]  # fmt: skip


RECORDS = [task(), kling(), envelope(task()), page([history_row("t-1"), history_row("k-1", "kling")]),
           {**task("s", "suno"), "clips": {"c": {"audio_url": CLEAN}}, "url": IMAGE}]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(RECORDS), st.integers(0, 999), st.sampled_from(ODD)), min_size=1, max_size=4))
def test_no_change_of_a_record_breaks_the_reader(changes: list[tuple[Any, int, Any]]) -> None:
    """Whatever stands in any one place of a record, the run ends, its totals tie, and the neighbours are read."""
    import tempfile

    records: list[Any] = [task("first"), kling("last")]
    for record, number, odd in changes:
        changed = json.loads(json.dumps(record))
        places = places_in(changed)
        *path, last = places[1:][number % (len(places) - 1)]
        inner = changed
        for step in path:
            inner = inner[step]
        inner[last] = odd
        records.insert(1, changed)
    # Python's own writer knows NaN and lone surrogates.
    lines = "".join(json.dumps(record) + "\n" for record in records)
    with tempfile.TemporaryDirectory() as folder:
        reading = read(
            write(Path(folder) / "a.jsonl", lines), write(Path(folder) / "b.json", f"[{lines[:-1]}]".replace("\n", ","))
        )
    assert {"first", "last"} <= {row["task_id"] for row in reading.rows}
    assert all(str(row["url"]).isprintable() or row["url"] is None or "\u202e" in row["url"] for row in reading.rows)
