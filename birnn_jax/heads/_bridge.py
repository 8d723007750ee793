"""From the final states of an encoder to the state from which a decoder starts."""

import math

import jax
import jax.numpy as jnp

from .._core.affine import AffineParams, affine, init_affine
from .._core.checks import as_size, check_cell, check_key
from .._core.describe import describe
from .._core.meshes import over_rows
from .._core.types import Carry, Cell

BridgeParams = Carry
"""The carry of the decoder's cell, with `AffineParams` in place of each array."""


def init_bridge(cell: Cell, key: jax.Array, *, input_size: int, hidden_size: int) -> BridgeParams:
    """Makes the parameters of `bridge`, Glorot-uniform with zero bias.

    Args:
      cell: of the decoder; every array of its carry is a vector.
      key: consumed.
      input_size: features of the encoder's carry, all its arrays together: 2H for a bidirectional
        GRU of size H, 4H for an LSTM, which has h and c.
      hidden_size: hidden units of the decoder's cell.

    Returns:
      The carry of the cell, with `AffineParams` in place of each array.

    Raises:
      ValueError: if the carry of the cell has an array that is no vector of floats.

    Example:
      >>> from birnn_jax.heads import init_bridge
      >>> params = init_bridge(LSTM, jax.random.key(0), input_size=8, hidden_size=5)
      >>> params.c.w.shape, params.h.b.shape
      ((8, 5), (5,))
    """
    check_cell(cell)
    check_key(key)
    input_size, hidden_size = as_size("input_size", input_size), as_size("hidden_size", hidden_size)
    carry = jax.eval_shape(lambda key: cell.init_carry(cell.init(key, 1, hidden_size)), key)
    leaves, structure = jax.tree.flatten(carry)
    for leaf in leaves:
        if leaf.ndim != 1 or not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(
                "A bridge leads to a carry of vectors of floats, but the cell has one of shape "
                f"{leaf.shape} and {leaf.dtype}. Give such a decoder its carry by hand."
            )
    keys = jax.random.split(key, len(leaves))
    maps = [init_affine(k, input_size, leaf.size) for k, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, maps)


@over_rows("carry")
def bridge(params: BridgeParams, carry: Carry) -> Carry:
    """The carry from which a decoder starts, each of its arrays a learned map of an encoder's.

        s = all arrays of the encoder's carry, one after the other
        h[0] = tanh(s w_h + b_h), and c[0] = tanh(s w_c + b_c) where the decoder's cell has a c

    Args:
      params: from `init_bridge`.
      carry: of a layer of the encoder, leaves `[B, ...]`: a `Bi` of both directions, or one of
        them; Bahdanau et al. take the backward state, `carry.bwd`.

    Returns:
      A carry of the decoder's cell with leaves `[B, H]`, as `initial_carry` in `scan_cell`. A row
      of length 0 has what comes of the encoder's initial carry.

    Raises:
      ValueError: if the carry is not of the size for which the parameters were made.

    Example:
      >>> from birnn_jax.heads import bridge, init_bridge
      >>> encoder = init_bidirectional(LSTM, jax.random.key(0), input_size=3, hidden_size=4)
      >>> carry, _ = bidirectional(LSTM, encoder, jnp.ones([2, 6, 3]), jnp.array([6, 2]))
      >>> params = init_bridge(GRU, jax.random.key(1), input_size=16, hidden_size=5)
      >>> decoder = GRU.init(jax.random.key(2), 3, 5)
      >>> _, ys = scan_cell(GRU, decoder, jnp.ones([2, 7, 3]), initial_carry=bridge(params, carry))
      >>> ys.shape
      (2, 7, 5)

    References:
      Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and
      Translate, 2015, appendix A.2.2 (h from the backward state).
    """
    if not all(map(_is_map, jax.tree.leaves(params, is_leaf=_is_map))):
        raise ValueError(
            "params must hold AffineParams for each array of a carry, as init_bridge makes them, "
            f"got {describe(params)}."
        )
    arrays = [
        leaf.reshape(leaf.shape[0], math.prod(leaf.shape[1:])) for leaf in jax.tree.leaves(carry)
    ]
    state = jnp.concatenate(arrays, axis=1)
    for part in jax.tree.leaves(params, is_leaf=_is_map):
        if part.w.shape[0] != state.shape[1]:
            raise ValueError(
                f"The encoder's carry has {state.shape[1]} features, but the bridge was made for "
                f"{part.w.shape[0]}: h and c of both directions count together."
            )
    return jax.tree.map(lambda part: jnp.tanh(affine(part, state)), params, is_leaf=_is_map)


def _is_map(node: object) -> bool:
    return isinstance(node, AffineParams)
