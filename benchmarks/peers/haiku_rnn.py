"""dm-haiku: `hk.dynamic_unroll` of its cores in both directions.

`dynamic_unroll` takes no lengths: its user turns the rows around for the second direction.
"""

from typing import Any

import haiku as hk
import jax.numpy as jnp

from benchmarks._points import Point
from benchmarks.peers import Layer, require
from benchmarks.peers._jax_steps import flip


def make_layer(point: Point) -> Layer:
    """Its GRU resets before the product, and its vanilla cell is a ReLU."""
    require(point, "haiku", TO_CELL)
    cores = {"lstm": hk.LSTM, "gru_reset_before": hk.GRU, "relu_elman": hk.VanillaRNN}
    core_type, hidden_size = cores[point.cell], point.shape[3]

    def run(name, xs):
        core = core_type(hidden_size, name=name)
        ys: Any = hk.dynamic_unroll(core, xs, core.initial_state(xs.shape[0]), time_major=False)[0]
        return ys

    def unroll(xs, lengths):
        bwd = flip(run("bwd", flip(xs, lengths)), lengths)
        return jnp.concatenate([run("fwd", xs), bwd], axis=-1)

    transformed = hk.without_apply_rng(hk.transform(unroll))

    def to_params(pair):
        return {
            name + module: leaves
            for name, direction in zip(("fwd", "bwd"), pair, strict=True)
            for module, leaves in TO_CELL[point.cell](direction).items()
        }

    return Layer(to_params, transformed.apply)


def _to_vanilla(direction: dict) -> dict:
    """Its two biases are one here."""
    return {
        "/linear": {"w": direction["w_x"], "b": direction["b"]},
        "/linear_1": {"w": direction["w_h"], "b": 0 * direction["b"]},
    }


def _to_gru(direction: dict) -> dict:
    """Gates in the order z r n, and its z takes the candidate: 1 - z of ours."""

    def reorder(leaf):
        r, z, n = jnp.split(leaf, 3, axis=-1)
        return jnp.concatenate([-z, r, n], axis=-1)

    names = {"w_i": "w_x", "w_h": "w_h", "b": "b"}
    return {"": {name: reorder(direction[ours]) for name, ours in names.items()}}


def _to_lstm(direction: dict) -> dict:
    """Gates in the order i g f o, and 1 is added to f inside the step."""

    def reorder(leaf):
        i, f, g, o = jnp.split(leaf, 4, axis=-1)
        return jnp.concatenate([i, g, f, o], axis=-1)

    size = direction["w_h"].shape[0]
    forget = jnp.zeros_like(direction["b"]).at[size : 2 * size].set(1)
    w = jnp.concatenate([direction["w_x"], direction["w_h"]])
    return {"/linear": {"w": reorder(w), "b": reorder(direction["b"] - forget)}}


TO_CELL = {"lstm": _to_lstm, "gru_reset_before": _to_gru, "relu_elman": _to_vanilla}
