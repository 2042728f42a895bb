"""Turns a YAML document and the name of a bundled schema into problems with a location, in words for people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain, islice
from typing import Any
from urllib.parse import urlsplit

from policy_engine.core.periods import MAX_INSTANT, MIN_INSTANT, parse_date, parse_duration, parse_instant
from policy_engine.core.problems import Problem, suggest
from policy_engine.core.resources import bundled
from policy_engine.core.safe_text import plain
from policy_engine.packs.compiled_schema import compile_schema
from policy_engine.packs.yaml_document import MAX_PROBLEMS, MAX_WORD, ValuePath, YamlDocument

SCHEMAS = ("pack", "catalog", "rule", "cases", "baseline", "house-rules", "exemptions")
"""Names of the schemas of files that people write."""

_TYPE_WORDS = {
    "object": "a map", "array": "a list", "string": "text", "integer": "a whole number", "number": "a number",
    "boolean": "true or false", "null": "nothing",
}  # fmt: skip


def check_document(document: YamlDocument, schema: str) -> tuple[Problem, ...]:
    """Return everything in which the document differs from the schema, one of SCHEMAS."""
    if _quick(schema)(document.value):
        return ()
    errors = islice(_validator(schema).iter_errors(document.value), MAX_PROBLEMS)
    # One error can be about many keys.
    problems = islice(chain.from_iterable(_explain(error, document) for error in errors), MAX_PROBLEMS)
    return tuple(sorted(set(problems), key=Problem.sort_key))


def load_schema(name: str) -> dict[str, Any]:
    """Read a bundled JSON Schema."""
    path = bundled("schemas") / f"{name}.v1.schema.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def _check_instant(text: str) -> None:
    if not MIN_INSTANT <= parse_instant(text) <= MAX_INSTANT:
        raise ValueError("a time before 1824 or after 2115")


def _check_uri(text: str) -> None:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or not re.fullmatch(r"[!-~]+", text):
        raise ValueError("not the address of a page, such as https://example.com/page")


FORMATS: Mapping[str, Callable[[str], object]] = {
    "date": parse_date,
    "date-time": _check_instant,
    "duration": parse_duration,
    "uri": _check_uri,
}
"""What each `format` in the schemas means; a checker raises ValueError with the reason."""


@cache
def _quick(name: str) -> Callable[[Any], bool]:
    """Says of nearly every file that it is right, without the validator."""
    return compile_schema(load_schema(name), FORMATS)


@cache
def _validator(name: str) -> Any:
    """A validator that knows the bundled schema and nothing else: no `$ref` ever reaches a network."""
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.validators import extend
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    formats = FormatChecker(formats=())
    for word, check in FORMATS.items():
        formats.checks(word, raises=ValueError)(_of_text(check))
    strict_types = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    make: Any = extend  # it carries no types
    validator = make(
        Draft202012Validator, {"pattern": _check_pattern, "uniqueItems": _check_unique}, type_checker=strict_types
    )
    schema = load_schema(name)
    registry: Any = Registry().with_resource(schema["$id"], DRAFT202012.create_resource(schema))
    return validator(schema, format_checker=formats, registry=registry)


def _of_text(check: Callable[[str], object]) -> Callable[[object], bool]:
    """A format says something of text only; other types are the business of `type`."""

    def checker(value: object) -> bool:
        if isinstance(value, str):
            check(value)
        return True

    return checker


def _check_pattern(validator: Any, pattern: str, value: object, schema: Any) -> Iterator[Any]:
    """JSON Schema's `pattern`: its `$` is the end of the text, not the position before a last line break."""
    from jsonschema import ValidationError

    if isinstance(value, str) and re.search(re.sub(r"(?<!\\)\$$", r"\\Z", pattern), value) is None:
        yield ValidationError(f"does not match {pattern}")


def _check_unique(validator: Any, is_wanted: bool, value: object, schema: Any) -> Iterator[Any]:
    """JSON Schema's `uniqueItems` for lists of plain values, in a time that grows with the list and no faster."""
    from jsonschema import ValidationError

    if is_wanted and isinstance(value, list):
        plain_values = [(type(item), item) for item in value if not isinstance(item, (dict, list))]
        if len(set(plain_values)) < len(plain_values):
            yield ValidationError("has equal items")


