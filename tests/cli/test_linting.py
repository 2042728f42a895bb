"""The commands lint and check: what they report, where, and with which exit code."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from policy_engine.authoring.lint import CHECKS
from tests.authoring.lint.helpers import lay
from tests.support.commands import policy_engine

AS_OF = "2026-08-01T00:00:00Z"


def case_file(folder: Path) -> None:
    """Cases that name every rule and version of the small valid pack."""
    (folder / "cases" / "all.yaml").write_text(
        """title: Every rule and version
cases:
  - name: both files in February
    task:
      task_id: "1"
      model: film
      task_type: make_film
      status: done
      output: {works: [{clean: "https://files.acme.example/1.mp4", marked: "https://a.vendor.example/1.mp4"}]}
      meta: {created_at: "2026-02-01T00:00:00Z", ended_at: "2026-02-01T00:01:00Z"}
    as_of: "2026-02-01T01:00:00Z"
    expect:
      - {name: marked, verdict: vendor_cdn, rule: film-marked}
      - {name: clean, verdict: active, rule: film-clean, version: 1}
  - name: the clean file in July
    task:
      task_id: "2"
      model: film
      task_type: make_film
      status: done
      output: {works: [{clean: "https://files.acme.example/2.mp4"}]}
      meta: {created_at: "2026-07-01T00:00:00Z", ended_at: "2026-07-01T00:01:00Z"}
    as_of: "2026-07-01T01:00:00Z"
    expect:
      - {name: clean, verdict: active, rule: film-clean, version: 2}
""",
        encoding="utf-8",
    )


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a clean pack and one for each of some defects."""
    monkeypatch.chdir(tmp_path)
    for name in (None, "overlap", "gap", "uncited", "duration-jump"):
        folder = tmp_path / (name or "clean")
        lay(folder, name)
        case_file(folder)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("lint clean", 0, "clean: 0 errors, 0 warnings, 0 accepted; 2 rules, 3 versions"),
        ("check clean", 0, "clean: 3 of 3 cases passed"),
        ("check --strict clean", 0, "clean: 3 of 3 cases passed"),
        ("lint uncited", 0, "uncited: 0 errors, 2 warnings, 0 accepted"),
        ("lint --strict uncited", 3, "uncited: 0 errors, 2 warnings, 0 accepted"),
        ("lint overlap", 3, "overlap: 5 errors, 5 warnings, 0 accepted"),
        ("check overlap", 3, "overlap: cases not run"),
        ("lint clean gap", 0, "gap: 0 errors, 5 warnings, 0 accepted"),
    ],
)
def test_errors_fail_and_warnings_only_when_asked(arguments: str, code: int, said: str, desk: Path) -> None:
    """
    An error is exit code 3, a warning 0 or with --strict 3; totals are the result, problems are diagnostics.
    """
    done = policy_engine(*arguments.split(), "--as-of", AS_OF)
    assert done.code == code, done.err
    assert said in done.text
    assert ("warning[" in done.err or "error[" in done.err) is ("clean" not in arguments.split()[-1])


def test_every_check_has_a_line(desk: Path) -> None:
    """
    The result states what every check checked, in the order of the documentation, after the domain.
    """
    lines = policy_engine("lint", "clean", "--as-of", AS_OF).text.splitlines()
    assert lines[1].startswith("  domain: 2 services; task_type: 3 listed, and any other; ")
    assert [line.strip().partition(":")[0] for line in lines[2:]] == list(CHECKS)


def test_check_distinguishes_its_failures(desk: Path) -> None:
    """
    A failing case is 5, no case 7, and an invalid pack 3, which comes first.
    """
    cases = desk / "clean" / "cases"
    text = (cases / "all.yaml").read_text(encoding="utf-8")
    (cases / "all.yaml").write_text(text.replace("verdict: active", "verdict: expired"), encoding="utf-8")
    done = policy_engine("check", "clean", "--as-of", AS_OF)
    assert (done.code, "error[case-failed]" in done.err) == (5, True)
    for path in cases.iterdir():
        path.unlink()
    assert policy_engine("check", "clean", "--as-of", AS_OF).code == 7
    (desk / "clean" / "catalog.yaml").write_text("- no catalog\n", encoding="utf-8")
    done = policy_engine("check", "clean", "overlap", "--as-of", AS_OF)
    assert done.code == 3
    assert "clean: invalid, so no check was run" in done.text


