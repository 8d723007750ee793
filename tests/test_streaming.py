"""A stream in pieces is the whole sequence; gradients stop where they are told to."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from birnn_jax import (
    ELMAN,
    GRU,
    LSTM,
    Bi,
    Layer,
    LayerParams,
    Mask,
    Total,
    init_stack,
    init_train_state,
    make_train_step,
    stack,
    streaming,
)
from tests import _layer_oracles, _oracles
from tests._cases import (
    CLOCKED,
    LENGTHS,
    PADDING,
    B,
    D,
    H,
    T,
    assert_close,
    random_cell,
    random_like,
    random_xs,
    weigh,
)

FORWARD = tuple(Layer(cell, direction="fwd") for cell in (LSTM, CLOCKED, GRU))
STEPS = {
    LSTM: _oracles.lstm_step,
    CLOCKED: _oracles.clocked_step,
    GRU: _oracles.gru_step,
    ELMAN: _oracles.elman_step,
}
jit_stack = jax.jit(stack, static_argnums=0)
jit_step = jax.jit(streaming.step, static_argnums=0)


def random_stack(layers, dtype="float32"):
    key = jax.random.key(0)
    params = jax.eval_shape(lambda: init_stack(layers, key, input_size=D, hidden_size=H))
    return random_like(params, 3, dtype)


def random_carry(layers, params):
    return random_like(streaming.initial_carry(layers, params, B), 4, None)


# Forward stacks.


def test_steps_of_a_stack_are_the_whole_sequence_of_the_loop(x64):
    params, xs = random_stack(FORWARD, "float64"), random_xs(dtype="float64")
    carry = random_carry(FORWARD, params)
    plan = [("fwd", STEPS[layer.cell], None) for layer in FORWARD]
    want = _oracles.stack(plan, params, xs, np.full(B, T), carry)
    ys = []
    for t in range(T):
        carry, y = jit_step(FORWARD, params, carry, xs[:, t])
        ys.append(y)
    assert_close((list(carry), jnp.stack(ys, axis=1)), want, "float64")


def test_steps_are_compiled_once_from_the_initial_carry_on():
    traces = []

    @jax.jit
    def step(carry, x):
        traces.append(None)
        return streaming.step(FORWARD, params, carry, x)

    params = random_stack(FORWARD, "bfloat16")
    carry = streaming.initial_carry(FORWARD, params, B)
    for t in range(T):
        carry, _ = step(carry, random_xs()[:, t])
    assert len(traces) == 1


@pytest.mark.parametrize(("residuals", "size"), [("gates", 2), ("states", 3), ("chunked", 4)])
def test_ragged_batch_in_pieces_equals_the_whole_in_values_and_gradients(residuals, size, x64):
    layers = (Layer(LSTM, direction="fwd", residuals=residuals), Layer(GRU, direction="fwd"))
    params, xs = random_stack(layers, "float64"), random_xs(dtype="float64")
    carry = random_carry(layers, params)

    def in_pieces(params, xs, carry):
        ys = []
        for start in range(0, T, size):
            piece = xs[:, start : start + size]
            carry, y = stack(layers, params, piece, LENGTHS - start, initial_carry=carry)
            ys.append(y)
        return carry, jnp.concatenate(ys, axis=1)

    def whole(params, xs, carry):
        return stack(layers, params, xs, LENGTHS, initial_carry=carry)

    def run(function):
        grads = jax.grad(lambda *args: weigh(function(*args)), (0, 1, 2))
        return jax.jit(lambda *args: (function(*args), grads(*args)))(params, xs, carry)

    assert_close(run(in_pieces), run(whole), "float64")


def test_step_refuses_a_stack_that_looks_backwards():
    layers = (Layer(LSTM),)
    with pytest.raises(ValueError, match="Use latency_controlled_step"):
        streaming.step(layers, random_stack(layers), (None,), random_xs()[:, 0])


def test_step_refuses_a_sequence():
    with pytest.raises(ValueError, match=r"\[B, D\], got shape \(3, 5, 2\)"):
        streaming.step(FORWARD, random_stack(FORWARD), (None,) * 3, random_xs())


# Latency-controlled.

BOTH = (Layer(LSTM), Layer(Bi(GRU, ELMAN), merge="sum"), Layer(CLOCKED, direction="bwd"))
SMALL = (Layer(ELMAN), Layer(ELMAN, merge="sum"))
MIXED = (Layer(GRU, direction="fwd"), Layer(LSTM, merge="mean"))
MORE = (
    Layer(GRU, norm="pre", projection=D, connection="residual", initial_carry="learned"),
    Layer(ELMAN, direction="fwd", norm="post", projection=D, connection="highway"),
)
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
        window = xs[b, start : min(lengths[b], start + chunk_size + lookahead)]
        for index, layer in enumerate(layers if len(window) else ()):
            window, states[b][index] = _oracle_layer(
                layer, params[index], window, states[b][index], chunk_size
            )
        ys |= {(b, start + number): y for number, y in enumerate(window[:chunk_size])}
    padded = np.zeros([*xs.shape[:2], len(ys[0, 0])])
    for place, y in ys.items():
        padded[place] = y
    return tuple(jax.tree.map(lambda *leaves: np.stack(leaves), *states)), padded


def _oracle_layer(layer, params, window, state, chunk_size):
    cells = layer.cell if isinstance(layer.cell, Bi) else Bi(layer.cell, layer.cell)
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
        zeros = jax.eval_shape(cells.bwd.initial_carry, rnn.bwd)
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
    [(BOTH, 2, 1), (BOTH, 1, 3), (BOTH, 3, 2), (MIXED, 2, 0), (MIXED, T + 2, 4), (MORE, 2, 1)],
    ids=["one_ahead", "more_ahead_than_chunk", "two_ahead", "none_ahead", "one_chunk", "options"],
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
        ({"chunk_size": 0, "lookahead": 1}, "chunk_size must be at least 1 .*, got 0 and 1"),
        ({"chunk_size": 1, "lookahead": -1}, "lookahead at least 0, got 1 and -1"),
        (
            {"chunk_size": 1, "lookahead": 1, "lengths": Mask(np.ones([B, T], bool))},
            "a Mask or Segments cannot be given",
        ),
        (
            {"chunk_size": 1, "lookahead": 1, "initial_carry": (None, None)},
            "initial_carry must have the structure",
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


# Truncated back-propagation through time.

ONE = (Layer(LSTM, direction="fwd"),)
STARTS = np.array([[True, True, True], [False, True, False], [False, False, True]])  # [chunks, B]


def truncated_loss(params, xs, carry, size, starts):
    initial, total = streaming.initial_carry(ONE, params, B), 0.0
    for number, start in enumerate(range(0, xs.shape[1], size)):
        carry = streaming.carry_over(carry, initial, starts[number])
        carry, ys = stack(ONE, params, xs[:, start : start + size], initial_carry=carry)
        total += weigh(ys)
    return total


def oracle_chunk(params, xs, carry):
    """The loss of one chunk in NumPy, and the carry after it."""
    carry, ys = _oracles.scan(_oracles.lstm_step, params, xs, [xs.shape[1]] * B, carry)
    weights = np.sin(1.0 + np.arange(ys[0].size)).reshape(ys[0].shape)
    return (ys * weights).sum(), carry


def test_gradient_of_chunks_is_that_of_losses_with_the_carries_held_fixed(x64):
    """Against differences of a loop whose carries at the borders are numbers, not functions."""
    params, carry = random_cell(LSTM, 1, dtype="float64")
    xs, size, scale = random_xs(0, B, 6, D, dtype="float64"), 2, 1e-6
    got = jax.jit(jax.grad(truncated_loss), static_argnums=3)(
        (LayerParams(params),), xs, (carry,), size, STARTS
    )
    zeros = jax.tree.map(np.zeros_like, carry)
    borders = []
    for number, starts in enumerate(STARTS):
        begin = jax.tree.map(lambda z, c, s=starts: np.where(s[:, None], z, c), zeros, carry)
        piece = xs[:, number * size : (number + 1) * size]
        borders.append((piece, begin))
        carry = oracle_chunk(params, piece, begin)[1]
    for seed in range(4):
        direction = random_like(params, seed, "float64")

        def loss(sign, direction=direction):
            moved = jax.tree.map(lambda p, d: p + sign * scale * d, params, direction)
            return sum(oracle_chunk(moved, *border)[0] for border in borders)

        want = (loss(1) - loss(-1)) / (2 * scale)
        assert float(optax.tree.vdot(got[0].rnn, direction)) == pytest.approx(want, rel=1e-7)


def test_one_chunk_is_full_back_propagation(x64):
    params, carry = random_cell(LSTM, 1, dtype="float64")
    params = LayerParams(params)
    xs, starts = random_xs(dtype="float64"), np.zeros([T, B], bool)
    grad = jax.jit(jax.grad(truncated_loss), static_argnums=3)
    full = jax.grad(lambda p: weigh(stack(ONE, (p,), xs, initial_carry=(carry,))[1]))(params)
    assert_close(grad((params,), xs, (carry,), T, starts), (full,), "float64")
    shorter = grad((params,), xs, (carry,), 2, starts)
    assert not np.allclose(shorter[0].rnn.w_h, full.rnn.w_h, rtol=1e-2)


def test_train_step_carries_states_from_batch_to_batch_and_resets_rows():
    params, _ = random_cell(LSTM, 1)
    layers_params = (LayerParams(params),)

    def loss_fn(params, batch, key):
        initial = streaming.initial_carry(ONE, params, B)
        carry = streaming.carry_over(batch["carry"], initial, batch["starts"])
        carry, ys = stack(ONE, params, batch["xs"], batch["lengths"], initial_carry=carry)
        return {"loss": Total(jnp.square(ys).sum(), jnp.array(1.0)), "carry": carry}

    still = optax.sgd(0.0)
    step = make_train_step(loss_fn, still)
    state = init_train_state(jax.tree.map(jnp.copy, layers_params), still)
    batches = random_xs(7, 3, B, T, D)
    carry = streaming.initial_carry(ONE, layers_params, B)
    for xs, starts in zip(batches, STARTS, strict=True):
        before = jax.tree.map(lambda leaf, s=starts: np.where(s[:, None], 0, leaf), carry)
        batch = {"xs": xs, "lengths": LENGTHS, "starts": starts, "carry": carry}
        state, metrics = step(state, batch, jax.random.key(0))
        carry = metrics["carry"]
        want, _ = _oracles.scan(_oracles.lstm_step, params, xs, LENGTHS, before[0])
        assert_close(carry, (want,))


def test_learned_initial_carry_has_its_gradient_from_rows_that_start():
    carry = random_like(streaming.initial_carry(ONE, random_stack(ONE, "float32"), B), 4)
    starts = np.array([True, False, True])
    grad = jax.grad(
        lambda last, initial: weigh(streaming.carry_over(last, initial, starts)), (0, 1)
    )
    by_last, by_initial = grad(carry, carry)
    assert not any(leaf.any() for leaf in jax.tree.leaves(by_last))
    assert all(((leaf != 0).any(axis=1) == starts).all() for leaf in jax.tree.leaves(by_initial))


def test_a_learned_carry_stands_before_the_first_step():
    layers = (MORE[0], Layer(LSTM, direction="fwd", initial_carry="learned"))
    params = random_stack(layers)
    carry = streaming.initial_carry(layers, params, B)
    want = (params[0].initial.fwd, params[1].initial)
    assert_close(jax.tree.map(lambda leaf: leaf[1], carry), want)


def test_layers_that_subsample_are_refused():
    layers = (Layer(ELMAN, direction="fwd", subsample=2),)
    params = random_stack(layers)
    with pytest.raises(ValueError, match="cannot be run step by step or in windows"):
        streaming.step(layers, params, streaming.initial_carry(layers, params, B), jnp.ones([B, D]))
    with pytest.raises(ValueError, match="cannot be run step by step or in windows"):
        streaming.latency_controlled(layers, params, random_xs(), chunk_size=2, lookahead=1)


def test_backward_states_and_starts_of_the_wrong_kind_are_refused():
    _, carry = random_cell(ELMAN, 1)
    both = (Bi(carry, carry),)
    with pytest.raises(ValueError, match="begins at the end of each chunk"):
        streaming.carry_over(both, both, np.ones(B, bool))
    with pytest.raises(TypeError, match="starts must be bool, got int"):
        streaming.carry_over(carry, carry, np.ones(B, int))
    with pytest.raises(ValueError, match=r"\[B\] with B = 3 as in carry, got \(2,\)"):
        streaming.carry_over(carry, carry, np.ones(2, bool))
