"""Parameters of 16 bits: dtypes of every result, and sums that do not lose count."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import birnn_jax.linen
import birnn_jax.nnx
from birnn_jax import (
    GRU,
    LSTM,
    Layer,
    cells,
    classifier,
    heads,
    init_classifier,
    init_tagger,
    max_pool,
    mean_pool,
    scan_cell,
    stack,
    streaming,
    tagger,
)
from birnn_jax.kernels.xla import derivative
from birnn_jax.models import attention_pool
from tests.library import _oracles
from tests.library._cases import (
    LENGTHS,
    B,
    D,
    H,
    random_cell,
    random_xs,
    weigh,
)
from tests.library.test_kernels import as_plain

LOW, WIDE = jnp.dtype("bfloat16"), jnp.dtype("float32")
PROJECTED = cells.PROJECTED_LSTM.with_init(projection_size=3)
NAMES = """
    ELMAN GRU LSTM GRU_RESET_BEFORE COUPLED_LSTM PEEPHOLE_LSTM INDRNN LAYER_NORM_LSTM_BA
    LAYER_NORM_LSTM_TFA LAYER_NORM_GRU_BA MINGRU MINLSTM SLSTM PARA_GRU
    PARA_LSTM
""".split()
EVERY_CELL = {name: getattr(cells, name) for name in NAMES} | {
    "PROJECTED_LSTM": PROJECTED,
    "parallel": cells.parallel(cells.MINGRU),
    "zoneout": cells.zoneout(LSTM, h=0.1, c=0.1),
}
CELLS = pytest.mark.parametrize("cell", EVERY_CELL.values(), ids=EVERY_CELL.keys())


def dtypes(tree):
    return {leaf.dtype for leaf in jax.tree.leaves(tree)}


def shapes_of(function, *args, **settings):
    return jax.eval_shape(functools.partial(function, **settings), *args)


@CELLS
def test_step_of_every_cell_carries_float32_and_puts_out_bfloat16(cell, strict_dtypes):
    params, carry = random_cell(cell, 1, dtype=LOW)
    assert dtypes(carry) == {WIDE}
    step = jax.vmap(cell.step, in_axes=(None, 0, 0))
    new, y = shapes_of(step, params, carry, random_xs(0, B, D, dtype=LOW))
    assert dtypes(new) == {WIDE} and y.dtype == LOW


@CELLS
def test_runs_of_every_cell_carry_float32_and_put_out_bfloat16(cell, strict_dtypes):
    params, carry = random_cell(cell, 1, dtype=LOW)
    low = jax.tree.map(lambda leaf: leaf.astype(LOW), carry)
    for given, lengths in [(None, LENGTHS), (low, None)]:
        run = functools.partial(scan_cell, cell, lengths=lengths, initial_carry=given)
        last, ys = shapes_of(run, params, random_xs())
        assert dtypes(last) == {WIDE} and ys.dtype == LOW


def test_layers_and_models_hand_on_bfloat16_and_score_in_float32():
    layers = (Layer(LSTM), Layer(GRU, merge="sum"))
    sizes = {"input_size": D, "hidden_size": H, "num_classes": 4}

    def low(init, **settings):
        params = jax.eval_shape(lambda: init(layers, jax.random.key(0), **sizes, **settings))
        return jax.tree.map(lambda leaf: leaf.update(dtype=LOW), params)

    params = low(init_tagger)
    carries, ys = shapes_of(lambda p, xs: stack(layers, p, xs, LENGTHS), params.rnn, random_xs())
    assert dtypes(carries) == {WIDE} and ys.dtype == LOW
    assert shapes_of(functools.partial(tagger, layers), params, random_xs()).dtype == WIDE
    run = functools.partial(streaming.latency_controlled, layers, chunk_size=2, lookahead=1)
    carries, ys = shapes_of(run, params.rnn, random_xs())
    assert dtypes(carries) == {WIDE} and ys.dtype == LOW
    for readout in ("final", "mean", "max", "attention"):
        score = functools.partial(classifier, layers, readout=readout)
        params = low(init_classifier, readout=readout)
        assert shapes_of(score, params, random_xs()).dtype == WIDE


def test_adapters_compute_in_dtype_and_keep_param_dtype():
    for dtype, param_dtype in [(LOW, None), (None, LOW), (WIDE, LOW)]:
        settings = {"dtype": dtype, "param_dtype": param_dtype}
        computed = dtype or param_dtype
        for name, args in [
            ("RNN", (LSTM,)),
            ("Bidirectional", (GRU,)),
            ("Stack", ([Layer(LSTM)],)),
            ("RNN", (nn.LSTMCell(H),)),  # its carry is wide in every row
        ]:
            layer = getattr(birnn_jax.linen, name)(*args, hidden_size=H, **settings)
            (_, ys), variables = shapes_of(layer.init_with_output, jax.random.key(0), random_xs())
            assert (dtypes(variables), ys.dtype) == ({param_dtype or WIDE}, computed)
            if isinstance(args[0], nn.Module):
                continue
            layer = getattr(birnn_jax.nnx, name)(
                *args, input_size=D, hidden_size=H, rngs=nnx.Rngs(0), **settings
            )
            assert dtypes(nnx.state(layer, nnx.Param)) == {param_dtype or WIDE}
            assert shapes_of(layer, random_xs())[1].dtype == computed


# Long sums. Each bound is a fraction of what the same sum loses in bfloat16.

LONG = 2000


def slow_params(cell, name):
    """A carry that goes up by a thousandth a step: what bfloat16 cannot add to one."""
    params, _ = random_cell(cell, 0)
    params = jax.tree.map(lambda leaf: 0.1 * leaf, params)
    gates = {
        "lstm": (-5.5, 9.0, 2.0, 0.0),  # i, f, g, o
        "gru": (0.0, 7.0, 2.0),  # r, z, n
        "mingru": (-7.0, 2.0),  # z, h
    }[name]
    return params._replace(b=params.b + np.repeat(np.array(gates, np.float32), H))


def in_float64(cell, oracle, params, xs):
    zeros = jax.tree.map(lambda leaf: np.zeros([2, *leaf.shape]), cell.init_carry(params))
    return _oracles.scan(oracle, params, xs, [LONG, LONG // 2], zeros)


def mingru_step(params, carry, x):
    a_z, a_h = np.split(x @ params.w_x + params.b, 2, axis=-1)
    z, g = _oracles.sigmoid(a_z), np.where(a_h >= 0, a_h + 0.5, _oracles.sigmoid(a_h))
    h = (1 - z) * carry.h + z * g
    return carry._replace(h=h), h


SLOW = {
    "lstm": (LSTM, _oracles.lstm_step, "c"),
    "lstm_plain": (as_plain(LSTM), _oracles.lstm_step, "c"),
    "gru": (GRU, _oracles.gru_step, "h"),
    "gru_plain": (as_plain(GRU), _oracles.gru_step, "h"),
    "mingru": (cells.MINGRU, mingru_step, "h"),
    "mingru_parallel": (cells.parallel(cells.MINGRU), mingru_step, "h"),
}


@pytest.mark.parametrize(
    ("name", "residuals"),
    [(name, "gates") for name in SLOW] + [("lstm", "states"), ("lstm", "chunked")],
)
def test_slow_sums_over_long_sequences_stay_near_those_in_float64(name, residuals):
    cell, oracle, field = SLOW[name]
    params = slow_params(cell, name.partition("_")[0])
    params = jax.tree.map(lambda leaf: leaf.astype(LOW), params)
    xs = random_xs(0, 2, LONG, D, dtype=LOW)
    run = jax.jit(scan_cell, static_argnames=("cell", "residuals"))
    carry, ys = run(cell, params, xs, np.array([LONG, LONG // 2]), residuals=residuals)
    want, want_ys = in_float64(cell, oracle, params, xs)
    scale = np.abs(getattr(want, field)).max()
    assert scale > 0.5
    np.testing.assert_allclose(getattr(carry, field), getattr(want, field), atol=5e-3 * scale)
    np.testing.assert_allclose(ys.astype("float32"), want_ys, atol=1e-2 * np.abs(want_ys).max())


@functools.cache
def long_gradients(cell, dtype, residuals):
    params, _ = random_cell(cell, 1, dtype=LOW)
    params = jax.tree.map(lambda leaf: (0.4 * leaf).astype(LOW).astype(dtype), params)
    xs = random_xs(0, 2, LONG, D, dtype=LOW) + 1

    def loss(params):
        carry, ys = scan_cell(cell, params, xs, residuals=residuals)
        return ys.sum(dtype="float64") + sum(leaf.sum() for leaf in jax.tree.leaves(carry))

    return jax.jit(jax.grad(loss))(params)


@pytest.mark.parametrize(
    ("cell", "residuals"),
    [
        (LSTM, "gates"),
        (LSTM, "states"),
        (LSTM, "chunked"),
        (GRU, "gates"),
        (cells.COUPLED_LSTM, "gates"),
        (cells.COUPLED_LSTM, "chunked"),
    ],
    ids=["lstm", "lstm_states", "lstm_chunked", "gru", "coupled", "coupled_chunked"],
)
def test_gradients_of_parameters_over_long_sequences_stay_near_those_in_float64(
    cell, residuals, x64
):
    check_long_gradients(cell, long_gradients(cell, "bfloat16", residuals))


def test_gradients_of_parameters_add_up_in_float32_over_many_chunks(monkeypatch, x64):
    monkeypatch.setattr(derivative, "chunk_steps", lambda *sizes: 4)
    check_long_gradients(LSTM, long_gradients.__wrapped__(LSTM, "bfloat16", "gates"))


def check_long_gradients(cell, got):
    want = long_gradients(cell, "float64", "states")
    assert dtypes(got) == {LOW}
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        error = np.abs(np.asarray(one, np.float64) - other).max()
        assert error < 1e-2 * np.abs(other).max()


def test_pools_count_and_add_beyond_what_bfloat16_can():
    ys = jnp.abs(random_xs(0, 1, LONG, H, dtype=LOW)) + 1
    want = np.asarray(ys, np.float64)
    got = mean_pool(ys, np.array([257]))
    assert got.dtype == LOW
    half_a_bit = 1.01 * 2**-9
    np.testing.assert_allclose(got.astype("float32"), want[:, :257].mean(axis=1), rtol=half_a_bit)
    assert max_pool(ys).dtype == LOW


@pytest.mark.parametrize("attention", ["pool", "additive", "dot", "general"])
def test_weights_of_attention_are_float32_and_add_up_to_one(attention):
    ys, queries = random_xs(0, 2, LONG, H, dtype=LOW), random_xs(1, 2, 3, H, dtype=LOW)
    key, size = jax.random.key(0), {"query_size": H, "state_size": H}
    low = functools.partial(jax.tree.map, lambda leaf: leaf.astype(LOW))
    pooled, weights = {
        "pool": lambda: attention_pool(
            low(birnn_jax.models.init_attention_pool(key, input_size=H, attention_size=4)), ys
        ),
        "additive": lambda: heads.additive_attention(
            low(heads.init_additive_attention(key, attention_size=4, **size)), queries, ys
        ),
        "dot": lambda: heads.dot_attention(queries, ys),
        "general": lambda: heads.general_attention(
            low(heads.init_general_attention(key, **size)), queries, ys
        ),
    }[attention]()
    assert (pooled.dtype, weights.dtype) == (LOW, WIDE)
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-4)
    want = np.einsum("b...t,bth->b...h", *(np.asarray(one, np.float64) for one in (weights, ys)))
    np.testing.assert_allclose(pooled.astype("float32"), want, atol=2**-8 * np.abs(want).max())


@pytest.mark.parametrize(
    "name",
    """ELMAN GRU_RESET_BEFORE PEEPHOLE_LSTM INDRNN LAYER_NORM_LSTM_BA LAYER_NORM_GRU_BA MINLSTM
    PROJECTED_LSTM parallel""".split(),
)
def test_gradients_in_bfloat16_are_near_those_in_float32(name):
    """Of every form of step; the others are in the test of long sequences."""
    cell = EVERY_CELL[name]
    params, carry = random_cell(cell, 1, dtype=LOW)
    xs = random_xs(dtype=LOW)

    def grads(*args):
        def loss(params, xs, carry):
            carry, ys = scan_cell(cell, params, xs, LENGTHS, initial_carry=carry)
            return weigh(carry) + weigh(ys.astype(WIDE))

        return jax.jit(jax.grad(loss, (0, 1, 2)))(*args)

    got = grads(params, xs, carry)
    want = grads(*jax.tree.map(lambda leaf: leaf.astype(WIDE), (params, xs)), carry)
    assert dtypes(got[:2]) == {LOW} and dtypes(got[2]) == {WIDE}
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        error = np.linalg.norm(np.asarray(one, np.float64) - other)
        assert error < 0.03 * np.linalg.norm(other)
