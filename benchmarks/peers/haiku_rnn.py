"""dm-haiku: `hk.dynamic_unroll` of its LSTM in both directions."""

import haiku as hk
import jax.numpy as jnp

from benchmarks._points import Point
from benchmarks.peers import Layer, Unsupported


def make_layer(point: Point) -> Layer:
    """Its GRU resets before the product and its vanilla cell is a ReLU: other work."""
    if point.cell != "lstm":
        raise Unsupported("haiku's GRU resets before the product, its vanilla RNN is a ReLU.")
    if point.lengths:
        raise Unsupported("haiku's dynamic_unroll takes no lengths.")
    hidden_size = point.shape[3]

    def unroll(xs):
        ys = []
        for reverse in (False, True):
            core = hk.LSTM(hidden_size, name="bwd" if reverse else "fwd")
            state = core.initial_state(xs.shape[0])
            ys.append(hk.dynamic_unroll(core, xs, state, time_major=False, reverse=reverse)[0])
        return jnp.concatenate(ys, axis=-1)

    transformed = hk.without_apply_rng(hk.transform(unroll))

    def to_params(pair):
        names = ("fwd/linear", "bwd/linear")
        return {name: _to_cell(direction) for name, direction in zip(names, pair, strict=True)}

    return Layer(to_params, lambda params, xs, lengths: transformed.apply(params, xs))


def _to_cell(direction: dict) -> dict:
    """Gates in the order i g f o, and 1 is added to f inside the step."""

    def reorder(leaf):
        i, f, g, o = jnp.split(leaf, 4, axis=-1)
        return jnp.concatenate([i, g, f, o], axis=-1)

    size = direction["w_h"].shape[0]
    forget = jnp.zeros_like(direction["b"]).at[size : 2 * size].set(1)
    w = jnp.concatenate([direction["w_x"], direction["w_h"]])
    return {"w": reorder(w), "b": reorder(direction["b"] - forget)}
