"""A translation that takes seconds to learn: numbers in words to numbers in other words."""

from experiments.translation.config import TranslationConfig
from tests.experiments._commands import options

WORDS = dict(
    zip("one two three four five".split(), "uno due tre quattro cinque".split(), strict=True)
)
OPTIONS = {
    "source_subwords": 40,
    "target_subwords": 40,
    "embedding_size": 6,
    "hidden_size": 5,
    "epochs": 3,
    "batch_size": 4,
    "beam_width": 3,
    "bleu_tokens": "13a",
}


def sentences(number, start=0):
    """Pairs of sentences of one or two words."""
    words = list(WORDS)
    for i in range(start, start + number):
        chosen = [words[(i * k + i // 5) % 5] for k in range(1, 2 + i % 2)]
        yield " ".join(chosen), " ".join(WORDS[word] for word in chosen)


def write_columns(folder):
    """Writes pairs with their parts into one file."""
    sizes = {"train": (12, 0), "dev": (4, 12), "test": (5, 16)}
    rows = [(part, *pair) for part, size in sizes.items() for pair in sentences(*size)]
    path = folder / "pairs.tsv"
    path.write_text("".join("\t".join(row) + "\tme\n" for row in rows), encoding="utf-8")
    return path


def config(data, **changes):
    """The settings, with changes."""
    return TranslationConfig(data=data, **{**OPTIONS, **changes})


def arguments(data, run, **changes):
    """The settings as a command line."""
    return ["train", *options(data=data, run=run, **OPTIONS | changes)]
