"""`Cell.with_init` and its options: spectra, statistics, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import (
    ELMAN,
    GRU,
    LSTM,
    Bi,
    Cell,
    Layer,
    bidirectional,
    cells,
    init_bidirectional,
    init_stack,
)
from tests.library._cases import H

# Large enough for statistics. `rows` of w_x, `columns` of every gate block.
ROWS, COLUMNS = 30, 50
MANY = 1000  # of which an orthogonal matrix would take minutes

LSTM_OPTIONS = ["w_x", "w_h", "b", "forget_bias", "time_span"]
HEADS = [*LSTM_OPTIONS, "heads"]
GRU_OPTIONS = ["w_x", "w_h", "b", "time_span"]
OPTIONS = {
    "elman": (ELMAN, ["w_x", "w_h", "b"]),
    "relu_elman": (cells.elman(jax.nn.relu), ["w_x", "w_h", "b"]),
    "gru": (GRU, [*GRU_OPTIONS, "heads"]),
    "gru_reset_before": (cells.GRU_RESET_BEFORE, GRU_OPTIONS),
    "lstm": (LSTM, HEADS),
    "slstm": (cells.SLSTM, HEADS),
    "coupled_lstm": (cells.COUPLED_LSTM, LSTM_OPTIONS),
    "peephole_lstm": (cells.PEEPHOLE_LSTM, HEADS),
    "projected_lstm": (
        cells.PROJECTED_LSTM.with_init(projection_size=20),
        [*LSTM_OPTIONS, "w_p", "projection_size"],
    ),
    "layer_norm_lstm_ba": (cells.LAYER_NORM_LSTM_BA, HEADS),
    "layer_norm_lstm_tfa": (cells.LAYER_NORM_LSTM_TFA, HEADS),
    "layer_norm_gru_ba": (cells.LAYER_NORM_GRU_BA, GRU_OPTIONS),
    "indrnn": (cells.INDRNN, ["w_x", "time_span"]),
    "para_gru": (cells.PARA_GRU, ["w_x", "b", "time_span"]),
    "para_lstm": (cells.PARA_LSTM, ["w_x", "b", "forget_bias", "time_span"]),
    "mingru": (cells.MINGRU, ["w_x"]),
    "minlstm": (cells.MINLSTM, ["w_x"]),
    "zoneout": (cells.zoneout(LSTM, h=0.1), HEADS),
}
OTHER_VALUE = {
    "w_x": "he_normal",
    "w_h": "identity",
    "w_p": "torch",
    "b": "torch",
    "forget_bias": -1.0,
    "time_span": 100,
    "projection_size": 10,
    "heads": 3,
}
EVERY_OPTION = [
    pytest.param(cell, option, id=f"{name}-{option}")
    for name, (cell, options) in OPTIONS.items()
    for option in options
]


def _blocks(w):
    return np.split(np.asarray(w), w.shape[1] // COLUMNS, axis=1)


def _init(cell, **options):
    return cell.with_init(**options).init(jax.random.key(0), ROWS, COLUMNS)


@pytest.mark.parametrize(("cell", "option"), EVERY_OPTION)
def test_every_option_changes_what_init_makes(cell, option):
    shapes_or_values = [
        [leaf.tolist() for leaf in jax.tree.leaves(one.init(jax.random.key(0), 15, 21))]
        for one in (cell, cell.with_init(**{option: OTHER_VALUE[option]}))
    ]
    assert shapes_or_values[0] != shapes_or_values[1]


@pytest.mark.parametrize(("cell", "options"), OPTIONS.values(), ids=OPTIONS.keys())
def test_an_unknown_option_is_refused_with_those_there_are(cell, options):
    with pytest.raises(ValueError, match="Unknown option 'forget_bais' for the init of") as error:
        cell.with_init(forget_bais=1.0)
    assert sorted(str(error.value).split("Available: ")[1].strip(".").split(", ")) == sorted(
        options
    )


def test_a_cell_without_options_says_so():
    plain = Cell(lambda key, input_size, hidden_size: {}, LSTM.init_carry, LSTM.step)
    with pytest.raises(ValueError, match="Available: none"):
        plain.with_init(w_x="torch")


def test_cells_with_the_same_options_are_equal_in_any_order_and_compile_once():
    one = LSTM.with_init(forget_bias=2.0).with_init(w_x="torch")
    other = LSTM.with_init(w_x="torch", forget_bias=2.0)
    assert one == other and hash(one) == hash(other)
    assert one != LSTM and one != LSTM.with_init(w_x="torch", forget_bias=3.0)
    traces = []

    @jax.jit(static_argnums=0)
    def run(cell, x):
        traces.append(cell)
        return x

    run(one, 1.0), run(other, 1.0)
    assert len(traces) == 1


def test_a_later_option_replaces_an_earlier_one():
    assert LSTM.with_init(forget_bias=2.0).with_init(forget_bias=3.0) == LSTM.with_init(
        forget_bias=3.0
    )


def test_an_option_that_cannot_be_hashed_is_refused():
    with pytest.raises(TypeError, match="forget_bias must be hashable"):
        LSTM.with_init(forget_bias=[1.0])


def test_options_reach_both_directions_every_layer_and_compute_the_same_steps():
    cell = LSTM.with_init(forget_bias=2.0)
    layers = (Layer(cell), Layer(Bi(cell, GRU)), Layer(cell, direction="bwd"))
    params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=H)
    for one in (*params[0].rnn, params[1].rnn.fwd, params[2].rnn):
        np.testing.assert_array_equal(one.b[H : 2 * H], 2.0)
    xs = jax.random.normal(jax.random.key(1), [2, 4, 3])
    pair = init_bidirectional(cell, jax.random.key(0), input_size=3, hidden_size=H)
    np.testing.assert_array_equal(
        bidirectional(cell, pair, xs)[1], bidirectional(LSTM, pair, xs)[1]
    )


@pytest.mark.parametrize(
    "cell", [ELMAN, GRU, LSTM, cells.COUPLED_LSTM], ids=["elman", "gru", "lstm", "coupled_lstm"]
)
def test_orthogonal_gates_have_singular_values_of_one(cell):
    params = _init(cell, w_x="orthogonal", w_h="orthogonal")
    for block in _blocks(params.w_x) + _blocks(params.w_h):
        np.testing.assert_allclose(np.linalg.svd(block)[1], 1, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "std"),
    [
        ("glorot_uniform", (2 / (ROWS + COLUMNS)) ** 0.5),
        ("glorot_normal", (2 / (ROWS + COLUMNS)) ** 0.5),
        ("he_uniform", (2 / ROWS) ** 0.5),
        ("he_normal", (2 / ROWS) ** 0.5),
        ("torch", (1 / (3 * COLUMNS)) ** 0.5),
    ],
)
def test_every_gate_has_the_scale_of_a_matrix_by_itself(name, std):
    """1,500 values a block: the standard error of the standard deviation is 2 percent."""
    for block in _blocks(_init(LSTM, w_x=name).w_x):
        assert abs(block.std() / std - 1) < 0.08
        assert abs(block.mean()) < 4 * std / ROWS
        if name.endswith("uniform") or name == "torch":
            assert np.abs(block).max() <= std * 3**0.5 * (1 + 1e-6)


def test_identity_starts_a_relu_cell_as_a_sum_of_its_inputs():
    cell = cells.elman(jax.nn.relu).with_init(w_h="identity")
    np.testing.assert_array_equal(cell.init(jax.random.key(0), 3, H).w_h, np.eye(H))


def test_a_function_is_an_initialiser_of_one_gate():
    shapes = []

    def threes(key, shape):
        shapes.append(shape)
        return jnp.full(shape, 3.0)

    params = _init(GRU, w_h=threes)
    np.testing.assert_array_equal(params.w_h, 3)
    assert shapes == [(COLUMNS, COLUMNS)] * 3


@pytest.mark.parametrize(("options", "what"), [({"w_x": "xavier"}, "initializer"), ({"b": 1}, "b")])
def test_an_unknown_name_is_refused(options, what):
    with pytest.raises(ValueError, match=f"{what} must be one of "):
        _init(LSTM, **options)


def test_torch_covers_every_parameter_within_its_bound():
    everything = {"w_x": "torch", "w_h": "torch", "b": "torch"}
    projected = cells.PROJECTED_LSTM.with_init(projection_size=20, w_p="torch")
    bound = COLUMNS**-0.5
    for cell in (ELMAN, GRU, LSTM, projected):
        params = _init(cell, **everything)._asdict()
        b = params.pop("b")
        for w in params.values():
            assert bound * 0.9 < np.abs(w).max() <= bound
        assert bound < np.abs(b).max() <= 2 * bound  # the sum of torch's two biases


def test_torch_gives_a_gru_one_bias_for_each_side_of_the_reset_gate():
    params = GRU.with_init(b="torch", w_h="identity").init(jax.random.key(0), 2, MANY)
    bound = MANY**-0.5
    r, z, n = np.split(np.asarray(params.b) / bound, 3)
    for two in (r, z):
        assert abs(two.std() - (2 / 3) ** 0.5) < 0.06
    for one in (n, np.asarray(params.b_hn) / bound):
        assert abs(one.std() - (1 / 3) ** 0.5) < 0.06 and np.abs(one).max() <= 1
    assert abs(np.corrcoef(r, z)[0, 1]) < 0.1 and abs(np.corrcoef(n, r)[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("cell", "gates", "kept"),
    [(LSTM, "ifgo", "f"), (cells.COUPLED_LSTM, "fgo", "f"), (GRU, "rzn", "z")],
    ids=["lstm", "coupled_lstm", "gru"],
)
def test_time_span_spreads_memories_over_the_span(cell, gates, kept):
    """exp(bias) is uniform from 1 to T - 1, so that 1 / (1 - gate) covers 2 to T steps."""
    span = 20
    params = cell.with_init(time_span=span, w_h="identity").init(jax.random.key(0), 2, MANY)
    biases = dict(zip(gates, np.split(np.asarray(params.b), len(gates)), strict=True))
    memory = 1 + np.exp(biases.pop(kept))
    assert 2 <= memory.min() < 2.1 and span - 0.1 < memory.max() <= span
    assert abs(memory.mean() - (2 + span) / 2) < 0.6
    if "i" in biases:
        np.testing.assert_allclose(1 + np.exp(-biases.pop("i")), memory, rtol=1e-5)
    assert not any(b.any() for b in biases.values())


def test_time_span_bounds_what_an_indrnn_grows_by():
    w_h = cells.INDRNN.with_init(time_span=10).init(jax.random.key(0), 2, 1000).w_h
    assert 0 <= w_h.min() < 0.01 and 2 - 0.02 < w_h.max() ** 10 <= 2


@pytest.mark.parametrize(
    ("cell", "span"), [(LSTM, 2), (GRU, 0), (cells.INDRNN, 0)], ids=["lstm", "gru", "indrnn"]
)
def test_a_time_span_without_a_meaning_is_refused(cell, span):
    with pytest.raises(ValueError, match="time_span must be"):
        _init(cell, time_span=span)


@pytest.mark.parametrize(
    "options",
    [
        {"b": "torch", "forget_bias": 1.0},
        {"b": "torch", "time_span": 9},
        {"forget_bias": 1.0, "time_span": 9},
    ],
    ids=str,
)
def test_options_for_the_same_bias_are_refused_together(options):
    with pytest.raises(ValueError, match="b, forget_bias and time_span all set the bias"):
        _init(LSTM, **options)


def test_forget_bias_is_one_unless_said_and_zero_is_zero():
    np.testing.assert_array_equal(_init(LSTM).b.reshape(4, -1)[1], 1)
    assert not _init(LSTM, forget_bias=0.0).b.any()
