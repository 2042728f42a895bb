"""How the cost grows: with rules, with distinct profiles; and the kernel alone. All in memory."""

from __future__ import annotations

import heapq
import json
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import yaml
from common import AS_OF, ROOT, Stop, Table, say, seconds_of

from policy_engine.core.periods import DAY, HOUR, NAT, format_instant, parse_instant
from policy_engine.core.rule_model import RulePack
from policy_engine.core.vocabulary import ACCOUNTS, FACTS, MEDIA, UNLISTED_ROLE
from policy_engine.engine.decision_table import DecisionTable
from policy_engine.engine.evaluation import Evaluator
from policy_engine.engine.kernel import Rows, judge, read_creation
from policy_engine.engine.question import Question
from policy_engine.packs import read_pack

ASSETS = 300_000
"""Assets that are judged by packs of different sizes, unless fewer are asked for."""

# --- More and more rules ------------------------------------------------------------------------------------------

GOVERNED = {
    "midjourney": {"storage": "platform", "retention": {"period": "P3D"}},
    "luma": {"storage": "vendor_cdn", "retention": "vendor_terms"},
    "kling": {"storage": "platform", "retention": {"period": "P5D"}},
    "suno": {"storage": "vendor_cdn", "retention": "vendor_terms"},
    "flux": {"storage": "platform", "retention": {"period": "P3D"}},
    "faceswap": {"storage": "platform", "retention": {"period": "P2D"}},
    "faceswap-video": {"storage": "platform", "retention": {"period": "P3D"}},
    "ai-hug": {"storage": "platform", "retention": {"period": "P1D"}},
}
"""What the rules of a service say, however many of them share it."""

Box = dict[str, tuple[Any, ...]]
"""Values per fact: one selector."""


def split(catalog: dict[str, Any], rules: int) -> list[Box]:
    """
    Cut the facts of the governed services into this many selectors that do not overlap.

    With 8, one per service; each further one halves the largest. Every asset falls under exactly one at any number.
    """
    heap: list[tuple[int, int, Box]] = []
    for service in catalog["services"]:
        if service["id"] in GOVERNED:
            roles = dict.fromkeys(spec["role"] for spec in service["outputs"] if "role" in spec)
            domains = (service["task_types"], ACCOUNTS, MEDIA, [*roles, UNLISTED_ROLE], (True, False))
            box = {fact: tuple(values) for fact, values in zip(FACTS[1:], domains, strict=True)}
            heap.append((-_cells(box), len(heap), {"service": (service["id"],), **box}))
    heapq.heapify(heap)
    count = len(heap)
    while len(heap) < rules:
        _, _, box = heapq.heappop(heap)
        fact = max(box, key=lambda name: len(box[name]))
        middle = len(box[fact]) // 2
        for half in (box[fact][:middle], box[fact][middle:]):
            smaller = {**box, fact: half}
            heapq.heappush(heap, (-_cells(smaller), count, smaller))
            count += 1
    return [box for _, _, box in sorted(heap, key=lambda item: item[1])]


def _cells(box: Box) -> int:
    return int(np.prod([len(values) for values in box.values()]))


