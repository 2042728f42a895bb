"""Changes of meaning by hand: their direction, their interval, their words, and what is no change at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from policy_engine.authoring.compare.diff import LOOSENED, OTHER, TIGHTENED, Change, compare_packs
from policy_engine.authoring.compare.diff_formats import FORMATS, SHOWN
from policy_engine.authoring.compare.wording import before_after_words, files_words, known_words, witness_words
from policy_engine.core.periods import DAY, HOUR, Interval
from policy_engine.core.rule_model import OperationWindow, Rule, RulePack, RuleVersion
from policy_engine.core.vocabulary import StorageLocation
from tests.support.commands import in_own_process, policy_engine
from tests.support.paths import PACKS, ROOT
from tests.support.strategies import BASE, RECORDED, ten_rules, version
from tests.support.strategies import output as output_spec
from tests.support.strategies import pack as make_pack
from tests.support.strategies import rule as make_rule
from tests.support.strategies import service as make_service

PLATFORM, VENDOR = StorageLocation.PLATFORM, StorageLocation.VENDOR_CDN
NAMES = ("old", "new")


def kept(period: int, **more: object) -> RuleVersion:
    """A version that keeps everything of the one service on the platform."""
    return version(1, {"service": ["film"]}, **{"storage": PLATFORM, "retention": period, **more})  # type: ignore[arg-type]


def film(*rules: Rule, operations: tuple[str, ...] = ("extend",)) -> RulePack:
    """A pack with one service."""
    return make_pack(
        [make_service("film", output_spec("video"), task_types=("draw", "cut"), operations=operations)], rules
    )


def changes(old: RulePack, new: RulePack) -> list[Change]:
    """The changes between two packs."""
    return list(compare_packs(old, new).changes)


def only(found: Iterable[Change]) -> Change:
    """The only change there is."""
    (one,) = found
    return one


@pytest.mark.parametrize(
    ("before", "after", "direction", "words"),
    [
        (kept(3 * DAY), kept(2 * DAY), TIGHTENED, ("on the platform for 3 days", "on the platform for 2 days")),
        (kept(2 * DAY), kept(3 * DAY), LOOSENED, ("on the platform for 2 days", "on the platform for 3 days")),
        (kept(DAY), None, TIGHTENED, ("on the platform for 1 day", "no rule")),
        (None, kept(DAY), LOOSENED, ("no rule", "on the platform for 1 day")),
        (
            kept(DAY), kept(DAY, basis="assumed"), OTHER,
            ("on the platform for 1 day (published)", "on the platform for 1 day (assumed)"),
        ),
        (
            kept(DAY), version(1, {"service": ["film"]}, storage=VENDOR), OTHER,
            ("on the platform for 1 day", "with the vendor on the vendor's terms"),
        ),
    ],
)  # fmt: skip
def test_direction_of_a_change(
    before: RuleVersion | None, after: RuleVersion | None, direction: str, words: tuple[str, str]
) -> None:
    """
    Kept longer or governed at last is loosened, shorter or no longer governed tightened, anything else neither.
    """
    filler = make_rule("z", version(1, {"service": ["film"]}, window=OperationWindow(("extend",), HOUR)))
    packs = [film(filler, *([make_rule("a", one)] if one else [])) for one in (before, after)]
    change = only(changes(*packs))
    assert change.direction == direction
    assert before_after_words(change) == words
    assert (change.created, change.facts) == (Interval(None, None), {})


def test_a_shorter_window_is_about_its_operations() -> None:
    """
    Operations that change alike are told together, apart from storage.
    """

    def windowed(period: int) -> RulePack:
        names = ("extend", "remix")
        return film(make_rule("a", kept(DAY, window=OperationWindow(names, period))), operations=names)

    change = only(changes(windowed(3 * DAY), windowed(3 * HOUR)))
    assert (change.operations, change.direction) == (("extend", "remix"), TIGHTENED)
    assert before_after_words(change) == ("accepted for 3 days", "accepted for 3 hours")


def test_a_new_version_changes_an_interval_on_both_axes() -> None:
    """
    A version added changes creations from its beginning on, as known from the day on which it was recorded.
    """
    later = replace(kept(DAY), number=2, effective_from=BASE, recorded_on=RECORDED[2])
    change = only(changes(film(make_rule("a", kept(3 * DAY))), film(make_rule("a", kept(3 * DAY), later))))
    assert change.created == Interval(BASE, None)
    assert change.known == (RECORDED[2], None)
    assert (change.before_rules, change.after_rules) == ((("a", 1),), (("a", 2),))
    assert not change.is_replay_only
    assert change.witness.created == BASE


def test_a_moved_day_of_record_is_met_by_replays_only() -> None:
    """
    Where only a recorded day differs, the change is told as one of past knowledge, with its days.
    """
    second = replace(kept(DAY), number=2, effective_from=BASE, recorded_on=RECORDED[1])
    old = film(make_rule("a", kept(3 * DAY), second))
    new = film(make_rule("a", kept(3 * DAY), replace(second, recorded_on=RECORDED[2])))
    change = only(changes(old, new))
    assert change.known == (RECORDED[1], RECORDED[2])
    assert change.is_replay_only
    assert change.witness.known_on == RECORDED[1]
    assert known_words(change) == "only in a replay of what was known from 2026-03-02 to the day before 2026-03-05"


def test_adjacent_boxes_become_one() -> None:
    """
    One rule cut into two by a fact that no longer matters is no change, and a rule narrowed leaves one box.
    """
    whole = film(make_rule("a", kept(DAY)))
    halves = film(
        make_rule("a", version(1, {"service": ["film"], "watermarked": ["true"]}, storage=PLATFORM, retention=DAY)),
        make_rule("b", version(1, {"service": ["film"], "watermarked": ["false"]}, storage=PLATFORM, retention=DAY)),
    )
    found = compare_packs(whole, halves)
    assert found.is_same_meaning
    assert [one.what for one in found.rules] == ["rule a: version 1", "rule b"]
    narrowed = film(
        make_rule("a", version(1, {"service": ["film"], "task_type": ["draw"]}, storage=PLATFORM, retention=DAY))
    )
    change = only(changes(whole, narrowed))
    assert files_words(change) == "film; task_type any but draw"
    assert witness_words(change).startswith("film, task_type cut, created ")


def test_rules_that_contradicted_each_other_in_the_past_are_told_as_such() -> None:
    """
    A contradiction that a later version settled changes only what a replay meets, and both answers are named.
    """
    settled = replace(kept(2 * DAY), number=2, recorded_on=RECORDED[2], withdrawn=True, storage=None, retention=None)
    old = film(make_rule("a", kept(DAY)))
    new = film(make_rule("a", kept(DAY)), make_rule("b", kept(2 * DAY), settled))
    change = only(changes(old, new))
    assert change.direction == OTHER
    assert change.known == (RECORDED[0], RECORDED[2])
    assert before_after_words(change) == (
        "on the platform for 1 day",
        "rules that contradict each other: on the platform for 1 day / on the platform for 2 days",
    )


def test_services_of_one_catalog_only() -> None:
    """
    A service that came or went is told with what becomes of its files, and as a change of the catalog.
    """
    old = ten_rules()
    services = tuple(one for one in old.catalog.services if one.id != "flux")
    new = replace(
        old,
        catalog=replace(old.catalog, services=services),
        rules=tuple(one for one in old.rules if one.id != "flux"),
    )
    gone = compare_packs(old, new)
    assert [(one.services, one.direction, before_after_words(one)) for one in gone.changes] == [
        (("flux",), TIGHTENED, ("on the platform for 3 days", "not in the catalog"))
    ]
    assert [(one.what, one.before, one.after) for one in gone.catalog] == [("service flux", "listed", "")]
    come = compare_packs(new, old)
    assert [one.direction for one in come.changes] == [LOOSENED]
    assert come.touched_services == {"flux"}


def test_parameters_and_catalog_are_named() -> None:
    """
    What pack.yaml and catalog.yaml set for all rules is named with both values, and is a change of meaning.
    """
    old = ten_rules()
    flux = next(one for one in old.catalog.services if one.id == "flux")
    other = replace(flux, task_types=("txt2img",), names=())
    new = replace(
        old,
        horizon=2 * DAY,
        host_owners={**old.host_owners, "new.example": "vendor"},
        money=replace(old.money, points_per_usd=7, evidence="another word"),
        no_published_rule=(),
        catalog=replace(old.catalog, services=tuple(other if one is flux else one for one in old.catalog.services)),
    )
    found = compare_packs(old, new)
    assert [(one.what, one.before, one.after) for one in found.parameters] == [
        ("horizon", "P1D", "P2D"),
        ("money.points_per_usd", "100", "7"),
        ("host_owners new.example", "", "vendor"),
        ("no_published_rule udio", "declared", ""),
    ]
    assert [(one.what, one.before, one.after) for one in found.catalog] == [
        ("service flux: names", "flux", ""),
        ("service flux: task_types", "", "txt2img"),
    ]
    assert not found.is_same_meaning
    assert found.touched_services is None
    assert found.count(OTHER) == 6


def test_the_text_says_all_there_is_to_know(snapshot_pack: Path) -> None:
    """
    The whole text of a comparison, to the letter.
    """
    done = policy_engine("diff", str(ROOT / "tests/packs/valid/minimal"), str(snapshot_pack))
    assert done.code == 0, done.err
    assert done.text.partition("\n")[2] == (
        "\n"
        "rules\n"
        "  rule film-clean: version 3: added\n"
        "  rule film-marked: version 1: edited: citation\n"
        "\n"
        "tightened: film; watermarked false\n"
        "  storage: on the platform for 2 days -> on the platform for 1 day\n"
        "  rules: film-clean v2 -> film-clean v3\n"
        "  created: from 2026-08-01T00:00:00Z on\n"
        "  known: from 2026-07-20 on\n"
        "  witness: film, watermarked false, created 2026-08-01T00:00:00Z: kept until 2026-08-03T00:00:00Z -> "
        "2026-08-02T00:00:00Z\n"
        "\n"
        "domain: 2 services, 3 profiles, 2 instants of effect, 3 days of record; all of it was compared, and an "
        "unknown fact counts as any of its values\n"
    )
    assert done.text.splitlines()[0].endswith(": 1 change in meaning: 1 tightened")


@pytest.fixture
def snapshot_pack(tmp_path: Path) -> Path:
    """The small pack with a version more, a comment, other layout and another section cited."""
    folder = tmp_path / "minimal"
    for path in (PACKS / "valid" / "minimal").rglob("*.yaml"):
        target = folder / path.relative_to(PACKS / "valid" / "minimal")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("# a comment\n" + path.read_text("utf-8"), encoding="utf-8")
    clean = folder / "rules" / "film-clean.yaml"
    clean.write_text(clean.read_text("utf-8") + (
        "  - version: 3\n"
        '    effective_from: "2026-08-01T00:00:00Z"\n'
        '    recorded_on: "2026-07-20"\n'
        "    selector: {service: [film], watermarked: [false]}\n"
        "    storage: platform\n"
        "    retention: {period: P1D}\n"
        "    operation_window: {operations: [extend], period: PT3H}\n"
        '    citation: {source: storage-page, section: Film, retrieved_on: "2026-05-20", basis: published}\n'
    ), encoding="utf-8")  # fmt: skip
    marked = folder / "rules" / "film-marked.yaml"
    marked.write_text(marked.read_text("utf-8").replace("section: Film", "section: Movies"), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ((), 0, ""),
        (("--fail-on", "tightened"), 1, "--fail-on tightened: 1 change"),
        (("--fail-on", "any"), 1, "--fail-on any: 1 change"),
        (("--fail-on", "loosened"), 0, ""),
        (("--fail-on", "loosened", "--fail-on", "tightened", "--format", "json"), 1, "--fail-on tightened: 1 change"),
    ],
)
def test_gates(given: tuple[str, ...], code: int, said: str, snapshot_pack: Path) -> None:
    """
    --fail-on ends with 1 for changes of its kind and says how many; a format never changes the exit code.
    """
    done = policy_engine("diff", str(ROOT / "tests/packs/valid/minimal"), str(snapshot_pack), *given)
    assert done.code == code
    assert said in done.err


def test_comments_and_layout_are_no_change(snapshot_pack: Path, tmp_path: Path) -> None:
    """
    A pack with other comments, line ends and quotes has no change in meaning, and passes --fail-on any.
    """
    other = tmp_path / "other"
    for path in snapshot_pack.rglob("*.yaml"):
        target = other / path.relative_to(snapshot_pack)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").replace(b"# a comment", b"# another one"))
    done = policy_engine("diff", str(snapshot_pack), str(other), "--fail-on", "any")
    assert done.code == 0
    assert done.text.splitlines()[0].endswith(": no change in meaning")
    assert "rules" not in done.text.splitlines()[1:3]


def test_hostile_words_stay_words() -> None:
    """
    Names from packs end no table cell, start no markup and move no cursor, in any format.
    """
    name = "\x1b[31m|<script>`x`](u)\n"
    old = film(make_rule("a", kept(DAY)))
    new = replace(old, platform_owner=name, host_owners={name: "x"})
    found = compare_packs(old, new)
    for shape in FORMATS:
        text = FORMATS[shape](found, (name, name))
        assert "\x1b" not in text
        if shape == "markdown":
            assert "<script>" not in text
            assert all(
                piece.endswith("\\") for line in text.splitlines() for piece in line.split("|")[:-1] if "script" in line
            )
    assert json.loads(FORMATS["json"](found, (name, name)))["old"]["name"] == name


@pytest.mark.slow
def test_no_frames_are_needed_to_compare_rules() -> None:
    """
    `diff` is quick to start: it loads no library for frames of data.
    """
    code = (
        "import sys; from policy_engine.cli import run; code = run(['diff', 'piapi', 'piapi']); "
        "sys.exit(code or 9 * bool({'pandas', 'numpy'} & sys.modules.keys()))"
    )
    assert in_own_process(code=code).code == 0


def test_many_changes_are_cut_in_text_and_whole_in_json() -> None:
    """
    Text tells so many changes and how many more there are; JSON holds every one.
    """
    services = [make_service(f"s{number}", output_spec("file")) for number in range(SHOWN + 5)]

    def packed(step: int) -> RulePack:
        rules = []
        for number in range(SHOWN + 5):
            says = version(1, {"service": [f"s{number}"]}, storage=PLATFORM, retention=(number + 1) * step)
            rules.append(make_rule(f"r{number}", says))
        return make_pack(services, rules)

    found = compare_packs(packed(DAY), packed(HOUR))
    assert "... and 5 more; --format json lists all" in FORMATS["text"](found, NAMES)
    value = json.loads(FORMATS["json"](found, NAMES))
    assert len(value["changes"]) == SHOWN + 5 == value["counts"]["tightened"]
    assert value["schema"] == "policy-engine/diff/v1"
    assert date.fromisoformat(value["changes"][0]["known"]["from"]) == RECORDED[0]
