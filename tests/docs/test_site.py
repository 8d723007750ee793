"""What `make docs` does before and after Zensical: pages, links, names of the API."""

import doctest
import pathlib

import pytest

from website import links, prose, reference, sections
from website.links import find_broken
from website.pages import DOCS, ROOT, page_sources, rewrite_links, stage
from website.reference import expand, public_names

PAGES = {
    ROOT / "docs/index.md": "index.md",
    ROOT / "docs/development.md": "development.md",
    ROOT / "experiments/speech/README.md": "results/speech.md",
}


@pytest.mark.parametrize(
    ("link", "page", "expected"),
    [
        ("[a](development.md#map)", "index.md", "[a](development.md#map)"),
        ("[a](../docs/development.md)", "index.md", "[a](development.md)"),
        ("[a](../../docs/index.md)", "results/speech.md", "[a](../index.md)"),
        ("[a](../experiments/speech)", "index.md", "[a](results/speech.md)"),
        (
            "[a](features.py#L3)",
            "results/speech.md",
            "[a](R/blob/main/experiments/speech/features.py#L3)",
        ),
        ("[a](../birnn_jax)", "index.md", "[a](R/tree/main/birnn_jax)"),
        ("[`a[0]`](../LICENSE)", "index.md", "[`a[0]`](R/blob/main/LICENSE)"),
        ("[a](https://x.org/y.md)", "index.md", "[a](https://x.org/y.md)"),
        ("[a](#here)", "index.md", "[a](#here)"),
        (
            "92.0 ± 0.1 % of 5",
            "index.md",
            "92.0\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.1\N{NO-BREAK SPACE}% of 5",
        ),
        ("```\n[a](nowhere.md)\n```", "index.md", "```\n[a](nowhere.md)\n```"),
    ],
)
def test_links_hold_in_the_site(link, page, expected):
    assert rewrite_links(link, page, PAGES, "R")[0] == expected


def test_link_to_a_file_of_the_repository_is_text_where_its_address_is_unknown():
    assert rewrite_links("see [a](../LICENSE).", "index.md", PAGES, "")[0] == "see a."


def test_picture_is_copied_to_the_site():
    link = "![Memory](../figures/memory.png)"
    text, pictures = rewrite_links(link, "results/speech.md", PAGES, "")
    assert text == "![Memory](../figures/figures_memory.png)"
    assert pictures == {"figures/figures_memory.png": ROOT / "experiments/figures/memory.png"}


def test_dead_link_is_refused():
    with pytest.raises(ValueError, match=r"docs/index.md links to no.md, which does not exist"):
        rewrite_links("[a](no.md)", "index.md", PAGES, "R")


def test_every_page_is_staged_and_in_the_navigation(tmp_path):
    stage(tmp_path, "R", commands="")
    staged = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.md")}
    assert staged == set(page_sources())
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    assert not [page for page in staged if page not in navigation]


def test_dead_links_and_anchors_of_the_site_are_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/index.html").write_text('<h2 id="here">')
    links = ["a/#here", "a/#there", "b/", "a/x.png", "https://x.org", "#top"]
    text = "".join(f'<a href="{link}"></a>' for link in links)
    (tmp_path / "index.html").write_text(f'<p id="top">{text}')
    assert find_broken(tmp_path) == [
        "index.html: a/#there leads to an anchor that does not exist",
        "index.html: b/ leads to a file that does not exist",
        "index.html: a/x.png leads to a file that does not exist",
    ]


def test_every_public_module_has_an_entry_for_each_of_its_names():
    text = "".join(expand(path.read_text(), ROOT) for path in DOCS.glob("reference/*.md"))
    entries = {line.removeprefix("::: ") for line in text.splitlines() if line.startswith("::: ")}
    sources = [*ROOT.glob("birnn_jax/[a-z]*.py"), *ROOT.glob("birnn_jax/[a-z]*/__init__.py")]
    sources += [*ROOT.glob("birnn_jax/interop/[a-z]*.py")]
    modules = {_module(path) for path in sources} - {"birnn_jax.kernels", "birnn_jax.selfcheck"}
    names = {f"{module}.{name}" for module in modules for name in public_names(module, ROOT)}
    assert not names - entries


def _module(path: pathlib.Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize(
    "module", [links, prose, reference, sections], ids=lambda module: module.__name__
)
def test_examples_run(module, monkeypatch):
    monkeypatch.chdir(ROOT)
    result = doctest.testmod(module)
    assert result.attempted and not result.failed


def test_phrases_are_found_over_the_ends_of_lines():
    phrases = prose.read_phrases("# no\none two => three\n\\bdone\\b => finished")
    text = "first\n# this is one\n# Two, and\nundone\nDone"
    assert list(prose.find_phrases(text, phrases)) == [
        (2, "one Two", "three"),
        (5, "Done", "finished"),
    ]
