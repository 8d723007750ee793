"""One direction or two, in place of `nn.RNN` and `nn.Bidirectional`."""

from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn
from jax.typing import DTypeLike

from .._adapters.calls import call_bidirectional, call_rnn, first_given, only_lengths
from .._core.checks import as_array
from .._core.masks import Lengths
from .._core.types import Bi, Carry, Cell
from .._recurrence.backends import BackendName
from .._recurrence.bidirectional import Merge, init_bidirectional, init_direction
from .._recurrence.directions import ResidualsName
from ._cells import as_cell_and_size, as_cells_and_sizes
from ._params import declare


class RNN(nn.Module):
    """Runs `birnn_jax.scan_cell` as a layer: one direction of time, in place of `nn.RNN`.

    Args:
      cell: any `Cell`, or a cell of Linen as in `RNN(nn.GRUCell(4))`, see `as_cell`.
      hidden_size: hidden units H; a cell of Linen says them itself.
      reverse: from the last valid step to the first.
      residuals: what the forward pass stores for the backward pass, as in `birnn_jax.scan_cell`.
      backend: what computes, as in `birnn_jax.scan_cell`.
      dtype: of the computation and the outputs; None is that of the parameters.
      param_dtype: of the parameters; None is that in which the cell makes them.
      time_major: True if inputs and outputs are `[T, B, D]`.
      keep_order: False returns the outputs of a layer with `reverse` in the order of the steps
        visited, as `nn.RNN` does by default. True keeps them in the order of the input.
      return_carry: False returns the outputs alone, as `nn.RNN` does by default.

    Example:
      >>> from birnn_jax.linen import RNN
      >>> xs = jax.random.normal(jax.random.key(0), [2, 5, 3])
      >>> layer = RNN(GRU, hidden_size=4, reverse=True)
      >>> variables = layer.init(jax.random.key(1), xs)
      >>> carry, ys = layer.apply(variables, xs, jnp.array([5, 2]))
      >>> carry.h.shape, ys.shape
      ((2, 4), (2, 5, 4))
    """

    cell: Cell | nn.RNNCellBase
    hidden_size: int | None = None
    reverse: bool = False
    residuals: ResidualsName = "auto"
    backend: BackendName = "auto"
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike | None = None
    time_major: bool = False
    keep_order: bool = True
    return_carry: bool = True

    @nn.compact
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
        xs = as_array("xs", xs)
        cell, hidden_size = as_cell_and_size(self.cell, self.hidden_size)
        params = declare(
            self,
            lambda key: init_direction(cell, key, xs.shape[-1], hidden_size),
            param_dtype=self.param_dtype,
            dtype=self.dtype,
        )
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


class Bidirectional(nn.Module):
    """Runs `birnn_jax.bidirectional` as a layer, in place of `nn.Bidirectional`.

    Args:
      cell: one cell for both directions, or a `Bi` of cells; of this library or of Linen. Flax's
        `Bidirectional(nn.RNN(nn.GRUCell(4)), nn.RNN(nn.GRUCell(4)))` is taken too.
      hidden_size: hidden units H of each direction, or a `Bi` of sizes; a cell of Linen says them.
      merge: how the outputs of both directions become one array, as in `bidirectional`.
      residuals: what the forward pass stores for the backward pass, as in `birnn_jax.scan_cell`.
      backend: what computes, as in `birnn_jax.scan_cell`.
      dtype: of the computation and the outputs; None is that of the parameters.
      param_dtype: of the parameters; None is that in which the cell makes them.
      merge_fn: a function of both outputs, in place of `merge`, as in `nn.Bidirectional`. What it
        returns in padding becomes zero.
      time_major: True if inputs and outputs are `[T, B, D]`.
      return_carry: False returns the outputs alone, as `nn.Bidirectional` does by default.

    Example:
      >>> from birnn_jax.linen import Bidirectional
      >>> xs = jax.random.normal(jax.random.key(0), [2, 5, 3])
      >>> layer = Bidirectional(LSTM, hidden_size=4)
      >>> variables = layer.init(jax.random.key(1), xs)
      >>> carry, ys = layer.apply(variables, xs, jnp.array([5, 2]))
      >>> carry.bwd.c.shape, ys.shape
      ((2, 4), (2, 5, 8))
    """

    cell: Cell | nn.Module | Bi[Any]
    hidden_size: int | Bi[int] | nn.Module | None = None
    merge: Merge = "concat"
    residuals: ResidualsName = "auto"
    backend: BackendName = "auto"
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike | None = None
    merge_fn: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    time_major: bool = False
    return_carry: bool = True

    @nn.compact
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
        xs = as_array("xs", xs)
        cells, sizes = as_cells_and_sizes(self.cell, self.hidden_size)
        params = declare(
            self,
            lambda key: init_bidirectional(cells, key, input_size=xs.shape[-1], hidden_size=sizes),
            param_dtype=self.param_dtype,
            dtype=self.dtype,
        )
        return call_bidirectional(
            *(cells, params, xs, only_lengths(lengths, seq_lengths)),
            initial_carry=initial_carry,
            merge=self.merge,
            merge_fn=self.merge_fn,
            time_major=first_given(time_major, self.time_major),
            return_carry=first_given(return_carry, self.return_carry),
            residuals=self.residuals,
            backend=self.backend,
            key=key,
        )
