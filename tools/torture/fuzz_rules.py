"""
Feeds bytes to everything that reads a rule pack; each must be answered by a pack or by problems that can be printed.

The first byte of an input says which file the rest of it is: of a small pack, or a file beside packs. From 128 on the
second byte names a value of a good file, and the rest replaces it. Each file is parsed,
put to the quick check of its schema, and read into rules or a catalog if it fits. What takes far longer is for answers
of a new kind and as time permits (`fuzzing.Thrift`): the explanation of what does not fit, the validator, which must
accept whatever the quick check accepts, and the whole pack, which goes on through lint and its cases if it loads.
"""

from __future__ import annotations

import atexit
import functools
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Hashable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from tools.torture import fuzzing

with fuzzing.instrumented("policy_engine.packs", "policy_engine.core.periods"):
    from policy_engine.annotations.exemptions import read_exemptions
    from policy_engine.annotations.house_rules import read_house_rules
    from policy_engine.authoring.lint import lint_pack
    from policy_engine.authoring.lint.baseline import read_baseline
    from policy_engine.authoring.testing.cases import run_cases
    from policy_engine.core.problems import PolicyEngineError, Problem, ProblemList, format_problem
    from policy_engine.core.rule_model import RulePack
    from policy_engine.packs import read_pack, schema_check
    from policy_engine.packs.cases import read_cases
    from policy_engine.packs.catalog import read_catalog
    from policy_engine.packs.rules import read_rule
    from policy_engine.packs.yaml_document import ValuePath, YamlDocument, parse_yaml

MINIMAL = fuzzing.ROOT / "tests" / "packs" / "valid" / "minimal"
FILES = (
    ("pack.yaml", "pack"),
    ("catalog.yaml", "catalog"),
    ("rules/film-clean.yaml", "rule"),
    ("cases/film.yaml", "cases"),
    ("baseline.yaml", "baseline"),
    ("house-rules.yaml", "house-rules"),
    ("exemptions.yaml", "exemptions"),
)
"""Name of a file and of its schema; the first byte of an input, modulo their number, is the index here."""
_IN_A_PACK = 4
_FRAGMENT = 128
THRIFT = fuzzing.Thrift(0.15)
_DEEPEST = 6
_LONG = 80
_ODD = re.compile("[^ -~]")


