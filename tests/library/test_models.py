"""The tagger and the classifier are the stack, a readout and one projection, and nothing else."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import (
    ELMAN,
    GRU,
    LSTM,
    Layer,
    classifier,
    init_classifier,
    init_tagger,
    stack,
    stack_lengths,
    tagger,
)
from tests.library import _oracles
from tests.library._cases import (
    CLOCKED,
    LENGTHS,
    PADDING,
    B,
    D,
    H,
    T,
    assert_close,
    assert_equal,
    random_like,
    random_xs,
)

K = 4  # classes
SIZES = (H, 6)
LAYERS = (Layer(LSTM), Layer(GRU, merge="sum"))
STEPS = [
    ("both", (_oracles.lstm_step, _oracles.lstm_step), "concat"),
    ("both", (_oracles.gru_step, _oracles.gru_step), "sum"),
]
READOUTS = ["final", "mean", "max", "attention"]

run_tagger = jax.jit(tagger, static_argnames=("layers", "dropout", "locked_dropout"))
run_classifier = jax.jit(
    classifier, static_argnames=("layers", "readout", "dropout", "locked_dropout")
)


def _random_params(init, layers=LAYERS, **options):
    init = functools.partial(
        init, layers, input_size=D, hidden_size=SIZES[: len(layers)], num_classes=K, **options
    )
    return random_like(jax.eval_shape(lambda: init(jax.random.key(0))), 1)


def _stack_oracle(params):
    """Carries and outputs of the stack, from zero."""
    carries, _ = jax.eval_shape(functools.partial(stack, LAYERS), params.rnn, random_xs())
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape), carries)
    return _oracles.stack(STEPS, params.rnn, random_xs(), LENGTHS, zeros)


def _project(params, pooled):
    return pooled @ np.asarray(params.w, np.float64) + np.asarray(params.b, np.float64)


def test_tagger_matches_loop_on_ragged_batch():
    params = _random_params(init_tagger)
    _, ys = _stack_oracle(params)
    logits = run_tagger(LAYERS, params, random_xs(), LENGTHS)
    assert_close(logits, _project(params, ys))


def test_tagger_gives_the_bias_in_padding():
    params = _random_params(init_tagger)
    logits = run_tagger(LAYERS, params, random_xs(), LENGTHS)
    assert_equal(logits[PADDING], jnp.broadcast_to(params.b, [PADDING.sum(), K]))


@pytest.mark.parametrize("readout", READOUTS)
def test_classifier_matches_loop_on_ragged_batch(readout):
    params = _random_params(init_classifier, readout=readout)
    carries, ys = _stack_oracle(params)
    pooled = {
        "final": lambda: np.concatenate([carry.h for carry in carries[-1]], axis=-1),
        "mean": lambda: _oracles.mean_pool(ys, LENGTHS),
        "max": lambda: _oracles.max_pool(ys, LENGTHS),
        "attention": lambda: _oracles.attention_pool(params.attention, ys, LENGTHS)[0],
    }[readout]()
    logits = run_classifier(LAYERS, params, random_xs(), LENGTHS, readout=readout)
    assert_close(logits, _project(params, pooled))


def test_readout_is_the_final_states_unless_said_otherwise():
    params = _random_params(init_classifier)
    logits = run_classifier(LAYERS, params, random_xs(), LENGTHS)
    assert_equal(logits, run_classifier(LAYERS, params, random_xs(), LENGTHS, readout="final"))


def test_models_take_the_cell_of_a_user():
    layers = (Layer(CLOCKED),)
    tag = _random_params(init_tagger, layers)
    classify = _random_params(init_classifier, layers, readout="max")
    assert run_tagger(layers, tag, random_xs(), LENGTHS).shape == (B, T, K)
    assert run_classifier(layers, classify, random_xs(), LENGTHS, readout="max").shape == (B, K)


@pytest.mark.parametrize(
    ("init", "run"), [(init_tagger, run_tagger), (init_classifier, run_classifier)]
)
def test_models_drop_between_layers_while_there_is_a_key(init, run):
    layers = (Layer(ELMAN, direction="fwd"),) * 2
    args = (layers, _random_params(init, layers), random_xs(), LENGTHS)
    one, same, other = (run(*args, dropout=0.5, key=jax.random.key(s)) for s in (0, 0, 1))
    assert_equal(one, same)
    assert (one != other).any()
    assert_equal(run(*args, dropout=0.5), run(*args))


@pytest.mark.parametrize(
    ("init", "run"), [(init_tagger, run_tagger), (init_classifier, run_classifier)]
)
def test_models_lock_the_dropout_between_layers(init, run):
    layers = (Layer(ELMAN, direction="fwd"),) * 2
    params = _random_params(init, layers)
    logits = run(layers, params, random_xs(), LENGTHS, locked_dropout=0.5, key=jax.random.key(0))
    carries, ys = stack(
        layers, params.rnn, random_xs(), LENGTHS, locked_dropout=0.5, key=jax.random.key(0)
    )
    want = ys if init is init_tagger else carries[-1].h
    assert_close(logits, _project(params, np.asarray(want, np.float64)))
    assert not jnp.allclose(logits, run(layers, params, random_xs(), LENGTHS), atol=1e-3)


# Fewer steps.

PYRAMID = (Layer(ELMAN, direction="fwd"), Layer(GRU, subsample=2, projection=5))


@pytest.mark.parametrize("readout", ["mean", "max", "attention"])
def test_classifier_reads_the_steps_that_are_left(readout):
    params = _random_params(init_classifier, PYRAMID, readout=readout)
    _, ys = stack(PYRAMID, params.rnn, random_xs(), LENGTHS)
    lengths = [3, 1, 0]  # of 5, 2 and 0
    pooled = {
        "mean": lambda: _oracles.mean_pool(ys, lengths),
        "max": lambda: _oracles.max_pool(ys, lengths),
        "attention": lambda: _oracles.attention_pool(params.attention, ys, lengths)[0],
    }[readout]()
    logits = run_classifier(PYRAMID, params, random_xs(), LENGTHS, readout=readout)
    assert_close(logits, _project(params, pooled))


def test_tagger_scores_the_steps_that_are_left():
    params = _random_params(init_tagger, PYRAMID)
    logits = run_tagger(PYRAMID, params, random_xs(), LENGTHS)
    _, ys = stack(PYRAMID, params.rnn, random_xs(), LENGTHS)
    assert logits.shape == (B, 3, K)
    assert_close(logits, _project(params, np.asarray(ys, np.float64)))
    left = np.arange(3) < np.array(stack_lengths(PYRAMID, LENGTHS))[:, None]
    assert_equal(logits[~left], jnp.broadcast_to(params.b, [(~left).sum(), K]))


@pytest.mark.parametrize("init", [init_tagger, init_classifier])
def test_init_draws_the_projection_and_zeroes_its_bias(init):
    layers = (Layer(LSTM, direction="fwd"),)
    params = init(layers, jax.random.key(0), input_size=D, hidden_size=H, num_classes=K)
    assert params.w.shape == (H, K) and len(np.unique(params.w)) == H * K
    assert_equal(params.b, jnp.zeros(K))
