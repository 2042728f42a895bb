"""
The fast engine answers as the oracle does, on the same few worlds every time: the short form of test_agreement.py.

What is here takes seconds, so that it can be asked of every small change of the modules that decide.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from policy_engine.core.periods import DAY, HOUR, MAX_INSTANT, SECOND, parse_instant
from policy_engine.core.problems import PackInvalid, SourceSpan
from policy_engine.core.rule_model import OperationWindow, RulePack
from policy_engine.core.vocabulary import FINDING_COLUMNS, TIME_COLUMNS, StorageLocation
from policy_engine.engine.decision_table import DecisionTable
from policy_engine.engine.evaluation import Evaluator, RowQuestions, evaluate
from policy_engine.engine.question import Question
from policy_engine.packs.timeline import in_force
from tests.support.agreement import ask, frame_of, instants, judged, plain, rows
from tests.support.strategies import (
    ASSET_BYTES,
    BASE,
    PACK_BYTES,
    WORLD_BYTES,
    World,
    around,
    asset,
    make_world,
    output,
    pack,
    rule,
    service,
    ten_rules,
    version,
)

WORLDS = 24
ASSETS = 30


@lru_cache(maxsize=WORLDS)
def answered(seed: int) -> list[tuple[World, list[dict[str, Any]]]]:
    """A world asked at its own instant and around one at which an answer turns, with the oracle's answers."""
    chance = random.Random(seed)
    assets = [chance.randbytes(ASSET_BYTES) for _ in range(ASSETS)]
    world = make_world(chance.randbytes(PACK_BYTES), chance.randbytes(WORLD_BYTES), assets)
    first = [judged(world, each) for each in world.assets]
    asked = [(world, first)]
    for name, ahead in (("expires_latest", 0), ("operation_closes_earliest", world.operation_horizon)):
        dates = sorted({row[name] for row in first if row[name] is not None})
        for as_of in around([chance.choice(dates) - ahead] if dates else []):
            other = replace(world, as_of=as_of)
            asked.append((other, [judged(other, each) for each in other.assets]))
    return asked


@pytest.mark.parametrize("seed", range(WORLDS))
def test_engine_and_oracle_agree(seed: int) -> None:
    """
    On a world that is the same every time, the engine finds what the oracle finds, column by column.
    """
    for world, right in answered(seed):
        for subject, mine, expected in zip(world.assets, rows(ask(frame_of(world.assets), world)), right, strict=True):
            assert mine == expected, f"{subject}\n{world}"


# --- By hand ---------------------------------------------------------------------------------------------

PLATFORM = StorageLocation.PLATFORM


def kept(period: int, **rest: Any) -> dict[str, Any]:
    """What a version says that keeps files on the platform."""
    return {"storage": PLATFORM, "retention": period, **rest}


def one(made: Any, subject: dict[str, Any], as_of: int = BASE, **question: Any) -> dict[str, Any]:
    """The finding of one asset, which is also the oracle's."""
    world = World(made, [subject], as_of, DAY, HOUR, question.get("known_on"))
    (found,) = rows(ask(frame_of([subject]), world))
    assert found == judged(world, subject)
    return found


def test_the_last_instant_before_a_change_counts() -> None:
    """
    Where a task may have ended on either side of a change of rules, its last deadline is that of the last nanosecond
    under the longer period, and its first that of the submission.
    """
    changed = rule("r", version(1, **kept(30 * DAY)), version(2, **kept(DAY), effective_from=BASE))
    found = one(pack([service("alpha")], [changed]), asset("alpha", BASE - HOUR))
    assert found["expires_latest"] == BASE - 1 + 30 * DAY
    assert found["expires_earliest"] == BASE + DAY


def test_the_last_instant_before_a_change_counts_for_windows() -> None:
    """
    The same holds of the last instant for a follow-up.
    """
    long, short = OperationWindow(("extend",), 30 * DAY), OperationWindow(("extend",), DAY)
    changed = rule("r", version(1, window=long), version(2, window=short, effective_from=BASE))
    made = pack([service("alpha", operations=("extend",))], [changed])
    found = one(made, asset("alpha", BASE - HOUR))
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
        found = one(pack([service("alpha")], rules), asset("alpha", BASE, finished))
        assert found["expires_earliest"] == BASE + DAY + HOUR
        assert found["rule_id"] == "a"


def test_the_last_usable_instant_does_not_overflow() -> None:
    """
    Where the rules end at the greatest instant that is taken, a deadline before it is still what it is.
    """
    ending = rule("r", version(1, **kept(DAY)), version(2, withdrawn=True, effective_from=MAX_INSTANT))
    found = one(pack([service("alpha")], [ending]), asset("alpha", MAX_INSTANT - 1, MAX_INSTANT))
    assert found["expires_earliest"] == MAX_INSTANT - 1 + DAY


