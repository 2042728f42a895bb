"""
Evaluation: the engine answers as the oracle does on the same few worlds, and frames go in and out as documented.

The short form of test_agreement.py: it takes seconds, so that every small change of the modules that decide runs it.
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

from policy_engine.core.periods import DAY, HOUR, SECOND, parse_instant
from policy_engine.core.rule_model import OperationWindow
from policy_engine.core.vocabulary import FINDING_COLUMNS, TIME_COLUMNS
from policy_engine.engine.evaluation import Evaluator, evaluate
from policy_engine.engine.question import Question, RowQuestions
from tests.support.agreement import ask, finding_of, frame_of, instants, judged, kept, plain, rows
from tests.support.strategies import (
    ASSET_BYTES,
    BASE,
    PACK_BYTES,
    WORLD_BYTES,
    World,
    around,
    asset,
    make_world,
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


def one(made: Any, subject: dict[str, Any], as_of: int = BASE, **question: Any) -> dict[str, Any]:
    """The finding of one asset, which is also the oracle's."""
    world = World(made, [subject], as_of, DAY, HOUR, question.get("known_on"))
    (found,) = rows(ask(frame_of([subject]), world))
    assert found == judged(world, subject)
    return found


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


def test_rules_are_those_known_on_the_day() -> None:
    """
    A version that was recorded after the day asked about does not decide.
    """
    second = version(2, **kept(DAY), effective_from=BASE, recorded_on=date(2026, 3, 2))
    made = pack([service("alpha")], [rule("r", version(1, **kept(2 * DAY)), second)])
    for day, number in ((1, 1), (2, 2)):
        found = finding_of(made, asset("alpha", BASE, BASE), known_on=date(2026, 3, day))
        assert found["rule_version"] == number


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
