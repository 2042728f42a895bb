"""Turns exports of any shape into tasks: one row per task, nothing read is lost, the order of input never matters."""

from policy_engine.history.merging.adjacent_rows import merge_neighbours
from policy_engine.history.merging.merge import merge_records, service_key
from policy_engine.history.merging.repeated_keys import RepeatedKeys, find_duplicates
from policy_engine.history.merging.spill import SpillBuffer
from policy_engine.history.partitions import plan_units
from policy_engine.history.reader import HistoryReader, checksums
from policy_engine.history.records.batch import Batch, FlatFile, Outputs
from policy_engine.history.records.names import STATES, ServiceNames
from policy_engine.history.records.outputs import decode_output
from policy_engine.history.records.record_reader import (
    FIELD_PROBLEMS,
    QUARANTINE_REASONS,
    HistoryPage,
    QuarantinedRecord,
    ReadTotals,
)
from policy_engine.history.sources import Partition, Source, Sources, find_sources, refuse_changed, unchanged
from policy_engine.history.tables.table_reader import TABLE_COLUMNS

__all__ = [
    "FIELD_PROBLEMS",
    "QUARANTINE_REASONS",
    "STATES",
    "TABLE_COLUMNS",
    "Batch",
    "FlatFile",
    "HistoryPage",
    "HistoryReader",
    "Outputs",
    "Partition",
    "QuarantinedRecord",
    "ReadTotals",
    "RepeatedKeys",
    "ServiceNames",
    "Source",
    "Sources",
    "SpillBuffer",
    "checksums",
    "decode_output",
    "find_duplicates",
    "find_sources",
    "merge_neighbours",
    "merge_records",
    "plan_units",
    "refuse_changed",
    "service_key",
    "unchanged",
]
