"""States, gates and gradients of a run, against loops and finite differences in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM, Bi, Cell, Layer, Segments, bidirectional, init_stack, stack
from birnn_jax import cells as c
from birnn_jax.cells import ElmanCarry
from birnn_jax.inspection import gradient_norms, jacobian_norms, trace
from birnn_jax.stacks import LayerParams
from tests.library import _oracles
from tests.library import _variant_oracles as variants
from tests.library._cases import (
    CLOCKED,
    LENGTHS,
    PADDING,
    B,
    D,
    H,
    T,
    assert_close,
    random_inputs,
    random_like,
    random_xs,
)


def _lstm(params, before, g):
    new_c = g.f * before.c + g.i * g.g
    return {"c": new_c, "h": g.o * np.tanh(new_c)}


def _coupled(params, before, g):
    np.testing.assert_allclose(g.i, 1 - g.f, rtol=1e-6)
    return _lstm(params, before, g)


def _projected(params, before, g):
    states = _lstm(params, before, g)
    return {"c": states["c"], "h": states["h"] @ params.w_p}


def _norm(a, epsilon):
    return (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + epsilon)


def _norm_ba(params, before, g):
    new_c = g.f * before.c + g.i * g.g
    return {
        "c": new_c,
        "h": g.o * np.tanh(_norm(new_c, 1e-5) * params.scale_c + params.shift_c),
    }


def _norm_tfa(params, before, g):
    new_c = _norm(g.f * before.c + g.i * g.g, 1e-3) * params.scale_c + params.shift_c
    return {"c": new_c, "h": g.o * np.tanh(new_c)}


def _gru(params, before, g):
    return {"h": (1 - g.z) * g.n + g.z * before.h}


def _elman(params, before, g):
    return {"h": g.h}


def _slstm(params, before, g):
    new = {"c": g.f * before.c + g.i * g.g, "n": g.f * before.n + g.i, "m": g.m}
    return new | {"h": g.o * new["c"] / new["n"]}


def _mingru(params, before, g):
    return {"h": (1 - g.z) * before.h + g.z * g.n}


def _minlstm(params, before, g):
    np.testing.assert_allclose(g.i + g.f, 1, rtol=1e-6)
    return {"h": g.f * before.h + g.i * g.n}


# A cell, its step in NumPy, and how its new states follow from its gates.
CASES = {
    "elman": (ELMAN, _oracles.elman_step, _elman),
    "indrnn": (c.INDRNN, variants.indrnn_step, _elman),
    "gru": (GRU, _oracles.gru_step, _gru),
    "gru_reset_before": (c.GRU_RESET_BEFORE, variants.gru_reset_before_step, _gru),
    "layer_norm_gru_ba": (c.LAYER_NORM_GRU_BA, variants.layer_norm_gru_ba_step, _gru),
    "lstm": (LSTM, _oracles.lstm_step, _lstm),
    "peephole_lstm": (c.PEEPHOLE_LSTM, variants.peephole_lstm_step, _lstm),
    "coupled_lstm": (c.COUPLED_LSTM, variants.coupled_lstm_step, _coupled),
    "projected_lstm": (
        c.PROJECTED_LSTM.with_init(projection_size=4),
        variants.projected_lstm_step,
        _projected,
    ),
    "layer_norm_lstm_ba": (c.LAYER_NORM_LSTM_BA, variants.layer_norm_lstm_ba_step, _norm_ba),
    "layer_norm_lstm_tfa": (c.LAYER_NORM_LSTM_TFA, variants.layer_norm_lstm_tfa_step, _norm_tfa),
    "para_gru": (c.PARA_GRU, variants.para_gru_step, _gru),
    "para_lstm": (c.PARA_LSTM, variants.para_lstm_step, _coupled),
    "slstm": (c.SLSTM, variants.slstm_step, _slstm),
    "mingru": (c.MINGRU, variants.mingru_step, _mingru),
    "minlstm": (c.MINLSTM, variants.minlstm_step, _minlstm),
    "parallel_minlstm": (c.parallel(c.MINLSTM), variants.minlstm_step, _minlstm),
}
run_trace = jax.jit(trace, static_argnums=0)


def _carries_of_a_loop(step, params, xs, lengths, carry, reverse):
    """For every row the carries before and after each valid step: `(b, t, before, after, y)`."""
    params, xs, carry = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (params, xs, carry))
    for b, length in enumerate(lengths):
        before = jax.tree.map(lambda leaf, b=b: leaf[b], carry)
        for t in reversed(range(length)) if reverse else range(length):
            after, y = step(params, before, xs[b, t])
            yield b, t, before, after, y
            before = after


def _at(tree, *index):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], tree)


@pytest.mark.parametrize(("cell", "oracle", "update"), CASES.values(), ids=CASES.keys())
def test_states_equal_those_of_a_loop_and_follow_from_the_gates(cell, oracle, update):
    params, xs, lengths, carry = random_inputs(cell)
    dirty = jnp.where(PADDING[..., None], jnp.nan, xs)
    (both,) = run_trace(
        (Layer(cell),), (LayerParams(params),), dirty, lengths, initial_carry=(carry,)
    )
    for name in ("fwd", "bwd"):
        one, weights, start = (getattr(pair, name) for pair in (both, params, carry))
        loop = _carries_of_a_loop(oracle, weights, xs, lengths, start, name == "bwd")
        for b, t, before, after, y in loop:
            assert_close(np.asarray(one.ys)[b, t], np.float32(y))
            assert_close(_at(one.carries, b, t), jax.tree.map(np.float32, after))
            follows = update(weights, before, _at(one.gates, b, t))
            assert_close(
                follows, {k: np.asarray(v, np.float32) for k, v in after._asdict().items()}
            )
        for leaf in jax.tree.leaves(one):
            assert leaf.shape[:2] == (B, T) and not np.asarray(leaf)[PADDING].any()


@pytest.mark.parametrize("cell", [GRU, c.GRU_RESET_BEFORE], ids=["after", "before"])
def test_reset_gate_is_the_one_of_its_equation(cell):
    params, xs, _, carry = random_inputs(cell)
    (both,) = run_trace((Layer(cell),), (LayerParams(params),), xs, initial_carry=(carry,))
    before = jnp.concatenate([carry.fwd.h[:, None], both.fwd.carries.h[:, :-1]], axis=1)
    one = params.fwd
    a = xs @ one.w_x[:, :H] + before @ one.w_h[:, :H] + one.b[None, None, :H]
    assert_close(both.fwd.gates.r, jax.nn.sigmoid(a))


def test_layers_merges_and_directions_are_those_of_the_stack():
    layers = (Layer(LSTM, merge="sum"), Layer(GRU, direction="bwd"), Layer(Bi(ELMAN, GRU)))
    params = random_like(
        init_stack(layers, jax.random.key(0), input_size=D, hidden_size=[H, 4, Bi(3, 6)]), 1
    )
    traces = run_trace(layers, params, random_xs(), LENGTHS)
    carries, ys = stack(layers, params, random_xs(), LENGTHS)
    assert_close(jnp.concatenate([one.ys for one in traces[2]], axis=-1), ys)
    first, last = np.zeros(2, int), LENGTHS[:2] - 1
    rows = np.arange(2)
    at = [(traces[0].fwd, carries[0].fwd, last), (traces[0].bwd, carries[0].bwd, first)]
    for one, final, steps in [*at, (traces[1], carries[1], first)]:
        assert_close(_at(one.carries, rows, steps), _at(final, rows))
    assert traces[2].fwd.gates._fields == ("h",) and traces[2].bwd.gates._fields == ("r", "z", "n")


def test_segments_begin_anew():
    params, xs, _, _ = random_inputs(LSTM)
    lengths = Segments(np.array([[4, 4, 9, 9, 9], [0, 3, 0, 3, 1], [2, 7, 2, 0, 0]]))
    (both,) = run_trace((Layer(LSTM),), (LayerParams(params),), xs, lengths)
    _, want = bidirectional(LSTM, params, xs, lengths)
    assert_close(jnp.concatenate([both.fwd.ys, both.bwd.ys], axis=-1), want)


def test_gates_of_a_noisy_cell_are_those_it_has_in_evaluation():
    """The output gate sees the cell state before zoneout mixes it with the old one."""
    cell = c.recurrent_dropout(c.zoneout(c.PEEPHOLE_LSTM, h=0.2, c=0.4), 0.3)
    params, xs, lengths, carry = random_inputs(cell)
    (both,) = run_trace((Layer(cell),), (LayerParams(params),), xs, lengths, initial_carry=(carry,))
    gates, before = _at(both.fwd.gates, 0, 0), _at(carry.fwd, 0)
    new_c = gates.f * before.c + gates.i * gates.g
    got = _at(both.fwd.carries, 0, 0)
    assert_close(got.h, 0.2 * before.h + 0.8 * gates.o * np.tanh(new_c))
    assert_close(got.c, 0.4 * before.c + 0.6 * new_c)


def test_a_cell_without_names_has_carries_and_no_gates():
    params, xs, lengths, carry = random_inputs(CLOCKED)
    (both,) = run_trace(
        (Layer(CLOCKED),), (LayerParams(params),), xs, lengths, initial_carry=(carry,)
    )
    assert both.bwd.gates is None
    hours = carry.bwd["clock"][1] + jnp.array([2.0, 1.0])
    assert_close(both.bwd.carries["clock"][1, :2], hours)
    assert both.fwd.ys.shape == (B, T, H + 4)


def test_a_carry_in_bfloat16_is_widened_as_in_a_run():
    params, xs, lengths, carry = random_inputs(LSTM)
    low = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), carry)
    (both,) = run_trace((Layer(LSTM),), (LayerParams(params),), xs, lengths, initial_carry=(low,))
    assert both.fwd.carries.c.dtype == both.fwd.gates.f.dtype == jnp.float32


# Gradients by the state after a step.

SIZE = 3  # of each hidden state
STACK = (Layer(LSTM), Layer(GRU, direction="bwd"))
STEPS = {LSTM: _oracles.lstm_step, GRU: _oracles.gru_step}
SITES = [(0, "fwd", "c"), (0, "fwd", "h"), (0, "bwd", "c"), (0, "bwd", "h"), (1, None, "h")]
every_site = pytest.mark.parametrize(("index", "side", "field"), SITES)


@pytest.fixture
def stacked(x64):
    """Parameters, inputs and initial carries of `STACK`, in float64."""
    params = init_stack(STACK, jax.random.key(0), input_size=D, hidden_size=SIZE)
    carries, _ = jax.eval_shape(lambda: stack(STACK, params, random_xs()))
    params, carries = random_like(params, 1, "float64"), random_like(carries, 2, "float64")
    return params, random_xs(0, B, T, D, dtype="float64"), carries


def _pushed_loop(args, index, side, field, t, push):
    """`STACK` in NumPy, with `push` added to one field of one state after step t."""
    params, xs, carries = args
    finals, number = [], np.broadcast_to(np.arange(T)[None, :, None], (B, T, 1))
    for place, layer in enumerate(STACK):
        sides = ("fwd", "bwd") if layer.direction == "both" else (None,)
        outputs = []
        for one in sides:
            hit = (place, one) == (index, side)

            def step(params, carry, x, hit=hit, step=STEPS[layer.cell]):
                new, _ = step(params, carry, x[..., :-1])
                if hit:
                    pushed = getattr(new, field) + push * (x[..., -1:] == t)
                    new = new._replace(**{field: pushed})
                return new, new.h

            weights, carry = (
                tree[place] if one is None else getattr(tree[place], one)
                for tree in ([made.rnn for made in params], carries)
            )
            inputs = np.concatenate([xs, number], axis=-1)
            reverse = (one or layer.direction) == "bwd"
            outputs.append(_oracles.scan(step, weights, inputs, LENGTHS, carry, reverse=reverse))
        finals.append([final for final, _ in outputs])
        xs = np.concatenate([ys for _, ys in outputs], axis=-1)
    return finals, xs


def _difference(args, site, of):
    """Central differences of `of(finals, ys)`, `[B, ...]`, by one state: `[B, T, SIZE, ...]`."""
    eps, found = 1e-6, []
    for t in range(T):
        for unit in np.eye(SIZE):
            up, down = (of(*_pushed_loop(args, *site, t, sign * eps * unit)) for sign in (1, -1))
            found.append((up - down) / (2 * eps))
    return np.stack(found, axis=1).reshape(B, T, SIZE, *found[0].shape[1:])


def _site(norms, index, side, field):
    return np.asarray(getattr(norms[index] if side is None else getattr(norms[index], side), field))


@every_site
def test_gradient_norms_equal_finite_differences(stacked, index, side, field):
    weights = np.sin(1 + np.arange(B * T * SIZE)).reshape(B, T, SIZE)

    def loss_of_loop(finals, ys):
        return (
            (weights * ys).sum((1, 2)) + 2 * finals[0][0].c.sum(1) + np.sin(finals[1][0].h).sum(1)
        )

    def loss_fn(carries, ys):
        return (weights * ys).sum() + 2 * carries[0].fwd.c.sum() + jnp.sin(carries[1].h).sum()

    params, xs, carries = stacked
    dirty = jnp.where(PADDING[..., None], jnp.nan, xs)
    run = jax.jit(gradient_norms, static_argnums=0, static_argnames="loss_fn")
    norms = run(STACK, params, dirty, LENGTHS, loss_fn=loss_fn, initial_carry=carries)
    got = _site(norms, index, side, field)
    want = np.linalg.norm(_difference(stacked, (index, side, field), loss_of_loop), axis=-1)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8)
    assert got.any() and not got[PADDING].any()


@every_site
def test_jacobian_norms_equal_finite_differences(stacked, index, side, field):
    params, xs, carries = stacked
    dirty = jnp.where(PADDING[..., None], jnp.nan, xs)
    run = jax.jit(jacobian_norms, static_argnums=0)
    norms = run(STACK, params, dirty, LENGTHS, initial_carry=carries)
    got = _site(norms, index, side, field)
    place = 1 if side == "bwd" else 0
    jacobians = _difference(stacked, (index, side, field), lambda finals, _: finals[index][place].h)
    want = np.linalg.svd(jacobians, compute_uv=False).max(-1)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("cell", [c.MINGRU, c.parallel(c.MINGRU)], ids=["step", "parallel"])
def test_jacobians_of_a_linear_cell_are_products_of_what_its_gates_keep(cell):
    params, xs, _, _ = random_inputs(cell)
    (norms,) = jacobian_norms((Layer(cell),), (LayerParams(params),), xs)
    (both,) = trace((Layer(cell),), (LayerParams(params),), xs)
    kept = 1 - np.asarray(both.fwd.gates.z)
    want = [kept[:, t + 1 :].prod(axis=1).max(axis=-1) for t in range(T)]
    assert_close(norms.fwd.h, np.stack(want, axis=1).astype(np.float32))


def test_cells_whose_output_is_not_their_state_are_refused():
    def step(params, carry, x):
        h = jnp.tanh(x @ params + carry.h)
        return ElmanCarry(h), 2 * h

    params = random_xs(4, D, H)
    twice = Cell(lambda *_: params, lambda params: ElmanCarry(jnp.zeros(H)), step)
    for cell, weights in [(twice, params), (CLOCKED, random_inputs(CLOCKED).params.fwd)]:
        layers = (Layer(cell, direction="fwd"),)
        with pytest.raises(ValueError, match="need a cell whose output is the field h"):
            gradient_norms(
                layers, (LayerParams(weights),), random_xs(), loss_fn=lambda _, ys: ys.sum()
            )
        with pytest.raises(ValueError, match="need a cell whose output is the field h"):
            jacobian_norms(layers, (LayerParams(weights),), random_xs())


def test_what_the_stack_refuses_is_refused_in_its_words():
    params = random_inputs(LSTM).params
    for run in (trace, jacobian_norms):
        with pytest.raises(ValueError, match="must be as many"):
            run((Layer(LSTM),), (LayerParams(params),) * 2, random_xs())
    with pytest.raises(ValueError, match="must be as many"):
        gradient_norms((Layer(LSTM),), (), random_xs(), loss_fn=lambda _, ys: ys.sum())
