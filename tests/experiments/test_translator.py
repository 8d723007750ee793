"""The translator: whole sentences against single steps, what it sees, and its loss."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from birnn_jax import cross_entropy
from birnn_jax.data import pad
from experiments.translation.config import TranslationConfig
from experiments.translation.data import Pair
from experiments.translation.encoding import Encoded, flat_pairs
from experiments.translation.model import (
    advance,
    encode,
    init_params,
    log_probs_of,
    logits_of,
    score,
)
from experiments.translation.report import draw_alignments
from experiments.translation.subwords import BEGIN, END
from experiments.translation.training import smoothed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["additive", "none"])
def model(request):
    """A model with parameters and a batch of two rows and an empty one."""
    config = TranslationConfig(attention=request.param, cell="lstm", dropout=0.5)
    sizes = {"source_size": 9, "target_size": 8, "embedding_size": 3, "hidden_size": 4}
    make = functools.partial(init_params, config.model, **sizes)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: jnp.array(0.5 * rng.normal(size=leaf.shape), jnp.float32),
        jax.eval_shape(make, jax.random.key(0)),
    )
    pairs = [
        Encoded(np.array([5, 4, 7, 6, 8]), np.array([4, 5, END])),
        Encoded(np.array([8, 4]), np.array([6, 7, 4, 5, END])),
    ]
    return config.model, params, flat_pairs(pad(pairs, batch_size=3, length=8))


scored, encoded, advanced = (
    jax.jit(function, static_argnames="model") for function in (score, encode, advance)
)


def test_scores_are_those_of_single_steps(model):
    translator, params, batch = model
    logits, weights = scored(translator, params, batch, None)
    for row, count in enumerate([3, 5]):
        length = int(batch["source_lengths"][row])
        source = batch["source"][row : row + 1, :5]
        memory, state = encoded(translator, params, source, jnp.array([length]))
        for place, token in enumerate([BEGIN, *batch["target"][row, : count - 1]]):
            words = params.target[jnp.array([token])]
            state, looked = advanced(translator, params, memory, state, words)
            want = logits_of(params, state.fed)[0]
            np.testing.assert_allclose(logits[row, place], want, atol=1e-5)
            np.testing.assert_allclose(weights[row, place, :length], looked[0, :length], atol=1e-6)
            assert float(weights[row, place].sum()) == pytest.approx(1.0)


def test_scores_depend_on_what_stands_before_only(model):
    translator, params, batch = model
    changed = {**batch, "target": batch["target"].copy()}
    changed["target"][1, 2] = 7
    one, other = (scored(translator, params, b, None)[0] for b in (batch, changed))
    np.testing.assert_array_equal(one[1, :3], other[1, :3])
    assert (one[1, 3] != other[1, 3]).any()


def test_fixed_vector_hides_all_but_the_ends_of_attention(model):
    translator, params, batch = model
    memory, state = encoded(translator, params, batch["source"], batch["source_lengths"])
    words = params.target[jnp.array([4, 5, 6])]
    moved = memory._replace(states=memory.states[:, ::-1] * 2)
    fed = [advanced(translator, params, one, state, words)[0].fed[0] for one in (memory, moved)]
    assert bool((fed[0] == fed[1]).all()) == (translator.attention == "none")


def test_without_teacher_the_decoder_reads_its_own_words(model):
    translator, params, batch = model
    scheduled = dataclasses.replace(translator, scheduled=True, dropout=0.0)
    batch = {**batch, "rows": np.arange(len(batch["target"]))}
    other = {**batch, "target": np.where(batch["target"] == END, END, 4)}

    def scores(batch, forcing):
        return scored(scheduled, params, batch, jax.random.key(0), forcing)[0]

    np.testing.assert_array_equal(scores(batch, 0.0), scores(other, 0.0))
    assert (scores(batch, 1.0) != scores(other, 1.0)).any()
    right = scored(translator, params, batch, None)[0]
    np.testing.assert_allclose(scores(batch, 1.0), right, atol=1e-5)
    own = scores(batch, 0.0)
    read = {**batch, "target": np.asarray(own.argmax(axis=-1))}
    again = scored(translator, params, read, None)[0]
    np.testing.assert_allclose(again, own, atol=1e-5)


def test_neither_marks_nor_an_empty_sentence_can_be_written(model):
    _, params, _ = model
    fed = np.random.default_rng(1).normal(size=[2, 3]).astype(np.float32)
    log_probs = log_probs_of(params, fed, jnp.array([BEGIN, 5]))
    assert np.isneginf(log_probs[:, :END]).all()
    assert np.isneginf(log_probs[0, END]) and np.isfinite(log_probs[1, END:]).all()
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=-1), 1, rtol=1e-5)
    logits = np.asarray(logits_of(params, fed))
    np.testing.assert_allclose(
        log_probs[1, END:] - log_probs[1, 5], logits[1, END:] - logits[1, 5], atol=1e-5
    )


def test_smoothed_loss_is_that_of_the_smoothed_target():
    logits = np.random.default_rng(0).normal(size=[2, 3, 5]).astype(np.float32)
    labels, valid = np.array([[1, 4, 0], [2, 2, 3]]), np.array([[1, 1, 0], [1, 0, 0]], bool)

    @jax.jit
    def loss(logits):
        return smoothed(cross_entropy(logits, labels, valid), logits, valid, 0.2)

    got = loss(logits)
    target = 0.8 * np.eye(5)[labels] + 0.2 / 5
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    want = -(target * log_probs).sum(axis=-1)[valid]
    np.testing.assert_allclose(got.sum, want.sum(), rtol=1e-5)
    assert got.count == 3


class Silent(NamedTuple):
    """A translator all of whose translations are empty."""

    def translate(self, sentences):
        return [""] * len(sentences)

    def align(self, source, target):
        return [source], [], np.zeros([0, 1])


def test_empty_translations_have_no_picture_and_that_is_said(tmp_path, capsys):
    pairs = [Pair("I quit .", "x"), Pair("no", "y")]
    draw_alignments(tmp_path / "a.png", Silent(), pairs, Console())
    assert capsys.readouterr().out.startswith("Every translation is empty: there is no alignment")
    assert not (tmp_path / "a.png").exists()
