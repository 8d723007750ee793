"""What JAX makes of the native CPU kernels is what it makes of the loops of XLA."""

import os
import re
import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from birnn_jax import GRU, LSTM, bidirectional
from birnn_jax._core.direction import Direction
from birnn_jax.cells import PARA_LSTM, SLSTM
from birnn_jax.kernels.cpu import layer
from birnn_jax.kernels.cpu import library as cpu
from birnn_jax.kernels.moving import split_directions
from tests.library._cases import (
    LENGTHS,
    B,
    D,
    H,
    T,
    assert_close,
    random_inputs,
    random_like,
    random_xs,
    weigh,
)

pytestmark = pytest.mark.skipif(not cpu.is_registered(), reason=cpu.load().note)

PARAMS = random_inputs(GRU).params
MANY_XS = random_xs(1, 4, B, T, D)


def loss_of(backend, lengths=LENGTHS):
    def loss(params, xs):
        return jnp.sin(bidirectional(GRU, params, xs, lengths, backend=backend)[1]).sum()

    return loss


def both(transform, *args):
    """Results of a transformed loss by either backend, and the operations of the native one."""
    got, want = (jax.jit(transform(loss_of(name)))(*args) for name in ("cpu_kernel", "xla"))
    assert_close(got, want)
    jaxpr = jax.make_jaxpr(transform(loss_of("cpu_kernel")))(*args)
    return {eqn.primitive.name for eqn in equations(jaxpr.jaxpr)}


def equations(jaxpr):
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jaxprs_in_params(eqn.params):
            yield from equations(inner)


def both_gradients(function):
    return jax.grad(function, (0, 1))


def test_gradient_runs_native():
    names = both(both_gradients, PARAMS, random_xs())
    assert {"birnn_forward", "birnn_backward"} <= names and "scan" not in names


def test_vmap_over_inputs_is_more_rows():
    names = both(lambda loss: jax.vmap(loss, (None, 1)), PARAMS, jnp.swapaxes(MANY_XS, 0, 1))
    assert "birnn_forward" in names and "scan" not in names


def test_gradient_of_a_vmap_is_more_rows():
    def transform(loss):
        return both_gradients(lambda params, xs: jax.vmap(loss, (None, 0))(params, xs).sum())

    names = both(transform, PARAMS, MANY_XS)
    assert "birnn_backward" in names and "scan" not in names


def test_gradients_by_inputs_under_vmap_are_more_rows():
    names = both(lambda loss: jax.vmap(jax.grad(loss, 1), (None, 0)), PARAMS, MANY_XS)
    assert "birnn_backward" in names and "scan" not in names


def test_gradients_by_parameters_of_each_example_are_right():
    both(lambda loss: jax.vmap(both_gradients(loss), (None, 0)), PARAMS, MANY_XS)


def test_ensemble_is_right():
    pair = jax.tree.map(lambda leaf: jnp.stack([leaf, 0.5 * leaf]), PARAMS)
    both(lambda loss: jax.vmap(both_gradients(loss), (0, None)), pair, random_xs())


def test_forward_mode_is_right():
    args = (PARAMS, random_xs())
    both(lambda loss: lambda *args: jax.jvp(loss, args, random_like(args, 3)), *args)


def test_hessian_times_vector_is_right():
    args = (PARAMS, random_xs())

    def transform(loss):
        return lambda *args: jax.jvp(both_gradients(loss), args, random_like(args, 3))

    both(transform, *args)


def test_gradient_of_a_gradient_is_right():
    def transform(loss):
        return both_gradients(lambda *args: (jax.grad(loss, 1)(*args) ** 2).sum())

    both(transform, PARAMS, random_xs())


def test_rematerialised_gradient_runs_native():
    names = both(lambda loss: both_gradients(jax.checkpoint(loss)), PARAMS, random_xs())
    assert "birnn_backward" in names and "scan" not in names


def test_gradient_by_one_leaf_is_right():
    def transform(loss):
        def of_bias(b, xs):
            return loss(PARAMS._replace(fwd=PARAMS.fwd._replace(b=b)), xs)

        return jax.grad(of_bias)

    both(transform, PARAMS.fwd.b, random_xs())


def test_gradient_outside_of_jit_is_right():
    args = (PARAMS, random_xs())
    grads = [jax.grad(loss_of(name), (0, 1))(*args) for name in ("cpu_kernel", "xla")]
    assert_close(*grads)


