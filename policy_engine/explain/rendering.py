"""Renders the explanation of a task as about ten plain lines."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from policy_engine.core.periods import describe_duration, format_instant
from policy_engine.core.safe_text import plain
from policy_engine.core.text.wording import usd
from policy_engine.core.vocabulary import WITHOUT_ASSET_REASONS, Evidence, StorageLocation, Verdict
from policy_engine.explain.sentences import FACT_LABELS, VALUE_WORDS, AnswerWriter, listed
from policy_engine.explain.tracing import FileGroup, FileSeen, RuleKey, TaskExplanation

_WIDTH = 100
_LABEL = 14
_MOST = 8
"""Most files, hosts, rules or locations that are listed individually."""


def render_explanation(explanations: Iterable[TaskExplanation], *, show_urls: bool = False) -> str:
    """
    Write explanations as plain text: a head, a paragraph per group of files, and one about the task.

    Text from data is made safe to show on a terminal. URLs are bearer links, so only `show_urls` shows them whole.
    """
    return "\n".join(_Writer(explanation, show_urls).text() for explanation in explanations)


class _Writer:
    """Writes one task."""

    def __init__(self, task: TaskExplanation, show_urls: bool) -> None:
        self.task = task
        self._show_urls = show_urls
        self._answers = AnswerWriter(task)
        self._versions = {
            (rule.id, version.number): (rule.title, version) for rule in task.pack.rules for version in rule.versions
        }
        names = [file.name for group in task.groups for file in group.files]
        self._repeated = {name for name in set(names) if names.count(name) > 1}

    def text(self) -> str:
        """The whole explanation."""
        paragraphs = [[("", self._head())], *(list(self._group(group)) for group in self.task.groups)]
        paragraphs.append(list(self._about_task()))
        return "\n".join("".join(_wrap(*line) for line in paragraph) for paragraph in paragraphs)

    def _head(self) -> str:
        task = self.task
        service = plain(task.service.title) if task.service else "service not known"
        account = VALUE_WORDS.get(("account", task.account), "")
        words = [service, plain(task.task_type), account, f"status {plain(task.status) or 'not recorded'}"]
        known = f", as known on {task.known_on}" if task.known_on else ""
        return (
            f"Task {plain(task.task_id)}: {', '.join(word for word in words if word)}. "
            f"Asked as of {format_instant(task.question.as_of)}{known}."
        )

    def _group(self, group: FileGroup) -> Iterator[tuple[str, str]]:
        """Label and text of every line about files with equal answers."""
        answer, write = group.answer, self._answers
        yield ("Files" if len(group.files) > 1 else "File"), self._files(group.files)
        if self._show_urls:
            for file in group.files:
                if file.url:
                    yield "URL", plain(file.url, 2_000)
        yield "Answer", write.answer(group)
        save = write.save_before(answer)
        if save is not None:
            is_past = answer.verdict == Verdict.EXPIRED
            yield "Deadline" if is_past else "Save" if answer.possibly_past else "Save before", save
        counted = write.counted_from(group)
        if counted is not None:
            yield "Counted from", counted
        if "facts_conflict" in answer.reasons:
            yield "Conflict", "addresses of this file state different facts; these facts count as not known."
        for fact, suppositions in group.suppositions:
            yield FACT_LABELS[fact], write.unknown_fact(fact, suppositions)
        operations = write.operations(answer)
        if operations is not None:
            yield "Operations", operations
        rules = self._rules_of(group)
        for key in rules[:_MOST]:
            yield "Rule", self._rule(key)
        if len(rules) > _MOST:
            yield "Rule", f"and {len(rules) - _MOST} more."
        for source in self._sources(group, rules):
            yield "Source", source
        yield "Host", self._host(group)
        links = sorted({file.link_expires_at for file in group.files if file.link_expires_at is not None})
        if links:
            yield "Link", f"signed; by its own statement it works until {write.at(links[0])}."

    def _about_task(self) -> Iterator[tuple[str, str]]:
        """Label and text of every line about the task as a whole."""
        task = self.task
        if task.without is not None:
            yield "File", "none."
            when = self._when_created() if task.without == "not_yet_created" else ""
            yield "Answer", f"no answer is due ({task.without}). {WITHOUT_ASSET_REASONS[task.without]}{when}"
            if task.without == "unknown_service":
                yield "Service", self._answers.about_service()
        yield "Cost", self._cost()
        for field in task.unreadable:
            where = f"`{plain(field.name)}` in {plain(field.record)}"
            yield "Unreadable", f"{where}: {plain(field.found)}; it counts as not recorded."
        records = listed([plain(record) for record in task.records], most=_MOST)
        count = len(task.records)
        yield "Read from", f"{records}{f', {count} records of this task, merged' if count > 1 else ''}."

    def _when_created(self) -> str:
        """The latest recorded instant of a task that does not exist yet."""
        clock, as_of = self.task.clock, self.task.question.as_of
        latest = max(instant for instant in (clock.submitted, clock.completed, as_of) if instant is not None)
        what = "finished" if latest == clock.completed else "submitted"
        return f" It was {what} at {format_instant(latest)}, {describe_duration(latest - as_of)} later."

    def _files(self, files: Sequence[FileSeen]) -> str:
        """Names of files, grouped by kind and host."""
        kinds: dict[str, list[str]] = {}
        for file in files:
            where = f"on {plain(file.host)}" if file.host else "URL not seen"
            name = f"{plain(file.name)}/{file.ordinal}" if file.name in self._repeated else plain(file.name)
            kinds.setdefault(f"({file.media or 'media not known'}, {where})", []).append(name)
        return "; ".join(f"{listed(names, most=_MOST)} {kind}" for kind, names in kinds.items()) + "."

    def _rules_of(self, group: FileGroup) -> list[RuleKey]:
        """Rules behind the possible answers, that of the finding first."""
        answers = [group.answer, group.from_first, group.from_last]
        answers += [supposition.answer for _, suppositions in group.suppositions for supposition in suppositions]
        keys = [answer.rule for answer in answers] + [answer.operation_rule for answer in answers]
        return list(dict.fromkeys(key for key in keys if key is not None))

    def _rule(self, key: RuleKey) -> str:
        """A rule version in words."""
        title, version = self._versions[key]
        period = describe_duration(version.retention) if version.retention is not None else None
        says = []
        if version.storage is StorageLocation.PLATFORM:
            says.append(f"kept on the platform for {period}")
        elif version.storage is StorageLocation.VENDOR_CDN:
            says.append(f"kept by the vendor {f'for {period}' if period else 'on its own terms'}")
        if version.operation_window is not None:
            says.append(f"operations for {describe_duration(version.operation_window.period)}")
        start = version.effective_from
        says.append(f"in force from {format_instant(start)}" if start is not None else "since when is not stated")
        return f"{key[0]} v{key[1]} ({plain(title)}): {'; '.join(says)}."

    def _sources(self, group: FileGroup, rules: Sequence[RuleKey]) -> list[str]:
        """Sources of the rules, or what was read if there is no rule; equal sources together."""
        citations = [self._versions[key][1].citation for key in rules]
        service = self.task.service
        if "no_published_rule" in group.answer.reasons and service is not None:
            citations += [entry.citation for entry in self.task.pack.no_published_rule if service.id in entry.services]
        sections: dict[tuple[str, str, str], list[str]] = {}
        for citation in citations:
            if citation is not None:
                key = (citation.source, citation.basis, citation.retrieved_on.isoformat())
                sections.setdefault(key, []).append(f'"{plain(citation.section)}"')
        pages = {source.id: source for source in self.task.pack.sources}
        return [
            f"{plain(pages[source].title)}, {listed(list(dict.fromkeys(names)))}; {basis}, read on {day}. "
            f"{plain(pages[source].url, 500)}"
            for (source, basis, day), names in sections.items()
        ]

    def _host(self, group: FileGroup) -> str:
        """Whether the owner of the host fits the rule; this is evidence and decides nothing."""
        answer, owner = group.answer, plain(group.owner)
        hosts = list(dict.fromkeys(plain(file.host) for file in group.files if file.host))
        if answer.evidence == Evidence.EXPECTED:
            return "not seen: no record carries the output. The file is expected because the task completed."
        names = listed(hosts, most=_MOST) or "a URL without a host"
        if not owner:
            return (
                f"the rule pack does not name an owner of {names}, so it neither supports nor contradicts the answer."
            )
        belongs = f"{names} {'belongs' if len(hosts) == 1 else 'belong'} to {owner}"
        holder = "the platform" if answer.storage == StorageLocation.PLATFORM else "the vendor"
        if answer.evidence == Evidence.AGREES:
            return f"{belongs}, which agrees with the rule: {holder} holds the file."
        if answer.evidence == Evidence.CONFLICTS:
            return (
                f"{belongs}, which contradicts the rule that {holder} holds the file. The answer follows the rule; "
                "check whether the URL still opens."
            )
        return f"{belongs}; no rule settles who holds the file, so this proves nothing."

    def _cost(self) -> str:
        """What the task cost, in points and dollars."""
        task, cost, money = self.task, self.task.cost, self.task.pack.money
        if task.state != "completed":
            return "not counted, since the task is not recorded as completed."
        parts = [f"{amount:,} {plain(unit)} (no dollar value known)" for unit, amount in cost.other_units]
        if cost.points:
            rate = f"{money.points_per_usd:,} points a dollar: {money.basis}"
            parts.insert(0, f"{cost.points:,} points = {usd(cost.points, money.points_per_usd)} USD ({rate})")
            if cost.files > 1:
                parts.append(f"divided equally over the task's {cost.files} files")
        if not parts:
            return "nothing was charged." if cost.is_recorded else "not recorded."
        return "; ".join(parts) + "."


def _wrap(label: str, text: str) -> str:
    """A line of the explanation, folded under its label."""
    indent = _LABEL if label else 0
    # Folding may move any word to the start of a line, where build services read some words as commands.
    text = re.sub(r"(?<!\S)(?=::|##\[)", r"\\", text)
    folded = textwrap.fill(
        label.ljust(indent) + text,
        _WIDTH,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return folded + "\n"
