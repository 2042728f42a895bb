"""
`stale-source`: a cited page that was last read longer ago than `--review-after` allows.

A page was last read on the latest of the days in pack.yaml and in its citations. The check needs a maximum age
(`--review-after`) and an instant, and does not run without them: a pack that passes today should not fail tomorrow
unless the user asks for that. Pages that no rule cites are not checked. This is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from policy_engine.authoring.lint.question import CheckResult, LintQuestion
from policy_engine.core.periods import DAY, describe_duration
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Citation, RulePack, Source
from policy_engine.core.text.wording import count_of


def check(question: LintQuestion) -> CheckResult:
    """Find each cited source whose last reading is too old."""
    pack, after, today = question.pack, question.options.review_after, question.options.today
    if after is None or today is None:
        return CheckResult((), "not checked: give the maximum age of a reading (--review-after)")
    users: dict[str, list[str]] = {}
    read: dict[str, date] = {}
    for user, citation in _citations(pack):
        users.setdefault(citation.source, []).append(user)
        read[citation.source] = max(citation.retrieved_on, read.get(citation.source, date.min))
    problems = []
    for source in pack.sources:
        last = max(source.retrieved_on, read.get(source.id, date.min))
        if source.id in users and (today - last).days * DAY > after:
            due = last + timedelta(days=after // DAY)
            witness = f"`{users[source.id][0]}` cites it; the next reading was due by {due}"
            problems.append(_problem(source, last, today, witness))
    sources = f"{count_of(len(users), 'cited source')} of {len(pack.sources)}"
    return CheckResult(tuple(problems), f"{sources}, read within {describe_duration(after)} of {today}")


def _citations(pack: RulePack) -> Iterator[tuple[str, Citation]]:
    """Every citation, with the rule or the section of pack.yaml that it is in."""
    for rule in pack.rules:
        for version in rule.versions:
            if version.citation is not None:
                yield rule.id, version.citation
    for entry in pack.no_published_rule:
        yield "no_published_rule", entry.citation


def _problem(source: Source, last: date, today: date, witness: str) -> Problem:
    age = count_of((today - last).days, "day")
    return Problem(
        "stale-source",
        f"the source `{source.id}` was last read on {last}, {age} before {today}",
        source.span,
        severity="warning",
        help=f"read {source.url} again; if nothing has changed, update its `retrieved_on` in pack.yaml",
        witness=witness,
        about=(source.id,),
    )
