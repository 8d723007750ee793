"""Models of tokens, of chains of labels and of labels without times, against enumerations."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from birnn_jax import (
    ELMAN,
    GRU,
    LSTM,
    Bi,
    Layer,
    classifier,
    dropout,
    init_classifier,
    init_tagger,
    locked_dropout,
    stack,
    tagger,
)
from birnn_jax.heads import tag_constraints
from birnn_jax.models import (
    character_encoder,
    crf_tagger,
    crf_tagger_decode,
    crf_tagger_loss,
    ctc_recogniser,
    ctc_recogniser_decode,
    ctc_recogniser_loss,
    init_character_encoder,
    init_crf_tagger,
    init_ctc_recogniser,
)
from tests.library import _ctc_paths, _oracles
from tests.library._cases import LENGTHS, PADDING, B, D, H, T, assert_close, random_like

K, V = 3, 11
LAYERS = (Layer(LSTM, direction="fwd"), Layer(GRU, merge="sum"))
TOKENS = np.random.default_rng(5).integers(V, size=[B, T])
ANYTHING = np.where(PADDING, [-7, V, 10**6, -100, V + 2], TOKENS)  # in padding
TAGS = ["O", "B-X", "I-X"]
ALLOWED = tag_constraints(TAGS, scheme="BIO")
FINITE = {"order": 1, "modes": ["rev"], "eps": 1e-5, "atol": 1e-6, "rtol": 1e-6}
LABELS = np.array([[0, 1, 2, 2, 0], [1, 2, 9, -1, 3], [-100] * T])


def make(init, layers=LAYERS, **options):
    make = lambda key: init(layers, key, D, H, num_classes=K, **options)  # noqa: E731
    return random_like(jax.eval_shape(make, jax.random.key(0)), 1)


@pytest.mark.parametrize(("init", "run"), [(init_tagger, tagger), (init_classifier, classifier)])
def test_models_of_tokens_are_those_of_features_over_the_rows_of_the_embedding(init, run):
    params = make(init, num_tokens=V)
    features = params._replace(embedding=None)

    def values_and_grads(params, xs):
        weigh = jnp.sin(jnp.arange(K))
        run_one = lambda params: run(LAYERS, params, xs, LENGTHS)  # noqa: E731
        logits, pull = jax.vjp(run_one, params)
        shape = (1,) * (logits.ndim - 1) + (K,)
        return logits, pull(jnp.broadcast_to(weigh.reshape(shape), logits.shape))[0]

    logits, grads = jax.jit(values_and_grads)(params, ANYTHING)
    looked_up = np.asarray(params.embedding)[TOKENS]
    want, want_grads = jax.jit(values_and_grads)(features, looked_up)
    assert_close((logits, grads._replace(embedding=None)), (want, want_grads))
    unused = sorted({*range(V)} - {*TOKENS[~PADDING].tolist()})
    assert unused and (np.asarray(grads.embedding)[unused] == 0).all()
    assert (np.asarray(grads.embedding)[TOKENS[~PADDING]] != 0).all()


def test_embedding_gets_the_gradient_of_finite_differences():
    with jax.enable_x64(True):
        params = make(init_tagger, num_tokens=V)
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)

        def total(embedding):
            logits = tagger(LAYERS, params._replace(embedding=embedding), ANYTHING, LENGTHS)
            return jnp.where(PADDING[..., None], 0, jnp.sin(logits)).sum()

        check_grads(
            jax.jit(total),
            (params.embedding,),
            order=1,
            modes=["rev"],
            eps=1e-5,
            atol=1e-6,
            rtol=1e-6,
        )


def test_valid_tokens_without_a_row_are_nan_in_their_row_alone():
    params = make(init_tagger, num_tokens=V)
    wrong = np.array(ANYTHING)
    wrong[1, 0] = -1
    logits = jax.jit(lambda xs: tagger(LAYERS, params, xs, LENGTHS))
    assert np.isnan(logits(wrong)[1, 0]).all()
    assert_close(logits(wrong)[0], logits(ANYTHING)[0])


@pytest.mark.parametrize("init", [init_tagger, init_classifier, init_crf_tagger])
def test_embedding_is_drawn_beside_what_a_model_of_features_has(init):
    params = init(LSTM, jax.random.key(0), D, H, num_classes=K, num_tokens=500)
    params = getattr(params, "tagger", params)
    assert params.embedding.shape == (500, D)
    length = np.linalg.norm(np.asarray(params.embedding), axis=1)
    assert abs(np.sqrt((length**2).mean()) - 1) < 0.05
    assert init(LSTM, jax.random.key(0), D, H, num_classes=K)[-1] is None or init is init_crf_tagger


@pytest.mark.parametrize("name", ["dropout", "locked_dropout"])
def test_embedding_counts_as_a_layer_for_dropout(name):
    params = make(init_tagger, num_tokens=V)
    keys = lambda: jax.random.split(jax.random.key(4), B)  # noqa: E731

    @jax.jit
    def by_hand(keys):
        own = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, 2**31 - 1)
        drop = {"dropout": dropout, "locked_dropout": locked_dropout}[name]
        xs = drop(params.embedding[TOKENS], 0.4, own)
        return tagger(LAYERS, params._replace(embedding=None), xs, LENGTHS, **{name: 0.4}, key=keys)

    @jax.jit
    def run(keys, tokens):
        return tagger(LAYERS, params, tokens, LENGTHS, **{name: 0.4}, key=keys)

    logits = run(keys(), ANYTHING)
    assert_close(logits, by_hand(keys()))
    assert not np.allclose(logits, run(keys()[::-1], ANYTHING), atol=1e-3)


def test_models_say_what_they_read():
    tokens, features = make(init_tagger, num_tokens=V), make(init_tagger)
    with pytest.raises(TypeError, match=r"must be tokens, integers \[B, T\], as the params have"):
        tagger(LAYERS, tokens, jnp.zeros([B, T, D]), LENGTHS)
    with pytest.raises(ValueError, match="token ids are embedded first, by models made with num_t"):
        tagger(LAYERS, features, TOKENS, LENGTHS)


# A chain.


def _rows(params, logits, allowed):
    """`{labels: score}` of every row of labels that is allowed."""
    chain = [np.asarray(part, np.float64) for part in params.crf]
    if allowed:
        chain = [np.where(ok, part, -np.inf) for ok, part in zip(allowed, chain, strict=True)]
    transitions, start, end = chain
    logits = np.asarray(logits, np.float64)
    scores = {}
    for row in itertools.product(range(K), repeat=len(logits)):
        pairs = sum(transitions[pair] for pair in itertools.pairwise(row))
        steps = sum(logits[t, label] for t, label in enumerate(row))
        scores[row] = (start[row[0]] + end[row[-1]] if row else 0.0) + steps + pairs
    return scores


@pytest.mark.parametrize("allowed", [None, ALLOWED], ids=["free", "constrained"])
def test_crf_tagger_matches_the_enumeration_of_all_rows_of_labels(allowed):
    params = make(init_crf_tagger, num_tokens=V)

    @jax.jit
    def run(params, tokens):
        logits = crf_tagger(LAYERS, params, tokens, LENGTHS)
        loss = crf_tagger_loss(params, logits, LABELS, LENGTHS, allowed=allowed)
        return logits, loss, crf_tagger_decode(params, logits, LENGTHS, allowed=allowed)

    logits, loss, labels = run(params, ANYTHING)
    _, ys = stack(LAYERS, params.tagger.rnn, np.asarray(params.tagger.embedding)[TOKENS], LENGTHS)
    project = np.asarray(ys, np.float64) @ np.asarray(params.tagger.w, np.float64)
    assert_close(logits, project + np.asarray(params.tagger.b, np.float64))
    nats, best = 0.0, -np.ones([B, T], int)
    for b, n in enumerate(LENGTHS):
        scores = _rows(params, logits[b, :n], allowed)
        nats += np.logaddexp.reduce([*scores.values()]) - scores[tuple(LABELS[b, :n])]
        best[b, :n] = max(scores, key=scores.__getitem__)
    assert_close(loss.sum, nats)
    assert int(loss.count) == LENGTHS.sum()
    np.testing.assert_array_equal(labels, best)


def test_crf_tagger_has_the_gradient_of_finite_differences():
    with jax.enable_x64(True):
        layers = (Layer(ELMAN, direction="fwd"),)
        params = make(init_crf_tagger, layers, num_tokens=V)
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)

        def mean(params):
            logits = crf_tagger(layers, params, ANYTHING, LENGTHS)
            return crf_tagger_loss(params, logits, LABELS, LENGTHS, allowed=ALLOWED).mean

        check_grads(
            jax.jit(mean), (params,), order=1, modes=["rev"], eps=1e-5, atol=1e-6, rtol=1e-6
        )


# Labels without their times.


def test_ctc_recogniser_matches_the_enumeration_of_all_paths_with_fewer_steps():
    layers = (Layer(ELMAN, direction="fwd"), Layer(GRU, subsample=2))
    params = make(init_ctc_recogniser, layers)
    xs = 3 * random_like(jnp.zeros([B, 7, D]), 6)
    lengths, label_lengths = np.array([7, 4, 3]), np.array([2, 1, 0])
    labels = np.array([[1, 2], [0, 9], [-5, 7]])
    dirty = jnp.where((np.arange(7) < lengths[:, None])[..., None], xs, np.nan)

    @jax.jit
    def run(params, xs):
        logits, left = ctc_recogniser(layers, params, xs, lengths)
        loss = ctc_recogniser_loss(logits, left, labels, label_lengths)
        greedy = ctc_recogniser_decode(logits, left)
        return logits, left, loss, greedy, ctc_recogniser_decode(logits, left, beam_width=20)

    logits, left, loss, greedy, beam = run(params, dirty)
    assert logits.shape == (B, 4, K + 1) and left.tolist() == [4, 2, 2]
    nats, likeliest, paths = 0.0, [], []
    for b, n in enumerate(left.tolist()):
        log_probs = _ctc_paths.log_softmax(logits[b, :n])
        found: dict = {}
        for path in itertools.product(range(K + 1), repeat=n):
            score = sum(log_probs[t, label] for t, label in enumerate(path))
            row = tuple(label - 1 for label in _ctc_paths.collapse(path, 0))
            found[row] = np.logaddexp(found.get(row, -np.inf), score)
        nats -= found[tuple(labels[b, : label_lengths[b]])]
        likeliest.append(max(found, key=found.__getitem__))
        path = log_probs.argmax(axis=-1)
        paths.append(tuple(label - 1 for label in _ctc_paths.collapse(path.tolist(), 0)))
    assert_close(loss.sum, nats)
    assert int(loss.count) == B
    assert _ctc_paths.rows_of(*beam) == likeliest
    assert _ctc_paths.rows_of(*greedy) == paths


def test_ctc_recogniser_refuses_a_label_that_is_none():
    logits = random_like(jnp.zeros([1, 3, K + 1]), 2)
    loss = lambda label: float(ctc_recogniser_loss(logits, None, jnp.array([[label]])).sum)  # noqa: E731
    assert np.isfinite(loss(0)) and np.isfinite(loss(K - 1))
    assert np.isnan(loss(K)) and np.isnan(loss(-1))


# Characters.


def test_character_encoder_matches_loop_word_by_word():
    make = lambda key: init_character_encoder(  # noqa: E731
        LSTM, key, num_characters=V, character_size=D, hidden_size=H
    )
    params = random_like(jax.eval_shape(make, jax.random.key(0)), 1)
    lengths = np.array([[4, 1, 0], [2, 3, 4]])
    characters = np.random.default_rng(2).integers(V, size=[2, 3, 4])
    padding = np.arange(4) >= lengths[..., None]
    spelled = jax.jit(lambda *args: character_encoder(LSTM, *args))(
        params, np.where(padding, -3, characters), lengths
    )
    flat = np.asarray(params.embedding, np.float64)[characters.reshape(6, 4)]
    zeros = jax.tree.map(lambda leaf: np.zeros([6, H]), Bi(*[LSTM.init_carry(params.rnn.fwd)] * 2))
    steps = (_oracles.lstm_step, _oracles.lstm_step)
    carries, _ = _oracles.stack(
        [("both", steps, "concat")], [_Rnn(params.rnn)], flat, lengths.ravel(), [zeros]
    )
    want = np.concatenate([carry.h for carry in carries[0]], axis=-1)
    assert_close(spelled, want.reshape(2, 3, 2 * H))
    with pytest.raises(ValueError, match=r"character_lengths must be \[B, T\] = \(2, 3\)"):
        character_encoder(LSTM, params, characters, lengths[0])


class _Rnn:
    """What the loop of a stack reads of a layer."""

    def __init__(self, rnn):
        self.rnn = rnn
