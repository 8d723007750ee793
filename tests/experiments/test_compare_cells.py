"""Equal numbers of parameters, and the experiment that compares cells with them."""

import json

import jax
import numpy as np
import pytest

from birnn_jax import LSTM, init_bidirectional
from experiments.compare_cells import __main__ as compare_cells
from experiments.compare_cells import model as compare_cells_training
from experiments.compare_cells.config import ComparisonConfig, count, solve_size
from experiments.pos_tagging.model import init_params
from experiments.runner.run import loop
from experiments.runner.run.choices import CELLS
from experiments.words.data import build_vocabulary
from tests import _figures
from tests.experiments import _small_tagging
from tests.experiments._commands import command
from tests.experiments.test_pos_tagging import SENTENCES

pytestmark = pytest.mark.slow

SMALL = {
    **{"speller_parameters": 60, "stack_parameters": 90, "word_size": 4, "character_size": 3},
    **{"epochs": 4, "tokens_per_batch": 100},
}


@pytest.mark.parametrize("target", [2, 3, 7, 20, 21, 100, 12345])
@pytest.mark.parametrize("factors", [(1, 0, 3), (0, 7, 1), (3, 5, 0)])
def test_solved_size_is_the_nearest_of_all(target, factors):
    def parameters(size):
        return factors[0] * size * size + factors[1] * size + factors[2]

    if parameters(1) > 2 * target:
        with pytest.raises(ValueError, match=f"parameters already, more than {target} allow"):
            solve_size(parameters, target)
        return
    best = min(range(1, 2000), key=lambda size: abs(parameters(size) - target))
    assert solve_size(parameters, target) == best


def test_count_is_that_of_the_parameters_made():
    def init(key):
        return init_bidirectional(LSTM, key, input_size=3, hidden_size=5)

    made = sum(leaf.size for leaf in jax.tree.leaves(init(jax.random.key(0))))
    assert count(init) == made == 2 * 4 * (3 * 5 + 5 * 5 + 5)


@pytest.mark.parametrize(
    ("cell", "direction"), [*((cell, "both") for cell in CELLS), ("lstm", "fwd")]
)
def test_every_cell_has_as_many_parameters(cell, direction):
    config = ComparisonConfig(cell=cell, direction=direction)
    wanted = config.speller_parameters + config.stack_parameters
    assert config.parameters == pytest.approx(wanted, rel=0.02)


def test_parameters_are_those_of_the_tagger():
    config = ComparisonConfig(cell="gru", layers=2, **SMALL)
    shapes = jax.eval_shape(
        lambda key: init_params(config.tagging, build_vocabulary(SENTENCES), key),
        jax.random.key(0),
    )
    recurrent = (shapes.speller, shapes.tagger.rnn)
    assert config.parameters == sum(leaf.size for leaf in jax.tree.leaves(recurrent))


def test_settings_reach_the_tagger():
    changes = {
        **{"cell": "gru", "direction": "fwd", "layers": 2, "word_size": 5, "character_size": 6},
        **{"epochs": 7, "tokens_per_batch": 50, "learning_rate": 0.1, "seed": 3},
    }
    tagging = ComparisonConfig(**changes).tagging
    assert {name: getattr(tagging, name) for name in changes} == changes
    more = ComparisonConfig(**changes, speller_parameters=24_000, stack_parameters=900_000).tagging
    assert more.speller_size > tagging.speller_size and more.hidden_size > tagging.hidden_size


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"stack_parameters": 0}, "stack_parameters must be positive, got 0"),
        ({"stack_parameters": 10}, "parameters already, more than 10 allow"),
        ({"epochs": 0}, "epochs must be positive"),
    ],
)
def test_impossible_settings_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        ComparisonConfig(**changes)


@pytest.mark.parametrize(
    ("clock", "seconds"),
    [
        ([(10, 9.0), (20, 1.0), (30, 2.0), (40, 1.0)], 4.0),  # the first compiles
        ([(10, 9.0), (15, 1.0)], 3.0),
        ([(10, 9.0)], 9.0),
    ],
)
def test_time_is_that_of_training_without_compilation(clock, seconds):
    records = [{"step": step, "cpu_seconds": spent} for step, spent in clock]
    assert compare_cells_training.cpu_seconds(records) == pytest.approx(seconds)


def test_sweep_trains_tests_and_draws(tmp_path, monkeypatch, capsys):
    data = _small_tagging.write_data(tmp_path)
    options = [
        word for pair in SMALL.items() for word in (f"--{pair[0]}".replace("_", "-"), pair[1])
    ]
    monkeypatch.setattr(compare_cells, "DIRECTIONS", ("fwd",))
    words = ("sweep", "--cells", "elman", "--seeds", 0, "--data", data, *options)
    places = ("--runs", tmp_path, "--picture", tmp_path / "cells.png")
    assert command(monkeypatch, compare_cells, *words, *places) == 0
    assert "elman" in capsys.readouterr().out
    result = json.loads((tmp_path / "elman-fwd-seed0" / "result.json").read_text())
    metrics = result["metrics"]
    (axes,) = _figures.drawn(tmp_path / "cells.png").axes
    (point,) = _figures.curves(axes)
    np.testing.assert_allclose(point, [[metrics["cpu_seconds"], metrics["accuracy"]]])
    assert {"elman", "unidirectional"} <= {*_figures.words(axes)}
    assert 0 < metrics["accuracy"] < 1 and metrics["cpu_seconds"] > 0
    assert metrics["hidden_size"] > 0 and metrics["most_frequent_tag"] > 0
    run = tmp_path / "elman-fwd-seed0"
    assert command(monkeypatch, compare_cells, "predict", "I know .", "--json", "--run", run) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["words"] == ["I", "know", "."] and len(record["tags"]) == 3
    monkeypatch.setattr(loop, "fit", None)  # nothing is trained again
    assert command(monkeypatch, compare_cells, *words, *places) == 0


def test_unknown_cell_is_named(monkeypatch, capsys):
    assert command(monkeypatch, compare_cells, "sweep", "--cells", "lstn") == 1
    assert "no cell 'lstn'; there are elman" in capsys.readouterr().err
