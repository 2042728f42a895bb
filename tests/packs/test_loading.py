"""Promises of the pack reader: what it gives, and what it says of files that are wrong."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from policy_engine.authoring.lint import run_checks
from policy_engine.core.periods import DAY, HOUR, parse_instant
from policy_engine.core.problems import PackInvalid, Problem, format_problem
from policy_engine.core.resources import bundled
from policy_engine.core.rule_model import Rule
from policy_engine.core.vocabulary import StorageLocation
from policy_engine.packs import bundled_pack_names, find_pack, read_pack
from policy_engine.packs.loading import read_checked
from policy_engine.packs.timeline import in_force
from policy_engine.packs.yaml_document import MAX_BYTES, parse_yaml

PACKS = Path(__file__).parent
INVALID = sorted(path.name for path in (PACKS / "invalid").iterdir())

MakePack = Callable[[str | None], str]


@pytest.fixture
def pack_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePack:
    """Lay the files of a defect over the valid pack, in a folder called `minimal`."""

    def make(defect: str | None) -> str:
        monkeypatch.chdir(tmp_path)
        shutil.copytree(PACKS / "valid" / "minimal", tmp_path / "minimal")
        if defect is not None:
            ignore = shutil.ignore_patterns("expected.txt")
            shutil.copytree(PACKS / "invalid" / defect, tmp_path / "minimal", ignore=ignore, dirs_exist_ok=True)
        return "minimal"

    return make


def problems_of(location: str) -> tuple[tuple[Problem, ...], dict[str, str]]:
    """The problems of a pack: those of reading it, or else those of its checks."""
    try:
        pack = read_pack(location)
    except PackInvalid as invalid:
        return invalid.problems, dict(invalid.sources)
    return run_checks(pack), dict(pack.texts)


def rule(pack_rules: tuple[Rule, ...], rule_id: str) -> Rule:
    """The rule of that id."""
    return next(rule for rule in pack_rules if rule.id == rule_id)


@pytest.mark.parametrize("defect", INVALID)
def test_a_broken_pack_gives_the_exact_message(defect: str, pack_with: MakePack) -> None:
    """
    Each defect is reported with its place, the source line, and what to do, word for word.
    """
    problems, sources = problems_of(pack_with(defect))
    found = "".join(f"{format_problem(problem, sources)}\n" for problem in problems)
    assert found == (PACKS / "invalid" / defect / "expected.txt").read_text(encoding="utf-8")


def test_the_valid_pack_under_the_defects_is_valid(pack_with: MakePack) -> None:
    """
    Nothing is reported of the pack that the broken ones are made from, so each message is due to its defect.
    """
    assert problems_of(pack_with(None))[0] == ()


def test_a_pack_becomes_values(pack_with: MakePack) -> None:
    """
    Periods become nanoseconds, instants become UTC, and another address of a file has the facts of that file.
    """
    pack = read_pack(pack_with(None))
    assert (pack.id, pack.location, pack.horizon, pack.longest_task) == ("minimal", "minimal", DAY, HOUR)
    assert [rule.id for rule in pack.rules] == ["film-clean", "film-marked"]
    first, second = pack.rules[0].versions
    assert (first.retention, second.retention) == (3 * DAY, 2 * DAY)
    assert (first.effective_from, second.effective_from) == (None, parse_instant("2026-06-01T00:00:00Z"))
    assert second.recorded_on == date(2026, 5, 20)
    assert first.selector.conditions == {"service": {"film"}, "watermarked": {"false"}}
    marked = pack.rules[1].versions[0]
    assert (marked.storage, marked.retention) == (StorageLocation.VENDOR_CDN, None)
    film = pack.catalog.services[0]
    same_file = next(output for output in film.outputs if output.kind == "same_file")
    assert (same_file.name, same_file.media, same_file.role, same_file.watermarked) == ("clean", "video", "main", False)
    assert pack.catalog.statuses["done"] == "completed"


def test_spans_lead_to_the_line(pack_with: MakePack) -> None:
    """
    A rule, a version and a service know their file and line, and the pack keeps the text for frames.
    """
    pack = read_pack(pack_with(None))
    span = pack.rules[0].versions[1].span
    assert span is not None
    assert pack.texts[span.file].splitlines()[span.line - 1].strip() == "- version: 2"
    service = pack.catalog.services[1].span
    assert service is not None
    assert pack.texts[service.file].splitlines()[service.line - 1].strip() == "- id: tool"


def test_spelling_of_task_types_does_not_matter(pack_with: MakePack) -> None:
    """
    A selector may write a task type with `-` or `_` and in any case; it takes the catalog's spelling.
    """
    location = pack_with(None)
    path = Path(location) / "rules" / "film-marked.yaml"
    path.write_text(path.read_text().replace("watermarked: [true]", "task_type: [Make-Film]"), encoding="utf-8")
    assert rule(read_pack(location).rules, "film-marked").versions[0].selector.conditions["task_type"] == {"make_film"}


def test_the_digest_is_of_names_and_bytes(pack_with: MakePack) -> None:
    """
    The digest changes with any byte or name of the rules and not with the cases.
    """
    location = pack_with(None)
    before = read_pack(location).digest
    cases = Path(location) / "cases" / "film.yaml"
    cases.write_text(cases.read_text() + "# more\n", encoding="utf-8")
    assert read_pack(location).digest == before
    rule_file = Path(location) / "rules" / "film-marked.yaml"
    rule_file.write_text(rule_file.read_text() + "# more\n", encoding="utf-8")
    assert read_pack(location).digest != before
    assert len(before) == 64


def test_the_bundled_pack_is_the_folder() -> None:
    """
    `piapi` names the bundled pack; its folder gives the same rules, and only the location differs.
    """
    named, folder = read_pack("piapi"), read_pack(bundled("rules") / "piapi")
    assert "piapi" in bundled_pack_names()
    assert named.location == "bundled"
    assert named.digest == folder.digest
    assert named.rules[0].span is not None
    assert named.rules[0].span.file == "rules/piapi/rules/ai-hug.yaml"


@pytest.mark.parametrize(
    ("location", "message", "help_text"),
    [
        ("piapy", "there is no rule pack and no folder called `piapy`", "did you mean `piapi`? bundled packs: `piapi`"),
        (
            "./nowhere",
            "there is no folder `nowhere`",
            "a pack is a folder with pack.yaml, catalog.yaml and rules/*.yaml",
        ),
        (
            "empty",
            "`empty` holds no pack.yaml, no catalog.yaml, no rules/*.yaml",
            "a pack is a folder with pack.yaml, catalog.yaml and rules/*.yaml",
        ),
        ("file", "`file` is a file, not a folder", "a pack is a folder with pack.yaml, catalog.yaml and rules/*.yaml"),
    ],
)
def test_a_wrong_location_is_explained(
    location: str, message: str, help_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A misspelt name, a missing or empty folder and a file are told apart, and the bundled packs are named.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(PackInvalid) as caught:
        read_pack(location)
    assert [(problem.message, problem.help) for problem in caught.value.problems] == [(message, help_text)]


def test_known_on_replays_what_was_known(pack_with: MakePack) -> None:
    """
    On a day before a version was recorded the rule still stands as it stood before, and later versions change nothing.
    """
    film = rule(read_pack(pack_with(None)).rules, "film-clean")
    june = parse_instant("2026-06-01T00:00:00Z")
    first, second = film.versions
    assert in_force(film) == ((None, first), (june, second))
    assert in_force(film, date(2026, 5, 20)) == ((None, first), (june, second))
    assert in_force(film, date(2026, 5, 19)) == ((None, first),)
    assert in_force(film, date(2026, 1, 1)) == ((None, None),)


def test_versions_rewrite_the_timeline(pack_with: MakePack) -> None:
    """
    A later version rewrites the rule from its beginning on, also before versions that were recorded earlier; a
    withdrawn one leaves silence.
    """
    location = pack_with(None)
    path = Path(location) / "rules" / "film-clean.yaml"
    correction = path.read_text().partition("  - version: 2\n")[2]
    correction = correction.replace("2026-06-01", "2026-04-01").replace('"2026-05-20"', '"2026-07-01"')
    withdrawal = '    effective_from: "2026-08-01T00:00:00Z"\n    recorded_on: "2026-08-02"\n    withdrawn: true\n'
    path.write_text(f"{path.read_text()}  - version: 3\n{correction}  - version: 4\n{withdrawal}", encoding="utf-8")
    film = rule(read_pack(location).rules, "film-clean")
    first, second, third, _ = film.versions
    april, june, august = (parse_instant(f"2026-0{month}-01T00:00:00Z") for month in (4, 6, 8))
    assert in_force(film, date(2026, 6, 30)) == ((None, first), (june, second))
    assert in_force(film, date(2026, 7, 1)) == ((None, first), (april, third))
    assert in_force(film) == ((None, first), (april, third), (august, None))


def test_bundled_pack_is_quick() -> None:
    """
    Reading the bundled pack takes well under the blink of an eye, so that no command waits for it.
    """
    read_pack("piapi")
    start = time.process_time()
    read_pack("piapi")
    assert time.process_time() - start < 2


def test_every_bundled_rule_has_a_case() -> None:
    """
    Each rule of the bundled pack is named by at least one decision case, and the case files are valid.
    """
    named = set()
    for path in (find_pack("piapi").path / "cases").glob("*.yaml"):
        document, _, problems = read_checked(path, path.name, "cases")
        assert problems == ()
        assert document is not None
        for case in document.value["cases"]:
            for asset in case["expect"] if isinstance(case["expect"], list) else ():
                named |= {asset.get("rule"), asset.get("operation_rule")}
    assert {rule.id for rule in read_pack("piapi").rules} <= named


def test_bundled_rules_are_the_published_ones() -> None:
    """
    The rows of the provider's page are in the pack with their storage, retention and window, and say so.
    """
    platform, vendor = StorageLocation.PLATFORM, StorageLocation.VENDOR_CDN
    rows = {
        "midjourney-payg": (platform, 3 * DAY, 3 * HOUR),
        "midjourney-hya": (platform, 3 * DAY, 3 * DAY),
        "luma": (vendor, None, None),
        "kling-watermarked": (vendor, None, None),
        "kling-clean": (platform, 3 * DAY, None),
        "suno": (vendor, None, 3 * DAY),
        "flux": (platform, 3 * DAY, None),
        "faceswap": (platform, 3 * DAY, None),
        "ai-hug": (platform, DAY, None),
    }
    rules = read_pack("piapi").rules
    for rule_id, (storage, retention, window) in rows.items():
        (version,) = rule(rules, rule_id).versions
        period = version.operation_window.period if version.operation_window else None
        assert (version.storage, version.retention, period) == (storage, retention, window), rule_id
        assert version.citation is not None
        assert (version.citation.source, version.citation.basis) == ("output-storage", "published")
    copies = ("midjourney-copies-payg", "midjourney-copies-hya")
    others = [rule.versions[0] for rule in rules if rule.id not in (*rows, *copies)]
    assert {version.citation.basis for version in others if version.citation} == {"assumed", "observed"}


def test_no_bundled_service_is_forgotten() -> None:
    """
    Every service of the bundled catalog has a rule or is declared to have none, and no two rules overlap.
    """
    assert run_checks(read_pack("piapi")) == ()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 100_000, "too-deep"),
        ("{a: " * 100_000, "too-deep"),
        ("- " * 100_000, "too-deep"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "yaml-anchor"),
        ("x: &a [*a]\n", "yaml-anchor"),
        ("a: *b\n", "yaml-alias"),
        ("a: {<<: [*a, *a]}\n", "yaml-alias"),
        ("a: !!python/object/apply:os.system [ls]\n", "yaml-tag"),
        ("a: !!binary aGk=\n", "yaml-tag"),
        ("! a\n", "yaml-tag"),
        ("a: 1\n---\nb: 2\n", "second-document"),
        pytest.param("- x\n" * 900_000, "too-many-values", marks=pytest.mark.slow),
        ("a: " + "9" * 5_000, "not-a-number"),
        ("a: 1e999", "not-a-number"),
        ("a: .nan", "not-a-number"),
        ("a: -.INF", "not-a-number"),
        ("a: one\x85b: two", "forbidden-character"),
        ("a: one\u2028b: two", "forbidden-character"),
        ("a: one\x00", "forbidden-character"),
        ('a: "one\\0two"', "forbidden-character"),
        ('a: "one\\u2028two"', "forbidden-character"),
        ("a: {b: 1, b: 2}", "duplicate-key"),
        ("1: x", "key-not-text"),
        ("null: x", "key-not-text"),
        ("? [a]\n: x", "key-not-text"),
        ("? {a: 1}\n: x", "key-not-text"),
        ("a: [1, 2", "yaml-syntax"),
        ("a: %b", "yaml-syntax"),
        ("", "empty-file"),
        ("a: " + "x" * MAX_BYTES, None),
    ],
    ids=lambda value: str(value)[:20] if value is not None else "none",
)
def test_hostile_yaml_is_refused(text: str, code: str | None) -> None:
    """
    Deep, exploding, executing, ambiguous and endless documents become a problem with a place, within moments.
    """
    start = time.process_time()
    _, problems = parse_yaml(text.encode(), "hostile.yaml")
    assert time.process_time() - start < 20
    assert [problem.code for problem in problems] == ([code] if code else [])
    assert all(problem.span is not None and len(problem.message) < 300 for problem in problems)


def test_a_huge_file_is_not_read_whole(pack_with: MakePack) -> None:
    """
    A file above the limit is refused before it is decoded.
    """
    location = pack_with(None)
    with (Path(location) / "rules" / "film-marked.yaml").open("ab") as stream:
        stream.write(b"#" * MAX_BYTES)
    problems, _ = problems_of(location)
    assert [problem.code for problem in problems] == ["file-too-large"]


def test_bytes_that_are_no_utf8_are_refused() -> None:
    """
    A file in another encoding is refused with the place of its first wrong byte.
    """
    document, problems = parse_yaml("a: 1\nb: caf\u00e9\n".encode("latin-1"), "latin.yaml")
    assert document is None
    assert [(str(problem.span), problem.code) for problem in problems] == [("latin.yaml:2:7", "not-utf8")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("Null", "Null"), ("True", "True"),
        ("3:00", "3:00"), ("190:20:30", "190:20:30"), ("2026-01-02", "2026-01-02"), ("0123", "0123"), ("0o17", "0o17"),
        ("0x1F", "0x1F"), ("1_000", "1_000"), ("+1", "+1"), (".5", ".5"), ("1.", "1."), ("<<", "<<"), ("=", "="),
        ("true", True), ("false", False), ("null", None), ("~", None), ("", None),
        ("12", 12), ("-3", -3), ("0", 0), ("1.10", 1.1), ("1e3", 1000.0), ('"12"', "12"), ("'true'", "true"),
    ],
)  # fmt: skip
def test_plain_words_mean_what_they_look_like(text: str, value: object) -> None:
    """
    Only `true`, `false`, `null` and numbers in their JSON form are anything but text.
    """
    document, problems = parse_yaml(f"on: {text}\n".encode(), "words.yaml")
    assert problems == ()
    assert document is not None
    assert document.value == {"on": value}
    assert type(document.value["on"]) is type(value)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_places_count_as_editors_do(line_end: str) -> None:
    """
    Lines and columns count from 1 and in characters, whatever the line ends, and a byte order mark is no character.
    """
    text = line_end.join(["\ufefftitle: \U0001f3ac \u00e9t\u00e9", "list:", "  - {one: 1, two: 2}", ""])
    document, problems = parse_yaml(text.encode(), "places.yaml")
    assert problems == ()
    assert document is not None
    assert document.value == {"title": "\U0001f3ac \u00e9t\u00e9", "list": [{"one": 1, "two": 2}]}
    assert str(document.span("title")) == "places.yaml:1:8"
    assert str(document.key_span("list", 0, "two")) == "places.yaml:3:14"
    assert str(document.span("list", 0, "two")) == "places.yaml:3:19"
    assert str(document.span("list", 0, "three")) == "places.yaml:3:5"
