"""Reads rows of tables straight into columns; leaves blocks with anything to set aside or to report alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any, NoReturn

from policy_engine.core.urls.address_column import UrlColumn
from policy_engine.core.urls.addresses import is_plain_url
from policy_engine.history.records.batch import FlatFile, RecordColumns
from policy_engine.history.records.cells import ZERO_DATE, identifier, read_amount, read_pool, word
from policy_engine.history.records.names import ServiceNames
from policy_engine.history.records.outputs import StatedFacts, read_facts, read_flat_output

# Why this path is exact: every cell is read by the functions that the general reader has for it, once per distinct
# value of a column, and any cell with which the general reader would find a problem makes it leave the block.
# tests/history/tables/test_row_blocks.py compares both.

_TEXT = frozenset((str,))
_SCALARS = frozenset((str, int, float, bool, NoneType))


class _Left(Exception):
    """Something in a block wants the general reader."""


class FlatPath:
    """Reads blocks of rows in which no row is set aside and no cell is a problem."""

    def __init__(self, names: ServiceNames) -> None:
        """`names` resolve the models and states."""
        self._names = names

    def columns(self, table: Mapping[str, Sequence[Any]], first_line: int) -> RecordColumns | None:
        """
        The records of rows on successive lines, or None when any of them wants the general reader.

        `table` holds n cells for each documented column of the table; a missing value is None or "".
        """
        try:
            return self._columns(table, first_line)
        except (_Left, TypeError):
            # Lists and objects cannot be looked up by their value.
            return None

    def _columns(self, table: Mapping[str, Sequence[Any]], first_line: int) -> RecordColumns:
        if not all(type(task_id) is str for task_id in table["task_id"]):
            raise _Left
        ids = list(map(str.strip, table["task_id"]))
        if not all(ids):
            raise _Left
        count = len(ids)
        nothing: list[Any] = [None] * count

        def column(name: str, read: Callable[[Any], Any]) -> list[Any]:
            values = table.get(name)
            return nothing if values is None else _each_once(values, read)

        stated, models, types = (column(name, _text) for name in ("service", "model", "task_type"))
        names = self._names
        namings = _each_once(
            list(zip(models, types, stated, strict=True)), lambda stated: names.resolve_stated(*stated)
        )
        services = [naming.service for naming, _ in namings]
        statuses = column("status", _text)
        return RecordColumns(
            line=list(range(first_line, first_line + count)),
            item=[0] * count,
            task_id=ids,
            service=services,
            model=[model for _, model in namings],
            task_type=[naming.task_type for naming, _ in namings],
            floating=[naming.is_floating for naming, _ in namings],
            is_object=[False] * count,
            status=statuses,
            state=names.states_of(statuses),
            created_at=_times(table.get("created_at", nothing)),
            ended_at=_times(table.get("ended_at", nothing)),
            updated_at=list(table.get("updated_at", nothing)),
            webhook=nothing,
            pool=column("is_using_private_pool", _pool),
            mode=column("service_mode", _text),
            account=column("account", lambda value: self._stated(None).read("account", value)),
            consume=column("consume", lambda value: read_amount(value, "consume", _report)),
            share=column("points", lambda value: read_amount(value, "points", _report)),
            unit=column("usage_type", word),
            account_id=column("account_id", identifier),
            api_key_id=column("api_key_id", identifier),
            output=self._outputs(table, nothing, services),
        )

    def _stated(self, service: str | None) -> StatedFacts:
        return StatedFacts(self._names.facts, service, _report)

    def _outputs(
        self, table: Mapping[str, Sequence[Any]], nothing: list[Any], services: Sequence[str | None]
    ) -> list[Any]:
        if "url" not in table and "output" not in table:
            return nothing
        names = ("output", "media", "role", "watermarked")
        rows = list(zip(services, *(table.get(name, nothing) for name in names), strict=True))
        facts = _each_once(rows, self._facts)
        urls = table.get("url", nothing)
        if None not in facts and _are_common(urls):
            return [FlatFile(url, *known) for url, known in zip(urls, facts, strict=True)]
        # A cell that holds just an address, and a row that says no more than what is known of it.
        return [
            FlatFile(url, *known) if known is not None and type(url) is str and is_plain_url(url)
            else self._any_output(url, *row)
            for url, known, row in zip(urls, facts, rows, strict=True)
        ]  # fmt: skip

    def _facts(self, stated: tuple[Any, ...]) -> tuple[str | None, ...] | None:
        """What a row states about the file at its address; None where its output is more than a name."""
        service, output, media, role, watermarked = stated
        return read_facts(output, media, role, watermarked, self._stated(service))

    def _any_output(self, url: Any, service: str | None, output: Any, media: Any, role: Any, watermarked: Any) -> Any:
        row = {"url": url, "output": output, "media": media, "role": role, "watermarked": watermarked}
        return read_flat_output(row, self._stated(service))


def _are_common(urls: Sequence[Any]) -> bool:
    """True when all cells hold just an address of the common form."""
    return all(urls) and _TEXT.issuperset(map(type, urls)) and UrlColumn(urls).are_common()


def _each_once(values: Sequence[Any], read: Callable[[Any], Any]) -> list[Any]:
    answers = {value: read(value) for value in set(values)}
    return list(map(answers.__getitem__, values))


def _text(value: Any) -> str | None:
    if value is not None and type(value) is not str:
        raise _Left
    return value or None


def _pool(value: Any) -> bool | None:
    return read_pool([{"is_using_private_pool": value}], _report)


def _times(values: Sequence[Any]) -> list[Any]:
    if not _SCALARS.issuperset(map(type, values)):
        raise _Left
    # is_missing, written out: nearly every row has a time of its own.
    return [None if not time or (type(time) is str and time[:10] == ZERO_DATE) else time for time in values]


def _report(code: str, name: str, found: str) -> NoReturn:
    raise _Left
