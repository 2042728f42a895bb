"""What a URL says by itself: its host and owner, the file it names, and until when a signed link works."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.core.periods import HOUR, SECOND, parse_instant
from policy_engine.core.urls.addresses import HostOwners, file_identity, host_of, is_url, link_expiry, urls_in

BASE = "https://cdn.example.org/a/b.mp4"
MOMENT = parse_instant("2026-01-08T00:00:00Z")
UNIX = MOMENT // SECOND


# --- Addresses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [BASE, "HTTP://x", "Https://example.org/a;b=1?c=d#e", "https://example.org/\u00e9"])
def test_addresses(text: str) -> None:
    """An http or https address is one, in any case and with any characters but spaces."""
    assert is_url(text)
    assert urls_in(text) == [text]


@pytest.mark.parametrize(
    "text", ["", "https://", "ftp://example.org/a", "s3://bucket/key", "//example.org/a", "javascript:alert(1)", "httpx://a",
             "see https://example.org/a", "https://example.org/a is the file", "data:image/png;base64,AAAA", "https://a\nb"],
)  # fmt: skip
def test_texts_that_are_no_address(text: str) -> None:
    """Other schemes and prose around an address are no address."""
    assert not is_url(text)
    assert urls_in(text) == []


def test_several_addresses_in_one_text() -> None:
    """Addresses divided by white space are all taken; with a space inside, one that ends like a file is taken whole."""
    assert urls_in(f" {BASE}, https://example.org/c.png\nhttps://example.org/d ") == [
        BASE, "https://example.org/c.png", "https://example.org/d",
    ]  # fmt: skip
    assert urls_in("https://example.org/my file.png?x=1") == ["https://example.org/my file.png?x=1"]
    assert urls_in("https://example.org/a b", is_address=True) == ["https://example.org/a b"]


# --- Hosts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://IMG.Example.org/A", "img.example.org"),
        ("https://example.org:8443/a", "example.org"),
        ("https://user:secret@example.org/a", "example.org"),
        ("https://trusted.example@evil.example/a", "evil.example"),
        ("https://example.org.", "example.org"),
        ("https://example.org?x=/y", "example.org"),
        ("https://[2001:db8::1]:443/a", "[2001:db8::1]"),
        ("https:///a", ""),
        ("not a url", ""),
    ],
)
def test_host(url: str, host: str) -> None:
    """The host comes without port, user and final dot, in lower case."""
    assert host_of(url) == host


OWNERS = HostOwners({
    "img.example.org": "platform",
    "*.vendor.example": "vendor",
    "*.media.vendor.example": "media",
    "bucket.example/udio-*": "udio",
    "bucket.example/udio-special-*": "special",
    "*.shared.example/ours/*": "platform",
    "shared.example": "shared",
})  # fmt: skip


@pytest.mark.parametrize(
    ("url", "owner"),
    [
        ("https://img.example.org/a", "platform"),
        ("https://IMG.example.org:443/a", "platform"),
        ("https://other.img.example.org/a", None),
        ("https://cdn.vendor.example/a", "vendor"),
        ("https://a.b.vendor.example/a", "vendor"),
        ("https://vendor.example/a", None),
        ("https://evilvendor.example/a", None),
        ("https://x.media.vendor.example/a", "media"),
        ("https://bucket.example/udio-artifacts/1.mp3", "udio"),
        ("https://bucket.example/udio-special-1/1.mp3", "special"),
        ("https://bucket.example/other/udio-1.mp3", None),
        ("https://bucket.example/?/udio-1", None),
        ("https://a.shared.example/ours/1.png", "platform"),
        ("https://a.shared.example/theirs/1.png", None),
        ("https://shared.example/ours/1.png", "shared"),
        ("https://bucket.example@evil.example/udio-1", None),
        ("https://evil.example/https://img.example.org/a", None),
    ],
)
def test_owner(url: str, owner: str | None) -> None:
    """A path decides before a host, an exact host before a suffix, the longer pattern before the shorter."""
    assert OWNERS.owner_of(host_of(url), url) == owner
    # Asked again, from what was remembered.
    assert OWNERS.owner_of(host_of(url), url) == owner


@given(st.permutations(["*.a.example", "*.b.a.example", "x.b.a.example", "x.b.a.example/p*", "x.b.a.example/p/q*"]))
def test_owner_does_not_depend_on_the_order_of_patterns(patterns: list[str]) -> None:
    """The order in which a pack lists its hosts means nothing."""
    owners = HostOwners({pattern: pattern for pattern in patterns})
    for url, owner in (
        ("https://x.b.a.example/p/q/1", "x.b.a.example/p/q*"),
        ("https://x.b.a.example/p/1", "x.b.a.example/p*"),
        ("https://x.b.a.example/1", "x.b.a.example"),
        ("https://y.b.a.example/p/q", "*.b.a.example"),
        ("https://y.a.example/p/q", "*.a.example"),
    ):
        assert owners.owner_of(host_of(url), url) == owner


# --- Identity --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "same",
    [
        BASE.replace("https://cdn", "HTTPS://CDN"),
        BASE + "#t=5",
        BASE + "?",
        BASE + "?Expires=1767900000&Signature=abc~_-&Key-Pair-Id=K1",
        BASE
        + "?X-Amz-Algorithm=AWS4&X-Amz-Credential=x&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-Signature=y",
        BASE + "?X-Goog-Date=20260101T000000Z&X-Goog-Expires=60&X-Goog-Signature=y",
        BASE + "?OSSAccessKeyId=a&Expires=1767900000&Signature=b",
        BASE + "?sv=2024-01-01&se=2026-01-09T00%3A00%3A00Z&sr=b&sp=r&sig=zz",
        BASE + "?ex=695f0000&is=695dae80&hm=abc&",
        BASE + "?x%2Damz%2Dsignature=y",
    ],
)
def test_signatures_do_not_change_the_file(same: str) -> None:
    """A link signed anew, with a fragment or with its host in capitals names the same file."""
    assert file_identity(same) == file_identity(BASE)


@pytest.mark.parametrize(
    "other", [BASE + "?id=2", BASE + "?v=2&Expires=1767900000", BASE + "/", BASE.replace("b.mp4", "B.mp4"),
              BASE.replace("https", "http"), BASE.replace("cdn", "cdn2")],
)  # fmt: skip
def test_other_parameters_may_name_another_file(other: str) -> None:
    """A parameter that signs nothing is part of the name, and so is the case of the path."""
    assert file_identity(other) != file_identity(BASE)


def test_order_of_parameters_means_nothing() -> None:
    """The same parameters in another order name the same file."""
    assert file_identity(BASE + "?b=2&a=1&Expires=1") == file_identity(BASE + "?a=1&b=2")


@given(st.sampled_from(["https://A.example", "http://a.example/P/q", "https://a.example/;x", "HTTPS://a.example/%41"]),
       st.text(alphabet="abcXYZ=&?#/%._-", max_size=20))  # fmt: skip
def test_identity_is_the_identity_of_itself(start: str, rest: str) -> None:
    """The identity of a file is an address of that file."""
    identity = file_identity(start + rest)
    assert file_identity(identity) == identity


# --- Expiry of signed links ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"Expires={UNIX}&Signature=a&Key-Pair-Id=b", MOMENT),
        (f"OSSAccessKeyId=a&Expires={UNIX}&Signature=b", MOMENT),
        (f"EXPIRES={UNIX}", MOMENT),
        (f"x-expires={UNIX}&x-signature=a", MOMENT),
        (f"exp={UNIX}", MOMENT),
        (f"ex={UNIX:x}&is={UNIX - 86_400:x}&hm=abc&", MOMENT),
        (f"ex={UNIX:X}&is=0&hm=abc", MOMENT),
        ("X-Amz-Date=20260107T230000Z&X-Amz-Expires=3600&X-Amz-Signature=a", MOMENT),
        ("X-Goog-Date=20260107T230000Z&X-Goog-Expires=3600&X-Goog-Signature=a", MOMENT),
        ("x-oss-date=20260107T230000Z&x-oss-expires=3600", MOMENT),
        ("x-tos-date=20260107T230000Z&x-tos-expires=3600", MOMENT),
        ("sv=1&se=2026-01-08T00%3A00%3A00Z&sp=r&sig=a", MOMENT),
        ("se=2026-01-08T00:00:00Z&sig=a", MOMENT),
        ("se=2026-01-08T00:00Z&sig=a", MOMENT),
        ("se=2026-01-08&sig=a", MOMENT),
        ("se=2026-01-08T01%3A00%3A00%2B01%3A00&sig=a", MOMENT),
        # The following say nothing, or nothing that can be trusted.
        ("", None),
        ("Expires=3600", None),
        ("Expires=", None),
        ("Expires=never", None),
        (f"Expires={UNIX}000", None),
        ("Expires=99999999999", None),
        ("Expires=-1", None),
        ("Expires=\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669\u0660", None),
        (f"ex={UNIX:x}", None),
        ("ex=zzzz&hm=a", None),
        ("ex=ffffffffffff&hm=a", None),
        ("se=9999-12-31T23:59:59Z&sig=a", None),
        ("se=0001-01-01T00:00:00Z&sig=a", None),
        ("se=2026-02-30&sig=a", None),
        ("se=soon&sig=a", None),
        ("se=2026-01-08T00:00:00Z", None),
        ("X-Amz-Date=20260107T230000Z", None),
        ("X-Amz-Date=20261307T230000Z&X-Amz-Expires=3600", None),
        ("X-Amz-Date=20260107T230000Z&X-Amz-Expires=999999999999", None),
        ("X-Amz-Date=2026-01-07&X-Amz-Expires=3600", None),
        ("X-Amz-Date=20260107T230000Z&X-Amz-Expires=1h", None),
    ],
)
def test_expiry_of_signed_links(query: str, expected: int | None) -> None:
    """A signed link tells until when it works, in the form of each signer; nonsense tells nothing."""
    assert link_expiry(f"{BASE}?{query}") == expected


def test_expiry_is_read_from_the_query_only() -> None:
    """Neither the path nor the fragment signs a link."""
    assert link_expiry(f"https://example.org/Expires={UNIX}") is None
    assert link_expiry(f"{BASE}#?Expires={UNIX}") is None
    assert link_expiry(f"{BASE}?a=b#&Expires={UNIX}") is None


def test_first_of_two_equal_parameters_counts() -> None:
    """A parameter given twice has its first value, as servers commonly read it."""
    assert link_expiry(f"{BASE}?Expires={UNIX}&Expires={UNIX + 3600}") == MOMENT
    assert link_expiry(f"{BASE}?Expires={UNIX + 3600}") == MOMENT + HOUR


@given(st.text(alphabet="https:/?&=#ExpiresexhmX-Amz%0123456789.@[]; \u00e9", max_size=60))
def test_no_text_breaks_the_readers(text: str) -> None:
    """Whatever stands in an address, reading it gives an answer that int64 can hold."""
    for url in (text, BASE + "?" + text, "https://" + text):
        expiry = link_expiry(url)
        assert expiry is None or abs(expiry) < 2**63
        assert file_identity(url) == file_identity(url)
        OWNERS.owner_of(host_of(url), url)
        urls_in(url)
