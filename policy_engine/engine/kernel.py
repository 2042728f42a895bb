"""Turns codes and int64 instants into verdicts: whole arrays at once, without rules and texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from policy_engine.core.frames import Bool, Int8, Int32, Int64, Positions, UInt64
from policy_engine.core.periods import NAT, SECOND
from policy_engine.core.vocabulary import OPERATION_VERDICTS, VERDICTS, OperationVerdict, Verdict
from policy_engine.engine.question import Question, RowQuestions

# Kinds of admissible answers, as bits.
NONE, VENDOR, DATED = 1, 2, 4
ON_PLATFORM, ON_VENDOR_CDN = 8, 16
WINDOW_NONE, WINDOW_DATED = 32, 64

NO_RULE = np.int32(2**31 - 1)
"""Version index for "no rule"; greater than every real one, so that the least index wins."""
FAR = np.int64(2**62)
"""Period for "no period", longer than every real one; -FAR where the greatest is asked for."""
_AFTER_ALL = np.int64(2**63 - 1)
"""Instant for "no deadline", after every real one, since those may lie beyond the last usable creation."""

_VERDICT = {verdict: np.int8(code) for code, verdict in enumerate(VERDICTS)}
_WINDOW = {verdict: np.int8(code) for code, verdict in enumerate(OPERATION_VERDICTS)}
# Only these verdicts can differ between the two readings.
_UNSURE = np.isin(VERDICTS, [Verdict.AT_RISK, Verdict.UNDETERMINED])
_WINDOW_UNSURE = np.isin(OPERATION_VERDICTS, [OperationVerdict.CLOSING, OperationVerdict.UNDETERMINED])


class Periods(NamedTuple):
    """The dated periods of one or more cells, and the version that gives the least."""

    least: Int64
    greatest: Int64
    rule: Int32

    def at(self, cell: Positions) -> Periods:
        """Those of some cells."""
        return Periods(self.least[cell], self.greatest[cell], self.rule[cell])


@dataclass(frozen=True)
class Cells:
    """
    The distinct answers of a decision table, one array element each (n cells).

    A cell holds the answers of the rules at one instant of creation for one profile: their kinds, and for the dated
    ones the least and greatest period with the version that gives the least.
    """

    kinds: Int32
    """Bits of the kinds above."""
    least: Int64
    """Least retention period (ns) among dated answers, FAR when none is dated."""
    greatest: Int64
    """Greatest retention period (ns) among dated answers, -FAR when none is dated."""
    rule: Int32
    """Least version index that gives `least`; without a dated answer, that of the vendor's answer; else NO_RULE."""
    window_least: Int64
    """Least operation window (ns), FAR when there is none."""
    window_greatest: Int64
    """Greatest operation window (ns), -FAR when there is none."""
    window_rule: Int32
    """Least version index that gives `window_least`, or NO_RULE."""
    matters: Int32
    """Bits of the unknown facts on which the answer depends, in the order of vocabulary.FACTS."""
    operations: UInt64
    """Bits of the operations that have a window, in the order of the service's catalog entry."""

    @property
    def retention(self) -> Periods:
        """The retention periods."""
        return Periods(self.least, self.greatest, self.rule)

    @property
    def window(self) -> Periods:
        """The operation windows."""
        return Periods(self.window_least, self.window_greatest, self.window_rule)


@dataclass(frozen=True)
class BoundTable:
    """The answers of a pack over time, for the profiles that were met."""

    cuts: Int64
    """k ascending instants (ns) at which answers may change."""
    table: Int32
    """Cell per profile and stretch of time (profiles, k + 1)."""
    always: Int32
    """Cell per profile that unites all time."""
    cells: Cells


@dataclass(frozen=True)
class Readings:
    """The instants from which a period may be counted, per row; NAT marks "no clock"."""

    first: Int64
    """Least admissible creation instant."""
    last: Int64
    """Greatest admissible creation instant."""
    between: Bool
    """True when every instant from first to last is admissible, False when only the two are."""
    no_clock: Bool
    submission_unknown: Bool
    completion_unknown: Bool
    inverted: Bool


