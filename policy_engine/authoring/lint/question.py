"""The input and the result of a lint check."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from policy_engine.authoring.lint.baseline import Baseline
from policy_engine.core.periods import DAY
from policy_engine.core.problems import Problem, SourceSpan
from policy_engine.core.rule_model import RulePack
from policy_engine.packs.cases import Case
from policy_engine.packs.rule_space import RuleSpace


@dataclass(frozen=True)
class LintOptions:
    """What a pack is checked against beside itself."""

    earlier: RulePack | None = None
    """The pack as it was merged; None: not compared."""
    revision: str | None = None
    """Git revision of `earlier`."""
    as_of: int | None = None
    """Instant at which acceptances and readings are judged, in ns; None: nothing is checked against the calendar."""
    review_after: int | None = None
    """Maximum age of the last reading of a source, in ns; None: not checked."""
    cases: tuple[Case, ...] | None = None
    """The pack's cases; None: not checked."""
    baseline: Baseline | None = None
    """Accepted problems; needs `as_of`."""

    @property
    def today(self) -> date | None:
        """The day of `as_of` in UTC."""
        return None if self.as_of is None else date(1970, 1, 1) + timedelta(days=self.as_of // DAY)


@dataclass(frozen=True)
class LintQuestion:
    """A pack and what to check it against; a check reports when it lacks an option it needs."""

    space: RuleSpace
    options: LintOptions = LintOptions()

    @property
    def pack(self) -> RulePack:
        """The pack to check."""
        return self.space.pack


class CheckResult(NamedTuple):
    """The result of one check."""

    problems: tuple[Problem, ...]
    covered: str
    """What was checked, or `not checked: ` and why."""


def related(*spans: SourceSpan | None) -> tuple[SourceSpan, ...]:
    """The spans that are known; packs built in Python have none."""
    return tuple(span for span in spans if span is not None)
