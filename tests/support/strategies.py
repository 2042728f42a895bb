"""
Makes small rule packs and assets for tests: by chance (Hypothesis), and the bundled ten rules by hand.

A world is a pack, some assets and the question asked of them. It is read off bytes, a byte or two per choice:
one draw makes a whole pack, which keeps drawing fast, and zeros stand for the plainest choice, and failures
shrink to it. Instants are not spread over a calendar: nearly all sit at a boundary or a nanosecond off it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from hypothesis import strategies as st

from policy_engine.core.periods import DAY, HOUR, SECOND, parse_duration, parse_instant
from policy_engine.core.rule_model import (
    Catalog,
    Citation,
    ModelName,
    Money,
    NoPublishedRule,
    OperationWindow,
    OutputSpec,
    Rule,
    RulePack,
    RuleVersion,
    Selector,
    Service,
    Source,
)
from policy_engine.core.vocabulary import ACCOUNTS, BASES, MEDIA, UNLISTED_ROLE, StorageLocation
from tests.support.oracle import cuts, domain, subjects

BASE = parse_instant("2026-03-01T00:00:00Z")
EFFECTIVE = (BASE, BASE + DAY, BASE + 1, BASE + 3 * DAY, BASE + 30 * DAY)
"""Dates from which versions of random rules are in force; two are neighbours on the nanosecond grid."""
RECORDED = (date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 5))
PERIODS = (3 * DAY, 3 * HOUR, DAY, SECOND, 0, 30 * DAY)
LONGEST_TASKS = (DAY, HOUR, SECOND, 4 * DAY)
HORIZONS = (DAY, HOUR, 0, 1, 4 * DAY)

SERVICES = ("alpha", "bravo", "charlie", "delta")
TASK_TYPES = ("draw", "film", "sing")
ROLES = ("main", "cover", "clean")
OPERATIONS = ("extend", "remix", "upscale")
RULE_IDS = ("m-rule", "c-rule", "x-rule", "a-rule", "p-rule", "e-rule")
"""Not in alphabetical order, so that the rule made first is not always the least id."""

STRANGERS = {
    "task_type": "levitate",
    "account": "reseller",
    "media": "hologram",
    "role": "poster",
}
"""A value outside the domain, for every fact that can have one."""

ADDRESSES: tuple[tuple[str | None, str | None], ...] = (
    ("https://files.platform.example/a.png", "platform"),
    ("https://cdn.vendor.example/a.mp4?token=1", "vendor"),
    ("https://shared.example/ours/a.mp3", "platform"),
    ("https://shared.example/theirs/a.mp3", None),
    ("https://stranger.example/a.glb", None),
    (None, None),
)
"""URLs of assets with the owner of their host."""
HOST_OWNERS = {
    "files.platform.example": "platform",
    "*.vendor.example": "vendor",
    "shared.example/ours*": "platform",
}

Asset = dict[str, Any]
"""Keys as in `oracle.judge`, and `url`."""


class Choices:
    """Reads choices off bytes; beyond their end every choice is the first option."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def pick(self, options: Sequence[Any]) -> Any:
        """One of the options, the first for zero."""
        number = self._byte() if len(options) <= 256 else self._byte() << 8 | self._byte()
        return options[number % len(options)]

    def chance(self, sixteenths: int) -> bool:
        """True in this many of sixteen cases, never for zero."""
        return self._byte() % 16 >= 16 - sixteenths

    def some(self, options: Sequence[Any]) -> list[Any]:
        """A non-empty part of the options in their order."""
        kept = self._byte()
        return [option for at, option in enumerate(options) if kept >> at & 1] or [options[0]]


# --- Packs -----------------------------------------------------------------------------------------------


def citation(basis: str = "published") -> Citation:
    """A citation of the one made-up source."""
    return Citation("made-up", "Storage", RECORDED[0], basis)