@functools.cache
def _folder() -> Path:
    """A pack to change, in memory where the system offers that."""
    shared = Path("/dev/shm")  # noqa: S108  (a folder of our own is made in it)
    folder = Path(tempfile.mkdtemp(prefix="policy-engine-", dir=shared if shared.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(MINIMAL, folder / "pack")
    return folder


@functools.cache
def _pack() -> RulePack:
    return read_pack(MINIMAL)


def check(data: bytes) -> None:
    """Raise when an input is answered by anything but a result or problems with their spans."""
    first = data[0] if data else 0
    index, text = first % len(FILES), data[2:] if first >= _FRAGMENT else data[1:]
    name, schema = FILES[index]
    document, problems = parse_yaml(text, name)
    if document is None:
        assert problems, "nothing was read, and nothing was said"
        _print(problems, {})
        return
    if first >= _FRAGMENT:
        document = _put_in(_good(index), data[1:2], document)
    fits = schema_check._quick(schema)(document.value)
    kind = (index, _kind(document.value, 0), tuple(problem.code for problem in problems))
    THRIFT.check((fits, kind), data, _validate, document, schema, fits)
    if problems:
        _print(problems, {name: document.text})
    if problems or not fits:
        return
    found = ProblemList()
    if schema == "rule":
        read_rule(document, _pack().catalog, ["storage-page"], found)
    elif schema == "catalog":
        read_catalog(document, found)
    _print(tuple(found.items), {name: document.text})
    codes = tuple(problem.code for problem in found.items)
    if first >= _FRAGMENT:
        text = json.dumps(document.value, ensure_ascii=False).encode()
    THRIFT.check(("whole", codes, kind), data, _load, index, name, text)


@functools.cache
def _good(index: int) -> YamlDocument:
    name, schema = FILES[index]
    file = MINIMAL / name if index < _IN_A_PACK else fuzzing.SEEDS / "fuzz_rules" / schema
    text = file.read_bytes()
    document, problems = parse_yaml(text if index < _IN_A_PACK else text[1:], name)
    assert document is not None and not problems
    return document


def _put_in(good: YamlDocument, which: bytes, part: YamlDocument) -> YamlDocument:
    """A good document in which one value is replaced by one of another document."""
    paths = list(good.values)
    path = paths[(which[0] if which else 0) % len(paths)]
    values = {**good.values, **{(*path, *inner): span for inner, span in part.values.items()}}
    keys = {**good.keys, **{(*path, *inner): span for inner, span in part.keys.items()}}
    return YamlDocument(part.file, part.text, _replaced(good.value, path, part.value), keys, values)


def _replaced(value: Any, path: ValuePath, other: Any) -> Any:
    if not path:
        return other
    copy = value.copy()
    copy[path[0]] = _replaced(value[path[0]], path[1:], other)
    return copy


def _kind(value: Any, depth: int) -> Hashable:
    """The shape of a value; equal for values that the schemas can only distinguish by their texts."""
    if isinstance(value, dict):
        return tuple((key, _kind(item, depth + 1)) for key, item in value.items()) if depth < _DEEPEST else dict
    if isinstance(value, list):
        return frozenset(_kind(item, depth + 1) for item in value) if depth < _DEEPEST else list
    return type(value), isinstance(value, str) and (len(value) > _LONG or _ODD.search(value) is not None)


def _validate(document: YamlDocument, schema: str, fits: bool) -> None:
    """The validator and its words against the quick check."""
    if fits:
        refused = next(schema_check._validator(schema).iter_errors(document.value), None)
        assert refused is None, f"the quick check accepts what the validator refuses: {refused}"
        return
    found = schema_check.check_document(document, schema)
    assert found, "the quick check refuses what the validator accepts"
    _print(found, {document.file: document.text})


def _load(index: int, name: str, text: bytes) -> None:
    folder = _folder()
    pack = folder / "pack"
    file = (pack if index < _IN_A_PACK else folder) / name
    before = file.read_bytes() if index < _IN_A_PACK else None
    file.write_bytes(text)
    try:
        if index < _IN_A_PACK:
            loaded = read_pack(pack)
            read_cases(loaded, pack)
            for problem in lint_pack(loaded).problems:
                format_problem(problem, loaded.texts)
            run_cases(loaded, pack)
        elif index == _IN_A_PACK:
            read_baseline(file)
        elif index == _IN_A_PACK + 1:
            read_house_rules(file, name, _pack().catalog)
        else:
            read_exemptions(file, name, _pack().catalog)
    except PolicyEngineError as error:
        _print(tuple(error.problems), error.sources)
    finally:
        if before is not None:
            file.write_bytes(before)


def _print(problems: tuple[Problem, ...], sources: Any) -> None:
    for problem in problems:
        text = format_problem(problem, sources)
        assert text.isprintable() or (set(text) - set("\n") and text.replace("\n", "").isprintable()), "not printable"
        if problem.span is not None:
            assert problem.span.line >= 1
            assert problem.span.column is None or problem.span.column >= 1


WORDS = tuple(
    word.encode()
    for word in (
        "id: ", "title: ", "summary: ", "versions:", "- version: 1", "version: ", "effective_from: ", "recorded_on: ",
        "selector: ", "service: ", "watermarked: ", "storage: ", "platform", "vendor_cdn", "retention: ", "period: ",
        "vendor_terms", "operation_window: ", "operations: ", "citation: ", "source: ", "section: ", "retrieved_on: ",
        "basis: ", "published", "observed", "assumed", "internal", "withdrawn: true", "task_type: ", "account: ",
        "media: ", "role: ", "P3D", "PT3H", "P1M", '"2026-01-02"', '"2026-01-02T00:00:00Z"', "true", "false", "null",
        "&a ", "*a", "<<: ", "!!python/object:os.system ", "!!binary ", "---", "...", "%YAML 1.2", "? ", "|", ">", "- ",
        "[", "]", "{", "}", ": ", ", ", "#", '"', "'", "\\u0000", "\\ud800", "\ufeff", "\u2028", "\u0085", "\r\n",
        "cases:", "name: ", "given:", "task: ", "tasks: ", "as_of: ", "expect: ", "no_asset: ", "rule: ", "verdict: ",
        "services:", "outputs:", "path: ", "kind: ", "names:", "model: ", "task_types: ", "expected: ", "statuses: ",
        "works[].video.resource", "{}", "[]", "host_owners:", "money:", "points_per_usd: ", "sources:", "url: ",
        "no_published_rule:", "reason: ", "horizon: ", "longest_task:", "exemptions:", "owner: ", "until: ", "rules:",
        "1e999", ".inf", ".nan", "0x10", "9999999999999999999", "-1", "1.5",
    )
)  # fmt: skip

if __name__ == "__main__":
    fuzzing.main("fuzz_rules", check, WORDS)
