"""Derivatives where some parts of a layer move and the others stand still, as in fine-tuning.

The parts are the arrays of the parameters of each direction, the inputs, and the arrays of the
initial carry of each direction: any subset of them may move.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM, Bi, bidirectional, scan_cell
from birnn_jax.cells import GRU_RESET_BEFORE, PARA_LSTM, PEEPHOLE_LSTM, SLSTM
from birnn_jax.kernels.cpu import library as cpu
from tests.library import _oracles
from tests.library._cases import assert_close, random_cell, random_like, random_xs

STEPS = {ELMAN: _oracles.elman_step, GRU: _oracles.gru_step, LSTM: _oracles.lstm_step}
CELLS = pytest.mark.parametrize("cell", STEPS, ids=["elman", "gru", "lstm"])
# B, T, D, H. The second one: what is taken for something else fits, and gives wrong numbers.
SIZES = pytest.mark.parametrize("sizes", [(3, 5, 2, 7), (4, 4, 4, 4)], ids=["odd", "alike"])
BACKENDS = ["reference", "xla"] + ["cpu_kernel"] * cpu.is_registered()


@functools.cache
def make_inputs(cell, sizes):
    batch_size, num_steps, input_size, hidden_size = sizes
    options = {"input_size": input_size, "hidden_size": hidden_size, "batch_size": batch_size}
    pairs = [random_cell(cell, seed, **options) for seed in (10, 20)]
    params, carry = (Bi(*pair) for pair in zip(*pairs, strict=True))
    xs = random_xs(0, batch_size, num_steps, input_size)
    lengths = np.array([num_steps, 2, 0, 3])[:batch_size]
    return (params, xs, carry), lengths


def weigh(outputs):
    """A sum in which every entry of every row has another weight."""

    def weigh_leaf(leaf):
        weights = np.sin(1.0 + np.arange(leaf.size)).reshape(leaf.shape).astype("float32")
        return (leaf * weights).sum()

    return sum(weigh_leaf(leaf) for leaf in jax.tree.leaves(outputs))


def make_loss(cell, sizes, backend, residuals="auto", scale=1.0):
    """The loss as a function of a list of arrays, those arrays, and the names of the parts."""
    inputs, lengths = make_inputs(cell, sizes)
    leaves, tree = jax.tree.flatten(inputs)

    def loss(leaves):
        params, xs, carry = tree.unflatten(leaves)
        options = {"initial_carry": carry, "backend": backend, "residuals": residuals}
        return scale * weigh(bidirectional(cell, params, xs, lengths, **options))

    return loss, leaves


def move(loss, leaves, moving):
    """The loss as a function of the moving leaves alone."""

    def of_some(some):
        changed = dict(zip(moving, some, strict=True))
        return loss([changed.get(index, leaf) for index, leaf in enumerate(leaves)])

    return of_some, [leaves[index] for index in moving]


@functools.cache
def gradients(cell, sizes):
    """By all parts, from the definition; the loops in float64 hold it to the equations."""
    loss, leaves = make_loss(cell, sizes, "reference")
    grads = jax.jit(jax.grad(loss))(leaves)
    inputs, lengths = make_inputs(cell, sizes)
    if cell in STEPS:
        directions = [random_like(leaf, 40 + index) for index, leaf in enumerate(leaves)]
        tree = jax.tree.structure(inputs)

        def in_float64(leaves):
            params, xs, carry = tree.unflatten(leaves)
            steps = (STEPS[cell],) * 2
            carries, ys = _oracles.bidirectional(steps, params, xs, lengths, carry)
            return weigh((Bi(*carries), np.concatenate(ys, axis=-1)))

        for index, (grad, direction) in enumerate(zip(grads, directions, strict=True)):
            still = [np.zeros(leaf.shape) for leaf in leaves]
            still[index] = np.asarray(direction)
            slope = _oracles.slope(in_float64, leaves, still)
            assert abs((np.asarray(grad, np.float64) * direction).sum() - slope) < 1e-4
    return grads


def subsets(cell, count, seed):
    """Each direction, each carry and the inputs by themselves, then random ones."""
    (params, _, carry), _ = make_inputs(cell, (3, 5, 2, 7))
    num_params, num_states = (len(jax.tree.leaves(tree.fwd)) for tree in (params, carry))
    total = 2 * num_params + 1 + 2 * num_states
    fwd, bwd = range(num_params), range(num_params, 2 * num_params)
    first_state = 2 * num_params + 1
    carry_fwd = range(first_state, first_state + num_states)
    carry_bwd = range(first_state + num_states, total)
    named = [fwd, bwd, carry_fwd, carry_bwd, [*fwd, *carry_bwd], [*bwd, *carry_fwd], [num_params]]
    rng = np.random.default_rng(seed)
    for _ in range(count):
        named.append(np.flatnonzero(rng.random(total) < rng.choice([0.2, 0.5, 0.8])))
    return [list(map(int, subset)) for subset in named if len(subset)]


def check(cell, sizes, backend, moving, residuals="auto"):
    of_some, some = move(*make_loss(cell, sizes, backend, residuals), moving)
    got = jax.jit(jax.grad(of_some))(some)
    assert_close(got, [gradients(cell, sizes)[index] for index in moving])


@pytest.mark.skipif(not cpu.is_registered(), reason=cpu.load().note)
@CELLS
@SIZES
def test_gradients_by_any_parts_are_those_by_all_parts(cell, sizes):
    for moving in subsets(cell, 12, seed=sum(map(ord, str(cell.step)))):
        check(cell, sizes, "cpu_kernel", moving)


@pytest.mark.parametrize(
    ("cell", "backend"),
    [
        (LSTM, "xla"),
        (GRU, "xla"),
        (PEEPHOLE_LSTM, "reference"),
        (GRU_RESET_BEFORE, "reference"),
        (SLSTM, "auto"),
        (PARA_LSTM, "auto"),
    ],
    ids=["lstm", "gru", "peephole", "reset_before", "slstm", "para_lstm"],
)
def test_gradients_by_some_parts_are_those_by_all_parts(cell, backend):
    _, bwd, _, _, mixed, *_, drawn = subsets(cell, 1, seed=5)
    for moving in (bwd, mixed, drawn):
        check(cell, (4, 4, 4, 4), backend, moving)


@pytest.mark.parametrize("residuals", ["gates", "states", "chunked"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_residuals_change_no_gradient_by_parts(backend, residuals):
    for moving in subsets(GRU, 1, seed=6)[-2:]:
        check(GRU, (3, 5, 2, 7), backend, moving, residuals)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_every_way_to_differentiate_agrees_on_parts(backend):
    """Forward mode, both modes of a linear program, and maps over them."""
    sizes = (4, 4, 4, 4)
    loss, leaves = make_loss(LSTM, sizes, backend)
    for moving in subsets(LSTM, 1, seed=7)[-3::2]:
        of_some, some = move(loss, leaves, moving)
        want = [gradients(LSTM, sizes)[index] for index in moving]
        along = random_like(some, 8)
        slope = sum((a * b).sum() for a, b in zip(want, along, strict=True))
        _, tangent = jax.jit(jax.linearize, static_argnums=0)(of_some, some)
        pulled = jax.jit(lambda some, f=of_some: jax.vjp(f, some)[1](jnp.float32(1)))(some)
        assert_close(pulled[0], want)
        assert_close(tangent(along), slope)
        assert_close(jax.jit(lambda s, a, f=of_some: jax.jvp(f, (s,), (a,)))(some, along)[1], slope)
        many = jax.tree.map(lambda leaf: jnp.stack([leaf, 0.3 * leaf]), some)
        mapped = jax.jit(jax.vmap(jax.grad(of_some)))(many)
        assert_close(jax.tree.map(lambda leaf: leaf[0], mapped), want)


@pytest.mark.parametrize("backend", BACKENDS)
def test_parts_behind_stop_gradient_stand_still(backend):
    (params, xs, carry), lengths = make_inputs(GRU, (3, 5, 2, 7))

    def loss(params, xs, frozen):
        params = Bi(params.fwd, jax.lax.stop_gradient(params.bwd)) if frozen else params
        outputs = bidirectional(GRU, params, xs, lengths, initial_carry=carry, backend=backend)
        return weigh(outputs)

    grads, d_xs = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)(params, xs, True)
    want, want_d_xs = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)(params, xs, False)
    assert_close((grads.fwd, d_xs), (want.fwd, want_d_xs))
    assert not any(leaf.any() for leaf in jax.tree.leaves(grads.bwd))
    assert all(leaf.any() for leaf in jax.tree.leaves(want.bwd))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("reverse", [False, True])
def test_parts_of_one_direction_move_alone(backend, reverse):
    (params, xs, carry), lengths = make_inputs(LSTM, (3, 5, 2, 7))

    def loss(params, c, h):
        start = carry.fwd._replace(c=c, h=h)
        options = {"initial_carry": start, "reverse": reverse, "backend": backend}
        return weigh(scan_cell(LSTM, params, xs, lengths, **options))

    args = (params.fwd, carry.fwd.c, carry.fwd.h)
    want = jax.jit(jax.grad(loss, (0, 1, 2)))(*args)
    for index, part in enumerate(want):
        assert_close(jax.jit(jax.grad(loss, index))(*args), part)
    by_w_h = jax.jit(jax.grad(lambda w_h: loss(params.fwd._replace(w_h=w_h), *args[1:])))
    assert_close(by_w_h(params.fwd.w_h), want[0].w_h)