@dataclass(frozen=True)
class Rows:
    """The rows to judge."""

    profile: Positions
    """Row of BoundTable.table."""
    readings: Readings
    """Instants within periods.MIN_INSTANT..MAX_INSTANT, so that no sum overflows."""


@dataclass(frozen=True)
class Judgement:
    """The answers of the kernel, per row; instants in ns, NAT where there is none."""

    verdict: Int8
    """Index into vocabulary.VERDICTS."""
    possibly_past: Bool
    rule: Int32
    """Version index or NO_RULE."""
    kinds: Int32
    """Bits of all admissible answers, for the storage column."""
    expires_earliest: Int64
    expires_latest: Int64
    seconds_left: Int64
    """Whole seconds to expires_earliest (floor); NAT where that is NAT."""
    window_verdict: Int8
    """Index into vocabulary.OPERATION_VERDICTS; the caller marks `none` and unknown services."""
    window_rule: Int32
    window_earliest: Int64
    window_latest: Int64
    operations: UInt64
    matters: Int32
    readings_differ: Bool


def read_creation(submitted: Int64, completed: Int64, bound: Int64, longest_task: int) -> Readings:
    """
    Turn recorded times into readings of "creation".

    Arrays of n int64 nanoseconds, NAT where not recorded; `bound` is the least known upper bound of an unknown
    completion. `longest_task` in ns. Both known: two instants. One known: all instants up to the bound.
    """
    has_submitted, has_completed = submitted != NAT, completed != NAT
    both = has_submitted & has_completed
    first = np.where(has_submitted, submitted, np.where(has_completed, completed - longest_task, NAT))
    limit = submitted + np.int64(longest_task)
    limit = np.where((bound != NAT) & (bound < limit), bound, limit)
    last = np.where(has_completed, completed, np.where(has_submitted, limit, NAT))
    inverted = has_submitted & (last < first)
    swapped = both & inverted
    # A bound before the submission is wrong as well: the completion is then no earlier than the submission.
    low, high = np.where(swapped, last, first), np.where(inverted, first, last)
    return Readings(
        first=low,
        last=high,
        between=has_submitted ^ has_completed,
        no_clock=~(has_submitted | has_completed),
        submission_unknown=has_completed & ~has_submitted,
        completion_unknown=has_submitted & ~has_completed,
        inverted=inverted,
    )


def judge(rows: Rows, bound: BoundTable, question: Question | RowQuestions) -> Judgement:
    """Judge n rows by one question, or by one question each."""
    readings, cells = rows.readings, bound.cells
    segments, ends = _locate(rows, bound)
    answers = _answers(rows, bound, segments, ends)
    verdicts = _Verdicts.of(answers, readings.no_clock, question)
    differ = np.zeros(len(readings.first), bool)
    unsure = _UNSURE[verdicts.retention] | _WINDOW_UNSURE[verdicts.window]
    asked = np.flatnonzero(unsure & ~readings.between & ~readings.no_clock & (readings.first != readings.last))
    if asked.size:
        differ[asked] = _differ(asked, readings, ends, cells, question)
    return _judgement(answers, verdicts, differ, readings.no_clock, question)


class _Ends(NamedTuple):
    """Something about the first and the last admissible instant of each row."""

    first: Positions
    last: Positions


def _locate(rows: Rows, bound: BoundTable) -> tuple[_Ends, _Ends]:
    """The stretch of time, and the cell, at both ends of the readings."""
    readings, profile = rows.readings, rows.profile
    segments = _Ends(*(np.searchsorted(bound.cuts, instant, "right") for instant in (readings.first, readings.last)))
    # intp, so that NumPy does not convert at every lookup.
    cells = _Ends(*(bound.table[profile, segment].astype(np.intp) for segment in segments))
    if readings.no_clock.any():
        unclocked = bound.always[profile]
        cells = _Ends(*(np.where(readings.no_clock, unclocked, cell) for cell in cells))
    return segments, cells


