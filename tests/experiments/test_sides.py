"""One side, both sides, and the leak: what each loss reads, and what the commands say."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bilm_leakage import __main__ as bilm_leakage
from experiments.bilm_leakage import config as sides_config
from experiments.bilm_leakage import data as sides_data
from experiments.bilm_leakage import model as sides
from experiments.bilm_leakage.config import SidesConfig
from experiments.bilm_leakage.data import minibatches
from experiments.bilm_leakage.report import sensitivity
from experiments.bilm_leakage.training import TrainedSides, fill, init_sides, make_training
from experiments.characters.data import Vocabulary, read_corpus
from experiments.runner.data.reading import Reading
from experiments.runner.run.folder import RunFolder
from tests import _figures
from tests.experiments import _small_language
from tests.experiments._commands import command
from tests.experiments._computed import computed

pytestmark = pytest.mark.slow

VOCABULARY = Vocabulary("abcdefg")
V, T = 7, 8
SMALL = {"hidden_size": 5, "steps": T, "batch_size": 2, "epochs": 2, "gap": 2}


def make(task):
    config = SidesConfig(task=task, dropout=0.0, **SMALL)
    params = init_sides(config, V, jax.random.key(0))
    return TrainedSides(config, params._replace(w=9 * params.w), VOCABULARY)


@pytest.fixture
def tokens():
    return np.random.default_rng(0).integers(0, V, T + 1).astype(np.int32)


def test_leaky_model_depends_on_the_character_that_it_predicts(tokens):
    seen = sensitivity(make("leaky"), tokens).fwd
    assert (seen > 0).all()
    assert (np.diagonal(seen, offset=1) > 0).all()


def test_each_direction_of_elmo_is_blind_to_what_it_predicts(tokens):
    fwd, bwd = sensitivity(make("elmo"), tokens)
    # Forwards x[t+1] is predicted from x[..t]; backwards, reading from x[2] on, x[t] from x[t+1..].
    np.testing.assert_array_equal(fwd > 0, np.tri(T, dtype=bool))
    np.testing.assert_array_equal(bwd > 0, np.tri(T, dtype=bool).T)


def test_sensitivity_is_the_gradient_by_finite_differences(tokens):
    trained = make("leaky")
    inputs = np.eye(V, dtype="f")[tokens[:-1]]

    def log_probability(step, inputs):
        logits = sides.score_fresh(trained.config.models.fwd, trained.params, inputs[None])
        return float(jax.nn.log_softmax(logits[0, step])[tokens[step + 1]])

    exact = sensitivity(trained, tokens).fwd
    for step, read in [(2, 3), (4, 1)]:
        slopes = []
        for feature in range(V):
            moved = np.zeros_like(inputs)
            moved[read, feature] = 1e-2
            above, below = (log_probability(step, jnp.array(inputs + s * moved)) for s in (1, -1))
            slopes.append((above - below) / 2e-2)
        np.testing.assert_allclose(exact[step, read], np.linalg.norm(slopes), rtol=0.02)


@pytest.mark.parametrize(("task", "reads"), [("gap", "both"), ("gap_left", 0), ("gap_right", 1)])
def test_gap_is_predicted_from_its_sides_and_never_from_itself(task, reads):
    trained = make(task)
    text = np.arange(T, dtype=np.int32)[None] % V
    batch = {"inputs": text, "lengths": np.array([T], np.int32)}
    loss = sides.make_loss(task, trained.config.models)

    def value(batch):
        gapped = sides_data.with_gaps(batch, np.array([10]), gap=2, missing=V)
        assert gapped["hidden"][0].tolist() == [False] * 4 + [True] * 2 + [False] * 2
        return float(loss(trained.params, gapped, None)["loss"].mean)

    def logits(text):
        gapped = sides_data.with_gaps(batch | {"inputs": text}, np.array([10]), gap=2, missing=V)
        return sides.score_fresh(trained.config.models.fwd, trained.params, gapped["inputs"])[0, 4]

    def changes(place):
        other = text.copy()
        other[0, place] = (other[0, place] + 3) % V
        return bool((logits(other) != logits(text)).any())

    assert np.isfinite(value(batch)) and not changes(4) and not changes(5)
    assert changes(3) == (reads in ("both", 0)) and changes(6) == (reads in ("both", 1))


def test_elmo_predicts_the_next_and_the_previous_character(tokens):
    trained = make("elmo")
    batch = {"inputs": tokens[None, :-1], "labels": tokens[None, 1:]}
    totals = sides.make_loss("elmo", trained.config.models)(trained.params, batch, None)
    fwd, bwd = (
        sides.score_fresh(model, sides.half(trained.params, name), read)
        for name, model, read in zip(
            ("fwd", "bwd"), trained.config.models, (batch["inputs"], batch["labels"]), strict=True
        )
    )

    def nats(logits, labels):
        logits = np.asarray(logits[0], np.float64)
        return np.log(np.exp(logits).sum(axis=-1)) - logits[np.arange(T), labels]

    want_fwd, want_bwd = nats(fwd, tokens[1:]), nats(bwd, tokens[:-1])
    np.testing.assert_allclose(totals["fwd"].mean, want_fwd.mean(), rtol=1e-5)
    np.testing.assert_allclose(totals["bwd"].mean, want_bwd.mean(), rtol=1e-5)
    np.testing.assert_allclose(totals["loss"].mean, (want_fwd + want_bwd).mean() / 2, rtol=1e-5)


@pytest.mark.parametrize("task", sides_config.TASKS)
def test_every_character_counts_once(task, tokens):
    text = np.resize(tokens, 45)
    config = SidesConfig(task=task, **SMALL)
    params = init_sides(config, V, jax.random.key(0))
    loss = jax.jit(sides.make_loss(task, config.models))
    totals = [loss(params, batch, None)["loss"] for batch in minibatches(config, text, V)]
    expected = 88 if task == "elmo" else 44  # each character but one, in each direction
    assert sum(int(total.count) for total in totals) == expected


def test_gaps_are_filled_and_the_rest_is_kept():
    trained = make("gap")
    filled = fill(trained, "ab__e_")
    assert len(filled) == 6 and filled[:2] + filled[4] == "abe" and "_" not in filled
    assert fill(trained, "ab__e_") == filled

    def likeliest(text):
        tokens = np.array([[V if c == "_" else "abcdefg".index(c) for c in text]], np.int32)
        logits = sides.score_fresh(trained.config.models.fwd, trained.params, tokens)[0]
        place = max(np.flatnonzero(tokens[0] == V), key=lambda i: jax.nn.softmax(logits[i]).max())
        token = "abcdefg"[int(logits[place].argmax())]
        return text[:place] + token + text[place + 1 :]

    assert likeliest(likeliest(likeliest("ab__e_"))) == filled
    with pytest.raises(ValueError, match="There is no gap"):
        fill(trained, "abc")
    with pytest.raises(ValueError, match="never seen: 'z'"):
        fill(trained, "z_")


@pytest.mark.parametrize(
    ("name", "value"),
    [("gap", 0), ("epochs", 0), ("held_out", 0.0), ("held_out", 1.0), ("dropout", 1.0)],
)
def test_impossible_settings_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        SidesConfig(**{name: value})


CHANGES = {
    "task": "elmo",
    "held_out": 0.5,
    "hidden_size": 6,
    "dropout": 0.5,
    "gap": 3,
    "steps": 7,
    "batch_size": 3,
    "epochs": 3,
    "learning_rate": 0.1,
    "clip_norm": 0.1,
    "seed": 1,
}


def computed_by(text, **changes):
    config = SidesConfig(text=text, **{"task": "gap", **SMALL, **changes})
    training = make_training(
        config, read_corpus(text, Reading(), characters=None, held_out=config.held_out)
    )
    return computed(training)


@pytest.fixture(scope="module")
def usually_computed(tmp_path_factory):
    text = _small_language.write_text(tmp_path_factory.mktemp("data"))
    return text, computed_by(text)


def test_every_option_is_tested():
    names = {field.name for field in dataclasses.fields(SidesConfig)}
    assert names == CHANGES.keys() | {"text", "encoding", "strict"}


@pytest.mark.parametrize(("name", "value"), CHANGES.items(), ids=CHANGES.keys())
def test_option_changes_what_is_computed(usually_computed, name, value):
    text, usual = usually_computed
    assert computed_by(text, **{name: value}) != usual


TRAINED = ("leaky", "elmo", "gap")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Models trained and shown."""
    folder = tmp_path_factory.mktemp("compared")
    text = _small_language.write_text(folder)
    text.write_text(text.read_text(), encoding="utf-16-le")
    words = ["--text", text, "--encoding", "utf-16-le"]
    words += ["--seeds", "0", "--epochs", "1", "--hidden-size", "4"]
    words += ["--tasks", *TRAINED]
    words += ["--run", folder / "runs", "--picture", folder / "leak.png"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SidesConfig.__init__, "__kwdefaults__", _small_defaults())
        assert command(patch, bilm_leakage, "compare", *words) == 0
    return folder


