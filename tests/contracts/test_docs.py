"""
The documentation: nothing a user can meet is missing from it, nothing in it leads nowhere, and every example is true.

`python tests/contracts/test_docs.py` rewrites the output of all examples; read the difference before taking it.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import click
import pytest
from click.testing import CliRunner

from policy_engine.annotations import INVENTORY_COLUMNS
from policy_engine.authoring.lint import AT_VALIDATION, CHECKS
from policy_engine.authoring.problem_formats import FORMATS
from policy_engine.authoring.testing.coverage import BOUNDARIES
from policy_engine.authoring.testing.mutants import KINDS
from policy_engine.authoring.testing.mutation import STATES
from policy_engine.cli import EXIT_CODES, cli, run
from policy_engine.core.problem_codes import PROBLEM_CODES
from policy_engine.core.vocabulary import (
    BASES,
    EVIDENCES,
    FINDING_COLUMNS,
    OPERATION_VERDICTS,
    QUARANTINE_COLUMNS,
    REASONS,
    VERDICTS,
    WITHOUT_ASSET_REASONS,
)
from policy_engine.history.records.record_reader import FIELD_PROBLEMS, QUARANTINE_REASONS
from policy_engine.history.tables.table_reader import TABLE_COLUMNS
from policy_engine.packs import read_pack
from policy_engine.report.files import EXTRA_FILES, REPORT_FILES
from tests.support.paths import ROOT

SOURCE = ROOT / "policy_engine"
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "rules").rglob("*.md")),
    )
}
MOST_OF_README = 7_000
"""Characters of the README: what a newcomer reads in a few minutes. Everything else belongs into docs/."""
COMMANDS = dict(cli.commands)

_FENCE = re.compile(r"^(?P<mark>```+)(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=mark)[ ]*$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="(?P<name>[^"]+)"')
_HEADING = re.compile(r"^(?P<level>#{1,6}) +(?P<text>.+?)\s*$", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_COMMAND = re.compile(r"\bpolicy-engine +(?P<name>[a-z][a-z-]*)(?P<rest>[^\n|;&#]*)")
_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    info: str
    """What stands behind the opening fence."""
    body: str
    start: int
    """Where the body starts in the page."""
    end: int


def blocks(text: str) -> Iterator[Block]:
    """Give the fenced blocks of a page in order."""
    for match in _FENCE.finditer(text):
        yield Block(match["info"].strip(), match["body"], match.start("body"), match.end("body"))


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", text)


def section(page: str, heading: str) -> str:
    """The text under a heading, up to the next heading."""
    text = PAGES[page].read_text(encoding="utf-8")
    shown = _FENCE.sub(lambda match: re.sub(r"^#", " ", match[0], flags=re.MULTILINE), text)  # a comment is no heading
    found = [match for match in _HEADING.finditer(shown) if match["text"] == heading]
    assert len(found) == 1, f"{page} has {len(found)} headings `{heading}`"
    rest = shown[found[0].end() :]
    following = _HEADING.search(rest)
    return rest[: following.start()] if following else rest


def rows(text: str) -> list[str]:
    """The rows of the tables in a text, heads left out."""
    lines = text.splitlines()
    is_rule = [re.fullmatch(r"\|[-:| ]+\|", line) is not None for line in lines]
    return [
        line
        for line, rule, under in zip(lines, is_rule, [*is_rule[1:], False], strict=True)
        if line.startswith("|") and not rule and not under
    ]


def first_words(text: str) -> list[str]:
    """What the rows of the tables in a text are about: the code in the first cell, else the cell."""
    cells = [line.split("|")[1].strip() for line in rows(text)]
    return [code[1] if (code := _CODE.search(cell)) else cell for cell in cells]


# --- everything a user can meet is documented ---------------------------------------------------------------------


def notice_codes() -> set[str]:
    """Codes of warnings, collected from the source."""
    return {
        ast.literal_eval(node.args[0])
        for node in _nodes(SOURCE / "report" / "notices.py")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Notice"
    }


def _nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


VOCABULARY: dict[str, tuple[str, str, Iterable[str]]] = {
    "verdicts": ("docs/findings.md", "Verdicts", VERDICTS),
    "operation verdicts": ("docs/findings.md", "Operation verdicts", OPERATION_VERDICTS),
    "evidence": ("docs/findings.md", "Evidence", EVIDENCES),
    "basis": ("docs/findings.md", "Basis", BASES),
    "reason codes": ("docs/findings.md", "Reason codes", REASONS),
    "tasks without an asset": ("docs/findings.md", "Tasks without an asset", WITHOUT_ASSET_REASONS),
    "finding columns": ("docs/findings.md", "Columns", FINDING_COLUMNS),
    "table columns": ("docs/inputs.md", "Documented columns", TABLE_COLUMNS),
    "quarantine columns": ("docs/inputs.md", "The quarantine table", QUARANTINE_COLUMNS),
    "quarantine reasons": ("docs/inputs.md", "What is quarantined", QUARANTINE_REASONS),
    "field problems": ("docs/inputs.md", "Fields that cannot be read", FIELD_PROBLEMS),
    "exit codes": ("docs/commands.md", "Exit codes", map(str, EXIT_CODES)),
    "warnings": ("docs/commands.md", "Warnings of a report", sorted(notice_codes())),
    "boundaries": ("docs/testing-rules.md", "Coverage", BOUNDARIES),
    "kinds of mutants": ("docs/testing-rules.md", "Mutants", (*KINDS, *STATES)),
    "formats of problems": ("docs/ci.md", "Formats", FORMATS),
    **{f"problems: {heading}": ("docs/problems.md", heading, codes) for heading, codes in PROBLEM_CODES.items()},
    "lint checks": ("docs/lint.md", "Checks", CHECKS),
    "checks of validate": ("docs/rules.md", "What validate looks for", AT_VALIDATION),
    "report files": ("docs/commands.md", "What the folder holds", (*REPORT_FILES, *EXTRA_FILES)),
    "inventory columns": ("docs/acting.md", "What you hold already", INVENTORY_COLUMNS),
}


@pytest.mark.parametrize("kind", VOCABULARY)
def test_words_of_the_program_are_documented(kind: str) -> None:
    """
    Every code, column and verdict has a row in its table of the documentation, and no row is about something else.
    """
    page, heading, words = VOCABULARY[kind]
    expected = [str(word) for word in words]
    assert expected
    documented = first_words(section(page, heading))
    assert sorted(documented) == sorted(expected)


def test_columns_are_documented_in_their_order() -> None:
    """
    The documentation lists the columns of findings in the order of the table.
    """
    assert first_words(section("docs/findings.md", "Columns")) == list(FINDING_COLUMNS)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_documented(name: str) -> None:
    """
    Every command has a section with each of its options and their choices, and no option that it does not have.
    """
    text = section("docs/commands.md", name)
    documented = {option for row in rows(text) for option in _OPTION.findall(row.split("|")[1])}
    options = [one for one in COMMANDS[name].params if isinstance(one, click.Option)]
    assert documented == {option for one in options for option in one.opts}
    for one in options:
        if isinstance(one.type, click.Choice):
            row = next(row for row in rows(text) if one.opts[-1] in row)
            assert [choice for choice in one.type.choices if f"`{choice}`" not in row] == [], one.opts[-1]
    assert f"policy-engine {name}" in text


def test_commands_are_all_there() -> None:
    """
    The page of the commands has a section for each of them, and its table links each section.
    """
    table = section("docs/commands.md", "The commands")
    assert sorted(match["target"] for match in _LINK.finditer(table)) == sorted(f"#{name}" for name in COMMANDS)
    headings = [m["text"] for m in _HEADING.finditer(prose(PAGES["docs/commands.md"].read_text(encoding="utf-8")))]
    assert sorted(heading for heading in headings if heading.islower()) == sorted(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_documented_commands_and_options_exist(page: str) -> None:
    """
    A command line in the documentation names a command of the program and options that this command has.
    """
    text = PAGES[page].read_text(encoding="utf-8")
    shown = [block.body.replace("\\\n", " ") for block in blocks(text)] + _CODE.findall(prose(text))
    wrong = []
    for piece in shown:
        for match in _COMMAND.finditer(piece):
            command = COMMANDS.get(match["name"])
            options = {name for one in command.params for name in one.opts} | {"-h", "--help"} if command else set()
            wrong += [match[0] for option in _OPTION.findall(match["rest"]) if option not in options]
            wrong += [match[0]] if command is None else []
    known = {name for command in COMMANDS.values() for one in command.params for name in one.opts}
    known |= {"--help", "--version"}
    wrong += [code for code in _CODE.findall(prose(text)) if code.startswith("--") and code.split()[0] not in known]
    assert not wrong


# --- nothing leads nowhere ----------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """The names under which the headings of a page can be linked to."""
    found = set()
    for match in _HEADING.finditer(prose(path.read_text(encoding="utf-8"))):
        text = re.sub(r"[^\w\- ]", "", match["text"].lower())
        found.add(text.replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_links_lead_somewhere(page: str) -> None:
    """
    A link to a file of the project, or to a heading in one, finds it.
    """
    path = ROOT / page
    broken = []
    for match in _LINK.finditer(prose(path.read_text(encoding="utf-8"))):
        target = match["target"]
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


def test_bundled_rules_are_listed() -> None:
    """
    The table of the bundled rules links every rule file of the pack.
    """
    linked = targets(ROOT / "rules" / "piapi" / "README.md")
    missing = [rule.id for rule in read_pack("piapi").rules if f"rules/{rule.id}.yaml" not in linked]
    assert not missing


def targets(path: Path) -> set[str]:
    """The targets of the links of a page, without anchors."""
    return {match["target"].partition("#")[0] for match in _LINK.finditer(prose(path.read_text(encoding="utf-8")))}


def test_the_index_names_every_page() -> None:
    """
    docs/README.md links every page of docs/ once, except those of the lint checks, which docs/lint.md links.
    """
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")} - {"README.md"}
    checks = {page for page in pages if page.startswith("lint/")}
    linked = [match["target"] for match in _LINK.finditer((docs / "README.md").read_text(encoding="utf-8"))]
    assert sorted(target for target in linked if not target.startswith("../")) == sorted(pages - checks)
    assert checks <= targets(docs / "lint.md")


def test_the_architecture_page_names_modules_that_exist() -> None:
    """
    Every room, and every module that the page names, is in the package or beside it; every room has a row.
    """
    page = "docs/development/architecture.md"
    named = {name for name in _CODE.findall(PAGES[page].read_text(encoding="utf-8")) if "/" in name}
    files = {name for name in named if re.fullmatch(r"[a-z_0-9/]+(\.py|/)?", name)}
    assert len(files) > len(named) / 2
    assert sorted(name for name in files if not (SOURCE / name).exists() and not (ROOT / name).exists()) == []
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert set(first_words(section(page, "The rooms"))) == rooms | {"api.py"}


def test_the_readme_is_short() -> None:
    """
    The README is read in a few minutes, and says how to try the program and how to test it.
    """
    text = PAGES["README.md"].read_text(encoding="utf-8")
    assert len(text) <= MOST_OF_README
    shown = "".join(block.body for block in blocks(text))
    assert "make report" in shown
    assert "make test" in shown


# --- every example is true ----------------------------------------------------------------------------------------


@contextmanager
def named_policy_engine() -> Iterator[None]:
    """Messages call the program as the user does, whatever runs the tests."""
    main = sys.modules["__main__"]
    with mock.patch.object(sys, "argv", ["policy-engine"]), mock.patch.object(main, "__package__", None, create=True):
        yield


def output_of(line: str) -> str:
    """What a command line prints, results and diagnostics as a person sees them."""
    program, *arguments = shlex.split(line)
    assert program == "policy-engine", line
    with named_policy_engine(), CliRunner().isolation() as streams:
        run(arguments)
        streams[0].flush()
        return streams[2].getvalue().decode()


def replay(block: Block) -> str:
    """The block as it would read if its commands were run in the working folder."""
    shown = []
    for line in re.findall(r"^\$ (?:.*\\\n)*.*\n", block.body, re.MULTILINE):
        shown.append(line + output_of(line[2:].replace("\\\n", " ")))
    return "".join(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE) for text in shown)


def walk(page: Path) -> Iterator[tuple[Block, str]]:
    """Each example of a page with what it prints; blocks with a title are files, written before what follows them."""
    shutil.copytree(ROOT / "examples", "examples")
    for block in blocks(page.read_text(encoding="utf-8")):
        title = _TITLE.search(block.info)
        if title:
            file = Path(title["name"])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.body, encoding="utf-8")
        elif block.info == "console":
            yield block, replay(block)


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Work in a folder for a while."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def example_pages() -> list[str]:
    """Pages with examples to check."""
    return [page for page, path in PAGES.items() if "```console" in path.read_text(encoding="utf-8")]


@pytest.mark.slow
@pytest.mark.parametrize("page", example_pages())
def test_examples_print_what_the_page_says(page: str, tmp_path: Path) -> None:
    """
    The commands of a page, run in its order on the files it shows, print to the letter what the page says.
    """
    with working_in(tmp_path):
        for block, printed in walk(PAGES[page]):
            assert printed == block.body


def python_examples() -> list[Any]:
    """Python blocks of all pages."""
    return [
        pytest.param(block.body, id=f"{page}-{number}")
        for page, path in PAGES.items()
        for number, block in enumerate(blocks(path.read_text(encoding="utf-8")))
        if block.info == "python"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("code", python_examples())
def test_python_examples_run(code: str, tmp_path: Path) -> None:
    """
    A Python example runs as it stands, beside the example history.
    """
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class Provider(BaseHTTPRequestHandler):
    """Answers as the provider documents: 250 history rows, one every eight hours, and the task objects but one."""

    started = int(time.time())
    seen: ClassVar[list[dict[str, str]]] = []
    """Query of each request for a page."""

    def do_GET(self) -> None:
        """Answer with a page of the history, or with a task."""
        address = urlsplit(self.path)
        if self.headers["x-api-key"] != "a-key":
            self.answer({"code": 401, "data": None, "message": "who are you"})
        elif address.path == "/api/open/tasks/histories":
            query = dict(parse_qsl(address.query))
            self.seen.append(query)
            self.answer({"code": 200, "data": self.page(query), "message": "success"})
        elif address.path == "/api/v1/task/task-007":
            self.send_error(404)
        else:
            number = int(address.path.rpartition("-")[2])
            task = {"task_id": f"task-{number:03}", "model": "Qubico/flux1-dev", "status": "completed"}
            self.answer({"code": 200, "data": task, "message": "success"})

    def page(self, query: dict[str, str]) -> dict[str, Any]:
        """The rows that were asked for; no list at all where there is none, as the provider's language has it."""
        made = [(number, self.started - 3600 - number * 8 * 3600) for number in range(250)]
        rows = [
            {"task_id": f"task-{number:03}", "task_model": "flux", "status": "completed", "created_at": instant}
            for number, instant in made
            if int(query["start_time"]) <= instant < int(query["end_time"]) + 1
        ]
        page, size = int(query["page"]), int(query["page_size"])
        return {"data": rows[(page - 1) * size : page * size] or None, "page": page, "size": size, "total": len(rows)}

    def answer(self, value: object) -> None:
        """Send a value as JSON."""
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "curl", "jq"))) or sys.platform == "win32", reason="needs bash, curl and jq"
)
def test_the_export_script_fetches_a_whole_history(tmp_path: Path) -> None:
    """
    The script of docs/piapi-export.md, run against a stand-in for the provider, fetches every row and the recent tasks,
    and the program reads what it saved.
    """
    page = PAGES["docs/piapi-export.md"].read_text(encoding="utf-8")
    script = next(block.body for block in blocks(page) if block.info == "bash")
    with HTTPServer(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        script = script.replace("https://api.piapi.ai", f"http://127.0.0.1:{server.server_port}")
        environment = {**os.environ, "PIAPI_KEY": "a-key", "no_proxy": "127.0.0.1"}
        command = ["bash", "-c", script]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        environment["PIAPI_KEY"] = "another"
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        refused = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
        server.shutdown()
        thread.join()
    assert done.returncode == 0, done.stderr
    assert "no task object: task-007" in done.stderr
    assert {query["page_size"] for query in Provider.seen} == {"100"}
    assert len({query["end_time"] for query in Provider.seen}) == 1
    with working_in(tmp_path):
        printed = output_of("policy-engine evaluate export -o findings.csv")
        assert printed.startswith("273 records = 250 tasks + 23 merged + 0 quarantined; "), printed
        assert "History pages complete" in output_of("policy-engine report export -o report")
    assert refused.returncode != 0
    assert "401 who are you" in refused.stderr
    assert not list(elsewhere.rglob("*.json"))


if __name__ == "__main__":
    import tempfile

    for _path in PAGES.values():
        _text = _path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as _folder, working_in(Path(_folder)):
            for _block, _printed in reversed(list(walk(_path))):
                _text = _text[: _block.start] + _printed + _text[_block.end :]
        _path.write_text(_text, encoding="utf-8")
