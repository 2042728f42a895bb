"""Facts: which values there are, and which of them a stated value is read as."""

from __future__ import annotations

from typing import Any

import pytest

from policy_engine.core.fact_domain import (
    ANY_OTHER,
    OUTSIDE,
    FactReader,
    distinguished_values,
    listed_values,
    read_boolean,
    values_of,
)
from policy_engine.core.rule_model import Catalog
from tests.support.strategies import output, service

FILM = service("film", output("a", role="main"), output("b", role="try_on"), task_types=("lip_sync", "Draw"))
SONG = service("song-2", output("a", role="cover"), output("b", role=None))
READER = FactReader(Catalog((FILM, SONG), {}, ()))


def test_only_task_types_are_open() -> None:
    """
    The vocabulary closes accounts, media and watermarks, the catalog closes roles, and a provider may add task types.
    """
    assert values_of(FILM, "task_type") == ("lip_sync", "Draw", ANY_OTHER)
    assert values_of(SONG, "task_type") == (ANY_OTHER,)
    assert values_of(FILM, "role") == ("main", "try_on", "unlisted")
    assert values_of(SONG, "role") == ("cover", "unlisted")
    for fact in ("service", "account", "media", "role", "watermarked"):
        assert values_of(FILM, fact) == listed_values(FILM, fact)


def test_values_that_no_rule_names_are_one() -> None:
    """
    Beside the values that rules name there is one for all the others, and none where they name them all.
    """
    assert distinguished_values(FILM, "role", {"try_on", "cover"}) == ("try_on", "main")
    assert distinguished_values(FILM, "role", {"main", "try_on", "unlisted"}) == ("main", "try_on", "unlisted")
    assert distinguished_values(FILM, "task_type", {"lip_sync", "Draw"}) == ("lip_sync", "Draw", ANY_OTHER)
    assert distinguished_values(FILM, "watermarked", ()) == ("true",)


@pytest.mark.parametrize(
    ("fact", "stated", "service", "meant"),
    [
        ("service", "Song_2", None, "song-2"),
        ("service", "poem", None, OUTSIDE),
        ("task_type", "Lip-Sync", "film", "lip_sync"),
        ("task_type", "draw", "film", "Draw"),
        ("task_type", "dance", "film", ANY_OTHER),
        ("task_type", ANY_OTHER, "film", ANY_OTHER),
        ("task_type", "draw", "song-2", ANY_OTHER),
        ("account", "Pay as you go", None, "pay_as_you_go"),
        ("account", "host-your-account", "film", "host_your_account"),
        ("account", "PAYG", None, OUTSIDE),
        ("media", " Video ", "film", "video"),
        ("media", "hologram", "film", OUTSIDE),
        ("role", "Main", "film", "main"),
        ("role", "TRY-ON", "film", "try_on"),
        ("role", "cover", "film", OUTSIDE),
        ("role", "cover", None, "cover"),
        ("role", "cover", "poem", "cover"),
        ("role", 7, "film", OUTSIDE),
        ("role", ["main"], "film", OUTSIDE),
        ("watermarked", "TRUE", None, "true"),
        ("watermarked", True, None, "true"),
        ("watermarked", 1, None, "true"),
        ("watermarked", 1.0, None, "true"),
        ("watermarked", "0", None, "false"),
        ("watermarked", "0.0", None, "false"),
        ("watermarked", False, None, "false"),
        ("watermarked", 2, None, OUTSIDE),
        ("watermarked", "maybe", None, OUTSIDE),
        ("watermarked", [], None, OUTSIDE),
        ("watermarked", float("nan"), None, None),
        ("role", None, "film", None),
        ("role", " ", "film", None),
        ("watermarked", "", None, None),
    ],
)
def test_reading(fact: str, stated: Any, service: str | None, meant: str | None) -> None:
    """
    A stated value is read in any spelling, as a value of the service's domain or as none of it.
    """
    assert READER.read(fact, stated, service) == meant


def test_booleans() -> None:
    """
    True and false are read as databases and spreadsheets write them, and nothing else is.
    """
    assert [read_boolean(value) for value in ("Yes", "t", "1", 1, True)] == [True] * 5
    assert [read_boolean(value) for value in ("no", "F", "0", 0.0, False)] == [False] * 5
    assert [read_boolean(value) for value in ("", None, "on", 2, {})] == [None] * 5


def test_values_that_are_known() -> None:
    """
    The reader lists what it knows of a service, or of all of them, for whoever misspelt it.
    """
    assert READER.listed("role", "film") == ["main", "try_on", "unlisted"]
    assert READER.listed("role") == ["main", "try_on", "unlisted", "cover"]
    assert READER.listed("task_type", "film") == ["lip_sync", "Draw"]
    assert READER.listed("service") == ["film", "song-2"]
