"""Columns beside the verdicts: what the user has saved already, exempts, and wants saved by when."""

from __future__ import annotations

from pathlib import Path

from policy_engine.annotations.annotator import AnnotationTotals, Annotator, due_rows, total
from policy_engine.annotations.exemptions import Exemption, Exemptions, read_exemptions
from policy_engine.annotations.house_rules import HouseRules, read_house_rules
from policy_engine.annotations.inventory import INVENTORY_COLUMNS, Inventory
from policy_engine.annotations.inventory_files import read_inventory
from policy_engine.core.rule_model import Catalog

__all__ = [
    "INVENTORY_COLUMNS",
    "AnnotationTotals",
    "Annotator",
    "Exemption",
    "Exemptions",
    "HouseRules",
    "Inventory",
    "due_rows",
    "read_annotator",
    "read_exemptions",
    "read_house_rules",
    "read_inventory",
    "total",
]


def read_annotator(
    catalog: Catalog,
    as_of: int,
    archived: str | Path | None = None,
    exemptions: str | Path | None = None,
    house_rules: str | Path | None = None,
) -> Annotator:
    """
    Read the given files (None: not given); `as_of` in ns decides which copies count.

    Raises InputUnusable for an inventory or exemptions that cannot be used, PackInvalid for house rules.
    """

    def named(file: str | Path) -> tuple[Path, str]:
        return Path(file), Path(file).as_posix()

    return Annotator(
        inventory=None if archived is None else read_inventory(*named(archived), as_of),
        exemptions=None if exemptions is None else read_exemptions(*named(exemptions), catalog),
        house_rules=None if house_rules is None else read_house_rules(*named(house_rules), catalog),
    )
