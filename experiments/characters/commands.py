"""Commands that experiments on characters share."""

from typing import NamedTuple

import jax
import tyro

from experiments.characters.generate import Drawing
from experiments.characters.training import load_model
from experiments.runner.run.predicting import Predictor, PredictTexts


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

        def go_on(prefix: _Prefix) -> str:
            key = jax.random.fold_in(jax.random.key(self.seed), prefix.number)
            options = {"length": self.length, "drawing": self.drawing, "key": key}
            made = prefix.text
            if not self.json:
                print(made, end="", flush=True)
            for character in trained.continue_text(prefix.text, **options):
                made += character
                if not self.json:
                    print(character, end="", flush=True)
            return made

        for prefix in prefixes:  # what cannot be read is refused before anything is made
            trained.vocabulary.encode(prefix.text, f"The prefix {prefix.text!r}")
        predictor = Predictor(
            predict=lambda some: [go_on(prefix) for prefix in some],
            text=lambda prefix, text: "",  # the end of its line
            record=lambda prefix, text: {"prefix": prefix.text, "text": text},
            at_once=1,
        )
        self.write(prefixes, predictor)


class _Prefix(NamedTuple):
    number: int
    text: str