def _answers(rows: Rows, bound: BoundTable, segments: _Ends, ends: _Ends) -> _Answers:
    """All answers of the rules about each row, for all its admissible instants."""
    readings, cells = rows.readings, bound.cells
    first, last = readings.first, readings.last
    # Two instants of one cell make one stretch; the other rows, which are few, begin with the first instant alone.
    changing = np.flatnonzero(ends.first != ends.last)
    end = last.copy()
    end[changing] = first[changing]
    answers = _Answers.of_stretch(first, end, cells, ends.first)
    answers.widen(changing, last[changing], last[changing], cells, ends.last[changing])
    # Rows whose interval of instants crosses a change of rules need every stretch in between; they are few.
    crossing = np.flatnonzero(readings.between & (segments.first != segments.last) & ~readings.no_clock)
    if crossing.size:
        start_segment, end_segment = segments.first[crossing], segments.last[crossing]
        for segment in range(int(start_segment.min()), int(end_segment.max()) + 1):
            here = crossing[(start_segment <= segment) & (segment <= end_segment)]
            start = first[here] if segment == 0 else np.maximum(first[here], bound.cuts[segment - 1])
            stop = last[here] if segment == len(bound.cuts) else np.minimum(last[here], bound.cuts[segment] - 1)
            answers.widen(here, start, stop, cells, bound.table[rows.profile[here], segment].astype(np.intp))
    return answers


@dataclass
class _Span:
    """Least and greatest deadline per row, and the version that gives the least."""

    earliest: Int64
    latest: Int64
    rule: Int32

    @classmethod
    def of_stretch(cls, start: Int64, end: Int64, periods: Periods) -> _Span:
        """Of the instants `[start, end]` under one cell each."""
        return cls(_earliest(start, periods.least), _latest(end, periods.greatest), periods.rule)

    def widen(self, rows: Positions, start: Int64, end: Int64, periods: Periods) -> None:
        """Add the instants `[start, end]` under one cell each, for some rows."""
        candidate = _earliest(start, periods.least)
        known, rule = self.earliest[rows], self.rule[rows]
        least_rule = np.where(candidate == known, np.minimum(periods.rule, rule), rule)
        self.rule[rows] = np.where(candidate < known, periods.rule, least_rule)
        self.earliest[rows] = np.minimum(candidate, known)
        self.latest[rows] = np.maximum(_latest(end, periods.greatest), self.latest[rows])


@dataclass
class _Answers:
    """All answers of the rules about each row; no other object shares the arrays."""

    kinds: Int32
    matters: Int32
    operations: UInt64
    retention: _Span
    window: _Span

    @classmethod
    def of_stretch(cls, start: Int64, end: Int64, cells: Cells, cell: Positions) -> _Answers:
        """For the instants `[start, end]` under one cell each."""
        return cls(
            cells.kinds[cell],
            cells.matters[cell],
            cells.operations[cell],
            _Span.of_stretch(start, end, cells.retention.at(cell)),
            _Span.of_stretch(start, end, cells.window.at(cell)),
        )

    def widen(self, rows: Positions, start: Int64, end: Int64, cells: Cells, cell: Positions) -> None:
        """Add the answers for the instants `[start, end]` under one cell each, for some rows."""
        self.kinds[rows] |= cells.kinds[cell]
        self.matters[rows] |= cells.matters[cell]
        self.operations[rows] |= cells.operations[cell]
        self.retention.widen(rows, start, end, cells.retention.at(cell))
        self.window.widen(rows, start, end, cells.window.at(cell))


# INVARIANT: +-FAR means "no dated answer" and must neither overflow nor look like a date.
def _earliest(instant: Int64, least: Int64) -> Int64:
    total = instant + least
    total[least == FAR] = _AFTER_ALL
    return total


def _latest(instant: Int64, greatest: Int64) -> Int64:
    total = instant + greatest
    total[greatest == -FAR] = -_AFTER_ALL
    return total


class _Verdicts(NamedTuple):
    """Both verdicts of each row."""

    retention: Int8
    window: Int8

    @classmethod
    def of(cls, answers: _Answers, no_clock: Bool, question: Question | RowQuestions) -> _Verdicts:
        """By the answers of the rules and the question."""
        return cls(_verdicts(answers, no_clock, question), _window_verdicts(answers, no_clock, question))


