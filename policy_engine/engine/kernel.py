"""Turns codes and int64 instants into verdicts: whole arrays at once, no rule and no text in sight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policy_engine.core.frames import Bool, Int8, Int32, Int64, Positions, UInt64
from policy_engine.core.periods import NAT, SECOND
from policy_engine.core.vocabulary import OPERATION_VERDICTS, VERDICTS, OperationVerdict, Verdict

# Kinds of admissible answers, as bits.
NONE, VENDOR, DATED = 1, 2, 4
ON_PLATFORM, ON_VENDOR_CDN = 8, 16
WINDOW_NONE, WINDOW_DATED = 32, 64

NO_RULE = np.int32(2**31 - 1)
"""Version index that stands for "no rule"; greater than every real one, so that the least index wins."""
FAR = np.int64(2**62)
"""Stands for "no period", longer than every real one; -FAR where the greatest is asked for."""
_AFTER_ALL = np.int64(2**63 - 1)
"""Instant that stands for "no deadline", after every real one, since those may lie beyond the last usable creation."""

_VERDICT = {verdict: np.int8(code) for code, verdict in enumerate(VERDICTS)}
_WINDOW = {verdict: np.int8(code) for code, verdict in enumerate(OPERATION_VERDICTS)}
# Verdicts of two readings together that leave open whether each alone would have it: of all others, both have it.
_UNSURE = np.isin(VERDICTS, [Verdict.AT_RISK, Verdict.UNDETERMINED])
_WINDOW_UNSURE = np.isin(OPERATION_VERDICTS, [OperationVerdict.CLOSING, OperationVerdict.UNDETERMINED])


@dataclass(frozen=True)
class Cells:
    """
    The distinct answers of a decision table, one array element each (n cells).

    A cell is what the rules say at one instant of creation for one profile: the kinds of admissible answers, and
    of the dated ones the least and greatest period with the version that gives the least.
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
    """Bits of the unknown facts on which the answer depends, in the order of columns.FACTS."""
    operations: UInt64
    """Bits of the operations that have a window, in the order of the service's catalog entry."""


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
class Judgement:
    """What the kernel says, per row; instants in ns, NAT where there is none."""

    verdict: Int8
    """Index into columns.VERDICTS."""
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
    """Index into columns.OPERATION_VERDICTS; `none` and unknown services are the caller's to mark."""
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
    # A bound before the submission cannot be right either: the completion is then no earlier than the submission.
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


