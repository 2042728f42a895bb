"""Turns records into bytes and back, each on its own, so that they can wait outside of memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import msgspec
import numpy as np

from policy_engine.history.records.batch import Batch, FlatFile, Outputs

# Why this is exact: text, numbers up to 64 bits, booleans, None, lists and objects are what MessagePack knows, and
# every other value is written in a form of its own below. Values that only tables bring (decimals, dates) come back as
# the text that JSON has for them, which is all that merging and the search for addresses look at.

_FILE, _OUTPUTS, _LONG_INTEGER = 1, 2, 3
_NAMES = tuple(column.name for column in fields(Batch) if column.name not in ("output", "also"))
_IS_TIME = tuple(column.type == "Int64" for column in fields(Batch) if column.name in _NAMES)


def pack_records(batch: Batch) -> list[bytes]:
    """One text of bytes per record; the batch must not hold merged tasks."""
    if batch.also:
        raise ValueError("a merged task is not a record")
    columns = [
        getattr(batch, name).tolist() if is_time else getattr(batch, name)
        for name, is_time in zip(_NAMES, _IS_TIME, strict=True)
    ]
    outputs = [output if output is None or type(output) is bytes else _wrapped(output) for output in batch.output]
    encode = msgspec.msgpack.Encoder().encode
    return [encode(row) for row in zip(*columns, outputs, strict=True)]


def unpack_records(packed: Iterable[bytes]) -> Batch:
    """The records that `pack_records` wrote, as one batch in the order given."""
    decode = msgspec.msgpack.Decoder(ext_hook=_unwrapped).decode
    rows = [decode(record) for record in packed]
    columns: list[Any] = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(len(_NAMES) + 1)]
    values: dict[str, Any] = {
        name: np.array(column, np.int64) if is_time else column
        for name, is_time, column in zip(_NAMES, _IS_TIME, columns, strict=False)
    }
    return Batch(**values, output=columns[-1])


def _wrapped(value: Any) -> Any:
    """A decoded value in terms of MessagePack."""
    kind = type(value)
    if value is None or kind is str or kind is bool or kind is float:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**64 else msgspec.msgpack.Ext(_LONG_INTEGER, str(value).encode())
    if kind is dict:
        return {key if type(key) in (str, int) else str(key): _wrapped(one) for key, one in value.items()}
    if kind is list:
        return [_wrapped(item) for item in value]
    if kind is FlatFile:
        return msgspec.msgpack.Ext(_FILE, msgspec.msgpack.encode(msgspec.structs.astuple(value)))
    if kind is Outputs:
        # Bytes within stay what they are: an output that has not been decoded yet.
        parts = [part if type(part) is bytes else _wrapped(part) for part in value]
        return msgspec.msgpack.Ext(_OUTPUTS, msgspec.msgpack.encode(parts))
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=str))


def _unwrapped(code: int, data: memoryview) -> Any:
    if code == _FILE:
        return FlatFile(*msgspec.msgpack.decode(data))
    if code == _OUTPUTS:
        return Outputs(msgspec.msgpack.decode(data, ext_hook=_unwrapped))
    return int(bytes(data))
