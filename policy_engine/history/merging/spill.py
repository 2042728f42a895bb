"""Keeps records that wait for others of their task: in memory while they are few, in an embedded database beyond."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_engine.core.files.scratch import Scratch
from policy_engine.core.problems import Problem, UsageProblem
from policy_engine.core.safe_text import plain
from policy_engine.history.merging.packing import pack_records, unpack_records
from policy_engine.history.records.batch import Batch, join

if TYPE_CHECKING:
    import sqlite3

_CACHE = 8 << 10
"""KiB that the database may keep of its file, and once more for each run that it sorts."""
_STEPS = 1_000_000
"""Steps of the database after which it lets an interruption through, a fraction of a second."""


class SpillBuffer:
    """
    Records that must be merged with others; `groups` gives them back ordered by task id.

    SQLite, which comes with Python, keeps and orders what is too much for memory: it spills, it is bounded by its
    cache, and its file is deleted with the scratch folder.
    """

    def __init__(self, scratch: Scratch, most: int) -> None:
        """`most` is the number of records that stay in memory."""
        self._scratch = scratch
        self._most = most
        self._batches: list[Batch] = []
        self._database: sqlite3.Connection | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def is_spilled(self) -> bool:
        """True once the records have gone to disk."""
        return self._database is not None

    def add(self, batch: Batch) -> None:
        """Take records; raises UsageProblem when the disk has no room for them."""
        self._count += len(batch)
        self._batches.append(batch)
        if self._database is not None or self._count > self._most:
            self._spill()

    def groups(self, size: int) -> Iterator[Batch]:
        """Batches of at least `size` records (the last may be smaller), all records of a task id in one batch."""
        if self._database is None:
            yield from self._groups_in_memory(size)
            return
        with self._translated(), _interruptible(self._database):
            rows = self._database.execute("SELECT id, record FROM records ORDER BY id, rowid")
            held: list[bytes] = []
            for _, group in itertools.groupby(rows, key=lambda row: row[0]):
                held += [record for _, record in group]
                if len(held) >= size:
                    yield unpack_records(held)
                    held = []
            if held:
                yield unpack_records(held)

    def close(self) -> None:
        """Close the database; its file is removed with the scratch folder."""
        if self._database is not None:
            self._database.close()

    def _groups_in_memory(self, size: int) -> Iterator[Batch]:
        records, self._batches = join(self._batches), []
        ids = records.task_id
        order = sorted(range(len(ids)), key=ids.__getitem__)
        start = 0
        while start < len(order):
            end = min(start + size, len(order))
            while end < len(order) and ids[order[end]] == ids[order[end - 1]]:
                end += 1
            yield records.take(order[start:end])
            start = end

    def _spill(self) -> None:
        with self._translated():
            if self._database is None:
                self._database = _open_database(self._scratch.folder / "records.sqlite")
            batches, self._batches = self._batches, []
            for batch in batches:
                # Bytes compare as code points do in Python, also for text that is not valid UTF-8.
                ids = [task_id.encode("utf-8", "surrogatepass") for task_id in batch.task_id]
                rows = zip(ids, pack_records(batch), strict=True)
                self._database.executemany("INSERT INTO records VALUES (?, ?)", rows)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the errors of the database into problems."""
        import sqlite3

        try:
            yield
        except sqlite3.Error as error:
            if "interrupted" in str(error):
                raise KeyboardInterrupt from None
            raise no_room(self._scratch, str(error)) from None
        except OSError as error:
            raise no_room(self._scratch, error.strerror or str(error)) from None


def no_room(scratch: Scratch, why: str) -> UsageProblem:
    """The error of a temporary folder that cannot take what does not fit into memory."""
    return UsageProblem(Problem(
        "no-room",
        f"records of tasks that occur more than once cannot be kept in `{plain(scratch.parent)}`: {plain(why)}",
        help="is the disk full? set TMPDIR to a folder with room for the history once or twice, or give --memory-limit "
        "more so that less has to be kept there",
    ))  # fmt: skip


def _open_database(path: Path) -> sqlite3.Connection:
    import sqlite3

    database = sqlite3.connect(path, isolation_level=None)
    # Nothing needs to outlive this process: no journal, no waiting for the disk.
    settings = ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "temp_store=FILE", "page_size=8192")
    for setting in (*settings, f"cache_size=-{_CACHE}"):
        database.execute(f"PRAGMA {setting}")
    database.execute("CREATE TABLE records (id BLOB, record BLOB)")
    return database


@contextmanager
def _interruptible(database: Any) -> Iterator[None]:
    """Let Ctrl-C through while the database sorts: a call into Python is where signals are handled."""
    database.set_progress_handler(lambda: 0, _STEPS)
    try:
        yield
    finally:
        with suppress(Exception):
            database.set_progress_handler(None, 0)
