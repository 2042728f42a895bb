"""Turns exports of any shape into tasks: one row per task, nothing read is lost, the order of input never matters."""

from policy_engine.history.merging.merge import merge_records
from policy_engine.history.reader import HistoryReader
from policy_engine.history.records.batch import Batch, FlatFile, Outputs
from policy_engine.history.records.names import STATES, ServiceNames
from policy_engine.history.records.record_reader import ReadTotals
from policy_engine.history.sources import Partition, Source, find_sources, unchanged

__all__ = [
    "STATES",
    "Batch",
    "FlatFile",
    "HistoryReader",
    "Outputs",
    "Partition",
    "ReadTotals",
    "ServiceNames",
    "Source",
    "find_sources",
    "merge_records",
    "unchanged",
]
