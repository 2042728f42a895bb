"""Whatever exports, rules and file names contain, the readers of every output see text; nothing runs or moves."""

from __future__ import annotations

import csv
import html
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import cmarkgfm
import openpyxl
import pyarrow.parquet as pq
import pyte
import pytest
from cmarkgfm.cmark import Options
from sarif_pydantic import Sarif

from tests.support.commands import environment
from tests.trust import outputs
from tests.trust.hostile import MARK, NAMES, SECRET, SIGNATURE
from tests.trust.outputs import Outputs

pytestmark = pytest.mark.slow

_SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """Everything the program says and writes about the hostile files."""
    return outputs.make(tmp_path_factory.mktemp("hostile"))


def every_text(made: Outputs) -> Iterator[tuple[str, str]]:
    """(name, text) of everything printed for people, results and diagnostics apart."""
    for name, done in made.said.items():
        yield name, done.text
        yield f"{name}, diagnostics", done.err


# --- the commands did what they were asked ------------------------------------------------------------------------


def test_every_command_ends_as_it_should(made: Outputs) -> None:
    """
    A hostile value is a value: no command ends with an internal error, and those that can succeed do.
    """
    everything = {**made.said, **{f"{s} {n}": d for s, done in made.formats.items() for n, d in done.items()}}
    assert {name: done.err for name, done in everything.items() if done.code == 70 or "Traceback" in done.err} == {}
    for name in (
        "report",
        "shy report",
        "evaluate findings.csv",
        "evaluate findings.parquet",
        "rules",
        "impact",
        "diff",
    ):
        assert made.said[name].code == 0, made.said[name].err
    explained = {name: done.err for name, done in made.said.items() if name.startswith("explain") and done.code}
    assert explained == {}
    assert made.formats["json"]["test changed"].code == 5
    assert made.formats["json"][f"validate {outputs.BROKEN}"].code == 3


def test_the_hostile_words_reach_the_outputs(made: Outputs) -> None:
    """
    The tests below check something: hostile texts are in every file and in most of what was printed.
    """
    for path in (
        *made.csv_files(),
        *(made.report / name for name in ("report.html", "report.md", "save_now.aria2.txt")),
    ):
        assert MARK in path.read_text(encoding="utf-8"), path
    assert sum(MARK in text for _, text in every_text(made)) > 100


# --- a terminal ---------------------------------------------------------------------------------------------------


class Watched(pyte.Screen):
    """A terminal that notes every order but those to show text and to end a line."""

    def __init__(self, columns: int, lines: int) -> None:
        self.noted: list[str] = []
        super().__init__(columns, lines)
        self.noted.clear()


_ORDERS = frozenset(pyte.Stream.events) - {"draw", "linefeed", "carriage_return", "index", "cursor_down"}
"""What a terminal can be ordered to do, without what a line end makes it do."""


def _noting(order: str) -> Any:
    carry_out = getattr(pyte.Screen, order)

    def note(self: Watched, *arguments: Any, **options: Any) -> None:
        self.noted.append(order)
        carry_out(self, *arguments, **options)

    return note


for _order in _ORDERS:
    setattr(Watched, _order, _noting(_order))


def on_terminal(text: str) -> tuple[list[str], Watched]:
    """The lines that a person sees when the text is printed to a terminal wide enough for it."""
    lines = text.split("\n")
    screen = Watched(2 * max(map(len, lines)) + 2, len(lines) + 1)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display], screen


@pytest.mark.parametrize(
    ("text", "orders"),
    [
        ("two\nlines", []),
        ("\x1b[31mred", ["select_graphic_rendition"]),
        ("\x9b31mred", ["select_graphic_rendition"]),
        ("\x1b[2J", ["erase_in_display"]),
        ("\x1b]0;title\x07", ["set_icon_name", "set_title"]),
        ("\x1b[5A", ["cursor_up"]),
        ("bell\x07", ["bell"]),
        ("over\x08", ["backspace"]),
        ("\x1b]52;c;eA==\x07\x1bc", ["reset"]),
    ],
)
def test_the_terminal_notes_what_it_obeys(text: str, orders: list[str]) -> None:
    """
    The terminal of the next test notes an order that it is given, so that its silence means something.
    """
    noted = on_terminal(text)[1].noted
    assert [order for order in noted if order in orders] == orders
    assert bool(noted) == bool(orders)


