"""Promises of looking at many addresses at once: it tells what looking at each of them tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.frames import texts
from policy_engine.core.urls.address_column import UrlColumn, places_of_schemes
from policy_engine.core.urls.addresses import HostOwners, is_plain_url
from policy_engine.engine.assets.settled_files import _bases

OWNERS = HostOwners({
    "img.theapi.app": "platform", "*.example": "vendor", "shared.example/a*": "one", "shared.example": "other",
})  # fmt: skip
hosts = st.sampled_from([
    "img.theapi.app", "IMG.theapi.app", "shared.example", "shared.example:443", "u@shared.example", "a.example",
    "b.example", "aaaaaaab.example", "", "[::1]", "b\u00fccher.example", "x" * 63 + ".example", "x" * 90 + ".example",
])  # fmt: skip
paths = st.sampled_from([
    "", "/", "/a/1.png", "/b/1.png", "/a/A.png", "/a/a.png?Expires=1767225600", "/a/a.png#?x", "/a//b://c?d?e#f",
    "/" + "long/" * 9 + "a.mp4", "/" + "long/" * 9 + "A.mp4?token=1", "/" + "Long/" * 9 + "b.mp4", "/\u00e9.png",
])  # fmt: skip
urls = st.builds("{}://{}{}".format, st.sampled_from(["https", "http", "HTTPS"]), hosts, paths)


@given(st.lists(st.one_of(urls, st.none()), max_size=12))
def test_owners_and_queries_are_those_of_each_address(listed: list[str | None]) -> None:
    """Host, owner and whether there is a query are what the address alone tells, in a column of any addresses."""
    column = UrlColumn(listed)
    places, owned = column.owners(OWNERS)
    alone, known = HostOwners.of_urls(OWNERS, listed)
    assert [None if place < 0 else owned[place] for place in places.tolist()] == [
        None if place < 0 else known[place] for place in alone
    ]
    assert sorted(column.with_query()) == [row for row, url in enumerate(listed) if url is not None and "?" in url]


def test_sites_that_are_nearly_alike_are_told_apart() -> None:
    """Of sites that differ in one character, in length or in what follows, each has its own host and owner."""
    sites = ["a.example", "b.example", "a.exampl", "a.examplf", "aa.example", "img.theapi.app", "img.theapi.ap"]
    for size in (7, 8, 9, 16, 17, 55, 56, 57, 63, 64):
        name = "x" * (size - 3)
        sites += [f"{name}.io", f"{name}.is", f"y{name[1:]}.io"]
    listed = [f"https://{site}{path}" for site in sites for path in ("/1.png", "", "/", "/a//b/")]
    column = UrlColumn(listed)
    places, owned = column.owners(OWNERS)
    alone, known = OWNERS.of_urls(listed)
    assert [owned[place] for place in places.tolist()] == [known[place] for place in alone]


def test_each_site_is_asked_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses a site has, it is looked up by one of them; where paths decide, by each."""
    asked: list[str] = []
    of_urls = HostOwners.of_urls

    def ask(owners: HostOwners, listed: Any) -> Any:
        asked.extend(listed)
        return of_urls(owners, listed)

    monkeypatch.setattr(HostOwners, "of_urls", ask)
    for site in ("a.example", "x" * 61 + ".io"):
        asked.clear()
        UrlColumn([f"https://{site}/{at}/" for at in range(9)]).owners(OWNERS)
        assert len(asked) == 1
    UrlColumn([f"https://shared.example/{at}" for at in range(9)]).owners(OWNERS)
    assert len(asked) == 1 + 1 + 9


@given(listed=st.lists(st.one_of(urls, st.none()), max_size=12))
def test_the_column_of_a_frame_holds_the_addresses(listed: list[str | None]) -> None:
    """The column is the one that is made of the texts themselves."""
    column: Any = UrlColumn(listed).texts()
    expected = texts(listed)
    assert column.dtype == expected.dtype
    assert [None if one != one else one for one in column.tolist()] == listed


@given(st.lists(st.one_of(urls, st.text(min_size=1).map("https://{}".format)), min_size=1, max_size=6))
def test_common_addresses_are_common_each(listed: list[str]) -> None:
    """Where all together are called common, each is."""
    if UrlColumn(listed).are_common():
        assert all(map(is_plain_url, listed))


@pytest.mark.parametrize(
    "odd",
    ["https://", "http://a.example/b", "HTTPS://a.example/b", *(f"https://a.example/{one}b" for one in " \n\x7f\xe9")],
)
def test_one_odd_address_makes_a_column_odd(odd: str) -> None:
    """An address of another scheme or of nothing but one, and one with a character that is not seen, is not common."""
    usual = "https://img.theapi.app/temp/a.png"
    assert not UrlColumn([usual, odd, usual]).are_common()


def test_common_addresses_are_seen() -> None:
    """Addresses as services write them are called common."""
    assert UrlColumn(["https://img.theapi.app/temp/a.png", "https://a.example/b?c=d"]).are_common()


@given(st.lists(urls, min_size=2, max_size=12))
def test_addresses_of_one_file_have_one_tail(listed: list[str]) -> None:
    """Addresses that differ in queries, fragments and capitals alone have one number, wherever there are numbers."""
    column = UrlColumn(listed)
    rows = [row for row, url in enumerate(listed) if len(url.partition("#")[0].partition("?")[0]) > 32]
    tails = column.tails(_rows(rows))
    if tails is None:
        assert not "".join(listed).isascii()
        return
    bases = _bases([listed[row] for row in rows]).tolist()
    for first, one in zip(bases, tails.tolist(), strict=True):
        for second, other in zip(bases, tails.tolist(), strict=True):
            assert first != second or one == other


def test_tails_tell_files_apart() -> None:
    """Different files of one task have different numbers; addresses that are too short have none."""
    folder = "https://img.theapi.app/ephemeral/0123456789"
    tails = UrlColumn([f"{folder}/0_0.png", f"{folder}/0_1.png", f"{folder}/0_0.PNG?a=b"]).tails(_rows([0, 1, 2]))
    assert tails is not None
    assert tails[0] == tails[2] != tails[1]
    assert UrlColumn([folder, "https://a.example/b"]).tails(_rows([0, 1])) is None


def _rows(rows: list[int]) -> Any:
    return np.array(rows, np.int64)


@given(st.lists(st.sampled_from([b":", b"/", b"//", b"://", b"a", b" ", b"\n"]), max_size=12))
def test_schemes_are_found_where_they_stand(parts: list[bytes]) -> None:
    """Every `://` of a text is found, at even and at odd places."""
    text = b"{" + b"".join(parts)
    expected = [place for place in range(len(text)) if text.startswith(b"://", place)]
    assert sorted(places_of_schemes(text).tolist()) == expected


def test_a_short_text_holds_no_scheme() -> None:
    """A text too short for one holds none."""
    assert places_of_schemes(b"").tolist() == places_of_schemes(b"{").tolist() == []
