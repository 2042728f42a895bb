"""Turns an evaluation into the report model: every number that any renderer shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from zoneinfo import ZoneInfo

import pandas as pd

from policy_engine.core.periods import DAY, HOUR, NAT, describe_duration, format_duration, format_instant
from policy_engine.core.rule_model import RulePack, RuleVersion
from policy_engine.core.text.wording import age_in_days, count_of, day_and_time, day_label, instant_text, time_left, usd
from policy_engine.core.vocabulary import (
    BASIS_WORDS,
    EVIDENCE_WORDS,
    EVIDENCES,
    OPERATION_VERDICTS,
    REASONS,
    VERDICT_WORDS,
    VERDICTS,
    WINDOW_WORDS,
    WITHOUT_ASSET_REASONS,
)
from policy_engine.engine.control_totals import Totals
from policy_engine.engine.finding_totals import NextUp
from policy_engine.engine.run import EvaluationRun, RunOptions
from policy_engine.history.records.record_reader import FIELD_PROBLEMS
from policy_engine.packs.wording import kept_words, money_sentence, operations_words, selector_words
from policy_engine.report.annotations import make_local, make_marks
from policy_engine.report.files import CSV_OF
from policy_engine.report.glossary import GLOSSARY
from policy_engine.report.model import (
    Amount,
    CountLine,
    DeadlineBucket,
    GlossaryEntry,
    InputLine,
    QuarantineLine,
    ReadingTotals,
    ReportModel,
    RuleLine,
    ServiceLine,
    VerdictLine,
)
from policy_engine.report.notices import collect_warnings, page_totals
from policy_engine.report.ranking import TopRows
from policy_engine.report.rows import file_rows

_QUARANTINE_ROWS = 100
_COMING_HOURS, _PAST_DAYS = 72, 14


@dataclass(frozen=True)
class Provenance:
    """What a report was made from."""

    program_version: str
    inputs: tuple[InputLine, ...]
    findings_digest: str
    parameters: tuple[tuple[str, str], ...]
    show_urls: bool = False
    zone: ZoneInfo | None = None
    """Zone of a second reading of times."""


def build_report(run: EvaluationRun, top: TopRows, provenance: Provenance) -> ReportModel:
    """Make the report of a run whose chunks have all been read and shown to `top`."""
    pack, options, totals = run.pack, run.options, run.totals
    as_of = options.question.as_of
    money = _Money(pack.money.points_per_usd)
    findings, tasks = totals.findings, totals.tasks
    without_points = sum(points for _, points in tasks.without_assets.values())
    verdicts = tuple(
        VerdictLine(
            str(verdict), *VERDICT_WORDS[verdict], money.amount(*findings.verdict(verdict)), CSV_OF.get(verdict)
        )
        for verdict in VERDICTS
    )
    pages = page_totals(totals.seen.pages, run.sources)
    rules = _rule_lines(pack, totals, as_of)
    return ReportModel(
        title=f"Retention report: {pack.publisher}",
        as_of=format_instant(as_of),
        as_of_words=day_and_time(as_of),
        horizon=describe_duration(options.question.horizon),
        operation_horizon=describe_duration(options.question.operation_horizon),
        program_version=provenance.program_version,
        pack_id=pack.id,
        pack_title=pack.title,
        pack_digest=pack.digest,
        reading=_reading(totals, len(run.sources)),
        verdicts=verdicts,
        total=money.amount(findings.assets, findings.points),
        without_assets=money.amount(0, without_points),
        grand_total=money.amount(findings.assets, findings.points + without_points),
        money_basis=money_sentence(pack),
        other_units=tuple(
            CountLine(unit, f"on {count_of(count, 'task')}", amount)
            for unit, (amount, count) in sorted(tasks.other_units.items())
        ),
        possibly_past=money.amount(*findings.possibly_past),
        next_deadline=_instant_of(findings.next_deadline),
        next_deadline_words=_next_words(findings.next_deadline, as_of, "No deadline is ahead."),
        next_window=_instant_of(findings.next_window),
        next_window_words=_next_words(findings.next_window, as_of, "No operation window is open."),
        windows=tuple(
            CountLine(str(word), WINDOW_WORDS[word], findings.windows.get(str(word), 0)) for word in OPERATION_VERDICTS
        ),
        not_known=_by_count(findings.reasons, REASONS),
        basis=tuple(CountLine(word, meaning, findings.basis.get(word, 0)) for word, meaning in BASIS_WORDS.items()),
        evidence=tuple(
            CountLine(str(word), EVIDENCE_WORDS[word], findings.evidence.get(str(word), 0)) for word in EVIDENCES
        ),
        oldest_source=_oldest_source(rules),
        newest_record=instant_text(tasks.newest),
        newest_record_words=_freshness(tasks.newest, as_of),
        pages=pages,
        warnings=collect_warnings(pack, options, totals, pages),
        services=_service_lines(pack, totals, money),
        deadlines=_stretches(findings.deadlines, as_of, HOUR, range(_COMING_HOURS)),
        deadlines_later=_beyond(findings.deadlines, _COMING_HOURS, money),
        # Day 0 is the one that ends at as_of.
        past_deadlines=_stretches(findings.past_deadlines, as_of, -DAY, range(_PAST_DAYS - 1, -1, -1)),
        past_earlier=_beyond(findings.past_deadlines, _PAST_DAYS, money),
        closing=money.amount(findings.windows.get("closing", 0), findings.closing_points),
        files=file_rows(top.frame(), as_of, show_urls=provenance.show_urls),
        problems=_by_count(totals.seen.problem_counts, FIELD_PROBLEMS),
        quarantine=_quarantine(run.quarantine()),
        rules=rules,
        not_published=_not_published(pack, totals),
        glossary=tuple(GlossaryEntry(word, meaning) for word, meaning in GLOSSARY),
        inputs=provenance.inputs,
        parameters=provenance.parameters,
        findings_digest=provenance.findings_digest,
        show_urls=provenance.show_urls,
        marks=make_marks(options.annotator, totals.marks, as_of, money.amount),
        local=None
        if provenance.zone is None
        else make_local(provenance.zone, as_of, findings.next_deadline.instant, findings.next_window.instant),
    )


@dataclass(frozen=True)
class _Money:
    points_per_usd: int

    def amount(self, assets: int, points: int) -> Amount:
        return Amount(assets, points, usd(points, self.points_per_usd))


def _reading(totals: Totals, files: int) -> ReadingTotals:
    tasks, seen = totals.tasks, totals.seen
    lines = tuple(
        CountLine(code, meaning, *tasks.without_assets[code])
        for code, meaning in WITHOUT_ASSET_REASONS.items()
        if code in tasks.without_assets
    )
    return ReadingTotals(
        files=files,
        records=seen.records,
        tasks=tasks.tasks,
        merged=totals.merged,
        quarantined=len(seen.quarantine),
        tasks_with_assets=tasks.with_assets,
        tasks_without_assets=sum(line.count for line in lines),
        without_assets=lines,
        previews=tasks.previews,
        same_file=tasks.same_file,
    )


def _by_count(counts: dict[str, int], meanings: dict[str, str]) -> tuple[CountLine, ...]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(CountLine(code, meanings[code], count) for code, count in ordered)


def _instant_of(nearest: NextUp) -> str:
    return "" if nearest.instant is None else format_instant(nearest.instant)


def _next_words(nearest: NextUp, as_of: int, none: str) -> str:
    if nearest.instant is None:
        return none
    services = ", ".join(sorted(service or "unknown" for service in nearest.services))
    files = count_of(sum(nearest.services.values()), "file")
    return f"{time_left(nearest.instant, as_of)}: {files} ({services})"


def _freshness(newest: int, as_of: int) -> str:
    if newest == NAT:
        return "No record has a time."
    if newest > as_of:
        return f"The newest record is {describe_duration(newest - as_of)} after as_of."
    return f"The newest record is {describe_duration(as_of - newest)} old."


def _oldest_source(rules: tuple[RuleLine, ...]) -> str:
    used = [rule for rule in rules if rule.assets] or list(rules)
    if not used:
        return "The pack has no rules."
    oldest = min(used, key=lambda rule: rule.retrieved_on)
    if not oldest.age_days:
        return f"The oldest source used was read on {oldest.retrieved_on}."
    return f"The oldest source used was read on {oldest.retrieved_on}, {count_of(oldest.age_days, 'day')} before as_of."


def _service_lines(pack: RulePack, totals: Totals, money: _Money) -> tuple[ServiceLine, ...]:
    titles = {service.id: service.title for service in pack.catalog.services}
    by_service: dict[str, dict[str, tuple[int, int]]] = {}
    for (service, verdict), pair in totals.findings.by_service.items():
        by_service.setdefault(service, {})[verdict] = pair
    lines = []
    for service, verdicts in by_service.items():
        amounts = tuple(money.amount(*verdicts.get(str(verdict), (0, 0))) for verdict in VERDICTS)
        total = money.amount(sum(amount.assets for amount in amounts), sum(amount.points for amount in amounts))
        lines.append(ServiceLine(service or "unknown", titles.get(service, "Unknown service"), amounts, total))
    return tuple(sorted(lines, key=lambda line: (-line.total.assets, line.service)))


def _stretches(
    pairs: Mapping[int, tuple[int, int]], as_of: int, step: int, indices: Iterable[int]
) -> tuple[DeadlineBucket, ...]:
    """Stretches of one length counted from as_of, forward or (a negative step) back."""
    buckets = []
    for index in indices:
        start, end = sorted((as_of + index * step, as_of + (index + 1) * step))
        assets, points = pairs.get(index, (0, 0))
        buckets.append(DeadlineBucket(format_instant(start), format_instant(end), day_label(start), assets, points))
    return tuple(buckets)


def _beyond(pairs: Mapping[int, tuple[int, int]], first: int, money: _Money) -> Amount:
    beyond = [pair for index, pair in pairs.items() if index >= first]
    return money.amount(sum(assets for assets, _ in beyond), sum(points for _, points in beyond))


def _rule_lines(pack: RulePack, totals: Totals, as_of: int) -> tuple[RuleLine, ...]:
    sources = {source.id: source for source in pack.sources}
    lines = []
    for rule in pack.rules:
        for version in rule.versions:
            if version.withdrawn:
                continue
            citation = version.citation
            source = sources.get(citation.source) if citation else None
            key = (rule.id, version.number)
            used = totals.findings.answered_by(key)
            lines.append(
                RuleLine(
                    rule_id=rule.id,
                    version=version.number,
                    title=rule.title,
                    summary=rule.summary,
                    applies_to=selector_words(version),
                    storage=str(version.storage or ""),
                    kept=kept_words(version),
                    operations=operations_words(version),
                    in_force_from="not stated"
                    if version.effective_from is None
                    else format_instant(version.effective_from),
                    basis=citation.basis if citation else "",
                    source_title=source.title if source else "",
                    source_url=source.url if source else "",
                    section=citation.section if citation else "",
                    retrieved_on=citation.retrieved_on.isoformat() if citation else "",
                    age_days=_age(version, as_of),
                    assets=used,
                )
            )
    return tuple(lines)


def _age(version: RuleVersion, as_of: int) -> int:
    if version.citation is None:
        return 0
    day = version.citation.retrieved_on
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000_000
    return age_in_days(midnight, as_of)


def _not_published(pack: RulePack, totals: Totals) -> tuple[CountLine, ...]:
    counts: dict[str, int] = {}
    for (service, verdict), (assets, _) in totals.findings.by_service.items():
        if verdict == "ungoverned":
            counts[service] = counts.get(service, 0) + assets
    return tuple(
        CountLine(service, entry.reason, counts.get(service, 0))
        for entry in pack.no_published_rule
        for service in sorted(entry.services)
    )


def _quarantine(quarantine: pd.DataFrame) -> tuple[QuarantineLine, ...]:
    return tuple(QuarantineLine(*map(str, row)) for row in quarantine.head(_QUARANTINE_ROWS).itertuples(index=False))


def describe_parameters(options: RunOptions, zone: ZoneInfo | None = None) -> tuple[tuple[str, str], ...]:
    """The options of a run that decide its answers, as name and value."""
    question, period = options.question, options.period
    rows = [
        ("as_of", format_instant(question.as_of)),
        ("horizon", format_duration(question.horizon)),
        ("operation_horizon", format_duration(question.operation_horizon)),
    ]
    if period.created_from is not None:
        rows.append(("created_from", format_instant(period.created_from)))
    if period.created_until is not None:
        rows.append(("created_until", format_instant(period.created_until)))
    if options.known_on is not None:
        rows.append(("known_on", options.known_on.isoformat()))
    if options.every is not None:
        rows.append(("every", format_duration(options.every)))
    annotator = options.annotator
    for name, file in (
        ("archived", annotator.inventory), ("exemptions", annotator.exemptions), ("house_rules", annotator.house_rules)
    ):  # fmt: skip
        if file is not None:
            rows.append((name, f"{PurePath(file.name).name} (sha256 {file.sha256})"))
    if zone is not None:
        rows.append(("tz", zone.key))
    rows += [(f"column {ours}", theirs) for ours, theirs in sorted(options.columns.items())]
    return tuple(rows)
