"""Layers on top of one another."""

from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx
from jax.typing import DTypeLike

from .._adapters.calls import call_stack, first_given, only_lengths
from .._core.dtypes import cast_floating
from .._core.masks import Lengths
from .._core.types import Bi, Carry
from .._stacks.layer import Layers, as_layers
from .._stacks.stack import init_stack, uses_key
from ._params import dropout_key, make_variables


class Stack(nnx.Module):
    """Runs `birnn_jax.stack` as a layer: several layers with dropout between them.

    Args:
      layers: from the bottom to the top.
      input_size: features D of each step.
      hidden_size: hidden units H of each direction, one for all layers or one a layer.
      dropout: rate applied to the outputs of every layer but the last.
      locked_dropout: the same with one mask for all steps of a row.
      deterministic: True switches dropout off, and the noise of cells that draw any, as
        `layer.eval()` does later.
      dtype: of the computation and the outputs; None is that of the parameters.
      param_dtype: of the parameters; None is that in which the cell makes them.
      time_major: True if inputs and outputs are `[T, B, D]`.
      return_carry: False returns the outputs alone.
      rngs: its stream "params" draws the parameters; where there is dropout or noise, a fork of its
        stream "dropout" is kept and advanced by each call.

    Example:
      >>> from flax import nnx
      >>> from birnn_jax.nnx import Stack
      >>> layers = [Layer(LSTM), Layer(GRU)]
      >>> layer = Stack(layers, input_size=3, hidden_size=[4, 6], dropout=0.5, rngs=nnx.Rngs(0))
      >>> xs = jax.random.normal(jax.random.key(0), [2, 5, 3])
      >>> carries, ys = layer(xs)
      >>> len(carries), ys.shape, bool((ys == layer(xs, deterministic=True)[1]).any())
      (2, (2, 5, 12), False)
    """

    def __init__(
        self,
        layers: Layers,
        input_size: int,
        hidden_size: int | Bi[int] | Sequence[int | Bi[int]],
        *,
        dropout: float = 0.0,
        locked_dropout: float = 0.0,
        deterministic: bool = False,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike | None = None,
        time_major: bool = False,
        return_carry: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the parameters."""
        self.layers = layers = as_layers(layers)
        self.dtype = dtype
        self.time_major = time_major
        self.return_carry = return_carry
        sizes = {"input_size": input_size, "hidden_size": hidden_size}
        self.rnn = make_variables(lambda key: init_stack(layers, key, **sizes), rngs, param_dtype)
        # Never called: it holds rate, mode and stream where `train`, `eval`, `nnx.view` and
        # `nnx.reseed` find them. The masks come from the core, which keeps rows independent.
        self.dropout = nnx.Dropout(
            dropout,
            deterministic=deterministic,
            rngs=rngs if uses_key(self.layers, dropout, locked_dropout) else None,
        )
        self.locked_dropout = locked_dropout

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
        rngs: nnx.Rngs | nnx.RngStream | jax.Array | None = None,
    ) -> Any:
        """Returns `(carries, ys)`, or `ys` alone without `return_carry`.

        Args:
          xs: `[B, T, D]`, with any number of batch dimensions in place of B, none included.
          lengths: as in `birnn_jax.stack`; `seq_lengths` is the same.
          seq_lengths: Flax's name of `lengths`.
          initial_carry: as in `birnn_jax.stack`, each carry also as Flax has it.
          deterministic: goes before what the layer says, as all that follow.
          time_major: as in the layer.
          return_carry: as in the layer.
          rngs: in place of the stream that the layer holds; also a key, of either style.
        """
        rates = self.dropout.rate, self.locked_dropout
        return call_stack(
            *(
                self.layers,
                cast_floating(nnx.as_pure(self.rnn), self.dtype),
                xs,
                only_lengths(lengths, seq_lengths),
            ),
            initial_carry=initial_carry,
            time_major=first_given(time_major, self.time_major),
            return_carry=first_given(return_carry, self.return_carry),
            dropout=self.dropout.rate,
            locked_dropout=self.locked_dropout,
            key=dropout_key(self.dropout, self.layers, rates, deterministic, rngs),
        )
