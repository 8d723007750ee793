"""Norms of Jacobians against finite differences in float64, and the experiment that draws them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import birnn_jax
from experiments import gradient_flow
from experiments.runner.folder import RunFolder
from experiments.runner.results import read_result
from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.flow import read_flow, write_flow
from experiments.synthetic.jacobians import reach
from experiments.synthetic.runs import train_run
from tests import _oracles
from tests.test_memory_tasks import command

B, T, D, H = 2, 6, 2, 3
CELLS = {
    "elman": (birnn_jax.ELMAN, _oracles.elman_step),
    "gru": (birnn_jax.GRU, _oracles.gru_step),
    "lstm": (birnn_jax.LSTM.with_init(forget_bias=2.0), _oracles.lstm_step),
}
TINY = {"length": 10, "steps": 4, "steps_per_evaluation": 2, "hidden_size": 3, "held_out": 32}


def differences(step, params, xs, carry, names):
    """d (fields of the last carry) / d (the same fields of `carry`), by central differences."""
    sizes = [len(getattr(carry, name)) for name in names]
    columns = []
    for name, size in zip(names, sizes, strict=True):
        for unit in range(size):
            ends = []
            for sign in (1, -1):
                moved = carry._replace(
                    **{name: getattr(carry, name) + sign * 1e-6 * np.eye(size)[unit]}
                )
                for x in xs:
                    moved, _ = step(params, moved, x)
                ends.append(np.concatenate([getattr(moved, field) for field in names]))
            columns.append((ends[0] - ends[1]) / 2e-6)
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("name", CELLS)
def test_norms_are_those_of_finite_differences(name):
    cell, step = CELLS[name]
    params = cell.init(jax.random.key(0), D, H)
    xs = jax.random.normal(jax.random.key(1), [B, T, D])
    reached = reach(cell, params, xs)
    trees = (params, xs, cell.initial_carry(params))
    params, rows, initial = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), trees)
    want = {"hidden": np.zeros([B, T]), "state": np.zeros([B, T])}
    for b, row in enumerate(rows):
        carry = initial
        for t in range(T):
            carry, _ = step(params, carry, row[t])
            for what, names in (("hidden", ("h",)), ("state", carry._fields)):
                jacobian = differences(step, params, row[t + 1 :], carry, names)
                want[what][b, T - 1 - t] = np.log10(np.linalg.norm(jacobian, ord=2))
    np.testing.assert_allclose(reached.hidden, want["hidden"].mean(axis=0), atol=2e-5)
    np.testing.assert_allclose(reached.state, want["state"].mean(axis=0), atol=2e-5)
    assert (name == "lstm") == (not np.allclose(reached.hidden, reached.state))


def test_norms_far_below_the_smallest_float_are_known():
    cell = birnn_jax.ELMAN
    params = cell.init(jax.random.key(0), D, H)._replace(w_h=1e-3 * jnp.eye(H))
    norms = reach(cell, params, jnp.zeros([1, 40, D])).hidden
    np.testing.assert_allclose(norms, -3.0 * np.arange(40), rtol=1e-4)


def test_norm_of_nothing_is_small_and_finite():
    cell = birnn_jax.ELMAN
    params = cell.init(jax.random.key(0), D, H)._replace(w_h=jnp.zeros([H, H]))
    norms = reach(cell, params, jnp.zeros([1, 5, D])).hidden
    assert np.isfinite(norms).all() and (norms[1:] < -29).all()


def test_orthogonal_weights_keep_the_norm_where_nothing_saturates():
    cell = birnn_jax.ELMAN
    params = cell.init(jax.random.key(0), D, H)
    norms = reach(cell, params, jnp.zeros([1, 50, D])).hidden
    np.testing.assert_allclose(norms, 0, atol=1e-4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    train_run("gradient_flow", SyntheticConfig(task="order", cell="lstm", **TINY), path, write_flow)
    return RunFolder.open(path)


def test_flow_is_measured_before_and_after_training(run):
    flow = read_flow(run)
    assert {len(norms) for part in flow for norms in part} == {10}
    assert not np.allclose(flow.initial.hidden, flow.trained.hidden)
    metrics = read_result(run)["metrics"]
    assert metrics["log10_norm_trained"] == flow.trained.hidden[-1]
    assert metrics["log10_norm_initial"] == flow.initial.hidden[-1]
    assert metrics["finite"] == 1


@pytest.mark.parametrize("name", gradient_flow.PICTURES)
def test_pictures_are_drawn(run, tmp_path, name):
    runs = {variant: [run, run] for variant in gradient_flow.VARIANTS}
    gradient_flow.PICTURES[name](tmp_path / "picture.png", runs)
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_run_that_blows_up_has_a_result_that_says_so(tmp_path):
    options = {"optimizer": "sgd", "learning_rate": 1e6, "clip_norm": None}
    tiny = TINY | {"steps": 30, "steps_per_evaluation": 1}
    config = SyntheticConfig(task="adding", cell="elman", **options, **tiny)
    train_run("gradient_flow", config, tmp_path, write_flow)
    result = read_result(RunFolder.open(tmp_path))
    assert result["metrics"]["finite"] == 0 and result["steps"] < 30


def test_sweep_trains_every_variant(tmp_path, monkeypatch):
    trained = []

    def pretend(experiment, config, path, finish):
        trained.append((config.cell, config.forget_bias, config.w_h, config.clip_norm, config.seed))
        RunFolder.start(path, experiment=experiment, settings={}, data={})

    monkeypatch.setattr(gradient_flow, "train_run", pretend)
    monkeypatch.setattr(gradient_flow, "PICTURES", {})
    words = ("sweep", "--runs", tmp_path, "--pictures", tmp_path, "--seeds", 4, 5)
    assert command(gradient_flow, monkeypatch, *words) == 0
    assert len(set(trained)) == len(trained) == 2 * len(gradient_flow.VARIANTS)


def test_stack_or_second_direction_is_refused(monkeypatch, capsys):
    assert command(gradient_flow, monkeypatch, "train", "--layers", 2) == 1
    assert "one layer that reads forwards; got layers 2" in capsys.readouterr().err