def test_problems_as_json(desk: Path) -> None:
    """
    With --format json the problems are the result, and the exit code is the same.
    """
    done = policy_engine("lint", "overlap", "--format", "json", "--as-of", AS_OF)
    assert done.code == 3
    assert {problem["code"] for problem in json.loads(done.text)["problems"]} == {"overlap", "untested"}


def test_the_clock_is_asked_for_the_calendar_only(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without --as-of the clock decides what is old, and it is in no output of a check that does not need it.
    """
    monkeypatch.setattr("policy_engine.cli.linting.clock", lambda: 1_800_000_000 * 10**9)  # 2027-01-15
    done = policy_engine("lint", "clean", "--review-after", "P180D")
    assert "was last read on 2026-05-20, 240 days before 2027-01-15" in done.err
    assert policy_engine("lint", "clean").text == policy_engine("lint", "clean", "--as-of", AS_OF).text


# --- baseline ---------------------------------------------------------------------------------------------------------

ENTRY = """  - pack: minimal
    check: {check}
    about: [{about}]
    owner: media team
    reason: We asked, and it is meant.
    expires_on: "{day}"
"""


def baseline(desk: Path, *entries: tuple[str, str, str]) -> str:
    """Write a baseline of entries (check, about, day) and give its name."""
    lines = [ENTRY.format(check=check, about=about, day=day) for check, about, day in entries]
    text = "schema_version: 1\naccepted:\n" + "".join(lines) if lines else "schema_version: 1\naccepted: []\n"
    (desk / "baseline.yaml").write_text(text, encoding="utf-8")
    return "baseline.yaml"


JUMPS = (
    ("duration-jump", "retention, film-clean v2", "2027-01-01"),
    ("duration-jump", "film-cut v1, retention", "2027-01-01"),
)
REST = ("untested", "film-cut", "2027-01-01")


def test_accepted_problems_are_shown_and_fail_nothing(desk: Path) -> None:
    """
    What the baseline accepts is counted, shown with owner, day and reason, and fails nothing, also with --strict.
    """
    name = baseline(desk, *JUMPS, REST)
    done = policy_engine("lint", "duration-jump", "--strict", "--baseline", name, "--as-of", AS_OF)
    assert done.code == 0, done.err
    assert done.err.count("accepted[") == done.err.count("\n  accepted by ") == 3
    assert "duration-jump: 0 errors, 0 warnings, 3 accepted" in done.text
    assert (
        "duration-jump/rules/film-clean.yaml:17:5: accepted[duration-jump]: "
        "`film-clean` v2 keeps files for 3 hours, 24 times shorter than the 3 days of v1 before it\n"
        "  accepted by media team until 2027-01-01: We asked, and it is meant.\n"
    ) in done.err
    assert "  baseline: 3 entries, 3 accepted" in done.text


@pytest.mark.parametrize("command", ["lint", "check"])
def test_other_formats_hold_all_that_text_says(command: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    JSON, SARIF, annotations and Markdown have what was checked, examples, pages and acceptances of lint and check.
    """
    monkeypatch.setenv("POLICY_ENGINE_DOCS", "https://docs.example")
    name = baseline(desk, JUMPS[0])
    options = (command, "duration-jump", "--baseline", name, "--as-of", AS_OF, "--format")
    texts = {shape: policy_engine(*options, shape).text for shape in ("json", "sarif", "github", "markdown")}
    for shape, text in texts.items():
        for part in ("duration-jump: 6 periods", "docs/lint/duration-jump.md", "media team", "2027-01-01"):
            assert part in text, (shape, part)
    document = json.loads(texts["json"])
    assert [one["acceptance"]["owner"] for one in document["accepted"]] == ["media team"]
    assert all(one["documentation"] for one in document["problems"])
    assert all(one["witness"] for one in document["problems"] if one["code"] != "case-failed")
    results = json.loads(texts["sarif"])["runs"][0]["results"]
    assert sum("suppressions" in one for one in results) == 1


def test_an_acceptance_ends_on_its_day(desk: Path) -> None:
    """
    On its last day before `expires_on` an acceptance counts; from that day on it is an error and the problem is back.
    """
    name = baseline(desk, *JUMPS, REST)
    options = ("lint", "duration-jump", "--baseline", name, "--as-of")
    assert policy_engine(*options, "2026-12-31T23:59:59Z").code == 0
    done = policy_engine(*options, "2027-01-01T00:00:00Z")
    assert done.code == 3
    assert done.err.count("error[baseline-expired]") == 3
    assert done.err.count("warning[duration-jump]") == 2
    assert (
        "baseline.yaml:3:5: error[baseline-expired]: the acceptance of `duration-jump` for `film-clean v2`, "
        in done.err
    )


def test_an_acceptance_of_nothing_is_an_error(desk: Path) -> None:
    """
    An entry that accepts nothing fails and the nearest problem is named; errors of overlap cannot be accepted.
    """
    name = baseline(desk, ("duration-jump", "film-clean v3, retention", "2027-01-01"))
    done = policy_engine("lint", "duration-jump", "--baseline", name, "--as-of", AS_OF)
    assert done.code == 3
    assert "error[baseline-unused]: `duration-jump` reports no problem about `film-clean v3`, `retention`" in done.err
    assert "did you mean about: [film-clean v2, retention]?" in done.err
    name = baseline(desk, ("overlap", "film-clean v1, film-cut v1", "2027-01-01"))
    done = policy_engine("lint", "overlap", "--baseline", name, "--as-of", AS_OF)
    assert done.code == 3
    assert "an error of `overlap` cannot be accepted: no command can use such a pack" in done.err
    assert "error[overlap]: `film-clean` v1 and `film-cut` v1" in done.err


def test_entries_about_other_packs_are_counted(desk: Path) -> None:
    """
    An entry about another pack accepts nothing here and fails nothing, and the output counts it.
    """
    name = baseline(desk, ("gap", "film", "2027-01-01"))
    text = (desk / name).read_text(encoding="utf-8").replace("pack: minimal", "pack: other")
    (desk / name).write_text(text, encoding="utf-8")
    done = policy_engine("lint", "clean", "--baseline", name, "--as-of", AS_OF)
    assert done.code == 0
    assert "  baseline: 0 of 1 entries are about `minimal`, 0 accepted" in done.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schema_version: 1\naccepted:\n  - {pack: x, check: gapp, about: [y]}\n", "did you mean `gap`?"),
        ("schema_version: 1\naccepted:\n  - {pack: x, check: gap, about: [y]}\n", "the key `owner` is missing"),
        ("schema_version: 2\naccepted: []\n", "cannot be `2`"),
        ("", "the file is empty"),
        (None, "the file cannot be read"),
    ],
)
def test_a_wrong_baseline_is_a_usage_problem(text: str | None, said: str, desk: Path) -> None:
    """
    A baseline that is missing or of the wrong form is exit code 2, with the place and what to do.
    """
    if text is not None:
        (desk / "baseline.yaml").write_text(text, encoding="utf-8")
    done = policy_engine("lint", "clean", "--baseline", "baseline.yaml")
    assert done.code == 2
    assert said in done.err
    assert "baseline.yaml:" in done.err
    assert "help: " in done.err


