"""The rules alone: the same frame of texts and times in memory, judged by the program and by what is used instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from common import AS_OF, Table, has, plain, refuse_differences, say, seconds_of
from pack_tables import ACCOUNTS, DATED, LONGEST_TASK, PERIODS, VENDOR, Answer, Catalog, answers, read_rules

from policy_engine.core.periods import DAY, HOUR, NAT, parse_instant
from policy_engine.core.vocabulary import FACTS
from policy_engine.engine.evaluation import Evaluator
from policy_engine.engine.question import Question
from policy_engine.packs import read_pack

COMPARED = (
    "verdict", "possibly_past", "reason", "rule_id", "rule_version", "basis", "storage", "expires_earliest",
    "expires_latest", "seconds_left", "operation_verdict", "operation_rule_id", "operation_rule_version",
    "operation_closes_earliest", "operation_closes_latest",
)  # fmt: skip
"""The columns that every engine makes and that must be equal."""
NANOSECONDS = parse_instant(AS_OF)
APPLIED_ROWS = 20_000
"""Rows for what works row by row; the time per row does not depend on how many there are."""


def frame_of(findings: Path, rows: int) -> pa.Table:
    """Facts as texts and instants of this many assets, repeated if there are fewer."""
    read = pq.read_table(findings, columns=[*FACTS, "created_at", "completed_at"])
    read = pa.table({name: read[name].cast(pa.string()) if name in FACTS else read[name] for name in read.column_names})
    whole = pa.concat_tables([read] * -(-rows // read.num_rows)).slice(0, rows)
    return whole.combine_chunks()


def time_engines(table: Table, findings: Path, rows: int, runs: int) -> None:
    """Nanoseconds per row, each engine starting from texts in its own kind of frame."""
    arrow = frame_of(findings, rows)
    pandas = arrow.to_pandas()
    evaluator = Evaluator(read_pack("piapi"), Question(NANOSECONDS, DAY, HOUR))
    engines: dict[str, Callable[[], Any]] = {"policy-engine, evaluate(frame)": lambda: evaluator.judge_chunk(pandas)}
    frames: dict[str, Callable[[Any], pd.DataFrame]] = {"policy-engine, evaluate(frame)": lambda made: made}
    if has("polars", "polars, rules as a join, all cores", table):
        engines["polars, rules as a join, all cores"] = _polars(arrow)
        frames["polars, rules as a join, all cores"] = lambda made: made.to_arrow().to_pandas()
    if has("duckdb", "duckdb, rules as a join", table):
        for threads in (1, 2):
            engines[f"duckdb, rules as a join, {threads} thread{'s' * (threads > 1)}"] = _duckdb(arrow, threads)
            frames[f"duckdb, rules as a join, {threads} thread{'s' * (threads > 1)}"] = lambda made: made.sort_by(
                "row"
            ).to_pandas()
    engines["pandas, a mask per rule"] = _pandas(pandas)
    frames["pandas, a mask per rule"] = lambda made: made
    took: dict[str, list[float]] = {name: [] for name in engines}
    ours = None
    for turn in range(runs):
        for name, work in engines.items():
            made: list[Any] = []
            took[name].append(seconds_of(lambda work=work, made=made: made.append(work())))  # type: ignore[misc]
            say(f"  {name}: {took[name][-1]:.2f} s")
            if turn == 0:
                columns = {column: plain(frames[name](made[0])[column], column) for column in COMPARED}
                if ours is None:
                    ours = columns
                else:
                    pairs = ((column, ours[column], columns[column]) for column in COMPARED)
                    refuse_differences(pd.RangeIndex(rows), pairs, ("policy-engine", name))
    table.head(f"Rules alone, {rows:,} assets in memory, texts in, {len(COMPARED)} columns out")
    base = median(took["policy-engine, evaluate(frame)"]) / rows
    for name, all_runs in took.items():
        seconds = median(all_runs)
        table.row(f"{name}: {seconds / rows * 1e9:,.0f} ns per row", seconds, ratio=f"{seconds / rows / base:.2f}x")
    few = pandas.head(min(rows, APPLIED_ROWS))
    seconds = seconds_of(_applied(few, ours or {}))
    per_row = seconds / len(few)
    table.row(
        f"pandas apply, {len(few):,} rows: {per_row * 1e9:,.0f} ns per row", seconds, ratio=f"{per_row / base:.0f}x"
    )
    if has("zen", "zen-engine, a decision table", table):
        few = pandas[pandas["account"].notna() & pandas["service"].notna() & pandas["watermarked"].notna()]
        few = few.head(APPLIED_ROWS // 10)
        seconds = seconds_of(_zen(few, ours or {}))
        per_row = seconds / len(few)
        name = f"zen-engine, rule alone, {len(few):,} rows: {per_row * 1e9:,.0f} ns per row"
        table.row(name, seconds, ratio=f"{per_row / base:.0f}x")
    table.note("Cloud Custodian's filters are not run: they need the whole AWS toolkit around them.")


def profiles() -> list[dict[str, Any]]:
    """What the rules say per service, task type that matters, account, role and mark: one row each."""
    found = {}
    for answer in answers(Catalog()):
        row = {name: value for name, value in asdict(answer).items() if name not in ("kind", "media", "operations")}
        found[answer.service, answer.type_key, answer.account, answer.role, answer.watermarked] = row
    return [row | {"watermarked": row["watermarked"] or ""} for row in found.values()]


def _polars(arrow: pa.Table) -> Callable[[], Any]:
    import polars as pl
    import polars_lazy
    from polars_lazy import Rival, utc

    polars_lazy.pl = pl
    rival = Rival(Catalog(), NANOSECONDS)
    frame = pl.DataFrame(pl.from_arrow(arrow))
    rows = profiles()
    types = sorted({row["type_key"] for row in rows if row["type_key"]})
    governed = sorted({row["service"] for row in rows if row["type_key"]})
    lookup = pl.DataFrame(rows, infer_schema_length=None).lazy()
    keys = ["service", "type_key", "account", "role", "watermarked"]
    col = pl.col

    def work() -> Any:
        created = col("created_at").dt.timestamp("ns")
        ended = col("completed_at").dt.timestamp("ns")
        both = created.is_not_null() & ended.is_not_null()
        submitted, finished = pl.coalesce(created, ended - LONGEST_TASK), pl.coalesce(ended, created + LONGEST_TASK)
        first, last = col("first"), col("last")
        known = first.is_not_null()
        differ = both & (
            (rival.verdict(first, first) != rival.verdict(last, last))
            | (rival.window(first, first) != rival.window(last, last))
        )
        clocked = col("has_deadline") | col("window_least").is_not_null()
        reasons = {
            "unknown_service": col("service").is_null(),
            "no_clock": clocked & first.is_null(),
            "submission_unknown": clocked & created.is_null() & ended.is_not_null(),
            "completion_unknown": clocked & ended.is_null() & created.is_not_null(),
            "times_inverted": clocked & (ended < created),
            "readings_differ": differ,
        }
        past = (col("verdict") == "at_risk") & (col("earliest") <= NANOSECONDS)
        typed = pl.when(col("service").is_in(governed) & col("task_type").is_in(types)).then("task_type")
        return (
            frame.lazy()
            .with_columns(
                type_key=typed.otherwise(pl.lit("")),
                account=col("account").fill_null(""),
                watermarked=col("watermarked").fill_null(""),
                first=pl.min_horizontal(submitted, finished),
                last=pl.max_horizontal(submitted, finished),
            )
            .join(lookup, on=keys, how="left", maintain_order="left")
            .with_columns(
                verdict=rival.verdict(first, last),
                operation_verdict=rival.window(first, last),
                earliest=pl.when("has_deadline").then(first + col("least")),
                has_rule=(col("has_deadline") & known) | (col("answer") == VENDOR),
            )
            .select(
                "verdict",
                past.fill_null(False).alias("possibly_past"),
                pl.concat_str(
                    "silence", *(pl.when(mask).then(pl.lit(code)) for code, mask in reasons.items()), "unknown",
                    separator=";", ignore_nulls=True,
                ).alias("reason"),
                pl.when("has_rule").then("rule_id"),
                pl.when("has_rule").then(pl.lit(1)).alias("rule_version"),
                pl.when("has_rule").then("basis"),
                "storage",
                utc(col("earliest")).alias("expires_earliest"),
                utc(pl.when(col("answer") == DATED).then(last + col("greatest"))).alias("expires_latest"),
                ((col("earliest") - NANOSECONDS) // 1_000_000_000).alias("seconds_left"),
                "operation_verdict",
                pl.when(known).then("window_rule_id").alias("operation_rule_id"),
                pl.when(known & col("window_rule_id").is_not_null()).then(pl.lit(1)).alias("operation_rule_version"),
                utc(first + col("window_least")).alias("operation_closes_earliest"),
                utc(pl.when(col("window_answer") == DATED).then(last + col("window_greatest")))
                .alias("operation_closes_latest"),
            )
            .collect()
        )  # fmt: skip

    return work


def _duckdb(arrow: pa.Table, threads: int) -> Callable[[], Any]:
    import duckdb
    from duckdb_sql import literal, table, time, verdict, window

    connection = duckdb.connect(config={"threads": threads})
    rows = profiles()
    names = [name for name in Answer.__dataclass_fields__ if name in rows[0]]
    connection.execute(table("profiles", names, [tuple(row[name] for name in names) for row in rows]))
    # A join may change the order, so rows carry their number.
    connection.register("frame", arrow.append_column("row", pa.array(range(arrow.num_rows), pa.int64())))
    types = ", ".join(sorted({literal(row["type_key"]) for row in rows if row["type_key"]}))
    governed = ", ".join(sorted({literal(row["service"]) for row in rows if row["type_key"]}))
    at = NANOSECONDS
    query = f"""