def output(
    name: str, role: str | None = "main", media: str | None = "video", watermarked: bool | None = None
) -> OutputSpec:
    """One output file of a service."""
    return OutputSpec(name, "file", name, media, role, watermarked)


def service(
    id: str,
    *outputs: OutputSpec,
    task_types: tuple[str, ...] = (),
    operations: tuple[str, ...] = (),
) -> Service:
    """A service whose model name is its id."""
    names = (ModelName(id, None),)
    return Service(id, id.title(), names, task_types, outputs, (), operations, None)


def version(
    number: int = 1,
    conditions: dict[str, Iterable[str]] | None = None,
    *,
    storage: StorageLocation | None = None,
    retention: int | None = None,
    window: OperationWindow | None = None,
    effective_from: int | None = None,
    recorded_on: date = RECORDED[0],
    withdrawn: bool = False,
    basis: str = "published",
) -> RuleVersion:
    """A version of a rule with everything that a test does not care about filled in."""
    selector = Selector({fact: frozenset(values) for fact, values in (conditions or {}).items()})
    source = None if withdrawn else citation(basis)
    return RuleVersion(number, effective_from, recorded_on, withdrawn, selector, storage, retention, window, source)


def rule(id: str, *versions: RuleVersion) -> Rule:
    """A rule whose title is its id."""
    return Rule(id, id, "", versions)


def pack(
    services: Iterable[Service],
    rules: Iterable[Rule],
    *,
    no_published_rule: tuple[str, ...] = (),
    longest_task: int = DAY,
) -> RulePack:
    """A pack with everything that judging does not look at filled in."""
    silent = (NoPublishedRule(no_published_rule, "silent", citation()),) if no_published_rule else ()
    return RulePack(
        id="made-up",
        title="Made-up pack",
        publisher="nobody",
        schema_version=1,
        platform_owner="platform",
        horizon=DAY,
        operation_horizon=HOUR,
        longest_task=longest_task,
        longest_task_basis="assumed",
        host_owners=HOST_OWNERS,
        money=Money(100, ("point",), "assumed", "none"),
        sources=(Source("made-up", "Made up", "https://files.platform.example/", RECORDED[0]),),
        no_published_rule=silent,
        catalog=Catalog(tuple(services), {"completed": "completed"}, ()),
        rules=tuple(sorted(rules, key=lambda each: each.id)),
        digest="0" * 64,
        location="made-up",
    )


def described(made: RulePack) -> str:
    """A pack as short lines, for messages of failed tests."""
    silent = [name for entry in made.no_published_rule for name in entry.services]
    lines = [f"longest_task {made.longest_task}, no_published_rule {silent}"]
    for each in made.catalog.services:
        roles = [(each.name, each.role) for each in each.outputs]
        lines.append(f"service {each.id}: types {each.task_types}, roles {roles}, follow-ups {each.operations}")
    for each in made.rules:
        for v in each.versions:
            conditions = {fact: sorted(values) for fact, values in v.selector.conditions.items()}
            says = "withdrawn" if v.withdrawn else f"{v.storage} {v.retention} {v.operation_window}"
            lines.append(f"{each.id} v{v.number} from {v.effective_from} known {v.recorded_on} {conditions}: {says}")
    return "\n".join(lines)


def random_service(choices: Choices, id: str) -> Service:
    """A service with 0 to 3 task types, 1 to 3 outputs and 0 to 3 follow-up operations."""
    outputs = [
        output(
            f"file{number}",
            role=choices.pick((*ROLES, None)),
            media=choices.pick((*MEDIA, None)),
            watermarked=choices.pick((None, True, False)),
        )
        for number in range(choices.pick((1, 2, 3)))
    ]
    return service(
        id,
        *outputs,
        task_types=TASK_TYPES[: choices.pick((0, 1, 2, 3))],
        operations=OPERATIONS[: choices.pick((2, 0, 1, 3))],
    )


