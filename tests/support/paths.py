"""Where the files of the repository are that tests read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The top folder of the repository."""
PACKS = ROOT / "tests" / "packs"
"""Rule packs made for tests: `valid`, `invalid` and `lint`."""
