"""Turns the decoded output of a task into its files, by the paths that the catalog lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from policy_engine.core.fact_domain import FactReader
from policy_engine.core.rule_model import Catalog, Service
from policy_engine.core.urls.addresses import file_identity, is_plain_url, urls_in
from policy_engine.core.vocabulary import UNLISTED_ROLE
from policy_engine.history import FlatFile, Outputs
from policy_engine.history.records.outputs import decode_output

UNLISTED = 0
"""Position of the kind of file that no catalog path lists."""


@dataclass(frozen=True)
class FileKind:
    """The facts that a path (or a row of a table) states about a file."""

    name: str
    media: str | None
    role: str | None
    watermarked: str | None
    """`true`, `false` or None."""
    disputed: frozenset[str] = frozenset()
    """Facts about which two sources disagree, such as a row of a table and the catalog; they count as unknown."""
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
    """(position in OutputPaths.kinds, ordinal from 1, URL)."""
    previews: int = 0
    same_file: int = 0


FILE, SAME_FILE, PREVIEW = range(3)
"""Uses of an address at a listed path."""


class OutputRole(NamedTuple):
    """What an address at a path is."""

    use: int
    """FILE, SAME_FILE or PREVIEW."""
    kind: int
    """Position in OutputPaths.kinds."""
    name: str
    """Output name."""


_Found = list[tuple[OutputRole | None, str]]
"""Addresses in the order met, with the role of their path; None = at no path that the catalog lists."""


@dataclass
class PathNode:
    """What the catalog lists at a position in an output and below it."""

    keys: dict[str, PathNode] = field(default_factory=dict)
    any_key: PathNode | None = None
    element: PathNode | None = None
    leaf: OutputRole | None = None


class OutputPaths:
    """The paths of every service and the kinds of files at them; grows by kinds that tables state or conflicts make."""

    def __init__(self, catalog: Catalog) -> None:
        """Build one tree of paths per service."""
        self._reader = FactReader(catalog)
        self.kinds: list[FileKind] = [FileKind("unlisted", None, UNLISTED_ROLE, None)]
        self._ids: dict[tuple[object, ...], int] = {}
        self._trees: dict[str, PathNode] = {}
        self._by_name: dict[str, dict[str, int]] = {}
        self._leaves: dict[str, dict[str, OutputRole]] = {}
        self._flat: dict[tuple[str | None, ...], OutputRole | None] = {}
        for service in catalog.services:
            self._add(service)

    def _add(self, service: Service) -> None:
        root = PathNode()
        names: dict[str, int] = {}
        leaves: dict[str, OutputRole] = {}
        for rank, spec in enumerate(service.outputs):
            node = root
            for step in _steps(spec.path):
                if step == "[]":
                    node.element = node.element or PathNode()
                    node = node.element
                elif step == "{}":
                    node.any_key = node.any_key or PathNode()
                    node = node.any_key
                else:
                    node = node.keys.setdefault(step, PathNode())
            kind = self._kind(FileKind(spec.name, spec.media, spec.role, _mark(spec.watermarked), rank=rank))
            if spec.kind == "file":
                names.setdefault(spec.name, kind)
                node.leaf = OutputRole(FILE, kind, spec.name)
            elif spec.kind == "same_file":
                node.leaf = OutputRole(SAME_FILE, kind, spec.name)
            else:
                node.leaf = OutputRole(PREVIEW, kind, "")
            leaves[spec.path] = node.leaf
        self._trees[service.id] = root
        self._by_name[service.id] = names
        self._leaves[service.id] = leaves

    def named(self, service: str, name: str) -> int:
        """Position of the kind of a service's output, by its name."""
        return self._by_name[service][name]

    def tree(self, service: str) -> PathNode:
        """The listed paths of a service."""
        return self._trees[service]

    def files_of(self, service: str | None, output: Any) -> TaskFiles:
        """
        The files in an output: JSON as bytes or decoded, a FlatFile, or Outputs of several records, preferred first.

        Every address ends as an asset, as a preview, or as another address of a file that is counted.
        """
        if type(output) is FlatFile:
            role = self.role_of(service, output)
            if role is None or role.use == FILE:
                return TaskFiles([(UNLISTED if role is None else role.kind, 1, output.url)])
            return self._settle(service, [(role, output.url)])
        if type(output) is bytes:
            output = decode_output(output)
        found: _Found = []
        tree = self._trees.get(service) if service is not None else None
        if isinstance(output, Outputs):
            for part in output:
                if type(part) is FlatFile:
                    found.append((self.role_of(service, part), part.url))
                else:
                    _walk(tree, part, found)
        else:
            _walk(tree, output, found)
        return self._settle(service, found) if found else TaskFiles([])

    def _settle(self, service: str | None, found: _Found) -> TaskFiles:
        """Decide for every address whether it is a file of its own, the same file again, or a preview."""
        if len(found) == 1:
            role, url = found[0]
            if role is None:
                return TaskFiles([(UNLISTED, 1, url)])
            if role.use == FILE:
                return TaskFiles([(role.kind, 1, url)])
        result = TaskFiles([])
        files: dict[str, list[Any]] = {}  # identity -> [kind, url]
        later: _Found = []
        names: set[str] = set()
        needs_order = False
        for role, url in found:
            if role is None or role.use != FILE:
                later.append((role, url))
                needs_order = needs_order or role is None or role.use != SAME_FILE
                continue
            identity = file_identity(url)
            present = files.get(identity)
            if present is None:
                files[identity] = [role.kind, url]
                names.add(role.name)
            else:
                result.same_file += 1
                if present[0] != role.kind:
                    present[0] = self._merge(present[0], role.kind)
        # An address that only repeats a file, or is at no listed path, counts when no listed file has it.
        for role, url in sorted(later, key=_lateness) if needs_order else later:
            if role is not None and role.use == SAME_FILE and role.name in names:
                result.same_file += 1
                continue
            identity = file_identity(url)
            if identity in files:
                result.same_file += 1
            elif role is None:
                files[identity] = [UNLISTED, url]
            elif role.use == SAME_FILE and service is not None:
                files[identity] = [self._by_name[service][role.name], url]
                names.add(role.name)
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
            if all(rank < following for rank, following in pairwise(ranks)):
                # Each name once, in the catalog's order already: nothing to number.
                result.files.extend([(kind, 1, url) for kind, url in files.values()])
                return
        ordered = sorted(
            (kinds[kind].rank, identity if kind == UNLISTED else "", position, kind, url)
            for position, (identity, (kind, url)) in enumerate(files.items())
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
        """The kind of a file with two addresses: what either states, and unknown where they disagree."""
        first_kind, second_kind = sorted(
            (self.kinds[first], self.kinds[second]), key=lambda kind: (kind.rank, kind.name)
        )
        return self._kind(_unite(first_kind, second_kind))

    def role_of(self, service: str | None, file: FlatFile) -> OutputRole | None:
        """The role that a row of a table gives its file: by the path or name in the catalog, else by its own facts."""
        key = (service, file.output, file.media, file.role, file.watermarked)
        if key in self._flat:
            return self._flat[key]
        role = self._flat_role(*key)
        if role is not None or file.output is None:
            # Names that no catalog lists are not cached: each row of a table may have a new one.
            self._flat[key] = role
        return role

    def _flat_role(
        self, service: str | None, output: str | None, media: str | None, role: str | None, watermarked: str | None
    ) -> OutputRole | None:
        listed = None
        if output is not None:
            listed = self._leaves.get(service or "", {}).get(output)
            named = self._by_name.get(service or "", {}).get(output)
            if listed is None and named is not None:
                listed = OutputRole(FILE, named, output)
        if (media, role, watermarked) == (None, None, None) or (listed is not None and listed.use != FILE):
            return listed
        if listed is None:
            name = output or "file"
            # A row that states no role is about a file that the catalog does not list, which is a role of its own.
            role = UNLISTED_ROLE if role is None else self._reader.read("role", role, service)
            kind = FileKind(name, media or None, role or None, watermarked, rank=1 << 20)
        else:
            name = listed.name
            role = self._reader.read("role", role, service)
            kind = _unite(self.kinds[listed.kind], FileKind(name, media or None, role or None, watermarked))
        return OutputRole(FILE, self._kind(kind), name)


def _unite(kind: FileKind, other: FileKind) -> FileKind:
    """
    The kind of a file that is described twice, named and ordered like the first.

    A fact that only one description states is taken; a fact that was ever disputed stays so.
    """
    disputed = set(kind.disputed | other.disputed)
    facts: dict[str, str | None] = {}
    for fact in ("media", "role", "watermarked"):
        stated = {value for value in (getattr(kind, fact), getattr(other, fact)) if value is not None}
        if fact == "role" and len(stated) > 1:
            # An unlisted path states nothing that a listed one could contradict.
            stated.discard(UNLISTED_ROLE)
        if len(stated) > 1:
            disputed.add(fact)
        facts[fact] = stated.pop() if len(stated) == 1 and fact not in disputed else None
    return FileKind(kind.name, **facts, disputed=frozenset(disputed), rank=kind.rank)


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


def _lateness(found: tuple[OutputRole | None, str]) -> int:
    """Repeats of listed files come before addresses at no listed path, and these before previews."""
    role = found[0]
    return 1 if role is None else 0 if role.use == SAME_FILE else 2


def _walk(node: PathNode | None, value: Any, found: _Found) -> None:
    """Collect every address in a decoded value, with the role of its path."""
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
        for key, item in pairs:
            if item:
                kind = type(item)
                if kind is str:
                    if "://" in item:
                        child = keys.get(key, other)
                        _take(None if child is None else child.leaf, item, found)
                elif kind is dict or kind is list:
                    _walk(keys.get(key, other), item, found)
    elif kind is list:
        element = None if node is None else node.element
        role = None if element is None else element.leaf
        for item in value:
            if type(item) is not str:
                _walk(element, item, found)
            elif "://" in item:
                _take(role, item, found)
    elif kind is str and "://" in value:
        _take(None if node is None else node.leaf, value, found)


def _key_of(pair: tuple[str, Any]) -> str:
    return pair[0]


_NO_KEYS: dict[str, PathNode] = {}


def _take(role: OutputRole | None, text: str, found: _Found) -> None:
    if is_plain_url(text):
        found.append((role, text))
    else:
        found.extend((role, url) for url in urls_in(text, role is not None))
