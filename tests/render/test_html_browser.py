"""What a reader's browser makes of the HTML page: nothing fetched, nothing run, nothing out of reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

pytest.importorskip("playwright")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from policy_engine.render.html import render_html
from policy_engine.report_model import ReportModel
from tests.render.sample_model import empty_model, hostile_model, one_asset_model, rich_model

pytestmark = pytest.mark.browser

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def rich_model_with_urls() -> ReportModel:
    """The rich model with full URLs on the page."""
    return replace(rich_model(), show_urls=True)


MODELS: tuple[Callable[[], ReportModel], ...] = (
    rich_model, rich_model_with_urls, empty_model, one_asset_model, hostile_model,
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """One browser for the tests of this file."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages on disk by the name of their model."""
    folder = tmp_path_factory.mktemp("pages")
    written = {}
    for make in MODELS:
        written[make.__name__] = folder / f"{make.__name__}.html"
        written[make.__name__].write_bytes(render_html(make()).encode())
    return written


class Visit:
    """A page opened from disk, and all that happened on the way."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.console: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())


@pytest.fixture
def visit(browser: Browser, files: dict[str, Path]) -> Iterator[Callable[..., Visit]]:
    """Open the page of a model in a fresh context."""
    contexts = []

    def open_page(model: str, *, width: int = 1280, scheme: Scheme = "light", bypass_csp: bool = False) -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=bypass_csp
        )
        contexts.append(context)
        return Visit(context.new_page(), files[model])

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("model", [make.__name__ for make in MODELS])
def test_page_opens_alone_and_in_silence(visit: Callable[..., Visit], files: dict[str, Path], model: str) -> None:
    """
    Opened from disk the page asks for no other file, and the console stays empty: its stylesheet fits its policy.
    """
    opened = visit(model)
    assert opened.requests == [files[model].as_uri()]
    assert opened.console == []
    assert opened.page.evaluate("getComputedStyle(document.querySelector('table')).borderCollapse") == "collapse"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("model", ["rich_model", "rich_model_with_urls", "empty_model", "one_asset_model"])
def test_page_breaks_no_rule_of_accessibility(visit: Callable[..., Visit], model: str, scheme: Scheme) -> None:
    """
    An accessibility checker (axe) finds nothing to object to, in light and in dark, with everything that folds opened.
    """
    opened = visit(model, scheme=scheme, bypass_csp=True)
    opened.page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true })")
    results = Axe().run(opened.page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("model", [make.__name__ for make in MODELS])
def test_page_is_never_wider_than_the_screen(visit: Callable[..., Visit], model: str, width: int) -> None:
    """
    On a phone and wider the page scrolls in one direction only; tables scroll within themselves.
    """
    opened = visit(model, width=width)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def test_first_screen_answers_the_question(visit: Callable[..., Visit]) -> None:
    """
    At 1280 by 900, under two warnings, the totals, what is next, what is not known and what it rests on are seen.
    """
    page = visit("rich_model").page
    for selector in (
        "h1",
        ".warnings",
        ".verdicts .totals tr:last-child",
        "#next-title",
        "#unknown-title",
        "#rests-title",
    ):
        box = page.locator(selector).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900, selector


def test_hostile_text_runs_nothing(visit: Callable[..., Visit]) -> None:
    """
    Even with the policy switched off no text of an export becomes a script, an image or a changed title.
    """
    opened = visit("hostile_model", bypass_csp=True)
    opened.page.mouse.move(300, 300)
    opened.page.mouse.move(600, 500)
    assert opened.page.evaluate("document.title") != "ran"
    assert opened.page.evaluate("document.scripts.length + document.images.length") == 0
    assert opened.page.locator("h1").is_visible()
    assert len(opened.requests) == 1
    assert opened.console == []


def test_dark_is_dark_and_paper_is_light(visit: Callable[..., Visit]) -> None:
    """
    The page follows the scheme of the reader on a screen, and prints light whatever that is.
    """
    ground = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    page = visit("rich_model", scheme="dark").page
    assert page.evaluate(ground) < 150
    page.emulate_media(media="print")
    assert page.evaluate(ground) == 3 * 255


def test_page_prints(visit: Callable[..., Visit]) -> None:
    """
    On paper nothing is cut off: table heads repeat, folded parts are open, ids and addresses of sources are whole.
    """
    page = visit("rich_model").page
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 703, "height": 1000})  # the printable width of A4
    assert page.evaluate("document.documentElement.scrollWidth") <= 703
    assert page.evaluate("getComputedStyle(document.querySelector('.findings thead')).display") == "table-header-group"
    assert page.locator("#deadline-rows-caption").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.id-start')).display") == "inline"
    after = "getComputedStyle(document.querySelector('a.source'), '::after').content"
    assert "https://piapi.ai/docs/output-storage" in page.evaluate(after)
    pdf = page.pdf(prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 20_000


def test_page_can_be_walked_by_keyboard(visit: Callable[..., Visit]) -> None:
    """
    The first stop of the Tab key is the link past the navigation, and it can be seen when it is reached.
    """
    page = visit("rich_model").page
    page.keyboard.press("Tab")
    box = page.locator(".skip").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


def test_whole_ids_are_found_and_copied(visit: Callable[..., Visit]) -> None:
    """
    An id shortened for the eye is selected and copied whole, without a break in it.
    """
    page = visit("rich_model").page
    wanted = rich_model().sections[0].rows[0].asset_id
    copied = page.evaluate(
        "() => { const id = document.querySelector('.findings .id'); getSelection().selectAllChildren(id);"
        " return getSelection().toString() }"
    )
    assert copied == wanted