WITH clocks AS (
  SELECT f.row, f.service, f.role, coalesce(f.account, '') AS account, coalesce(f.watermarked, '') AS watermarked,
         CASE WHEN f.service IN ({governed}) AND f.task_type IN ({types}) THEN f.task_type ELSE '' END AS type_key,
         epoch_ns(created_at::TIMESTAMP_NS) AS created, epoch_ns(completed_at::TIMESTAMP_NS) AS ended
  FROM frame AS f
), readings AS (
  SELECT *, least(coalesce(created, ended - {LONGEST_TASK}), coalesce(ended, created + {LONGEST_TASK})) AS first,
         greatest(coalesce(created, ended - {LONGEST_TASK}), coalesce(ended, created + {LONGEST_TASK})) AS last
  FROM clocks
), judged AS (
  SELECT r.row, r.service, created, ended, first, last, p.* EXCLUDE (service, type_key, account, role, watermarked)
  FROM readings AS r LEFT JOIN profiles AS p ON p.service = r.service AND p.type_key = r.type_key
       AND p.account = r.account AND p.role = r.role AND p.watermarked = r.watermarked
), verdicts AS (
  SELECT *, {verdict("first", "last", at)} AS verdict, {window("first", "last", at)} AS operation_verdict,
         CASE WHEN has_deadline THEN first + least END AS earliest,
         has_deadline OR window_least IS NOT NULL AS clocked,
         (has_deadline AND first IS NOT NULL) OR answer = {VENDOR} AS has_rule
  FROM judged
)
SELECT row, verdict, verdict = 'at_risk' AND earliest <= {at} AS possibly_past,
  concat_ws(';', silence, CASE WHEN service IS NULL THEN 'unknown_service' END,
    CASE WHEN clocked AND first IS NULL THEN 'no_clock' END,
    CASE WHEN clocked AND created IS NULL AND ended IS NOT NULL THEN 'submission_unknown' END,
    CASE WHEN clocked AND ended IS NULL AND created IS NOT NULL THEN 'completion_unknown' END,
    CASE WHEN clocked AND ended < created THEN 'times_inverted' END,
    CASE WHEN created IS NOT NULL AND ended IS NOT NULL AND (
      {verdict("first", "first", at)} <> {verdict("last", "last", at)} OR
      {window("first", "first", at)} <> {window("last", "last", at)}) THEN 'readings_differ' END, unknown) AS reason,
  CASE WHEN has_rule THEN rule_id END AS rule_id, CASE WHEN has_rule THEN 1 END AS rule_version,
  CASE WHEN has_rule THEN basis END AS basis, storage,
  {time("earliest")} AS expires_earliest,
  {time(f"CASE WHEN answer = {DATED} THEN last + greatest END")} AS expires_latest,
  CAST(floor((earliest - {at}) / 1000000000) AS BIGINT) AS seconds_left, operation_verdict,
  CASE WHEN first IS NOT NULL THEN window_rule_id END AS operation_rule_id,
  CASE WHEN first IS NOT NULL AND window_rule_id IS NOT NULL THEN 1 END AS operation_rule_version,
  {time("first + window_least")} AS operation_closes_earliest,
  {time(f"CASE WHEN window_answer = {DATED} THEN last + window_greatest END")} AS operation_closes_latest
