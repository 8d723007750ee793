"""Depth: which stacks are trained, and that each change is the one it says."""

import json

import numpy as np
import pytest

from experiments.characters.config import LanguageConfig
from experiments.deep_rnn import __main__ as deep_rnn
from experiments.deep_rnn import config as deep_rnn_config
from experiments.runner.run.folder import RunFolder
from tests import _figures
from tests.experiments import _small_language
from tests.experiments._commands import command

pytestmark = pytest.mark.slow


@pytest.fixture
def tell(monkeypatch, capsys):
    """Runs the command line: exit status, standard output, standard error."""

    def run(*words):
        status = command(monkeypatch, deep_rnn, *words)
        return status, *capsys.readouterr()

    return run


def test_stacks_are_trained_and_drawn(tell, tmp_path):
    text, picture = _small_language.write_text(tmp_path), tmp_path / "depth.png"
    words = ["--text", text, "--hidden-size", "4", "--epochs", "1", "--seeds", "0"]
    words += ["--depths", "2", "--single-depth", "2", "--changes", "all"]
    defaults = LanguageConfig.__init__.__kwdefaults__ | {"steps": 5, "batch_size": 4}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LanguageConfig.__init__, "__kwdefaults__", defaults)
        words += ["--run", tmp_path, "--picture", picture]
        status, out, _ = tell("compare", *words)
    assert status == 0 and "all" in out
    result = json.loads((tmp_path / "all_2" / "0" / "result.json").read_text())["metrics"]
    by_depth, by_epoch = _figures.drawn(picture).axes
    for axes, place in ((by_depth, 2), (by_epoch, 1)):
        drawn = _figures.curves(axes)
        assert drawn and "all three" in _figures.words(axes)
        for points in drawn:
            np.testing.assert_allclose(points, [[place, result["perplexity"]]])
    words = ("generate", "the ", "--run", tmp_path / "all_2" / "0", "--length", "5")
    status, out, _ = tell(*words)
    assert status == 0 and out.startswith("the ") and len(out) == 10
    settings = deep_rnn_config.DepthConfig.of(RunFolder.open(tmp_path / "all_2" / "0"))
    assert (settings.change, settings.layers, settings.hidden_size) == ("all", 2, 4)
    status, _, err = tell("compare", "--single-depth", "9")
    assert status == 2 and "single_depth must" in err


def test_single_changes_come_first_and_the_others_at_every_depth():
    pairs = list(deep_rnn.Compare(depths=(1, 2, 3), single_depth=2)._pairs())
    assert pairs[:5] == [(change, 2) for change in deep_rnn_config.CHANGES]
    assert sorted(pairs[5:]) == [("all", 1), ("all", 3), ("plain", 1), ("plain", 3)]


@pytest.mark.parametrize("change", deep_rnn_config.CHANGES)
def test_each_change_of_a_stack_is_made(change):
    plain = deep_rnn_config.DepthConfig(change="plain").language
    changed = deep_rnn_config.DepthConfig(change=change).language
    names = ("residual", "layer_norm", "init")
    different = {name for name in names if getattr(changed, name) != getattr(plain, name)}
    expected = {"plain": set(), "all": set(names), "orthogonal": {"init"}}
    assert different == expected.get(change, {change})
    assert (changed.layers, changed.learning_rate, changed.clip_norm) == (6, 0.01, 0.01)
