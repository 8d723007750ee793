"""The right results: the plain scan of birnn_jax in float64, held to NumPy loops by its tests."""

import jax
import jax.numpy as jnp

from benchmarks import _weights
from benchmarks._points import Point
from benchmarks.peers import birnn


def compute(point: Point) -> dict:
    """`ys`, or `d_xs` and `d_weights`, as NumPy arrays."""
    jax.config.update("jax_enable_x64", True)
    inputs = _weights.make_inputs(point)
    layer = birnn.make_layer(point, plain=True)
    weights, xs, d_ys = jax.tree.map(
        lambda array: jnp.asarray(array, jnp.float64),
        (inputs["weights"], inputs["xs"], inputs["d_ys"]),
    )

    def run(weights, xs):
        for pair in weights:
            xs = layer.apply(layer.to_params(pair), xs, inputs["lengths"])
        return xs

    if point.work == "forward":
        return {"ys": jax.device_get(jax.jit(run)(weights, xs))}
    grad = jax.jit(jax.grad(lambda *args: (run(*args) * d_ys).sum(), (0, 1)))
    d_weights, d_xs = jax.device_get(grad(weights, xs))
    return {"d_weights": d_weights, "d_xs": d_xs}