def write_pack(folder: Path, rules: int, most: int) -> None:
    """Write a pack of this many rules, of one to three dated versions each, over the bundled catalog."""
    bundled = ROOT / "rules" / "piapi"
    catalog = yaml.safe_load((bundled / "catalog.yaml").read_bytes())
    for service in catalog["services"]:
        if service["id"] in GOVERNED:
            # Ten thousand selectors need more words than the catalog has; the same ones in every pack.
            service["task_types"] += [f"made-up-{number}" for number in range(most // 300)]
    (folder / "rules").mkdir(parents=True)
    (folder / "pack.yaml").write_bytes((bundled / "pack.yaml").read_bytes())
    (folder / "catalog.yaml").write_text(yaml.safe_dump(catalog, sort_keys=False))
    full = split(catalog, 0)
    domains = {box["service"]: box for box in full}
    citation = {"source": "output-storage", "section": "Made up", "retrieved_on": "2026-11-22", "basis": "internal"}
    for number, box in enumerate(split(catalog, rules)):
        whole = domains[box["service"]]
        selector = {
            fact: list(values) for fact, values in box.items() if fact == "service" or len(values) < len(whole[fact])
        }
        versions = []
        for index in range(1 + number % 3):
            entry: dict[str, Any] = {"version": index + 1, "recorded_on": "2026-11-22", "selector": selector}
            if index:
                # Some day of the eight weeks before `as_of`, so that tasks lie before and after it.
                day = parse_instant(AS_OF) - (56 // index - number * 5 % 28) * DAY
                entry["effective_from"] = format_instant(day)
            versions.append(entry | GOVERNED[box["service"][0]] | {"citation": citation})
        rule = {"id": f"rule-{number:05d}", "title": f"Rule {number}", "summary": "Made up.", "versions": versions}
        # JSON is YAML too.
        (folder / "rules" / f"{rule['id']}.yaml").write_text(json.dumps(rule, indent=1))


def assets_of(findings: Path, rows: int) -> pd.DataFrame:
    """This many assets, as they were before they were judged."""
    columns = [
        "asset_id", "task_id", "service", "model", "task_type", "account", "media", "role", "watermarked", "url",
        "url_host", "host_owner", "status", "created_at", "completed_at", "link_expires_at", "points", "cost_usd",
        "source",
    ]  # fmt: skip
    frame = pd.read_parquet(findings, columns=columns).head(rows)
    frame = pd.concat([frame] * -(-rows // len(frame)), ignore_index=True).head(rows)
    words = [*FACTS, "model", "url_host", "host_owner", "status"]
    return frame.astype(dict.fromkeys(words, "category"))


def time_rules(table: Table, findings: Path, counts: Sequence[int], rows: int, runs: int) -> None:
    """Judge the same assets by packs of different sizes; the answers must be equal."""
    frame = assets_of(findings, rows)
    question = Question(parse_instant(AS_OF), DAY, HOUR)
    packs: dict[int, RulePack] = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            path = Path(folder) / f"rules-{count}"
            write_pack(path, count, max(counts))
            start = time.perf_counter()
            packs[count] = read_pack(path)
            say(f"pack of {count:,} rules read in {time.perf_counter() - start:.1f} s")
    took: dict[int, list[float]] = {count: [] for count in counts}
    again: dict[int, list[float]] = {count: [] for count in counts}
    answers: dict[int, pd.DataFrame] = {}
    for _ in range(runs):
        for count, pack in packs.items():
            start = time.perf_counter()
            evaluator = Evaluator(pack, question)
            judged = evaluator.judge_chunk(frame)
            took[count].append(time.perf_counter() - start)
            start = time.perf_counter()
            evaluator.judge_chunk(frame)
            again[count].append(time.perf_counter() - start)
            answers.setdefault(count, judged[["verdict", "storage", "expires_earliest", "expires_latest"]])
    for count in counts[1:]:
        if not answers[count].equals(answers[counts[0]]):
            raise Stop(f"{count:,} rules that say the same as {counts[0]:,} gave other answers")
    table.head(f"{len(frame):,} assets in memory, first chunk: decision table and all columns")
    for timings, label in ((took, ""), (again, "every further chunk")):
        if label:
            table.head(label)
        base = median(timings[counts[0]])
        for count in counts:
            seconds = median(timings[count])
            table.row(f"{count:,} rules", seconds, ratio=f"{seconds / base:.2f}")


# --- The kernel ---------------------------------------------------------------------------------------------------


def time_kernel(table: Table, findings: Path, rows: int, runs: int) -> None:
    """Codes of categorical columns and int64 instants in, arrays of verdicts and deadlines out."""
    pack = read_pack("piapi")
    frame = assets_of(findings, min(rows, ASSETS))
    frame = frame[frame["service"].notna()].reset_index(drop=True)
    frame = pd.concat([frame] * -(-rows // len(frame)), ignore_index=True).head(rows)
    columns = [frame[fact].cat for fact in FACTS]
    sizes = [len(column.categories) + 1 for column in columns]

    def mixed() -> np.ndarray:
        """One code per row for its facts; unknown is the last code of a fact."""
        codes = np.zeros(len(frame), np.int64)
        for column, size in zip(columns, sizes, strict=True):
            codes = codes * size + np.where(column.codes < 0, size - 1, column.codes)
        return codes

    decisions = DecisionTable(pack)
    present = np.unique(mixed())
    values = [[*column.categories, None] for column in columns]
    positions = zip(*np.unravel_index(present, sizes), strict=True)
    profiles = np.zeros(int(present.max()) + 1, np.int32)
    profiles[present] = decisions.bind(
        tuple(domain[index] for domain, index in zip(values, row, strict=True)) for row in positions
    )
    instants = [frame[name].to_numpy("datetime64[ns]").view(np.int64) for name in ("created_at", "completed_at")]
    unbounded = np.full(len(frame), NAT, np.int64)
    question = Question(parse_instant(AS_OF), pack.horizon, pack.operation_horizon)

    def once() -> None:
        readings = read_creation(*instants, unbounded, pack.longest_task)
        judge(Rows(profiles[mixed()], readings), decisions.arrays(), question)

    seconds = median(seconds_of(once) for _ in range(runs))
    table.head(f"the kernel alone, {len(frame):,} rows from categorical columns")
    table.row("read_creation and judge", seconds, ratio=f"{seconds / len(frame) * 1e9:.0f} ns/row")


# --- More and more profiles ----------------------------------------------------------------------------------------


def time_profiles(table: Table, rules: int, rows: int) -> None:
    """The first chunk of a run and a further one, by how many distinct combinations of facts there are."""
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        write_pack(Path(folder) / "pack", rules, 10_000)
        pack = read_pack(Path(folder) / "pack")
        catalog = yaml.safe_load((Path(folder) / "pack" / "catalog.yaml").read_bytes())
    boxes = split(catalog, 0)
    table.head(f"{rows:,} assets, {rules:,} rules, by distinct profiles of facts")
    for wanted in (300, 1_000, 3_000):
        picked = [boxes[index] for index in random.integers(len(boxes), size=wanted)]
        values = [
            [None if value is None else str(value) for value in row] for row in (_pick(box, random) for box in picked)
        ]
        positions = random.integers(wanted, size=rows)
        frame = pd.DataFrame({
            fact: pd.Series([row[at] for row in values], dtype="str").take(positions).astype("category").to_numpy()
            for at, fact in enumerate(FACTS)
        })  # fmt: skip
        times = parse_instant(AS_OF) - random.integers(60 * DAY, size=rows)
        frame["created_at"] = pd.DatetimeIndex(times.view("M8[ns]")).tz_localize("UTC")
        frame["completed_at"] = frame["created_at"] + pd.Timedelta(1, "min")
        evaluator = Evaluator(pack, Question(parse_instant(AS_OF), DAY, HOUR))
        work = partial(evaluator.judge_chunk, frame)
        first, again = seconds_of(work), [seconds_of(work) for _ in range(3)]
        distinct = len(frame[list(FACTS)].drop_duplicates())
        table.row(f"{distinct:,} profiles, first chunk", first, ratio=f"{first / distinct * 1e6:,.0f} us each")
        table.row(f"{distinct:,} profiles, every further chunk", median(again))


def _pick(box: Box, random: np.random.Generator) -> list[Any]:
    """One value per fact; a fact is unknown now and then."""
    picked: list[Any] = [box["service"][0]]
    for fact in FACTS[1:]:
        value = box[fact][random.integers(len(box[fact]))]
        value = {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
        picked.append(None if random.random() < 0.05 else value)
    return picked
