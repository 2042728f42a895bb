"""The action, the example workflow and the hooks: judged by readers that are not ours, and run as a service would."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.commands import environment, policy_engine
from tests.support.paths import PACKS, ROOT

pytestmark = pytest.mark.slow

ACTION = ROOT / "action.yml"
WORKFLOW = ROOT / "docs" / "examples" / "rules.yml"
CI = ROOT / ".github" / "workflows" / "ci.yml"
HOOKS = ROOT / ".pre-commit-hooks.yaml"
OWN_HOOKS = ROOT / ".pre-commit-config.yaml"
PROGRAM = f"{shlex.quote(sys.executable)} -m policy_engine"

needs_bash = pytest.mark.skipif(sys.platform == "win32", reason="needs bash")


def tool(name: str, *arguments: object, cwd: Path = ROOT, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a tool that was installed beside the tests."""
    path = Path(sysconfig.get_path("scripts")) / name
    return subprocess.run(
        [str(path), *map(str, arguments)],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
    )


def loaded(path: Path) -> Any:
    """A YAML file as values."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def lay_pack(folder: Path, defect: str | None = None) -> Path:
    """Copy the small valid pack, and over it the files of a defect."""
    shutil.copytree(PACKS / "valid" / "minimal", folder, dirs_exist_ok=True)
    if defect:
        ignore = shutil.ignore_patterns("expected.txt")
        shutil.copytree(PACKS / "invalid" / defect, folder, dirs_exist_ok=True, ignore=ignore)
    return folder


def lay_sound_pack(folder: Path) -> Path:
    """The small valid pack with cases for all its versions, so that no check finds anything."""
    lay_pack(folder)
    generated = folder / "cases" / "generated.yaml"
    assert policy_engine("test", folder, "--generate", "-o", generated).code == 0
    return folder


# --- what other programs say about the files -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "path"),
    [("vendor.github-actions", ACTION), ("vendor.github-workflows", WORKFLOW), ("vendor.github-workflows", CI)],
    ids=str,
)
def test_files_fit_their_schema(schema: str, path: Path, tmp_path: Path) -> None:
    """
    The action and the workflow fit the schemas that check-jsonschema carries, and a misspelt key in them would not.
    """
    done = tool("check-jsonschema", "--builtin-schema", schema, path)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / path.name
    wrong.write_text(path.read_text(encoding="utf-8") + "\nrunz: {}\n", encoding="utf-8")
    assert tool("check-jsonschema", "--builtin-schema", schema, wrong).returncode == 1


def zizmor(*paths: Path) -> list[str]:
    """What zizmor finds, at its most pedantic, without a network."""
    done = tool(
        "zizmor", "--offline", "--quiet", "--persona", "pedantic", "--format", "json", "--no-exit-codes", *paths
    )
    assert done.returncode == 0, done.stderr
    return sorted({str(finding["ident"]) for finding in json.loads(done.stdout)})


def test_the_hooks_of_this_repository_need_no_network() -> None:
    """
    The hooks are valid, come from this repository alone, and run tools that `make test` installs.
    """
    done = tool("pre-commit", "validate-config", OWN_HOOKS)
    assert done.returncode == 0, done.stdout
    (repository,) = loaded(OWN_HOOKS)["repos"]
    assert repository["repo"] == "local"
    scripts = Path(sysconfig.get_path("scripts"))
    for hook in repository["hooks"]:
        program, *_ = shlex.split(hook["entry"])
        assert program.startswith(".venv/bin/")
        assert (scripts / Path(program).name).exists() or Path(program).name == "policy-engine"


def test_no_way_into_the_action_or_the_workflow() -> None:
    """
    No injection, no unpinned action, no broad permission and no credentials left behind are found by zizmor.
    """
    assert zizmor(ACTION, WORKFLOW, CI) == []


def test_a_way_in_would_be_found(tmp_path: Path) -> None:
    """
    The test above fails once an input is pasted into a script, or an action is named by its tag.
    """
    action = ACTION.read_text(encoding="utf-8").replace('if [ "$STRICT" = true ]', "if [ ${{ inputs.strict }} = true ]")
    workflow = re.sub(r"actions/checkout@[0-9a-f]{40}", "actions/checkout@v5", WORKFLOW.read_text(encoding="utf-8"))
    (tmp_path / "action.yml").write_text(action, encoding="utf-8")
    (tmp_path / "rules.yml").write_text(workflow, encoding="utf-8")
    assert {"template-injection", "unpinned-uses"} <= set(zizmor(tmp_path / "action.yml", tmp_path / "rules.yml"))


def test_the_page_shows_the_workflow() -> None:
    """
    The workflow in the documentation is the file that the tools judge.
    """
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    assert f"```yaml\n{WORKFLOW.read_text(encoding='utf-8')}```" in page


def test_the_page_lists_inputs_and_outputs() -> None:
    """
    Every input and output of the action, and every hook, has a row in the documentation, which has no other.
    """
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    rows = {
        head: re.findall(r"^\| `([a-z-]+)` \|", body, re.MULTILINE)
        for head, body in re.findall(r"^\| (Input|Output|Hook) \|.*\n\|[-|]+\n((?:\|.*\n)+)", page, re.MULTILINE)
    }
    action = loaded(ACTION)
    assert rows["Input"] == list(action["inputs"])
    assert rows["Output"] == list(action["outputs"])
    assert rows["Hook"] == [hook["id"] for hook in loaded(HOOKS)]


def test_the_workflow_gives_inputs_that_exist() -> None:
    """
    The example workflow gives the action what it takes, and asks for no permission but to read.
    """
    workflow = loaded(WORKFLOW)
    (job,) = workflow["jobs"].values()
    assert (workflow["permissions"], job["permissions"]) == ({}, {"contents": "read"})
    assert set(job["steps"][-1]["with"]) <= set(loaded(ACTION)["inputs"])


# --- the action, run ----------------------------------------------------------------------------------------------

# Replaces the installed program of the action: notes its arguments, and runs it.
STAND_IN = f"""\
#!/usr/bin/env bash
printf '%s\\n' "$@" >> "$RUNNER_TEMP/arguments"; echo . >> "$RUNNER_TEMP/arguments"
echo "docs=${{POLICY_ENGINE_DOCS-}}" >> "$RUNNER_TEMP/arguments"
exec {PROGRAM} "$@"
"""


class Step:
    """The check of the action, run with inputs as a runner would run it."""

    def __init__(self, folder: Path, **inputs: str) -> None:
        folder.mkdir(exist_ok=True)
        temp = folder / "runner temp"
        program = temp / "policy-engine" / "bin" / "policy-engine"
        program.parent.mkdir(parents=True)
        program.write_text(STAND_IN, encoding="utf-8")
        program.chmod(0o755)
        action = loaded(ACTION)
        (step,) = [step for step in action["runs"]["steps"] if step.get("id") == "check"]
        values = {f"inputs.{name}": str(about.get("default", "")) for name, about in action["inputs"].items()}
        values |= {f"inputs.{name}": value for name, value in inputs.items()}
        values |= {"github.server_url": "https://code.example", "github.action_repository": "", "github.action_ref": ""}
        if "repository" in inputs:
            values |= {"github.action_repository": inputs["repository"], "github.action_ref": "v1"}
        stated = {name: values[text.removeprefix("${{ ").removesuffix(" }}")] for name, text in step["env"].items()}
        files = {"GITHUB_OUTPUT": folder / "output", "GITHUB_STEP_SUMMARY": folder / "summary"}
        for path in files.values():
            path.touch()
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=folder, env={**environment(RUNNER_TEMP=str(temp)), **stated, **{k: str(v) for k, v in files.items()}},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.summary = files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")
        self.outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        noted = temp / "arguments"
        self.arguments = noted.read_text(encoding="utf-8").split("\n") if noted.exists() else []


@needs_bash
def test_action_installs_without_code_of_the_repository(tmp_path: Path) -> None:
    """
    Modules in the checked-out repository that have the names of modules that the installation uses are not run.
    """
    repository, action = tmp_path / "repository", tmp_path / "action"
    for name in ("venv", "pip", "json", "subprocess", "sitecustomize"):
        (repository / name).mkdir(parents=True)
        hostile = f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\n"
        for path in (repository / f"{name}.py", repository / name / "__init__.py"):
            path.write_text(hostile, encoding="utf-8")
    (action / "requirements").mkdir(parents=True)
    for name in ("core", "build"):
        (action / "requirements" / f"{name}.txt").touch()
    (step,) = [step for step in loaded(ACTION)["runs"]["steps"] if step["name"] == "Install policy-engine"]
    temp = tmp_path / "temp"
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]], cwd=repository,
        env=environment(
            RUNNER_TEMP=str(temp), PYTHON=sys.executable, ACTION=str(action), PYTHONPATH=str(repository)
        ),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # The empty action is not a package; everything before that has run.
    assert "'setup.py' nor 'pyproject.toml' found" in done.stderr
    assert (temp / "policy-engine" / "bin" / "python").exists()
    assert not (tmp_path / "ran").exists()


@needs_bash
def test_action_passes_a_valid_pack(tmp_path: Path) -> None:
    """
    With a sound pack the step passes, the log and the summary say what was checked, and the outputs say 0.
    """
    lay_sound_pack(tmp_path / "acme")
    step = Step(tmp_path, packs="acme\n", strict="true")
    assert (step.code, step.outputs["exit-code"]) == (0, "0"), step.err
    assert "policy-engine: no problems" in step.out
    assert step.summary.startswith("## Rules: no problems\n")
    assert "acme: 0 errors, 0 warnings, 0 accepted" in step.summary
    assert re.search("acme: ([0-9]+) of \\1 cases passed", step.summary)


@needs_bash
def test_action_fails_a_broken_pack(tmp_path: Path) -> None:
    """
    With a broken pack the step ends with the code of the command, annotations in the log and a table in the summary.
    """
    lay_pack(tmp_path / "acme", "overlap-storage")
    lay_pack(tmp_path / "other")
    step = Step(tmp_path, packs="acme\r\n\nother\n")
    assert (step.code, step.outputs["exit-code"]) == (3, "3"), step.err
    assert step.out.count("::error file=acme/rules/film-") == 3
    assert "<code>overlap</code>" in step.summary
    assert "acme: cases not run" in step.summary
    assert "other: 1 of 1 cases passed" in step.summary


@needs_bash
def test_action_obeys_no_command_while_it_quotes_rules(tmp_path: Path) -> None:
    """
    Commands of the log are switched off while diagnostics are written, and on again, with a word nobody can foresee.
    """
    lay_pack(tmp_path / "acme", "overlap-storage")
    step = Step(tmp_path, packs="acme")
    lines = step.out.splitlines()
    word = lines[0].removeprefix("::stop-commands::")
    assert re.fullmatch(r"policy-engine-\d{4,}", word)
    assert lines[1] == f"::{word}::"
    assert lines[2].startswith("::error ")
    assert Step(tmp_path / "again", packs=str(tmp_path / "acme")).out.splitlines()[0] != lines[0]


@needs_bash
@pytest.mark.parametrize("format_", ["sarif", "json", "text"])
def test_action_leaves_the_format_in_a_file(format_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The output `file` names a file with what the command writes in that format, ready to be uploaded.
    """
    lay_pack(tmp_path / "acme", "gap")
    step = Step(tmp_path, packs="acme", format=format_, summary="false")
    assert step.code == 0, step.err
    assert step.summary == ""
    written = Path(step.outputs["file"])
    assert written.suffix == f".{format_}"
    monkeypatch.chdir(tmp_path)
    assert written.read_bytes() == policy_engine("check", "acme", "--format", format_).out


