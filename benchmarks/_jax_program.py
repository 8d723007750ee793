"""A point on JAX, for every framework that stands on it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import _measure
from benchmarks._points import Point
from benchmarks.peers import Layer, Program

PRECISIONS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "default"}


def make_program(point: Point, inputs: dict, layer: Layer) -> Program:
    """Compiled ahead of time; arguments are arguments, and all results are waited for.

    Where a layer holds its parameters, these are constants of the program.
    """
    jax.config.update("jax_default_matmul_precision", PRECISIONS[point.precision])
    dtype = jnp.bfloat16 if point.precision == "bfloat16" else jnp.float32
    weights, xs, d_ys = jax.tree.map(
        lambda array: jnp.asarray(array, dtype), (inputs["weights"], inputs["xs"], inputs["d_ys"])
    )
    lengths = None if inputs["lengths"] is None else jnp.asarray(inputs["lengths"])
    params = [layer.to_params(pair) for pair in weights]
    is_forward = point.work == "forward"
    function = functools.partial(_forward if is_forward else _train, layer)
    args = (params, xs, lengths, make_draw(point))
    args = args if is_forward else (*args, d_ys)
    if layer.holds_params:
        function, args = functools.partial(function, params), args[1:]
    jitted = jax.jit(function)
    trace_s, lowered = _measure.timed(lambda: jitted.lower(*args))
    compile_s, compiled = _measure.timed(lowered.compile)

    def call() -> Any:
        return jax.block_until_ready(compiled(*args))

    def results() -> dict:
        out = call()
        if is_forward:
            return {"ys": jax.device_get(out.astype(jnp.float32))}
        _, (d_params, d_xs) = out
        to_params = lambda weights: [layer.to_params(pair) for pair in weights]  # noqa: E731
        (d_weights,) = jax.vjp(to_params, weights)[1](d_params)
        as_float = lambda leaf: jax.device_get(leaf.astype(jnp.float32))  # noqa: E731
        return jax.tree.map(as_float, {"d_xs": d_xs, "d_weights": d_weights})

    memory = compiled.memory_analysis()
    facts = {
        "compile_s": trace_s + compile_s,
        "trace_s": trace_s,
        "temp_bytes": getattr(memory, "temp_size_in_bytes", None),
        "device": jax.devices()[0].device_kind,
    }
    return Program(call, results, facts)


def make_draw(point: Point) -> dict:
    """What `apply` takes beside its inputs: the key of a layer that draws noise."""
    return {"key": jax.random.key(0)} if point.has_noise else {}


def _forward(layer: Layer, params: Any, xs: Any, lengths: Any, draw: dict) -> Any:
    for layer_params in params:
        xs = layer.apply(layer_params, xs, lengths, **draw)
    return xs


def _train(layer: Layer, params: Any, xs: Any, lengths: Any, draw: dict, d_ys: Any) -> Any:
    def loss(params, xs):
        return (_forward(layer, params, xs, lengths, draw) * d_ys).sum()

    return jax.value_and_grad(loss, (0, 1))(params, xs)


def make_gemm(size: int) -> Program:
    """The product of two float32 matrices of this size."""
    a, b = jax.random.normal(jax.random.key(0), [2, size, size])
    multiply = jax.jit(jnp.matmul).lower(a, b).compile()
    return Program(lambda: jax.block_until_ready(multiply(a, b)), dict, {})
