"""The decision table: each profile is resolved once, conflicts are refused, and its arrays suit the kernel."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from policy_engine.core.periods import DAY, HOUR, MAX_INSTANT
from policy_engine.core.problems import PackInvalid, SourceSpan
from policy_engine.core.rule_model import OperationWindow, RulePack
from policy_engine.engine.decision_table import DecisionTable
from policy_engine.engine.evaluation import evaluate
from tests.support.agreement import ask, finding_of, frame_of, kept, rows
from tests.support.strategies import (
    BASE,
    World,
    asset,
    output,
    pack,
    rule,
    service,
    ten_rules,
    version,
)


def test_the_last_instant_before_a_change_counts() -> None:
    """
    Where a task may have ended on either side of a change of rules, its last deadline is that of the last nanosecond
    under the longer period, and its first that of the submission.
    """
    changed = rule("r", version(1, **kept(30 * DAY)), version(2, **kept(DAY), effective_from=BASE))
    found = finding_of(pack([service("alpha")], [changed]), asset("alpha", BASE - HOUR))
    assert found["expires_latest"] == BASE - 1 + 30 * DAY
    assert found["expires_earliest"] == BASE + DAY


def test_the_last_instant_before_a_change_counts_for_windows() -> None:
    """
    The same holds of the last instant for a follow-up.
    """
    long, short = OperationWindow(("extend",), 30 * DAY), OperationWindow(("extend",), DAY)
    changed = rule("r", version(1, window=long), version(2, window=short, effective_from=BASE))
    made = pack([service("alpha", operations=("extend",))], [changed])
    found = finding_of(made, asset("alpha", BASE - HOUR))
    assert found["operation_closes_latest"] == BASE - 1 + 30 * DAY
    assert found["operation_closes_earliest"] == BASE + DAY


@pytest.mark.parametrize(("before", "after"), [("a", "z"), ("z", "a")])
def test_equal_deadlines_go_to_the_least_id(before: str, after: str) -> None:
    """
    Two rules that give one deadline, one after the other in time: the finding names the one with the least id.
    """
    turn = BASE + HOUR
    rules = [
        rule(before, version(1, **kept(DAY + HOUR)), version(2, withdrawn=True, effective_from=turn)),
        rule(after, version(1, **kept(DAY), effective_from=turn)),
    ]
    for finished in (None, turn):
        found = finding_of(pack([service("alpha")], rules), asset("alpha", BASE, finished))
        assert found["expires_earliest"] == BASE + DAY + HOUR
        assert found["rule_id"] == "a"


def test_the_last_usable_instant_does_not_overflow() -> None:
    """
    Where the rules end at the greatest instant that is taken, a deadline before it is still what it is.
    """
    ending = rule("r", version(1, **kept(DAY)), version(2, withdrawn=True, effective_from=MAX_INSTANT))
    found = finding_of(pack([service("alpha")], [ending]), asset("alpha", MAX_INSTANT - 1, MAX_INSTANT))
    assert found["expires_earliest"] == MAX_INSTANT - 1 + DAY


def test_a_change_at_the_very_instant_of_creation_counts() -> None:
    """
    A version is in force from its first instant on, and not a nanosecond earlier.
    """
    changed = rule("r", version(1, **kept(2 * DAY)), version(2, **kept(DAY), effective_from=BASE))
    made = pack([service("alpha")], [changed])
    assert finding_of(made, asset("alpha", BASE, BASE))["rule_version"] == 2
    assert finding_of(made, asset("alpha", BASE - 1, BASE - 1))["rule_version"] == 1


def test_a_profile_is_resolved_once() -> None:
    """
    A profile met before keeps its row, also when others come between; what was read of the table grows with it.
    """
    table = DecisionTable(ten_rules())
    flux, luma = ("flux", *[None] * 5), ("luma", *[None] * 5)
    assert table.bind([flux, luma, flux]).tolist() == [0, 1, 0]
    before = table.arrays()
    assert table.arrays() is before
    assert table.bind([luma]).tolist() == [1]
    assert table.arrays() is before
    assert table.bind([("aihug", *[None] * 5)]).tolist() == [2]
    assert (len(table.arrays().table), len(table.arrays().always)) == (3, 3)


def test_an_empty_table_can_be_asked() -> None:
    """
    Before any profile is met the arrays have one row that nobody asks for, so that the kernel can take them.
    """
    bound = DecisionTable(ten_rules()).arrays()
    assert (len(bound.cuts), bound.table.tolist(), bound.always.tolist()) == (0, [[0]], [0])
    assert [len(column) for column in vars(bound.cells).values()] == [1] * 9
    assert bound.cells.kinds.tolist() == [0]


@pytest.mark.parametrize("made", [ten_rules(), pack([service("flux")], [])])
def test_arrays_have_the_types_that_the_kernel_states(made: RulePack) -> None:
    """
    Instants and periods are 64 bits wide, whatever a pack holds and however wide the machine's own numbers are, and
    profiles with one answer share one cell.
    """
    table = DecisionTable(made)
    assert table.bind([("flux", *[None] * 5), ("flux", None, "pay_as_you_go", *[None] * 3)]).dtype == np.int32
    bound = table.arrays()
    assert [part.dtype for part in (bound.cuts, bound.table, bound.always)] == [np.int64, np.int32, np.int32]
    wide = {"least", "greatest", "window_least", "window_greatest"}
    for name, column in vars(bound.cells).items():
        assert column.dtype == (np.int64 if name in wide else np.uint64 if name == "operations" else np.int32), name
        assert len(column) == 1
    assert (bound.table.tolist(), bound.always.tolist()) == ([[0], [0]], [0, 0])


def test_two_rules_for_one_asset_are_refused() -> None:
    """
    A pack in conflict is refused when an asset meets it, with both versions, both places and what to do.
    """
    spans = [SourceSpan("a.yaml", 3), SourceSpan("b.yaml", 4)]
    rules = [rule(id, replace(version(7, **kept(DAY)), span=span)) for id, span in zip("ab", spans, strict=True)]
    made = pack([service("alpha")], rules)
    with pytest.raises(PackInvalid) as refused:
        evaluate(frame_of([asset("alpha", BASE)]), replace(made, texts={"a.yaml": "text"}), as_of=BASE)
    (problem,) = refused.value.problems
    assert problem.code == "overlap"
    assert problem.message == "`a` v7 and `b` v7 are in force for one asset"
    assert problem.help == "narrow one selector, or end one of the two versions"
    assert (problem.span, problem.related) == (spans[1], (spans[0],))
    assert refused.value.sources == {"a.yaml": "text"}


def test_a_conflict_without_places_is_refused_as_well() -> None:
    """
    Rules made by a program stand nowhere; the conflict is told without a place, and of three rules the first two.
    """
    for ids in ("ab", "abc"):
        made = pack([service("alpha")], [rule(id, version(1, **kept(DAY))) for id in ids])
        with pytest.raises(PackInvalid) as refused:
            evaluate(frame_of([asset("alpha", BASE)]), made, as_of=BASE)
        (problem,) = refused.value.problems
        assert (problem.span, problem.related) == (None, ())
        assert problem.message == "`a` v1 and `b` v1 are in force for one asset"


def test_many_values_of_facts_are_counted_without_loss() -> None:
    """
    With more combinations of values than a list of them would hold, every row is still judged by its own facts.
    """
    wide = tuple(f"type{number}" for number in range(400))
    roles = [output(f"o{number}", role=f"role{number}") for number in range(120)]
    services = [service(name, *roles, task_types=wide) for name in ("alpha", "bravo")]
    named = {"task_type": wide, "role": [f"role{number}" for number in range(120)]}
    others = {"account": ["pay_as_you_go", "host_your_account"], "media": ["video", "audio", "image", "model", "text"]}
    marked = {"watermarked": ["true"]}
    rules = [
        rule(f"r{number}", version(1, {"service": [name], **named, **others, **marked}, **kept(number * DAY)))
        for number, name in enumerate(("alpha", "bravo"), 1)
    ]  # fmt: skip
    made = pack(services, rules)
    chance = random.Random(5)
    assets = [
        asset(
            chance.choice(["alpha", "bravo"]), BASE, BASE,
            task_type=wide[number % 400], role=f"role{number % 120}", account=chance.choice(others["account"]),
            media=chance.choice(others["media"]), watermarked=chance.choice(["true", "false"]),
        )
        for number in range(900)
    ]  # fmt: skip
    found = rows(ask(frame_of(assets), World(made, assets, BASE, DAY, HOUR, None)))
    for subject, row in zip(assets, found, strict=True):
        number = {"alpha": 1, "bravo": 2}[subject["service"]]
        governed = subject["watermarked"] == "true"
        assert row["rule_id"] == (f"r{number}" if governed else None)
        assert row["expires_latest"] == (BASE + number * DAY if governed else None)
