"""Reads blocks of plain task objects straight into typed columns; leaves everything else to the general reader."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from policy_engine.history.decoding import STRICT_ERRORS
from policy_engine.history.names import ServiceNames
from policy_engine.history.records import MAX_USAGE

# Why this path is exact: a block is taken only if every line decodes into the types below, in which case the general
# reader would read the same values and find no problem. A field typed UnsetType may not be there at all: it is one
# that the general reader gives a meaning to (envelopes, pages, history rows, legacy shapes, flat rows). Fields not
# named here are those that the general reader does not look at either. tests/history/test_fast_path.py compares both.

_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_USAGE)]


_Scalar = str | int | float | bool | None
_Value: Any = _Scalar
for _ in range(6):
    # Outputs nested more deeply are a matter for the general reader, which knows what is too deep.
    _Value = _Scalar | list[_Value] | dict[str, _Value]


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


_FIELDS: list[tuple[str, Any, Any]] = [
    ("task_id", Annotated[str, msgspec.Meta(min_length=1)]),  # type: ignore[list-item]
    ("model", str | None, None),
    ("task_type", str | None, None),
    ("status", str | None, None),
    ("config", _Config | UnsetType | None, UNSET),
    ("meta", _Meta | UnsetType | None, UNSET),
    ("output", dict[str, _Value] | list[_Value] | UnsetType | None, UNSET),
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

    def rows(self, block: bytes, first_line: int) -> list[tuple[Any, ...]] | None:
        """The rows of RecordReader for a block of lines, or None when any line is something else."""
        lines = block.count(b"\n") + (not block.endswith(b"\n"))
        try:
            tasks: list[Any] = self._decoder.decode_lines(block)
        except STRICT_ERRORS:
            return None
        if len(tasks) != lines:
            # Blank lines were skipped, and with them the numbering.
            return None
        resolve, state_of = self._names.resolve, self._names.state_of
        rows = []
        for line, task in enumerate(tasks, first_line):
            if task.task_id.isspace():
                return None
            meta, config, model, status = task.meta, task.config, task.model or None, task.status or None
            naming = resolve(model, task.task_type or None)
            is_object = not (meta is UNSET and config is UNSET and task.output is UNSET)
            if not meta:
                created = ended = pool = consume = unit = None
            else:
                created, ended, pool, usage = meta.created_at, meta.ended_at, meta.is_using_private_pool, meta.usage
                consume, unit = (None, None) if usage is None else (usage.consume, usage.type or None)
            rows.append((
                line, 0, task.task_id, naming.service, model, naming.task_type, naming.is_floating, is_object,
                status, state_of(status), created or None, ended or None, None, None, pool,
                config.service_mode or None if config else None, None, consume, None, unit,
                None, None, task.output or None,
            ))  # fmt: skip
        return rows
