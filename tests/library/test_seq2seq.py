"""Encoder and decoder against a loop in float64, and what is written against what is scored."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from birnn_jax import GRU, LSTM, Bi, Layer, Mask, Segments, cross_entropy
from birnn_jax.cells import LSTMCarry
from birnn_jax.models import Seq2Seq, init_seq2seq, seq2seq, seq2seq_decode, seq2seq_encode
from tests.library import _oracles
from tests.library._cases import LENGTHS, PADDING, B, D, H, T, assert_close, random_like

K, V, E, N, BEGIN, END = 5, 11, 6, 4, 1, 2
TOKENS = np.random.default_rng(5).integers(V, size=[B, T])
ANYTHING = np.where(PADDING, [-7, V, 10**6, -100, V + 2], TOKENS)  # in padding
TARGET = np.array([[3, 4, 0, END], [4, END, -9, 99], [END, 7, -1, 0]])
TARGET_LENGTHS = np.array([4, 2, 1])
MODELS = {
    name: Seq2Seq(Layer(LSTM), GRU, begin=BEGIN, end=END, attention=name)
    for name in ("additive", "general", "none")
}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def make(model, **options):
    sizes = {"num_tokens": V, "num_classes": K, "target_size": E, **options}
    params = jax.eval_shape(lambda key: init_seq2seq(model, key, D, H, **sizes), jax.random.key(0))
    return random_like(params, 1)


run = jax.jit(seq2seq, static_argnames=("dropout",))


def by_hand(model, params, row):
    """Logits `[n, K]` and weights `[n, T]` of one row, step by step."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    n, xs = LENGTHS[row], p.source[TOKENS[row]]
    zeros = Bi(*[LSTMCarry(c=np.zeros([1, H]), h=np.zeros([1, H]))] * 2)
    steps = [("both", (_oracles.lstm_step, _oracles.lstm_step), "concat")]
    carries, ys = _oracles.stack(steps, p.encoder, xs[None], [n], [zeros])
    ys = ys[0, :n]
    ends = np.concatenate([leaf[0] for leaf in jax.tree.leaves(carries[0])])
    h = np.tanh(ends @ p.bridge.h.w + p.bridge.h.b)
    summary = np.concatenate([carry.h[0] for carry in carries[0]])
    carry, fed, found, looked = type(params.bridge)(h=h), np.zeros(E), [], []
    for token in [BEGIN, *TARGET[row, : TARGET_LENGTHS[row] - 1]]:
        xs = np.concatenate([p.target[token], fed])
        carry, h = _oracles.gru_step(p.decoder, carry, xs)
        if model.attention == "none" or not n:
            weights = np.full(n, 1 / max(n, 1))
            context = summary if model.attention == "none" else np.zeros(2 * H)
        else:
            if model.attention == "additive":
                part = p.attention
                scores = np.tanh(h @ part.w_query + ys @ part.w_states) @ part.v
            else:
                scores = ys @ (h @ p.attention.w) / np.sqrt(2 * H)
            weights = np.exp(scores - scores.max())
            weights /= weights.sum()
            context = weights @ ys
        fed = np.tanh(np.concatenate([h, context]) @ p.w)
        found.append(fed @ p.target.T + p.b)
        looked.append(np.pad(weights, (0, T - n)))
    return np.array(found), np.array(looked)


@every_model
def test_scores_match_a_loop_over_ragged_rows(model):
    params = make(model)
    logits, weights = run(model, params, ANYTHING, TARGET, lengths=LENGTHS)
    for row, count in enumerate(TARGET_LENGTHS):
        want, looked = by_hand(model, params, row)
        assert_close(logits[row, :count], want)
        assert_close(weights[row, :count], looked)


@every_model
def test_loss_has_the_gradient_of_finite_differences(model):
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64) / 2, make(model))

        def loss(params):
            logits, _ = seq2seq(model, params, ANYTHING, TARGET, lengths=LENGTHS)
            return cross_entropy(logits, TARGET, TARGET_LENGTHS).mean

        check_grads(
            jax.jit(loss), (params,), order=1, modes=["rev"], eps=1e-5, atol=1e-6, rtol=1e-6
        )


