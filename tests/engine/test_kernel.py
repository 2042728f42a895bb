"""
The kernel on arrays by hand: verdicts at every boundary, readings of creation, changes of rules, missing times.

A table has one column of cells per stretch between two cuts; a cell here keeps files for a number of ticks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from policy_engine.core.periods import DAY, MAX_INSTANT, MIN_INSTANT, NAT, SECOND
from policy_engine.core.vocabulary import OPERATION_VERDICTS, VERDICTS
from policy_engine.engine.kernel import (
    DATED,
    FAR,
    NO_RULE,
    NONE,
    VENDOR,
    WINDOW_DATED,
    WINDOW_NONE,
    BoundTable,
    Cells,
    Judgement,
    Readings,
    Rows,
    judge,
    read_creation,
)
from policy_engine.engine.question import Question, RowQuestions

BORN = 1_000_000 * SECOND
LONGEST = 100
"""Ticks that a task takes at most."""
KEPT, AHEAD = 50, 7
"""Ticks of the retention period, and of the horizons."""


def cell(
    kinds: int = DATED | WINDOW_NONE,
    kept: int | None = KEPT,
    rule: int = 0,
    window: int | None = None,
    matters: int = 0,
    operations: int = 0,
) -> dict[str, int]:
    """One answer: kept for some ticks by a version, with a window of some ticks; None where there is none."""
    return {
        "kinds": kinds,
        "least": int(FAR) if kept is None else kept,
        "greatest": -int(FAR) if kept is None else kept,
        "rule": int(NO_RULE) if kept is None and not kinds & VENDOR else rule,
        "window_least": int(FAR) if window is None else window,
        "window_greatest": -int(FAR) if window is None else window,
        "window_rule": int(NO_RULE) if window is None else rule,
        "matters": matters,
        "operations": operations,
    }


NOTHING = cell(NONE | WINDOW_NONE, None)
BY_VENDOR = cell(VENDOR | WINDOW_NONE, None, rule=3)
WITH_WINDOW = cell(DATED | WINDOW_DATED, window=KEPT, operations=0b10)


def bound(*cells: dict[str, int], cuts: Sequence[int] = ()) -> BoundTable:
    """A table of one profile with one cell per stretch; without a clock all of them count."""
    wide = {"least", "greatest", "window_least", "window_greatest"}
    everything = {
        "kinds": int(np.bitwise_or.reduce([each["kinds"] for each in cells])),
        "least": min(each["least"] for each in cells),
        "greatest": max(each["greatest"] for each in cells),
        "rule": min((each["least"], each["rule"]) for each in cells)[1],
        "window_least": min(each["window_least"] for each in cells),
        "window_greatest": max(each["window_greatest"] for each in cells),
        "window_rule": min(each["window_rule"] for each in cells),
        "matters": int(np.bitwise_or.reduce([each["matters"] for each in cells])),
        "operations": int(np.bitwise_or.reduce([each["operations"] for each in cells])),
    }
    kinds = {name: np.int64 if name in wide else np.uint64 if name == "operations" else np.int32 for name in everything}
    columns: dict[str, Any] = {
        name: np.array([each[name] for each in (*cells, everything)], kind) for name, kind in kinds.items()
    }
    return BoundTable(
        np.array(cuts, np.int64),
        np.array([range(len(cells))], np.int32),
        np.array([len(cells)], np.int32),
        Cells(**columns),
    )


def readings(*times: tuple[int | None, int | None]) -> Readings:
    """Readings of tasks that were submitted and finished at some instants; None where not recorded."""
    submitted, finished = (
        np.array([NAT if time is None else time for time in column], np.int64) for column in zip(*times, strict=True)
    )
    return read_creation(submitted, finished, np.full(len(times), NAT, np.int64), LONGEST)


def judged(
    table: BoundTable, *times: tuple[int | None, int | None], as_of: int = BORN, question: Any = None
) -> Judgement:
    """What the kernel says about tasks of the one profile."""
    rows = Rows(np.zeros(len(times), np.intp), readings(*times))
    return judge(rows, table, question or Question(as_of, AHEAD, AHEAD))


def verdicts(found: Judgement) -> list[str]:
    """The verdicts in words."""
    return [str(VERDICTS[code]) for code in found.verdict]


def windows(found: Judgement) -> list[str]:
    """The operation verdicts in words."""
    return [str(OPERATION_VERDICTS[code]) for code in found.window_verdict]


# --- Boundaries ---------------------------------------------------------------------------------------------------

SURE = (BORN, BORN)


@pytest.mark.parametrize(
    ("as_of", "verdict", "window"),
    [
        (BORN + KEPT - AHEAD - 1, "active", "open"),
        (BORN + KEPT - AHEAD, "at_risk", "closing"),
        (BORN + KEPT - AHEAD + 1, "at_risk", "closing"),
        (BORN + KEPT - 1, "at_risk", "closing"),
        (BORN + KEPT, "expired", "closed"),
        (BORN + KEPT + 1, "expired", "closed"),
    ],
)
def test_verdict_at_every_boundary(as_of: int, verdict: str, window: str) -> None:
    """
    A horizon starts, and a period ends, at its very tick: one tick before is still the earlier verdict.
    """
    found = judged(bound(WITH_WINDOW), SURE, as_of=as_of)
    assert (verdicts(found), windows(found)) == ([verdict], [window])
    assert found.expires_earliest.tolist() == found.expires_latest.tolist() == [BORN + KEPT]
    assert found.window_earliest.tolist() == found.window_latest.tolist() == [BORN + KEPT]
    assert (found.rule.tolist(), found.window_rule.tolist(), found.operations.tolist()) == ([0], [0], [0b10])
    assert not found.possibly_past.any()


@pytest.mark.parametrize(
    ("as_of", "verdict", "possibly_past", "differ"),
    [
        (BORN + KEPT - AHEAD - 1, "active", False, False),
        (BORN + KEPT - AHEAD, "at_risk", False, True),
        (BORN + KEPT + 5 - AHEAD - 1, "at_risk", False, True),
        (BORN + KEPT + 5 - AHEAD, "at_risk", False, False),
        (BORN + KEPT - 1, "at_risk", False, False),
        (BORN + KEPT, "at_risk", True, True),
        (BORN + KEPT + 5 - 1, "at_risk", True, True),
        (BORN + KEPT + 5, "expired", False, False),
    ],
)
def test_two_readings_at_every_boundary(as_of: int, verdict: str, possibly_past: bool, differ: bool) -> None:
    """
    Of two readings the earlier one decides when a risk begins and the later one when it is certain that it is over.
    """
    found = judged(bound(cell()), (BORN, BORN + 5), as_of=as_of)
    assert verdicts(found) == [verdict]
    assert (found.possibly_past.tolist(), found.readings_differ.tolist()) == ([possibly_past], [differ])
    assert (found.expires_earliest.tolist(), found.expires_latest.tolist()) == ([BORN + KEPT], [BORN + 5 + KEPT])


def test_seconds_left_are_floored() -> None:
    """
    A second that has begun does not count as left; after the deadline the number is negative.
    """
    table = bound(cell(kept=2 * SECOND))
    left = [int(judged(table, SURE, as_of=BORN + ticks).seconds_left[0]) for ticks in (0, 1, SECOND, 2 * SECOND + 1)]
    assert left == [2, 1, 1, -1]


# --- A change of rules --------------------------------------------------------------------------------------------


def test_cell_is_that_of_the_stretch() -> None:
    """
    A cut belongs to the stretch that it begins: at the cut the next cell holds, one tick before the earlier one.
    """
    table = bound(cell(kept=10, rule=1), cell(kept=20, rule=2), cell(kept=30, rule=4), cuts=(BORN, BORN + 5))
    times = [BORN - 1, BORN, BORN + 4, BORN + 5, BORN + 6]
    found = judged(table, *((time, time) for time in times))
    assert found.rule.tolist() == [1, 2, 2, 4, 4]
    assert (found.expires_earliest - times).tolist() == [10, 20, 20, 30, 30]


def test_interval_meets_every_stretch_between_its_ends() -> None:
    """
    A task without a completion may have ended in any stretch up to its bound; two recorded instants are only two.
    """
    table = bound(cell(kept=20, rule=1), cell(kept=1, rule=2), cell(kept=30, rule=4), cuts=(BORN + 10, BORN + 20))
    found = judged(table, (BORN, None), (BORN, BORN + 40), (None, BORN + LONGEST))
    assert found.rule.tolist() == [2, 1, 2]
    assert found.expires_earliest.tolist() == [BORN + 10 + 1, BORN + 20, BORN + 10 + 1]
    assert found.expires_latest.tolist() == [BORN + LONGEST + 30, BORN + 70, BORN + LONGEST + 30]


def test_longest_deadline_counts_the_last_tick_of_a_stretch() -> None:
    """
    Under a longer period that has ended, the latest deadline is that of the tick before the cut.
    """
    found = judged(bound(cell(kept=10 * DAY), cell(kept=KEPT), cuts=(BORN + 10,)), (BORN, None))
    assert found.expires_latest.tolist() == [BORN + 9 + 10 * DAY]


def test_equal_deadlines_go_to_the_least_version() -> None:
    """
    Where two stretches give the same deadline, the least version index is named.
    """
    for first, second in ((5, 3), (3, 5)):
        table = bound(cell(kept=20, rule=first), cell(kept=10, rule=second), cuts=(BORN + 10,))
        assert judged(table, (BORN, BORN + 10)).rule.tolist() == [3]


def test_answers_of_all_stretches_are_united() -> None:
    """
    A change from no rule, or from the vendor, leaves the verdict open: one deadline is known, the last one is not.
    """
    for other in (NOTHING, BY_VENDOR):
        table = bound(other | {"matters": 2}, WITH_WINDOW | {"matters": 4}, cuts=(BORN + 10,))
        found = judged(table, (BORN, BORN + 10), as_of=BORN)
        assert (verdicts(found), windows(found)) == (["undetermined"], ["undetermined"])
        assert (found.matters.tolist(), found.operations.tolist()) == ([2 | 4], [0b10])
        assert found.kinds.tolist() == [other["kinds"] | WITH_WINDOW["kinds"]]
        assert (found.expires_earliest.tolist(), found.expires_latest.tolist()) == ([BORN + 10 + KEPT], [NAT])
        assert (found.window_earliest.tolist(), found.window_latest.tolist()) == ([BORN + 10 + KEPT], [NAT])
        assert found.readings_differ.tolist() == [True]


# --- Answers without a date ---------------------------------------------------------------------------------------


def test_answers_without_a_date() -> None:
    """
    Without a rule nothing is named; where the vendor stores the file its version is, and neither has a deadline.
    """
    for answer, verdict, rule in ((NOTHING, "ungoverned", int(NO_RULE)), (BY_VENDOR, "vendor_cdn", 3)):
        found = judged(bound(answer), SURE, (None, None))
        assert (verdicts(found), windows(found)) == ([verdict] * 2, ["ungoverned"] * 2)
        assert found.rule.tolist() == [rule] * 2
        for column in (found.expires_earliest, found.expires_latest, found.seconds_left, found.window_earliest):
            assert column.tolist() == [NAT] * 2
        assert not found.readings_differ.any()


def test_no_clock_leaves_dates_open() -> None:
    """
    Without any time a dated rule has no deadline and decides nothing, whatever the instant asked about.
    """
    for as_of in (MIN_INSTANT, BORN, MAX_INSTANT):
        found = judged(bound(WITH_WINDOW), (None, None), as_of=as_of)
        assert (verdicts(found), windows(found)) == (["undetermined"], ["undetermined"])
        assert (found.rule.tolist(), found.window_rule.tolist()) == ([NO_RULE], [NO_RULE])
        assert [column[0] for column in (found.expires_earliest, found.expires_latest, found.seconds_left)] == [NAT] * 3
        assert (found.possibly_past.tolist(), found.readings_differ.tolist()) == ([False], [False])


def test_no_clock_unites_all_time() -> None:
    """
    Without any time the answers of all stretches count.
    """
    table = bound(NOTHING | {"matters": 1}, cell(matters=8), cuts=(BORN,))
    found = judged(table, (None, None), SURE)
    assert (found.kinds[0], found.matters[0]) == (NOTHING["kinds"] | cell()["kinds"], 9)
    assert (verdicts(found)[1], found.matters[1]) == ("active", 8)


# --- Readings of creation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("submitted", "completed", "limit", "first", "last", "flags"),
    [
        (BORN, BORN + 10, None, BORN, BORN + 10, ""),
        (BORN, BORN, None, BORN, BORN, ""),
        (BORN, BORN - 1, None, BORN - 1, BORN, "inverted"),
        (BORN, BORN + 10, BORN + 3, BORN, BORN + 10, ""),
        (BORN, None, None, BORN, BORN + LONGEST, "between completion_unknown"),
        (BORN, None, BORN + LONGEST + 1, BORN, BORN + LONGEST, "between completion_unknown"),
        (BORN, None, BORN + 10, BORN, BORN + 10, "between completion_unknown"),
        (BORN, None, BORN, BORN, BORN, "between completion_unknown"),
        (BORN, None, BORN - 1, BORN, BORN, "between completion_unknown inverted"),
        (None, BORN, None, BORN - LONGEST, BORN, "between submission_unknown"),
        (None, BORN, BORN - 1, BORN - LONGEST, BORN, "between submission_unknown"),
        (None, None, None, NAT, NAT, "no_clock"),
        (None, None, BORN, NAT, NAT, "no_clock"),
    ],
)
def test_readings_of_creation(
    submitted: int | None, completed: int | None, limit: int | None, first: int, last: int, flags: str
) -> None:
    """
    Two recorded times are two readings; one alone is an interval as long as the longest task, or up to a known bound.
    """
    found = read_creation(
        *(np.array([NAT if time is None else time], np.int64) for time in (submitted, completed, limit)), LONGEST
    )
    assert (found.first.tolist(), found.last.tolist()) == ([first], [last])
    names = [field.name for field in fields(Readings) if field.name not in ("first", "last")]
    assert {name for name in names if getattr(found, name)[0]} == set(flags.split())


def test_extreme_instants_do_not_overflow() -> None:
    """
    Deadlines of the last usable instant lie after it, and absent periods never look like dates.
    """
    table = bound(cell(kept=10_000 * DAY), NOTHING, cuts=(MAX_INSTANT,))
    found = judged(table, (MAX_INSTANT - 1, MAX_INSTANT), (MIN_INSTANT + LONGEST, None), as_of=MAX_INSTANT)
    assert found.expires_earliest.tolist() == [MAX_INSTANT - 1 + 10_000 * DAY, MIN_INSTANT + LONGEST + 10_000 * DAY]
    assert verdicts(found) == ["undetermined", "expired"]


# --- Rows ---------------------------------------------------------------------------------------------------------

MIXED: list[tuple[int | None, int | None]] = [
    SURE, (None, None), (BORN, BORN + 10), (BORN, None), (None, BORN), (BORN + 10, BORN), (BORN - 50, BORN - 45),
]  # fmt: skip
CHANGING = bound(WITH_WINDOW, NOTHING, BY_VENDOR, cell(kept=5, rule=4), cuts=(BORN, BORN + 5, BORN + 9))


def column_of(found: Judgement) -> dict[str, list[Any]]:
    """All columns as lists."""
    return {field.name: getattr(found, field.name).tolist() for field in fields(Judgement)}


def test_empty_frame() -> None:
    """
    No row gives columns without an element, each of the type that rows have.
    """
    nothing = np.empty(0, np.int64)
    rows = Rows(np.empty(0, np.intp), read_creation(nothing, nothing, nothing, LONGEST))
    found, full = judge(rows, CHANGING, Question(BORN, AHEAD, AHEAD)), judged(CHANGING, *MIXED)
    for field in fields(Judgement):
        empty, filled = getattr(found, field.name), getattr(full, field.name)
        assert (len(empty), empty.dtype) == (0, filled.dtype), field.name


def test_rows_do_not_know_each_other() -> None:
    """
    A row is judged alone as it is among others, also by a question of its own; inputs stay as they were.
    """
    as_ofs = [BORN + KEPT + each for each in range(-3, 4)]
    question = RowQuestions(*(np.array(column, np.int64) for column in (as_ofs, range(7), range(7, 0, -1))))
    given = readings(*MIXED)
    before = replace(given, **{field.name: getattr(given, field.name).copy() for field in fields(Readings)})
    together = column_of(judge(Rows(np.zeros(len(MIXED), np.intp), given), CHANGING, question))
    for row, times in enumerate(MIXED):
        alone = Question(as_ofs[row], row, 7 - row)
        expected = column_of(judged(CHANGING, times, question=alone))
        assert {name: values[row : row + 1] for name, values in together.items()} == expected
    for field in fields(Readings):
        assert (getattr(given, field.name) == getattr(before, field.name)).all(), field.name


def test_rows_of_several_profiles() -> None:
    """
    Each row asks the line of its own profile.
    """
    table = bound(cell(kept=10, rule=1), cell(kept=20, rule=2))
    table = replace(table, table=np.array([[0], [1]], np.int32), always=np.array([0, 1], np.int32), cuts=table.cuts)
    found = judge(
        Rows(np.array([1, 0, 1, 0], np.intp), readings(SURE, SURE, (None, None), (BORN, BORN))),
        table,
        Question(BORN, AHEAD, AHEAD),
    )
    assert (found.expires_earliest - BORN)[[0, 1, 3]].tolist() == [20, 10, 10]
    assert found.rule.tolist() == [2, 1, int(NO_RULE), 1]
