"""Reads blocks of plain task objects straight into typed columns; leaves everything else to the general reader."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from policy_engine.history.decoding import STRICT_ERRORS, check_utf8, decode_strictly, lines_of_objects
from policy_engine.history.records.batch import RecordColumns
from policy_engine.history.records.cells import MAX_USAGE
from policy_engine.history.records.names import ServiceNames

# Why this path is exact: a block is taken only if every line decodes into the types below, in which case the general
# reader would read the same values and find no problem. A field typed UnsetType may not be there at all: it is one
# that the general reader gives a meaning to (envelopes, pages, history rows, legacy shapes, flat rows). Fields not
# named here are those that the general reader does not look at either.
# tests/history/records/test_task_blocks.py compares both.

_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_USAGE)]


class _Usage(msgspec.Struct, gc=False):
    type: str | None = None
    consume: _Count | None = None


class _Meta(msgspec.Struct, gc=False):
    created_at: str | None = None
    ended_at: str | None = None
    usage: _Usage | None = None
    is_using_private_pool: bool | None = None
    completed_at: UnsetType = UNSET
    task_type: UnsetType = UNSET
    quota_usage: UnsetType = UNSET
    quota_used: UnsetType = UNSET


class _Config(msgspec.Struct, gc=False):
    service_mode: str | None = None


_NO_META = _Meta()
_NO_USAGE = _Usage()
_PLAIN_STARTS = frozenset((b"{", b"[", b"n", b""))
"""First bytes of an output that is an object, a list, null or absent."""
_LONG, _DEEP = 1_000, 500
"""Only longer outputs can be nested so deeply that decoding them later might fail where it would not have here."""
_LONGEST_BLANK = 4
"""Outputs this short are decoded at once, so that the common blanks (`null`, `{}`, `[]`) become None."""


_FIELDS: list[tuple[str, Any, Any]] = [
    ("task_id", Annotated[str, msgspec.Meta(min_length=1)]),  # type: ignore[list-item]
    ("model", str | None, None),
    ("task_type", str | None, None),
    ("status", str | None, None),
    ("config", _Config | UnsetType | None, UNSET),
    ("meta", _Meta | UnsetType | None, UNSET),
    ("output", msgspec.Raw, msgspec.Raw(b"")),
    ("detail", None, None),
]
_ABSENT = (
    "data", "task_model", "action", "metadata", "url", "is_using_private_pool", "created_at", "ended_at",
    "completed_at", "updated_at", "service_mode", "usage", "usage_type", "consume", "account_id", "api_key_id",
)  # fmt: skip


@lru_cache
def _decoder(legacy_outputs: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    absent = [(name, UnsetType, UNSET) for name in dict.fromkeys((*_ABSENT, *legacy_outputs))]
    # Decoded values hold no cycles, so the collector need not know them.
    task: Any = msgspec.defstruct("Task", [*_FIELDS, *absent], gc=False)
    return msgspec.json.Decoder(task)


class FastPath:
    """Decodes blocks of JSON Lines that hold nothing but unified task objects."""

    def __init__(self, names: ServiceNames, legacy_outputs: tuple[str, ...]) -> None:
        """`legacy_outputs` are fields that must not be there, beside those that every provider's shapes have."""
        self._decoder = _decoder(legacy_outputs)
        self._names = names
        self._legacy_outputs = legacy_outputs

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to a worker process, where the decoder is built again."""
        return FastPath, (self._names, self._legacy_outputs)

    def columns(self, block: bytes, first_line: int) -> RecordColumns | None:
        """The records of a block of lines, or None when any line is something else."""
        count = lines_of_objects(block)
        if not count:
            return None
        try:
            # The encoding of what is skipped is not checked by the decoder.
            check_utf8(block)
            tasks: list[Any] = self._decoder.decode_lines(block)
        except STRICT_ERRORS:
            return None
        if len(tasks) != count:
            # A line holds several values.
            return None
        texts = [bytes(task.output) for task in tasks]
        if not {text[:1] for text in texts} <= _PLAIN_STARTS:
            return None
        longest = max(map(len, texts))
        if longest > _LONG and any(len(text) > _LONG and text.count(b"[") + text.count(b"{") > _DEEP for text in texts):
            return None
        ids = [task.task_id for task in tasks]
        if any(map(str.isspace, ids)):
            return None
        metas = [task.meta or _NO_META for task in tasks]
        usages = [meta.usage or _NO_USAGE for meta in metas]
        models = [task.model or None for task in tasks]
        statuses = [task.status or None for task in tasks]
        types = [task.task_type or None for task in tasks]
        modes = [task.config.service_mode or None if task.config else None for task in tasks]
        units = [usage.type or None for usage in usages]
        # One text for each word: later steps then read few texts instead of one per task.
        words: dict[Any, Any] = {}
        models, statuses, types, modes, units = (
            list(map(words.setdefault, column, column)) for column in (models, statuses, types, modes, units)
        )
        nothing: list[Any] = [None] * count
        namings = self._names.resolve_all(models, types)
        has_parts = [
            not (task.meta is UNSET and task.config is UNSET and not text)
            for task, text in zip(tasks, texts, strict=True)
        ]
        return RecordColumns(
            line=list(range(first_line, first_line + count)),
            item=[0] * count,
            task_id=ids,
            service=[naming.service for naming in namings],
            model=models,
            task_type=[naming.task_type for naming in namings],
            floating=[naming.is_floating for naming in namings],
            is_object=has_parts,
            status=statuses,
            state=self._names.states_of(statuses),
            created_at=[meta.created_at or None for meta in metas],
            ended_at=[meta.ended_at or None for meta in metas],
            updated_at=nothing,
            webhook=nothing,
            pool=[meta.is_using_private_pool for meta in metas],
            mode=modes,
            account=nothing,
            consume=[usage.consume for usage in usages],
            share=nothing,
            unit=units,
            account_id=nothing,
            api_key_id=nothing,
            output=[text if len(text) > _LONGEST_BLANK else decode_strictly(text or b"null") or None for text in texts],
        )
