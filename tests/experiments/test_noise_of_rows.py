"""What is drawn for a row in training belongs to the row: batches can be cut anywhere."""

import jax
import pytest
from numpy.testing import assert_allclose

from experiments.music.compose import config as causal
from experiments.music.compose import model as causal_training
from experiments.music.infill import config as infill_config
from experiments.music.infill import model as infill_training
from experiments.pos_tagging import model as pos_tagging_training
from experiments.pos_tagging.data import read_data
from experiments.runner.data.reading import Reading
from experiments.speech.data import labels_of, read_parts
from experiments.speech.model import make_training as make_speech
from experiments.translation.data import read_pairs
from experiments.translation.encoding import learn_lexicon
from experiments.translation.training import make_training as make_translation
from experiments.words.data import build_vocabulary
from tests.experiments import _small_music, _small_speech, _small_tagging, _small_translation


def speech(folder, **changes):
    config = _small_speech.config(_small_speech.write_folder(folder / "sounds"), **changes)
    parts = read_parts(config)
    return make_speech(config, parts, labels_of(config, parts.train))


def translation(folder, **changes):
    config = _small_translation.config(_small_translation.write_columns(folder), **changes)
    parts = read_pairs(config, Reading())
    return make_translation(config, learn_lexicon(config, parts["train"]), parts)


def tagging(folder, **changes):
    config = _small_tagging.config(_small_tagging.write_data(folder), **changes)
    parts = read_data(**config.files, tags=config.tags, reading=Reading())
    train, dev = parts["train"], parts["dev"]
    return pos_tagging_training.make_training(config, build_vocabulary(train), train, dev)


def composing(folder, **changes):
    data = _small_music.write_data(folder)
    config = causal.MusicConfig(data=data, **_small_music.OPTIONS | changes)
    return causal_training.make_training(
        config, *(_small_music.read_rolls(data, part) for part in ("train", "dev"))
    )


def filling(folder, **changes):
    data = _small_music.write_data(folder)
    config = infill_config.InfillConfig(data=data, **_small_music.OPTIONS | changes)
    return infill_training.make_training(
        config, *(_small_music.read_rolls(data, part) for part in ("train", "dev"))
    )


NOISY = {
    "dropout of features": (speech, {"dropout": 0.5}),
    "noise on features": (speech, {"noise": 0.5}),
    "hidden bands and frames": (speech, {"frequency_masks": (1, 6), "time_masks": (1, 4)}),
    "noise on rows of words": (speech, {"noise": 0.5, "task": "row", "join": (1, 2)}),
    "dropout of two languages": (translation, {"dropout": 0.5}),
    "own words read": (translation, {"dropout": 0.0, "teacher_forcing": 0.1}),
    "dropout of words": (tagging, {"dropout": 0.0, "word_dropout": 1.0}),
    "dropout between layers": (tagging, {"dropout": 0.5, "word_dropout": 0.0, "layers": 2}),
    "transposition": (composing, {"dropout": 0.0, "transpose": 5}),
    "hidden notes": (filling, {"dropout": 0.0, "transpose": 0}),
}


@pytest.mark.parametrize("name", NOISY)
def test_pieces_of_a_batch_have_the_noise_of_the_whole(name, tmp_path):
    make, changes = NOISY[name]
    training = make(tmp_path, **changes)
    params = training.init_params(jax.random.key(0))
    batch = training.train[len(training.train) - 1]  # at the end of what changes with time
    loss = jax.jit(
        lambda batch, seed: training.loss_fn(params, batch, jax.random.key(seed))["loss"].sum
    )

    def in_pieces(seed):
        """One row after the other, from the last; what has no rows belongs to all."""
        rows = reversed(range(len(batch["rows"])))
        cut = [jax.tree.map(lambda x, i=i: x[[i]] if x.ndim else x, batch) for i in rows]
        return sum(float(loss(piece, seed)) for piece in cut)

    whole = loss(batch, 1)
    assert_allclose(in_pieces(1), whole, rtol=1e-5)
    assert abs(in_pieces(2) - whole) > 1e-3 * abs(whole)
