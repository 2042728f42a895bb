"""What a reader's browser makes of the HTML page: nothing fetched, nothing run, nothing out of reach."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pytest

pytest.importorskip("playwright")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from policy_engine.core.vocabulary import REASONS
from policy_engine.report.formats.html import render as render_html
from policy_engine.report.model import ReportModel
from tests.support.sample_model import (
    amount,
    empty_model,
    files_of,
    finding,
    hostile_model,
    one_asset_model,
    rich_model,
    rich_rows,
)

pytestmark = pytest.mark.browser

ROW = rich_rows()[1]
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def rich_model_with_urls() -> ReportModel:
    """The rich model with full URLs on the page."""
    return replace(rich_model(), files=files_of(rich_rows(), show_urls=True), show_urls=True)


def large_model() -> ReportModel:
    """A history of which the page holds as many rows as it does by default, and leaves out others."""
    verdicts = ("at_risk", "active", "expired", "vendor_cdn")
    services = ("kling", "flux", "suno", "luma")
    rows = tuple(
        finding(n, verdicts[n % 4], hours=n / 100 - 2, service=services[n // 7 % 4], row=n + 2) for n in range(20_000)
    )
    return replace(rich_model(), files=files_of(rows, 100), total=amount(400_000, 8_000_000))


MODELS: tuple[Callable[[], ReportModel], ...] = (
    rich_model, rich_model_with_urls, empty_model, one_asset_model, hostile_model, large_model,
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

    def __init__(self, page: Page, path: Path, place: str = "") -> None:
        self.page = page
        self.console: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri() + place)

    @property
    def status(self) -> str:
        """What the page says about how many files it shows."""
        return self.page.inner_text("#files-status")

    def ids(self) -> list[str]:
        """The whole ids of the rows in sight, in order."""
        return self.page.locator("#files tbody th a.open").all_inner_texts()

    def choose(self, label: str, value: str) -> None:
        """Choose a value in the controls over the list."""
        self.page.get_by_label(label, exact=True).select_option(value)


@pytest.fixture
def visit(browser: Browser, files: dict[str, Path]) -> Iterator[Callable[..., Visit]]:
    """Open the page of a model in a fresh context."""
    contexts = []

    def open_page(
        model: str, place: str = "", *, width: int = 1280, scheme: Scheme = "light", script: bool = True,
        bypass_csp: bool = False,
    ) -> Visit:  # fmt: skip
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=bypass_csp,
            java_script_enabled=script,
        )  # fmt: skip
        contexts.append(context)
        return Visit(context.new_page(), files[model], place)

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
def test_card_breaks_no_rule_of_accessibility(visit: Callable[..., Visit], scheme: Scheme) -> None:
    """
    Nor does an open card, or a list that nothing matches, on a phone.
    """
    opened = visit("rich_model", f"#files?file={ROW.asset_id}", width=360, scheme=scheme, bypass_csp=True)
    assert opened.page.locator("dialog[open]").is_visible()
    results = Axe().run(opened.page)
    assert results.violations_count == 0, results.generate_report()
    opened.page.keyboard.press("Escape")
    opened.page.get_by_label("Search").fill("matches nothing")
    opened.page.get_by_text("No file on this page matches.").wait_for()
    results = Axe().run(opened.page)
    assert results.violations_count == 0, results.generate_report()


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


@pytest.mark.parametrize("model", [make.__name__ for make in MODELS])
def test_page_is_never_wider_than_the_screen(visit: Callable[..., Visit], model: str) -> None:
    """
    On a phone and wider the page scrolls in one direction only; tables scroll within themselves.
    """
    page = visit(model, width=360).page
    for width in (360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


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
    assert opened.page.evaluate("[document.scripts.length, document.images.length]") == [3, 0]
    assert opened.page.locator("h1").is_visible()
    rows = opened.page.locator("#files tbody tr")
    assert rows.count() == len(rich_rows())
    for row in range(0, rows.count(), 3):
        opened.page.evaluate(f"document.querySelectorAll('#files tbody a.open')[{row}].click()")
        opened.page.locator("dialog[open]").wait_for()
        opened.page.keyboard.press("Escape")
    for select in range(opened.page.locator(".tools select").count()):
        options = opened.page.locator(".tools select").nth(select).locator("option").count()
        opened.page.locator(".tools select").nth(select).select_option(index=options - 1)
    assert opened.page.evaluate("document.title") != "ran"
    assert opened.page.evaluate("[document.scripts.length, document.images.length]") == [3, 0]
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
    copied = page.evaluate(
        "() => { const id = document.querySelector('.findings .id'); getSelection().selectAllChildren(id);"
        " return getSelection().toString() }"
    )
    assert copied == rich_rows()[0].asset_id


# --- the list of files ---


def test_list_starts_as_it_is_without_script(visit: Callable[..., Visit]) -> None:
    """
    The first rows read the same whether the template or the script has written them.
    """
    read = (
        "[...document.querySelectorAll('#files tbody tr')].slice(0, 20).map(row => row.innerText.replace(/\\s+/g, ' '))"
    )
    scripted = visit("rich_model").page.evaluate(read)
    page = visit("rich_model", script=False).page
    assert scripted == [re.sub(r"\s+", " ", text) for text in page.locator("#files tbody tr").all_inner_texts()]


def test_page_without_script_has_its_numbers_and_first_rows(visit: Callable[..., Visit]) -> None:
    """
    Where scripts are forbidden the totals and the first rows are there, the page says what is missing, and offers
    no control that does nothing.
    """
    page = visit("rich_model", script=False).page
    assert page.locator(".verdicts .total td").first.inner_text() == "5,598"
    assert page.locator("#files tbody tr").count() == 20
    assert page.get_by_text("The first 20 of 5,598 files shown").is_visible()
    assert page.locator("input, select, button").count() == 0


def test_choices_narrow_the_list_and_say_so(visit: Callable[..., Visit]) -> None:
    """
    Verdict, service, reason and search work together, and the page says how many match and what was not searched.
    """
    opened = visit("rich_model")
    assert opened.status == ("41 of 5,598 files are on this page, the most urgent first; findings.csv holds all 5,598.")
    opened.choose("Verdict", "possibly_past")
    assert opened.ids() == [row.asset_id for row in rich_rows() if row.possibly_past]
    opened.choose("Verdict", "undetermined")
    assert opened.status == (
        "5 of the 41 files on this page match. Only 5 of 98 files of this verdict are on this page, and no others were "
        "searched; undetermined.csv has all of them."
    )
    opened.choose("Not known", "unknown_service")
    assert opened.ids() == [row.asset_id for row in rich_rows() if "unknown_service" in row.reasons]
    opened.page.get_by_role("button", name="Show all").click()
    opened.page.get_by_label("Search").fill("MIDJOURNEY imagine")
    expect(opened.page.locator("#files-status")).to_contain_text("17 of the 41 files")
    assert "Files that are not on this page were not searched" in opened.status


def test_a_whole_list_says_that_it_is_whole(visit: Callable[..., Visit]) -> None:
    """
    Where the page holds every file it says so, and a choice carries no warning.
    """
    opened = visit("one_asset_model")
    assert opened.status.startswith("All 1 file, the most urgent first")
    opened.choose("Verdict", "at_risk")
    assert opened.status == "1 of the 1 file on this page matches."


def test_columns_order_the_list(visit: Callable[..., Visit]) -> None:
    """
    A heading orders the rows up, down and back to urgency, by value and not by text; what is missing comes last.
    """
    opened = visit("rich_model")
    heading = opened.page.locator("#files thead th", has_text="Points")
    heading.click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    points = [text.replace(",", "") for text in opened.page.locator("#files tbody td.n").all_inner_texts()]
    assert points[0] == "no dollar value"
    assert [int(text) for text in points[1:]] == sorted(int(row.points) for row in rich_rows() if row.points)
    deadline = opened.page.locator("#files thead th", has_text="Deadline")
    deadline.click()
    expect(deadline).to_have_attribute("aria-sort", "ascending")
    dated = sorted((row for row in rich_rows() if row.expires_earliest), key=lambda row: row.expires_earliest)
    assert opened.ids()[: len(dated)][0] == dated[0].asset_id
    assert opened.page.locator("#files tbody td.t").last.inner_text() == "none"
    deadline.click()
    expect(deadline).to_have_attribute("aria-sort", "descending")
    expect(opened.page).to_have_url(re.compile(r"order=deadline\.desc"))
    deadline.click()
    expect(deadline).not_to_have_attribute("aria-sort", "descending")
    assert opened.ids() == [row.asset_id for row in rich_rows()]


def test_card_says_everything_about_a_file(visit: Callable[..., Visit]) -> None:
    """
    A row opens to both readings, both deadlines, the rule with its source, the reasons in words, evidence and the row
    of the CSV.
    """
    opened = visit("rich_model")
    opened.page.locator("#files tbody tr").nth(1).locator("td").first.click()
    card = opened.page.locator("dialog[open]")
    text = re.sub(r"\s+", " ", card.inner_text())
    row = rich_rows()[1]
    for words in (
        row.asset_id, "Deadline near possibly past", row.expires_earliest, row.expires_latest, row.created_at,
        row.completed_at, REASONS["completion_unknown"], "Kling, not watermarked kling-clean v1", "kept for 3 days",
        "assumed", "Output Storage, Kling", "read on 2025-12-28", "is not the one that the rule names",
        "cdn.midjourney.com", "2,600,000 US$ 0.26", "findings.csv, row 3 (the heading is row 1)", "at_risk.csv",
        row.source,
    ):  # fmt: skip
        assert words in text, words
    assert card.locator("a.source").get_attribute("href") == "https://piapi.ai/docs/output-storage"
    assert opened.page.url.endswith(quote(f"file={row.asset_id}", safe="="))
    card.get_by_role("button", name="Close").click()
    expect(opened.page).to_have_url(re.compile("#files$"))


def test_links_lead_to_a_file_and_to_a_choice(visit: Callable[..., Visit]) -> None:
    """
    An address that was copied opens the same card over the same rows, also when it is typed into an open page.
    """
    place = f"#files?verdict=at_risk&q=cdn.midjourney&file={quote(rich_rows()[1].asset_id, safe='')}"
    opened = visit("rich_model", place)
    assert opened.page.locator("dialog[open] h2").inner_text() == rich_rows()[1].asset_id
    opened.page.keyboard.press("Escape")
    assert opened.ids() == [rich_rows()[1].asset_id]
    expect(opened.page).to_have_url(re.compile(r"#files\?verdict=at_risk&q=cdn\.midjourney$"))
    opened.page.evaluate("location.hash = '#files?service=luma-of-old'")
    opened.page.get_by_text("No file on this page matches.").wait_for()
    assert opened.page.get_by_label("Service", exact=True).input_value() == "luma-of-old"
    opened.page.evaluate("location.hash = '#files?file=kling/none/video/1'")
    assert "not among the 41 rows on this page" in opened.page.locator("dialog[open]").inner_text()
    assert opened.console == []


def test_first_screen_leads_into_the_list(visit: Callable[..., Visit]) -> None:
    """
    A verdict of the first screen, a service, a reason and a window lead to their files.
    """
    opened = visit("rich_model")
    for selector, count in (
        (".verdicts a[href$='verdict=expired']", 8),
        ("#services-rows-caption ~ tbody a[href$='service=hailuo']", 5),
        (".tally a[href$='reason=account_unknown']", 4),
        ("#windows a[href$='window=closing']", 5),
    ):
        opened.page.locator(selector).click()
        expect(opened.page.locator("#files-status")).to_contain_text(f"{count} of the 41 files")
        box = opened.page.locator("#files-title").bounding_box()
        assert box is not None
        assert 0 <= box["y"] <= 900


def test_list_is_worked_by_keyboard_alone(visit: Callable[..., Visit]) -> None:
    """
    Search, order, open, close and turn the page without a pointer; the focus comes back to the row.
    """
    opened = visit("large_model")
    page = opened.page
    page.get_by_label("Search").focus()
    page.keyboard.type("flux")
    expect(page.locator("#files-status")).to_contain_text("4,999 of the 20,000 files")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('thead') !== null"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("#files th[aria-sort]")).to_have_count(1)
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('open')"):
            break
    first = opened.ids()[0]
    page.keyboard.press("Enter")
    assert page.locator("dialog[open] h2").inner_text() == first
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.get_by_role("link", name="Next").focus()
    page.keyboard.press("Enter")
    assert opened.ids()[0] != first


def test_phone_shows_what_decides(visit: Callable[..., Visit]) -> None:
    """
    At 360 pixels a row shows file, verdict and time left without scrolling sideways; the card holds the rest.
    """
    page = visit("rich_model", width=360).page
    heads = page.locator("#files thead th").all()
    assert [head.inner_text() for head in heads if head.is_visible()] == ["File", "Verdict", "Time left"]
    assert page.evaluate("(() => { const one = document.querySelector('#files .scroll');"
                         " return one.scrollWidth - one.clientWidth })()") <= 0  # fmt: skip
    page.locator("#files tbody a.open").first.click()
    box = page.locator("dialog[open]").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


def test_paper_holds_so_many_rows_and_says_where_the_rest_is(visit: Callable[..., Visit]) -> None:
    """
    Printing shows 2,000 rows and where the others are, then the page is as it was.
    """
    page = visit("large_model").page
    assert page.locator("#files tbody tr").count() == 50
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#files tbody tr").count() == 2000
    assert page.locator(".paper").text_content() == (
        "On paper: the first 2,000 of 20,000 rows in this order. The others are in findings.csv."
    )
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#files tbody tr").count() == 50
    assert len(page.pdf(prefer_css_page_size=True)) > 500_000
    assert page.locator("#files tbody tr").count() == 50


def test_a_large_list_is_quick(visit: Callable[..., Visit]) -> None:
    """
    With 20,000 rows the page opens and narrows without a wait; the bounds are wide, for machines under load.
    """
    opened = visit("large_model")
    assert opened.status.startswith("20,000 of 400,000 files are on this page")
    assert opened.page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") < 8_000
    took = opened.page.evaluate(
        "() => { const select = document.querySelector('.tools select'), start = performance.now();"
        " select.value = 'expired'; select.dispatchEvent(new Event('change')); return performance.now() - start }"
    )
    assert took < 2_000
    assert opened.status.startswith("5,000 of the 20,000 files on this page match.")
