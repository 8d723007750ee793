"""Models of music: what they see, what their loss is, what options do."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from experiments.music.compose import model as causal_model
from experiments.music.compose import model as causal_training
from experiments.music.compose.config import MusicConfig
from experiments.music.compose.generate import compose
from experiments.music.config import BUNDLED
from experiments.music.infill import data as infill_data
from experiments.music.infill import model as infill
from experiments.music.infill import model as infill_training
from experiments.music.infill.config import InfillConfig
from experiments.music.infill.data import hidden_span, hidden_voice, to_voices
from experiments.music.infill.model import TrainedInfiller
from experiments.music.midi import write_midi
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.settings import RunSettings
from tests.experiments import _small_music
from tests.experiments._computed import batches_of, program_of
from tests.experiments._small_music import read_rolls

pytestmark = pytest.mark.slow

DATA_CHANGES = {"frames_per_batch": 20, "buckets": 2}
MODEL_CHANGES = {"cell": "gru", "layers": 2, "hidden_size": 3, "dropout": 0.4, "transpose": 1}
SHARED = {field.name for field in dataclasses.fields(RunSettings)}
scores = jax.jit(causal_model.score, static_argnames="model")
infill_scores = jax.jit(infill.score, static_argnames="model")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return _small_music.write_data(tmp_path_factory.mktemp("data"))


def training_of(data, kind, **changes):
    config_of, module = {
        "compose": (MusicConfig, causal_training),
        "infill": (InfillConfig, infill_training),
    }[kind]
    config = config_of(data=data, **{**_small_music.OPTIONS, **changes})
    return module.make_training(config, read_rolls(data, "train"), read_rolls(data, "dev"))


@pytest.fixture(scope="module")
def usual(data):
    trainings = {kind: training_of(data, kind) for kind in ("compose", "infill")}
    return {kind: (batches_of(one), program_of(one)) for kind, one in trainings.items()}


def test_every_option_is_tested():
    shared = (
        DATA_CHANGES.keys()
        | MODEL_CHANGES.keys()
        | {"data", "frames_per_beat", "encoding", "strict"}
    )
    names = {field.name for field in dataclasses.fields(MusicConfig)}
    assert names - SHARED == shared | {"input_dropout"}
    names = {field.name for field in dataclasses.fields(InfillConfig)}
    assert names - SHARED == shared | {"direction", "bar"}


@pytest.mark.parametrize("kind", ["compose", "infill"])
@pytest.mark.parametrize(("name", "value"), DATA_CHANGES.items(), ids=DATA_CHANGES.keys())
def test_option_changes_what_is_read(data, usual, kind, name, value):
    assert batches_of(training_of(data, kind, **{name: value})) != usual[kind][0]


@pytest.mark.parametrize("kind", ["compose", "infill"])
@pytest.mark.parametrize(("name", "value"), MODEL_CHANGES.items(), ids=MODEL_CHANGES.keys())
def test_option_changes_the_model(data, usual, kind, name, value):
    assert program_of(training_of(data, kind, **{name: value})) != usual[kind][1]


def test_dropout_of_what_is_read_changes_the_model(data, usual):
    other = training_of(data, "compose", input_dropout=0.4)
    assert program_of(other) != usual["compose"][1]


def test_options_of_infilling_change_it(data, usual):
    backwards = training_of(data, "infill", direction="bwd")
    assert program_of(backwards) != usual["infill"][1]
    assert batches_of(training_of(data, "infill", bar=2)) != usual["infill"][0]


@pytest.mark.parametrize("kind", ["compose", "infill"])
def test_same_options_compute_the_same(data, usual, kind):
    training = training_of(data, kind)
    assert (batches_of(training), program_of(training)) == usual[kind]


def test_midi_has_more_frames_a_beat_if_asked(tmp_path):
    for part in ("train", "valid", "test"):
        (tmp_path / part).mkdir()
        write_midi(tmp_path / part / "a.mid", read_rolls(BUNDLED, "test")[0][:4])
    sizes = [len(read_rolls(tmp_path, "test", number)[0]) for number in (1, 3)]
    assert sizes == [4, 12]
    start = functools.partial(RunFolder.start, tmp_path / "run", experiment="e", settings={})
    assert start(data={"data": tmp_path / "test"}).path == tmp_path / "run"
    start(data={"data": tmp_path / "train"})  # the same files
    write_midi(tmp_path / "train" / "b.mid", read_rolls(BUNDLED, "test")[0][:4])
    with pytest.raises(ValueError, match="holds a run with content of --data"):
        start(data={"data": tmp_path / "train"})


@pytest.mark.parametrize(
    ("config", "name", "value"),
    [
        (MusicConfig, "transpose", -1),
        (MusicConfig, "dropout", 1.0),
        (MusicConfig, "frames_per_batch", 0),
        (InfillConfig, "bar", 0),
    ],
)
def test_impossible_settings_are_refused_by_name(config, name, value):
    with pytest.raises(ValueError, match=f"{name} must"):
        config(**{name: value})


@pytest.fixture(scope="module")
def composer():
    config = MusicConfig(**{**_small_music.OPTIONS, "layers": 2})
    params = jax.jit(lambda key: causal_training.init_params(config, key))(jax.random.key(0))
    return config.model, params._replace(w=9 * params.w)  # of firm opinions


def test_loss_is_the_sum_over_keys_given_the_frames_before(composer):
    model, params = composer
    rolls = np.stack([roll[:6] for roll in read_rolls(BUNDLED, "test")[:2]])
    lengths = np.array([6, 4])
    _, logits = scores(model, params, rolls)
    shares = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    nats = 0.0
    for row, length in enumerate(lengths):
        for frame in range(1, length):
            p, truth = shares[row, frame - 1], rolls[row, frame]
            nats -= (truth * np.log(p) + (1 - truth) * np.log(1 - p)).sum()
    batch = {"roll": rolls, "lengths": lengths, "rows": np.arange(2)}
    total = jax.jit(causal_model.make_loss(model))(params, batch, None)["loss"]
    assert total.count == 5 + 3
    np.testing.assert_allclose(total.sum, nats, rtol=1e-5)


def test_frame_is_expected_from_those_before_it_only(composer):
    model, params = composer
    roll = read_rolls(BUNDLED, "test")[0][None, :8]
    changed = roll.copy()
    changed[:, 5] = 1 - changed[:, 5]
    differ = np.asarray(scores(model, params, roll)[1] != scores(model, params, changed)[1])
    assert not differ[:, :5].any() and differ[:, 5:].any(axis=(0, 2)).all()


def test_composed_piece_begins_as_given_and_keeps_its_voices(composer):
    model, params = composer
    beginning = read_rolls(BUNDLED, "test")[0][:2]
    wishes = {"frames": 9, "voices": 3, "temperature": 1.0}
    piece = compose(model, params, beginning, **wishes, seed=1)
    np.testing.assert_array_equal(piece[:2], beginning)
    assert len(piece) == 11 and set(piece[2:].sum(axis=1)) <= {1, 2, 3}
    np.testing.assert_array_equal(compose(model, params, beginning, **wishes, seed=1), piece)
    assert (compose(model, params, beginning, **wishes, seed=2) != piece).any()
    several = np.stack([roll[:2] for roll in read_rolls(BUNDLED, "test")[:3]])
    alone = [compose(model, params, each, **wishes, seed=1) for each in several]
    np.testing.assert_array_equal(compose(model, params, several, **wishes, seed=1), alone)
    # The likeliest chords follow from all that stands before them, wherever the beginning ends.
    likeliest = wishes | {"temperature": 1e-4}
    whole = compose(model, params, beginning, **likeliest, seed=1)
    again = compose(model, params, whole[:5], **(likeliest | {"frames": 6}), seed=2)
    np.testing.assert_array_equal(again, whole)


@pytest.mark.parametrize("name", ["frames", "voices", "temperature"])
def test_numbers_that_make_no_piece_are_refused(composer, name):
    wishes = {"frames": 2, "voices": 3, "temperature": 1.0, name: 0}
    with pytest.raises(ValueError, match=f"{name} must be positive, got 0"):
        compose(*composer, np.zeros([1, 88]), **wishes, seed=0)


@pytest.fixture(scope="module", params=["both", "fwd"])
def infiller(request):
    config = InfillConfig(**_small_music.OPTIONS, direction=request.param)
    params = jax.jit(lambda key: infill_training.init_params(config, key))(jax.random.key(0))
    return TrainedInfiller(config, params._replace(w=200 * params.w))  # of firm opinions


def test_what_is_hidden_is_not_read(infiller):
    model, params = infiller.config.model, infiller.params
    voices = to_voices(read_rolls(BUNDLED, "test")[0][:8])[None]
    hidden = hidden_span(8, 3, 2)[None]
    lengths = np.array([8])
    changed = np.where(hidden, voices + 1, voices)
    same = [infill_scores(model, params, one, hidden, lengths) for one in (voices, changed)]
    np.testing.assert_array_equal(*same)
    later = voices.copy()
    later[:, 6] += 1
    found = np.asarray(infill_scores(model, params, later, hidden, lengths) != same[0])
    assert found[:, :6].any() == (infiller.config.direction == "both")
    assert found[:, 6:].any()


def test_notes_count_in_chords_of_four_and_where_hidden(infiller, data):
    rolls = read_rolls(data, "test")
    (example,) = infill_data.examples_of(rolls[:1], [hidden_voice(len(rolls[0]), 1)])
    batch = {name: array[None] for name, array in example.items()}
    batch |= {"lengths": np.array([len(rolls[0])]), "rows": np.array([0])}
    loss_fn = jax.jit(infill.make_loss(infiller.config.model))
    assert loss_fn(infiller.params, batch, None)["loss"].count == len(rolls[0]) - 1
    shorter = batch | {"lengths": np.array([2])}  # the chord of three is the third
    assert loss_fn(infiller.params, shorter, None)["accuracy"].count == 2


def test_only_what_is_hidden_is_filled_in(infiller):
    voices = to_voices(read_rolls(BUNDLED, "test")[0][:8])
    hidden = hidden_voice(8, 2)
    filled = infiller.fill(voices, hidden)
    np.testing.assert_array_equal(filled[~hidden], voices[~hidden])
    blank = np.where(hidden, 0, voices)
    np.testing.assert_array_equal(infiller.fill(blank, hidden), filled)
