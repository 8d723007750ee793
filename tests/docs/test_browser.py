"""Every page of the built site in headless Chromium, on a laptop and on a telephone.

`make docs-browser` builds the site and runs this.
"""

import pytest

from tests.docs._server import serving
from website.pages import ROOT

SITE = ROOT / "build/site/html"
MISSING_PICTURES = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address():
    """The address of a server of the built site."""
    if not SITE.exists():
        pytest.skip("The site is not built: make docs")

    with serving(SITE) as address:
        yield address


@pytest.mark.parametrize("width", [1280, 400])
def test_every_page_shows_without_an_error(address, browser, width):
    wrong = []
    view = browser.new_page(viewport={"width": width, "height": 900})
    page = ""
    view.on("pageerror", lambda error: wrong.append(f"{page}: {error}"))
    view.on("console", lambda line: line.type == "error" and wrong.append(f"{page}: {line.text}"))
    view.on("response", lambda got: got.status >= 400 and wrong.append(f"{page}: no {got.url}"))
    for path in sorted({*SITE.rglob("index.html")} - {SITE / "demo" / "index.html"}):
        page = path.parent.relative_to(SITE).as_posix()
        view.goto(f"{address}/{page}/", wait_until="load")
        content, window = view.evaluate(WIDTHS)
        if content > window:
            wrong.append(f"{page}: {content - window} pixels wider than the window")
        wrong += [f"{page}: no picture {source}" for source in view.evaluate(MISSING_PICTURES)]
    view.close()
    assert not wrong, "\n".join(["", *wrong])


def test_formulas_and_chinese_text_render(address, browser):
    view = browser.new_page()
    view.goto(f"{address}/explanation/equations/")
    heights = view.evaluate("[...document.querySelectorAll('math')].map(m => m.clientHeight)")
    assert heights and min(heights) > 5
    view.goto(f"{address}/zh/")
    assert "双向" in view.inner_text("h1")
    view.close()


def test_search_finds_a_page(address, browser):
    view = browser.new_page(viewport={"width": 1280, "height": 900})
    view.goto(f"{address}/", wait_until="networkidle")
    view.keyboard.press("Control+k")
    view.keyboard.type("zoneout")
    view.wait_for_selector("a:visible[href*='birnn_jax.cells.zoneout']", timeout=10_000)
    view.close()
