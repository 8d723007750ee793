"""The pages of the site: those of docs/, and files of the repository that are pages as well.

A page is written for GitHub: its links are relative to where it lies. Here they are rewritten to
the page, picture or file of the repository that they lead to.
"""

import os
import pathlib
import re
import shutil
import subprocess

import matplotlib

from website.commands import MARK
from website.reference import expand

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
DEMO = DOCS / "demo" / "index.html"  # a page as it is
PICTURES = {".png", ".svg", ".jpg"}
CODE = re.compile(r"(^```.*?^```$|`[^`\n]*`)", flags=re.DOTALL | re.MULTILINE)
NO_BREAK = "\N{NO-BREAK SPACE}"  # a number and its unit stay on one line
QUANTITY = re.compile(r"(?<=\d) (?=[±%])|(?<=±) (?=\d)")
LINK = re.compile(
    rf"{CODE.pattern}|(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)", flags=CODE.flags
)  # code first, so that what looks like a link in it is none


def find_repository() -> str:
    """The web address of the repository, or "" where none is known.

    GitHub Actions names it in the environment; a clone has it as the address of `origin`.
    """
    if "GITHUB_REPOSITORY" in os.environ:
        server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
        return f"{server}/{os.environ['GITHUB_REPOSITORY']}"
    command = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
    url = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    match = re.fullmatch(r"(?:https://|git@)(github\.com)[:/](.+?)(?:\.git)?", url)
    return f"https://{match[1]}/{match[2]}" if match else ""


def page_sources() -> dict[str, pathlib.Path]:
    """The source of every page, by its path in the site."""
    sources = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}
    sources["results/examples.md"] = ROOT / "examples" / "README.md"
    sources["how_to/pretrained_networks.md"] = ROOT / "examples" / "pretrained" / "README.md"
    sources["how_to/javascript.md"] = ROOT / "examples" / "onnx_runtime" / "README.md"
    sources["how_to/serve_http.md"] = ROOT / "examples" / "serve_http" / "README.md"
    for path in sorted(ROOT.glob("experiments/*/README.md")):
        sources[f"results/{path.parent.name}.md"] = path
    sources["development/contributing.md"] = ROOT / "CONTRIBUTING.md"
    sources["development/changelog.md"] = ROOT / "CHANGELOG.md"
    return sources


def stage(folder: pathlib.Path, repository: str, *, commands: str) -> None:
    """Writes every page into `folder`, with the pictures that it shows.

    Args:
      folder: to write into.
      repository: its web address, or "".
      commands: Markdown of the page of commands.

    Raises:
      ValueError: if a link leads to a file that is not there.
    """
    sources = page_sources()
    pages = {source: page for page, source in sources.items()}
    for page, source in sources.items():
        text = expand(source.read_text(encoding="utf-8"), ROOT).replace(MARK, commands)
        text, pictures = rewrite_links(text, page, pages, repository)
        target = folder / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(with_source(text, source), encoding="utf-8")
        for path, picture in pictures.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, folder / path)
    shutil.copytree(DOCS / "demo", folder / "demo")
    for path in (DOCS / "assets").rglob("*.*"):
        target = folder / path.relative_to(DOCS)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    fonts = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf")
    shutil.copyfile(fonts / "STIXGeneral.ttf", folder / "assets" / "STIXGeneral.ttf")


def with_source(text: str, source: pathlib.Path) -> str:
    """`text` with the path of its source in the front matter, for "edit this page"."""
    return f"---\nsource: {source.relative_to(ROOT).as_posix()}\n---\n\n{text}"


def rewrite_links(
    text: str, page: str, pages: dict[pathlib.Path, str], repository: str
) -> tuple[str, dict[str, pathlib.Path]]:
    """`text` with links that hold in the site, and the pictures to copy, by their new paths.

    A number, its spread and its unit are not broken over two lines.

    Raises:
      ValueError: if a link leads to a file that is not there.
    """
    (source,) = (path for path, name in pages.items() if name == page)
    pictures: dict[str, pathlib.Path] = {}

    def replace(match: re.Match[str]) -> str:
        code, bang, label, target = match.groups()
        if code:
            return code
        path, hash_, anchor = target.partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return match[0]
        file = (source.parent / path).resolve()
        file = file / "README.md" if (file / "README.md") in pages else file
        if not file.exists():
            raise ValueError(f"{source.relative_to(ROOT)} links to {target}, which does not exist.")
        if file in pages:
            return f"{bang}[{label}]({_relative(pages[file], page)}{hash_}{anchor})"
        if file == DEMO:
            return f"[{label}]({_relative('demo/index.html', page)})"
        if file.suffix in PICTURES:
            new = f"figures/{'_'.join(file.relative_to(ROOT).parts[-2:])}"
            pictures[new] = file
            return f"{bang}[{label}]({_relative(new, page)})"
        if not repository:
            return label
        kind = "tree" if file.is_dir() else "blob"
        address = f"{repository}/{kind}/main/{file.relative_to(ROOT).as_posix()}"
        return f"{bang}[{label}]({address}{hash_}{anchor})"

    parts = CODE.split(text)
    parts[::2] = [QUANTITY.sub(NO_BREAK, part) for part in parts[::2]]
    return LINK.sub(replace, "".join(parts)), pictures


def _relative(path: str, page: str) -> str:
    return pathlib.PurePosixPath(
        os.path.relpath(path, pathlib.PurePosixPath(page).parent)
    ).as_posix()
