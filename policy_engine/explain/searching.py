"""Finds the records of a task in a history, and the ids that come near one that no record has."""

from __future__ import annotations

from collections.abc import Iterator

from policy_engine.core.problems import Problem, suggest
from policy_engine.core.safe_text import plain
from policy_engine.history import Batch, HistoryReader, Partition
from policy_engine.history.records.record_reader import FieldProblem

_MAX_NEAR = 2_000


class Search:
    """Which records belong to the id, and which ids come near it."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.records = self.away = 0
        """Records met, and how many of them were set aside."""
        self.problems: list[FieldProblem] = []
        """Fields of the wanted records that could not be read."""
        self._near: dict[str, None] = {}
        # An asset id is service/task/name/ordinal; services and task ids may hold slashes themselves.
        stem = wanted.rsplit("/", 2)[0].split("/") if wanted.count("/") >= 3 else []
        self.ids = {wanted, *("/".join(stem[start:]) for start in range(1, len(stem)))}
        self._ends = {(one[:4].casefold(), one[-4:].casefold()) for one in self.ids}

    def rows(self, batch: Batch) -> list[int]:
        """Rows of a batch that may belong; remembers ids that look alike, for a helpful message."""
        ids = self.ids
        found = [row for row, task_id in enumerate(batch.task_id) if task_id in ids]
        if not found and len(self._near) < _MAX_NEAR:
            for task_id in batch.task_id:
                head, tail = task_id[:4].casefold(), task_id[-4:].casefold()
                if len(self._near) < 50 or any(head == start or tail == end for start, end in self._ends):
                    self._near[task_id] = None
        return found

    def problem(self, names: list[str]) -> Problem:
        """The problem of an id that names nothing; `names` are assets of the task that was meant."""
        if not self.records:
            return Problem("no-records", "the history holds no record", help="give the exports that hold the task")
        if names:
            near = suggest(self.wanted, names) or names[0]
            message = f"no file has the id `{plain(self.wanted)}`"
            return Problem("unknown-asset", message, help=f"did you mean `{plain(near)}`?")
        near_id = next((one for one in (suggest(word, self._near) for word in sorted(self.ids)) if one), None)
        hints = [f"did you mean `{plain(near_id)}`?"] if near_id else []
        hints.append(f"records read: {self.records}")
        if self.away:
            hints.append(f"set aside as unusable, so that they may be the ones meant: {self.away}")
        return Problem("unknown-task", f"no record has the task id `{plain(self.wanted)}`", help="; ".join(hints))


def matching_records(reader: HistoryReader, search: Search) -> Iterator[Batch]:
    """Records of the id, one file after another, so that lines are counted from the beginning of each."""
    for file in range(len(reader.sources)):
        for batch, seen in reader.records(Partition(file)):
            rows = search.rows(batch)
            places = {(batch.file[row], batch.line[row], batch.item[row]) for row in rows}
            search.problems += [one for one in seen.problem_examples if (one.file, one.line, one.item) in places]
            search.records += seen.records
            search.away += len(seen.quarantine)
            yield batch.take(rows)
