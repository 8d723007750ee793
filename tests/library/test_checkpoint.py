"""Checkpoints: what comes back, what is kept, and what is refused."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import birnn_jax
from birnn_jax import TrainState, make_optimizer, make_train_step
from birnn_jax.checkpoint import Checkpoints
from tests._checkpoint_states import (
    assert_same_bits,
    contents,
    make_state,
    names,
    run_child,
)


@pytest.fixture
def saved(tmp_path):
    """A directory with checkpoints at steps 1 and 2; the best is at step 1."""
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(make_state(1), position={"row": 10}, score=0.9)
        checkpoints.save(make_state(2), position={"row": 20}, score=0.8)
    return tmp_path


# What comes back


def test_restores_state_and_position_in_a_new_object(saved):
    with Checkpoints(saved) as checkpoints:
        latest = checkpoints.restore_latest(make_state(0))
        best = checkpoints.restore_best(make_state(0))
    assert_same_bits(latest.state, make_state(2))
    assert_same_bits(best.state, make_state(1))
    assert (latest.position, best.position) == ({"row": 20}, {"row": 10})


class Before(NamedTuple):
    w: jax.Array
    b: jax.Array | None = None


class Now(NamedTuple):
    added: jax.Array | None  # by a later version of a model, which may leave it out
    w: jax.Array
    b: jax.Array | None = None


@pytest.mark.parametrize("b", [None, jnp.array([2.0, 5.0])])
def test_restores_into_a_container_that_has_a_new_field_without_arrays(tmp_path, b):
    def state(params):
        return TrainState(jnp.array(3), {"layer": (params,)}, opt_state=())

    w = jnp.array([1.0, 7.0])
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state(Before(w, b)), position={})
        like = state(Now(None, 0 * w, None if b is None else 0 * b))
        assert_same_bits(checkpoints.restore_latest(like).state, state(Now(None, w, b)))


def test_restores_every_dtype_bit_for_bit(tmp_path):
    nan_with_payload = np.array([0x7FC01234, 0xFFC00001], np.uint32).view(np.float32)
    params = {
        "minus_zero": jnp.full([3], -0.0),
        "nan": jnp.asarray(nan_with_payload),
        "subnormal": jnp.array([1e-45, -1e-40]),
        "bfloat16": jnp.array([1 / 3, -0.0, jnp.inf], jnp.bfloat16),
        "float16": jnp.array(2 / 3, jnp.float16),
        "int8": jnp.arange(-3, 3, dtype=jnp.int8),
        "uint32": jnp.array(2**32 - 1, jnp.uint32),
        "uint4": jnp.arange(5, dtype=jnp.uint4),
        "float8": jnp.array([1 / 3, -2.0], jnp.float8_e4m3),
        "bool": jnp.array([True, False]),
        "complex": jnp.array([1 - 2j]),
        "no rows": jnp.zeros([0, 3], jnp.bfloat16),
        "nothing": (None, (), {}),
    }
    state = TrainState(jnp.array(4, jnp.int32), params, optax.EmptyState())
    like = jax.tree.map(jnp.zeros_like, state)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, position={})
        assert_same_bits(checkpoints.restore_latest(like).state, state)


OTHER_LEAVES = {
    "key": jax.random.key(3),
    "keys": jax.random.split(jax.random.key(4, impl="rbg"), 2),
    "no keys": jax.random.split(jax.random.key(5), 3)[:0],
    "float64": np.array([1 / 3, 2**60 + 1.0]),
    "int64": np.array(2**40),
    "numpy scalar": np.float64(1 / 3),
    "empty": np.zeros([2, 0]),
    "int": 2**40,
    "float": 1 / 3,
    "bool": True,
    "complex": 1 / 3 - 2j,
}


@pytest.mark.parametrize("background", [False, True])
def test_keys_numpy_arrays_and_numbers_come_back_as_they_were(tmp_path, background):
    state = make_state(3)._replace(params=OTHER_LEAVES)
    with Checkpoints(tmp_path, background=background) as checkpoints:
        checkpoints.save(state, position={})
        got = checkpoints.restore_latest(state).state.params
    for name, want in OTHER_LEAVES.items():
        assert type(got[name]) is type(want), name
        if name in ("key", "keys", "no keys"):
            assert (got[name].dtype, got[name].shape) == (want.dtype, want.shape)
            assert (jax.random.key_data(got[name]) == jax.random.key_data(want)).all()
        else:
            assert np.asarray(got[name]).tobytes() == np.asarray(want).tobytes(), name
            assert getattr(got[name], "dtype", None) == getattr(want, "dtype", None)


def test_numpy_arrays_saved_in_the_background_are_those_of_the_moment(tmp_path):
    changing = np.arange(3.0)
    with Checkpoints(tmp_path, background=True) as checkpoints:
        checkpoints.save(make_state(1)._replace(params=changing), position={})
        changing += 1
        got = checkpoints.restore_latest(make_state(0)._replace(params=changing)).state.params
    assert got.tolist() == [0, 1, 2]


def test_numbers_that_a_step_has_made_arrays_are_restored_onto_numbers(tmp_path):
    begun = make_state(0)._replace(params={"scale": 0.5, "count": 3, "flag": np.bool_(False)})
    after = jax.jit(lambda state: state)(begun)._replace(step=jnp.array(2))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(after, position={})
        got = checkpoints.restore_latest(begun).state.params
        assert got == begun.params and type(got["count"]) is int
        keys = jax.eval_shape(lambda: after)
        assert_same_bits(checkpoints.restore_latest(keys).state, after)


@pytest.mark.parametrize(
    ("leaf", "what"),
    [
        ("adam", "is a str"),
        (np.array(["adam"]), "is a ndarray of <U4"),
        (np.array([None]), "is a ndarray of object"),
        (np.datetime64("2024-01-01"), "is a datetime64"),
        (object, "is a type"),
    ],
    ids=["str", "strings", "objects", "date", "class"],
)
def test_other_leaves_are_refused_when_the_run_starts(tmp_path, leaf, what):
    state = make_state(0)._replace(params={"w": jnp.arange(2.0), "name": leaf})
    message = rf"params\['name'\] {what}.*, which a checkpoint cannot hold"
    with Checkpoints(tmp_path) as checkpoints:
        for call in (
            lambda: checkpoints.restore_latest(state),
            lambda: checkpoints.restore_best(state),
            lambda: checkpoints.save(state._replace(step=jnp.array(1)), position={}),
        ):
            with pytest.raises(TypeError, match=message):
                call()
    assert not names(tmp_path)


@pytest.mark.parametrize(
    "address", ["gs://bucket/run", "s3://bucket/run", Path("gs://bucket/run"), "file:///tmp/run"]
)
def test_an_address_is_no_folder(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"kept in a folder of a file system, got '(gs|s3|file):/"):
        Checkpoints(address)
    assert not names(tmp_path)


def test_restores_onto_shapes_alone_and_onto_donated_arrays(saved):
    shapes = jax.eval_shape(lambda: make_state(0))
    donated = make_state(0)
    jax.tree.map(lambda leaf: leaf.delete(), donated)
    with Checkpoints(saved) as checkpoints:
        assert_same_bits(checkpoints.restore_latest(shapes).state, make_state(2))
        assert_same_bits(checkpoints.restore_latest(donated).state, make_state(2))


def test_restores_onto_the_sharding_of_like(saved):
    sharding = jax.sharding.NamedSharding(jax.make_mesh((1,), ("B",)), jax.sharding.PartitionSpec())
    like = jax.device_put(make_state(0), sharding)
    with Checkpoints(saved) as checkpoints:
        state = checkpoints.restore_latest(like).state
    assert {leaf.sharding for leaf in jax.tree.leaves(state)} == {sharding}


SAVED_ON_A_DEVICE_OF_ITS_OWN = """
import sys
import jax
from birnn_jax.checkpoint import Checkpoints
from tests._checkpoint_states import make_state

