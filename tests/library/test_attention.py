"""Attention over encoder states against loops over queries and states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from birnn_jax.heads import (
    additive_attention,
    dot_attention,
    general_attention,
    init_additive_attention,
    init_general_attention,
)
from tests.library._cases import assert_close, assert_equal, random_like

B, N, T, Q, S, A = 3, 2, 5, 4, 6, 7
LENGTHS = np.array([T, 2, 0])
MASK = np.arange(T) < LENGTHS[:, None]


def _additive_params():
    return init_additive_attention(jax.random.key(0), query_size=Q, state_size=S, attention_size=A)


def _general_params():
    return init_general_attention(jax.random.key(0), query_size=Q, state_size=S)


# name: (params, size of the queries, function, score of one query and one state)
KINDS = {
    "additive": (
        _additive_params,
        Q,
        additive_attention,
        lambda p, query, state: p.v @ np.tanh(query @ p.w_query + state @ p.w_states),
    ),
    "general": (
        _general_params,
        Q,
        general_attention,
        lambda p, query, state: query @ p.w @ state,
    ),
    "dot": (
        lambda: (),
        S,
        lambda params, *args: dot_attention(*args),
        lambda p, query, state: query @ state,
    ),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def kind(request):
    return request.param


def _inputs(kind, dtype="float32"):
    make, size, attend, score = kind
    params = random_like(jax.eval_shape(make), 1, dtype)
    queries = random_like(jnp.zeros([B, N, size]), 2, dtype)
    states = random_like(jnp.zeros([B, T, S]), 3, dtype)
    return jax.jit(attend), score, (params, queries, states)


def test_contexts_and_weights_match_loops(kind):
    attend, score, (params, queries, states) = _inputs(kind)
    dirty = jnp.where(MASK[..., None], states, jnp.nan)
    p, q, s = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (params, queries, states))
    weights, contexts = np.zeros([B, N, T]), np.zeros([B, N, S])
    for b, i in np.ndindex(B, N):
        scores = np.exp([score(p, q[b, i], s[b, t]) for t in range(LENGTHS[b])])
        weights[b, i, : LENGTHS[b]] = scores / scores.sum()
        contexts[b, i] = weights[b, i] @ s[b]
    got = attend(params, queries, dirty, LENGTHS)
    assert_close(got, (jnp.float32(contexts), jnp.float32(weights)))
    assert not np.asarray(got[1])[:, 0][~MASK].any()


def test_without_lengths_all_states_count(kind):
    attend, _, args = _inputs(kind)
    assert_close(attend(*args), attend(*args, np.full(B, T)))
    assert (attend(*args)[0] != attend(*args, LENGTHS)[0]).any()


def test_gradients_are_right_and_zero_in_padding(kind, x64):
    attend, _, args = _inputs(kind, "float64")

    def run(*args):
        return attend(*args, LENGTHS)

    check_grads(run, args, order=1, modes=["rev"])
    dirty = (*args[:2], jnp.where(MASK[..., None], args[2], jnp.nan))
    by_states = jax.jit(jax.grad(lambda states: (run(*args[:2], states)[0] ** 2).sum()))
    assert_equal(by_states(dirty[2]), by_states(args[2]))
    assert not np.asarray(by_states(dirty[2]))[~MASK].any()


def test_queries_do_not_see_each_other(kind):
    attend, _, (params, queries, states) = _inputs(kind)
    both = attend(params, queries, states, LENGTHS)
    one = attend(params, queries[:, 1:], states, LENGTHS)
    assert_close(one, jax.tree.map(lambda leaf: leaf[:, 1:], both))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q, s: dot_attention(q[:, 0], s), r"queries must be \[B, N, Q\]"),
        (lambda q, s: dot_attention(q[:2], s), "with B = 3 as in states"),
        (lambda q, s: dot_attention(q, s), "got 4 and 6. Use general_attention"),
        (lambda q, s: general_attention(_general_params(), s, s), "queries has 6 features"),
        (lambda q, s: additive_attention(_additive_params(), q, q), "states has 4 features"),
        (lambda q, s: dot_attention(q, s[0]), r"states must be \[B, T, S\]"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros([B, N, Q]), jnp.zeros([B, T, S]))


def test_parameters_start_with_the_scale_of_glorot():
    params = init_additive_attention(
        jax.random.key(0), query_size=40, state_size=60, attention_size=50
    )
    for w, sizes in [(params.w_query, 90), (params.w_states, 110)]:
        assert abs(w.std() / (2 / sizes) ** 0.5 - 1) < 0.1
    assert params.v.shape == (50,)
