"""Layers on top of one another."""

from collections.abc import Sequence
from typing import Any

import jax
from flax import linen as nn
from jax.typing import DTypeLike

from .._adapters.calls import call_stack, first_given, only_lengths
from .._core.checks import as_array
from .._core.masks import Lengths
from .._core.types import Bi, Carry
from .._stacks.layer import Layers, as_layers
from .._stacks.stack import init_stack
from ._params import declare, dropout_key


class Stack(nn.Module):
    """Runs `birnn_jax.stack` as a layer: several layers with dropout between them.

    Args:
      layers: from the bottom to the top.
      hidden_size: hidden units H of each direction, one for all layers or one a layer.
      dropout: rate applied to the outputs of every layer but the last; its key, and that of cells
        that draw noise, comes from the random collection "dropout".
      locked_dropout: the same with one mask for all steps of a row.
      deterministic: True switches dropout and noise off. As in `nn.Dropout` it is given here or in
        the call; where nothing is random it need not be given.
      dtype: of the computation and the outputs; None is that of the parameters.
      param_dtype: of the parameters; None is that in which the cell makes them.
      time_major: True if inputs and outputs are `[T, B, D]`.
      return_carry: False returns the outputs alone.

    Example:
      >>> from birnn_jax.linen import Stack
      >>> xs = jax.random.normal(jax.random.key(0), [2, 5, 3])
      >>> layer = Stack([Layer(LSTM), Layer(GRU)], hidden_size=[4, 6], dropout=0.5)
      >>> variables = layer.init(jax.random.key(1), xs, deterministic=True)
      >>> carries, ys = layer.apply(
      ...     variables, xs, deterministic=False, rngs={"dropout": jax.random.key(2)}
      ... )
      >>> len(carries), ys.shape
      (2, (2, 5, 12))
    """

    layers: Layers
    hidden_size: int | Bi[int] | Sequence[int | Bi[int]]
    dropout: float = 0.0
    locked_dropout: float = 0.0
    deterministic: bool | None = None
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike | None = None
    time_major: bool = False
    return_carry: bool = True

    def __post_init__(self) -> None:
        """Makes the module hashable, as a static argument must be."""
        self.layers = as_layers(self.layers)
        if isinstance(self.hidden_size, list):
            self.hidden_size = tuple(self.hidden_size)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        xs: jax.Array,
        lengths: Lengths = None,
        *,
        seq_lengths: Lengths = None,
        initial_carry: Sequence[Carry] | None = None,
        deterministic: bool | None = None,
        time_major: bool | None = None,
        return_carry: bool | None = None,
    ) -> Any:
        """Returns `(carries, ys)`, or `ys` alone without `return_carry`.

        Args:
          xs: `[B, T, D]`, with any number of batch dimensions in place of B, none included.
          lengths: as in `birnn_jax.stack`; `seq_lengths` is the same.
          seq_lengths: Flax's name of `lengths`.
          initial_carry: as in `birnn_jax.stack`, each carry also as Flax has it.
          deterministic: in place of what the layer says.
          time_major: goes before what the layer says.
          return_carry: goes before what the layer says.
        """
        xs = as_array("xs", xs)
        layers = as_layers(self.layers)
        rates, modes = (self.dropout, self.locked_dropout), (self.deterministic, deterministic)
        params = declare(
            self,
            lambda key: init_stack(
                layers, key, input_size=xs.shape[-1], hidden_size=self.hidden_size
            ),
            param_dtype=self.param_dtype,
            dtype=self.dtype,
        )
        return call_stack(
            *(layers, params, xs, only_lengths(lengths, seq_lengths)),
            initial_carry=initial_carry,
            time_major=first_given(time_major, self.time_major),
            return_carry=first_given(return_carry, self.return_carry),
            dropout=self.dropout,
            locked_dropout=self.locked_dropout,
            key=dropout_key(self, layers, rates, modes),
        )
