"""NNX layers live as NNX modules do: states, streams of keys, transformations, optimisers."""

import functools

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from birnn_jax import ELMAN, Bi, Layer, bidirectional, init_bidirectional, stack
from birnn_jax.nnx import Bidirectional, Stack
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

LAYERS = (Layer(ELMAN, direction="fwd"),) * 2
MIXED = Bi(ELMAN, CLOCKED)


def with_random_weights(make):
    layer = nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0)))
    layer.rnn = jax.tree.map(nnx.Param, random_like(nnx.as_pure(layer.rnn), 1))
    return layer


def make_stack(**settings):
    """A stack whose weights are always the same."""
    make = functools.partial(Stack, LAYERS, input_size=D, hidden_size=H, **settings)
    layer = with_random_weights(make)
    layer.dropout = make(rngs=nnx.Rngs(params=0, dropout=3)).dropout
    return layer


def make_mixed():
    return with_random_weights(
        functools.partial(Bidirectional, MIXED, input_size=D, hidden_size=Bi(H, 4))
    )


@functools.partial(nnx.jit, static_argnames="deterministic")
def run(layer, *, deterministic=None, rngs=None):
    return layer(random_xs(), LENGTHS, deterministic=deterministic, rngs=rngs)


@functools.partial(jax.jit, static_argnames="dropout")
def run_core(key=None, dropout=0.0):
    params = nnx.as_pure(make_stack().rnn)
    return stack(LAYERS, params, random_xs(), LENGTHS, dropout=dropout, key=key)


@pytest.mark.parametrize(
    ("make_rngs", "make_key"),
    [
        (lambda: jax.random.key(5), lambda: jax.random.key(5)),
        (lambda: jax.random.PRNGKey(5), lambda: jax.random.key(5)),
        (lambda: nnx.Rngs(dropout=5), lambda: nnx.Rngs(5)()),
        (lambda: nnx.Rngs(jax.random.PRNGKey(5)), lambda: nnx.Rngs(5)()),
        (lambda: nnx.Rngs(5).dropout, lambda: nnx.Rngs(5)()),
        (lambda: None, lambda: nnx.Rngs(3).fork()()),
    ],
    ids=["key", "old_key", "rngs", "rngs_of_old_key", "stream", "own_stream"],
)
def test_dropout_is_that_of_the_core(make_rngs, make_key):
    got = run(make_stack(dropout=0.5), rngs=make_rngs())
    assert_close(got, run_core(make_key(), dropout=0.5))


def test_dropout_differs_from_call_to_call():
    layer = make_stack(dropout=0.5)
    assert not jnp.array_equal(run(layer)[1], run(layer)[1])


@pytest.mark.parametrize(
    "evaluate",
    [
        lambda: run(make_stack(dropout=0.5, deterministic=True)),
        lambda: run(make_stack(dropout=0.5), deterministic=True),
        lambda: run(nnx.view(make_stack(dropout=0.5), deterministic=True)),
        lambda: run(make_stack()),
    ],
    ids=["attribute", "argument", "view", "no_dropout"],
)
def test_evaluation_drops_nothing(evaluate):
    assert_close(evaluate(), run_core())


def test_eval_and_train_switch_dropout():
    layer = make_stack(dropout=0.5)
    layer.eval()
    assert_close(run(layer), run_core())
    layer.train()
    assert_close(run(layer), run_core(nnx.Rngs(3).fork()(), dropout=0.5))


def test_what_gives_no_key_is_refused():
    with pytest.raises(TypeError, match="rngs must be"):
        make_stack(dropout=0.5)(random_xs(), rngs=5)


def test_parameters_are_drawn_from_their_stream():
    layer = Bidirectional(ELMAN, input_size=D, hidden_size=H, rngs=nnx.Rngs(params=5))
    want = init_bidirectional(ELMAN, nnx.Rngs(5)(), input_size=D, hidden_size=H)
    assert_equal(nnx.as_pure(layer.rnn), want)


def test_state_is_one_param_an_array_and_nothing_else():
    layer = Stack(LAYERS, input_size=D, hidden_size=H, rngs=nnx.Rngs(params=0))
    _, params = nnx.split(layer, nnx.Param)  # refuses to leave anything out
    paths = {path for path, _ in nnx.to_flat_state(params)}
    assert paths == {("rnn", i, "rnn", name) for i in (0, 1) for name in ("w_x", "w_h", "b")}


def test_merged_layer_has_its_named_tuples():
    layer = make_mixed()
    merged = nnx.merge(*nnx.split(layer))
    assert_equal(nnx.as_pure(merged.rnn), nnx.as_pure(layer.rnn))


def test_layer_without_dropout_may_be_closed_over():
    """It holds no random state, so that pure JAX may see it as a constant."""
    layer = make_stack()
    assert_equal(jax.jit(lambda: layer(random_xs(), LENGTHS))(), run_core())


def test_optimizer_updates_as_optax_does():
    """Twice, since the second update reads the state that the first one wrote."""
    sizes = {"input_size": D, "hidden_size": Bi(H, 4)}
    layer, adam = Bidirectional(MIXED, **sizes, rngs=nnx.Rngs(0)), optax.adam(0.1)
    optimizer = nnx.Optimizer(layer, adam, wrt=nnx.Param)
    params = nnx.as_pure(layer.rnn)
    opt_state = adam.init(params)

    @nnx.jit
    def update(layer, optimizer):
        optimizer.update(layer, nnx.grad(lambda layer: weigh(layer(random_xs(), LENGTHS)))(layer))

    @jax.jit
    def update_core(params, opt_state):
        grads = jax.grad(lambda p: weigh(bidirectional(MIXED, p, random_xs(), LENGTHS)))(params)
        updates, opt_state = adam.update(grads, opt_state)
        return optax.apply_updates(params, updates), opt_state

    for _ in range(2):
        update(layer, optimizer)
        params, opt_state = update_core(params, opt_state)
    assert_close(nnx.as_pure(layer.rnn), params)


def test_gradient_with_dropout_advances_the_stream():
    layer = make_stack(dropout=0.5)
    grad = nnx.jit(nnx.grad(lambda layer: weigh(layer(random_xs(), LENGTHS))))
    first, second = nnx.as_pure(grad(layer)), nnx.as_pure(grad(layer))
    assert not jnp.array_equal(*(grads["rnn"][0]["rnn"]["b"] for grads in (first, second)))
    assert layer.dropout.rngs.count[...] == 2


def test_vmap_adds_a_batch_dimension():
    layer = make_mixed()
    xs, lengths = random_xs(0, 2, B, T, D), jnp.stack([LENGTHS, LENGTHS[::-1]])
    call = nnx.jit(lambda layer, *inputs: layer(*inputs))
    got = nnx.jit(nnx.vmap(call, in_axes=(None, 0, 0)))(layer, xs, lengths)
    each = [call(layer, *one) for one in zip(xs, lengths, strict=True)]
    assert_close(got, jax.tree.map(lambda *leaves: jnp.stack(leaves), *each))
