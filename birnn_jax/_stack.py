"""Layers on top of one another."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ._bidirectional import MERGES, Merge, bidirectional, init_bidirectional
from ._checks import check_choice, check_rate
from ._dropout import dropout as apply_dropout
from ._dropout import locked_dropout as apply_locked_dropout
from ._dropout import row_keys
from ._pass import RESIDUALS, Residuals
from ._scan import scan_cell
from ._types import Bi, Carry, Cell, Params
from ._visits import Lengths
from .cells._noise import draws_noise
from .kernels import BACKENDS, Backend


@dataclasses.dataclass(frozen=True)
class Layer:
    """What one layer of a stack is. Its sizes are in its parameters.

    Args:
      cell: any `Cell`; with two directions also a `Bi` of cells.
      direction: "both", or one direction of time, "fwd" or "bwd".
      merge: how the outputs of both directions become one array, as in `bidirectional`.
      residuals: what is kept for the gradient, as in `scan_cell`.
      backend: what computes, as in `scan_cell`.

    Raises:
      ValueError: for an unknown setting, or one that would have no effect.

    Example:
      >>> layers = (Layer(LSTM),) * 2 + (Layer(GRU, direction="fwd"),)
    """

    cell: Cell | Bi[Cell]
    _: dataclasses.KW_ONLY
    direction: Literal["both", "fwd", "bwd"] = "both"
    merge: Merge = "concat"
    residuals: Residuals = "gates"
    backend: Backend = "auto"

    def __post_init__(self) -> None:
        check_choice("direction", self.direction, ("both", "fwd", "bwd"))
        check_choice("merge", self.merge, [merge for merge in MERGES if merge != "none"])
        check_choice("residuals", self.residuals, RESIDUALS)
        check_choice("backend", self.backend, BACKENDS)
        if self.direction != "both" and (isinstance(self.cell, Bi) or self.merge != "concat"):
            raise ValueError(
                f"A layer with direction={self.direction!r} has one cell and nothing to merge."
            )


def init_stack(
    layers: Sequence[Layer],
    key: jax.Array,
    *,
    input_size: int,
    hidden_size: int | Bi[int] | Sequence[int | Bi[int]],
) -> tuple[Params, ...]:
    """Makes the parameters of every layer; each layer reads the outputs of the one below.

    Args:
      layers: from the bottom to the top.
      key: consumed.
      input_size: features D of each step of the input.
      hidden_size: hidden units H of each direction, one for all layers or one a layer.

    Returns:
      For each layer a `Bi` of cell parameters, or cell parameters if it has one direction.

    Raises:
      ValueError: if there are no layers, or not as many sizes as layers.

    Example:
      >>> layers = (Layer(LSTM), Layer(GRU, direction="fwd"))
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=[4, 5])
      >>> params[1].w_x.shape
      (8, 15)
    """
    if not layers:
        raise ValueError("A stack needs at least one layer, got none.")
    one_for_all = isinstance(hidden_size, int | Bi)
    sizes = [hidden_size] * len(layers) if one_for_all else list(hidden_size)
    if len(sizes) != len(layers):
        raise ValueError(f"hidden_size has {len(sizes)} sizes for {len(layers)} layers.")
    params = []
    for layer, layer_key, size in zip(
        layers, jax.random.split(key, len(layers)), sizes, strict=True
    ):
        params.append(_init_layer(layer, layer_key, input_size, size))
        input_size = _output_size(layer, params[-1], input_size)
    return tuple(params)


def stack(
    layers: Sequence[Layer],
    params: Sequence[Params],
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    initial_carry: Sequence[Carry] | None = None,
    dropout: float = 0.0,
    locked_dropout: float = 0.0,
    key: jax.Array | None = None,
) -> tuple[tuple[Carry, ...], jax.Array]:
    """Runs `layers` from the bottom to the top, with dropout between them.

    Every layer keeps the contract of `bidirectional` for padding, lengths and carries.

    Args:
      layers: as given to `init_stack`; static under `jax.jit`, as a tuple.
      params: from `init_stack`.
      xs: `[B, T, D]`.
      lengths: `[B]` integers; None means that all T steps are valid.
      initial_carry: one for each layer, in the form of the carries returned; None for all or for
        one layer means the cell's own.
      dropout: rate applied to the outputs of every layer but the last, while there is a `key`.
      locked_dropout: the same with one mask for all steps of a row.
      key: consumed by dropout and by cells that draw noise; one key or `[B]` keys as in
        `birnn_jax.dropout`. None is evaluation.

    Returns:
      carries: for each layer a `Bi` of carries, or a carry if it has one direction.
      ys: the outputs of the top layer, `[B, T, 2H]`, or what its directions and merge give.

    Raises:
      ValueError: if sizes or counts do not fit, or a rate is not in [0, 1).
      TypeError: if `lengths` are not integers, or `key` is not from `jax.random.key`.

    Example:
      >>> layers = (Layer(LSTM),) * 2
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> xs = jax.random.normal(jax.random.key(1), [2, 5, 3])
      >>> carries, ys = stack(layers, params, xs, dropout=0.5, key=jax.random.key(2))
      >>> len(carries), ys.shape
      (2, (2, 5, 8))
    """
    check_rate("dropout", dropout)
    check_rate("locked_dropout", locked_dropout)
    carries = [None] * len(layers) if initial_carry is None else list(initial_carry)
    if not len(layers) == len(params) == len(carries):
        raise ValueError(
            f"layers, params and initial_carry must be as many, got {len(layers)}, {len(params)} "
            f"and {len(carries)}."
        )
    keys = None if key is None else row_keys(key, xs.shape[0])
    for index, layer in enumerate(layers):
        layer_keys = _fold_in(keys, index)
        if index > 0:
            xs = apply_dropout(xs, dropout, layer_keys)
            xs = apply_locked_dropout(xs, locked_dropout, layer_keys)
        carries[index], xs = _run_layer(
            layer, params[index], xs, lengths, carries[index], layer_keys
        )
    return tuple(carries), xs


def uses_key(layers: Sequence[Layer], dropout: float) -> bool:
    """True if `stack` would draw from a key."""
    return dropout != 0 or any(draws_noise(layer.cell) for layer in layers)


def _fold_in(keys: jax.Array | None, number: int) -> jax.Array | None:
    """`[B]` keys from `[B]` keys."""
    return None if keys is None else jax.vmap(jax.random.fold_in, (0, None))(keys, number)


def _init_layer(layer: Layer, key: jax.Array, input_size: int, hidden_size: Any) -> Params:
    if layer.direction == "both":
        return init_bidirectional(layer.cell, key, input_size=input_size, hidden_size=hidden_size)
    assert isinstance(layer.cell, Cell)
    return layer.cell.init(key, input_size, hidden_size)


def _run_layer(
    layer: Layer,
    params: Params,
    xs: jax.Array,
    lengths: Lengths,
    carry: Carry | None,
    key: jax.Array | None,
) -> tuple[Carry, Any]:
    kwargs = {"initial_carry": carry, "key": key}
    kwargs |= {"residuals": layer.residuals, "backend": layer.backend}
    if layer.direction == "both":
        return bidirectional(layer.cell, params, xs, lengths, merge=layer.merge, **kwargs)
    assert isinstance(layer.cell, Cell)
    return scan_cell(layer.cell, params, xs, lengths, reverse=layer.direction == "bwd", **kwargs)


def _output_size(layer: Layer, params: Params, input_size: int) -> int:
    xs = jax.ShapeDtypeStruct((1, 1, input_size), jnp.float32)
    _, ys = jax.eval_shape(lambda p, xs: _run_layer(layer, p, xs, None, None, None), params, xs)
    return ys.shape[-1]