def _small_defaults():
    return SidesConfig.__init__.__kwdefaults__ | {"steps": T, "batch_size": 2}


def test_models_are_compared_and_drawn(compared):
    results = {
        path.parts[-3]: json.loads(path.read_text())["metrics"]
        for path in (compared / "runs").glob("*/0/result.json")
    }
    assert results.keys() == set(TRAINED)
    assert {"perplexity", "written_perplexity"} <= results["leaky"].keys()
    assert {"fwd_perplexity", "bwd_perplexity"} <= results["elmo"].keys()
    *panels, _, bars = _figures.drawn(compared / "leak.png").axes
    depends = [np.ma.filled(_figures.images(axes)[0], 0) > 0 for axes in panels]
    both, forward, backward = depends
    assert both.all()
    np.testing.assert_array_equal(forward, np.tril(forward))
    np.testing.assert_array_equal(backward, np.triu(backward))
    assert forward.diagonal().all() and backward.diagonal().all()
    drawn = [("gap", "perplexity"), ("elmo", "bwd_perplexity"), ("elmo", "fwd_perplexity")]
    drawn += [("leaky", "written_perplexity"), ("leaky", "perplexity")]  # from below
    widths = [bar.get_width() for bar in bars.patches]
    assert widths == [results[task][metric] for task, metric in drawn]


def test_infill_fills_with_a_model_of_both_sides_only(compared, monkeypatch, capsys):
    run = compared / "runs" / "gap" / "0"
    text = "the c_t s__"
    assert command(monkeypatch, bilm_leakage, "infill", text, "--run", run) == 0
    filled = capsys.readouterr().out
    assert len(filled) == len(text) + 1
    assert command(monkeypatch, bilm_leakage, "infill", "--json", text, "--run", run) == 0
    assert json.loads(capsys.readouterr().out) == {"text": text, "filled": filled[:-1]}
    other = compared / "runs" / "elmo" / "0"
    assert command(monkeypatch, bilm_leakage, "infill", text, "--run", other) == 1
    assert "fills no gaps from both sides" in capsys.readouterr().err


def test_vocabulary_of_a_run_is_checked(compared):
    run = compared / "runs" / "gap" / "0"
    folder = RunFolder.open(run, experiment=bilm_leakage.NAME)
    kept = (run / "vocabulary.json").read_text()
    (run / "vocabulary.json").write_text('"abc"')
    with pytest.raises(ValueError, match="not the vocabulary that the model was trained with"):
        bilm_leakage.load_sides(folder)
    (run / "vocabulary.json").write_text(kept)
