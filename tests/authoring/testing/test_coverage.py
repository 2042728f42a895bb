"""What counts as exercised: rules, versions, and both sides of every instant at which an answer changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_engine.authoring.testing.coverage import Fraction, measure
from tests.authoring.testing.acme_pack import CITED, KEPT, bench, case, lay

DATED = (
    KEPT
    + f"""\
  - version: 2
    effective_from: "2026-03-01T12:00:00Z"
    recorded_on: "2026-02-03"
    selector: {{service: [film], role: [main]}}
    storage: platform
    retention: {{period: P3D}}
    {CITED}
"""
)
ENDED = (
    KEPT
    + """\
  - version: 2
    effective_from: "2026-03-01T12:00:00Z"
    recorded_on: "2026-02-03"
    withdrawn: true
"""
)


def open_boundaries(folder: Path) -> dict[str, tuple[bool, bool]]:
    """Boundaries that lack a side, with what there is of (at, before)."""
    return {one.kind: (one.at, one.before) for one in measure(bench(folder)).open_boundaries}


@pytest.mark.parametrize(
    ("instants", "expected"),
    [
        (["2026-03-03T12:05:00Z"], (True, False)),
        (["2026-03-03T12:04:59Z"], (False, True)),
        (["2026-03-03T12:04:58.999999999Z", "2026-03-03T12:05:00.000000001Z"], (False, False)),
        (["2026-03-03T12:05:00Z", "2026-03-03T12:04:59.999999999Z"], None),
    ],
)
def test_a_deadline_needs_both_sides(tmp_path: Path, instants: list[str], expected: tuple[bool, bool] | None) -> None:
    """
    A deadline counts as exercised by a case at the instant and one at most a second before, and by nothing else.
    """
    verdicts = {at: "expired" if at >= "2026-03-03T12:05:00Z" else "at_risk" for at in instants}
    folder = lay(tmp_path, "".join(case(at, f"verdict: {verdict}") for at, verdict in verdicts.items()))
    assert open_boundaries(folder).get("latest_deadline") == expected


def test_a_boundary_counts_only_where_the_case_states_what_changes(tmp_path: Path) -> None:
    """
    At the earliest deadline only `possibly_past` changes, so a case that does not state it exercises nothing there.
    """
    both = ("2026-03-03T11:59:59Z", "2026-03-03T12:00:00Z")
    silent = lay(tmp_path / "silent", "".join(case(at, "verdict: at_risk") for at in both))
    stating = lay(
        tmp_path / "stating",
        case(both[0], "verdict: at_risk, possibly_past: false")
        + case(both[1], "verdict: at_risk, possibly_past: true"),
    )
    assert open_boundaries(silent)["earliest_deadline"] == (False, False)
    assert "earliest_deadline" not in open_boundaries(stating)


def test_an_effective_date_needs_files_on_both_sides(tmp_path: Path) -> None:
    """
    `effective_from` is exercised by a file created at it and one created just before, and idle versions are named.
    """
    at = case("2026-03-01T13:00:00Z", "verdict: active")
    folder = lay(tmp_path / "at", at, DATED)
    assert open_boundaries(folder)["effective_from"] == (True, False)
    assert [version.number for _, version in measure(bench(folder)).idle_versions] == [1]
    early = at.replace("  - name: ", "  - name: early ").replace("task: film", (
        'task: {task_id: early, service: film, role: main, url: "https://files.acme.example/early.mp4", '
        'created_at: "2026-03-01T11:59:59Z", completed_at: "2026-03-01T11:59:59Z"}'
    )).replace("name: video", "name: file").replace('early "2026', '"early 2026')  # fmt: skip
    folder = lay(tmp_path / "both", at + early, DATED)
    assert "effective_from" not in open_boundaries(folder)
    assert str(measure(bench(folder)).versions) == "2 of 2"


def test_an_end_is_exercised_by_a_file_created_since(tmp_path: Path) -> None:
    """
    The version that ends a rule counts when a file that the rule was about is created under it.
    """
    ended = lay(tmp_path / "ended", case("2026-03-01T13:00:00Z", "verdict: ungoverned"), ENDED)
    assert [version.number for _, version in measure(bench(ended)).idle_versions] == [1]
    replayed = case("2026-03-01T13:00:00Z", "verdict: active", rest='    known_on: "2026-02-02"\n')
    before = lay(tmp_path / "replay", replayed, ENDED)
    assert [version.number for _, version in measure(bench(before)).idle_versions] == [2]


def test_fractions_are_never_rounded_up() -> None:
    """
    One missing of a thousand is 99 %, and 100 % means all.
    """
    assert (Fraction(999, 1000).percent, Fraction(1000, 1000).percent, Fraction(0, 0).percent) == (99, 100, 100)
    assert not Fraction(999, 1000).reaches(100)
    assert Fraction(2, 3).reaches(66)
    assert not Fraction(2, 3).reaches(67)


def test_what_is_missing_is_reported_at_its_version(tmp_path: Path) -> None:
    """
    Each version or boundary that is not exercised is a warning at the line of the version.
    """
    folder = lay(tmp_path, case("2026-03-03T12:05:00Z", "verdict: expired"), DATED)
    problems = measure(bench(folder)).problems
    assert {problem.severity for problem in problems} == {"warning"}
    reported = {(problem.span.line, problem.message) for problem in problems if problem.span}
    assert (5, "`film` v1 is used by no case") in reported
    assert (11, "`film` v2: horizon start lacks a case at the instant and a case in the second before") in reported
