"""What cases notice: what is not noticed is reported at its version, and what no case could notice is not counted."""

from __future__ import annotations

from pathlib import Path

from policy_engine.authoring.testing.mutation import (
    EQUIVALENT,
    NOT_NOTICED,
    NOTICED,
    REFUSED,
    MutationReport,
    try_mutants,
)
from tests.authoring.testing.acme_pack import KEPT, WINDOWED, bench, case, lay

DEADLINES = 'expires_earliest: "2026-03-03T12:00:00Z", expires_latest: "2026-03-03T12:05:00Z"'


def states(report: MutationReport) -> dict[str, str]:
    """The state of each change."""
    return {outcome.mutant.change: outcome.state for outcome in report.outcomes}


def test_a_verdict_alone_does_not_notice_much(tmp_path: Path) -> None:
    """
    A case far from the deadline notices another service, and neither a longer period nor another storage.
    """
    report = try_mutants(bench(lay(tmp_path, case("2026-03-01T13:00:00Z", "verdict: active"))))
    found = states(report)
    assert found["retention P2D becomes PT2H"] == NOTICED
    assert found["retention P2D becomes P4D"] == NOT_NOTICED
    assert found["storage platform becomes vendor_cdn"] == NOT_NOTICED
    assert found["the period is counted only from submission"] == NOT_NOTICED
    assert found["the version ends the rule"] == NOTICED
    assert report.noticed < report.countable
    assert all(problem.span and problem.span.line == 5 for problem in report.problems)
    longer = next(problem for problem in report.problems if "P4D" in problem.message)
    assert longer.message == "`film` v1: no case would notice that retention P2D becomes P4D"
    assert longer.help == "add a case of a file with service `film`, role `main`, and state what changes"


def test_stating_deadlines_and_storage_notices_all(tmp_path: Path) -> None:
    """
    A case that states rule, storage and both deadlines, and one of another file, notice every change that matters.
    """
    cases = case("2026-03-01T13:00:00Z", f"verdict: active, rule: film, version: 1, storage: platform, {DEADLINES}")
    other = """\
  - name: a poster is another file
    task: {task_id: poster, model: film, status: completed, output: {poster: "https://files.acme.example/p.png"}}
    as_of: "2026-03-01T13:00:00Z"
    expect: [{name: poster, verdict: ungoverned}]
"""
    report = try_mutants(bench(lay(tmp_path, cases + other)))
    assert report.problems == ()
    assert (report.noticed, report.score.percent) == (report.countable, 100)


def test_a_change_without_a_meaning_is_listed_as_equivalent(tmp_path: Path) -> None:
    """
    In a catalog of one service, removing the service changes no answer: equivalent, and listed.
    """
    cases = case("2026-03-01T13:00:00Z", f"verdict: active, {DEADLINES}")
    report = try_mutants(bench(lay(tmp_path, cases)))
    assert states(report)["the condition on service is removed"] == EQUIVALENT
    assert len(report.outcomes) == sum(len(report.of(state)) for state in (NOTICED, NOT_NOTICED, EQUIVALENT, REFUSED))


def test_a_change_that_contradicts_the_pack_is_refused(tmp_path: Path) -> None:
    """
    A mutant that would not load is counted separately, with the reason.
    """
    folder = lay(tmp_path, case("2026-03-01T13:00:00Z", "verdict: active"))
    poster = KEPT.replace("id: film", "id: poster").replace("[main]", "[poster]")
    (folder / "rules" / "poster.yaml").write_text(poster, encoding="utf-8")
    refused = try_mutants(bench(folder)).of(REFUSED)
    assert "the condition on role is removed" in {outcome.mutant.change for outcome in refused}
    assert all("both cover storage" in outcome.detail for outcome in refused)


def test_recorded_dates_matter_to_replays_alone(tmp_path: Path) -> None:
    """
    When a version was recorded is changed only where a case asks what was known on a day.
    """
    plain = case("2026-03-01T13:00:00Z", "verdict: active")
    replayed = case("2026-03-01T13:00:00Z", "verdict: active", "on the day", '    known_on: "2026-02-02"\n')
    without = states(try_mutants(bench(lay(tmp_path / "without", plain))))
    with_replay = states(try_mutants(bench(lay(tmp_path / "with", plain + replayed))))
    assert not any("recorded_on" in change for change in without)
    assert with_replay["recorded_on 2026-02-02 becomes one day later"] == NOTICED
    assert with_replay["recorded_on 2026-02-02 becomes one day earlier"] == NOT_NOTICED


def test_a_dropped_operation_is_noticed_by_stating_the_operations(tmp_path: Path) -> None:
    """
    The list of operations of a window is a thing that cases can state, and then its mutants are noticed.
    """
    silent = lay(
        tmp_path / "silent", case("2026-03-01T13:00:00Z", "verdict: active, operation_verdict: open"), WINDOWED
    )
    stating = lay(
        tmp_path / "stating",
        case("2026-03-01T13:00:00Z", "verdict: active, operation_verdict: open, operations: [upscale, extend]"),
        WINDOWED,
    )
    change = "`extend` is removed from the operations"
    assert states(try_mutants(bench(silent)))[change] == NOT_NOTICED
    assert states(try_mutants(bench(stating)))[change] == NOTICED