@needs_bash
def test_action_passes_inputs_as_they_are(tmp_path: Path) -> None:
    """
    Inputs reach the command as one argument each, whatever characters they hold, and a pack is never an option.
    """
    lay_pack(tmp_path / "--strict")
    lay_pack(tmp_path / "two words")
    evil = "$(touch injected); `touch injected` \"'"
    step = Step(tmp_path, packs="--strict\ntwo words", strict="true", against=evil, baseline=evil, repository="o/r")
    assert (step.code, step.outputs["exit-code"]) == (2, "2")
    assert "`touch injected`" in step.err
    assert not (tmp_path / "injected").exists()
    once = ["check", "--format=github", "--strict", f"--against={evil}", f"--baseline={evil}", "--", "--strict"]
    assert step.arguments[:9] == [*once, "two words", "."]
    assert step.arguments[9] == "docs=https://code.example/o/r/blob/v1"


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """A repository in which a sound pack is committed, and its first version edited since."""
    lay_sound_pack(tmp_path / "acme")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@acme.example", "commit", "-q", "-m", "Add rules")
    rule = tmp_path / "acme" / "rules" / "film-clean.yaml"
    rule.write_text(rule.read_text(encoding="utf-8").replace("P3D", "P4D"), encoding="utf-8")
    return tmp_path


