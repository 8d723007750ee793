"""Weights that are packed once for many calls."""

from typing import Any

from .._recurrence.directions import prepare_direction
from .._stacks.layer import Layers
from ._directions import map_directions


def prepare(layers: Layers, params: Any) -> Any:
    """Packs the weights of `layers` once, for many forward runs.

    The native CPU kernels read weights in a layout of their own, and without this pack them in
    every call: a tenth to a half of the time of one sequence. Pass the result in place of `params`
    to `stack`, `bidirectional`, `scan_cell`, the models and `birnn_jax.streaming`, inside `jax.jit`
    and outside: the outputs are the same. Where no native kernel computes a layer, it runs as it
    would with `params`.

    Args:
      layers: the layers of a stack or a model; for one layer its cell, or a `Bi` of cells.
      params: from `init_stack`, of a model with such a stack, from `init_bidirectional`, or of one
        direction, as `scan_cell` takes them.

    Returns:
      `params` with a `PreparedParams` in place of the parameters of each direction: a tree of
      arrays, of twice the size. It cannot be differentiated, and belongs to this machine: save
      `params`.

    Raises:
      ValueError: if `params` are not those of `layers`.

    Example:
      >>> from birnn_jax import serving
      >>> layers = (Layer(LSTM),) * 2
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> xs = jax.random.normal(jax.random.key(1), [1, 5, 3])
      >>> prepared = serving.prepare(layers, params)
      >>> serve = jax.jit(lambda xs: stack(layers, prepared, xs)[1])
      >>> bool(jnp.allclose(serve(xs), stack(layers, params, xs)[1], atol=1e-6))
      True
    """
    return map_directions(layers, params, prepare_direction)