def test_a_change_at_the_very_instant_of_creation_counts() -> None:
    """
    A version is in force from its first instant on, and not a nanosecond earlier.
    """
    changed = rule("r", version(1, **kept(2 * DAY)), version(2, **kept(DAY), effective_from=BASE))
    made = pack([service("alpha")], [changed])
    assert one(made, asset("alpha", BASE, BASE))["rule_version"] == 2
    assert one(made, asset("alpha", BASE - 1, BASE - 1))["rule_version"] == 1


def test_versions_replay_in_their_order() -> None:
    """
    A later version rewrites the timeline from its own date on, withdrawn ones leave silence, equal neighbours are one.
    """
    first, second = version(1), version(2, effective_from=BASE)
    ended = version(3, effective_from=BASE + DAY, withdrawn=True)
    earlier = version(4, effective_from=BASE)
    assert in_force(rule("r", first, second, ended)) == ((None, first), (BASE, second), (BASE + DAY, None))
    assert in_force(rule("r", ended, second, first)) == ((None, first), (BASE, second), (BASE + DAY, None))
    assert in_force(rule("r", first, second, ended, earlier)) == ((None, first), (BASE, earlier))
    again = version(4, effective_from=BASE + 2 * DAY, withdrawn=True)
    assert in_force(rule("r", first, second, ended, again)) == ((None, first), (BASE, second), (BASE + DAY, None))
    assert in_force(rule("r", second)) == ((None, None), (BASE, second))
    anew = version(5)
    assert in_force(rule("r", first, second, anew)) == ((None, anew),)


def test_what_was_known_on_a_day_includes_that_day() -> None:
    """
    A version that was recorded on the day asked about was known on it, one of the day after was not.
    """
    first = version(1, **kept(2 * DAY))
    second = version(2, **kept(DAY), effective_from=BASE, recorded_on=date(2026, 3, 2))
    changed = rule("r", first, second)
    assert in_force(changed, date(2026, 3, 2)) == ((None, first), (BASE, second))
    assert in_force(changed, date(2026, 3, 1)) == ((None, first),)
    assert in_force(changed, date(2026, 2, 28)) == ((None, None),)
    late, early = version(1, recorded_on=date(2026, 3, 5)), version(2, effective_from=BASE)
    assert in_force(rule("r", late, early), date(2026, 3, 2)) == ((None, None), (BASE, early))
    found = one(pack([service("alpha")], [changed]), asset("alpha", BASE, BASE), known_on=date(2026, 3, 1))
    assert found["rule_version"] == 1


# --- The table -------------------------------------------------------------------------------------------


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
    assert [len(part) for part in table.arrays()[1:3]] == [3, 3]


def test_an_empty_table_can_be_asked() -> None:
    """
    Before any profile is met the arrays have one row that nobody asks for, so that the kernel can take them.
    """
    cuts, table, always, cells = DecisionTable(ten_rules()).arrays()
    assert (len(cuts), table.tolist(), always.tolist()) == (0, [[0]], [0])
    assert [len(getattr(cells, name)) for name in vars(cells)] == [1] * 9
    assert cells.kinds.tolist() == [0]


@pytest.mark.parametrize("made", [ten_rules(), pack([service("flux")], [])])
def test_arrays_have_the_types_that_the_kernel_states(made: RulePack) -> None:
    """
    Instants and periods are 64 bits wide, whatever a pack holds and however wide the machine's own numbers are, and
    profiles with one answer share one cell.
    """
    table = DecisionTable(made)
    bound = table.bind([("flux", *[None] * 5), ("flux", None, "pay_as_you_go", *[None] * 3)])
    assert bound.dtype == np.int32
    cuts, rows, always, cells = table.arrays()
    assert [part.dtype for part in (cuts, rows, always)] == [np.int64, np.int32, np.int32]
    wide = {"least", "greatest", "window_least", "window_greatest"}
    for name, column in vars(cells).items():
        assert column.dtype == (np.int64 if name in wide else np.uint64 if name == "operations" else np.int32), name
        assert len(column) == 1
    assert (rows.tolist(), always.tolist()) == ([[0], [0]], [0, 0])


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


# --- Findings --------------------------------------------------------------------------------------------


