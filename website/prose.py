"""Looks for the phrases of phrases.txt in all prose: `python -m website.prose`."""

import bisect
import itertools
import pathlib
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parent.parent
LIST = pathlib.Path(__file__).parent / "phrases.txt"
FOLDERS = ("benchmarks", "birnn_jax", "docs", "experiments", "website")
KINDS = ("*.md", "*.py")  # C++ is built anew for every letter
MARKERS = {"#", "//", "*", ">"}  # at the beginning of lines that go on


class Phrase(NamedTuple):
    """What is not written, and what is written instead."""

    pattern: re.Pattern[str]
    instead: str


def read_phrases(text: str) -> list[Phrase]:
    r"""Parses the list.

    Example:
      >>> (phrase,) = read_phrases("# A comment\n\\bamongst\\b => among")
      >>> phrase.instead, bool(phrase.pattern.search("one amongst many"))
      ('among', True)
    """
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pairs = [line.split(" => ", 1) for line in lines]
    return [Phrase(re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in pairs]


def find_phrases(text: str, phrases: list[Phrase]) -> Iterator[tuple[int, str, str]]:
    """The line, the words and the advice for each phrase in `text`, over the ends of lines too."""
    words, lines = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        kept = [word for word in line.split() if word not in MARKERS]
        words += kept
        lines += [number] * len(kept)
    ends = list(itertools.accumulate(len(word) + 1 for word in words))
    for pattern, instead in phrases:
        for match in pattern.finditer(" ".join(words)):
            yield lines[bisect.bisect(ends, match.start())], match[0], instead


def main() -> int:
    """Prints every phrase that is found; the status is 1 if there is one."""
    phrases = read_phrases(LIST.read_text(encoding="utf-8"))
    files = [
        *ROOT.glob("*.md"),
        *(f for name in FOLDERS for k in KINDS for f in (ROOT / name).rglob(k)),
    ]
    found = 0
    for path in sorted(files):
        for line, words, instead in find_phrases(path.read_text(encoding="utf-8"), phrases):
            print(f'{path.relative_to(ROOT)}:{line}: "{words}". Write: {instead}')
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
