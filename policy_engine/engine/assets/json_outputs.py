"""Finds the files of many JSON outputs of one service at once, column by column, where nothing is unusual."""

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

from policy_engine.core.frames import Bool, Int64
from policy_engine.core.urls.address_column import UrlColumn, places_of_schemes
from policy_engine.core.urls.addresses import is_plain_url
from policy_engine.engine.assets.output_paths import OutputPaths, PathNode
from policy_engine.engine.assets.settled_files import RoleNumbers, SettledFiles, settle
from policy_engine.history.decoding import STRICT_ERRORS

# Why this is exact: it gives an answer for an output only if
# - the output decodes into the shape that the catalog lists (anything else in it is skipped),
# - it holds as many `://` as the texts at listed paths do, so that no address is anywhere else,
# - each of these texts is one address in the common form, which `urls_in` would return unchanged,
# - no two of its files and previews have the same address, queries aside, so that none repeats another, and each
#   further address of a file belongs to a file that is present.
# Then OutputPaths.files_of has nothing to decide: the files are those at the listed paths, in the order of the catalog.
# Everything else is left to it. tests/engine/assets/test_json_outputs.py compares both.

_HIDDEN = re.compile(rb"\\(?:/|u00(?:2[fF]|3[aA]))")
"""Escaped forms of the characters in `://`."""


@dataclass
class _Addresses:
    """Texts at the paths of a catalog, path after path; parallel."""

    rows: list[Int64] = field(default_factory=list)
    roles: list[int] = field(default_factory=list)
    texts: list[Sequence[str]] = field(default_factory=list)

    def add(self, role: int, rows: Int64, texts: Sequence[str]) -> None:
        self.rows.append(rows)
        self.roles.append(role)
        self.texts.append(texts)


class JsonOutputs:
    """Finds the files in JSON outputs of one service, by the paths that the catalog lists for it."""

    def __init__(self, paths: OutputPaths, service: str) -> None:
        """Make the typed shape of the service's outputs."""
        self._roles = RoleNumbers(paths)
        self._root = paths.tree(service)
        self._numbers: dict[int, int] = {}
        self._shape: Any = _shape(self._root)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(self._shape)
        self._number(self._root)

    def _number(self, node: PathNode) -> None:
        if node.leaf is not None:
            self._numbers[id(node)] = self._roles.add(node.leaf)
        for child in (*node.keys.values(), node.any_key, node.element):
            if child is not None:
                self._number(child)

    def find(self, texts: Sequence[bytes]) -> SettledFiles:
        """The files of outputs given as JSON (objects, lists or null)."""
        together = b"\n".join(texts)
        outputs = self._decode(together, texts)
        found = _Addresses()
        self._flatten(self._root, outputs, np.arange(len(texts), dtype=np.int64), found)
        odd = np.zeros(len(texts), bool)
        sizes = [len(column) for column in found.texts]
        rows = np.concatenate([*found.rows, np.empty(0, np.int64)])
        roles = np.repeat(np.array(found.roles, np.int64), sizes)
        urls = list(chain.from_iterable(found.texts))
        self._mark_hidden(together, texts, rows, urls, odd)
        column = UrlColumn(urls)
        if not column.are_common():
            odd[rows[~np.fromiter(map(is_plain_url, urls), bool, len(urls))]] = True
        return settle(self._roles, rows, roles, column, odd)

    def _decode(self, together: bytes, texts: Sequence[bytes]) -> list[Any]:
        """The outputs in the shape of the catalog; None for one of another shape, so that nothing is found in it."""
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

    def _flatten(self, node: PathNode, values: Sequence[Any], rows: Int64, found: _Addresses) -> None:
        """Collect the texts at the paths below a node; `values` and `rows` are parallel."""
        for shape, here, at in _by_type(values, rows):
            if shape is str:
                if node.leaf is not None:
                    is_address = ["://" in text for text in here]
                    if not all(is_address):
                        here = list(compress(here, is_address))
                        at = at[np.array(is_address, bool)]
                    found.add(self._numbers[id(node)], at, here)
            elif shape is list:
                if node.element is not None:
                    self._spread(node.element, here, at, found)
            elif shape is dict:
                if node.any_key is not None:
                    # The order of the keys of a map has no meaning, so it must not decide the numbering.
                    self._spread(
                        node.any_key, [[mapping[key] for key in sorted(mapping)] for mapping in here], at, found
                    )
            else:
                for number, child in enumerate(node.keys.values()):
                    self._flatten(child, list(map(attrgetter(f"f{number}"), here)), at, found)

    def _spread(self, node: PathNode, lists: Sequence[list[Any]], rows: Int64, found: _Addresses) -> None:
        sizes = np.fromiter(map(len, lists), np.int64, len(lists))
        self._flatten(node, list(chain.from_iterable(lists)), np.repeat(rows, sizes), found)

    def _mark_hidden(self, together: bytes, texts: Sequence[bytes], rows: Int64, urls: list[str], odd: Bool) -> None:
        """Mark the outputs that hold an address somewhere else than at a listed path."""
        if b"\\" in together and _HIDDEN.search(together):
            odd |= np.fromiter((_HIDDEN.search(text) is not None for text in texts), bool, len(texts))
        starts = places_of_schemes(together)
        if len(starts) != len(urls):
            # An address has several, or is at no listed path.
            ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
            held = np.bincount(np.searchsorted(ends, starts, side="right"), minlength=len(texts))
            seen = np.zeros(len(texts), np.int64)
            np.add.at(seen, rows, np.fromiter((url.count("://") for url in urls), np.int64, len(urls)))
            odd |= held != seen


def _by_type(values: Sequence[Any], rows: Int64) -> Iterator[tuple[type, Sequence[Any], Int64]]:
    """Values at a path by their type, nearly always a single one; nothing for null and absent values."""
    kinds = list(map(type, values))
    distinct = dict.fromkeys(kinds)
    if len(distinct) == 1:
        if kinds[0] is not NoneType:
            yield kinds[0], values, rows
        return
    for kind in distinct:
        if kind is not NoneType:
            chosen = [found is kind for found in kinds]
            yield kind, list(compress(values, chosen)), rows[np.array(chosen, bool)]


def _shape(node: PathNode) -> Any:
    """The msgspec type of what may be at a node; anything else is left to OutputPaths.files_of."""
    shape: Any = None if node.leaf is None else str | None
    if node.element is not None:
        shape = list[_shape(node.element)] | shape  # type: ignore[misc]
    if node.any_key is not None:
        # Listed keys beside a map of any keys would need both; OutputPaths.files_of decides such outputs.
        if not node.keys:
            shape = dict[str, _shape(node.any_key)] | shape  # type: ignore[misc]
    elif node.keys:
        fields = [(f"f{number}", _shape(child), None) for number, child in enumerate(node.keys.values())]
        names = {f"f{number}": key for number, key in enumerate(node.keys)}
        shape = msgspec.defstruct("Output", fields, rename=names, gc=False) | shape
    return shape
