"""A small rule pack on disk whose rules and cases a test can choose."""

from __future__ import annotations

from pathlib import Path

from policy_engine.authoring.testing.cases import CaseBench, load_cases
from policy_engine.packs import read_pack

PACK = """\
id: acme
title: Acme
publisher: Acme
schema_version: 1
platform_owner: acme
horizon: P1D
operation_horizon: PT1H
longest_task: {period: P1D, basis: assumed, reason: none is known}
host_owners: {files.acme.example: acme}
money: {points_per_usd: 100, units: [point], basis: assumed, evidence: none}
sources:
  - {id: page, title: Storage, url: "https://docs.acme.example/storage", retrieved_on: "2026-02-02"}
no_published_rule: []
"""
CATALOG = """\
statuses: {completed: [completed], failed: [failed], cancelled: [cancelled], pending: [pending],
           processing: [processing], staged: [staged]}
legacy_outputs: []
services:
  - id: film
    title: Film
    names: [{model: film}]
    task_types: [make, cut]
    outputs:
      - {path: url, kind: file, name: video, media: video, role: main}
      - {path: poster, kind: file, name: poster, media: image, role: poster}
    expected: [{names: [video]}]
    operations: [extend, upscale]
"""
CITED = 'citation: {source: page, section: Films, retrieved_on: "2026-02-02", basis: published}'
KEPT = f"""\
id: film
title: Film
summary: Kept for two days.
versions:
  - version: 1
    recorded_on: "2026-02-02"
    selector: {{service: [film], role: [main]}}
    storage: platform
    retention: {{period: P2D}}
    {CITED}
"""
WINDOWED = f"""\
id: film
title: Film
summary: Kept for two days.
versions:
  - version: 1
    effective_from: "2026-02-01T00:00:00Z"
    recorded_on: "2026-02-02"
    selector: {{service: [film], role: [main, unlisted]}}
    storage: platform
    retention: {{period: P2D}}
    operation_window: {{operations: [extend, upscale], period: PT3H}}
    {CITED}
  - version: 2
    effective_from: "2027-02-01T00:00:00Z"
    recorded_on: "2026-02-02"
    withdrawn: true
"""
GIVEN = """\
title: Film
given:
  film:
    task_id: film
    model: film
    task_type: make
    status: completed
    output: {url: "https://files.acme.example/film.mp4"}
    meta: {created_at: "2026-03-01T12:00:00Z", ended_at: "2026-03-01T12:05:00Z"}
cases:
"""


def lay(folder: Path, cases: str = "", rule: str = KEPT) -> Path:
    """Write a pack with one rule and, if any are given, cases of the task above."""
    for name, text in (("pack.yaml", PACK), ("catalog.yaml", CATALOG), ("rules/film.yaml", rule)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    if cases:
        (folder / "cases").mkdir(exist_ok=True)
        (folder / "cases" / "film.yaml").write_text(GIVEN + cases, encoding="utf-8")
    return folder


def case(as_of: str, expect: str, name: str = "", rest: str = "") -> str:
    """A case of the task above."""
    return (
        f'  - name: "{name or as_of}"\n    task: film\n    as_of: "{as_of}"\n{rest}'
        f"    expect: [{{name: video, {expect}}}]\n"
    )


def bench(folder: Path) -> CaseBench:
    """The cases of a pack, ready to be judged."""
    made = read_pack(folder)
    return CaseBench(made, load_cases(made))
