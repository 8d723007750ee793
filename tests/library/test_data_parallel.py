"""The training step over several devices and with accumulation: the same step, up to rounding."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from birnn_jax import Total, init_train_state, make_eval_step, make_optimizer, make_train_step
from tests.library._cases import assert_close, random_xs

PARAMS = {"w": random_xs(1, 4)}
KEY = jax.random.key(3)


def row_loss(params, batch, key):
    """Weighted squared distances of the rows that count, with noise that belongs to the row."""
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, batch["rows"])
    noise = jax.vmap(lambda key: jax.random.normal(key, [4]))(keys)
    errors = jnp.square((batch["xs"] + noise) @ params["w"] - batch["target"])
    weights = batch["rows"] % 3 * jnp.float32(0.2)  # some pieces weigh less than 1
    total = Total((weights * errors).sum(), weights.sum())
    return {"loss": total, "rows": batch["rows"], "errors": errors}


def make_batch(size=6):
    """Rows 0 and 3 do not count, so that a turn may be empty."""
    return {"xs": random_xs(2, size, 4), "rows": jnp.arange(size), "target": jnp.float32(0.5)}


def one_step(**options):
    optimizer = make_optimizer(1.0, method=optax.sgd)
    state = init_train_state(jax.tree.map(jnp.copy, PARAMS), optimizer)
    return make_train_step(row_loss, optimizer, **options)(state, make_batch(), KEY)


@pytest.mark.parametrize("accumulation_steps", [2, 3, 6])
def test_accumulation_is_one_step(accumulation_steps):
    (state, metrics), (want_state, want) = (
        one_step(accumulation_steps=accumulation_steps),
        one_step(),
    )
    assert_close(state.params, want_state.params)
    assert_close(metrics, want)


def test_one_turn_and_one_device_are_bit_for_bit_the_plain_step():
    mesh = jax.make_mesh((1,), ("data",))
    (state, _), (want, _) = one_step(mesh=mesh, accumulation_steps=1), one_step()
    np.testing.assert_array_equal(state.params["w"], want.params["w"])


def test_gradients_of_half_precision_are_added_up_in_single():
    def loss(params, batch, key):
        return {"loss": Total((params * batch).sum(), jnp.float32(1))}

    optimizer = make_optimizer(1.0, method=optax.sgd)
    state = init_train_state(jnp.zeros([], jnp.bfloat16), optimizer)
    batch = jnp.array([256.0] + [1.0] * 7)
    state, metrics = make_train_step(loss, optimizer, accumulation_steps=8)(state, batch, KEY)
    assert state.params.dtype == jnp.bfloat16
    assert float(state.params) == pytest.approx(-263 / 8, rel=2**-8)
    assert float(metrics["loss"].count) == 8


def test_batch_that_cannot_be_shared_is_named():
    with pytest.raises(
        ValueError, match=r"batch\['rows'\] has 6 rows, which 4 accumulation steps cannot share"
    ):
        one_step(accumulation_steps=4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"accumulation_steps": 0}, "accumulation_steps must be at least 1, got 0"),
        ({"mesh": jax.make_mesh((1, 1), ("data", "model"))}, r"mesh must have one axis, .* got"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_train_step(row_loss, optax.sgd(0.1), **options)


def test_evaluation_over_a_mesh_has_the_same_totals():
    def loss(params, batch, key):
        return row_loss(params, batch, KEY)

    mesh = jax.make_mesh((1,), ("data",))
    got = make_eval_step(loss, mesh=mesh)(PARAMS, make_batch())
    assert_close(got, make_eval_step(loss)(PARAMS, make_batch()))


def test_devices_take_the_step_of_one_with_one_sum_a_weight_and_restore_one_anothers_checkpoints():
    """In a process of its own: the number of devices is fixed before JAX starts."""
    env = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"}
    subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.library._eight_devices"],
        env=env,
        check=True,
        timeout=300,
    )
