"""
Compares the engine with the oracle on as many generated decisions as are asked for.

    python tools/torture/agreement.py --decisions 1000000 --seed 1 --jobs 2

A decision is one (pack, task, instant): every determined column of one asset of one random pack, asked at one instant.
Each world is a pack of up to six rules of up to four versions, some assets with known, unknown and foreign facts, and a
question, on some day of what was known. The world is asked at an instant of its own, and then again a nanosecond
before, at and after instants at which the answers turn: where a deadline falls or a horizon reaches it.

A world depends on its number alone, so a run that was ended early goes on with `--seed` set to the `next_seed` that it
printed. Lines of stdout are JSON objects, now and then one of what was tried so far, and at the end one of all; the
exit code is 1 when the two disagreed anywhere.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from policy_engine.core.vocabulary import FACTS
from tests.support.agreement import assert_agreement, judged
from tests.support.strategies import ASSET_BYTES, PACK_BYTES, WORLD_BYTES, World, around, make_world
from tools.torture.progress import Progress

ASSETS = 120
"""Assets of one world: enough for asking to cost little beside answering."""
TURNS = 3
"""Turning instants of one world that are asked about, each three times."""
DEADLINES = ("expires_earliest", "expires_latest", "operation_closes_earliest", "operation_closes_latest")
GROUP = 16
"""Worlds that are compared between two checks of the count, so that the end does not depend on the number of jobs."""
SHOWN = 20
"""Disagreements that are printed in full."""


def world_of(seed: int) -> tuple[World, random.Random]:
    """The world of a number, and the chance that made it."""
    chance = random.Random(seed)
    assets = [chance.randbytes(ASSET_BYTES) for _ in range(ASSETS)]
    return make_world(chance.randbytes(PACK_BYTES), chance.randbytes(WORLD_BYTES), assets), chance


def questions(seed: int) -> Iterator[World]:
    """One world, asked at its own instant and around some of those at which its answers turn."""
    world, chance = world_of(seed)
    yield world
    found = [judged(world, each) for each in world.assets]
    dates = sorted({row[name] for row in found for name in DEADLINES if row[name] is not None})
    turns = sorted({date - ahead for date in dates for ahead in (0, world.horizon, world.operation_horizon)})
    for as_of in around(chance.sample(turns, min(TURNS, len(turns)))):
        yield replace(world, as_of=as_of)


def compare(seed: int) -> tuple[Counter[str], list[str]]:
    """How much was compared over one world, and the disagreements in words."""
    seen: Counter[str] = Counter(worlds=1)
    found = []
    for world in questions(seed):
        try:
            assert_agreement(world)
        except pytest.fail.Exception as error:
            found.append(f"seed {seed}: {error}")
        seen["tried"] += len(world.assets)
        seen["instants"] += 1
        seen["known_on_a_day"] += len(world.assets) * (world.known_on is not None)
        seen["with_unknown_facts"] += sum(any(each[fact] is None for fact in FACTS) for each in world.assets)
        seen["with_half_a_clock"] += sum(
            (each["created"] is None) != (each["completed"] is None) for each in world.assets
        )
    versions = [len(each.versions) for each in world.pack.rules]
    seen["versions"] += sum(versions)
    seen["packs_of_many_versions"] += max(versions, default=0) > 1
    return seen, found


def main() -> int:
    """Compare until enough is decided; print what was compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1, help="number of the first world")
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    total: Counter[str] = Counter()
    found: list[str] = []
    progress = Progress("agreement")
    next_seed = asked.seed
    with multiprocessing.Pool(asked.jobs) as pool:
        while total["tried"] < asked.decisions:
            seeds = range(next_seed, next_seed + GROUP)
            next_seed = seeds.stop
            for seen, wrong in pool.imap_unordered(compare, seeds):
                total += seen
                found += wrong
                for text in wrong[: max(0, SHOWN - len(found) + len(wrong))]:
                    print(text, file=sys.stderr, flush=True)
            progress.report(total["tried"], len(found), next_seed=next_seed)
    counts = {name: count for name, count in total.items() if name != "tried"}
    return progress.finish(total["tried"], len(found), **counts, seed=asked.seed, next_seed=next_seed)


if __name__ == "__main__":
    sys.exit(main())
