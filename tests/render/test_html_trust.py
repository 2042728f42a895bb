"""What the HTML page keeps out: requests, markup from exports, URLs nobody asked for, and chance."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from policy_engine.render.html import LONGEST_TEXT, is_link, render_html
from policy_engine.report_model import ReportModel
from tests.render.page import Page
from tests.render.sample_model import (
    HOSTILE,
    SIGNED_URL,
    empty_model,
    finding,
    hostile_model,
    one_asset_model,
    rich_model,
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
    for section in model.sections:
        for row in section.rows:
            assert row.url not in html
            assert row.url_host in page.text
    assert "holds every one and its full URL" in page.text


def test_urls_are_text_and_link_when_asked_for() -> None:
    """
    Asked for, a URL is shown whole, and links without telling the other side where it was clicked.
    """
    asked = Page(render_html(replace(rich_model(), show_urls=True)))
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
    section = replace(rich.sections[0], rows=(finding(1, "at_risk", hours=1, url=url),))
    rules = (replace(rich.rules[0], source_url=url),)
    html = render_html(replace(rich, sections=(section,), rules=rules, show_urls=True))
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
    assert not tags & {"script", "img", "iframe", "object", "embed", "link", "base", "form", "input"}
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
    assert len(html) < 1_500_000


@EVERY_MODEL
def test_rendering_is_deterministic(make: Callable[[], ReportModel]) -> None:
    """
    The same model gives the same bytes, also in another process with another hash seed, time zone and language.
    """
    code = (
        "import hashlib, sys; from tests.render import sample_model; from policy_engine.render import FORMATS\n"
        f"text = FORMATS['html'](sample_model.{make.__name__}())\n"
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
    The page allows itself exactly its own stylesheet, by the hash of its text, and nothing else.
    """
    page = Page(render_html(rich_model()))
    policies = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    stylesheet = "".join(data for tag, data in page.texts if tag == "style")
    digest = base64.b64encode(hashlib.sha256(stylesheet.encode()).digest()).decode()
    assert policies == [
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    ]


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
