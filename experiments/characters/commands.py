"""Commands that experiments on characters share."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
import tyro

from experiments.characters.generate import Drawing
from experiments.characters.training import load_model
from experiments.runner.run.predicting import Predictor, PredictTexts

_AT_ONCE = 64  # beginnings


class Generate(PredictTexts):
    """Continues one or more beginnings with a trained model."""

    what, blank = "beginning", True
    drawing: tyro.conf.OmitArgPrefixes[Drawing]
    length: int = 100
    """Number of characters to generate."""
    seed: int = 0
    """Seed of the random draws."""

    def run(self) -> None:
        """Writes."""
        trained = load_model(self.folder)
        lines = self.lines(trained.config.reading)
        prefixes = [_Prefix(number, text) for number, (text, _) in enumerate(lines)]

        def go_on(some: Sequence[_Prefix]) -> list[str]:
            """Continues some together; the first of them is printed as it is made."""
            fold_in = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
            keys = fold_in(jax.random.key(self.seed), np.array([prefix.number for prefix in some]))
            made = [prefix.text for prefix in some]
            if not self.json:
                print(made[0], end="", flush=True)
            options = {"length": self.length, "drawing": self.drawing, "keys": keys}
            for row, character in trained.continue_texts(made.copy(), **options):
                made[row] += character
                if not self.json and row == 0:
                    print(character, end="", flush=True)
            return made

        for prefix in prefixes:  # what cannot be read is refused before anything is made
            trained.vocabulary.encode(prefix.text, f"The prefix {prefix.text!r}")
        predictor = Predictor(
            predict=go_on,
            text=lambda prefix, text: text if prefix.number % _AT_ONCE else "",  # printed already
            record=lambda prefix, text: {"prefix": prefix.text, "text": text},
            at_once=_AT_ONCE,
        )
        self.write(prefixes, predictor)


class _Prefix(NamedTuple):
    number: int
    text: str
