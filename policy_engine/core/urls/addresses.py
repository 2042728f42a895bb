"""Reads what a URL itself says: its host, whose it is, which file it names, and until when a signed link works."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote

from policy_engine.core.periods import MAX_INSTANT, MIN_INSTANT, SECOND, parse_instant

_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f]+", re.IGNORECASE)
_LOOSE_URL = re.compile(r"https?://[^\x00-\x1f\x7f]+", re.IGNORECASE)
_SITE = re.compile(r"https?://[^/\s]+/", re.IGNORECASE)
_FILE_END = re.compile(r"\.[a-z0-9]{2,5}(?=\?|\Z)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"https?://(?:[^/?#@\s]*@)?(\[[0-9a-f:.]*\]|[^/?#:@\s]*)", re.IGNORECASE)

# Query parameters that sign a link or date it; they change while the file stays the same.
_SIGNING = frozenset({
    "expires", "signature", "key-pair-id", "policy", "ossaccesskeyid", "awsaccesskeyid", "googleaccessid",
    "ex", "is", "hm", "se", "sp", "sv", "sr", "sig", "st", "spr", "token", "exp", "x-kcdn-pid",
    "response-content-disposition", "auth_key", "x-expires", "x-signature",
    "q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature",
})  # fmt: skip
_SIGNING_PREFIXES = ("x-amz-", "x-goog-", "x-oss-", "x-tos-")
_DATED = tuple((prefix + "date", prefix + "expires") for prefix in _SIGNING_PREFIXES)
_MAY_DATE = re.compile(r"(?:expires|ex|se|exp)=", re.IGNORECASE)
"""Ends of the names of parameters that date a link."""
_SHORT_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T([0-9]{2}:[0-9]{2})Z)?")
_DIGITS = {10: re.compile("[0-9]{1,12}"), 16: re.compile("[0-9a-fA-F]{1,12}")}
_BASIC_TIME = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")


_MOST_SITES = 100_000
_SCHEMES = ("https://", "http://")
_SHORTEST = len("https://")


def is_plain_url(text: str) -> bool:
    """True for the common form of an address, for which `urls_in` would give just this text."""
    return text.startswith(_SCHEMES) and len(text) > _SHORTEST and text.isprintable() and " " not in text


def is_url(text: str) -> bool:
    """True for an http or https address that is the whole text."""
    return text[:4].lower() == "http" and _URL.fullmatch(text) is not None


def urls_in(text: str, is_address: bool = False) -> list[str]:
    """
    The addresses that a text consists of: one as a rule, several when white space divides them, none in prose.

    One with spaces inside is taken as it stands where it ends like a file, or where `is_address` says that the place
    is known to hold an address.
    """
    text = text.strip()
    if text[:4].lower() != "http":
        return []
    if _URL.fullmatch(text):
        return [text]
    parts = [part.rstrip(",;|") for part in text.split()]
    if all(_URL.fullmatch(part) for part in parts):
        return parts
    return [text] if (_LOOSE_URL.fullmatch(text) if is_address else _ends_like_file(text)) else []


def _ends_like_file(text: str) -> bool:
    """
    True for an address with spaces in its path that ends like a file, or does so before a query without spaces.

    One pattern for all of it would take a time that grows with the square of a text's length.
    """
    site = _SITE.match(text)
    if site is None:
        return False
    end = _FILE_END.search(text, max(site.end(), len(text) - len(text.split()[-1])))
    return end is not None and _CONTROL.search(text, site.end(), end.end()) is None


def host_of(url: str) -> str:
    """The host in lower case without port and user, or an empty text."""
    match = _HOST.match(url)
    return match.group(1).lower().rstrip(".") if match else ""


def file_identity(url: str) -> str:
    """
    The part of a URL that names the file: scheme and host in lower case, signing parameters and fragment left out.

    Two addresses with one identity are one file; other query parameters are kept, since they may name a file.
    """
    if "?" not in url and "#" not in url:
        # Most addresses are in canonical form already; the general way below would give the same text.
        end = url.find("/", 8)
        if (url if end < 0 else url[:end]).islower():
            return url
    base, mark, rest = url.partition("#")[0].partition("?")
    scheme, _, tail = base.partition("://")
    host, slash, path = tail.partition("/")
    base = f"{scheme.lower()}://{host.lower()}{slash}{path}"
    if not mark:
        return base
    kept = [part for part in rest.split("&") if part and not _is_signing(part.partition("=")[0])]
    return f"{base}?{'&'.join(sorted(kept))}" if kept else base


def _is_signing(name: str) -> bool:
    name = unquote(name).lower()
    return name in _SIGNING or name.startswith(_SIGNING_PREFIXES)


def link_expiry(url: str) -> int | None:
    """
    The instant (ns, UTC) at which a signed link stops working according to the link itself, or None.

    Understands `Expires` (unix seconds), `X-Amz-Date` + `X-Amz-Expires` and their Google, OSS and TOS twins,
    Azure's `se`, Discord's hexadecimal `ex`, and JSON-web-token-like `exp` in unix seconds.
    """
    _, mark, query = url.partition("#")[0].partition("?")
    if not mark or not ("%" in query or _MAY_DATE.search(query)):
        return None
    is_escaped = "%" in query
    fields: dict[str, str] = {}
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        if equals:
            fields.setdefault((unquote(name) if is_escaped else name).lower(), value)
    if is_escaped:
        fields = {name: unquote(value) for name, value in fields.items()}
    for date, expires in _DATED:
        if date in fields and expires in fields:
            return _sum(fields[date], fields[expires])
    if "ex" in fields and "hm" in fields:
        return _within(_integer(fields["ex"], 16))
    if "se" in fields and "sig" in fields:
        return _azure_time(fields["se"])
    for name in ("expires", "x-expires", "exp"):
        if name in fields:
            return _within(_integer(fields[name], 10))
    return None


def _integer(text: str, base: int) -> int | None:
    return int(text, base) if _DIGITS[base].fullmatch(text) else None


def _within(seconds: int | None) -> int | None:
    # Below one million it is a length of time or nonsense, not an instant.
    if seconds is None or not 1_000_000 <= seconds <= MAX_INSTANT // SECOND:
        return None
    return seconds * SECOND


def _azure_time(text: str) -> int | None:
    # Azure also signs links whose time has no seconds, or is a day.
    short = _SHORT_TIME.fullmatch(text)
    if short:
        text = f"{short.group(1)}T{short.group(2) or '00:00'}:00Z"
    try:
        instant = parse_instant(text)
    except ValueError:
        return None
    # The year 9999 means "never"; it is beyond what an instant can be.
    return instant if MIN_INSTANT <= instant <= MAX_INSTANT else None


def _sum(dated: str, lasts: str) -> int | None:
    match, seconds = _BASIC_TIME.fullmatch(dated), _integer(lasts, 10)
    if match is None or seconds is None:
        return None
    year, month, day, hour, minute, second = match.groups()
    try:
        total = parse_instant(f"{year}-{month}-{day}T{hour}:{minute}:{second}Z") + seconds * SECOND
    except ValueError:
        return None
    return total if MIN_INSTANT <= total <= MAX_INSTANT else None


class HostOwners:
    """Finds the owner of a host, by the rule pack's list (`host`, `*.suffix`, either with `/path*`)."""

    def __init__(self, owners: Mapping[str, str]) -> None:
        """Sort the patterns; paths are tried before whole hosts, exact hosts before suffixes, long before short."""
        self._hosts = _by_length((name.lower(), owner) for name, owner in owners.items() if "/" not in name)
        self._paths = _by_length((name, owner) for name, owner in owners.items() if "/" in name)
        self._known: dict[str, tuple[tuple[tuple[str, str], ...], str | None]] = {}
        self._sites: dict[str | None, int] = {None: -1}
        self._indices: dict[tuple[str, str | None], int] = {}
        self._pairs: list[tuple[str, str | None]] = []

    def of_urls(self, urls: Sequence[str | None]) -> tuple[list[int], list[tuple[str, str | None]]]:
        """
        Per URL the index in a list of (host, owner or None) pairs, -1 without a URL; and the list, which may name
        one pair twice and pairs that do not occur.
        """
        if len(self._pairs) > _MOST_SITES:
            self._pairs, self._indices, self._sites = [], {}, {None: -1}
        sites = [None if url is None else url.split("/", 3)[2] for url in urls]
        indices = list(map(self._sites.get, sites))
        if None in indices:
            for row, index in enumerate(indices):
                if index is None:
                    indices[row] = self._index_of(sites[row] or "", urls[row] or "")
        return indices, self._pairs  # type: ignore[return-value]

    def _index_of(self, site: str, url: str) -> int:
        # The text between `//` and the next `/` repeats, so each is looked up once.
        known = self._sites.get(site)
        if known is not None:
            return known
        host = host_of(url)
        pair = (host, self.owner_of(host, url) if host else None)
        index = self._indices.get(pair)
        if index is None:
            index = self._indices[pair] = len(self._pairs)
            self._pairs.append(pair)
        if not (host and self.has_paths(host)) and len(self._sites) < _MOST_SITES:
            # Where paths have owners of their own, the site does not decide.
            self._sites[site] = index
        return index

    def owner_of(self, host: str, url: str) -> str | None:
        """The owner of a host (lower case), or None when the pack does not know it."""
        paths, owner = self._about(host)
        if paths:
            path = url.partition("://")[2].partition("/")[2]
            for prefix, path_owner in paths:
                if path.startswith(prefix):
                    return path_owner
        return owner

    def has_paths(self, host: str) -> bool:
        """True where the owner of an address depends on its path."""
        return bool(self._about(host)[0])

    def _about(self, host: str) -> tuple[tuple[tuple[str, str], ...], str | None]:
        known = self._known.get(host)
        if known is None:
            known = self._known[host] = self._look_up(host)
        return known

    def _look_up(self, host: str) -> tuple[tuple[tuple[str, str], ...], str | None]:
        paths = []
        for name, owner in self._paths:
            pattern, _, path = name.partition("/")
            if _covers(pattern.lower(), host):
                paths.append((path.removesuffix("*"), owner))
        paths.sort(key=lambda item: -len(item[0]))
        return tuple(paths), next((owner for name, owner in self._hosts if _covers(name, host)), None)


def _by_length(owners: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(owners, key=lambda item: (item[0].startswith("*"), -len(item[0]), item[0]))


def _covers(pattern: str, host: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