def _verdicts(answers: _Answers, no_clock: Bool, question: Question | RowQuestions) -> Int8:
    kinds, span = answers.kinds & (NONE | VENDOR | DATED), answers.retention
    is_near = span.earliest - question.horizon <= question.as_of
    near = np.where(is_near, _VERDICT[Verdict.AT_RISK], _VERDICT[Verdict.ACTIVE])
    dated = np.where(span.latest <= question.as_of, _VERDICT[Verdict.EXPIRED], near)
    out = np.full(len(kinds), _VERDICT[Verdict.UNDETERMINED], np.int8)
    out[kinds == NONE] = _VERDICT[Verdict.UNGOVERNED]
    out[kinds == VENDOR] = _VERDICT[Verdict.VENDOR_CDN]
    return np.where((kinds == DATED) & ~no_clock, dated, out).astype(np.int8)


def _window_verdicts(answers: _Answers, no_clock: Bool, question: Question | RowQuestions) -> Int8:
    kinds, span = answers.kinds & (WINDOW_NONE | WINDOW_DATED), answers.window
    is_near = span.earliest - question.operation_horizon <= question.as_of
    near = np.where(is_near, _WINDOW[OperationVerdict.CLOSING], _WINDOW[OperationVerdict.OPEN])
    dated = np.where(span.latest <= question.as_of, _WINDOW[OperationVerdict.CLOSED], near)
    out = np.full(len(kinds), _WINDOW[OperationVerdict.UNDETERMINED], np.int8)
    out[kinds == WINDOW_NONE] = _WINDOW[OperationVerdict.UNGOVERNED]
    return np.where((kinds == WINDOW_DATED) & ~no_clock, dated, out).astype(np.int8)


def _differ(rows: Positions, readings: Readings, ends: _Ends, cells: Cells, question: Question | RowQuestions) -> Bool:
    """Whether the two readings, each on its own, have different verdicts; for some rows."""
    clocked, asked = np.zeros(len(rows), bool), question.at(rows)
    first, last = (
        _Verdicts.of(_Answers.of_stretch(instant[rows], instant[rows], cells, cell[rows]), clocked, asked)
        for instant, cell in ((readings.first, ends.first), (readings.last, ends.last))
    )
    differ: Bool = (first.retention != last.retention) | (first.window != last.window)
    return differ


def _judgement(
    answers: _Answers, verdicts: _Verdicts, differ: Bool, no_clock: Bool, question: Question | RowQuestions
) -> Judgement:
    """Keep the dates that the kinds of answers allow to be shown."""
    kinds, retention, window = answers.kinds, answers.retention, answers.window
    dated = ((kinds & DATED) != 0) & ~no_clock
    sure = dated & ((kinds & (NONE | VENDOR)) == 0)
    windowed = ((kinds & WINDOW_DATED) != 0) & ~no_clock
    window_sure = windowed & ((kinds & WINDOW_NONE) == 0)
    earliest = np.where(dated, retention.earliest, NAT)
    vendor_only = verdicts.retention == _VERDICT[Verdict.VENDOR_CDN]
    return Judgement(
        verdict=verdicts.retention,
        possibly_past=(verdicts.retention == _VERDICT[Verdict.AT_RISK]) & (retention.earliest <= question.as_of),
        rule=np.where(dated | vendor_only, retention.rule, NO_RULE),
        kinds=kinds,
        expires_earliest=earliest,
        expires_latest=np.where(sure, retention.latest, NAT),
        seconds_left=np.where(dated, (earliest - question.as_of) // SECOND, NAT),
        window_verdict=verdicts.window,
        window_rule=np.where(windowed, window.rule, NO_RULE),
        window_earliest=np.where(windowed, window.earliest, NAT),
        window_latest=np.where(window_sure, window.latest, NAT),
        operations=answers.operations,
        matters=answers.matters,
        readings_differ=differ,
    )
