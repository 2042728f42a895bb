"""
What somebody fluent in DuckDB would write by hand for the bundled rules: a rival of the bench.

One parse of the file into a table of the needed columns, outputs kept as JSON and exploded per service by path, the
rules as one join on the profile of facts, all columns written by COPY. The catalog's names, paths and rules come from
`pack_tables`, as they come from rule files to the program under test. Left out, because the timed files have none of
it: damaged records, records of one task that tell different things, other shapes than task objects (or the documented
columns, a row per file), addresses of known services in positions that no path lists.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import astuple, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from pack_tables import (
    ABSENT,
    COLUMNS,
    DATED,
    HORIZON,
    LONGEST_TASK,
    NONE,
    OPERATION_HORIZON,
    SIGNING,
    VENDOR,
    Answer,
    Catalog,
    answers,
    fold,
)

TIMES = frozenset(name for name in COLUMNS if name.endswith(("_at", "_earliest", "_latest", "as_of", "save_by")))
TASK = {
    "task_id": "VARCHAR", "model": "VARCHAR", "task_type": "VARCHAR", "status": "VARCHAR",
    "config": "STRUCT(service_mode VARCHAR)", "output": "JSON",
    "meta": "STRUCT(created_at VARCHAR, ended_at VARCHAR, is_using_private_pool BOOLEAN, "
            '"usage" STRUCT("type" VARCHAR, consume BIGINT))',
}  # fmt: skip
"""The fields of a task object that are needed."""
FLAT = {
    "task_id": "VARCHAR", "model": "VARCHAR", "task_type": "VARCHAR", "status": "VARCHAR", "created_at": "VARCHAR",
    "ended_at": "VARCHAR", "account": "VARCHAR", "consume": "BIGINT", "usage_type": "VARCHAR", "url": "VARCHAR",
    "output": "VARCHAR",
}  # fmt: skip
"""The documented columns of a table with a row per file, as the bench writes them."""


def literal(value: Any) -> str:
    """A value as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, (bool, int)):
        return str(value).upper()
    return "'" + str(value).replace("'", "''") + "'"