@needs_bash
def test_action_compares_with_what_was_merged(merged: Path) -> None:
    """
    With `against` an edited version fails the step at its line; in `baseline` it can be accepted for a time.
    """
    step = Step(merged, packs="acme", against="HEAD")
    assert step.code == 3, step.err
    assert "::error file=acme/rules/film-clean.yaml,line=9," in step.out
    assert "title=rewritten (policy-engine)" in step.out
    about = "{pack: minimal, check: rewritten, about: [film-clean v1, retention], owner: o, reason: r"
    (merged / "leave.yaml").write_text(
        f'schema_version: 1\naccepted:\n  - {about}, expires_on: "2999-01-01"}}\n', encoding="utf-8"
    )
    accepted = Step(merged / "once more", packs="../acme", against="HEAD", baseline="../leave.yaml", format="json")
    document = json.loads(Path(accepted.outputs["file"]).read_text(encoding="utf-8"))
    assert [problem["code"] for problem in document["accepted"]] == ["rewritten"]
    assert {problem["code"] for problem in document["problems"]} <= {"case-failed"}


@needs_bash
def test_action_fails_warnings_when_strict(tmp_path: Path) -> None:
    """
    Warnings alone pass the step, and fail it with `strict`.
    """
    lay_pack(tmp_path / "acme")
    step = Step(tmp_path, packs="acme")
    assert step.code == 0, step.err
    assert "::warning file=acme/rules/film-clean.yaml" in step.out
    assert Step(tmp_path / "strict", packs="../acme", strict="true").code == 3


