"""What `make docs` does before and after Zensical: pages, links, names of the API."""

import doctest
import itertools
import pathlib
import textwrap

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
        ("`x` [a](../LICENSE) `y`", "index.md", "`x` [a](R/blob/main/LICENSE) `y`"),
        ("`[a](../LICENSE)`", "index.md", "`[a](../LICENSE)`"),
        ("[a](demo/index.html)", "index.md", "[a](demo/index.html)"),
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


def test_no_text_follows_a_table_directly():
    for page in page_sources().values():
        lines = page.read_text(encoding="utf-8").splitlines()
        for row, after in itertools.pairwise(lines):
            is_inside = row.startswith("|") and after and not after.startswith(("|", "<!--"))
            assert not is_inside, f"{page}: a row of the table above would be {after!r}"


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


@pytest.mark.parametrize("found", [True, False])
def test_phrases_of_all_prose_are_printed_with_their_places(found, tmp_path, monkeypatch, capsys):
    places = {
        "README.md": "one\n\nTwo",
        "docs/a/b.md": "x\none two",
        "birnn_jax/c.py": "#: one\n# two",
    }
    others = {"docs/d.html": "one two", "tests/e.py": "one two", "docs/f.md": "one, two"}
    for name, text in (places | others if found else others).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "list").write_text("one two => three")
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    monkeypatch.setattr(prose, "LIST", tmp_path / "list")
    assert prose.main() == found
    said = {
        'README.md:1: "one Two". Write: three',
        'docs/a/b.md:2: "one two". Write: three',
        'birnn_jax/c.py:1: "one two". Write: three',
    }
    assert {*capsys.readouterr().out.splitlines()} == (said if found else set())


PACKAGE = {
    "__init__.py": """
        from ._a import LSTMParams as LSTMParams, scan as scan, LSTM as LSTM, inner as _inner
        from ._a import other
        from ._a import long as short
        import os as os
        def helper(): ...
        """,
    "cells/__init__.py": "from ._a import LSTM as LSTM",
    "interop/linen.py": """
        from .._a import scan as scan
        class Reader: ...
        def from_linen_cell(): ...
        class LayerParams: ...
        def from_linen(): ...
        def _inner(): ...
        """,
    **dict.fromkeys(("stacks.py", "models.py", "training.py"), ""),
}


def test_entries_of_a_page_are_the_public_names_of_its_modules(tmp_path):
    for name, text in PACKAGE.items():
        path = tmp_path / "birnn_jax" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    assert public_names("birnn_jax", tmp_path) == ["scan", "LSTM", "LSTMParams"]
    found = public_names("birnn_jax.interop.linen", tmp_path)
    assert found == ["scan", "Reader", "from_linen", "LayerParams"]
    page = "# T\n\n<!-- api: birnn_jax -->\n\n<!-- api: birnn_jax.cells --> no\nlast"
    text = expand(page, tmp_path)
    entries = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert entries == [
        *("# T", "::: birnn_jax", "::: birnn_jax.scan", "::: birnn_jax.LSTMParams"),
        *("<!-- api: birnn_jax.cells --> no", "last"),
    ]
