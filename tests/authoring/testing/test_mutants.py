"""Mutants of a rule: every kind of mistake is made, and no two are alike."""

from __future__ import annotations

from pathlib import Path

from policy_engine.authoring.testing.mutants import KINDS, make_mutants
from policy_engine.packs import read_pack
from tests.authoring.testing.acme_pack import WINDOWED, lay


def test_every_kind_of_change_is_tried(tmp_path: Path) -> None:
    """
    A version with everything in it is changed in every way, and its mutants are distinct.
    """
    made = read_pack(lay(tmp_path, rule=WINDOWED))
    mutants = list(make_mutants(made.rules[0], made.catalog, is_replayed=True))
    assert {mutant.kind for mutant in mutants} == set(KINDS)
    changes = [(mutant.version.number, mutant.change) for mutant in mutants]
    assert len(changes) == len(set(changes))
    assert {mutant.change for mutant in mutants if mutant.kind in ("duration", "unit", "comparison")} == {
        *(f"retention P2D becomes {word}" for word in ("P4D", "P1D", "P3D", "PT2H")),
        *(f"operation window PT3H becomes {word}" for word in ("PT6H", "PT1H30M", "PT4H", "PT2H", "P3D")),
        *(
            f"{what} becomes {which} by one nanosecond"
            for what in ("retention P2D", "operation window PT3H")
            for which in ("longer", "shorter")
        ),
    }