SELECTABLE = {
    "task_type": TASK_TYPES,
    "account": ACCOUNTS,
    "media": MEDIA,
    "role": (*ROLES, UNLISTED_ROLE),
    "watermarked": ("true", "false"),
}
"""Values that random selectors name; not every service knows all of them."""


def random_conditions(
    choices: Choices, services: Sequence[Service], earlier: list[Selector]
) -> dict[str, frozenset[str]]:
    """Conditions on any facts, or those of an earlier version with one condition turned to its complement."""
    if earlier and choices.chance(8):
        conditions = dict(choices.pick(earlier).conditions)
        named = [fact for fact in SELECTABLE if fact in conditions]
        if named:
            fact = choices.pick(named)
            rest = frozenset(SELECTABLE[fact]) - conditions[fact]
            return {**conditions, fact: rest} if rest else conditions
    ids = [each.id for each in services]
    conditions = {}
    if not choices.chance(3):
        conditions["service"] = frozenset(choices.some(ids) if choices.chance(3) else [choices.pick(ids)])
    for fact, values in SELECTABLE.items():
        if choices.chance(2):
            conditions[fact] = frozenset(choices.some(values))
    return conditions


def offered(conditions: dict[str, frozenset[str]], services: Sequence[Service]) -> tuple[str, ...]:
    """The operations that every service with follow-ups offers, of the services the conditions are about."""
    meant = [each for each in services if each.id in conditions.get("service", {each.id})]
    offering = [each.operations for each in meant if each.operations] or [each.operations for each in meant]
    return tuple(name for name in OPERATIONS if all(name in names for names in offering) and offering)


def random_version(choices: Choices, number: int, services: Sequence[Service], earlier: list[Selector]) -> RuleVersion:
    """A version that says something of storage, of operations, or of both; or, later on, a withdrawn one."""
    recorded_on = choices.pick((RECORDED[0], *RECORDED))
    unbounded = (None,) * 8 if number == 1 else (None,)
    effective_from = choices.pick((*unbounded, *EFFECTIVE))
    if number > 1 and choices.chance(3):
        return version(number, effective_from=effective_from, recorded_on=recorded_on, withdrawn=True)
    conditions = random_conditions(choices, services, earlier)
    window, operations = None, offered(conditions, services)
    if operations and choices.chance(8):
        window = OperationWindow(tuple(choices.some(operations)), choices.pick(PERIODS))
    storage, retention = None, None
    if window is None or not choices.chance(3):
        storage = choices.pick((StorageLocation.PLATFORM, StorageLocation.VENDOR_CDN))
        if storage is StorageLocation.PLATFORM or choices.chance(5):
            retention = choices.pick(PERIODS)
    return version(
        number,
        conditions,
        storage=storage,
        retention=retention,
        window=window,
        effective_from=effective_from,
        recorded_on=recorded_on,
        basis=choices.pick(BASES),
    )


Timetable = dict[tuple[date, int], RuleVersion | None]
"""What is in force of one rule on each day something is known, within each piece of time."""


def timetable(versions: Sequence[RuleVersion]) -> Timetable:
    """Replay the versions of one rule for every day and date that random packs use."""
    table: Timetable = {}
    for day in RECORDED:
        for instant in (BASE - 1, *EFFECTIVE):
            standing = None
            for each in versions:
                reached = each.effective_from is None or each.effective_from <= instant
                if each.recorded_on <= day and reached:
                    standing = None if each.withdrawn else each
            table[day, instant] = standing
    return table


def can_meet(one: RuleVersion, two: RuleVersion, services: Sequence[Service]) -> bool:
    """
    Two versions apply to the same thing, and some complete profile of some service fits both.

    A selector is a product of conditions on single facts, so two of them meet where every fact can agree.
    """
    if not subjects(one) & subjects(two):
        return False
    first, second = one.selector.conditions, two.selector.conditions
    for each in services:
        for fact in {*first, *second}:
            allowed = first.get(fact, second.get(fact)) & second.get(fact, first.get(fact))
            if not allowed.intersection(value for value in domain(each, fact) if isinstance(value, str)):
                break
        else:
            return True
    return False


