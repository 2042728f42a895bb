"""
Reads the same generated history in many ways and compares what comes out: the way must not show in the answer.

    python tools/torture/invariance.py --histories 50 --seed 1

| Varied | Compared |
|---|---|
| bytes and records read at a time, bytes handed to a process, processes | every file of the report, byte for byte |
| on processes of Dask | the same |
| locale, time zone, hash seed, UTF-8 mode | the same |
| JSON, JSON Lines, CSV, Parquet; packed with gzip and Zstandard; one file or many | findings without source, totals |
| the order of records, in one file and over several | the same |

A history depends on its seed alone, so a run that was ended early continues with `--seed` set to the last `next_seed`.
Lines of stdout are JSON objects, now and then one of what was tried so far, and at the end one of all; the exit code is
1 when anything differed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.exports import (  # noqa: E402 - after the path to it
    AS_OF,
    as_lines,
    kling,
    read,
    task,
    write,
    write_csv,
    write_json,
    write_lines,
    write_parquet,
)
from tools.torture.progress import Progress  # noqa: E402

Record = dict[str, Any]

# --- Histories ------------------------------------------------------------------------------------------------------


def history(seed: int, tasks: int = 60) -> list[Record]:
    """Records of tasks of many services, in any state, some of them repeated; a table can hold all their fields."""
    chance = random.Random(seed)
    records: list[Record] = []
    for number in range(tasks):
        key = f"{chance.randrange(16**8):08x}-{number}"
        # An id that a spreadsheet would spoil, and one of the usual length.
        name = chance.choice([key, f"00{number}", f"{number}e5", f"é-{key}", f"{key:0>36}"])
        day = chance.randrange(1, 9)
        created = chance.choice([f"2026-01-0{day}T0{chance.randrange(10)}:00:00Z", "", "1767800000"])
        if chance.random() < 0.2:
            created = f"2026-01-0{day}T08:00:00.000000001+08:00"
        common: Record = {
            "created_at": created,
            "ended_at": chance.choice([f"2026-01-0{day}T10:00:00.5Z", ""]),
            "status": chance.choice(["completed", "completed", "Completed", "failed", "pending", ""]),
            "usage": {"type": chance.choice(["point", "point", "credits"]), "consume": chance.randrange(10**7)},
            "is_using_private_pool": chance.choice([True, False]),
            "service_mode": chance.choice(["public", "private", ""]),
        }
        thumbs = [f"https://img.theapi.app/mj/{key}_{n}.png" for n in range(3)]
        signed = f"https://img.theapi.app/{key}.mp4?Expires=1767900000&Signature=x"
        image = f"https://img.theapi.app/mj/{key}.png"
        made = chance.choice([
            task(name, **common),
            kling(name, number, **common),
            task(name, "mj", {"image_url": image, "temporary_image_urls": thumbs}, **common),
            task(name, "sora2", {"video": signed}, **common),
            task(name, "never-heard-of", {"x": [f"https://files.example.org/{key}", "ünï"]}, **common),
            task(name, "suno", {"clips": {key: {"audio_url": f"https://cdn1.suno.ai/{key}.mp3"}}}, **common),
            task(name, "luma", {"video": f"https://storage.cdn-luma.com/{key}.mp4"}, **common),
            task(name, "Qubico/faceswap", {"image": image}, **common),
            task(name, "Qubico/faceswap", ..., **common),
        ])  # fmt: skip
        records.append(made)
        if chance.random() < 0.2:
            records.append({**made, "status": chance.choice(["completed", "failed"])})
        if chance.random() < 0.1:
            records.append({**made, "output": {"again": [f"https://files.example.org/{key}/2", image]}})
    return records


def as_row(record: Record) -> Record:
    """The record as a row of a table, with the documented columns."""
    meta, output = record["meta"], record.get("output")
    return {
        "task_id": record["task_id"],
        "model": record["model"],
        "task_type": record["task_type"],
        "status": record["status"],
        "created_at": meta["created_at"],
        "ended_at": meta["ended_at"],
        "service_mode": record["config"]["service_mode"],
        "is_using_private_pool": "true" if meta["is_using_private_pool"] else "false",
        "consume": str(meta["usage"]["consume"]),
        "usage_type": meta["usage"]["type"],
        "output": json.dumps(output, ensure_ascii=False) if output is not None else None,
    }


def write_split(folder: Path, records: Sequence[Record]) -> Path:
    """A file for every seventh of the records, of every kind that holds objects."""
    endings = ("jsonl", "json", "jsonl.gz", "json.zst", "ndjson.zst", "json.gz", "log")
    for index, ending in enumerate(endings):
        part, path = list(records[index::7]), folder / f"part{index}.{ending}"
        write(path, as_lines(part) if "json." not in f"{ending}." or "l" in ending else json.dumps(part))
    return folder


FORMATS: dict[str, Any] = {
    "JSON Lines, gzip": lambda folder, records: write_lines(folder / "a.jsonl.gz", records),
    "JSON Lines, Zstandard": lambda folder, records: write_lines(folder / "a.jsonl.zst", records),
    "JSON Lines with CR LF": lambda folder, records: write(
        folder / "a.jsonl", as_lines(records).replace("\n", "\r\n").encode()
    ),
    "JSON": lambda folder, records: write_json(folder / "a.json", records),
    "JSON on one line": lambda folder, records: write_json(folder / "a.json", records, None),
    "JSON, gzip": lambda folder, records: write_json(folder / "a.json.gz", records),
    "JSON documents in a row": lambda folder, records: write(
        folder / "a.json", json.dumps(records[:1]) + as_lines(records[1:])
    ),
    "several files": write_split,
    "CSV": lambda folder, records: write_csv(folder / "a.csv", [as_row(record) for record in records]),
    "CSV with semicolons": lambda folder, records: write_csv(
        folder / "a.csv", [as_row(record) for record in records], ";"
    ),
    "CSV with a byte-order mark": lambda folder, records: write_csv(
        folder / "a.csv", [as_row(record) for record in records], encoding="utf-8-sig"
    ),
    "CSV, gzip": lambda folder, records: write(
        folder / "a.csv.gz", write_csv(folder.parent / "plain.csv", [as_row(record) for record in records]).read_bytes()
    ),
    "TSV, Zstandard": lambda folder, records: write(
        folder / "a.tsv.zst",
        write_csv(folder.parent / "plain.tsv", [as_row(record) for record in records], "\t").read_bytes(),
    ),
    "Parquet": lambda folder, records: (
        folder.mkdir(parents=True, exist_ok=True),
        write_parquet(folder / "a.parquet", [as_row(record) for record in records]),
    )[1],
}
"""Name -> writes the records below a folder and says what to read."""


def compare_formats(records: Sequence[Record], folder: Path, chance: random.Random) -> Iterator[tuple[str, bool]]:
    """Each format and some orders, and whether the answers are those of plain JSON Lines."""
    right = read(write_lines(folder / "plain.jsonl", records))
    ways = dict(FORMATS)
    for number in range(2):
        shuffled = chance.sample(records, len(records))
        ways[f"another order, {number}"] = lambda to, _, mixed=shuffled: write_lines(to / "a.jsonl", mixed)
        ways[f"another order over files, {number}"] = lambda to, _, mixed=shuffled: write_split(to, mixed)
    for index, (name, put) in enumerate(ways.items()):
        found = read(put(folder / f"way{index}", records))
        yield name, found.answers == right.answers and found.counts == right.counts


# --- Surroundings ---------------------------------------------------------------------------------------------------

PROGRAM = """
import json, sys

