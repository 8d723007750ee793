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
from birnn_jax._core.quantized import quantize_matrix, quantized_product
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
    "slstm": cells.SLSTM,
    "para_gru": cells.PARA_GRU,
    "para_lstm": cells.PARA_LSTM,
    "layer_norm_lstm_ba": cells.LAYER_NORM_LSTM_BA,
    "layer_norm_lstm_tfa": cells.LAYER_NORM_LSTM_TFA,
    "layer_norm_gru_ba": cells.LAYER_NORM_GRU_BA,
    "mingru": cells.MINGRU,
    "minlstm": cells.MINLSTM,
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
    assert more == ([2, 1, 1] if cpu.is_registered() else [0, 0, 0])
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


@pytest.mark.parametrize("function", [serving.prepare, serving.quantize])
def test_parameters_that_no_cell_has_are_refused(function):
    params = LSTM.init(jax.random.key(0), 2, 3)
    for other in (None, params.w_x, GRU.init(jax.random.key(0), 2, 3)):
        with pytest.raises(ValueError, match="params must be LSTMParams, which the cell's init"):
            function(LSTM, other)
    with pytest.raises(TypeError, match=r"params\.w_x must be floats, .* got int32"):
        function(LSTM, jax.tree.map(lambda leaf: leaf.astype(int), params))
    with pytest.raises(ValueError, match="Arrays of LSTMParams must fit one another"):
        function(LSTM, params._replace(b=params.b[1:]))


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_weights_of_8_bits_that_were_cast_are_refused(backend):
    small = serving.quantize(LSTM, LSTM.init(jax.random.key(0), 2, 3))
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), small)
    with pytest.raises(TypeError, match=r"cannot be cast: use the parameters that were given to"):
        scan_cell(LSTM, half, jnp.zeros([1, 4, 2]), backend=backend)


QUANTIZED = {"lstm": LSTM, "gru": GRU}


def quantize_rows(x):
    """Nearest whole numbers of the largest in each row, in float32, and what they stand for."""
    x = np.float32(x)
    largest = np.abs(x).max(axis=-1, keepdims=True)
    inverse = np.float32(127) / np.where(largest == 0, 1, largest)
    return np.rint(x * inverse).astype(np.int64), np.float64(largest) / 127


