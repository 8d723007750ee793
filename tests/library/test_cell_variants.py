"""Every cell of `birnn_jax.cells` beside the three of the top level."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

import birnn_jax.linen
import birnn_jax.nnx
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
    stack,
)
from birnn_jax.cells import MINGRU, MINLSTM, PROJECTED_LSTM, LinearCarry, elman, indrnn, parallel
from tests.library import _oracles
from tests.library import _variant_oracles as variants
from tests.library._cases import (
    LENGTHS,
    PADDING,
    Case,
    D,
    H,
    assert_close,
    assert_equal,
    jit_scan_cell,
    random_cell,
    random_inputs,
    random_like,
    random_xs,
)

P = 4  # of the projection

CASES = {
    "gru_reset_before": Case(cells.GRU_RESET_BEFORE, variants.gru_reset_before_step),
    "peephole_lstm": Case(cells.PEEPHOLE_LSTM, variants.peephole_lstm_step),
    "projected_lstm": Case(
        PROJECTED_LSTM.with_init(projection_size=P), variants.projected_lstm_step
    ),
    "coupled_lstm": Case(cells.COUPLED_LSTM, variants.coupled_lstm_step),
    "relu_elman": Case(elman(jax.nn.relu), variants.relu_elman_step),
    "indrnn": Case(cells.INDRNN, variants.indrnn_step),
    "layer_norm_lstm_ba": Case(cells.LAYER_NORM_LSTM_BA, variants.layer_norm_lstm_ba_step),
    "layer_norm_lstm_tfa": Case(cells.LAYER_NORM_LSTM_TFA, variants.layer_norm_lstm_tfa_step),
    "layer_norm_gru_ba": Case(cells.LAYER_NORM_GRU_BA, variants.layer_norm_gru_ba_step),
    "slstm": Case(cells.SLSTM, variants.slstm_step),
    "para_gru": Case(cells.PARA_GRU, variants.para_gru_step),
    "para_lstm": Case(cells.PARA_LSTM, variants.para_lstm_step),
    "mingru": Case(MINGRU, variants.mingru_step),
    "minlstm": Case(MINLSTM, variants.minlstm_step),
    "parallel_mingru": Case(parallel(MINGRU), variants.mingru_step),
    "parallel_minlstm": Case(parallel(MINLSTM), variants.minlstm_step),
}
LINEAR = [MINGRU, MINLSTM]


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    return request.param


def _as_float64(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def _one_step(cell, dtype):
    params, carry = random_cell(cell, 1, dtype=dtype)
    return params, jax.tree.map(lambda leaf: leaf[0], carry), random_like(jnp.zeros(D), 2, dtype)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_step_matches_the_equations(case, dtype, x64, strict_dtypes):
    args = _one_step(case.cell, dtype)
    assert_close(jax.jit(case.cell.step)(*args), case.oracle(*_as_float64(args)), dtype)


def test_gradients_of_a_step_match_finite_differences(case, x64):
    params, carry, x = _one_step(case.cell, "float64")
    check_grads(jax.jit(case.cell.step), (params, carry, x), order=1, modes=["rev"])


@pytest.mark.parametrize("name", ["layer_norm_lstm_ba", "layer_norm_gru_ba", "minlstm"])
def test_gradients_of_a_step_are_finite_in_padding_and_at_the_initial_carry(name):
    """Where x and h are zero, and a norm or a quotient has nothing to divide by."""
    cell = CASES[name].cell
    params, _ = random_cell(cell, 1)
    carry = cell.init_carry(params)
    run = jax.jit(jax.jacrev(lambda *args: cell.step(*args)[1], argnums=(0, 1, 2)))
    grads = jax.tree.leaves(run(params, carry, jnp.zeros(D)))
    assert all(jnp.isfinite(leaf).all() for leaf in grads)


def test_a_stack_of_it_matches_a_loop_on_a_ragged_batch_with_nan_in_padding(case):
    layers = (Layer(case.cell), Layer(case.cell, merge="sum"))
    key = jax.random.key(0)
    params = jax.eval_shape(lambda: init_stack(layers, key, input_size=D, hidden_size=H))
    params = random_like(params, 3)
    carries = [random_inputs(case.cell).carry] * 2
    xs = jnp.where(PADDING[..., None], jnp.nan, random_xs())
    got = jax.jit(stack, static_argnums=0)(layers, params, xs, LENGTHS, initial_carry=carries)
    plan = [("both", [case.oracle] * 2, layer.merge) for layer in layers]
    want_carries, want_ys = _oracles.stack(plan, params, random_xs(), LENGTHS, carries)
    assert_close(got, (tuple(Bi(*one) for one in want_carries), want_ys))


def test_initial_carry_is_zeros_of_the_sizes_that_the_step_returns(case):
    params, carry, x = _one_step(case.cell, "float32")
    initial = case.cell.init_carry(params)
    assert_equal(initial, jax.tree.map(jnp.zeros_like, carry))
    assert jax.eval_shape(case.cell.step, params, initial, x)[0] == jax.eval_shape(lambda: initial)


@pytest.mark.parametrize("adapter", ["linen", "nnx"])
def test_flax_layers_take_it(case, adapter):
    def in_linen(key, xs):
        return birnn_jax.linen.Bidirectional(case.cell, hidden_size=H).init_with_output(key, xs)[0]

    def in_nnx(key, xs):
        rngs = nnx.Rngs(params=key)
        return birnn_jax.nnx.Bidirectional(case.cell, input_size=D, hidden_size=H, rngs=rngs)(xs)

    def in_functions(key, xs):
        params = init_bidirectional(case.cell, key, input_size=D, hidden_size=H)
        return bidirectional(case.cell, params, xs)

    layer = {"linen": in_linen, "nnx": in_nnx}[adapter]
    args = (jax.random.key(0), random_xs())
    assert jax.eval_shape(layer, *args) == jax.eval_shape(in_functions, *args)


def test_a_cell_is_static_and_equal_to_one_built_of_the_same_functions(case):
    again = Cell(case.cell.init, case.cell.init_carry, copy.copy(case.cell.step))
    assert again == case.cell and hash(again) == hash(case.cell)
    assert sum(row.cell == case.cell for row in CASES.values()) == 1


@pytest.mark.parametrize(
    "cell",
    [ELMAN, LSTM, cells.PEEPHOLE_LSTM, MINGRU, parallel(MINLSTM), LSTM.with_init(w_x="torch")],
)
def test_cells_made_of_named_functions_are_pickled(cell):
    assert pickle.loads(pickle.dumps(cell)) == cell


def test_no_two_variants_are_the_same_function():
    """Each against all others of the same shapes, so that no row tests its neighbour."""
    xs, seen = random_xs(), {}
    for name in ["layer_norm_lstm_ba", "layer_norm_lstm_tfa"]:
        params, carry = random_cell(CASES[name].cell, 1)
        seen[name] = jit_scan_cell(CASES[name].cell, params, xs, initial_carry=carry)[1]
    assert jnp.abs(seen["layer_norm_lstm_ba"] - seen["layer_norm_lstm_tfa"]).max() > 0.01


def test_peepholes_of_zero_give_the_lstm():
    params, carry = random_cell(LSTM, 1)
    with_peepholes = cells.PeepholeLSTMParams(*params, w_c=jnp.zeros(3 * H))
    want = jit_scan_cell(LSTM, params, random_xs(), LENGTHS, initial_carry=carry)
    got = jit_scan_cell(
        cells.PEEPHOLE_LSTM, with_peepholes, random_xs(), LENGTHS, initial_carry=carry
    )
    assert_close(got, want)


def test_gru_reset_before_equals_gru_only_where_the_reset_gate_is_open():
    params, carry = random_cell(cells.GRU_RESET_BEFORE, 1)
    after = cells.GRUParams(*params, b_hn=jnp.zeros(H))

    def both(params, after):
        before = jit_scan_cell(cells.GRU_RESET_BEFORE, params, random_xs(), initial_carry=carry)
        return before[1], jit_scan_cell(GRU, after, random_xs(), initial_carry=carry)[1]

    one, other = both(params, after)
    assert jnp.abs(one - other).max() > 0.01
    open_gate = params.b.at[:H].set(100.0)
    assert_close(*both(params._replace(b=open_gate), after._replace(b=open_gate)))


def test_projection_has_the_sizes_of_torch_and_a_closed_form_at_the_first_step():
    """From zeros the forget gate has no say: h = (sigmoid(o) tanh(sigmoid(i) tanh(g))) w_p."""
    cell = PROJECTED_LSTM.with_init(projection_size=P)
    params, _ = random_cell(cell, 1)
    assert params.w_h.shape == (P, 4 * H) and params.w_p.shape == (H, P)
    x = random_xs()[0, 0]
    i, _, g, o = np.split(np.asarray(x @ params.w_x + params.b, np.float64), 4)
    want = (variants.sigmoid(o) * np.tanh(variants.sigmoid(i) * np.tanh(g))) @ params.w_p
    carry, y = cell.step(params, cell.init_carry(params), x)
    assert_close(y, jnp.asarray(want, jnp.float32))
    assert carry.c.shape == (H,) and carry.h.shape == (P,)


def test_projection_computes_what_torch_computes(x64):
    """Numbers of torch 2.13's nn.LSTM(2, 3, proj_size=2), its five parameters sin(0 1 2 ..) on."""

    def values(first, *shape):
        return jnp.sin(jnp.arange(first, first + np.prod(shape), dtype=float)).reshape(shape)

    params = cells.ProjectedLSTMParams(
        w_x=values(0, 12, 2).T,
        w_h=values(1, 12, 2).T,
        b=values(2, 12) + values(3, 12),
        w_p=values(4, 2, 3).T,
    )
    xs = jnp.cos(jnp.arange(6.0)).reshape(1, 3, 2)
    carry = cells.LSTMCarry(c=jnp.array([[0.1, 0.5, -0.4]]), h=jnp.array([[0.3, -0.2]]))
    carry, ys = jit_scan_cell(PROJECTED_LSTM, params, xs, initial_carry=carry)
    want = [
        [-0.5837991275, 0.5726751404],
        [-0.0330660992, -0.0298280939],
        [-0.0104024312, -0.0596261357],
    ]
    np.testing.assert_allclose(ys[0], want, atol=1e-9)
    np.testing.assert_allclose(carry.c[0], [0.9130748126, -0.0750289073, -0.5352243898], atol=1e-9)