def numbered(versions: Iterable[RuleVersion]) -> list[RuleVersion]:
    """Version numbers count from 1 in the order of the page."""
    return [replace(each, number=at) for at, each in enumerate(versions, start=1)]


def without_conflicts(
    candidates: Sequence[Sequence[RuleVersion]], services: Sequence[Service]
) -> list[list[RuleVersion]]:
    """Take the candidates one by one; a version that would meet an accepted rule becomes a withdrawn one."""
    accepted: list[list[RuleVersion]] = []
    tables: list[Timetable] = []
    meetings: dict[tuple[int, int], bool] = {}

    def meet(one: RuleVersion, two: RuleVersion) -> bool:
        key = (id(one), id(two))
        if key not in meetings:
            meetings[key] = can_meet(one, two, services)
        return meetings[key]

    for candidate in candidates:
        versions: list[RuleVersion] = []
        for each in candidate:
            table = timetable([*versions, each])
            clash = any(
                mine is not None and theirs is not None and meet(mine, theirs)
                for other in tables
                for mine, theirs in zip(table.values(), other.values(), strict=True)
            )
            if not clash and (versions or not each.withdrawn):
                versions.append(each)
            elif versions:
                dated = {"effective_from": each.effective_from, "recorded_on": each.recorded_on}
                versions.append(version(each.number, withdrawn=True, **dated))
        if versions:
            accepted.append(versions)
            tables.append(timetable(versions))
    return [numbered(versions) for versions in accepted]


PACK_BYTES = 900


def make_pack(data: bytes, *, conflicts_allowed: bool = False) -> RulePack:
    """Read a pack of 1 to 4 services and 0 to 6 rules of 1 to 4 versions off bytes."""
    choices = Choices(data)
    services = [random_service(choices, id) for id in SERVICES[: choices.pick((1, 2, 3, 4))]]
    declared = tuple(each.id for each in services if choices.chance(5))
    longest_task = choices.pick(LONGEST_TASKS)
    candidates: list[list[RuleVersion]] = []
    earlier: list[Selector] = []
    wanted = choices.pick((3, 4, 5, 6, 6, 6, 5, 4, 3, 2, 1, 0))
    # Some candidates meet others and are left out, so there are more of them than rules.
    for _ in range(wanted if conflicts_allowed else 2 * wanted):
        made = [random_version(choices, at, services, earlier) for at in range(1, choices.pick((2, 3, 4, 5)))]
        made.sort(key=lambda each: each.recorded_on)
        # A withdrawn version has nothing to end when it comes first.
        while made and made[0].withdrawn:
            del made[0]
        candidates.append(numbered(made))
        earlier.extend(each.selector for each in made if not each.withdrawn)
    kept = [each for each in candidates if each] if conflicts_allowed else without_conflicts(candidates, services)
    rules = [rule(id, *versions) for id, versions in zip(RULE_IDS, kept[:wanted], strict=False)]
    return pack(services, rules, no_published_rule=declared, longest_task=longest_task)


@st.composite
def packs(draw: st.DrawFn, *, conflicts_allowed: bool = False) -> RulePack:
    """
    Rule packs in which no two rules are in force for one complete profile at one instant, on any day.

    With `conflicts_allowed` some have such rules, for tests of what finds them.
    """
    data = draw(st.binary(min_size=PACK_BYTES, max_size=PACK_BYTES))
    return make_pack(data, conflicts_allowed=conflicts_allowed)