def multiply_whole(x, w):
    """The product of `quantize`, in whole numbers."""
    (q, size), (values, scale) = quantize_rows(x), quantize_rows(np.transpose(w))
    return (q @ values.T) * size * scale[:, 0]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def oracle_step(name, params, carry, x):
    """One step in float64, written out; products alone are of whole numbers."""
    sums_x = multiply_whole(x, params.w_x) + np.float64(params.b)
    sums_h, h = multiply_whole(carry["h"], params.w_h), carry["h"]
    if name == "lstm":
        i, f, g, o = np.split(sums_x + sums_h, 4)
        c = sigmoid(f) * carry["c"] + sigmoid(i) * np.tanh(g)
        return {"c": c, "h": sigmoid(o) * np.tanh(c)}
    (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(sums_x, 3), np.split(sums_h, 3)
    z, n = sigmoid(x_z + h_z), np.tanh(x_n + sigmoid(x_r + h_r) * (h_n + np.float64(params.b_hn)))
    return {"h": (1 - z) * n + z * h}


def assert_steps(name, params, xs, lengths, carry, got):
    """Each step from the state that the last one gave: in float32, so that it is rounded alike."""
    got, want, size = np.asarray(got), np.zeros(np.shape(got)), carry.fwd.h.shape[1]
    for row, length in enumerate(lengths):
        for side, (own, start) in enumerate(zip(params, carry, strict=True)):
            state = {key: np.asarray(leaf[row]) for key, leaf in start._asdict().items()}
            part = np.s_[side * size : (side + 1) * size]
            for step in range(length)[:: 1 - 2 * side]:
                state = oracle_step(name, own, state, xs[row, step])
                want[row, step, part] = state["h"]
                state["h"] = got[row, step, part]
    np.testing.assert_allclose(got, want, atol=2e-6)


@pytest.mark.parametrize("name", QUANTIZED)
def test_weights_of_8_bits_compute_with_whole_numbers(name):
    """By the definition and by every instruction set, packed before and not."""
    cell, isas = QUANTIZED[name], cpu.find_isas() if cpu.is_registered() else []
    run = jax.jit(
        lambda *args, backend: bidirectional(
            cell, *args[:3], initial_carry=args[3], backend=backend
        )[1],
        static_argnames="backend",
    )
    for sizes in [(3, 6, 17, 33), (2, 3, 1, 1), (29, 2, 33, 15), (1, 25, 16, 70)]:
        params, xs, lengths, carry = make_inputs(cell, sizes)
        case = (name, params, np.asarray(xs), lengths, carry)
        small = serving.quantize(cell, params)
        assert_steps(*case, run(small, xs, lengths, carry, backend="reference"))
        for way in [*map(cpu.forced_isa, isas), *([cpu.without_tiles()] if isas else [])]:
            with way:
                got = run(small, xs, lengths, carry, backend="cpu_kernel")
                assert_steps(*case, got)
                if sizes[0] == 3:
                    prepared = serving.prepare(cell, small)
                    again = run(prepared, xs, lengths, carry, backend="cpu_kernel")
                    assert_equal(again, got)


@needs_kernels
def test_sums_of_8_bits_do_not_saturate():
    """The largest numbers of one sign, whose sums need all of 32 bits."""
    params = LSTM.init(jax.random.key(0), 65536, 5)
    params = params._replace(w_x=jnp.full_like(params.w_x, 2e-6), w_h=0 * params.w_h)
    params = params._replace(w_x=params.w_x.at[:, 5:10].multiply(-1))
    small, xs = serving.quantize(LSTM, params), jnp.full([1, 1, 65536], 2.0)
    want = np.tanh(0.262144) * sigmoid(0.262144)  # 65,536 times 2e-6 * 2
    for isa in cpu.find_isas():
        with cpu.forced_isa(isa):
            got, _ = scan_cell(LSTM, small, xs, backend="cpu_kernel")
            np.testing.assert_allclose(got.c, np.full([1, 5], want), rtol=1e-5)


def test_a_channel_of_zeros_and_rows_of_zeros_stay_zero():
    w = jnp.array([[0.0, 1.0], [0.0, -2.0]])
    small = quantize_matrix(w)
    assert small.values.tolist() == [[0, 64], [0, -127]] and small.scale[0] == 0
    assert_equal(quantized_product(jnp.zeros([1, 2]), small), jnp.zeros([1, 2]))
    np.testing.assert_allclose(quantized_product(w, small), w @ w, atol=0.01)
    tiny = jnp.array([[0.0, 1e-36]])  # whose inverse is beyond float32
    assert_equal(quantized_product(tiny, small), jnp.zeros([1, 2]))


def test_stacks_and_models_take_weights_of_8_bits():
    """Close to float32, with noise, segments and layers around the recurrence; mapped, too."""
    layers = (Layer(cells.zoneout(LSTM, h=0.2), norm="post"), Layer(GRU, learned_carry=True))
    params = init_tagger(layers, jax.random.key(0), input_size=3, hidden_size=9, num_classes=2)
    small = serving.quantize(layers, params)
    assert_equal(serving.quantize(layers, serving.prepare(layers, small)), small)
    xs = random_xs(0, 3, 6, 3)
    segments = Segments(jnp.array([[1, 1, 2, 2, 3, 3], [1, 2, 2, 2, 2, 2], [0, 0, 0, 0, 0, 0]]))
    key = jax.random.key(3)
    want = tagger(layers, params, xs, segments, key=key)
    got = tagger(layers, serving.prepare(layers, small), xs, segments, key=key)
    assert 1e-6 < np.abs(got - want).max() < 0.03
    rows = jax.vmap(lambda x: tagger(layers, small, x[None])[0])(xs)
    np.testing.assert_allclose(rows, tagger(layers, small, xs), atol=1e-5)


def test_weights_of_8_bits_are_not_differentiated():
    params, xs, lengths, carry = make_inputs(GRU, (3, 5, 2, 7))
    small = serving.quantize(GRU, params)

    def loss(xs, carry):
        return bidirectional(GRU, small, xs, lengths, initial_carry=carry)[1].sum()

    for argument in (0, 1):
        with pytest.raises(TypeError, match=r"given to serving\.quantize"):
            jax.grad(loss, argument)(xs, carry)


def test_other_cells_are_not_quantized():
    params = cells.ELMAN.init(jax.random.key(0), 2, 3)
    with pytest.raises(ValueError, match="weights of LSTM and GRU, got ELMAN"):
        serving.quantize(cells.ELMAN, params)
    heads = GRU.with_init(heads=2)
    with pytest.raises(ValueError, match=r"without heads, got w_h of shape \(2, 12\)"):
        serving.quantize(heads, heads.init(jax.random.key(0), 2, 4))
    small = serving.quantize(LSTM, LSTM.init(jax.random.key(0), 4, 3))
    with pytest.raises(ValueError, match="xs has 5 features but params were made for 4"):
        scan_cell(LSTM, small, jnp.zeros([1, 2, 5]))
