"""What the HTML page keeps out: requests, markup from exports, URLs nobody asked for, and chance."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from markupsafe import escape

from policy_engine.core import resources
from policy_engine.report.formats.html import render as render_html
from policy_engine.report.formats.html_data import LONGEST_TEXT, is_link
from policy_engine.report.model import ReportModel
from tests.support.page import Page
from tests.support.sample_model import (
    HOSTILE,
    SIGNED_URL,
    empty_model,
    files_of,
    finding,
    hostile_model,
    one_asset_model,
    rich_model,
    rich_rows,
)

EVERY_SHIFT = pytest.mark.parametrize("shift", range(len(HOSTILE)))
EVERY_MODEL = pytest.mark.parametrize(
    "make", [rich_model, empty_model, one_asset_model], ids=lambda make: make.__name__
)


def test_urls_are_hidden_by_default() -> None:
    """
    Without being asked for, no output URL reaches the page; its host does.
    """
    model = rich_model()
    html = render_html(model)
    page = Page(html)
    for row in model.files.first:
        assert row.url not in html
        assert row.url_host in page.text
    assert "url" not in page.data["columns"]
    assert "has every file with its full URL" in page.text


def test_urls_are_text_and_link_when_asked_for() -> None:
    """
    Asked for, a URL is shown whole, and links without telling the other side where it was clicked.
    """
    asked = Page(render_html(replace(rich_model(), files=files_of(rich_rows(), 40, show_urls=True), show_urls=True)))
    assert SIGNED_URL in asked.data["columns"]["url"]["texts"]
    assert SIGNED_URL in asked.text
    links = [attributes for tag, attributes in asked.elements if tag == "a" and attributes["href"] == SIGNED_URL]
    assert links
    assert all(attributes["rel"] == "noreferrer noopener" for attributes in links)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//evil.example/", "ftp://a/b", "file:///etc/passwd"]
)
def test_only_web_addresses_become_links(url: str) -> None:
    """
    An address of any other scheme stays text, in a row and at a rule.
    """
    rich = rich_model()
    files = files_of((finding(1, "at_risk", hours=1, url=url),), show_urls=True)
    rules = (replace(rich.rules[0], source_url=url),)
    html = render_html(replace(rich, files=files, rules=rules, show_urls=True))
    assert url in Page(html).text
    assert not any(attributes.get("href") == url for _, attributes in Page(html).elements)


@EVERY_SHIFT
@pytest.mark.parametrize("show_urls", [True, False])
def test_hostile_text_stays_text(shift: int, show_urls: bool) -> None:
    """
    Whatever an export holds, in any field, it makes no element, no attribute, no link and no hidden character.
    """
    html = render_html(hostile_model(shift, show_urls))
    page = Page(html)
    tags = {tag for tag, _ in page.elements}
    assert [attributes for tag, attributes in page.elements if tag == "script"] == [
        {"type": "application/json", "id": "files-data"}, {}, {}
    ]  # fmt: skip
    assert page.data["count"] == len(rich_rows())
    assert not tags & {"img", "iframe", "object", "embed", "link", "base", "form", "input"}
    assert sum(tag == "style" for tag, _ in page.elements) == 1
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") or name in ("style", "src", "srcset", "xlink:href") for name in attributes)
        if tag == "a":
            assert re.match(r"#[a-z]|https?://", attributes["href"])
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f]", html)
    html.encode()


@EVERY_SHIFT
def test_endless_text_does_not_make_an_endless_page(shift: int) -> None:
    """
    Texts of 100 kB in every field are cut, the page says so, and it stays small enough to open.
    """
    html = render_html(hostile_model(shift))
    assert "characters not shown]" in html
    assert len(html) < 2_500_000


@pytest.mark.slow
@EVERY_MODEL
def test_rendering_is_deterministic(make: Callable[[], ReportModel]) -> None:
    """
    The same model gives the same bytes, also in another process with another hash seed, time zone and language.
    """
    code = (
        "import hashlib; from tests.support import sample_model; from policy_engine.report.formats import renderer\n"
        f"text = renderer('html')(sample_model.{make.__name__}())\n"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
    }
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert hashlib.sha256(render_html(make()).encode()).hexdigest() == other.stdout.strip()


def test_content_security_policy_fits_the_page() -> None:
    """
    The page allows itself exactly its own stylesheet and its two scripts, by the hashes of their texts.
    """
    page = Page(render_html(rich_model()))
    policies = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    styles, scripts = (
        [f"'sha256-{base64.b64encode(hashlib.sha256(data.encode()).digest()).decode()}'"
         for tag, data in page.texts if tag == kind and not data.startswith('{"asOf"') and data.strip()]
        for kind in ("style", "script")
    )  # fmt: skip
    assert (len(styles), len(scripts)) == (1, 2)
    assert policies == [
        f"default-src 'none'; style-src {styles[0]}; script-src {' '.join(scripts)}; "
        "base-uri 'none'; form-action 'none'",
    ]


def test_a_page_without_rows_has_no_script() -> None:
    """
    Where there is nothing to search the page allows no script at all.
    """
    page = Page(render_html(empty_model()))
    assert not any(tag == "script" for tag, _ in page.elements)
    policies = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert "script-src" not in policies[0]


def test_vendored_script_is_the_published_one() -> None:
    """
    The bytes of the script that is not ours are those whose digests are recorded beside it, with its licence.
    """
    folder = resources.bundled("reports") / "vendor" / "datatables"
    about = json.loads((folder / "vendor.json").read_text(encoding="utf-8"))
    present = {path.name for path in folder.iterdir()} - {"vendor.json"}
    assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in present} == {
        name: one["sha256"] for name, one in about["files"].items()
    }
    assert f"DataTables {about['version']}" in (folder / "dataTables.min.js").read_text(encoding="utf-8")[:100]
    page = render_html(rich_model())
    assert escape((folder / "License.txt").read_text(encoding="utf-8")).strip() in page


def test_every_cell_of_the_list_goes_through_the_text_renderer() -> None:
    """
    The script gives each column the renderer that escapes, and never writes markup itself.
    """
    script = (resources.bundled("reports") / "report.js").read_text(encoding="utf-8")
    assert script.count("render: DataTable.render.text()") == script.count("columns: names.map(") == 1
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "fetch(",
                 "XMLHttpRequest", "localStorage", "cookie"):  # fmt: skip
        assert word not in script


@EVERY_MODEL
def test_page_refers_to_nothing_outside(make: Callable[[], ReportModel]) -> None:
    """
    Nothing on the page makes a browser fetch anything: an address outside is a link somebody must click.
    """
    page = Page(render_html(make()))
    stylesheet = "".join(data for tag, data in page.texts if tag == "style")
    assert "url(" not in stylesheet
    assert "@import" not in stylesheet
    for tag, attributes in page.elements:
        outside = {name for name, value in attributes.items() if "http:" in value or "https:" in value}
        assert outside <= ({"href"} if tag == "a" else set())
        if outside:
            assert attributes["rel"] == "noreferrer noopener"


def test_links_are_short_plain_web_addresses() -> None:
    """
    A URL that the page would cut, or that holds quotes, spaces or letters outside ASCII, is not a link.
    """
    assert is_link("HTTPS://a.example/b?c=d&e=f#g")
    assert not is_link("https://a.example/" + "x" * LONGEST_TEXT)
    assert not any(
        map(is_link, ("https://a/'", 'https://a/"', "https://a b", "https://a/\u202e", " https://a", "https://"))
    )
