"""Batches of a made-up task, which the compiled step makes from three numbers."""

from typing import Any

import jax
import numpy as np

from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.tasks import Examples

TRAIN, DEV, TEST = range(3)


class Numbers:
    """The numbers of batches that the loss makes for itself, `per_item` of them stacked.

    The seed travels with them, so that runs of every seed are one program, compiled once.
    """

    def __init__(self, config: SyntheticConfig, part: int, total: int, *, per_item: int = 1):
        """Of one part: training, development or test."""
        self._seed, self._batch_size = config.seed, config.batch_size
        self._part, self._total, self._per_item = part, total, per_item

    def __len__(self) -> int:
        return self._total // self._per_item

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """Numbers `[]`, rows `[B]`; or a `per_item` of each."""
        first = index * self._per_item
        batches = [self._batch(first + i) for i in range(self._per_item)]
        stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
        return stacked if self._per_item > 1 else batches[0]

    def _batch(self, number: int) -> dict[str, np.ndarray]:
        numbers = {"seed": self._seed, "part": self._part, "number": number}
        rows = np.arange(self._batch_size, dtype=np.int32)
        return {name: np.array(n, np.uint32) for name, n in numbers.items()} | {"rows": rows}


def examples_of(config: SyntheticConfig, batch: Any) -> Examples:
    """Makes the rows `batch["rows"]` of the batch of a seed, a part and a number."""
    key = jax.random.fold_in(jax.random.key(batch["seed"]), 1 + batch["part"])
    key = jax.random.fold_in(key, batch["number"])
    examples = config.what.make(key, config.batch_size, config.length)
    return jax.tree.map(lambda leaf: leaf[batch["rows"]], examples)
