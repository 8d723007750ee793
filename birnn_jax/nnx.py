"""Layers for `flax.nnx`: the functions of birnn_jax as modules, nothing computed twice.

Every layer keeps its parameters as one tree of NamedTuples, `layer.rnn`, with an `nnx.Param` for
each array: `layer.rnn.fwd.w_x`, in a `Stack` `layer.rnn[0].rnn.fwd.w_x`. Parameters made elsewhere
enter by `layer.rnn = jax.tree.map(nnx.Param, params)`. No layer keeps or consumes random state,
except `Stack` with dropout or with cells that draw noise. Every layer takes `dtype`, that of the
computation and the outputs (None is that of the parameters), and `param_dtype`, that of the
parameters (None is that in which the cell makes them).
"""

from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx
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


class RNN(nnx.Module):
    """`birnn_jax.scan_cell` as a layer: one direction of time.

    Args:
      cell: any `Cell`.
      input_size: features D of each step.
      hidden_size: hidden units H.
      reverse: from the last valid step to the first. Outputs stay in the order of the input.
      residuals: what is kept for the gradient, as in `birnn_jax.scan_cell`.
      backend: what computes, as in `birnn_jax.scan_cell`.
      rngs: its stream "params" draws the parameters.

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
        cell: Cell,
        *,
        input_size: int,
        hidden_size: int,
        reverse: bool = False,
        residuals: ResidualsName = "auto",
        backend: BackendName = "auto",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the parameters."""
        self.cell = cell
        self.reverse = reverse
        self.residuals: ResidualsName = residuals
        self.backend: BackendName = backend
        self.dtype = dtype
        self.rnn = _as_variables(cell.init(rngs.params(), input_size, hidden_size), param_dtype)

    def __call__(
        self,
        xs: jax.Array,
        lengths: Lengths = None,
        *,
        initial_carry: Carry | None = None,
        key: jax.Array | None = None,
    ) -> tuple[Carry, jax.Array]:
        """Returns `(carry, ys)`; the arguments are those of `birnn_jax.scan_cell`."""
        params = cast_floating(nnx.as_pure(self.rnn), self.dtype)
        return scan_cell(
            *(self.cell, params, xs, lengths),
            initial_carry=initial_carry,
            reverse=self.reverse,
            residuals=self.residuals,
            backend=self.backend,
            key=key,
        )


class Bidirectional(nnx.Module):
    """`birnn_jax.bidirectional` as a layer, in place of `nnx.Bidirectional(nnx.RNN(...), ...)`.

    Args:
      cell: one cell for both directions, or a `Bi` of cells.
      input_size: features D of each step.
      hidden_size: hidden units H of each direction, or a `Bi` of sizes.
      merge: how the outputs of both directions become one array, as in `bidirectional`.
      residuals: what is kept for the gradient, as in `birnn_jax.scan_cell`.
      backend: what computes, as in `birnn_jax.scan_cell`.
      rngs: its stream "params" draws the parameters.

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
        cell: Cell | Bi[Cell],
        *,
        input_size: int,
        hidden_size: int | Bi[int],
        merge: Merge = "concat",
        residuals: ResidualsName = "auto",
        backend: BackendName = "auto",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the parameters."""
        self.cell = cell
        self.merge: Merge = merge
        self.residuals: ResidualsName = residuals
        self.backend: BackendName = backend
        self.dtype = dtype
        self.rnn = _as_variables(
            init_bidirectional(cell, rngs.params(), input_size=input_size, hidden_size=hidden_size),
            param_dtype,
        )

    def __call__(
        self,
        xs: jax.Array,
        lengths: Lengths = None,
        *,
        initial_carry: Bi[Carry] | None = None,
        key: jax.Array | None = None,
    ) -> tuple[Bi[Carry], Any]:
        """Returns `(carry, ys)`; the arguments are those of `birnn_jax.bidirectional`."""
        params = cast_floating(nnx.as_pure(self.rnn), self.dtype)
        return bidirectional(
            *(self.cell, params, xs, lengths),
            initial_carry=initial_carry,
            merge=self.merge,
            residuals=self.residuals,
            backend=self.backend,
            key=key,
        )


class Stack(nnx.Module):
    """`birnn_jax.stack` as a layer: several layers with dropout between them.

    Args:
      layers: from the bottom to the top.
      input_size: features D of each step.
      hidden_size: hidden units H of each direction, one for all layers or one a layer.
      dropout: rate applied to the outputs of every layer but the last.
      locked_dropout: the same with one mask for all steps of a row.
      deterministic: True switches dropout off, and the noise of cells that draw any, as
        `layer.eval()` does later.
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
        layers: Sequence[Layer],
        *,
        input_size: int,
        hidden_size: int | Bi[int] | Sequence[int | Bi[int]],
        dropout: float = 0.0,
        locked_dropout: float = 0.0,
        deterministic: bool = False,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the parameters."""
        self.layers = tuple(layers)
        self.dtype = dtype
        self.rnn = _as_variables(
            init_stack(layers, rngs.params(), input_size=input_size, hidden_size=hidden_size),
            param_dtype,
        )
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
        initial_carry: Sequence[Carry] | None = None,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | jax.Array | None = None,
    ) -> tuple[tuple[Carry, ...], jax.Array]:
        """Returns `(carries, ys)`; `xs`, `lengths`, `initial_carry` as in `birnn_jax.stack`.

        `deterministic` and `rngs` go before what the layer holds; `rngs` may be a key, of either
        style.
        """
        return stack(
            self.layers,
            cast_floating(nnx.as_pure(self.rnn), self.dtype),
            xs,
            lengths,
            initial_carry=initial_carry,
            dropout=self.dropout.rate,
            locked_dropout=self.locked_dropout,
            key=_dropout_key(self, deterministic, rngs),
        )


def _as_variables(params: Params, dtype: DTypeLike | None) -> Params:
    # One Param for each array: from a Param that holds the whole tree, `nnx.Optimizer` loses the
    # NamedTuples in its first update and fails in its second.
    return nnx.data(jax.tree.map(nnx.Param, cast_floating(params, dtype)))


def _dropout_key(
    layer: Stack,
    deterministic: bool | None,
    rngs: nnx.Rngs | nnx.RngStream | jax.Array | None,
) -> jax.Array | None:
    """The one argument of `stack` that Flax splits in two, a flag and a source of keys."""
    dropout = layer.dropout
    if not uses_key(layer.layers, dropout.rate, layer.locked_dropout):
        return None
    if dropout.deterministic if deterministic is None else deterministic:
        return None
    source = dropout.rngs if rngs is None else rngs
    match source:
        case nnx.Rngs():
            return source.dropout()
        case nnx.RngStream():
            return source()
        case jax.Array():
            return nnx.RngStream(source, tag="dropout").key[...]  # of the new style
    raise TypeError(f"rngs must be nnx.Rngs, one of its streams or a key, got {type(source)}.")
