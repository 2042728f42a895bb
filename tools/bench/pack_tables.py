"""
The bundled rule pack as tables that a rival of the bench looks things up in: names, paths, hosts, and the rules.

Read from the YAML files and nothing else, so that a defect of the program under test cannot hide in its rivals. The
rules come as one row per profile of facts, ready for a join: the fastest form known for any engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

PACK = Path(__file__).parents[2] / "rules" / "piapi"
HOUR, DAY = 3_600_000_000_000, 86_400_000_000_000
HORIZON, OPERATION_HORIZON, LONGEST_TASK = DAY, HOUR, DAY
PERIODS = {"P1D": DAY, "P3D": 3 * DAY, "PT3H": 3 * HOUR}
ACCOUNTS = ("pay_as_you_go", "host_your_account")
DATED, VENDOR, NONE, MIXED, ABSENT = range(5)
"""Kind of answer: a deadline, the vendor's terms, no rule, several of these; ABSENT: a service without follow-ups."""
SIGNING = "expires|signature|googleaccessid|x-kcdn-pid|ex|is|hm|x-(?:amz|goog|oss|tos)-[^=&]*"
"""Names of the parameters that sign an address, as a regular expression."""


class Catalog:
    """The names, paths, hosts and units of the bundled pack, as tables to look things up in."""

    def __init__(self) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        catalog = yaml.load((PACK / "catalog.yaml").read_bytes(), Loader=loader)  # noqa: S506 - a safe loader
        pack = yaml.load((PACK / "pack.yaml").read_bytes(), Loader=loader)  # noqa: S506
        self.statuses = {word: state for state, words in catalog["statuses"].items() for word in words}
        self.models: dict[tuple[str, str | None], str] = {}
        self.task_types: dict[tuple[str, str], str] = {}
        self.operations: dict[str, str] = {}
        self.expected: dict[tuple[str, str | None], list[str]] = {}
        self.kinds: list[tuple[str, str, str | None, str | None, str | None, int]] = [
            ("file", "unlisted", None, "unlisted", None, 999)
        ]
        self.paths: dict[str | None, dict[str, int]] = {}
        self.files: dict[tuple[str, str], int] = {}
        for service in catalog["services"]:
            for name in service["names"]:
                for task_type in name.get("task_types", [None]):
                    self.models[fold(name["model"]), task_type and fold(task_type)] = service["id"]
            for task_type in service["task_types"]:
                self.task_types[service["id"], fold(task_type)] = task_type
            self.operations[service["id"]] = ";".join(service.get("operations", []))
            for entry in service["expected"]:
                for task_type in entry.get("task_types", [None]):
                    self.expected[service["id"], task_type] = entry["names"]
            paths = self.paths[service["id"]] = {}
            for rank, spec in enumerate(service["outputs"]):
                paths[spec["path"]] = len(self.kinds)
                if spec["kind"] == "file":
                    self.files.setdefault((service["id"], spec["name"]), len(self.kinds))
                marked = {True: "true", False: "false"}.get(spec.get("watermarked"))
                self.kinds.append(
                    (spec["kind"], spec.get("name", ""), spec.get("media"), spec.get("role"), marked, rank)
                )
        self.maps = {path.split("{}")[0] for paths in self.paths.values() for path in paths if "{}" in path}
        self.hosts: dict[str, str] = pack["host_owners"]
        self.platform: str = pack["platform_owner"]
        self.units: list[str] = pack["money"]["units"]
        self.points_per_usd: int = pack["money"]["points_per_usd"]
        self.ungoverned = {service for entry in pack["no_published_rule"] for service in entry["services"]}


def fold(word: str) -> str:
    """The spelling under which names are compared."""
    return word.strip().lower().replace("_", "-")


def owner_of(host: str, owners: dict[str, str]) -> str | None:
    """Whose a host is."""
    if host in owners:
        return owners[host]
    return next((name for end, name in owners.items() if end.startswith("*.") and host.endswith(end[1:])), None)


# --- The rules, one row per profile --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """The answer of the rules for the files of one kind, task type and account; the columns of a table to join."""

    service: str
    type_key: str
    """The task type where a rule of the service names it, else empty."""
    account: str
    """Empty = unknown."""
    kind: int
    """Place in Catalog.kinds."""
    media: str | None
    role: str | None
    watermarked: str | None
    answer: int
    has_deadline: bool
    least: int | None
    greatest: int | None
    rule_id: str | None
    basis: str | None
    storage: str | None
    window_answer: int
    window_least: int | None
    window_greatest: int | None
    window_rule_id: str | None
    operations: str | None
    silence: str | None
    """Reason code where there is no rule."""
    unknown: str | None
    """Reason codes of the unknown facts that matter."""


