"""The kernels for TPUs: interpreted step by step on this machine, and what stands for them here."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl

from birnn_jax import ELMAN, GRU, LSTM, Bi, bidirectional, init_bidirectional
from birnn_jax.cells import SLSTM
from birnn_jax.kernels.tpu import time_loop
from tests.library import _races
from tests.library._cases import assert_close
from tests.library._races import Sizes, compare_with_definition, make_directions, tpu_race_detector

SIZES = Sizes(rows=3, steps=5, features=7, hidden=9)
B, T, D, H = SIZES
IDS = jnp.array([[1, 1, 2, 2, 0], [1, 2, 2, 3, 3], [0, 1, 1, 0, 2]])
RNG = np.random.default_rng(0)
random_like = functools.partial(_races.random_like, RNG)


def shapes_of_params(cell, hidden_size):
    init = functools.partial(init_bidirectional, cell, input_size=D, hidden_size=hidden_size)
    return jax.eval_shape(init, jax.random.key(0))


@pytest.mark.parametrize(
    ("cell", "given", "keep_gates", "most_steps"),
    [
        (LSTM, {"ids": IDS}, True, 3),  # blocks of 3 and 2 steps
        (GRU, {"lengths": [2, 5, 3]}, False, 16),
        (ELMAN, {}, True, 3),
        (SLSTM, {"lengths": [5, 2, 0]}, True, 16),
    ],
)
def test_one_launch_gives_the_results_and_gradients_of_the_definition(
    cell, given, keep_gates, most_steps, monkeypatch
):
    monkeypatch.setattr(time_loop, "MAX_STEPS", most_steps)
    directions = make_directions(RNG, cell, SIZES, **given)
    assert compare_with_definition(RNG, directions, keep_gates) == ""


def test_race_between_two_directions_is_found(monkeypatch):
    def whole(tree):  # all directions in the place of the first
        first = lambda leaf: lambda direction, block: (0,) * leaf.ndim  # noqa: E731
        leaves = jax.tree.leaves(tree)
        return [pl.BlockSpec((1, *leaf.shape[1:]), first(leaf)) for leaf in leaves]

    monkeypatch.setattr(time_loop, "_whole", whole)
    step = lambda weights, state, inputs: (state + inputs[0], (state,))  # noqa: E731
    xs = random_like(jnp.zeros([2, 2, 8, 128]))
    streams = time_loop.Streams(xs, (False, False)), time_loop.Streams(xs, (False, False))
    run = functools.partial(time_loop.run_steps, step, ())
    with tpu_race_detector(cores=2) as said:
        jax.block_until_ready(run(xs[:, 0], streams[:1], streams[1:]))
    assert "RACE DETECTED" in said.getvalue()


@pytest.mark.parametrize("moves", ["xs", "all"])
def test_on_other_platforms_the_loops_of_xla_stand_for_it(moves):
    params = random_like(shapes_of_params(LSTM, H))
    zeros = jax.tree.map(lambda leaf: jnp.zeros([B, H]), LSTM.init_carry(params.fwd))
    carry = random_like(Bi(zeros, zeros))
    fixed = {"params": params, "xs": random_like(jnp.zeros([B, T, D])), "carry": carry}
    moving = fixed if moves == "all" else {moves: fixed[moves]}

    def run(moving, backend):
        given = fixed | moving
        carry, ys = bidirectional(
            *(LSTM, given["params"], given["xs"], jnp.array([5, 2, 0])),
            initial_carry=given["carry"],
            backend=backend,
        )
        return jnp.square(ys).sum() + sum(jnp.sin(leaf).sum() for leaf in jax.tree.leaves(carry))

    @functools.partial(jax.jit, static_argnums=1)
    def derive(tangents, backend):
        if moves == "all":
            return jax.grad(run)(moving, backend)
        return jax.jvp(lambda moving: run(moving, backend), (moving,), (tangents,))

    tangents = random_like(moving)
    assert_close(derive(tangents, "tpu_kernel"), derive(tangents, "xla"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"xs": jnp.zeros([B, 0, D])}, "at least one row, one step and one feature"),
        ({"xs": jnp.zeros([4096, 2, D])}, r"needs [\d,]+ bytes of VMEM .* limit is 67,108,864"),
    ],
)
def test_layer_that_it_cannot_compute_is_refused_in_a_sentence(change, sentence):
    given = {"xs": jnp.zeros([B, T, D]), "lengths": None} | change
    params = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes_of_params(LSTM, 256)
    )
    with pytest.raises(ValueError, match=f"backend='tpu_kernel' .*{sentence}"):
        bidirectional(LSTM, params, **given, backend="tpu_kernel")
