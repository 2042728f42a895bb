"""Turns rules on how long media files are kept, and exported task histories, into defensible reports."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from policy_engine.core.problems import (
    InputUnusable,
    PackInvalid,
    PolicyEngineError,
    Problem,
    TotalsMismatch,
    UsageProblem,
    WorkerEnded,
)
from policy_engine.core.version import __version__

if TYPE_CHECKING:
    from policy_engine.api import (
        EvaluatedHistory,
        ReportModel,
        RulePack,
        TaskHistory,
        build_report,
        evaluate,
        evaluate_history,
        load_history,
        load_pack,
        render,
    )

__all__ = [
    "EvaluatedHistory",
    "InputUnusable",
    "PackInvalid",
    "PolicyEngineError",
    "Problem",
    "ReportModel",
    "RulePack",
    "TaskHistory",
    "TotalsMismatch",
    "UsageProblem",
    "WorkerEnded",
    "__version__",
    "build_report",
    "evaluate",
    "evaluate_history",
    "load_history",
    "load_pack",
    "render",
]

_WITHOUT_PANDAS = {"RulePack": "policy_engine.core.rule_model", "load_pack": "policy_engine.authoring.loading"}
"""Name -> its module, where that is not the API, which imports pandas."""

if not TYPE_CHECKING:  # a checker that saw this function would accept any name

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used: pandas must not slow down `policy-engine --help`."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_WITHOUT_PANDAS.get(name, "policy_engine.api")), name)


def __dir__() -> list[str]:
    """List the public names, also those that have not been imported yet."""
    return sorted(__all__)