@pytest.mark.parametrize("size", [None, 0, H, H + 1])
def test_projection_size_must_be_below_hidden_size(size):
    with pytest.raises(ValueError, match=r"projection_size must be from 1 to 6"):
        PROJECTED_LSTM.with_init(projection_size=size).init(jax.random.key(0), D, H)


@pytest.mark.parametrize("make", [elman, indrnn])
def test_cells_of_the_same_activation_are_equal_and_the_activation_counts(make):
    assert make(jnp.tanh) == make(jnp.tanh) != make(jax.nn.relu)
    params, carry = random_cell(make(jnp.tanh), 1)
    tanh, relu = (
        jit_scan_cell(make(activation), params, random_xs(), initial_carry=carry)[1]
        for activation in (jnp.tanh, jax.nn.relu)
    )
    assert jnp.abs(tanh - relu).max() > 0.1


def test_minlstm_is_finite_where_both_gates_are_closed():
    params, _ = random_cell(MINLSTM, 1)
    params = params._replace(b=params.b.at[: 2 * H].set(-1000.0))
    carry, x = LinearCarry(random_xs(2, H)), random_xs(3, D)
    run = jax.jit(jax.grad(lambda params: MINLSTM.step(params, carry, x)[1].sum()))
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(run(params)))


def test_layer_norm_keeps_outputs_when_inputs_and_weights_are_rescaled():
    """What layer normalisation is for; no other cell has it."""
    params, carry = random_cell(cells.LAYER_NORM_LSTM_BA, 1)
    scaled = params._replace(w_x=1000 * params.w_x, w_h=1000 * params.w_h)
    params = params._replace(w_x=10 * params.w_x, w_h=10 * params.w_h)
    one, other = (
        jit_scan_cell(cells.LAYER_NORM_LSTM_BA, p, random_xs(), initial_carry=carry)[1]
        for p in (params, scaled)
    )
    np.testing.assert_allclose(one, other, atol=2e-3)
