"""
What somebody fluent in pandas would write by hand for the bundled rules: the rival of the bench.

Reads unified task objects (`json.loads` per line, `json_normalize`), makes one row per output file, judges with one
boolean mask per rule, and writes the same columns to Parquet. Before `json_normalize` the records are cut down to the
fields that are needed; with `--whole` they are not, and are flattened one level deep: at full depth the map of songs by
their ids would be some columns for every song, which no memory holds. The catalog's names and paths are data to this
program too; the rules are written out below. Left out, because the timed file has none of it: damaged lines, one task
in several records, other shapes than task objects, and keys of one file that tell different facts.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
from pack_tables import COLUMNS, Catalog, fold, owner_of

KEPT = ("task_id", "model", "task_type", "status", "config", "meta")
NO_TIME = ("", "0001-01-01T00:00:00Z")
HOUR, DAY = 3_600_000_000_000, 86_400_000_000_000
HORIZON, OPERATION_HORIZON, LONGEST_TASK = DAY, HOUR, DAY
FAR = 2**62
SIGNING = re.compile(r"(?i)(expires|signature|googleaccessid|x-kcdn-pid|ex|is|hm|x-(amz|goog|oss|tos)-.*)=")


# --- From lines to tasks to files ------------------------------------------------------------------------------


def read_tasks(path: Path, catalog: Catalog, whole: bool) -> tuple[pd.DataFrame, list[Any]]:
    """One row per task, and beside it the outputs: a column per key of them would be a column per song."""
    records, outputs = [], []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            outputs.append(record.get("output"))
            records.append(record if whole else {name: record.get(name) for name in KEPT})
    tasks = pd.json_normalize(records, max_level=1 if whole else None)
    del records
    if whole:
        for name in ("type", "consume"):
            tasks[f"meta.usage.{name}"] = tasks["meta.usage"].str.get(name)
    tasks = tasks.rename(columns=lambda name: name.removeprefix("meta.").removeprefix("config."))
    tasks = tasks.reindex(
        columns=["task_id", "model", "task_type", "status", "service_mode", "created_at", "ended_at",
                 "is_using_private_pool", "usage.type", "usage.consume"]
    )  # fmt: skip
    names = tasks[["model", "task_type"]].drop_duplicates()
    services = [service_of(catalog, *pair) for pair in names.itertuples(index=False)]
    names["service"] = [service for service, _ in services]
    names["listed_type"] = [task_type for _, task_type in services]
    tasks = tasks.merge(names, on=["model", "task_type"], how="left")
    tasks["task_type"] = tasks.pop("listed_type")
    tasks["status"] = tasks["status"].replace("", None)
    for name in ("model", "task_type", "status", "service_mode", "usage.type", "service"):
        tasks[name] = tasks[name].astype("category")
    tasks["source"] = path.name + ":" + pd.Series(range(1, len(tasks) + 1), dtype="str")
    for name in ("created_at", "ended_at"):
        texts = tasks[name].mask(tasks[name].isin(NO_TIME))
        tasks[name] = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce").dt.as_unit("ns")
    pool, mode = tasks.pop("is_using_private_pool"), tasks.pop("service_mode")
    own = np.select([pool.eq(True), pool.eq(False), mode.eq("private"), mode.eq("public")], [1, 0, 1, 0], -1)
    tasks["account"] = pd.Categorical.from_codes(own, ["pay_as_you_go", "host_your_account"])
    state = tasks["status"].str.strip().str.lower().map(catalog.statuses)
    tasks["completed"] = state.eq("completed")
    priced = tasks["completed"] & tasks["usage.type"].isin(catalog.units)
    tasks["points"] = tasks["usage.consume"].where(priced, 0).fillna(0).astype("int64")
    return tasks.drop(columns=["usage.type", "usage.consume"]), outputs


def service_of(catalog: Catalog, model: Any, task_type: Any) -> tuple[str | None, str | None]:
    """The service that a model and a task type mean, and the task type as the catalog spells it."""
    task_type = task_type if isinstance(task_type, str) and task_type else None
    if not isinstance(model, str) or not model:
        return None, task_type
    of_type = catalog.models.get((fold(model), fold(task_type))) if task_type else None
    service = of_type or catalog.models.get((fold(model), None))
    if service and task_type:
        task_type = catalog.task_types.get((service, fold(task_type)), task_type)
    return service, task_type


def list_files(tasks: pd.DataFrame, outputs: list[Any], catalog: Catalog) -> pd.DataFrame:
    """One row per output file: `row` is the index of its task, `kind` the index of its facts in the catalog."""
    rows: list[int] = []
    kinds: list[int] = []
    urls: list[str | None] = []
    skipped = {index for index, kind in enumerate(catalog.kinds) if kind[0] in ("preview", "echo")}
    maps = catalog.maps

    def walk(value: Any, path: str, row: int, paths: dict[str, int]) -> None:
        if isinstance(value, str):
            if value.startswith(("https://", "http://")):
                kind = paths.get(path, 0)
                if kind not in skipped:
                    rows.append(row)
                    kinds.append(kind)
                    urls.append(value)
        elif isinstance(value, dict):
            if path in maps:
                for _, item in sorted(value.items()):
                    walk(item, path + "{}", row, paths)
            else:
                for key, item in value.items():
                    walk(item, f"{path}.{key}" if path else key, row, paths)
        elif isinstance(value, list):
            for item in value:
                walk(item, path + "[]", row, paths)

    services = tasks["service"].astype(object).where(tasks["service"].notna(), None).tolist()
    for row, (service, output) in enumerate(zip(services, outputs, strict=True)):
        walk(output, "", row, catalog.paths.get(service, {}))

    links = pd.DataFrame({"row": rows, "kind": kinds, "url": pd.array(urls, dtype="str")})
    sorts = np.array([kind[0] for kind in catalog.kinds])[links["kind"]]
    names, name_codes = np.unique([kind[1] for kind in catalog.kinds], return_inverse=True)
    links["name"] = pd.Categorical.from_codes(name_codes[links["kind"]], names)
    links["identity"] = links["url"]
    signed = links["url"].str.contains("?", regex=False)
    links.loc[signed, "identity"] = [unsigned(url) for url in links.loc[signed, "url"]]
    # A file comes before other addresses of it, and both before addresses that no path lists.
    listed = links["kind"].to_numpy() != 0
    files, repeats = links[listed & (sorts == "file")], links[sorts == "same_file"]
    key = files["row"].to_numpy() * 1_000 + files["name"].cat.codes.to_numpy()
    repeats = repeats[~np.isin(repeats["row"].to_numpy() * 1_000 + repeats["name"].cat.codes.to_numpy(), key)]
    repeats = repeats.drop_duplicates(["row", "name"])
    if len(repeats):
        owner = repeats["row"].map(tasks["service"]).astype(str)
        repeats = repeats.assign(
            kind=[catalog.files[pair] for pair in zip(owner, repeats["name"].astype(str), strict=True)]
        )
    others = links[~listed].sort_values(["row", "identity"])
    files = pd.concat([files, repeats, others]).drop_duplicates(["row", "identity"])
    files = pd.concat([files.drop(columns=["identity", "name"]), expected_files(tasks, outputs, catalog)])

    facts = pd.DataFrame(catalog.kinds, columns=["sort", "name", "media", "role", "watermarked", "rank"])
    files["rank"] = facts["rank"].to_numpy()[files["kind"]]
    files = files.sort_values(["row", "rank"], ignore_index=True)
    for name in ("name", "media", "role", "watermarked"):
        words = facts[name].astype("category")
        files[name] = pd.Categorical.from_codes(words.cat.codes.to_numpy()[files["kind"]], words.cat.categories)
    files["ordinal"] = files.groupby(["row", "name"], observed=True, sort=False).cumcount() + 1
    return files.drop(columns=["kind", "rank"])


def expected_files(tasks: pd.DataFrame, outputs: list[Any], catalog: Catalog) -> pd.DataFrame:
    """The files that completed tasks must have produced, but whose output is not known."""
    silent = np.flatnonzero(tasks["completed"].to_numpy() & np.array([not output for output in outputs]))
    found = []
    for row, service, task_type in tasks.loc[silent, ["service", "task_type"]].itertuples():
        if isinstance(service, str):
            default = catalog.expected.get((service, None), [])
            found += [
                (row, catalog.files[service, name]) for name in catalog.expected.get((service, task_type), default)
            ]
    files = pd.DataFrame(found, columns=["row", "kind"], dtype="int64")
    return files.assign(url=pd.array([None] * len(files), dtype="str"))


def unsigned(url: str) -> str:
    """The address without the parameters that sign it."""
    base, _, query = url.partition("?")
    kept = sorted(part for part in query.split("&") if part and not SIGNING.match(part))
    return f"{base}?{'&'.join(kept)}" if kept else base


# --- From files to findings --------------------------------------------------------------------------------------


def add_task_columns(files: pd.DataFrame, tasks: pd.DataFrame, catalog: Catalog, as_of: int) -> pd.DataFrame:
    """Everything about a file that needs no rule: its task, its host, its share of the price."""
    latest = tasks[["created_at", "ended_at"]].max(axis=1)
    files = files[~(latest > pd.Timestamp(as_of, tz="UTC")).to_numpy()[files["row"]]].reset_index(drop=True)
    out = pd.concat([files, tasks.take(files["row"]).reset_index(drop=True)], axis=1)
    out = out.rename(columns={"ended_at": "completed_at"})
    key = out["service"].astype("str").fillna(("unknown:" + out["model"].astype("str")).fillna("unknown"))
    named = out["name"].astype("str") + "/" + out["ordinal"].astype("str")
    out["asset_id"] = key + "/" + out["task_id"] + "/" + named
    whole, count = out["points"], out.groupby("row")["row"].transform("size")
    first = ~out["row"].duplicated()
    out["points"] = whole // count + (whole % count).where(first, 0)
    out["cost_usd"] = out["points"] / catalog.points_per_usd
    hosts = out["url"].str.extract(r"https?://(?:[^/?#@]*@)?([^/?#:@]*)", expand=False).str.lower().astype("category")
    out["url_host"] = hosts
    owner = hosts.map({host: owner_of(host, catalog.hosts) for host in hosts.cat.categories}).astype(object)
    for pattern, name in catalog.hosts.items():
        host, slash, _ = pattern.partition("/")
        if slash:
            at_host = hosts.eq(host).to_numpy()
            start = "https://" + pattern.removesuffix("*")
            owner[out.index[at_host][out.loc[at_host, "url"].str.startswith(start)]] = name
    out["host_owner"] = owner.astype("category")
    out["link_expires_at"] = pd.Series(pd.NaT, index=out.index, dtype="datetime64[ns, UTC]")
    signed = out["url"].str.contains("?", regex=False, na=False)
    ends = [link_end(url) for url in out.loc[signed, "url"]]
    out.loc[signed, "link_expires_at"] = pd.to_datetime(pd.Series(ends, dtype="Int64"), unit="s", utc=True).to_numpy()
    return out


def link_end(url: str) -> int | None:
    """When a signed link stops working, in unix seconds."""
    fields = {name.lower(): value for name, value in parse_qsl(url.partition("?")[2])}
    if "ex" in fields and "hm" in fields:
        return int(fields["ex"], 16)
    return int(fields["expires"]) if fields.get("expires", "").isdigit() else None


def judge(out: pd.DataFrame, catalog: Catalog, as_of: int) -> None:
    """Add the verdict and all that goes with it: a mask per rule, both readings of creation."""
    service, role, account, marked = (out[name] for name in ("service", "role", "account", "watermarked"))
    swap_type = out["task_type"].astype("str")
    midjourney, luma, kling, suno = (service.eq(name) for name in ("midjourney", "luma", "kling", "suno"))
    faceswap = service.eq("faceswap")
    main, unlisted = role.eq("main"), role.eq("unlisted")
    own_or_unlisted = main | unlisted
    copies = role.isin(["vendor_copy", "discord_copy"])
    any_copy = copies | role.eq("permanent_copy")
    sole, try_on = role.eq("sole"), role.eq("try_on")
    # A fact that is not known may be either, so both rules of a pair apply then.
    payg, hya = account.ne("host_your_account"), account.ne("pay_as_you_go")
    clean, watermarked = marked.ne("true"), marked.ne("false")
    here, vendor, silent = "platform", "vendor_cdn", None
    three_hours, days = 3 * HOUR, 3 * DAY
    # In the order of the ids: (id, basis, mask, who holds the file, kept for, operations accepted for)
    rules: list[tuple[str, str, pd.Series, str | None, int | None, int | None]] = [
        ("ai-hug", "published", service.eq("ai-hug"), here, DAY, None),
        ("faceswap", "published", faceswap & swap_type.eq("face-swap"), here, days, None),
        ("faceswap-multi", "assumed", faceswap & swap_type.eq("multi-face-swap"), here, days, None),
        ("faceswap-video", "assumed", service.eq("faceswap-video"), here, days, None),
        ("flux", "published", service.eq("flux"), here, days, None),
        ("kling-clean", "published", kling & own_or_unlisted & clean, here, days, None),
        ("kling-sole", "assumed", kling & sole & clean, here, days, None),
        ("kling-try-on-clean", "assumed", kling & try_on & clean, here, days, None),
        ("kling-try-on-watermarked", "assumed", kling & try_on & watermarked, vendor, None, None),
        ("kling-watermarked", "published", kling & (own_or_unlisted | sole) & watermarked, vendor, None, None),
        ("luma", "published", luma & own_or_unlisted, vendor, None, None),
        ("luma-last-frame", "observed", luma & role.eq("last_frame"), vendor, None, None),
        ("luma-platform-copy", "assumed", luma & role.eq("platform_copy"), here, days, None),
        ("midjourney-copies", "observed", midjourney & copies, vendor, None, None),
        ("midjourney-copies-hya", "published", midjourney & any_copy & hya, silent, None, days),
        ("midjourney-copies-payg", "published", midjourney & any_copy & payg, silent, None, three_hours),
        ("midjourney-hya", "published", midjourney & own_or_unlisted & hya, here, days, days),
        ("midjourney-payg", "published", midjourney & own_or_unlisted & payg, here, days, three_hours),
        ("suno", "published", suno & own_or_unlisted, vendor, None, days),
        ("suno-clip-video", "assumed", suno & role.eq("clip_video"), vendor, None, days),
    ]
    size = len(out)
    least, greatest, rule = np.full(size, FAR), np.full(size, -1), np.full(size, -1)
    window_least, window_greatest, window_rule = np.full(size, FAR), np.full(size, -1), np.full(size, -1)
    on_platform, on_vendor, on_terms = np.zeros(size, bool), np.zeros(size, bool), np.zeros(size, bool)
    for number, (_, _, mask, storage, kept, window) in enumerate(rules):
        mask = mask.to_numpy(bool)
        if storage == here:
            on_platform |= mask
        elif storage == vendor:
            on_vendor |= mask
        if kept is not None:
            nearer = mask & (kept < least)
            least[nearer], rule[nearer] = kept, number
            greatest[mask] = np.maximum(greatest[mask], kept)
        elif storage is not None:
            on_terms |= mask
            rule[mask & (rule < 0)] = number
        if window is not None:
            nearer = mask & (window < window_least)
            window_least[nearer], window_rule[nearer] = window, number
            window_greatest[mask] = np.maximum(window_greatest[mask], window)

    # Both readings of creation: submitted and finished, or the bounds of the one that is not recorded.
    submitted, finished = out["created_at"], out["completed_at"]
    longest = pd.Timedelta(LONGEST_TASK, "ns")
    no_submission, no_finish = submitted.isna().to_numpy(), finished.isna().to_numpy()
    start, end = submitted.fillna(finished - longest), finished.fillna(submitted + longest)
    inverted = start.gt(end).to_numpy()
    first, last = (
        times.to_numpy("datetime64[ns]").view(np.int64)
        for times in (start.where(~inverted, end), end.where(~inverted, start))
    )
    no_clock = no_submission & no_finish
    known = service.notna().to_numpy()
    has_operations = known & service.map(catalog.operations).astype("str").fillna("").ne("").to_numpy()
    dated, windowed = (rule >= 0) & (least < FAR), window_least < FAR
    nothing = known & ~on_platform & ~on_vendor

    def verdicts(first: np.ndarray, last: np.ndarray) -> np.ndarray:
        sure = known & dated & ~on_terms & ~no_clock
        expired = last + greatest <= as_of
        at_risk = first + np.where(dated, least, 0) - HORIZON <= as_of
        return np.select(
            [sure & expired, sure & at_risk, sure, known & on_terms & ~dated, nothing],
            [2, 1, 0, 3, 4], 5,
        )  # fmt: skip

    def operation_verdicts(first: np.ndarray, last: np.ndarray) -> np.ndarray:
        sure = windowed & ~no_clock
        closed = last + window_greatest <= as_of
        closing = first + np.where(windowed, window_least, 0) - OPERATION_HORIZON <= as_of
        return np.select(
            [~known, ~has_operations, sure & closed, sure & closing, sure, ~windowed], [4, 5, 2, 1, 0, 3], 4
        )

    verdict, window_verdict = verdicts(first, last), operation_verdicts(first, last)
    two = ~no_submission & ~no_finish
    differ = two & (verdicts(first, first) != verdicts(last, last))
    differ |= two & (operation_verdicts(first, first) != operation_verdicts(last, last))

    def times(shown: np.ndarray, instants: np.ndarray) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(np.where(shown, instants, pd.NaT.value).view("M8[ns]")).tz_localize("UTC")

    def coded(codes: np.ndarray, words: list[str]) -> pd.Categorical:
        names = sorted(set(words))
        lookup = np.array([*(names.index(word) for word in words), -1])
        return pd.Categorical.from_codes(lookup[codes], names)

    clocked = dated & ~no_clock
    sure = clocked & ~on_terms
    ids, bases = [rule[0] for rule in rules], [rule[1] for rule in rules]
    out["as_of"] = pd.Timestamp(as_of, tz="UTC").as_unit("ns")
    words = ["active", "at_risk", "expired", "vendor_cdn", "ungoverned", "undetermined"]
    out["verdict"] = pd.Categorical.from_codes(verdict, words)
    earliest = first + np.where(dated, least, 0)
    out["possibly_past"] = (verdict == 1) & (earliest <= as_of)
    shown = clocked | (verdict == 3)
    out["rule_id"], out["basis"] = coded(np.where(shown, rule, -1), ids), coded(np.where(shown, rule, -1), bases)
    out["rule_version"] = pd.array(np.where(shown, 1.0, np.nan), dtype="Int64")
    storage_code = np.select([on_platform & ~on_vendor, on_vendor & ~on_platform], [0, 1], -1)
    out["storage"] = pd.Categorical.from_codes(storage_code, ["platform", "vendor_cdn"])
    out["expires_earliest"], out["expires_latest"] = times(clocked, earliest), times(sure, last + greatest)
    out["seconds_left"] = pd.Series((earliest - as_of) // 1_000_000_000, dtype="Int64").where(clocked)
    offered = {name: words for name, words in catalog.operations.items() if words}
    out["operations"] = service.map(offered).astype("category")
    words = ["open", "closing", "closed", "ungoverned", "undetermined", "none"]
    out["operation_verdict"] = pd.Categorical.from_codes(window_verdict, words)
    shown = windowed & ~no_clock
    out["operation_rule_id"] = coded(np.where(shown, window_rule, -1), ids)
    out["operation_rule_version"] = pd.array(np.where(shown, 1.0, np.nan), dtype="Int64")
    out["operation_closes_earliest"] = times(shown, first + np.where(windowed, window_least, 0))
    out["operation_closes_latest"] = times(shown, last + window_greatest)
    owner = out["host_owner"].astype("str")
    ours = owner.eq(catalog.platform).to_numpy()
    judged = owner.notna().to_numpy() & (storage_code >= 0)
    evidence = np.select([out["url"].isna(), ~judged, ours == (storage_code == 0)], [2, 3, 0], 1)
    out["evidence"] = pd.Categorical.from_codes(evidence, ["agrees", "conflicts", "expected", "none"])

    reasons = {
        "no_published_rule": nothing & service.isin(catalog.ungoverned).to_numpy(),
        "no_rule_in_force": nothing & ~service.isin(catalog.ungoverned).to_numpy(),
        "unknown_service": ~known,
        "no_clock": no_clock & (dated | windowed),
        "submission_unknown": no_submission & ~no_finish & (dated | windowed),
        "completion_unknown": no_finish & ~no_submission & (dated | windowed),
        "times_inverted": inverted & (dated | windowed),
        "readings_differ": differ,
        "account_unknown": (midjourney & account.isna()).to_numpy(),
        "watermarked_unknown": (kling & marked.isna()).to_numpy(),
    }
    bits = sum((mask.astype(np.int64) << bit for bit, mask in enumerate(reasons.values())), np.zeros(size, np.int64))
    masks, codes = np.unique(bits, return_inverse=True)
    texts = [";".join(code for bit, code in enumerate(reasons) if mask >> bit & 1) for mask in masks.tolist()]
    out["reason"] = pd.Categorical.from_codes(codes, texts)
    out["save_by"] = out[[name for name in ("expires_earliest", "link_expires_at") if name in out]].min(axis=1)


def main() -> None:
    """Read, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("history", type=Path)
    parser.add_argument("--as-of", default="2026-01-08T00:00:00Z")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--whole", action="store_true", help="flatten the records as they are")
    parser.add_argument("--stages", action="store_true", help="say on stderr where the time goes")
    options = parser.parse_args()
    as_of = pd.Timestamp(options.as_of).as_unit("ns").value
    clock = time.perf_counter()

    def stage(name: str) -> None:
        nonlocal clock
        if options.stages:
            print(f"{name:<8}{time.perf_counter() - clock:8.1f} s", file=sys.stderr)
        clock = time.perf_counter()

    catalog = Catalog()
    tasks, outputs = read_tasks(options.history, catalog, options.whole)
    stage("tasks")
    files = list_files(tasks, outputs, catalog)
    del outputs
    stage("files")
    findings = add_task_columns(files, tasks, catalog, as_of)
    stage("columns")
    judge(findings, catalog, as_of)
    stage("rules")
    findings = findings.reindex(columns=COLUMNS)
    if options.output.suffix == ".csv":
        findings.to_csv(options.output, index=False)
    else:
        findings.to_parquet(options.output, index=False)
    stage("writing")


if __name__ == "__main__":
    main()
