"""Prepared parameters give what the parameters give that they were made from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import (
    GRU,
    LSTM,
    Bi,
    Layer,
    Segments,
    bidirectional,
    cells,
    init_stack,
    init_tagger,
    scan_cell,
    serving,
    streaming,
    tagger,
)
from birnn_jax.kernels.cpu import library as cpu
from birnn_jax.kernels.cpu.cells import _CELLS
from tests.library._cases import assert_equal, random_cell, random_xs

needs_kernels = pytest.mark.skipif(not cpu.is_registered(), reason=cpu.load().note)
NATIVE = {native.name: step for step, native in _CELLS.items()}
CELLS = {
    "elman": cells.ELMAN,
    "relu_elman": cells.elman(jax.nn.relu),
    "indrnn": cells.INDRNN,
    "gru": GRU,
    "gru_reset_before": cells.GRU_RESET_BEFORE,
    "lstm": LSTM,
    "peephole_lstm": cells.PEEPHOLE_LSTM,
    "coupled_lstm": cells.COUPLED_LSTM,
    "projected_lstm": cells.PROJECTED_LSTM.with_init(projection_size=3),
    "layer_norm_lstm_ba": cells.LAYER_NORM_LSTM_BA,
    "layer_norm_lstm_tfa": cells.LAYER_NORM_LSTM_TFA,
    "layer_norm_gru_ba": cells.LAYER_NORM_GRU_BA,
}
# B, T, D, H: around the widths of vectors; few rows, of which several steps are multiplied at once,
# and many; few reads of each weight, which are then not packed by a plain run.
SIZES = [(3, 40, 17, 33), (1, 2, 1, 5), (30, 3, 33, 15), (2, 30, 16, 16)]


def make_inputs(cell, sizes):
    batch_size, num_steps, input_size, hidden_size = sizes
    options = {"input_size": input_size, "hidden_size": hidden_size, "batch_size": batch_size}
    params, carry = zip(*(random_cell(cell, seed, **options) for seed in (10, 20)), strict=True)
    lengths = np.random.default_rng(0).permutation(np.arange(batch_size) % (num_steps + 1))
    return Bi(*params), random_xs(0, batch_size, num_steps, input_size), lengths, Bi(*carry)


@needs_kernels
@pytest.mark.parametrize("name", CELLS)
def test_prepared_weights_give_the_same_bits(name):
    cell = CELLS[name]
    run = jax.jit(lambda *args: bidirectional(cell, *args[:3], initial_carry=args[3]))
    for sizes in SIZES:
        params, xs, lengths, carry = make_inputs(cell, sizes)
        prepared = serving.prepare(cell, params)
        assert_equal(run(prepared, xs, lengths, carry), run(params, xs, lengths, carry))


@needs_kernels
def test_every_native_cell_is_among_them():
    assert {*CELLS} == {*NATIVE}


@needs_kernels
def test_kernels_read_the_packed_weights_and_those_of_their_layer_only():
    params, xs, lengths, _ = make_inputs(LSTM, SIZES[0])
    want = bidirectional(LSTM, params, xs, lengths)
    prepared = serving.prepare(LSTM, params)
    emptied = jax.tree.map(lambda w: w if w.ndim == 1 else 0 * w, prepared)  # of the plain ones
    assert_equal(bidirectional(LSTM, emptied, xs, lengths), want)

    def exchange(direction):
        others = serving.prepare(LSTM, make_inputs(LSTM, (1, 1, 17, 34))[0]).fwd
        return direction._replace(packed=others.packed)

    exchanged = Bi(*map(exchange, prepared))
    assert_equal(bidirectional(LSTM, exchanged, xs, lengths), want)


@needs_kernels
@pytest.mark.parametrize("isa", cpu.find_isas() if cpu.is_registered() else [])
def test_weights_of_another_instruction_set_are_packed_again(isa):
    params, xs, lengths, _ = make_inputs(LSTM, SIZES[0])
    prepared = serving.prepare(LSTM, params)
    with cpu.forced_isa(isa):
        want = bidirectional(LSTM, params, xs, lengths)
        assert_equal(bidirectional(LSTM, prepared, xs, lengths), want)
        own = serving.prepare(LSTM, params)
        assert_equal(bidirectional(LSTM, own, xs, lengths), want)


@pytest.mark.parametrize("has_kernels", [True, False])
def test_stacks_models_and_streams_take_prepared_parameters(has_kernels, monkeypatch):
    if not has_kernels:
        monkeypatch.setattr(cpu, "is_registered", lambda: False)
    layers = (
        Layer(LSTM, norm="pre", projection=3, connection="highway"),
        Layer(cells.zoneout(GRU, h=0.2), direction="bwd", learned_carry=True),
        Layer(cells.MINGRU, direction="fwd"),
    )
    params = init_tagger(layers, jax.random.key(0), input_size=3, hidden_size=4, num_classes=2)
    prepared = serving.prepare(layers, params)
    packed = [jax.tree.leaves(own.rnn) for own in prepared.rnn]
    plain = [jax.tree.leaves(own.rnn) for own in params.rnn]
    more = [len(a) - len(b) for a, b in zip(packed, plain, strict=True)]
    assert more == ([2, 1, 0] if cpu.is_registered() else [0, 0, 0])
    xs, lengths = random_xs(0, 3, 6, 3), jnp.array([6, 0, 4])
    assert_equal(tagger(layers, prepared, xs, lengths), tagger(layers, params, xs, lengths))
    again = serving.prepare(layers, prepared)
    assert_equal(again, prepared)

    forward = (Layer(LSTM, direction="fwd"),)
    params = init_stack(forward, jax.random.key(1), input_size=3, hidden_size=4)
    prepared = serving.prepare(forward, params)
    carry = streaming.initial_carry(forward, prepared, 3)
    got = streaming.step(forward, prepared, carry, xs[:, 0])
    assert_equal(got, streaming.step(forward, params, carry, xs[:, 0]))


def test_inside_transformations():
    """Made inside of `jit`, mapped over rows and over models, with gaps and segments."""
    params, xs, _, _ = make_inputs(LSTM, (3, 5, 2, 7))
    segments = Segments(jnp.array([[1, 1, 2, 0, 3], [1, 2, 2, 2, 2], [0, 0, 0, 0, 0]]))
    inside = jax.jit(lambda p: scan_cell(LSTM, serving.prepare(LSTM, p), xs, segments))
    assert_equal(
        inside(params.fwd), jax.jit(scan_cell, static_argnums=0)(LSTM, params.fwd, xs, segments)
    )

    prepared = serving.prepare(LSTM, params)
    run = lambda params, xs: bidirectional(LSTM, params, xs)[1]  # noqa: E731
    rows = jax.vmap(run, (None, 0))(prepared, xs[:, None])[:, 0]
    assert_equal(rows, run(params, xs))
    models = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), params)
    got = jax.vmap(lambda params: run(serving.prepare(LSTM, params), xs))(models)
    np.testing.assert_allclose(got[0], run(params, xs), atol=1e-5)


def test_prepared_parameters_are_not_differentiated_but_inputs_are():
    params, xs, lengths, _ = make_inputs(LSTM, (3, 5, 2, 7))
    prepared = serving.prepare(LSTM, params)

    def loss(params, xs):
        return jnp.sin(bidirectional(LSTM, params, xs, lengths)[1]).sum()

    assert_equal(jax.grad(loss, 1)(prepared, xs), jax.grad(loss, 1)(params, xs))
    with pytest.raises(TypeError, match="Differentiate the parameters that were given to serving"):
        jax.grad(loss)(prepared, xs)


def test_parameters_of_something_else_are_refused():
    params = init_stack((Layer(LSTM),), jax.random.key(0), input_size=3, hidden_size=4)
    with pytest.raises(ValueError, match="as many, got 2 and 1"):
        serving.prepare((Layer(LSTM),) * 2, params)
    with pytest.raises(ValueError, match="must be those of a stack, of a model, or of one cell"):
        serving.prepare((Layer(LSTM),), params[0].rnn)
    with pytest.raises(ValueError, match="params must be GRUParams"):
        serving.prepare(GRU, params[0].rnn)
    with pytest.raises(ValueError, match="Give it in a tuple"):
        serving.prepare((Layer(LSTM),), params[0])