FROM verdicts"""
    return lambda: connection.sql(query).to_arrow_table()


def _pandas(frame: pd.DataFrame) -> Callable[[], Any]:
    from pandas_masks import judge

    catalog = Catalog()
    bare = frame.assign(url=None, host_owner=None)

    def work() -> pd.DataFrame:
        out = bare.copy(deep=False)
        judge(out, catalog, NANOSECONDS)
        return out

    return work


def _applied(frame: pd.DataFrame, ours: dict[str, np.ndarray]) -> Callable[[], None]:
    """A function per row, as first written by most; the answers are compared inside, which costs nothing beside it."""
    rules = read_rules()

    def one(row: pd.Series[Any]) -> tuple[str | None, Any, Any]:
        accounts = [row["account"]] if isinstance(row["account"], str) else ACCOUNTS
        marks = [row["watermarked"]] if isinstance(row["watermarked"], str) else ("true", "false")
        found: dict[str, int | None] = {}
        for account in accounts:
            for mark in marks:
                facts = row.to_dict() | {"account": account, "watermarked": mark}
                for rule in rules:
                    if "storage" in rule and all(facts[name] in words for name, words in rule["selector"].items()):
                        kept = rule["retention"]
                        found[rule["id"]] = None if kept == "vendor_terms" else PERIODS[kept["period"]]
                        break
        instants = [instant.value for instant in (row["created_at"], row["completed_at"]) if not pd.isna(instant)]
        if len(instants) == 1:
            only = LONGEST_TASK if pd.isna(row["completed_at"]) else -LONGEST_TASK
            instants.append(instants[0] + only)
        dated = sorted((period, rule) for rule, period in found.items() if period is not None)
        if not dated or not instants:
            return (min(found) if found else None), None, None
        return dated[0][1], min(instants) + dated[0][0], max(instants) + dated[-1][0]

    def work() -> None:
        made = frame.apply(one, axis=1)
        columns = zip(*made, strict=True)
        names = ("rule_id", "expires_earliest", "expires_latest")
        pairs = (
            (name, ours[name][: len(frame)], np.array([None if value == NAT else value for value in column], object))
            for name, column in zip(names, columns, strict=True)
        )
        refuse_differences(frame.index, pairs, ("policy-engine", "pandas apply"))

    return work


def _zen(frame: pd.DataFrame, ours: dict[str, np.ndarray]) -> Callable[[], None]:
    """A decision table row by row; only rows whose facts are all known, since a table cannot express unknown."""
    import zen

    facts = ["service", "task_type", "account", "role", "watermarked"]
    rows = [
        {"_id": rule["id"], "rule": json.dumps(rule["id"])}
        | {name: ", ".join(json.dumps(word) for word in sorted(rule["selector"].get(name, ()))) for name in facts}
        for rule in read_rules()
        if "storage" in rule
    ]
    content = {
        "hitPolicy": "first",
        "inputs": [{"id": name, "name": name, "field": name} for name in facts],
        "outputs": [{"id": "rule", "name": "rule", "field": "rule"}],
        "rules": rows,
    }
    nodes = [
        {"id": "in", "name": "in", "type": "inputNode", "position": {"x": 0, "y": 0}},
        {"id": "table", "name": "table", "type": "decisionTableNode", "position": {"x": 1, "y": 0}, "content": content},
        {"id": "out", "name": "out", "type": "outputNode", "position": {"x": 2, "y": 0}},
    ]
    edges = [
        {"id": "a", "sourceId": "in", "targetId": "table", "type": "edge"},
        {"id": "b", "sourceId": "table", "targetId": "out", "type": "edge"},
    ]
    decision = zen.ZenEngine().create_decision(json.dumps({"nodes": nodes, "edges": edges}))
    records = frame[facts].to_dict("records")

    def work() -> None:
        made = [decision.evaluate(record)["result"].get("rule") for record in records]
        pair = ("rule_id", ours["rule_id"][frame.index], np.array(made, object))
        refuse_differences(frame.index, iter([pair]), ("policy-engine", "zen-engine"))

    return work
