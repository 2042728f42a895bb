"""Writes problems as a person reads them on a terminal or in a log."""

from __future__ import annotations

from dataclasses import replace

from policy_engine.authoring.problem_formats.contents import LONGEST, Contents
from policy_engine.core.problems import format_problem
from policy_engine.core.safe_text import plain


def write(contents: Contents) -> str:
    """Each problem with its source lines, the number not shown, then the accepted problems in two lines each."""
    parts = []
    pages = set()
    for entry in contents.open:
        # Each page is named once: ten failed cases need one link.
        page = entry.documentation if entry.documentation not in pages else None
        pages.add(page)
        parts.append(format_problem(replace(entry.problem, documentation=page), contents.sources))
    parts += contents.lines_left_out()
    for entry, acceptance in contents.accepted:
        problem, until = entry.problem, acceptance.expires_on.isoformat()
        location = f"{plain(problem.span, LONGEST)}: " if problem.span else ""
        parts.append(
            f"{location}accepted[{problem.code}]: {plain(problem.message, LONGEST)}\n"
            f"  accepted by {plain(acceptance.owner)} until {until}: {plain(acceptance.reason, LONGEST)}"
        )
    return "".join(f"{part}\n" for part in parts)
