"""Finds the records of a task in a history, and the ids most similar to one that no record has."""

from __future__ import annotations

from collections.abc import Iterator

from policy_engine.core.problems import Problem, suggest
from policy_engine.core.safe_text import plain
from policy_engine.history import Batch, HistoryReader, Partition
from policy_engine.history.records.record_reader import FieldProblem

_MAX_NEAR = 2_000


class Search:
    """The records of one id, and the ids similar to it."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.records = self.quarantined = 0
        """Records read, and how many of them were quarantined."""
        self.problems: list[FieldProblem] = []
        """Fields of the wanted records that could not be read."""
        self._near: dict[str, None] = {}
        # An asset id is service/task/name/ordinal; services and task ids may contain slashes themselves.
        stem = wanted.rsplit("/", 2)[0].split("/") if wanted.count("/") >= 3 else []
        self.ids = {wanted, *("/".join(stem[start:]) for start in range(1, len(stem)))}
        self._ends = {(id[:4].casefold(), id[-4:].casefold()) for id in self.ids}

    def rows(self, batch: Batch) -> list[int]:
        """Rows of a batch that may be meant; remembers similar ids for the help of a message."""
        ids = self.ids
        found = [row for row, task_id in enumerate(batch.task_id) if task_id in ids]
        if not found and len(self._near) < _MAX_NEAR:
            for task_id in batch.task_id:
                head, tail = task_id[:4].casefold(), task_id[-4:].casefold()
                if len(self._near) < 50 or any(head == start or tail == end for start, end in self._ends):
                    self._near[task_id] = None
        return found

    def problem(self, names: list[str]) -> Problem:
        """The problem of an id that does not exist; `names` are the assets of the task that was meant."""
        if not self.records:
            return Problem("no-records", "the history holds no record", help="give the exports that contain the task")
        if names:
            near = suggest(self.wanted, names) or names[0]
            message = f"no file has the id `{plain(self.wanted)}`"
            return Problem("unknown-asset", message, help=f"did you mean `{plain(near)}`?")
        near_id = next(filter(None, (suggest(id, self._near) for id in sorted(self.ids))), None)
        hints = [f"did you mean `{plain(near_id)}`?"] if near_id else []
        hints.append(f"records read: {self.records}")
        if self.quarantined:
            hints.append(f"quarantined, so the id may be in one of these: {self.quarantined}")
        return Problem("unknown-task", f"no record has the task id `{plain(self.wanted)}`", help="; ".join(hints))


def matching_records(reader: HistoryReader, search: Search) -> Iterator[Batch]:
    """Records of the id, file by file, so that lines are counted from the start of each."""
    for file in range(len(reader.sources)):
        for batch, seen in reader.records(Partition(file)):
            rows = search.rows(batch)
            locations = {(batch.file[row], batch.line[row], batch.item[row]) for row in rows}
            search.problems += [
                problem for problem in seen.problem_examples if (problem.file, problem.line, problem.item) in locations
            ]
            search.records += seen.records
            search.quarantined += len(seen.quarantine)
            yield batch.take(rows)
