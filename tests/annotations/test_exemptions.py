"""Exemptions: what they cover, until when, and that none counts without an owner, a reason and a date."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from policy_engine.annotations import Exemption, read_exemptions
from policy_engine.core.periods import parse_date, parse_instant
from policy_engine.core.problems import InputUnusable
from tests.support.exports import pack, write

GOOD = {"id": "a", "owner": "Ann", "reason": "Tests.", "until": '"2026-01-07"', "covers": "{service: [kling]}"}


def text_of(*entries: dict[str, str]) -> str:
    """A file of exemptions."""
    lines = ["exemptions:"]
    for entry in entries:
        lines += [f"  {'-' if not place else ' '} {key}: {value}" for place, (key, value) in enumerate(entry.items())]
    return "\n".join(lines) + "\n"


def problems_in(tmp_path: Path, text: str) -> list[str]:
    """What is wrong with a file: place, code and message of each."""
    with pytest.raises(InputUnusable) as refused:
        read_exemptions(write(tmp_path / "x.yaml", text), "x.yaml", pack().catalog)
    return [f"{one.span} {one.code} {one.message}" for one in refused.value.problems]


@pytest.mark.parametrize("key", GOOD)
def test_every_key_is_needed(key: str, tmp_path: Path) -> None:
    """
    An exemption without an owner, a reason, a date, a name or what it covers is refused, with its place.
    """
    entry = {name: value for name, value in GOOD.items() if name != key}
    assert problems_in(tmp_path, text_of(entry)) == [
        f"x.yaml:2:5 missing-key the key `{key}` is missing in entry 1 of `exemptions`"
    ]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"owner": "''"}, "`owner` should not be empty"),
        ({"until": '"2026-02-30"'}, "impossible date"),
        ({"until": '"2026-01-07T00:00:00Z"'}, "is not a date"),
        ({"covers": "{}"}, "`covers` should not be empty"),
        ({"covers": "{service: [klinga]}"}, "unknown service `klinga`"),
        ({"covers": "{verdict: [lost]}"}, "cannot be `lost`"),
        ({"covers": "{task_id: [12]}"}, "should be text, found `12`"),
        ({"covers": "{colour: [red]}"}, "unknown key `colour`"),
    ],
)
def test_what_cannot_be_meant(changes: dict[str, str], found: str, tmp_path: Path) -> None:
    """
    Dates that are none, selectors that cover nothing or everything, and unknown words are refused.
    """
    assert any(found in problem for problem in problems_in(tmp_path, text_of(GOOD | changes)))


def test_ids_are_unique(tmp_path: Path) -> None:
    """
    Two exemptions of one name cannot be told apart in the findings.
    """
    assert "the exemption `a` appears twice" in problems_in(tmp_path, text_of(GOOD, GOOD))[0]


def test_the_last_day_ends_at_midnight_utc() -> None:
    """
    An exemption holds through its last day and is over with the first instant of the next.
    """
    one = Exemption("a", "Ann", "Tests.", parse_date("2026-01-07"), ())
    assert not one.is_over(parse_instant("2026-01-07T23:59:59.999999999Z"))
    assert one.is_over(parse_instant("2026-01-08T00:00:00Z"))
    assert not Exemption("a", "Ann", "x", parse_date("9999-12-31"), ()).is_over(parse_instant("2099-01-01T00:00:00Z"))


def test_all_that_is_named_must_fit(tmp_path: Path) -> None:
    """
    A finding is covered when each key of `covers` fits; what is not known fits nothing.
    """
    findings = pd.DataFrame({
        "asset_id": ["kling/1/a/1", "kling/2/a/1", "flux/3/a/1", "x"], "task_id": ["1", "2", "3", "4"],
        "service": pd.Categorical(["kling", "kling", "flux", None]),
        "verdict": ["expired", "active", "expired", "expired"],
    })  # fmt: skip

    def covered(covers: str) -> list[bool]:
        path = write(tmp_path / "x.yaml", text_of(GOOD | {"covers": covers}))
        found: list[bool] = read_exemptions(path, "x.yaml", pack().catalog).items[0].fits(findings).tolist()
        return found

    assert covered("{service: [kling, flux], verdict: [expired]}") == [True, False, True, False]
    assert covered("{verdict: [expired]}") == [True, False, True, True]
    assert covered('{task_id: ["2"]}') == [False, True, False, False]
    assert covered("{asset_id: [flux/3/a/1], service: [kling]}") == [False] * 4
