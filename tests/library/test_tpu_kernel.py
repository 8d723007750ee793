"""The kernels for TPUs: interpreted step by step on this machine, and what stands for them here."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu as pltpu

from birnn_jax import ELMAN, GRU, LSTM, Bi, Segments, bidirectional, init_bidirectional
from birnn_jax._core.direction import Direction
from birnn_jax.kernels.moving import join, parts_of, replace_parts, split_directions
from birnn_jax.kernels.operation import Operands
from birnn_jax.kernels.reference import loop as reference
from birnn_jax.kernels.tpu import layer
from tests.library._cases import assert_close

B, T, D, H = 3, 5, 7, 9
RNG = np.random.default_rng(0)


def random_like(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape), leaf.dtype), tree)


def shapes_of_params(cell, hidden_size):
    init = functools.partial(init_bidirectional, cell, input_size=D, hidden_size=hidden_size)
    return jax.eval_shape(init, jax.random.key(0))


def make_directions(cell, lengths):
    params = jax.tree.map(lambda leaf: leaf / 2, random_like(shapes_of_params(cell, H)))
    carry = cell.init_carry(params.fwd)
    carry = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (B, H)), carry)
    valid = None
    if lengths is not None:
        valid = jnp.asarray(np.arange(T) < np.array(lengths)[:, None])
    return tuple(
        Direction(cell, reverse, params=p, carry=random_like(carry), xs=xs, valid=valid)
        for p, reverse in zip(params, (False, True), strict=True)
        for xs in [random_like(jax.ShapeDtypeStruct((B, T, D), jnp.float32))]
    )


@pytest.mark.parametrize(
    ("cell", "lengths", "keep_gates"),
    [(LSTM, [5, 2, 0], True), (GRU, [2, 5, 3], False), (ELMAN, None, True)],
)
def test_one_launch_gives_the_results_and_gradients_of_the_definition(cell, lengths, keep_gates):
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
        stored, got, *_ = forward(Operands(shared, rows))
        backward = jax.jit(lambda operands: layer.launch_backward(wanted, operands))
        grads = backward(Operands((shared, stored), (rows, got), d_rows=cts))
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
        ({"lengths": Segments(jnp.ones([B, T], jnp.int32))}, "without Segments"),
    ],
)
def test_layer_that_it_cannot_compute_is_refused_in_a_sentence(change, sentence):
    given = {"xs": jnp.zeros([B, T, D]), "lengths": None} | change
    params = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes_of_params(LSTM, 256)
    )
    with pytest.raises(ValueError, match=f"backend='tpu_kernel' .*{sentence}"):
        bidirectional(LSTM, params, **given, backend="tpu_kernel")
