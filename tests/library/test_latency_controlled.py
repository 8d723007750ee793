"""A stack that sees a window: offline, online, and against its definition."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from birnn_jax import ELMAN, GRU, LSTM, Bi, Layer, Mask, stack, streaming
from tests.library import _layer_oracles, _oracles
from tests.library._cases import (
    CLOCKED,
    LENGTHS,
    PADDING,
    STEPS,
    B,
    D,
    T,
    assert_close,
    random_xs,
    weigh,
)
from tests.library._streams import MORE, random_carry, random_stack

jit_stack = jax.jit(stack, static_argnums=0)
jit_step = jax.jit(streaming.step, static_argnums=0)


BOTH = (Layer(LSTM), Layer(Bi(GRU, ELMAN), merge="sum"), Layer(CLOCKED, direction="bwd"))
SMALL = (Layer(ELMAN), Layer(ELMAN, merge="sum"))
PYRAMID = (Layer(LSTM, subsample=2), Layer(GRU, subsample=2, subsample_mode="first", norm="post"))
MIXED = (Layer(GRU, direction="fwd"), Layer(LSTM, merge="mean"))
jit_latency_controlled = jax.jit(
    streaming.latency_controlled, static_argnums=0, static_argnames=("chunk_size", "lookahead")
)


def latency_controlled_oracle(layers, params, xs, lengths, carry, chunk_size, lookahead):
    """The definition, chunk by chunk: every layer over the window, the states of the chunk kept."""
    params, xs, carry = (
        jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)
        for tree in (params, xs, carry)
    )
    states = [[jax.tree.map(lambda leaf, b=b: leaf[b], one) for one in carry] for b in range(B)]
    ys = {}  # (row, step) -> output
    for b, start in itertools.product(range(B), range(0, xs.shape[1], chunk_size)):
        window, size = xs[b, start : min(lengths[b], start + chunk_size + lookahead)], chunk_size
        for index, layer in enumerate(layers if len(window) else ()):
            window = np.stack(_layer_oracles.subsampled(layer, window))
            size //= layer.subsample
            window, states[b][index] = _oracle_layer(
                layer, params[index], window, states[b][index], size
            )
        first = start * size // chunk_size
        ys |= {(b, first + number): y for number, y in enumerate(window[:size])}
    rate = math.prod(layer.subsample for layer in layers)
    padded = np.zeros([B, -(-xs.shape[1] // rate), len(ys[0, 0])])
    for place, y in ys.items():
        padded[place] = y
    return tuple(jax.tree.map(lambda *leaves: np.stack(leaves), *states)), padded


def _oracle_layer(layer, params, window, state, chunk_size):
    cells = layer.cells
    rnn = params.rnn if layer.direction == "both" else Bi(params.rnn, params.rnn)
    inputs, window = window, _layer_oracles.before(layer, params, window)
    outputs, after = {}, state
    if layer.direction != "bwd":
        ys, carry = [], state
        for number, x in enumerate(window):
            carry, y = STEPS[cells.fwd](rnn.fwd, carry, x)
            ys.append(y)
            after = carry if number < chunk_size else after
        outputs["fwd"] = ys
    if layer.direction != "fwd":
        zeros = jax.eval_shape(cells.bwd.init_carry, rnn.bwd)
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape), zeros)
        ys, carry = [], zeros if params.initial is None else params.initial.bwd
        for x in window[::-1]:
            carry, y = STEPS[cells.bwd](rnn.bwd, carry, x)
            ys.append(y)
        outputs["bwd"] = ys[::-1]
    outputs = {name: np.stack(ys) for name, ys in outputs.items()}
    if layer.direction == "both":
        ys = _oracles.MERGES[layer.merge](outputs["fwd"], outputs["bwd"])
    else:
        ys = outputs[layer.direction]
    return np.stack(_layer_oracles.after(layer, params, inputs, ys)), after


@pytest.mark.parametrize(
    ("layers", "chunk_size", "lookahead"),
    [
        *((BOTH, 2, 1), (BOTH, 1, 3), (BOTH, 3, 2), (MIXED, 2, 0), (MIXED, T + 2, 4), (MORE, 2, 1)),
        *((PYRAMID, 4, 4), (PYRAMID[:1], 2, 4), (PYRAMID, 8, 0)),
    ],
    ids=[
        *("one_ahead", "more_ahead_than_chunk", "two_ahead", "none_ahead", "one_chunk", "options"),
        *("subsampled", "subsampled_by_two", "subsampled_one_chunk"),
    ],
)
def test_latency_controlled_run_matches_its_definition(layers, chunk_size, lookahead, x64):
    params, xs = random_stack(layers, "float64"), random_xs(dtype="float64")
    carry = random_carry(layers, params)
    got = jit_latency_controlled(
        *(layers, params, xs.at[1, 2:].set(jnp.nan), LENGTHS + np.array([9, 0, 0])),
        chunk_size=chunk_size,
        lookahead=lookahead,
        initial_carry=carry,
    )
    want = latency_controlled_oracle(layers, params, xs, LENGTHS, carry, chunk_size, lookahead)
    assert_close(got, want, "float64")


@pytest.mark.parametrize(
    ("chunk_size", "lengths"), [(T, LENGTHS), (T + 2, None)], ids=["ragged", "full"]
)
def test_one_chunk_is_the_offline_stack_in_values_and_gradients(chunk_size, lengths, x64):
    params, xs = random_stack(SMALL, "float64"), random_xs(dtype="float64")

    def in_one_chunk(params, xs):
        run = functools.partial(streaming.latency_controlled, chunk_size=chunk_size, lookahead=1)
        carries, ys = run(SMALL, params, xs, lengths)
        return carries, ys

    def offline(params, xs):
        carries, ys = stack(SMALL, params, xs, lengths)
        return (carries[0].fwd, carries[1].fwd), ys

    def run(function):
        grads = jax.grad(lambda *args: weigh(function(*args)), (0, 1))
        return jax.jit(lambda *args: (function(*args), grads(*args)))(params, xs)

    assert_close(run(in_one_chunk), run(offline), "float64")


def test_online_chunks_equal_the_offline_run_in_values_and_gradients(x64):
    params = random_stack(SMALL, "float64")
    xs = jnp.where(PADDING[..., None], jnp.nan, random_xs(dtype="float64"))
    size, lookahead = 3, 4
    carry = random_carry(SMALL, params)

    def online(params, xs, carry):
        padded, ys = jnp.pad(xs, [(0, 0), (0, size + lookahead), (0, 0)]), []
        for start in range(0, T, size):
            carry, y = streaming.latency_controlled_step(
                *(SMALL, params, carry, padded[:, start : start + size + lookahead]),
                chunk_size=size,
                lengths=jnp.maximum(LENGTHS - start, 0),
            )
            ys.append(y)
        return carry, jnp.concatenate(ys, axis=1)[:, :T]

    def offline(params, xs, carry):
        run = functools.partial(streaming.latency_controlled, chunk_size=size, lookahead=lookahead)
        return run(SMALL, params, xs, LENGTHS, initial_carry=carry)

    def run(function):
        grads = jax.grad(lambda *args: weigh(function(*args)), (0, 1, 2))
        return jax.jit(lambda *args: (function(*args), grads(*args)))(params, xs, carry)

    want = run(offline)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(want))
    assert_close(run(online), want, "float64")


def test_gradients_of_a_latency_controlled_stack_match_finite_differences(x64):
    params, xs = random_stack(SMALL, "float64"), random_xs(dtype="float64")
    run = functools.partial(streaming.latency_controlled, SMALL, chunk_size=2, lookahead=2)
    loss = jax.jit(lambda params, xs, carry: weigh(run(params, xs, LENGTHS, initial_carry=carry)))
    check_grads(loss, (params, xs, random_carry(SMALL, params)), order=1, modes=["rev"])


def test_what_lies_beyond_the_window_has_no_influence():
    """The latency of three layers is that of one: N + R steps."""
    params = random_stack(BOTH)
    run = functools.partial(jit_latency_controlled, BOTH, params, chunk_size=2, lookahead=1)
    _, ys = run(random_xs())
    _, other = run(random_xs().at[:, 3:].add(1.0))
    np.testing.assert_array_equal(ys[:, :2], other[:, :2])
    assert (ys[:, 2:] != other[:, 2:]).all()


def test_no_steps_at_all_return_the_carry():
    params = random_stack(SMALL)
    carry = random_carry(SMALL, params)
    got, ys = streaming.latency_controlled(
        *(SMALL, params, jnp.zeros([B, 0, D])), chunk_size=2, lookahead=1, initial_carry=carry
    )
    assert_close(got, carry)
    assert ys.shape[:2] == (B, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chunk_size": 0, "lookahead": 1}, "chunk_size must be at least 1, got 0."),
        ({"chunk_size": 1, "lookahead": -1}, "lookahead must be at least 0, got -1."),
        (
            {"chunk_size": 1, "lookahead": 1, "lengths": Mask(np.ones([B, T], bool))},
            "a Mask or Segments cannot be given",
        ),
        (
            {"chunk_size": 1, "lookahead": 1, "initial_carry": (None, None)},
            r"initial_carry must hold the arrays \[0\].h, \[1\].c, \[1\].h, got none.",
        ),
    ],
    ids=["no_chunk", "negative_lookahead", "mask", "carry"],
)
def test_bad_windows_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        streaming.latency_controlled(MIXED, random_stack(MIXED), random_xs(), **settings)


def test_window_shorter_than_its_chunk_is_refused():
    params = random_stack(MIXED)
    carry = streaming.initial_carry(MIXED, params, B)
    with pytest.raises(ValueError, match="from 1 to the 5 steps of the window, got 6"):
        streaming.latency_controlled_step(MIXED, params, carry, random_xs(), chunk_size=6)


@pytest.mark.parametrize(("name", "sizes"), [("chunk_size", (3, 2)), ("lookahead", (4, 1))])
def test_borders_within_a_group_of_steps_are_refused(name, sizes):
    options = dict(zip(("chunk_size", "lookahead"), sizes, strict=True))
    params = random_stack(PYRAMID[:1])
    with pytest.raises(
        ValueError, match=f"{name} must be a multiple of 2, .*, got {options[name]}"
    ):
        streaming.latency_controlled(PYRAMID[:1], params, random_xs(), **options)


def test_chunks_of_a_stack_that_subsamples_equal_the_whole(x64):
    params, xs = random_stack(PYRAMID, "float64"), random_xs(dtype="float64")
    _, want = streaming.latency_controlled(
        *(PYRAMID, params, xs, LENGTHS), chunk_size=4, lookahead=4
    )
    carry, ys = streaming.initial_carry(PYRAMID, params, B), []
    padded = jnp.pad(xs, [(0, 0), (0, 8), (0, 0)])
    for start in range(0, T, 4):
        carry, y = streaming.latency_controlled_step(
            *(PYRAMID, params, carry, padded[:, start : start + 8]),
            chunk_size=4,
            lengths=LENGTHS - start,
        )
        ys.append(y)
    assert_close(jnp.concatenate(ys, axis=1)[:, : want.shape[1]], want, "float64")