def test_each_row_can_be_asked_its_own_question() -> None:
    """
    Rows that are each asked at an instant and with horizons of their own get the answers they would get alone.
    """
    made = ten_rules()
    assets = [asset("flux", BASE, BASE + each) for each in range(6)] + [asset("suno", BASE)] * 2
    count = len(assets)
    as_of = np.array([BASE + 3 * DAY - 2 + each for each in range(count)], np.int64)
    ahead = np.array([0, 1, 2, 0, 1, 2, DAY, HOUR], np.int64)
    own = np.array([DAY, HOUR, 0, 1, 2, 3, 4, 5], np.int64)
    evaluator = Evaluator(made, Question(BASE, DAY, DAY))
    together = rows(evaluator.judge_chunk(frame_of(assets), RowQuestions(as_of, ahead, own)))
    for place, subject in enumerate(assets):
        alone = Evaluator(made, Question(int(as_of[place]), int(ahead[place]), int(own[place])))
        assert [together[place]] == rows(alone.judge_chunk(frame_of([subject])))


def test_a_frame_without_services_is_refused() -> None:
    """
    A frame that does not say the service is refused, and the sentence says what it needs.
    """
    with pytest.raises(ValueError, match="service") as refused:
        evaluate(frame_of([asset("flux")]).drop(columns="service"), ten_rules(), as_of=BASE)
    assert str(refused.value) == (
        "the frame has no column `service`; it needs one row per asset with at least the service"
    )


def test_columns_of_a_frame_pass_through() -> None:
    """
    What a frame brings of the finding columns stays as it is; what it lacks is missing and has its type.
    """
    frame = frame_of([asset("flux", BASE, url="https://files.platform.example/a")])
    bare = evaluate(frame, ten_rules(), as_of=BASE)
    assert list(bare.columns) == list(FINDING_COLUMNS)
    assert (str(bare["points"].dtype), str(bare["cost_usd"].dtype)) == ("Int64", "Float64")
    assert str(bare["link_expires_at"].dtype) == "datetime64[ns, UTC]"
    assert bare[["points", "cost_usd", "model", "source", "link_expires_at"]].isna().all(axis=None)
    given = frame.assign(
        points=7, model="m", status="done", url_host="h", host_owner="o", link_expires_at=instants([5])
    )
    found = evaluate(given, ten_rules(), as_of=BASE).iloc[0]
    assert (found["points"], found["model"], found["status"]) == (7, "m", "done")
    assert (found["url_host"], found["host_owner"], plain(found["link_expires_at"])) == ("h", "o", 5)


def test_links_tell_their_host_their_owner_and_their_end() -> None:
    """
    Where a frame brings an address and nothing of it, its host, the host's owner and its own end are read off it.
    """
    urls = [
        "https://files.platform.example/a.png?Expires=1772323200&Signature=x",
        "https://cdn.vendor.example/b?plain=1",
        "javascript:alert(1)",
        None,
    ]
    found = evaluate(frame_of([asset("flux", BASE, url=url) for url in urls]), ten_rules(), as_of=BASE)
    assert [plain(one) for one in found["url_host"]] == ["files.platform.example", "cdn.vendor.example", None, None]
    assert [plain(one) for one in found["host_owner"]] == ["platform", "vendor", None, None]
    assert [plain(one) for one in found["link_expires_at"]] == [1_772_323_200 * SECOND, None, None, None]
    assert found["evidence"].tolist() == ["agrees", "conflicts", "none", "none"]


@pytest.mark.parametrize("given", [{"url_host": "h"}, {"host_owner": "o"}, {"link_expires_at": 5}])
def test_what_a_frame_says_of_a_link_is_not_read_off_it(given: dict[str, Any]) -> None:
    """
    Host, owner and end of a link that a frame brings stay; the others are read off the address, row by row, whatever
    the frame's index, and have their types also where no address tells any.
    """
    urls = ["https://files.platform.example/a.png?Expires=1772323200&Signature=x", None]
    brought = {name: instants([value] * 2) if name == "link_expires_at" else value for name, value in given.items()}
    frame = frame_of([asset("flux", BASE, url=url) for url in urls]).assign(**brought).set_axis([7, 3], axis="index")
    read = {"url_host": "files.platform.example", "host_owner": "platform", "link_expires_at": 1_772_323_200 * SECOND}
    found = evaluate(frame, ten_rules(), as_of=BASE)
    for name, value in read.items():
        told = [plain(one) for one in found[name]]
        assert told == ([given[name]] * 2 if name in given else [value, None]), name
    bare = evaluate(frame.tail(1), ten_rules(), as_of=BASE)
    kinds = {name: str(bare[name].dtype) for name in read if name not in given}
    types = {"url_host": "str", "host_owner": "str", "link_expires_at": "datetime64[ns, UTC]"}
    assert kinds == {name: types[name] for name in kinds}


