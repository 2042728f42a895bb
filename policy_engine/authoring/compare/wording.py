"""Words for the changes between two packs, the same in every format."""

from __future__ import annotations

from policy_engine.authoring.compare.answers import Absent, Accepted, Answer, Kept, Said
from policy_engine.authoring.compare.diff import DIRECTIONS, Change, PackDiff
from policy_engine.authoring.compare.parameters import Named
from policy_engine.core.periods import describe_duration, format_instant
from policy_engine.core.text.wording import count_of


def head_words(diff: PackDiff) -> str:
    """`2 changes in meaning: 1 loosened, 1 tightened`, or `no change in meaning`."""
    if diff.is_same_meaning:
        return "no change in meaning"
    counts = [(direction, diff.count(direction)) for direction in DIRECTIONS]
    total = sum(count for _, count in counts)
    parts = ", ".join(f"{count:,} {direction}" for direction, count in counts if count)
    return f"{count_of(total, 'change')} in meaning: {parts}"


def space_words(diff: PackDiff) -> str:
    """The space that was compared in full."""
    space = diff.space
    return (
        f"{count_of(space.services, 'service')}, {count_of(space.profiles, 'profile')}, "
        f"{count_of(space.instants, 'instant')} of effect, {count_of(space.days, 'day')} of record; all of it was "
        "compared, and an unknown fact counts as any of its values"
    )


def files_words(change: Change) -> str:
    """The files that a change covers: `kling; watermarked false; task_type any but lip_sync`."""
    parts = [", ".join(change.services)]
    for fact, values in change.facts.items():
        names = ", ".join(values.names)
        if values.is_excluded:
            names = f"any but {names}" if names else "any"
        parts.append(f"{fact} {names}")
    return "; ".join(parts)


def about_words(change: Change) -> str:
    """What the answer is about."""
    return f"operations {', '.join(change.operations)}" if change.operations else "storage"


def answer_words(answer: Answer, *, with_basis: bool) -> str:
    """The statement of the rules: `on the platform for 3 days`."""
    if not answer:
        return "no rule"
    words = [_said_words(said, with_basis) for said in answer]
    return words[0] if len(words) == 1 else f"rules that contradict each other: {' / '.join(words)}"


def _said_words(said: Said, with_basis: bool) -> str:
    if isinstance(said, Absent):
        return "not in the catalog"
    if isinstance(said, Accepted):
        return f"accepted for {describe_duration(said.period)}"
    where = "on the platform" if said.storage == "platform" else "with the vendor"
    period = "on the vendor's terms" if said.period < 0 else f"for {describe_duration(said.period)}"
    return f"{where} {period}{f' ({said.basis})' if with_basis else ''}"


def before_after_words(change: Change) -> tuple[str, str]:
    """Both answers, with their basis if it changed."""
    bases = [{said.basis for said in answer if isinstance(said, Kept)} for answer in (change.before, change.after)]
    with_basis = bool(bases[0] and bases[1]) and bases[0] != bases[1]
    return answer_words(change.before, with_basis=with_basis), answer_words(change.after, with_basis=with_basis)


def rules_words(rules: tuple[tuple[str, int], ...]) -> str:
    """`flux v1, flux v2`, or `none`."""
    shown = [f"{rule} v{number}" for rule, number in rules[:4]]
    return ", ".join(shown) + (f" and {len(rules) - 4:,} more" if len(rules) > 4 else "") if rules else "none"


def created_words(change: Change) -> str:
    """The interval of creation."""
    start, end = change.created.start, change.created.end
    if start is None:
        return "at any time" if end is None else f"before {format_instant(end)}"
    return (
        f"from {format_instant(start)} on"
        if end is None
        else f"from {format_instant(start)} to before {format_instant(end)}"
    )


def known_words(change: Change) -> str:
    """The days of knowledge."""
    first, last = change.known
    if last is None:
        return "" if first is None else f"from {first} on"
    return f"only in a replay of what was known {f'from {first} ' if first else ''}to the day before {last}"


def witness_words(change: Change) -> str:
    """One file for which the answers differ, and its deadlines."""
    witness = change.witness
    facts = {fact: value for fact, value in witness.facts.items() if fact in change.facts or fact == "service"}
    shown = ", ".join(value if fact == "service" else f"{fact} {value}" for fact, value in facts.items())
    was, becomes = (_deadline(answer, witness.created) for answer in (change.before, change.after))
    known = f", as known on {witness.known_on}" if witness.known_on else ""
    what = "accepted until" if change.operations else "kept until"
    until = f": {what} {was or 'no date'} -> {becomes or 'no date'}" if (was or becomes) and was != becomes else ""
    return f"{shown}, created {format_instant(witness.created)}{known}{until}"


def _deadline(answer: Answer, created: int) -> str:
    if len(answer) != 1 or isinstance(answer[0], Absent) or answer[0].period < 0:
        return ""
    return format_instant(created + answer[0].period)


def named_words(named: Named) -> str:
    """`horizon: P1D -> P2D`, `service x: added`."""
    if not named.before:
        return f"{named.what}: added" + (f": {named.after}" if named.after not in _PLAIN else "")
    if not named.after:
        return f"{named.what}: removed" + (f": {named.before}" if named.before not in _PLAIN else "")
    if named.before == "as it was":
        return f"{named.what}: {named.after}"
    return f"{named.what}: {named.before} -> {named.after}"


_PLAIN = ("there", "listed", "declared")