HEADED = {"gru_heads": GRU.with_init(heads=H), "slstm_heads": SLSTM.with_init(heads=H)}
RESIDUALS = {"gru": GRU, "lstm": LSTM, "para_lstm": PARA_LSTM, **HEADED}


@pytest.mark.parametrize("cell", RESIDUALS.values(), ids=RESIDUALS)
def test_residuals_are_the_same_by_xla(cell):
    """They may be stored by one and be used by the other, on a machine with several devices."""
    params, xs, _, carry = random_inputs(cell)
    valid = jnp.asarray(np.arange(T) < LENGTHS[:, None])
    directions = tuple(
        Direction(cell, reverse, *arrays, xs, valid)
        for reverse, *arrays in zip((False, True), params, carry, strict=True)
    )
    operands = split_directions(directions)
    native = jax.jit(lambda operands: layer._forward.bind((True, True), operands))(operands)
    assert_close(native, layer._define_forward((True, True), operands))


def test_export_holds_no_native_code():
    """Values and gradients; parameters and carries are arguments and results by their types."""
    run = jax.jit(jax.value_and_grad(lambda params, xs: weigh(bidirectional(GRU, params, xs)[0])))
    args = PARAMS, random_xs()
    assert "birnn_backward_2" in run.lower(*args).as_text()
    exported = jax.export.export(run)(*args)
    assert not re.search(r"birnn_\w+_\d", exported.mlir_module())
    assert_close(jax.export.deserialize(exported.serialize()).call(*args), run(*args))


def test_map_over_nothing_has_the_shapes_of_one():
    outputs = jax.vmap(lambda xs: bidirectional(GRU, PARAMS, xs))(jnp.zeros([0, B, T, D]))
    want = bidirectional(GRU, PARAMS, random_xs())
    assert jax.tree.map(jnp.shape, outputs) == jax.tree.map(lambda leaf: (0, *leaf.shape), want)


def test_shards_of_a_batch_run_native_or_are_right():
    """In a process of its own: the number of devices is fixed before JAX starts."""
    env = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "4"}
    subprocess.run([sys.executable, "-W", "error", "-c", SHARDED], env=env, check=True, timeout=300)


SHARDED = """
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P

from birnn_jax import LSTM, bidirectional
from tests.library._cases import assert_close, random_inputs, weigh

inputs = random_inputs(LSTM, batch_size=8)
lengths = np.arange(8) % 6
mesh = jax.make_mesh((4,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
carry_spec = jax.tree.map(lambda _: P("rows"), inputs.carry)

def ys(params, xs, lengths, carry, backend="cpu_kernel"):
    return bidirectional(LSTM, params, xs, lengths, initial_carry=carry, backend=backend)[1]

def gradients(ys):
    loss = lambda params, xs, carry: weigh(ys(params, xs, lengths, carry))
    return jax.jit(jax.value_and_grad(loss, (0, 1, 2)))

want = gradients(functools.partial(ys, backend="xla"))(inputs.params, inputs.xs, inputs.carry)
for check_vma in (True, False):
    specs = (P(), P("rows"), P("rows"), carry_spec)
    shards = jax.shard_map(
        ys, mesh=mesh, in_specs=specs, out_specs=P("rows"), check_vma=check_vma
    )
    compiled = gradients(shards).lower(inputs.params, inputs.xs, inputs.carry).compile()
    assert "birnn_backward_2" in compiled.as_text()
    assert_close(compiled(inputs.params, inputs.xs, inputs.carry), want)

def gradient_by_xla(run):
    loss = lambda params, xs: weigh(run(params, xs))
    return jax.jit(jax.grad(loss))(inputs.params, inputs.xs)

alone = lambda params, xs: bidirectional(LSTM, params, xs, backend="xla")[1]
specs = {"in_specs": (P(), P("rows")), "out_specs": P("rows")}
assert_close(gradient_by_xla(jax.shard_map(alone, mesh=mesh, **specs)), gradient_by_xla(alone))

by_rows, everywhere = NamedSharding(mesh, P("rows")), NamedSharding(mesh, P())
args = (
    jax.device_put(inputs.params, everywhere),
    jax.device_put(inputs.xs, by_rows),
    jax.device_put(inputs.carry, by_rows),
)
assert_close(gradients(ys)(*args), want)
"""