asked = json.loads(sys.argv.pop(1))
from policy_engine.history import reader as reading
from policy_engine.history import partitions as units

reading.BLOCK, units.UNIT, reading._RECORDS = asked["cut"]
from policy_engine.cli import run

sys.exit(run(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Surroundings:
    """What a run finds around it, and how it takes its input apart."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    cut: tuple[int, int, int] = (1 << 18, 1 << 25, 40_000)
    """Bytes decoded at a time, bytes handed to a process, records judged at a time."""
    jobs: int = 1
    dask: bool = False
    """Whether the processes are those of Dask."""


ASCII_ONLY = {"LC_ALL": "POSIX", "LANG": "", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
SURROUNDINGS = (
    Surroundings("small pieces, far west", {"TZ": "America/St_Johns", "PYTHONHASHSEED": "1"}, (97, 3_001, 3)),
    Surroundings("processes, far east", {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "2"}, (400, 9_001, 7), 3),
    Surroundings("ASCII locale", ASCII_ONLY),
    Surroundings(
        "everything at once", {**ASCII_ONLY, "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "4"}, (333, 2_003, 1), 2
    ),
)
DASK = Surroundings("Dask, far south", {"TZ": "Antarctica/Troll", "PYTHONHASHSEED": "5"}, (300, 4_001, 9), 2, dask=True)
"""Takes some seconds to start: part of the long form only; tests/engine/parallel/test_dask.py has the short one."""
PLAIN = Surroundings("plain", {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"})


def any_surroundings(chance: random.Random) -> Surroundings:
    """Surroundings put together by chance."""
    environment = {
        "TZ": chance.choice(["UTC", "Asia/Kolkata", "Pacific/Apia", "America/Sao_Paulo", "Antarctica/Troll"]),
        "PYTHONHASHSEED": str(chance.randrange(2**32)),
        **chance.choice([ASCII_ONLY, {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "tr_TR.UTF-8"}, {"PYTHONUTF8": "1"}]),
    }
    cut = (
        chance.choice([1, 50, 997, 1 << 14]),
        chance.choice([700, 7_919, 1 << 25]),
        chance.choice([1, 2, 11, 40_000]),
    )
    jobs = chance.choice([1, 1, 2, 3])
    return Surroundings(f"{environment} {cut} {jobs}", environment, cut, jobs)


def report(around: Surroundings, paths: Sequence[Path], folder: Path) -> dict[str, str]:
    """Write a report in these surroundings; returns the digest of each of its files and of what was printed."""
    asked = json.dumps({"cut": around.cut})
    command = ["report", *map(str, paths), "--as-of", AS_OF, "--jobs", str(around.jobs), "-o", str(folder)]
    command += ["--scheduler", "local"] if around.dask else []
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, asked, *command],
        env={**os.environ, "PYTHONPATH": str(ROOT), **around.environment},
        cwd=folder.parent,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    digests = {"stdout": hashlib.sha256(done.stdout.replace(str(folder).encode(), b"")).hexdigest()}
    for path in sorted(folder.iterdir()):
        digests[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests


def compare_surroundings(
    records: Sequence[Record], folder: Path, chosen: Sequence[Surroundings]
) -> Iterator[tuple[str, list[str]]]:
    """Each of the surroundings, and the files of the report in which they show."""
    broken: list[Any] = ["{broken", 7, {}]
    half = len(records) // 2
    paths = [
        write_lines(folder / "in" / "a.jsonl", [*records[:half], *broken]),
        write_csv(folder / "in" / "b.csv", [as_row(record) for record in records[half:]]),
        write_json(folder / "in" / "c.json", records[half - 5 : half + 5]),
    ]
    right = report(PLAIN, paths, folder / "plain")
    for index, around in enumerate(chosen):
        found = report(around, paths, folder / f"around{index}")
        yield around.name, sorted(name for name in {*right, *found} if right.get(name) != found.get(name))


def main() -> int:
    """Vary until enough histories were read; tell what differed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="number of the first history")
    asked = parser.parse_args()
    tried, told = {"formats_and_orders": 0, "surroundings": 0}, 0
    found: list[str] = []
    progress = Progress("invariance")
    for seed in range(asked.seed, asked.seed + asked.histories):
        chance = random.Random(seed)
        records = history(seed, chance.choice([20, 60, 150]))
        chosen = [*(SURROUNDINGS if seed == asked.seed else ()), *(any_surroundings(chance) for _ in range(4)), DASK]
        with tempfile.TemporaryDirectory() as name:
            for way, same in compare_formats(records, Path(name), chance):
                tried["formats_and_orders"] += 1
                found += [] if same else [f"seed {seed}: {way}"]
            for way, files in compare_surroundings(records, Path(name), chosen):
                tried["surroundings"] += 1
                found += [f"seed {seed}: {way}: {', '.join(files)}"] if files else []
        for text in found[told:]:
            print(text, file=sys.stderr, flush=True)
        told = len(found)
        progress.report(sum(tried.values()), len(found), of_asked=seed + 1 - asked.seed, next_seed=seed + 1)
    return progress.finish(
        sum(tried.values()), len(found), of_asked=asked.histories, **tried, next_seed=asked.seed + asked.histories
    )


if __name__ == "__main__":
    sys.exit(main())
