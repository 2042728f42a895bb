"""
Turns a JSON Schema into a function that says quickly whether a value fits it, and nothing about why not.

Most files are right, and a validator that could explain every error spends most of the time of reading a large pack.
INVARIANT: what this accepts, the validator accepts; what it refuses is put to the validator, which has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

_NOTES = frozenset((
    "$schema", "$id", "$defs", "title", "description", "examples", "patternErrorMessage", "markdownEnumDescriptions",
))  # fmt: skip
"""Keywords that assert nothing."""
_BESIDE = frozenset(("then", "else"))
"""Keywords that `if` takes along."""

_TYPES: Mapping[str, Check] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


def compile_schema(schema: Mapping[str, Any], formats: Mapping[str, Callable[[str], object]]) -> Check:
    """Compile a schema whose references are to its own `$defs`; raises ValueError for a keyword it does not know."""
    return _Compiler(schema, formats).compile(schema)


class _Compiler:
    """One compilation; definitions are compiled when they are first met."""

    def __init__(self, root: Mapping[str, Any], formats: Mapping[str, Callable[[str], object]]) -> None:
        self._root = root
        self._formats = formats
        self._definitions: dict[str, Check] = {}

    def compile(self, schema: Mapping[str, Any]) -> Check:
        """A function that is true when every keyword of the schema holds."""
        checks = []
        for keyword, value in schema.items():
            if keyword in _NOTES or keyword in _BESIDE:
                continue
            make = _KEYWORDS.get(keyword)
            if make is None:
                raise ValueError(f"the keyword `{keyword}` has no quick check")
            checks.append(make(self, value, schema))
        return checks[0] if len(checks) == 1 else lambda value: _all(checks, value)

    def definition(self, reference: str) -> Check:
        """The check of `#/$defs/NAME`."""
        prefix, _, name = reference.rpartition("/")
        if prefix != "#/$defs":
            raise ValueError(f"the reference `{reference}` leads out of the schema")
        if name not in self._definitions:
            self._definitions[name] = self.compile(self._root["$defs"][name])
        return self._definitions[name]


def _all(checks: list[Check], value: Any) -> bool:
    for check in checks:
        if not check(value):
            return False
    return True


def _type(_: _Compiler, wanted: str | list[str], schema: Mapping[str, Any]) -> Check:
    if isinstance(wanted, str):
        return _TYPES[wanted]
    kinds = [_TYPES[name] for name in wanted]
    return lambda value: any(kind(value) for kind in kinds)


def _properties(compiler: _Compiler, members: Mapping[str, Any], schema: Mapping[str, Any]) -> Check:
    checks = {name: compiler.compile(member) for name, member in members.items()}

    def check(value: Any) -> bool:
        if isinstance(value, dict):
            for name, member in value.items():
                known = checks.get(name)
                if known is not None and not known(member):
                    return False
        return True

    return check


def _additional(compiler: _Compiler, rest: bool | Mapping[str, Any], schema: Mapping[str, Any]) -> Check:
    known = frozenset(schema.get("properties", ()))
    if isinstance(rest, bool):
        return lambda value: rest or not isinstance(value, dict) or value.keys() <= known
    check = compiler.compile(rest)
    return lambda value: (
        not isinstance(value, dict) or all(check(member) for name, member in value.items() if name not in known)
    )


def _one_of(_: _Compiler, values: list[Any], schema: Mapping[str, Any]) -> Check:
    # Only a value of the very same type: 1, 1.0 and true are distinguished by the validator.
    allowed = {(type(value), value) for value in values}
    return lambda value: not isinstance(value, (dict, list)) and (type(value), value) in allowed


def _unique(_: _Compiler, is_wanted: bool, schema: Mapping[str, Any]) -> Check:
    def check(value: Any) -> bool:
        if not is_wanted or not isinstance(value, list):
            return True
        plain = [(type(item), item) for item in value if not isinstance(item, (dict, list))]
        return len(set(plain)) == len(plain)

    return check


def _pattern(_: _Compiler, pattern: str, schema: Mapping[str, Any]) -> Check:
    search = re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", pattern)).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _format(compiler: _Compiler, name: str, schema: Mapping[str, Any]) -> Check:
    read = compiler._formats[name]

    def check(value: Any) -> bool:
        if isinstance(value, str):
            try:
                read(value)
            except ValueError:
                return False
        return True

    return check


def _condition(compiler: _Compiler, premise: Mapping[str, Any], schema: Mapping[str, Any]) -> Check:
    _demand_exact(premise)
    holds = compiler.compile(premise)
    then, otherwise = (compiler.compile(schema.get(name, {})) for name in ("then", "else"))
    return lambda value: then(value) if holds(value) else otherwise(value)


def _demand_exact(schema: Mapping[str, Any]) -> None:
    """Under `if` and `not` a refusal counts as much as an acceptance, so only what is exact both ways is used."""
    for keyword, value in schema.items():
        if keyword == "properties":
            for member in value.values():
                _demand_exact(member)
        elif keyword in ("const", "enum"):
            if not all(isinstance(each, str) for each in (value if keyword == "enum" else [value])):
                raise ValueError(f"the keyword `{keyword}` under a condition must be about text")
        elif keyword not in ("type", "required") and keyword not in _NOTES:
            raise ValueError(f"the keyword `{keyword}` has no place under a condition")


def _dependent(_: _Compiler, needs: Mapping[str, list[str]], schema: Mapping[str, Any]) -> Check:
    return lambda value: (
        not isinstance(value, dict)
        or all(set(needed) <= value.keys() for name, needed in needs.items() if name in value)
    )


def _required(_: _Compiler, names: list[str], schema: Mapping[str, Any]) -> Check:
    needed = frozenset(names)
    return lambda value: not isinstance(value, dict) or value.keys() >= needed


def _reference(compiler: _Compiler, target: str, schema: Mapping[str, Any]) -> Check:
    return compiler.definition(target)


def _items(compiler: _Compiler, member: Mapping[str, Any], schema: Mapping[str, Any]) -> Check:
    check = compiler.compile(member)
    return lambda value: not isinstance(value, list) or all(map(check, value))


def _names(compiler: _Compiler, member: Mapping[str, Any], schema: Mapping[str, Any]) -> Check:
    check = compiler.compile(member)
    return lambda value: not isinstance(value, dict) or all(map(check, value))


def _not(compiler: _Compiler, member: Mapping[str, Any], schema: Mapping[str, Any]) -> Check:
    _demand_exact(member)
    check = compiler.compile(member)
    return lambda value: not check(value)


def _every(compiler: _Compiler, members: list[Mapping[str, Any]], schema: Mapping[str, Any]) -> Check:
    checks = [compiler.compile(member) for member in members]
    return lambda value: _all(checks, value)


def _size(kind: Any, is_upper: bool) -> Callable[[_Compiler, int, Mapping[str, Any]], Check]:
    def make(_: _Compiler, limit: int, schema: Mapping[str, Any]) -> Check:
        if is_upper:
            return lambda value: not isinstance(value, kind) or len(value) <= limit
        return lambda value: not isinstance(value, kind) or len(value) >= limit

    return make


def _minimum(_: _Compiler, limit: float, schema: Mapping[str, Any]) -> Check:
    return lambda value: isinstance(value, bool) or not isinstance(value, (int, float)) or value >= limit


_KEYWORDS: Mapping[str, Callable[[_Compiler, Any, Mapping[str, Any]], Check]] = {
    "$ref": _reference,
    "additionalProperties": _additional,
    "allOf": _every,
    "const": lambda compiler, value, schema: _one_of(compiler, [value], schema),
    "dependentRequired": _dependent,
    "enum": _one_of,
    "format": _format,
    "if": _condition,
    "items": _items,
    "maxLength": _size(str, True),
    "minItems": _size(list, False),
    "minLength": _size(str, False),
    "minProperties": _size(dict, False),
    "minimum": _minimum,
    "not": _not,
    "pattern": _pattern,
    "properties": _properties,
    "propertyNames": _names,
    "required": _required,
    "type": _type,
    "uniqueItems": _unique,
}
