"""The fast paths of XLA give what the plain scan gives, in values and derivatives of every kind."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from jax.test_util import check_grads

from birnn_jax import ELMAN, GRU, LSTM, Bi, Layer, bidirectional, init_stack, scan_cell, stack
from birnn_jax._core.direction import Direction
from birnn_jax.kernels.cpu import layer as cpu_layer
from birnn_jax.kernels.cpu import library as cpu
from birnn_jax.kernels.operation import Operation
from birnn_jax.kernels.xla import derivative, plan
from birnn_jax.kernels.xla.rules import find_rule
from tests.library import _oracles
from tests.library._cases import (
    CLOCKED,
    LENGTHS,
    B,
    D,
    assert_close,
    random_cell,
    random_inputs,
    random_like,
    random_xs,
    weigh,
)

STEPS = {ELMAN: _oracles.elman_step, GRU: _oracles.gru_step, LSTM: _oracles.lstm_step}
CELLS = pytest.mark.parametrize("cell", STEPS, ids=["elman", "gru", "lstm"])
RESIDUALS = pytest.mark.parametrize("residuals", ["gates", "states", "chunked"])
LENGTHS_OR_NONE = pytest.mark.parametrize("lengths", [LENGTHS, None], ids=["ragged", "full"])


@functools.cache
def as_plain(cell):
    """The same cell, in a form that no kernel knows."""
    return cell._replace(step=lambda params, carry, x: cell.step(params, carry, x))


def outputs_and_grads(cell, inputs, residuals="gates"):
    params, xs, lengths, carry = inputs

    def loss(params, xs, carry):
        run = functools.partial(bidirectional, cell, residuals=residuals, backend="xla")
        outputs = run(params, xs, lengths, initial_carry=carry)
        return weigh(outputs), outputs

    (_, outputs), grads = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(params, xs, carry)
    return outputs, grads


jit_outputs_and_grads = jax.jit(outputs_and_grads, static_argnames=("cell", "residuals"))


def residual_bytes(function, *args):
    """What differentiation keeps from the forward pass until the backward pass."""
    _, transpose = jax.vjp(function, *args)
    return sum(leaf.nbytes for leaf in jax.tree.leaves(transpose))


def equations(jaxpr):
    """Every equation, those of inner programs too."""
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jaxprs_in_params(eqn.params):
            yield from equations(inner)


def rule_of(cell, params, carry, xs):
    return find_rule((Direction(cell, False, params, carry, xs),))


@CELLS
def test_built_in_cells_have_a_rule_whatever_their_initialisers(cell):
    params, carry = random_cell(cell, 1)
    assert rule_of(cell._replace(init=cell.step), params, carry, random_xs()) is not None


def test_other_cells_and_mixed_dtypes_have_none():
    (params, carry), xs = random_cell(LSTM, 1), random_xs()
    assert rule_of(as_plain(LSTM), params, carry, xs) is None
    assert rule_of(LSTM, params, carry._replace(c=carry.c.astype("bfloat16")), xs) is None
    assert rule_of(LSTM, params, carry, xs.astype("bfloat16")) is None
    assert rule_of(LSTM, params, carry, xs.astype("int32")) is None


def test_rules_under_bfloat16_params_carry_float32():
    (params, carry), xs = random_cell(LSTM, 1, dtype="bfloat16"), random_xs(dtype="bfloat16")
    assert rule_of(LSTM, params, carry, xs) is not None
    narrow = jax.tree.map(lambda leaf: leaf.astype("bfloat16"), carry)
    assert rule_of(LSTM, params, narrow, xs) is None


@CELLS
@RESIDUALS
@LENGTHS_OR_NONE
def test_kernel_matches_plain_scan(cell, residuals, lengths, x64):
    inputs = random_inputs(cell, dtype="float64")._replace(lengths=lengths)
    want = jit_outputs_and_grads(as_plain(cell), inputs)
    assert_close(jit_outputs_and_grads(cell, inputs, residuals), want, "float64")


@CELLS
@pytest.mark.parametrize("steps", [2, 1], ids=["with_remainder", "one_by_one"])
@pytest.mark.parametrize("residuals", ["gates", "states"])
@LENGTHS_OR_NONE
def test_derivative_in_chunks_is_that_at_once(cell, residuals, steps, lengths, monkeypatch, x64):
    inputs = random_inputs(cell, dtype="float64")._replace(lengths=lengths)
    want = jit_outputs_and_grads(cell, inputs, residuals)
    monkeypatch.setattr(derivative, "chunk_steps", lambda *sizes: steps)
    in_chunks = jax.jit(lambda inputs: outputs_and_grads(cell, inputs, residuals))
    assert_close(in_chunks(inputs), want, "float64")


@CELLS
@pytest.mark.parametrize(
    ("platform", "block", "steps", "lengths"),
    [("gpu", 16, 5, None), ("gpu", 3, 5, LENGTHS), ("tpu", 3, 6, None)],  # two of 3, or 3 and 2
)
def test_plan_of_another_platform_changes_no_result(
    cell, platform, block, steps, lengths, monkeypatch, x64
):
    xs = random_xs(0, B, steps, D, dtype="float64")
    inputs = random_inputs(cell, dtype="float64")._replace(xs=xs, lengths=lengths)
    want = jit_outputs_and_grads(cell, inputs)
    chosen = plan.PLANS[platform]._replace(block=block, chunk=lambda *sizes: block)
    monkeypatch.setitem(plan.PLANS, "cpu", chosen)
    elsewhere = jax.jit(lambda inputs: outputs_and_grads(cell, inputs))
    assert_close(elsewhere(inputs), want, "float64")


@pytest.mark.parametrize(("cell", "num_loops"), [(ELMAN, 2), (GRU, 2), (LSTM, 1)])
def test_one_row_and_one_state_give_each_direction_its_own_loop(cell, num_loops):
    params, xs, _, carry = random_inputs(cell, batch_size=1)
    run = functools.partial(bidirectional, initial_carry=carry, backend="xla")
    program = jax.jit(functools.partial(run, cell)).lower(params, xs).as_text()
    assert program.count("stablehlo.while") == num_loops
    assert_close(run(cell, params, xs), run(as_plain(cell), params, xs))


@CELLS
def test_kernel_matches_loop_in_float64(cell, x64):
    params, xs, lengths, carry = inputs = random_inputs(cell, dtype="float64")
    carries, ys = jit_outputs_and_grads(cell, inputs)[0]
    want, want_ys = _oracles.bidirectional((STEPS[cell],) * 2, params, xs, lengths, carry)
    assert_close((carries, ys), (Bi(*want), np.concatenate(want_ys, axis=-1)), "float64")


@CELLS
def test_gradients_match_finite_differences(cell, x64):
    params, xs, lengths, carry = random_inputs(cell, dtype="float64")
    run = jax.jit(functools.partial(bidirectional, cell, lengths=lengths, residuals="states"))
    check_grads(
        lambda params, xs, carry: run(params, xs, initial_carry=carry),
        (params, xs, carry),
        order=2,
        modes=["fwd", "rev"],
        rtol=1e-3,
    )


@CELLS
def test_kernel_matches_plain_scan_in_bfloat16(cell):
    inputs = random_inputs(cell, dtype="bfloat16")
    got, want = (jit_outputs_and_grads(one, inputs) for one in (cell, as_plain(cell)))
    assert jax.tree.map(lambda leaf: leaf.dtype, got) == jax.tree.map(lambda leaf: leaf.dtype, want)
    assert_close(got[0], want[0], "bfloat16")


@RESIDUALS
def test_jacobian_in_forward_mode_is_that_of_reverse_mode(residuals):
    inputs = random_inputs(LSTM)

    def ys(xs):
        return bidirectional(LSTM, inputs.params, xs, LENGTHS, residuals=residuals)[1]

    assert_close(jax.jit(jax.jacfwd(ys))(inputs.xs), jax.jit(jax.jacrev(ys))(inputs.xs))


@RESIDUALS
@pytest.mark.parametrize("cell", [LSTM, CLOCKED], ids=["lstm", "clocked"])
def test_residuals_of_a_stack_change_no_result(cell, residuals):
    def grads(residuals):
        layers = (Layer(cell, residuals=residuals), Layer(cell, direction="bwd"))
        params = init_stack(layers, jax.random.key(0), input_size=D, hidden_size=4)
        params = random_like(params, 3)
        loss = lambda params, xs: weigh(stack(layers, params, xs, LENGTHS))  # noqa: E731
        return jax.jit(jax.value_and_grad(loss, (0, 1)))(params, random_xs())

    assert_close(grads(residuals), grads("gates"))


@pytest.mark.parametrize("cell", [*STEPS, CLOCKED], ids=["elman", "gru", "lstm", "clocked"])
def test_residuals_change_memory(cell):
    params, _ = random_cell(cell, 1, hidden_size=16)
    xs = random_xs(0, 4, 400, D)

    def bytes_kept(residuals):
        run = functools.partial(scan_cell, cell, residuals=residuals, backend="xla")
        return residual_bytes(run, params, xs)

    gates, states, chunked = map(bytes_kept, ["gates", "states", "chunked"])
    assert states < gates and chunked < states / 2


@pytest.mark.parametrize("backend", ["xla", "cpu_kernel"])
def test_auto_keeps_little_of_much_where_computing_it_again_is_cheap(backend, monkeypatch):
    if backend == "cpu_kernel" and not cpu.is_registered():
        pytest.skip(cpu.load().note)
    inputs = random_inputs(LSTM)
    batch_size, num_steps, input_size = inputs.xs.shape
    hidden_size = inputs.params.fwd.w_h.shape[0]
    size, features = 2 * batch_size * num_steps * 6 * hidden_size * 4, input_size + hidden_size

    def kept(residuals, recompute=None):
        changed = plan.get_plan()._replace(recompute=recompute)
        monkeypatch.setitem(plan.PLANS, "cpu", changed)
        monkeypatch.setattr(cpu_layer, "RECOMPUTE", recompute)
        run = functools.partial(bidirectional, LSTM, residuals=residuals, backend=backend)
        return residual_bytes(run, inputs.params, inputs.xs)

    assert kept("states") < kept("gates")
    assert kept("auto", plan.Recompute(size, features)) == kept("states")
    assert kept("auto", plan.Recompute(size + 1, features)) == kept("gates")
    assert kept("auto", plan.Recompute(size, features - 1)) == kept("gates")
    assert kept("auto") == kept("gates")


@CELLS
def test_gradient_of_weights_stays_out_of_the_loop(cell, monkeypatch):
    define = lambda self, static, operands: self._definition(static, operands)  # noqa: E731
    monkeypatch.setattr(Operation, "bind", define)  # so that JAX shows what it stands for
    inputs = random_inputs(cell)
    jaxpr = jax.make_jaxpr(functools.partial(outputs_and_grads, cell))(inputs)
    weights = {leaf.shape for leaf in jax.tree.leaves(inputs.params)}
    scans = [eqn for eqn in equations(jaxpr.jaxpr) if eqn.primitive.name == "scan"]
    assert len(scans) == 2
    assert not weights.intersection(v.aval.shape for eqn in scans for v in eqn.outvars)


def test_gradient_of_inputs_is_not_computed_unless_asked_for():
    inputs = random_inputs(LSTM)

    def products(argnums):
        run = functools.partial(bidirectional, LSTM, backend="xla")
        loss = lambda params, xs: weigh(run(params, xs)[1])  # noqa: E731
        program = jax.jit(jax.grad(loss, argnums)).lower(inputs.params, inputs.xs)
        return program.as_text().count("stablehlo.dot_general")

    assert products((0, 1)) - products(0) == 2


@CELLS
def test_no_steps_at_all_return_the_carry(cell):
    inputs = random_inputs(cell)._replace(xs=jnp.zeros([B, 0, D]))
    (carry, ys), _ = jit_outputs_and_grads(cell, inputs)
    assert_close(carry, inputs.carry)
    assert ys.shape == (B, 0, 14)


def test_chunks_divide_the_steps_where_they_can():
    h = jnp.zeros([32, 256])
    assert plan.chunk_steps(128, h, keep_gates=True) == 16
    assert plan.chunk_steps(127, h, keep_gates=True) == 16
    assert plan.chunk_steps(0, h, keep_gates=True) == 1
    assert plan.chunk_steps(100, h[:1], keep_gates=False) == 100


def test_devices_exchange_nothing_but_the_gradients_of_weights():
    """In a process of its own: the number of devices is fixed before JAX starts."""
    env = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "4"}
    subprocess.run([sys.executable, "-W", "error", "-c", SHARDED], env=env, check=True, timeout=300)


SHARDED = """
import re

import jax
from jax.sharding import NamedSharding, PartitionSpec

from tests.library._cases import LSTM, outputs_and_grads, random_inputs

EXCHANGE = re.compile(r" ((?:all|collective|reduce)-[a-z-]*)\\(")
inputs = random_inputs(LSTM, batch_size=8)
mesh = jax.make_mesh((4,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
by_rows, everywhere = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in [("rows",), ()])
args = (
    jax.device_put(inputs.params, everywhere),
    jax.device_put(inputs.xs, by_rows),
    None,
    jax.device_put(inputs.carry, by_rows),
)
hlo = outputs_and_grads.lower(LSTM, *args).compile().as_text()
exchanging = [part for part in hlo.split("\\n\\n") if EXCHANGE.search(part)]
assert len(exchanging) == 1 and exchanging[0].startswith("ENTRY"), exchanging
assert set(EXCHANGE.findall(hlo)) == {"all-reduce"}, EXCHANGE.findall(hlo)
"""
