"""Linen layers live as Linen modules do: random collections, transformations, serialisation."""

import functools

import flax
import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from birnn_jax import ELMAN, GRU, LSTM, Bi, Layer, bidirectional, stack
from birnn_jax.linen import RNN, Bidirectional, Stack
from tests.library._cases import (
    CLOCKED,
    LENGTHS,
    B,
    D,
    H,
    T,
    assert_close,
    assert_equal,
    random_like,
    random_xs,
    weigh,
)


def random_variables(layer):
    return random_like(jax.eval_shape(layer.init, jax.random.key(0), random_xs()), 1)


LAYERS = (Layer(ELMAN, direction="fwd"),) * 2
PLAIN = Stack(LAYERS, hidden_size=H)
DROPPING = PLAIN.clone(dropout=0.5)
VARIABLES = random_variables(PLAIN)

MIXED = Bidirectional(Bi(ELMAN, CLOCKED), hidden_size=Bi(H, 4))
MIXED_VARIABLES = random_variables(MIXED)


@jax.jit
def drop(key):
    rngs = {"dropout": key}
    return DROPPING.apply(VARIABLES, random_xs(), LENGTHS, deterministic=False, rngs=rngs)


@jax.jit
def draw(key):
    return Bidirectional(ELMAN, H).init(key, random_xs())["params"]["rnn"]


@functools.partial(jax.jit, static_argnames="dropout")
def run_core(dropout=0.0, key=None):
    params = VARIABLES["params"]["rnn"]
    return stack(LAYERS, params, random_xs(), LENGTHS, dropout=dropout, key=key)


def test_dropout_is_that_of_the_core():
    rngs = {"dropout": jax.random.key(5)}
    key = DROPPING.apply(VARIABLES, "dropout", rngs=rngs, method="make_rng")
    assert_equal(drop(jax.random.key(5)), run_core(0.5, key))


def test_dropout_takes_keys_of_both_styles():
    assert_equal(drop(jax.random.PRNGKey(5)), drop(jax.random.key(5)))


def test_dropout_differs_for_another_key():
    assert not jnp.array_equal(drop(jax.random.key(5))[1], drop(jax.random.key(6))[1])


@pytest.mark.parametrize(
    ("layer", "settings"),
    [
        (DROPPING, {"deterministic": True}),
        (DROPPING.clone(deterministic=True), {}),
        (PLAIN, {}),
        (PLAIN, {"deterministic": False}),
    ],
    ids=["argument", "attribute", "no_dropout", "no_dropout_in_training"],
)
def test_evaluation_needs_no_key(layer, settings):
    apply = jax.jit(functools.partial(layer.apply, **settings))
    assert_close(apply(VARIABLES, random_xs(), LENGTHS), run_core())


def test_missing_key_is_refused():
    with pytest.raises(flax.errors.InvalidRngError, match='needs PRNG for "dropout"'):
        DROPPING.apply(VARIABLES, random_xs(), deterministic=False)


def test_missing_mode_is_refused():
    with pytest.raises(ValueError, match="deterministic"):
        DROPPING.apply(VARIABLES, random_xs(), rngs={"dropout": jax.random.key(5)})


def test_keys_of_both_styles_make_the_same_parameters():
    assert_equal(draw(jax.random.PRNGKey(5)), draw(jax.random.key(5)))


def test_every_key_and_direction_makes_its_own_parameters():
    one, other = draw(jax.random.key(5)), draw(jax.random.key(6))
    assert (one.fwd.w_x != one.bwd.w_x).all()
    assert (one.fwd.w_x != other.fwd.w_x).all()


def test_cells_receive_keys_of_the_new_style():
    """The contract of `InitFn`, also where Flax was given a key of the old style."""
    layer = RNN(CLOCKED._replace(init=_init_from_new_style), H)
    layer.init(jax.random.PRNGKey(5), random_xs())


def _init_from_new_style(key, input_size, hidden_size):
    assert jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return CLOCKED.init(key, input_size, hidden_size)


def test_gradients_are_those_of_the_function():
    def loss(run, params):
        return weigh(run(params, random_xs(), LENGTHS))

    def run_layer(params, *inputs):
        return MIXED.apply({"params": {"rnn": params}}, *inputs)

    grads = [
        jax.jit(jax.grad(functools.partial(loss, run)))(MIXED_VARIABLES["params"]["rnn"])
        for run in (run_layer, functools.partial(bidirectional, MIXED.cell))
    ]
    assert_close(*grads)


def test_vmap_adds_a_batch_dimension():
    shared = nn.vmap(Bidirectional, variable_axes={"params": None}, split_rngs={"params": False})(
        LSTM, H
    )
    xs, lengths = random_xs(0, 2, B, T, D), jnp.stack([LENGTHS, LENGTHS[::-1]])
    variables = random_like(jax.eval_shape(shared.init, jax.random.key(0), xs, lengths), 1)
    got = jax.jit(shared.apply)(variables, xs, lengths)
    apply = jax.jit(Bidirectional(LSTM, H).apply)
    each = [apply(variables, *one) for one in zip(xs, lengths, strict=True)]
    assert_close(got, jax.tree.map(lambda *leaves: jnp.stack(leaves), *each))


def test_variables_survive_serialisation():
    target = jax.tree.map(jnp.zeros_like, MIXED_VARIABLES)
    got = flax.serialization.from_bytes(target, flax.serialization.to_bytes(MIXED_VARIABLES))
    assert_equal(got, jax.tree.map(jax.device_get, MIXED_VARIABLES))


@pytest.mark.parametrize("layer", [MIXED, RNN(CLOCKED, H)], ids=["tuples", "dicts"])
def test_frozen_variables_are_taken(layer):
    variables = random_variables(layer)
    apply = jax.jit(layer.apply)
    got = apply(flax.core.freeze(variables), random_xs(), LENGTHS)
    assert_equal(got, apply(variables, random_xs(), LENGTHS))


class _Tagger(nn.Module):
    """A user's model: layers made inside, names given by Flax, recomputed in the gradient."""

    @nn.compact
    def __call__(self, xs, lengths):
        _, ys = nn.remat(Bidirectional)(GRU, H)(xs, lengths)
        _, ys = Stack([Layer(ELMAN)], H)(ys, lengths)
        return nn.Dense(4)(ys)


def test_layers_work_inside_a_model():
    init = functools.partial(_Tagger().init, jax.random.key(0))
    variables = random_like(jax.eval_shape(init, random_xs(), LENGTHS), 1)
    rnn, top = (
        variables["params"][name]["rnn"] for name in ("CheckpointBidirectional_0", "Stack_0")
    )
    _, ys = bidirectional(GRU, rnn, random_xs(), LENGTHS)
    _, ys = stack([Layer(ELMAN)], top, ys, LENGTHS)
    want = ys @ variables["params"]["Dense_0"]["kernel"]
    want = want + variables["params"]["Dense_0"]["bias"][None, None]
    assert_close(jax.jit(_Tagger().apply)(variables, random_xs(), LENGTHS), want)
