"""Turns rules on how long media files are kept, and exported task histories, into defensible reports."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
_PUBLIC = ("build_report", "evaluate", "evaluate_history", "load_history", "load_pack", "render")
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import the public functions when they are first used: pandas must not slow down `policy-engine --help`."""
    if name in _PUBLIC:
        # By name, since the module lies above everything that imports this package.
        return getattr(import_module("policy_engine.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
