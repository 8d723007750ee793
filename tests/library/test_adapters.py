"""The Flax layers: they return what the functions return, and live as Flax modules do."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import birnn_jax.linen
import birnn_jax.nnx
from birnn_jax import (
    ELMAN,
    GRU,
    LSTM,
    Bi,
    Layer,
    bidirectional,
    init_bidirectional,
    init_stack,
    scan_cell,
    stack,
)
from birnn_jax.cells import ElmanParams, GRUParams, LSTMParams
from tests.library import _oracles
from tests.library._cases import (
    CLOCKED,
    LENGTHS,
    B,
    D,
    H,
    T,
    assert_close,
    assert_equal,
    random_inputs,
    random_like,
    random_xs,
)

LAYERS = [Layer(ELMAN), Layer(CLOCKED, direction="bwd"), Layer(GRU, merge="mean")]
SIZES = [H, 4, 6]

OPTIONS = (
    Layer(ELMAN, norm="pre", projection=D, connection="residual"),
    Layer(GRU, direction="bwd", subsample=2, learned_carry=True),
    Layer(Bi(ELMAN, LSTM), projection=4, connection="highway", norm="post"),
)
OPTION_SIZES = (Bi(H, 3), 4, Bi(5, 6))

init_layers = functools.partial(init_stack, LAYERS, hidden_size=SIZES)
run_layers = functools.partial(stack, LAYERS)
run_lstm = functools.partial(bidirectional, LSTM)


class Row(NamedTuple):
    """The name and the settings of a layer, beside the functions that it stands for."""

    name: str
    settings: dict[str, Any]
    init: Callable
    run: Callable


ROWS = {
    "rnn": Row(
        "RNN",
        {"cell": CLOCKED, "hidden_size": H},
        lambda key, *, input_size: CLOCKED.init(key, input_size, H),
        functools.partial(scan_cell, CLOCKED),
    ),
    "rnn_reverse": Row(
        "RNN",
        {"cell": LSTM, "hidden_size": H, "reverse": True},
        lambda key, *, input_size: LSTM.init(key, input_size, H),
        functools.partial(scan_cell, LSTM, reverse=True),
    ),
    "bidirectional": Row(
        "Bidirectional",
        {"cell": Bi(GRU, CLOCKED), "hidden_size": Bi(H, 4)},
        functools.partial(init_bidirectional, Bi(GRU, CLOCKED), hidden_size=Bi(H, 4)),
        functools.partial(bidirectional, Bi(GRU, CLOCKED)),
    ),
    "bidirectional_mul": Row(
        "Bidirectional",
        {"cell": ELMAN, "hidden_size": H, "merge": "mul"},
        functools.partial(init_bidirectional, ELMAN, hidden_size=H),
        functools.partial(bidirectional, ELMAN, merge="mul"),
    ),
    "stack": Row("Stack", {"layers": LAYERS, "hidden_size": SIZES}, init_layers, run_layers),
    "stack_with_options": Row(
        "Stack",
        {"layers": OPTIONS, "hidden_size": OPTION_SIZES},
        functools.partial(init_stack, OPTIONS, hidden_size=OPTION_SIZES),
        functools.partial(stack, OPTIONS),
    ),
}


def linen_layer(name, settings, params=None):
    """A Linen layer as a function of inputs, and the shapes of the parameters it makes."""
    layer = getattr(birnn_jax.linen, name)(**settings)
    shapes = jax.eval_shape(layer.init, jax.random.key(3), random_xs())["params"]["rnn"]
    return functools.partial(layer.apply, {"params": {"rnn": params}}), shapes


def nnx_layer(name, settings, params=None):
    """An NNX layer, and the shapes of the parameters it makes."""
    make = functools.partial(getattr(birnn_jax.nnx, name), **settings, input_size=D)
    layer = nnx.eval_shape(lambda: make(rngs=nnx.Rngs(3)))
    shapes = nnx.as_pure(layer.rnn)
    layer.rnn = jax.tree.map(nnx.Param, params)
    return layer, shapes


@pytest.fixture(params=[linen_layer, nnx_layer], ids=["linen", "nnx"])
def make_layer(request):
    return request.param


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_layer_returns_what_the_function_returns(row, make_layer):
    init = functools.partial(row.init, input_size=D)
    params = random_like(jax.eval_shape(init, jax.random.key(0)), 4)
    carry = random_like(jax.eval_shape(row.run, params, random_xs())[0], 5)
    want = jax.jit(row.run)(params, random_xs(), LENGTHS, initial_carry=carry)
    layer, _ = make_layer(row.name, row.settings, params)
    assert_close(jax.jit(layer)(random_xs(), LENGTHS, initial_carry=carry), want)


def test_layers_take_nested_lists_and_a_stack_one_cell(make_layer):
    init = functools.partial(init_stack, ELMAN, input_size=D, hidden_size=H)
    params = random_like(jax.eval_shape(init, jax.random.key(0)), 4)
    layer, _ = make_layer("Stack", {"layers": ELMAN, "hidden_size": H}, params)
    want = stack([Layer(ELMAN)], params, random_xs(), LENGTHS)
    assert_close(layer(random_xs().tolist(), LENGTHS.tolist()), want)


def test_stack_takes_the_calls_of_flax(make_layer):
    """Time first, two batch dimensions, carries as Flax has them, the outputs alone."""
    layers = (Layer(LSTM), Layer(ELMAN, direction="bwd"))
    run = functools.partial(stack, layers)
    init = functools.partial(init_stack, layers, input_size=D, hidden_size=H)
    params = random_like(jax.eval_shape(init, jax.random.key(0)), 4)
    carries = random_like(jax.eval_shape(run, params, random_xs())[0], 5)
    want = jax.jit(run)(params, random_xs(), LENGTHS, initial_carry=carries)[1]
    layer, _ = make_layer("Stack", {"layers": layers, "hidden_size": H}, params)
    settings = {"time_major": True, "return_carry": False}
    got = jax.jit(functools.partial(layer, **settings))(
        random_xs().transpose(1, 0, 2)[:, None],
        seq_lengths=LENGTHS[None],
        initial_carry=jax.tree.map(
            lambda leaf: leaf[None], [tuple(map(tuple, carries[0])), carries[1].h]
        ),
    )
    assert_close(got, want.transpose(1, 0, 2)[:, None])


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_layer_makes_the_parameters_of_the_function(row, make_layer):
    want = jax.eval_shape(functools.partial(row.init, input_size=D), jax.random.key(0))
    _, shapes = make_layer(row.name, row.settings)
    if make_layer is linen_layer:
        shapes = birnn_jax.linen.from_dicts(want, shapes)
    assert jax.tree.structure(shapes) == jax.tree.structure(want)
    assert [leaf.shape for leaf in jax.tree.leaves(shapes)] == [
        leaf.shape for leaf in jax.tree.leaves(want)
    ]


@pytest.mark.parametrize("kind", ["linen", "nnx"])
def test_stack_hands_on_its_locked_dropout(kind):
    """Two layers of which the upper one passes on what it gets."""
    layers = (Layer(ELMAN, direction="fwd"), Layer(ELMAN, merge="sum", connection="residual"))
    init = functools.partial(init_stack, layers, input_size=D, hidden_size=40)
    below, above = random_like(jax.eval_shape(init, jax.random.key(0)), 4)
    params = (below, jax.tree.map(jnp.zeros_like, above))
    settings = {"layers": layers, "hidden_size": 40, "locked_dropout": 0.5}
    if kind == "linen":
        apply = birnn_jax.linen.Stack(**settings).apply
        rngs = {"dropout": jax.random.key(6)}
        layer = functools.partial(apply, {"params": {"rnn": params}}, rngs=rngs)
    else:
        layer = birnn_jax.nnx.Stack(**settings, input_size=D, rngs=nnx.Rngs(params=0, dropout=6))
        layer.rnn = jax.tree.map(nnx.Param, params)
    dropped = layer(random_xs(), deterministic=False)[1] == 0
    assert 0.2 < dropped.mean() < 0.8
    assert_equal(dropped, jnp.broadcast_to(dropped[:, :1], dropped.shape))
    assert_close(layer(random_xs(), deterministic=True), stack(layers, params, random_xs()))


# What Flax's cells call the parameters of ours. Flax gives its LSTM the recurrent bias only, and
# the GRU of NNX no bias under the reset gate.


def _concat(tree, names, leaf):
    return jnp.concatenate([tree[name][leaf] for name in names], axis=-1)


def _elman_from_linen(cell):
    return ElmanParams(w_x=cell["i"]["kernel"], w_h=cell["h"]["kernel"], b=cell["i"]["bias"])


def _gru_from_linen(cell):
    return GRUParams(
        w_x=_concat(cell, ("ir", "iz", "in"), "kernel"),
        w_h=_concat(cell, ("hr", "hz", "hn"), "kernel"),
        b=_concat(cell, ("ir", "iz", "in"), "bias"),
        b_hn=cell["hn"]["bias"],
    )


def _lstm_from_flax(cell, f="f"):
    return LSTMParams(
        w_x=_concat(cell, ("ii", f"i{f}", "ig", "io"), "kernel"),
        w_h=_concat(cell, ("hi", "hf", "hg", "ho"), "kernel"),
        b=_concat(cell, ("hi", "hf", "hg", "ho"), "bias"),
    )


def _elman_from_nnx(cell):
    w_x, b, w_h = cell["dense_i"]["kernel"], cell["dense_i"]["bias"], cell["dense_h"]["kernel"]
    return ElmanParams(w_x=w_x, w_h=w_h, b=b)


def _gru_from_nnx(cell):
    w_x, b, w_h = cell["dense_i"]["kernel"], cell["dense_i"]["bias"], cell["dense_h"]["kernel"]
    return GRUParams(w_x=w_x, w_h=w_h, b=b, b_hn=jnp.zeros(len(w_h)))


def _flax_linen(flax_cell):
    """Flax's own layer with random weights, as a function, and its weights."""
    layer = nn.Bidirectional(nn.RNN(flax_cell(H)), nn.RNN(flax_cell(H)), return_carry=True)
    variables = jax.eval_shape(layer.init, jax.random.key(0), random_xs())
    variables = random_like(variables, 7)
    return functools.partial(layer.apply, variables), variables["params"]


