"""The kernels for Hopper GPUs: interpreted step by step on this machine, and their plans."""

import functools
import json
import subprocess
import sys
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM, bidirectional, init_bidirectional
from birnn_jax._core.direction import Direction
from birnn_jax._recurrence.backends import choose_backend
from birnn_jax.cells import SLSTM
from birnn_jax.kernels.gpu import exchange, obstacle, plan
from birnn_jax.kernels.gpu.columns import Columns, run_in_columns
from birnn_jax.kernels.xla.rules import get_rule
from tests.library import _races
from tests.library._cases import assert_close
from tests.library._races import Sizes, make_directions


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_interpreted_layers_are_those_of_the_definition_and_missing_barriers_are_found():
    command = [sys.executable, "-m", "tests.library._gpu_cases"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert len(found) >= 5
    races = {name: said for name, said in found.items() if name.startswith("no barrier")}
    assert {name: said for name, said in found.items() if said and name not in races} == {}
    assert [name for name, said in races.items() if "RACE DETECTED" not in said] == []


@pytest.mark.parametrize("cell", [ELMAN, GRU, LSTM])
def test_rule_in_columns_is_the_rule(cell, rng):
    (direction, _) = make_directions(rng, cell, Sizes(rows=3, steps=1, features=2, hidden=4))
    rule = get_rule((direction,))
    num_gates = direction.params.b.shape[-1] // 4
    a_x, a_h = _races.random_like(rng, (jnp.zeros([3, 4 * num_gates]),) * 2)

    def step(a_x, a_h, carry):
        activations = rule.combine(a_x, a_h)
        coefficients = rule.coefficients(activations, carry)

        def advance(d_carry, d_u):
            return rule.advance(coefficients, d_carry, d_u, rule.inject(coefficients, d_u, d_u))

        transposed = jax.linear_transpose(advance, carry, a_h)
        return rule.update(activations, carry), transposed(carry)

    cut = lambda leaf: Columns(tuple(jnp.split(leaf, leaf.shape[-1] // 4, axis=-1)))  # noqa: E731

    @jax.jit
    def step_in_columns(*operands):
        results = run_in_columns(step, *jax.tree.map(cut, operands))
        return jax.tree.map(lambda leaf: jnp.concatenate(leaf.parts, axis=-1), results)

    operands = (a_x, a_h, direction.carry)
    assert_close(step_in_columns(*operands), jax.jit(step)(*operands))


def test_function_that_mixes_columns_is_refused():
    columns = Columns((jnp.zeros([3, 4]), jnp.zeros([3, 4])))
    with pytest.raises(ValueError, match="rev is not known as an operation on each element"):
        run_in_columns(lambda x: x[:, ::-1], columns)
    with pytest.raises(ValueError, match="Columns 0 to 3 are no whole number of 4 units"):
        run_in_columns(lambda x: x[:, :3], columns)


def test_pieces_of_bfloat16_add_up_to_float32(rng):
    x = jnp.asarray(rng.normal(size=99), jnp.float32)
    pieces = jax.jit(exchange.split_pieces, static_argnums=1)(x, 3)
    assert [piece.dtype for piece in pieces] == [jnp.bfloat16] * 3
    np.testing.assert_array_equal(sum(np.asarray(piece, np.float64) for piece in pieces), x)


@pytest.mark.parametrize(
    ("make_plan", "size", "num_gates", "dtype", "want"),
    [
        (plan.plan_forward, 128, 4, "bfloat16", (32, 4, 1)),
        (plan.plan_forward, 256, 4, "bfloat16", (32, 2, 4)),
        (plan.plan_forward, 512, 4, "bfloat16", (32, 1, 16)),
        (plan.plan_backward, 512, 4, "bfloat16", (32, 1, 16)),
        (plan.plan_forward, 512, 1, "bfloat16", (32, 4, 4)),
        (plan.plan_forward, 256, 4, "float32", (16, 1, 16)),
        (plan.plan_backward, 256, 4, "float32", (16, 1, 16)),
    ],
)
def test_plan_is_the_smallest_cluster_that_holds_the_weights(
    make_plan, size, num_gates, dtype, want
):
    found, pieces = make_plan(size, num_gates, jnp.dtype(dtype))
    assert tuple(found) == want
    assert found.hidden_size >= size
    kind = "gather" if make_plan is plan.plan_forward else "scatter"
    assert plan.needed_bytes(kind, found, num_gates, pieces) <= plan.SHARED_BYTES


@pytest.mark.parametrize(
    ("cell", "dtype", "hidden", "sentence"),
    [
        (LSTM, "float32", 512, r"needs [\d,]+ bytes of shared memory in each block .* is 232,448"),
        (LSTM, "float32", 4096, "computes at most 2,048 hidden units, got 4,096"),
        (GRU, "float16", 9, "takes float32 and bfloat16, got float16"),
        (
            SLSTM,
            "float32",
            9,
            "computes ELMAN, GRU and LSTM, .* layer is SLSTM in float32 with",
        ),
    ],
)
def test_layer_that_it_cannot_compute_is_refused_in_a_sentence(cell, dtype, hidden, sentence):
    layer = _shapes(cell, hidden, dtype)
    with pytest.raises(ValueError, match=f"backend='gpu_kernel' .*{sentence}"):
        choose_backend("gpu_kernel", layer)
    assert choose_backend("auto", layer).name != "gpu_kernel"


def _shapes(cell, hidden, dtype):
    init = functools.partial(init_bidirectional, cell, input_size=2, hidden_size=hidden)
    shapes = jax.eval_shape(init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), shapes)
    carry = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((3, hidden), leaf.dtype),
        jax.eval_shape(cell.init_carry, shapes.fwd),
    )
    xs: Any = jax.ShapeDtypeStruct((3, 5, 2), dtype)
    pairs = zip((False, True), params, strict=True)
    return tuple(Direction(cell, reverse, own, carry, xs) for reverse, own in pairs)


def test_gpu_of_another_generation_is_refused(monkeypatch):
    device = types.SimpleNamespace(compute_capability="8.0")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    assert obstacle.find_other_device() == (
        "needs GPUs of compute capability 9.0 (Hopper), got 8.0."
    )


def test_on_other_platforms_the_loops_of_xla_stand_for_it(rng):
    params = _races.random_like(rng, init_bidirectional(LSTM, jax.random.key(0), 2, 9))
    xs, lengths = _races.random_like(rng, jnp.zeros([3, 5, 2])), jnp.array([5, 2, 0])

    @functools.partial(jax.jit, static_argnums=0)
    def run(backend):
        return bidirectional(LSTM, params, xs, lengths, backend=backend)

    assert_close(run("gpu_kernel"), run("xla"))
