"""Tables of what is typed and, below it, what is said: how they are read and held."""

import re

import pytest


def read_sentences(table):
    """From code to the sentence; blank lines and lines of comments apart there is nothing else."""
    lines = [line for line in table.splitlines() if line and not line.startswith("#")]
    sentences = dict(re.findall(r"^(\w.*)\n    (.*)$", table, flags=re.MULTILINE))
    assert len(lines) == 2 * len(sentences), "A line is indented wrongly, or stands there twice."
    return sentences


def assert_says(code, sentence, names):
    """The sentence begins with the class of the error; what follows ... is in words of others."""
    kind, _, text = sentence.partition(": ")
    with pytest.raises((TypeError, ValueError, AttributeError)) as raised:
        eval(code, names)
    said = str(raised.value)
    assert type(raised.value).__name__ == kind and "\n" not in said
    if text.endswith("..."):
        said = said[: len(text) - 3] + "..."
    assert said == text
