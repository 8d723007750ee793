"""Language experiments that take seconds: a few hundred characters, tiny models."""

from experiments.characters.config import LanguageConfig
from tests.experiments._commands import options

TEXT = "the cat sat on the mat; the dog ate the cat. " * 8
OPTIONS = {
    "held_out": 0.25,
    "cell": "elman",
    "hidden_size": 6,
    "steps": 5,
    "batch_size": 4,
    "epochs": 3,
    "epochs_per_evaluation": 1,
}


def write_text(folder, text=TEXT, name="small.txt"):
    """Writes a text and returns its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def config(text, **changes):
    """The settings, with changes."""
    return LanguageConfig(text=text, **{**OPTIONS, **changes})


def arguments(text, run, **changes):
    """The settings as a command line."""
    return ["train", *options(text=text, **OPTIONS | changes, run=run)]