# --- Worlds ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class World:
    """A pack, some assets, and the question asked of them."""

    pack: RulePack
    assets: list[Asset]
    as_of: int
    horizon: int
    operation_horizon: int
    known_on: date | None

    @property
    def question(self) -> dict[str, Any]:
        """The arguments that `judge` and `evaluate` share."""
        return {
            "as_of": self.as_of,
            "horizon": self.horizon,
            "operation_horizon": self.operation_horizon,
            "known_on": self.known_on,
        }

    def __repr__(self) -> str:
        return f"World({self.question}, {len(self.assets)} assets)\n{described(self.pack)}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Hypothesis shows a failing world in these words, and not field by field."""
        printer.text(repr(self))


def around(instants: Iterable[int]) -> list[int]:
    """Every instant, the nanosecond before it and the one after, each once and in order of appearance."""
    return list(dict.fromkeys(near for instant in instants for near in (instant, instant - 1, instant + 1)))


def periods_of(made: RulePack) -> list[int]:
    """Every retention period and operation window of a pack, in order; at least one."""
    versions = [each for one in made.rules for each in one.versions]
    retained = {each.retention for each in versions if each.retention is not None}
    windows = {each.operation_window.period for each in versions if each.operation_window is not None}
    return sorted(retained | windows) or [DAY]


def mentioned_facts(made: RulePack) -> set[str]:
    """The facts that the selectors of a pack name."""
    return {fact for each in made.rules for v in each.versions for fact in v.selector.conditions}


def make_asset(choices: Choices, made: RulePack, mentioned: set[str], instants: list[int]) -> Asset:
    """Read an asset off choices: any fact known, unknown or out of its domain, any clock, any bounds."""
    services = made.catalog.services
    own = choices.pick(services)
    outside = choices.chance(1)
    facts: Asset = {"service": choices.pick((None, "raw-model/7b")) if outside else own.id}
    for fact, values in SELECTABLE.items():
        inside = [value for value in domain(own, fact) if isinstance(value, str)]
        if choices.chance(6 if fact in mentioned else 3):
            facts[fact] = None
        elif fact in STRANGERS and choices.chance(2):
            # Foreign values are those that another service, or no service, has.
            facts[fact] = choices.pick((STRANGERS[fact], *values))
        else:
            facts[fact] = choices.pick(inside) if inside else None
    created, completed = choices.pick(instants), choices.pick(instants)
    if choices.chance(10):
        steps = (0, 1, 600 * SECOND, made.longest_task, made.longest_task + 1, 2 * DAY, -1, -HOUR)
        completed = created + choices.pick(steps)
    known = choices.pick(("both", "submitted", "both", "finished", "submitted", "both", "neither", "finished"))
    bounds = [choices.pick(instants) for _ in range(choices.pick((0, 0, 1, 2)))]
    if choices.chance(8):
        bounds = [created + choices.pick((0, 1, HOUR, made.longest_task, -1)) for _ in bounds]
    url, owner = choices.pick(ADDRESSES)
    expected = choices.chance(3)
    return {
        **facts,
        "created": created if known in ("both", "submitted") else None,
        "completed": completed if known in ("both", "finished") else None,
        "completion_bounds": bounds,
        "url": None if expected else url,
        "host_owner": None if expected else owner,
        "expected": expected,
        "facts_conflict": choices.chance(2),
    }


WORLD_BYTES = 16
ASSET_BYTES = 40