jax.config.update("jax_num_cpu_devices", 2)
state = jax.device_put(make_state(1), jax.devices()[1])
Checkpoints(sys.argv[1]).save(state, position={})
"""


def test_restores_where_the_device_of_the_saved_arrays_is_missing(tmp_path):
    child = run_child(SAVED_ON_A_DEVICE_OF_ITS_OWN, tmp_path)
    assert child.returncode == 0, child.stderr
    shapes = jax.eval_shape(lambda: make_state(0))
    assert_same_bits(Checkpoints(tmp_path).restore_latest(shapes).state, make_state(1))


def test_gives_none_where_there_is_nothing(tmp_path):
    with Checkpoints(tmp_path / "new" / "folder") as checkpoints:
        assert checkpoints.restore_latest(make_state(0)) is None
        checkpoints.save(make_state(1), position={})
        assert checkpoints.restore_best(make_state(0)) is None
        assert checkpoints.steps == [1]


def test_run_resumed_from_a_checkpoint_equals_unbroken_run(tmp_path):
    def loss_fn(params, batch, key):
        noise = jax.random.normal(key, batch.shape)
        error = jnp.square(batch + noise - params.w.sum())
        return {"loss": birnn_jax.Total(error.sum(), jnp.float32(error.size))}

    optimizer = make_optimizer(optax.linear_schedule(0.1, 0.0, 6), clip_norm=1.0)
    train_step = make_train_step(loss_fn, optimizer)
    batches = jax.random.normal(jax.random.key(3), [6, 5])

    def run(state, batches):
        for batch in batches:
            state, _ = train_step(state, batch, jax.random.key(8))
        return state

    unbroken = run(make_state(0, optimizer=optimizer), batches)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(run(make_state(0, optimizer=optimizer), batches[:4]), position={"row": 4})
        state, position = checkpoints.restore_latest(make_state(0, optimizer=optimizer))
    assert_same_bits(run(state, batches[position["row"] :]), unbroken)


# What is kept


@pytest.mark.parametrize(
    ("keep", "scores", "steps", "best"),
    [
        (2, [None, None, None, None], [10, 11], None),
        (2, [0.9, 0.8, 0.7, 0.6], [8, 10, 11], 8),
        (1, [0.1, 0.5, None, None], [9, 11], 9),
        (1, [-3.0, -1.0, -2.0, -5.0], [9, 11], 9),
        (1, [0.5, 0.5, 0.4, 0.5], [11], 11),
        (9, [0.1, 0.2, 0.3, 0.2], [8, 9, 10, 11], 10),
    ],
)
def test_keeps_the_newest_and_the_best(tmp_path, keep, scores, steps, best):
    for step, score in enumerate(scores, start=8):
        with Checkpoints(tmp_path, keep=keep) as checkpoints:  # as if restarted at every step
            checkpoints.save(make_state(step), position={"step": step}, score=score)
    restored = Checkpoints(tmp_path).restore_best(make_state(0))
    assert Checkpoints(tmp_path).steps == steps
    assert names(tmp_path) == sorted(str(step) for step in steps)
    assert (restored and restored.position["step"]) == best


# Bad arguments


def test_refuses_to_keep_nothing(tmp_path):
    with pytest.raises(ValueError, match="keep must be at least 1, got 0"):
        Checkpoints(tmp_path, keep=0)


@pytest.mark.parametrize("step", [1, 2])
def test_refuses_a_step_that_is_not_new(saved, step):
    before = contents(saved)
    with pytest.raises(ValueError, match=f"Cannot save step {step}: .* already holds step 2"):
        Checkpoints(saved).save(make_state(step), position={})
    assert contents(saved) == before


@pytest.mark.parametrize("score", [float("nan"), float("inf"), np.float32("nan")])
def test_refuses_a_score_that_is_not_finite(saved, score):
    with pytest.raises(ValueError, match="score must be finite"):
        Checkpoints(saved).save(make_state(3), position={}, score=score)
    assert names(saved) == ["1", "2"]


@pytest.mark.parametrize(
    "position",
    [{1: 2}, {"a": (1, 2)}, {"a": float("nan")}, {"a": np.int64(1)}, {"a": b"x"}, {"a": {1, 2}}],
    ids=str,
)
def test_refuses_a_position_that_json_would_change(saved, position):
    with pytest.raises(TypeError, match="position must"):
        Checkpoints(saved).save(make_state(3), position=position)
    assert names(saved) == ["1", "2"]


def test_takes_a_score_from_numpy_or_jax(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(make_state(1), position={}, score=jnp.float32(0.5))
    checkpoints.save(make_state(2), position={}, score=np.float32(0.25))
    assert checkpoints.restore_best(make_state(0)).state.step == 1


# Another model


def with_params(**changes):
    state = make_state(0)
    return state._replace(params=state.params._replace(**changes))


@pytest.mark.parametrize(
    ("like", "sentence"),
    [
        (make_state(0, size=9), r"params.w is float32\[2, 7\] there and float32\[2, 9\] here"),
        (
            with_params(w=jnp.zeros([2, 7], jnp.bfloat16)),
            r"params.w is float32\[2, 7\] there and bfloat16\[2, 7\] here",
        ),
        (
            with_params(mixed={"more": jnp.zeros(3)}),
            r"params.mixed\['more'\] is absent there and float32\[3\] here",
        ),
        (with_params(mixed={}), r"params.mixed\['half'\] is bfloat16\[5\] there and absent here"),
        (
            make_state(0, optimizer=optax.sgd(0.1)),
            r"opt_state\[0\].clipped is bool\[\] there and absent here",
        ),
    ],
    ids=["shape", "dtype", "new leaf", "missing leaf", "optimizer"],
)
def test_names_the_first_leaf_of_another_model(saved, like, sentence):
    before = contents(saved)
    with pytest.raises(ValueError, match=f"{saved / '2'} is of another model: {sentence}"):
        Checkpoints(saved).restore_latest(like)
    assert contents(saved) == before