def _flax_nnx(flax_cell):
    rnns = [nnx.RNN(flax_cell(D, H, rngs=nnx.Rngs(seed))) for seed in (0, 1)]
    layer = nnx.Bidirectional(*rnns, return_carry=True)
    weights = random_like(nnx.as_pure(nnx.state(layer, nnx.Param)), 7)
    nnx.update(layer, weights)
    return layer, weights


def _our_linen(cell, params):
    return functools.partial(
        birnn_jax.linen.Bidirectional(cell, H).apply, {"params": {"rnn": params}}
    )


def _our_nnx(cell, params):
    layer = birnn_jax.nnx.Bidirectional(cell, input_size=D, hidden_size=H, rngs=nnx.Rngs(0))
    layer.rnn = jax.tree.map(nnx.Param, params)
    return layer


@pytest.mark.parametrize(
    ("cell", "flax_cell", "convert", "make_flax", "make_ours"),
    [
        (ELMAN, nn.SimpleCell, _elman_from_linen, _flax_linen, _our_linen),
        (GRU, nn.GRUCell, _gru_from_linen, _flax_linen, _our_linen),
        (LSTM, nn.LSTMCell, _lstm_from_flax, _flax_linen, _our_linen),
        (ELMAN, nnx.SimpleCell, _elman_from_nnx, _flax_nnx, _our_nnx),
        (GRU, nnx.GRUCell, _gru_from_nnx, _flax_nnx, _our_nnx),
        (LSTM, nnx.LSTMCell, functools.partial(_lstm_from_flax, f="f_"), _flax_nnx, _our_nnx),
    ],
    ids=["linen_elman", "linen_gru", "linen_lstm", "nnx_elman", "nnx_gru", "nnx_lstm"],
)
def test_layer_replaces_the_one_of_flax(cell, flax_cell, convert, make_flax, make_ours):
    lengths = np.array([T, 2, 1])  # at 0 Flax differs, see below
    theirs, weights = make_flax(flax_cell)
    params = Bi(*(convert(weights[rnn]["cell"]) for rnn in ("forward_rnn", "backward_rnn")))
    h = jnp.zeros([B, H])
    initial = random_like(((h, h),) * 2 if cell == LSTM else (h, h), 8)  # (c, h), as Flax has it
    want_carry, want_ys = theirs(random_xs(), seq_lengths=lengths, initial_carry=initial)
    carry, ys = make_ours(cell, params)(random_xs(), seq_lengths=lengths, initial_carry=initial)
    is_valid = (np.arange(T) < lengths[:, None])[..., None]
    assert_close(ys, jnp.where(is_valid, want_ys, 0))  # Flax leaves what it read in padding
    assert_close(jax.tree.leaves(carry), jax.tree.leaves(want_carry))  # both have c before h


@pytest.mark.parametrize("make_ours", [_our_linen, _our_nnx], ids=["linen", "nnx"])
def test_length_zero_keeps_the_initial_carry(make_ours):
    params, xs, lengths, carry = random_inputs(LSTM)
    want_carry, want_ys = _oracles.bidirectional(
        [_oracles.lstm_step] * 2, params, xs, lengths, carry
    )
    got_carry, ys = make_ours(LSTM, params)(xs, lengths, initial_carry=carry)
    assert_close(got_carry, Bi(*want_carry))
    assert_close(ys, np.concatenate(want_ys, axis=-1))
    assert_equal(jax.tree.map(lambda c: c[2], got_carry), jax.tree.map(lambda c: c[2], carry))
