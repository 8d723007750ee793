"""The right results: the definition of birnn_jax in float64, held to NumPy loops by its tests.

Noise is drawn anew for each dtype, so its reference is in float32.
"""

import jax
import jax.numpy as jnp

from benchmarks import _weights
from benchmarks._jax_program import make_draw
from benchmarks._points import Point
from benchmarks.peers import birnn


def compute(point: Point) -> dict:
    """`ys`, or `d_xs` and `d_weights`, as NumPy arrays."""
    jax.config.update("jax_enable_x64", not point.has_noise)
    inputs = _weights.make_inputs(point)
    layer = birnn.make_layer(point, backend="reference")
    dtype = jnp.float32 if point.has_noise else jnp.float64
    weights, xs, d_ys = jax.tree.map(
        lambda array: jnp.asarray(array, dtype),
        (inputs["weights"], inputs["xs"], inputs["d_ys"]),
    )

    draw = make_draw(point)

    def run(weights, xs):
        for pair in weights:
            xs = layer.apply(layer.to_params(pair), xs, inputs["lengths"], **draw)
        return xs

    if point.work == "forward":
        return {"ys": jax.device_get(jax.jit(run)(weights, xs))}
    grad = jax.jit(jax.grad(lambda *args: (run(*args) * d_ys).sum(), (0, 1)))
    d_weights, d_xs = jax.device_get(grad(weights, xs))
    return {"d_weights": d_weights, "d_xs": d_xs}
