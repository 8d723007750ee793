"""A whole training: what it computes, when it stops, and that an interruption changes no bit."""

import io
import json
import os
import signal
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from birnn_jax import Total, dropout, make_optimizer
from birnn_jax._training import fit as fit_module
from birnn_jax.training import (
    JsonLines,
    TensorBoard,
    Terminal,
    WandB,
    Writer,
    average_of,
    evaluate,
    fit,
    init_train_state,
    make_eval_step,
    make_train_step,
    quick_compilation,
    should_stop,
    with_average,
)

RATE = 0.3
LEVEL_TWO = {"xla_backend_optimization_level": 2}
BATCHES = [np.random.default_rng(seed).normal(size=3 + seed).astype(np.float32) for seed in (1, 2)]
DEV = [np.float32([0.5, -1.0]), np.float32([2.0])]


def loss_fn(params, batch, key):
    """Squared errors of a mean, a part of them dropped in training."""
    error = jnp.square(jnp.asarray(batch) - params["mean"])
    if key is not None:
        error = dropout(error[None, :, None], 0.5, key)[0, :, 0]
    return {"loss": Total(error.sum(), jnp.array(error.size, error.dtype))}


def without_noise(params, batch, key):
    return loss_fn(params, batch, None)


def run(loss=without_noise, **options):
    """A short training; silent unless said otherwise."""
    given = {"epochs": 4, "dev": DEV, "writers": (), "key": jax.random.key(3), **options}
    optimizer = given.pop("optimizer", make_optimizer(RATE, method=optax.sgd))
    start = {"mean": jnp.array(4.0)}
    return fit(loss, optimizer, start, given.pop("train", BATCHES), **given)


def by_hand(batches, every, patience=None):
    """The means after each step, and (step, loss) of each evaluation, in float64."""
    means, evaluations = [4.0], []
    dev = np.concatenate(DEV).astype(float)
    for step, batch in enumerate(batches, start=1):
        gradient = 2 * (means[-1] - batch.astype(float)).mean()
        means.append(means[-1] - RATE * gradient)
        if step % every == 0 or step == len(batches):
            evaluations.append((step, ((dev - means[-1]) ** 2).mean()))
            losses = [loss for _, loss in evaluations]
            if patience and len(losses) - 1 - losses.index(min(losses)) >= patience:
                break
    return means, evaluations


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
    with pytest.raises(ValueError, match="no batch to evaluate on"):
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
    assert quick_compilation() == {}  # as the tests are compiled
    usual = float(run(loss_fn, optimizer=optimizer).params["mean"])
    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "quick_compilation", lambda: LEVEL_TWO)
        mean = float(run(loss_fn, optimizer=optimizer).params["mean"])
        assert mean == pytest.approx(usual, rel=1e-5)
        patch.setattr(fit_module, "quick_compilation", lambda: wrong["compiler_options"])
        with pytest.raises(Exception, match="xla_no_such_option"):
            run(loss_fn, optimizer=optimizer)


# Interruptions.


class Stopping(Writer):
    """Raises at a step, or when all is to be made safe for the n-th time."""

    def __init__(self, at_step=None, at_sync=None):
        self.at_step, self.syncs = at_step, at_sync

    def write(self, step, split, metrics):
        if step == self.at_step:
            raise KeyboardInterrupt

    def sync(self):
        if self.syncs is not None:
            self.syncs -= 1
            if not self.syncs:
                raise KeyboardInterrupt


def noisy(directory, **options):
    optimizer = with_average(make_optimizer(0.1, clip_norm=1.0), 0.9)
    return run(
        loss_fn, optimizer=optimizer, evaluated_params=average_of, directory=directory, **options
    )


