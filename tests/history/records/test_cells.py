"""Promises of cells: every spelling of a value is read, and anything else is a problem, not a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.exports import (
    read_records,
    task,
)


@pytest.mark.parametrize(
    ("pool", "mode", "account"),
    [
        (True, "public", "host_your_account"),
        (False, "private", "pay_as_you_go"),
        (..., "public", "pay_as_you_go"),
        (..., "private", "host_your_account"),
        (..., "Private", "host_your_account"),
        (..., "", None),
        (..., ..., None),
        (None, "weird", None),
    ],
)
def test_private_pool_decides_before_service_mode(
    tmp_path: Path, pool: object, mode: object, account: str | None
) -> None:
    """The private pool decides the account; where it is silent the service mode does; else it is unknown."""
    record = task(model="midjourney", task_type="imagine", is_using_private_pool=pool, service_mode=mode)
    assert read_records(tmp_path, record).one["account"] == account


def test_unreadable_private_pool_is_a_problem(tmp_path: Path) -> None:
    """A private pool that is neither true nor false is reported, and the service mode decides."""
    reading = read_records(tmp_path, task(model="mj", is_using_private_pool="maybe", service_mode="private"))
    assert reading.one["account"] == "host_your_account"
    assert reading.totals.seen.problem_counts == {"unreadable_private_pool": 1}


@pytest.mark.parametrize("consume", [-1, 1.5, "many", True, [], 10**13, 10**30, "9" * 30, float("inf")])
def test_unreadable_usage_is_a_problem(tmp_path: Path, consume: object) -> None:
    """A usage that is no whole number of units, or more than any task can cost, counts as unknown."""
    reading = read_records(tmp_path, task(usage={"type": "point", "consume": consume}))
    assert reading.totals.tasks.points == 0
    assert reading.totals.seen.problem_counts == {"unreadable_usage": 1}


@pytest.mark.parametrize("consume", [700_000, 700_000.0, "700000", " 700000 ", "700000.0", "700000.00"])
def test_usage_in_any_spelling_of_a_whole_number(tmp_path: Path, consume: object) -> None:
    """A whole number is one as text and with zeros behind its point, too."""
    reading = read_records(tmp_path, task(usage={"type": "point", "consume": consume}))
    assert reading.totals.tasks.points == 700_000
    assert not reading.totals.seen.problem_counts
