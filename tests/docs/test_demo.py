"""The demo in headless Chromium: its outputs are those of Python, and it sends nothing.

`make docs-browser` runs this; the files of onnxruntime-web come from the npm registry.
"""

import json
import shutil
import time

import pytest

from tests.docs._server import serving
from website.demo import DEMO, add_runtime, choose_shown

EXPECTED = json.loads((DEMO / "models" / "expected.json").read_text(encoding="utf-8"))
SENTENCES = list(enumerate(EXPECTED["sentences"]))
WORDS = "[...document.querySelectorAll('#tags dt')].map(word => word.textContent)"
TAGS = "[...document.querySelectorAll('#tags [data-reader={}] .tag')].map(tag => tag.textContent)"
SENT = "[...document.querySelectorAll('#sentiment .attended')]"
MARKS = "[...document.querySelectorAll('#entities mark')]"
WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"

pytestmark = pytest.mark.browser


def find_models():
    return [path.parent.name for path in sorted(DEMO.glob("models/*/model.onnx"))]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of the page."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    shutil.copytree(DEMO, folder)
    (folder / "models" / "names.json").write_text(json.dumps(find_models()))  # hidden ones too
    said = add_runtime(folder / "runtime")
    if not (folder / "runtime").exists():
        pytest.skip(said)
    with serving(folder.parent) as address:
        yield f"{address}/demo/"


@pytest.fixture(scope="module")
def page(browser, address):
    """The page, ready; nothing but its own address is reached, and no error is raised."""
    wrong = []
    view = browser.new_page(viewport={"width": 1100, "height": 900})
    view.on("request", lambda sent: sent.url.startswith(address) or wrong.append(sent.url))
    view.on("websocket", lambda socket: wrong.append(socket.url))
    view.on("pageerror", lambda error: wrong.append(str(error)))
    view.on("console", lambda line: line.type in ("error", "warning") and wrong.append(line.text))
    view.goto(address)
    wait(view, "document.getElementById('state').textContent", "Ready.")
    yield view
    view.close()
    local = ("data:", "blob:")
    assert [url for url in wrong if not url.startswith(local)] == []


def wait(page, expression, wanted, seconds=30):
    """Until an expression has a value; the policy of the page lets no test evaluate inside it."""
    deadline = time.monotonic() + seconds
    while (found := page.evaluate(expression)) != wanted and time.monotonic() < deadline:
        page.wait_for_timeout(20)
    assert found == wanted


def fill(page, field, text, shown, words):
    """Types a text into a field, and waits until the page shows these words."""
    page.fill(f"#{field}", text)
    wait(page, shown, words)


def test_page_shows_the_networks_that_are_good_enough():
    shown = json.loads((DEMO / "models" / "names.json").read_text(encoding="utf-8"))
    assert sorted(shown) == choose_shown(find_models(), EXPECTED)


@pytest.mark.parametrize(("number", "sentence"), SENTENCES)
def test_tags_are_those_of_python(page, number, sentence):
    fill(page, "tags-text", sentence, WORDS, EXPECTED["words"][number])
    for reader, name in {"bidirectional": "tagger", "forward": "tagger_forward"}.items():
        assert page.evaluate(TAGS.format(reader)) == EXPECTED[name][number]


def test_words_behind_change_tags_of_the_bidirectional_tagger_only(page):
    page.fill("#tags-text", "")
    page.focus("#tags-text")
    changes = []
    for word in EXPECTED["sentences"][1].split():
        page.keyboard.type(f"{word} ")
        wait(page, f"{WORDS}.at(-1)", word)
        changes.append(page.inner_text("#tags-changes"))
    assert any("bidirectional: " in change for change in changes), changes
    assert not any("forward: " in change for change in changes)