def assert_same(fitted, other):
    for one, two in zip(jax.tree.leaves(fitted), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(one, two)


def test_interrupted_training_ends_with_the_bits_of_an_unbroken_one(tmp_path):
    unbroken = noisy(tmp_path / "unbroken")
    for stop in ({"at_step": 2}, {"at_sync": 1}, {"at_step": 5}, {"at_sync": 2}, {"at_step": 8}):
        with pytest.raises(KeyboardInterrupt):
            noisy(tmp_path / "broken", writers=[Stopping(**stop)])
    resumed = noisy(tmp_path / "broken")
    assert_same(resumed, unbroken)
    names = ("unbroken", "broken")
    texts = [(tmp_path / name / "metrics.jsonl").read_text() for name in names]
    assert texts[0] == texts[1]
    records = [json.loads(line) for line in texts[0].splitlines()]
    assert [(r["step"], r["split"]) for r in records] == [
        (step, split)
        for step in range(1, 9)
        for split in (["train"] if step % 2 else ["train", "dev"])
    ]
    assert_same(unbroken, noisy(None))  # a training that keeps nothing is the same, too
    other = noisy(None, key=jax.random.key(4))
    assert float(other.params["mean"]) != float(unbroken.params["mean"])


CHILD = """
    import os, signal, sys
    sys.path.insert(0, sys.argv[4])
    from tests.library.test_fit import Stopping, noisy, np
    place, where, number = sys.argv[1:4]

    class Killing(Stopping):
        def write(self, step, split, metrics):
            if where == "step" and step == int(number):
                os.kill(os.getpid(), signal.SIGKILL)

        def sync(self):
            self.syncs = (self.syncs or 0) + 1
            if where == "sync" and self.syncs == int(number):
                os.kill(os.getpid(), signal.SIGKILL)

    fitted = noisy(place, epochs=6, writers=[Killing()])
    print(np.asarray(fitted.params["mean"]).tobytes().hex())
"""


@pytest.mark.slow
def test_killed_training_ends_with_the_bits_of_an_unbroken_one(tmp_path):
    def train(name, where="", number=0):
        root = os.path.abspath(os.curdir)
        command = [sys.executable, "-c", textwrap.dedent(CHILD), tmp_path / name]
        command += [where, str(number), root]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    unbroken = train("unbroken")
    for moment in [("step", 3), ("sync", 2), ("step", 5), ("sync", 3), ("step", 12)]:
        assert train("killed", *moment).returncode == -signal.SIGKILL
    resumed = train("killed")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == unbroken.stdout
    texts = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("unbroken", "killed")]
    assert texts[0] == texts[1] and texts[0].count("\n") == 18


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


# Writers.


def test_lines_after_the_checkpoint_and_torn_lines_are_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with JsonLines(path) as writer:
        writer.start(0, num_steps=9)
        for step in (1, 2, 3):
            writer.write(step, "train", {"loss": step / 2})
        writer.sync()
        writer.write(4, "dev", {"loss": 0.0})
    with path.open("a") as file:
        file.write('{"step": 5, "spl')
    assert [record["step"] for record in JsonLines.read(path)] == [1, 2, 3, 4]
    with JsonLines(path) as writer:
        writer.start(2, num_steps=9)
        writer.write(3, "train", {"loss": 7})
    assert [record["loss"] for record in JsonLines.read(path)] == [0.5, 1.0, 7]
    assert JsonLines.read(tmp_path / "nothing") == []


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_terminal_shows_a_line_that_moves_and_lines_that_stay(monkeypatch):
    clock = iter([100.0, 110.0, 110.1, 120.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    screen = Screen()
    with Terminal(screen) as writer:
        writer.start(20, num_steps=120)
        writer.write(30, "train", {"loss": 0.12345, "grad_norm": 2.0})
        writer.write(31, "train", {"loss": 0.5})  # too soon to be seen
        writer.write(40, "train", {"loss": 0.1})
        writer.write(40, "dev", {"loss": 0.25, "f1": 0.5})
    shown = screen.getvalue()
    assert "20 of 120 steps are done.\n" in shown
    assert "step 30/120, loss 0.1235, 1 steps/s, 1:30 left" in shown
    assert "0.5, " not in shown and "step 40/120, loss 0.1, 1 steps/s, 1:20 left" in shown
    assert shown.endswith("\rstep 40/120, dev: loss 0.25, f1 0.5\n")


def test_fit_shows_its_progress_unless_it_is_told_not_to(capsys):
    run(writers=None)
    assert "step 2/8, dev: loss " in capsys.readouterr().err
    run()
    assert capsys.readouterr().err == ""


def test_writers_of_others_get_every_metric_of_every_step():
    class Recorder:
        def __init__(self):
            self.seen, self.ended = [], 0

        def add_scalar(self, tag, value, step):
            self.seen.append((tag, step))

        def log(self, metrics, step):
            self.seen += [(tag, step) for tag in metrics]

        def flush(self):
            pass

        def close(self):
            self.ended += 1

        finish = close

    board, wandb = Recorder(), Recorder()
    run(epochs=1, writers=[TensorBoard(board), WandB(wandb)])
    names = ("train/clipped", "train/grad_norm", "train/loss")
    want = sorted([(name, step) for name in names for step in (1, 2)] + [("dev/loss", 2)])
    assert sorted(board.seen) == sorted(wandb.seen) == want
    assert board.ended == wandb.ended == 1
