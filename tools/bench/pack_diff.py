"""
Times the comparison of two large rule packs: `PYTHONPATH=. python tools/bench/pack_diff.py [RULES VERSIONS]`.

Both packs are made in memory (reading YAML is another matter), and every version of the second one differs in the end.
Prints processor seconds and the most memory that was in use.
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import replace
from datetime import date, timedelta

from policy_engine.authoring.compare.diff import compare_packs
from policy_engine.core.periods import DAY, HOUR
from policy_engine.core.rule_model import OperationWindow, RulePack
from policy_engine.core.vocabulary import StorageLocation
from tests.support.strategies import BASE, output, pack, rule, service, version

SERVICES = 40


def large_pack(rules: int, versions: int) -> RulePack:
    """Rules spread over services and distinguished by task type; versions a week apart, recorded one by one."""
    types = tuple(f"type-{number}" for number in range(rules // SERVICES + 1))
    services = [
        service(f"service-{number}", output("file"), task_types=types, operations=("extend", "remix"))
        for number in range(SERVICES)
    ]
    made = []
    for number in range(rules):
        conditions = {"service": [f"service-{number % SERVICES}"], "task_type": [types[number // SERVICES]]}
        made.append(
            rule(
                f"rule-{number}",
                *(
                    version(
                        at + 1,
                        conditions,
                        storage=StorageLocation.PLATFORM,
                        retention=(at + 1) * DAY,
                        window=OperationWindow(("extend",), (at + 1) * HOUR),
                        effective_from=BASE + (at * 7 + number % 7) * DAY if at else None,
                        recorded_on=date(2026, 3, 1) + timedelta(at * 7 + number % 5),
                    )
                    for at in range(versions)
                ),
            )
        )
    return pack(services, made)


def changed(made: RulePack, every: int) -> RulePack:
    """The same pack with another period in one of this many rules."""
    return replace(
        made,
        rules=tuple(
            replace(
                one,
                versions=tuple(replace(each, retention=(each.retention or 0) + number * HOUR) for each in one.versions),
            )
            if number % every == 0
            else one
            for number, one in enumerate(made.rules, 1)
        ),
    )


def main(rules: int = 1000, versions: int = 5) -> None:
    """Compare equal packs, one with a few changes, and one in which everything changed."""
    made = large_pack(rules, versions)
    print(f"{rules:,} rules, {rules * versions:,} versions, {SERVICES} services")
    for name, other in (("equal", made), ("1 rule in 100", changed(made, 100)), ("every rule", changed(made, 1))):
        start = time.process_time()
        found = compare_packs(made, other)
        seconds = time.process_time() - start
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{name:<14} {seconds:6.2f} s  {most:6.0f} MiB  {len(found.changes):,} changes, "
            f"{found.space.profiles:,} profiles"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
