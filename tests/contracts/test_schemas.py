"""Promises of the JSON Schemas of files that people write."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from policy_engine.core.periods import DURATION_PATTERN, parse_duration
from policy_engine.core.resources import bundled
from policy_engine.core.vocabulary import (
    ACCOUNTS,
    BASES,
    MEDIA,
    OPERATION_VERDICTS,
    REASONS,
    VERDICTS,
    WITHOUT_ASSET_REASONS,
)
from policy_engine.packs.compiled_schema import compile_schema
from policy_engine.packs.schema_check import (
    FORMATS,
    SCHEMAS,
    _quick,
    _validator,
    check_document,
    load_schema,
)
from policy_engine.packs.yaml_document import MAX_PROBLEMS, YamlDocument, parse_yaml
from tests.support.paths import PACKS


def nodes(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every object within a schema, with its path."""
    if isinstance(value, dict):
        yield path, value
        for key, member in value.items():
            yield from nodes(member, (*path, key))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from nodes(member, (*path, str(index)))


def subschemas(name: str) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every object within a schema that is a schema itself, and not a table of properties or an example."""
    for path, node in nodes(load_schema(name)):
        if not path or (path[-1] not in ("properties", "$defs", "dependentRequired") and "examples" not in path):
            yield path, node


def document(text: str) -> YamlDocument:
    """A YAML text as a document."""
    found, problems = parse_yaml(text.encode(), "file.yaml")
    assert problems == ()
    assert found is not None
    return found


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_valid_schemas(name: str) -> None:
    """
    Each schema fits the metaschema of JSON Schema 2020-12 and has an id that no network can resolve.
    """
    schema = load_schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:policy-engine:schema:{name}:v1"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_format_is_checked(name: str) -> None:
    """
    Each `format` that a schema uses has a checker that refuses nonsense: an unknown one would pass everything.
    """
    used = {node["format"] for _, node in subschemas(name) if isinstance(node.get("format"), str)}
    assert used <= FORMATS.keys()
    for word in used:
        with pytest.raises(ValueError, match=r"."):
            FORMATS[word]("nonsense")


@pytest.mark.parametrize("name", SCHEMAS)
def test_patterns_mean_the_same_in_every_engine(name: str) -> None:
    """
    Patterns are anchored on both sides and use no class whose meaning differs between engines.
    """
    for path, node in subschemas(name):
        pattern = node.get("pattern")
        if isinstance(pattern, str):
            assert pattern.startswith("^"), path
            assert pattern.endswith("$"), path
            assert not re.search(r"\\[dwsbDWSB]", pattern), path
            assert "patternErrorMessage" in node, path


@pytest.mark.parametrize("name", SCHEMAS)
def test_objects_are_closed_and_explained(name: str) -> None:
    """
    Every map lists its keys, refuses others, and has a description of each key for editors.
    """
    for path, node in subschemas(name):
        if node.get("type") == "object":
            assert "additionalProperties" in node or path[-1] == "record", path
            for key, about in node.get("properties", {}).items():
                target = load_schema(name)["$defs"][about["$ref"].rsplit("/", 1)[1]] if "$ref" in about else {}
                assert about.get("title") or target.get("title"), (*path, key)
        assert "oneOf" not in node, path
        if "$ref" in node:
            assert node["$ref"].startswith("#/$defs/"), path
        if "markdownEnumDescriptions" in node:
            assert len(node["markdownEnumDescriptions"]) == len(node["enum"]), path


def test_words_are_those_of_the_program() -> None:
    """
    The words that the schemas allow are the ones that the program uses, no more and no fewer.
    """
    rule, cases = load_schema("rule"), load_schema("cases")
    selector = rule["$defs"]["version"]["properties"]["selector"]["properties"]
    asset = cases["$defs"]["asset"]["properties"]
    no_asset = cases["$defs"]["case"]["properties"]["expect"]["else"]["properties"]["no_asset"]
    basis = rule["$defs"]["version"]["properties"]["citation"]["properties"]["basis"]
    assert tuple(selector["account"]["items"]["enum"]) == ACCOUNTS
    assert tuple(selector["media"]["items"]["enum"]) == MEDIA
    assert tuple(basis["enum"]) == BASES
    assert load_schema("pack")["$defs"]["basis"]["enum"] == basis["enum"]
    assert asset["verdict"]["enum"] == [str(verdict) for verdict in VERDICTS]
    assert asset["operation_verdict"]["enum"] == [str(verdict) for verdict in OPERATION_VERDICTS]
    assert set(asset["reasons"]["items"]["enum"]) == set(REASONS)
    assert set(no_asset["enum"]) == set(WITHOUT_ASSET_REASONS)


@pytest.mark.parametrize(
    "text",
    [
        "P3D",
        "PT3H",
        "P1DT12H",
        "PT90M",
        "P0D",
        "P",
        "PT",
        "P1DT",
        "P1M",
        "P1W",
        "P1Y",
        "1D",
        "p3d",
        "P-3D",
        "P3D\n",
        "P٣D",
    ],
)
def test_the_format_of_durations_is_the_programs_own(text: str) -> None:
    """
    The schema takes exactly the durations that the program can read.
    """
    try:
        parse_duration(text)
        readable = True
    except ValueError:
        readable = False
    quoted = json.dumps(text, ensure_ascii=False)
    found = check_document(document((Path(bundled("rules")) / "piapi" / "pack.yaml").read_text("utf-8").replace(
        "horizon: P1D", f"horizon: {quoted}", 1)), "pack")  # fmt: skip
    assert (found == ()) is readable
    if "\n" not in text:
        assert bool(re.search(DURATION_PATTERN, text)) is readable


def test_the_end_of_a_pattern_is_the_end_of_the_text() -> None:
    """
    A line break at the end of an id is refused, although `$` of Python's patterns would let it pass.
    """
    text = 'id: "flux\\n"\ntitle: t\nsummary: s\nversions: []\n'
    codes = [(problem.code, str(problem.span)) for problem in check_document(document(text), "rule")]
    assert ("bad-format", "file.yaml:1:5") in codes


def test_no_message_shows_a_whole_value() -> None:
    """
    A large value in the wrong place is named by its kind and not printed.
    """
    text = "id: [" + ", ".join(["secret"] * 1000) + "]\ntitle: {" + "a: 1, " * 1 + "b: 2}\nsummary: s\nversions: []\n"
    for problem in check_document(document(text), "rule"):
        assert len(problem.message) < 200
        assert "secret" not in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "versions: [" + "1, a, " * 60_000 + "2]",
        "versions: [{version: 1, selector: {service: [" + "1, a, " * 60_000 + "2]}}]",
        "versions: []\n? " + "x" * 1_000_000 + "\n: 1",
        "versions: []\nid: " + "a-" * 500_000,
    ],
    ids=["wrong entries", "mixed list", "long key", "long id"],
)
def test_hostile_values_are_refused_in_time(text: str) -> None:
    """
    Endless lists and words give a bounded number of short problems within moments.
    """
    start = time.process_time()
    problems = check_document(document(text + "\n"), "rule")
    assert 0 < len(problems) <= MAX_PROBLEMS
    assert all(len(problem.message) + len(problem.help or "") < 400 for problem in problems)
    assert time.process_time() - start < 20


@pytest.mark.parametrize("file", sorted(bundled("rules").rglob("*.yaml")), ids=lambda path: path.name)
def test_bundled_files_fit_and_name_their_schema(file: Path) -> None:
    """
    Every bundled YAML file begins with the line that gives editors its schema, and fits that schema.
    """
    text = file.read_text("utf-8")
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", text.splitlines()[0])
    assert found is not None
    target = (file.parent / found.group(1)).resolve()
    assert target.parent == bundled("schemas").resolve()
    assert check_document(document(text), target.name.removesuffix(".v1.schema.json")) == ()


def spoilt(value: Any, number: int) -> list[Any]:
    """The value with each of its parts, one at a time, replaced, left out, or joined by something strange."""
    strange = (None, True, 1, 1.0, -1, "", "x", "P3D", "2026-02-30", "a\n", [], ["x", "x"], {}, {"x": 1}, "unlisted")
    found = [strange[number % len(strange)]]
    if isinstance(value, dict):
        for key, member in value.items():
            found.append({name: other for name, other in value.items() if name != key})
            found += [{**value, key: other} for other in spoilt(member, number + len(found))]
        found.append({**value, "strange": number})
        found.append({**value, "withdrawn": True})
    elif isinstance(value, list):
        for at, member in enumerate(value[:3]):
            found += [[*value[:at], other, *value[at + 1 :]] for other in spoilt(member, number + len(found))]
        found.append([*value, *value[:1]])
        found.append([])
    return found


def test_the_quick_check_accepts_only_what_the_validator_accepts() -> None:
    """
    Of thousands of files with one thing wrong or changed, the quick check accepts none that the validator refuses.
    """
    counts = {True: 0, False: 0}
    for path in sorted((PACKS / "valid").rglob("*.yaml")):
        name = path.parent.name if path.parent.name in ("cases", "rules") else path.stem
        schema = {"rules": "rule"}.get(name, name)
        value = document(path.read_text(encoding="utf-8")).value
        assert _quick(schema)(value)
        for number in range(5):
            for changed in spoilt(value, number):
                is_accepted = _quick(schema)(changed)
                assert not is_accepted or _validator(schema).is_valid(changed), changed
                counts[is_accepted] += 1
    assert min(counts.values()) > 100


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{}]},
        {"$ref": "https://example.org/schema"},
        {"not": {"pattern": "^a$"}},
        {"if": {"const": 1}},
        {"not": {"enum": ["a", True]}},
    ],
)
def test_the_quick_check_refuses_what_it_cannot_decide(schema: dict[str, Any]) -> None:
    """
    A schema with a keyword that the quick check does not know, or not exactly enough, is not compiled.
    """
    with pytest.raises(ValueError, match=r"keyword|reference"):
        compile_schema(schema, FORMATS)