# --- revisions --------------------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> None:
    """Run git there, as somebody."""
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(desk: Path) -> Path:
    """The clean pack under version control, merged as `main`."""
    git(desk, "init", "-q", "-b", "main")
    git(desk, "add", "clean")
    git(desk, "commit", "-q", "-m", "Add the pack")
    return desk


@pytest.mark.slow
def test_an_edited_version_fails_against_the_merged_one(repository: Path) -> None:
    """
    An edit of a merged version is an error that shows both places; a new version and a new form are none.
    """
    path = repository / "clean" / "rules" / "film-clean.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text("# A comment is no edit.\n" + text, encoding="utf-8")
    options = ("lint", "clean", "--as-of", AS_OF, "--against")
    done = policy_engine(*options, "main")
    assert done.code == 0, done.err
    assert "  rewritten: 3 versions of 2 rules merged in main; 0 added since" in done.text
    path.write_text(text.replace("period: P3D", "period: P4D"), encoding="utf-8")
    done = policy_engine(*options, "HEAD")
    assert done.code == 3
    assert "clean/rules/film-clean.yaml:9:5: error[rewritten]: `retention` of `film-clean` v1 is `P4D`" in done.err
    assert "see also HEAD:clean/rules/film-clean.yaml:9:5\n  9 |     retention: {period: P3D}\n" in done.err
    (repository / "clean" / "rules" / "film-marked.yaml").unlink()
    done = policy_engine(*options, "main")
    assert done.code == 3
    assert "error[unknown-rule]: unknown rule `film-marked`" in done.err
    assert "main:clean/rules/film-marked.yaml:1:5: error[rewritten]: the rule `film-marked` with 1 version" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("revision", ["nosuch", "-x", "--output=x", "main:clean", "", "0000000"])
