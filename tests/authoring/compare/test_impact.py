"""The impact of a change of rules: the same as evaluating twice, sums that tie, and endings that tell the truth."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from policy_engine.authoring.compare.impact import CHANGED_COLUMNS, STATES
from policy_engine.authoring.compare.impact_formats import LINES
from tests.support.commands import AS_OF, EXAMPLE, policy_engine
from tests.support.exports import task, write, write_lines
from tests.support.paths import ROOT

BUNDLED = ROOT / "rules" / "piapi"
SHORTER = """\
  - version: 2
    effective_from: "2026-01-01T00:00:00Z"
    recorded_on: "2026-12-01"
    selector: {service: [flux]}
    storage: platform
    retention: {period: P2D}
    citation: {source: output-storage, section: Flux API, retrieved_on: "2026-12-01", basis: published}
"""


def lay(folder: Path) -> Path:
    """Copy the bundled pack."""
    for path in BUNDLED.rglob("*.yaml"):
        write(folder / path.relative_to(BUNDLED), path.read_bytes())
    return folder


def append(path: Path, text: str) -> None:
    """Add text to a file."""
    path.write_text(path.read_text("utf-8") + text, encoding="utf-8")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three packs beside the bundled one: shorter Flux, no Flux, and a broken one."""
    monkeypatch.chdir(tmp_path)
    append(lay(tmp_path / "shorter") / "rules" / "flux.yaml", SHORTER)
    gone = lay(tmp_path / "gone")
    catalog = gone / "catalog.yaml"
    parts = re.split(r"(?m)^(?=  - id: )", catalog.read_text("utf-8"))
    catalog.write_text("".join(part for part in parts if not part.startswith("  - id: flux\n")), encoding="utf-8")
    (gone / "rules" / "flux.yaml").unlink()
    write(lay(tmp_path / "broken") / "rules" / "flux.yaml", "id: [\n")
    return tmp_path


def rows_of(pack: str) -> dict[str, dict[str, str]]:
    """The findings of the example under one pack."""
    assert policy_engine("evaluate", EXAMPLE, "--pack", pack, "--as-of", AS_OF, "-o", "findings.csv").code == 0
    with Path("findings.csv").open(encoding="utf-8", newline="") as stream:
        return {row["asset_id"]: row for row in csv.DictReader(stream)}


def impact_json(*arguments: str) -> dict[str, Any]:
    """The impact of a change on the example, as JSON."""
    done = policy_engine("impact", *arguments, EXAMPLE, "--as-of", AS_OF, "--format", "json")
    assert done.code == 0, done.err
    value: dict[str, Any] = json.loads(done.text)
    return value


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_impact_is_what_two_evaluations_say(jobs: str, desk: Path) -> None:
    """
    The matrix, and the table of changed files to the cell, are those of evaluating with each pack and comparing.
    """
    before, after = rows_of("piapi"), rows_of("./shorter")
    value = impact_json("piapi", "shorter", "--jobs", jobs, "-o", "changed.csv")
    expected = Counter((before[id]["verdict"], after[id]["verdict"]) for id in before)
    assert {(one["before"], one["after"]): one["assets"] for one in value["verdicts"]} == expected
    assert expected["active", "at_risk"] > 0
    points = Counter[tuple[str, str]]()
    for id, row in before.items():
        points[row["verdict"], after[id]["verdict"]] += int(row["points"] or 0)
    assert {(one["before"], one["after"]): one["points"] for one in value["verdicts"]} == points
    with Path("changed.csv").open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        assert tuple(reader.fieldnames or ()) == CHANGED_COLUMNS
        changed = {row["asset_id"]: row for row in reader}
    answer = ("verdict", "storage", "expires_earliest", "expires_latest", "operations", "operation_verdict",
              "operation_closes_earliest", "operation_closes_latest")  # fmt: skip
    assert changed.keys() == {id for id in before if any(before[id][name] != after[id][name] for name in answer)}
    assert len(changed) == value["changed"]["assets"] > 0
    for id, row in changed.items():
        for name in CHANGED_COLUMNS:
            side, _, rest = name.partition("_")
            if side in ("before", "after"):
                assert row[name] == (before if side == "before" else after)[id][rest]
            elif name != "change":
                assert row[name] == after[id][name]


def test_sums_of_all_views_tie(desk: Path) -> None:
    """
    By service and by verdict the same assets and points are counted, and samples are files of that change.
    """
    value = impact_json("piapi", "shorter")
    total = value["read"]["assets"]
    for view in ("verdicts", "by_service", "operation_verdicts"):
        assert sum(one["assets"] for one in value[view]) == total
    assert sum(one["assets"] for one in value["by_rule"]) == value["changed"]["assets"]
    assert {one["rule_before"] for one in value["by_rule"]} == {"flux v1"}
    assert {one["rule_after"] for one in value["by_rule"]} == {"flux v2"}
    moved = [one for one in value["verdicts"] if one["before"] != one["after"]]
    assert all(sample["asset_id"].startswith("flux/") for one in moved for sample in one["samples"])
    assert all(one["samples"] for one in moved)


