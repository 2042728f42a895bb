"""Takes decoded JSON apart into records: bare tasks, envelopes, webhooks, history pages, arrays of any of these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from policy_engine.history.decoding import NotJson, decode_values, kind_of

_MAX_DEPTH = 8
_OF_RECORDS = frozenset({"status", "model", "task_model", "task_type", "action", "output", "created_at"})
"""Fields that a record has and nothing around it."""


class Taken(NamedTuple):
    """A record, or a value found where a record should be."""

    record: Mapping[str, Any] | None
    webhook: object
    """`timestamp` of the nearest envelope around it."""
    is_one_of_many: bool
    """True inside an array or a page, where records are distinguished by their number."""
    refusal: tuple[str, str, str] = ("", "", "")
    """Without a record: code, what was found, what was expected."""


class Page(NamedTuple):
    """What a page of the task history declares."""

    total: int
    number: int | None
    rows: int


def is_bare(value: object) -> bool:
    """True for a record with nothing around it, the common case."""
    return type(value) is dict and "task_id" in value and value.get("data") is None


def take_apart(
    value: object, pages: list[Page], webhook: object = None, depth: int = 0, is_one_of_many: bool = False
) -> Iterator[Taken]:
    """Yield every record in a value, and whatever is found where one should be; pages are noted in `pages`."""
    if isinstance(value, list) and depth < _MAX_DEPTH:
        for element in value:
            yield from take_apart(element, pages, webhook, depth + 1, True)
    elif not isinstance(value, dict):
        yield Taken(None, None, is_one_of_many, ("not_an_object", kind_of(value), "a task object"))
    else:
        data = value.get("data")
        if data is not None and ("task_id" not in value or _is_task(data)):
            yield from _open_envelope(value, data, pages, webhook, depth, is_one_of_many)
        elif "task_id" in value:
            yield Taken(value, webhook, is_one_of_many)
        elif "data" in value and type(value.get("total")) is int:
            # A page past the last one holds no row, and says so with null.
            _note_page(value, [], pages)
        elif "data" in value:
            refusal = ("no_task_in_envelope", "an envelope without a task", "`data` with a task")
            yield Taken(None, None, is_one_of_many, refusal)
        elif depth < _MAX_DEPTH and (holders := _holders(value, depth)):
            # A dump of somebody's own making: tasks under a name, or by their ids.
            for holder in holders:
                if isinstance(holder, list):
                    _note_page(value, holder, pages)
                yield from take_apart(holder, pages, webhook, depth + 1, is_one_of_many or len(holders) > 1)
        else:
            yield Taken(value, webhook, is_one_of_many)


def _open_envelope(
    envelope: dict[str, Any], data: object, pages: list[Page], webhook: object, depth: int, is_one_of_many: bool
) -> Iterator[Taken]:
    refusal = ("no_task_in_envelope", f"`data` is {kind_of(data)}", "`data` with a task")
    if isinstance(data, str) and data.lstrip()[:1] in ("{", "["):
        try:
            values = [value for _, value in decode_values(data.encode("utf-8", "replace"))]
        except NotJson:
            values = []
        data = values[0] if len(values) == 1 else values or data
    if not isinstance(data, (dict, list)):
        yield Taken(None, None, is_one_of_many, refusal)
    elif depth >= _MAX_DEPTH:
        yield Taken(None, None, is_one_of_many, ("nested_too_deep", "envelopes within envelopes", "one task"))
    else:
        if isinstance(data, list):
            _note_page(envelope, data, pages)
        yield from take_apart(data, pages, envelope.get("timestamp", webhook), depth + 1, is_one_of_many)


def _is_task(value: object) -> bool:
    return isinstance(value, dict) and "task_id" in value


def _holders(value: dict[str, Any], depth: int) -> list[Any]:
    """Parts of a dump that hold tasks; a record that lacks its id is not a dump, whatever its parts are about."""
    return [] if not _OF_RECORDS.isdisjoint(value) else [part for part in value.values() if _holds_tasks(part, depth)]


def _holds_tasks(value: object, depth: int) -> bool:
    if depth >= _MAX_DEPTH:
        return False
    if isinstance(value, list):
        return any(_holds_tasks(item, depth + 1) for item in value)
    return isinstance(value, dict) and ("task_id" in value or bool(_holders(value, depth + 1)))


def _note_page(page: dict[str, Any], rows: list[Any], pages: list[Page]) -> None:
    total, number = _whole(page.get("total")), _whole(page.get("page"))
    if total is not None:
        pages.append(Page(total, number, len(rows)))


def _whole(value: object) -> int | None:
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= 12:
        return int(value)
    return value if type(value) is int and 0 <= value < 10**12 else None
