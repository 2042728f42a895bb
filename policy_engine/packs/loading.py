"""Turns the folder of a rule pack into a RulePack, or into all problems of all its files at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from policy_engine.core.periods import parse_date, parse_duration
from policy_engine.core.problems import PackInvalid, Problem, ProblemList, SourceSpan, suggest
from policy_engine.core.resources import bundled
from policy_engine.core.rule_model import Catalog, Money, NoPublishedRule, Rule, RulePack, Source
from policy_engine.core.safe_text import plain
from policy_engine.packs.catalog import did_you_mean, read_catalog
from policy_engine.packs.rules import check_source, read_citation, read_period, read_rule
from policy_engine.packs.schema_check import check_document
from policy_engine.packs.timeline import in_force
from policy_engine.packs.yaml_document import YamlDocument, parse_yaml, read_bytes

BUNDLED = "bundled"
"""Location of a pack that travels with the program."""
_MOST_PROBLEMS = 2_000
"""Problems of a pack that are listed."""
PACK_SHAPE = "a pack is a folder with pack.yaml, catalog.yaml and rules/*.yaml"
"""Help for a folder that is not a rule pack."""


def bundled_pack_names() -> tuple[str, ...]:
    """Names of the packs that travel with the program."""
    return tuple(sorted(path.parent.name for path in bundled("rules").glob("*/pack.yaml")))


def read_pack(location: str | Path) -> RulePack:
    """
    Read a rule pack: `location` is the name of a bundled pack (`piapi`) or a folder.

    Raises PackInvalid with the problems of all files, each with its location.
    """
    return read_folder(find_pack(location))


def read_folder(folder: PackFolder) -> RulePack:
    """Read the rule pack in a folder; raises PackInvalid with the problems of all files, each with its location."""
    problems = ProblemList()
    files = _read_files(folder, problems)
    pack = files.documents.get("pack.yaml")
    catalog_document = files.documents.get("catalog.yaml")
    catalog = read_catalog(catalog_document, problems) if catalog_document is not None else None
    sources = [source["id"] for source in pack.value["sources"]] if pack is not None else None
    rules = []
    for name, document in files.documents.items():
        if name.startswith("rules/"):
            rules.append((document, read_rule(document, catalog, sources, problems)))
    _check_rule_ids(rules, problems)
    if pack is not None:
        _check_pack(pack, catalog, [rule for _, rule in rules], problems)
    if problems.has_errors:
        raise PackInvalid(in_order(problems), files.texts)
    assert pack is not None and catalog is not None
    return _assemble(pack, catalog, [rule for _, rule in rules], folder, files)


def in_order(problems: ProblemList) -> list[Problem]:
    """Problems by their locations, each once; of very many the first, and how many there are."""
    ordered = sorted(dict.fromkeys(problems.items), key=Problem.sort_key)
    if len(ordered) > _MOST_PROBLEMS:
        message = f"only the first {_MOST_PROBLEMS:,} of {len(ordered):,} problems are listed"
        ordered[_MOST_PROBLEMS:] = [Problem("too-many-problems", message)]
    return ordered


@dataclass(frozen=True)
class PackFolder:
    """Where a pack lies and what to call it."""

    path: Path
    """The folder."""
    shown_as: str
    """Beginning of file names in problems."""
    location: str
    """As the user gave it, or `bundled`."""


def find_pack(location: str | Path) -> PackFolder:
    """
    Find the folder of a pack; raises PackInvalid when there is none.

    A plain name of a bundled pack means that pack; write `./name` for a folder of the same name.
    """
    names = bundled_pack_names()
    if isinstance(location, str) and location in names:
        return PackFolder(bundled("rules") / location, f"rules/{location}", BUNDLED)
    path = Path(location)
    shown_as = path.as_posix()
    if path.is_dir():
        return PackFolder(path, shown_as, shown_as)
    if path.exists():
        problem = Problem("not-a-pack", f"`{plain(shown_as)}` is a file, not a folder", help=PACK_SHAPE)
    elif isinstance(location, str) and path.name == location and not location.startswith("."):
        near = suggest(location, names)
        listing = ", ".join(f"`{name}`" for name in names)
        hint = f"did you mean `{near}`? " if near else ""
        message = f"there is no rule pack and no folder called `{plain(location)}`"
        problem = Problem("unknown-pack", message, help=f"{hint}bundled packs: {listing}")
    else:
        problem = Problem("unknown-pack", f"there is no folder `{plain(shown_as)}`", help=PACK_SHAPE)
    raise PackInvalid(problem)


@dataclass
class _Files:
    """What was read from the folder."""

    documents: dict[str, YamlDocument] = field(default_factory=dict)
    """Name within the pack -> document that fits its schema."""
    texts: dict[str, str] = field(default_factory=dict)
    """Name in problems -> text."""
    contents: dict[str, bytes] = field(default_factory=dict)
    """Name within the pack -> bytes."""


def _read_files(folder: PackFolder, problems: ProblemList) -> _Files:
    """Read every file of the pack but its cases, and check each against its schema."""
    files = _Files()
    rules = sorted(path for path in (folder.path / "rules").glob("*.yaml") if not path.name.startswith("."))
    heads = [folder.path / "pack.yaml", folder.path / "catalog.yaml"]
    missing = [head.name for head in heads if not head.is_file()] + ([] if rules else ["rules/*.yaml"])
    if missing:
        message = f"`{plain(folder.shown_as)}` holds no {', no '.join(missing)}"
        problems.add(Problem("not-a-pack", message, help=PACK_SHAPE))
    problems.items.extend(_unread_files(folder))
    for path in (*heads, *rules):
        if path in heads and not path.is_file():
            continue
        name = path.relative_to(folder.path).as_posix()
        schema = "rule" if name.startswith("rules/") else path.stem
        document, data, found = read_member(path, f"{folder.shown_as}/{name}", schema)
        problems.items.extend(found)
        files.contents[name] = data
        files.texts[f"{folder.shown_as}/{name}"] = data.decode("utf-8-sig", errors="replace")
        if document is not None:
            files.documents[name] = document
    return files


def read_member(path: Path, file: str, schema: str) -> tuple[YamlDocument | None, bytes, tuple[Problem, ...]]:
    """Do the same as `read_checked` for a file found in a pack, where a pipe or a device is not allowed."""
    if path.is_file():
        return read_checked(path, file, schema)
    message = "it is not a regular file or a link to one"
    return None, b"", (Problem("file-unreadable", message, SourceSpan(file, 1)),)


def read_checked(path: Path, file: str, schema: str) -> tuple[YamlDocument | None, bytes, tuple[Problem, ...]]:
    """Read a YAML file and check it against a bundled schema; the document is None when anything is wrong."""
    data, problems = read_bytes(path, file)
    if data is None:
        return None, b"", problems
    document, found = parse_yaml(data, file)
    if document is None:
        return None, data, found
    known = {problem.span for problem in found}
    found = (*found, *(problem for problem in check_document(document, schema) if problem.span not in known))
    return (None if found else document), data, found


def _unread_files(folder: PackFolder) -> Iterator[Problem]:
    """Rule files that would be left out without a word."""
    strays = [folder.path / "pack.yml", folder.path / "catalog.yml"]
    strays += sorted((folder.path / "rules").rglob("*.yml"))
    strays += sorted((folder.path / "rules").glob("*/**/*.yaml"))
    for path in strays:
        if path.is_file() and not path.name.startswith("."):
            name = path.relative_to(folder.path).as_posix()
            is_nested = path.suffix == ".yaml"
            help_text = "move it to rules/ itself" if is_nested else "rename it to end in .yaml"
            span = SourceSpan(f"{folder.shown_as}/{name}", 1)
            yield Problem("unread-file", "the file would not be read", span, help=help_text)


def _check_rule_ids(rules: list[tuple[YamlDocument, Rule]], problems: ProblemList) -> None:
    """Each rule has an id of its own, and its file has its name."""
    first: dict[str, Rule] = {}
    for document, rule in rules:
        stem = document.file.rsplit("/", 1)[-1].removesuffix(".yaml")
        if stem != rule.id:
            message = f"the rule `{rule.id}` is in a file called `{plain(stem, 60)}.yaml`"
            help_text = f"call the file `{rule.id}.yaml`, or the rule after its file"
            problems.add(Problem("file-name", message, rule.span, help=help_text))
        other = first.setdefault(rule.id, rule)
        if other is not rule and other.span is not None:
            message = f"the rule id `{rule.id}` appears twice"
            problems.add(Problem("duplicate", message, rule.span, related=(other.span,)))


def _check_pack(pack: YamlDocument, catalog: Catalog | None, rules: list[Rule], problems: ProblemList) -> None:
    """What pack.yaml says of sources, owners and services fits together and fits the rules."""
    value = pack.value
    seen: dict[str, int] = {}
    for index, source in enumerate(value["sources"]):
        if source["id"] in seen:
            related = (pack.span("sources", seen[source["id"]], "id"),)
            message = f"the source `{source['id']}` appears twice"
            problems.add(Problem("duplicate", message, pack.span("sources", index, "id"), related=related))
        seen.setdefault(source["id"], index)
    owners = sorted(set(value["host_owners"].values()))
    if value["platform_owner"] not in owners:
        message = f"no host belongs to the platform owner `{value['platform_owner']}`"
        help_text = did_you_mean(value["platform_owner"], owners, "owners")
        problems.add(Problem("unknown-owner", message, pack.span("platform_owner"), help=help_text))
    read_period(value["longest_task"]["period"], pack, ("longest_task", "period"), problems)
    declared: dict[str, SourceSpan] = {}
    for index, entry in enumerate(value["no_published_rule"]):
        here = ("no_published_rule", index)
        check_source(entry["citation"], list(seen), pack, (*here, "citation"), problems)
        for n, service in enumerate(entry["services"]):
            span = pack.span(*here, "services", n)
            _check_declared(service, span, declared, catalog, rules, problems)


def _check_declared(
    service: str,
    span: SourceSpan,
    declared: dict[str, SourceSpan],
    catalog: Catalog | None,
    rules: list[Rule],
    problems: ProblemList,
) -> None:
    """A service declared to have no rule exists, is declared once, and has none."""
    if service in declared:
        message = f"the service `{service}` appears twice"
        problems.add(Problem("duplicate", message, span, related=(declared[service],)))
        return
    declared[service] = span
    known = [known.id for known in catalog.services] if catalog is not None else None
    if known is not None and service not in known:
        help_text = did_you_mean(service, known, "services")
        problems.add(Problem("unknown-service", f"unknown service `{service}`", span, help=help_text))
        return
    for rule in rules:
        for _, version in in_force(rule):
            if version is None or version.storage is None:
                continue
            if service in version.selector.conditions.get("service", (service,)):
                message = f"`{service}` is declared to have no published rule, but `{rule.id}` governs it"
                help_text = f"take `{service}` out of no_published_rule, or out of the rule's selector"
                related = (version.span,) if version.span else ()
                problems.add(Problem("contradiction", message, span, help=help_text, related=related))
                return


def _assemble(pack: YamlDocument, catalog: Catalog, rules: list[Rule], folder: PackFolder, files: _Files) -> RulePack:
    """Put the finished pack together."""
    value: Mapping[str, Any] = pack.value
    return RulePack(
        id=value["id"],
        title=value["title"],
        publisher=value["publisher"],
        schema_version=value["schema_version"],
        platform_owner=value["platform_owner"],
        horizon=parse_duration(value["horizon"]),
        operation_horizon=parse_duration(value["operation_horizon"]),
        longest_task=parse_duration(value["longest_task"]["period"]),
        longest_task_basis=value["longest_task"]["basis"],
        host_owners=dict(value["host_owners"]),
        money=Money(
            value["money"]["points_per_usd"],
            tuple(value["money"]["units"]),
            value["money"]["basis"],
            value["money"]["evidence"],
        ),
        sources=tuple(
            Source(
                entry["id"],
                entry["title"],
                entry["url"],
                parse_date(entry["retrieved_on"]),
                pack.span("sources", index, "id"),
            )
            for index, entry in enumerate(value["sources"])
        ),
        no_published_rule=tuple(
            NoPublishedRule(tuple(entry["services"]), entry["reason"], read_citation(entry["citation"]))
            for entry in value["no_published_rule"]
        ),
        catalog=catalog,
        rules=tuple(sorted(rules, key=lambda rule: rule.id)),
        digest=_digest(files.contents),
        location=folder.location,
        texts=files.texts,
    )


def _digest(contents: Mapping[str, bytes]) -> str:
    """sha256 over names and bytes of the files, each with its length so that no two packs share a digest."""
    total = sha256()
    for name in sorted(contents):
        for part in (name.encode(), contents[name]):
            total.update(len(part).to_bytes(8, "big"))
            total.update(part)
    return total.hexdigest()
