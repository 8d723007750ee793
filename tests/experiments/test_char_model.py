"""The language model against the library, against NumPy loops, and in pieces against itself."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import birnn_jax
from birnn_jax import Bi, Layer
from birnn_jax._stacks.layer import NormParams
from birnn_jax.models import TaggerParams
from experiments.bilm_leakage import model as sides
from experiments.characters.config import CharModel, LanguageConfig, cell_with_init
from experiments.characters.model import init_params, initial_carry, score
from experiments.characters.training import TrainedModel
from tests.experiments._small_language import OPTIONS
from tests.library import _oracles

V, H, B, T = 9, 4, 3, 6
scores = jax.jit(score, static_argnums=0)


def make(cell="lstm", *, num_layers=1, hidden_size=H, **options):
    model = CharModel(cell_with_init(cell, "torch"), num_layers, **options)
    sizes = {"num_characters": V, "hidden_size": hidden_size}
    params = init_params(model, jax.random.key(0), **sizes, initializer="torch")
    return model, params, initial_carry(model, hidden_size, B)


@pytest.fixture
def tokens():
    return jax.random.randint(jax.random.key(1), (B, T), 0, V)


@pytest.mark.parametrize(
    ("cell", "direction", "hidden_size"),  # more characters than units, and fewer
    [("elman", "bwd", H), ("gru", "both", H), ("lstm", "fwd", H), ("lstm", "both", V + 1)],
)
def test_scores_are_those_of_a_tagger_over_one_hot_vectors(cell, direction, hidden_size, tokens):
    model, params, carry = make(cell, num_layers=2, direction=direction, hidden_size=hidden_size)
    layers = (Layer(model.cell, direction=direction),) * 2
    lengths = jnp.array([T, 2, 0])
    valid = (jnp.arange(T)[None] < lengths[:, None])[..., None]

    def ours(params):
        return jnp.where(valid, score(model, params, tokens, carry, lengths=lengths)[1], 0)

    def theirs(params):
        whole = TaggerParams(params.rnn, params.w, params.b)
        logits = birnn_jax.tagger(layers, whole, jax.nn.one_hot(tokens, V), lengths)
        return jnp.where(valid, logits, 0)

    def with_gradient(function):
        loss = lambda params: jnp.sin(function(params)).sum()  # noqa: E731
        return jax.jit(lambda params: (function(params), jax.grad(loss)(params)))(params)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        with_gradient(ours),
        with_gradient(theirs),
    )


def test_tokens_and_their_one_hot_vectors_score_alike(tokens):
    model, params, carry = make("gru", direction="both")
    _, logits = scores(model, params, tokens, carry)
    _, same = scores(model, params, jax.nn.one_hot(tokens, V), carry)
    np.testing.assert_allclose(logits, same, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"residual": True, "layer_norm": True}], ids=["", "all"])
def test_text_in_pieces_with_the_carry_scores_as_in_one(tokens, options):
    model, params, carry = make(num_layers=3, **options)
    after, whole = scores(model, params, tokens, carry)
    between, first = scores(model, params, tokens[:, :2], carry)
    end, second = scores(model, params, tokens[:, 2:], between)
    np.testing.assert_allclose(jnp.concatenate([first, second], axis=1), whole, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), end, after)


def test_direction_against_time_has_nothing_before_it(tokens):
    model, params, carry = make(direction="both")
    other = jax.tree.map(lambda leaf: leaf + 1.0, carry)
    _, zero = scores(model, params, tokens, carry)
    _, same = scores(model, params, tokens, (Bi(carry[0].fwd, other[0].bwd),))
    _, changed = scores(model, params, tokens, (Bi(other[0].fwd, carry[0].bwd),))
    np.testing.assert_array_equal(zero, same)
    assert (zero != changed).any()


def test_dropout_is_for_training_only_and_one_mask_for_all_steps(tokens):
    model, params, carry = make(num_layers=2, dropout=0.5)
    plain = make(num_layers=2)[0]
    evaluated = scores(model, params, tokens, carry)[1]
    np.testing.assert_array_equal(evaluated, scores(plain, params, tokens, carry)[1])
    one, other = (
        jax.jit(lambda key: score(model, params, tokens, carry, key=key)[1])(jax.random.key(seed))
        for seed in range(2)
    )
    assert (one != evaluated).any() and (one != other).any()


@pytest.mark.parametrize("initializer", ["normal", "torch", "orthogonal"])
def test_weights_start_as_asked(initializer):
    model = CharModel(cell_with_init("lstm", initializer), 1)
    params = init_params(
        model, jax.random.key(0), num_characters=50, hidden_size=64, initializer=initializer
    )
    layer = params.rnn[0].rnn
    gate = np.asarray(layer.w_h)[:, 64:128]
    orthogonal = np.allclose(gate @ gate.T, np.eye(64), atol=1e-4)
    assert orthogonal == (initializer == "orthogonal")
    expected = {"normal": 0.01, "torch": 1 / 8 / 3**0.5, "orthogonal": (2 / (50 + 64)) ** 0.5}
    for w in (layer.w_x, params.w):
        np.testing.assert_allclose(w.std(), expected[initializer], rtol=0.05)
    np.testing.assert_allclose(layer.b[64:128].mean(), initializer == "orthogonal", atol=0.05)
    assert (layer.b != 0).any() == (initializer != "normal")


def perplexity_by_loop(params, tokens, *, residual):
    """Of all but the first token, with the equations in float64."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    carries = [
        birnn_jax.cells.LSTMCarry(c=np.zeros(H), h=np.zeros(H)) for _ in range(len(params.rnn))
    ]
    nats = []
    for token, label in itertools.pairwise(tokens):
        x = np.eye(V)[token]
        for index, layer in enumerate(params.rnn):
            read = normalised(layer.norm, x)
            carries[index], y = _oracles.lstm_step(layer.rnn, carries[index], read)
            x = x + y if residual and index else y
        logits = x @ params.w + params.b
        nats.append(np.log(np.exp(logits).sum()) - logits[label])
    return np.exp(np.mean(nats))


