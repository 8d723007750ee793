"""JAX transformations of the default path, for a built-in cell and for a user's own."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import LSTM, bidirectional
from tests.library._cases import (
    CLOCKED,
    LENGTHS,
    D,
    T,
    assert_close,
    jit_bidirectional,
    outputs_and_grads,
    random_inputs,
    random_like,
    random_xs,
    weigh,
)

CELLS = pytest.mark.parametrize("cell", [LSTM, CLOCKED], ids=["lstm", "clocked"])


@CELLS
def test_vmap_adds_batch_dimensions(cell):
    params = random_inputs(cell).params
    xs = random_xs(0, 4, 6, 8, T, D)
    lengths = np.random.default_rng(0).integers(0, T + 1, [4, 6, 8]).astype(np.int32)
    run = functools.partial(bidirectional, cell, params)
    carry, ys = jax.jit(jax.vmap(jax.vmap(run)))(xs, lengths)
    flat, ys_flat = jit_bidirectional(cell, params, xs.reshape(-1, T, D), lengths.reshape(-1))
    flat = jax.tree.map(lambda leaf: leaf.reshape(4, 6, 8, *leaf.shape[1:]), flat)
    assert_close((carry, ys), (flat, ys_flat.reshape(4, 6, 8, T, -1)))


def test_vmap_over_parameters_runs_an_ensemble():
    inputs = random_inputs(LSTM)
    other = random_like(inputs.params, 99)
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), inputs.params, other)
    run = jax.vmap(functools.partial(bidirectional, LSTM), in_axes=(0, None, None))
    _, ys = jax.jit(run)(both, inputs.xs, LENGTHS)
    for member, params in enumerate([inputs.params, other]):
        assert_close(ys[member], jit_bidirectional(LSTM, params, inputs.xs, LENGTHS)[1])


@pytest.mark.parametrize("backend", ["auto", "xla"])
def test_gradient_of_an_ensemble_is_those_of_its_members(backend):
    """Maps over parameters, in and around the gradient; the inputs are shared by all members."""
    params = random_inputs(LSTM).params
    xs = random_xs()
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((2, 3, *leaf.shape), leaf.dtype), params
    )
    many = random_like(shapes, 99)

    def loss(params, xs):
        return weigh(bidirectional(LSTM, params, xs, LENGTHS, backend=backend))

    @jax.jit
    def derive(many, xs):
        ensemble = lambda *given: jnp.sum(jax.vmap(loss, (0, None))(*given))  # noqa: E731
        return jax.vmap(jax.grad(ensemble, (0, 1)), (1, None), (1, 0))(many, xs)

    of_params, of_xs = derive(many, xs)
    of_one = jax.jit(jax.grad(loss, (0, 1)))
    for j in range(3):
        total = 0
        for i in range(2):
            own, of_own_xs = of_one(jax.tree.map(lambda leaf, at=(i, j): leaf[at], many), xs)
            assert_close(jax.tree.map(lambda leaf, at=(i, j): leaf[at], of_params), own)
            total += of_own_xs
        assert_close(of_xs[j], total)


@CELLS
def test_jvp_is_the_transpose_of_the_gradient(cell):
    inputs = random_inputs(cell)
    primals = (inputs.params, inputs.xs, inputs.carry)
    tangents = random_like(primals, 5)

    def loss(params, xs, carry):
        return weigh(bidirectional(cell, params, xs, LENGTHS, initial_carry=carry))

    _, got = jax.jit(functools.partial(jax.jvp, loss))(primals, tangents)
    _, grads = outputs_and_grads(cell, *inputs)
    products = jax.tree.map(lambda g, t: np.vdot(g, t), grads, tangents)
    assert_close(got, np.float32(sum(jax.tree.leaves(products))))


def test_gradient_of_gradient_matches_hvp_and_finite_differences(x64):
    inputs = random_inputs(LSTM, dtype="float64")
    direction = random_xs(5, dtype="float64")

    def grad(xs):
        run = functools.partial(bidirectional, LSTM, inputs.params, lengths=LENGTHS, merge="mul")
        return jax.grad(lambda xs: weigh(run(xs)))(xs)

    @jax.jit
    def second_derivatives(xs):
        reverse_over_reverse = jax.grad(lambda xs: jnp.vdot(grad(xs), direction))(xs)
        _, forward_over_reverse = jax.jvp(grad, (xs,), (direction,))
        return reverse_over_reverse, forward_over_reverse

    reverse_over_reverse, forward_over_reverse = second_derivatives(inputs.xs)
    assert_close(reverse_over_reverse, forward_over_reverse, "float64")
    ahead, behind = map(jax.jit(grad), (inputs.xs + 1e-5 * direction, inputs.xs - 1e-5 * direction))
    np.testing.assert_allclose(forward_over_reverse, (ahead - behind) / 2e-5, atol=1e-7)


@CELLS
def test_remat_changes_no_gradient(cell):
    inputs = random_inputs(cell)

    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1, 2))
    @jax.checkpoint
    def grads(params, xs, carry):
        return weigh(bidirectional(cell, params, xs, LENGTHS, initial_carry=carry))

    _, want = outputs_and_grads(cell, *inputs)
    assert_close(grads(inputs.params, inputs.xs, inputs.carry), want)


def test_rows_may_be_sharded_over_devices():
    """In a process of its own: the number of devices is fixed before JAX starts."""
    env = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "4"}
    command = [sys.executable, "-W", "error", "-c", SHARDED]
    root = Path(__file__).parents[2]
    subprocess.run(command, env=env, cwd=root, check=True, timeout=300)


SHARDED = """
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from tests.library._cases import LSTM, D, T, assert_close, outputs_and_grads, random_inputs

inputs = random_inputs(LSTM, batch_size=8)._replace(lengths=np.array([5, 2, 0, 1, 3, 4, 5, 0]))
mesh = jax.make_mesh((4,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
by_rows = NamedSharding(mesh, PartitionSpec("rows"))
everywhere = NamedSharding(mesh, PartitionSpec())
sharded = inputs._replace(
    params=jax.device_put(inputs.params, everywhere),
    xs=jax.device_put(inputs.xs, by_rows),
    lengths=jax.device_put(inputs.lengths, by_rows),
    carry=jax.device_put(inputs.carry, by_rows),
)
(carry, ys), grads = outputs_and_grads(LSTM, *sharded)
assert len(ys.sharding.device_set) == 4
assert {shard.data.shape[0] for shard in ys.addressable_shards} == {2}, ys.sharding
assert_close(((carry, ys), grads), outputs_and_grads(LSTM, *inputs))
"""
