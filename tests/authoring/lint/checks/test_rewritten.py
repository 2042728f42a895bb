"""Promises of the check `rewritten`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy_engine.core.periods import DAY, SECOND
from policy_engine.core.rule_model import OperationWindow, RulePack, RuleVersion
from policy_engine.core.vocabulary import StorageLocation
from tests.authoring.lint.helpers import ask, assert_messages, covered, laid, lint_for
from tests.support.strategies import BASE, pack, rule, service, version

KEPT = version(
    1,
    {"task_type": ["make_film"]},
    storage=StorageLocation.PLATFORM,
    retention=DAY,
    window=OperationWindow(("cut", "extend"), DAY),
)


def made_of(*versions: RuleVersion) -> RulePack:
    """A pack of one rule."""
    film = service("film", task_types=("make_film",), operations=("cut", "extend"))
    return pack([film], [rule("film", *versions)])


def test_the_broken_pack_gives_the_exact_messages() -> None:
    """
    Each edited value, removed version and removed rule is reported with both locations and what was known.
    """
    broken, merged = laid("rewritten"), laid(folder="merged")
    found = lint_for("rewritten", broken, earlier=merged, revision="main")
    assert_messages("rewritten", found, {**broken.texts, **merged.texts})


def test_the_merged_pack_has_no_problem() -> None:
    """
    A pack is compared only when an earlier one is given, and agrees with itself.
    """
    merged = laid()
    assert lint_for("rewritten", merged, earlier=merged) == ()
    assert covered("rewritten", merged) == "not checked: give a revision to compare with (--against)"


def test_versions_may_be_added() -> None:
    """
    A new version at the end is not an edit, and is counted.
    """
    after = made_of(KEPT, replace(KEPT, number=2, effective_from=BASE, retention=2 * DAY))
    assert ask("rewritten", after, earlier=made_of(KEPT)) == ()
    assert covered("rewritten", after, earlier=made_of(KEPT)).endswith("; 1 added since")


@pytest.mark.parametrize(
    ("after", "edited"),
    [
        (replace(KEPT, operation_window=OperationWindow(("extend", "cut"), DAY)), []),
        (
            version(1, {"task_type": ["Make_Film"]}, storage=KEPT.storage, retention=DAY, window=KEPT.operation_window),
            [],
        ),
        (replace(KEPT, retention=None), ["retention"]),
        (replace(KEPT, retention=DAY + SECOND, operation_window=None), ["retention", "operation_window"]),
    ],
    ids=["order of operations", "case of a task type", "vendor's terms", "one second, and no window"],
)
def test_spelling_is_not_an_edit(after: RuleVersion, edited: list[str]) -> None:
    """
    What means the same may be written differently; every value that means something else is a problem of its own.
    """
    found = ask("rewritten", made_of(after), earlier=made_of(KEPT))
    assert sorted(problem.about[1] for problem in found) == sorted(edited)
