"""The public Python functions: what they take, what they give, and what they say of what they cannot take."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import policy_engine as public
from policy_engine import build_report, evaluate, evaluate_history, load_history, load_pack, render
from policy_engine.api import EvaluatedHistory
from policy_engine.core.problems import InputUnusable, PackInvalid
from policy_engine.core.rule_model import RulePack
from policy_engine.core.vocabulary import FINDING_COLUMNS, REASONS, VERDICTS
from policy_engine.report.model import ReportModel
from tests.support.commands import AS_OF, EXAMPLE, JOBS, environment, policy_engine
from tests.support.exports import kling, task, write, write_csv, write_lines
from tests.support.paths import PACKS, ROOT


@pytest.fixture(scope="module")
def pack() -> RulePack:
    """The bundled pack."""
    return load_pack()


@pytest.fixture
def history(pack: RulePack) -> EvaluatedHistory:
    """The example history, not read yet."""
    return evaluate_history(EXAMPLE, pack=pack, as_of=AS_OF)


# --- the package --------------------------------------------------------------------------------------------------


def test_version_has_one_source() -> None:
    """
    The build reads the version from the module that the program reads it from.
    """
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    source = (ROOT / settings["tool"]["hatch"]["version"]["path"]).read_text(encoding="utf-8")
    assert "version" not in settings["project"]
    assert f'__version__ = "{public.__version__}"' in source


def test_public_names_are_there() -> None:
    """
    Everything in `__all__` can be had from the package, and nothing else is made up.
    """
    assert all(getattr(public, name) is not None for name in public.__all__)
    assert {"load_pack", "load_history", "evaluate", "build_report", "render"} <= set(public.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'evaluat'"):
        _ = public.evaluat


@pytest.mark.slow
def test_import_is_light() -> None:
    """
    Importing the package, and loading a pack, does not import pandas.
    """
    program = "import sys, policy_engine; policy_engine.load_pack(); print('pandas' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True
    )
    assert done.stdout == "False\n"


# --- packs --------------------------------------------------------------------------------------------------------


def test_load_pack_takes_names_and_folders(pack: RulePack) -> None:
    """
    A pack is named, or is a folder given as text or path.
    """
    assert pack.id == "piapi"
    folder = PACKS / "valid" / "minimal"
    assert load_pack(folder).id == load_pack(str(folder)).id == "minimal"


@pytest.mark.parametrize(("defect", "code"), [("overlap-storage", "overlap"), ("unknown-key", "unknown-key")])
def test_invalid_packs_are_refused(defect: str, code: str, tmp_path: Path) -> None:
    """
    A pack of the wrong shape, or in conflict with itself, is refused with its problems.
    """
    for layer in (PACKS / "valid" / "minimal", PACKS / "invalid" / defect):
        for path in sorted(layer.rglob("*.yaml")):
            write(tmp_path / "minimal" / path.relative_to(layer), path.read_bytes())
    with pytest.raises(PackInvalid) as refused:
        load_pack(tmp_path / "minimal")
    assert code in {problem.code for problem in refused.value.problems}


def test_unknown_pack_is_refused() -> None:
    """
    A name that leads to no pack is refused with the nearest one.
    """
    with pytest.raises(PackInvalid, match="no rule pack and no folder called `piapy`") as refused:
        load_pack("piapy")
    assert "did you mean `piapi`?" in (refused.value.problems[0].help or "")


# --- histories ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "as_of", [AS_OF, "2026-01-08T08:00:00+08:00", datetime(2026, 1, 8, tzinfo=UTC), pd.Timestamp(AS_OF)]
)
def test_both_ways_give_the_same_findings(as_of: Any, pack: RulePack) -> None:
    """
    Loading a history and judging the frame gives the findings of judging it while it is read.
    """
    streamed = pd.concat(list(evaluate_history(EXAMPLE, pack=pack, as_of=as_of)), ignore_index=True)
    loaded = load_history(EXAMPLE, pack=pack)
    findings = evaluate(loaded.assets, pack, as_of=as_of)
    assert list(findings.columns) == list(FINDING_COLUMNS)
    assert_frame_equal(findings.astype(object), streamed.astype(object), check_dtype=False)


def test_load_history_gives_assets_quarantine_and_digest(tmp_path: Path, pack: RulePack) -> None:
    """
    A loaded history has a row per file, the records that were set aside, and a digest of the bytes alone.
    """
    write_lines(tmp_path / "a.jsonl", [task("t-1"), kling("k-1"), "nothing"])
    loaded = load_history(tmp_path, pack=pack)
    ids = ["flux/t-1/image/1", "kling/k-1/video_watermarked/1", "kling/k-1/video_clean/1"]
    assert loaded.assets["asset_id"].tolist() == ids
    assert loaded.quarantine["source"].tolist() == ["a.jsonl:3"]
    assert len(loaded.digest) == 64
    again = load_history(str(tmp_path / "a.jsonl"), pack=pack)
    assert again.digest == loaded.digest
    write_lines(tmp_path / "a.jsonl", [task("t-2")])
    assert load_history(tmp_path, pack=pack).digest != loaded.digest


def test_load_history_maps_columns(tmp_path: Path, pack: RulePack) -> None:
    """
    `columns` names the columns of the caller's tables.
    """
    path = write_csv(tmp_path / "t.csv", [{"Job": "1", "Kind": "flux", "state": "completed"}])
    loaded = load_history(path, pack=pack, columns={"task_id": "Job", "model": "Kind", "status": "state"})
    assert loaded.assets["task_id"].tolist() == ["1"]


def test_history_without_assets_can_be_judged(tmp_path: Path, pack: RulePack) -> None:
    """
    A history that made no file gives an empty frame, and so do its findings.
    """
    path = write_lines(tmp_path / "h.jsonl", [task(status="failed", output={})])
    loaded = load_history(path, pack=pack)
    findings = evaluate(loaded.assets, pack, as_of=AS_OF)
    assert len(findings) == 0
    assert list(findings.columns) == list(FINDING_COLUMNS)
    assert evaluate_history(path, pack=pack, as_of=AS_OF).totals.tasks.without_assets == {"failed": (1, 0)}


@pytest.mark.parametrize(
    "load", [load_history, lambda *paths, pack: list(evaluate_history(*paths, pack=pack, as_of=AS_OF))]
)
def test_unusable_history_is_refused(load: Any, tmp_path: Path, pack: RulePack) -> None:
    """
    A file that cannot be read is refused with its problems, whichever way it is read.
    """
    with pytest.raises(InputUnusable) as refused:
        load(tmp_path / "nosuch.json", write(tmp_path / "page.json", "<html>"), pack=pack)
    assert [problem.code for problem in refused.value.problems] == ["missing-file", "not-an-export"]


# --- a history that is judged while it is read --------------------------------------------------------------------


def test_totals_need_no_iteration(history: EvaluatedHistory) -> None:
    """
    Whoever asks for totals or quarantine first gets those of the whole history.
    """
    assert history.totals.findings.assets == 553
    assert len(history.quarantine) == 0
    assert history.totals.seen.records == 748


def test_stopping_early_counts_nothing_twice(history: EvaluatedHistory) -> None:
    """
    After some chunks, the rest is read on and not again.
    """
    first = next(iter(history))
    assert history.totals.findings.assets == 553 > len(first)
    assert list(history) == []
    assert history.totals.findings.assets == 553


def test_iterating_again_counts_nothing_twice(history: EvaluatedHistory) -> None:
    """
    A history is read once: a second loop has nothing more, and the totals stay.
    """
    assert sum(len(chunk) for chunk in history) == 553
    assert sum(len(chunk) for chunk in history) == 0
    assert history.totals.findings.assets == 553


def test_broken_reading_gives_no_totals(tmp_path: Path, pack: RulePack) -> None:
    """
    Where reading failed, totals and reports are refused, not made from the part that was read.
    """
    path = write_lines(tmp_path / "h.jsonl", [task()])
    history = evaluate_history(path, pack=pack, as_of=AS_OF)
    path.unlink()
    with pytest.raises(InputUnusable):
        list(history)
    with pytest.raises(RuntimeError, match="could not be read completely"):
        _ = history.totals
    with pytest.raises(RuntimeError, match="could not be read completely"):
        build_report(history)


@pytest.mark.parametrize("jobs", JOBS)
def test_processes_change_nothing(jobs: int, tmp_path: Path, pack: RulePack) -> None:
    """
    Several processes give the findings and totals of one.
    """
    for name in ("a", "b"):
        write_lines(tmp_path / f"{name}.jsonl", [task("shared"), task(f"{name}-1")])
    history = evaluate_history(tmp_path, pack=pack, as_of=AS_OF, jobs=jobs)
    assert sorted(task_id for chunk in history for task_id in chunk["task_id"]) == ["a-1", "b-1", "shared"]
    assert history.totals.merged == 1


# --- reports ------------------------------------------------------------------------------------------------------


def test_report_is_that_of_the_command(history: EvaluatedHistory, tmp_path: Path) -> None:
    """
    Building and rendering gives the summary that the command writes, but for the digest of a table nobody wrote.
    """
    model = build_report(history)
    assert isinstance(model, ReportModel)
    assert policy_engine("report", EXAMPLE, "--as-of", AS_OF, "-o", tmp_path / "report").code == 0
    written = json.loads((tmp_path / "report" / "summary.json").read_text(encoding="utf-8"))
    rendered = json.loads(render(model, "json"))
    assert rendered.pop("findings_digest") == ""
    assert len(written.pop("findings_digest")) == 64
    assert rendered == written


def test_render_has_four_formats(history: EvaluatedHistory) -> None:
    """
    A report can be rendered as a page, as JSON, as Markdown and as text; the same report gives the same text again.
    """
    model = build_report(history)
    assert render(model).startswith("<!doctype html>")
    assert json.loads(render(model, "json"))["schema"] == "policy-engine/summary/v1"
    assert render(model, "text").splitlines()[0] == f"Retention report: PiAPI, as of {AS_OF}"
    assert render(model, "markdown").startswith("# Retention report: PiAPI\n")
    assert render(model) == render(model, "html")
    with pytest.raises(ValueError, match="there is no format `pdf`; there are html, json, markdown and text"):
        render(model, "pdf")


def test_report_names_all_parameters(pack: RulePack) -> None:
    """
    Whatever decides the answers is in the report.
    """
    history = evaluate_history(
        EXAMPLE, pack=pack, as_of=AS_OF, horizon="PT36H", operation_horizon="PT2H", known_on=date(2027, 1, 1)
    )
    assert dict(build_report(history).parameters) == {
        "as_of": AS_OF, "horizon": "P1DT12H", "operation_horizon": "PT2H", "known_on": "2027-01-01",
    }  # fmt: skip


def test_report_rows_tell_the_rules(history: EvaluatedHistory) -> None:
    """
    A row of a report names the rule of the deadline, that of the operation window, and whether the file is marked.
    """
    files = build_report(history).files
    columns = {column.name: column.cells for column in files.columns}
    vendor = [place for place, verdict in enumerate(columns["verdict"]) if verdict == "vendor_cdn"]
    assert {columns["operation_rule"][place] for place in vendor} >= {"suno v1", "midjourney-copies-payg v1", ""}
    assert {columns["watermarked"][place] for place in vendor if columns["service"][place] == "kling"} == {"true"}
    at_risk = [row for row in files.first if row.verdict == "at_risk"]
    assert {row.watermarked for row in at_risk} <= {"true", "false", ""}
    assert all(row.rule.rpartition(" v")[2].isdigit() for row in at_risk)


# --- a frame of the caller's own ----------------------------------------------------------------------------------


def test_few_columns_are_enough(pack: RulePack) -> None:
    """
    A frame needs the service and nothing else; what it does not say is unknown, and its index and order are kept.
    """
    frame = pd.DataFrame({"service": ["flux", "udio", "nonesuch", None]}, index=["d", "a", "c", "b"])
    with pytest.warns(UserWarning, match="`service` is unknown in 1 of 4 rows"):
        findings = evaluate(frame, pack, as_of=AS_OF)
    assert findings.index.tolist() == ["d", "a", "c", "b"]
    assert findings["verdict"].astype(str).tolist() == ["undetermined", "ungoverned", "undetermined", "undetermined"]
    assert findings["reason"].astype(str).tolist() == [
        "no_clock",
        "no_published_rule",
        "unknown_service",
        "unknown_service",
    ]
    assert list(findings.columns) == list(FINDING_COLUMNS)


def test_times_may_be_text_or_times(pack: RulePack) -> None:
    """
    Times are zone-aware in any unit and zone, or RFC 3339 text; all give the same answer.
    """
    instant = pd.Timestamp("2026-01-05T12:00:00Z")
    columns: list[Any] = [
        ["2026-01-05T12:00:00Z"],
        ["2026-01-05T20:00:00+08:00"],
        pd.Series([instant]),
        pd.Series([instant]).dt.as_unit("s"),
        pd.Series([instant]).dt.tz_convert("Asia/Tokyo"),
        [instant.to_pydatetime()],
        pd.Series([instant], dtype=object),
    ]
    answers = [
        evaluate(pd.DataFrame({"service": ["flux"], "created_at": column, "completed_at": column}), pack, as_of=AS_OF)
        for column in columns
    ]
    for findings in answers:
        assert findings["verdict"].tolist() == ["at_risk"]
        assert findings["expires_earliest"].tolist() == [pd.Timestamp("2026-01-08T12:00:00Z")]
        assert findings["seconds_left"].tolist() == [12 * 3600]


def test_facts_may_be_of_any_kind(pack: RulePack) -> None:
    """
    Facts may be text, categories or booleans, missing ones None, NaN or empty.
    """
    base = {"service": ["kling"] * 3, "role": ["main"] * 3, "created_at": ["2026-01-07T00:00:00Z"] * 3}
    kinds: list[Any] = [
        ["true", "false", None],
        ["TRUE", " f ", " "],
        [1, 0, None],
        [1.0, 0.0, float("nan")],
        pd.Series([1, 0, None], dtype="Int64"),
        pd.Series(["1", "0", None], dtype="str"),
        pd.Series(["true", "false", ""], dtype="category"),
        pd.Series(["Yes", "no", ""], dtype="category"),
        pd.Series([True, False, None], dtype="boolean"),
        pd.Series([True, False, float("nan")], dtype=object),
    ]
    for kind in kinds:
        findings = evaluate(pd.DataFrame({**base, "watermarked": kind}), pack, as_of=AS_OF)
        assert findings["verdict"].astype(str).tolist() == ["vendor_cdn", "active", "undetermined"]


SPELT = pd.DataFrame(
    [
        ("Kling", "Main", "Video", "pay-as-you-go", "TRUE"),
        ("kling", "main", "video", "Pay as you go", "1"),
        ("kling", "MAIN ", " VIDEO", "pay_as_you_go", "yes"),
        ("kling", "clean", "hologram", "PAYG", "maybe"),
        ("kling", "vendor_copy", "video", "pay_as_you_go", "true"),
    ],
    columns=["service", "role", "media", "account", "watermarked"],
).assign(created_at="2026-01-07T00:00:00Z", task_id=list("abcde"), url=[f"https://a.example/{x}" for x in "abcde"])
"""Facts as people spell them; the last two rows state what a file of Kling cannot be."""


def test_frames_and_tables_read_facts_alike(tmp_path: Path, pack: RulePack) -> None:
    """
    A fact in another spelling is that fact, and one that it cannot be is unknown and a problem, in frames and tables.
    """
    with pytest.warns(UserWarning) as warned:
        findings = evaluate(SPELT, pack, as_of=AS_OF)
    assert [str(one.message) for one in warned] == [
        "`account` is unknown in 1 of 5 rows, since it cannot be what they state; the first is row 3, with `PAYG`; "
        "known values of account: `pay_as_you_go`, `host_your_account`",
        "`media` is unknown in 1 of 5 rows, since it cannot be what they state; the first is row 3, with `hologram`; "
        "known values of media: `image`, `video`, `audio`, `model`, `text`",
        "`role` is unknown in 2 of 5 rows, since it cannot be what they state; the first is row 3, with `clean` of "
        "`kling`; known values of role: `main`, `sole`, `try_on`, `unlisted`",
        "`watermarked` is unknown in 1 of 5 rows, since it cannot be what they state; the first is row 3, with "
        "`maybe`; known values of watermarked: `true`, `false`",
    ]
    SPELT.to_csv(tmp_path / "files.csv", index=False)
    SPELT.astype("category").to_parquet(tmp_path / "files.parquet", index=False)
    for name in ("files.csv", "files.parquet"):
        history = evaluate_history(tmp_path / name, pack=pack, as_of=AS_OF)
        table = pd.concat(list(history))
        for column in ("service", "role", "media", "account", "watermarked", "verdict", "reason", "rule_id"):
            assert table[column].astype("str").tolist() == findings[column].astype("str").tolist(), column
        assert history.totals.seen.problem_counts == {
            "unreadable_account": 1, "unreadable_media": 1, "unreadable_role": 2, "unreadable_watermarked": 1,
        }  # fmt: skip
    assert findings["verdict"].tolist() == ["vendor_cdn"] * 3 + ["undetermined", "vendor_cdn"]
    assert findings["reason"].tolist()[3] == "completion_unknown;role_unknown;watermarked_unknown"
    assert findings["role"].fillna("").tolist() == ["main"] * 3 + ["", ""]


def test_unknown_services_in_frames_are_reported(pack: RulePack) -> None:
    """
    A service that the catalog does not list stays as it is written, and the nearest one is named.
    """
    with pytest.warns(UserWarning, match="with `klingon`; did you mean `kling`?"):
        findings = evaluate(pd.DataFrame({"service": ["klingon", None]}), pack, as_of=AS_OF)
    assert findings["service"].fillna("").tolist() == ["klingon", ""]
    assert findings["reason"].tolist() == ["unknown_service"] * 2


def test_judging_leaves_the_frame_as_it_was(pack: RulePack) -> None:
    """
    The caller's frame is not changed, and its further finding columns pass through.
    """
    frame = pd.DataFrame(
        {"service": ["flux"], "account_id": [12], "url": ["https://img.theapi.app/1.png"], "mine": [1]}
    )
    before = frame.copy(deep=True)
    findings = evaluate(frame, pack, as_of=AS_OF)
    assert_frame_equal(frame, before)
    assert findings["account_id"].tolist() == [12]
    assert findings["url_host"].tolist() == ["img.theapi.app"]
    assert findings["host_owner"].tolist() == ["piapi"]
    assert "mine" not in findings.columns


def test_horizons_can_be_given(pack: RulePack) -> None:
    """
    The horizon is the pack's unless given as ISO 8601 text or nanoseconds.
    """
    frame = pd.DataFrame({"service": ["flux"], "created_at": ["2026-01-07T00:00:00Z"]})
    frame["completed_at"] = frame["created_at"]
    hours = 3_600_000_000_000
    verdicts = [
        evaluate(frame, pack, as_of=AS_OF, horizon=one)["verdict"][0] for one in (None, "P2D", 48 * hours, "P1D")
    ]
    assert verdicts == ["active", "at_risk", "at_risk", "active"]


def test_answers_use_documented_words(pack: RulePack, history: EvaluatedHistory) -> None:
    """
    Verdicts and reason codes are those that are documented.
    """
    for findings in history:
        assert set(findings["verdict"]) <= {str(verdict) for verdict in VERDICTS}
        assert {code for joined in findings["reason"] for code in joined.split(";") if code} <= set(REASONS)


WRONG_FRAMES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no service": ({"model": ["flux"]}, {}, "the frame has no column `service`"),
    "naive times": (
        {"service": ["flux"], "created_at": pd.to_datetime(["2026-01-07"])}, {},
        "`created_at` holds times without a zone; localise them to UTC first",
    ),
    "naive text": (
        {"service": ["flux"] * 2, "completed_at": [None, "2026-01-07T00:00:00"]}, {},
        "`completed_at` holds `2026-01-07T00:00:00` in row 1: a time without a zone",
    ),
    "no time": ({"service": ["flux"], "created_at": ["soon"]}, {}, "`created_at` holds `soon` in row 0: not an RFC"),
    "unix seconds": (
        {"service": ["flux"], "created_at": [1_767_694_000]}, {},
        "`created_at` holds `1767694000` in row 0, which is not a time; give zone-aware times",
    ),
    "far time": ({"service": ["flux"], "created_at": ["9999-01-01T00:00:00Z"]}, {}, "a time outside 1823-"),
    "naive as_of": ({"service": ["flux"]}, {"as_of": datetime(2026, 1, 8)}, "a time without a zone"),  # noqa: DTZ001
    "as_of without a zone": ({"service": ["flux"]}, {"as_of": "2026-01-08T00:00:00"}, "a time without a zone"),
    "as_of a day": ({"service": ["flux"]}, {"as_of": date(2026, 1, 8)}, "`2026-01-08` is not a time"),
    "as_of a day in text": ({"service": ["flux"]}, {"as_of": "2026-01-08"}, "a date without a time of day"),
    "as_of nothing": ({"service": ["flux"]}, {"as_of": None}, "`None` is not a time"),
    "as_of missing": ({"service": ["flux"]}, {"as_of": pd.NaT}, "a time without a zone"),
    "as_of far away": ({"service": ["flux"]}, {"as_of": 10**30}, "a time outside 1823-"),
    "horizon": ({"service": ["flux"]}, {"horizon": "3d"}, "`3d` is not an ISO 8601 duration"),
    "operation horizon": ({"service": ["flux"]}, {"operation_horizon": "P1M"}, "`P1M` is not an ISO 8601 duration"),
    "horizon behind": ({"service": ["flux"]}, {"horizon": -5}, "a horizon of -5 ns"),
    "operation horizon behind": ({"service": ["flux"]}, {"operation_horizon": -1}, "a horizon of -1 ns"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_FRAMES)
def test_wrong_frames_are_refused_clearly(name: str, pack: RulePack) -> None:
    """
    A frame or an argument that cannot be judged is a ValueError that names column, row and what is wrong.
    """
    columns, changes, message = WRONG_FRAMES[name]
    with pytest.raises(ValueError) as refused:
        evaluate(pd.DataFrame(columns), pack, **{"as_of": AS_OF, **changes})
    assert message in str(refused.value)
