"""Drawing characters: filters against an oracle, and the same text from the same seed."""

import itertools

import jax
import numpy as np
import pytest

from experiments.bilm_leakage.model import score_fresh
from experiments.characters.config import CharModel, cell_with_init
from experiments.characters.generate import (
    Drawing,
    draw,
    generate,
    generate_rows,
    keep_nucleus,
    keep_top_k,
)
from experiments.characters.model import init_params

V = 7


@pytest.fixture
def logits():
    return 2 * jax.random.normal(jax.random.key(3), [V])


def kept(filtered):
    return set(np.flatnonzero(np.isfinite(filtered)).tolist())


@pytest.mark.parametrize("k", [1, 3, V, V + 2])
def test_top_k_keeps_the_k_likeliest_as_they_are(logits, k):
    filtered = np.asarray(keep_top_k(logits, k))
    best = sorted(range(V), key=lambda i: -logits[i])[:k]
    assert kept(filtered) == set(best)
    np.testing.assert_array_equal(filtered[best], np.asarray(logits)[best])


def test_top_k_of_equals_keeps_k():
    assert kept(keep_top_k(np.zeros(V, "f"), 3)) == {0, 1, 2}


def smallest_nucleus(logits, p):
    """The smallest set of characters with probability p, by trying all sets."""
    weights = np.exp(np.asarray(logits, np.float64))
    weights /= weights.sum()
    for size in range(1, V + 1):
        sets = itertools.combinations(range(V), size)
        best = max(sets, key=lambda places: weights[list(places)].sum())
        if weights[list(best)].sum() >= p:
            return set(best)
    raise AssertionError("p is above 1")


@pytest.mark.parametrize("p", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_nucleus_is_the_smallest_set_with_its_probability(logits, p):
    assert kept(keep_nucleus(logits, p)) == smallest_nucleus(logits, p)


def frequencies(logits, drawing, draws=4000):
    keys = jax.random.split(jax.random.key(5), draws)
    tokens = jax.jit(jax.vmap(lambda key: draw(logits, drawing, key)))(keys)
    return np.bincount(tokens, minlength=V) / draws


def test_draws_follow_the_filtered_probabilities(logits):
    drawing = Drawing(temperature=0.5, top_k=4, top_p=0.95)
    weights = np.exp(np.asarray(logits, np.float64) / 0.5)
    weights[[i for i in range(V) if i not in np.argsort(-weights)[:4]]] = 0
    ordered = np.argsort(-weights)
    inside = np.cumsum(weights[ordered] / weights.sum()) - weights[ordered] / weights.sum() < 0.95
    weights[ordered[~inside]] = 0
    np.testing.assert_allclose(frequencies(logits, drawing), weights / weights.sum(), atol=0.03)


def test_temperature_zero_is_the_likeliest(logits):
    assert frequencies(logits, Drawing(temperature=0), 5)[int(logits.argmax())] == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"temperature": -1.0}, "temperature must"),
        ({"temperature": float("nan")}, "temperature must"),
        ({"top_k": 0}, "top_k must"),
        ({"top_p": 0.0}, "top_p must"),
        ({"top_p": 1.5}, "top_p must"),
    ],
)
def test_impossible_drawing_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Drawing(**options)


@pytest.fixture(scope="module")
def model():
    shape = CharModel(cell_with_init("gru", "orthogonal"), 2)
    options = {"num_characters": V, "hidden_size": 5, "initializer": "orthogonal"}
    params = init_params(shape, jax.random.key(0), **options)
    return shape, jax.tree.map(lambda leaf: 4 * leaf, params)  # with memory and opinions


def written(model, prefix, seed, length=12, **drawing):
    options = {"drawing": Drawing(**drawing), "key": jax.random.key(seed)}
    return list(generate(*model, np.array(prefix, np.int32), length=length, **options))


def test_text_is_a_function_of_its_seed(model):
    assert written(model, [1, 2], 0) == written(model, [1, 2], 0)
    assert written(model, [1, 2], 0) != written(model, [1, 2], 1)
    assert written(model, [1, 2], 0) != written(model, [3, 2], 0)


def test_longer_text_begins_with_the_shorter_and_comes_one_by_one(model):
    stream = generate(
        *model, np.array([3], np.int32), length=10**9, drawing=Drawing(), key=jax.random.key(0)
    )
    assert list(itertools.islice(stream, 5)) == written(model, [3], 0, length=5)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_token_n_is_drawn_with_key_n_from_the_whole_text_so_far(model, temperature):
    text, drawing = [1, 4], Drawing(temperature=temperature)
    for n, token in enumerate(written(model, [1, 4], 0, length=4, temperature=temperature)):
        logits = score_fresh(*model, np.array([text], np.int32))
        assert token == draw(logits[0, -1], drawing, jax.random.fold_in(jax.random.key(0), n))
        text.append(token)


def test_rows_written_together_are_those_written_alone(model):
    prefixes = [[1, 2], [3], [4, 1, 0, 2], [5, 6, 1]]
    options = {"length": 9, "drawing": Drawing(temperature=0.7, top_k=5, top_p=0.98)}
    keys = jax.random.split(jax.random.key(7), len(prefixes))
    rows = [np.array(prefix, np.int32) for prefix in prefixes]
    together = [[] for _ in prefixes]
    for row, token in generate_rows(*model, rows, keys=keys, **options):
        together[row].append(token)
    pairs = zip(rows, keys, strict=True)
    assert together == [[*generate(*model, row, key=key, **options)] for row, key in pairs]
    assert len({*map(tuple, together)}) == len(prefixes)