def table(name: str, columns: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> str:
    """A small table, written out."""
    body = ",\n".join("(" + ", ".join(map(literal, row)) + ")" for row in rows)
    return f"CREATE TEMP TABLE {name} AS SELECT * FROM (VALUES {body}) AS t({', '.join(columns)})"


def lookups(catalog: Catalog) -> list[str]:
    """The tables to join with: models, spellings of task types, answers."""
    listed = answers(catalog)
    keyed = {(row.service, row.type_key) for row in listed}
    models = [(model, task_type or "", service) for (model, task_type), service in catalog.models.items()]
    types = [
        (service, folded, word, word if (service, word) in keyed else "")
        for (service, folded), word in catalog.task_types.items()
    ]
    kinds = [
        (service, name, kind, catalog.kinds[kind][5])
        for (service, name), kind in catalog.files.items()
    ] + [("", "unlisted", 0, 999)]  # fmt: skip
    expected = [
        (service, fold(task_type or ""), ";".join(names)) for (service, task_type), names in catalog.expected.items()
    ]
    return [
        table("models", ["model_key", "type_key", "service"], models),
        table("types", ["service", "type_key", "listed", "rule_type"], types),
        table("kinds", ["service", "name", "kind", "rank"], kinds),
        table("expected", ["service", "type_key", "names"], expected),
        table("answers", [field.name for field in fields(Answer)], [astuple(row) for row in listed]),
    ]


# --- Reading -----------------------------------------------------------------------------------------------------


def reader(path: Path) -> str:
    """The file as a table of its needed columns."""
    name = literal(str(path))
    if path.suffix == ".jsonl":
        columns = "{" + ", ".join(f"{literal(key)}: {literal(kind)}" for key, kind in TASK.items()) + "}"
        return f"read_json({name}, format = 'newline_delimited', columns = {columns})"
    if path.suffix == ".csv":
        columns = "{" + ", ".join(f"{literal(key)}: {literal(kind)}" for key, kind in FLAT.items()) + "}"
        return f"read_csv({name}, header = true, delim = ',', quote = '\"', columns = {columns})"
    return f"read_parquet({name})"


def tasks_of_json(path: Path, catalog: Catalog) -> list[str]:
    """Statements that make `tasks`, one row each with a list of its files."""
    return [
        # A table, not a view: rows keep their order, so that a line has its number, on all cores.
        f"""CREATE TEMP TABLE raw AS
SELECT task_id, model, task_type, nullif(status, '') AS status, output,
       coalesce(CASE WHEN meta.is_using_private_pool THEN 'host_your_account'
                     WHEN NOT meta.is_using_private_pool THEN 'pay_as_you_go' END,
                CASE config.service_mode WHEN 'private' THEN 'host_your_account' WHEN 'public' THEN 'pay_as_you_go' END,
                '') AS account,
       {instant("meta.created_at")} AS created,
       {instant("meta.ended_at")} AS ended,
       meta.usage.type AS unit, meta.usage.consume AS consume
FROM {reader(path)}""",
        f"""CREATE TEMP VIEW tasks AS
SELECT *, {files_of(catalog)} AS found, {literal(path.name + ":")} || (line + 1) AS source
FROM ({named("SELECT *, rowid AS line FROM raw", catalog)})
WHERE line NOT IN (SELECT line FROM again)""",
    ]


def named(rows: str, catalog: Catalog) -> str:
    """Rows with the service that model and task type mean, the price and the state."""
    states = {word: state for word, state in catalog.statuses.items() if state == "completed"}
    return f"""
SELECT r.* EXCLUDE (task_type, unit, consume), coalesce(t.listed, nullif(r.task_type, '')) AS task_type,
       coalesce(t.rule_type, '') AS rule_type,
       CASE WHEN completed AND unit IN ({", ".join(map(literal, catalog.units))}) THEN coalesce(consume, 0)
            ELSE 0 END AS price
FROM (
  SELECT r.*, coalesce(b.service, m.service) AS service,
         coalesce(lower(trim(status)) IN ({", ".join(map(literal, states))}), false) AS completed
  FROM ({rows}) AS r
  LEFT JOIN models AS b ON b.type_key <> '' AND b.model_key = {folded("r.model")}
       AND b.type_key = {folded("r.task_type")}
  LEFT JOIN models AS m ON m.model_key = {folded("r.model")} AND m.type_key = ''
) AS r LEFT JOIN types AS t ON t.service = r.service AND t.type_key = {folded("r.task_type")}"""


def instant(text: str) -> str:
    """Nanoseconds of a time as text; a cast keeps them all and ignores an offset, which is subtracted here."""
    hours, minutes = (f"CAST({text}[{part}] AS INTEGER)" for part in ("-5:-4", "-2:"))
    seconds = f"CAST({text}[-6:-6] || '1' AS INTEGER) * ({hours} * 3600 + {minutes} * 60)"
    return (
        f"CASE WHEN ends_with({text}, 'Z') THEN epoch_ns(TRY_CAST({text} AS TIMESTAMP_NS)) WHEN {text} <> '' "
        f"THEN epoch_ns(TRY_CAST({text}[:-7] AS TIMESTAMP_NS)) - ({seconds}) * 1000000000::BIGINT END"
    )


def folded(column: str) -> str:
    """The spelling under which names are compared."""
    return f"replace(lower(trim({column})), '_', '-')"


def files_of(catalog: Catalog) -> str:
    """The files of a task by the paths of its service: a list of (kind, name, url) in the order of their assets."""
    branches = []
    for service, paths in catalog.paths.items():
        parts = []
        specs = [(path, kind, *catalog.kinds[kind][:2]) for path, kind in paths.items()]
        for path, kind, sort, name in specs:
            if sort != "file":
                continue
            urls = url_list(path)
            # Another address of the same file counts where the file's own is missing.
            instead = [
                other for other, _, other_sort, other_name in specs if (other_sort, other_name) == ("same_file", name)
            ]
            if instead and kind == catalog.files[str(service), name]:
                rest = " || ".join(url_list(other) for other in instead)
                urls = f"(CASE WHEN len({urls}) > 0 THEN {urls} ELSE ({rest})[:1] END)"
            parts.append(f"list_transform({urls}, lambda u: {{'kind': {kind}, 'name': {literal(name)}, 'url': u}})")
        if parts:
            branches.append(f"WHEN {literal(service)} THEN {' || '.join(parts)}")
    unknown = (
        'list_transform(list_sort(list_distinct(regexp_extract_all(output::VARCHAR, \'"(https?://[^"\\s]+)"\', 1))),'
        " lambda u: {'kind': 0, 'name': 'unlisted', 'url': u})"
    )
    return f"CASE service {' '.join(branches)} ELSE CASE WHEN service IS NULL THEN {unknown} END END"


def url_list(path: str) -> str:
    """The addresses at a path of the output."""
    if "{}" in path:
        # The order of a map's keys means nothing, so they are sorted.
        before, after = path.split("{}")
        keys = f"list_sort(coalesce(json_keys(output, '$.{before}'), []))"
        urls = f"list_transform({keys}, lambda k: json_extract_string(output, '$.{before}.\"' || k || '\"{after}'))"
    elif "[]" in path:
        urls = f"coalesce(json_extract_string(output, '$.{path.replace('[]', '[*]')}'), [])"
    else:
        urls = f"[json_extract_string(output, '$.{path}')]"
    return f"list_filter({urls}, lambda u: starts_with(u, 'http'))"


AGAIN = """CREATE TEMP TABLE again AS
SELECT line FROM (
  SELECT rowid AS line, row_number() OVER (
    PARTITION BY model, task_id ORDER BY (ended IS NOT NULL) DESC, greatest(created, ended) DESC) AS place
  FROM raw WHERE task_id IN (SELECT task_id FROM raw GROUP BY task_id HAVING count(*) > 1)
) WHERE place > 1"""
"""Rows of repeated tasks, without the best of each: cheap where no task is repeated."""


def tasks_of_rows(path: Path, catalog: Catalog) -> list[str]:
    """Statements that make `tasks` of a table with a row per file: rows of one task come together."""
    rows = f"""
SELECT task_id, model, any_value(task_type) AS task_type, any_value(nullif(status, '')) AS status,
       any_value(coalesce(account, '')) AS account,
       {instant("any_value(created_at)")} AS created,
       {instant("any_value(ended_at)")} AS ended,
       any_value(usage_type) AS unit, any_value(consume) AS consume,
       list({{'name': output, 'url': url}} ORDER BY rowid) FILTER (url IS NOT NULL) AS urls,
       string_agg({literal(path.name)} || ':' || (rowid + $first), '; ' ORDER BY rowid) AS source,
       min(rowid) AS line
FROM raw GROUP BY task_id, model"""
    first = "2" if path.suffix == ".csv" else "1"
    rows = rows.replace("$first", first)
    return [
        f"CREATE TEMP TABLE raw AS SELECT {', '.join(FLAT)} FROM {reader(path)}",
        f"""CREATE TEMP VIEW tasks AS
SELECT r.* EXCLUDE (urls), NULL AS output, list_transform(
         list_sort(list_transform(r.urls, lambda f: {{
           'rank': coalesce(ranks[coalesce(service, '') || '/' || f.name][1], 999),
           'kind': coalesce(ranks[coalesce(service, '') || '/' || f.name][2], 0), 'name': f.name, 'url': f.url}})),
         lambda f: {{'kind': f.kind, 'name': f.name, 'url': f.url}}) AS found
FROM ({named(rows, catalog)}) AS r,
     (SELECT map_from_entries(list((service || '/' || name, [rank, kind]))) AS ranks FROM kinds)""",
    ]


# --- Judging -----------------------------------------------------------------------------------------------------


def findings(catalog: Catalog, as_of: int, is_text: bool) -> str:
    """The query that gives the findings of `tasks`."""
    owners = sorted(
        catalog.hosts.items(), key=lambda item: ("/" not in item[0], item[0].startswith("*"), -len(item[0]))
    )
    owner = " ".join(
        f"WHEN starts_with(url, {literal('https://' + host.removesuffix('*'))}) THEN {literal(name)}"
        if "/" in host
        else f"WHEN ends_with(url_host, {literal(host[1:])}) THEN {literal(name)}"
        if host.startswith("*")
        else f"WHEN url_host = {literal(host)} THEN {literal(name)}"
        for host, name in owners
    )
    # The position of a file in the list of its task decides its number; a list of one needs no lookup.
    identity = (
        "CASE WHEN contains({0}, '?') THEN split_part({0}, '?', 1) || '?' || array_to_string(list_sort(list_filter("
        "string_split(split_part({0}, '?', 2), '&'), lambda p: p <> '' AND NOT regexp_matches(p, "
        f"'(?i)^({SIGNING})='))), '&') ELSE {{0}} END"
    )
    distinct = (
        f"CASE WHEN len(found) < 2 THEN found ELSE list_filter(found, lambda f, i: "
        f"list_position(list_transform(found, lambda g: {identity.format('g.url')}), {identity.format('f.url')}) = i) "
        f"END"
    )
    link = """CASE WHEN NOT contains(url, '?') THEN NULL
            WHEN contains(url, 'hm=') THEN TRY_CAST('0x' || regexp_extract(url, '[?&]ex=([0-9A-Fa-f]+)', 1) AS BIGINT)
            ELSE TRY_CAST(regexp_extract(url, '(?i)[?&]expires=([0-9]+)', 1) AS BIGINT) END * 1000000000"""
    columns = {
        "asset_id": "concat_ws('/', coalesce(service, 'unknown:' || model, 'unknown'), task_id, name, ordinal)",
        "account": "nullif(account, '')",
        "created_at": time("created"),
        "completed_at": time("ended"),
        "as_of": time(str(as_of)),
        "evidence": f"""CASE WHEN url IS NULL THEN 'expected' WHEN host_owner IS NULL OR storage IS NULL THEN 'none'
            WHEN (host_owner = {literal(catalog.platform)}) = (storage = 'platform') THEN 'agrees'
            ELSE 'conflicts' END""",
        "possibly_past": f"verdict = 'at_risk' AND earliest <= {as_of}",
        "reason": f"""concat_ws(';', silence, CASE WHEN service IS NULL THEN 'unknown_service' END,
            CASE WHEN clocked AND first IS NULL THEN 'no_clock' END,
            CASE WHEN clocked AND created IS NULL AND ended IS NOT NULL THEN 'submission_unknown' END,
            CASE WHEN clocked AND ended IS NULL AND created IS NOT NULL THEN 'completion_unknown' END,
            CASE WHEN clocked AND ended < created THEN 'times_inverted' END,
            CASE WHEN created IS NOT NULL AND ended IS NOT NULL AND (
                {verdict("first", "first", as_of)} <> {verdict("last", "last", as_of)} OR
                {window("first", "first", as_of)} <> {window("last", "last", as_of)}) THEN 'readings_differ' END,
            unknown)""",
        "rule_id": "CASE WHEN has_rule THEN rule_id END",
        "rule_version": "CASE WHEN has_rule THEN 1 END",
        "basis": "CASE WHEN has_rule THEN basis END",
        "expires_earliest": time("earliest"),
        "expires_latest": time(f"CASE WHEN answer = {DATED} THEN last + greatest END"),
        "seconds_left": f"CAST(floor((earliest - {as_of}) / 1000000000) AS BIGINT)",
        "operation_verdict": "operation_verdict",
        "operation_rule_id": "CASE WHEN first IS NOT NULL THEN window_rule_id END",
        "operation_rule_version": "CASE WHEN first IS NOT NULL AND window_rule_id IS NOT NULL THEN 1 END",
        "operation_closes_earliest": time("first + window_least"),
        "operation_closes_latest": time(f"CASE WHEN window_answer = {DATED} THEN last + window_greatest END"),
        "link_expires_at": time(link),
        "save_by": time(f"least(earliest, {link})"),
        "cost_usd": f"points / {catalog.points_per_usd}",
    } | dict.fromkeys(("archived", "exempted_by", "account_id", "api_key_id"), "NULL::VARCHAR")
    # A blank in place of the T is RFC 3339 too, and cheaper. strftime's %n (2.0.0) spoils the text of nanoseconds.
    text = "({0})::VARCHAR || 'Z'" if is_text else "{0}"
    chosen = ",\n  ".join(
        f'{(text if name in TIMES else "{0}").format(columns.get(name, name))} AS "{name}"' for name in COLUMNS
    )
    return f"""
WITH listed AS (
  SELECT t.* EXCLUDE (found), CASE
      WHEN len(found) > 0 THEN {distinct}
      WHEN completed AND (output IS NULL OR json_type(output) = 'NULL' OR output::VARCHAR IN ('{{}}', '[]', '""'))
      THEN list_transform(string_split(nullif(coalesce(e.names, d.names), ''), ';'),
                          lambda n: {{'kind': NULL::INTEGER, 'name': n, 'url': NULL::VARCHAR}}) END AS files
  FROM tasks AS t
  LEFT JOIN expected AS e ON e.service = t.service AND e.type_key <> '' AND e.type_key = {folded("t.task_type")}
  LEFT JOIN expected AS d ON d.service = t.service AND d.type_key = ''
  WHERE coalesce(greatest(created, ended), 0) <= {as_of}
), numbered AS (
  SELECT * EXCLUDE (files), len(files) AS files, unnest(list_transform(files, lambda f, i: {{
    'kind': f.kind, 'name': f.name, 'url': f.url, 'place': i, 'ordinal': CASE WHEN i = 1 THEN 1 ELSE
       len(list_filter(files[:i], lambda g: g.name = f.name)) END}})) AS f
  FROM listed WHERE len(files) > 0
), assets AS (
  SELECT n.* EXCLUDE (f, price, files), f.url AS url, f.name AS name, f.ordinal AS ordinal,
         coalesce(f.kind, k.kind, 0) AS kind,
         price // files + CASE WHEN f.place = 1 THEN price % files ELSE 0 END AS points,
         nullif(lower(regexp_extract(f.url, 'https?://(?:[^/?#@]*@)?([^/?#:@]*)', 1)), '') AS url_host
  FROM numbered AS n LEFT JOIN kinds AS k ON f.kind IS NULL AND k.service = n.service AND k.name = f.name
), clocks AS (
  SELECT *, CASE {owner} END AS host_owner, coalesce(created, ended - {LONGEST_TASK}) AS submitted,
         coalesce(ended, created + {LONGEST_TASK}) AS finished
  FROM assets
), judged AS (
  SELECT c.* EXCLUDE (kind, submitted, finished), least(submitted, finished) AS first,
         greatest(submitted, finished) AS last, coalesce(r.role, 'unlisted') AS role,
         r.* EXCLUDE (service, kind, account, type_key, role)
  FROM clocks AS c
  LEFT JOIN answers AS r ON r.service = c.service AND r.kind = c.kind AND r.account = c.account
       AND r.type_key = c.rule_type
), verdicts AS (
  SELECT *, {verdict("first", "last", as_of)} AS verdict, {window("first", "last", as_of)} AS operation_verdict,
         CASE WHEN has_deadline THEN first + least END AS earliest,
         has_deadline OR window_least IS NOT NULL AS clocked,
         (has_deadline AND first IS NOT NULL) OR answer = {VENDOR} AS has_rule
  FROM judged
)
SELECT
  {chosen}
FROM verdicts"""


def time(nanoseconds: str) -> str:
    """An instant from nanoseconds."""
    return f"make_timestamp_ns({nanoseconds})"


def verdict(first: str, last: str, as_of: int) -> str:
    """The verdict, counting from two instants."""
    return f"""CASE WHEN answer = {DATED} AND {last} + greatest <= {as_of} THEN 'expired'
    WHEN answer = {DATED} AND {first} + least - {HORIZON} <= {as_of} THEN 'at_risk'
    WHEN answer = {DATED} AND {first} IS NOT NULL THEN 'active'
    WHEN answer = {VENDOR} THEN 'vendor_cdn' WHEN answer = {NONE} THEN 'ungoverned' ELSE 'undetermined' END"""


def window(first: str, last: str, as_of: int) -> str:
    """The answer about follow-up operations, counting from two instants."""
    return f"""CASE window_answer WHEN {ABSENT} THEN 'none' WHEN {NONE} THEN 'ungoverned' WHEN {DATED} THEN
    CASE WHEN {last} + window_greatest <= {as_of} THEN 'closed'
         WHEN {first} + window_least - {OPERATION_HORIZON} <= {as_of} THEN 'closing'
         WHEN {first} IS NOT NULL THEN 'open' ELSE 'undetermined' END ELSE 'undetermined' END"""


def main() -> int:
    """Read, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("history", type=Path, help=".jsonl of task objects; .csv or .parquet with a row per file")
    parser.add_argument("--as-of", default="2026-01-08T00:00:00Z")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True, help=".parquet or .csv")
    options = parser.parse_args()
    try:
        import duckdb
    except ModuleNotFoundError:
        print("duckdb is missing: pip install '.[bench]'", file=sys.stderr)
        return 2
    as_of = int(datetime.fromisoformat(options.as_of).timestamp()) * 1_000_000_000
    catalog = Catalog()
    is_json, is_text = options.history.suffix == ".jsonl", options.output.suffix == ".csv"
    connection = duckdb.connect(config={"threads": options.threads})
    for statement in lookups(catalog):
        connection.execute(statement)
    load, make = (tasks_of_json if is_json else tasks_of_rows)(options.history, catalog)
    for statement in (load, *([AGAIN] if is_json else []), make):
        connection.execute(statement)
    # Lines have their numbers by now; the order of the findings means nothing.
    connection.execute("SET preserve_insertion_order = false")
    form = "FORMAT csv, HEADER" if is_text else "FORMAT parquet, COMPRESSION snappy"
    query = findings(catalog, as_of, is_text)
    connection.execute(f"COPY ({query}) TO {literal(str(options.output))} ({form})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
