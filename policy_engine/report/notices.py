"""Turns totals into warnings: what a reader should act on before using the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from policy_engine.core.periods import DAY, NAT, describe_duration, format_instant
from policy_engine.core.rule_model import RulePack
from policy_engine.core.safe_text import plain
from policy_engine.core.text.wording import count_of
from policy_engine.engine.control_totals import Totals
from policy_engine.engine.run import RunOptions
from policy_engine.history import Source
from policy_engine.history.records.record_reader import HistoryPage
from policy_engine.report.files import QUARANTINE
from policy_engine.report.model import Notice, PageCompleteness


def page_totals(pages: Sequence[HistoryPage], sources: Sequence[Source]) -> tuple[PageCompleteness, ...]:
    """
    Group pages by folder (or file of pages) and declared total, and count their rows.

    The pages of one query declare one total; a page seen twice counts once.
    """
    groups: dict[tuple[str, int], dict[tuple[int | None, int], int]] = {}
    in_file = Counter(page.file for page in pages)
    for index, page in enumerate(pages):
        name = sources[page.file].name
        folder = str(PurePosixPath(name).parent)
        where = folder if folder != "." else name if in_file[page.file] > 1 else "the given files"
        rows = groups.setdefault((where, page.total), {})
        key = (page.page, 0 if page.page is not None else index)
        rows[key] = max(rows.get(key, 0), page.rows)
    return tuple(
        PageCompleteness(where, total, sum(rows.values()), len(rows)) for (where, total), rows in sorted(groups.items())
    )


def collect_warnings(
    pack: RulePack, options: RunOptions, totals: Totals, pages: Sequence[PageCompleteness]
) -> tuple[Notice, ...]:
    """Everything that should change what the reader does, the gravest first."""
    notices = [
        *exemptions_over(options, totals),
        *_quarantine(totals),
        *_incomplete_pages(pages),
        *_stale(totals, options.question.as_of),
        *_conflicts(totals),
        *_unknown_models(totals),
        *_accounts(totals),
        *_short_lived(pack, options, totals),
        *inventory_notices(options, totals),
        *house_rules_without_clock(totals),
        *_problems(totals),
        *_not_yet(totals),
    ]
    return tuple(notices)


def _quarantine(totals: Totals) -> list[Notice]:
    set_aside, records = len(totals.seen.quarantine), totals.seen.records
    if not set_aside:
        return []
    share = f"{set_aside / records:.1%}" if records else "all"
    return [
        Notice(
            "quarantine",
            f"{count_of(set_aside, 'record')} of {records:,} ({share}) could not be used and "
            f"{'is' if set_aside == 1 else 'are'} left out; the report's {QUARANTINE} says where and why.",
        )
    ]


def _incomplete_pages(pages: Sequence[PageCompleteness]) -> list[Notice]:
    return [
        Notice(
            "incomplete_history",
            f"The history pages in {plain(page.where)} declare {page.declared:,} rows, but {page.read:,} were read "
            f"({count_of(page.pages, 'page')}): the answers cover only a part. Fetch the other pages.",
        )
        for page in pages
        if page.missing
    ]


def _stale(totals: Totals, as_of: int) -> list[Notice]:
    newest = totals.tasks.newest
    if newest == NAT or as_of - newest <= DAY:
        return []
    return [
        Notice(
            "stale_history",
            f"The newest record is from {format_instant(newest)}, {describe_duration(as_of - newest)} before as_of. "
            "Newer tasks are not included.",
        )
    ]


def _conflicts(totals: Totals) -> list[Notice]:
    conflicts = totals.findings.conflicts
    if not conflicts:
        return []
    worst = sorted(conflicts.items(), key=lambda item: (-item[1], item[0]))[:3]
    files = sum(conflicts.values())
    named = ", ".join(f"{service} on {plain(host, 60)} ({count:,})" for (service, host), count in worst)
    return [
        Notice(
            "host_conflicts",
            f"{count_of(files, 'file is', 'files are')} on a host that contradicts the rule: {named}. "
            f"The rule may not apply to {'it' if files == 1 else 'them'}.",
        )
    ]


def _unknown_models(totals: Totals) -> list[Notice]:
    unknown = totals.tasks.unknown_models
    if not unknown:
        return []
    worst = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:5]
    named = ", ".join(f"{plain(name, 60)} ({count:,})" for name, count in worst)
    return [
        Notice(
            "unknown_models",
            f"{count_of(sum(unknown.values()), 'task')} with a model that is not in the catalog: {named}. "
            "Add it to catalog.yaml; until then these files stay undetermined.",
        )
    ]


def _accounts(totals: Totals) -> list[Notice]:
    count = totals.findings.reasons.get("account_unknown", 0)
    if not count:
        return []
    return [
        Notice(
            "accounts_unknown",
            f"The account (pay-as-you-go or host-your-account) of {count_of(count, 'file')} is not known, and an "
            "answer depends on it. Export the task objects, which have meta.is_using_private_pool or "
            "config.service_mode.",
        )
    ]


def _short_lived(pack: RulePack, options: RunOptions, totals: Totals) -> list[Notice]:
    """Services kept no longer than the horizon: a file may be created and due between two runs."""
    unseen: list[str] = []
    short: list[str] = []
    horizon, every = options.question.horizon, options.every
    for rule in pack.rules:
        for version in rule.versions:
            used = totals.findings.rules.get((rule.id, version.number), 0)
            if used and version.retention is not None and version.retention <= horizon:
                is_unseen = every is not None and version.retention <= every
                (unseen if is_unseen else short).append(f"{rule.title} ({describe_duration(version.retention)})")
    notices = []
    if unseen:
        notices.append(
            Notice(
                "kept_shorter_than_cadence",
                f"Kept no longer than the {describe_duration(every or 0)} between two runs: "
                f"{', '.join(sorted(set(unseen)))}. Such a file can be created and pass its deadline without any run "
                "seeing it. Run more often.",
            )
        )
    if short:
        ending = (
            "Run more often than that; otherwise a deadline can pass unnoticed."
            if every is None
            else f"A file may be due less than {describe_duration(horizon - every)} (the lead time) after the run that "
            "first sees it."
        )
        notices.append(
            Notice(
                "kept_shorter_than_horizon",
                f"Kept no longer than the horizon of {describe_duration(horizon)}: "
                f"{', '.join(sorted(set(short)))}. {ending}",
            )
        )
    return notices


def _problems(totals: Totals) -> list[Notice]:
    counts = totals.seen.problem_counts
    if not counts:
        return []
    fields = sum(counts.values())
    named = ", ".join(
        f"{code} {count:,}" for code, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
    return [
        Notice(
            "unreadable_fields",
            f"{count_of(fields, 'field')} could not be read and {'counts' if fields == 1 else 'count'} as unknown: "
            f"{named}.",
        )
    ]


def _not_yet(totals: Totals) -> list[Notice]:
    tasks, _ = totals.tasks.without_assets.get("not_yet_created", (0, 0))
    if not tasks:
        return []
    words = "task was created after as_of and is", "tasks were created after as_of and are"
    return [Notice("not_yet_created", f"{count_of(tasks, *words)} not evaluated.")]


def exemptions_over(options: RunOptions, totals: Totals) -> list[Notice]:
    """Exemptions that have ended."""
    exemptions, as_of = options.annotator.exemptions, options.question.as_of
    over = [item for item in (exemptions.items if exemptions else ()) if item.is_over(as_of)]
    if not over:
        return []
    named = "; ".join(
        f"{item.id} of {plain(item.owner, 60)}, until {item.until.isoformat()}"
        f" ({count_of(totals.marks.over.get(item.id, 0), 'file')})"
        for item in over[:5]
    )
    more = "" if len(over) <= 5 else f"; and {len(over) - 5:,} more"
    return [
        Notice(
            "exemptions_over",
            f"{count_of(len(over), 'exemption has', 'exemptions have')} ended: "
            f"{named}{more}. Renew or remove {'it' if len(over) == 1 else 'them'}.",
        )
    ]


def inventory_notices(options: RunOptions, totals: Totals) -> list[Notice]:
    """Entries of the inventory that do not count, and names that fit several files."""
    inventory = options.annotator.inventory
    if inventory is None:
        return []
    notices = []
    left_out = [
        (inventory.empty, "empty"), (inventory.later, "made after as_of"), (inventory.unreadable, "not readable"),
    ]  # fmt: skip
    count = sum(number for number, _ in left_out)
    if count:
        named = ", ".join(f"{number:,} {what}" for number, what in left_out if number)
        first = f" (the first: {plain(inventory.first_unreadable, 200)})" if inventory.first_unreadable else ""
        notices.append(
            Notice(
                "inventory_left_out",
                f"{count_of(count, 'entry', 'entries')} of {inventory.entries:,} in the inventory "
                f"{'does' if count == 1 else 'do'} not count: {named}{first}.",
            )
        )
    shared = totals.marks.shared_names()
    if shared:
        notices.append(
            Notice(
                "inventory_names_shared",
                f"{count_of(shared, 'file is', 'files are')} marked as archived because of a file name that also "
                "fits another file of the history. List URLs or asset ids to be sure.",
            )
        )
    return notices


def house_rules_without_clock(totals: Totals) -> list[Notice]:
    """Files to which a house rule applies without giving a date."""
    count = totals.marks.without_clock
    if not count:
        return []
    return [
        Notice(
            "house_rule_without_clock",
            f"A house rule gives no date for {count_of(count, 'file')}, since no time of creation is recorded; "
            "`save_by` ignores that rule.",
        )
    ]
