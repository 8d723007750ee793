"""Layers on top of one another."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .._core.checks import as_size, as_xs, check_key, check_rate
from .._core.describe import describe
from .._core.masks import Lengths
from .._core.meshes import over_rows
from .._core.types import Bi, Carry
from ..cells._noise import draws_noise
from ..kernels.keys import fold_in_number, row_keys
from .dropout import dropout as apply_dropout
from .dropout import locked_dropout as apply_locked_dropout
from .layer import Layer, LayerParams, Layers, as_layers
from .run import check_stack, init_layer, run_layer
from .subsampling import subsample, subsampled_lengths, subsampled_size


def init_stack(
    layers: Layers,
    key: jax.Array,
    input_size: int,
    hidden_size: int | Bi[int] | Sequence[int | Bi[int]],
) -> tuple[LayerParams, ...]:
    """Makes the parameters of every layer; each layer reads the outputs of the one below.

    Args:
      layers: from the bottom to the top; a `Cell` stands for a `Layer` of it.
      key: consumed.
      input_size: features D of each step of the input.
      hidden_size: hidden units H of each direction, one for all layers or one a layer.

    Returns:
      `LayerParams` for each layer; in `rnn` a `Bi` of cell parameters, or cell parameters if it
      has one direction.

    Raises:
      ValueError: if there are no layers, not as many sizes as layers, or a connection between
        inputs and outputs of different sizes.
      TypeError: if `layers` are none, a size is no integer, or `key` no random key.

    Example:
      >>> layers = (Layer(LSTM), Layer(GRU, direction="fwd"))
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=[4, 5])
      >>> params[1].rnn.w_x.shape
      (8, 15)
    """
    layers = as_layers(layers)
    if not layers:
        raise ValueError("A stack needs at least one layer, got none.")
    check_key(key)
    input_size = as_size("input_size", input_size)
    sizes = _size_of_each(layers, hidden_size)
    params: list[LayerParams] = []
    for layer, layer_key, size in zip(
        layers, jax.random.split(key, len(layers)), sizes, strict=True
    ):
        input_size = subsampled_size(input_size, layer.subsample, layer.subsample_mode)
        layer_params, input_size = init_layer(
            layer, layer_key, input_size=input_size, hidden_size=size
        )
        params.append(layer_params)
    return tuple(params)


@over_rows("xs")
def stack(
    layers: Layers,
    params: Sequence[LayerParams],
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    initial_carry: Sequence[Carry] | None = None,
    dropout: float | jax.Array = 0.0,
    locked_dropout: float | jax.Array = 0.0,
    key: jax.Array | None = None,
) -> tuple[tuple[Carry, ...], jax.Array]:
    """Runs `layers` from the bottom to the top, with dropout between them.

    Every layer keeps the contract of `bidirectional` for padding, lengths and carries.

    Args:
      layers: as given to `init_stack`. They hold no arrays: `jax.jit` takes them as they are, or
        as a static argument if they are in a tuple.
      params: from `init_stack`.
      xs: `[B, T, D]`.
      lengths: `[B]` integers; None means that all T steps are valid.
      initial_carry: one for each layer, in the form of the carries returned; None for all or for
        one layer means the cell's own, or the one that was learned.
      dropout: rate applied to the outputs of every layer but the last, while there is a `key`; it
        may be traced, as that of a schedule is.
      locked_dropout: the same with one mask for all steps of a row.
      key: consumed by dropout and by cells that draw noise; one key or `[B]` keys as in
        `birnn_jax.dropout`. None is evaluation.

    Returns:
      carries: for each layer a `Bi` of carries, or a carry if it has one direction.
      ys: the outputs of the top layer, `[B, T, 2H]`, or what its directions, merge and projection
        give; of fewer steps with layers that subsample, those of `stack_lengths`.

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
    layers = as_layers(layers)
    xs = as_xs(xs)
    check_rate("dropout", dropout)
    check_rate("locked_dropout", locked_dropout)
    check_stack(layers, params)
    carries = [None] * len(layers) if initial_carry is None else list(initial_carry)
    if len(carries) != len(layers):
        raise ValueError(
            f"initial_carry must hold one carry for each of {len(layers)} layers, got "
            f"{describe(initial_carry)}."
        )
    keys = None if key is None else row_keys(key, xs.shape[0])
    for index, layer in enumerate(layers):
        layer_keys = fold_in_number(keys, index)
        if index > 0:
            xs = apply_dropout(xs, dropout, layer_keys)
            xs = apply_locked_dropout(xs, locked_dropout, layer_keys)
        xs, lengths = subsample(xs, lengths, layer.subsample, layer.subsample_mode)
        carries[index], xs = run_layer(
            layer, params[index], xs, lengths, initial_carry=carries[index], key=layer_keys
        )
    return tuple(carries), xs


def stack_lengths(layers: Layers, lengths: Lengths) -> Lengths:
    """The lengths of the outputs of `stack`: a layer with `subsample=k` makes n steps ceil(n / k).

    Losses and readouts above such a stack, and CTC, take these.

    Args:
      layers: of the stack.
      lengths: as given to `stack`.

    Returns:
      `[B]` integers for lengths, and for a `Mask` too: its valid steps are moved to the left
      before they are subsampled. None stays None, all steps being valid. Without layers that
      subsample, what was given.

    Raises:
      ValueError: for `Segments` that would be subsampled.
      TypeError: if `lengths` are not integers.

    Example:
      >>> pyramid = (Layer(LSTM), Layer(LSTM, subsample=2), Layer(LSTM, subsample=2))
      >>> stack_lengths(pyramid, jnp.array([9, 8, 0])).tolist()
      [3, 2, 0]
    """
    for layer in as_layers(layers):
        lengths = subsampled_lengths(lengths, layer.subsample)
    return lengths


def uses_key(layers: Layers, *rates: float) -> bool:
    """True if `stack` would draw from a key."""
    return any(rates) or any(draws_noise(layer.cell) for layer in as_layers(layers))


def stack_shapes(
    layers: Layers, rnn: tuple[LayerParams, ...], input_size: int
) -> tuple[tuple[Carry, ...], jax.ShapeDtypeStruct]:
    """Shapes of the carries and the outputs of `stack`, for one row of one step."""
    xs = jax.ShapeDtypeStruct((1, 1, input_size), jnp.float32)
    return jax.eval_shape(lambda rnn, xs: stack(layers, rnn, xs), rnn, xs)


def _size_of_each(layers: Sequence[Layer], hidden_size: Any) -> list[Any]:
    """The sizes of each layer: of a list, a tuple or an array one each, else one for all."""
    if isinstance(hidden_size, Bi) or not _has_axis(hidden_size):
        return [hidden_size] * len(layers)
    sizes = list(hidden_size)
    if len(sizes) != len(layers):
        raise ValueError(
            f"hidden_size has {len(sizes)} sizes for {len(layers)} layers: give one for all, or "
            "one for each."
        )
    return sizes


def _has_axis(value: Any) -> bool:
    return isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0