def read_rules() -> list[dict[str, Any]]:
    """The rules in the order of their ids; raises ValueError for what the rivals do not know: dated versions."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    rules = []
    for path in sorted((PACK / "rules").glob("*.yaml")):
        rule = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - a safe loader
        if len(rule["versions"]) > 1 or "effective_from" in rule["versions"][0]:
            raise ValueError(f"{path.name} has dated versions, which the rivals of the bench do not know")
        version = rule["versions"][0]
        version["id"] = rule["id"]
        version["selector"] = {fact: set(map(_word, values)) for fact, values in version["selector"].items()}
        rules.append(version)
    return sorted(rules, key=lambda rule: rule["id"])


def _word(value: Any) -> str:
    return {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else str(value)


def answers(catalog: Catalog) -> list[Answer]:
    """One row per service, task type that matters, account and kind of file."""
    rules = read_rules()
    found = []
    for service, paths in catalog.paths.items():
        mine = [rule for rule in rules if service in rule["selector"].get("service", {service})]
        types = sorted({word for rule in mine for word in rule["selector"].get("task_type", ())})
        kinds = sorted({kind for kind in paths.values() if catalog.kinds[kind][0] == "file"})
        for type_key, account, kind in product(["", *types], ["", *ACCOUNTS], [0, *kinds]):
            found.append(_answer(catalog, mine, str(service), type_key, account, kind))
    return found


def _answer(
    catalog: Catalog, rules: list[dict[str, Any]], service: str, type_key: str, account: str, kind: int
) -> Answer:
    _, _, media, role, watermarked, _ = catalog.kinds[kind]
    offered = [name for name in catalog.operations[service].split(";") if name]
    facts = {"service": [service], "task_type": [type_key], "media": [media or ""], "role": [role or ""]}
    facts |= {"account": [account] if account else list(ACCOUNTS)}
    facts |= {"watermarked": [watermarked] if watermarked else ["true", "false"]}
    outcomes: dict[tuple[str, ...], tuple[Any, ...]] = {}
    for values in product(*facts.values()):
        case = dict(zip(facts, values, strict=True))
        hits = [rule for rule in rules if all(case[fact] in words for fact, words in rule["selector"].items())]
        storing = [rule["id"] for rule in hits if "storage" in rule]
        windows = [rule["id"] for rule in hits if offered and "operation_window" in rule]
        outcomes[values] = (storing[0] if storing else None, tuple(windows))
    unknown = [
        f"{fact}_unknown"
        for index, fact in enumerate(facts)
        if len(facts[fact]) > 1
        and len({frozenset(outcomes[v] for v in outcomes if v[index] == word) for word in facts[fact]}) > 1
    ]
    by_id = {rule["id"]: rule for rule in rules}
    storing = [
        by_id[rule_id] if rule_id else None
        for rule_id in sorted({rule_id for rule_id, _ in outcomes.values()}, key=str)
    ]
    dated = [
        (PERIODS[rule["retention"]["period"]], rule["id"])
        for rule in storing
        if rule and rule["retention"] != "vendor_terms"
    ]
    on_terms = [rule["id"] for rule in storing if rule and rule["retention"] == "vendor_terms"]
    answer = _kind(bool(dated), bool(on_terms), None in storing)
    chosen = by_id[min(dated)[1]] if dated else by_id[min(on_terms)] if answer == VENDOR else None
    storages = {rule["storage"] if rule else None for rule in storing}
    windows = [
        (PERIODS[by_id[rule_id]["operation_window"]["period"]], rule_id)
        for rule_id in sorted({rule_id for _, several in outcomes.values() for rule_id in several})
    ]
    accepted = {name for _, rule_id in windows for name in by_id[rule_id]["operation_window"]["operations"]}
    window = _kind(bool(windows), False, any(not several for _, several in outcomes.values()))
    silent = "no_published_rule" if service in catalog.ungoverned else "no_rule_in_force"
    return Answer(
        service, type_key, account, kind, media, role, watermarked,
        answer=answer,
        has_deadline=bool(dated),
        least=min(dated)[0] if dated else None,
        greatest=max(dated)[0] if dated else None,
        rule_id=chosen and chosen["id"],
        basis=chosen and chosen["citation"]["basis"],
        storage=storages.pop() if len(storages) == 1 else None,
        window_answer=window if offered else ABSENT,
        window_least=min(windows)[0] if windows else None,
        window_greatest=max(windows)[0] if windows else None,
        window_rule_id=min(windows)[1] if windows else None,
        operations=";".join(name for name in offered if not windows or name in accepted) or None,
        silence=silent if answer == NONE else None,
        unknown=";".join(unknown) or None,
    )  # fmt: skip


def _kind(is_dated: bool, is_vendor: bool, is_none: bool) -> int:
    if is_dated + is_vendor + is_none > 1:
        return MIXED
    return DATED if is_dated else VENDOR if is_vendor else NONE


COLUMNS = [
    "asset_id", "task_id", "service", "model", "task_type", "account", "media", "role", "watermarked",
    "url", "url_host", "host_owner", "evidence", "status", "created_at", "completed_at", "as_of",
    "verdict", "possibly_past", "reason", "rule_id", "rule_version", "basis", "storage",
    "expires_earliest", "expires_latest", "seconds_left",
    "operations", "operation_verdict", "operation_rule_id", "operation_rule_version",
    "operation_closes_earliest", "operation_closes_latest",
    "link_expires_at", "points", "cost_usd", "archived", "exempted_by", "account_id", "api_key_id", "source",
    "save_by",
]  # fmt: skip
"""Columns of the findings, in their order."""
