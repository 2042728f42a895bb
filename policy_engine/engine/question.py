"""What is asked of a pack and a history: the instant and the horizons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from policy_engine.core.frames import Int64, Positions, as_instant
from policy_engine.core.periods import parse_duration
from policy_engine.core.rule_model import RulePack


@dataclass(frozen=True)
class Question:
    """What is asked of every asset."""

    as_of: int
    """The instant asked about, ns since 1970 in UTC."""
    horizon: int
    """How far ahead "at risk" looks, ns."""
    operation_horizon: int
    """How far ahead "closing" looks, ns."""

    def at(self, rows: Positions) -> Question:
        """The question for some rows."""
        return self


@dataclass(frozen=True)
class RowQuestions:
    """A question for each row of a frame, where the rows are asked about at instants of their own (n elements)."""

    as_of: Int64
    """As in Question, ns."""
    horizon: Int64
    """As in Question, ns."""
    operation_horizon: Int64
    """As in Question, ns."""

    def at(self, rows: Positions) -> RowQuestions:
        """The questions for some rows."""
        return RowQuestions(self.as_of[rows], self.horizon[rows], self.operation_horizon[rows])


def make_question(
    pack: RulePack, as_of: datetime | str | int, horizon: str | int | None, operation_horizon: str | int | None
) -> Question:
    """A question from what a Python caller gives: times and ISO 8601 texts; None means the pack's horizon."""
    return Question(
        as_of=as_instant(as_of),
        horizon=_as_period(horizon, pack.horizon),
        operation_horizon=_as_period(operation_horizon, pack.operation_horizon),
    )


def _as_period(value: str | int | None, default: int) -> int:
    if value is None:
        return default
    period = parse_duration(value) if isinstance(value, str) else int(value)
    if period < 0:
        raise ValueError(f"a horizon of {period} ns; it looks ahead, so it is 0 or more")
    return period
