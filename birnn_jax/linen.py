"""Layers for `flax.linen`: the functions of birnn_jax as modules, nothing computed twice.

Every layer keeps its parameters as one tree of NamedTuples under the name "rnn":
`variables["params"]["rnn"].fwd.w_x` is an array, `variables["params"]["rnn"][0].rnn.fwd.w_x` in a
`Stack`. Restore them with a target, as in `flax.serialization.from_bytes(variables, data)`, so that
the NamedTuples come back. Parameters made elsewhere enter as `{"params": {"rnn": params}}`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import linen as nn
from jax.typing import DTypeLike

from ._core.dtypes import cast_floating
from ._core.masks import Lengths
from ._core.types import Bi, Carry, Cell, Params
from ._recurrence.backends import BackendName
from ._recurrence.bidirectional import Merge, bidirectional, init_bidirectional
from ._recurrence.directions import ResidualsName
from ._recurrence.scan_cell import scan_cell
from ._stacks.layer import Layer
from ._stacks.stack import init_stack, stack, uses_key


class RNN(nn.Module):
    """`birnn_jax.scan_cell` as a layer: one direction of time.

    Args:
      cell: any `Cell`.
      hidden_size: hidden units H.
      reverse: from the last valid step to the first. Outputs stay in the order of the input.
      residuals: what is kept for the gradient, as in `birnn_jax.scan_cell`.
      backend: what computes, as in `birnn_jax.scan_cell`.
      dtype: of the computation and the outputs; None is that of the parameters.
      param_dtype: of the parameters; None is that in which the cell makes them.

    Example:
      >>> from birnn_jax.linen import RNN
      >>> xs = jax.random.normal(jax.random.key(0), [2, 5, 3])
      >>> layer = RNN(GRU, hidden_size=4, reverse=True)
      >>> variables = layer.init(jax.random.key(1), xs)
      >>> carry, ys = layer.apply(variables, xs, jnp.array([5, 2]))
      >>> carry.h.shape, ys.shape
      ((2, 4), (2, 5, 4))
    """

    cell: Cell
    hidden_size: int
    reverse: bool = False
    residuals: ResidualsName = "auto"
    backend: BackendName = "auto"
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self,
        xs: jax.Array,
        lengths: Lengths = None,
        *,
        initial_carry: Carry | None = None,
        key: jax.Array | None = None,
    ) -> tuple[Carry, jax.Array]:
        """Returns `(carry, ys)`; the arguments are those of `birnn_jax.scan_cell`."""
        params = _declare(self, lambda key: self.cell.init(key, xs.shape[-1], self.hidden_size))
        return scan_cell(
            self.cell,
            params,
            xs,
            lengths,
            initial_carry=initial_carry,
            reverse=self.reverse,
            residuals=self.residuals,
            backend=self.backend,
            key=key,
        )


class Bidirectional(nn.Module):
    """`birnn_jax.bidirectional` as a layer, in place of `nn.Bidirectional(nn.RNN(...), ...)`.

    Args:
      cell: one cell for both directions, or a `Bi` of cells.
      hidden_size: hidden units H of each direction, or a `Bi` of sizes.
      merge: how the outputs of both directions become one array, as in `bidirectional`.
      residuals: what is kept for the gradient, as in `birnn_jax.scan_cell`.
      backend: what computes, as in `birnn_jax.scan_cell`.
      dtype: of the computation and the outputs; None is that of the parameters.
      param_dtype: of the parameters; None is that in which the cell makes them.

    Example:
      >>> from birnn_jax.linen import Bidirectional
      >>> xs = jax.random.normal(jax.random.key(0), [2, 5, 3])
      >>> layer = Bidirectional(LSTM, hidden_size=4)
      >>> variables = layer.init(jax.random.key(1), xs)
      >>> carry, ys = layer.apply(variables, xs, jnp.array([5, 2]))
      >>> carry.bwd.c.shape, ys.shape
      ((2, 4), (2, 5, 8))
    """

    cell: Cell | Bi[Cell]
    hidden_size: int | Bi[int]
    merge: Merge = "concat"
    residuals: ResidualsName = "auto"
    backend: BackendName = "auto"
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self,
        xs: jax.Array,
        lengths: Lengths = None,
        *,
        initial_carry: Bi[Carry] | None = None,
        key: jax.Array | None = None,
    ) -> tuple[Bi[Carry], Any]:
        """Returns `(carry, ys)`; the arguments are those of `birnn_jax.bidirectional`."""
        params = _declare(
            self,
            lambda key: init_bidirectional(
                self.cell, key, input_size=xs.shape[-1], hidden_size=self.hidden_size
            ),
        )
        return bidirectional(
            self.cell,
            params,
            xs,
            lengths,
            initial_carry=initial_carry,
            merge=self.merge,
            residuals=self.residuals,
            backend=self.backend,
            key=key,
        )


class Stack(nn.Module):
    """`birnn_jax.stack` as a layer: several layers with dropout between them.

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

    layers: Sequence[Layer]
    hidden_size: int | Bi[int] | Sequence[int | Bi[int]]
    dropout: float = 0.0
    locked_dropout: float = 0.0
    deterministic: bool | None = None
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self,
        xs: jax.Array,
        lengths: Lengths = None,
        *,
        initial_carry: Sequence[Carry] | None = None,
        deterministic: bool | None = None,
    ) -> tuple[tuple[Carry, ...], jax.Array]:
        """Returns `(carries, ys)`; `xs`, `lengths`, `initial_carry` as in `birnn_jax.stack`."""
        params = _declare(
            self,
            lambda key: init_stack(
                self.layers, key, input_size=xs.shape[-1], hidden_size=self.hidden_size
            ),
        )
        return stack(
            self.layers,
            params,
            xs,
            lengths,
            initial_carry=initial_carry,
            dropout=self.dropout,
            locked_dropout=self.locked_dropout,
            key=_dropout_key(self, deterministic),
        )


def _declare(module: RNN | Bidirectional | Stack, init: Callable[[jax.Array], Params]) -> Params:
    params = module.param(
        "rnn", lambda key: cast_floating(init(_new_style(key)), module.param_dtype)
    )
    return cast_floating(params, module.dtype)


def _dropout_key(module: Stack, deterministic: bool | None) -> jax.Array | None:
    """The one argument of `stack` that Flax splits in two, a flag and a collection of keys."""
    if not uses_key(module.layers, module.dropout, module.locked_dropout):
        return None
    if nn.merge_param("deterministic", module.deterministic, deterministic):
        return None
    return _new_style(module.make_rng("dropout"))


def _new_style(key: jax.Array) -> jax.Array:
    """Flax hands on what it was given, which may be a `jax.random.PRNGKey`."""
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=jax.random.key_impl(key))