@pytest.mark.parametrize(("number", "sentence"), SENTENCES)
def test_entities_are_those_of_python(page, number, sentence):
    words, expected = EXPECTED["words"][number], []
    for word, tag in zip(words, EXPECTED["entities"][number], strict=True):
        if tag.startswith("B-") or (tag != "O" and not expected):
            expected.append([tag[2:], word])
        elif tag != "O":
            expected[-1][1] += f" {word}"
    shown = "document.getElementById('entities').textContent"
    page.fill("#entities-text", sentence)
    wait(page, f"{shown}.includes({json.dumps(words[-1])})", True)
    found = page.evaluate(
        "[...document.querySelectorAll('#entities mark')]"
        ".map(mark => [mark.lastChild.textContent, mark.firstChild.textContent])"
    )
    assert found == expected


@pytest.mark.parametrize(("number", "sentence"), SENTENCES)
def test_sentiment_and_attention_are_those_of_python(page, number, sentence):
    label, probability, weights = EXPECTED["sentiment"][number]
    shown = f"{SENT}.map(word => word.textContent)"
    fill(page, "sentiment-text", sentence, shown, EXPECTED["words"][number])
    verdict = page.inner_text("#sentiment .verdict")
    names = {"0": "negative", "1": "positive"}
    assert verdict == f"{names[label]} ({100 * probability:.0f} %)"
    found = page.evaluate(f"{SENT}.map(word => Number(word.dataset.weight))")
    assert found == pytest.approx(weights, abs=1e-4)


def test_recording_is_heard_as_in_python(page):
    page.set_input_files("#digits-file", DEMO / "digits.wav")
    wait(page, "document.getElementById('digits-picture').hidden", False)
    assert page.inner_text("#digits") == " ".join(EXPECTED["digits"])
    assert "Spectrogram of" in page.get_attribute("#digits-picture", "aria-label")
    colours = page.evaluate(
        "new Set(document.getElementById('digits-picture').getContext('2d')"
        ".getImageData(0, 0, 900, 300).data).size"
    )
    assert colours > 50  # a picture, not a blank


def test_file_that_is_no_sound_gets_a_sentence(page, tmp_path):
    path = tmp_path / "text.wav"
    path.write_text("no sound")
    page.set_input_files("#digits-file", path)
    said = "document.getElementById('digits').textContent"
    wait(page, f"{said}.startsWith('The recording cannot be read')", True)


def test_everything_is_reached_by_keyboard_and_has_a_name(page):
    page.focus("a")
    controls = page.evaluate("[...document.querySelectorAll('a, input, button')].length")
    reached = []
    for _ in range(controls):
        reached.append(
            page.evaluate(
                "(e => [[...document.querySelectorAll('a, input, button')].indexOf(e),"
                " e.labels?.[0]?.textContent || e.textContent])(document.activeElement)"
            )
        )
        page.keyboard.press("Tab")
    assert [place for place, _ in reached] == list(range(controls))
    assert all(name for _, name in reached)
    page.focus("button[data-for]")
    page.keyboard.press("Enter")
    first = EXPECTED["sentences"][0]
    assert page.input_value("#tags-text") == first


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_in_colour_are_written_in_the_ink_of_the_page(page, scheme):
    page.emulate_media(color_scheme=scheme)
    fill(page, "entities-text", "Maria Rossi flew to Rome .", f"{MARKS}.length > 0", True)
    inks = page.evaluate(f"[document.body, ...{MARKS}].map(e => getComputedStyle(e).color)")
    page.emulate_media(color_scheme="light")
    assert len(set(inks)) == 1


def test_page_fits_a_telephone(page):
    page.set_viewport_size({"width": 360, "height": 740})
    page.click("#digits-sample")
    wait(page, "document.getElementById('digits-picture').width <= 360", True)
    content, window = page.evaluate(WIDTHS)
    heights = page.evaluate("[...document.querySelectorAll('button')].map(b => b.offsetHeight)")
    page.set_viewport_size({"width": 1100, "height": 900})
    assert content <= window
    assert min(heights) >= 44
