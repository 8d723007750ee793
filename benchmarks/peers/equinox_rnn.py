"""equinox: its cells in `lax.scan` under `vmap`, as its documents show."""

import equinox as eqx
import jax
import jax.numpy as jnp

from benchmarks._points import Point
from benchmarks.peers import Layer, Unsupported, require


def make_layer(point: Point) -> Layer:
    """It has cells only: direction and batch are the user's."""
    require(point, "equinox", ("gru", "lstm"))
    if point.lengths:
        raise Unsupported("equinox has cells only, lengths are the user's own work.")
    make = {"gru": eqx.nn.GRUCell, "lstm": eqx.nn.LSTMCell}[point.cell]
    hidden_size = point.shape[3]

    def to_params(pair):
        return tuple(_to_cell(point.cell, direction) for direction in pair)

    def scan(params, xs, reverse):
        shape = jax.eval_shape(lambda: make(xs.shape[-1], hidden_size, key=jax.random.key(0)))
        cell = jax.tree.unflatten(jax.tree.structure(shape), params)
        zeros = jnp.zeros(hidden_size, xs.dtype)

        def step(state, x):
            state = cell(x, state)
            return state, state[0] if point.cell == "lstm" else state

        state = (zeros, zeros) if point.cell == "lstm" else zeros
        return jax.lax.scan(step, state, xs, reverse=reverse)[1]

    def apply(params, xs, lengths):
        del lengths
        over_rows = jax.vmap(scan, in_axes=(None, 0, None))
        pairs = zip(params, (False, True), strict=True)
        ys = [over_rows(direction, xs, reverse) for direction, reverse in pairs]
        return jnp.concatenate(ys, axis=-1)

    return Layer(to_params, apply)


def _to_cell(cell: str, direction: dict) -> list[jax.Array]:
    """The leaves of the cell in their order."""
    leaves = [direction["w_x"].T, direction["w_h"].T, direction["b"]]
    if cell == "gru":
        leaves.append(0 * direction["b"][: direction["w_h"].shape[0]])
    return leaves
