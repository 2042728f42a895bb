"""
Reads columns of Parquet files within bounds.

A text that a file holds once can be the value of any number of its rows, and a run of nothing can be of any length: a
few kilobytes may hold more values than there is memory for. The metadata are checked before anything is read, repeated
texts are read as the few that they are, and what they amount to is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from policy_engine.core.problems import InputUnusable, Problem

_ALWAYS = 1 << 27
_MOST = 300
"""
What columns may amount to: this number of bytes in any case, and this multiple of the size of the file.
Columns pack better than
lines, since equal values are adjacent; a file that is made to fill memory and time holds some ten thousand times its
size.
"""
_VALUE = 32
"""Bytes that a value of a column amounts to at least, also where it is missing."""
_SHORT = 16
"""Bytes for each value up to which a column of texts surely repeats them; such columns are read faster so, too."""
_BATCH = 1 << 26
"""Bytes that texts of a column may take in a batch before they are read as repeated ones."""


class Leaf(NamedTuple):
    """What a Parquet file declares about the values of a column, or of a part of a nested one."""

    kind: str
    repetition: int
    length: int


def leaves_of(file: Any) -> list[Leaf]:
    """
    The leaves of an open file.

    To be asked once per file: pyarrow keeps the description of a file, megabytes where there are many row groups, for
    as long as Python does not look for cycles.
    """
    columns = [file.schema.column(index) for index in range(file.metadata.num_columns)]
    return [Leaf(column.physical_type, column.max_repetition_level, column.length or 0) for column in columns]


def read_columns(
    where: Any, size: int, names: Sequence[str], groups: Sequence[int], rows: int, leaves: Sequence[Leaf] | None = None
) -> Iterator[Any]:
    """
    Batches of at most `rows` rows of some columns, from some row groups of a Parquet file of `size` bytes.

    `where` is a path, or a seekable stream; `leaves` are those of the file, if they are known.
    Raises InputUnusable where the columns amount to far more than a file of its size holds in good faith, and the
    errors of pyarrow for a damaged file.
    """
    import pyarrow.parquet as pq

    most = max(_ALWAYS, _MOST * size)
    with pq.ParquetFile(where) as file:
        repeated = _repeated(where, file, names, groups, rows, most, leaves or leaves_of(file))
    amount = 0
    with pq.ParquetFile(where, read_dictionary=repeated) as file:
        for batch in file.iter_batches(rows, row_groups=list(groups), columns=list(names), use_threads=False):
            amount += sum(map(_amount, batch.columns))
            if amount > most:
                raise _too_tight(most)
            yield batch


def _repeated(
    where: Any,
    file: Any,
    names: Sequence[str],
    groups: Sequence[int],
    rows: int,
    most: int,
    leaves: Sequence[Leaf],
) -> list[str]:
    """Columns of texts that are to be read as a few repeated ones; refuses what can be seen to amount to too much."""
    found: set[str] = set()
    for group in groups:
        chunks = file.metadata.row_group(group)
        for index, leaf in enumerate(leaves):
            chunk = chunks.column(index)
            title, values = chunk.path_in_schema, chunk.num_values
            if not any(title == name or title.startswith(f"{name}.") for name in names):
                continue
            value, is_text = _VALUE, leaf.kind == "BYTE_ARRAY"
            is_flat = title in names and leaf.repetition == 0
            if leaf.kind == "FIXED_LEN_BYTE_ARRAY":
                value = max(value, leaf.length)
            elif is_text and not is_flat:
                value = max(value, _longest_repeated(where, title, group))
            elif is_text and title not in found and (
                chunk.total_uncompressed_size < _SHORT * values
                or _longest_repeated(where, title, group) * min(rows, values) > _BATCH
            ):  # fmt: skip
                found.add(title)
            if max(chunk.total_uncompressed_size, value * values) > most:
                raise _too_tight(most)
    return sorted(found)


def _longest_repeated(where: Any, title: str, group: int) -> int:
    """Bytes of the longest text that a column of a row group may repeat; one value is enough, as all come with it."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(where, read_dictionary=[title]) as file:
        for batch in file.iter_batches(1, row_groups=[group], columns=[title], use_threads=False):
            column = batch.column(0)
            while hasattr(column, "flatten") and not hasattr(column, "dictionary"):
                parts = column.flatten()
                column = parts if not isinstance(parts, list) else parts[-1]
            if hasattr(column, "dictionary"):
                return pc.max(pc.binary_length(column.dictionary)).as_py() or 0
    return 0


def _amount(column: Any) -> int:
    """Bytes that a column takes when each of its values is made."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    if not types.is_dictionary(column.type) or types.is_primitive(column.type.value_type):
        return int(column.nbytes)
    return pc.sum(pc.take(pc.binary_length(column.dictionary), column.indices)).as_py() or 0


def _too_tight(most: int) -> InputUnusable:
    return InputUnusable(Problem(
        "packed-too-tightly",
        f"the columns of the Parquet file amount to more than {most >> 20:,} MiB, far more than its size lets expect",
        help="if it is what you think it is, write it as JSON Lines or CSV and give that file",
    ))  # fmt: skip
