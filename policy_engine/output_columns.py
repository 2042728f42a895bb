"""Finds the files of many outputs of one service at once, column by column, where nothing about them is unusual."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress
from operator import attrgetter
from types import NoneType
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from policy_engine.history.decoding import STRICT_ERRORS
from policy_engine.outputs import FILE, PREVIEW, SAME_FILE, FileKinds, Node
from policy_engine.url_columns import UrlColumn, places_of_schemes
from policy_engine.urls import is_plain_url

Rows = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

# Why this way is exact: it gives an answer for an output only if
# - the output decodes into the shape that the catalog lists (what else is in it is skipped),
# - it holds as many `://` as the texts at listed paths do, so that no address stands anywhere else,
# - each of these texts is one address in the common form, which `urls_in` would give back as it is,
# - no two of its files and previews have one address, queries aside, so that none is another's repetition, and
#   each further address of a file is one of a file that is there.
# Then the general way (FileKinds.files_of) has nothing to decide: the files are those at the listed paths, in the
# catalog's order. Everything else is left to it. tests/test_output_columns.py compares both.

_HIDDEN = re.compile(rb"\\(?:/|u00(?:2[fF]|3[aA]))")
"""Escaped forms of the characters in `://`."""


@dataclass
class FoundFiles:
    """Files of many outputs, ordered by output and within it like TaskFiles; parallel columns of n files."""

    rows: Rows
    """Place of the output among those asked about."""
    kinds: Rows
    ordinals: Rows
    urls: list[str]
    previews: int = 0
    same_file: int = 0
    left: list[int] = field(default_factory=list)
    """Outputs that the general way must look at; they have no row above."""


@dataclass
class _Addresses:
    """Texts at the paths of a catalog, leaf after leaf; parallel."""

    rows: list[Rows] = field(default_factory=list)
    leaves: list[int] = field(default_factory=list)
    texts: list[Sequence[str]] = field(default_factory=list)

    def add(self, leaf: int, rows: Rows, texts: Sequence[str]) -> None:
        self.rows.append(rows)
        self.leaves.append(leaf)
        self.texts.append(texts)


class OutputColumns:
    """Reads the outputs of one service; built from the paths that the catalog lists for it."""

    def __init__(self, kinds: FileKinds, service: str) -> None:
        """Make the typed shape of the service's outputs."""
        self._leaves: list[tuple[int, int, str]] = []
        self._root = kinds.tree(service)
        self._places: dict[int, int] = {}
        self._shape: Any = _shape(self._root)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(self._shape)
        self._number(self._root)
        names: dict[str, int] = {}
        self._what = np.array([what for what, _, _ in self._leaves], np.int64)
        self._kind = np.array([kind for _, kind, _ in self._leaves], np.int64)
        self._name = np.array([names.setdefault(name, len(names)) for _, _, name in self._leaves], np.int64)
        self._rank = np.array([kinds.kinds[kind].rank for _, kind, _ in self._leaves], np.int64)

    def _number(self, node: Node) -> None:
        if node.leaf is not None:
            self._places[id(node)] = len(self._leaves)
            self._leaves.append(node.leaf)
        for child in (*node.keys.values(), node.any_key, node.element):
            if child is not None:
                self._number(child)

    def find(self, texts: Sequence[bytes]) -> FoundFiles:
        """The files of outputs given as JSON (objects, lists or null)."""
        together = b"\n".join(texts)
        outputs = self._decode(together, texts)
        found = _Addresses()
        self._flatten(self._root, outputs, np.arange(len(texts), dtype=np.int64), found)
        odd = np.zeros(len(texts), bool)
        sizes = [len(column) for column in found.texts]
        rows = np.concatenate([*found.rows, np.empty(0, np.int64)])
        leaf = np.repeat(np.array(found.leaves, np.int64), sizes)
        urls = list(chain.from_iterable(found.texts))
        self._mark_hidden(together, texts, rows, urls, odd)
        column = UrlColumn(urls)
        if not column.are_common():
            odd[rows[~np.fromiter(map(is_plain_url, urls), bool, len(urls))]] = True
        return self._settle(rows, leaf, column, odd)

    def _decode(self, together: bytes, texts: Sequence[bytes]) -> list[Any]:
        """The outputs in the catalog's shape; None where one has another, so that nothing is found in it."""
        try:
            return self._decoder.decode_lines(together)
        except STRICT_ERRORS:
            pass
        outputs: list[Any] = []
        for text in texts:
            try:
                outputs.append(self._decoder.decode(text))
            except STRICT_ERRORS:
                outputs.append(None)
        return outputs

    def _flatten(self, node: Node, values: Sequence[Any], rows: Rows, found: _Addresses) -> None:
        """Collect the texts at the leaves below a node; `values` and `rows` are parallel."""
        for shape, here, at in _by_type(values, rows):
            if shape is str:
                if node.leaf is not None:
                    is_address = ["://" in text for text in here]
                    if not all(is_address):
                        here = list(compress(here, is_address))
                        at = at[np.array(is_address, bool)]
                    found.add(self._places[id(node)], at, here)
            elif shape is list:
                if node.element is not None:
                    self._spread(node.element, here, at, found)
            elif shape is dict:
                if node.any_key is not None:
                    # The order of a map's keys means nothing, so it must not decide the numbering.
                    self._spread(node.any_key, [[one[key] for key in sorted(one)] for one in here], at, found)
            else:
                for place, child in enumerate(node.keys.values()):
                    self._flatten(child, list(map(attrgetter(f"f{place}"), here)), at, found)

    def _spread(self, node: Node, lists: Sequence[list[Any]], rows: Rows, found: _Addresses) -> None:
        sizes = np.fromiter(map(len, lists), np.int64, len(lists))
        self._flatten(node, list(chain.from_iterable(lists)), np.repeat(rows, sizes), found)

    def _mark_hidden(self, together: bytes, texts: Sequence[bytes], rows: Rows, urls: list[str], odd: Bool) -> None:
        """Mark the outputs that hold an address anywhere but at a listed path."""
        if b"\\" in together and _HIDDEN.search(together):
            odd |= np.fromiter((_HIDDEN.search(text) is not None for text in texts), bool, len(texts))
        places = places_of_schemes(together)
        if len(places) != len(urls):
            # More than one in some address, or one where no path is listed.
            ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
            held = np.bincount(np.searchsorted(ends, places, side="right"), minlength=len(texts))
            seen = np.zeros(len(texts), np.int64)
            np.add.at(seen, rows, np.fromiter((url.count("://") for url in urls), np.int64, len(urls)))
            odd |= held != seen

    def _settle(self, rows: Rows, leaf: Rows, column: UrlColumn, odd: Bool) -> FoundFiles:
        what, name = self._what[leaf], self._name[leaf]
        again = what == SAME_FILE
        named = rows * len(self._what) + name
        if again.any():
            # Another address of a file that is there needs no look; of one that is not, it is the file itself.
            missing = again & ~np.isin(named, named[what == FILE])
            odd[rows[missing]] = True
        several = np.bincount(rows, minlength=len(odd)) > 1
        compared = np.flatnonzero(several[rows] & ~again & ~odd[rows])
        urls = column.urls
        tails = column.tails(compared)
        if tails is not None:
            # What differs in them needs no closer look.
            compared = compared[
                pd.Series(tails.view(np.int64) ^ _of_output(rows[compared])).duplicated(keep=False).to_numpy()
            ]
        if compared.size:
            keys = _bases([urls[place] for place in compared.tolist()])
            keys ^= _of_output(rows[compared])
            order = np.argsort(keys, kind="stable")
            equal = np.flatnonzero(keys[order][1:] == keys[order][:-1])
            odd[rows[compared[order[equal]]]] = True
        used = ~odd[rows]
        files = np.flatnonzero(used & (what == FILE))
        files = files[np.lexsort((files, self._rank[leaf[files]], rows[files]))]
        with_files = np.zeros(len(odd), bool)
        with_files[rows[files]] = True
        # Without a file there is more to decide than this way knows.
        shown = used & with_files[rows]
        return FoundFiles(
            rows[files],
            self._kind[leaf[files]],
            _ordinals(named[files]),
            [urls[place] for place in files.tolist()],
            int((shown & (what == PREVIEW)).sum()),
            int((shown & again).sum()),
            np.flatnonzero(~with_files).tolist(),
        )


