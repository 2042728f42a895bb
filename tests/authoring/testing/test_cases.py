"""Running the cases of a rule pack: what passes, what fails and with which words, and what stops the run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from policy_engine.authoring.testing.cases import CaseReport, run_cases
from policy_engine.core.problems import NothingToEvaluate, PackInvalid, format_problem
from policy_engine.core.resources import bundled
from policy_engine.packs import read_pack

TASKS = """\
title: Flux
given:
  image:
    task_id: a
    model: Qubico/flux1-dev
    task_type: txt2img
    status: completed
    output: {image_url: https://img.theapi.app/temp/a.png}
    meta: {created_at: "2026-03-01T12:00:00Z", ended_at: "2026-03-01T12:10:00Z"}
  failed: {task_id: b, model: Qubico/flux1-dev, task_type: txt2img, status: failed}
cases:
"""


@pytest.fixture
def pack_folder(tmp_path: Path) -> Path:
    """A copy of the bundled pack without its cases."""
    folder = tmp_path / "pack"
    shutil.copytree(bundled("rules") / "piapi", folder)
    for path in (folder / "cases").glob("*"):
        path.unlink()
    return folder


def run(folder: Path, cases: str, file: str = "flux.yaml") -> CaseReport:
    """Run the pack with these cases after the tasks above."""
    (folder / "cases" / file).write_text(TASKS + cases, encoding="utf-8")
    return run_cases(read_pack(folder), folder)


def shown(report: CaseReport, folder: Path) -> list[str]:
    """Location and message of every difference, without the folder."""
    return [format_problem(problem).removeprefix(f"{folder.as_posix()}/") for problem in report.problems]


def refused(folder: Path, cases: str) -> list[str]:
    """What the run says of case files that it refuses."""
    with pytest.raises(PackInvalid) as caught:
        run(folder, cases)
    return [format_problem(problem).removeprefix(f"{folder.as_posix()}/") for problem in caught.value.problems]


def test_bundled_pack_passes() -> None:
    """
    Every case of the bundled pack holds.
    """
    report = run_cases(read_pack("piapi"))
    assert report.problems == ()
    assert report.total == report.passed > 50


def test_passing_case(pack_folder: Path) -> None:
    """
    A case passes when everything it states holds, and what it does not state is not compared.
    """
    report = run(
        pack_folder,
        """\
  - name: half a day after submission
    task: image
    as_of: "2026-03-02T00:00:00Z"
    expect:
      - name: image
        verdict: active
        rule: flux
        version: 1
        basis: published
        storage: platform
        account: ""
        possibly_past: false
        expires_earliest: "2026-03-04T20:00:00+08:00"
        expires_latest: "2026-03-04T12:10:00Z"
        reasons: []
        evidence: agrees
        operation_verdict: none
        operation_rule: ""
        operation_closes_earliest: null
  - name: a failed task
    task: failed
    as_of: "2026-03-02T00:00:00Z"
    expect: {no_asset: failed}
""",
    )
    assert (report.total, report.passed, report.failed, report.problems) == (2, 2, 0, ())


def test_failing_case_says_what_differs_and_where(pack_folder: Path) -> None:
    """
    Every field that differs is one line with the place of the expectation, the case, what was expected and found.
    """
    report = run(
        pack_folder,
        """\
  - name: wrong about everything
    task: image
    as_of: "2026-03-02T00:00:00Z"
    expect:
      - name: image
        verdict: expired
        rule: ai-hug
        version: 1
        basis: assumed
        possibly_past: true
        expires_latest: null
        operation_closes_latest: "2026-03-04T12:10:00Z"
        reasons: [readings_differ, completion_unknown]
  - name: right
    task: image
    as_of: "2026-03-02T00:00:00Z"
    expect: [{name: image, verdict: active}]
""",
    )
    assert (report.total, report.passed, report.failed) == (2, 1, 1)
    assert report.failures[0].case == "wrong about everything"
    assert report.failures[0].span.line == 12
    assert shown(report, pack_folder) == [
        "cases/flux.yaml:17:18: error[case-failed]: wrong about everything: `image` verdict: expected `expired`, "
        "found `active`",
        "cases/flux.yaml:18:15: error[case-failed]: wrong about everything: `image` rule: expected `ai-hug`, "
        "found `flux`",
        "cases/flux.yaml:20:16: error[case-failed]: wrong about everything: `image` basis: expected `assumed`, "
        "found `published`",
        "cases/flux.yaml:21:24: error[case-failed]: wrong about everything: `image` possibly_past: expected `true`, "
        "found `false`",
        "cases/flux.yaml:22:25: error[case-failed]: wrong about everything: `image` expires_latest: expected none, "
        "found `2026-03-04T12:10:00Z`",
        "cases/flux.yaml:23:34: error[case-failed]: wrong about everything: `image` operation_closes_latest: "
        "expected `2026-03-04T12:10:00Z`, found none",
        "cases/flux.yaml:24:18: error[case-failed]: wrong about everything: `image` reasons: "
        "expected `completion_unknown`, `readings_differ`, found none",
    ]


def test_failure_is_shown_in_its_line(pack_folder: Path) -> None:
    """
    The report brings the text of the case files, so that a difference can be shown in its line.
    """
    report = run(
        pack_folder,
        """\
  - name: wrong
    task: image
    as_of: "2026-03-02T00:00:00Z"
    expect: [{name: image, verdict: expired}]
""",
    )
    (problem,) = report.problems
    assert format_problem(problem, report.texts).splitlines()[1:] == [
        "  15 |     expect: [{name: image, verdict: expired}]",
        "     |                                     ^^^^^^^",
    ]


@pytest.mark.parametrize(
    ("as_of", "verdict", "possibly_past"),
    [
        ("2026-03-03T11:59:59.999999999Z", "active", "false"),
        ("2026-03-03T12:00:00Z", "at_risk", "false"),
        ("2026-03-04T11:59:59.999999999Z", "at_risk", "false"),
        ("2026-03-04T12:00:00Z", "at_risk", "true"),
        ("2026-03-04T12:09:59.999999999Z", "at_risk", "true"),
        ("2026-03-04T12:10:00Z", "expired", "false"),
    ],
)
def test_boundary(pack_folder: Path, as_of: str, verdict: str, possibly_past: str) -> None:
    """
    A case can stand one tick before and exactly at every boundary of a verdict.
    """
    report = run(
        pack_folder,
        f"""\
  - name: boundary
    task: image
    as_of: "{as_of}"
    expect: [{{name: image, verdict: {verdict}, possibly_past: {possibly_past}}}]
""",
    )
    assert report.problems == ()


def test_horizon_and_known_on_of_a_case(pack_folder: Path) -> None:
    """
    A case may ask with its own horizon, and with the rules as they were known on a day.
    """
    report = run(
        pack_folder,
        """\
  - name: far horizon
    task: image
    as_of: "2026-03-02T00:00:00Z"
    horizon: P30D
    expect: [{name: image, verdict: at_risk}]
  - name: before anything was recorded
    task: image
    as_of: "2026-03-02T00:00:00Z"
    known_on: "2020-01-01"
    expect: [{name: image, verdict: ungoverned, rule: "", reasons: [no_rule_in_force]}]
""",
    )
    assert report.problems == ()


def test_records_of_one_task_are_merged(pack_folder: Path) -> None:
    """
    Records given together are read as a run reads them: a history row and a task object of one task are one task.
    """
    report = run(
        pack_folder,
        """\
  - name: row and object
    tasks:
      - image
      - {task_id: a, task_model: flux, action: txt2img, status: completed, service_mode: private,
         created_at: "2026-03-01T12:00:00Z"}
    as_of: "2026-03-02T00:00:00Z"
    expect: [{name: image, verdict: active, account: host_your_account, evidence: agrees}]
""",
    )
    assert report.problems == ()


@pytest.mark.parametrize(
    ("expect", "found"),
    [
        ("{no_asset: failed}", "15:5: error[case-failed]: odd: expected no asset (`failed`), found `image`"),
        (
            "[{name: image, verdict: active}, {name: image/2, verdict: active}]",
            "15:46: error[case-failed]: odd: expected an asset `image/2`, found `image`",
        ),
        (
            "[{name: video_clean, verdict: active}]",
            "15:14: error[case-failed]: odd: expected an asset `video_clean`, found `image`\n"
            "15:5: error[case-failed]: odd: found an asset `image` that the case does not expect",
        ),
    ],
)
def test_assets_must_be_the_ones_named(pack_folder: Path, expect: str, found: str) -> None:
    """
    A case fails when an asset it names is missing, and when there is one that it does not name.
    """
    report = run(
        pack_folder,
        f"""\
  - name: odd
    task: image
    as_of: "2026-03-02T00:00:00Z"
    expect: {expect}
""",
    )
    assert [line.removeprefix("cases/flux.yaml:") for line in shown(report, pack_folder)] == found.split("\n")


def test_task_without_an_asset_says_why(pack_folder: Path) -> None:
    """
    Where a case expects an asset and there is none, or expects another reason, the reason found is said.
    """
    report = run(
        pack_folder,
        """\
  - name: expects a file
    task: failed
    as_of: "2026-03-02T00:00:00Z"
    expect: [{name: image, verdict: active}]
  - name: expects another reason
    task: failed
    as_of: "2026-03-02T00:00:00Z"
    expect: {no_asset: pending}
""",
    )
    assert shown(report, pack_folder) == [
        "cases/flux.yaml:15:14: error[case-failed]: expects a file: expected an asset `image`, found no asset (failed)",
        "cases/flux.yaml:19:5: error[case-failed]: expects another reason: no_asset: expected `pending`, "
        "found `failed`",
    ]


def test_unusable_record_fails_the_case(pack_folder: Path) -> None:
    """
    A record that a run would set aside fails its case, with the reason.
    """
    report = run(
        pack_folder,
        """\
  - name: no id
    tasks: [{model: flux, status: completed}]
    as_of: "2026-03-02T00:00:00Z"
    expect: {no_asset: failed}
""",
    )
    assert shown(report, pack_folder) == [
        "cases/flux.yaml:13:13: error[case-failed]: no id: a record is quarantined (no_task_id): found no `task_id`, "
        "expected a `task_id`",
    ]


def test_no_case_is_nothing_to_evaluate(pack_folder: Path) -> None:
    """
    A pack without cases is not "all passed": there was nothing to run.
    """
    with pytest.raises(NothingToEvaluate, match="the rule pack `piapi` has no cases"):
        run_cases(read_pack(pack_folder), pack_folder)
    (pack_folder / "cases").rmdir()
    with pytest.raises(NothingToEvaluate):
        run_cases(read_pack(pack_folder), pack_folder)


def test_broken_yaml(pack_folder: Path) -> None:
    """
    A case file that is not YAML is reported with its line and column, and nothing is run.
    """
    (message,) = refused(pack_folder, "  - name: [\n")
    assert message.startswith("cases/flux.yaml:12:12: error[yaml-syntax]: ")


def test_shape_is_checked(pack_folder: Path) -> None:
    """
    Keys and words that the schema does not know are reported with a near one.
    """
    assert refused(
        pack_folder,
        """\
  - name: misspelt
    task: image
    as_of: "2026-03-02T00:00:00Z"
    expect: [{name: image, verdict: activ, expires: null}]
""",
    ) == [
        "cases/flux.yaml:15:37: error[not-allowed]: `verdict` cannot be `activ`\n  help: did you mean `active`?",
        "cases/flux.yaml:15:44: error[unknown-key]: unknown key `expires` in entry 1 of `expect`\n"
        "  help: did you mean `expires_latest`?",
    ]


def test_names_that_refer_to_nothing(pack_folder: Path) -> None:
    """
    Rules, versions, outputs and given tasks that do not exist are reported with the nearest that does, all at once.
    """
    assert refused(
        pack_folder,
        """\
  - name: first
    task: imagee
    as_of: "2026-03-02T00:00:00Z"
    expect:
      - {name: imagex, verdict: active, rule: fluxx, operation_rule: suno}
      - {name: image, verdict: active, rule: flux, version: 7}
""",
    ) == [
        "cases/flux.yaml:13:11: error[unknown-task]: unknown given task `imagee`\n  help: did you mean `image`?",
        "cases/flux.yaml:16:16: error[unknown-output]: unknown output `imagex`\n  help: did you mean `image`?",
        "cases/flux.yaml:16:47: error[unknown-rule]: unknown rule `fluxx`\n  help: did you mean `flux`?",
        "cases/flux.yaml:17:61: error[unknown-version]: `flux` has no version 7\n  help: it has 1",
    ]


def test_facts_that_cannot_be(pack_folder: Path) -> None:
    """
    A row of a table that states what a fact cannot be is a problem at the value, in any spelling but the right ones.
    """
    file = pack_folder / "cases" / "kling.yaml"
    file.write_text(
        """\
title: Kling
given:
  row: {task_id: a, service: klingg, role: Mian, url: https://a.example/a}
  fine: {task_id: a, service: KLING, role: Try-On, media: Video, account: pay as you go, watermarked: 1}
  model: {task_id: a, service: Kling-Turbo, role: sole}
cases:
  - name: a file
    task: {task_id: b, service: kling, role: clean, media: vido, account: payg, watermarked: maybe}
    as_of: "2026-03-02T00:00:00Z"
    expect: {no_asset: pending}
""",
        encoding="utf-8",
    )
    with pytest.raises(PackInvalid) as caught:
        run_cases(read_pack(pack_folder), pack_folder)
    shown = [format_problem(problem).removeprefix(f"{pack_folder.as_posix()}/") for problem in caught.value.problems]
    assert shown == [
        "cases/kling.yaml:3:30: error[unknown-service]: unknown service `klingg`\n  help: did you mean `kling`?",
        "cases/kling.yaml:3:44: error[unknown-role]: unknown role `Mian`\n  help: did you mean `main`?",
        "cases/kling.yaml:8:46: error[unknown-role]: unknown role `clean`\n"
        "  help: known roles: `main`, `sole`, `try_on`, `unlisted`",
        "cases/kling.yaml:8:60: error[not-allowed]: `media` cannot be `vido`\n  help: did you mean `video`?",
        "cases/kling.yaml:8:75: error[not-allowed]: `account` cannot be `payg`\n"
        "  help: known values of account: `pay_as_you_go`, `host_your_account`",
        "cases/kling.yaml:8:94: error[not-allowed]: `watermarked` cannot be `maybe`\n"
        "  help: known values of watermarked: `true`, `false`",
    ]


def test_two_cases_of_one_name(pack_folder: Path) -> None:
    """
    Two cases of one file have two names, so that a failure names one of them.
    """
    case = '  - {name: same, task: failed, as_of: "2026-03-02T00:00:00Z", expect: {no_asset: failed}}\n'
    (message,) = refused(pack_folder, case + case)
    assert message.startswith("cases/flux.yaml:13:12: error[duplicate]: the case `same` appears twice")


def test_files_that_would_not_be_read(pack_folder: Path) -> None:
    """
    A case file that would be left out without a word is a problem.
    """
    (pack_folder / "cases" / "old").mkdir()
    (pack_folder / "cases" / "old" / "kling.yaml").write_text("", encoding="utf-8")
    (pack_folder / "cases" / "luma.yml").write_text("", encoding="utf-8")
    assert refused(
        pack_folder, '  - {name: a, task: failed, as_of: "2026-03-02T00:00:00Z", expect: {no_asset: failed}}\n'
    ) == [
        "cases/luma.yml:1:1: error[unread-file]: would not be read\n  help: rename it to end in .yaml",
        "cases/old/kling.yaml:1:1: error[unread-file]: would not be read\n  help: move it to cases/ itself",
    ]
