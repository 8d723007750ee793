"""The translator: what it may write, and its loss."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from birnn_jax import cross_entropy
from birnn_jax.data import pad
from birnn_jax.models import seq2seq_encode, seq2seq_step
from experiments.translation.config import TranslationConfig
from experiments.translation.data import Pair
from experiments.translation.encoding import Encoded, flat_pairs
from experiments.translation.model import init_params, make_step
from experiments.translation.report import draw_alignments
from experiments.translation.search import MORE_STEPS, Search, find
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


def test_neither_marks_nor_an_empty_sentence_can_be_written(model):
    translator, params, batch = model
    memory, state = seq2seq_encode(
        translator.network, params, batch["source"], batch["source_lengths"]
    )
    first = jax.tree.map(lambda leaf: leaf[0], (memory, state))
    step = make_step(translator, params)
    at_once, later = (np.asarray(step(*first, jnp.array(token))[1]) for token in (BEGIN, 5))
    assert np.isneginf(at_once[: END + 1]).all() and np.isfinite(at_once[END + 1 :]).all()
    assert np.isneginf(later[:END]).all() and np.isfinite(later[END:]).all()
    _, logits, _ = seq2seq_step(
        translator.network, params, memory, state, tokens=jnp.array([5, 5, 5])
    )
    np.testing.assert_allclose(later[END:], logits[0, END:], atol=1e-5)


@pytest.mark.parametrize("search", [Search(1, 0.0), Search(3, 1.0)], ids=["greedy", "beam"])
def test_translations_have_subwords_and_end_in_time(model, search):
    translator, params, batch = model
    tokens, lengths = find(translator, search, params, batch["source"], batch["source_lengths"])
    assert tokens.shape == (3, 2 * batch["source"].shape[1] + MORE_STEPS)
    behind = np.arange(tokens.shape[1]) >= np.asarray(lengths)[:, None]
    assert (np.asarray(tokens)[behind] == -1).all() and (np.asarray(tokens)[~behind] > END).all()
    assert (np.asarray(lengths) > 0).all()


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
