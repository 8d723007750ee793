"""The settings of a comparison: taggers of equal numbers of recurrent parameters."""

import functools
import math
import pathlib
from collections.abc import Callable
from typing import Any, Literal

import jax

import birnn_jax
from birnn_jax import Layer
from experiments.pos_tagging.config import BUNDLED, TaggingConfig
from experiments.runner.data.reading import ReadSettings
from experiments.runner.run.choices import CELLS, CellName
from experiments.runner.run.settings import Settings


def count(init: Callable[[jax.Array], Any]) -> int:
    """The parameters that `init` makes from a key, without making them.

    Example:
      >>> count(lambda key: LSTM.init(key, 3, 4))
      128
    """
    params = jax.eval_shape(lambda: init(jax.random.key(0)))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def solve_size(parameters: Callable[[int], int], target: int) -> int:
    """The size whose number of parameters is nearest to `target`.

    Args:
      parameters: of a size; a polynomial of second degree, as those of every cell are.
      target: number of parameters.

    Raises:
      ValueError: if the smallest size has more than twice the target.

    Example:
      >>> solve_size(lambda size: size**2, 20)
      4
    """
    of_1, of_2, of_3 = (parameters(size) for size in (1, 2, 3))
    if of_1 > 2 * target:
        raise ValueError(
            f"One hidden unit has {of_1} parameters already, more than {target} allow; give more."
        )
    a = (of_3 - 2 * of_2 + of_1) / 2
    b = of_2 - of_1 - 3 * a
    c = of_1 - a - b
    under_root = max(0.0, b * b + 4 * a * (target - c))
    exact = (target - c) / b if a == 0 else (math.sqrt(under_root) - b) / (2 * a)
    sizes = [max(1, math.floor(exact)), max(1, math.ceil(exact))]
    return min(sizes, key=lambda size: abs(a * size**2 + b * size + c - target))


class ComparisonConfig(ReadSettings, Settings):
    """All settings that determine the results of a run."""

    data: pathlib.Path = BUNDLED
    """Tagged sentences, in the formats of experiments.pos_tagging; of a file without parts, a tenth
    is split off for development and a tenth for the test."""
    cell: CellName = "lstm"
    """Recurrent cell of the characters and of the words."""
    direction: Literal["both", "fwd"] = "both"
    """Directions in which the words are read. Characters are always read in both."""
    speller_parameters: int = 12_000
    """Number of parameters of the recurrence over characters, which determines its hidden size."""
    stack_parameters: int = 80_000
    """Number of parameters of the recurrence over words, which determines its hidden size."""
    layers: int = 1
    """Recurrent layers over the words."""
    word_size: int = 64
    """Size of the embedding of a word."""
    character_size: int = 16
    """Size of the embedding of a character."""
    epochs: int = 6
    """Number of epochs; dev is evaluated four times."""
    tokens_per_batch: int = 512
    """Words of a batch, padding included."""
    learning_rate: float = 5e-3
    """Highest learning rate of Adam, with the schedule of experiments.pos_tagging."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        self.require_positive("speller_parameters", "stack_parameters", "layers", "word_size")
        self.require_positive("character_size")
        _ = self.tagging  # which refuses the rest

    @property
    def tagging(self) -> TaggingConfig:
        """The settings of the tagger."""
        speller_size, hidden_size = self.sizes
        shared = {
            name: getattr(self, name)
            for name in (
                *("cell", "direction", "layers", "word_size", "character_size", "epochs"),
                *("tokens_per_batch", "learning_rate", "seed"),
            )
        }
        return TaggingConfig(
            train=self.data,
            speller_size=speller_size,
            hidden_size=hidden_size,
            word_width=12,
            buckets=1,
            patience=self.epochs,
            **shared,
        )

    @functools.cached_property
    def sizes(self) -> tuple[int, int]:
        """Hidden units of the speller and of the stack, in each direction."""
        speller = solve_size(self._of_speller, self.speller_parameters)
        return speller, solve_size(
            functools.partial(self._of_stack, speller), self.stack_parameters
        )

    @property
    def parameters(self) -> int:
        """Recurrent parameters of these sizes: near to what was asked for."""
        speller, stack = self.sizes
        return self._of_speller(speller) + self._of_stack(speller, stack)

    def _of_speller(self, size: int) -> int:
        return count(
            lambda key: birnn_jax.init_bidirectional(
                CELLS[self.cell], key, input_size=self.character_size, hidden_size=size
            )
        )

    def _of_stack(self, speller_size: int, size: int) -> int:
        layers = (Layer(CELLS[self.cell], direction=self.direction),) * self.layers
        input_size = self.word_size + 2 * speller_size
        return count(
            lambda key: birnn_jax.init_stack(layers, key, input_size=input_size, hidden_size=size)
        )
