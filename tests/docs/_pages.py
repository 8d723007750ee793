"""The Python code of a page: its fenced blocks run one after the other and share their names."""

import pathlib
import re
import textwrap

import jax

ROOT = pathlib.Path(__file__).parents[2]
BLOCK = re.compile(
    r"(?P<before>^[^\n]*\n)?(?P<indent>^ *)```python\b[^\n]*\n(?P<code>.*?)^ *```$",
    flags=re.DOTALL | re.MULTILINE,
)
KIND = re.compile(r"<!-- code: (\w+) -->")


def pages():
    """Every page that has Python code."""
    paths = [*ROOT.glob("README*.md"), *sorted(ROOT.glob("docs/**/*.md"))]
    return [path for path in paths if any(True for _ in blocks(path))]


def name(path):
    return path.relative_to(ROOT).as_posix()


def kind(path):
    """`quick` unless the page says `<!-- code: slow -->` or `<!-- code: parity -->`."""
    match = KIND.search(path.read_text(encoding="utf-8"))
    return match[1] if match else "quick"


def blocks(path):
    """The first line and the code of each block without `<!-- not run: why -->` before it."""
    text = path.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        if not (match["before"] or "").startswith("<!-- not run: "):
            line = text.count("\n", 0, match.start("code"))
            yield line, textwrap.dedent(match["code"])


def run(path):
    """Runs the page with the settings of JAX that a reader has; a traceback shows its lines."""
    namespace = {"__name__": "page"}
    with jax.numpy_rank_promotion("allow"), jax.enable_x64(False):
        for line, code in blocks(path):
            exec(compile("\n" * line + code, str(path), "exec"), namespace)
