"""Recurrent weights in blocks: as the full matrix with zeros around the blocks computes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import GRU, LSTM, Bi, Layer, Segments, bidirectional, cells, scan_cell, serving
from birnn_jax.cells import candidate_dropout, recurrent_dropout, zoneout
from birnn_jax.cells._heads import split_heads
from birnn_jax.interop.torch import from_torch, to_torch
from birnn_jax.kernels.cpu import library as cpu
from birnn_jax.stacks import LayerParams
from tests.library import _oracles
from tests.library import _variant_oracles as variants
from tests.library._cases import (
    LENGTHS,
    D,
    assert_close,
    jit_scan_cell,
    random_cell,
    random_xs,
    weigh,
)

H, HEADS = 6, 3
CELLS = {
    "lstm": (LSTM, _oracles.lstm_step, "auto"),
    "lstm_xla": (LSTM, _oracles.lstm_step, "xla"),
    "lstm_reference": (LSTM, _oracles.lstm_step, "reference"),
    "gru": (GRU, _oracles.gru_step, "auto"),
    "gru_xla": (GRU, _oracles.gru_step, "xla"),
    "slstm": (cells.SLSTM, variants.slstm_step, "auto"),
    "slstm_xla": (cells.SLSTM, variants.slstm_step, "xla"),
    "slstm_reference": (cells.SLSTM, variants.slstm_step, "reference"),
    "peephole_lstm": (cells.PEEPHOLE_LSTM, variants.peephole_lstm_step, "auto"),
    "layer_norm_lstm_ba": (cells.LAYER_NORM_LSTM_BA, variants.layer_norm_lstm_ba_step, "auto"),
}
EVERY_CELL = pytest.mark.parametrize(
    ("cell", "oracle", "backend"), CELLS.values(), ids=CELLS.keys()
)


def make_inputs(cell, dtype="float32"):
    cell = cell.with_init(heads=HEADS)
    pairs = [random_cell(cell, seed, hidden_size=H, dtype=dtype) for seed in (1, 4)]
    return Bi(*(params for params, _ in pairs)), random_xs(dtype=dtype), Bi(*(c for _, c in pairs))


@functools.partial(jax.jit, static_argnums=(0, 1))
def run(cell, backend, params, xs, carry, lengths=LENGTHS, key=None):
    def loss(params, xs, carry):
        out = bidirectional(
            cell, params, xs, lengths, initial_carry=carry, key=key, backend=backend
        )
        return weigh(out), out

    return jax.grad(loss, (0, 1, 2), has_aux=True)(params, xs, carry)


def with_full_matrices(params):
    return Bi(*(one._replace(w_h=jnp.asarray(variants.dense(one.w_h, H))) for one in params))


@EVERY_CELL
def test_values_match_loops_and_gradients_those_of_the_full_matrix(cell, oracle, backend):
    params, xs, carry = make_inputs(cell)
    assert params.fwd.w_h.shape[0] == H // HEADS
    (d_params, *d_rest), (carries, ys) = run(cell, backend, params, xs, carry)
    full = with_full_matrices(params)
    want_carries, want_ys = _oracles.bidirectional([oracle] * 2, full, xs, LENGTHS, carry)
    assert_close((carries, ys), (Bi(*want_carries), np.concatenate(want_ys, axis=-1)))
    (d_full, *d_others), _ = run(cell, "reference", full, xs, carry)
    assert_close(d_rest, d_others)
    for ours, theirs in zip(d_params, d_full, strict=True):
        blocks = variants.dense(np.ones_like(ours.w_h), H)
        want = np.asarray(theirs.w_h)[blocks != 0]
        assert_close(variants.dense(np.asarray(ours.w_h), H)[blocks != 0], want)
        assert_close(ours._replace(w_h=0), theirs._replace(w_h=0))


BLOCKS = [
    (LSTM, 160, 2, "gates"),
    (GRU, 48, 3, "states"),
    (cells.SLSTM, 64, 2, "states"),
    (cells.LAYER_NORM_LSTM_BA, 32, 2, "auto"),
]


@pytest.mark.skipif(not cpu.is_registered(), reason=cpu.load().note)
@pytest.mark.parametrize(("cell", "hidden_size", "heads", "residuals"), BLOCKS)
def test_native_blocks_of_whole_vectors_give_what_the_full_matrix_gives(
    cell, hidden_size, heads, residuals
):
    """Which the native code multiplies as they are, with zeros around blocks of other sizes."""
    blocks, carry = random_cell(cell.with_init(heads=heads), 1, hidden_size=hidden_size)
    blocks = jax.tree.map(lambda leaf: leaf / 8, blocks)
    full = blocks._replace(w_h=jnp.asarray(variants.dense(blocks.w_h, hidden_size)))
    xs = random_xs()

    @jax.jit
    def run(params):
        def loss(params, xs, carry):
            out = scan_cell(
                cell, params, xs, LENGTHS, initial_carry=carry, residuals=residuals,
                backend="cpu_kernel",
            )  # fmt: skip
            return weigh(out), out

        return jax.grad(loss, (0, 1, 2), has_aux=True)(params, xs, carry)

    own = variants.dense(np.ones_like(blocks.w_h), hidden_size) != 0
    for isa in cpu.find_isas():
        with cpu.forced_isa(isa):
            (d_blocks, *d_rest), out = jax.block_until_ready(run(blocks))
            (d_full, *d_others), want = jax.block_until_ready(run(full))
        assert_close((d_rest, out), (d_others, want))
        got = variants.dense(np.asarray(d_blocks.w_h), hidden_size)
        assert_close(got, np.where(own, d_full.w_h, np.float32(0)).astype(got.dtype))
        assert_close(d_blocks._replace(w_h=0), d_full._replace(w_h=0))
        with cpu.forced_isa(isa):
            prepared = serving.prepare(cell.with_init(heads=heads), blocks)
            again = scan_cell(cell, prepared, xs, LENGTHS, initial_carry=carry)
            assert_close(again, out)


NOISY = {
    "zoneout": lambda cell: zoneout(cell, h=0.3, c=0.2),
    "recurrent_dropout": lambda cell: recurrent_dropout(cell, 0.4),
    "candidate_dropout": lambda cell: candidate_dropout(cell, 0.4),
}


@pytest.mark.parametrize("make_noisy", NOISY.values(), ids=NOISY.keys())
@pytest.mark.parametrize("cell", [LSTM, cells.SLSTM], ids=["lstm", "slstm"])
def test_noise_and_segments_are_those_of_the_full_matrix(cell, make_noisy):
    params, xs, carry = make_inputs(cell)
    lengths, key = Segments(np.array([[1, 1, 2, 2, 0], [0, 3, 3, 3, 4], [5, 6, 6, 6, 6]])), 7
    noisy = make_noisy(cell)
    key = jax.random.key(key)
    _, got = run(noisy, "auto", params, xs, carry, lengths, key)
    _, want = run(noisy, "auto", with_full_matrices(params), xs, carry, lengths, key)
    assert_close(got, want)
    _, plain = run(noisy, "auto", params, xs, carry, lengths)
    assert jnp.abs(plain[1] - got[1]).max() > 0.01


def test_each_block_of_each_gate_starts_orthogonal():
    w_h = LSTM.with_init(heads=HEADS).init(jax.random.key(0), D, H).w_h
    for block in split_heads(w_h, H):
        for gate in np.split(block, 4, axis=1):
            np.testing.assert_allclose(gate @ gate.T, np.eye(H // HEADS), atol=1e-6)
    assert not jnp.allclose(w_h[:, :2], w_h[:, 2:4])


@pytest.mark.parametrize("cell", [LSTM, GRU, cells.SLSTM], ids=["lstm", "gru", "slstm"])
def test_heads_must_divide_the_hidden_size(cell):
    with pytest.raises(ValueError, match="heads must divide hidden_size, got heads=4 and"):
        cell.with_init(heads=4).init(jax.random.key(0), D, H)
    with pytest.raises(ValueError, match="heads must be at least 1"):
        cell.with_init(heads=0).init(jax.random.key(0), D, H)


def test_torch_gets_the_full_matrix_and_computes_the_same():
    params, xs, carry = make_inputs(LSTM)
    layers = (Layer(LSTM.with_init(heads=HEADS)),)
    there, back = from_torch(to_torch(layers, [LayerParams(params)]))
    assert there == (Layer(LSTM),)
    assert_close(back[0].rnn.fwd.w_h, np.float32(variants.dense(params.fwd.w_h, H)))
    want = bidirectional(LSTM, params, xs, LENGTHS, initial_carry=carry)
    assert_close(bidirectional(LSTM, back[0].rnn, xs, LENGTHS, initial_carry=carry), want)


@pytest.mark.parametrize("shift", [0.0, 40.0, -40.0])
def test_the_slstm_equals_its_equations_without_a_stabiliser(shift, x64):
    """c exp(m) and n exp(m) by their own recurrence, in float64 and within its range."""
    params, _ = random_cell(cells.SLSTM, 1, hidden_size=H, dtype="float64")
    params = params._replace(b=params.b.at[:H].add(shift))
    xs = random_xs(3, 1, 9, D, dtype="float64")
    carry, ys = jit_scan_cell(cells.SLSTM, params, xs)
    c, n, h = np.zeros(H), np.zeros(H), np.zeros(H)
    for t, x in enumerate(np.asarray(xs[0])):
        i, f, g, o = np.split(x @ params.w_x + h @ params.w_h + params.b, 4)
        c = variants.sigmoid(f) * c + np.exp(i) * np.tanh(g)
        n = variants.sigmoid(f) * n + np.exp(i)
        h = variants.sigmoid(o) * c / n
        assert_close(ys[0, t], h, "float64")
    assert_close(carry.c[0] * np.exp(carry.m[0]) / c, np.ones(H), "float64")
