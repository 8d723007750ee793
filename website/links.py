"""Checks the links of the built site: every page, picture and anchor that is named exists."""

import pathlib
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

_ATTRIBUTES = {"a": "href", "img": "src", "link": "href", "script": "src"}


class Page(HTMLParser):
    """The links and the anchors of one page.

    Example:
      >>> page = Page('<h2 id="use"></h2><a href="../cells/#lstm">LSTM</a>')
      >>> sorted(page.anchors), page.links
      (['use'], ['../cells/#lstm'])
    """

    def __init__(self, html: str):
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps what the start of an element names."""
        values = dict(attrs)
        self.anchors |= {values[name] or "" for name in ("id", "name") if name in values}
        if link := values.get(_ATTRIBUTES.get(tag, "")):
            self.links.append(link)


def read_site(folder: pathlib.Path) -> dict[pathlib.Path, Page]:
    """Every page of a built site, by its file."""
    files = sorted(folder.rglob("*.html"))
    return {path: Page(path.read_text(encoding="utf-8")) for path in files}


def resolve(link: str, path: pathlib.Path) -> tuple[pathlib.Path, str] | None:
    """The file and the anchor that a link on the page `path` leads to; None outside the site."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    return (target / "index.html" if target.is_dir() else target), unquote(parts.fragment)


def find_broken(folder: pathlib.Path) -> list[str]:
    """A line for each link of the site that leads nowhere."""
    folder = folder.resolve()
    pages = read_site(folder)
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # served from any address, so its links begin with the address of the site
        for link in dict.fromkeys(page.links):
            found = resolve(link, path)
            if found is None:
                continue
            target, anchor = found
            where = f"{path.relative_to(folder)}: {link}"
            if not target.exists():
                broken.append(f"{where} leads to a file that does not exist")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                broken.append(f"{where} leads to an anchor that does not exist")
    return broken