def test_the_service_alone_is_enough() -> None:
    """
    Every column that a frame lacks is there, missing and of its type, at the frame's own index, also without a row.
    """
    services = pd.DataFrame({"service": ["flux", "luma", None]}, index=[7, 3, 5])
    for frame in (services, services.head(0)):
        found = Evaluator(ten_rules(), Question(BASE, DAY, HOUR)).judge_chunk(frame)
        assert found.index.tolist() == frame.index.tolist()
        assert {str(found[name].dtype) for name in TIME_COLUMNS} == {"datetime64[ns, UTC]"}
        assert {str(found[name].dtype) for name in ("task_id", "model", "status", "url", "source")} == {"str"}
        assert [str(found[name].dtype) for name in ("points", "cost_usd")] == ["Int64", "Float64"]
        assert found[["created_at", "completed_at", "model", "url", "points"]].isna().all(axis=None)
        assert [plain(one) for one in found["as_of"]] == [BASE] * len(frame)


def test_times_that_a_frame_gives_as_text_are_told_as_times() -> None:
    """
    Submission and completion stand in the findings as UTC times, to the nanosecond, missing where the text is empty.
    """
    frame = pd.DataFrame({"service": ["flux", "flux"]}, index=[7, 3])
    frame["created_at"] = ["2026-03-01T00:00:00.000000001Z", ""]
    frame["completed_at"] = [None, "2026-03-01T08:00:00+08:00"]
    found = evaluate(frame, ten_rules(), as_of=BASE)
    start = parse_instant("2026-03-01T00:00:00Z")
    assert [plain(one) for one in found["created_at"]] == [start + 1, None]
    assert [plain(one) for one in found["completed_at"]] == [None, start]


def test_evidence_where_an_owner_is_not_said() -> None:
    """
    An owner that is empty or missing is no evidence; a file that is only expected says so, whatever its owner.
    """
    frame = frame_of([asset("flux", BASE, expected=each == 3) for each in range(4)]).drop(columns="url")
    frame["host_owner"] = ["", None, "vendor", "vendor"]
    assert evaluate(frame, ten_rules(), as_of=BASE)["evidence"].tolist() == ["none", "none", "conflicts", "expected"]
    frame["host_owner"] = pd.Categorical(["platform", "", "vendor", None], ["vendor", "", "platform"])
    assert evaluate(frame, ten_rules(), as_of=BASE)["evidence"].tolist() == ["agrees", "none", "conflicts", "expected"]


def test_horizons_are_the_packs_unless_given() -> None:
    """
    Horizons may be left to the pack, or given as ISO 8601 text or nanoseconds.
    """
    made = ten_rules()
    frame = frame_of([asset("flux", BASE, BASE), asset("midjourney", BASE, BASE, account="pay_as_you_go")])
    turn = BASE + 3 * DAY - DAY

    def verdicts(as_of: int, **horizons: Any) -> list[str]:
        return evaluate(frame, made, as_of=as_of, **horizons)["verdict"].tolist()

    assert verdicts(turn) == ["at_risk", "at_risk"]
    assert verdicts(turn - 1) == ["active", "active"]
    for horizon in ("P1DT1S", DAY + SECOND):
        assert verdicts(turn - SECOND, horizon=horizon) == ["at_risk", "at_risk"]
        assert verdicts(turn - SECOND - 1, horizon=horizon) == ["active", "active"]

    def window(as_of: int, **horizons: Any) -> str:
        return str(evaluate(frame, made, as_of=as_of, **horizons)["operation_verdict"].iloc[1])

    assert (window(BASE + 2 * HOUR), window(BASE + 2 * HOUR - 1)) == ("closing", "open")
    assert window(BASE + HOUR, operation_horizon="PT2H") == window(BASE + HOUR, operation_horizon=2 * HOUR) == "closing"
    assert window(BASE, operation_horizon=0) == "open"


def test_operations_are_named_in_the_order_of_the_catalog() -> None:
    """
    The operations of a finding are those with a window, or all of the service's where none is found.
    """
    follow_ups = ("extend", "remix", "upscale")
    some = OperationWindow(("upscale", "extend"), DAY)
    made = pack(
        [service("alpha", operations=follow_ups), service("bravo", operations=follow_ups[:1]), service("charlie")],
        [rule("r", version(1, {"service": ["alpha"]}, window=some))],
    )
    found = rows(ask(frame_of([asset(each, BASE) for each in ("alpha", "bravo", "charlie", "nobody", None)]),
                     World(made, [], BASE, DAY, HOUR, None)))  # fmt: skip
    assert [row["operations"] for row in found] == ["extend;upscale", "extend", None, None, None]
    assert [row["operation_verdict"] for row in found] == ["open", "ungoverned", "none", "undetermined", "undetermined"]


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