def test_a_revision_that_does_not_exist_is_a_usage_problem(revision: str, repository: Path) -> None:
    """
    A name that is no revision, or that git would take for an option, is exit code 2 with one sentence.
    """
    done = policy_engine("lint", "clean", f"--against={revision}")
    assert done.code == 2
    assert f"there is no revision `{revision}` in the git repository of `clean`" in done.err


@pytest.mark.slow
def test_a_pack_missing_in_the_revision_is_a_usage_problem(repository: Path) -> None:
    """
    A pack that the revision does not hold is exit code 2; one that was invalid there is 3, with the place in it.
    """
    done = policy_engine("lint", "gap", "--against", "main")
    assert done.code == 2
    assert "there is no rule pack `gap` in revision `main`" in done.err
    path = repository / "clean" / "pack.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text("id: 7\n", encoding="utf-8")
    git(repository, "commit", "-q", "-a", "-m", "Break it")
    path.write_text(text, encoding="utf-8")
    done = policy_engine("lint", "clean", "--against", "main")
    assert done.code == 3
    assert "main:clean/pack.yaml:1:5: error[wrong-type]" in done.err


@pytest.mark.slow
def test_a_folder_without_version_control_is_a_usage_problem(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without a repository around the pack, or without git, exit code 2 says so.
    """
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(desk.parent))
    done = policy_engine("lint", "clean", "--against", "main")
    assert (done.code, "is not in a git repository" in done.err) == (2, True)
    monkeypatch.setenv("PATH", str(desk))
    done = policy_engine("lint", "clean", "--against", "main")
    assert (done.code, "git is not installed" in done.err) == (2, True)


@pytest.mark.slow
def test_a_hook_of_git_may_ask(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Inside a hook, where git names its own folder in the environment, the repository of the pack is found all the same.
    """
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_INDEX_FILE", str(repository / "nowhere"))
    assert policy_engine("lint", "clean", "--against", "main", "--as-of", AS_OF).code == 0


@pytest.mark.slow
def test_a_pack_at_the_top_of_its_repository(desk: Path) -> None:
    """
    A pack that is the whole repository is read as well, and names with spaces and other letters are no matter.
    """
    top = desk / "my päck"
    lay(top, None)
    git(top, "init", "-q", "-b", "main")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "Add the pack")
    done = policy_engine("lint", top, "--against", "main", "--as-of", AS_OF)
    assert done.code == 0, done.err
    assert "rewritten: 3 versions of 2 rules merged in main" in done.text