def test_a_terminal_shows_text_and_obeys_nothing(made: Outputs) -> None:
    """
    Printed to a terminal, every result and diagnostic is the text it is: nothing is coloured, erased, moved, renamed,
    rung or put on the clipboard, nothing changes direction, and the cursor is at the end.
    """
    tried: set[str] = set()
    for name, text in every_text(made):
        # A line leaves no state behind that could change the next one, so a line of several outputs is shown once.
        lines = [line for line in dict.fromkeys(text.split("\n")) if line not in tried]
        tried.update(lines)
        shown, screen = on_terminal("\n".join([*lines, ""]))
        assert screen.noted == [], (name, screen.noted)
        assert [line.rstrip() for line in lines] == shown[: len(lines)], name
        assert (screen.cursor.x, screen.cursor.y) == (0, len(lines)), name
        assert not _BIDI.search(text), name
        assert all(line.isprintable() for line in lines), name
    assert len(tried) > 2_000


def test_a_terminal_sees_only_our_own_colours(made: Outputs) -> None:
    """
    On a real terminal device labels are coloured, CSV on standard output is made visible, and nothing else is obeyed.
    """
    pty = pytest.importorskip("pty")
    commands = (
        ["lint", outputs.BROKEN],
        ["evaluate", "exports", "--pack", "pack", "--as-of", "2026-01-08T00:00:00Z", "-o", "-"],
    )
    for arguments in commands:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "policy_engine", *arguments], cwd=made.folder, stdin=subprocess.DEVNULL,
            stdout=theirs, stderr=theirs, env=environment(TERM="xterm", NO_COLOR=""),
        ) as process:  # fmt: skip
            os.close(theirs)
            seen = b""
            while part := _read(ours):
                seen += part
            process.wait()
        os.close(ours)
        text = seen.decode().replace("\r\n", "\n")
        assert MARK in text
        assert set(re.findall("\x1b[^m]{0,9}m?", text)) <= {"\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[33m"}, arguments
        without = re.sub("\x1b\\[[0-9]+m", "", text)
        assert all(line.isprintable() for line in without.split("\n")), arguments


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # how Linux says that the other end was closed
        return b""


# --- programs that run jobs ---------------------------------------------------------------------------------------


def orders(text: str) -> list[str]:
    """The lines that a runner of GitHub takes for a command, in either of its two forms, as its source reads them."""
    return [line for line in text.splitlines() if line.strip().startswith("::") or re.search(r"##\w*\[", line)]


def test_a_log_holds_no_order_to_the_runner(made: Outputs) -> None:
    """
    Printed in a job, no text for people and no format but `github` holds a line that the runner would obey.
    """
    for name, text in every_text(made):
        assert orders(text) == [], name
    for shape in ("json", "sarif", "markdown"):
        for name, done in made.formats[shape].items():
            assert orders(done.text) + orders(done.err) == [], (shape, name)


def test_annotations_are_ours_and_one_line_each(made: Outputs) -> None:
    """
    `--format github` gives commands of two kinds only, each with a title of ours, and nobody else's text begins a line.
    """
    for name, done in made.formats["github"].items():
        commands = orders(done.text)
        assert commands or name.startswith(("lint", "check"))
        for line in done.text.split("\n")[:-1]:
            is_ours = re.fullmatch(
                r"::(error|warning) [^:]*title=[a-z0-9-]+ \(policy-engine\)::.*|policy-engine: .*", line
            )
            assert is_ours, (name, line)
            assert line.isprintable()
        assert not [line for line in done.text.split("\n") if re.search(r"##\w*\[", line) and not line.startswith("::")]


# --- Markdown, SARIF, JSON ----------------------------------------------------------------------------------------