def make_world(pack_data: bytes, world_data: bytes, assets_data: Sequence[bytes]) -> World:
    """Read a whole world off bytes, its instants chosen among the boundaries of its pack and its question."""
    made, choices = make_pack(pack_data), Choices(world_data)
    dates, periods, longest = cuts(made) or [BASE], periods_of(made), made.longest_task
    horizon, operation_horizon = choices.pick(HORIZONS), choices.pick((HOUR, *HORIZONS))
    starts = around([*dates, *(date + period for date in dates for period in periods)])
    as_of = choices.pick(starts) - choices.pick((0, 0, 0, horizon, operation_horizon))
    due = [as_of - period + ahead for period in periods for ahead in (0, horizon, operation_horizon)]
    on_dates = [date - run for date in dates for run in (0, longest)]
    # Half of the instants at dates of the rules, half where something falls due when the question is asked.
    ends, turns = around([*due, *(instant - longest for instant in due)]), around(on_dates)
    instants = ends + turns * max(1, len(ends) // len(turns))
    known_on = choices.pick((*[None] * 8, *RECORDED, date(2026, 2, 1)))
    mentioned = mentioned_facts(made)
    assets = [make_asset(Choices(data), made, mentioned, instants) for data in assets_data]
    return World(made, assets, as_of, horizon, operation_horizon, known_on)


@st.composite
def worlds(draw: st.DrawFn, assets: int = 20) -> World:
    """Worlds with this many assets."""
    pack_data = draw(st.binary(min_size=PACK_BYTES, max_size=PACK_BYTES))
    world_data = draw(st.binary(min_size=WORLD_BYTES, max_size=WORLD_BYTES))
    each = st.binary(min_size=ASSET_BYTES, max_size=ASSET_BYTES)
    return make_world(pack_data, world_data, draw(st.lists(each, min_size=assets, max_size=assets)))


# --- By hand ---------------------------------------------------------------------------------------------


def asset(service: str | None, created: int | None = None, completed: int | None = None, **rest: Any) -> Asset:
    """An asset with only the given facts known."""
    return {
        "service": service,
        "task_type": None,
        "account": None,
        "media": None,
        "role": None,
        "watermarked": None,
        "created": created,
        "completed": completed,
        "completion_bounds": [],
        "url": None,
        "host_owner": None,
        "expected": False,
        "facts_conflict": False,
    } | rest


def ten_rules() -> RulePack:
    """The provider's ten rules on the smallest catalog that distinguishes them."""
    day, three_hours, three_days = parse_duration("P1D"), parse_duration("PT3H"), parse_duration("P3D")
    platform, vendor = StorageLocation.PLATFORM, StorageLocation.VENDOR_CDN

    def kept(id: str, conditions: dict[str, Iterable[str]], period: int, window: int | None = None) -> Rule:
        """A rule of files on the platform."""
        follow_ups = OperationWindow(("upscale", "variation"), window) if window else None
        return rule(id, version(1, conditions, storage=platform, retention=period, window=follow_ups))

    def handed_over(id: str, conditions: dict[str, Iterable[str]], window: int | None = None) -> Rule:
        """A rule of files in the vendor's hands."""
        follow_ups = OperationWindow(("extend",), window) if window else None
        return rule(id, version(1, conditions, storage=vendor, window=follow_ups))

    return pack(
        [
            service(
                "midjourney",
                output("image", media="image"),
                task_types=("imagine", "upscale"),
                operations=("upscale", "variation"),
            ),
            service("luma", output("video")),
            service("kling", output("resource", watermarked=True), output("clean", watermarked=False)),
            service("suno", output("audio", media="audio"), operations=("extend",)),
            service("flux", output("image", media="image")),
            service("faceswap", output("image", media="image"), task_types=("face-swap", "video-faceswap")),
            service("aihug", output("video")),
            service("udio", output("audio", media="audio")),
        ],
        [
            kept(
                "midjourney-payg",
                {"service": ["midjourney"], "account": ["pay_as_you_go"]},
                three_days,
                three_hours,
            ),
            kept(
                "midjourney-own-account",
                {"service": ["midjourney"], "account": ["host_your_account"]},
                three_days,
                three_days,
            ),
            handed_over("luma", {"service": ["luma"]}),
            handed_over("kling-watermarked", {"service": ["kling"], "watermarked": ["true"]}),
            kept("kling-clean", {"service": ["kling"], "watermarked": ["false"]}, three_days),
            handed_over("suno", {"service": ["suno"]}, three_days),
            kept("flux", {"service": ["flux"]}, three_days),
            kept("faceswap", {"service": ["faceswap"]}, three_days),
            kept("aihug", {"service": ["aihug"]}, day),
        ],
        no_published_rule=("udio",),
    )
