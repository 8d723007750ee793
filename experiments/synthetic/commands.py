"""Commands that experiments on made-up tasks share."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

import birnn_jax
from experiments.runner.data.batches import Batches, by_rows
from experiments.runner.data.reading import Reading
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.loop import best_state, shapes_of
from experiments.runner.run.predicting import Predictor, PredictTexts
from experiments.runner.run.programs import quick_jit
from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.model import make_training
from experiments.synthetic.sequences import read_sequence, write_answer

_LENGTHS = tuple(32 * 2**k for k in range(12))  # of padded sequences
_STEPS_PER_BATCH = 4096


class Predict(PredictTexts):
    """Prints the answers of a trained network to sequences."""

    what = "sequence"

    def run(self) -> None:
        """Answers and prints."""
        config, params = load_network(self.folder)
        lines = self.lines(lambda encoding: Reading(encoding or "utf-8"))
        sequences = [(line.text.strip(), read_sequence(config.task, *line)) for line in lines]

        def predict(some: Sequence[tuple[str, np.ndarray]]) -> list[str]:
            found = answers(config, params, [xs for _, xs in some])
            return [write_answer(config.task, outputs) for outputs in found]

        predictor = Predictor(
            predict=predict,
            text=lambda sequence, answer: answer,
            record=lambda sequence, answer: {"sequence": sequence[0], "answer": answer},
        )
        self.write(sequences, predictor)


def load_network(folder: RunFolder) -> tuple[SyntheticConfig, Any]:
    """The settings of a run and its best parameters."""
    config = SyntheticConfig.of(folder)
    return config, best_state(folder, shapes_of(make_training(config))).params


def answers(
    config: SyntheticConfig, params: Any, sequences: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The outputs `[T, K]` for each sequence `[T, D]`."""
    examples = [{"xs": xs} for xs in sequences]
    batches = Batches(examples, buckets=_LENGTHS, tokens_per_batch=_STEPS_PER_BATCH)
    found = by_rows(batches, functools.partial(_outputs, config.stack, params))
    return [outputs[: len(xs)] for outputs, xs in zip(found, sequences, strict=True)]


@quick_jit(static_argnums=0)
def _outputs(stack: Any, params: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return birnn_jax.tagger(stack, params, batch["xs"], batch["lengths"])
