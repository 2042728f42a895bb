"""
What somebody fluent in Polars would write by hand for the bundled rules: a rival of the bench.

Reads JSON Lines with a schema made of the catalog's paths, so that nothing is parsed twice (a field that is an object
for one service and a text for another comes as text, and is decoded for those services alone), CSV and Parquet
lazily; the rules are one join on the profile of facts. Names, paths and rules come from `pack_tables`, as they come
from rule files to the program under test. Left out, because the timed files have none of it: damaged records, records
of one task that tell different things, other shapes than task objects (or the documented columns, a row per file), and
addresses in positions that no path of any service lists.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pack_tables import (
    ABSENT,
    ACCOUNTS,
    COLUMNS,
    DATED,
    HORIZON,
    LONGEST_TASK,
    NONE,
    OPERATION_HORIZON,
    SIGNING,
    VENDOR,
    Catalog,
    answers,
    fold,
)

if TYPE_CHECKING:
    import polars as pl

FLAT = (
    "task_id", "model", "task_type", "status", "created_at", "ended_at", "account", "consume", "usage_type", "url",
    "output",
)  # fmt: skip
"""The documented columns of a table with a row per file, as the bench writes them."""


class Rival:
    """The catalog and the question, with the steps from a file to its findings."""

    def __init__(self, catalog: Catalog, as_of: int) -> None:
        self.catalog = catalog
        self.as_of = as_of
        self.services = list(catalog.paths)
        self.tree = path_tree(catalog)

    # --- Tasks ---------------------------------------------------------------------------------------------------

    def json_tasks(self, path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Tasks with their outputs as columns, and their files."""
        meta = pl.Struct({
            "created_at": pl.String, "ended_at": pl.String, "is_using_private_pool": pl.Boolean,
            "usage": pl.Struct({"type": pl.String, "consume": pl.Int64}),
        })  # fmt: skip
        schema = dict.fromkeys(("task_id", "model", "task_type", "status"), pl.String)
        schema |= {"config": pl.Struct({"service_mode": pl.String}), "meta": meta, "output": dtype_of(self.tree)}
        field = pl.col("meta").struct.field
        mode = pl.col("config").struct.field("service_mode")
        raw = (
            pl.scan_ndjson(path, schema=schema)
            .with_row_index("row")
            .select(
                "row", "task_id", "model", "task_type", "output",
                status=pl.when(pl.col("status") != "").then("status"),
                account=pl.coalesce(
                    field("is_using_private_pool").cast(pl.Int8),
                    pl.when(mode == "private").then(1).when(mode == "public").then(0),
                    pl.lit(2),
                ),
                created=instant(field("created_at")),
                ended=instant(field("ended_at")),
                unit=field("usage").struct.field("type"),
                consume=field("usage").struct.field("consume"),
                source=pl.lit(path.name + ":") + (pl.col("row") + 1).cast(pl.String),
            )
            .unique(["task_id", "model"], keep="any")
            .collect(engine="streaming")
        )  # fmt: skip
        tasks = self.named(raw)
        return tasks.drop("output"), self.listed(tasks)

    def named(self, raw: pl.DataFrame) -> pl.DataFrame:
        """With service, listed task type, price and state; tasks that do not exist yet are left out."""
        pairs = raw.select("model", "task_type").unique()
        keyed = {(row.service, row.type_key) for row in self.answers()}
        found = []
        for model, task_type in pairs.iter_rows():
            service, listed = self.service_of(model, task_type)
            found.append((model, task_type, service, listed, listed if (service, listed) in keyed else ""))
        names = pl.DataFrame(
            found, ["model", "task_type", "service", "listed", "rule_type"], orient="row", infer_schema_length=None
        ).cast(pl.String)
        states = [word for word, state in self.catalog.statuses.items() if state == "completed"]
        latest = pl.max_horizontal("created", "ended")
        return (
            raw.lazy()
            .filter(latest.is_null() | (latest <= self.as_of))
            .join(names.lazy(), on=["model", "task_type"], how="left", nulls_equal=True)
            .with_columns(
                completed=pl.col("status").str.strip_chars().str.to_lowercase().is_in(states).fill_null(False)
            )
            .with_columns(
                task_type=pl.col("listed"),
                price=pl.when(pl.col("completed") & pl.col("unit").is_in(self.catalog.units))
                .then(pl.col("consume"))
                .otherwise(0)
                .fill_null(0),
            )
            .drop("unit", "consume", "listed")
            .collect()
        )

    def service_of(self, model: str | None, task_type: str | None) -> tuple[str | None, str | None]:
        """The service that a model and a task type mean, and the task type as the catalog spells it."""
        task_type = task_type or None
        if not model:
            return None, task_type
        of_type = self.catalog.models.get((fold(model), fold(task_type))) if task_type else None
        service = of_type or self.catalog.models.get((fold(model), None))
        if service and task_type:
            task_type = self.catalog.task_types.get((service, fold(task_type)), task_type)
        return service, task_type

    # --- Files -----------------------------------------------------------------------------------------------------

    def listed(self, tasks: pl.DataFrame) -> pl.DataFrame:
        """Every file of every task: row, kind, url, key; those of one task in the order of their assets."""
        parts = []
        by_service = tasks.select("row", "service", "output").partition_by("service", as_dict=True)
        for (service,), some in by_service.items():
            paths = self.catalog.paths.get(service, {})
            if service is None:
                # No path is listed for it: any address in a position that is known to hold one.
                paths = {name: 0 for name, below in self.tree.items() if below is None}
            specs = [(path, kind, *self.catalog.kinds[kind][:2]) for path, kind in paths.items()]
            for path, kind, sort, name in specs:
                if sort == "file":
                    urls = self.at(some, path).with_columns(kind=pl.lit(kind, pl.Int32))
                    parts.append(urls)
                    again = [other for other, _, kind_of, whose in specs if (kind_of, whose) == ("same_file", name)]
                    if again and kind == self.catalog.files[str(service), name]:
                        # Another address of the same file counts where the file's own is missing.
                        rest = some.join(urls, on="row", how="anti")
                        urls = pl.concat([self.at(rest, other) for other in again]).unique("row", keep="first")
                        parts.append(urls.with_columns(kind=pl.lit(kind, pl.Int32)))
        links = pl.concat(parts, how="diagonal")
        silent = tasks.filter(pl.col("completed") & pl.col("output").is_null())
        return pl.concat([links, self.expected(silent)], how="diagonal")

    def expected(self, silent: pl.DataFrame) -> pl.DataFrame:
        """The files that completed tasks without an output must have left."""
        found = []
        for row, service, task_type in silent.select("row", "service", "task_type").iter_rows():
            default = self.catalog.expected.get((service, None), [])
            for name in self.catalog.expected.get((service, task_type), default):
                found.append((row, self.catalog.files[service, name]))
        return pl.DataFrame(found, {"row": pl.UInt32, "kind": pl.Int32}, orient="row")

    def at(self, tasks: pl.DataFrame, path: str) -> pl.DataFrame:
        """The addresses at a path of the output: row, url, key."""
        steps = path.replace("[]", ".[]").replace("{}", ".{}").split(".")
        tree: Any = self.tree
        value = pl.col("value")
        frame = tasks.lazy().select("row", value="output", key=pl.lit(""))
        for index, step in enumerate(steps):
            if step == "[]":
                frame = frame.filter(value.list.len() > 0).explode("value")
                tree = tree["[]"]
            elif step == "{}":
                # A map's keys are data, so it came as text: as a list of objects it can be decoded.
                leaf = steps[index + 1]
                kind = pl.List(pl.Struct({"map_key": pl.String, leaf: pl.String}))
                text = value.str.replace_all(r'"([^"{}]+)": ?\{', '{"map_key": "$1", ').str.strip_chars("{}")
                text = pl.when(text != "").then("[{" + text + "}]").otherwise(pl.lit("[]"))
                frame = (
                    frame.filter(value.is_not_null())
                    .with_columns(value=text.str.json_decode(kind))
                    .filter(value.list.len() > 0)
                    .explode("value")
                    .with_columns(key=value.struct.field("map_key"), value=value.struct.field(leaf))
                )
                break
            elif tree is None:
                frame = frame.filter(value.str.starts_with("{")).with_columns(
                    value=value.str.json_path_match("$." + step)
                )
            else:
                frame = frame.with_columns(value=value.struct.field(step))
                tree = tree[step]
        return frame.filter(value.str.starts_with("http")).select("row", "key", url="value").collect()

    def flat_tasks(self, path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Tasks and files of a table with a row per file."""
        if path.suffix == ".csv":
            types = dict.fromkeys(FLAT, pl.String) | {"consume": pl.Int64}
            rows, first = pl.scan_csv(path, schema=types), 2
        else:
            rows, first = pl.scan_parquet(path), 1
        line = (pl.col("line") + first).cast(pl.String)
        lines = rows.select(FLAT).with_row_index("line").collect(engine="streaming")
        tasks = (
            lines.lazy()
            .group_by("task_id", "model")
            .agg(
                pl.col("line").min().alias("row"),
                pl.col("task_type", "created_at", "ended_at", "account").first(),
                pl.col("status").first(),
                unit=pl.col("usage_type").first(),
                consume=pl.col("consume").first(),
                source=(pl.lit(path.name + ":") + line).sort_by("line").str.join("; "),
            )
            .with_columns(
                account=pl.col("account").replace_strict(list(ACCOUNTS), [0, 1], default=2, return_dtype=pl.Int8),
                created=instant(pl.col("created_at")),
                ended=instant(pl.col("ended_at")),
            )
            .drop("created_at", "ended_at")
            .collect()
        )
        named = self.named(tasks)
        kinds = pl.DataFrame(
            [(service, name, kind) for (service, name), kind in self.catalog.files.items()],
            {"service": pl.String, "output": pl.String, "kind": pl.Int32},
            orient="row",
        )
        files = (
            lines.lazy()
            .filter(pl.col("url").is_not_null())
            .join(named.lazy().select("task_id", "model", "row", "service"), on=["task_id", "model"], nulls_equal=True)
            .join(kinds.lazy(), on=["service", "output"], how="left")
            .select("row", "url", kind=pl.col("kind").fill_null(0), key="url")
            .collect()
        )
        silent = named.filter("completed").join(files, on="row", how="anti")
        return named, pl.concat([files, self.expected(silent)], how="diagonal")

    # --- Judging ---------------------------------------------------------------------------------------------------

    def answers(self) -> list[Any]:
        """What the rules say per profile."""
        return answers(self.catalog)

    def findings(self, tasks: pl.DataFrame, files: pl.DataFrame) -> pl.LazyFrame:
        """All columns of all files."""
        catalog, as_of = self.catalog, self.as_of
        kinds = pl.DataFrame(
            [(index, kind[1], kind[5]) for index, kind in enumerate(catalog.kinds)],
            {"kind": pl.Int32, "name": pl.String, "rank": pl.Int32},
            orient="row",
        )
        url = pl.col("url")
        query = url.str.split("?").list.get(1, null_on_oob=True).str.split("&").list.eval(
            pl.element().filter((pl.element() != "") & ~pl.element().str.contains(f"(?i)^(?:{SIGNING})=")).sort()
        )  # fmt: skip
        identity = pl.when(url.str.contains("?", literal=True)).then(
            url.str.split("?").list.first() + "?" + query.list.join("&")
        )
        numbered = (
            files.lazy()
            .join(kinds.lazy(), on="kind", how="left", maintain_order="left")
            .with_columns(identity=pl.coalesce(identity, url, pl.col("name")))
            .sort("row", "rank", "key", maintain_order=True)
            .unique(["row", "identity"], keep="first", maintain_order=True)
            .with_columns(
                ordinal=pl.int_range(1, pl.len() + 1).over("row", "name"),
                place=pl.int_range(pl.len()).over("row"),
                files=pl.len().over("row").cast(pl.Int64),
            )
            .drop("identity", "rank")
        )
        table = pl.DataFrame([asdict(row) for row in self.answers()], infer_schema_length=None).lazy()
        table = table.with_columns(
            pl.col("kind").cast(pl.Int32),
            account=pl.col("account").replace_strict(["", *ACCOUNTS], [2, 0, 1], return_dtype=pl.Int8),
        )
        col = pl.col
        submitted = pl.coalesce("created", col("ended") - LONGEST_TASK)
        finished = pl.coalesce("ended", col("created") + LONGEST_TASK)
        host = url.str.extract(r"https?://(?:[^/?#@]*@)?([^/?#:@]*)", 1).str.to_lowercase()
        hex_end = url.str.extract(r"[?&]ex=([0-9A-Fa-f]+)", 1).str.to_integer(base=16, dtype=pl.Int64, strict=False)
        end = url.str.extract(r"(?i)[?&]expires=([0-9]+)", 1).cast(pl.Int64)
        joined = (
            numbered.join(tasks.lazy(), on="row")
            .join(
                table, how="left", left_on=["service", "rule_type", "account", "kind"],
                right_on=["service", "type_key", "account", "kind"],
            )
            .with_columns(
                first=pl.min_horizontal(submitted, finished),
                last=pl.max_horizontal(submitted, finished),
                url_host=host,
                role=col("role").fill_null("unlisted"),
                points=col("price") // col("files")
                + pl.when(col("place") == 0).then(col("price") % col("files")).otherwise(0),
                link=pl.when(url.str.contains("?", literal=True)).then(
                    pl.when(url.str.contains("hm=", literal=True)).then(hex_end).otherwise(end)
                ),
            )
            .with_columns(
                verdict=self.verdict(col("first"), col("last")),
                operation_verdict=self.window(col("first"), col("last")),
                host_owner=self.owner(),
                earliest=pl.when("has_deadline").then(col("first") + col("least")),
                clocked=col("has_deadline") | col("window_least").is_not_null(),
                has_rule=(col("has_deadline") & col("first").is_not_null()) | (col("answer") == VENDOR),
            )
        )  # fmt: skip
        both = col("created").is_not_null() & col("ended").is_not_null()
        differ = both & (
            (self.verdict(col("first"), col("first")) != self.verdict(col("last"), col("last")))
            | (self.window(col("first"), col("first")) != self.window(col("last"), col("last")))
        )
        reasons = {
            "unknown_service": col("service").is_null(),
            "no_clock": col("clocked") & col("first").is_null(),
            "submission_unknown": col("clocked") & col("created").is_null() & col("ended").is_not_null(),
            "completion_unknown": col("clocked") & col("ended").is_null() & col("created").is_not_null(),
            "times_inverted": col("clocked") & (col("ended") < col("created")),
            "readings_differ": differ,
        }
        fits = (col("host_owner") == catalog.platform) == (col("storage") == "platform")
        known = col("first").is_not_null()
        return joined.select(
            pl.concat_str(
                pl.coalesce("service", "unknown:" + col("model"), pl.lit("unknown")), "task_id", "name", "ordinal",
                separator="/",
            ).alias("asset_id"),
            "task_id", "service", "model", "task_type",
            col("account").replace_strict([0, 1], list(ACCOUNTS), default=None, return_dtype=pl.String),
            "media", "role", "watermarked", "url", "url_host", "host_owner",
            pl.when(url.is_null()).then(pl.lit("expected"))
            .when(col("host_owner").is_null() | col("storage").is_null()).then(pl.lit("none"))
            .when(fits).then(pl.lit("agrees")).otherwise(pl.lit("conflicts")).alias("evidence"),
            "status",
            utc(col("created")).alias("created_at"), utc(col("ended")).alias("completed_at"),
            utc(pl.lit(as_of)).alias("as_of"),
            "verdict",
            ((col("verdict") == "at_risk") & (col("earliest") <= as_of)).fill_null(False).alias("possibly_past"),
            pl.concat_str(
                "silence", *(pl.when(rows).then(pl.lit(code)) for code, rows in reasons.items()), "unknown",
                separator=";", ignore_nulls=True,
            ).alias("reason"),
            pl.when("has_rule").then("rule_id"),
            pl.when("has_rule").then(pl.lit(1)).alias("rule_version"),
            pl.when("has_rule").then("basis"),
            "storage",
            utc(col("earliest")).alias("expires_earliest"),
            utc(pl.when(col("answer") == DATED).then(col("last") + col("greatest"))).alias("expires_latest"),
            ((col("earliest") - as_of) // 1_000_000_000).alias("seconds_left"),
            "operations", "operation_verdict",
            pl.when(known).then("window_rule_id").alias("operation_rule_id"),
            pl.when(known & col("window_rule_id").is_not_null()).then(pl.lit(1)).alias("operation_rule_version"),
            utc(col("first") + col("window_least")).alias("operation_closes_earliest"),
            utc(pl.when(col("window_answer") == DATED).then(col("last") + col("window_greatest")))
            .alias("operation_closes_latest"),
            utc(col("link") * 1_000_000_000).alias("link_expires_at"),
            "points", (col("points") / catalog.points_per_usd).alias("cost_usd"),
            *(pl.lit(None, pl.String).alias(name) for name in ("archived", "exempted_by", "account_id", "api_key_id")),
            "source",
            utc(pl.min_horizontal(col("earliest"), col("link") * 1_000_000_000)).alias("save_by"),
        )  # fmt: skip

    def verdict(self, first: pl.Expr, last: pl.Expr) -> pl.Expr:
        """The verdict, counting from two instants."""
        dated = pl.col("answer") == DATED
        return (
            pl.when(dated & (last + pl.col("greatest") <= self.as_of)).then(pl.lit("expired"))
            .when(dated & (first + pl.col("least") - HORIZON <= self.as_of)).then(pl.lit("at_risk"))
            .when(dated & first.is_not_null()).then(pl.lit("active"))
            .when(pl.col("answer") == VENDOR).then(pl.lit("vendor_cdn"))
            .when(pl.col("answer") == NONE).then(pl.lit("ungoverned"))
            .otherwise(pl.lit("undetermined"))
        )  # fmt: skip

    def window(self, first: pl.Expr, last: pl.Expr) -> pl.Expr:
        """The answer about follow-up operations, counting from two instants."""
        answer = pl.col("window_answer")
        dated = answer == DATED
        return (
            pl.when(answer == ABSENT).then(pl.lit("none"))
            .when(answer == NONE).then(pl.lit("ungoverned"))
            .when(dated & (last + pl.col("window_greatest") <= self.as_of)).then(pl.lit("closed"))
            .when(dated & (first + pl.col("window_least") - OPERATION_HORIZON <= self.as_of)).then(pl.lit("closing"))
            .when(dated & first.is_not_null()).then(pl.lit("open"))
            .otherwise(pl.lit("undetermined"))
        )  # fmt: skip

    def owner(self) -> pl.Expr:
        """Whose the host of the address is."""
        owner = pl.lit(None, pl.String)
        hosts = sorted(self.catalog.hosts.items(), key=lambda item: ("/" in item[0], item[0].startswith("*"), item[0]))
        for pattern, name in hosts:
            if "/" in pattern:
                fits = pl.col("url").str.starts_with("https://" + pattern.removesuffix("*"))
            elif pattern.startswith("*"):
                fits = pl.col("url_host").str.ends_with(pattern[1:])
            else:
                fits = pl.col("url_host") == pattern
            owner = pl.when(fits).then(pl.lit(name)).otherwise(owner)
        return owner


def path_tree(catalog: Catalog) -> dict[str, Any]:
    """The listed paths of all services as one tree; a position that is a leaf for one service is one for all (None)."""
    tree: dict[str, Any] = {}
    for paths in catalog.paths.values():
        for path in paths:
            node = tree
            steps = path.replace("[]", ".[]").split(".")
            for index, step in enumerate(steps):
                is_map = step.endswith("{}")
                step = step.removesuffix("{}")
                if is_map or index == len(steps) - 1 or node.get(step, {}) is None:
                    node[step] = None
                    break
                node = node.setdefault(step, {})
    return tree


def dtype_of(tree: dict[str, Any] | None) -> Any:
    """The Polars type of a tree of paths."""
    if tree is None:
        return pl.String
    if "[]" in tree:
        return pl.List(dtype_of(tree["[]"]))
    return pl.Struct({name: dtype_of(below) for name, below in tree.items()})


def instant(text: pl.Expr) -> pl.Expr:
    """Nanoseconds of a time as text."""
    # Two formats, since `%+` alone, which would take both, is the slower one.
    return (
        pl.when(~text.is_in(["", "0001-01-01T00:00:00Z"]))
        .then(text)
        .str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="ns", time_zone="UTC", strict=False)
        .dt.timestamp("ns")
    )


def utc(nanoseconds: pl.Expr) -> pl.Expr:
    """An instant from nanoseconds."""
    return nanoseconds.cast(pl.Datetime("ns", "UTC"))


def main() -> int:
    """Read, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("history", type=Path, help=".jsonl of task objects; .csv or .parquet with a row per file")
    parser.add_argument("--as-of", default="2026-01-08T00:00:00Z")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True, help=".parquet or .csv")
    options = parser.parse_args()
    os.environ["POLARS_MAX_THREADS"] = str(options.threads)
    try:
        import polars
    except ModuleNotFoundError:
        print("polars is missing: pip install '.[bench]'", file=sys.stderr)
        return 2
    globals()["pl"] = polars
    rival = Rival(Catalog(), int(datetime.fromisoformat(options.as_of).timestamp()) * 1_000_000_000)
    read = rival.json_tasks if options.history.suffix == ".jsonl" else rival.flat_tasks
    result = rival.findings(*read(options.history)).select(COLUMNS)
    if options.output.suffix == ".csv":
        result.sink_csv(options.output, datetime_format="%Y-%m-%dT%H:%M:%S%.9fZ", engine="streaming")
    else:
        result.sink_parquet(options.output, compression="snappy", engine="streaming")
    return 0


if __name__ == "__main__":
    sys.exit(main())
