"""Norms of Jacobians against finite differences in float64, and the experiment that draws them."""

import jax
import numpy as np
import pytest

import birnn_jax
from experiments.gradient_flow import __main__ as gradient_flow
from experiments.gradient_flow import config as gradient_flow_config
from experiments.gradient_flow.model import reach, read_flow
from experiments.runner.run.experiment import Experiment
from experiments.runner.run.results import read_result
from experiments.synthetic.commands import load_network
from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.data import TEST, Numbers, examples_of
from experiments.synthetic.model import init_params
from tests.experiments._commands import command
from tests.library import _oracles

pytestmark = pytest.mark.slow

STEPS = {
    "elman": _oracles.elman_step,
    "gru": _oracles.gru_step,
    "lstm": _oracles.lstm_step,
}
TINY = {"length": 10, "steps": 4, "steps_per_evaluation": 2, "hidden_size": 3, "held_out": 32}


def differences(step, params, xs, carry, name):
    """d h at the end of `xs` / d `carry.name`, by central differences."""
    columns = []
    for unit in np.eye(len(carry.h)):
        ends = []
        for sign in (1, -1):
            moved = carry._replace(**{name: getattr(carry, name) + sign * 1e-6 * unit})
            for x in xs:
                moved, _ = step(params, moved, x)
            ends.append(moved.h)
        columns.append((ends[0] - ends[1]) / 2e-6)
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("cell", STEPS)
def test_norms_by_distance_are_those_of_finite_differences(cell):
    config = SyntheticConfig(task="order", cell=cell, **TINY)
    params = init_params(config, jax.random.key(0))
    reached = reach(config, params)
    rnn = params.rnn[0].rnn
    xs = examples_of(config, Numbers(config, TEST, 1)[0]).xs[:8]
    trees = (rnn, xs, config.recurrent_cell.init_carry(rnn))
    rnn, rows, initial = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), trees)
    want = {name: np.zeros([8, 10]) for name in initial._fields}
    for b, row in enumerate(rows):
        carry = initial
        for t, x in enumerate(row):
            carry, _ = STEPS[cell](rnn, carry, x)
            for name in want:
                jacobian = differences(STEPS[cell], rnn, row[t + 1 :], carry, name)
                norm = np.linalg.norm(jacobian, ord=2)
                want[name][b, 9 - t] = np.log10(max(norm, 1e-38))
    assert reached.keys() == want.keys()
    np.testing.assert_allclose(reached["h"], want["h"].mean(axis=0), atol=2e-4)
    if cell == "lstm":
        # At distance 0, h depends on c no more once it is out: a norm of nothing.
        np.testing.assert_allclose(reached["c"][1:], want["c"].mean(axis=0)[1:], atol=2e-4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    return gradient_flow.EXPERIMENT.train(SyntheticConfig(task="order", cell="lstm", **TINY), path)


def test_flow_is_measured_before_and_after_training(run):
    flow = read_flow(run)
    assert {len(norms) for part in flow for norms in part.values()} == {10}
    assert not np.allclose(flow.initial["h"], flow.trained["h"])
    metrics = read_result(run)["metrics"]
    assert metrics["log10_norm_trained"] == flow.trained["h"][-1]
    assert metrics["log10_norm_initial"] == flow.initial["h"][-1]
    assert metrics["finite"] == 1


def test_predict_answers_sequences(run, monkeypatch, capsys):
    texts = ["2052341352", "44012325"]
    assert command(monkeypatch, gradient_flow, "predict", *texts[:1], "--run", run.path) == 0
    found = [capsys.readouterr().out.strip()]
    assert command(monkeypatch, gradient_flow, "predict", "--run", run.path, texts[1]) == 1
    assert "Sequence 1 has 8 steps; the task order needs at least 10" in capsys.readouterr().err
    config, params = load_network(run)
    xs = np.eye(6, dtype="f")[[int(symbol) for symbol in texts[0]]]
    label = int(birnn_jax.tagger(config.stack, params, xs[None])[0, -1].argmax())
    assert found == [["00", "01", "10", "11"][label]]


def test_run_that_blows_up_has_a_result_that_says_so(tmp_path):
    options = {"optimizer": "sgd", "learning_rate": 1e6, "clip_norm": None}
    tiny = TINY | {"steps": 30, "steps_per_evaluation": 1}
    config = SyntheticConfig(task="adding", cell="elman", **options, **tiny)
    result = read_result(gradient_flow.EXPERIMENT.train(config, tmp_path))
    assert result["metrics"]["finite"] == 0 and result["steps"] < 30


def test_sweep_trains_every_variant(tmp_path, monkeypatch):
    trained = []

    def pretend(experiment, config, path):
        trained.append((config.cell, config.forget_bias, config.w_h, config.clip_norm, config.seed))
        return experiment.start(config, path, {})

    monkeypatch.setattr(Experiment, "train", pretend)
    monkeypatch.setattr(gradient_flow, "PICTURES", {})
    words = ("sweep", "--runs", tmp_path, "--pictures", tmp_path, "--seeds", 4, 5)
    assert command(monkeypatch, gradient_flow, *words) == 0
    assert len(set(trained)) == len(trained) == 2 * len(gradient_flow_config.VARIANTS)


def test_stack_or_second_direction_is_refused(monkeypatch, capsys):
    assert command(monkeypatch, gradient_flow, "train", "--layers", 2) == 1
    assert "one layer that reads forwards; got layers 2" in capsys.readouterr().err
