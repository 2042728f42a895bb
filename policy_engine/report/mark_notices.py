"""Turns marks into warnings: leave that has ended, entries that do not count, rules that could not be applied."""

from __future__ import annotations

from policy_engine.core.problems import plain
from policy_engine.core.text.wording import count_of
from policy_engine.engine.run import RunOptions, Totals
from policy_engine.report.model import Notice


def exemptions_over(options: RunOptions, totals: Totals) -> list[Notice]:
    """Exemptions that let nothing stand any more."""
    exemptions, as_of = options.marker.exemptions, options.question.as_of
    over = [one for one in (exemptions.items if exemptions else ()) if one.is_over(as_of)]
    if not over:
        return []
    named = "; ".join(
        f"{one.id} of {plain(one.owner, 60)}, until {one.until.isoformat()}"
        f" ({count_of(totals.marks.over.get(one.id, 0), 'file')})"
        for one in over[:5]
    )
    more = "" if len(over) <= 5 else f"; and {len(over) - 5:,} more"
    return [
        Notice(
            "exemptions_over",
            f"{count_of(len(over), 'exemption is', 'exemptions are')} over and let nothing stand any more: "
            f"{named}{more}. Renew them or take them out.",
        )
    ]


def inventory_notices(options: RunOptions, totals: Totals) -> list[Notice]:
    """Entries of the inventory that do not count, and names that fit several files."""
    inventory = options.marker.inventory
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
                f"{count_of(shared, 'file is', 'files are')} marked as archived by a file name that fits another file "
                "of the history as well. List URLs or asset ids to be sure.",
            )
        )
    return notices


def house_rules_without_clock(totals: Totals) -> list[Notice]:
    """Files that a house rule fits and gives no date."""
    count = totals.marks.without_clock
    if not count:
        return []
    return [
        Notice(
            "house_rule_without_clock",
            f"For {count_of(count, 'file')} a house rule has no date, since no time of creation is recorded: "
            "`save_by` leaves that rule out.",
        )
    ]
