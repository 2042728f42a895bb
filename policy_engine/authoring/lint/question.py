"""What a lint check is asked, and what it answers: problems, and in words what was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import RulePack
from policy_engine.packs.cases import Case
from policy_engine.packs.rule_space import RuleSpace


@dataclass(frozen=True)
class LintQuestion:
    """A pack, and what else a check may compare it with; a check says so when it is not given what it needs."""

    space: RuleSpace
    earlier: RulePack | None = None
    """The pack as it was merged."""
    revision: str | None = None
    """Where `earlier` was read, in words."""
    as_of: int | None = None
    """Instant of the question, in ns; None when nothing is asked of the calendar."""
    review_after: int | None = None
    """How old the reading of a source may be, in ns; None when that is not asked."""
    cases: tuple[Case, ...] | None = None
    """The pack's cases; None when they are not given."""

    @property
    def pack(self) -> RulePack:
        """The pack that is looked at."""
        return self.space.pack


class CheckResult(NamedTuple):
    """What a check gives."""

    problems: tuple[Problem, ...]
    covered: str
    """What was looked at, or `not looked at: ` and why."""
