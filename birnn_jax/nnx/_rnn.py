"""One direction or two, in place of `nnx.RNN` and `nnx.Bidirectional`."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax.typing import DTypeLike

from .._adapters.calls import call_bidirectional, call_rnn, first_given, only_lengths
from .._core.masks import Lengths
from .._core.types import Bi, Carry, Cell
from .._recurrence.backends import BackendName
from .._recurrence.bidirectional import Merge, init_bidirectional, init_direction
from .._recurrence.directions import ResidualsName
from ._cells import as_pair, hold, pure_cell


class RNN(nnx.Module):
    """Runs `birnn_jax.scan_cell` as a layer: one direction of time, in place of `nnx.RNN`.

    Args:
      cell: any `Cell`, or a cell of NNX, whose parameters are then those of the layer.
      input_size: features D of each step; a cell of NNX has them.
      hidden_size: hidden units H; a cell of NNX has them.
      reverse: from the last valid step to the first.
      residuals: what the forward pass stores for the backward pass, as in `birnn_jax.scan_cell`.
      backend: what computes, as in `birnn_jax.scan_cell`.
      dtype: of the computation and the outputs; None is that of the parameters.
      param_dtype: of the parameters; None is that in which the cell makes them.
      time_major: True if inputs and outputs are `[T, B, D]`.
      keep_order: False returns the outputs of a layer with `reverse` in the order of the steps
        visited, as `nnx.RNN` does by default. True keeps them in the order of the input.
      return_carry: False returns the outputs alone, as `nnx.RNN` does by default.
      rngs: its stream "params" draws the parameters; a cell of NNX needs none.

    Example:
      >>> from flax import nnx
      >>> from birnn_jax.nnx import RNN
      >>> layer = RNN(GRU, input_size=3, hidden_size=4, reverse=True, rngs=nnx.Rngs(0))
      >>> xs = jax.random.normal(jax.random.key(0), [2, 5, 3])
      >>> carry, ys = layer(xs, jnp.array([5, 2]))
      >>> carry.h.shape, ys.shape
      ((2, 4), (2, 5, 4))
    """

    def __init__(
        self,
        cell: Cell | nnx.Module,
        input_size: int | None = None,
        hidden_size: int | None = None,
        *,
        reverse: bool = False,
        residuals: ResidualsName = "auto",
        backend: BackendName = "auto",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike | None = None,
        time_major: bool = False,
        keep_order: bool = True,
        return_carry: bool = True,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        """Draws the parameters."""
        self.reverse = reverse
        self.residuals: ResidualsName = residuals
        self.backend: BackendName = backend
        self.dtype = dtype
        self.time_major = time_major
        self.keep_order = keep_order
        self.return_carry = return_carry
        self.cell, self.rnn = hold(
            *(init_direction, cell),
            input_size=input_size,
            hidden_size=hidden_size,
            param_dtype=param_dtype,
            rngs=rngs,
        )

    def __call__(
        self,
        xs: jax.Array,
        lengths: Lengths = None,
        *,
        seq_lengths: Lengths = None,
        initial_carry: Carry | None = None,
        key: jax.Array | None = None,
        reverse: bool | None = None,
        time_major: bool | None = None,
        keep_order: bool | None = None,
        return_carry: bool | None = None,
    ) -> Any:
        """Returns `(carry, ys)`, or `ys` alone without `return_carry`.

        Args:
          xs: `[B, T, D]`, with any number of batch dimensions in place of B, none included.
          lengths: as in `birnn_jax.scan_cell`; `seq_lengths` is the same.
          seq_lengths: Flax's name of `lengths`.
          initial_carry: as in `birnn_jax.scan_cell`, or as Flax has it: `h`, or `(c, h)`.
          key: as in `birnn_jax.scan_cell`.
          reverse: goes before what the layer says, as all that follow.
          time_major: as in the layer.
          keep_order: as in the layer.
          return_carry: as in the layer.
        """
        cell, params = pure_cell(self.cell, self.rnn, self.dtype)
        return call_rnn(
            *(cell, params, xs, only_lengths(lengths, seq_lengths)),
            initial_carry=initial_carry,
            reverse=first_given(reverse, self.reverse),
            keep_order=first_given(keep_order, self.keep_order),
            time_major=first_given(time_major, self.time_major),
            return_carry=first_given(return_carry, self.return_carry),
            residuals=self.residuals,
            backend=self.backend,
            key=key,
        )


class Bidirectional(nnx.Module):
    """Runs `birnn_jax.bidirectional` as a layer, in place of `nnx.Bidirectional`.

    Args:
      cell: one `Cell` for both directions, or a `Bi` of cells; of NNX always two, whose parameters
        are then those of the layer.
      backward: the second of two cells, so that what Flax has is taken too:
        `Bidirectional(nnx.RNN(nnx.GRUCell(...)), nnx.RNN(nnx.GRUCell(...)))`.
      input_size: features D of each step; cells of NNX have them.
      hidden_size: hidden units H of each direction, or a `Bi` of sizes; cells of NNX have them.
      merge: how the outputs of both directions become one array, as in `bidirectional`.
      residuals: what the forward pass stores for the backward pass, as in `birnn_jax.scan_cell`.
      backend: what computes, as in `birnn_jax.scan_cell`.
      dtype: of the computation and the outputs; None is that of the parameters.
      param_dtype: of the parameters; None is that in which the cell makes them.
      merge_fn: a function of both outputs, in place of `merge`, as in `nnx.Bidirectional`. What it
        returns in padding becomes zero.
      time_major: True if inputs and outputs are `[T, B, D]`.
      return_carry: False returns the outputs alone, as `nnx.Bidirectional` does by default.
      rngs: its stream "params" draws the parameters; cells of NNX need none.

    Example:
      >>> from flax import nnx
      >>> from birnn_jax.nnx import Bidirectional
      >>> layer = Bidirectional(LSTM, input_size=3, hidden_size=4, rngs=nnx.Rngs(0))
      >>> xs = jax.random.normal(jax.random.key(0), [2, 5, 3])
      >>> carry, ys = layer(xs, jnp.array([5, 2]))
      >>> carry.bwd.c.shape, ys.shape
      ((2, 4), (2, 5, 8))
    """

    def __init__(
        self,
        cell: Cell | nnx.Module | Bi[Any],
        backward: Cell | nnx.Module | None = None,
        *,
        input_size: int | None = None,
        hidden_size: int | Bi[int] | None = None,
        merge: Merge = "concat",
        residuals: ResidualsName = "auto",
        backend: BackendName = "auto",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike | None = None,
        merge_fn: Callable[[jax.Array, jax.Array], Any] | None = None,
        time_major: bool = False,
        return_carry: bool = True,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        """Draws the parameters."""
        self.merge: Merge = merge
        self.residuals: ResidualsName = residuals
        self.backend: BackendName = backend
        self.dtype = dtype
        self.merge_fn = merge_fn
        self.time_major = time_major
        self.return_carry = return_carry
        self.cell, self.rnn = hold(
            *(init_bidirectional, as_pair(cell, backward)),
            input_size=input_size,
            hidden_size=hidden_size,
            param_dtype=param_dtype,
            rngs=rngs,
        )

    def __call__(
        self,
        xs: jax.Array,
        lengths: Lengths = None,
        *,
        seq_lengths: Lengths = None,
        initial_carry: Bi[Carry] | tuple[Carry, Carry] | None = None,
        key: jax.Array | None = None,
        time_major: bool | None = None,
        return_carry: bool | None = None,
    ) -> Any:
        """Returns `(carry, ys)`, or `ys` alone without `return_carry`.

        Args:
          xs: `[B, T, D]`, with any number of batch dimensions in place of B, none included.
          lengths: as in `birnn_jax.bidirectional`; `seq_lengths` is the same.
          seq_lengths: Flax's name of `lengths`.
          initial_carry: as in `birnn_jax.bidirectional`, or a pair of carries as Flax has them.
          key: as in `birnn_jax.bidirectional`.
          time_major: goes before what the layer says.
          return_carry: goes before what the layer says.
        """
        cell, params = pure_cell(self.cell, self.rnn, self.dtype)
        return call_bidirectional(
            *(cell, params, xs, only_lengths(lengths, seq_lengths)),
            initial_carry=initial_carry,
            merge=self.merge,
            merge_fn=self.merge_fn,
            time_major=first_given(time_major, self.time_major),
            return_carry=first_given(return_carry, self.return_carry),
            residuals=self.residuals,
            backend=self.backend,
            key=key,
        )
