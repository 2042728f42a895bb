"""
Turns a list of saved files into hashed names, and finds out which findings have a copy in it.

Each name is kept as a 64-bit hash, so an inventory takes some 24 bytes of memory for each entry, whatever its texts.
Two names share a hash by chance in about one of 10^19 comparisons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from policy_engine.core.frames import Bool, UInt64
from policy_engine.core.periods import parse_instant
from policy_engine.core.safe_text import plain
from policy_engine.core.urls.addresses import file_identity, is_url
from policy_engine.core.urls.file_names import archive_folder, base_name, is_telling, without_ending

Hashes = UInt64

INVENTORY_COLUMNS: dict[str, str] = {
    "asset_id": "Id of the asset, as in findings.csv.",
    "url": "Address of the file, with or without its signature.",
    "file": "Path or name of the copy.",
    "task_id": "Task the file is of; counts where the task has one file, and neither asset_id nor url is given.",
    "size": "Bytes of the copy; 0 means no copy.",
    "archived_at": "When the copy was made, RFC 3339 with a zone; after as_of it does not count.",
}
"""Columns of an inventory that is a table, with their meaning; at least one of the first four must be there."""

KEYS = ("asset_id", "url", "file", "task_id")
"""Columns that name files, the surest first."""
_BLOCK = 50_000
"""Texts that are hashed at a time."""
_NO_HASHES: Hashes = np.empty(0, np.uint64)


@dataclass(frozen=True)
class Inventory:
    """What the user holds, as hashes."""

    name: str
    sha256: str
    entries: int
    """Entries read."""
    empty: int = 0
    """Entries left out because the copy has no bytes."""
    later: int = 0
    """Entries left out because the copy was made after as_of."""
    unreadable: int = 0
    """Entries left out because their size or time could not be read, or because they name nothing."""
    first_unreadable: str = ""
    """Location and reason of the first of those."""
    example: str = ""
    """The first entry that counts, for messages."""
    # INVARIANT: in ascending order, each once.
    assets: Hashes = field(default_factory=lambda: _NO_HASHES, repr=False)
    files: Hashes = field(default_factory=lambda: _NO_HASHES, repr=False)
    names: Hashes = field(default_factory=lambda: _NO_HASHES, repr=False)
    tasks: Hashes = field(default_factory=lambda: _NO_HASHES, repr=False)

    def holds(self, findings: pd.DataFrame) -> tuple[Bool, Hashes]:
        """
        Whether each finding has a copy in the inventory; also the names of copies that were found by name alone.

        All files of a task must be in one frame.
        """
        ids, tasks = _texts(findings["asset_id"]), _texts(findings["task_id"])
        held = _among(ids, self.assets)
        if len(self.assets):
            held |= _among(map("/".join, map(archive_folder, ids, tasks)), self.assets)
        if len(self.tasks):
            owners = [asset.rsplit("/", 2)[0] for asset in ids]
            files = Counter(owners)
            held |= np.array([files[owner] == 1 for owner in owners], bool) & _among(tasks, self.tasks)
        urls = [url if is_url(url) else "" for url in _texts(findings["url"])]
        held |= _among([file_identity(url) if url else "" for url in urls], self.files)
        if not len(self.names):
            return held, _NO_HASHES
        names = [base_name(url) if url else "" for url in urls]
        hashed = hash_texts(name if is_telling(name) else "" for name in names)
        by_name = _found(hashed, self.names) & ~held
        return held | by_name, hashed[by_name]


def _among(texts: Iterable[str], hashes: Hashes) -> Bool:
    texts = texts if isinstance(texts, list) else list(texts)
    if not len(hashes):
        return np.zeros(len(texts), bool)
    return _found(hash_texts(texts), hashes)


def _found(wanted: Hashes, hashes: Hashes) -> Bool:
    """Which hashes are among others, which are sorted; the time grows with the logarithm of their number."""
    positions = np.searchsorted(hashes, wanted)
    positions[positions == len(hashes)] = 0
    found: Bool = hashes[positions] == wanted
    return found


def hash_texts(texts: Iterable[str]) -> Hashes:
    """64-bit hashes of texts, the same in every process; the empty text has the hash that no inventory holds."""
    array = np.array([*texts, ""], object)[:-1]
    try:
        return pd.util.hash_array(array, categorize=False)
    except UnicodeEncodeError:
        return pd.util.hash_array(
            np.array([*(text.encode("utf-8", "replace").decode() for text in array), ""], object)[:-1], categorize=False
        )


def _texts(column: pd.Series[Any]) -> list[str]:
    return [value if isinstance(value, str) else "" for value in column.astype(object).tolist()]


class Collector:
    """Collects entries and keeps their hashes."""

    def __init__(self, as_of: int) -> None:
        self.as_of = as_of
        self.entries = self.empty = self.later = self.unreadable = 0
        self.first_unreadable = self.example = ""
        self._waiting: dict[str, list[str]] = {"assets": [], "files": [], "names": [], "tasks": []}
        self._hashes: dict[str, list[Hashes]] = {kind: [] for kind in self._waiting}

    def take_row(self, row: Mapping[str, str], where: str) -> None:
        """One row of a table: documented column -> text."""
        self.entries += 1
        if not any(row.get(name) for name in KEYS):
            self._skip(f"{where}: it names no file")
            return
        size, made = row.get("size", ""), row.get("archived_at", "")
        if size:
            if not size.isdigit() or not size.isascii():
                self._skip(f"{where}: the size `{plain(size, 40)}` is not a number of bytes")
                return
            if not int(size[:30]):
                self.empty += 1
                return
        if made:
            try:
                instant = parse_instant(made)
            except ValueError as error:
                self._skip(f"{where}: archived_at `{plain(made, 40)}` is {plain(error)}")
                return
            if instant > self.as_of:
                self.later += 1
                return
        asset_id, url, file, task_id = (row.get(name, "") for name in KEYS)
        self.example = self.example or asset_id or url or file or task_id
        if asset_id:
            self._keep("assets", asset_id)
        if url:
            self._take_name(url)
        if file:
            self._take_name(file)
        if task_id and not asset_id and not url:
            self._keep("tasks", task_id)

    def take_line(self, line: str) -> None:
        """One line of a listing: a URL, a path, an id."""
        self.entries += 1
        self.example = self.example or line
        self._take_name(line)

    def _take_name(self, text: str) -> None:
        if is_url(text):
            self._keep("files", file_identity(text))
            name = base_name(text)
        else:
            path = text.replace("\\", "/").rstrip("/")
            parts = path.split("/")
            name = parts[-1]
            stem = without_ending(name)
            if len(parts) >= 4:
                self._keep("assets", "/".join([*parts[-4:-1], stem]))
                if stem == name:
                    self._keep("assets", text)
            if len(parts) == 1 and stem != name:
                self._keep("tasks", name)
            self._keep("tasks", stem)
        if is_telling(name):
            self._keep("names", name)

    def _keep(self, kind: str, text: str) -> None:
        if text:
            self._waiting[kind].append(text)
            if len(self._waiting[kind]) >= _BLOCK:
                self._hash(kind)

    def _hash(self, kind: str) -> None:
        if self._waiting[kind]:
            self._hashes[kind].append(np.unique(hash_texts(self._waiting[kind])))
            self._waiting[kind] = []

    def _skip(self, why: str) -> None:
        self.unreadable += 1
        self.first_unreadable = self.first_unreadable or why

    def finish(self, name: str, sha256: str) -> Inventory:
        """The inventory of all collected entries."""
        hashes: dict[str, Hashes] = {}
        for kind in self._waiting:
            self._hash(kind)
            hashes[kind] = np.unique(np.concatenate(self._hashes[kind])) if self._hashes[kind] else _NO_HASHES
            self._hashes[kind] = []
        return Inventory(
            name, sha256, self.entries, self.empty, self.later, self.unreadable, self.first_unreadable,
            self.example, **hashes,
        )  # fmt: skip