def _by_type(values: Sequence[Any], rows: Rows) -> Iterator[tuple[type, Sequence[Any], Rows]]:
    """Values of one place by their type, nearly always one; none for those that are null or absent."""
    kinds = list(map(type, values))
    distinct = dict.fromkeys(kinds)
    if len(distinct) == 1:
        if kinds[0] is not NoneType:
            yield kinds[0], values, rows
        return
    for kind in distinct:
        if kind is not NoneType:
            chosen = [one is kind for one in kinds]
            yield kind, list(compress(values, chosen)), rows[np.array(chosen, bool)]


def _shape(node: Node) -> Any:
    """The msgspec type of what may stand at a node; anything else is left to the general way."""
    shape: Any = None if node.leaf is None else str | None
    if node.element is not None:
        shape = list[_shape(node.element)] | shape  # type: ignore[misc]
    if node.any_key is not None:
        # Listed keys beside a map of any keys would need both; such outputs go the general way.
        if not node.keys:
            shape = dict[str, _shape(node.any_key)] | shape  # type: ignore[misc]
    elif node.keys:
        fields = [(f"f{place}", _shape(child), None) for place, child in enumerate(node.keys.values())]
        names = {f"f{place}": key for place, key in enumerate(node.keys)}
        shape = msgspec.defstruct("Output", fields, rename=names, gc=False) | shape
    return shape


def _bases(urls: list[str]) -> Rows:
    """A number per address, equal for addresses of one file, which differ in their queries and in capitals at most."""
    together = "\n".join(urls)
    if "#" in together:
        urls = [url.partition("#")[0] for url in urls]
    if "?" in together:
        urls = [url.partition("?")[0] for url in urls]
    return np.fromiter(map(hash, "\n".join(urls).lower().split("\n")), np.int64, len(urls))


def _of_output(rows: Rows) -> Rows:
    """A number per output that keeps keys of different outputs apart, as a rule."""
    return rows * np.int64(0x1F3D5B79)


def _ordinals(named: Rows) -> Rows:
    """Number the files of one output and name from 1, in the order given."""
    order = np.argsort(named, kind="stable")
    ordered = named[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    ordinals = np.empty(len(named), np.int64)
    counts = np.diff(np.append(starts, len(named)))
    ordinals[order] = np.arange(1, len(named) + 1) - np.repeat(starts, counts)
    return ordinals