def _explain(error: Any, document: YamlDocument) -> Iterable[Problem]:
    """Say in words what one schema error means."""
    path: ValuePath = tuple(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        key = str(error.instance)
        hint = error.schema.get("patternErrorMessage", "another name")
        message = f"the key `{plain(key, 60)}` should be {hint}"
        return (Problem("bad-format", message, document.key_span(*path, key)),)
    explain = _EXPLANATIONS.get(error.validator, _explain_other)
    return explain(error, path, document)


def _explain_extra_keys(error: Any, path: ValuePath, document: YamlDocument) -> Iterator[Problem]:
    known = list(error.schema.get("properties", {}))
    for key in error.instance:
        if key in known:
            continue
        near = suggest(key[:MAX_WORD], [name for name in known if name not in error.instance])
        hint = f"did you mean `{near}`?" if near else f"known here: {_listing(known)}"
        message = f"unknown key `{plain(key, 60)}`{_inside(path)}"
        yield Problem("unknown-key", message, document.key_span(*path, key), help=hint)


def _explain_missing_key(error: Any, path: ValuePath, document: YamlDocument) -> Iterator[Problem]:
    required = error.validator_value
    if isinstance(required, Mapping):  # dependentRequired
        pairs = [(need, key) for key, needs in required.items() if key in error.instance for need in needs]
        missing = [(need, f"`{key}` needs `{need}` beside it{_inside(path)}") for need, key in pairs]
    else:
        missing = [(need, f"the key `{need}` is missing{_inside(path)}") for need in required]
    for need, message in missing:
        if need in error.instance:
            continue
        about = error.schema.get("properties", {}).get(need, {})
        hint = about.get("description") if isinstance(about, Mapping) else None
        hint = f"`{need}`: {hint[:1].lower()}{hint[1:].rstrip('.')}" if hint else None
        yield Problem("missing-key", message, document.key_span(*path), help=hint)


def _explain_type(error: Any, path: ValuePath, document: YamlDocument) -> Iterator[Problem]:
    wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    words = " or ".join(_TYPE_WORDS[word] for word in wanted)
    hint = None
    if "string" in wanted and isinstance(error.instance, (int, float)):
        hint = "put it in quotes"
    elif "array" in wanted and not isinstance(error.instance, dict) and error.instance is not None:
        hint = f"write a list: [{_shown(error.instance)}]"
    elif "boolean" in wanted:
        hint = "write `true` or `false`, without quotes"
    message = f"{_subject(path)} should be {words}, found {_found(error.instance)}"
    yield Problem("wrong-type", message, document.span(*path), help=hint)


def _explain_choice(error: Any, path: ValuePath, document: YamlDocument) -> Iterator[Problem]:
    allowed = [error.validator_value] if error.validator == "const" else list(error.validator_value)
    words = [_shown(word) for word in allowed]
    near = suggest(error.instance[:MAX_WORD], words) if isinstance(error.instance, str) else None
    hint = f"did you mean `{near}`?" if near else f"allowed: {_listing(words)}"
    message = f"{_subject(path)} cannot be {_found(error.instance)}"
    yield Problem("not-allowed", message, document.span(*path), help=hint)


def _explain_format(error: Any, path: ValuePath, document: YamlDocument) -> Iterator[Problem]:
    reason = str(error.cause) if error.cause is not None else f"not a {error.validator_value}"
    if not reason.startswith("`"):
        reason = f"`{plain(error.instance, 60)}` is {reason}"
    message = f"{_subject(path)}: {plain(reason, 200)}"
    yield Problem("bad-format", message, document.span(*path))


def _explain_pattern(error: Any, path: ValuePath, document: YamlDocument) -> Iterator[Problem]:
    hint = error.schema.get("patternErrorMessage", f"text like {error.validator_value}")
    shown = plain(error.instance, 60)
    yield Problem("bad-format", f"{_subject(path)} should be {hint}, found `{shown}`", document.span(*path))


def _explain_size(error: Any, path: ValuePath, document: YamlDocument) -> Iterator[Problem]:
    limit = error.validator_value
    message = {
        "minItems": "should not be empty" if limit == 1 else f"should have at least {limit} entries",
        "minLength": "should not be empty",
        "minProperties": "should not be empty",
        "maxLength": f"is longer than {limit} characters",
        "minimum": f"should be at least {limit}, found {_found(error.instance)}",
        "uniqueItems": "names the same value twice",
    }[error.validator]
    yield Problem("not-allowed", f"{_subject(path)} {message}", document.span(*path))


def _explain_other(error: Any, path: ValuePath, document: YamlDocument) -> Iterator[Problem]:
    """A key that is not allowed beside the others (`not: {}` in the schema), or a value ruled out by `not`."""
    if error.validator == "not" and not error.validator_value:
        message = f"{_subject(path)} is not allowed{_inside(path[:-1])}"
        hint = error.schema.get("description", "remove it")
        yield Problem("not-allowed", message, document.key_span(*path), help=hint)
    else:
        message = f"{_subject(path)} cannot be {_found(error.instance)}"
        yield Problem("not-allowed", message, document.span(*path))


_EXPLANATIONS: dict[str | None, Callable[[Any, ValuePath, YamlDocument], Iterator[Problem]]] = {
    "additionalProperties": _explain_extra_keys,
    "required": _explain_missing_key,
    "dependentRequired": _explain_missing_key,
    "type": _explain_type,
    "enum": _explain_choice,
    "const": _explain_choice,
    "format": _explain_format,
    "pattern": _explain_pattern,
    "minItems": _explain_size,
    "minLength": _explain_size,
    "minProperties": _explain_size,
    "maxLength": _explain_size,
    "minimum": _explain_size,
    "uniqueItems": _explain_size,
}


def _subject(path: ValuePath) -> str:
    """The user's name of a value: its key, or its list and number."""
    if not path:
        return "the file"
    if isinstance(path[-1], int):
        return f"entry {path[-1] + 1} of {_subject(path[:-1])}"
    return f"`{plain(path[-1], 60)}`"


def _inside(path: ValuePath) -> str:
    """` in <subject>`, or nothing at the top of the file."""
    return f" in {_subject(path)}" if path else ""


def _found(value: object) -> str:
    """A short, safe account of a value; maps and lists are never printed."""
    if isinstance(value, bool) or value is None:
        return "nothing" if value is None else f"`{str(value).lower()}`"
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str) and not value:
        return "empty text"
    return f"`{plain(value, 60)}`"


def _shown(value: object) -> str:
    """A scalar as YAML spells it."""
    return str(value).lower() if isinstance(value, bool) else plain(value, 60)


def _listing(words: Iterable[str]) -> str:
    """Words in backticks, joined by commas."""
    return ", ".join(f"`{word}`" if word else "empty text" for word in words)
