"""Lengths, inputs and carries of any kind mean what they say, or are refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import (
    GRU,
    LSTM,
    Cell,
    Layer,
    Mask,
    bidirectional,
    init_stack,
    scan_cell,
    stack,
    streaming,
)
from birnn_jax.cells import LSTMCarry
from tests.library._cases import B, D, H, T, assert_close, assert_equal, random_inputs, random_xs

PARAMS, XS, LENGTHS, CARRY = random_inputs(LSTM)

# Each is T or more, 2, and 0 or less.
HUGE = {
    "int64": np.array([2**40, 2, -(2**40)], np.int64),
    "uint32": np.array([4294967295, 2, 0], np.uint32),
    "uint64": np.array([2**63 + 5, 2, 0], np.uint64),
    "int8": np.array([127, 2, -128], np.int8),
    "uint8": np.array([255, 2, 0], np.uint8),
    "list": [2**40, 2, 0],
    "list beyond 64 bits": [2**70, 2, -(2**70)],
}


@pytest.mark.parametrize("x64", [False, True], ids=["x32", "x64"])
def test_lengths_of_any_integer_type_mean_what_they_say(x64):
    with jax.enable_x64(x64):
        want = bidirectional(LSTM, PARAMS, XS, LENGTHS)
        for lengths in HUGE.values():
            assert_equal(bidirectional(LSTM, PARAMS, XS, lengths), want)
        for name in ("uint32", "int8", "uint8") + ("int64", "uint64") * x64:
            lengths = jnp.asarray(HUGE[name])
            assert lengths.dtype == name
            assert_equal(bidirectional(LSTM, PARAMS, XS, lengths), want)
            assert_close(jax.jit(bidirectional)(LSTM, PARAMS, XS, lengths), want)


def test_what_can_be_read_as_an_array_is_read():
    want = bidirectional(LSTM, PARAMS, XS, LENGTHS)
    kinds = [np.asarray, np.ndarray.tolist, _Tensor]
    for kind in kinds:
        assert_close(bidirectional(LSTM, PARAMS, kind(np.asarray(XS)), kind(LENGTHS)), want)
    mask = np.arange(T) < LENGTHS[:, None]
    assert_equal(bidirectional(LSTM, PARAMS, XS, Mask(mask.tolist())), want)
    carry = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), CARRY)
    assert_equal(
        bidirectional(LSTM, PARAMS, XS, LENGTHS, initial_carry=carry),
        bidirectional(LSTM, PARAMS, XS, LENGTHS, initial_carry=CARRY),
    )


class _Tensor:
    """As the tensors of other frameworks are."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


def test_inputs_of_integers_are_their_values(case):
    params, _, lengths, carry = random_inputs(case.cell)
    xs = np.random.default_rng(3).integers(-3, 4, [B, T, D], np.int16)
    run = functools.partial(bidirectional, case.cell, params, initial_carry=carry)
    assert_close(run(jnp.asarray(xs), lengths), run(jnp.asarray(xs, jnp.float32), lengths))
    layers = [Layer(case.cell, norm="pre", projection=D, connection="residual")]
    (one,) = init_stack(layers, jax.random.key(0), input_size=D, hidden_size=H)
    run = functools.partial(stack, layers, [one._replace(rnn=params)])
    assert_close(run(jnp.asarray(xs), lengths), run(jnp.asarray(xs, jnp.float32), lengths))


def _count_init(key, input_size, hidden_size):
    return jax.random.normal(key, [input_size, hidden_size])


def _count_carry(params):
    return {"steps": jnp.zeros([], jnp.int32), "h": jnp.zeros(params.shape[1])}


def _count_step(params, carry, x):
    h = jnp.tanh(carry["h"] + x @ params) / (1 + carry["steps"])
    return {"steps": carry["steps"] + 1, "h": h}, h


COUNTING = Cell(_count_init, _count_carry, _count_step)


def test_a_carry_of_integers_is_the_same_state_as_one_of_floats():
    whole = LSTMCarry(*np.random.default_rng(0).integers(-2, 3, [2, B, H]))
    carry, ys = scan_cell(LSTM, PARAMS.fwd, XS, LENGTHS, initial_carry=whole)
    floats = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), whole)
    assert_equal((carry, ys), scan_cell(LSTM, PARAMS.fwd, XS, LENGTHS, initial_carry=floats))

    params, start = COUNTING.init(jax.random.key(0), D, H), np.array([3, 1, 0])
    given = {"steps": start.astype(np.uint8), "h": np.zeros([B, H], bool)}
    carry, _ = scan_cell(COUNTING, params, XS, LENGTHS, initial_carry=given)
    assert carry["steps"].dtype == jnp.int32 and carry["h"].dtype == jnp.float32
    assert carry["steps"].tolist() == (start + LENGTHS).tolist()


@pytest.mark.parametrize(
    ("steps", "h", "text"),
    [
        (np.zeros(B), np.zeros([B, H]), r"\['steps'\] must be int32, as the cell .*, got float32"),
        (np.zeros(B, int), 1j * np.ones([B, H]), r"\['h'\] must be float32, .*, got complex64"),
    ],
)
def test_a_carry_that_would_be_truncated_is_refused(steps, h, text):
    params = COUNTING.init(jax.random.key(0), D, H)
    with pytest.raises(TypeError, match=text):
        scan_cell(COUNTING, params, XS, LENGTHS, initial_carry={"steps": steps, "h": h})


def test_a_cell_that_would_truncate_its_own_state_is_refused():
    cell = Cell(
        COUNTING.init,
        lambda params: jnp.zeros(params.shape[1], jnp.int32),
        lambda params, carry, x: (jnp.tanh(carry + x @ params),) * 2,
    )
    with pytest.raises(ValueError, match=r"its step returns float32 for a carry .* of int32"):
        scan_cell(cell, COUNTING.init(jax.random.key(0), D, H), XS, LENGTHS)


def test_learned_carries_of_16_bits_stream_in_the_dtypes_of_the_cell():
    layers = (Layer(LSTM, direction="fwd", learned_carry=True), Layer(GRU, direction="fwd"))
    params = init_stack(layers, jax.random.key(0), input_size=D, hidden_size=H)
    moved = jax.tree.map(lambda leaf: leaf + 0.25, params[0].initial)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), (params[0], params[1]))
    params = (params[0]._replace(initial=jax.tree.map(jnp.bfloat16, moved)), params[1])
    xs = random_xs(dtype="bfloat16")
    carry = streaming.initial_carry(layers, params, B)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(carry)} == {"float32"}
    traced, outputs = [], []

    @jax.jit
    def step(carry, x):
        traced.append(x)
        return streaming.step(layers, params, carry, x)

    for t in range(T):
        carry, y = step(carry, xs[:, t])
        outputs.append(y)
    assert len(traced) == 1
    want, ys = stack(layers, params, xs)
    assert_close(jnp.stack(outputs, axis=1), ys, "bfloat16")
    assert_close(carry, want, "bfloat16")
    both = (Layer(LSTM, learned_carry=True),)
    params = init_stack(both, jax.random.key(1), input_size=D, hidden_size=H)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    _, ys = streaming.latency_controlled(both, params, xs, chunk_size=2, lookahead=T)
    assert_close(ys, stack(both, params, xs)[1], "bfloat16")
