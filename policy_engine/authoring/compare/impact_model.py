"""Turns what a change of rules does to a history into the numbers and words that every format shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from policy_engine.authoring.compare.diff import DIRECTIONS, PackDiff
from policy_engine.authoring.compare.expected_impact import Outcome
from policy_engine.authoring.compare.impact import ABSENT, STATES, ImpactTotals, Move
from policy_engine.authoring.compare.wording import head_words
from policy_engine.core.periods import format_instant
from policy_engine.core.rule_model import RulePack
from policy_engine.core.text.wording import usd
from policy_engine.core.vocabulary import VERDICT_WORDS
from policy_engine.engine.control_totals import Totals
from policy_engine.engine.finding_totals import Pair

FIRST_MOVES = 6
"""Changes of a verdict that a short format lists one by one."""


@dataclass(frozen=True)
class Amount:
    """How much of something: files and what they cost."""

    assets: int
    points: int
    cost_usd: str
    """Exact decimal text of points in US dollars, without a sign."""


@dataclass(frozen=True)
class PackLine:
    """One of the two packs."""

    name: str
    """As the user gave it."""
    id: str
    sha256: str


@dataclass(frozen=True)
class ReadLine:
    """What was read: records = tasks + merged + quarantined."""

    records: int
    tasks: int
    merged: int
    quarantined: int
    assets: int
    """Files judged by both packs."""


@dataclass(frozen=True)
class ChangeLine:
    """What changed about assets, one of impact.CHANGES; an asset may count under several."""

    name: str
    amount: Amount


@dataclass(frozen=True)
class MoveLine:
    """Assets by what they are under the old pack and under the new one."""

    before: str
    """One of impact.STATES; of a window, an operation verdict or empty."""
    after: str
    amount: Amount
    words: tuple[str, str] = ("", "")
    """Both states as people read them."""
    services: tuple[str, ...] = ()
    """Services whose files are among them, those with the most first."""
    samples: tuple[tuple[str, str], ...] = ()
    """(asset id, task id) of some of them."""


@dataclass(frozen=True)
class ServiceMove:
    """The same of one service."""

    service: str
    """Catalog id; empty where the service is unknown."""
    before: str
    after: str
    amount: Amount


@dataclass(frozen=True)
class RuleMove:
    """Changed assets by the rules that gave both answers."""

    rule_before: str
    """`flux v2`; empty where no rule answered."""
    rule_after: str
    before: str
    after: str
    amount: Amount


@dataclass(frozen=True)
class RuleLine:
    """Changed assets by the rules alone."""

    rule_before: str
    rule_after: str
    assets: int


@dataclass(frozen=True)
class GridRow:
    """A row of the table of files by state before and after."""

    title: str
    counts: tuple[int, ...]
    """Files by state after, in the order of the rows."""


@dataclass(frozen=True)
class ImpactModel:
    """All that is shown."""

    old: PackLine
    new: PackLine
    as_of: str
    """RFC 3339."""
    head: str
    """The change in one sentence: `2 changes in meaning: 1 loosened, 1 tightened`."""
    is_same_meaning: bool
    directions: dict[str, int]
    """Changes in meaning by direction, all directions."""
    read: ReadLine
    changed: Amount
    """Assets whose answer is different in any way."""
    changes: tuple[ChangeLine, ...]
    """In the order of impact.CHANGES."""
    same_answer_other_rule: int
    other_answer: int
    """Changed assets with the same verdict as before."""
    moves: tuple[MoveLine, ...]
    """Changes of a verdict, the most frequent first."""
    further_moves: Amount
    """Those after the first FIRST_MOVES, added up."""
    stayed: Amount
    """Assets with the same verdict as before."""
    total: Amount
    verdicts: tuple[MoveLine, ...]
    """All assets, also those that stayed, by state before and after."""
    grid: tuple[GridRow, ...]
    """The same as a table of files, a row and a column for each state that occurs."""
    by_service: tuple[ServiceMove, ...]
    by_rule: tuple[RuleMove, ...]
    rules: tuple[RuleLine, ...]
    """Added up over the verdicts, the most files first."""
    windows: tuple[MoveLine, ...]
    """All assets by operation verdict before and after."""
    window_moves: tuple[MoveLine, ...]
    """Those whose operation verdict changed, the most files first."""
    expected: tuple[Outcome, ...]
    notes: tuple[str, ...]
    """What the reader must know to read the numbers right."""
    written: str | None
    """File with the changed assets, if one was asked for."""


def make_impact(
    names: tuple[str, str],
    diff: PackDiff,
    as_of: int,
    read: Totals,
    totals: ImpactTotals,
    *,
    expected: tuple[Outcome, ...],
    notes: tuple[str, ...],
    written: str | None,
) -> ImpactModel:
    """Make the model of an impact; `names` are those of the packs as the user gave them."""
    rate = diff.new.money.points_per_usd

    def amount(*pairs: Pair) -> Amount:
        points = sum(points for _, points in pairs)
        return Amount(sum(assets for assets, _ in pairs), points, usd(points, rate))

    moves = totals.moves()
    windows = sorted(totals.windows.items())
    return ImpactModel(
        old=_pack(names[0], diff.old),
        new=_pack(names[1], diff.new),
        as_of=format_instant(as_of),
        head=head_words(diff),
        is_same_meaning=diff.is_same_meaning,
        directions={direction: diff.count(direction) for direction in DIRECTIONS},
        read=ReadLine(
            read.seen.records, read.tasks.tasks, read.merged, len(read.seen.quarantine), totals.after.assets
        ),
        changed=amount(totals.changed),
        changes=tuple(ChangeLine(name, amount(pair)) for name, pair in totals.changes.items()),
        same_answer_other_rule=totals.rule_only,
        other_answer=totals.changed[0] - amount(*moves.values()).assets,
        moves=tuple(_move(move, amount(pair), totals) for move, pair in moves.items()),
        further_moves=amount(*list(moves.values())[FIRST_MOVES:]),
        stayed=amount(*(pair for (before, after), pair in totals.matrix.items() if before == after)),
        total=amount(*totals.matrix.values()),
        verdicts=tuple(_move(move, amount(pair), totals) for move, pair in sorted(totals.matrix.items())),
        grid=_grid(totals),
        by_service=tuple(ServiceMove(*key, amount(pair)) for key, pair in sorted(totals.by_service.items())),
        by_rule=tuple(RuleMove(*key, amount(pair)) for key, pair in sorted(totals.by_rule.items())),
        rules=_rules(totals),
        windows=_windows(windows, amount),
        window_moves=_windows(
            sorted(((move, pair) for move, pair in totals.windows.items() if move[0] != move[1]),
                   key=lambda item: -item[1][0]),
            amount,
        ),
        expected=expected,
        notes=notes,
        written=written,
    )  # fmt: skip


def state_words(state: str) -> str:
    """A verdict, or `absent`, as people read it."""
    return state if state == ABSENT else VERDICT_WORDS[state][0]


def _pack(name: str, pack: RulePack) -> PackLine:
    return PackLine(name, pack.id, pack.digest)


def _move(move: Move, amount: Amount, totals: ImpactTotals) -> MoveLine:
    counts = {service: pair[0] for (service, *states), pair in totals.by_service.items() if tuple(states) == move}
    services = sorted(counts, key=lambda name: (-counts[name], name))
    return MoveLine(
        *move,
        amount,
        (state_words(move[0]), state_words(move[1])),
        tuple(service or "unknown service" for service in services),
        totals.samples.get(move, ()),
    )


def _grid(totals: ImpactTotals) -> tuple[GridRow, ...]:
    present = [state for state in STATES if any(state in move for move in totals.matrix)]
    return tuple(
        GridRow(state_words(before), tuple(totals.matrix.get((before, after), (0, 0))[0] for after in present))
        for before in present
    )


def _rules(totals: ImpactTotals) -> tuple[RuleLine, ...]:
    sums: dict[Move, int] = {}
    for (before, after, _, _), (assets, _) in totals.by_rule.items():
        sums[before, after] = sums.get((before, after), 0) + assets
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return tuple(RuleLine(before, after, count) for (before, after), count in ordered)


def _windows(windows: Iterable[tuple[Move, Pair]], amount: Callable[[Pair], Amount]) -> tuple[MoveLine, ...]:
    return tuple(MoveLine(*move, amount(pair)) for move, pair in windows)
