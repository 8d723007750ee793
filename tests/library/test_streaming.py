"""A forward stack in pieces is the whole sequence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM, Layer, stack, streaming
from tests.library import _oracles
from tests.library._cases import (
    CLOCKED,
    LENGTHS,
    STEPS,
    B,
    T,
    assert_close,
    random_xs,
    weigh,
)
from tests.library._streams import MORE, random_carry, random_stack

FORWARD = tuple(Layer(cell, direction="fwd") for cell in (LSTM, CLOCKED, GRU))
jit_stack = jax.jit(stack, static_argnums=0)
jit_step = jax.jit(streaming.step, static_argnums=0)


def test_steps_of_a_stack_are_the_whole_sequence_of_the_loop(x64):
    params, xs = random_stack(FORWARD, "float64"), random_xs(dtype="float64")
    carry = random_carry(FORWARD, params)
    plan = [("fwd", STEPS[layer.cell], None) for layer in FORWARD]
    want = _oracles.stack(plan, params, xs, np.full(B, T), carry)
    ys = []
    for t in range(T):
        carry, y = jit_step(FORWARD, params, carry, xs[:, t])
        ys.append(y)
    assert_close((list(carry), jnp.stack(ys, axis=1)), want, "float64")


def test_steps_are_compiled_once_from_the_initial_carry_on():
    traces = []

    @jax.jit
    def step(carry, x):
        traces.append(None)
        return streaming.step(FORWARD, params, carry, x)

    params = random_stack(FORWARD, "bfloat16")
    carry = streaming.initial_carry(FORWARD, params, B)
    for t in range(T):
        carry, _ = step(carry, random_xs()[:, t])
    assert len(traces) == 1


@pytest.mark.parametrize(("residuals", "size"), [("gates", 2), ("states", 3), ("chunked", 4)])
def test_ragged_batch_in_pieces_equals_the_whole_in_values_and_gradients(residuals, size, x64):
    layers = (Layer(LSTM, direction="fwd", residuals=residuals), Layer(GRU, direction="fwd"))
    params, xs = random_stack(layers, "float64"), random_xs(dtype="float64")
    carry = random_carry(layers, params)

    def in_pieces(params, xs, carry):
        ys = []
        for start in range(0, T, size):
            piece = xs[:, start : start + size]
            carry, y = stack(layers, params, piece, LENGTHS - start, initial_carry=carry)
            ys.append(y)
        return carry, jnp.concatenate(ys, axis=1)

    def whole(params, xs, carry):
        return stack(layers, params, xs, LENGTHS, initial_carry=carry)

    def run(function):
        grads = jax.grad(lambda *args: weigh(function(*args)), (0, 1, 2))
        return jax.jit(lambda *args: (function(*args), grads(*args)))(params, xs, carry)

    assert_close(run(in_pieces), run(whole), "float64")


def test_step_refuses_a_stack_that_looks_backwards():
    layers = (Layer(LSTM),)
    with pytest.raises(ValueError, match="Use latency_controlled_step"):
        streaming.step(layers, random_stack(layers), (None,), random_xs()[:, 0])


def test_step_refuses_a_sequence():
    with pytest.raises(ValueError, match=r"\[B, D\], got shape \(3, 5, 2\)"):
        streaming.step(FORWARD, random_stack(FORWARD), (None,) * 3, random_xs())


def test_a_learned_carry_stands_before_the_first_step():
    layers = (MORE[0], Layer(LSTM, direction="fwd", learned_carry=True))
    params = random_stack(layers)
    carry = streaming.initial_carry(layers, params, B)
    want = (params[0].initial.fwd, params[1].initial)
    assert_close(jax.tree.map(lambda leaf: leaf[1], carry), want)


def test_layers_that_subsample_are_refused():
    layers = (Layer(ELMAN, direction="fwd", subsample=2),)
    params = random_stack(layers)
    carry = streaming.initial_carry(layers, params, B)
    with pytest.raises(ValueError, match="cannot be run step by step"):
        streaming.step(layers, params, carry, random_xs()[:, 0])
