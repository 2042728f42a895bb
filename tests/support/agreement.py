"""
Asks the engine and the oracle the same question and compares every determined column of every asset.

A disagreement is shown with one asset and the rules that are needed to see it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from policy_engine.core.periods import DAY, HOUR, NAT
from policy_engine.core.problems import PolicyEngineError
from policy_engine.core.rule_model import RulePack
from policy_engine.core.vocabulary import StorageLocation
from policy_engine.engine.evaluation import evaluate
from tests.support.oracle import DETERMINED, judge
from tests.support.strategies import BASE, Asset, World

TEXT_COLUMNS = ("service", "task_type", "account", "media", "role", "watermarked", "url")
INSTANT_COLUMNS = ("created_at", "completed_at", "completion_bound")
FLAG_COLUMNS = ("expected", "facts_conflict")


def instants(values: Iterable[int | None]) -> pd.Series:
    """Nanoseconds since 1970 as a column of UTC times, None as missing."""
    raw = np.array([NAT if value is None else value for value in values], dtype="int64")
    return pd.Series(raw.view("datetime64[ns]")).dt.tz_localize("UTC")


def frame_of(assets: Sequence[Asset], dtype: str = "object") -> pd.DataFrame:
    """Assets as the frame that `evaluate` takes, a row each."""
    columns: dict[str, Any] = {name: pd.Series([each[name] for each in assets], dtype=dtype) for name in TEXT_COLUMNS}
    columns["created_at"] = instants(each["created"] for each in assets)
    columns["completed_at"] = instants(each["completed"] for each in assets)
    columns["completion_bound"] = instants(min(each["completion_bounds"], default=None) for each in assets)
    columns |= {name: pd.Series([each[name] for each in assets], dtype="bool") for name in FLAG_COLUMNS}
    return pd.DataFrame(columns)


def timestamp(instant: int) -> pd.Timestamp:
    """Nanoseconds since 1970 as a time of pandas, exactly."""
    made = pd.Timestamp(instant, unit="ns", tz="UTC")
    assert made.value == instant
    return made


def ask(frame: pd.DataFrame, world: World, as_of: int | None = None) -> pd.DataFrame:
    """Evaluate a frame with the question of a world, at another instant if one is given; unknown values are meant."""
    question = {**world.question, "as_of": timestamp(world.as_of if as_of is None else as_of)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return evaluate(frame, world.pack, **question)


def plain(value: Any) -> Any:
    """A cell as plain Python: instants in nanoseconds, nothing missing but None."""
    if isinstance(value, pd.Timestamp):
        return value.as_unit("ns").value
    if value is None or value is pd.NA or value is pd.NaT or value == "" or value != value:
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, float, np.integer, np.floating)):
        assert value == int(value)
        return int(value)
    return str(value)


def rows(findings: pd.DataFrame) -> list[dict[str, Any]]:
    """The determined columns of findings as plain rows."""
    columns = [[plain(value) for value in findings[name].tolist()] for name in DETERMINED]
    return [dict(zip(DETERMINED, values, strict=True)) for values in zip(*columns, strict=True)]


def judged(world: World, subject: Asset) -> dict[str, Any]:
    """What the oracle finds, in the same plain form."""
    found = judge(world.pack, subject, **world.question)
    return {name: plain(value) for name, value in found.items()}


def disagreement(world: World, subject: Asset) -> list[str]:
    """The columns of one asset in which engine and oracle differ, a line each; a refusal of the engine is one too."""
    right = judged(world, subject)
    try:
        (mine,) = rows(ask(frame_of([subject]), world))
    except PolicyEngineError as error:
        return [f"engine refuses: {error}"]
    return [f"{name}: engine {mine[name]!r}, oracle {right[name]!r}" for name in right if mine[name] != right[name]]


def without_idle_rules(world: World, subject: Asset) -> World:
    """The same world without the rules that a disagreement can do without."""
    for each in world.pack.rules:
        rest = tuple(other for other in world.pack.rules if other is not each)
        smaller = replace(world, pack=replace(world.pack, rules=rest), assets=[subject])
        if disagreement(smaller, subject):
            world = smaller
    return world


def assert_agreement(world: World) -> int:
    """Engine and oracle find the same in every determined column of every asset; returns how many assets."""
    right = [judged(world, subject) for subject in world.assets]
    try:
        agreed = rows(ask(frame_of(world.assets), world)) == right
    except PolicyEngineError:
        agreed = False
    if not agreed:
        subject = next((each for each in world.assets if disagreement(world, each)), None)
        if subject is None:
            pytest.fail(f"every asset alone agrees, but not all together\n{world}", pytrace=False)
        smallest = without_idle_rules(world, subject)
        lines = [*disagreement(smallest, subject), f"asset {subject}", repr(smallest)]
        pytest.fail("\n".join(lines), pytrace=False)
    return len(right)


def kept(period: int, **rest: Any) -> dict[str, Any]:
    """The fields of a version that keeps files on the platform."""
    return {"storage": StorageLocation.PLATFORM, "retention": period, **rest}


def finding_of(made: RulePack, subject: Asset, as_of: int = BASE, known_on: date | None = None) -> dict[str, Any]:
    """The finding of one asset, which is also the oracle's."""
    world = World(made, [subject], as_of, DAY, HOUR, known_on)
    (found,) = rows(ask(frame_of([subject]), world))
    assert found == judged(world, subject)
    return found
