"""Turns exports of any shape into tasks: one row per task, nothing read is lost, the order of input never matters."""

from policy_engine.history.batch import Batch, FlatFile, Outputs
from policy_engine.history.merging import merge_records, service_key
from policy_engine.history.names import STATES, ServiceNames
from policy_engine.history.neighbours import merge_neighbours
from policy_engine.history.output_fields import decode_output
from policy_engine.history.reading import HistoryReader, checksums
from policy_engine.history.records import FIELD_PROBLEMS, QUARANTINE_REASONS, PageSeen, Seen, SetAside
from policy_engine.history.sources import Found, Source, find_sources, refuse_changed, unchanged
from policy_engine.history.tables import TABLE_COLUMNS
from policy_engine.history.units import Unit, plan_units
from policy_engine.history.waiting import KeyStore, WaitingRecords, find_duplicates

__all__ = [
    "FIELD_PROBLEMS",
    "QUARANTINE_REASONS",
    "STATES",
    "TABLE_COLUMNS",
    "Batch",
    "FlatFile",
    "Found",
    "HistoryReader",
    "KeyStore",
    "Outputs",
    "PageSeen",
    "Seen",
    "ServiceNames",
    "SetAside",
    "Source",
    "Unit",
    "WaitingRecords",
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
