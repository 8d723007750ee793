"""The training step: what it clips, counts, compiles, donates, reports and reaches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from birnn_jax import (
    ELMAN,
    LSTM,
    Layer,
    Total,
    accuracy,
    cross_entropy,
    init_tagger,
    init_train_state,
    make_eval_step,
    make_optimizer,
    make_train_step,
    tagger,
)
from birnn_jax.training import TrainState, repeat_step, require_finite
from tests.library._cases import (
    LENGTHS,
    PADDING,
    B,
    D,
    H,
    T,
    assert_close,
    random_like,
    random_xs,
)

KEY = jax.random.key(9)
GRADS = {"w": random_xs(3, D, H)}
NORM = float(optax.tree.norm(GRADS))
LARGEST = float(jnp.abs(GRADS["w"]).max())


def linear_loss(params, batch, key):
    """A loss of which the mean, but not the sum, has the gradient `batch`."""
    return {"loss": Total(4 * jnp.vdot(params["w"], batch["w"]), jnp.array(4.0))}


def noisy_loss(params, batch, key):
    return linear_loss(params, batch, key) | {
        "noise": Total(jax.random.normal(key), jnp.array(1.0))
    }


def first_step(optimizer, *, loss=linear_loss, grads=GRADS):
    state = init_train_state({"w": random_xs(4, D, H)}, optimizer)
    return make_train_step(loss, optimizer)(state, grads, KEY)


def change_of_params(state):
    return {"w": state.params["w"] - random_xs(4, D, H)}


# Clipping.


def test_clip_bounds_the_gradient_seen_by_adam():
    state, _ = first_step(make_optimizer(0.1, clip_norm=NORM / 4))
    seen = optax.tree.get(state.opt_state, "mu")["w"] / (1 - 0.9)
    assert_close(seen, GRADS["w"] / 4)


def test_clip_by_norm_keeps_the_direction():
    state, _ = first_step(make_optimizer(1.0, clip_norm=NORM / 4, method=optax.sgd))
    assert_close(change_of_params(state), {"w": -GRADS["w"] / 4})


def test_clip_by_value_bounds_every_entry():
    state, _ = first_step(make_optimizer(1.0, clip_value=0.2, method=optax.sgd))
    assert_close(change_of_params(state), {"w": -jnp.clip(GRADS["w"], -0.2, 0.2)})


def test_without_clipping_the_mean_of_the_loss_is_minimised():
    state, _ = first_step(make_optimizer(1.0, method=optax.sgd))
    assert_close(change_of_params(state), {"w": -GRADS["w"]})


@pytest.mark.parametrize(
    ("options", "clipped"),
    [
        ({}, False),
        ({"clip_norm": 0.9 * NORM}, True),
        ({"clip_norm": 1.1 * NORM}, False),
        ({"clip_value": 0.9 * LARGEST}, True),
        ({"clip_value": 1.1 * LARGEST}, False),
    ],
)
def test_metrics_tell_the_norm_before_clipping_and_whether_it_clipped(options, clipped):
    _, metrics = first_step(make_optimizer(0.1, **options))
    assert_close(metrics["grad_norm"], NORM)
    assert metrics["clipped"].dtype == bool and bool(metrics["clipped"]) == clipped


def test_any_optax_optimizer_serves():
    _, metrics = first_step(optax.adamw(0.1))
    assert_close(metrics["grad_norm"], NORM)
    assert not metrics["clipped"]


def test_groups_of_parameters_are_clipped_each_by_its_own_norm():
    grads = {"encoder": {"w": GRADS["w"]}, "head": {"w": 3 * GRADS["w"][:, :4]}}
    optimizers = {
        "encoder": make_optimizer(1.0, clip_norm=NORM / 4, method=optax.sgd),
        "head": make_optimizer(0.5, clip_value=100.0, method=optax.sgd),
        "none": make_optimizer(1.0, clip_value=1.0),
    }
    optimizer = optax.multi_transform(optimizers, {"encoder": "encoder", "head": "head"})
    params = random_like(grads, 4)
    state = init_train_state(params, optimizer)

    def loss(params, batch, key):
        products = map(jnp.vdot, jax.tree.leaves(params), jax.tree.leaves(batch))
        return {"loss": Total(sum(products), jnp.array(1.0))}

    before = jax.tree.map(np.asarray, params)
    state, metrics = make_train_step(loss, optimizer)(state, grads, KEY)
    change = jax.tree.map(jnp.subtract, state.params, before)
    assert_close(change["encoder"]["w"], -GRADS["w"] / 4)
    assert_close(change["head"]["w"], -1.5 * GRADS["w"][:, :4])
    assert metrics["clipped"]
    state, metrics = make_train_step(loss, optimizer)(
        state, jax.tree.map(lambda leaf: leaf / 5, grads), KEY
    )
    assert not metrics["clipped"]


def _beginning_as_the_params(decay):
    """Keeps a running mean of the parameters, which begins as they do, without a copy."""
    return optax.GradientTransformation(
        lambda params: params,
        lambda updates, mean, params: (
            updates,
            jax.tree.map(lambda mean, leaf: decay * mean + (1 - decay) * leaf, mean, params),
        ),
    )


@pytest.mark.parametrize("put", [lambda leaf: leaf, jax.device_put, np.asarray])
def test_arrays_that_are_one_in_memory_can_be_donated(put):
    w = random_xs(4, D, H)
    params = {"w": w, "tied": put(w), "number": 2.0, "none": jnp.zeros([0, 3])}
    optimizer = optax.chain(_beginning_as_the_params(0.5), optax.sgd(1.0))
    state = init_train_state(params, optimizer)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))

    def loss(params, batch, key):
        return linear_loss({"w": params["w"] * params["number"] + params["tied"]}, batch, key)

    want = np.asarray(w)
    state, _ = make_train_step(loss, optimizer)(state, GRADS, KEY)
    assert_close(state.opt_state[0]["w"], want)
    assert_close(state.params["w"], want - 2 * GRADS["w"])
    assert_close(state.params["tied"], want - GRADS["w"])


def test_state_made_by_hand_may_hold_one_array_twice():
    w = random_xs(4, D, H)
    params = {"w": w, "tied": w}
    optimizer = optax.chain(_beginning_as_the_params(0.5), optax.sgd(1.0))
    state = TrainState(0, params, optimizer.init(params))
    both = lambda params, batch, key: linear_loss({"w": params["w"]}, batch, key)  # noqa: E731
    want, step = np.asarray(w), make_train_step(both, optimizer)
    state, _ = step(state, GRADS, KEY)
    assert_close(state.params, {"w": want - GRADS["w"], "tied": want})
    assert int(step.lower(state, GRADS, KEY).out_info[0].step.ndim) == 0


def test_parameters_that_are_no_arrays_are_named():
    with pytest.raises(
        TypeError, match=r"params\['cell'\] must be an array, got the string 'lstm'"
    ):
        init_train_state({"w": random_xs(4, D, H), "cell": "lstm"}, optax.sgd(1.0))


# Steps.


def test_state_starts_at_step_zero_and_counts():
    optimizer = make_optimizer(0.1)
    assert int(init_train_state(GRADS, optimizer).step) == 0
    state, _ = first_step(optimizer)
    assert (int(state.step), state.step.dtype) == (1, jnp.int32)


def test_learning_rate_follows_the_schedule():
    optimizer = make_optimizer(lambda count: jnp.array([1.0, 10.0])[count], method=optax.sgd)
    state = init_train_state({"w": random_xs(4, D, H)}, optimizer)
    step = make_train_step(linear_loss, optimizer)
    for _ in range(2):
        state, _ = step(state, GRADS, KEY)
    assert_close(change_of_params(state), {"w": -11 * GRADS["w"]})


def test_loss_receives_the_key_folded_with_the_step():
    optimizer = make_optimizer(0.1)
    step = make_train_step(noisy_loss, optimizer)
    params = {"w": random_xs(4, D, H)}
    noises = []
    for number in (0, 1, 5):
        state = init_train_state(params, optimizer)._replace(step=jnp.int32(number))
        _, metrics = step(jax.tree.map(jnp.copy, state), GRADS, KEY)
        noises.append(metrics["noise"].sum)
    want = [jax.random.normal(jax.random.fold_in(KEY, number)) for number in (0, 1, 5)]
    assert_close(noises, want)


@pytest.mark.parametrize("w", [random_xs(4, D, H), jnp.full((D, H), 0.3)], ids=["", "weak type"])
def test_train_step_compiles_once(w):
    traces = []

    def counted_loss(params, batch, key):
        traces.append(None)
        return linear_loss(params, batch, key)

    optimizer = make_optimizer(optax.cosine_decay_schedule(0.1, 9), clip_norm=1.0)
    state = init_train_state({"w": w}, optimizer)
    step = make_train_step(counted_loss, optimizer)
    for _ in range(4):
        state, _ = step(state, GRADS, KEY)
    assert len(traces) == 1


def test_the_update_is_compiled_once_for_all_shapes_and_part_of_the_program_of_lower():
    updates = []

    def counted(updates_, state, params=None):
        updates.append(None)
        return plain.update(updates_, state, params)

    plain = make_optimizer(0.1, clip_norm=NORM)
    optimizer = optax.GradientTransformation(plain.init, counted)
    first = lambda: init_train_state({"w": random_xs(4, D, H)}, optimizer)  # noqa: E731

    def loss_fn(params, batch, key):
        noise = jax.random.uniform(key)
        value = noise * (params["w"][None] * batch).sum()
        return {"loss": Total(value, jnp.array(batch.shape[0], value.dtype))}

    step, state = make_train_step(loss_fn, optimizer), first()
    for number, rows in enumerate((2, 3)):
        whole, metrics = step.lower(state, random_xs(rows, rows, D, H), KEY).compile()(
            jax.tree.map(jnp.copy, state), random_xs(rows, rows, D, H), KEY
        )
        seen = len(updates)
        state, got = step(state, random_xs(rows, rows, D, H), KEY)
        assert len(updates) - seen == (number == 0)
        assert_close((state, got), (whole, metrics))


def test_parameters_of_models_have_types_that_a_step_keeps():
    layers = (Layer(LSTM, projection=D, connection="highway", norm="pre", learned_carry=True),)
    params = init_tagger(layers, KEY, input_size=D, hidden_size=H, num_classes=3)
    assert not [leaf for leaf in jax.tree.leaves(params) if leaf.weak_type]


def test_state_given_is_donated():
    optimizer = make_optimizer(0.1, clip_norm=1.0)
    state = init_train_state({"w": random_xs(4, D, H)}, optimizer)
    make_train_step(linear_loss, optimizer)(state, GRADS, KEY)
    moments = [optax.tree.get(state.opt_state, name)["w"] for name in ("mu", "nu")]
    assert all(leaf.is_deleted() for leaf in [state.params["w"], *moments])


def test_steps_in_one_call_are_those_of_one_call_each():
    optimizer = make_optimizer(0.1, clip_norm=NORM)
    first = lambda: init_train_state({"w": random_xs(4, D, H)}, optimizer)  # noqa: E731
    step, batches = (
        make_train_step(noisy_loss, optimizer),
        [{"w": random_xs(i, D, H)} for i in (5, 6)],
    )
    state, metrics = first(), []
    for batch in batches:
        state, one = step(state, batch, KEY)
        metrics.append(one)
    stack = lambda trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)  # noqa: E731
    before = first()
    got, got_metrics = repeat_step(step)(before, stack(batches), KEY)
    assert_close((got, got_metrics), (state, stack(metrics)))
    assert int(got.step) == 2 and before.params["w"].is_deleted()


def test_eval_step_gives_no_key_and_returns_all_totals():
    keys = []

    def loss(params, batch, key):
        keys.append(key)
        return linear_loss(params, batch, key) | {"extra": Total(params["w"].sum(), jnp.array(3.0))}

    totals = make_eval_step(loss)(GRADS, GRADS)
    assert keys == [None]
    assert_close(totals["loss"].mean, np.float64(NORM**2))
    assert_close(totals["extra"].sum, GRADS["w"].sum())
    assert totals["extra"].count == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["loss", "grad_norm"])
def test_a_value_that_is_not_finite_stops_and_names_the_step(which, value):
    finite = {"loss": Total(jnp.array(2.0), jnp.array(1.0)), "grad_norm": jnp.array(3.0)}
    require_finite(finite, 17)
    broken = {"loss": Total(jnp.array(value), jnp.array(1.0)), "grad_norm": jnp.array(value)}
    with pytest.raises(FloatingPointError, match=rf"^Step 17 has .*{value}"):
        require_finite(finite | {which: broken[which]}, 17)


def test_a_batch_of_nan_does_not_pass_as_finite():
    _, metrics = first_step(
        make_optimizer(0.1, clip_norm=1.0), grads={"w": jnp.full([D, H], jnp.nan)}
    )
    with pytest.raises(FloatingPointError, match=r"^Step 0 has loss nan and gradient norm nan"):
        require_finite(metrics, 0)


# A tagger, trained.

LAYERS = (Layer(LSTM), Layer(ELMAN, direction="bwd"))
BATCH = {
    "xs": random_xs(),
    "lengths": LENGTHS,
    "labels": np.random.default_rng(0).integers(0, 4, [B, T]),
}


def tagging_loss(params, batch, key):
    mask = jnp.arange(T)[None] < batch["lengths"][:, None]
    logits = tagger(LAYERS, params, batch["xs"], batch["lengths"], dropout=0.1, key=key)
    totals = {"loss": cross_entropy, "accuracy": accuracy}
    return {name: total(logits, batch["labels"], mask) for name, total in totals.items()}


@functools.cache
def trained():
    """The metrics of the first step, and the state and key-free metrics after the last."""
    optimizer = make_optimizer(0.02, clip_norm=1.0)
    init = functools.partial(init_tagger, input_size=D, hidden_size=H, num_classes=4)
    params = init(LAYERS, jax.random.key(1))
    state = init_train_state(params, optimizer)
    step = make_train_step(tagging_loss, optimizer)
    state, first = step(state, BATCH, KEY)
    for _ in range(150):
        state, metrics = step(state, BATCH, KEY)
        require_finite(metrics, int(state.step))
    return first, state, make_eval_step(tagging_loss)(state.params, BATCH)


def test_tagger_overfits_one_batch():
    _, state, totals = trained()
    assert int(state.step) == 151
    assert totals["accuracy"].mean == 1
    assert totals["loss"].mean < 0.05
    assert totals["loss"].count == (~PADDING).sum()


def test_first_step_has_the_metrics_it_always_had():
    first, _, _ = trained()
    got = (float(first["loss"].mean), float(first["grad_norm"]))
    assert got == pytest.approx((1.374779, 0.539911), rel=1e-4), (
        "The initialisation, the dropout, the loss or the gradient changed. If that was the "
        "intention, put the new numbers here and a line into CHANGELOG.md."
    )