@needs_bash
@pytest.mark.parametrize("digits", [40, 64])
def test_action_takes_the_first_push_of_a_branch(digits: int, merged: Path) -> None:
    """
    Where the event names no commit before the push, nothing is compared, and the log says so in two places.
    """
    step = Step(merged, packs="acme", against="0" * digits)
    assert "--against" not in "".join(step.arguments)
    assert "::notice title=policy-engine::first push of this branch" in step.out
    assert "rewritten: not checked" in step.out


@needs_bash
def test_action_wants_a_pack(tmp_path: Path) -> None:
    """
    Without a pack the step fails as a usage error, and does not judge the bundled one instead.
    """
    step = Step(tmp_path, packs=" \n".strip(" "))
    assert step.code == 2
    assert "names no folder" in step.out
    assert step.arguments == []


# --- the hooks, run -----------------------------------------------------------------------------------------------


def test_hooks_fit_their_manifest() -> None:
    """
    pre-commit takes the list of hooks.
    """
    done = tool("pre-commit", "validate-manifest", HOOKS)
    assert done.returncode == 0, done.stdout


NAMES = [hook["id"] for hook in loaded(HOOKS)]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a pack and the hooks as they are, but run from this interpreter: no network is asked."""
    lay_sound_pack(tmp_path / "rules" / "acme")
    hooks = []
    for hook in loaded(HOOKS):
        assert hook["entry"].split()[0] == "policy-engine"
        entry = PROGRAM + hook["entry"].removeprefix("policy-engine")
        arguments = ["rules/acme"] if hook["entry"].endswith(" validate") else ["--strict", "rules/acme"]
        hooks.append({**hook, "entry": entry, "language": "system", "args": arguments})
    described = {"repos": [{"repo": "local", "hooks": hooks}]}
    (tmp_path / ".pre-commit-config.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")
    (tmp_path / "notes.txt").write_text("nothing about rules\n", encoding="utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    return tmp_path


def git(folder: Path, *arguments: str, **changes: str) -> None:
    """Run git without the machine's own settings; `changes` go into its environment."""
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(
        ["git", *arguments], cwd=folder, env=environment(**settings, **changes), check=True, capture_output=True
    )