@pytest.mark.parametrize("name", ["general", "none"])
def test_what_is_decoded_is_what_scores_best(name):
    model, width = MODELS[name], 60
    params = make(model)
    decode = jax.jit(functools.partial(seq2seq_decode, model, max_length=3, beam_width=width))
    found = decode(params, ANYTHING, LENGTHS)
    rows = [
        (*row, END)
        for n in range(3)
        for row in itertools.product([k for k in range(K) if k not in (BEGIN, END)], repeat=n)
    ]
    target = np.array([row + (END,) * (3 - len(row)) for row in rows])
    for b, n in enumerate(LENGTHS):
        source = np.repeat(ANYTHING[b : b + 1], len(rows), axis=0)
        logits, _ = run(model, params, source, target, lengths=np.full(len(rows), n))
        logits = np.asarray(logits, np.float64)
        logits[..., BEGIN] = -np.inf
        log_probs = logits - np.logaddexp.reduce(logits, axis=-1)[..., None]
        rows_of_scores = zip(log_probs, rows, strict=True)
        scores = [sum(lp[t, k] for t, k in enumerate(row)) for lp, row in rows_of_scores]
        order = np.argsort(-np.array(scores), kind="stable")
        np.testing.assert_allclose(
            found.scores[b, : len(rows)], np.array(scores)[order], rtol=1e-4, atol=1e-5
        )
        best = [k for k in found.tokens[b, 0].tolist() if k >= 0]
        assert (*best, END) == rows[order[0]]


def test_greedy_decoding_reads_its_own_tokens():
    model = MODELS["additive"]
    params = make(model)
    params = params._replace(b=params.b.at[END].add(-3.0))  # so that rows go on for some steps
    found = jax.jit(functools.partial(seq2seq_decode, model, max_length=N))(
        params, ANYTHING, LENGTHS
    )
    own = np.where(np.asarray(found.tokens) < 0, END, found.tokens)
    logits, _ = run(model, params, ANYTHING, own, lengths=LENGTHS)
    best = np.where(np.arange(K) == BEGIN, -np.inf, logits).argmax(axis=-1)
    counts = found.lengths.tolist()
    assert max(counts) > 1
    for row, count in enumerate(counts):
        upto = min(count + 1, N)  # the end too, where it was written
        assert best[row, :upto].tolist() == own[row, :upto].tolist()


def test_steps_of_the_source_may_be_subsampled_masked_and_features():
    layers = (Layer(LSTM), Layer(GRU, subsample=2, direction="fwd"))
    model = Seq2Seq(layers, LSTM, begin=BEGIN, end=END)
    params = make(model, num_tokens=None)
    assert params.source is None
    xs = random_like(jnp.zeros([B, T, D]), 4)
    valid = np.array([[1, 0, 1, 1, 1], [0, 1, 1, 0, 0], [0] * 5], bool)
    dirty = jnp.where(valid[..., None], xs, np.nan)
    logits, weights = run(model, params, dirty, TARGET, lengths=Mask(valid))
    assert weights.shape == (B, N, 3) and np.isfinite(logits).all()
    for row in range(B):
        packed = xs[row][valid[row]][None]
        alone, _ = run(model, params, packed, TARGET[row : row + 1])
        assert_close(logits[row], alone[0])


def test_dropout_and_sampling_belong_to_the_key_of_the_row():
    model = MODELS["general"]
    params = make(model)
    keys = lambda: jax.random.split(jax.random.key(4), B)  # noqa: E731
    sample = jax.jit(lambda *args, **options: seq2seq(model, params, *args, **options))

    def score(tokens, target, lengths, key, rate=0.0, forcing=None):
        options = {"lengths": lengths, "key": key, "dropout": rate, "teacher_forcing": forcing}
        return sample(tokens, target, **options)[0]

    whole = score(ANYTHING, TARGET, LENGTHS, keys(), 0.4, 0.5)
    turned = score(ANYTHING[::-1], TARGET[::-1], LENGTHS[::-1].copy(), keys()[::-1], 0.4, 0.5)
    assert_close(turned[::-1], whole)
    right = run(model, params, ANYTHING, TARGET, lengths=LENGTHS)[0]
    assert_close(score(ANYTHING, TARGET, LENGTHS, keys(), 0.0, 1.0), right)
    for rate, forcing in ((0.4, None), (0.0, 0.0)):
        changed = score(ANYTHING, TARGET, LENGTHS, keys(), rate, forcing)
        assert not np.allclose(changed[:, 1:], right[:, 1:], atol=1e-3)
    # Without a teacher the target is never read.
    one, other = (score(ANYTHING, t, LENGTHS, keys(), 0.0, 0.0) for t in (TARGET, TARGET * 0 + 3))
    np.testing.assert_array_equal(one, other)


def test_models_say_what_they_take():
    model, params = MODELS["none"], make(MODELS["none"])
    with pytest.raises(ValueError, match="attention must be one of 'additive', 'general', 'none'"):
        Seq2Seq(LSTM, LSTM, begin=1, end=2, attention="dot")
    with pytest.raises(TypeError, match="model must be a Seq2Seq"):
        seq2seq_encode(LSTM, params, TOKENS)
    with pytest.raises(ValueError, match="lengths must be integers or a Mask, got Segments"):
        seq2seq_encode(model, params, TOKENS, Segments(np.ones([B, T], int)))
    with pytest.raises(TypeError, match=r"target must be tokens, integers \[B, N\]"):
        seq2seq(model, params, TOKENS, TARGET * 1.0)
