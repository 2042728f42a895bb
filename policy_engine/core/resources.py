"""Finds the rule packs, schemas and templates that travel with the program."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
"""Folder of the program's own modules."""


def bundled(kind: str) -> Path:
    """
    Return the folder of bundled `rules`, `schemas` or `reports`.

    In a wheel they are in `policy_engine/_bundled`; in a checkout or an editable install they are the
    top-level folders, so that an edit is seen at once.
    """
    inside = PACKAGE / "_bundled" / kind
    outside = PACKAGE.parent / kind
    is_checkout = (PACKAGE.parent / "pyproject.toml").is_file() and outside.is_dir()
    if is_checkout:
        return outside
    if inside.is_dir():
        return inside
    raise RuntimeError(f"this installation has no bundled {kind}; install the program again")