def judge(
    profile: Positions,
    readings: Readings,
    cuts: Int64,
    table: Int32,
    always: Int32,
    cells: Cells,
    *,
    as_of: int | Int64,
    horizon: int | Int64,
    operation_horizon: int | Int64,
) -> Judgement:
    """
    Judge n rows; the instant asked about and the horizons (ns, none below 0) are one for all rows, or one per row.

    profile: row of `table` per asset. cuts: k ascending instants (ns) at which answers may change.
    table: (profiles, k + 1) cell per profile and stretch of time. always: (profiles,) cell that unites all time.
    The caller guarantees instants within periods.MIN_INSTANT..MAX_INSTANT, so that no sum overflows.
    """
    first, last = readings.first, readings.last
    segment_first = np.searchsorted(cuts, first, side="right")
    segment_last = np.searchsorted(cuts, last, side="right")
    # As wide as places are, since NumPy would widen them again for each array that they are looked up in.
    cell_first, cell_last = (table[profile, one].astype(np.intp) for one in (segment_first, segment_last))
    if readings.no_clock.any():
        unclocked = always[profile]
        cell_first = np.where(readings.no_clock, unclocked, cell_first)
        cell_last = np.where(readings.no_clock, unclocked, cell_last)

    kinds, matters, operations = cells.kinds[cell_first], cells.matters[cell_first], cells.operations[cell_first]
    # Between two instants of one cell all is one stretch; the others, which are few, begin with the first instant.
    apart = np.flatnonzero(cell_first != cell_last)
    end = last.copy()
    end[apart] = first[apart]
    retention = _Span.of_stretch(
        first, end, cells.least[cell_first], cells.greatest[cell_first], cells.rule[cell_first]
    )
    window = _Span.of_stretch(
        first, end, cells.window_least[cell_first], cells.window_greatest[cell_first], cells.window_rule[cell_first]
    )

    def take_in(here: Positions, start: Int64, end: Int64, cell: Positions | Int32) -> None:
        kinds[here] |= cells.kinds[cell]
        matters[here] |= cells.matters[cell]
        operations[here] |= cells.operations[cell]
        retention.widen(here, start, end, cells.least[cell], cells.greatest[cell], cells.rule[cell])
        window.widen(here, start, end, cells.window_least[cell], cells.window_greatest[cell], cells.window_rule[cell])

    take_in(apart, last[apart], last[apart], cell_last[apart])
    # Rows whose interval of instants crosses a change of rules need every stretch in between; they are few.
    crossing = np.flatnonzero(readings.between & (segment_first != segment_last) & ~readings.no_clock)
    if crossing.size:
        for segment in range(int(segment_first[crossing].min()), int(segment_last[crossing].max()) + 1):
            here = crossing[(segment_first[crossing] <= segment) & (segment <= segment_last[crossing])]
            start = first[here] if segment == 0 else np.maximum(first[here], cuts[segment - 1])
            end = last[here] if segment == len(cuts) else np.minimum(last[here], cuts[segment] - 1)
            take_in(here, start, end, table[profile[here], segment])

    verdict = _verdicts(kinds, retention.earliest, retention.latest, readings.no_clock, as_of, horizon)
    window_verdict = _window_verdicts(
        kinds, window.earliest, window.latest, readings.no_clock, as_of, operation_horizon
    )
    differ = np.zeros(len(first), bool)
    unsure = _UNSURE[verdict] | _WINDOW_UNSURE[window_verdict]
    rows = np.flatnonzero(unsure & ~readings.between & ~readings.no_clock & (first != last))
    if rows.size:
        alone = [
            _alone(
                instant[rows], cell[rows], cells, *(_taken(one, rows) for one in (as_of, horizon, operation_horizon))
            )
            for instant, cell in ((first, cell_first), (last, cell_last))
        ]
        differ[rows] = (alone[0][0] != alone[1][0]) | (alone[0][1] != alone[1][1])

    dated = ((kinds & DATED) != 0) & ~readings.no_clock
    sure = dated & ((kinds & (NONE | VENDOR)) == 0)
    windowed = ((kinds & WINDOW_DATED) != 0) & ~readings.no_clock
    window_sure = windowed & ((kinds & WINDOW_NONE) == 0)
    earliest = np.where(dated, retention.earliest, NAT)
    vendor_only = verdict == _VERDICT[Verdict.VENDOR_CDN]
    return Judgement(
        verdict=verdict,
        possibly_past=(verdict == _VERDICT[Verdict.AT_RISK]) & (retention.earliest <= as_of),
        rule=np.where(dated | vendor_only, retention.rule, NO_RULE),
        kinds=kinds,
        expires_earliest=earliest,
        expires_latest=np.where(sure, retention.latest, NAT),
        seconds_left=np.where(dated, (earliest - as_of) // SECOND, NAT),
        window_verdict=window_verdict,
        window_rule=np.where(windowed, window.rule, NO_RULE),
        window_earliest=np.where(windowed, window.earliest, NAT),
        window_latest=np.where(window_sure, window.latest, NAT),
        operations=operations,
        matters=matters,
        readings_differ=differ,
    )


@dataclass
class _Span:
    """Least and greatest deadline per row, and the version that gives the least."""

    earliest: Int64
    latest: Int64
    rule: Int32

    @classmethod
    def of_stretch(cls, start: Int64, end: Int64, least: Int64, greatest: Int64, rule: Int32) -> _Span:
        """Of the instants `[start, end]` under one cell each; `rule` becomes its own."""
        return cls(_earliest(start, least), _latest(end, greatest), rule)

    def widen(self, rows: Positions, start: Int64, end: Int64, least: Int64, greatest: Int64, rule: Int32) -> None:
        """Take in a stretch of instants `[start, end]` under one cell, for some rows."""
        candidate = _earliest(start, least)
        known = self.earliest[rows]
        self.rule[rows] = np.where(
            candidate < known, rule, np.where(candidate == known, np.minimum(rule, self.rule[rows]), self.rule[rows])
        )
        self.earliest[rows] = np.minimum(candidate, known)
        self.latest[rows] = np.maximum(_latest(end, greatest), self.latest[rows])


# INVARIANT: +-FAR means "no dated answer" and must neither overflow nor look like a date.
def _earliest(instant: Int64, least: Int64) -> Int64:
    total = instant + least
    total[least == FAR] = _AFTER_ALL
    return total


def _latest(instant: Int64, greatest: Int64) -> Int64:
    total = instant + greatest
    total[greatest == -FAR] = -_AFTER_ALL
    return total


def _verdicts(
    kinds: Int32, earliest: Int64, latest: Int64, no_clock: Bool, as_of: int | Int64, horizon: int | Int64
) -> Int8:
    answers = kinds & (NONE | VENDOR | DATED)
    dated = np.where(
        latest <= as_of,
        _VERDICT[Verdict.EXPIRED],
        np.where(earliest - horizon <= as_of, _VERDICT[Verdict.AT_RISK], _VERDICT[Verdict.ACTIVE]),
    )
    out = np.full(len(kinds), _VERDICT[Verdict.UNDETERMINED], np.int8)
    out[answers == NONE] = _VERDICT[Verdict.UNGOVERNED]
    out[answers == VENDOR] = _VERDICT[Verdict.VENDOR_CDN]
    return np.where((answers == DATED) & ~no_clock, dated, out).astype(np.int8)


def _window_verdicts(
    kinds: Int32, earliest: Int64, latest: Int64, no_clock: Bool, as_of: int | Int64, horizon: int | Int64
) -> Int8:
    answers = kinds & (WINDOW_NONE | WINDOW_DATED)
    dated = np.where(
        latest <= as_of,
        _WINDOW[OperationVerdict.CLOSED],
        np.where(earliest - horizon <= as_of, _WINDOW[OperationVerdict.CLOSING], _WINDOW[OperationVerdict.OPEN]),
    )
    out = np.full(len(kinds), _WINDOW[OperationVerdict.UNDETERMINED], np.int8)
    out[answers == WINDOW_NONE] = _WINDOW[OperationVerdict.UNGOVERNED]
    return np.where((answers == WINDOW_DATED) & ~no_clock, dated, out).astype(np.int8)


def _taken(value: int | Int64, rows: Positions) -> int | Int64:
    """A number for all rows as it is; one per row, for some rows."""
    return value[rows] if isinstance(value, np.ndarray) else value


def _alone(
    instant: Int64,
    cell: Positions,
    cells: Cells,
    as_of: int | Int64,
    horizon: int | Int64,
    operation_horizon: int | Int64,
) -> tuple[Int8, Int8]:
    clocked = np.zeros(len(instant), bool)
    kinds = cells.kinds[cell]
    retention = _verdicts(
        kinds, _earliest(instant, cells.least[cell]), _latest(instant, cells.greatest[cell]), clocked, as_of, horizon
    )
    window = _window_verdicts(
        kinds,
        _earliest(instant, cells.window_least[cell]),
        _latest(instant, cells.window_greatest[cell]),
        clocked,
        as_of,
        operation_horizon,
    )
    return retention, window
