"""Merges the records of one task into one, field by field, whatever their order."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from policy_engine.core.periods import NAT
from policy_engine.core.urls.addresses import file_identity, urls_in
from policy_engine.history.records.batch import Batch, FlatFile, Outputs, join
from policy_engine.history.records.names import FINAL_STATES, STATES, UNKNOWN_STATE, ServiceNames
from policy_engine.history.records.outputs import decode_output

_FIELDS = ("status", "model", "task_type", "mode", "account", "account_id", "api_key_id", "pool")
_TIME_FIELDS = ("created", "ended")


def merge_records(batches: Sequence[Batch], names: ServiceNames) -> tuple[Batch, int]:
    """
    Merge records that share task ids; returns one row per task, ordered by (task_id, service), and how many
    records were merged away.

    A task is (service, task id). A floating record joins the only task with its id, else it is a task of its own.
    The preferred value of a field comes from: a final status first, a task object over a history row, the latest
    instant, then the record's canonical form. Outputs are united.
    """
    records = join(batches)
    records.output = [decode_output(output) if type(output) is bytes else output for output in records.output]
    by_id: dict[str, list[int]] = {}
    for row, task_id in enumerate(records.task_id):
        by_id.setdefault(task_id, []).append(row)
    groups: list[tuple[tuple[str, str], list[int]]] = []
    for task_id, rows in by_id.items():
        tasks: dict[str, list[int]] = {}
        floating: list[int] = []
        for row in rows:
            if records.floating[row]:
                floating.append(row)
            else:
                tasks.setdefault(service_key(records, row), []).append(row)
        if floating:
            if len(tasks) == 1:
                next(iter(tasks.values())).extend(floating)
            else:
                tasks.setdefault("", []).extend(floating)
        groups += [((task_id, key), group) for key, group in tasks.items()]
    # By id first, so that records which wait on disk need one order only; the same service key comes once per id.
    groups.sort(key=lambda group: group[0])
    preferred = [_by_preference(records, rows) for _, rows in groups]
    merged = records.take([rows[0] for rows in preferred])
    for index, rows in enumerate(preferred):
        if len(rows) > 1:
            _fill(merged, index, records, rows, names)
    return merged, len(records) - len(merged)


def service_key(batch: Batch, row: int) -> str:
    """The service part of a task's key: the catalog's id, else the model as written after `unknown:`."""
    service = batch.service[row]
    if service is not None:
        return service
    model = batch.model[row]
    return f"unknown:{model}" if model is not None else "unknown"


def _by_preference(records: Batch, rows: Sequence[int]) -> list[int]:
    if len(rows) == 1:
        return list(rows)

    def preference(row: int) -> tuple[bool, bool, bool, int]:
        return (
            records.state[row] not in FINAL_STATES,
            records.state[row] == UNKNOWN_STATE,
            not records.is_object[row],
            -int(records.newest[row]) if records.newest[row] != NAT else 2**63,
        )

    keys = {row: preference(row) for row in rows}
    if len(set(keys.values())) == len(rows):
        return sorted(rows, key=keys.__getitem__)
    return sorted(rows, key=lambda row: (keys[row], _canonical(records, row)))


def _canonical(records: Batch, row: int) -> bytes:
    """A form of the record that does not depend on where it was or in which order its fields came."""
    fields = [getattr(records, name)[row] for name in (*_FIELDS, "consume", "unit", "share")]
    times = [int(getattr(records, name)[row]) for name in (*_TIME_FIELDS, "bound")]
    # Tables may bring values that JSON does not know; how they are written does not matter here.
    return msgspec.json.encode([fields, times, records.output[row]], order="deterministic", enc_hook=str)


def _fill(merged: Batch, index: int, records: Batch, rows: Sequence[int], names: ServiceNames) -> None:
    """Fill the fields that the preferred record leaves open from the others, in order of preference."""
    for name in _FIELDS:
        column = getattr(records, name)
        getattr(merged, name)[index] = next((column[row] for row in rows if column[row] is not None), None)
    for name in _TIME_FIELDS:
        times = getattr(records, name)
        getattr(merged, name)[index] = next((times[row] for row in rows if times[row] != NAT), NAT)
    # A number means nothing without its unit, so the two come from one record.
    paid = next((row for row in rows if records.consume[row] is not None), rows[0])
    merged.consume[index] = records.consume[paid]
    units = (records.unit[row] for row in (paid, *rows) if records.unit[row] is not None)
    merged.unit[index] = next(units, None)
    bounds = [records.bound[row] for row in rows if records.bound[row] != NAT]
    merged.bound[index] = min(bounds, default=NAT)
    merged.newest[index] = max(records.newest[row] for row in rows)
    known = next((row for row in rows if records.service[row] is not None), None)
    merged.service[index] = None if known is None else records.service[known]
    typed = known is not None and merged.task_type[index] is not None
    if typed:
        naming = names.resolve(None, merged.task_type[index], merged.service[index])
        merged.task_type[index] = naming.task_type
    merged.floating[index] = known is None and merged.model[index] is None
    merged.is_object[index] = any(records.is_object[row] for row in rows)
    shares: dict[str, int] = {}
    for row in rows:
        share = records.share[row]
        if share is not None:
            shares.setdefault(_share_key(records, row), share)
    merged.share[index] = sum(shares.values()) if shares else None
    outputs = Outputs()
    for row in rows:
        if carries_output(records, row):
            output = records.output[row]
            outputs += output if isinstance(output, Outputs) else [output]
    merged.output[index] = outputs or None
    sources = sorted((records.file[row], records.line[row], records.item[row]) for row in rows)
    merged.file[index], merged.line[index], merged.item[index] = sources[0]
    merged.also[index] = sources[1:]


def _share_key(records: Batch, row: int) -> str:
    # The same row exported twice must not count twice; rows of different files of a task each bring their share.
    output = records.output[row]
    return file_identity(output.url) if isinstance(output, FlatFile) else ""


def carries_output(batch: Batch, row: int) -> bool:
    """
    True when a record says what its task produced.

    A record of a task that still waits has blanks for what is to come; those do not count as an output.
    """
    output = batch.output[row]
    if type(output) is bytes:
        output = decode_output(output)
    if not output:
        return False
    waiting = STATES[batch.state[row]] in ("pending", "processing", "staged")
    return not waiting or isinstance(output, FlatFile) or has_url(output)


def has_url(value: object) -> bool:
    """True when an address is anywhere inside a decoded output."""
    if isinstance(value, str):
        return bool(urls_in(value, is_address=True))
    if isinstance(value, FlatFile):
        return True
    if isinstance(value, dict):
        return any(map(has_url, value.values()))
    return isinstance(value, list) and any(map(has_url, value))
