"""The control totals of a run: counts and amounts that must tie."""

from __future__ import annotations

from dataclasses import dataclass, field

from policy_engine.annotations import AnnotationTotals
from policy_engine.core.problems import Problem, TotalsMismatch
from policy_engine.core.vocabulary import VERDICTS
from policy_engine.engine.assets.maker import TaskTotals
from policy_engine.engine.finding_totals import FindingTotals
from policy_engine.history import ReadTotals


@dataclass
class Totals:
    """All control totals of a run; `add` makes those of two parts, `check` refuses what does not tie."""

    seen: ReadTotals = field(default_factory=ReadTotals)
    tasks: TaskTotals = field(default_factory=TaskTotals)
    findings: FindingTotals = field(default_factory=FindingTotals)
    marks: AnnotationTotals = field(default_factory=AnnotationTotals)
    merged: int = 0
    """Records that were merged into another record of their task."""

    def add(self, other: Totals) -> None:
        """Add the totals of another part."""
        self.seen.add(other.seen)
        self.tasks.add(other.tasks)
        self.findings.add(other.findings)
        self.marks.add(other.marks)
        self.merged += other.merged

    def check(self) -> None:
        """Raise TotalsMismatch when any control total does not tie."""
        seen, tasks, findings = self.seen, self.tasks, self.findings
        without = sum(count for count, _ in tasks.without_assets.values())
        without_points = sum(points for _, points in tasks.without_assets.values())
        verdicts = [findings.verdict(str(verdict)) for verdict in VERDICTS]
        ties = (
            (
                "records read = tasks + merged + quarantined",
                seen.records,
                tasks.tasks + self.merged + len(seen.quarantine),
            ),
            ("tasks = with assets + without", tasks.tasks, tasks.with_assets + without),
            ("assets = the six verdicts", findings.assets, sum(assets for assets, _ in verdicts)),
            ("assets = operation verdicts", findings.assets, sum(findings.windows.values())),
            ("points of assets = the six verdicts", findings.points, sum(points for _, points in verdicts)),
            ("points = verdicts + tasks without assets", tasks.points, findings.points + without_points),
            ("assets = archived + exempted + the rest", findings.assets, self.marks.accounted[0]),
            ("points of assets = archived + exempted + the rest", findings.points, self.marks.accounted[1]),
        )
        broken = [f"{law}: {left} is not {right}" for law, left, right in ties if left != right]
        if broken:
            raise TotalsMismatch([
                Problem("totals-mismatch", text, help="this is a defect of the program: report it with the input")
                for text in broken
            ])  # fmt: skip
