"""Weights of 8 bits."""

from typing import Any

import jax
import jax.numpy as jnp

from .._core.cell_checks import as_inputs, check_kind
from .._core.prepared import unprepared
from .._core.quantized import has_quantized, quantize_matrix
from .._core.types import Cell, Params
from .._stacks.layer import Layers
from ..cells import GRU, LSTM
from ..cells._noise import NoisyStep
from ._directions import map_directions

_STEPS = {LSTM.step, GRU.step}


def quantize(layers: Layers, params: Any) -> Any:
    """Rounds the weights of LSTMs and GRUs to 8 bits, with a scale for each output channel.

    Each call rounds inputs and states to 8 bits, too, with a scale for each row (dynamic
    quantisation), and multiplies whole numbers. Native kernels read a quarter of the memory so.
    Pass the result in place of `params` to any forward pass, on any backend; `prepare` packs it
    once for many calls. Biases, embeddings, readouts, and the norms and projections of layers stay
    as they are.

    Args:
      layers: the layers of a stack or a model, all of them `LSTM` or `GRU`, with noise or without;
        for one layer its cell, or a `Bi` of cells.
      params: those of `layers`, as `prepare` takes them.

    Returns:
      `params` in float32, with a `QuantizedMatrix` in place of `w_x` and `w_h` of each direction.
      It cannot be differentiated.

    Raises:
      ValueError: if `params` are not those of `layers`, or a cell is neither LSTM nor GRU.

    Example:
      >>> from birnn_jax import serving
      >>> params = init_bidirectional(LSTM, jax.random.key(0), input_size=3, hidden_size=4)
      >>> small = serving.quantize(LSTM, params)
      >>> small.fwd.w_h.values.dtype, small.fwd.w_h.scale.shape
      (dtype('int8'), (16,))
      >>> xs = jax.random.normal(jax.random.key(1), [2, 5, 3])
      >>> error = bidirectional(LSTM, small, xs)[1] - bidirectional(LSTM, params, xs)[1]
      >>> bool(jnp.abs(error).max() < 0.01)
      True

    References:
      Jacob et al., Quantization and Training of Neural Networks for Efficient
      Integer-Arithmetic-Only Inference, 2018; Wu et al., Integer Quantization for Deep Learning
      Inference: Principles and Empirical Evaluation, 2020 (a scale for each channel).
    """
    return map_directions(layers, params, _quantize_direction)


def _quantize_direction(cell: Cell, params: Params) -> Params:
    step = cell.step.step if isinstance(cell.step, NoisyStep) else cell.step
    if step not in _STEPS:
        raise ValueError(
            f"quantize rounds the weights of LSTM and GRU, got {cell!r}. Quantise the layers of "
            "these cells by themselves, or leave this stack as it is."
        )
    params = unprepared(params)
    if has_quantized(params):
        return params
    check_kind(cell, params)
    as_inputs(cell, params, jnp.zeros((1, 1, jnp.shape(params.w_x)[0])))
    if params.w_h.shape[0] != cell.init_carry(params).h.shape[-1]:
        raise ValueError(
            "quantize takes recurrent weights without heads, got w_h of shape "
            f"{params.w_h.shape}. Leave these parameters as they are."
        )
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
    return params._replace(w_x=quantize_matrix(params.w_x), w_h=quantize_matrix(params.w_h))