class ReadTotals(HTMLParser):
    """The elements of a page, and the text around them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append((tag, dict(attrs)))


def markdown_texts(made: Outputs) -> Iterator[tuple[str, str]]:
    """(name, text) of all that was written as Markdown."""
    yield "report.md", (made.report / "report.md").read_text(encoding="utf-8")
    yield "shy report.md", (made.folder / "shy" / "report.md").read_text(encoding="utf-8")
    for name, done in made.formats["markdown"].items():
        yield name, done.text


def test_markdown_makes_nothing_of_hostile_words(made: Outputs) -> None:
    """
    GitHub's own reader makes tables, lists and emphasis of ours and no link, image, script or heading of theirs; nobody
    is called by name.
    """
    allowed = {"h1", "h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "code", "b", "br",
               "strong", "hr"}  # fmt: skip
    for name, text in markdown_texts(made):
        page = cmarkgfm.github_flavored_markdown_to_html(text, options=Options.CMARK_OPT_UNSAFE)
        seen = ReadTotals(page)
        assert {tag for tag, _ in seen.tags} <= allowed, (name, {tag for tag, _ in seen.tags} - allowed)
        assert all(set(attributes) <= {"align"} for _, attributes in seen.tags), name
        outside_code = re.sub(r"<code>.*?</code>", "", page, flags=re.DOTALL)
        plain_text = html.unescape(re.sub(r"<[^>]*>", "", outside_code))
        assert not re.search(rf"[@#]{MARK}|@\w|(?<!\w)#\d|https?://|www\.", plain_text), name
        assert not _BIDI.search(text)


def test_sarif_is_read_by_others_and_links_nowhere(made: Outputs) -> None:
    """
    A reader of SARIF that is not ours reads it; texts hold no link and no placeholder; locations are relative or files.
    """
    for name, done in made.formats["sarif"].items():
        run = Sarif.model_validate_json(done.text).runs[0]
        texts = [result.message.text or "" for result in run.results or []]
        assert texts or name.startswith(("lint", "check")), name
        for text in texts:
            assert "](" not in text
            assert not re.search(r"(?<!\{)\{\d+\}(?!\})", text)
            assert all(line.isprintable() for line in text.split("\n"))
        for result in run.results or []:
            for location in result.locations or []:
                uri = location.physical_location.artifact_location.uri  # type: ignore[union-attr]
                assert uri is not None
                assert re.fullmatch(r"[!-~]+", uri)
                assert not re.match(r"(?!file:)[a-z][a-z0-9+.-]*:", uri, re.IGNORECASE), uri


def test_json_is_ascii_where_it_is_printed(made: Outputs) -> None:
    """
    What is printed as JSON is valid and in ASCII, so that showing it moves no cursor.
    """
    for shape in ("json", "sarif"):
        for done in made.formats[shape].values():
            json.loads(done.text)
            assert done.text.isascii()
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", done.text)
    for name in ("summary.json", "manifest.json"):
        text = (made.report / name).read_text(encoding="utf-8")
        assert isinstance(json.loads(text), dict)
        assert all(line.isprintable() for line in text.split("\n")), name


# --- spreadsheets -------------------------------------------------------------------------------------------------


def formulas(text: str, separators: str, keep_quotes: bool) -> list[str]:
    """Cells that begin as a formula would, for a program that divides at these separators."""
    found = []
    for separator in separators:
        quoting = csv.QUOTE_MINIMAL if keep_quotes else csv.QUOTE_NONE
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting):
            found += [cell for cell in row if cell.strip(" \t\r\n\u3000\u00a0").startswith(tuple(_SIGNS))]
    return [cell for cell in found if not re.fullmatch(r"-?[0-9.]+", cell)]


def test_no_cell_of_a_csv_file_is_a_formula(made: Outputs) -> None:
    """
    Divided at commas, with or without regard to quotes at semicolons and tabs, no cell begins a formula; every row has
    all columns.
    """
    for path in made.csv_files():
        text = path.read_bytes().decode()
        assert "\0" not in text
        assert formulas(text, ",", keep_quotes=True) == [], path.name
        assert formulas(text, ";\t", keep_quotes=True) == [], path.name
        assert formulas(text, ";\t", keep_quotes=False) == [], path.name
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(rows[0])}


def test_the_workbook_holds_text_and_numbers_only(made: Outputs) -> None:
    """
    Openpyxl finds no formula, link, comment, name or error in the workbook, and every row.
    """
    book = openpyxl.load_workbook(made.report / "report.xlsx")
    rows = 0
    assert not book.defined_names
    for sheet in book.worksheets:
        rows += sheet.max_row - 1 if sheet.title in ("active", "at_risk", "expired", "vendor_cdn", "ungoverned",
                                                     "undetermined") else 0  # fmt: skip
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type in ("s", "n", "b", "d", "inlineStr"), cell
                assert cell.hyperlink is None
                assert cell.comment is None
    assert rows == pq.read_metadata(made.folder / "tables" / "findings.parquet").num_rows


# --- names of files, secrets --------------------------------------------------------------------------------------


def test_names_for_a_downloader_stay_in_their_folder(made: Outputs) -> None:
    """
    Each entry for aria2 is an address and two options of ours; names are plain, relative, and mean no device.
    """
    lines = (made.report / "save_now.aria2.txt").read_text(encoding="ascii").splitlines()
    entries = [line for line in lines if not line.startswith("#")]
    assert len(entries) > 60
    assert len(entries) % 3 == 0
    for address, folder, name in zip(entries[::3], entries[1::3], entries[2::3], strict=True):
        assert re.fullmatch(r"https?://[!-~]+", address, re.IGNORECASE)
        parts = [*folder.removeprefix("  dir=").split("/"), name.removeprefix("  out=")]
        assert (folder[:6], name[:6]) == ("  dir=", "  out=")
        assert len(parts) == 4
        for part in parts:
            assert re.fullmatch(r"[A-Za-z0-9_%~-][A-Za-z0-9._%~-]*", part), part
            assert len(part) <= 110
            assert not part.endswith(".")
            assert not re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", part, re.IGNORECASE)


def test_nothing_is_written_outside_the_named_places(made: Outputs) -> None:
    """
    No value became a file: beside what was asked for there is nothing in the working folder, and nothing in the report.
    """
    present = {path.name for path in made.folder.iterdir()}
    assert present == {"exports", "pack", "changed", outputs.BROKEN, "torn", "marks", "tables", "report", "shy"}
    assert {path.name for path in (made.folder / "tables").iterdir()} == {
        "findings.csv", "findings.jsonl", "findings.parquet", "again.csv", "changed.csv"
    }  # fmt: skip
    assert {path.name for path in (made.folder / "exports").iterdir()} == {
        *(name.format(MARK) for name in NAMES), "files.csv"
    }  # fmt: skip


def test_secrets_of_webhooks_reach_no_output(made: Outputs) -> None:
    """
    `webhook_config`, logs and raw error messages are in no file and in nothing that is printed.
    """
    written = [path for folder in ("report", "shy", "tables") for path in (made.folder / folder).iterdir()]
    assert len(written) > 20
    assert [path.name for path in written if SECRET.encode() in path.read_bytes()] == []
    assert [name for name, text in every_text(made) if SECRET in text] == []


def test_signatures_are_only_where_addresses_were_asked_for(made: Outputs) -> None:
    """
    Signed addresses are in the tables, which hold addresses; not on the page, in summaries or in what is printed.
    """
    named = {path.name for path in (made.folder / "shy").iterdir() if SIGNATURE.encode() in path.read_bytes()}
    assert named
    assert all(name.endswith(".csv") for name in named)
    assert "quarantine.csv" not in named
    shown = [name for name, text in every_text(made) if SIGNATURE in text]
    assert all(name.startswith("explain u-") for name in shown), shown


# --- a browser ----------------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("folder", ["report", "shy"])
def test_a_browser_runs_and_fetches_nothing(made: Outputs, folder: str, chromium_path: str) -> None:
    """
    Even with the page's own security policy out of force, the browser runs no text of an export, asks for no address,
    opens no dialog, and every link leads into the page or to a web address.
    """
    from playwright.sync_api import sync_playwright

    page_file = made.folder / folder / "report.html"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        page = browser.new_context(bypass_csp=True).new_page()
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.goto(page_file.as_uri())
        page.wait_for_selector("#files tbody tr")
        for row in range(min(3, page.locator("#files tbody th a.open").count())):
            page.locator("#files tbody th a.open").nth(row).click()
            page.locator("dialog[open]").wait_for()
            page.keyboard.press("Escape")
            page.locator("dialog[open]").wait_for(state="hidden")
        assert asked == [page_file.as_uri()]
        assert said == []
        assert page.evaluate(f"typeof window.{MARK}") == "undefined"
        links = page.eval_on_selector_all("a[href]", "all => all.map(link => link.getAttribute('href'))")
        assert all(re.match(r"#|https?://", link) for link in links)
        assert page.locator("img, iframe, object, embed, form, base, link").count() == 0
        handlers = page.evaluate(
            "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes])"
            ".filter(a => /^on/i.test(a.name)).length"
        )
        assert handlers == 0
        browser.close()