def test_the_same_pack_changes_nothing(desk: Path) -> None:
    """
    Two packs that mean the same leave every file as it is, and that is exit 0.
    """
    done = policy_engine("impact", "piapi", "piapi", EXAMPLE, "--as-of", AS_OF, "-o", "changed.csv")
    assert done.code == 0
    assert "no change in meaning" in done.text
    assert "changed   0 files" in done.text
    assert Path("changed.csv").read_text("utf-8").count("\n") == 1


@pytest.mark.parametrize(("old", "new", "place"), [("piapi", "gone", 1), ("gone", "piapi", 0)])
def test_files_of_a_service_that_one_catalog_lacks_are_absent(old: str, new: str, place: int, desk: Path) -> None:
    """
    A service in one catalog only: its files are made all the same, judged by the pack that has it, absent in the other.
    """
    value = impact_json(old, new)
    known = Counter(row["verdict"] for row in rows_of("piapi").values() if row["service"] == "flux")
    found = {
        (one["before"], one["after"])[1 - place]: one["assets"]
        for one in value["verdicts"]
        if (one["before"], one["after"])[place] == "absent"
    }
    assert found == known
    assert value["read"]["assets"] == len(rows_of("piapi"))
    assert any("absent" in note for note in value["notes"])


def test_text_fits_a_terminal(desk: Path) -> None:
    """
    However much changes, the text has at most 25 lines of at most 110 characters.
    """
    many = lay(desk / "many")
    for path in (many / "rules").glob("*.yaml"):
        path.write_text(path.read_text("utf-8").replace("period: P3D", "period: PT1H"), encoding="utf-8")
    pack = many / "pack.yaml"
    pack.write_text(pack.read_text("utf-8").replace("horizon: P1D", "horizon: P9D", 1), encoding="utf-8")
    for packs in (("piapi", "many"), ("many", "gone"), ("gone", "shorter")):
        done = policy_engine("impact", *packs, EXAMPLE, "--as-of", AS_OF, "-o", "changed.csv")
        assert done.code == 0, done.err
        assert len(done.text.splitlines()) <= LINES
        assert max(map(len, done.text.splitlines())) <= 110


def expecting(desk: Path, verdicts: str, as_of: str = AS_OF) -> str:
    """A pack whose new version expects something of itself."""
    folder = desk / "expecting"
    block = f'    expected_impact: {{history: the example, as_of: "{as_of}", verdicts: {verdicts}}}\n'
    append(lay(folder) / "rules" / "flux.yaml", SHORTER + block)
    return "expecting"


@pytest.mark.parametrize(
    ("verdicts", "code", "said"),
    [
        ("{active->at_risk: {assets: 6}, at_risk->expired: {assets: 6}}", 0, "6 as expected"),
        ("{active->at_risk: {assets: 5, tolerance: 20%}, at_risk->expired: {assets: 7, tolerance: 1}}", 0,
         "expected 5, found 6, within the tolerance"),
        ("{active->at_risk: {assets: 5, tolerance: 19.9%}, at_risk->expired: {assets: 6}}", 6,
         "flux v2: active->at_risk: expected 5, found 6"),
        ("{active->at_risk: {assets: 6}}", 6, "flux v2: at_risk->expired: expected 0, found 6"),
        ("{active->at_risk: {assets: 6}, at_risk->expired: {assets: 6}, active->ungoverned: {assets: 1}}", 6,
         "flux v2: active->ungoverned: expected 1, found 0"),
        ("{}", 6, "expected 0, found 6"),
    ],
)  # fmt: skip
def test_expected_impact_is_checked_exactly(verdicts: str, code: int, said: str, desk: Path) -> None:
    """
    A version's own expectation holds within its tolerance and fails with exit 6 beyond it; what it does not name is
    expected not to happen. The instant is taken from the version.
    """
    done = policy_engine("impact", "piapi", expecting(desk, verdicts), EXAMPLE)
    assert done.code == code, done.err
    assert said in done.text + done.err
    if code:
        assert "expecting/rules/flux.yaml:16:5: error[expected-impact]: " in done.err
        assert "(measured on the example)" in done.err
    old = policy_engine("impact", "expecting", "expecting", EXAMPLE, "--as-of", AS_OF)
    assert (old.code, "expected" in old.text) == (0, False)


