"""Filling in missing values: the cell of BRITS against its equations, and what each side sees."""

import functools

import jax
import numpy as np
import pytest

from birnn_jax import init_bidirectional
from experiments.time_series.impute.brits import BRITS
from experiments.time_series.impute.config import ImputeModel
from experiments.time_series.impute.model import estimate

pytestmark = pytest.mark.slow


def brits_loop(params, xs):
    """The equations of one direction over `[T, 2D]`, in float64; rows of past, others, mixed."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    sigmoid = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731
    left = lambda a: np.exp(-np.maximum(a, 0))  # noqa: E731
    size = xs.shape[1] // 2
    hidden = p.lstm.w_h.shape[0]
    h, c, gap = np.zeros(hidden), np.zeros(hidden), np.zeros(size)
    rows = []
    for x, m in zip(xs[:, :size].astype(np.float64), xs[:, size:], strict=True):
        h = h * left(gap @ p.forget.w + p.forget.b)
        past = h @ p.past.w + p.past.b
        complete = m * x + (1 - m) * past
        others = np.array(
            [
                sum(complete[j] * p.others.w[j, k] for j in range(size) if j != k) + p.others.b[k]
                for k in range(size)
            ]
        )
        faded = left(gap * p.fade.w + p.fade.b)
        share = sigmoid(np.concatenate([faded, m]) @ p.mix.w + p.mix.b)
        mixed = share * others + (1 - share) * past
        read = np.concatenate([m * x + (1 - m) * mixed, m])
        i, f, g, o = np.split(read @ p.lstm.w_x + h @ p.lstm.w_h + p.lstm.b, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        gap = 1 + (1 - m) * gap
        rows.append([past, others, mixed])
    return np.array(rows)


@pytest.fixture(scope="module")
def case():
    """Parameters with every bias at random, and a batch with gaps."""
    sizes = {"input_size": 6, "hidden_size": 4}
    init = jax.jit(lambda key: init_bidirectional(BRITS, key, **sizes))
    rng = np.random.default_rng(2)
    noisy = lambda leaf: leaf + 0.3 * rng.normal(size=leaf.shape).astype(np.float32)  # noqa: E731
    params = jax.tree.map(noisy, jax.device_get(init(jax.random.key(0))))
    values = rng.normal(size=[2, 7, 3]).astype(np.float32)
    seen = rng.random(values.shape) < 0.6
    return params, values, seen


@pytest.fixture(scope="module")
def both():
    return jax.jit(functools.partial(estimate, ImputeModel("both", 0.0)))


def test_cell_matches_the_equations_in_both_directions(case, both):
    params, values, seen = case
    ys = both(params, values, seen)
    xs = np.concatenate([np.where(seen, values, 0), seen], axis=-1).astype(np.float32)
    for row, one in enumerate(xs):
        fwd, bwd = brits_loop(params.fwd, one), brits_loop(params.bwd, one[::-1])[::-1]
        for direction, expected in zip(ys, (fwd, bwd), strict=True):
            got = np.stack([leaf[row] for leaf in direction], axis=1)
            np.testing.assert_allclose(got, expected, atol=2e-5)


def test_estimate_of_a_value_does_not_use_it(case, both):
    params, values, seen = case
    count = values[0].size
    places = np.arange(count)
    many = np.repeat(values[:1], count + 1, axis=0).reshape(count + 1, count)
    many[places, places] += 1.0  # each value in a row of its own; the last row is as it was
    shown = np.repeat(seen[:1], count + 1, axis=0)
    estimates = both(params, many.reshape(count + 1, *values.shape[1:]), shown)
    leaves = np.stack(jax.tree.leaves(estimates)).reshape(6, count + 1, count)
    changed = (leaves[:, :-1] != leaves[:, -1:]).any(axis=0)  # [value changed, estimate]
    assert not changed[places, places].any()
    assert changed[seen[0].ravel()].any(axis=1).all()
    assert not changed[~seen[0].ravel()].any()


def test_one_direction_sees_its_side_only(case):
    params, values, seen = case
    seen = seen | (np.arange(7) == 4)[None, :, None]
    other = values.copy()
    other[:, 4] += 1
    sides = {"fwd": (slice(0, 5), slice(5, 7)), "bwd": (slice(4, 7), slice(0, 4))}
    for direction, (unseen, reached) in sides.items():
        run = jax.jit(functools.partial(estimate, ImputeModel(direction, 0.0)))
        changed = run(params, values, seen)[0].past != run(params, other, seen)[0].past
        assert not changed[:, unseen].any()
        assert changed[:, reached].any(axis=(0, 2)).all()
