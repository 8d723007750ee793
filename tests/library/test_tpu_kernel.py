"""The kernels for TPUs: interpreted step by step on this machine, and what stands for them here."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu as pltpu

from birnn_jax import ELMAN, GRU, LSTM, Bi, Segments, bidirectional, init_bidirectional
from birnn_jax._core.direction import Direction, Starts
from birnn_jax._core.masks import segment_starts
from birnn_jax.cells import SLSTM
from birnn_jax.kernels.moving import join, parts_of, replace_parts, split_directions
from birnn_jax.kernels.operation import Operands
from birnn_jax.kernels.reference import loop as reference
from birnn_jax.kernels.tpu import layer, time_loop
from tests.library._cases import assert_close

B, T, D, H = 3, 5, 7, 9
RNG = np.random.default_rng(0)


def random_like(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape), leaf.dtype), tree)


def shapes_of_params(cell, hidden_size):
    init = functools.partial(init_bidirectional, cell, input_size=D, hidden_size=hidden_size)
    return jax.eval_shape(init, jax.random.key(0))


IDS = jnp.array([[1, 1, 2, 2, 0], [1, 2, 2, 3, 3], [0, 1, 1, 0, 2]])


def make_directions(cell, lengths):
    params = jax.tree.map(lambda leaf: leaf / 2, random_like(shapes_of_params(cell, H)))
    carry = cell.init_carry(params.fwd)
    carry = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (B, H)), carry)
    valid = starts = None
    if lengths == "segments":
        valid = IDS != 0
    elif lengths is not None:
        valid = jnp.asarray(np.arange(T) < np.array(lengths)[:, None])
    directions = []
    for p, reverse in zip(params, (False, True), strict=True):
        xs = random_like(jax.ShapeDtypeStruct((B, T, D), jnp.float32))
        if lengths == "segments":
            at = segment_starts(Segments(IDS), xs, reverse=reverse)
            assert at is not None
            starts = Starts(at, random_like(carry))
        directions.append(Direction(cell, reverse, p, random_like(carry), xs, valid, starts))
    return tuple(directions)


@pytest.mark.parametrize(
    ("cell", "lengths", "keep_gates", "most_steps"),
    [
        (LSTM, "segments", True, 3),  # blocks of 3 and 2 steps
        (GRU, [2, 5, 3], False, 16),
        (ELMAN, None, True, 3),
        (SLSTM, [5, 2, 0], True, 16),
    ],
)
def test_one_launch_gives_the_results_and_gradients_of_the_definition(
    cell, lengths, keep_gates, most_steps, monkeypatch
):
    monkeypatch.setattr(time_loop, "_MAX_STEPS", most_steps)
    directions = make_directions(cell, lengths)

    def define(parts):
        outputs = reference.run(replace_parts(directions, parts), True)
        return outputs.carries, outputs.join()

    parts = list(map(parts_of, directions))
    want, vjp = jax.vjp(jax.jit(define), parts)
    cts = random_like(want)
    shared, rows, *_ = split_directions(directions)
    wanted = tuple(jax.tree.map(lambda leaf: True, parts))
    with pltpu.force_tpu_interpret_mode(pltpu.InterpretParams(detect_races=True)):
        forward = jax.jit(lambda operands: layer.launch_forward(keep_gates, operands))
        got, stored = forward(Operands(shared, rows)).rows
        backward = jax.jit(lambda operands: layer.launch_backward(wanted, operands))
        grads = backward(Operands(shared, (rows, got[1], stored), d_rows=cts))
    assert_close(got, want)
    assert_close(join(grads.shared, grads.rows), vjp(cts)[0])


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
