"""The flat weights of `jax.experimental.rnn.lstm`, which is cuDNN's LSTM.

Gates are i, f, g, o in rows, as in PyTorch. The vector holds the matrices of all layers and
directions first, then all biases; of each pair that of the input comes first.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from .._stacks.layer import LayerParams, Layers, as_layers
from ._layers import Imported, as_numpy
from .torch import from_torch, to_torch


def from_cudnn(
    weights: jax.Array,
    *,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bidirectional: bool,
) -> Imported:
    """Layers and parameters of `LSTM` from the vector.

    Args:
      weights: the vector; on ROCm, as it was before `swap_lstm_gates`.
      input_size: as given to `lstm`.
      hidden_size: as given to `lstm`.
      num_layers: as given to `lstm`.
      bidirectional: as given to `lstm`.

    Raises:
      ValueError: if the vector has not the length that the sizes need.

    Example:
      >>> from birnn_jax.interop.cudnn import from_cudnn
      >>> layers, params = from_cudnn(
      ...     jnp.ones(4 * 4 * (3 + 4 + 2)),
      ...     input_size=3, hidden_size=4, num_layers=1, bidirectional=False,
      ... )
      >>> layers == (Layer(LSTM, direction="fwd"),), params[0].rnn.b[0].item()
      (True, 2.0)
    """
    shapes = _shapes(input_size, hidden_size, num_layers, bidirectional)
    ends = np.cumsum([np.prod(shape) for shape in shapes.values()])
    flat = as_numpy(weights)
    if flat.shape != (ends[-1],):
        raise ValueError(
            f"weights must be a vector of {ends[-1]} for {input_size=}, {hidden_size=}, "
            f"{num_layers=}, {bidirectional=}, got shape {flat.shape}. Likely cause: another number"
            " of directions or layers, or one bias where cuDNN has two."
        )
    parts = np.split(flat, ends[:-1])
    return from_torch(
        {key: part.reshape(shape) for part, (key, shape) in zip(parts, shapes.items(), strict=True)}
    )


def to_cudnn(layers: Layers, params: Sequence[LayerParams]) -> jax.Array:
    """The vector of weights for `jax.experimental.rnn.lstm`, which computes in float32.

    Args:
      layers: of `LSTM`, all of one size, as in `birnn_jax.interop.torch.to_torch`.
      params: of the layers.

    Raises:
      ValueError: for another cell, or a stack that is no module of `torch.nn`.

    Example:
      >>> from birnn_jax.interop.cudnn import to_cudnn
      >>> layers = (Layer(LSTM),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> to_cudnn(layers, params).shape
      (288,)
    """
    layers = as_layers(layers)
    state_dict = to_torch(layers, params)
    rows, hidden_size = state_dict["weight_hh_l0"].shape
    if rows != 4 * hidden_size or "weight_hr_l0" in state_dict:
        raise ValueError("jax.experimental.rnn has the LSTM of cuDNN and no other cell.")
    input_size = state_dict["weight_ih_l0"].shape[1]
    keys = _shapes(input_size, hidden_size, len(layers), layers[0].direction == "both")
    return jnp.asarray(np.concatenate([state_dict[key].ravel() for key in keys]))


def _shapes(
    input_size: int, hidden_size: int, num_layers: int, bidirectional: bool
) -> dict[str, tuple[int, ...]]:
    """The name in PyTorch and the shape of each part of the vector, in its order."""
    suffixes = ["", "_reverse"] if bidirectional else [""]
    ends = [f"_l{index}{suffix}" for index in range(num_layers) for suffix in suffixes]
    rows = 4 * hidden_size
    shapes = {}
    for end in ends:
        columns = input_size if end in ("_l0", "_l0_reverse") else hidden_size * len(suffixes)
        shapes |= {f"weight_ih{end}": (rows, columns), f"weight_hh{end}": (rows, hidden_size)}
    for end in ends:
        shapes |= {f"bias_ih{end}": (rows,), f"bias_hh{end}": (rows,)}
    return shapes
