"""
`stale-source`: a page that rules cite and that nobody has read for longer than asked for.

A page was last read on the latest of the days that pack.yaml and the citations give. The check needs a length of time
(`--review-after`) and an instant, and is not made without them: what is clean today should not fail tomorrow unless
somebody wants just that. Pages that no rule cites are not asked about. This is a warning.
"""

from __future__ import annotations

from datetime import date, timedelta

from policy_engine.authoring.lint.question import CheckResult, LintQuestion
from policy_engine.core.periods import DAY, describe_duration
from policy_engine.core.problems import Problem
from policy_engine.core.rule_model import Citation
from policy_engine.core.text.wording import count_of


def check(question: LintQuestion) -> CheckResult:
    """Find each cited source whose last reading is too old; says so when no length of time is given."""
    pack, after, as_of = question.pack, question.review_after, question.as_of
    if after is None or as_of is None:
        return CheckResult((), "not looked at: give the most that a reading may be old (--review-after)")
    today = date.fromordinal(date(1970, 1, 1).toordinal() + as_of // DAY)
    citations: list[tuple[str, Citation]] = []
    for rule in pack.rules:
        citations += [(rule.id, version.citation) for version in rule.versions if version.citation is not None]
    citations += [("no_published_rule", entry.citation) for entry in pack.no_published_rule]
    users: dict[str, list[str]] = {}
    read: dict[str, date] = {}
    for user, citation in citations:
        users.setdefault(citation.source, []).append(user)
        read[citation.source] = max(citation.retrieved_on, read.get(citation.source, date.min))
    problems = []
    for source in pack.sources:
        last = max(source.retrieved_on, read.get(source.id, date.min))
        if source.id not in users or (today - last).days * DAY <= after:
            continue
        age = count_of((today - last).days, "day")
        citing = list(dict.fromkeys(users[source.id]))
        due = last + timedelta(days=after // DAY)
        problems.append(
            Problem(
                "stale-source",
                f"the source `{source.id}` was last read on {last}, {age} before {today}",
                source.span,
                severity="warning",
                help=f"read {source.url} again; when nothing has changed, set its `retrieved_on` in pack.yaml",
                witness=f"`{citing[0]}` rests on it; it was to be read again by {due}",
                about=(source.id,),
            )
        )
    sources = f"{count_of(len(users), 'cited source')} of {len(pack.sources)}"
    covered = f"{sources}, read within {describe_duration(after)} of {today}"
    return CheckResult(tuple(problems), covered)
