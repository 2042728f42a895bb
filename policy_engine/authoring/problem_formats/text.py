"""Writes problems as a person reads them on a terminal or in a log."""

from __future__ import annotations

from dataclasses import replace

from policy_engine.authoring.problem_formats.contents import LONGEST, Contents
from policy_engine.core.problems import format_problem
from policy_engine.core.safe_text import plain


def to_text(contents: Contents) -> str:
    """Each problem with its source lines, and how many more there are; then what is accepted, two lines each."""
    parts = []
    told = set()
    for entry in contents.open:
        # A page is named where it is first needed: ten failed cases point to it once.
        page = entry.documentation if entry.documentation not in told else None
        told.add(page)
        parts.append(format_problem(replace(entry.problem, documentation=page), contents.sources))
    parts += contents.lines_left_out()
    for entry in contents.accepted:
        one, problem = entry.acceptance, entry.problem
        assert one is not None
        place = f"{plain(problem.span, LONGEST)}: " if problem.span else ""
        parts.append(
            f"{place}accepted[{problem.code}]: {plain(problem.message, LONGEST)}\n"
            f"  accepted by {plain(one.owner)} until {one.expires_on.isoformat()}: {plain(one.reason, LONGEST)}"
        )
    return "".join(f"{part}\n" for part in parts)