def test_expected_impact_of_another_instant_is_not_passed_over(desk: Path) -> None:
    """
    An expectation that cannot be checked is exit 2, unless the comparison is skipped.
    """
    pack = expecting(desk, "{}")
    arguments = ("impact", "piapi", pack, EXAMPLE, "--as-of", "2026-01-07T00:00:00Z")
    done = policy_engine(*arguments)
    assert done.code == 2
    assert "expects its impact as of 2026-01-08T00:00:00Z, but the question is about 2026-01-07T00:00:00Z" in done.err
    assert policy_engine(*arguments, "--no-expected").code == 0


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ("{active->lost: {assets: 1}}", "two verdicts with an arrow between"),
        ("{active->active: {assets: 1}}", "`active->active` is not a change of a verdict"),
        ("{active->expired: {assets: -1}}", "should be at least 0"),
        ("{active->expired: {assets: 1, tolerance: 5 %}}", "a number of files such as 3, or a share such as 5%"),
        ("{active->expired: {tolerance: 5%}}", "the key `assets` is missing"),
    ],
)
def test_expected_impact_has_a_shape(verdicts: str, said: str, desk: Path) -> None:
    """
    An expectation that makes no sense is a problem of its file, exit 3, before any history is read.
    """
    done = policy_engine("impact", "piapi", expecting(desk, verdicts), "nosuch.json")
    assert done.code == 3
    assert said in done.err


WRONG = {
    "no revision": ("piapi nosuch good.jsonl", 2, "there is no folder and no bundled rule pack called `nosuch`"),
    "invalid pack": ("broken piapi good.jsonl", 3, "broken/rules/flux.yaml:1:6"),
    "no history": ("piapi shorter nosuch.json", 4, "there is no file or folder `nosuch.json`"),
    "no record": ("piapi shorter nothing.json", 7, "the history holds no record"),
    "no such service": (
        "piapi shorter good.jsonl",
        7,
        "the change is about `flux`, and the history has no file of these services",
    ),
    "no file": ("piapi shorter failed.jsonl", 7, "none of the 1 tasks has a file"),
    "table ending": ("piapi shorter good.jsonl -o x.parquet", 2, "does not end in .csv"),
    "stale": ("piapi shorter flux.jsonl --max-age PT1S -o x.csv --as-of 2026-01-08T00:00:00Z", 4, "--max-age allows"),
    "too much set aside": ("piapi shorter mixed.jsonl --max-quarantine 0", 4, "1 of 2 records were set aside"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_told_is_never_zero(name: str, desk: Path) -> None:
    """
    Whatever keeps the impact from being known has its own exit code and sentence, and leaves no table behind.
    """
    flux = {"model": "Qubico/flux1-dev", "task_type": "txt2img"}
    write_lines(desk / "good.jsonl", [task("k-1", model="suno", task_type="music")])
    write_lines(desk / "flux.jsonl", [task("f-1", **flux)])
    write_lines(desk / "failed.jsonl", [task("f-2", status="failed", output={}, **flux)])
    write_lines(desk / "mixed.jsonl", [task("f-1", **flux), "no record"])
    write(desk / "nothing.json", "[]")
    arguments, code, sentence = WRONG[name]
    done = policy_engine("impact", *arguments.split(" "))
    assert done.code == code, done.err
    assert sentence in done.err
    assert not list(desk.glob("x.*"))
    assert "Traceback" not in done.err


def test_sums_that_do_not_tie_are_refused(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A file that one pack judges and the other does not is exit 6, and no table is left.
    """
    from policy_engine.engine.evaluation import Evaluator

    judge = Evaluator.judge_chunk
    marked = {"done": False}

    def other(self: Evaluator, frame: Any) -> Any:
        found = judge(self, frame)
        if not marked["done"] and len(found):
            marked["done"] = True
            found["points"] = found["points"] + 1
        return found

    monkeypatch.setattr(Evaluator, "judge_chunk", other)
    done = policy_engine("impact", "piapi", "shorter", EXAMPLE, "--as-of", AS_OF, "-o", "changed.csv")
    assert done.code == 6
    assert "error[totals-mismatch]" in done.err
    assert not Path("changed.csv").exists()


def test_formats_agree_and_hostile_names_stay_words(desk: Path) -> None:
    """
    Markdown and text tell the numbers of the JSON, and text from exports and packs starts no markup.
    """
    evil = "x|<b>`\x1b[31m"
    write_lines(desk / "evil.jsonl", [task(evil, model="Qubico/flux1-dev", task_type="txt2img")])
    for shape in ("text", "markdown"):
        done = policy_engine("impact", "piapi", "shorter", "evil.jsonl", "--as-of", AS_OF, "--format", shape)
        assert done.code == 0, done.err
        assert "\x1b" not in done.text
        assert "1 file" in done.text
    assert "<b>" not in done.text
    table = [line for line in done.text.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"(?<!\\)\|", table[0])) for line in table[:2])
    assert set(STATES) > {"absent"}