def normalised(norm, x):
    if norm is None:
        return x
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * norm.scale + norm.shift


@pytest.mark.parametrize(("residual", "layer_norm"), [(True, False), (True, True)])
def test_perplexity_is_that_of_a_loop(residual, layer_norm):
    options = {"cell": "lstm", "hidden_size": H, "layers": 3, "batch_size": 1}
    config = LanguageConfig(**{**OPTIONS, **options}, residual=residual, layer_norm=layer_norm)
    _, params, _ = make(num_layers=3, residual=residual, layer_norm=layer_norm)
    noise = jax.random.normal(jax.random.key(2), [3, 2, H])
    moved = [
        layer._replace(norm=layer.norm and NormParams(1 + noise[i, 0], noise[i, 1]))
        for i, layer in enumerate(params.rnn)
    ]
    params = params._replace(rnn=tuple(moved))
    tokens = np.random.default_rng(0).integers(0, V, 18).astype(np.int32)
    measured = TrainedModel(config, params, None).measure(tokens)
    expected = perplexity_by_loop(params, tokens, residual=residual)
    np.testing.assert_allclose(measured["perplexity"], expected, rtol=1e-5)
    np.testing.assert_allclose(2 ** measured["bits"], expected, rtol=1e-5)


def sees(model, params, tokens):
    """`[T, T]` bool: whether the scores at a step depend on the character read at another."""
    inputs = jax.nn.one_hot(tokens[:1], V)
    jacobian = jax.jacobian(lambda xs: sides.score_fresh(model, params, xs)[0])(inputs)
    return np.asarray(jnp.abs(jacobian).sum(axis=(1, 2, 4)) > 0)


@pytest.mark.parametrize(
    ("direction", "expected"),
    [("fwd", np.tri(T)), ("bwd", np.tri(T).T), ("both", np.ones([T, T]))],
)
def test_direction_decides_what_a_prediction_may_depend_on(direction, expected, tokens):
    model, params, _ = make("gru", direction=direction)
    np.testing.assert_array_equal(sees(model, params, tokens), expected.astype(bool))


def test_scores_as_written_are_those_of_every_beginning(tokens):
    model, params, carry = make("gru", direction="both")
    written = jax.jit(sides.score_as_written, static_argnums=0)(model, params, tokens)
    for length in range(1, T + 1):
        _, beginning = scores(model, params, tokens[:, :length], carry)
        np.testing.assert_allclose(written[:, length - 1], beginning[:, -1], atol=1e-6)
