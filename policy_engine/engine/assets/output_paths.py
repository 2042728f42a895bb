"""Turns the decoded output of a task into its files, by the paths that the catalog lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from policy_engine.core.fact_domain import FactReader
from policy_engine.core.rule_model import Catalog, Service
from policy_engine.core.urls.addresses import file_identity, is_plain_url, urls_in
from policy_engine.core.vocabulary import UNLISTED_ROLE
from policy_engine.history import FlatFile, Outputs
from policy_engine.history.records.outputs import decode_output

UNLISTED = 0
"""Place of the kind of file that no catalog path lists."""


@dataclass(frozen=True)
class FileKind:
    """The facts of a file that a path (or a table's row) determines."""

    name: str
    media: str | None
    role: str | None
    watermarked: str | None
    """`true`, `false` or None."""
    disputed: frozenset[str] = frozenset()
    """Facts on which its addresses, or a table's row and the catalog, disagree; they count as unknown."""
    rank: int = 1 << 30
    """Order among the files of a task."""

    @property
    def is_conflicting(self) -> bool:
        """True when any fact is disputed."""
        return bool(self.disputed)


@dataclass(slots=True)
class TaskFiles:
    """The files of one task, in the order of their assets, and the addresses that make no asset."""

    files: list[tuple[int, int, str]]
    """(place in FileKinds.kinds, ordinal from 1, URL)."""
    previews: int = 0
    same_file: int = 0


FILE, SAME_FILE, PREVIEW = range(3)
"""What an address at a listed path is."""
OutputRole = tuple[int, int, str]
"""(FILE, SAME_FILE or PREVIEW; place in FileKinds.kinds; output name): what an address at a path is."""
_Found = list[tuple[OutputRole | None, str]]
"""Addresses in the order met, with the leaf of their path; None = at no path that the catalog lists."""


@dataclass
class Node:
    """What the catalog lists at a place in an output and below it."""

    keys: dict[str, Node] = field(default_factory=dict)
    any_key: Node | None = None
    element: Node | None = None
    leaf: OutputRole | None = None


class FileKinds:
    """Knows the paths of every service; grows by kinds that tables state or conflicts make."""

    def __init__(self, catalog: Catalog) -> None:
        """Build one tree of paths per service."""
        self._reader = FactReader(catalog)
        self.kinds: list[FileKind] = [FileKind("unlisted", None, UNLISTED_ROLE, None)]
        self._ids: dict[tuple[object, ...], int] = {}
        self._trees: dict[str, Node] = {}
        self._by_name: dict[str, dict[str, int]] = {}
        self._leaves: dict[str, dict[str, OutputRole]] = {}
        self._flat: dict[tuple[str | None, ...], OutputRole | None] = {}
        for service in catalog.services:
            self._add(service)

    def _add(self, service: Service) -> None:
        root = Node()
        names: dict[str, int] = {}
        leaves: dict[str, OutputRole] = {}
        for rank, spec in enumerate(service.outputs):
            node = root
            for step in _steps(spec.path):
                if step == "[]":
                    node.element = node.element or Node()
                    node = node.element
                elif step == "{}":
                    node.any_key = node.any_key or Node()
                    node = node.any_key
                else:
                    node = node.keys.setdefault(step, Node())
            kind = self._kind(FileKind(spec.name, spec.media, spec.role, _mark(spec.watermarked), rank=rank))
            if spec.kind == "file":
                names.setdefault(spec.name, kind)
                node.leaf = (FILE, kind, spec.name)
            elif spec.kind == "same_file":
                node.leaf = (SAME_FILE, kind, spec.name)
            else:
                node.leaf = (PREVIEW, kind, "")
            leaves[spec.path] = node.leaf
        self._trees[service.id] = root
        self._by_name[service.id] = names
        self._leaves[service.id] = leaves

    def named(self, service: str, name: str) -> int:
        """Place of the kind of a service's output by its name."""
        return self._by_name[service][name]

    def tree(self, service: str) -> Node:
        """The listed paths of a service."""
        return self._trees[service]

    def files_of(self, service: str | None, output: Any) -> TaskFiles:
        """
        The files in an output: JSON as bytes or decoded, a FlatFile, or Outputs of several records, preferred first.

        Every address ends as an asset, as a preview, or as another address of a file that is counted.
        """
        if type(output) is FlatFile:
            leaf = self.leaf_of(service, output)
            if leaf is None or leaf[0] == FILE:
                return TaskFiles([(UNLISTED if leaf is None else leaf[1], 1, output.url)])
            return self._settle(service, [(leaf, output.url)])
        if type(output) is bytes:
            output = decode_output(output)
        found: _Found = []
        tree = self._trees.get(service) if service is not None else None
        if isinstance(output, Outputs):
            for one in output:
                if type(one) is FlatFile:
                    found.append((self.leaf_of(service, one), one.url))
                else:
                    _walk(tree, one, found)
        else:
            _walk(tree, output, found)
        return self._settle(service, found) if found else TaskFiles([])

    def _settle(self, service: str | None, found: _Found) -> TaskFiles:
        """Decide for every address whether it is a file of its own, the same file again, or a preview."""
        if len(found) == 1:
            leaf, url = found[0]
            if leaf is None:
                return TaskFiles([(UNLISTED, 1, url)])
            if leaf[0] == FILE:
                return TaskFiles([(leaf[1], 1, url)])
        result = TaskFiles([])
        files: dict[str, list[Any]] = {}  # identity -> [kind, url]
        later: _Found = []
        names: set[str] = set()
        needs_order = False
        for leaf, url in found:
            if leaf is None or leaf[0] != FILE:
                later.append((leaf, url))
                needs_order = needs_order or leaf is None or leaf[0] != SAME_FILE
                continue
            identity = file_identity(url)
            present = files.get(identity)
            if present is None:
                files[identity] = [leaf[1], url]
                names.add(leaf[2])
            else:
                result.same_file += 1
                if present[0] != leaf[1]:
                    present[0] = self._merge(present[0], leaf[1])
        # What is only another address of a file, or at no listed path, counts when no listed file has it.
        for leaf, url in sorted(later, key=_lateness) if needs_order else later:
            if leaf is not None and leaf[0] == SAME_FILE and leaf[2] in names:
                result.same_file += 1
                continue
            identity = file_identity(url)
            if identity in files:
                result.same_file += 1
            elif leaf is None:
                files[identity] = [UNLISTED, url]
            elif leaf[0] == SAME_FILE and service is not None:
                files[identity] = [self._by_name[service][leaf[2]], url]
                names.add(leaf[2])
            else:
                result.previews += 1
        self._number(files, names, result)
        return result

    def _number(self, files: dict[str, list[Any]], names: set[str], result: TaskFiles) -> None:
        """Order by the catalog, number the files of one name, unlisted ones by their address."""
        if len(files) == 1:
            for kind, url in files.values():
                result.files.append((kind, 1, url))
            return
        kinds = self.kinds
        if len(names) == len(files):
            ranks = [kinds[kind].rank for kind, _ in files.values()]
            if all(one < other for one, other in pairwise(ranks)):
                # Each name once, in the catalog's order already: nothing to number.
                result.files.extend([(kind, 1, url) for kind, url in files.values()])
                return
        ordered = sorted(
            (kinds[kind].rank, identity if kind == UNLISTED else "", place, kind, url)
            for place, (identity, (kind, url)) in enumerate(files.items())
        )
        counts: dict[str, int] = {}
        for *_, kind, url in ordered:
            name = kinds[kind].name
            counts[name] = ordinal = counts.get(name, 0) + 1
            result.files.append((kind, ordinal, url))

    def _kind(self, kind: FileKind) -> int:
        known = self._ids.get((kind,))
        if known is None:
            known = len(self.kinds)
            self.kinds.append(kind)
            self._ids[(kind,)] = known
        return known

    def _merge(self, first: int, second: int) -> int:
        """The kind of a file with two addresses: what either determines; what they disagree on is unknown."""
        one, other = sorted((self.kinds[first], self.kinds[second]), key=lambda kind: (kind.rank, kind.name))
        return self._kind(_unite(one, other))

    def leaf_of(self, service: str | None, file: FlatFile) -> OutputRole | None:
        """What a table's row states about its file: the catalog's facts by path or name, else the row's own."""
        key = (service, file.output, file.media, file.role, file.watermarked)
        if key in self._flat:
            return self._flat[key]
        leaf = self._flat_leaf(*key)
        if leaf is not None or file.output is None:
            # Names that no catalog lists are not kept: each row of a table may have another one.
            self._flat[key] = leaf
        return leaf

    def _flat_leaf(
        self, service: str | None, output: str | None, media: str | None, role: str | None, watermarked: str | None
    ) -> OutputRole | None:
        leaf = None
        if output is not None:
            leaf = self._leaves.get(service or "", {}).get(output)
            named = self._by_name.get(service or "", {}).get(output)
            if leaf is None and named is not None:
                leaf = (FILE, named, output)
        if (media, role, watermarked) == (None, None, None) or (leaf is not None and leaf[0] != FILE):
            return leaf
        if leaf is None:
            name = output or "file"
            # A row that states no role is about a file that the catalog does not list, which is a role of its own.
            role = UNLISTED_ROLE if role is None else self._reader.read("role", role, service)
            kind = FileKind(name, media or None, role or None, watermarked, rank=1 << 20)
        else:
            name = leaf[2]
            role = self._reader.read("role", role, service)
            kind = _unite(self.kinds[leaf[1]], FileKind(name, media or None, role or None, watermarked))
        return FILE, self._kind(kind), name


def _unite(one: FileKind, other: FileKind) -> FileKind:
    """
    One file reported twice, named and ordered like the first.

    A fact that only one of them states is taken; one that was ever disputed stays so, whatever comes later.
    """
    disputed = set(one.disputed | other.disputed)
    facts: dict[str, str | None] = {}
    for fact in ("media", "role", "watermarked"):
        told = {value for value in (getattr(one, fact), getattr(other, fact)) if value is not None}
        if fact == "role" and len(told) > 1:
            # A path that is not listed states nothing that a listed one could contradict.
            told.discard(UNLISTED_ROLE)
        if len(told) > 1:
            disputed.add(fact)
        facts[fact] = told.pop() if len(told) == 1 and fact not in disputed else None
    return FileKind(one.name, **facts, disputed=frozenset(disputed), rank=one.rank)


def _steps(path: str) -> list[str]:
    """`works[].video.resource` -> works, [], video, resource."""
    steps: list[str] = []
    for part in path.split(".") if path else []:
        name = part
        tail: list[str] = []
        while name.endswith(("[]", "{}")):
            tail.insert(0, name[-2:])
            name = name[:-2]
        if name:
            steps.append(name)
        steps += tail
    return steps


def _mark(watermarked: bool | None) -> str | None:
    return None if watermarked is None else "true" if watermarked else "false"


def _lateness(one: tuple[OutputRole | None, str]) -> int:
    """Repeats of listed files come before addresses at no listed path, and these before previews."""
    leaf = one[0]
    return 1 if leaf is None else 0 if leaf[0] == SAME_FILE else 2


def _walk(node: Node | None, value: Any, found: _Found) -> None:
    """Collect every address in a decoded value, with the leaf of its path."""
    kind = type(value)
    if kind is dict:
        pairs = value.items()
        if node is None:
            keys, other = _NO_KEYS, None
        else:
            keys, other = node.keys, node.any_key
            if other is not None:
                # The order of a map's keys means nothing, so it must not decide the numbering.
                pairs = sorted(pairs, key=_key_of)
        for key, one in pairs:
            if one:
                kind = type(one)
                if kind is str:
                    if "://" in one:
                        child = keys.get(key, other)
                        _take(None if child is None else child.leaf, one, found)
                elif kind is dict or kind is list:
                    _walk(keys.get(key, other), one, found)
    elif kind is list:
        element = None if node is None else node.element
        leaf = None if element is None else element.leaf
        for one in value:
            if type(one) is not str:
                _walk(element, one, found)
            elif "://" in one:
                _take(leaf, one, found)
    elif kind is str and "://" in value:
        _take(None if node is None else node.leaf, value, found)


def _key_of(pair: tuple[str, Any]) -> str:
    return pair[0]


_NO_KEYS: dict[str, Node] = {}


def _take(leaf: OutputRole | None, text: str, found: _Found) -> None:
    if is_plain_url(text):
        found.append((leaf, text))
    else:
        found.extend((leaf, url) for url in urls_in(text, leaf is not None))
