"""The questions of newcomers: each has an answer that exists, two clicks from the front page."""

import re

import pytest

from website.pages import DOCS, ROOT, page_sources

PAGE = DOCS / "development" / "questions.md"
QUESTIONS = re.findall(r"^\d+\. .*?(?=^\d+\. |^\*\*|\Z)", PAGE.read_text(), flags=re.M | re.S)


def anchors(text):
    """The anchors that the site gives to the headings of a page."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", prose, flags=re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


def test_there_are_thirty():
    numbers = [int(question.partition(".")[0]) for question in QUESTIONS]
    assert numbers == [*range(1, 31)]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.partition(".")[0])
def test_answer_exists_and_is_in_the_navigation(question):
    pages = {source: page for page, source in page_sources().items()}
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    links = re.findall(r"\]\(([^)]+)\)", question)
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        target = (PAGE.parent / path).resolve()
        assert pages[target] in navigation
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8"))