def run_hook(folder: Path, hook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a hook as a commit would."""
    cache = str(folder.parent / "pre-commit-cache")
    return tool("pre-commit", "run", hook, "--color=never", *arguments, cwd=folder, PRE_COMMIT_HOME=cache)


@pytest.mark.parametrize("hook", NAMES)
def test_hook_lets_a_valid_pack_pass(hook: str, repository: Path) -> None:
    """
    A commit of a valid pack passes the hook.
    """
    done = run_hook(repository, hook)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed" in done.stdout


@pytest.mark.parametrize("hook", NAMES)
def test_hook_stops_a_broken_pack(hook: str, repository: Path) -> None:
    """
    A commit that makes two rules contradict each other is stopped, with the place and both rules.
    """
    lay_pack(repository / "rules" / "acme", "overlap-storage")
    git(repository, "add", ".")
    done = run_hook(repository, hook)
    assert done.returncode == 1
    assert "exit code: 3" in done.stdout
    assert "rules/acme/rules/film-clean.yaml:5:5: error[overlap]" in done.stdout


def test_the_hook_of_check_stops_a_commit_in_git(repository: Path) -> None:
    """
    Installed in git, the hook runs on commit: a sound pack is committed, one with a version that no case names is not.
    """
    with_name = ("-c", "user.name=a", "-c", "user.email=a@acme.example", "commit", "-q", "-m", "Change rules")
    assert tool("pre-commit", "install", cwd=repository).returncode == 0
    git(repository, *with_name, PRE_COMMIT_HOME=str(repository.parent / "pre-commit-cache"))
    cases = repository / "rules" / "acme" / "cases"
    (cases / "generated.yaml").write_bytes((cases / "film.yaml").read_bytes())
    git(repository, "add", ".")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        git(repository, *with_name, PRE_COMMIT_HOME=str(repository.parent / "pre-commit-cache"))
    said = failed.value.stdout + failed.value.stderr
    assert b"validate retention rules" in said
    assert b"rules/acme/rules/film-clean.yaml:12:5: warning[untested]" in said


@pytest.mark.parametrize("hook", NAMES)
def test_hook_does_not_run_for_other_files(hook: str, repository: Path) -> None:
    """
    A commit without a file of a pack does not run the hook; each kind of file of a pack does.
    """
    # What the hook starts does not matter here, and the program takes its time to start.
    config = repository / ".pre-commit-config.yaml"
    described = loaded(config)
    for hook_entry in described["repos"][0]["hooks"]:
        hook_entry["entry"] = "true"
    config.write_text(yaml.safe_dump(described), encoding="utf-8")
    git(repository, "add", ".")
    assert "Skipped" in run_hook(repository, hook, "--files", "notes.txt").stdout
    for name in ("pack.yaml", "catalog.yaml", "rules/film-clean.yaml", "cases/film.yaml"):
        done = run_hook(repository, hook, "--files", f"rules/acme/{name}")
        assert "Passed" in done.stdout, (name, done.stdout)


def test_formats_name_files_from_where_the_command_runs(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Paths in annotations and in SARIF are those from the root of the repository, where the command runs.
    """
    monkeypatch.chdir(repository)
    lay_pack(repository / "rules" / "acme", "gap")
    assert "file=rules/acme/catalog.yaml," in policy_engine("validate", "./rules/acme/", "--format", "github").text
    assert '"uri": "rules/acme/catalog.yaml"' in policy_engine("validate", "rules/acme", "--format", "sarif").text
