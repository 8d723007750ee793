"""A whole training: what it computes, when it stops, what is best, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from birnn_jax import Total, make_optimizer
from birnn_jax._training import fit as fit_module
from birnn_jax.training import (
    average_of,
    evaluate,
    init_train_state,
    make_eval_step,
    make_train_step,
    quick_compilation,
    repeat_step,
    should_stop,
    with_average,
)
from tests.library._small_fit import BATCHES, DEV, RATE, by_hand, loss_fn, run, without_noise

LEVEL_TWO = {"xla_backend_optimization_level": 2, "xla_cpu_use_fusion_emitters": False}


@pytest.mark.parametrize(
    ("options", "every", "count"),
    [
        ({}, 2, 8),
        ({"epochs": None, "num_steps": 5}, 2, 5),
        ({"steps_per_evaluation": 3}, 3, 8),
    ],
    ids=["epochs", "steps", "every_three_steps"],
)
def test_fit_matches_steps_by_hand_and_keeps_the_best(options, every, count):
    fitted = run(**options)
    means, evaluations = by_hand((BATCHES * 4)[:count], every)
    assert int(fitted.state.step) == count
    assert float(fitted.state.params["mean"]) == pytest.approx(means[-1], rel=1e-5, abs=1e-6)
    assert [e["step"] for e in fitted.evaluations] == [step for step, _ in evaluations]
    losses = [loss for _, loss in evaluations]
    assert [e["loss"] for e in fitted.evaluations] == pytest.approx(losses, rel=1e-5, abs=1e-6)
    best = evaluations[losses.index(min(losses))][0]
    assert best != count  # so that the best is not the last
    assert float(fitted.params["mean"]) == pytest.approx(means[best], rel=1e-5, abs=1e-6)


def test_fit_asks_other_sources_than_lists_for_every_step():
    class Source:
        def __len__(self):
            return 2

        def __getitem__(self, step):
            asked.append(step)
            return BATCHES[step % 2] + step

    asked = []
    fitted = run(train=Source(), epochs=3, dev=None)
    means, _ = by_hand([BATCHES[step % 2] + step for step in range(6)], 2)
    assert asked == [*range(6)] and fitted.evaluations == []
    assert float(fitted.params["mean"]) == pytest.approx(means[-1], rel=1e-5, abs=1e-6)


def test_fit_stops_early_and_stays_stopped(tmp_path):
    _, evaluations = by_hand(BATCHES * 20, 2, patience=2)
    fitted = run(epochs=20, patience=2, directory=tmp_path)
    assert int(fitted.state.step) == evaluations[-1][0] < 40
    again = run(epochs=20, patience=2, directory=tmp_path)
    assert again.evaluations == fitted.evaluations
    assert float(again.params["mean"]) == float(fitted.params["mean"])
    further = run(epochs=20, directory=tmp_path)
    assert int(further.state.step) == 40
    assert float(further.params["mean"]) == float(fitted.params["mean"])


def test_score_and_evaluated_params_decide_what_is_best():
    optimizer = with_average(make_optimizer(RATE, method=optax.sgd), 0.9)
    seen = []

    def score(metrics):
        seen.append(metrics["loss"])
        return metrics["loss"]  # the worst loss is the best score

    fitted = run(optimizer=optimizer, evaluated_params=average_of, score=score)
    means, _ = by_hand(BATCHES * 4, 2)
    average, averages = 4.0, [4.0]
    for n, mean in enumerate(means[1:]):
        decay = min(0.9, (1 + n) / (10 + n))
        average = decay * average + (1 - decay) * mean
        averages.append(average)
    dev = np.concatenate(DEV).astype(float)
    losses = [((dev - averages[step]) ** 2).mean() for step in (2, 4, 6, 8)]
    assert [e["loss"] for e in fitted.evaluations] == pytest.approx(losses, rel=1e-5, abs=1e-6)
    worst = 2 * (1 + losses.index(max(losses)))
    assert float(fitted.params["mean"]) == pytest.approx(averages[worst], rel=1e-5, abs=1e-6)
    assert float(average_of(fitted.state)["mean"]) == pytest.approx(averages[-1], rel=1e-5)


def test_best_params_by_the_name_of_a_metric_are_tested_once_without_compiling_again():
    traced = []

    def loss(params, batch, key):
        traced.append(key)
        worse = Total(jnp.square(params["mean"] - 4.0), jnp.array(1.0))
        return {**without_noise(params, batch, key), "worse": worse}

    fitted = run(loss, train=[BATCHES[0]], dev=[DEV[0]], score="worse", test=[DEV[0] - 3])
    means, _ = by_hand([BATCHES[0]] * 4, 1)
    distances = [(mean - 4.0) ** 2 for mean in means[1:]]
    best = means[1 + distances.index(max(distances))]
    want = ((DEV[0].astype(float) - 3 - best) ** 2).mean()
    assert fitted.test == {
        "loss": pytest.approx(want, rel=1e-5),
        "worse": pytest.approx(max(distances), rel=1e-5),
    }
    assert traced.count(None) == 1
    assert run(dev=None).test is None


def test_average_without_decay_is_the_parameters():
    optimizer = with_average(make_optimizer(RATE, method=optax.sgd), 0.0)
    state = init_train_state({"mean": jnp.array(4.0)}, optimizer)
    state, _ = make_train_step(without_noise, optimizer)(state, BATCHES[0], jax.random.key(0))
    assert float(average_of(state)["mean"]) == float(state.params["mean"])
    with pytest.raises(ValueError, match="has no average"):
        average_of(init_train_state({}, make_optimizer(0.1)))


def test_training_stops_by_the_definition_of_patience():
    rng = np.random.default_rng(0)
    for _ in range(200):
        scores = rng.integers(4, size=rng.integers(8)).tolist()
        patience = int(rng.integers(1, 4))
        waited = 0  # evaluations since the last new best
        for number, score in enumerate(scores):
            waited = waited + 1 if number and score <= max(scores[:number]) else 0
        assert should_stop(scores, patience=patience) == (bool(scores) and waited >= patience)
        assert not should_stop(scores)
        assert should_stop(scores, enough=3) == (3 in scores)


def test_evaluation_adds_up_batches_of_any_size():
    step = make_eval_step(without_noise)
    params = {"mean": jnp.array(1.5)}
    want = np.square(np.concatenate(DEV).astype(float) - 1.5).mean()
    assert evaluate(step, params, DEV) == {"loss": pytest.approx(want)}
    with pytest.raises(ValueError, match="batches has no batch"):
        evaluate(step, params, [])


def test_options_reach_the_compiler(monkeypatch):
    optimizer, key = make_optimizer(RATE), jax.random.key(0)
    wrong = {"compiler_options": {"xla_no_such_option": 1}}
    state = init_train_state({"mean": jnp.array(4.0)}, optimizer)
    for call in (
        lambda: make_train_step(loss_fn, optimizer, **wrong)(state, BATCHES[0], key),
        lambda: make_eval_step(loss_fn, **wrong)(state.params, BATCHES[0]),
    ):
        with pytest.raises(Exception, match="xla_no_such_option"):
            call()
    usual = float(run(loss_fn, optimizer=optimizer).params["mean"])
    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "quick_compilation", lambda: LEVEL_TWO)
        mean = float(run(loss_fn, optimizer=optimizer).params["mean"])
        assert mean == pytest.approx(usual, rel=1e-5)
        patch.setattr(fit_module, "quick_compilation", lambda: wrong["compiler_options"])
        with pytest.raises(Exception, match="xla_no_such_option"):  # of the training step
            run(loss_fn, optimizer=optimizer, dev=None)
        plain = lambda *args, compiler_options: make_train_step(*args)  # noqa: E731
        patch.setattr(fit_module, "make_train_step", plain)
        with pytest.raises(Exception, match="xla_no_such_option"):  # of the evaluation
            run(loss_fn, optimizer=optimizer)


def test_every_program_of_a_step_has_the_options(monkeypatch):
    seen, jit = [], jax.jit

    def recorded(*args, compiler_options=None, **options):
        seen.append(compiler_options)
        return jit(*args, compiler_options=compiler_options, **options)

    monkeypatch.setattr(jax, "jit", recorded)
    make_train_step(loss_fn, make_optimizer(RATE), compiler_options=LEVEL_TWO)
    make_eval_step(loss_fn, compiler_options=LEVEL_TWO)
    repeat_step(lambda state, batch, key: (state, batch), compiler_options=LEVEL_TWO)
    # Of training the gradient, the update, and both as one program.
    assert seen == [LEVEL_TWO] * 5


@pytest.mark.parametrize(
    ("backend", "is_quick_already", "options"),
    [("cpu", False, LEVEL_TWO), ("cpu", True, {}), ("gpu", False, {})],
)
def test_only_a_cpu_that_optimises_compiles_at_the_second_level(
    backend, is_quick_already, options, monkeypatch
):
    monkeypatch.setattr("jax.default_backend", lambda: backend)
    before = jax.config.read("jax_disable_most_optimizations")
    try:
        jax.config.update("jax_disable_most_optimizations", is_quick_already)
        assert quick_compilation() == options
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


# What is said.


def test_training_that_is_not_finite_names_the_step():
    with pytest.raises(FloatingPointError, match="Step 2 has loss inf"):
        run(train=[BATCHES[0], np.float32([np.inf]), BATCHES[1]])
    with pytest.raises(FloatingPointError, match="After step 2 the loss on dev is inf"):
        run(dev=[np.float32([np.inf])])
    with pytest.raises(FloatingPointError, match="After step 2 the score on dev is nan"):
        run(score=lambda metrics: float("nan"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 3}, "Give epochs or num_steps, one of them, got epochs=4 and num_steps=3."),
        ({"epochs": None}, "Give epochs or num_steps"),
        ({"train": []}, "train has no batch."),
        ({"epochs": 0}, "epochs must be at least 1, got 0."),
        ({"patience": 0}, "patience must be at least 1, got 0."),
        ({"steps_per_evaluation": 0}, "steps_per_evaluation must be at least 1, got 0."),
        ({"score": "f1"}, "score='f1' is no metric of loss_fn on dev, which are loss."),
    ],
)
def test_settings_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)
