"""Writes sentences about the answers of a file: verdict, deadline, readings of creation, unknown facts, operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from policy_engine.core.fact_domain import ANY_OTHER
from policy_engine.core.periods import describe_duration, format_instant
from policy_engine.core.problems import suggest
from policy_engine.core.rule_model import RuleVersion
from policy_engine.core.safe_text import plain
from policy_engine.core.vocabulary import OperationVerdict, Verdict, fold
from policy_engine.explain.tracing import Answer, FileGroup, Supposition, TaskExplanation

_SHORT = {
    Verdict.ACTIVE: "active",
    Verdict.AT_RISK: "at risk",
    Verdict.EXPIRED: "past its deadline",
    Verdict.VENDOR_CDN: "kept by the vendor",
    Verdict.UNGOVERNED: "without a rule",
    Verdict.UNDETERMINED: "not settled",
}
_WINDOW_SHORT = {
    OperationVerdict.OPEN: "open",
    OperationVerdict.CLOSING: "closing",
    OperationVerdict.CLOSED: "past",
    OperationVerdict.UNGOVERNED: "without a rule",
    OperationVerdict.UNDETERMINED: "not settled",
    OperationVerdict.NONE: "none",
}
_DATED = (Verdict.ACTIVE, Verdict.AT_RISK, Verdict.EXPIRED)
_WINDOW_DATED = (OperationVerdict.OPEN, OperationVerdict.CLOSING, OperationVerdict.CLOSED)

VALUE_WORDS = {
    ("account", "pay_as_you_go"): "pay-as-you-go",
    ("account", "host_your_account"): "host-your-account",
    ("watermarked", "true"): "with a watermark",
    ("watermarked", "false"): "without a watermark",
}
"""Values of facts as sentences name them; other values are used as they are."""
FACT_LABELS = {
    "task_type": "Task type",
    "account": "Account",
    "media": "Media",
    "role": "Role",
    "watermarked": "Watermark",
}
_FACT_PLURALS = {
    "task_type": "task types",
    "account": "account types",
    "media": "kinds of media",
    "role": "roles",
    "watermarked": "possibilities",
}
_FACT_PREPOSITIONS = {"task_type": "for ", "account": "on ", "media": "for ", "role": "for ", "watermarked": ""}
_FACT_SOURCES = {
    "task_type": "`task_type` in the task object, or `action` in the history row",
    "account": "`meta.is_using_private_pool` in the task object (true = host-your-account, false = pay-as-you-go; it "
    "decides), or `config.service_mode` (private = host-your-account, public = pay-as-you-go)",
}


class AnswerWriter:
    """Writes sentences about the answers of one task's files."""

    def __init__(self, task: TaskExplanation) -> None:
        self.task = task
        self._as_of = task.question.as_of
        self._versions: dict[tuple[str, int], RuleVersion] = {
            (rule.id, version.number): version for rule in task.pack.rules for version in rule.versions
        }

    def answer(self, group: FileGroup) -> str:
        """The verdict in words, with its code."""
        answer, horizon = group.answer, describe_duration(self.task.question.horizon)
        if answer.verdict == Verdict.ACTIVE:
            return f"active: before its deadline, by more than the horizon of {horizon}."
        if answer.possibly_past:
            return (
                "at risk, and possibly past its deadline: of the possible deadlines the earliest has passed and the "
                "latest has not (at_risk)."
            )
        if answer.verdict == Verdict.AT_RISK:
            return f"at risk: its deadline lies within the horizon of {horizon} (at_risk)."
        if answer.verdict == Verdict.EXPIRED:
            several = answer.expires_earliest != answer.expires_latest
            return f"past its deadline{', also by the latest of the possible ones' if several else ''} (expired)."
        if answer.verdict == Verdict.VENDOR_CDN:
            return "kept by the vendor on its own terms, for which no period is published (vendor_cdn)."
        if answer.verdict == Verdict.UNGOVERNED:
            return self._without_rule(answer)
        return f"not settled by what is recorded (undetermined). {self._why_open(group)}"

    def about_service(self) -> str:
        """Why the service of the task is not known, and how to find out."""
        model, task_type = self.task.model, self.task.task_type
        if not model:
            return "No record of this task names a model; check `model` in the task object or in the history row."
        services = self.task.pack.catalog.services
        names = {name.model: service for service in services for name in service.names}
        sharing = [
            plain(item.title) for item in services if any(fold(name.model) == fold(model) for name in item.names)
        ]
        if sharing and not task_type:
            return (
                f"The model `{plain(model)}` belongs to several services ({listed(sharing, 'or')}); "
                f"the task type decides. To find out, check {_FACT_SOURCES['task_type']}."
            )
        with_type = f" with the task type `{plain(task_type)}`" if task_type else ""
        near = suggest(model, names)
        hint = f" The nearest name is `{plain(near)}` ({plain(names[near].title)})." if near and not sharing else ""
        return (
            f"The catalog does not list the model `{plain(model)}`{with_type}, so no rule can be chosen.{hint} "
            "If it is another name of a service, add it to the rule pack's catalog."
        )

    def save_before(self, answer: Answer) -> str | None:
        """The deadline and how far away it is, or None if there is none."""
        earliest, latest = answer.expires_earliest, answer.expires_latest
        if answer.verdict == Verdict.VENDOR_CDN:
            return "no deadline is published; only the vendor knows how long the file is kept."
        if earliest is None:
            return None
        if answer.verdict == Verdict.UNDETERMINED:
            return f"{self.at(earliest)}, the earliest deadline that may apply."
        if latest is None or latest == earliest:
            return f"{self.at(earliest)}."
        if answer.verdict == Verdict.EXPIRED:
            return f"{self.at(earliest)} at the earliest, {self.at(latest)} at the latest."
        if answer.possibly_past:
            return f"at once: the earliest deadline was {self.at(earliest)}, the latest is {self.at(latest)}."
        return f"{self.at(earliest)}; the latest possible deadline is {format_instant(latest)}."

    def counted_from(self, group: FileGroup) -> str | None:
        """The possible readings of creation, and whether they agree; None if no answer needs a clock."""
        clock, answer = self.task.clock, group.answer
        if answer.expires_earliest is None and answer.closes_earliest is None and "no_clock" not in answer.reasons:
            return None
        first, last = clock.first, clock.last
        if first is None or last is None:
            rule = self._versions[group.from_first.rule] if group.from_first.rule else None
            text = "nothing: neither submission nor completion is recorded."
            if rule is not None and rule.retention is not None:
                period = describe_duration(rule.retention)
                text += f" The rule in force at the instant asked about keeps such a file for {period}."
            return f"{text} To find out, check `meta.created_at` and `meta.ended_at` in the task object."
        if clock.is_between and clock.is_inverted:
            return f"submission at {format_instant(first)}; by a record the task had finished before, which cannot be."
        if clock.is_between:
            return self._between(group, first, last)
        if clock.is_inverted:
            return (
                f"{format_instant(first)} or {format_instant(last)}: the records say that the task ended before it was "
                f"submitted, so the two were put in order. {self._agreement(group, 'the earlier', 'the later')}"
            )
        if first == last:
            return f"creation at {format_instant(first)}; submission and completion are one instant."
        readings = f"submission ({format_instant(first)}) or completion ({format_instant(last)})"
        return f'"creation", which may mean {readings}. {self._agreement(group, "submission", "completion")}'

    def unknown_fact(self, fact: str, suppositions: Sequence[Supposition]) -> str:
        """The answer for each value of an unknown fact, and where to find the value."""
        files = _clusters(suppositions, lambda answer: (answer.verdict, answer.expires_earliest, answer.expires_latest))
        windows = _clusters(
            suppositions, lambda answer: (answer.operation_verdict, answer.closes_earliest, answer.closes_latest)
        )
        if len(files) == 1:
            plural = f"{'Both' if len(suppositions) == 2 else 'All'} {_FACT_PLURALS[fact]}"
            text = f"not known. {plural} {self._same_for_all(suppositions)}"
        else:
            each = [f"{_values(fact, values)}: {self._file_phrase(answer)}" for values, answer in files]
            text = f"not known. {' '.join(f'{phrase[0].upper()}{phrase[1:]}.' for phrase in each)}"
        if len(windows) > 1:
            each = [f"{self._window_phrase(answer)} {_values(fact, values)}" for values, answer in windows]
            link = ", while the" if len(files) == 1 else ". The"
            text = f"{text.removesuffix('.')}{link} operation window is {_joined(each)}."
        elif windows[0][1].operation_verdict in _WINDOW_DATED:
            text += f" The operation window is {self._window_phrase(windows[0][1])} either way."
        return f"{text} To find out, check {self._where(fact)}."

    def operations(self, answer: Answer) -> str | None:
        """Until when follow-up operations are accepted; None for a service without any."""
        closes, closed = answer.closes_earliest, answer.closes_latest
        names = listed([plain(name) for name in answer.operations])
        if answer.operation_verdict == OperationVerdict.NONE or not names:
            return None
        if answer.operation_verdict == OperationVerdict.UNGOVERNED:
            return f"{names}: no rule says until when they are accepted (ungoverned)."
        if closes is None:
            return f"{names}: not settled by what is recorded (undetermined)."
        if closed is None:
            return f"{names}: not settled (undetermined); {self.at(closes)} is the earliest end that may apply."
        if answer.operation_verdict == OperationVerdict.CLOSED:
            return f"{names}: the window is past since {self.at(closed)} (closed)."
        if answer.operation_verdict == OperationVerdict.OPEN:
            return f"{names}: accepted until {self.at(closes)} (open)."
        if closes > self._as_of:
            return f"{names}: accepted until {self.at(closes)}, which is near (closing)."
        return (
            f"{names}: possibly past (closing). Of the possible ends of the window the earliest was "
            f"{self.at(closes)}, the latest is {self.at(closed)}."
        )

    def at(self, instant: int) -> str:
        """An instant and how far it is from the one asked about."""
        distance = instant - self._as_of
        words = describe_duration(distance)
        relation = f"{words} left" if distance > 0 else f"{words} ago" if distance < 0 else "the instant asked about"
        return f"{format_instant(instant)} ({relation})"

    def _without_rule(self, answer: Answer) -> str:
        service = self.task.service
        title = plain(service.title) if service else "the service"
        if service and "no_published_rule" in answer.reasons:
            reasons = [
                plain(entry.reason, 600) for entry in self.task.pack.no_published_rule if service.id in entry.services
            ]
            return f"no rule is published for {title}, so no deadline is known (ungoverned). {' '.join(reasons)}"
        return f"{title} has rules, but none covers this file at its creation (ungoverned)."

    def _why_open(self, group: FileGroup) -> str:
        if "unknown_service" in group.answer.reasons:
            return self.about_service()
        if "no_clock" in group.answer.reasons:
            return "A deadline applies, but when the task was created is not recorded."
        if group.suppositions:
            facts = [FACT_LABELS[fact].lower() for fact, _ in group.suppositions]
            return f"It depends on what is not known: {listed(facts)}."
        return "The rules changed between the first and the last possible creation."

    def _between(self, group: FileGroup, first: int, last: int) -> str:
        """An interval of possible creations, and its bounds."""
        pack = self.task.pack
        why = f"no task is taken to last longer than {describe_duration(pack.longest_task)}: {pack.longest_task_basis}"
        if self.task.clock.completed is None:
            why = why if self.task.clock.is_assumed else "by then a record calls the task finished"
            known, unknown, field = f"submission ({format_instant(first)})", "completion", "meta.ended_at"
            bound = f"{format_instant(last)} at the latest"
        else:
            known, unknown, field = f"completion ({format_instant(last)})", "submission", "meta.created_at"
            bound = f"{format_instant(first)} at the earliest"
        agreement = self._agreement(group, "the first of these", "the last")
        return (
            f"{known} or {unknown}, which is not recorded: {bound} ({why}). {agreement} "
            f"To find out, check `{field}` in the task object."
        )

    def _agreement(self, group: FileGroup, first: str, last: str) -> str:
        """Whether the readings give the same answer, and why."""
        early, late = group.from_first, group.from_last
        if early.verdict != late.verdict:
            return (
                f"The answers differ: {_SHORT[Verdict(early.verdict)]} counted from {first}, "
                f"{_SHORT[Verdict(late.verdict)]} counted from {last}."
            )
        if early.verdict != group.answer.verdict:
            return "Between the two the rules changed, and the answer with them."
        if early.operation_verdict != late.operation_verdict:
            windows = [_WINDOW_SHORT[OperationVerdict(answer.operation_verdict)] for answer in (early, late)]
            return (
                f"The answer for the file is the same; the operation window is {windows[0]} counted from {first}, "
                f"{windows[1]} counted from {last}."
            )
        if early.verdict == Verdict.EXPIRED:
            return "Both deadlines have passed, so the answer is the same."
        if early.verdict == Verdict.ACTIVE:
            return "Both deadlines lie ahead by more than the horizon, so the answer is the same."
        return "The answer is the same either way."

    def _same_for_all(self, suppositions: Sequence[Supposition]) -> str:
        """What all values of a fact mean for the file."""
        answer = suppositions[0].answer
        if answer.verdict == Verdict.UNDETERMINED:
            return "leave the answer for the file open; something else decides it."
        if answer.verdict == Verdict.VENDOR_CDN:
            return "leave the file with the vendor, so the answer for the file is certain."
        if answer.verdict == Verdict.UNGOVERNED:
            return "have no rule for the file, so the answer for the file is certain."
        rules = [self._versions[item.answer.rule] for item in suppositions if item.answer.rule is not None]
        periods = {rule.retention for rule in rules}
        period = periods.pop() if len(periods) == 1 else None
        keeps = f"keep the file for {describe_duration(period)}" if period else "give the file the same deadline"
        return f"{keeps}, so the answer for the file is certain."

    def _file_phrase(self, answer: Answer) -> str:
        verdict, earliest, latest = Verdict(answer.verdict), answer.expires_earliest, answer.expires_latest
        if verdict not in _DATED or earliest is None or latest is None:
            return _SHORT[verdict]
        if verdict == Verdict.EXPIRED:
            return f"past its deadline of {self.at(latest)}"
        return f"{_SHORT[verdict]}, deadline {self.at(earliest)}"

    def _window_phrase(self, answer: Answer) -> str:
        verdict = OperationVerdict(answer.operation_verdict)
        closes, closed = answer.closes_earliest, answer.closes_latest
        if verdict not in _WINDOW_DATED or closes is None or closed is None:
            return _WINDOW_SHORT[verdict]
        if verdict == OperationVerdict.CLOSED:
            return f"past since {self.at(closed)}"
        if verdict == OperationVerdict.OPEN:
            return f"open until {self.at(closes)}"
        return f"closing at {self.at(closes)}" if closes > self._as_of else f"possibly past since {self.at(closes)}"

    def _where(self, fact: str) -> str:
        """The field in which a person finds an unknown fact."""
        if fact in _FACT_SOURCES:
            return _FACT_SOURCES[fact]
        known = []
        for spec in self.task.service.outputs if self.task.service else ():
            value = getattr(spec, fact)
            if spec.kind == "file" and value is not None:
                word = str(value).lower() if isinstance(value, bool) else value
                known.append(f"`{plain(spec.path)}` ({VALUE_WORDS.get((fact, word), plain(word))})")
        listing = f"; the catalog knows {listed(known, most=4)}" if known else ""
        return f"the field of the task's `output` that holds the URL{listing}"


def listed(words: Sequence[str], last: str = "and", most: int | None = None) -> str:
    """`a, b and c`; words beyond `most` are counted."""
    if most is not None and len(words) > most:
        words = [*words[:most], f"{len(words) - most} more"]
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _clusters(
    suppositions: Sequence[Supposition], aspect: Callable[[Answer], object]
) -> list[tuple[list[str], Answer]]:
    """Values whose answers agree in one aspect, with one of these answers."""
    clusters: dict[object, tuple[list[str], Answer]] = {}
    for item in suppositions:
        clusters.setdefault(aspect(item.answer), ([], item.answer))[0].append(item.value)
    return list(clusters.values())


def _values(fact: str, values: Sequence[str]) -> str:
    """Values of a fact with their preposition."""
    words = ["any other" if value == ANY_OTHER else VALUE_WORDS.get((fact, value), plain(value)) for value in values]
    return _FACT_PREPOSITIONS[fact] + listed(words, "or", 5)


def _joined(phrases: Sequence[str]) -> str:
    return listed(phrases) if len(phrases) < 3 else "; ".join(phrases)
