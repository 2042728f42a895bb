"""Reads many addresses at once, written one after another as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from policy_engine.core.frames import texts
from policy_engine.core.hashing import odd_factors
from policy_engine.core.urls.addresses import HostOwners, host_of

Int64 = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_WORD = 8
_TAIL = 32
"""Bytes at the end of an address, its query left out, that as a rule distinguish the files of one task."""
_LONGEST_SITE = 64
_HTTPS = np.frombuffer(b"https://", np.uint64)[0]
_LOWER_CASE = np.frombuffer(b" " * _WORD, np.uint64)[0]
_FACTORS = odd_factors(_LONGEST_SITE // _WORD)


class UrlColumn:
    """Addresses (n, None where it is missing) as text and as bytes."""

    def __init__(self, urls: Sequence[str | None]) -> None:
        """Write the addresses one after another."""
        self._given = urls
        shown: Any = urls
        try:
            together = "".join(shown)
        except TypeError:
            shown = [url or "" for url in urls]
            together = "".join(shown)
        self.urls: Sequence[str] = shown
        """The same, "" where it is missing."""
        self._is_ascii = together.isascii()
        if self._is_ascii:
            self.sizes = np.fromiter(map(len, self.urls), np.int64, len(urls))
        else:
            parts = [url.encode() for url in self.urls]
            self.sizes = np.fromiter(map(len, parts), np.int64, len(urls))
        # The bytes after the last one are for pieces that reach beyond it.
        self._bytes = (together + "\0" * _LONGEST_SITE).encode()
        self._text = np.frombuffer(self._bytes, np.uint8)
        self._ends = np.cumsum(self.sizes)
        self._starts = self._ends - self.sizes

    def texts(self) -> Any:
        """The addresses as a column of a frame."""
        if not self._is_ascii:
            return texts(self._given)
        edges = pa.py_buffer(np.append(0, self._ends))
        present = None if self.sizes.all() else pa.py_buffer(np.packbits(self.sizes > 0, bitorder="little"))
        column = pa.LargeStringArray.from_buffers(len(self.urls), edges, pa.py_buffer(self._bytes), present)
        return pd.array(column, dtype="str")

    def are_common(self) -> bool:
        """True when each is `https` and of printable ASCII without spaces; False when some may not be."""
        text = self._text[:-_LONGEST_SITE]
        return bool(
            len(text)
            and text.min() > ord(" ")
            and text.max() < 0x7F
            and self.sizes.min() > _WORD
            and (self._pieces(self._starts, _WORD) == _HTTPS).all()
        )

    def tails(self, rows: Int64) -> Words | None:
        """
        A number for each of some addresses: equal for those that differ in queries, fragments and capitals at most.

        Others rarely have one number. None where that cannot be said.
        """
        starts, ends = self._starts[rows], self._ends[rows]
        marks = np.flatnonzero((self._text == ord("?")) | (self._text == ord("#")))
        ends = np.minimum(ends, np.append(marks, len(self._text))[np.searchsorted(marks, starts)])
        sizes = ends - starts
        if not self._is_ascii or (sizes < _TAIL).any():
            return None
        # What makes a letter a small one makes equal what capitals alone distinguish.
        pieces: Words = self._pieces(ends - _TAIL, _TAIL) | _LOWER_CASE
        keys: Words = _spread(pieces) + sizes.view(np.uint64)
        return keys

    def with_query(self) -> list[int]:
        """The addresses that have a `?`."""
        marks = np.flatnonzero(self._text == ord("?"))
        found: list[int] = pd.unique(np.searchsorted(self._ends, marks, side="right")).tolist()
        return found

    def owners(self, owners: HostOwners) -> tuple[Int64, list[tuple[str, str | None]]]:
        """What HostOwners.of_urls returns; each site, the text between `//` and the next `/`, is looked up once."""
        indices = np.full(len(self.urls), -1, np.int64)
        rows = np.flatnonzero(self.sizes)
        codes, firsts = self._sites(rows)
        decides = np.array([not owners.has_paths(host_of(self.urls[row])) for row in firsts.tolist()], bool)
        others = rows[~decides[codes]]
        found, owned = owners.of_urls([self.urls[row] for row in (*firsts.tolist(), *others.tolist())])
        indices[rows] = np.array(found[: len(firsts)], np.int64)[codes]
        indices[others] = found[len(firsts) :]
        return indices, owned

    def _sites(self, rows: Int64) -> tuple[Int64, Int64]:
        """A code for the site of each of some addresses, and for each code an address that has it."""
        slashes = np.append(np.flatnonzero(self._text == ord("/")), len(self._text))
        first = np.searchsorted(slashes, self._starts[rows])
        starts = slashes[first + 1] + 1
        sizes = np.minimum(slashes[first + 2], self._ends[rows]) - starts
        width = -(-int(sizes.max(initial=1)) // _WORD) * _WORD
        if width > _LONGEST_SITE:
            return np.arange(len(rows)), rows
        # Sites hold no NUL, so that those cut off or filled up with it to one length stay apart.
        shown = np.tril(np.full((width + 1, width), 0xFF, np.uint8), -1).view(np.uint64)
        pieces = self._pieces(starts, width) & shown[sizes]
        codes, distinct = pd.factorize(_spread(pieces))
        firsts = np.empty(len(distinct), np.int64)
        firsts[codes] = np.arange(len(rows))
        if (pieces != pieces[firsts[codes]]).any():
            return np.arange(len(rows)), rows
        return codes, rows[firsts]

    def _pieces(self, starts: Int64, width: int) -> Words:
        """The bytes from each position on, as words."""
        windows = np.ndarray((len(self._text) - width + 1,), f"V{width}", self._bytes, strides=(1,))
        return windows[starts].view(np.uint64).reshape(len(starts), width // _WORD)


def _spread(words: Words) -> Words:
    """One number for each row of words."""
    spread: Words = (words * _FACTORS[: words.shape[1]]).sum(axis=1, dtype=np.uint64)
    return spread ^ (spread >> np.uint64(32))


def places_of_schemes(text: bytes) -> Int64:
    """Positions of `://` in a text that does not begin with `//`, in no order."""
    if len(text) < len("://"):
        return np.empty(0, np.int64)
    # Two bytes at a time: few texts have `//` in them, and nearly all have `:`.
    pairs = [
        np.flatnonzero(np.frombuffer(text, np.uint16, (len(text) - shift) // 2, shift) == 0x2F2F) * 2 + shift
        for shift in (0, 1)
    ]
    indices: Int64 = np.concatenate(pairs) - 1
    schemes: Int64 = indices[np.frombuffer(text, np.uint8)[indices] == ord(":")]
    return schemes
