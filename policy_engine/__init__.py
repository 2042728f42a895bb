"""Turns rules on how long media files are kept, and exported task histories, into defensible reports."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
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


class _Package(ModuleType):
    """Keeps `policy_engine.report.formats` the function that it is documented to be; the folder of that name is for imports."""

    def __setattr__(self, name: str, value: object) -> None:
        # Python binds a module in its package whenever it is imported, over whatever had the name.
        if name not in _PUBLIC or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
